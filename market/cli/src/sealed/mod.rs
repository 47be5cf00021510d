//! The sealed path: who uploaded what, who is in a sum, and what holders, demo and audit share about it.
//!
//! Patients' side: [`seal`]. Holders' side: [`ledger`] and [`ciphertexts`], which believe nobody: [`roster`] says who is in
//! a snapshot, [`gather`] which upload counts, [`held`] keeps the running sum, [`checks`] and [`link`] derive what must
//! open to zero. [`signer`] signs answers.

pub mod attestations;
pub mod checks;
pub mod ciphertexts;
pub mod gather;
pub mod held;
pub mod ledger;
pub mod link;
pub mod roster;
pub mod seal;
pub mod signer;
pub mod uploads;

//! The provers. `proven/` turns a query over committed columns into a Groth16 proof, `sealed/` links ciphertexts to
//! the same columns.
//!
//! * [`proven::msm`]: batch-affine sums, fixed-base windows
//! * `proven::lanes`: the same and the transforms on AVX-512 IFMA where the CPU has it (`proven::ifma`)
//! * [`proven::chunk`]: a chunk's records with the class sums that depend on the data alone
//! * [`proven::prove`]: step 5 of 8, one proof
//! * [`proven::answer`]: all passes, chunks and parts of a query, with progress and cancellation
//! * [`sealed::link`]: the custodian's proof that ciphertexts and commitments hold the same records
//! * [`key_cache`]: proving keys on disk, pinned by digest
#![deny(missing_docs)]

pub mod key_cache;
pub mod proven;
pub mod sealed;

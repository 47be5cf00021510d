//! The sealed path's custodian: a proof that ciphertexts and column commitments hold the same records.

pub mod link;
mod range;
#[cfg(test)]
mod tests;

pub use link::{LinkInput, LinkProveError, Masks, prove_link};

//! The sealed path's custodian: a proof that ciphertexts and column commitments hold the same records.

pub mod forms;
pub mod link;
mod range;
#[cfg(test)]
mod tests;

pub use forms::{FormsError, Placed, zero_forms};
pub use link::{LinkInput, LinkProveError, Masks, prove_link};

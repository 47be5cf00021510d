//! The aggregate statement: step 5 of 8 proves it, step 6 verifies it.
//!
//! [`relation`] says what is public, private and true; [`rows`] is its constraint twin;
//! [`assignment`] connects the two; [`verify`] is the four-block Groth16 check.

pub mod assignment;
pub mod relation;
pub mod rows;
pub mod verify;

pub use relation::{AggregatePrivate, AggregatePublic, Tally, masked, tally};
pub use verify::{AnswerItem, PassTotal, Proof, VerifyError, verify_answer, verify_item};

#[cfg(test)]
mod tests;

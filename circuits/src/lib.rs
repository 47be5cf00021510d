//! Statements, commitments, transcript, R1CS relations, keys and verification.
//!
//! This package holds everything a *verifier* needs and nothing that touches a file, a
//! network or a patient's record. `SPEC.md` beside this crate states what is proven, what
//! is argued and what is open; the numbered statements there are cited by the code.
//!
//! * [`commitment`], [`registration`]: step 2 of 8, a member's codes become hiding commitments
//! * [`aggregate`]: the statement an answer proves, its constraint twin and its verification
//! * [`link`]: the custodian link, ciphertexts and column commitments hold the same records
//! * [`keys`]: the four-block key, its generation and its pinned identity
//! * [`transcript`]: every challenge, with full domain separation
#![deny(missing_docs)]

pub mod aggregate;
pub mod commitment;
pub mod keys;
pub mod layout;
pub mod link;
pub mod qap;
pub mod registration;
pub mod transcript;
pub mod words;

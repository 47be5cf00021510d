//! Encrypted cubes: ring arithmetic, encryption, running sums, linear forms, upload checks.
//!
//! A member encrypts the one-hot of a cube's joint cell as one RLWE ciphertext; ciphertexts add up to the encrypted
//! contingency table, and whoever holds the subset secrets opens linear forms on it. In the order of a record's way:
//!
//! 1. [`key`]: the public key, summed from the public shares of the subset secrets.
//! 2. [`encrypt`]: a cell becomes an [`upload::Upload`] and a private [`encrypt::Attestation`].
//! 3. [`check`]: uploads are checked in batches by openings that say only "zero" or "not zero"; [`link`] does the same for
//!    agreement with commitments.
//! 4. [`sum`]: uploads add to, and subtract from, a running sum, bit for bit what a fresh sum would give.
//! 5. [`open`]: partial openings of a form, hidden under flooding noise, and their combination.
//!
//! [`ring`] and [`parameters`] are what all of this computes with. Everything public is integer arithmetic modulo `2^128`:
//! every machine computes the same bytes.

pub mod check;
pub mod encrypt;
pub mod key;
pub mod link;
pub mod open;
pub mod parameters;
pub mod ring;
pub mod stream;
pub mod sum;
pub mod upload;

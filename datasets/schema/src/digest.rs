//! The one hash of this crate.

use sha3::{Digest, Keccak256};

/// Keccak-256 of `bytes`, the hash that the contracts compute as well.
pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

//! Domain-separated hashes (BLAKE3 in its key derivation mode) and 32-byte keys.

use zeroize::Zeroize;

/// The hash of `parts` under `domain`; parts are length-prefixed, so that no two lists collide.
pub(crate) fn digest(domain: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let out = *hasher.finalize().as_bytes();
    hasher.zeroize();
    out
}

/// A 32-byte key that erases itself and prints `[redacted]`.
#[derive(
    Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Key32([u8; 32]);

impl Key32 {
    /// Wraps the bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Key32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

//! The four-block key: what it consists of, how it is made and how it is pinned.
//!
//! All circuits of one chunk size form a *family*: they share tau, alpha, beta and the two
//! block factors gamma1 (commitments) and gamma3 (results), hence one commitment key and
//! one result basis. gamma0, gamma2 and delta are each circuit's own (SPEC.md section 5).

mod development;
mod generate;
mod proving;
mod verifying;

pub use development::{DEVELOPMENT_SEED, DevelopmentKey, Pinned};
pub use generate::{CircuitSecrets, FamilySecrets, generate};
pub use proving::ProvingKey;
pub use verifying::VerifyingKey;

/// Why key bytes were refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not those of the pinned key.
    #[error("key bytes have digest {found}, but {expected} is pinned")]
    DigestMismatch {
        /// Pinned SHA-256.
        expected: String,
        /// SHA-256 of the bytes.
        found: String,
    },
    /// The bytes do not decode.
    #[error("key bytes do not decode: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
    /// The key is for other dimensions.
    #[error("key is for {found:?}, but {expected:?} was asked for")]
    ShapeMismatch {
        /// Dimensions wanted.
        expected: crate::layout::Shape,
        /// Dimensions in the bytes.
        found: crate::layout::Shape,
    },
    /// The dimensions are impossible.
    #[error(transparent)]
    Shape(#[from] crate::layout::ShapeError),
    /// A development key was asked for in production mode.
    #[error("key {id} is a development key whose secrets are public; production mode refuses it")]
    Insecure {
        /// Name of the key.
        id: String,
    },
}

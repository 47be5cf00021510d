//! One subset's key and what follows from it.

use std::fmt;

use salus_cubes::key::SubsetKey;

use crate::shape::Subset;
use crate::stream::{Key32, digest};

/// The key `K_A` of a subset: its ternary secret, its error and its flooding noise all follow from it.
#[derive(Clone)]
pub struct HeldSubset {
    subset: Subset,
    key: SubsetKey,
}

impl HeldSubset {
    pub(crate) fn new(subset: Subset, key: &Key32) -> Self {
        Self {
            subset,
            key: SubsetKey::new(*key.expose()),
        }
    }

    /// The subset.
    pub const fn subset(&self) -> Subset {
        self.subset
    }

    /// `K_A`. Secret.
    pub const fn key(&self) -> &SubsetKey {
        &self.key
    }

    /// The public part `b_A = a * s_A + e_A`, little-endian words of 16 bytes.
    pub(crate) fn public_part(&self, session: &[u8; 32]) -> Vec<u8> {
        self.key.public_share(&mask_seed(session)).to_bytes()
    }
}

impl fmt::Debug for HeldSubset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldSubset({}, [redacted])", self.subset.index())
    }
}

/// The public string from which the key's mask `a` is expanded: nobody chose it.
pub fn mask_seed(session: &[u8; 32]) -> [u8; 32] {
    digest("salus/v1/committee/mask", &[session])
}

//! Development keys: reproducible, pinned and INSECURE.
//!
//! Their secrets are derived from a public seed, so anybody can forge proofs under them.
//! They exist so that everybody who builds Salus gets the same keys, byte for byte, without
//! a ceremony. Production mode refuses them.

use super::{CircuitSecrets, FamilySecrets, KeyError, ProvingKey, generate};
use crate::layout::{ChunkSize, Shape};
use ark_std::rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use salus_schema::plan::CircuitClass;
use sha2::{Digest, Sha256};

/// The public seed of all development keys.
pub const DEVELOPMENT_SEED: &str = "salus INSECURE development setup v1";

/// Names one circuit of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevelopmentKey {
    /// Chunk size, i.e. family.
    pub size: ChunkSize,
    /// Circuit class.
    pub class: CircuitClass,
    /// Part of a chunk, below the number of parts of the class.
    pub part: usize,
}

/// What is pinned about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// Rows in use.
    pub rows: usize,
    /// Circuit id, hexadecimal.
    pub circuit_id: &'static str,
    /// SHA-256 of the proving key's bytes, hexadecimal.
    pub digest: &'static str,
}

fn rng(label: &str) -> ChaCha20Rng {
    let mut h = Sha256::new();
    h.update(DEVELOPMENT_SEED);
    h.update([0]);
    h.update(label);
    ChaCha20Rng::from_seed(h.finalize().into())
}

impl DevelopmentKey {
    /// Every key of a chunk size, K4 first.
    pub fn family(size: ChunkSize) -> Vec<Self> {
        [CircuitClass::K4, CircuitClass::K8]
            .into_iter()
            .flat_map(|class| {
                (0..size.shapes(class).len()).map(move |part| Self { size, class, part })
            })
            .collect()
    }

    /// Dimensions.
    ///
    /// # Panics
    /// When `part` is not below the number of parts of the class.
    pub fn shape(&self) -> Shape {
        self.size.shapes(self.class)[self.part]
    }

    /// Name, which says INSECURE.
    pub fn id(&self) -> String {
        format!(
            "INSECURE-dev-2p{}-{:?}-{}",
            self.size.log_domain(),
            self.class,
            self.part
        )
        .to_lowercase()
        .replace("insecure", "INSECURE")
    }

    /// Generates the key. Takes about 40 us of CPU per row of the domain times five.
    ///
    /// # Errors
    /// [`KeyError::Insecure`] when `production` is set.
    pub fn generate(&self, production: bool) -> Result<ProvingKey, KeyError> {
        if production {
            return Err(KeyError::Insecure { id: self.id() });
        }
        let family =
            FamilySecrets::random(&mut rng(&format!("family 2^{}", self.size.log_domain())));
        let circuit = CircuitSecrets::random(&mut rng(&self.id()));
        generate(self.shape(), &family, &circuit)
    }

    /// What is pinned about this key.
    pub fn pinned(&self) -> Pinned {
        let index = match (self.class, self.part) {
            (CircuitClass::K4, _) => 0,
            (CircuitClass::K8, part) => 1 + part,
        };
        let row = match self.size {
            ChunkSize::Tiny => 0,
            ChunkSize::Small => 1,
            ChunkSize::Standard => 2,
        };
        PINNED[row][index]
    }
}

include!("pinned.rs");

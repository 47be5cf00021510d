//! The ciphertext half of a custodian's batch link between uploads and commitments.
//!
//! The custodian first commits to and encrypts a random residue `U` ([`encrypt_mask`]). A public coin then gives small factors
//! `rho_i` and residues `beta_j`, and the custodian publishes `V = sum_i rho_i sum_j beta_j code_ij + U mod p`, proven
//! against the commitments. What remains is that the uploads agree: [`combine`] is the relation that must be zero.

use rand_core::CryptoRngCore;
use salus_schema::cube::ModulusClass;

use crate::check::{Origin, ZeroForm};
use crate::encrypt::{EncryptError, encrypt_slots};
use crate::key::PublicKey;
use crate::parameters::{Modulus, Room};
use crate::ring::weighted::{Accumulator, Element, TooManyProducts, WEIGHT_LIMIT, Weights};
use crate::ring::{DEGREE, Poly};
use crate::sum::join;
use crate::upload::{LANES, Upload};

/// Uploads in one combination, at most: with 8-bit factors the lanes stay below `2^64`.
pub const MAX_UPLOADS: usize = 1 << 24;

/// Why uploads do not combine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("{uploads} uploads and {factors} factors were given")]
    Factors { uploads: usize, factors: usize },
    #[error("a combination has at most {MAX_UPLOADS} uploads")]
    TooMany,
    #[error("upload {index} is of another cube or modulus class than the mask")]
    OtherCube { index: usize },
    #[error(
        "there are weights for {found} cells; a cube has 1 to {}",
        salus_schema::cube::MAX_CELLS
    )]
    Cells { found: usize },
    #[error("the weight of cell {cell} is not below half the modulus in absolute value")]
    Weight { cell: usize },
    #[error("the value {found} is not below the modulus")]
    Value { found: u64 },
}

/// The encryption of a residue `u` in slot 0.
///
/// # Errors
/// If `rng` fails.
///
/// # Security
/// `u` hides the combination of the members' codes; it is uniform below `p` and used once.
pub fn encrypt_mask(
    key: &PublicKey,
    cube: [u8; 32],
    class: ModulusClass,
    u: u64,
    rng: &mut impl CryptoRngCore,
) -> Result<Upload, EncryptError> {
    let modulus = Modulus::of(class);
    let mut slots = zeroize::Zeroizing::new(Poly::zero());
    slots.coefficients_mut()[0] = modulus.encode_residue(modulus.reduce(u));
    encrypt_slots(key, cube, class, &slots, rng)
}

/// The relation `sum_i rho_i sum_c weights[c] upload_i[c] + mask[0] - v = 0` modulo `p`.
///
/// `weights[c]` is `sum_j beta_j code_j(c)` modulo `p`, in `-(p-1)/2..=(p-1)/2`, one for each cell of the cube; `rhos` has one
/// factor per upload.
///
/// # Errors
/// If lengths, cubes or ranges do not fit.
///
/// # Security
/// Says something about commitments only for uploads that passed [`crate::check`]. A disagreement in one member's codes
/// survives one combination with probability about `2^-8` over the factors; repeat it with a fresh mask.
pub fn combine<'a>(
    uploads: impl IntoIterator<Item = &'a Upload>,
    rhos: &[u8],
    weights: &[i64],
    mask: &Upload,
    v: u64,
) -> Result<ZeroForm, LinkError> {
    let mut combiner = Combiner::new(mask);
    let mut factors = rhos.iter();
    let mut found = 0;
    for upload in uploads {
        found += 1;
        let Some(rho) = factors.next() else { break };
        combiner.add(upload, *rho)?;
    }
    if found != rhos.len() {
        return Err(LinkError::Factors {
            uploads: found,
            factors: rhos.len(),
        });
    }
    combiner.finish(weights, mask, v)
}

/// The sum of uploads times their factors, one upload in memory at a time; see [`combine`].
#[derive(Clone)]
pub struct Combiner {
    cube: [u8; 32],
    class: ModulusClass,
    lanes: Vec<u64>,
    uploads: usize,
    /// The sum of the squares of the factors.
    squares: u128,
}

impl Combiner {
    /// Nothing yet, of the cube and class of `mask`.
    pub fn new(mask: &Upload) -> Self {
        Self {
            cube: *mask.cube(),
            class: mask.class(),
            lanes: vec![0; LANES],
            uploads: 0,
            squares: 0,
        }
    }

    /// Adds `rho` times an upload.
    ///
    /// # Errors
    /// If it is of another cube, or there are too many.
    pub fn add(&mut self, upload: &Upload, rho: u8) -> Result<(), LinkError> {
        let index = self.uploads;
        if *upload.cube() != self.cube || upload.class() != self.class {
            return Err(LinkError::OtherCube { index });
        }
        if index >= MAX_UPLOADS {
            return Err(LinkError::TooMany);
        }
        self.uploads += 1;
        self.squares += u128::from(rho).pow(2);
        for (sum, word) in self.lanes.iter_mut().zip(upload.lanes()) {
            *sum = sum.wrapping_add(u64::from(word) * u64::from(rho));
        }
        Ok(())
    }

    /// The relation of [`combine`] for what was added.
    ///
    /// # Errors
    /// If weights, mask or value do not fit.
    pub fn finish(self, weights: &[i64], mask: &Upload, v: u64) -> Result<ZeroForm, LinkError> {
        let modulus = Modulus::of(self.class);
        if *mask.cube() != self.cube || mask.class() != self.class {
            return Err(LinkError::OtherCube {
                index: self.uploads,
            });
        }
        if weights.is_empty() || weights.len() > salus_schema::cube::MAX_CELLS {
            return Err(LinkError::Cells {
                found: weights.len(),
            });
        }
        let most = (modulus.p() / 2).min(WEIGHT_LIMIT as u64 - 1);
        if let Some(cell) = weights.iter().position(|w| w.unsigned_abs() > most) {
            return Err(LinkError::Weight { cell });
        }
        if v >= modulus.p() {
            return Err(LinkError::Value { found: v });
        }
        let (a, b) = join(&self.lanes);
        let mut padded = weights.to_vec();
        padded.resize(DEGREE, 0);
        let mut accumulator = Accumulator::default();
        accumulator
            .add(&Element::new(&a), &Weights::new(&padded))
            .map_err(|TooManyProducts| LinkError::TooMany)?;
        let mut combined = accumulator.finish();
        let (mask_a, mask_b) = mask.unpack();
        combined.add_assign(&mask_a);
        let body = weights.iter().zip(b.coefficients());
        let body = body.fold(mask_b.coefficients()[0], |sum, (w, x)| {
            sum.wrapping_add(x.wrapping_mul(i128::from(*w) as u128))
        });
        let body = body.wrapping_sub(modulus.encode_residue(v));
        let cells: u128 = weights
            .iter()
            .map(|w| u128::from(w.unsigned_abs()).pow(2))
            .sum();
        let squares = self.squares * cells + 1;
        let origin = Origin::Link;
        Ok(ZeroForm::new(combined, body, Room::Link, squares, origin))
    }
}

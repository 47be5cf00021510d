//! Step 3 of 8: a member proves knowledge of what was committed, in the right slot.
//!
//! One Schnorr proof in basis `(B_i, H)` for a random combination of the member's column
//! commitments, bound to chain, registry, dataset, chunk, slot and member. Without it a
//! commitment with a component on another slot would silently change someone else's record
//! (SPEC.md statement R1, PROTOCOL 1.1).

use crate::commitment::FixedBase;
use crate::transcript::{Hasher, Tag, address_word};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::{CryptoRng, Rng};
use zeroize::Zeroize;

/// Where and for whom a registration is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the CohortRegistry contract.
    pub registry: [u8; 20],
    /// Dataset number on chain.
    pub dataset: u64,
    /// Chunk of the dataset.
    pub chunk: u32,
    /// Slot of the chunk.
    pub slot: u32,
    /// The member's pseudonymous address.
    pub member: [u8; 20],
}

/// Proof of knowledge of the openings of all of a member's commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningProof {
    /// `R = k1 B + k2 H`.
    pub r: G1Affine,
    /// Response for the combined code.
    pub s1: Fr,
    /// Response for the combined blinding.
    pub s2: Fr,
}

/// Why a registration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A member must commit to every column.
    #[error("a registration needs at least one commitment")]
    Empty,
    /// A commitment at infinity hides nothing.
    #[error("commitment of column {column} is the point at infinity")]
    Infinity {
        /// Physical column.
        column: usize,
    },
    /// The proof does not verify.
    #[error("the proof of knowledge for slot {slot} does not verify")]
    Proof {
        /// Slot.
        slot: u32,
    },
}

impl Seat {
    /// The scalar that combines the columns.
    pub fn combiner(&self, commitments: &[G1Affine]) -> Fr {
        let h = Hasher::new(Tag::Register)
            .integer(u128::from(self.chain_id))
            .word(&address_word(&self.registry))
            .integer(u128::from(self.dataset))
            .integer(u128::from(self.chunk))
            .integer(u128::from(self.slot))
            .word(&address_word(&self.member));
        commitments.iter().fold(h, |h, c| h.g1(c)).challenge()
    }
}

fn challenge(combiner: &Fr, r: &G1Affine) -> Fr {
    Hasher::new(Tag::Pok).scalar(combiner).g1(r).challenge()
}

/// `sum_l combiner^l values_l`.
fn combine<T: Copy>(values: &[T], combiner: &Fr, to_scalar: impl Fn(T) -> Fr) -> Fr {
    values.iter().rev().fold(Fr::ZERO, |acc, v| acc * combiner + to_scalar(*v))
}

/// Proves knowledge of `codes` and `blindings` behind `commitments`.
///
/// # Panics
/// When the three slices differ in length.
pub fn prove(
    seat: &Seat,
    basis: &G1Affine,
    blinding_base: &FixedBase,
    codes: &[u8],
    blindings: &[Fr],
    commitments: &[G1Affine],
    rng: &mut (impl Rng + CryptoRng),
) -> OpeningProof {
    assert!(codes.len() == blindings.len() && codes.len() == commitments.len());
    let combiner = seat.combiner(commitments);
    let (mut k1, mut k2) = (Fr::rand(rng), Fr::rand(rng));
    let r = (*basis * k1 + blinding_base.mul(&k2)).into_affine();
    let e = challenge(&combiner, &r);
    let proof = OpeningProof {
        r,
        s1: k1 + e * combine(codes, &combiner, Fr::from),
        s2: k2 + e * combine(blindings, &combiner, |b| b),
    };
    k1.zeroize();
    k2.zeroize();
    proof
}

/// Verifies a registration exactly as the contract does.
///
/// # Errors
/// [`RegistrationError`] naming what is wrong.
pub fn verify(
    seat: &Seat,
    basis: &G1Affine,
    blinding_base: &G1Affine,
    commitments: &[G1Affine],
    proof: &OpeningProof,
) -> Result<(), RegistrationError> {
    if commitments.is_empty() {
        return Err(RegistrationError::Empty);
    }
    if let Some(column) = commitments.iter().position(|c| c.is_zero()) {
        return Err(RegistrationError::Infinity { column });
    }
    let combiner = seat.combiner(commitments);
    let combined = commitments.iter().rev().fold(G1Projective::ZERO, |acc, c| acc * combiner + c);
    let e = challenge(&combiner, &proof.r);
    if *basis * proof.s1 + *blinding_base * proof.s2 == combined * e + proof.r {
        Ok(())
    } else {
        Err(RegistrationError::Proof { slot: seat.slot })
    }
}

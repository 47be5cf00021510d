//! The range proof: a value commitment's value is a sum of bits.
//!
//! The quotient's commitment is `sum_l 2^l b_l` where each `b_l` commits to 0 or 1. The commitment `b_0` is not sent:
//! it is what the others leave of the quotient's, so the sum holds by construction. Each bit is a disjunction of two
//! proofs of knowledge of `log_G'`: of `b_l`, or of `b_l - G` (Cramer, Damgard, Schoenmakers, CRYPTO 1994).

use super::verify::Batch;
use crate::transcript::Hasher;
use ark_bn254::{Fr, G1Affine};
use ark_ff::{AdditiveGroup, Field};

/// "This commitment's value is 0 or 1."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitProof {
    /// First message of "it is 0".
    pub zero: G1Affine,
    /// First message of "it is 1".
    pub one: G1Affine,
    /// Challenge of "it is 0"; the other one is what this leaves of the common challenge.
    pub challenge: Fr,
    /// Response of "it is 0".
    pub zero_response: Fr,
    /// Response of "it is 1".
    pub one_response: Fr,
}

/// "This commitment's value is below 2^bits."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    /// Commitments to the bits from bit 1 upwards.
    pub bits: Vec<G1Affine>,
    /// One per bit, from bit 0.
    pub proofs: Vec<BitProof>,
}

impl RangeProof {
    /// Appends the first messages to a hash.
    pub fn absorb(&self, hasher: Hasher) -> Hasher {
        let hasher = self.bits.iter().fold(hasher, Hasher::g1);
        self.proofs
            .iter()
            .fold(hasher, |h, p| h.g1(&p.zero).g1(&p.one))
    }

    /// Adds the equations of all bits to a batch, for the commitment `sum_k scalar_k point_k`.
    pub fn check(&self, commitment: &[(G1Affine, Fr)], challenge: &Fr, batch: &mut Batch) {
        let mut on_lowest = Fr::ZERO;
        let mut on_bits = vec![Fr::ZERO; self.bits.len()];
        for (index, proof) in self.proofs.iter().enumerate() {
            // zero_response G' - e0 b = zero;  one_response G' - e1 (b - G) = one
            let (w0, w1) = (batch.weight(), batch.weight());
            let (e0, e1) = (proof.challenge, *challenge - proof.challenge);
            batch.blinding(w0 * proof.zero_response + w1 * proof.one_response);
            batch.value(w1 * e1);
            batch.point(proof.zero, -w0);
            batch.point(proof.one, -w1);
            let on_bit = -(w0 * e0 + w1 * e1);
            match index.checked_sub(1).and_then(|i| on_bits.get_mut(i)) {
                Some(slot) => *slot = on_bit,
                None => on_lowest += on_bit,
            }
        }
        // b_0 = commitment - sum_l 2^l b_l
        let mut power = Fr::ONE;
        for (point, scalar) in self.bits.iter().zip(on_bits) {
            power.double_in_place();
            batch.point(*point, scalar - on_lowest * power);
        }
        for (point, scalar) in commitment {
            batch.point(*point, on_lowest * scalar);
        }
    }
}

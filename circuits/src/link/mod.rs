//! The custodian link: sealed ciphertexts and column commitments hold the same records.
//!
//! A member's ciphertext encrypts the one-hot of a cube cell; the chain holds, per chunk and column, a commitment
//! to the members' codes. Both hide, and they live in different algebra. The link compares them by one random
//! linear form per repetition (SPEC.md section 10):
//!
//! 1. The custodian draws masks `U`, commits to each on BN254, encrypts each under the committee's key, and
//!    publishes an [`Announcement`].
//! 2. A public coin gives 8-bit weights `rho` per slot and weights `beta` mod p per column
//!    ([`LinkStatement::challenges`]).
//! 3. The custodian publishes `V = sum rho <beta, codes> + U mod p` and a [`LinkProof`] that the commitments say so:
//!    [`verify`] returns a [`VerifiedLink`].
//! 4. The committee opens `sum rho L(ciphertext) + Enc(U) - V` and accepts only zero.
//!
//! With [`REPETITIONS`] masks, records that differ anywhere pass with probability about 2^-40 per coin.
//!
//! * [`statement`]: what is fixed before the coin, and its bytes
//! * [`challenge`]: the coin's weights
//! * [`relation`]: the statement in plain integers
//! * [`proof`]: the prover's message, and its bytes
//! * [`range`]: the range proof of the quotient
//! * [`verify`](mod@verify): the equations, joined into one multi-scalar product

mod bytes;
pub mod challenge;
pub mod proof;
pub mod range;
pub mod relation;
pub mod statement;
#[cfg(test)]
mod tests;
pub mod verify;

pub use bytes::DecodeError;
pub use challenge::LinkChallenges;
pub use proof::LinkProof;
pub use statement::{Announcement, LinkContext, LinkStatement, Mask, StatementError};
pub use verify::{LinkError, VerifiedLink, verify};

use crate::commitment::CommitmentKey;
use crate::transcript::{Hasher, Tag};
use crate::words::Word;
use ark_bn254::{Fq, Fr, G1Affine};
use ark_ff::PrimeField;
use std::sync::LazyLock;

/// Independent masks and weights; each lets different records pass with probability about 2^-8.
pub const REPETITIONS: usize = 5;

/// Columns a cube can have at most. Every column of a cube has at least two codes, so 12 fill the largest cube.
pub const MAX_COLUMNS: usize = 16;

/// Chunks a link can have at most.
pub const MAX_CHUNKS: usize = 1 << 16;

/// Slots a chunk can have at most.
pub const MAX_SLOTS: usize = 1 << 16;

/// The plaintext moduli of cubes: counts (22 bits) and sums (26 bits). Both are prime.
pub const MODULI: [u64; 2] = [4_194_301, 67_108_859];

/// Two generators of G1 whose discrete logarithms to each other nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generators {
    /// Multiplied by the committed value.
    pub value: G1Affine,
    /// Multiplied by the blinding.
    pub blinding: G1Affine,
}

/// The generators of value commitments.
///
/// # Security
/// Hashed to the curve by try and increment from a public string: x is the first
/// `H(link.generator, index, counter)` below the field modulus that is on the curve, y the smaller root.
pub fn generators() -> &'static Generators {
    static GENERATORS: LazyLock<Generators> = LazyLock::new(|| Generators {
        value: hash_to_curve(0),
        blinding: hash_to_curve(1),
    });
    &GENERATORS
}

fn hash_to_curve(index: u128) -> G1Affine {
    (0u128..)
        .find_map(|counter| {
            let word = Hasher::new(Tag::LinkGenerator)
                .integer(index)
                .integer(counter)
                .finish();
            let x: Fq = crate::words::field_from_word(&word).ok()?;
            G1Affine::get_point_from_x_unchecked(x, false)
        })
        .unwrap_or_else(G1Affine::identity)
}

impl Generators {
    /// `value * G + blinding * G'`.
    ///
    /// # Security
    /// Hides perfectly for a uniform blinding, binds under discrete logarithm. Not constant time: for the
    /// custodian's own machine.
    pub fn commit(&self, value: &Fr, blinding: &Fr) -> G1Affine {
        use ark_ec::CurveGroup;
        (self.value * value + self.blinding * blinding).into_affine()
    }
}

/// The word that names slot bases and blinding base.
pub fn key_word(key: &CommitmentKey) -> Word {
    Hasher::new(Tag::LinkKey)
        .integer(key.slots.len() as u128)
        .word(&key.root())
        .g1(&key.blinding)
        .finish()
}

/// The low 128 bits of a hash as a scalar.
pub(crate) fn weight_of(hash: &Word) -> Fr {
    let mut low = [0u8; 16];
    low.copy_from_slice(&hash[16..]);
    Fr::from(u128::from_be_bytes(low))
}

/// Bits of the quotient `(sum + U) / p` of an honest link over that many slots.
///
/// Every slot adds at most `255 * columns * (p - 1) * 255` to the sum and the mask less than `p`, so the quotient is at most
/// `65025 * columns * slots`.
pub fn quotient_bits(columns: usize, slots: u64) -> u32 {
    let bound = 65_025u128 * columns as u128 * u128::from(slots);
    u128::BITS - bound.leading_zeros()
}

const _: () = assert!(Fr::MODULUS_BIT_SIZE > 128);

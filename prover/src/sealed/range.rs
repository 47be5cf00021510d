//! Proofs that a value commitment's value is a sum of bits, in two moves around the common challenge.

use ark_bn254::Fr;
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, UniformRand, Zero};
use ark_std::rand::{CryptoRng, Rng};
use salus_circuits::link::generators;
use salus_circuits::link::range::{BitProof, RangeProof};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What one bit's prover keeps between first message and response.
#[derive(Zeroize, ZeroizeOnDrop)]
struct BitSecret {
    bit: bool,
    blinding: Fr,
    /// Randomness of the true branch.
    nonce: Fr,
    /// Chosen challenge of the false branch.
    challenge: Fr,
    /// Chosen response of the false branch.
    response: Fr,
}

/// A range proof that waits for its challenge.
pub(super) struct PendingRange(Vec<BitSecret>);

/// First messages for the commitment to `value` with `blinding`: bits from 0 to `bits - 1`.
///
/// A value that does not fit gives messages that no response completes.
pub(super) fn begin(
    value: &Fr,
    blinding: &Fr,
    bits: usize,
    rng: &mut (impl Rng + CryptoRng),
) -> (RangeProof, PendingRange) {
    let mut integer = value.into_bigint();
    let mut rest = *blinding;
    let mut power = Fr::ONE;
    let mut secrets: Vec<BitSecret> = (0..bits)
        .map(|index| {
            let blinding = if index == 0 { Fr::ZERO } else { Fr::rand(rng) };
            rest -= blinding * power;
            power.double_in_place();
            BitSecret {
                bit: integer.get_bit(index),
                blinding,
                nonce: Fr::rand(rng),
                challenge: Fr::rand(rng),
                response: Fr::rand(rng),
            }
        })
        .collect();
    integer.zeroize();
    // bit 0's commitment is what the others leave of the value's
    if let Some(lowest) = secrets.first_mut() {
        lowest.blinding = rest;
    }
    let key = generators();
    let value_of = |bit: bool| Fr::from(u64::from(bit));
    let commitments: Vec<_> = secrets
        .iter()
        .skip(1)
        .map(|s| key.value * value_of(s.bit) + key.blinding * s.blinding)
        .collect();
    let messages: Vec<_> = secrets
        .iter()
        .flat_map(|s| {
            // false branch, for value w = 1 - bit: response G' - challenge (b - w G)
            let offset = value_of(s.bit) - value_of(!s.bit);
            let simulated = key.blinding * (s.response - s.challenge * s.blinding)
                - key.value * (s.challenge * offset);
            let honest = key.blinding * s.nonce;
            let pair = [honest, simulated];
            [pair[usize::from(s.bit)], pair[usize::from(!s.bit)]]
        })
        .collect();
    let bits = ark_bn254::G1Projective::normalize_batch(&commitments);
    let messages = ark_bn254::G1Projective::normalize_batch(&messages);
    let (pairs, _) = messages.as_chunks::<2>();
    let proofs = pairs
        .iter()
        .map(|[zero, one]| BitProof {
            zero: *zero,
            one: *one,
            challenge: Fr::zero(),
            zero_response: Fr::zero(),
            one_response: Fr::zero(),
        })
        .collect();
    (RangeProof { bits, proofs }, PendingRange(secrets))
}

impl PendingRange {
    /// Fills in the responses.
    pub(super) fn finish(self, challenge: &Fr, proof: &mut RangeProof) {
        for (secret, proof) in self.0.iter().zip(&mut proof.proofs) {
            let own = *challenge - secret.challenge;
            let honest = secret.nonce + own * secret.blinding;
            let challenges = [own, secret.challenge];
            let responses = [honest, secret.response];
            proof.challenge = challenges[usize::from(secret.bit)];
            proof.zero_response = responses[usize::from(secret.bit)];
            proof.one_response = responses[usize::from(!secret.bit)];
        }
    }
}

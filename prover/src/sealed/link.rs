//! The custodian's half of the link (circuits SPEC.md section 10).
//!
//! Order of use: [`Masks::draw`]; encrypt each mask under the committee's key; publish the announcement with
//! [`Masks::commitments`] and the ciphertexts' hashes; wait for the coin; [`prove_link`].

use super::range;
use crate::proven::lanes;
use ark_bn254::{Fr, G1Affine};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field, UniformRand};
use ark_std::rand::{CryptoRng, Rng};
use rayon::prelude::*;
use salus_circuits::aggregate::AggregatePrivate;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::proof::{ChunkProof, FormProof};
use salus_circuits::link::relation::{column_sums, value_and_quotient, weighted_sums};
use salus_circuits::link::verify::powers;
use salus_circuits::link::{
    Announcement, LinkChallenges, LinkProof, LinkStatement, REPETITIONS, generators,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// One announcement's masks. Used up by [`prove_link`]: a mask that answers two coins gives its records away.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Masks {
    values: [u64; REPETITIONS],
    blindings: [Fr; REPETITIONS],
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masks([redacted])")
    }
}

impl Masks {
    /// Fresh masks, uniform below the cube's plaintext modulus.
    ///
    /// # Panics
    /// When the modulus is 0.
    pub fn draw(modulus: u64, rng: &mut (impl Rng + CryptoRng)) -> Self {
        Self {
            values: std::array::from_fn(|_| rng.gen_range(0..modulus)),
            blindings: std::array::from_fn(|_| Fr::rand(rng)),
        }
    }

    /// The masks, to be encrypted. Secret.
    pub fn values(&self) -> &[u64; REPETITIONS] {
        &self.values
    }

    /// Value commitments to the masks, for the announcement.
    pub fn commitments(&self) -> [G1Affine; REPETITIONS] {
        std::array::from_fn(|e| generators().commit(&Fr::from(self.values[e]), &self.blindings[e]))
    }
}

/// What the custodian proves from.
#[derive(Debug, Clone, Copy)]
pub struct LinkInput<'a> {
    /// Slot bases of the dataset's family.
    pub key: &'a CommitmentKey,
    /// The announcement with the coin.
    pub statement: &'a LinkStatement,
    /// Per chunk, the codes of the cube's columns (columns x slots, in the cube's order) and their summed blindings:
    /// [`crate::proven::Chunk::private`] of the announcement's columns.
    pub chunks: &'a [AggregatePrivate],
}

/// Why a link cannot be proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkProveError {
    /// The records have other sizes than the statement.
    #[error("{found} {what} of records for {expected} in the statement")]
    Dimensions {
        /// Which dimension.
        what: &'static str,
        /// Size of the records.
        found: usize,
        /// Size in the statement.
        expected: usize,
    },
    /// The masks are not the announced ones.
    #[error("mask {repetition} is not the one that was announced")]
    Mask {
        /// Repetition.
        repetition: usize,
    },
}

fn check(input: &LinkInput<'_>, masks: &Masks) -> Result<(), LinkProveError> {
    let announcement = input.statement.announcement();
    let same = |what, found, expected| {
        if found == expected {
            Ok(())
        } else {
            Err(LinkProveError::Dimensions {
                what,
                found,
                expected,
            })
        }
    };
    same("slots", input.key.slots.len(), announcement.slots())?;
    same(
        "chunks",
        input.chunks.len(),
        announcement.commitments().len(),
    )?;
    for chunk in input.chunks {
        let columns = announcement.columns().len();
        same("columns", chunk.codes.len(), columns)?;
        same("blindings", chunk.blindings.len(), columns)?;
        for column in &chunk.codes {
            same("slots", column.len(), announcement.slots())?;
        }
    }
    let announced = announcement.masks();
    let commitments = masks.commitments();
    match (0..REPETITIONS).find(|e| announced[*e].commitment != commitments[*e]) {
        Some(repetition) => Err(LinkProveError::Mask { repetition }),
        None => Ok(()),
    }
}

/// Proves that the values are what commitments and masks say. [`FormProof::value`] holds the values.
///
/// Cost per chunk: one multi-scalar product of its slots, whatever the number of repetitions and columns.
/// The blindings are not checked against the commitments: a wrong one gives a proof that nobody accepts.
///
/// # Errors
/// [`LinkProveError`].
///
/// # Security
/// Not constant time: run it where nobody but the custodian can measure it.
pub fn prove_link(
    input: &LinkInput<'_>,
    masks: Masks,
    rng: &mut (impl Rng + CryptoRng),
) -> Result<LinkProof, LinkProveError> {
    check(input, &masks)?;
    let announcement = input.statement.announcement();
    let challenges = input.statement.challenges();
    let records: Vec<&[Vec<u8>]> = input.chunks.iter().map(|c| c.codes.as_slice()).collect();
    let sums = Zeroizing::new(column_sums(announcement, &challenges, &records));
    let claims = Claims {
        values: std::array::from_fn(|e| {
            let beta = challenges.columns(e);
            value_and_quotient(&sums[e], beta, masks.values[e], announcement.modulus()).0
        }),
        masks: masks.values.map(Fr::from),
        blindings: masks.blindings,
    };
    Ok(prove_claims(input, &challenges, &sums, &claims, rng))
}

/// What is claimed about the masked sums; the tests' cheaters make other claims.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Claims {
    pub(super) values: [u64; REPETITIONS],
    pub(super) masks: [Fr; REPETITIONS],
    pub(super) blindings: [Fr; REPETITIONS],
}

/// Nonces of one chunk's opening.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Nonces {
    slots: Vec<Fr>,
    blinding: Fr,
}

/// Secrets of one repetition between the moves.
struct PendingForm {
    mask_blinding: Zeroizing<Fr>,
    sum_blindings: Zeroizing<Vec<Fr>>,
    range: range::PendingRange,
}

pub(super) fn prove_claims(
    input: &LinkInput<'_>,
    challenges: &LinkChallenges,
    sums: &[Vec<u64>; REPETITIONS],
    claims: &Claims,
    rng: &mut (impl Rng + CryptoRng),
) -> LinkProof {
    let announcement = input.statement.announcement();
    let slots = announcement.slots();
    let nonces: Vec<Nonces> = input
        .chunks
        .iter()
        .map(|_| Nonces {
            slots: (0..slots).map(|_| Fr::rand(rng)).collect(),
            blinding: Fr::rand(rng),
        })
        .collect();
    let (masks, mut masked): (Vec<G1Affine>, Vec<[Fr; REPETITIONS]>) = nonces
        .par_iter()
        .enumerate()
        .map(|(index, nonces)| {
            let rho = std::array::from_fn(|e| challenges.members(e, index, slots));
            let point =
                lanes::msm(&input.key.slots, &nonces.slots) + input.key.blinding * nonces.blinding;
            (point.into_affine(), weighted_sums(&nonces.slots, &rho))
        })
        .unzip();
    let (forms, pending): (Vec<FormProof>, Vec<PendingForm>) = (0..REPETITIONS)
        .map(|e| {
            let masked = masked.iter().map(|m| m[e]).sum();
            begin_form(announcement, challenges, (e, &sums[e], masked), claims, rng)
        })
        .unzip();
    masked.zeroize();
    let mut forms = forms.into_iter();
    let mut proof = LinkProof {
        chunks: masks
            .into_iter()
            .map(|mask| ChunkProof {
                mask,
                responses: Vec::new(),
                blinding: Fr::ZERO,
            })
            .collect(),
        forms: std::array::from_fn(|_| forms.next().expect("one form per repetition was made")),
    };
    let challenge = proof.challenge(input.statement);
    let powers = powers(&challenge, announcement.columns().len());
    respond_openings(input, &nonces, &powers, &mut proof.chunks);
    for (form, pending) in proof.forms.iter_mut().zip(pending) {
        form.blinding = combine(*pending.mask_blinding, &pending.sum_blindings, &powers);
        pending.range.finish(&challenge, &mut form.range);
    }
    proof
}

/// `start + sum_j powers_j values_j`.
fn combine(start: Fr, values: &[Fr], powers: &[Fr]) -> Fr {
    values
        .iter()
        .zip(powers)
        .fold(start, |sum, (value, power)| sum + *value * power)
}

/// First messages of repetition `e`, given its column sums and the weighted sum of all nonces.
fn begin_form(
    announcement: &Announcement,
    challenges: &LinkChallenges,
    (e, sums, masked): (usize, &[u64], Fr),
    claims: &Claims,
    rng: &mut (impl Rng + CryptoRng),
) -> (FormProof, PendingForm) {
    let key = generators();
    let beta: Vec<Fr> = challenges.columns(e).iter().map(|b| Fr::from(*b)).collect();
    let sum_scalars: Zeroizing<Vec<Fr>> =
        Zeroizing::new(sums.iter().map(|s| Fr::from(*s)).collect());
    let sum_blindings: Zeroizing<Vec<Fr>> =
        Zeroizing::new(sums.iter().map(|_| Fr::rand(rng)).collect());
    let mask_blinding = Zeroizing::new(Fr::rand(rng));
    let commitments = sum_scalars
        .iter()
        .zip(sum_blindings.iter())
        .map(|(sum, blinding)| key.commit(sum, blinding))
        .collect();
    // (sum + U - V) / p: an integer of few bits when the claim is true, some field element when not
    let inverse = Fr::from(announcement.modulus())
        .inverse()
        .expect("the modulus is a prime that is not the group order");
    let total = combine(claims.masks[e], &sum_scalars, &beta);
    let quotient = Zeroizing::new((total - Fr::from(claims.values[e])) * inverse);
    let blinding = Zeroizing::new(combine(claims.blindings[e], &sum_blindings, &beta) * inverse);
    let (range, pending) = range::begin(&quotient, &blinding, announcement.quotient_bits(), rng);
    let form = FormProof {
        value: claims.values[e],
        mask: key.commit(&masked, &mask_blinding),
        sums: commitments,
        blinding: Fr::ZERO,
        range,
    };
    let pending = PendingForm {
        mask_blinding,
        sum_blindings,
        range: pending,
    };
    (form, pending)
}

fn respond_openings(
    input: &LinkInput<'_>,
    nonces: &[Nonces],
    powers: &[Fr],
    out: &mut [ChunkProof],
) {
    // eps^j a for every code a: a response then costs additions only
    let multiples: Vec<Vec<Fr>> = powers
        .iter()
        .map(|power| (0..256u64).map(|code| *power * Fr::from(code)).collect())
        .collect();
    out.par_iter_mut()
        .zip(nonces)
        .zip(input.chunks)
        .for_each(|((proof, nonces), chunk)| {
            proof.responses = nonces.slots.clone();
            for (column, multiples) in chunk.codes.iter().zip(&multiples) {
                for (response, code) in proof.responses.iter_mut().zip(column) {
                    *response += multiples[usize::from(*code)];
                }
            }
            proof.blinding = combine(nonces.blinding, &chunk.blindings, powers);
        });
}

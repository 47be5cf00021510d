//! Verification: all equations of a link joined with random weights into one multi-scalar product.
//!
//! Its size is the slots of one chunk (chunks share the bases), and a few hundred points.

use super::proof::{Dimensions, LinkProof};
use super::relation::weighted_sums;
use super::{
    Announcement, LinkChallenges, LinkStatement, REPETITIONS, generators, key_word, weight_of,
};
use crate::commitment::CommitmentKey;
use crate::transcript::{Hasher, Tag};
use crate::words::Word;
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::VariableBaseMSM;
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

/// Why a link is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The statement is about other bases.
    #[error("the link is about another commitment key")]
    Key {
        /// The key's word.
        expected: Word,
        /// The statement's word.
        found: Word,
    },
    /// The proof's sizes are not the statement's.
    #[error("the proof's sizes are not the statement's: {found:?} instead of {expected:?}")]
    Dimensions {
        /// Sizes the statement asks for.
        expected: Dimensions,
        /// Sizes of the proof; `None` when its parts disagree.
        found: Option<Dimensions>,
    },
    /// A published value that is no residue.
    #[error("value {value} of repetition {repetition} is not below {modulus}")]
    Value {
        /// Repetition.
        repetition: usize,
        /// The value.
        value: u64,
        /// Plaintext modulus.
        modulus: u64,
    },
    /// The equations do not hold.
    #[error("the proof of the link does not verify")]
    Proof,
}

/// What an accepted proof says: the values the committee's linear forms must have. Made by [`verify`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLink {
    values: [u64; REPETITIONS],
    challenges: LinkChallenges,
    seed: Word,
}

impl VerifiedLink {
    /// `V` by repetition: `sum rho L(ciphertext) + Enc(U) - V` must open to zero.
    pub fn values(&self) -> &[u64; REPETITIONS] {
        &self.values
    }
    /// The weights of these forms.
    pub fn challenges(&self) -> &LinkChallenges {
        &self.challenges
    }
    /// Seed of the statement that the proof is about: it names announcement and coin.
    pub fn seed(&self) -> &Word {
        &self.seed
    }
}

/// Linear equations between points, joined by random weights.
pub struct Batch {
    seed: Word,
    drawn: u128,
    slots: Vec<Fr>,
    key_blinding: Fr,
    value: Fr,
    blinding: Fr,
    points: Vec<G1Affine>,
    scalars: Vec<Fr>,
}

impl Batch {
    /// No equation yet. The seed must bind everything that the equations contain.
    pub fn new(seed: Word, slots: usize) -> Self {
        Self {
            seed,
            drawn: 0,
            slots: vec![Fr::ZERO; slots],
            key_blinding: Fr::ZERO,
            value: Fr::ZERO,
            blinding: Fr::ZERO,
            points: Vec::new(),
            scalars: Vec::new(),
        }
    }

    /// A weight for the next equation.
    pub fn weight(&mut self) -> Fr {
        self.drawn += 1;
        weight_of(
            &Hasher::new(Tag::Weight)
                .word(&self.seed)
                .integer(self.drawn)
                .finish(),
        )
    }

    /// Adds a multiple of the generator of values.
    pub fn value(&mut self, scalar: Fr) {
        self.value += scalar;
    }

    /// Adds a multiple of the generator of blindings.
    pub fn blinding(&mut self, scalar: Fr) {
        self.blinding += scalar;
    }

    /// Adds a multiple of a point.
    pub fn point(&mut self, point: G1Affine, scalar: Fr) {
        self.points.push(point);
        self.scalars.push(scalar);
    }

    /// Adds `weight * (sum_i responses_i B_i + blinding H)`.
    fn opening(&mut self, responses: &[Fr], blinding: &Fr, weight: &Fr) {
        self.key_blinding += *weight * blinding;
        self.slots
            .par_iter_mut()
            .with_min_len(1024)
            .zip(responses)
            .for_each(|(slot, response)| *slot += *weight * response);
    }

    /// True iff the joined equations sum to zero.
    pub fn holds(self, key: &CommitmentKey) -> bool {
        let generators = generators();
        let mut points = self.points;
        let mut scalars = self.scalars;
        points.extend_from_slice(&[key.blinding, generators.value, generators.blinding]);
        scalars.extend_from_slice(&[self.key_blinding, self.value, self.blinding]);
        points.extend_from_slice(&key.slots);
        scalars.extend_from_slice(&self.slots);
        points.len() == scalars.len()
            && G1Projective::msm_unchecked(&points, &scalars) == G1Projective::ZERO
    }
}

/// Powers `eps^1 .. eps^columns`.
pub fn powers(challenge: &Fr, columns: usize) -> Vec<Fr> {
    std::iter::successors(Some(*challenge), |p| Some(*p * challenge))
        .take(columns)
        .collect()
}

/// Adds the equations "the responses open the column commitments, and their weighted sums open the sums".
///
/// # Security
/// Half of the verification: alone it lets a custodian publish any value, because some quotient always fits in the
/// field.
pub fn check_openings(
    announcement: &Announcement,
    challenges: &LinkChallenges,
    proof: &LinkProof,
    challenge: &Fr,
    batch: &mut Batch,
) {
    let powers = powers(challenge, announcement.columns().len());
    for (chunk, commitments) in proof.chunks.iter().zip(announcement.commitments()) {
        let weight = batch.weight();
        batch.opening(&chunk.responses, &chunk.blinding, &weight);
        batch.point(chunk.mask, -weight);
        for (commitment, power) in commitments.iter().zip(&powers) {
            batch.point(*commitment, -(weight * power));
        }
    }
    let slots = announcement.slots();
    let sums = proof
        .chunks
        .par_iter()
        .enumerate()
        .map(|(index, chunk)| {
            let rho = std::array::from_fn(|e| challenges.members(e, index, slots));
            weighted_sums(&chunk.responses, &rho)
        })
        .reduce(
            || [Fr::ZERO; REPETITIONS],
            |a, b| std::array::from_fn(|e| a[e] + b[e]),
        );
    for (form, sum) in proof.forms.iter().zip(sums) {
        let weight = batch.weight();
        batch.value(weight * sum);
        batch.blinding(weight * form.blinding);
        batch.point(form.mask, -weight);
        for (commitment, power) in form.sums.iter().zip(&powers) {
            batch.point(*commitment, -(weight * power));
        }
    }
}

/// The commitment to the quotient of one repetition, as a combination of points:
/// `(sum_j beta_j Y_j + D - V G) / p`.
pub fn quotient_commitment(
    announcement: &Announcement,
    challenges: &LinkChallenges,
    proof: &LinkProof,
    repetition: usize,
) -> Vec<(G1Affine, Fr)> {
    let form = &proof.forms[repetition];
    // p is one of two primes, neither of which is the group order
    let inverse = Fr::from(announcement.modulus())
        .inverse()
        .unwrap_or(Fr::ZERO);
    let beta = challenges.columns(repetition);
    let mut out: Vec<_> = form
        .sums
        .iter()
        .zip(beta)
        .map(|(sum, beta)| (*sum, inverse * Fr::from(*beta)))
        .collect();
    out.push((announcement.masks()[repetition].commitment, inverse));
    out.push((generators().value, -(inverse * Fr::from(form.value))));
    out
}

/// Adds the equations "every quotient is small".
fn check_ranges(
    announcement: &Announcement,
    challenges: &LinkChallenges,
    proof: &LinkProof,
    challenge: &Fr,
    batch: &mut Batch,
) {
    for (repetition, form) in proof.forms.iter().enumerate() {
        let commitment = quotient_commitment(announcement, challenges, proof, repetition);
        form.range.check(&commitment, challenge, batch);
    }
}

/// Everything but the group equations.
fn check_shape(
    key: &CommitmentKey,
    announcement: &Announcement,
    proof: &LinkProof,
) -> Result<(), LinkError> {
    let word = key_word(key);
    if *announcement.key() != word || announcement.slots() != key.slots.len() {
        return Err(LinkError::Key {
            expected: word,
            found: *announcement.key(),
        });
    }
    let expected = Dimensions::of(announcement);
    let found = proof.dimensions();
    if found != Some(expected) {
        return Err(LinkError::Dimensions { expected, found });
    }
    let modulus = announcement.modulus();
    for (repetition, form) in proof.forms.iter().enumerate() {
        if form.value >= modulus {
            return Err(LinkError::Value {
                repetition,
                value: form.value,
                modulus,
            });
        }
    }
    Ok(())
}

/// Verifies a link's proof.
///
/// The caller holds the other half: that the statement's column commitments are the snapshot's on chain, its uploads the
/// cohort's, its coin the one drawn after the digest was published, and that the committee's forms open to zero.
///
/// # Errors
/// [`LinkError`] naming what is wrong.
///
/// # Security
/// See SPEC.md 10.4: discrete logarithms in G1, Keccak-256 as a random oracle, honest setup of the slot bases.
pub fn verify(
    key: &CommitmentKey,
    statement: &LinkStatement,
    proof: &LinkProof,
) -> Result<VerifiedLink, LinkError> {
    let announcement = statement.announcement();
    check_shape(key, announcement, proof)?;
    let challenges = statement.challenges();
    let challenge = proof.challenge(statement);
    let mut batch = Batch::new(proof.batch_seed(&challenge), announcement.slots());
    check_openings(announcement, &challenges, proof, &challenge, &mut batch);
    check_ranges(announcement, &challenges, proof, &challenge, &mut batch);
    if !batch.holds(key) {
        return Err(LinkError::Proof);
    }
    Ok(VerifiedLink {
        values: std::array::from_fn(|e| proof.forms[e].value),
        challenges,
        seed: statement.seed(),
    })
}

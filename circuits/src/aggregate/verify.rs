//! Step 6 of 8: the four-block Groth16 check, one proof or a whole answer at once.
//!
//! `e(A,B) = e(alpha,beta) e(X0,gamma0) e(C',gamma1) e(C_aux,gamma2) e(C_res,gamma3) e(C,delta)`
//!
//! The contract AnswerVerifier computes the same thing from the same words; vectors written by
//! the tests of this crate are accepted and rejected by both.

use super::relation::{AggregatePublic, masked};
use crate::keys::VerifyingKey;
use crate::layout::RESULTS;
use crate::transcript::{Context, Hasher, Tag};
use crate::words::{
    Word, WordError, field_from_word, g1_from_words, g1_words, g2_from_words, g2_words,
};
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field, PrimeField};
use salus_schema::plan::Plan;

/// Words of one proof on the wire.
pub const PROOF_WORDS: usize = 12;

/// One proof with the prover's two commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Groth16 A.
    pub a: G1Affine,
    /// Groth16 B.
    pub b: G2Affine,
    /// Groth16 C.
    pub c: G1Affine,
    /// Commitment to block 2.
    pub aux: G1Affine,
    /// Commitment to block 3; infinity when values are opened directly.
    pub res: G1Affine,
}

impl Proof {
    /// A, B, C, C_aux, C_res as twelve words.
    pub fn to_words(&self) -> [Word; PROOF_WORDS] {
        let mut out = [[0u8; 32]; PROOF_WORDS];
        out[..2].copy_from_slice(&g1_words(&self.a));
        out[2..6].copy_from_slice(&g2_words(&self.b));
        out[6..8].copy_from_slice(&g1_words(&self.c));
        out[8..10].copy_from_slice(&g1_words(&self.aux));
        out[10..].copy_from_slice(&g1_words(&self.res));
        out
    }

    /// Decodes twelve words with every check on points.
    ///
    /// # Errors
    /// [`WordError`] of the first bad point.
    pub fn from_words(w: &[Word; PROOF_WORDS]) -> Result<Self, WordError> {
        Ok(Self {
            a: g1_from_words(&[w[0], w[1]])?,
            b: g2_from_words(&[w[2], w[3], w[4], w[5]])?,
            c: g1_from_words(&[w[6], w[7]])?,
            aux: g1_from_words(&[w[8], w[9]])?,
            res: g1_from_words(&[w[10], w[11]])?,
        })
    }
}

/// What a pass publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassTotal {
    /// Totals over all chunks, zero where hidden.
    pub values: [u64; RESULTS],
    /// Hidden values.
    pub mask: u64,
    /// Sum of the blindings of `C_res`, as a canonical word; zero when opened directly.
    pub blinding: Word,
}

/// One proof of an answer together with its public input.
pub struct AnswerItem<'a> {
    /// Public input.
    pub public: AggregatePublic<'a>,
    /// Key of the part.
    pub vk: &'a VerifyingKey,
    /// The proof.
    pub proof: &'a Proof,
}

/// Why an answer is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The pairing equation does not hold.
    #[error("the pairing equation does not hold")]
    Pairing,
    /// A directly opened proof carries hidden results.
    #[error("proof {item}: a directly opened answer must not carry hidden results")]
    HiddenResults {
        /// Index of the proof.
        item: usize,
    },
    /// The published totals are not what the hidden results add up to.
    #[error("pass {pass}: the published totals are not what the chunks' hidden results add up to")]
    Total {
        /// Index of the pass.
        pass: usize,
    },
    /// A value is published although the mask hides it, or beyond the values of the pass.
    #[error("pass {pass}: value {index} must not be published")]
    Unpublished {
        /// Index of the pass.
        pass: usize,
        /// Index of the value.
        index: usize,
    },
    /// The mask reveals what the plan keeps hidden, or hides what does not exist.
    #[error("pass {pass}: mask {mask:#x} does not extend the plan's {base:#x}")]
    Mask {
        /// Index of the pass.
        pass: usize,
        /// Mask of the answer.
        mask: u64,
        /// Base mask of the plan.
        base: u64,
    },
    /// Proofs, totals or keys are missing or superfluous.
    #[error("{found} {what}, expected {expected}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The key's dimensions are not those of the plan's class.
    #[error("part {part} is proven under a key for other dimensions")]
    Key {
        /// Part of the chunk.
        part: usize,
    },
    /// A word is not canonical.
    #[error(transparent)]
    Word(#[from] WordError),
}

/// Verifies one proof on its own.
///
/// # Errors
/// [`VerifyError::HiddenResults`] or [`VerifyError::Pairing`].
///
/// # Security
/// Sound in the algebraic group model with a random oracle under an honest setup, provided that
/// every member commitment inside `public.columns` was registered with its proof of knowledge.
pub fn verify_item(item: &AnswerItem<'_>) -> Result<(), VerifyError> {
    verify_batch(std::slice::from_ref(item))
}

/// Random weights of a batch: the first is one, the others 128 bits of a hash over all items.
fn weights(items: &[AnswerItem<'_>], gammas: &[Fr]) -> Vec<Fr> {
    if items.len() == 1 {
        return vec![Fr::ONE];
    }
    let seed = items
        .iter()
        .zip(gammas)
        .fold(Hasher::new(Tag::Batch), |h, (item, gamma)| {
            h.scalar(gamma)
                .g1(&item.proof.a)
                .g2(&item.proof.b)
                .g1(&item.proof.c)
        })
        .finish();
    (0..items.len())
        .map(|i| {
            if i == 0 {
                return Fr::ONE;
            }
            let hash = Hasher::new(Tag::Weight)
                .word(&seed)
                .integer(i as u128)
                .finish();
            let mut low = [0u8; 16];
            low.copy_from_slice(&hash[16..]);
            Fr::from(u128::from_be_bytes(low))
        })
        .collect()
}

/// Verifies proofs of one family together: one pairing each plus five per circuit.
///
/// # Errors
/// [`VerifyError::HiddenResults`] or [`VerifyError::Pairing`].
pub fn verify_batch(items: &[AnswerItem<'_>]) -> Result<(), VerifyError> {
    let Some(first) = items.first() else {
        return Err(VerifyError::Count {
            what: "proofs",
            found: 0,
            expected: 1,
        });
    };
    let mut gammas = Vec::with_capacity(items.len());
    let mut zetas = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if item.public.opened.is_some() && !item.proof.res.is_zero() {
            return Err(VerifyError::HiddenResults { item: index });
        }
        let zeta = item.public.zeta();
        gammas.push(item.public.gamma(&zeta, &item.proof.aux, &item.proof.res));
        zetas.push(zeta);
    }
    let weights = weights(items, &gammas);

    // of the family: alpha-beta, gamma1, gamma3
    let total: Fr = weights.iter().sum();
    let mut columns = G1Projective::ZERO;
    let mut results = G1Projective::ZERO;
    let mut left: Vec<G1Affine> = Vec::new();
    let mut right: Vec<G2Affine> = Vec::new();
    // of each circuit: gamma0, gamma2, delta
    let mut circuits: Vec<(&VerifyingKey, [G1Projective; 3])> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let (w, gamma, zeta) = (weights[i], gammas[i], zetas[i]);
        left.push((item.proof.a * w).into_affine());
        right.push(item.proof.b);
        columns += item.public.combined_columns(&zeta) * w;
        results += item.proof.res * w;
        let fold = item.public.fold(&zeta, &gamma);
        let ic = &item.vk.ic;
        let x0 = ic[1] * gamma + ic[2] * fold + ic[0];
        let slot = match circuits
            .iter()
            .position(|(vk, _)| std::ptr::eq(*vk, item.vk))
        {
            Some(k) => k,
            None => {
                circuits.push((item.vk, [G1Projective::ZERO; 3]));
                circuits.len() - 1
            }
        };
        let sums = &mut circuits[slot].1;
        sums[0] += x0 * w;
        sums[1] += item.proof.aux * w;
        sums[2] += item.proof.c * w;
    }
    let vk = first.vk;
    left.push((vk.alpha * -total).into_affine());
    right.push(vk.beta);
    for (point, base) in [(columns, vk.gammas[1]), (results, vk.gammas[3])] {
        left.push((-point).into_affine());
        right.push(base);
    }
    for (vk, sums) in &circuits {
        for (point, base) in sums.iter().zip([vk.gammas[0], vk.gammas[2], vk.delta]) {
            left.push((-*point).into_affine());
            right.push(base);
        }
    }
    if Bn254::multi_pairing(left, right).0 == <Bn254 as Pairing>::TargetField::ONE {
        Ok(())
    } else {
        Err(VerifyError::Pairing)
    }
}

/// Verifies a complete answer: every pass over every part of every chunk, and the totals.
///
/// `columns(chunk, column)` gives the column commitments of the snapshot; `keys` are the keys of
/// the class's parts in order; proofs are ordered by pass, chunk, part. Policy (minimum cohort,
/// small cells) is the market contract's business, not this function's.
///
/// # Errors
/// [`VerifyError`] naming what is wrong.
pub fn verify_answer(
    context: &Context,
    plan: &Plan,
    chunks: u32,
    columns: impl Fn(u32, u16) -> G1Affine,
    keys: &[VerifyingKey],
    totals: &[PassTotal],
    proofs: &[Proof],
) -> Result<(), VerifyError> {
    let count = |what, found, expected| {
        if found == expected {
            Ok(())
        } else {
            Err(VerifyError::Count {
                what,
                found,
                expected,
            })
        }
    };
    let passes = plan.passes();
    let class = plan.class();
    count("totals", totals.len(), passes.len())?;
    let mut next = 0;
    for (part, vk) in keys.iter().enumerate() {
        let s = &vk.shape;
        let fits = s.columns == class.columns()
            && s.cells == usize::from(class.cells())
            && s.lo == next
            && s.slots == keys[0].shape.slots
            && vk.basis_root == keys[0].basis_root
            && vk.gammas[1] == keys[0].gammas[1]
            && vk.gammas[3] == keys[0].gammas[3]
            && vk.alpha == keys[0].alpha
            && vk.beta == keys[0].beta
            && vk.results == keys[0].results;
        if !fits {
            return Err(VerifyError::Key { part });
        }
        next = s.hi;
    }
    if keys.first().is_none_or(|k| next != k.shape.slots) {
        return Err(VerifyError::Key { part: keys.len() });
    }
    count(
        "proofs",
        proofs.len(),
        passes.len() * chunks as usize * keys.len(),
    )?;
    let direct = chunks == 1 && keys.len() == 1;

    let ids: Vec<Word> = keys.iter().map(VerifyingKey::circuit_id).collect();
    let commitments: Vec<Vec<G1Affine>> = passes
        .iter()
        .flat_map(|pass| (0..chunks).map(move |chunk| (pass, chunk)))
        .map(|(pass, chunk)| pass.columns().iter().map(|c| columns(chunk, c.0)).collect())
        .collect();
    let mut items = Vec::with_capacity(proofs.len());
    for (p, (pass, total)) in passes.iter().zip(totals).enumerate() {
        let existing = if pass.values() == RESULTS {
            u64::MAX
        } else {
            (1 << pass.values()) - 1
        };
        if total.mask & pass.base_mask() != pass.base_mask() || total.mask & !existing != 0 {
            return Err(VerifyError::Mask {
                pass: p,
                mask: total.mask,
                base: pass.base_mask(),
            });
        }
        let allowed = masked(&total.values, total.mask | !existing);
        if let Some(index) = (0..RESULTS).find(|t| allowed[*t] != total.values[*t]) {
            return Err(VerifyError::Unpublished { pass: p, index });
        }
        let mut hidden = G1Projective::ZERO;
        for chunk in 0..chunks {
            for (part, vk) in keys.iter().enumerate() {
                let proof = &proofs[items.len()];
                hidden += proof.res;
                items.push(AnswerItem {
                    public: AggregatePublic {
                        context: *context,
                        circuit_id: ids[part],
                        pass_index: p as u32,
                        chunk,
                        columns: &commitments[p * chunks as usize + chunk as usize],
                        pass,
                        mask: total.mask,
                        opened: direct.then_some(&total.values),
                    },
                    vk,
                    proof,
                });
            }
        }
        let blinding: Fr = field_from_word(&total.blinding)?;
        if !direct {
            let scalars: Vec<_> = total
                .values
                .iter()
                .map(|v| Fr::from(*v).into_bigint())
                .collect();
            let opened = G1Projective::msm_bigint(&keys[0].results, &scalars)
                + keys[0].results_blinding * blinding;
            if opened != hidden {
                return Err(VerifyError::Total { pass: p });
            }
        } else if blinding != Fr::ZERO {
            return Err(VerifyError::Total { pass: p });
        }
    }
    verify_batch(&items)
}

//! All proofs of an answer: every pass over every part of every chunk.

use super::chunk::Chunk;
use super::prove::{PartProver, Timings};
use ark_bn254::{Fr, G1Affine};
use ark_ff::AdditiveGroup;
use ark_std::rand::{CryptoRng, Rng};
use salus_circuits::aggregate::{AggregatePublic, PassTotal, Proof, masked, tally};
use salus_circuits::layout::RESULTS;
use salus_circuits::transcript::Context;
use salus_circuits::words::{Word, field_word};
use salus_schema::plan::Plan;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Proofs done.
    pub done: usize,
    /// Proofs in all.
    pub total: usize,
}

/// The caller cancelled; nothing was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("proving was cancelled after {done} of {total} proofs; nothing was published")]
pub struct Cancelled {
    /// Proofs done.
    pub done: usize,
    /// Proofs in all.
    pub total: usize,
}

/// Why an answer was not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// See [`Cancelled`].
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The plan asks for a column the dataset lacks.
    #[error("the plan reads column {column}, but the dataset has {columns} columns")]
    NoSuchColumn {
        /// Column asked for.
        column: u16,
        /// Columns there are.
        columns: usize,
    },
    /// The keys do not cover a chunk.
    #[error("the loaded keys do not cover all {slots} slots of a chunk for this plan")]
    Coverage {
        /// Slots of a chunk.
        slots: usize,
    },
    /// There is nobody to ask.
    #[error("the dataset has no chunk")]
    Empty,
    /// One mask per pass.
    #[error("{found} masks for {expected} passes")]
    Masks {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
}

/// A finished proof of one item; enough to resume from.
#[derive(Clone)]
pub struct ItemProof {
    /// The proof.
    pub proof: Proof,
    /// Blinding of `C_res`.
    pub blinding: Fr,
}

/// A complete answer, ready for the market contract.
#[derive(Debug, Clone)]
pub struct AnswerProof {
    /// Published values per pass.
    pub totals: Vec<PassTotal>,
    /// Proofs by pass, chunk, part.
    pub proofs: Vec<Proof>,
    /// Where the time went, summed.
    pub timings: Timings,
}

/// The custodian's view of a snapshot: records, commitments and keys.
pub struct DatasetProver<'a> {
    parts: &'a [PartProver],
    chunks: &'a [Chunk],
    commitments: &'a [Vec<G1Affine>],
}

impl<'a> DatasetProver<'a> {
    /// `parts` are the circuits of one class in order; `commitments[chunk][column]` are those of
    /// the snapshot.
    ///
    /// # Errors
    /// [`ProveError::Empty`] or [`ProveError::Coverage`].
    pub fn new(
        parts: &'a [PartProver],
        chunks: &'a [Chunk],
        commitments: &'a [Vec<G1Affine>],
    ) -> Result<Self, ProveError> {
        if chunks.is_empty() || commitments.len() != chunks.len() {
            return Err(ProveError::Empty);
        }
        let mut next = 0;
        let slots = parts.first().map_or(0, |p| p.key().shape().slots);
        for part in parts {
            let s = part.key().shape();
            if s.lo != next {
                return Err(ProveError::Coverage { slots });
            }
            next = s.hi;
        }
        if slots == 0 || next != slots {
            return Err(ProveError::Coverage { slots });
        }
        Ok(Self {
            parts,
            chunks,
            commitments,
        })
    }

    /// True iff the single proof of each pass opens its own values.
    pub fn is_direct(&self) -> bool {
        self.chunks.len() == 1 && self.parts.len() == 1
    }

    fn check(&self, plan: &Plan) -> Result<(), ProveError> {
        let columns = self.chunks[0].codes().len();
        for column in plan.passes().iter().flat_map(|p| p.columns()) {
            if usize::from(column.0) >= columns {
                return Err(ProveError::NoSuchColumn {
                    column: column.0,
                    columns,
                });
            }
        }
        let shape = self.parts[0].key().shape();
        if shape.columns != plan.class().columns()
            || shape.cells != usize::from(plan.class().cells())
        {
            return Err(ProveError::Coverage { slots: shape.slots });
        }
        Ok(())
    }

    /// The exact image values per pass over the whole snapshot: what the custodian sees before it
    /// decides which small cells to hide.
    ///
    /// # Errors
    /// When the plan does not fit dataset or keys.
    pub fn exact_totals(&self, plan: &Plan) -> Result<Vec<[u64; RESULTS]>, ProveError> {
        self.check(plan)?;
        Ok(plan
            .passes()
            .iter()
            .map(|pass| {
                let columns: Vec<usize> = pass.columns().iter().map(|c| usize::from(c.0)).collect();
                let mut total = [0u64; RESULTS];
                for chunk in self.chunks {
                    let private = chunk.private(&columns);
                    for part in self.parts {
                        let values = tally(part.key().shape(), pass, &private.codes).values;
                        total.iter_mut().zip(values).for_each(|(t, v)| *t += v);
                    }
                }
                total
            })
            .collect())
    }

    /// Proves a plan, hiding the values of `masks`. `resume` holds items proven earlier in the same
    /// context with the same masks; `finished` is called after each further one.
    ///
    /// # Errors
    /// [`ProveError`]; on cancellation nothing has left this function but finished items.
    #[allow(clippy::too_many_arguments)]
    pub fn prove(
        &self,
        context: &Context,
        plan: &Plan,
        masks: &[u64],
        resume: Vec<ItemProof>,
        cancel: &AtomicBool,
        mut finished: impl FnMut(Progress, &ItemProof),
        rng: &mut (impl Rng + CryptoRng),
    ) -> Result<AnswerProof, ProveError> {
        let passes = plan.passes();
        if masks.len() != passes.len() {
            return Err(ProveError::Masks {
                found: masks.len(),
                expected: passes.len(),
            });
        }
        let exact = self.exact_totals(plan)?;
        let ids: Vec<Word> = self.parts.iter().map(|p| p.key().vk.circuit_id()).collect();
        let total = passes.len() * self.chunks.len() * self.parts.len();
        let mut items = resume;
        items.truncate(total);
        let mut timings = Timings::default();
        let mut totals = Vec::with_capacity(passes.len());
        let mut index = 0;
        for (p, pass) in passes.iter().enumerate() {
            let values = masked(&exact[p], masks[p]);
            let mut blinding = Fr::ZERO;
            for (c, chunk) in self.chunks.iter().enumerate() {
                for (part, prover) in self.parts.iter().enumerate() {
                    if index >= items.len() {
                        if cancel.load(Ordering::Relaxed) {
                            return Err(Cancelled { done: index, total }.into());
                        }
                        let columns: Vec<G1Affine> = pass
                            .columns()
                            .iter()
                            .map(|j| self.commitments[c][usize::from(j.0)])
                            .collect();
                        let public = AggregatePublic {
                            context: *context,
                            circuit_id: ids[part],
                            pass_index: p as u32,
                            chunk: c as u32,
                            columns: &columns,
                            pass,
                            mask: masks[p],
                            opened: self.is_direct().then_some(&values),
                        };
                        let proven = prover.prove(part, &public, chunk, rng);
                        timings.witness += proven.timings.witness;
                        timings.transforms += proven.timings.transforms;
                        timings.quotient += proven.timings.quotient;
                        timings.elements += proven.timings.elements;
                        items.push(ItemProof {
                            proof: proven.proof,
                            blinding: proven.blinding,
                        });
                        finished(
                            Progress {
                                done: index + 1,
                                total,
                            },
                            &items[index],
                        );
                    }
                    blinding += items[index].blinding;
                    index += 1;
                }
            }
            totals.push(PassTotal {
                values,
                mask: masks[p],
                blinding: field_word(&blinding),
            });
        }
        Ok(AnswerProof {
            totals,
            proofs: items.into_iter().map(|i| i.proof).collect(),
            timings,
        })
    }
}

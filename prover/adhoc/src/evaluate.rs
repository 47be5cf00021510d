//! Evaluation: every branch over every record, in steps that can be watched, stopped and resumed.
//!
//! The result depends on keys, records and query alone: the same bytes on any number of threads and across any number of
//! interruptions, on one build of this program. Another build or instruction set may round its transforms differently;
//! then ciphertexts differ and the digits in them do not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use thiserror::Error;

use crate::accumulate::Ready;
use crate::answer::{Evaluated, SealedPass, SealedValue};
use crate::checkpoint::{self, CheckpointError, State};
use crate::digits::{Columns, block, squash};
use crate::keys::{ComputeKeys, ServerKeys};
use crate::parameters::{CostModel, MAX_RECORDS, RING};
use crate::query::AdhocQuery;
use crate::rotate::{LANES, LARGE, Rotator};
use crate::upload::{Record, records_hash};

/// Steps are multiples of this many records, so that they never cut what one rotation serves.
pub const STEP: usize = 64;

/// Why an evaluation stopped.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The cancellation flag was set; the checkpoint, if any, is of the last finished step.
    #[error(
        "stopped at record {record} of branch {branch}; run it again with its checkpoint to go on"
    )]
    Cancelled {
        /// The branch at work.
        branch: usize,
        /// The next record.
        record: usize,
    },
    /// More records than a query holds.
    #[error("{found} records are more than {MAX_RECORDS}")]
    TooManyRecords {
        /// Records given.
        found: usize,
    },
    /// A record of another layout.
    #[error("record {record} has {found} slots, not {expected}")]
    Slots {
        /// Its position.
        record: usize,
        /// Slots of the query's layout.
        expected: usize,
        /// Slots of the record.
        found: usize,
    },
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The threads could not be started.
    #[error("no worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rotating records.
    Records,
    /// Normalising and squashing values.
    Values,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Records done over all branches, or values done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
}

/// A progress callback; called from the calling thread's pool, between steps.
pub type Watcher = Box<dyn Fn(Progress) + Send + Sync>;

/// How an evaluation runs. None of it changes the result.
pub struct RunControl {
    threads: usize,
    step: usize,
    cancel: Arc<AtomicBool>,
    watcher: Option<Watcher>,
    checkpoint: Option<PathBuf>,
}

impl Default for RunControl {
    fn default() -> Self {
        Self {
            threads: 0,
            step: 4 * STEP,
            cancel: Arc::new(AtomicBool::new(false)),
            watcher: None,
            checkpoint: None,
        }
    }
}

impl fmt::Debug for RunControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunControl")
            .field("threads", &self.threads)
            .field("step", &self.step)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

impl RunControl {
    /// Runs on this many threads; 0, the default, on all.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Records per step, rounded up to a multiple of [`STEP`]; 256 by default.
    #[must_use]
    pub fn records_per_step(mut self, records: usize) -> Self {
        self.step = records.max(1).next_multiple_of(STEP);
        self
    }

    /// Stops after the running step once the flag is true.
    #[must_use]
    pub fn cancelled_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = flag;
        self
    }

    /// Calls `watcher` after every step.
    #[must_use]
    pub fn watched_by(mut self, watcher: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// Writes this file after every step and resumes from it when it is there. The caller removes it in the end.
    #[must_use]
    pub fn checkpointed_at(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn report(&self, stage: Stage, done: usize, of: usize) {
        if let Some(watcher) = &self.watcher {
            watcher(Progress { stage, done, of });
        }
    }
}

/// The encrypted answer of a query over these records, in their order.
///
/// # Errors
/// If a record is of another layout, a checkpoint cannot be used, or the run is cancelled.
///
/// # Security
/// Records must have passed [`crate::upload::Upload::verify`] and [`crate::one_hot`]: a malformed one can make a count
/// depend on noise. Only the blocks of the result may be opened, never an accumulator or a checkpoint.
pub fn evaluate(
    keys: &ServerKeys,
    records: &[Record],
    query: &AdhocQuery,
    control: &RunControl,
) -> Result<Evaluated, EvaluateError> {
    let hash = records_hash(records);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(control.threads)
        .build()?;
    pool.install(|| {
        let binding = binding(&keys.hash(), &hash, query);
        let values = totals(&keys.compute, binding, records, query, control)?;
        let of = values.len();
        let mut sealed = Vec::with_capacity(of);
        for (done, (columns, spec)) in values.into_iter().zip(query.values()).enumerate() {
            if control.cancelled() {
                return Err(EvaluateError::Cancelled {
                    branch: query.branch_count(),
                    record: records.len(),
                });
            }
            let blocks = spec.blocks(records.len());
            let digits = columns.normalise(&keys.compute, 2 * blocks);
            sealed.push(SealedValue {
                blocks: squash(keys, &digits),
            });
            control.report(Stage::Values, done + 1, of);
        }
        let mut sealed = sealed.into_iter();
        let passes = query
            .passes()
            .iter()
            .map(|shape| SealedPass {
                values: sealed.by_ref().take(shape.values()).collect(),
            })
            .collect();
        Ok(Evaluated {
            query: query.hash(),
            records: hash,
            keys: keys.hash(),
            people: records.len() as u64,
            passes,
        })
    })
}

/// The costs of one core of this machine, as it is loaded now. Takes one to three seconds.
///
/// Ciphertexts of zero masks would be skipped by a rotation: the inputs are arbitrary words.
pub fn measure_costs(keys: &ServerKeys) -> CostModel {
    let word = |i: usize| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let inputs: Vec<Vec<u64>> = (0..LANES)
        .map(|lane| (0..LARGE).map(|j| word(lane * LARGE + j)).collect())
        .collect();
    let lut = vec![1 << 57; RING];
    let compute = &keys.compute;
    let mut rotator = Rotator::new();
    let mut batch = |bootstrap| {
        let start = Instant::now();
        rotator.rotate(compute.keyswitch(), bootstrap, &inputs, &lut);
        start.elapsed().as_secs_f64() / LANES as f64
    };
    let (count, sum) = (batch(compute.counting()), batch(&compute.summing));
    let digits = [inputs[0].clone(), inputs[1].clone()];
    let start = Instant::now();
    let _ = compute.shortint.message_extract(&block(digits[0].clone()));
    let digit = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let _ = squash(keys, &digits);
    CostModel {
        count,
        sum,
        digit,
        squash: start.elapsed().as_secs_f64(),
    }
}

/// What a checkpoint must belong to.
fn binding(keys: &[u8; 32], records: &[u8; 32], query: &AdhocQuery) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/checkpoint binding");
    hasher.update(keys);
    hasher.update(records);
    hasher.update(&query.hash());
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    *hasher.finalize().as_bytes()
}

/// The encrypted totals of every value, not yet normalised.
pub(crate) fn totals(
    keys: &ComputeKeys,
    binding: [u8; 32],
    records: &[Record],
    query: &AdhocQuery,
    control: &RunControl,
) -> Result<Vec<Columns>, EvaluateError> {
    let people = records.len();
    if people > MAX_RECORDS {
        return Err(EvaluateError::TooManyRecords { found: people });
    }
    if let Some(record) = records.iter().position(|r| r.slots() != query.slots()) {
        return Err(EvaluateError::Slots {
            record,
            expected: query.slots(),
            found: records[record].slots(),
        });
    }
    let mut resumed = match &control.checkpoint {
        Some(path) => {
            let state = checkpoint::read(path, binding)?;
            if let Some(state) = &state
                && !fits(state, query, people)
            {
                return Err(CheckpointError::Damaged { path: path.clone() }.into());
            }
            state
        }
        None => None,
    };
    let mut values = match &mut resumed {
        Some(state) => std::mem::take(&mut state.values),
        None => vec![Columns::default(); query.values().len()],
    };
    let first = resumed.as_ref().map_or(0, |state| state.branch);
    let of = query.branch_count() * people;
    for (number, branch) in query.branches().iter().enumerate().skip(first) {
        let ready = Ready::new(branch, people, query.slots());
        let (mut next, mut running) = match resumed.take() {
            Some(state) => (state.next, state.running),
            None => (0, ready.start()),
        };
        while next < people {
            if control.cancelled() {
                return Err(EvaluateError::Cancelled {
                    branch: number,
                    record: next,
                });
            }
            let stop = (next + control.step).min(people);
            ready.advance(keys, &mut running, &mut values, records, (next, stop));
            next = stop;
            if let Some(path) = &control.checkpoint {
                let state = State {
                    branch: number,
                    next,
                    running,
                    values,
                };
                checkpoint::write(path, binding, &state)?;
                (running, values) = (state.running, state.values);
            }
            control.report(Stage::Records, number * people + next, of);
        }
    }
    Ok(values)
}

fn fits(state: &State, query: &AdhocQuery, people: usize) -> bool {
    let Some(branch) = query.branches().get(state.branch) else {
        return false;
    };
    state.next <= people
        && state.values.len() == query.values().len()
        && state.values.iter().all(Columns::well_formed)
        && Ready::new(branch, people, query.slots()).fits(&state.running)
}

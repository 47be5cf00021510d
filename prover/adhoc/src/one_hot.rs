//! The ingest check that every column of every record of a batch has exactly one bit.
//!
//! The proofs of a batch's uploads show that slots are bits; here one random combination per repetition,
//! `sum_i sum_j rho_ij * (bits of column j of record i - 1)`, is turned into one bit "it is zero" by a blind rotation. The
//! bits of [`REPETITIONS`] combinations are added and the committee opens that one digit: [`REPETITIONS`] for a well-formed
//! batch. A batch that fails is halved until the cheater is found.
//!
//! # Security
//! For a batch with a wrong column, `rho` of that column is uniform on 2^14 positions while its error is at most 254, so
//! the combination falls into the accepted 384 of them with probability at most 4/128 = 2^-5 per repetition (the error is
//! a multiple of at most 2^7): 2^-45 per attempt in all. The seed must be drawn after the batch is fixed. An honest batch
//! fails with less than 2^-70. The opened digit tells nothing about honest records; of a cheater's it tells how often
//! random combinations of its errors vanish.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use thiserror::Error;

use crate::answer::{AnswerError, SealedValue};
use crate::digits::squash;
use crate::form::{LinearForm, add};
use crate::keys::{ComputeKeys, ServerKeys};
use crate::layout::Layout;
use crate::parameters::{RING, SLOT_LOG};
use crate::rotate::{ACCUMULATOR, LARGE, Rotator, coefficient};
use crate::upload::{Record, records_hash};

/// Combinations per batch, at most one batch of [`crate::rotate`] lanes.
pub const REPETITIONS: usize = 9;
/// log2 of the probability that a batch with a wrong column passes.
pub const SOUNDNESS_LOG2: f64 = -45.0;
/// Records per batch, at most: the noise of the combination stays far below one position.
pub const MAX_BATCH: usize = 4096;
/// Positions around zero that are accepted, ten deviations on either side.
const ACCEPTED: usize = 96;
/// log2 of the positions that the combinations are uniform on.
const RHO_LOG: u32 = 64 - SLOT_LOG;
/// log2 of the scale of the opened digit.
const DIGIT_LOG: u32 = 59;

/// Why a batch is not checked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OneHotError {
    /// No record or too many.
    #[error("a batch has 1 to {MAX_BATCH} records, not {found}")]
    BatchSize {
        /// Records given.
        found: usize,
    },
    /// A record of another layout.
    #[error("record {record} has {found} slots, not {expected}")]
    Slots {
        /// Its position.
        record: usize,
        /// Slots of the layout.
        expected: usize,
        /// Slots of the record.
        found: usize,
    },
}

/// The encrypted verdict on a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One block.
    pub sealed: SealedValue,
}

impl Verdict {
    /// Whether the opened phase says that every column of the batch has exactly one bit.
    ///
    /// # Errors
    /// If there is not one phase.
    pub fn accepts(&self, phases: &[u128]) -> Result<bool, AnswerError> {
        match self.sealed.decode(phases) {
            Ok(digit) => Ok(digit == REPETITIONS as u64),
            Err(AnswerError::NoDigit { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The verdict on these records, whose proofs were verified.
///
/// # Errors
/// If the batch is empty, too large or of another layout.
pub fn check(
    keys: &ServerKeys,
    layout: &Layout,
    records: &[Record],
    seed: [u8; 32],
) -> Result<Verdict, OneHotError> {
    let sum = vanishing(&keys.compute, layout, records, seed)?;
    Ok(Verdict {
        sealed: SealedValue {
            blocks: squash(keys, &[sum]),
        },
    })
}

/// The number of combinations that vanish, under the large key at 2^59.
pub(crate) fn vanishing(
    keys: &ComputeKeys,
    layout: &Layout,
    records: &[Record],
    seed: [u8; 32],
) -> Result<Vec<u64>, OneHotError> {
    let found = records.len();
    if found == 0 || found > MAX_BATCH {
        return Err(OneHotError::BatchSize { found });
    }
    if let Some(record) = records.iter().position(|r| r.slots() != layout.slots()) {
        return Err(OneHotError::Slots {
            record,
            expected: layout.slots(),
            found: records[record].slots(),
        });
    }
    let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/one-hot combinations");
    hasher.update(&seed);
    hasher.update(&layout.hash());
    hasher.update(&records_hash(records));
    let mut rng = ChaCha20Rng::from_seed(*hasher.finalize().as_bytes());
    let mut inputs = vec![vec![0; LARGE]; REPETITIONS];
    let mut scratch = Vec::new();
    for record in records {
        for input in &mut inputs {
            combination(layout, &mut rng).add_to(record.list(), &mut scratch, input);
        }
    }
    let mut lut = vec![0; RING];
    lut[..ACCEPTED].fill(1 << DIGIT_LOG);
    let mut rotator = Rotator::new();
    let outputs = rotator.rotate(keys.keyswitch(), &keys.summing, &inputs, &lut);
    let mut sum = vec![0; LARGE];
    for output in outputs.chunks_exact(ACCUMULATOR) {
        add(&mut sum, &coefficient(output, ACCEPTED / 2));
    }
    Ok(sum)
}

fn combination(layout: &Layout, rng: &mut ChaCha20Rng) -> LinearForm {
    let mut form = LinearForm::default();
    for (first, slots) in layout.blocks() {
        let half = 1i64 << (RHO_LOG - 1);
        let rho = (i64::from(rng.next_u32() >> (32 - RHO_LOG)) - half) as u64;
        form.constant = form.constant.wrapping_sub(rho << SLOT_LOG);
        form.weights
            .extend((first..first + slots).map(|slot| (slot as u16, rho)));
    }
    form
}

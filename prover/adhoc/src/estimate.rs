//! What a query costs and how likely a wrong digit is, from its branches alone.

use crate::accumulate::Chunk;
use crate::parameters::{
    COUNTING, CostModel, LIBRARY_FAILURE_LOG2, MAX_RECORDS, RING, SUMMING, UnionBound, WINDOW,
    extraction_failure_log2, rotation_deviation, window_failure_log2,
};
use crate::query::{AdhocQuery, Read, Work, packing};

/// What a query will cost and how likely a wrong digit is, known before it is paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Records per second and core that the duration assumes, extraction and squashing not included.
    pub records_per_second_assumed: f64,
    /// Seconds on that many cores, extraction and squashing included.
    pub seconds: f64,
    /// log2 of the probability that any published digit is wrong, over the whole query (Gaussian noise).
    pub p_fail_log2: f64,
    /// Blind rotations per record.
    pub rotations_per_record: f64,
    /// Blocks that the committee opens.
    pub blocks: usize,
}

impl AdhocQuery {
    /// Duration and failure probability for this many people on this many cores of the reference machine.
    pub fn estimate(&self, people: usize, cores: usize) -> Estimate {
        self.estimate_at(people, cores, &CostModel::REFERENCE)
    }

    /// As [`AdhocQuery::estimate`], on cores of these costs.
    pub fn estimate_at(&self, people: usize, cores: usize, cost: &CostModel) -> Estimate {
        let people = people.clamp(1, MAX_RECORDS);
        let mut failures = UnionBound::default();
        let (mut rotations, mut per_record, mut fixed) = (0.0, 0.0, 0.0);
        let mut chunks_of = |chunk: Chunk, deviation: f64, readouts: usize| {
            let chunks = people.div_ceil(chunk.records) as f64 * readouts as f64;
            fixed += chunks * (f64::from(chunk.bits) * cost.sum + chunk.bits as f64 * cost.digit);
            (
                chunks,
                extraction_failure_log2(
                    deviation * (chunk.rotations as f64).sqrt(),
                    chunk.lowest(),
                ),
            )
        };
        let n = people as f64;
        for branch in self.branches() {
            let k = branch.predicates.len();
            match &branch.work {
                Work::Count { .. } => {
                    let pack = packing(k);
                    rotations += 1.0 / pack as f64;
                    per_record += cost.count / pack as f64;
                    let width = RING / (k + 1).pow(pack as u32);
                    failures.add(window_failure_log2(width), n / pack as f64);
                    let (times, log2) =
                        chunks_of(Chunk::counts(pack, people), rotation_deviation(COUNTING), 1);
                    failures.add(log2, times);
                }
                Work::Split {
                    count,
                    rotations: turns,
                } => {
                    rotations += 1.0 + turns.len() as f64;
                    per_record += cost.count + turns.len() as f64 * cost.sum;
                    let zones = 1 + usize::from(count.is_some());
                    failures.add(window_failure_log2(RING / (k + 1) / zones), n);
                    failures.add(window_failure_log2(WINDOW), n * turns.len() as f64);
                    if count.is_some() {
                        let chunk = Chunk::counts(1, people);
                        let (times, log2) = chunks_of(chunk, rotation_deviation(COUNTING), 1);
                        failures.add(log2, times);
                    }
                    for turn in turns {
                        let (chunk, readouts) = match &turn.read {
                            Read::Histogram(read) => (Chunk::histogram(people), read.len()),
                            Read::Digit(_) => (Chunk::digit(people), 1),
                        };
                        let (times, log2) = chunks_of(chunk, rotation_deviation(SUMMING), readouts);
                        failures.add(log2, times);
                    }
                }
            }
        }
        let blocks: usize = self.values().iter().map(|value| value.blocks(people)).sum();
        fixed += blocks as f64 * (cost.squash + 8.0 * cost.digit);
        failures.add(LIBRARY_FAILURE_LOG2, (blocks * 20) as f64);
        Estimate {
            records_per_second_assumed: 1.0 / per_record.max(f64::MIN_POSITIVE),
            seconds: (n * per_record + fixed) / cores.max(1) as f64,
            p_fail_log2: failures.log2(),
            rotations_per_record: rotations,
            blocks,
        }
    }
}

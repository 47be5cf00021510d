//! Chunked sums: rotations of up to 2047 records are added as they are, then become exact digits.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::digits::{Columns, extract};
use crate::form::{LinearForm, add};
use crate::keys::ComputeKeys;
use crate::parameters::{
    CHUNK_BITS, COUNT_CHUNK, DIGIT_CHUNK, HISTOGRAM_CHUNK, POSITIONS_LOG, RING, SLOT_LOG, WINDOW,
    WINDOWS,
};
use crate::query::{Branch, Read, Rotation, Work, packing};
use crate::rotate::{ACCUMULATOR, LANES, LARGE, Rotator, coefficient};
use crate::upload::Record;

/// Half a turn: an AND puts records outside there.
const HALF: u64 = 1 << 63;

/// The length of a chunk and the bits of its total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Records.
    pub(crate) records: usize,
    /// Rotations that are added up.
    pub(crate) rotations: usize,
    /// Bits that hold every total.
    pub(crate) bits: u32,
}

impl Chunk {
    fn new(records: usize, rotations: usize, most: usize) -> Self {
        let bits = (usize::BITS - most.leading_zeros()).clamp(5, CHUNK_BITS);
        Self {
            records,
            rotations,
            bits,
        }
    }

    /// Counts of rotations that serve `pack` records each.
    pub(crate) fn counts(pack: usize, people: usize) -> Self {
        let rotations = COUNT_CHUNK.min(127 / pack);
        let records = rotations * pack;
        Self::new(records, rotations, records.min(people))
    }

    pub(crate) fn histogram(people: usize) -> Self {
        Self::new(
            HISTOGRAM_CHUNK,
            HISTOGRAM_CHUNK,
            HISTOGRAM_CHUNK.min(people),
        )
    }

    pub(crate) fn digit(people: usize) -> Self {
        let records = DIGIT_CHUNK.min(people);
        Self::new(DIGIT_CHUNK, DIGIT_CHUNK, records * (WINDOWS - 1))
    }

    /// log2 of the scale of a total of one.
    pub(crate) const fn lowest(self) -> u32 {
        64 - self.bits
    }
}

/// A coefficient, the form over the records' sum to add to it, and the values and shifts that its digits go to.
type LaneRead = (usize, LinearForm, Vec<(usize, usize)>);

/// What one accumulator adds up.
#[derive(Clone, Debug)]
struct Lane {
    chunk: Chunk,
    reads: Vec<LaneRead>,
    sums_records: bool,
}

/// The state of one lane within its chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    accumulator: Vec<u64>,
    records: Vec<u64>,
}

/// A branch made ready for records: tables, forms and lanes.
pub(crate) struct Ready<'a> {
    work: &'a Work,
    people: usize,
    slots: usize,
    pub(crate) and: And,
    turns: Vec<(LinearForm, Vec<u64>)>,
    lanes: Vec<Lane>,
}

/// The conjunction of a branch.
pub(crate) struct And {
    forms: Vec<LinearForm>,
    missing: Vec<u64>,
    lut: Vec<u64>,
    read: usize,
}

/// One torus position.
const fn positions(count: u64) -> u64 {
    count.wrapping_shl(64 - POSITIONS_LOG)
}

/// What a slot's bit must be multiplied by to count positions.
const fn slot_positions(count: u64) -> u64 {
    count.wrapping_shl(64 - POSITIONS_LOG - SLOT_LOG)
}

impl<'a> Ready<'a> {
    pub(crate) fn new(branch: &'a Branch, people: usize, slots: usize) -> Self {
        let k = branch.predicates.len();
        let turn = |rotation: &Rotation| {
            let form = LinearForm {
                weights: rotation
                    .windows
                    .iter()
                    .filter(|(_, window)| *window != 0)
                    .map(|&(slot, window)| {
                        let turn = slot_positions(WINDOW as u64 * u64::from(window));
                        (slot, turn.wrapping_neg())
                    })
                    .collect(),
                constant: HALF,
            };
            (form, table(rotation, people))
        };
        let (and, turns, lanes) = match &branch.work {
            Work::Count { value } => {
                let pack = packing(k);
                let chunk = Chunk::counts(pack, people);
                let and = And::counting(&branch.predicates, pack, chunk.lowest());
                let reads = vec![(and.read, LinearForm::default(), vec![(*value, 0)])];
                let lane = Lane {
                    chunk,
                    reads,
                    sums_records: false,
                };
                (and, Vec::new(), vec![lane])
            }
            Work::Split { count, rotations } => {
                let chunk = Chunk::counts(1, people);
                let and = And::splitting(&branch.predicates, count.map(|_| chunk.lowest()));
                let mut lanes = Vec::new();
                if let Some(value) = count {
                    let read = RING / (k + 1) * 3 / 4;
                    lanes.push(Lane {
                        chunk,
                        reads: vec![(read, LinearForm::default(), vec![(*value, 0)])],
                        sums_records: false,
                    });
                }
                lanes.extend(rotations.iter().map(|rotation| lane(rotation, people)));
                (and, rotations.iter().map(turn).collect(), lanes)
            }
        };
        Self {
            work: &branch.work,
            people,
            slots,
            and,
            turns,
            lanes,
        }
    }

    /// Empty accumulators, one per lane.
    pub(crate) fn start(&self) -> Vec<Running> {
        self.lanes.iter().map(|lane| self.empty(lane)).collect()
    }

    fn empty(&self, lane: &Lane) -> Running {
        Running {
            accumulator: vec![0; ACCUMULATOR],
            records: if lane.sums_records {
                vec![0; RING + self.slots]
            } else {
                Vec::new()
            },
        }
    }

    /// Whether accumulators have the shape of this branch's.
    pub(crate) fn fits(&self, running: &[Running]) -> bool {
        let start = self.start();
        running.len() == start.len()
            && running.iter().zip(&start).all(|(a, b)| {
                a.accumulator.len() == b.accumulator.len() && a.records.len() == b.records.len()
            })
    }

    /// Records of a group: they fill one batch, and no chunk ends inside.
    fn group_end(&self, next: usize, stop: usize) -> usize {
        let batch = match self.work {
            Work::Count { .. } => LANES * self.and.forms.len(),
            Work::Split { .. } => LANES,
        };
        self.lanes
            .iter()
            .map(|lane| (next / lane.chunk.records + 1) * lane.chunk.records)
            .fold((next + batch).min(stop), usize::min)
    }

    /// Adds the records `next..stop` to the accumulators and turns every chunk that ends among them into digits.
    ///
    /// The same sums in any steps and on any number of threads.
    pub(crate) fn advance(
        &self,
        keys: &ComputeKeys,
        running: &mut [Running],
        values: &mut [Columns],
        records: &[Record],
        (next, stop): (usize, usize),
    ) {
        let mut groups = Vec::new();
        let mut start = next;
        while start < stop {
            let end = self.group_end(start, stop);
            groups.push(start..end);
            start = end;
        }
        let added: Vec<Vec<Vec<u64>>> = groups
            .par_iter()
            .map_init(Rotator::new, |rotator, group| {
                self.group(keys, rotator, &records[group.clone()])
            })
            .collect();
        for (group, accumulators) in groups.into_iter().zip(added) {
            for (running, accumulator) in running.iter_mut().zip(accumulators) {
                add(&mut running.accumulator, &accumulator);
                if !running.records.is_empty() {
                    for record in &records[group.clone()] {
                        add(&mut running.records, record.list());
                    }
                }
            }
            self.flush(keys, running, group.end, values);
        }
    }

    /// What a group of records adds to each lane.
    fn group(
        &self,
        keys: &ComputeKeys,
        rotator: &mut Rotator,
        records: &[Record],
    ) -> Vec<Vec<u64>> {
        let mut scratch = Vec::new();
        let inputs: Vec<Vec<u64>> = records
            .chunks(self.and.forms.len())
            .map(|pack| self.and.input(pack, &mut scratch))
            .collect();
        let outputs = rotator.rotate(keys.keyswitch(), keys.counting(), &inputs, &self.and.lut);
        let sum = |outputs: &[u64]| {
            let mut total = vec![0; ACCUMULATOR];
            for output in outputs.chunks_exact(ACCUMULATOR) {
                add(&mut total, output);
            }
            total
        };
        let Work::Split { count, .. } = self.work else {
            return vec![sum(outputs)];
        };
        let mut sums = Vec::with_capacity(self.lanes.len());
        if count.is_some() {
            sums.push(sum(outputs));
        }
        let inside: Vec<Vec<u64>> = outputs
            .chunks_exact(ACCUMULATOR)
            .map(|output| coefficient(output, self.and.read))
            .collect();
        for (form, lut) in &self.turns {
            let inputs: Vec<Vec<u64>> = inside
                .iter()
                .zip(records)
                .map(|(inside, record)| {
                    let mut input = inside.clone();
                    form.add_to(record.list(), &mut scratch, &mut input);
                    input
                })
                .collect();
            sums.push(sum(rotator.rotate(
                keys.keyswitch(),
                &keys.summing,
                &inputs,
                lut,
            )));
        }
        sums
    }

    /// Turns the lanes whose chunk ends at `next` into digits of their values and empties them.
    fn flush(
        &self,
        keys: &ComputeKeys,
        running: &mut [Running],
        next: usize,
        values: &mut [Columns],
    ) {
        let mut scratch = Vec::new();
        for (lane, running) in self.lanes.iter().zip(running) {
            if !next.is_multiple_of(lane.chunk.records) && next != self.people {
                continue;
            }
            let totals = lane
                .reads
                .iter()
                .map(|(degree, form, _)| {
                    let mut total = coefficient(&running.accumulator, *degree);
                    if lane.sums_records {
                        form.add_to(&running.records, &mut scratch, &mut total);
                    }
                    total
                })
                .collect();
            let numbers = extract(keys, totals, lane.chunk);
            for ((_, _, targets), blocks) in lane.reads.iter().zip(&numbers) {
                for &(value, shift) in targets {
                    values[value].push(keys, blocks, shift);
                }
            }
            *running = self.empty(lane);
        }
    }
}

impl And {
    /// `pack` records per rotation: window `sum_j (k + 1)^j * misses_j`, worth the number of records without a miss.
    fn counting(predicates: &[Vec<u16>], pack: usize, scale: u32) -> Self {
        let base = predicates.len() + 1;
        let windows = base.pow(pack as u32);
        let width = RING / windows;
        let (mut forms, mut missing) = (Vec::new(), Vec::new());
        for j in 0..pack {
            let step = (width * base.pow(j as u32)) as u64;
            forms.push(misses(predicates, step));
            missing.push(positions(step * predicates.len() as u64).wrapping_neg());
        }
        let mut lut = vec![0; RING];
        for (coefficient, entry) in lut[..windows * width].iter_mut().enumerate() {
            let mut window = windows - 1 - coefficient / width;
            let mut inside = 0u64;
            for _ in 0..pack {
                inside += u64::from(window.is_multiple_of(base));
                window /= base;
            }
            *entry = inside << scale;
        }
        Self {
            forms,
            missing,
            lut,
            read: (windows - 1) * width + width / 2,
        }
    }

    /// One record per rotation: half a turn inside, and next to it one unit at the scale of a count if wanted.
    fn splitting(predicates: &[Vec<u16>], count: Option<u32>) -> Self {
        let width = RING / (predicates.len() + 1);
        let mut lut = vec![0; RING];
        let zone = if count.is_some() { width / 2 } else { width };
        lut[..zone].fill(HALF);
        if let Some(scale) = count {
            lut[zone..2 * zone].fill(1 << scale);
        }
        Self {
            forms: vec![misses(predicates, width as u64)],
            missing: vec![0],
            lut,
            read: zone / 2,
        }
    }

    /// The phase of a pack of records; absent ones miss every predicate.
    pub(crate) fn input(&self, pack: &[Record], scratch: &mut Vec<u64>) -> Vec<u64> {
        let mut input = vec![0; LARGE];
        for (form, record) in self.forms.iter().zip(pack) {
            form.add_to(record.list(), scratch, &mut input);
        }
        for missing in &self.missing[pack.len()..] {
            input[RING] = input[RING].wrapping_add(*missing);
        }
        input
    }
}

/// `-step * (k - sum of the predicates)`, in positions.
fn misses(predicates: &[Vec<u16>], step: u64) -> LinearForm {
    LinearForm {
        weights: predicates
            .iter()
            .flatten()
            .map(|&slot| (slot, slot_positions(step)))
            .collect(),
        constant: positions(step * predicates.len() as u64).wrapping_neg(),
    }
}

/// The table that a rotation turns: half of what a record inside is worth, because outside it is worth minus that.
fn table(rotation: &Rotation, people: usize) -> Vec<u64> {
    let mut lut = vec![0; RING];
    match &rotation.read {
        Read::Histogram(_) => {
            lut[..WINDOW].fill(1 << (Chunk::histogram(people).lowest() - 1));
        }
        Read::Digit(_) => {
            let half = Chunk::digit(people).lowest() - 1;
            for (coefficient, entry) in lut.iter_mut().enumerate() {
                *entry = ((WINDOWS - 1 - coefficient / WINDOW) as u64) << half;
            }
        }
    }
    lut
}

fn lane(rotation: &Rotation, people: usize) -> Lane {
    match &rotation.read {
        Read::Histogram(windows) => {
            let chunk = Chunk::histogram(people);
            let half = 1u64 << (chunk.lowest() - 1 - SLOT_LOG);
            let reads = windows
                .iter()
                .map(|&(window, value)| {
                    let slots: Vec<u16> = rotation
                        .windows
                        .iter()
                        .filter(|(_, at)| *at == window)
                        .map(|&(slot, _)| slot)
                        .collect();
                    let degree = usize::from(window) * WINDOW + WINDOW / 2;
                    (degree, LinearForm::sum_of(&slots, half), vec![(value, 0)])
                })
                .collect();
            Lane {
                chunk,
                reads,
                sums_records: true,
            }
        }
        Read::Digit(targets) => {
            let chunk = Chunk::digit(people);
            let half = 1u64 << (chunk.lowest() - 1 - SLOT_LOG);
            let form = LinearForm {
                weights: rotation
                    .windows
                    .iter()
                    .map(|&(slot, digit)| (slot, u64::from(digit) * half))
                    .collect(),
                constant: 0,
            };
            Lane {
                chunk,
                reads: vec![(RING - WINDOW / 2, form, targets.clone())],
                sums_records: true,
            }
        }
    }
}

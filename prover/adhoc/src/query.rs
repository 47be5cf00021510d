//! Queries: from the passes of a plan to branches of rotations, with cost and failure probability known first.
//!
//! A *branch* is a conjunction of predicates, each a set of slots of one column, and what to do with the records inside:
//! count them, or turn rotations by a column: a histogram of up to 16 windows, or one base-16 digit of a measure. A group
//! column is spread over the windows of a rotation or over branches of its own, whichever costs less.
//!
//! * COUNT: the phase is `-w * misses`; one rotation serves `r` records when `(k + 1)^r <= 16`.
//! * Histogram and digits: an AND yields `m / 2` of the torus; `1/2 + m/2 - w * window` turns a table by the window and flips
//!   its sign outside, so that the sum is `2 * inside - all`, and `all` is linear in the records.
//! * Sums are of `m - centre`, squares too; [`PassShape::published`] shifts them back, so nothing but the plan's values is
//!   ever opened.

use std::collections::BTreeMap;

use salus_schema::answer::PassValues;
use salus_schema::plan::{CODES, ColumnIndex, Image, MOMENTS, Pass, Plan, VALUES};
use thiserror::Error;

pub use crate::estimate::Estimate;
use crate::layout::Layout;
use crate::parameters::{CostModel, WINDOWS};

/// Branches per query, at most.
pub const MAX_BRANCHES: usize = 256;
/// Predicates per branch, at most.
pub const MAX_PREDICATES: usize = 15;

/// Why a plan is not evaluated on this path; found before anything runs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotSupported {
    /// The record has no slots for a column.
    #[error("pass {pass} reads column {column}, which sealed records of this dataset leave out")]
    ColumnNotInRecord {
        /// Position of the pass.
        pass: usize,
        /// The column.
        column: u16,
    },
    /// Too many conditions at once.
    #[error(
        "pass {pass} joins {found} conditions; one rotation tells at most {MAX_PREDICATES} apart"
    )]
    TooManyPredicates {
        /// Position of the pass.
        pass: usize,
        /// Conditions.
        found: usize,
    },
    /// Too many groups for the time it would take.
    #[error(
        "the query needs {found} separate conjunctions, more than {MAX_BRANCHES}; use fewer or coarser groups"
    )]
    TooManyBranches {
        /// Branches needed.
        found: usize,
    },
    /// A moments pass whose measure is spread over columns.
    #[error("pass {pass} measures columns {first} and {second} at once")]
    TwoMeasures {
        /// Position of the pass.
        pass: usize,
        /// One column.
        first: u16,
        /// The other.
        second: u16,
    },
}

/// What a pass publishes, and how the opened values become it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassShape {
    image: Image,
    values: usize,
    base_mask: u64,
    centre: u64,
}

/// One value of a pass: its bound per record, and whether it is a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueSpec {
    pub(crate) pass: usize,
    pub(crate) index: usize,
    pub(crate) most: u64,
}

/// A conjunction and what is done with the records inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) predicates: Vec<Vec<u16>>,
    pub(crate) work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Count {
        value: usize,
    },
    Split {
        count: Option<usize>,
        rotations: Vec<Rotation>,
    },
}

/// One rotation by a column: every slot of the column with its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub(crate) windows: Vec<(u16, u8)>,
    pub(crate) read: Read,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Windows and the values that count their records.
    Histogram(Vec<(u8, usize)>),
    /// The window is a digit; values that it is added to, times 4^shift.
    Digit(Vec<(usize, usize)>),
}

/// A plan, ready to be evaluated on records of one layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdhocQuery {
    passes: Vec<PassShape>,
    values: Vec<ValueSpec>,
    branches: Vec<Branch>,
    slots: usize,
    hash: [u8; 32],
}

/// A column of a pass with the codes that fall inside.
struct Column {
    index: ColumnIndex,
    inside: Vec<(u8, u16)>,
    complete: bool,
}

impl Column {
    fn weighted(&self) -> bool {
        self.inside.iter().any(|&(_, weight)| weight != 0)
    }

    /// The codes by `key` of their weight, ascending.
    fn by(&self, key: impl Fn(u16) -> u16) -> BTreeMap<u16, Vec<u8>> {
        let mut groups: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        for &(code, weight) in &self.inside {
            groups.entry(key(weight)).or_default().push(code);
        }
        groups
    }

    fn slots(&self, layout: &Layout, codes: impl Iterator<Item = u8>) -> Vec<u16> {
        codes
            .filter_map(|code| layout.slot(self.index, code))
            .collect()
    }

    fn predicate(&self, layout: &Layout) -> Option<Vec<u16>> {
        (!self.complete).then(|| self.slots(layout, self.inside.iter().map(|&(code, _)| code)))
    }
}

/// Records that one rotation counts when every record has `predicates`.
pub(crate) fn packing(predicates: usize) -> usize {
    let mut records = 1;
    while (predicates + 1).pow(records as u32 + 1) <= WINDOWS {
        records += 1;
    }
    records
}

impl AdhocQuery {
    /// The query of this plan on records of this layout.
    ///
    /// # Errors
    /// If the plan cannot be evaluated on this path, with the reason.
    pub fn new(plan: &Plan, layout: &Layout) -> Result<Self, NotSupported> {
        let mut builder = Builder {
            layout,
            values: Vec::new(),
            branches: Vec::new(),
        };
        let mut passes = Vec::new();
        for (number, pass) in plan.passes().iter().enumerate() {
            let centre = builder.pass(number, pass)?;
            passes.push(PassShape {
                image: pass.image(),
                values: pass.values(),
                base_mask: pass.base_mask(),
                centre,
            });
        }
        if builder.branches.len() > MAX_BRANCHES {
            return Err(NotSupported::TooManyBranches {
                found: builder.branches.len(),
            });
        }
        let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/query");
        hasher.update(&layout.hash());
        hasher.update(&plan.to_bytes());
        Ok(Self {
            passes,
            values: builder.values,
            branches: builder.branches,
            slots: layout.slots(),
            hash: *hasher.finalize().as_bytes(),
        })
    }

    /// What each pass publishes.
    pub fn passes(&self) -> &[PassShape] {
        &self.passes
    }

    /// blake3 of layout and plan: what checkpoints and results are bound to.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Slots of the records that it reads.
    pub const fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn values(&self) -> &[ValueSpec] {
        &self.values
    }

    pub(crate) fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// Conjunctions that are evaluated, each over every record.
    pub fn branch_count(&self) -> usize {
        self.branches.len()
    }
}

impl ValueSpec {
    /// Blocks of four bits that hold the value over `people` records.
    pub(crate) fn blocks(&self, people: usize) -> usize {
        let most = self.most.saturating_mul(people as u64);
        (u64::BITS - most.leading_zeros()).div_ceil(4) as usize
    }
}

impl PassShape {
    /// How cells become values.
    pub const fn image(&self) -> Image {
        self.image
    }

    /// Values of the pass, masked ones included.
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Values that are never published.
    pub const fn base_mask(&self) -> u64 {
        self.base_mask
    }

    /// What is subtracted from the measure before it is summed.
    pub const fn centre(&self) -> u64 {
        self.centre
    }

    /// The values that are counts: they are opened first.
    pub fn counts(&self) -> impl Iterator<Item = usize> + use<> {
        let step = match self.image {
            Image::Cells => 1,
            Image::Moments => MOMENTS,
        };
        (0..self.values).step_by(step)
    }

    /// The values that are sums of group `group`: opened only when the group is published.
    pub fn sums(&self, group: usize) -> impl Iterator<Item = usize> + use<> {
        let (base_mask, values) = (self.base_mask, self.values);
        let sums = match self.image {
            Image::Cells => 0..0,
            Image::Moments => MOMENTS * group + 1..MOMENTS * group + MOMENTS,
        };
        sums.filter(move |&t| t < values && base_mask >> t & 1 == 0)
    }

    /// The published values of a pass from the opened ones, `None` for what was not opened.
    ///
    /// `mask` names what is withheld, as `Decoder::suppression_masks` gives it. Returns `None` when a value is missing that
    /// `mask` does not withhold, or exceeds 64 bits.
    pub fn published(&self, opened: &[Option<u64>], mask: u64) -> Option<PassValues> {
        let mask = mask | self.base_mask;
        let mut values = [0; VALUES];
        for t in (0..self.values).filter(|t| mask >> t & 1 == 0) {
            let at = |t: usize| opened.get(t).copied().flatten();
            let value = at(t)?;
            values[t] = match (self.image, t % MOMENTS) {
                (Image::Cells, _) | (_, 0) => value,
                (Image::Moments, 1) => value.checked_add(self.centre.checked_mul(at(t - 1)?)?)?,
                (Image::Moments, _) => {
                    let (count, sum) = (at(t - 2)?, at(t - 1)?);
                    let twice = self.centre.checked_mul(2)?.checked_mul(sum)?;
                    let square = self.centre.checked_mul(self.centre)?.checked_mul(count)?;
                    value.checked_add(twice)?.checked_add(square)?
                }
            };
        }
        Some(PassValues { values, mask })
    }
}

struct Builder<'a> {
    layout: &'a Layout,
    values: Vec<ValueSpec>,
    branches: Vec<Branch>,
}

impl Builder<'_> {
    /// Adds the branches of a pass; returns its centre.
    fn pass(&mut self, number: usize, pass: &Pass) -> Result<u64, NotSupported> {
        let columns = self.columns(number, pass)?;
        let first_value = self.values.len();
        for index in 0..pass.values() {
            self.values.push(ValueSpec {
                pass: number,
                index,
                most: 0,
            });
        }
        let first_branch = self.branches.len();
        let centre = if columns.iter().any(|column| column.inside.is_empty()) {
            0
        } else {
            match pass.image() {
                Image::Cells => {
                    self.cells(&columns, pass.values(), first_value)?;
                    0
                }
                Image::Moments => self.moments(number, &columns, pass, first_value)?,
            }
        };
        for branch in &self.branches[first_branch..] {
            if branch.predicates.len() > MAX_PREDICATES {
                return Err(NotSupported::TooManyPredicates {
                    pass: number,
                    found: branch.predicates.len(),
                });
            }
        }
        Ok(centre)
    }

    fn columns(&self, number: usize, pass: &Pass) -> Result<Vec<Column>, NotSupported> {
        let mut columns = Vec::new();
        for (&index, table) in pass.columns().iter().zip(pass.tables()) {
            if table.entries()[1..].iter().all(|&entry| entry == 0) {
                continue;
            }
            let last = self.layout.last_code(index);
            if last == 0 {
                return Err(NotSupported::ColumnNotInRecord {
                    pass: number,
                    column: index.0,
                });
            }
            let cells = pass.class().cells();
            let inside: Vec<_> = (1..=last)
                .map(|code| (code, table.get(code)))
                .filter(|&(_, entry)| entry < cells)
                .collect();
            columns.push(Column {
                index,
                complete: inside.len() == usize::from(last),
                inside,
            });
        }
        Ok(columns)
    }

    fn branch(&mut self, mut predicates: Vec<Vec<u16>>, work: Work) {
        if predicates.is_empty() {
            let (first, slots) = self.layout.blocks().next().unwrap_or((0, 1));
            predicates.push((first..first + slots).map(|slot| slot as u16).collect());
        }
        self.branches.push(Branch { predicates, work });
    }

    fn grow(&mut self, value: usize, most: u64) {
        let spec = &mut self.values[value];
        spec.most = spec.most.max(most);
    }

    fn cells(
        &mut self,
        columns: &[Column],
        values: usize,
        first_value: usize,
    ) -> Result<(), NotSupported> {
        let weighted: Vec<usize> = (0..columns.len())
            .filter(|&i| columns[i].weighted())
            .collect();
        let cost = CostModel::REFERENCE;
        let filters = columns
            .iter()
            .filter(|column| !column.weighted() && !column.complete)
            .count();
        let sizes: Vec<usize> = weighted
            .iter()
            .map(|&i| columns[i].by(|weight| weight).len())
            .collect();
        let all: usize = sizes.iter().product();
        let separate = all as f64 * cost.count / packing((filters + weighted.len()).max(1)) as f64;
        let fast = (0..weighted.len()).min_by_key(|&f| all / sizes[f] * (1 + blocks_of(sizes[f])));
        let spread = fast.map(|f| {
            let turns = blocks_of(sizes[f]) as f64 * cost.sum;
            (all / sizes[f]) as f64 * (cost.count + turns)
        });
        let fast = match (fast, spread) {
            (Some(f), Some(spread)) if spread < separate => Some(weighted[f]),
            _ => None,
        };
        let others: Vec<usize> = weighted
            .iter()
            .copied()
            .filter(|&i| Some(i) != fast)
            .collect();
        let filters: Vec<Vec<u16>> = columns
            .iter()
            .filter(|column| !column.weighted())
            .filter_map(|column| column.predicate(self.layout))
            .collect();
        for (weight, chosen) in combinations(columns, &others, |weight| weight)? {
            let mut predicates = filters.clone();
            predicates.extend(self.chosen(columns, &others, &chosen));
            match fast {
                None => {
                    if weight < values {
                        self.grow(first_value + weight, 1);
                        let value = first_value + weight;
                        self.branch(predicates, Work::Count { value });
                    }
                }
                Some(fast) => {
                    self.histogram(&columns[fast], predicates, weight, values, first_value);
                }
            }
        }
        Ok(())
    }

    /// The conditions that pick one group of each column; a group of all codes is no condition.
    fn chosen(&self, columns: &[Column], at: &[usize], chosen: &[Vec<u8>]) -> Vec<Vec<u16>> {
        at.iter()
            .zip(chosen)
            .filter(|&(&i, codes)| {
                codes.len() < usize::from(self.layout.last_code(columns[i].index))
            })
            .map(|(&i, codes)| columns[i].slots(self.layout, codes.iter().copied()))
            .collect()
    }

    fn histogram(
        &mut self,
        column: &Column,
        mut predicates: Vec<Vec<u16>>,
        offset: usize,
        values: usize,
        first_value: usize,
    ) {
        let groups: Vec<(u16, Vec<u8>)> = column.by(|weight| weight).into_iter().collect();
        let whole = groups.len() == WINDOWS;
        if whole {
            predicates.extend(column.predicate(self.layout));
        }
        let mut rotations = Vec::new();
        for block in groups.chunks(if whole { WINDOWS } else { WINDOWS - 1 }) {
            let outside = if whole { 0 } else { WINDOWS as u8 - 1 };
            let mut windows: BTreeMap<u16, u8> = (1..=self.layout.last_code(column.index))
                .filter_map(|code| self.layout.slot(column.index, code))
                .map(|slot| (slot, outside))
                .collect();
            let mut read = Vec::new();
            for (window, (weight, codes)) in (0u8..).zip(block) {
                for slot in column.slots(self.layout, codes.iter().copied()) {
                    windows.insert(slot, window);
                }
                let cell = offset + usize::from(*weight);
                if cell < values {
                    self.grow(first_value + cell, 1);
                    read.push((window, first_value + cell));
                }
            }
            if !read.is_empty() {
                rotations.push(Rotation {
                    windows: windows.into_iter().collect(),
                    read: Read::Histogram(read),
                });
            }
        }
        if !rotations.is_empty() {
            let count = None;
            self.branch(predicates, Work::Split { count, rotations });
        }
    }

    fn moments(
        &mut self,
        number: usize,
        columns: &[Column],
        pass: &Pass,
        first_value: usize,
    ) -> Result<u64, NotSupported> {
        let group = |weight: u16| weight / CODES as u16;
        let measure = |weight: u16| u64::from(weight % CODES as u16);
        let measured: Vec<usize> = (0..columns.len())
            .filter(|&i| columns[i].inside.iter().any(|&(_, w)| measure(w) != 0))
            .collect();
        if let [first, second, ..] = measured[..] {
            return Err(NotSupported::TwoMeasures {
                pass: number,
                first: columns[first].index.0,
                second: columns[second].index.0,
            });
        }
        let measured = measured.first().copied();
        let centre = measured
            .and_then(|i| columns[i].inside.iter().map(|&(_, w)| measure(w)).min())
            .unwrap_or(0);
        let grouped: Vec<usize> = (0..columns.len())
            .filter(|&i| Some(i) == measured || columns[i].weighted())
            .collect();
        let filters: Vec<Vec<u16>> = (0..columns.len())
            .filter(|i| !grouped.contains(i))
            .filter_map(|i| columns[i].predicate(self.layout))
            .collect();
        for (g, chosen) in combinations(columns, &grouped, group)? {
            if MOMENTS * g >= pass.values() {
                continue;
            }
            let mut predicates = filters.clone();
            predicates.extend(self.chosen(columns, &grouped, &chosen));
            let count = first_value + MOMENTS * g;
            self.grow(count, 1);
            let mut rotations: Vec<Rotation> = Vec::new();
            if let Some(i) = measured {
                let column = &columns[i];
                let picked = grouped.iter().position(|&j| j == i).map(|at| &chosen[at]);
                let inside: BTreeMap<u8, u16> = column
                    .inside
                    .iter()
                    .copied()
                    .filter(|(code, _)| picked.is_some_and(|codes| codes.contains(code)))
                    .collect();
                for power in 1..MOMENTS {
                    if pass.base_mask() >> (MOMENTS * g + power) & 1 == 1 {
                        continue;
                    }
                    let figure = |code: u8| match inside.get(&code) {
                        Some(&weight) => (measure(weight) - centre).pow(power as u32),
                        None => 0,
                    };
                    let last = self.layout.last_code(column.index);
                    let most = (1..=last).map(figure).max().unwrap_or(0);
                    for digit in 0..4 {
                        if most >> (4 * digit) == 0 {
                            break;
                        }
                        let windows: Vec<(u16, u8)> = (1..=last)
                            .filter_map(|code| {
                                let window = (figure(code) >> (4 * digit) & 15) as u8;
                                self.layout.slot(column.index, code).map(|s| (s, window))
                            })
                            .collect();
                        if windows.iter().all(|&(_, window)| window == 0) {
                            continue;
                        }
                        let target = (count + power, 2 * digit);
                        match rotations.iter_mut().find(|r| r.windows == windows) {
                            Some(Rotation {
                                read: Read::Digit(targets),
                                ..
                            }) => targets.push(target),
                            _ => rotations.push(Rotation {
                                windows,
                                read: Read::Digit(vec![target]),
                            }),
                        }
                    }
                    self.grow(count + power, most);
                }
            }
            if rotations.is_empty() {
                self.branch(predicates, Work::Count { value: count });
            } else {
                let count = Some(count);
                self.branch(predicates, Work::Split { count, rotations });
            }
        }
        Ok(centre)
    }
}

/// Rotations that spread `size` groups over windows.
fn blocks_of(size: usize) -> usize {
    if size == WINDOWS {
        1
    } else {
        size.div_ceil(WINDOWS - 1)
    }
}

/// The sum of the chosen groups' keys, and the chosen codes by column.
type Combination = (usize, Vec<Vec<u8>>);

/// Every choice of one group per column: the sum of the groups' keys and the chosen codes by column.
fn combinations(
    columns: &[Column],
    at: &[usize],
    key: impl Fn(u16) -> u16 + Copy,
) -> Result<Vec<Combination>, NotSupported> {
    let mut all = vec![(0, Vec::new())];
    for &i in at {
        let groups = columns[i].by(key);
        let found = all.len() * groups.len();
        if found > MAX_BRANCHES {
            return Err(NotSupported::TooManyBranches { found });
        }
        all = all
            .into_iter()
            .flat_map(|(sum, chosen): Combination| {
                groups.iter().map(move |(&weight, codes)| {
                    let mut chosen = chosen.clone();
                    chosen.push(codes.clone());
                    (sum + usize::from(weight), chosen)
                })
            })
            .collect();
    }
    Ok(all)
}

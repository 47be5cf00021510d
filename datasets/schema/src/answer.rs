//! Answers: from the published values of a plan's passes to the rows that a person reads.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::codebook::Codebook;
use crate::column::{ColumnKind, FIRST_VALUE, Grid, ONE_COLUMN_VALUES};
use crate::decimal::Decimal;
use crate::plan::{Image, MOMENTS, Pass, VALUES};
use crate::query::{Measure, Query};

/// What one pass published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassValues {
    /// The values, 0 where masked and beyond those of the pass.
    pub values: [u64; VALUES],
    /// Bit `t` set: value `t` is not published.
    pub mask: u64,
}

/// Why published values are not an answer to the query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    #[error("the plan has {expected} passes and {found} were published")]
    PassCount { expected: usize, found: usize },
    #[error(
        "pass {pass}: mask {mask:#x} does not fit a pass of {values} values that never publishes {base_mask:#x}"
    )]
    Mask {
        pass: usize,
        mask: u64,
        values: usize,
        base_mask: u64,
    },
    #[error("pass {pass}: value {value} is not published but is not 0")]
    MaskedValue { pass: usize, value: usize },
    #[error("group {group} is suppressed in part only")]
    MixedMask { group: usize },
    #[error("group {group}: two passes count {first} and {second} of the same people")]
    CountsDisagree {
        group: usize,
        first: u64,
        second: u64,
    },
    #[error("group {group}: the published sums cannot come from {count} people")]
    ImpossibleSum { group: usize, count: u64 },
    #[error("group {group}: the figures exceed 128 bits")]
    Overflow { group: usize },
}

/// A place among the published values: a count, or the count before a sum and a sum of squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) pass: usize,
    pub(crate) value: usize,
}

/// Where the values of one group stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupSlots {
    key: Vec<(String, String)>,
    pub(crate) rows: Option<Slot>,
    pub(crate) known: Option<Slot>,
    pub(crate) moments: Option<Slot>,
    pub(crate) low: Option<Slot>,
}

impl GroupSlots {
    pub(crate) const fn new(key: Vec<(String, String)>) -> Self {
        Self {
            key,
            rows: None,
            known: None,
            moments: None,
            low: None,
        }
    }

    fn counts(&self) -> impl Iterator<Item = Slot> {
        [self.rows, self.known, self.moments, self.low]
            .into_iter()
            .flatten()
    }
}

/// What a decoder must know of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PassShape {
    image: Image,
    values: usize,
    base_mask: u64,
}

impl PassShape {
    pub(crate) fn of(pass: &Pass) -> Self {
        Self {
            image: pass.image(),
            values: pass.values(),
            base_mask: pass.base_mask(),
        }
    }

    const fn all(&self) -> u64 {
        u64::MAX >> (VALUES - self.values)
    }

    /// The bits of the values that belong to the count at `value`.
    const fn bits(&self, value: usize) -> u64 {
        match self.image {
            Image::Cells => 1 << value,
            Image::Moments => 0b111 << value,
        }
    }

    fn counts(&self) -> impl Iterator<Item = usize> {
        let step = match self.image {
            Image::Cells => 1,
            Image::Moments => MOMENTS,
        };
        (0..self.values).step_by(step)
    }
}

/// Which values of the true answer may be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The mask of each pass: the base mask and every value of a suppressed group.
    pub masks: Vec<u64>,
    /// The largest sum of published counts of one pass, to compare with the minimum cohort.
    ///
    /// A plan that spreads its groups over several moments passes is judged by its largest pass alone, because a
    /// contract cannot tell disjoint groups from repeated ones.
    pub cohort: u64,
}

impl Suppression {
    /// True when the answer as a whole may be published.
    pub const fn allows(&self, min_cohort: u64) -> bool {
        self.cohort >= min_cohort
    }
}

/// Reads the published values of one query's plan.
#[derive(Clone, Debug)]
pub struct Decoder {
    measures: Vec<Measure>,
    measured: Option<String>,
    grid: Option<Grid>,
    groups: Vec<GroupSlots>,
    passes: Vec<PassShape>,
}

/// One group's published figures, before they become numbers of the measured column.
#[derive(Clone, Copy)]
struct Moments {
    count: u64,
    steps: i128,
    sum: u64,
    squares: u64,
}

impl Decoder {
    pub(crate) fn new(
        query: &Query,
        codebook: &Codebook,
        groups: Vec<GroupSlots>,
        passes: Vec<PassShape>,
    ) -> Self {
        let column = query.measured().and_then(|name| codebook.find(name));
        Self {
            measures: query.measures().to_vec(),
            measured: query.measured().map(str::to_owned),
            grid: column.and_then(|(_, column)| match column.kind() {
                ColumnKind::Exact(grid) => Some(*grid),
                _ => None,
            }),
            groups,
            passes,
        }
    }

    /// The number of groups, 1 for a query without GROUP BY.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Masks and cohort of the true values under a minimum cell.
    ///
    /// A group is suppressed in every pass when any of its counts is below `min_cell` or 0.
    ///
    /// # Errors
    /// If `exact` does not have the values of every pass.
    pub fn suppression_masks(
        &self,
        exact: &[[u64; VALUES]],
        min_cell: u64,
    ) -> Result<Suppression, AnswerError> {
        if exact.len() != self.passes.len() {
            return Err(AnswerError::PassCount {
                expected: self.passes.len(),
                found: exact.len(),
            });
        }
        let least = min_cell.max(1);
        let mut masks: Vec<u64> = self.passes.iter().map(|pass| pass.base_mask).collect();
        for group in &self.groups {
            if group
                .counts()
                .any(|slot| exact[slot.pass][slot.value] < least)
            {
                for slot in group.counts() {
                    masks[slot.pass] |= self.passes[slot.pass].bits(slot.value);
                }
            }
        }
        let cohort = self
            .passes
            .iter()
            .zip(exact)
            .zip(&masks)
            .map(|((pass, values), mask)| {
                pass.counts()
                    .filter(|&t| mask >> t & 1 == 0)
                    .fold(0u64, |sum, t| sum.saturating_add(values[t]))
            })
            .max()
            .unwrap_or(0);
        Ok(Suppression { masks, cohort })
    }

    /// The answer that the passes published.
    ///
    /// # Errors
    /// If the values do not fit the plan, suppress a group in part, or contradict each other.
    pub fn decode(&self, published: &[PassValues]) -> Result<Answer, AnswerError> {
        self.check_masks(published)?;
        let rows = self
            .groups
            .iter()
            .enumerate()
            .map(|(group, slots)| self.row(group, slots, published))
            .collect::<Result<_, _>>()?;
        Ok(Answer { rows })
    }

    fn check_masks(&self, published: &[PassValues]) -> Result<(), AnswerError> {
        if published.len() != self.passes.len() {
            return Err(AnswerError::PassCount {
                expected: self.passes.len(),
                found: published.len(),
            });
        }
        for (pass, (shape, found)) in self.passes.iter().zip(published).enumerate() {
            if found.mask & !shape.all() != 0 || found.mask & shape.base_mask != shape.base_mask {
                return Err(AnswerError::Mask {
                    pass,
                    mask: found.mask,
                    values: shape.values,
                    base_mask: shape.base_mask,
                });
            }
            let hidden = found.mask | !shape.all();
            if let Some(value) = (0..VALUES).find(|&t| hidden >> t & 1 == 1 && found.values[t] != 0)
            {
                return Err(AnswerError::MaskedValue { pass, value });
            }
        }
        Ok(())
    }

    /// Whether every value of the group is suppressed.
    fn suppressed(
        &self,
        group: usize,
        slots: &GroupSlots,
        published: &[PassValues],
    ) -> Result<bool, AnswerError> {
        let (mut any, mut every) = (false, true);
        for slot in slots.counts() {
            let shape = &self.passes[slot.pass];
            let bits = shape.bits(slot.value) & !shape.base_mask;
            let masked = published[slot.pass].mask & bits;
            any |= masked != 0;
            every &= masked == bits;
        }
        if any && !every {
            return Err(AnswerError::MixedMask { group });
        }
        Ok(any)
    }

    fn row(
        &self,
        group: usize,
        slots: &GroupSlots,
        published: &[PassValues],
    ) -> Result<AnswerRow, AnswerError> {
        let suppressed = self.suppressed(group, slots, published)?;
        let at = |slot: Slot, offset: usize| published[slot.pass].values[slot.value + offset];
        let count = |slot: Option<Slot>| slot.filter(|_| !suppressed).map(|slot| at(slot, 0));
        let asked_rows = self.measures.contains(&Measure::Count);
        let separate = asked_rows && slots.known.is_some() && slots.known != slots.rows;
        let (rows, known) = (count(slots.rows), count(slots.known));
        if let (Some(first), Some(second)) = (rows, known)
            && second > first
        {
            return Err(AnswerError::CountsDisagree {
                group,
                first,
                second,
            });
        }
        let mut row = AnswerRow {
            group: slots.key.clone(),
            count: if asked_rows { rows } else { known },
            measured: self.measured.clone(),
            count_of: (separate || self.measures.contains(&Measure::CountOf)).then_some(known),
            sum: self.measures.contains(&Measure::Sum).then_some(None),
            avg: self.measures.contains(&Measure::Avg).then_some(None),
            var_samp: self.measures.contains(&Measure::VarSamp).then_some(None),
            stddev_samp: self.measures.contains(&Measure::StddevSamp).then_some(None),
            suppressed,
        };
        if let (Some(moments), Some(grid), false) = (slots.moments, &self.grid, suppressed) {
            let moments = read_moments(group, moments, slots.low, &at)?;
            row.fill(&moments, grid)
                .ok_or(AnswerError::Overflow { group })?;
            if row.var_samp.is_some() || row.stddev_samp.is_some() {
                let variance = variance(group, &moments, grid)?;
                row.var_samp = row.var_samp.map(|_| variance);
                row.stddev_samp = row.stddev_samp.map(|_| variance.map(f64::sqrt));
            }
        }
        Ok(row)
    }
}

/// The count and the sum of grid steps, from the digit sums.
fn read_moments(
    group: usize,
    high: Slot,
    low: Option<Slot>,
    at: &impl Fn(Slot, usize) -> u64,
) -> Result<Moments, AnswerError> {
    let count = at(high, 0);
    let digits = |slot: Slot| {
        let (n, sum) = (i128::from(at(slot, 0)), i128::from(at(slot, 1)));
        let steps = sum - n * i128::from(FIRST_VALUE);
        if steps < 0 || steps > n * (ONE_COLUMN_VALUES as i128 - 1) {
            return Err(AnswerError::ImpossibleSum { group, count });
        }
        Ok(steps)
    };
    let mut steps = digits(high)?;
    if let Some(low) = low {
        if at(low, 0) != count {
            return Err(AnswerError::CountsDisagree {
                group,
                first: count,
                second: at(low, 0),
            });
        }
        steps = steps * ONE_COLUMN_VALUES as i128 + digits(low)?;
    }
    Ok(Moments {
        count,
        steps,
        sum: at(high, 1),
        squares: at(high, 2),
    })
}

/// The sample variance, exact up to one final division; `None` for fewer than two people.
fn variance(group: usize, moments: &Moments, grid: &Grid) -> Result<Option<f64>, AnswerError> {
    let (n, sum) = (i128::from(moments.count), i128::from(moments.sum));
    if n < 2 {
        return Ok(None);
    }
    let overflow = || AnswerError::Overflow { group };
    let spread = n
        .checked_mul(i128::from(moments.squares))
        .zip(sum.checked_mul(sum))
        .and_then(|(a, b)| a.checked_sub(b))
        .ok_or_else(overflow)?;
    if spread < 0 {
        return Err(AnswerError::ImpossibleSum {
            group,
            count: moments.count,
        });
    }
    let pairs = n.checked_mul(n - 1).ok_or_else(overflow)?;
    let step = grid.step().to_f64();
    Ok(Some(spread as f64 / pairs as f64 * step * step))
}

/// An answer: one row per group, in codebook order; one row without a group when nothing is grouped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The rows.
    pub rows: Vec<AnswerRow>,
}

/// The figures of one group. An outer `None` was not asked for, an inner `None` is not known.
///
/// As JSON: `{"group":{"qsmk":"1"},"count":403,"sum":{"age":18608},"suppressed":false}`, in a suppressed row with `null`
/// for every figure. `count` is COUNT(*) when that was asked for, else the number of people behind the other figures;
/// `count_of` appears when both are published.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerRow {
    /// Column and label of each group column.
    pub group: Vec<(String, String)>,
    /// People; `None` when suppressed.
    pub count: Option<u64>,
    /// The measured column.
    pub measured: Option<String>,
    /// People with a value in the measured column.
    pub count_of: Option<Option<u64>>,
    /// The exact sum.
    pub sum: Option<Option<Decimal>>,
    /// The mean; `None` of nobody.
    pub avg: Option<Option<f64>>,
    /// The sample variance; `None` of fewer than two people.
    pub var_samp: Option<Option<f64>>,
    /// The sample standard deviation; `None` of fewer than two people.
    pub stddev_samp: Option<Option<f64>>,
    /// True when the release rule withholds this group.
    pub suppressed: bool,
}

impl AnswerRow {
    /// Fills in sum and mean; `None` when the sum exceeds 128 bits.
    fn fill(&mut self, moments: &Moments, grid: &Grid) -> Option<()> {
        let n = i128::from(moments.count);
        let base = grid.min().checked_mul(n)?;
        let total = base.checked_add(grid.step().checked_mul(moments.steps)?)?;
        if moments.count > 0 {
            self.sum = self.sum.map(|_| Some(total));
            let unit = 10f64.powi(i32::from(total.scale()));
            let mean = total.mantissa() as f64 / (moments.count as f64 * unit);
            self.avg = self.avg.map(|_| Some(mean));
        }
        Some(())
    }
}

/// A decimal as an exact JSON number.
struct ExactNumber(Decimal);

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0.mantissa()) {
            Ok(integer) if self.0.scale() == 0 => serializer.serialize_i64(integer),
            _ => RawValue::from_string(self.0.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

/// `{"column": figure}`.
struct Named<'a, T>(&'a str, T);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, &self.1)])
    }
}

impl Serialize for AnswerRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Group<'a>(&'a [(String, String)]);
        impl Serialize for Group<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(column, label)| (column, label)))
            }
        }
        let name = self.measured.as_deref().unwrap_or_default();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("group", &Group(&self.group))?;
        map.serialize_entry("count", &self.count)?;
        if let Some(count) = self.count_of {
            map.serialize_entry("count_of", &Named(name, count))?;
        }
        if let Some(sum) = self.sum {
            map.serialize_entry("sum", &Named(name, sum.map(ExactNumber)))?;
        }
        for (key, figure) in [
            ("avg", self.avg),
            ("var_samp", self.var_samp),
            ("stddev_samp", self.stddev_samp),
        ] {
            if let Some(figure) = figure {
                map.serialize_entry(key, &Named(name, figure))?;
            }
        }
        map.serialize_entry("suppressed", &self.suppressed)?;
        map.end()
    }
}

//! Counts and sums per group, added up by polars batch by batch, and the answer that they make.

use std::collections::HashMap;

use polars::prelude::*;
use salus_schema::answer::{Answer, AnswerRow};
use salus_schema::codebook::Codebook;
use salus_schema::column::Grid;
use salus_schema::query::Measure;

use super::question::{Axis, Question};
use super::values::CellValue;
use super::{ClearAnswer, OracleError};

/// Names of the helper columns; a source column cannot have them, its names are trimmed.
pub(crate) const PEOPLE: &str = " people";
const KNOWN: &str = " known";
const STEPS: &str = " steps";
const SQUARES: &str = " squares";
const KEYS: [&str; 2] = [" group 0", " group 1"];

/// People, people with a measured value, steps and squared steps of one group.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    people: i128,
    known: i128,
    steps: i128,
    squares: i128,
}

/// The sums per group, over the batches so far.
#[derive(Default)]
pub(crate) struct Totals(HashMap<Vec<CellValue>, Sums>);

impl Totals {
    pub(crate) fn add(
        &mut self,
        question: &Question,
        frame: &DataFrame,
        codebook: &Codebook,
    ) -> Result<(), OracleError> {
        let taken = frame.filter(&question.mask(frame, codebook)?)?;
        if taken.height() == 0 {
            return Ok(());
        }
        let mut columns = vec![taken.column(PEOPLE)?.clone()];
        let known: Int64Chunked = match question.measured {
            Some(column) => {
                let present = taken.column(column.name())?.is_not_null();
                present
                    .iter()
                    .map(|yes| Some(i64::from(yes == Some(true))))
                    .collect()
            }
            None => (0..taken.height()).map(|_| Some(0)).collect(),
        };
        columns.push(known.with_name(KNOWN.into()).into_column());
        let steps: Vec<i64> = match question.summed() {
            Some((column, _)) => {
                let numbers = taken.column(column.name())?.i64()?;
                numbers.iter().map(|number| number.unwrap_or(0)).collect()
            }
            None => vec![0; taken.height()],
        };
        // Below 64,516 steps and 2^32 people a sum of steps fits; squares are only asked of columns
        // of at most 254 steps, for others they are left out.
        let narrow = question.summed().is_some_and(|(_, grid)| !grid.is_wide());
        let squares = |s: i64| if narrow { s * s } else { 0 };
        let squared =
            Int64Chunked::from_vec(SQUARES.into(), steps.iter().map(|&s| squares(s)).collect());
        columns.push(Int64Chunked::from_vec(STEPS.into(), steps).into_column());
        columns.push(squared.into_column());
        for (axis, name) in question.axes.iter().zip(KEYS) {
            columns.push(axis_column(axis, &taken)?.with_name(name.into()));
        }
        let frame = DataFrame::new(taken.height(), columns)?;
        let keys = &KEYS[..question.axes.len()];
        let sums = if keys.is_empty() {
            frame
        } else {
            group_sums(&frame, keys)?
        };
        self.merge(&sums, keys)
    }

    /// Adds rows of sums (one per group, or one per person when nothing is grouped).
    fn merge(&mut self, sums: &DataFrame, keys: &[&str]) -> Result<(), OracleError> {
        let figure =
            |name: &str| -> PolarsResult<Int64Chunked> { Ok(sums.column(name)?.i64()?.clone()) };
        let figures = [
            figure(PEOPLE)?,
            figure(KNOWN)?,
            figure(STEPS)?,
            figure(SQUARES)?,
        ];
        if keys.is_empty() {
            let sum = |c: &Int64Chunked| c.sum().map_or(0, i128::from);
            let [people, known, steps, squares] = &figures;
            let new = [sum(people), sum(known), sum(steps), sum(squares)];
            self.0.entry(Vec::new()).or_default().plus(new);
            return Ok(());
        }
        for row in 0..sums.height() {
            let mut key = Vec::with_capacity(keys.len());
            for name in keys {
                // Rows without a value in a group column are in no group.
                match cell(sums.column(name)?, row)? {
                    Some(value) => key.push(value),
                    None => break,
                }
            }
            if key.len() == keys.len() {
                let at = |c: &Int64Chunked| c.get(row).map_or(0, i128::from);
                let [people, known, steps, squares] = &figures;
                self.0.entry(key).or_default().plus([
                    at(people),
                    at(known),
                    at(steps),
                    at(squares),
                ]);
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self, question: &Question, min_cell: u64, people: u64) -> ClearAnswer {
        let mut keys = vec![GroupKey::default()];
        for axis in &question.axes {
            let longer = |key: GroupKey| axis.groups.iter().map(move |group| key.with(axis, group));
            keys = keys.into_iter().flat_map(longer).collect();
        }
        let mut cohort = 0;
        let rows = keys
            .into_iter()
            .map(|GroupKey { names, values }| {
                let sums = self.0.get(&values).copied().unwrap_or_default();
                let row = row(question, names, sums, min_cell);
                if !row.suppressed {
                    let shown = if question.asks(Measure::Count) {
                        sums.people
                    } else {
                        sums.known
                    };
                    cohort += u64::try_from(shown).unwrap_or(0);
                }
                row
            })
            .collect();
        ClearAnswer {
            answer: Answer { rows },
            cohort,
            people,
        }
    }
}

/// One group: what answers call it and what its rows hold.
#[derive(Clone, Default)]
struct GroupKey {
    names: Vec<(String, String)>,
    values: Vec<CellValue>,
}

impl GroupKey {
    fn with(&self, axis: &Axis, (label, value): &(String, CellValue)) -> Self {
        let mut key = self.clone();
        key.names
            .push((axis.column.name().to_owned(), label.clone()));
        key.values.push(value.clone());
        key
    }
}

impl Sums {
    fn plus(&mut self, [people, known, steps, squares]: [i128; 4]) {
        self.people += people;
        self.known += known;
        self.steps += steps;
        self.squares += squares;
    }
}

/// polars' eager aggregations are marked as superseded by the lazy ones; the workspace stays eager
/// (see docs/adr/0003) and the call does what it says.
#[allow(deprecated)]
fn group_sums(frame: &DataFrame, keys: &[&str]) -> PolarsResult<DataFrame> {
    let mut sums = frame
        .group_by(keys.iter().copied())?
        .select([PEOPLE, KNOWN, STEPS, SQUARES])
        .sum()?;
    for name in [PEOPLE, KNOWN, STEPS, SQUARES] {
        sums.rename(&format!("{name}_sum"), name.into())?;
    }
    Ok(sums)
}

/// The group key of each row.
fn axis_column(axis: &Axis, frame: &DataFrame) -> PolarsResult<Column> {
    let values = frame.column(axis.column.name())?;
    if axis.edges.is_none() {
        return Ok(values.clone());
    }
    let buckets: Int64Chunked = values
        .i64()?
        .iter()
        .map(|number| match axis.key(&CellValue::Number(number?)) {
            Some(CellValue::Number(bucket)) => Some(bucket),
            _ => None,
        })
        .collect();
    Ok(buckets.into_column())
}

fn cell(column: &Column, row: usize) -> PolarsResult<Option<CellValue>> {
    Ok(match column.dtype() {
        DataType::String => column
            .str()?
            .get(row)
            .map(|text| CellValue::Label(text.to_owned())),
        _ => column.i64()?.get(row).map(CellValue::Number),
    })
}

fn row(question: &Question, group: Vec<(String, String)>, sums: Sums, min_cell: u64) -> AnswerRow {
    let asks = |measure| question.asks(measure);
    let measured = question.measured.is_some();
    let counts_rows = asks(Measure::Count);
    let least = i128::from(min_cell.max(1));
    let suppressed = (counts_rows && sums.people < least) || (measured && sums.known < least);
    let count = |count: i128| {
        if suppressed {
            None
        } else {
            u64::try_from(count).ok()
        }
    };
    let separate = counts_rows && measured && question.may_miss;
    let mut row = AnswerRow {
        group,
        count: count(if counts_rows { sums.people } else { sums.known }),
        measured: question.measured.map(|column| column.name().to_owned()),
        count_of: (separate || asks(Measure::CountOf)).then(|| count(sums.known)),
        sum: asks(Measure::Sum).then_some(None),
        avg: asks(Measure::Avg).then_some(None),
        var_samp: asks(Measure::VarSamp).then_some(None),
        stddev_samp: asks(Measure::StddevSamp).then_some(None),
        suppressed,
    };
    if let (Some((_, grid)), false) = (question.summed(), suppressed) {
        fill(&mut row, grid, sums);
    }
    row
}

/// Sum, mean and variance. The integers are exact; the one division at the end of mean and variance
/// is done as the decoder of proven answers does it, so that equal integers give equal floats.
fn fill(row: &mut AnswerRow, grid: &Grid, sums: Sums) {
    let total = grid
        .min()
        .checked_mul(sums.known)
        .and_then(|base| base.checked_add(grid.step().checked_mul(sums.steps)?));
    if let Some(total) = total {
        row.sum = row.sum.map(|_| Some(total));
        let unit = 10f64.powi(i32::from(total.scale()));
        row.avg = row
            .avg
            .map(|_| Some(total.mantissa() as f64 / (sums.known as f64 * unit)));
    }
    if sums.known > 1 {
        let spread = sums.known * sums.squares - sums.steps * sums.steps;
        let step = grid.step().to_f64();
        let pairs = (sums.known * (sums.known - 1)) as f64;
        let variance = spread as f64 / pairs * step * step;
        row.var_samp = row.var_samp.map(|_| Some(variance));
        row.stddev_samp = row.stddev_samp.map(|_| Some(variance.sqrt()));
    }
}

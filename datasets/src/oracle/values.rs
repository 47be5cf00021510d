//! Source texts as values: whole grid steps, bucket numbers, labels. No codes anywhere.

use std::collections::HashMap;

use polars::prelude::*;
use salus_schema::column::{Column, ColumnKind, Grid};
use salus_schema::decimal::Decimal;

use crate::code::RefusalReason;

/// A cell's value in the unit in which the oracle compares and adds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CellValue {
    /// Exact column: how many steps above the grid's minimum. Bucketed column: the bucket's number.
    Number(i64),
    /// Categorical or ordered column: the label.
    Label(String),
}

/// Reads one column's texts, remembering what it has read.
pub(crate) struct ValueReader<'a> {
    column: &'a Column,
    labels: HashMap<&'a str, &'a str>,
    memory: HashMap<String, Option<CellValue>>,
}

/// How many distinct texts of a column are remembered.
const REMEMBERED: usize = 1 << 16;

impl<'a> ValueReader<'a> {
    pub(crate) fn new(column: &'a Column) -> Self {
        let mut labels = HashMap::new();
        if let ColumnKind::Categorical(set) | ColumnKind::Ordered(set) = column.kind() {
            for entry in set.entries() {
                labels.insert(entry.value.as_str(), entry.label.as_str());
                labels.insert(entry.label.as_str(), entry.label.as_str());
            }
        }
        Self {
            column,
            labels,
            memory: HashMap::new(),
        }
    }

    /// The value of a text; None when it is missing.
    pub(crate) fn read(&mut self, text: Option<&str>) -> Result<Option<CellValue>, RefusalReason> {
        let text = text.map(str::trim).unwrap_or_default();
        if let Some(known) = self.memory.get(text) {
            return Ok(known.clone());
        }
        let value = self.parse(text)?;
        if self.memory.len() < REMEMBERED {
            self.memory.insert(text.to_owned(), value.clone());
        }
        Ok(value)
    }

    fn parse(&self, text: &str) -> Result<Option<CellValue>, RefusalReason> {
        let missing = self.column.missing();
        if text.is_empty() || missing.iter().any(|marker| marker.trim() == text) {
            return if missing.is_empty() {
                Err(RefusalReason::Missing)
            } else {
                Ok(None)
            };
        }
        let number = || {
            text.parse::<Decimal>()
                .map_err(|_| RefusalReason::NotANumber)
        };
        match self.column.kind() {
            ColumnKind::Categorical(_) | ColumnKind::Ordered(_) => self
                .labels
                .get(text)
                .map(|&label| Some(CellValue::Label(label.to_owned())))
                .ok_or(RefusalReason::UnknownValue),
            ColumnKind::Bucketed(buckets) => {
                let value = number()?;
                let edges = buckets.edges();
                let bucket = edges
                    .windows(2)
                    .position(|pair| pair[0] <= value && value < pair[1]);
                bucket
                    .map(|b| Some(CellValue::Number(b as i64)))
                    .ok_or(RefusalReason::OutOfRange)
            }
            ColumnKind::Exact(grid) => steps(grid, number()?).map(|s| Some(CellValue::Number(s))),
        }
    }
}

/// How many steps above its minimum the grid value of `value` lies, after the declared rounding
/// (to the nearest, halves away from zero).
pub(crate) fn steps(grid: &Grid, value: Decimal) -> Result<i64, RefusalReason> {
    let range = || RefusalReason::OutOfRange;
    let scale = value
        .scale()
        .max(grid.min().scale())
        .max(grid.step().scale());
    let value = value.scaled(scale).ok_or_else(range)?;
    let min = grid.min().scaled(scale).ok_or_else(range)?;
    let step = grid.step().scaled(scale).ok_or_else(range)?;
    let last = grid.count() as i128 - 1;
    let above = value.checked_sub(min).ok_or_else(range)?;
    let nearest = if above % step == 0 {
        above / step
    } else if !grid.rounding() {
        let inside = above > 0 && above < last * step;
        return Err(if inside {
            RefusalReason::OffGrid
        } else {
            RefusalReason::OutOfRange
        });
    } else {
        let below = above.div_euclid(step);
        let twice = 2 * above.rem_euclid(step);
        // A half is rounded up for positive values and down for negative ones.
        if twice > step || (twice == step && value >= 0) {
            below + 1
        } else {
            below
        }
    };
    if (0..=last).contains(&nearest) {
        i64::try_from(nearest).map_err(|_| range())
    } else {
        Err(RefusalReason::OutOfRange)
    }
}

/// One column of values as a polars column; labels as text, the rest as 64-bit integers.
pub(crate) fn to_polars(column: &Column, values: &[Option<CellValue>]) -> polars::prelude::Column {
    let name: PlSmallStr = column.name().into();
    match column.kind() {
        ColumnKind::Categorical(_) | ColumnKind::Ordered(_) => {
            let texts: StringChunked = values
                .iter()
                .map(|value| match value {
                    Some(CellValue::Label(label)) => Some(label.as_str()),
                    _ => None,
                })
                .collect();
            texts.with_name(name).into_column()
        }
        ColumnKind::Bucketed(_) | ColumnKind::Exact(_) => {
            let numbers: Int64Chunked = values
                .iter()
                .map(|value| match value {
                    Some(CellValue::Number(number)) => Some(*number),
                    _ => None,
                })
                .collect();
            numbers.with_name(name).into_column()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn grid(min: &str, step: &str, max: &str, rounding: bool) -> Grid {
        Grid::new(
            min.parse().unwrap(),
            step.parse().unwrap(),
            max.parse().unwrap(),
            rounding,
        )
        .unwrap()
    }

    #[test]
    fn rounds_to_the_nearest_and_halves_away_from_zero() {
        let grid = grid("-1", "0.1", "1", true);
        let at = |text: &str| steps(&grid, text.parse().unwrap());
        assert_eq!(at("0.04999"), Ok(10));
        assert_eq!(at("0.05"), Ok(11));
        assert_eq!(at("-0.05"), Ok(9));
        assert_eq!(at("-0.049"), Ok(10));
        assert_eq!(at("1.04"), Ok(20));
        assert_eq!(at("1.05"), Err(RefusalReason::OutOfRange));
        assert_eq!(at("-1.05"), Err(RefusalReason::OutOfRange));
    }

    #[test]
    fn refuses_what_a_grid_without_rounding_does_not_hold() {
        let grid = grid("0", "0.5", "10", false);
        let at = |text: &str| steps(&grid, text.parse().unwrap());
        assert_eq!(at("1.50"), Ok(3));
        assert_eq!(at("1.25"), Err(RefusalReason::OffGrid));
        assert_eq!(at("10.25"), Err(RefusalReason::OutOfRange));
        assert_eq!(at("-0.25"), Err(RefusalReason::OutOfRange));
    }
}

//! One query on the level of values: which rows it takes, which group a row is in, which groups
//! there are.

use polars::prelude::*;
use salus_schema::codebook::Codebook;
use salus_schema::column::{Column, ColumnKind, Grid};
use salus_schema::decimal::Decimal;
use salus_schema::filter::Accept;
use salus_schema::query::{Measure, Query};

use super::OracleError;
use super::values::{CellValue, steps};

/// One group column: its groups in codebook order, and how a value finds its group.
pub(crate) struct Axis<'a> {
    pub column: &'a Column,
    /// Bucket edges, when the query cuts the column into buckets.
    pub edges: Option<Vec<Decimal>>,
    /// Label and key of each group.
    pub groups: Vec<(String, CellValue)>,
}

/// A query with its columns found.
pub(crate) struct Question<'a> {
    pub query: &'a Query,
    pub axes: Vec<Axis<'a>>,
    pub measured: Option<&'a Column>,
    /// Whether a person in the answer may have no measured value.
    pub may_miss: bool,
}

impl<'a> Question<'a> {
    pub(crate) fn new(query: &'a Query, codebook: &'a Codebook) -> Result<Self, OracleError> {
        let find = |name: &str| {
            codebook
                .find(name)
                .map(|(_, column)| column)
                .ok_or_else(|| OracleError::UnknownColumn {
                    name: name.to_owned(),
                })
        };
        let measured = query.measured().map(find).transpose()?;
        let mut axes = Vec::new();
        for grouping in query.group_by() {
            let column = find(grouping.column())?;
            axes.push(Axis::new(
                column,
                grouping.edges(),
                accept_of(query, column.name()),
            ));
        }
        for condition in query.filter() {
            find(condition.column())?;
        }
        let may_miss = measured.is_some_and(|column| {
            column.nullable()
                && axes.iter().all(|axis| axis.column.name() != column.name())
                && accept_of(query, column.name()).is_none_or(takes_missing)
        });
        Ok(Self {
            query,
            axes,
            measured,
            may_miss,
        })
    }

    /// The names of the columns that the query reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let filtered = self
            .query
            .filter()
            .iter()
            .map(|condition| condition.column());
        let grouped = self.axes.iter().map(|axis| axis.column.name());
        filtered
            .chain(grouped)
            .chain(self.measured.map(Column::name))
    }

    /// The column whose sums are asked for, with its grid.
    pub(crate) fn summed(&self) -> Option<(&'a Column, &'a Grid)> {
        let asked = self
            .query
            .measures()
            .iter()
            .any(|measure| measure.needs_sum());
        match self.measured.map(|column| (column, column.kind())) {
            Some((column, ColumnKind::Exact(grid))) if asked => Some((column, grid)),
            _ => None,
        }
    }

    pub(crate) fn asks(&self, measure: Measure) -> bool {
        self.query.asks(measure)
    }

    /// Which rows satisfy every condition.
    pub(crate) fn mask(
        &self,
        frame: &DataFrame,
        codebook: &Codebook,
    ) -> PolarsResult<BooleanChunked> {
        let mut mask = BooleanChunked::full("take".into(), true, frame.height());
        for condition in self.query.filter() {
            let values = frame.column(condition.column())?.as_materialized_series();
            let Some((_, column)) = codebook.find(condition.column()) else {
                continue;
            };
            mask = mask & accepts(column, condition.accept(), values)?;
        }
        Ok(mask)
    }
}

fn accept_of<'a>(query: &'a Query, column: &str) -> Option<&'a Accept> {
    let condition = query
        .filter()
        .iter()
        .find(|condition| condition.column() == column);
    condition.map(|condition| condition.accept())
}

fn takes_missing(accept: &Accept) -> bool {
    match accept {
        Accept::Nothing | Accept::Present => false,
        Accept::Missing => true,
        Accept::Labels { or_missing, .. }
        | Accept::Ranges { or_missing, .. }
        | Accept::Buckets { or_missing, .. } => *or_missing,
    }
}

/// Which values of a column are accepted, row by row; a missing value never compares true.
fn accepts(column: &Column, accept: &Accept, values: &Series) -> PolarsResult<BooleanChunked> {
    let known = values.is_not_null();
    let none = || BooleanChunked::full("none".into(), false, values.len());
    let (taken, or_missing) = match accept {
        Accept::Nothing => (none(), false),
        Accept::Missing => (none(), true),
        Accept::Present => (known.clone(), false),
        Accept::Labels { labels, or_missing } => {
            let texts = values.str()?;
            let taken = labels
                .iter()
                .fold(none(), |taken, label| taken | texts.equal(label.as_str()));
            (taken, *or_missing)
        }
        Accept::Ranges { ranges, or_missing } | Accept::Buckets { ranges, or_missing } => {
            let numbers = values.i64()?;
            let taken = ranges.iter().fold(none(), |taken, &(from, to)| {
                let (from, to) = span(column, from, to);
                taken | (numbers.gt_eq(from) & numbers.lt_eq(to))
            });
            (taken, *or_missing)
        }
    };
    let taken = taken & known.clone();
    Ok(if or_missing { taken | !known } else { taken })
}

/// The first and the last accepted number of a range: grid steps, or bucket numbers.
fn span(column: &Column, from: Decimal, to: Decimal) -> (i64, i64) {
    const NOTHING: (i64, i64) = (0, -1);
    match column.kind() {
        ColumnKind::Exact(grid) => match (steps(grid, from), steps(grid, to)) {
            (Ok(from), Ok(to)) => (from, to),
            _ => NOTHING,
        },
        ColumnKind::Bucketed(buckets) => {
            let number = |edge: Decimal| buckets.edges().iter().position(|&e| e == edge);
            match (number(from), number(to)) {
                (Some(from), Some(to)) => (from as i64, to as i64 - 1),
                _ => NOTHING,
            }
        }
        ColumnKind::Categorical(_) | ColumnKind::Ordered(_) => NOTHING,
    }
}

impl<'a> Axis<'a> {
    fn new(column: &'a Column, edges: Option<&[Decimal]>, accept: Option<&Accept>) -> Self {
        let mut axis = Self {
            column,
            edges: edges.map(<[Decimal]>::to_vec),
            groups: Vec::new(),
        };
        let allowed = axis
            .candidates()
            .into_iter()
            .filter(|value| accept.is_none_or(|accept| allows(column, accept, value)));
        let mut groups: Vec<(String, CellValue)> = Vec::new();
        for value in allowed.collect::<Vec<_>>() {
            let Some(key) = axis.key(&value) else {
                continue;
            };
            if groups.last().is_none_or(|(_, last)| *last != key) {
                groups.push((axis.label(&key), key));
            }
        }
        axis.groups = groups;
        axis
    }

    /// Every value that the column can have, in codebook order.
    fn candidates(&self) -> Vec<CellValue> {
        match self.column.kind() {
            ColumnKind::Categorical(set) | ColumnKind::Ordered(set) => set
                .entries()
                .iter()
                .map(|e| CellValue::Label(e.label.clone()))
                .collect(),
            ColumnKind::Bucketed(buckets) => (0..buckets.len())
                .map(|b| CellValue::Number(b as i64))
                .collect(),
            ColumnKind::Exact(grid) => (0..grid.count())
                .map(|s| CellValue::Number(s as i64))
                .collect(),
        }
    }

    /// The lower end of what a number stands for.
    fn number(&self, value: &CellValue) -> Option<Decimal> {
        let CellValue::Number(number) = value else {
            return None;
        };
        let position = usize::try_from(*number).ok()?;
        match self.column.kind() {
            ColumnKind::Exact(grid) => (position < grid.count()).then(|| grid.value(position)),
            ColumnKind::Bucketed(buckets) => buckets.edges().get(position).copied(),
            ColumnKind::Categorical(_) | ColumnKind::Ordered(_) => None,
        }
    }

    /// The group of a value: the value itself, or the number of its bucket; None outside all buckets.
    pub(crate) fn key(&self, value: &CellValue) -> Option<CellValue> {
        let Some(edges) = &self.edges else {
            return Some(value.clone());
        };
        let number = self.number(value)?;
        let bucket = edges
            .windows(2)
            .position(|pair| pair[0] <= number && number < pair[1])?;
        Some(CellValue::Number(bucket as i64))
    }

    fn label(&self, key: &CellValue) -> String {
        let bucket = |edges: &[Decimal], number: i64| {
            let at = |offset: i64| {
                let index = usize::try_from(number + offset).ok();
                index
                    .and_then(|index| edges.get(index))
                    .map(Decimal::to_string)
                    .unwrap_or_default()
            };
            format!("[{},{})", at(0), at(1))
        };
        match (key, &self.edges, self.column.kind()) {
            (CellValue::Label(label), _, _) => label.clone(),
            (CellValue::Number(number), Some(edges), _) => bucket(edges, *number),
            (CellValue::Number(number), None, ColumnKind::Bucketed(buckets)) => {
                bucket(buckets.edges(), *number)
            }
            (CellValue::Number(_), None, _) => self
                .number(key)
                .map(|number| number.to_string())
                .unwrap_or_default(),
        }
    }
}

fn allows(column: &Column, accept: &Accept, value: &CellValue) -> bool {
    match (accept, value) {
        (Accept::Nothing | Accept::Missing, _) => false,
        (Accept::Present, _) => true,
        (Accept::Labels { labels, .. }, CellValue::Label(label)) => labels.contains(label),
        (
            Accept::Ranges { ranges, .. } | Accept::Buckets { ranges, .. },
            CellValue::Number(number),
        ) => ranges.iter().any(|&(from, to)| {
            let (from, to) = span(column, from, to);
            (from..=to).contains(number)
        }),
        _ => false,
    }
}

//! Conditions on one column: value-level and canonical on the outside, sets of codes on the inside.

use std::collections::BTreeMap;

use crate::codeset::CodeSet;
use crate::column::{Categories, Column, ColumnKind, Grid, MISSING, ONE_COLUMN_VALUES};
use crate::decimal::Decimal;
use crate::refusal::Cause;

/// The values that a condition accepts, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// No record at all.
    Nothing,
    /// Only records without a value.
    Missing,
    /// Every record with a value.
    Present,
    /// These labels of a categorical or ordered column, in codebook order.
    Labels {
        /// The labels.
        labels: Vec<String>,
        /// Records without a value as well.
        or_missing: bool,
    },
    /// These closed ranges of an exact column: ascending, disjoint, ends on the grid, never adjacent.
    Ranges {
        /// The smallest and the largest value of each.
        ranges: Vec<(Decimal, Decimal)>,
        /// Records without a value as well.
        or_missing: bool,
    },
    /// These half-open ranges of a bucketed column: ascending, disjoint, ends at edges, never adjacent.
    Buckets {
        /// The lower edge, included, and the upper edge, excluded, of each.
        ranges: Vec<(Decimal, Decimal)>,
        /// Records without a value as well.
        or_missing: bool,
    },
}

/// What one column must satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub(crate) column: String,
    pub(crate) accept: Accept,
}

impl Condition {
    /// The name of the column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The values that it accepts.
    pub const fn accept(&self) -> &Accept {
        &self.accept
    }

    /// The canonical condition of a set of codes, or `None` when the set holds every code.
    pub(crate) fn of_codes(column: &Column, codes: CodeSet) -> Option<Self> {
        let or_missing = codes.contains(MISSING);
        let all = domain(column);
        let values = codes.intersection(all);
        let accept = if values.is_empty() {
            if or_missing {
                Accept::Missing
            } else {
                Accept::Nothing
            }
        } else if values == all {
            if or_missing {
                return None;
            }
            Accept::Present
        } else {
            let ranges = values.position_ranges();
            match column.kind() {
                ColumnKind::Categorical(categories) | ColumnKind::Ordered(categories) => {
                    Accept::Labels {
                        labels: ranges
                            .into_iter()
                            .flat_map(|(from, to)| &categories.entries()[from..=to])
                            .map(|entry| entry.label.clone())
                            .collect(),
                        or_missing,
                    }
                }
                ColumnKind::Exact(grid) => Accept::Ranges {
                    ranges: ranges
                        .into_iter()
                        .map(|(from, to)| (grid.value(from), grid.value(to)))
                        .collect(),
                    or_missing,
                },
                ColumnKind::Bucketed(buckets) => Accept::Buckets {
                    ranges: ranges
                        .into_iter()
                        .map(|(from, to)| (buckets.edges()[from], buckets.edges()[to + 1]))
                        .collect(),
                    or_missing,
                },
            }
        };
        Some(Self {
            column: column.name().to_owned(),
            accept,
        })
    }

    /// The codes that it accepts; of a wide column, those of the high digit.
    pub(crate) fn codes(&self, column: &Column) -> Result<CodeSet, Cause> {
        let misfit = || Cause::ConditionForm {
            column: column.name().to_owned(),
            kind: column.kind().word(),
        };
        let (values, or_missing) = match (&self.accept, column.kind()) {
            (Accept::Nothing, _) => (CodeSet::NONE, false),
            (Accept::Missing, _) => (CodeSet::NONE, true),
            (Accept::Present, _) => (domain(column), false),
            (
                Accept::Labels { labels, or_missing },
                ColumnKind::Categorical(categories) | ColumnKind::Ordered(categories),
            ) => {
                let mut set = CodeSet::NONE;
                for label in labels {
                    let position = usize::from(label_position(column, categories, label)?);
                    set = set.union(CodeSet::positions(position, position + 1));
                }
                (set, *or_missing)
            }
            (Accept::Ranges { ranges, or_missing }, ColumnKind::Exact(grid)) => {
                if grid.is_wide() {
                    return Err(Cause::Wide {
                        column: column.name().to_owned(),
                    });
                }
                let sets = ranges.iter().map(|&(from, to)| {
                    let (end, equal) = grid.below(to);
                    CodeSet::positions(grid.below(from).0, end + usize::from(equal))
                });
                (sets.fold(CodeSet::NONE, CodeSet::union), *or_missing)
            }
            (Accept::Buckets { ranges, or_missing }, ColumnKind::Bucketed(_)) => {
                let mut set = CodeSet::NONE;
                for &(from, to) in ranges {
                    let (from, to) = (buckets_below(column, from)?, buckets_below(column, to)?);
                    set = set.union(CodeSet::positions(from, to));
                }
                (set, *or_missing)
            }
            _ => return Err(misfit()),
        };
        Ok(if or_missing {
            values.union(CodeSet::missing())
        } else {
            values
        })
    }
}

/// Every value code of the column; of a wide column, those of the high digit.
pub(crate) fn domain(column: &Column) -> CodeSet {
    let count = column.kind().count();
    if column.kind().is_wide() {
        CodeSet::positions(0, count.div_ceil(ONE_COLUMN_VALUES))
    } else {
        CodeSet::positions(0, count)
    }
}

/// The number of buckets wholly below `bound`, which must be an edge or lie beyond all of them.
pub(crate) fn buckets_below(column: &Column, bound: Decimal) -> Result<usize, Cause> {
    let ColumnKind::Bucketed(buckets) = column.kind() else {
        return Err(Cause::ConditionForm {
            column: column.name().to_owned(),
            kind: column.kind().word(),
        });
    };
    let edges = buckets.edges();
    match edges.binary_search(&bound) {
        Ok(position) => Ok(position),
        Err(0) => Ok(0),
        Err(position) if position == edges.len() => Ok(buckets.len()),
        Err(_) => Err(Cause::NotAtEdge {
            column: column.name().to_owned(),
            bound: bound.to_string(),
            edges: edges.iter().map(Decimal::to_string).collect(),
        }),
    }
}

fn label_position(column: &Column, categories: &Categories, text: &str) -> Result<u8, Cause> {
    let same_number = || {
        let number: Decimal = text.parse().ok()?;
        let position = categories.entries().iter().position(|entry| {
            entry.value.parse() == Ok(number) || entry.label.parse() == Ok(number)
        })?;
        u8::try_from(position).ok()
    };
    categories
        .position(text)
        .or_else(same_number)
        .ok_or_else(|| Cause::UnknownValue {
            column: column.name().to_owned(),
            value: text.to_owned(),
            known: categories
                .entries()
                .iter()
                .map(|entry| entry.label.clone())
                .collect(),
        })
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The operator that means the same with its sides exchanged.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// The codes for which a comparison is true and for which it is false; for a missing value it is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) yes: CodeSet,
    pub(crate) no: CodeSet,
}

impl Truth {
    /// `column IS NULL`.
    pub(crate) fn is_null(column: &Column) -> Self {
        Self {
            yes: CodeSet::missing(),
            no: domain(column),
        }
    }

    /// `column op constant`.
    pub(crate) fn compare(column: &Column, op: Comparison, constant: &str) -> Result<Self, Cause> {
        let all = domain(column);
        let yes = match column.kind() {
            ColumnKind::Categorical(categories) => {
                let position = usize::from(label_position(column, categories, constant)?);
                let one = CodeSet::positions(position, position + 1);
                match op {
                    Comparison::Equal => one,
                    Comparison::NotEqual => all.difference(one),
                    _ => {
                        return Err(Cause::Unordered {
                            column: column.name().to_owned(),
                        });
                    }
                }
            }
            ColumnKind::Ordered(categories) => {
                let position = usize::from(label_position(column, categories, constant)?);
                ordered(op, position, true, all)
            }
            ColumnKind::Bucketed(_) => {
                let bound = number(column, constant)?;
                bucketed(column, op, bound, all)?
            }
            ColumnKind::Exact(grid) if grid.is_wide() => {
                return Err(Cause::Wide {
                    column: column.name().to_owned(),
                });
            }
            ColumnKind::Exact(grid) => exact(grid, op, number(column, constant)?, all),
        };
        Ok(Self {
            yes,
            no: all.difference(yes),
        })
    }

    pub(crate) fn not(self) -> Self {
        Self {
            yes: self.no,
            no: self.yes,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            yes: self.yes.intersection(other.yes),
            no: self.no.union(other.no),
        }
    }
}

fn number(column: &Column, text: &str) -> Result<Decimal, Cause> {
    text.parse().map_err(|_| Cause::NotANumber {
        column: column.name().to_owned(),
        text: text.to_owned(),
    })
}

/// The codes that compare so with the value before which `below` values stand.
fn ordered(op: Comparison, below: usize, equal: bool, all: CodeSet) -> CodeSet {
    let less = CodeSet::positions(0, below);
    let same = CodeSet::positions(below, below + usize::from(equal));
    match op {
        Comparison::Equal => same,
        Comparison::NotEqual => all.difference(same),
        Comparison::Less => less,
        Comparison::LessOrEqual => less.union(same),
        Comparison::Greater => all.difference(less.union(same)),
        Comparison::GreaterOrEqual => all.difference(less),
    }
}

fn exact(grid: &Grid, op: Comparison, bound: Decimal, all: CodeSet) -> CodeSet {
    let (below, equal) = grid.below(bound);
    ordered(op, below, equal, all)
}

fn bucketed(
    column: &Column,
    op: Comparison,
    bound: Decimal,
    all: CodeSet,
) -> Result<CodeSet, Cause> {
    let ColumnKind::Bucketed(buckets) = column.kind() else {
        return Ok(CodeSet::NONE);
    };
    let edges = buckets.edges();
    let outside = bound < edges[0] || bound >= edges[edges.len() - 1];
    let splits = matches!(op, Comparison::Less | Comparison::GreaterOrEqual);
    if !outside && !splits {
        return Err(Cause::NotAtEdge {
            column: column.name().to_owned(),
            bound: format!("a comparison with {bound} other than < or >="),
            edges: edges.iter().map(Decimal::to_string).collect(),
        });
    }
    Ok(ordered(op, buckets_below(column, bound)?, false, all))
}

/// A condition tree over one or more columns, as far as public tables can express it.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    /// Every column satisfies its own truth.
    All(BTreeMap<usize, Truth>),
    /// At least one column satisfies its own truth; never with fewer than two columns.
    Any(BTreeMap<usize, Truth>),
}

impl Predicate {
    pub(crate) fn one(column: usize, truth: Truth) -> Self {
        Self::All(BTreeMap::from([(column, truth)]))
    }

    pub(crate) fn not(self) -> Self {
        let turn = |truths: BTreeMap<usize, Truth>| {
            truths.into_iter().map(|(c, t)| (c, t.not())).collect()
        };
        match self {
            Self::All(truths) if truths.len() == 1 => Self::All(turn(truths)),
            Self::All(truths) => Self::Any(turn(truths)),
            Self::Any(truths) => Self::All(turn(truths)),
        }
    }

    /// The conjunction, or the columns that an OR would have to join.
    pub(crate) fn and(self, other: Self) -> Result<Self, Vec<usize>> {
        match (self, other) {
            (Self::All(mut left), Self::All(right)) => {
                for (column, truth) in right {
                    left.entry(column)
                        .and_modify(|t| *t = t.and(truth))
                        .or_insert(truth);
                }
                Ok(Self::All(left))
            }
            (Self::Any(truths), _) | (_, Self::Any(truths)) => Err(truths.into_keys().collect()),
        }
    }

    /// The disjunction, or the columns that it would have to join.
    pub(crate) fn or(self, other: Self) -> Result<Self, Vec<usize>> {
        let both: Vec<usize> = {
            let mut columns: Vec<usize> = self.columns().chain(other.columns()).collect();
            columns.sort_unstable();
            columns.dedup();
            columns
        };
        self.not().and(other.not()).map(Self::not).map_err(|_| both)
    }

    fn columns(&self) -> impl Iterator<Item = usize> {
        let (Self::All(truths) | Self::Any(truths)) = self;
        truths.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_of_an_unknown_comparison_stays_unknown() {
        let column = Column::exact(
            "a",
            (Decimal::from(1), Decimal::from(1), Decimal::from(9)),
            false,
            vec![String::new()],
        )
        .expect("a small grid");
        let truth = Truth::compare(&column, Comparison::Less, "4").expect("a number");
        assert!(!truth.yes.contains(MISSING) && !truth.not().yes.contains(MISSING));
        assert_eq!(truth.yes.union(truth.no), domain(&column));
    }
}

//! The query model: measures, conditions per column, groups; one canonical form and one hash.
//!
//! A query is checked against a codebook when it is made, so that a [`Query`] in hand can be planned for that codebook.
//! The canonical form is on the level of values: texts that accept the same values have the same form.

use std::collections::BTreeMap;

use crate::codebook::Codebook;
use crate::codeset::CodeSet;
use crate::column::{Column, ColumnKind, FIRST_VALUE, Value};
use crate::decimal::Decimal;
use crate::digest::keccak256;
use crate::filter::{Accept, Condition, buckets_below, domain};
use crate::planner;
use crate::query_json::QueryForm;
use crate::refusal::{Cause, Refusal};

/// Version of the query model.
pub const QUERY_VERSION: u32 = 1;
/// Groups of one query, at most.
pub const MAX_GROUPS: usize = 64;
/// Bytes of a query text, at most.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Group columns of one query, at most.
pub const MAX_GROUP_COLUMNS: usize = 2;

/// What is computed of each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// `COUNT(*)`: people in the group.
    Count,
    /// `COUNT(column)`: people in the group whose measured column has a value.
    CountOf,
    /// `SUM(column)`.
    Sum,
    /// `AVG(column)`.
    Avg,
    /// `VAR_SAMP(column)`: sample variance, dividing by n - 1.
    VarSamp,
    /// `STDDEV_SAMP(column)`: the square root of the sample variance.
    StddevSamp,
}

impl Measure {
    /// The SQL function.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Count | Self::CountOf => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::VarSamp => "VAR_SAMP",
            Self::StddevSamp => "STDDEV_SAMP",
        }
    }

    /// True when it needs the sum of the measured column.
    pub const fn needs_sum(self) -> bool {
        !matches!(self, Self::Count | Self::CountOf)
    }

    /// True when it needs the sum of squares of the measured column.
    pub const fn needs_squares(self) -> bool {
        matches!(self, Self::VarSamp | Self::StddevSamp)
    }
}

/// One column to group by. Records without a value there are in no group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    pub(crate) column: String,
    pub(crate) edges: Option<Vec<Decimal>>,
}

impl Grouping {
    /// The name of the column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The edges of half-open buckets, ascending, or `None` for one group per value.
    pub fn edges(&self) -> Option<&[Decimal]> {
        self.edges.as_deref()
    }
}

/// One group along one group column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How answers show it: a label, a number, or a bucket such as `[20,30)`.
    pub label: String,
    /// The codes that belong to it.
    pub codes: CodeSet,
}

/// The groups along one group column, in code order; values that the conditions exclude make no group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAxis {
    /// The position of the column in the codebook.
    pub column: usize,
    /// The name of the column.
    pub name: String,
    /// At least one group, disjoint.
    pub groups: Vec<Group>,
}

/// A query in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub(crate) measures: Vec<Measure>,
    pub(crate) measured: Option<String>,
    pub(crate) filter: Vec<Condition>,
    pub(crate) group_by: Vec<Grouping>,
}

/// How a draft cuts a group column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Values,
    Width(Decimal),
    Edges(Vec<Decimal>),
}

/// The part of a query that a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Measure(usize),
    Group(usize),
}

/// A query before it is checked and made canonical; columns are positions in the codebook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) measures: Vec<(Measure, Option<usize>)>,
    pub(crate) filter: BTreeMap<usize, CodeSet>,
    pub(crate) groups: Vec<(usize, Cut)>,
}

impl Draft {
    /// The canonical query, or what cannot be asked and which part of the draft asks it.
    pub(crate) fn finish(self, codebook: &Codebook) -> Result<Query, (Cause, Part)> {
        let columns = codebook.columns();
        let measured = self.measured(codebook)?;
        let mut measures: Vec<Measure> = self.measures.iter().map(|&(m, _)| m).collect();
        measures.sort_unstable();
        measures.dedup();
        if self.groups.len() > MAX_GROUP_COLUMNS {
            let found = self.groups.len();
            return Err((Cause::GroupColumns { found }, Part::Group(2)));
        }
        let filter = self
            .filter
            .iter()
            .filter_map(|(&column, &codes)| Condition::of_codes(&columns[column], codes))
            .collect();
        let mut group_by: Vec<Grouping> = Vec::new();
        for (i, (column, cut)) in self.groups.into_iter().enumerate() {
            let column = &columns[column];
            let at = |cause| (cause, Part::Group(i));
            if group_by.iter().any(|g| g.column == column.name()) {
                return Err(at(Cause::RepeatedGroup {
                    column: column.name().to_owned(),
                }));
            }
            let edges = cut_edges(column, cut).map_err(at)?;
            group_by.push(Grouping {
                column: column.name().to_owned(),
                edges,
            });
        }
        let query = Query {
            measures,
            measured: measured.map(|c| columns[c].name().to_owned()),
            filter,
            group_by,
        };
        let axes = query.axes_or(codebook)?;
        planner::check(&query, codebook, &axes).map_err(|cause| (cause, Part::Whole))?;
        Ok(query)
    }

    fn measured(&self, codebook: &Codebook) -> Result<Option<usize>, (Cause, Part)> {
        if self.measures.is_empty() {
            return Err((Cause::NoMeasure, Part::Whole));
        }
        let mut measured: Option<usize> = None;
        for (i, &(measure, column)) in self.measures.iter().enumerate() {
            let at = |cause| (cause, Part::Measure(i));
            let Some(column) = column else {
                continue;
            };
            let name = |c: usize| codebook.columns()[c].name().to_owned();
            if let Some(first) = measured.filter(|&first| first != column) {
                return Err(at(Cause::TwoColumnsMeasured {
                    first: name(first),
                    second: name(column),
                }));
            }
            measured = Some(column);
            let kind = codebook.columns()[column].kind();
            if measure.needs_sum() && !matches!(kind, ColumnKind::Exact(_)) {
                return Err(at(Cause::NotNumeric {
                    column: name(column),
                    kind: kind.word(),
                }));
            }
            if measure.needs_squares() && kind.is_wide() {
                return Err(at(Cause::WideVariance {
                    column: name(column),
                }));
            }
        }
        Ok(measured)
    }
}

/// The canonical edges of a cut, `None` for one group per value.
fn cut_edges(column: &Column, cut: Cut) -> Result<Option<Vec<Decimal>>, Cause> {
    let name = || column.name().to_owned();
    if column.kind().is_wide() {
        return Err(Cause::WideGroup { column: name() });
    }
    let (first, last) = match (column.kind(), &cut) {
        (_, Cut::Values) => return Ok(None),
        (ColumnKind::Categorical(_) | ColumnKind::Ordered(_), _) => {
            return Err(Cause::BucketLabels { column: name() });
        }
        (ColumnKind::Exact(grid), _) => (grid.min(), grid.max()),
        (ColumnKind::Bucketed(buckets), _) => (buckets.edges()[0], buckets.edges()[buckets.len()]),
    };
    let edges = match cut {
        Cut::Values => return Ok(None),
        Cut::Edges(edges) => edges,
        Cut::Width(width) => {
            let bad = || Cause::BucketWidth {
                width: width.to_string(),
            };
            let (from, _) = first.div_floor(width).ok_or_else(bad)?;
            let (to, exact) = last.div_floor(width).ok_or_else(bad)?;
            // A bucketed column ends before its last edge; an exact column contains its maximum.
            let closed = exact && matches!(column.kind(), ColumnKind::Bucketed(_));
            let to = if closed { to } else { to + 1 };
            check_bucket_count(column, to - from)?;
            (from..=to)
                .map(|k| width.checked_mul(k).ok_or_else(bad))
                .collect::<Result<_, _>>()?
        }
    };
    if edges.len() < 2 {
        return Err(Cause::BucketArguments);
    }
    check_bucket_count(column, edges.len() as i128 - 1)?;
    if let Some(pair) = edges.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(Cause::BucketOrder {
            before: pair[0].to_string(),
            after: pair[1].to_string(),
        });
    }
    if let ColumnKind::Bucketed(buckets) = column.kind() {
        for &edge in &edges {
            buckets_below(column, edge)?;
        }
        if edges == buckets.edges() {
            return Ok(None);
        }
    }
    Ok(Some(edges))
}

fn check_bucket_count(column: &Column, found: i128) -> Result<(), Cause> {
    const MOST: i128 = 254;
    if found > MOST {
        return Err(Cause::BucketCount {
            column: column.name().to_owned(),
            found: usize::try_from(found).unwrap_or(usize::MAX),
        });
    }
    Ok(())
}

impl Query {
    /// The query that a SQL text asks of the dataset of `codebook`.
    ///
    /// # Errors
    /// If the text is not SQL, or asks what cannot be answered; the refusal names the place, the reason and a way out.
    pub fn from_sql(text: &str, codebook: &Codebook) -> Result<Self, Refusal> {
        crate::sql::read(text, codebook)
    }

    /// The query that a JSON text asks of the dataset of `codebook`; the text need not be canonical.
    ///
    /// # Errors
    /// If the text is not the versioned JSON form, or asks what cannot be answered.
    pub fn from_json(text: &str, codebook: &Codebook) -> Result<Self, Refusal> {
        crate::query_json::read(text, codebook).map_err(Refusal::without_place)
    }

    /// The canonical JSON text: no blanks, sorted measures, conditions in codebook order.
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(&QueryForm::of(self))
            .expect("the form holds only strings, numbers and lists")
    }

    /// The keccak of the canonical JSON text, the body hash of a query on chain.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(self.canonical_json().as_bytes())
    }

    /// The measures, each once, in the order of [`Measure`].
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// True when `measure` is asked for.
    pub fn asks(&self, measure: Measure) -> bool {
        self.measures.contains(&measure)
    }

    /// The column that is summed, averaged or counted, if any.
    pub fn measured(&self) -> Option<&str> {
        self.measured.as_deref()
    }

    /// The conditions, in codebook order, one per column; a record must satisfy all.
    pub fn filter(&self) -> &[Condition] {
        &self.filter
    }

    /// The group columns, at most two, in the order asked for.
    pub fn group_by(&self) -> &[Grouping] {
        &self.group_by
    }

    /// The accepted codes per restricted column, keyed by position in the codebook; of a wide column, of its high digit.
    ///
    /// # Errors
    /// If the query was made for another codebook.
    pub fn code_filter(&self, codebook: &Codebook) -> Result<BTreeMap<usize, CodeSet>, Refusal> {
        self.codes_by_column(codebook)
            .map_err(Refusal::without_place)
    }

    pub(crate) fn codes_by_column(
        &self,
        codebook: &Codebook,
    ) -> Result<BTreeMap<usize, CodeSet>, Cause> {
        let mut sets = BTreeMap::new();
        for condition in &self.filter {
            let (position, column) = find(codebook, &condition.column)?;
            sets.insert(position, condition.codes(column)?);
        }
        Ok(sets)
    }

    /// The groups along each group column.
    ///
    /// # Errors
    /// If the query was made for another codebook.
    pub fn axes(&self, codebook: &Codebook) -> Result<Vec<GroupAxis>, Refusal> {
        self.axes_or(codebook)
            .map_err(|(cause, _)| Refusal::without_place(cause))
    }

    pub(crate) fn axes_or(&self, codebook: &Codebook) -> Result<Vec<GroupAxis>, (Cause, Part)> {
        let filter = self
            .codes_by_column(codebook)
            .map_err(|cause| (cause, Part::Whole))?;
        let mut axes = Vec::new();
        for (i, grouping) in self.group_by.iter().enumerate() {
            let at = |cause| (cause, Part::Group(i));
            let (position, column) = find(codebook, &grouping.column).map_err(at)?;
            let all = domain(column);
            let allowed = filter
                .get(&position)
                .map_or(all, |&codes| codes.intersection(all));
            let groups = groups(column, grouping.edges(), allowed).map_err(at)?;
            if groups.is_empty() {
                return Err(at(Cause::NoGroups {
                    column: column.name().to_owned(),
                }));
            }
            axes.push(GroupAxis {
                column: position,
                name: column.name().to_owned(),
                groups,
            });
        }
        let found = axes.iter().map(|axis| axis.groups.len()).product();
        if found > MAX_GROUPS {
            return Err((Cause::TooManyGroups { found }, Part::Group(0)));
        }
        Ok(axes)
    }

    /// True when a record with these accepted values could be in the query's conditions at all.
    pub fn can_match(&self) -> bool {
        self.filter
            .iter()
            .all(|condition| condition.accept != Accept::Nothing)
    }
}

impl serde::Serialize for Query {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        QueryForm::of(self).serialize(serializer)
    }
}

/// The position and column of this exact name.
pub(crate) fn find<'a>(codebook: &'a Codebook, name: &str) -> Result<(usize, &'a Column), Cause> {
    codebook.find(name).ok_or_else(|| Cause::UnknownColumn {
        name: name.to_owned(),
        nearest: nearest(codebook, name),
    })
}

/// The column name that is most likely meant, if one is close.
pub(crate) fn nearest(codebook: &Codebook, name: &str) -> Option<String> {
    let wanted = name.to_lowercase();
    codebook
        .columns()
        .iter()
        .map(|column| (distance(&wanted, &column.name().to_lowercase()), column))
        .filter(|(d, _)| *d <= 1 + wanted.chars().count() / 3)
        .min_by_key(|(d, _)| *d)
        .map(|(_, column)| column.name().to_owned())
}

/// The number of single-character edits between two texts of at most 128 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(crate::column::MAX_TEXT).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(crate::column::MAX_TEXT).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn groups(
    column: &Column,
    edges: Option<&[Decimal]>,
    allowed: CodeSet,
) -> Result<Vec<Group>, Cause> {
    if column.kind().is_wide() {
        return Err(Cause::WideGroup {
            column: column.name().to_owned(),
        });
    }
    let Some(edges) = edges else {
        return Ok(allowed
            .iter()
            .map(|code| {
                let position = usize::from(code - FIRST_VALUE);
                Group {
                    label: match column.decode(&[code]) {
                        Ok(Value::Label(label)) => label,
                        Ok(Value::Bucket { from, to }) => format!("[{from},{to})"),
                        Ok(Value::Number(number)) => number.to_string(),
                        Ok(Value::Missing) | Err(_) => position.to_string(),
                    },
                    codes: CodeSet::positions(position, position + 1),
                }
            })
            .collect());
    };
    let below = |edge: Decimal| match column.kind() {
        ColumnKind::Exact(grid) => Ok(grid.below(edge).0),
        ColumnKind::Bucketed(_) => buckets_below(column, edge),
        ColumnKind::Categorical(_) | ColumnKind::Ordered(_) => Err(Cause::BucketLabels {
            column: column.name().to_owned(),
        }),
    };
    let mut groups = Vec::new();
    for pair in edges.windows(2) {
        let codes = CodeSet::positions(below(pair[0])?, below(pair[1])?).intersection(allowed);
        if !codes.is_empty() {
            groups.push(Group {
                label: format!("[{},{})", pair[0], pair[1]),
                codes,
            });
        }
    }
    Ok(groups)
}

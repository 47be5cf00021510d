//! Refusals: what cannot be asked, where it stands in the text, why, and what could be asked instead.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::query::MAX_GROUPS;

/// A place in a query text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Character within the line, from 1.
    pub column: usize,
    /// Byte offset from the start of the text.
    pub offset: usize,
    /// Length in bytes; 0 when only the start is known.
    pub length: usize,
}

/// A part of SQL that is not answered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Extreme,
    Join,
    Subquery,
    Distinct,
    OrderBy,
    Limit,
    Having,
    SetOperation,
    With,
    Window,
    AggregateFilter,
    Star,
    Function,
    Expression,
    Pattern,
    Selected,
    GroupExpression,
    Statement,
    Clause,
    From,
}

impl Feature {
    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Extreme => (
                "extreme_refused",
                "an extreme is the value of one person",
                "AVG and STDDEV_SAMP of the column, or COUNT(*) ... GROUP BY bucket(column, width)",
            ),
            Self::Join => (
                "join_refused",
                "a query reads one dataset with one record per person",
                "FROM one dataset; combine data before it is registered",
            ),
            Self::Subquery => (
                "subquery_refused",
                "a query within a query would depend on an unpublished answer",
                "write the inner condition out, or ask two queries",
            ),
            Self::Distinct => (
                "distinct_refused",
                "distinct values of few people point at those people",
                "COUNT(*) ... GROUP BY column lists the values with their counts",
            ),
            Self::OrderBy => (
                "order_by_refused",
                "an answer lists its groups in codebook order",
                "leave ORDER BY out and sort the answer",
            ),
            Self::Limit => (
                "limit_refused",
                "an answer has every group, and never lists records",
                "leave LIMIT out, or restrict the groups in WHERE",
            ),
            Self::Having => (
                "having_refused",
                "HAVING would show more than the groups that are published",
                "leave HAVING out; groups below the minimum are suppressed anyway",
            ),
            Self::SetOperation => (
                "set_operation_refused",
                "one query has one SELECT",
                "ask the parts as separate queries",
            ),
            Self::With => (
                "with_refused",
                "a query reads one dataset directly",
                "write one SELECT ... FROM dataset",
            ),
            Self::Window => (
                "window_refused",
                "a window gives one result per record",
                "use GROUP BY",
            ),
            Self::AggregateFilter => (
                "aggregate_clause_refused",
                "an aggregate takes only a column",
                "move the condition into WHERE, or ask a second query",
            ),
            Self::Star => (
                "record_refused",
                "records are never listed",
                "COUNT(*), or SUM, AVG, VAR_SAMP, STDDEV_SAMP of a column",
            ),
            Self::Function => (
                "function_refused",
                "this function is not among those that can be proven",
                "COUNT, SUM, AVG, VAR_SAMP, STDDEV_SAMP, or bucket(column, width) in GROUP BY",
            ),
            Self::Expression => (
                "expression_refused",
                "a condition compares one column with constants",
                "column =, <>, <, <=, >, >= constant, BETWEEN, IN, IS [NOT] NULL, joined by AND, OR, NOT",
            ),
            Self::Pattern => (
                "pattern_refused",
                "text is compared by whole values",
                "column IN ('value', ...)",
            ),
            Self::Selected => (
                "selected_refused",
                "a query selects measures of a column, and the columns that it groups by",
                "COUNT(*), COUNT, SUM, AVG, VAR_SAMP, STDDEV_SAMP of a column; compute with the answer afterwards",
            ),
            Self::GroupExpression => (
                "group_refused",
                "a group is a column or a bucket of a column",
                "GROUP BY column, or GROUP BY bucket(column, width)",
            ),
            Self::Statement => (
                "statement_refused",
                "only one SELECT can be asked",
                "SELECT COUNT(*) FROM dataset WHERE ...",
            ),
            Self::Clause => (
                "clause_refused",
                "this clause is not part of the query language",
                "SELECT measures FROM dataset WHERE conditions GROUP BY columns",
            ),
            Self::From => (
                "from_refused",
                "a query names one dataset",
                "SELECT ... FROM dataset",
            ),
        }
    }
}

/// Why a query cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    Syntax {
        message: String,
    },
    Json {
        message: String,
    },
    Version {
        found: u32,
    },
    TooLong {
        bytes: usize,
        most: usize,
    },
    TooDeep,
    Unsupported(Feature),
    NoMeasure,
    MeasureColumn {
        op: &'static str,
    },
    TwoColumnsMeasured {
        first: String,
        second: String,
    },
    NotNumeric {
        column: String,
        kind: &'static str,
    },
    WideVariance {
        column: String,
    },
    UnknownColumn {
        name: String,
        nearest: Option<String>,
    },
    TextAsColumn {
        name: String,
    },
    UnknownValue {
        column: String,
        value: String,
        known: Vec<String>,
    },
    NullConstant,
    NotANumber {
        column: String,
        text: String,
    },
    Unordered {
        column: String,
    },
    Wide {
        column: String,
    },
    NotAtEdge {
        column: String,
        bound: String,
        edges: Vec<String>,
    },
    OrAcrossColumns {
        columns: Vec<String>,
    },
    NotGrouped {
        column: String,
    },
    GroupColumns {
        found: usize,
    },
    RepeatedGroup {
        column: String,
    },
    BucketArguments,
    BucketLabels {
        column: String,
    },
    BucketWidth {
        width: String,
    },
    BucketCount {
        column: String,
        found: usize,
    },
    BucketOrder {
        before: String,
        after: String,
    },
    WideGroup {
        column: String,
    },
    NoGroups {
        column: String,
    },
    TooManyGroups {
        found: usize,
    },
    TooManyColumns {
        found: usize,
    },
    ConditionForm {
        column: String,
        kind: &'static str,
    },
}

impl Cause {
    /// The stable code of this cause.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "syntax",
            Self::Json { .. } => "json",
            Self::Version { .. } => "version",
            Self::TooLong { .. } => "too_long",
            Self::TooDeep => "too_deep",
            Self::Unsupported(feature) => feature.parts().0,
            Self::NoMeasure => "no_measure",
            Self::MeasureColumn { .. } => "measure_column",
            Self::TwoColumnsMeasured { .. } => "two_columns_measured",
            Self::NotNumeric { .. } => "not_numeric",
            Self::WideVariance { .. } => "wide_variance",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::TextAsColumn { .. } => "text_as_column",
            Self::UnknownValue { .. } => "unknown_value",
            Self::NullConstant => "null_constant",
            Self::NotANumber { .. } => "not_a_number",
            Self::Unordered { .. } => "unordered",
            Self::Wide { .. } => "wide_comparison",
            Self::NotAtEdge { .. } => "not_at_edge",
            Self::OrAcrossColumns { .. } => "or_across_columns",
            Self::NotGrouped { .. } => "not_grouped",
            Self::GroupColumns { .. } => "group_columns",
            Self::RepeatedGroup { .. } => "repeated_group",
            Self::BucketArguments => "bucket_arguments",
            Self::BucketLabels { .. } => "bucket_labels",
            Self::BucketWidth { .. } => "bucket_width",
            Self::BucketCount { .. } => "bucket_count",
            Self::BucketOrder { .. } => "bucket_order",
            Self::WideGroup { .. } => "wide_group",
            Self::NoGroups { .. } => "no_groups",
            Self::TooManyGroups { .. } => "too_many_groups",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::ConditionForm { .. } => "condition_form",
        }
    }

    /// What could be asked instead.
    pub fn instead(&self) -> String {
        match self {
            Self::Syntax { .. } => "SELECT COUNT(*) FROM dataset WHERE column = 1 GROUP BY column".into(),
            Self::Json { .. } => {
                r#"{"version":1,"measures":[{"op":"count"}],"where":[],"group_by":[]}"#.into()
            }
            Self::Version { .. } => "\"version\": 1".into(),
            Self::TooLong { .. } => "ranges (BETWEEN) in place of long lists".into(),
            Self::TooDeep => "fewer parentheses, and ranges (BETWEEN) in place of long lists".into(),
            Self::Unsupported(feature) => feature.parts().2.into(),
            Self::NoMeasure => "SELECT COUNT(*), or SUM, AVG, VAR_SAMP, STDDEV_SAMP of a column".into(),
            Self::MeasureColumn { op } => format!("{op}(column)"),
            Self::TwoColumnsMeasured { first, second } => {
                format!("two queries, one for `{first}` and one for `{second}`")
            }
            Self::NotNumeric { column, .. } => format!("COUNT(*) ... GROUP BY {}", quote(column)),
            Self::WideVariance { column } => {
                let column = quote(column);
                format!("SUM({column}) and AVG({column}); or a coarser column of at most 254 values")
            }
            Self::UnknownColumn { nearest: Some(nearest), .. } => format!("did you mean {}?", quote(nearest)),
            Self::UnknownColumn { nearest: None, .. } => "a column of the codebook".into(),
            Self::TextAsColumn { name } => {
                format!("text stands in single quotes: '{}'", name.replace('\'', "''"))
            }
            Self::UnknownValue { known, .. } => format!("one of {}", list(known)),
            Self::NullConstant => "IS NULL or IS NOT NULL".into(),
            Self::NotANumber { .. } => "a number such as 40 or 0.5".into(),
            Self::Unordered { column } => format!("{} = 'value' or IN ('value', ...)", quote(column)),
            Self::Wide { column } => {
                let column = quote(column);
                format!(
                    "{column} IS NULL or {column} IS NOT NULL; to filter by value, add a bucketed copy of the column to the codebook"
                )
            }
            Self::NotAtEdge { column, edges, .. } => {
                let column = quote(column);
                format!("{column} >= edge or {column} < edge with an edge among {}", list(edges))
            }
            Self::OrAcrossColumns { .. } => {
                "AND across columns; or ask each side as its own query, and their overlap, and combine the counts".into()
            }
            Self::NotGrouped { column } => format!("GROUP BY {}", quote(column)),
            Self::GroupColumns { .. } => "GROUP BY one or two columns".into(),
            Self::RepeatedGroup { column } => format!("GROUP BY {} once", quote(column)),
            Self::BucketArguments | Self::BucketLabels { .. } | Self::BucketWidth { .. } => {
                "bucket(column, width) or bucket(column, edge, edge, ...) with a numeric column".into()
            }
            Self::BucketCount { .. } => "a larger width".into(),
            Self::BucketOrder { .. } => "ascending edges, each once".into(),
            Self::WideGroup { .. } => "a bucketed copy of the column in the codebook".into(),
            Self::NoGroups { column } => format!("a condition on {} that leaves a group", quote(column)),
            Self::TooManyGroups { .. } => {
                "bucket(column, width) with a larger width, one group column, or fewer groups by WHERE".into()
            }
            Self::TooManyColumns { .. } => "at most 8 columns over measure, WHERE and GROUP BY".into(),
            Self::ConditionForm { .. } => {
                r#"exactly one of "is", "labels" (categorical, ordered), "ranges" (exact), "buckets" (bucketed)"#.into()
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { message } => write!(f, "the text is not SQL: {message}"),
            Self::Json { message } => write!(f, "the query is not in the JSON form: {message}"),
            Self::Version { found } => write!(f, "query version {found} is not known"),
            Self::TooLong { bytes, most } => {
                write!(f, "the query has {bytes} bytes, more than {most}")
            }
            Self::TooDeep => write!(f, "the query is nested too deeply, or has too many words"),
            Self::Unsupported(feature) => f.write_str(feature.parts().1),
            Self::NoMeasure => write!(f, "the query measures nothing"),
            Self::MeasureColumn { op } => write!(f, "{op} takes exactly one column"),
            Self::TwoColumnsMeasured { first, second } => write!(
                f,
                "one query measures one column, and this one measures `{first}` and `{second}`"
            ),
            Self::NotNumeric { column, kind } => {
                write!(
                    f,
                    "column `{column}` is {kind} and has no exact numbers to add up"
                )
            }
            Self::WideVariance { column } => write!(
                f,
                "the numbers of `{column}` are held as two digits, and a square needs both digits at once"
            ),
            Self::UnknownColumn { name, .. } => write!(f, "the codebook has no column `{name}`"),
            Self::TextAsColumn { name } => {
                write!(
                    f,
                    "`{name}` in double quotes or without quotes is a column name, not a text"
                )
            }
            Self::UnknownValue { column, value, .. } => {
                write!(f, "column `{column}` has no value `{value}`")
            }
            Self::NullConstant => write!(f, "a comparison with NULL is never true"),
            Self::NotANumber { column, text } => {
                write!(
                    f,
                    "column `{column}` is numeric and `{text}` is not a number"
                )
            }
            Self::Unordered { column } => write!(f, "the values of `{column}` have no order"),
            Self::Wide { column } => write!(
                f,
                "the numbers of `{column}` are held as two digits, and a comparison needs both digits at once"
            ),
            Self::NotAtEdge { column, bound, .. } => {
                write!(
                    f,
                    "`{column}` is known only up to its buckets, and {bound} cuts through one"
                )
            }
            Self::OrAcrossColumns { columns } => {
                write!(
                    f,
                    "OR can join conditions on one column only, and this joins {}",
                    list(columns)
                )
            }
            Self::NotGrouped { column } => write!(
                f,
                "`{column}` is selected but not grouped by, and single records are never listed"
            ),
            Self::GroupColumns { found } => write!(f, "{found} group columns are more than 2"),
            Self::RepeatedGroup { column } => write!(f, "`{column}` is grouped by twice"),
            Self::BucketArguments => write!(
                f,
                "bucket takes a column and a width, or a column and its edges"
            ),
            Self::BucketLabels { column } => {
                write!(f, "column `{column}` holds labels, not numbers")
            }
            Self::BucketWidth { width } => write!(f, "{width} is not a positive number"),
            Self::BucketCount { column, found } => {
                write!(
                    f,
                    "`{column}` would fall into {found} buckets, more than 254"
                )
            }
            Self::BucketOrder { before, after } => {
                write!(f, "bucket edges ascend, and {after} comes after {before}")
            }
            Self::WideGroup { column } => write!(
                f,
                "the numbers of `{column}` are held as two digits, and a group needs both digits at once"
            ),
            Self::NoGroups { column } => write!(f, "the conditions leave no group of `{column}`"),
            Self::TooManyGroups { found } => {
                write!(f, "the query has {found} groups, more than {MAX_GROUPS}")
            }
            Self::TooManyColumns { found } => {
                write!(
                    f,
                    "the query reads {found} code columns at once, more than 8"
                )
            }
            Self::ConditionForm { column, kind } => {
                write!(
                    f,
                    "the condition on `{column}` does not fit a column of kind {kind}"
                )
            }
        }
    }
}

/// A query that cannot be asked: nothing was sent and nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{cause}{}; ask instead: {}", place(*.at), quoted(.text), .cause.instead())]
pub struct Refusal {
    /// Why.
    pub cause: Box<Cause>,
    /// Where in the SQL text; `None` for a JSON query.
    pub at: Option<Span>,
    /// The words of the query that it is about, shortened; empty for a JSON query.
    pub text: String,
}

impl Refusal {
    /// The refusal of a query that has no text positions.
    pub(crate) fn without_place(cause: Cause) -> Self {
        Self {
            cause: Box::new(cause),
            at: None,
            text: String::new(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.cause.code()
    }

    /// Why it cannot be asked, in one sentence.
    pub fn reason(&self) -> String {
        self.cause.to_string()
    }

    /// What could be asked instead.
    pub fn instead(&self) -> String {
        self.cause.instead()
    }
}

impl Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Refusal", 5)?;
        out.serialize_field("code", self.code())?;
        out.serialize_field("at", &self.at)?;
        out.serialize_field("text", &self.text)?;
        out.serialize_field("reason", &self.reason())?;
        out.serialize_field("instead", &self.instead())?;
        out.end()
    }
}

fn place(at: Option<Span>) -> String {
    at.map_or_else(String::new, |span| {
        format!("line {}, column {}: ", span.line, span.column)
    })
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" (at `{text}`)")
    }
}

/// A column name as SQL writes it: bare when that is unambiguous, else in double quotes.
pub(crate) fn quote(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let keyword = sqlparser::keywords::ALL_KEYWORDS
        .binary_search(&name.to_ascii_uppercase().as_str())
        .is_ok();
    if plain && !keyword {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn list(items: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(|item| format!("`{item}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text += &format!(" and {} more", items.len() - SHOWN);
    }
    text
}

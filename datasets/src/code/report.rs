//! What coding did to the source: counts and lines, no values unless asked for.

use salus_schema::codebook::CodeError;
use serde::Serialize;

use crate::people::OnDuplicate;
use crate::read::SourceShape;

/// How many lines (and values) are named per column.
const NAMED: usize = 10;

/// Why a value has no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The cell is empty or holds a missing marker, and the column may not be missing.
    Missing,
    /// A category that the codebook does not list.
    UnknownValue,
    /// A number was expected.
    NotANumber,
    /// Below the smallest or above the largest value.
    OutOfRange,
    /// Between two values of a grid that does not round.
    OffGrid,
}

impl RefusalReason {
    pub(crate) fn of(error: &CodeError) -> Self {
        match error {
            CodeError::MissingNotAllowed { .. } => Self::Missing,
            CodeError::NotANumber { .. } => Self::NotANumber,
            CodeError::OutOfRange { .. } => Self::OutOfRange,
            CodeError::OffGrid { .. } => Self::OffGrid,
            CodeError::UnknownValue { .. }
            | CodeError::BadCode { .. }
            | CodeError::NoColumn { .. } => Self::UnknownValue,
        }
    }

    /// The reason in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing where the codebook allows none",
            Self::UnknownValue => "not among the codebook's values",
            Self::NotANumber => "not a number",
            Self::OutOfRange => "outside the codebook's range",
            Self::OffGrid => "between two values of the codebook",
        }
    }
}

/// One cell that has no code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub line: u64,
    pub reason: RefusalReason,
    /// The cell's text, only if [`super::CodingOptions::show_values`] asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What coding did in one logical column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    pub name: String,
    /// People whose value is missing.
    pub missing: u64,
    /// Cells that were rounded to the codebook's grid.
    pub rounded: u64,
    /// Cells without a code.
    pub refused: u64,
    /// The first of them, at most ten.
    pub refusals: Vec<Refusal>,
}

impl ColumnReport {
    pub(crate) fn refuse(&mut self, line: u64, error: &CodeError, value: Option<&str>, show: bool) {
        self.refused += 1;
        if self.refusals.len() < NAMED {
            self.refusals.push(Refusal {
                line,
                reason: RefusalReason::of(error),
                value: if show { value.map(str::to_owned) } else { None },
            });
        }
    }
}

/// What coding did to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodingReport {
    pub shape: SourceShape,
    /// Data rows read.
    pub rows: u64,
    /// Blank lines passed over.
    pub blank_lines: u64,
    /// The column that names the person; without one, every row counts as a person.
    pub person_key: Option<String>,
    pub on_duplicate: OnDuplicate,
    pub people: u64,
    /// Rows that repeated a person's record and were dropped.
    pub collapsed_rows: u64,
    /// Rows that contradicted a person's other row and lost to it.
    pub overruled_rows: u64,
    pub columns: Vec<ColumnReport>,
    /// Source columns that the codebook does not name and that were not read.
    pub unused_columns: Vec<String>,
}

impl CodingReport {
    /// Cells without a code, over all columns.
    pub fn refused(&self) -> u64 {
        self.columns.iter().map(|column| column.refused).sum()
    }

    /// Where the refused cells are: the first columns with their first line, no values.
    pub fn refused_places(&self) -> String {
        let places: Vec<String> = self
            .columns
            .iter()
            .filter_map(|column| Some((column, column.refusals.first()?)))
            .take(3)
            .map(|(column, first)| {
                format!(
                    "\"{}\" {} times, first on line {} ({})",
                    column.name,
                    column.refused,
                    first.line,
                    first.reason.words()
                )
            })
            .collect();
        let columns = self
            .columns
            .iter()
            .filter(|column| column.refused > 0)
            .count();
        let more = if columns > places.len() {
            format!("; and {} more columns", columns - places.len())
        } else {
            String::new()
        };
        format!("{}{more}", places.join("; "))
    }

    /// The unit of privacy in words, for reports.
    pub fn unit(&self) -> String {
        match &self.person_key {
            Some(key) => format!("one record per distinct \"{key}\""),
            None => "no person key declared: every row counts as one person".into(),
        }
    }
}

//! Why a table cannot be coded.

use salus_schema::codebook::CodebookError;
use thiserror::Error;

use super::CodingReport;
use crate::read::ReadError;

/// Why a source table did not become codes. Names lines, never values.
#[derive(Debug, Error)]
pub enum CodingError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Codebook(#[from] CodebookError),
    #[error("the codebook has no column \"{name}\"")]
    NotInCodebook { name: String, known: Vec<String> },
    #[error("\"{name}\" is the person key and cannot be coded as an attribute")]
    PersonKeyAsColumn { name: String },
    #[error("{count} rows have no person key, the first on line {first_line}")]
    NoPersonKey { count: u64, first_line: u64 },
    #[error(
        "{people} people have rows that do not agree, for example lines {} and {}",
        example.0, example.1
    )]
    ConflictingRows { people: u64, example: (u64, u64) },
    #[error("{} values cannot be coded: {}", report.refused(), report.refused_places())]
    Refused { report: Box<CodingReport> },
    #[error("the table has more than {limit} people")]
    TooManyPeople { limit: usize },
}

impl CodingError {
    /// The error's stable code, for scripts and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Codebook(_) => "code.codebook",
            Self::NotInCodebook { .. } => "code.not_in_codebook",
            Self::PersonKeyAsColumn { .. } => "code.person_key_as_column",
            Self::NoPersonKey { .. } => "code.no_person_key",
            Self::ConflictingRows { .. } => "code.conflicting_rows",
            Self::Refused { .. } => "code.refused",
            Self::TooManyPeople { .. } => "code.too_many_people",
        }
    }

    /// What the user can do next, one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::Read(error) => error.next_step(),
            Self::Codebook(_) => "Correct the codebook and run again.".into(),
            Self::NotInCodebook { known, .. } => {
                let shown: Vec<&str> = known.iter().take(12).map(String::as_str).collect();
                let more = if known.len() > shown.len() { ", ..." } else { "" };
                format!("The codebook's columns are: {}{more}.", shown.join(", "))
            }
            Self::PersonKeyAsColumn { name } => {
                format!("Remove \"{name}\" from the codebook, or declare another person key.")
            }
            Self::NoPersonKey { first_line, .. } => {
                format!("Give every row a key (see line {first_line}), or declare another key column.")
            }
            Self::ConflictingRows { .. } => {
                "Make one row per person, or choose one with --on-duplicate first or last.".into()
            }
            Self::Refused { .. } => {
                "Correct these cells, or extend the codebook (values, range, rounding or missing markers)."
                    .into()
            }
            Self::TooManyPeople { .. } => "Split the table into several datasets.".into(),
        }
    }
}

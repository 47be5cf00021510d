//! What a user is told about data and queries that cannot be used.

use crate::error::{CliError, Kind};
use salus_datasets::code::CodingError;
use salus_datasets::oracle::OracleError;
use salus_datasets::profile::ProfileError;
use salus_datasets::read::ReadError;
use salus_datasets::synthetic::SyntheticError;
use salus_schema::codebook::CodebookError;
use salus_schema::refusal::{Cause, Refusal};
use serde_json::json;

/// An error of the data crates: its family, stable code and next step.
pub trait ProblemOf: std::error::Error {
    /// Whose fault it is.
    fn kind(&self) -> Kind;
    /// Stable code, dots between its parts.
    fn stable_code(&self) -> &'static str;
    /// The next step, one sentence.
    fn next(&self) -> String;
    /// What a script can use, null when there is nothing beyond the message.
    fn detail(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// What a user is told about data that cannot be used.
pub fn data_error(error: impl ProblemOf) -> CliError {
    let code = error.stable_code().replace('.', "_");
    CliError::new(error.kind(), &code, &error, error.next()).at(Vec::new(), error.detail())
}

impl ProblemOf for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } | Self::Vanished { .. } | Self::UnknownColumn { .. } => {
                Kind::NotFound
            }
            Self::PermissionDenied { .. } => Kind::NotAllowed,
            Self::Changed { .. } => Kind::TryAgain,
            Self::Io { .. } | Self::ParsersDisagree { .. } | Self::Engine { .. } => Kind::Failed,
            _ => Kind::Invalid,
        }
    }
    fn stable_code(&self) -> &'static str {
        self.code()
    }
    fn next(&self) -> String {
        self.next_step()
    }
}

impl ProblemOf for CodingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(error) => error.kind(),
            Self::NotInCodebook { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        }
    }
    fn stable_code(&self) -> &'static str {
        self.code()
    }
    fn next(&self) -> String {
        self.next_step()
    }
    fn detail(&self) -> serde_json::Value {
        match self {
            Self::Refused { report } => {
                let columns: Vec<_> = report
                    .columns
                    .iter()
                    .filter(|column| column.refused > 0)
                    .collect();
                json!({ "columns": columns })
            }
            _ => serde_json::Value::Null,
        }
    }
}

impl ProblemOf for ProfileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(error) => error.kind(),
            Self::NothingToCode { .. } | Self::Codebook(_) => Kind::Invalid,
        }
    }
    fn stable_code(&self) -> &'static str {
        self.code()
    }
    fn next(&self) -> String {
        self.next_step()
    }
    fn detail(&self) -> serde_json::Value {
        match self {
            Self::NothingToCode { columns, .. } => json!({ "skipped": columns }),
            _ => serde_json::Value::Null,
        }
    }
}

impl ProblemOf for OracleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(error) => error.kind(),
            Self::UnknownColumn { .. } => Kind::NotFound,
            Self::Engine { .. } => Kind::Failed,
            _ => Kind::Invalid,
        }
    }
    fn stable_code(&self) -> &'static str {
        self.code()
    }
    fn next(&self) -> String {
        self.next_step()
    }
}

impl ProblemOf for CodebookError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
    fn stable_code(&self) -> &'static str {
        "codebook.invalid"
    }
    fn next(&self) -> String {
        "Correct the codebook and run again.".to_owned()
    }
}

impl ProblemOf for SyntheticError {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
    fn stable_code(&self) -> &'static str {
        "synthetic.failed"
    }
    fn next(&self) -> String {
        "Free some disk space, or point TMPDIR at a directory that can be written.".to_owned()
    }
}

/// What a user is told about a query that cannot be asked: refused, or invalid when the text is not
/// a query at all. Shows the words and what could be asked instead.
pub fn query_error(refusal: &Refusal, text: &str) -> CliError {
    let kind = match &*refusal.cause {
        Cause::Syntax { .. } | Cause::Json { .. } | Cause::Version { .. } => Kind::Invalid,
        _ => Kind::Refused,
    };
    let what = match kind {
        Kind::Invalid => "the query cannot be read",
        _ => "the query cannot be asked",
    };
    let message = format!("{what}: {}", refusal.reason());
    let next = format!("Ask instead: {}", refusal.instead());
    CliError::new(kind, &format!("query_{}", refusal.code()), message, next).at(
        underlined(refusal, text),
        json!({ "query": text, "refusal": refusal }),
    )
}

/// The line of the text that a refusal is about, with carets under the words.
fn underlined(refusal: &Refusal, text: &str) -> Vec<String> {
    /// Characters of a long line that are shown on each side of the words.
    const AROUND: usize = 60;
    let Some(span) = refusal.at else {
        return Vec::new();
    };
    let Some(line) = text.lines().nth(span.line.saturating_sub(1)) else {
        return Vec::new();
    };
    let shown: Vec<char> = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let start = span.column.saturating_sub(1).min(shown.len());
    let words = text.get(span.offset..).map_or(0, |rest| {
        let length = span.length.min(rest.len());
        let words = rest.get(..length).unwrap_or_default();
        words.lines().next().unwrap_or_default().chars().count()
    });
    let width = words.clamp(1, AROUND);
    let from = start.saturating_sub(AROUND);
    let to = (start + width + AROUND).min(shown.len());
    let excerpt: String = shown[from..to].iter().collect();
    let before = if from > 0 { "..." } else { "" };
    let after = if to < shown.len() { "..." } else { "" };
    let place = format!("line {}, column {}", span.line, span.column);
    let indent = " ".repeat(place.len() + 2 + before.len() + (start - from));
    vec![
        format!("{place}: {before}{excerpt}{after}"),
        format!("{indent}{}", "^".repeat(width)),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use salus_datasets::synthetic;
    use salus_schema::query::Query;

    fn refused(text: &str) -> CliError {
        let codebook = synthetic::codebook().unwrap();
        query_error(&Query::from_sql(text, &codebook).unwrap_err(), text)
    }

    #[test]
    fn points_at_the_words() {
        let error = refused("SELECT COUNT(*)\nFROM data\nWHERE hieght > 3");
        assert_eq!(
            (error.exit_code(), error.code.as_str()),
            (6, "query_unknown_column")
        );
        assert_eq!(error.lines()[0], "line 3, column 7: WHERE hieght > 3");
        assert_eq!(error.lines()[1].trim(), "^^^^^^");
        let column = error.lines()[0].find("hieght").unwrap();
        assert_eq!(error.lines()[1].find('^'), Some(column));
    }

    #[test]
    fn cuts_long_lines_around_the_words() {
        let padding = "age = 30 OR ".repeat(40);
        let error = refused(&format!(
            "SELECT COUNT(*) FROM d WHERE {padding} nothing = 1"
        ));
        let column = error.lines()[0].find("nothing").unwrap();
        assert!(error.lines()[0].len() < 160, "{}", error.lines()[0]);
        assert_eq!(error.lines()[1].find('^'), Some(column));
    }

    #[test]
    fn what_is_no_query_is_invalid_and_not_refused() {
        assert_eq!(refused("SELECT COUNT(* FROM d").exit_code(), 5);
        assert_eq!(refused("SELECT MAX(age) FROM d").exit_code(), 6);
    }
}

//! The header: which delimiter, which names, how many rows of types follow it.

use std::collections::HashMap;
use std::path::Path;

use super::scan::{Limits, Record, scan_record, unquote};
use super::{MAX_COLUMNS, ReadError};

/// Delimiters that are tried, the commonest first.
const CANDIDATES: [u8; 5] = [b',', b'\t', b';', b'|', b':'];

/// How many records the delimiter is judged by.
const SNIFFED_RECORDS: usize = 32;

/// The delimiter that splits the first records into the same number of fields, the most fields
/// winning; a comma if the table has a single column.
pub(crate) fn sniff_delimiter(text: &[u8], last: bool, limits: Limits) -> u8 {
    let mut best = (1usize, b',');
    for delimiter in CANDIDATES {
        let mut expected = None;
        let mut agrees = true;
        let (mut pos, mut line) = (0, 1);
        for _ in 0..SNIFFED_RECORDS {
            if pos >= text.len() {
                break;
            }
            match scan_record(text, pos, line, delimiter, last, limits, |_, _| {}) {
                Ok(Record::Whole {
                    end,
                    content_end,
                    fields,
                    next_line,
                }) => {
                    if content_end > pos {
                        agrees &= *expected.get_or_insert(fields) == fields;
                    }
                    (pos, line) = (end, next_line);
                }
                Ok(Record::Cut) => break,
                Err(_) => agrees = false,
            }
            if !agrees {
                break;
            }
        }
        let fields = expected.unwrap_or(1);
        if agrees && fields > best.0 {
            best = (fields, delimiter);
        }
    }
    if best.0 > 1 {
        best.1
    } else {
        most_frequent_in_header(text)
    }
}

/// When no delimiter fits every record (a ragged table), the one that the first line holds most
/// of, so that the error names the ragged line and not a wrong header.
fn most_frequent_in_header(text: &[u8]) -> u8 {
    let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |d: u8| line.iter().filter(|&&b| b == d).count();
    CANDIDATES.into_iter().take(4).fold(
        b',',
        |best, d| if count(d) > count(best) { d } else { best },
    )
}

/// The fields of the record at `start`; None when `text` ends before the record does.
pub(crate) struct Fields {
    pub texts: Vec<String>,
    pub end: usize,
    pub next_line: u64,
}

/// Reads one record's fields as text.
pub(crate) fn read_fields(
    text: &[u8],
    start: usize,
    line: u64,
    delimiter: u8,
    last: bool,
    limits: Limits,
) -> Result<Option<Fields>, ReadError> {
    let mut ranges = Vec::new();
    let record = scan_record(text, start, line, delimiter, last, limits, |from, to| {
        ranges.push((from, to));
    })?;
    let Record::Whole { end, next_line, .. } = record else {
        return Ok(None);
    };
    // The caller has checked the bytes; a lossy view cannot change valid text.
    let texts = ranges
        .into_iter()
        .map(|(from, to)| unquote(&String::from_utf8_lossy(&text[from..to])))
        .collect();
    Ok(Some(Fields {
        texts,
        end,
        next_line,
    }))
}

/// Column names: trimmed, none empty, no two equal, at most [`MAX_COLUMNS`].
pub(crate) fn check_names(raw: &[String]) -> Result<Vec<String>, ReadError> {
    if raw.len() > MAX_COLUMNS {
        return Err(ReadError::TooManyColumns {
            found: raw.len(),
            limit: MAX_COLUMNS,
        });
    }
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(raw.len());
    let mut names = Vec::with_capacity(raw.len());
    for (index, name) in raw.iter().enumerate() {
        let name = name.trim();
        if name.is_empty() {
            return Err(ReadError::EmptyName {
                position: index + 1,
            });
        }
        if let Some(first) = seen.insert(name.to_owned(), index) {
            return Err(ReadError::DuplicateName {
                name: name.to_owned(),
                first: first + 1,
                second: index + 1,
            });
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether rows 2 and 3 are the type and role rows of an Orange `.tab` file.
///
/// Only asked for files named `.tab`: the role row holds nothing but roles, and the type row
/// nothing but types or lists of values.
pub(crate) fn is_orange_header(path: &Path, types: &[String], roles: &[String]) -> bool {
    let tab = path
        .file_name()
        .and_then(|name| name.to_str())
        .map(|name| name.trim_end_matches(".gz").ends_with(".tab"))
        .unwrap_or(false);
    let is_role = |role: &str| {
        role.is_empty()
            || ["class", "c", "meta", "m", "ignore", "i", "weight", "w"].contains(&role)
            || role.contains('=')
    };
    let is_type = |kind: &str| {
        [
            "c",
            "d",
            "s",
            "t",
            "continuous",
            "discrete",
            "string",
            "time",
        ]
        .contains(&kind)
            || kind.contains(' ')
            || kind.is_empty()
    };
    tab && types.len() == roles.len()
        && roles.iter().all(|r| is_role(r.trim()))
        && types.iter().all(|t| is_type(t.trim()))
        && types.iter().any(|t| !t.trim().is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: Limits = Limits {
        field_bytes: 1 << 20,
        record_bytes: 16 << 20,
    };

    #[test]
    fn finds_the_delimiter_that_fits_every_record() {
        let sniff = |text: &str| sniff_delimiter(text.as_bytes(), true, LIMITS);
        assert_eq!(sniff("a,b\n1,2\n"), b',');
        assert_eq!(sniff("a\tb\n1,5\t2,5\n"), b'\t');
        assert_eq!(sniff("a;b\n1,5;2,5\n"), b';');
        assert_eq!(sniff("a|b|c\n1|2|3\n"), b'|');
        assert_eq!(sniff("\"a,b\";c\n1;2\n"), b';');
        assert_eq!(sniff("only\n1\n2\n"), b',');
        assert_eq!(
            sniff("a;b\n1;2\n3\n"),
            b';',
            "a ragged table keeps its header's delimiter"
        );
    }

    #[test]
    fn refuses_names_that_cannot_be_asked_for() {
        let names =
            |raw: &[&str]| check_names(&raw.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(names(&[" a ", "b"]).unwrap(), ["a", "b"]);
        assert!(matches!(
            names(&["a", " "]),
            Err(ReadError::EmptyName { position: 2 })
        ));
        assert!(matches!(
            names(&["a", "b", "a"]),
            Err(ReadError::DuplicateName {
                first: 1,
                second: 3,
                ..
            })
        ));
    }
}

//! What stands in each column of a source: the material from which a codebook is proposed.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use salus_schema::codebook::{Codebook, CodebookError};
use salus_schema::decimal::Decimal;
use salus_schema::infer::{ColumnProfile, NotInferred, NumberProfile, infer};
use serde::Serialize;
use thiserror::Error;

use crate::read::{Batch, ReadError, ReadOptions, TableReader};

/// Distinct texts that are counted per column; beyond, only numbers are followed.
const DISTINCT_CAP: usize = 4096;

/// Distinct texts up to which it is checked that no two are equal.
const IDENTIFIER_CAP: usize = 1 << 17;

/// People from which on a whole number that never repeats is taken for an identifier.
const IDENTIFIER_PEOPLE: u64 = 30;

/// Texts that mean "not known" unless the caller lists others.
pub const MISSING_MARKERS: [&str; 11] = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", ".", "?",
];

/// How to propose a codebook.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    pub read: ReadOptions,
    /// The column that identifies the person; it is never an attribute.
    pub person_key: Option<String>,
    /// The dataset's name in the codebook; when not given, the file's name.
    pub name: Option<String>,
    /// Texts that mean "not known" (compared without surrounding blanks).
    pub missing_markers: Vec<String>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self {
            read: ReadOptions::default(),
            person_key: None,
            name: None,
            missing_markers: MISSING_MARKERS.map(str::to_owned).to_vec(),
        }
    }
}

/// A source column that got no place in the codebook, and why. The reason names no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedColumn {
    pub name: String,
    pub reason: String,
}

/// Why no codebook can be proposed.
#[derive(Debug, Error)]
pub enum ProfileError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no column of the table can be coded ({skipped} were looked at)")]
    NothingToCode {
        skipped: usize,
        columns: Vec<SkippedColumn>,
    },
    #[error(transparent)]
    Codebook(#[from] CodebookError),
}

impl ProfileError {
    /// The error's stable code, for scripts and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::NothingToCode { .. } => "profile.nothing_to_code",
            Self::Codebook(_) => "profile.codebook",
        }
    }

    /// What the user can do next, one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::Read(error) => error.next_step(),
            Self::NothingToCode { columns, .. } => match columns.first() {
                Some(first) => format!("The first of them: {}.", first.reason),
                None => "Name a table that has columns besides the person key.".into(),
            },
            Self::Codebook(_) => "Write the codebook by hand.".into(),
        }
    }
}

/// Reads the table once and describes every column but the person key, in file order.
///
/// Memory: one batch, and per column at most 4,096 distinct texts and 131,072 hashes of texts.
///
/// # Errors
/// [`ReadError`]: the file cannot be read, or has no column with the person key's name.
pub fn profile_table(
    path: &Path,
    options: &ProfileOptions,
) -> Result<(Vec<ColumnSeen>, Vec<SkippedColumn>), ReadError> {
    let mut reader = TableReader::open(path, &options.read)?;
    let unreadable = reader.unreadable();
    let key = options.person_key.as_deref();
    if let Some(key) = key
        && !reader.names().iter().any(|name| name == key)
    {
        return Err(ReadError::UnknownColumn {
            name: key.to_owned(),
            known: reader.names().to_vec(),
        });
    }
    let wanted: Vec<String> = reader
        .names()
        .iter()
        .filter(|name| key != Some(name.as_str()))
        .filter(|name| unreadable.iter().all(|(known, _)| known != *name))
        .cloned()
        .collect();
    reader.select(&wanted)?;
    let mut columns: Vec<Watcher> = wanted
        .iter()
        .map(|name| Watcher::new(name, &options.missing_markers))
        .collect();
    while let Some(batch) = reader.next_batch()? {
        for column in &mut columns {
            column.watch(&batch)?;
        }
    }
    let skipped = unreadable
        .into_iter()
        .filter(|(name, _)| key != Some(name.as_str()))
        .map(|(name, dtype)| SkippedColumn {
            reason: format!("column `{name}` holds {dtype}, which has no exact text form"),
            name,
        })
        .collect();
    Ok((columns.into_iter().map(Watcher::finish).collect(), skipped))
}

/// Proposes a codebook for a table: what can be coded, and what is left out and why.
///
/// # Errors
/// [`ProfileError`]: the file cannot be read, or not one column can be coded.
pub fn infer_codebook(
    path: &Path,
    options: &ProfileOptions,
) -> Result<(Codebook, Vec<SkippedColumn>), ProfileError> {
    let (seen, mut skipped) = profile_table(path, options)?;
    let mut columns = Vec::with_capacity(seen.len());
    for column in seen {
        let name = column.profile.name.clone();
        if column.is_identifier {
            let reason = format!(
                "column `{name}` has a different value in each of {} rows: it looks like an identifier",
                column.profile.rows - column.profile.missing
            );
            skipped.push(SkippedColumn { name, reason });
            continue;
        }
        match infer(&column.profile) {
            Ok(column) => columns.push(column),
            Err(error) => {
                let reason = reason_without_values(&name, &error);
                skipped.push(SkippedColumn { name, reason });
            }
        }
    }
    if columns.is_empty() {
        return Err(ProfileError::NothingToCode {
            skipped: skipped.len(),
            columns: skipped,
        });
    }
    let name = options.name.clone().or_else(|| {
        path.file_name().and_then(|name| name.to_str()).map(|name| {
            name.split('.')
                .next()
                .filter(|stem| !stem.is_empty())
                .unwrap_or(name)
                .to_owned()
        })
    });
    let name = name.unwrap_or_else(|| "dataset".into());
    Ok((
        Codebook::new(name, options.person_key.clone(), columns)?,
        skipped,
    ))
}

/// Why a column was left out, in words that hold no cell of it.
fn reason_without_values(name: &str, error: &NotInferred) -> String {
    match error {
        NotInferred::Range { .. } => {
            format!("column `{name}` spans too many orders of magnitude for 64,516 values")
        }
        NotInferred::Codebook(_) => format!(
            "column `{name}` has a name or a value that a codebook cannot hold (1 to 128 printable characters)"
        ),
        NotInferred::AllMissing { .. }
        | NotInferred::Identifier { .. }
        | NotInferred::TooManyTexts { .. } => error.to_string(),
    }
}

/// One column as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSeen {
    pub profile: ColumnProfile,
    /// A text or whole number that never repeats among 30 rows or more.
    pub is_identifier: bool,
}

/// One column while it is read.
struct Watcher {
    name: String,
    markers: HashSet<String>,
    rows: u64,
    missing: u64,
    markers_seen: HashSet<String>,
    distinct: HashMap<String, u64>,
    capped: bool,
    hasher: RandomState,
    /// Hashes of all texts while none has repeated; None once one has, or when there are too many.
    unrepeated: Option<HashSet<u64>>,
    numeric: bool,
    range: Option<(Decimal, Decimal)>,
    decimals: u8,
}

impl Watcher {
    fn new(name: &str, markers: &[String]) -> Self {
        let markers = markers
            .iter()
            .map(|marker| marker.trim().to_owned())
            .collect();
        Self {
            name: name.to_owned(),
            markers,
            rows: 0,
            missing: 0,
            markers_seen: HashSet::new(),
            distinct: HashMap::new(),
            capped: false,
            hasher: RandomState::new(),
            unrepeated: Some(HashSet::new()),
            numeric: true,
            range: None,
            decimals: 0,
        }
    }

    fn watch(&mut self, batch: &Batch) -> Result<(), ReadError> {
        self.rows += batch.height() as u64;
        for text in batch.texts(&self.name)?.iter() {
            self.see(text.unwrap_or_default().trim());
        }
        Ok(())
    }

    fn see(&mut self, text: &str) {
        if text.is_empty() || self.markers.contains(text) {
            self.missing += 1;
            if !self.markers_seen.contains(text) {
                self.markers_seen.insert(text.to_owned());
            }
            return;
        }
        if let Some(count) = self.distinct.get_mut(text) {
            *count += 1;
            self.unrepeated = None;
            return;
        }
        self.follow_repeats(text);
        if self.numeric {
            self.follow_number(text);
        }
        if self.distinct.len() < DISTINCT_CAP {
            self.distinct.insert(text.to_owned(), 1);
        } else {
            self.capped = true;
        }
    }

    fn follow_repeats(&mut self, text: &str) {
        let hash = self.hasher.hash_one(text);
        if let Some(seen) = &mut self.unrepeated
            && seen.len() < IDENTIFIER_CAP
            && !seen.insert(hash)
        {
            self.unrepeated = None;
        }
    }

    fn follow_number(&mut self, text: &str) {
        // "007" is a code and not the number 7: as a number it could not be told from "7".
        let digits = text.trim_start_matches(['-', '+']).as_bytes();
        let padded = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
        match text.parse::<Decimal>() {
            Ok(number) if !padded => {
                self.decimals = self.decimals.max(number.scale());
                let (min, max) = self.range.unwrap_or((number, number));
                self.range = Some((min.min(number), max.max(number)));
            }
            _ => self.numeric = false,
        }
    }

    fn finish(self) -> ColumnSeen {
        let known = self.rows - self.missing;
        let numbers = self.range.filter(|_| self.numeric);
        let whole = numbers.is_none() || self.decimals == 0;
        let is_identifier = self.unrepeated.is_some() && whole && known >= IDENTIFIER_PEOPLE;
        let mut distinct: Vec<(String, u64)> = self.distinct.into_iter().collect();
        distinct.sort();
        let mut missing_markers: Vec<String> = self.markers_seen.into_iter().collect();
        missing_markers.sort();
        ColumnSeen {
            profile: ColumnProfile {
                name: self.name,
                rows: self.rows,
                missing: self.missing,
                missing_markers,
                distinct,
                distinct_capped: self.capped,
                numbers: numbers.map(|(min, max)| NumberProfile {
                    min,
                    max,
                    decimals: self.decimals,
                }),
            },
            is_identifier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(texts: &[&str]) -> ColumnSeen {
        let markers = MISSING_MARKERS.map(str::to_owned);
        let mut watcher = Watcher::new("c", &markers);
        watcher.rows = texts.len() as u64;
        texts.iter().for_each(|text| watcher.see(text));
        watcher.finish()
    }

    #[test]
    fn numbers_keep_their_exact_range_and_decimals() {
        let seen = watch(&["1.50", "-2", "", "1e1", "?"]).profile;
        let numbers = seen
            .numbers
            .map(|n| (n.min.to_string(), n.max.to_string(), n.decimals));
        assert_eq!(numbers, Some(("-2".into(), "10".into(), 1)));
        assert_eq!((seen.rows, seen.missing), (5, 2));
        assert_eq!(seen.missing_markers, ["", "?"]);
    }

    #[test]
    fn floats_that_are_integers_need_no_decimals() {
        let seen = watch(&["1.0", "0.0", "1.0"]).profile;
        assert_eq!(seen.numbers.map(|n| n.decimals), Some(0));
    }

    #[test]
    fn padded_digits_are_texts() {
        assert!(watch(&["007", "8"]).profile.numbers.is_none());
        assert!(watch(&["0", "-0.5"]).profile.numbers.is_some());
    }

    #[test]
    fn what_never_repeats_is_an_identifier_unless_it_is_a_measurement() {
        let texts = |of: &dyn Fn(usize) -> String| (0..40).map(of).collect::<Vec<_>>();
        let seen = |texts: Vec<String>| {
            watch(&texts.iter().map(String::as_str).collect::<Vec<_>>()).is_identifier
        };
        assert!(seen(texts(&|i| (1000 + 7 * i).to_string())));
        assert!(seen(texts(&|i| format!("p{i}"))));
        assert!(!seen(texts(&|i| format!("{i}.5"))));
        assert!(!seen(texts(&|i| (i / 2).to_string())));
    }
}

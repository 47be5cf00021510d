//! The clear-text oracle: the same query, the original texts, polars, no codes, no plan.
//!
//! It shares with the proven path only the codebook's declarations and the parsed query. Texts are
//! read as whole grid steps (after the declared rounding), rows are filtered and grouped by value,
//! and counts, sums and sums of squares are integers, so that equality with a decoded answer can
//! be asserted instead of approximated.

mod question;
mod totals;
mod values;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use polars::prelude::*;
use salus_schema::answer::Answer;
use salus_schema::codebook::Codebook;
use salus_schema::column::Column as CodebookColumn;
use salus_schema::query::Query;
use thiserror::Error;

use crate::code::{CodingOptions, OnRefused, RefusalReason};
use crate::people::{OnDuplicate, People, Seen};
use crate::read::{Batch, ReadError, TableReader, error_kind};
use question::Question;
use totals::{PEOPLE, Totals};
use values::{CellValue, ValueReader, to_polars};

/// Why a query has no clear-text answer. Names lines, never values.
#[derive(Debug, Error)]
pub enum OracleError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the codebook has no column \"{name}\"")]
    UnknownColumn { name: String },
    #[error("line {line}: the value of \"{column}\" is {}", reason.words())]
    Refused {
        column: String,
        line: u64,
        reason: RefusalReason,
    },
    #[error("line {line} has no person key")]
    NoPersonKey { line: u64 },
    #[error("lines {first} and {second} are of one person and do not agree")]
    ConflictingRows { first: u64, second: u64 },
    #[error("polars could not answer the query: {detail}")]
    Engine { detail: String },
}

impl OracleError {
    /// The error's stable code, for scripts and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::UnknownColumn { .. } => "oracle.unknown_column",
            Self::Refused { .. } => "oracle.refused",
            Self::NoPersonKey { .. } => "oracle.no_person_key",
            Self::ConflictingRows { .. } => "oracle.conflicting_rows",
            Self::Engine { .. } => "oracle.engine",
        }
    }

    /// What the user can do next, one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::Read(error) => error.next_step(),
            Self::UnknownColumn { .. } => "Ask the query of the dataset it was written for.".into(),
            Self::Refused { .. } | Self::NoPersonKey { .. } | Self::ConflictingRows { .. } => {
                "Use the options with which the table was coded.".into()
            }
            Self::Engine { .. } => "Please report this with the query, not with the data.".into(),
        }
    }
}

impl From<PolarsError> for OracleError {
    fn from(error: PolarsError) -> Self {
        Self::Engine {
            detail: error_kind(&error),
        }
    }
}

/// A clear-text answer under a minimum cell.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearAnswer {
    /// The rows as the proven path publishes them; groups below the minimum cell are suppressed.
    pub answer: Answer,
    /// People in the groups that are published, to compare with the minimum cohort. The contract
    /// judges a plan of several passes by its largest pass and may therefore see fewer.
    pub cohort: u64,
    /// People in the dataset.
    pub people: u64,
}

impl ClearAnswer {
    /// Whether the answer as a whole may be published.
    pub const fn allows(&self, min_cohort: u64) -> bool {
        self.cohort >= min_cohort
    }
}

/// Answers queries from the source file, read once (twice when the last row of a person stands).
///
/// `options` must be those with which the table was coded: person key, duplicates and refused
/// cells are treated alike.
///
/// # Errors
/// [`OracleError`]: the file cannot be read, or holds cells, keys or duplicates that coding would
/// have refused too.
pub fn answers(
    path: &Path,
    codebook: &Codebook,
    queries: &[Query],
    min_cell: u64,
    options: &CodingOptions,
) -> Result<Vec<ClearAnswer>, OracleError> {
    let questions = queries
        .iter()
        .map(|query| Question::new(query, codebook))
        .collect::<Result<Vec<_>, _>>()?;
    let needed: BTreeSet<&str> = questions.iter().flat_map(Question::columns).collect();
    let columns: Vec<&CodebookColumn> = codebook
        .columns()
        .iter()
        .filter(|column| needed.contains(column.name()))
        .collect();
    let key = options.person_key.as_deref().or(codebook.person_key());

    let mut table = Table::new(&columns, options, key);
    if options.on_duplicate == OnDuplicate::Last && key.is_some() {
        table.find_last_rows(path)?;
    }
    let mut reader = open(path, &columns, key, options)?;
    let mut totals: Vec<Totals> = questions.iter().map(|_| Totals::default()).collect();
    while let Some(batch) = reader.next_batch()? {
        let frame = table.values(&batch)?;
        for (question, totals) in questions.iter().zip(&mut totals) {
            totals.add(question, &frame, codebook)?;
        }
    }
    let people = table.people.count().min(table.kept()) as u64;
    let answer =
        |(question, totals): (&Question, Totals)| totals.finish(question, min_cell, people);
    Ok(questions.iter().zip(totals).map(answer).collect())
}

/// Answers one query; see [`answers`].
///
/// # Errors
/// As [`answers`].
pub fn answer(
    path: &Path,
    codebook: &Codebook,
    query: &Query,
    min_cell: u64,
    options: &CodingOptions,
) -> Result<ClearAnswer, OracleError> {
    let mut all = answers(
        path,
        codebook,
        std::slice::from_ref(query),
        min_cell,
        options,
    )?;
    all.pop().ok_or_else(|| OracleError::Engine {
        detail: "no answer".into(),
    })
}

fn open(
    path: &Path,
    columns: &[&CodebookColumn],
    key: Option<&str>,
    options: &CodingOptions,
) -> Result<TableReader, OracleError> {
    let mut reader = TableReader::open(path, &options.read)?;
    let mut wanted: Vec<String> = columns
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    wanted.extend(key.map(str::to_owned));
    if wanted.is_empty() {
        // A bare COUNT(*) reads no column; some column has to carry the rows.
        wanted.extend(reader.names().first().cloned());
    }
    reader.select(&wanted)?;
    Ok(reader)
}

/// The source table as values, one row per person.
struct Table<'a> {
    columns: &'a [&'a CodebookColumn],
    readers: Vec<ValueReader<'a>>,
    options: &'a CodingOptions,
    key: Option<&'a str>,
    people: People,
    /// Per person, the line of the row that stands and a hash of its values.
    rows: Vec<(u64, u64)>,
    /// Per person, the line of the last row (only when the last row stands).
    last: Option<Vec<u64>>,
    hasher: RandomState,
}

impl<'a> Table<'a> {
    fn new(
        columns: &'a [&'a CodebookColumn],
        options: &'a CodingOptions,
        key: Option<&'a str>,
    ) -> Self {
        Self {
            columns,
            readers: columns
                .iter()
                .map(|&column| ValueReader::new(column))
                .collect(),
            options,
            key,
            people: People::new(key.is_some()),
            rows: Vec::new(),
            last: None,
            hasher: RandomState::new(),
        }
    }

    fn find_last_rows(&mut self, path: &Path) -> Result<(), OracleError> {
        let Some(key) = self.key else { return Ok(()) };
        let mut reader = open(path, &[], self.key, self.options)?;
        let mut people = People::new(true);
        let mut last = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            for (text, &line) in batch.texts(key)?.iter().zip(batch.lines()) {
                match people.see(text) {
                    Seen::New(_) => last.push(line),
                    Seen::Again(person) => last[person] = line,
                    Seen::NoKey => return Err(OracleError::NoPersonKey { line }),
                }
            }
        }
        self.last = Some(last);
        Ok(())
    }

    /// How many people are kept, counted from the start of the table.
    fn kept(&self) -> usize {
        self.options.max_people.unwrap_or(usize::MAX)
    }

    /// The batch's values, without the rows that stand for nobody new.
    fn values(&mut self, batch: &Batch) -> Result<DataFrame, OracleError> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for (reader, column) in self.readers.iter_mut().zip(self.columns) {
            let mut values = Vec::with_capacity(batch.height());
            for (text, &line) in batch.texts(column.name())?.iter().zip(batch.lines()) {
                values.push(match reader.read(text) {
                    Ok(value) => value,
                    Err(_)
                        if self.options.on_refused == OnRefused::Missing && column.nullable() =>
                    {
                        None
                    }
                    Err(reason) => {
                        let column = column.name().to_owned();
                        return Err(OracleError::Refused {
                            column,
                            line,
                            reason,
                        });
                    }
                });
            }
            cells.push(values);
        }
        let mut frame: Vec<Column> = self
            .columns
            .iter()
            .zip(&cells)
            .map(|(column, values)| to_polars(column, values))
            .collect();
        let ones: Int64Chunked = (0..batch.height()).map(|_| Some(1i64)).collect();
        frame.push(ones.with_name(PEOPLE.into()).into_column());
        let frame = DataFrame::new(batch.height(), frame)?;
        match self.standing(batch, &cells)? {
            Some(standing) => Ok(frame.filter(&standing)?),
            None => Ok(frame),
        }
    }

    /// Which rows of the batch stand for their person; None when every row does.
    fn standing(
        &mut self,
        batch: &Batch,
        cells: &[Vec<Option<CellValue>>],
    ) -> Result<Option<BooleanChunked>, OracleError> {
        let kept = self.kept();
        let Some(key) = self.key else {
            let before = self.people.count();
            for _ in 0..batch.height() {
                self.people.see(None);
            }
            if self.people.count() <= kept {
                return Ok(None);
            }
            let rows = before..self.people.count();
            return Ok(Some(rows.map(|person| Some(person < kept)).collect()));
        };
        let mut standing = Vec::with_capacity(batch.height());
        for ((row, text), &line) in batch.texts(key)?.iter().enumerate().zip(batch.lines()) {
            let hash = || {
                let values: Vec<&Option<CellValue>> =
                    cells.iter().map(|column| &column[row]).collect();
                self.hasher.hash_one(values)
            };
            let (person, new) = match self.people.see(text) {
                Seen::New(person) => {
                    self.rows.push((line, hash()));
                    (person, true)
                }
                Seen::Again(person) => {
                    let (first, known) = self.rows[person];
                    if self.options.on_duplicate == OnDuplicate::Refuse && known != hash() {
                        return Err(OracleError::ConflictingRows {
                            first,
                            second: line,
                        });
                    }
                    (person, false)
                }
                Seen::NoKey => return Err(OracleError::NoPersonKey { line }),
            };
            let stands = match &self.last {
                Some(last) => last.get(person) == Some(&line),
                None => new,
            };
            standing.push(stands && person < kept);
        }
        Ok(Some(standing.into_iter().map(Some).collect()))
    }
}

//! The clear-text oracle: the same query, the original texts, polars, no codes, no plan.
//!
//! It shares with the proven path only the codebook's declarations and the parsed query. Texts are
//! read as whole grid steps (after the declared rounding), rows are filtered and grouped by value,
//! and counts, sums and sums of squares are integers, so that equality with a decoded answer can
//! be asserted instead of approximated.

mod question;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use polars::prelude::*;
use salus_schema::answer::{Answer, AnswerRow};
use salus_schema::codebook::Codebook;
use salus_schema::column::{Column as CodebookColumn, Grid};
use salus_schema::query::{Measure, Query};
use thiserror::Error;

use crate::code::{CodingOptions, OnRefused, RefusalReason};
use crate::people::{OnDuplicate, People, Seen};
use crate::read::{Batch, ReadError, TableReader, error_kind};
use question::Question;
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
    let people = table.people.count() as u64;
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
        let Some(key) = self.key else {
            for _ in 0..batch.height() {
                self.people.see(None);
            }
            return Ok(None);
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
            standing.push(match &self.last {
                Some(last) => last.get(person) == Some(&line),
                None => new,
            });
        }
        Ok(Some(standing.into_iter().map(Some).collect()))
    }
}

/// Names of the helper columns; a source column cannot have them, its names are trimmed.
const PEOPLE: &str = " people";
const KNOWN: &str = " known";
const STEPS: &str = " steps";
const SQUARES: &str = " squares";
const KEYS: [&str; 2] = [" group 0", " group 1"];

/// People, people with a measured value, steps and squared steps of one group.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    people: i128,
    known: i128,
    steps: i128,
    squares: i128,
}

/// The sums per group, over the batches so far.
#[derive(Default)]
struct Totals(HashMap<Vec<CellValue>, Sums>);

impl Totals {
    fn add(
        &mut self,
        question: &Question,
        frame: &DataFrame,
        codebook: &Codebook,
    ) -> Result<(), OracleError> {
        let taken = frame.filter(&question.mask(frame, codebook)?)?;
        if taken.height() == 0 {
            return Ok(());
        }
        let mut columns = vec![taken.column(PEOPLE)?.clone()];
        let known: Int64Chunked = match question.measured {
            Some(column) => {
                let present = taken.column(column.name())?.is_not_null();
                present
                    .iter()
                    .map(|yes| Some(i64::from(yes == Some(true))))
                    .collect()
            }
            None => (0..taken.height()).map(|_| Some(0)).collect(),
        };
        columns.push(known.with_name(KNOWN.into()).into_column());
        let steps: Vec<i64> = match question.summed() {
            Some((column, _)) => {
                let numbers = taken.column(column.name())?.i64()?;
                numbers.iter().map(|number| number.unwrap_or(0)).collect()
            }
            None => vec![0; taken.height()],
        };
        // Below 64,516 steps and 2^32 people a sum of steps fits; squares are only asked of columns
        // of at most 254 steps, for others they are left out.
        let narrow = question.summed().is_some_and(|(_, grid)| !grid.is_wide());
        let squares = |s: i64| if narrow { s * s } else { 0 };
        let squared =
            Int64Chunked::from_vec(SQUARES.into(), steps.iter().map(|&s| squares(s)).collect());
        columns.push(Int64Chunked::from_vec(STEPS.into(), steps).into_column());
        columns.push(squared.into_column());
        for (axis, name) in question.axes.iter().zip(KEYS) {
            columns.push(axis_column(axis, &taken)?.with_name(name.into()));
        }
        let frame = DataFrame::new(taken.height(), columns)?;
        let keys = &KEYS[..question.axes.len()];
        let sums = if keys.is_empty() {
            frame
        } else {
            group_sums(&frame, keys)?
        };
        self.merge(&sums, keys)
    }

    /// Adds rows of sums (one per group, or one per person when nothing is grouped).
    fn merge(&mut self, sums: &DataFrame, keys: &[&str]) -> Result<(), OracleError> {
        let figure =
            |name: &str| -> PolarsResult<Int64Chunked> { Ok(sums.column(name)?.i64()?.clone()) };
        let figures = [
            figure(PEOPLE)?,
            figure(KNOWN)?,
            figure(STEPS)?,
            figure(SQUARES)?,
        ];
        if keys.is_empty() {
            let sum = |c: &Int64Chunked| c.sum().map_or(0, i128::from);
            let [people, known, steps, squares] = &figures;
            let new = [sum(people), sum(known), sum(steps), sum(squares)];
            self.0.entry(Vec::new()).or_default().plus(new);
            return Ok(());
        }
        for row in 0..sums.height() {
            let mut key = Vec::with_capacity(keys.len());
            for name in keys {
                // Rows without a value in a group column are in no group.
                match cell(sums.column(name)?, row)? {
                    Some(value) => key.push(value),
                    None => break,
                }
            }
            if key.len() == keys.len() {
                let at = |c: &Int64Chunked| c.get(row).map_or(0, i128::from);
                let [people, known, steps, squares] = &figures;
                self.0.entry(key).or_default().plus([
                    at(people),
                    at(known),
                    at(steps),
                    at(squares),
                ]);
            }
        }
        Ok(())
    }

    fn finish(self, question: &Question, min_cell: u64, people: u64) -> ClearAnswer {
        let mut keys: Vec<(Vec<(String, String)>, Vec<CellValue>)> = vec![(Vec::new(), Vec::new())];
        for axis in &question.axes {
            keys = keys
                .into_iter()
                .flat_map(|(names, values)| {
                    axis.groups.iter().map(move |(label, value)| {
                        let name = (axis.column.name().to_owned(), label.clone());
                        (
                            [&names[..], &[name]].concat(),
                            [&values[..], &[value.clone()]].concat(),
                        )
                    })
                })
                .collect();
        }
        let mut cohort = 0;
        let rows = keys
            .into_iter()
            .map(|(names, values)| {
                let sums = self.0.get(&values).copied().unwrap_or_default();
                let row = row(question, names, sums, min_cell);
                if !row.suppressed {
                    let shown = if question.asks(Measure::Count) {
                        sums.people
                    } else {
                        sums.known
                    };
                    cohort += u64::try_from(shown).unwrap_or(0);
                }
                row
            })
            .collect();
        ClearAnswer {
            answer: Answer { rows },
            cohort,
            people,
        }
    }
}

impl Sums {
    fn plus(&mut self, [people, known, steps, squares]: [i128; 4]) {
        self.people += people;
        self.known += known;
        self.steps += steps;
        self.squares += squares;
    }
}

/// polars' eager aggregations are marked as superseded by the lazy ones; the workspace stays eager
/// (see docs/adr/0003) and the call does what it says.
#[allow(deprecated)]
fn group_sums(frame: &DataFrame, keys: &[&str]) -> PolarsResult<DataFrame> {
    let mut sums = frame
        .group_by(keys.iter().copied())?
        .select([PEOPLE, KNOWN, STEPS, SQUARES])
        .sum()?;
    for name in [PEOPLE, KNOWN, STEPS, SQUARES] {
        sums.rename(&format!("{name}_sum"), name.into())?;
    }
    Ok(sums)
}

/// The group key of each row.
fn axis_column(axis: &question::Axis, frame: &DataFrame) -> PolarsResult<Column> {
    let values = frame.column(axis.column.name())?;
    if axis.edges.is_none() {
        return Ok(values.clone());
    }
    let buckets: Int64Chunked = values
        .i64()?
        .iter()
        .map(|number| match axis.key(&CellValue::Number(number?)) {
            Some(CellValue::Number(bucket)) => Some(bucket),
            _ => None,
        })
        .collect();
    Ok(buckets.into_column())
}

fn cell(column: &Column, row: usize) -> PolarsResult<Option<CellValue>> {
    Ok(match column.dtype() {
        DataType::String => column
            .str()?
            .get(row)
            .map(|text| CellValue::Label(text.to_owned())),
        _ => column.i64()?.get(row).map(CellValue::Number),
    })
}

fn row(question: &Question, group: Vec<(String, String)>, sums: Sums, min_cell: u64) -> AnswerRow {
    let asks = |measure| question.asks(measure);
    let measured = question.measured.is_some();
    let counts_rows = asks(Measure::Count);
    let least = i128::from(min_cell.max(1));
    let suppressed = (counts_rows && sums.people < least) || (measured && sums.known < least);
    let count = |count: i128| {
        if suppressed {
            None
        } else {
            u64::try_from(count).ok()
        }
    };
    let separate = counts_rows && measured && question.may_miss;
    let mut row = AnswerRow {
        group,
        count: count(if counts_rows { sums.people } else { sums.known }),
        measured: question.measured.map(|column| column.name().to_owned()),
        count_of: (separate || asks(Measure::CountOf)).then(|| count(sums.known)),
        sum: asks(Measure::Sum).then_some(None),
        avg: asks(Measure::Avg).then_some(None),
        var_samp: asks(Measure::VarSamp).then_some(None),
        stddev_samp: asks(Measure::StddevSamp).then_some(None),
        suppressed,
    };
    if let (Some((_, grid)), false) = (question.summed(), suppressed) {
        fill(&mut row, grid, sums);
    }
    row
}

/// Sum, mean and variance. The integers are exact; the one division at the end of mean and variance
/// is done as the decoder of proven answers does it, so that equal integers give equal floats.
fn fill(row: &mut AnswerRow, grid: &Grid, sums: Sums) {
    let total = grid
        .min()
        .checked_mul(sums.known)
        .and_then(|base| base.checked_add(grid.step().checked_mul(sums.steps)?));
    if let Some(total) = total {
        row.sum = row.sum.map(|_| Some(total));
        let unit = 10f64.powi(i32::from(total.scale()));
        row.avg = row
            .avg
            .map(|_| Some(total.mantissa() as f64 / (sums.known as f64 * unit)));
    }
    if sums.known > 1 {
        let spread = sums.known * sums.squares - sums.steps * sums.steps;
        let step = grid.step().to_f64();
        let pairs = (sums.known * (sums.known - 1)) as f64;
        let variance = spread as f64 / pairs * step * step;
        row.var_samp = row.var_samp.map(|_| Some(variance));
        row.stddev_samp = row.stddev_samp.map(|_| Some(variance.sqrt()));
    }
}

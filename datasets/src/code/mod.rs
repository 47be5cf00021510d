//! Step 1 of 8: a source table becomes codes, one record per person.

mod error;
mod report;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use salus_schema::codebook::Codebook;
use salus_schema::column::{Column, ColumnKind, MISSING, PhysicalCodes};
use salus_schema::decimal::Decimal;

pub use error::CodingError;
pub use report::{CodingReport, ColumnReport, Refusal, RefusalReason};

use crate::people::{OnDuplicate, People, Seen};
use crate::read::{Batch, ReadOptions, TableReader};

/// The most people in one dataset: slots are counted in 32 bits.
const MAX_PEOPLE: usize = u32::MAX as usize;

/// How many distinct texts of a column are remembered with their codes.
const REMEMBERED: usize = 1 << 16;

/// What happens to a cell that the codebook has no code for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRefused {
    /// The table is refused, with all such cells counted.
    #[default]
    Stop,
    /// The cell counts as missing where the column may be missing; elsewhere the table is refused.
    Missing,
}

/// How to code a table.
#[derive(Clone, Debug, Default)]
pub struct CodingOptions {
    pub read: ReadOptions,
    /// The column that identifies the person; when not given, the codebook's.
    pub person_key: Option<String>,
    pub on_duplicate: OnDuplicate,
    pub on_refused: OnRefused,
    /// Keep only so many people, those who come first in the table; the rest of it is still read
    /// and checked.
    pub max_people: Option<usize>,
    /// Put the text of refused cells into the report. Off: they are health facts.
    pub show_values: bool,
}

/// A table as codes, one record per person.
#[derive(Clone)]
pub struct CodedDataset {
    /// The codebook of exactly the coded columns.
    pub codebook: Codebook,
    /// Per physical column of `codebook`, one code per person. No code is 0.
    pub columns: Vec<Vec<u8>>,
    /// How many people there are.
    pub people: usize,
    pub report: CodingReport,
}

/// Shows the report, never a code.
impl fmt::Debug for CodedDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodedDataset")
            .field("people", &self.people)
            .field("columns", &"[redacted]")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl CodedDataset {
    /// One person's codes, in physical column order; None beyond the last person.
    pub fn record(&self, person: usize) -> Option<Vec<u8>> {
        self.columns
            .iter()
            .map(|column| column.get(person).copied())
            .collect()
    }
}

/// Reads and codes a table; `columns` restricts it to some logical columns (kept in codebook
/// order), which keeps large tables lean.
///
/// Memory: one byte per person and physical column, about 40 bytes per person for the keys (only
/// when there is a person key), and one batch.
///
/// # Errors
/// [`CodingError`]: the file cannot be read, a column is missing from it, a cell has no code, a
/// row has no person key, or rows of one person contradict each other and no policy decides.
pub fn code_table(
    path: &Path,
    codebook: &Codebook,
    columns: Option<&[String]>,
    options: &CodingOptions,
) -> Result<CodedDataset, CodingError> {
    let key = options.person_key.as_deref().or(codebook.person_key());
    let codebook = select_columns(codebook, columns, key)?;
    let mut reader = TableReader::open(path, &options.read)?;
    let shape = reader.shape();
    let names: Vec<String> = codebook
        .columns()
        .iter()
        .map(|c| c.name().to_owned())
        .collect();
    let unused_columns = reader
        .names()
        .iter()
        .filter(|name| !names.contains(name) && key != Some(name.as_str()))
        .cloned()
        .collect();
    let mut wanted = names;
    wanted.extend(key.map(str::to_owned));
    reader.select(&wanted)?;

    let mut coder = Coder::new(&codebook, key.is_some(), options);
    let mut rows = 0;
    while let Some(batch) = reader.next_batch()? {
        rows += batch.height() as u64;
        coder.take(&batch, key)?;
    }
    coder.finish(CodingReport {
        shape,
        rows,
        blank_lines: reader.blank_lines(),
        person_key: key.map(str::to_owned),
        on_duplicate: options.on_duplicate,
        people: 0,
        collapsed_rows: 0,
        overruled_rows: 0,
        columns: Vec::new(),
        unused_columns,
    })
}

/// The codebook of the chosen columns, in codebook order.
pub(crate) fn select_columns(
    codebook: &Codebook,
    columns: Option<&[String]>,
    key: Option<&str>,
) -> Result<Codebook, CodingError> {
    let known = || {
        codebook
            .columns()
            .iter()
            .map(|c| c.name().to_owned())
            .collect::<Vec<_>>()
    };
    if let Some(name) = key
        && codebook.find(name).is_some()
    {
        return Err(CodingError::PersonKeyAsColumn {
            name: name.to_owned(),
        });
    }
    let chosen: Vec<Column> = match columns {
        None => codebook.columns().to_vec(),
        Some(wanted) => {
            if let Some(name) = wanted.iter().find(|name| codebook.find(name).is_none()) {
                return Err(CodingError::NotInCodebook {
                    name: name.clone(),
                    known: known(),
                });
            }
            let chosen = codebook.columns().iter();
            chosen
                .filter(|column| wanted.iter().any(|w| w == column.name()))
                .cloned()
                .collect()
        }
    };
    Ok(Codebook::new(
        codebook.name(),
        key.map(str::to_owned),
        chosen,
    )?)
}

/// What a text codes to.
#[derive(Clone, Copy)]
struct Coded {
    codes: PhysicalCodes,
    rounded: bool,
}

/// One logical column while it is coded.
struct ColumnCoder<'a> {
    column: &'a Column,
    memory: HashMap<String, Coded>,
    missing: Option<Coded>,
    report: ColumnReport,
}

struct Coder<'a> {
    codebook: &'a Codebook,
    options: &'a CodingOptions,
    coders: Vec<ColumnCoder<'a>>,
    /// Per physical column, one code per person.
    codes: Vec<Vec<u8>>,
    people: People,
    /// Per person, the line of the row that stands (only when there is a key).
    lines: Vec<u64>,
    /// Per person, whether rows contradicted each other (only when there is a key).
    conflicted: Vec<bool>,
    conflicts: u64,
    conflict_example: Option<(u64, u64)>,
    no_key: u64,
    no_key_line: u64,
    collapsed: u64,
    overruled: u64,
    keyed: bool,
}

impl<'a> Coder<'a> {
    fn new(codebook: &'a Codebook, keyed: bool, options: &'a CodingOptions) -> Self {
        let coders = codebook
            .columns()
            .iter()
            .map(|column| ColumnCoder {
                column,
                memory: HashMap::new(),
                missing: column.encode(None).ok().map(|codes| Coded {
                    codes,
                    rounded: false,
                }),
                report: ColumnReport {
                    name: column.name().to_owned(),
                    ..ColumnReport::default()
                },
            })
            .collect();
        Self {
            codebook,
            options,
            coders,
            codes: vec![Vec::new(); codebook.physical_len()],
            people: People::new(keyed),
            lines: Vec::new(),
            conflicted: Vec::new(),
            conflicts: 0,
            conflict_example: None,
            no_key: 0,
            no_key_line: 0,
            collapsed: 0,
            overruled: 0,
            keyed,
        }
    }

    fn take(&mut self, batch: &Batch, key: Option<&str>) -> Result<(), CodingError> {
        let mut fresh: Vec<Vec<u8>> = Vec::with_capacity(self.codes.len());
        for coder in &mut self.coders {
            coder.code(batch, self.options, &mut fresh)?;
        }
        if self.people.count() + batch.height() > MAX_PEOPLE {
            return Err(CodingError::TooManyPeople { limit: MAX_PEOPLE });
        }
        let Some(key) = key else {
            for (codes, fresh) in self.codes.iter_mut().zip(fresh) {
                codes.extend_from_slice(&fresh);
            }
            return Ok(());
        };
        let keys = batch.texts(key)?;
        for ((row, text), &line) in keys.iter().enumerate().zip(batch.lines()) {
            match self.people.see(text) {
                Seen::NoKey => {
                    if self.no_key == 0 {
                        self.no_key_line = line;
                    }
                    self.no_key += 1;
                }
                Seen::New(_) => {
                    for (codes, fresh) in self.codes.iter_mut().zip(&fresh) {
                        codes.push(fresh[row]);
                    }
                    self.lines.push(line);
                    self.conflicted.push(false);
                }
                Seen::Again(person) => self.merge(person, row, line, &fresh),
            }
        }
        Ok(())
    }

    /// A further row of a person who is already there.
    fn merge(&mut self, person: usize, row: usize, line: u64, fresh: &[Vec<u8>]) {
        if self
            .codes
            .iter()
            .zip(fresh)
            .all(|(codes, fresh)| codes[person] == fresh[row])
        {
            self.collapsed += 1;
            return;
        }
        self.overruled += 1;
        if !self.conflicted[person] {
            self.conflicted[person] = true;
            self.conflicts += 1;
            self.conflict_example
                .get_or_insert((self.lines[person], line));
        }
        if self.options.on_duplicate == OnDuplicate::Last {
            for (codes, fresh) in self.codes.iter_mut().zip(fresh) {
                codes[person] = fresh[row];
            }
            self.lines[person] = line;
        }
    }

    fn finish(mut self, mut report: CodingReport) -> Result<CodedDataset, CodingError> {
        if self.no_key > 0 {
            return Err(CodingError::NoPersonKey {
                count: self.no_key,
                first_line: self.no_key_line,
            });
        }
        let kept = self.options.max_people.unwrap_or(usize::MAX);
        self.codes.iter_mut().for_each(|codes| codes.truncate(kept));
        let people = self.codes.first().map_or(0, Vec::len);
        report.people = people as u64;
        report.collapsed_rows = self.collapsed;
        report.overruled_rows = self.overruled;
        for (logical, coder) in self.coders.into_iter().enumerate() {
            let mut column = coder.report;
            let first = self
                .codebook
                .first_physical(logical)
                .map_or(0, |index| index.0 as usize);
            column.missing = self.codes[first]
                .iter()
                .filter(|&&code| code == MISSING)
                .count() as u64;
            report.columns.push(column);
        }
        let hopeless = report
            .columns
            .iter()
            .zip(self.codebook.columns())
            .any(|(found, column)| {
                found.refused > 0
                    && (self.options.on_refused == OnRefused::Stop || !column.nullable())
            });
        if hopeless {
            return Err(CodingError::Refused {
                report: Box::new(report),
            });
        }
        if self.keyed
            && self.options.on_duplicate == OnDuplicate::Refuse
            && let Some(example) = self.conflict_example
        {
            return Err(CodingError::ConflictingRows {
                people: self.conflicts,
                example,
            });
        }
        Ok(CodedDataset {
            codebook: self.codebook.clone(),
            columns: self.codes,
            people,
            report,
        })
    }
}

impl ColumnCoder<'_> {
    /// Codes one column of a batch and appends its one or two code columns to `out`.
    fn code(
        &mut self,
        batch: &Batch,
        options: &CodingOptions,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<(), CodingError> {
        let texts = batch.texts(self.column.name())?;
        let wide = self.column.kind().is_wide();
        let mut first = Vec::with_capacity(batch.height());
        let mut second = Vec::with_capacity(if wide { batch.height() } else { 0 });
        for (text, &line) in texts.iter().zip(batch.lines()) {
            // A refused cell is coded as missing so that the columns stay aligned; whether the
            // table stands with it is decided when all of it has been seen.
            let (one, two) = match self.look_up(text, line, options.show_values) {
                Some(PhysicalCodes::One(code)) => (code, MISSING),
                Some(PhysicalCodes::Two { high, low }) => (high, low),
                None => (MISSING, MISSING),
            };
            first.push(one);
            if wide {
                second.push(two);
            }
        }
        out.push(first);
        if wide {
            out.push(second);
        }
        Ok(())
    }

    fn look_up(&mut self, text: Option<&str>, line: u64, show: bool) -> Option<PhysicalCodes> {
        let text = text.filter(|text| !text.trim().is_empty());
        let known = match text {
            None => self.missing,
            Some(text) => self.memory.get(text).copied(),
        };
        if let Some(found) = known {
            self.report.rounded += u64::from(found.rounded);
            return Some(found.codes);
        }
        match self.column.encode(text) {
            Ok(codes) => {
                let rounded = text.is_some_and(|text| self.is_rounded(text, codes));
                self.report.rounded += u64::from(rounded);
                if let Some(text) = text
                    && self.memory.len() < REMEMBERED
                {
                    self.memory
                        .insert(text.to_owned(), Coded { codes, rounded });
                }
                Some(codes)
            }
            Err(error) => {
                self.report.refuse(line, &error, text, show);
                None
            }
        }
    }

    /// Whether the codes stand for another number than the text.
    fn is_rounded(&self, text: &str, codes: PhysicalCodes) -> bool {
        let ColumnKind::Exact(grid) = self.column.kind() else {
            return false;
        };
        if !grid.rounding() {
            return false;
        }
        let codes: Vec<u8> = codes.iter().collect();
        let Ok(salus_schema::column::Value::Number(coded)) = self.column.decode(&codes) else {
            return false;
        };
        text.parse::<Decimal>().is_ok_and(|source| source != coded)
    }
}

//! Reading a source table in bounded batches of text columns.
//!
//! Every cell arrives as the text that the file holds, so that exactness is decided here (decimal
//! text to scaled integers) and not by a float parser. Memory is bounded by the batch, whatever
//! the size of the file.

mod delimited;
mod error;
mod header;
mod parquet;
mod scan;
mod source;

use std::fmt;
use std::path::Path;

use polars::prelude::{DataFrame, StringChunked};
use serde::Serialize;

pub(crate) use delimited::error_kind;
pub use error::ReadError;

use delimited::Delimited;
use parquet::Parquet;
use source::{Container, Source};

/// The most columns that a table may have.
pub const MAX_COLUMNS: usize = 4096;

/// How to read a file. The default sniffs everything.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The field delimiter of a text file; sniffed when not given.
    pub delimiter: Option<u8>,
    /// Rows to pass over behind the header; when not given, 2 for an Orange `.tab` file and 0
    /// otherwise.
    pub skip_after_header: Option<usize>,
    /// Size of a batch of a text file, in unpacked bytes.
    pub batch_bytes: usize,
    /// Size of a batch of a Parquet file, in rows.
    pub batch_rows: usize,
    /// The longest field that is read, in bytes.
    pub max_field_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            skip_after_header: None,
            batch_bytes: 4 << 20,
            batch_rows: 1 << 16,
            max_field_bytes: 1_000_000,
        }
    }
}

/// What was found to be true of a file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceShape {
    pub format: SourceFormat,
    /// Rows between header and data that were passed over.
    pub skipped_after_header: usize,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    Delimited {
        delimiter: u8,
        gzip: bool,
    },
    Parquet,
    /// No file: the built-in synthetic cohort.
    Synthetic,
}

/// Some consecutive records, all cells as text (null or "" where a field is empty; both mean that
/// the value is missing).
pub struct Batch {
    pub(crate) frame: DataFrame,
    /// Per record, the line (text file) or row (Parquet) it starts on, from 1.
    pub(crate) lines: Vec<u64>,
}

/// Shows how many records there are, never what they say.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// How many records the batch holds.
    pub fn height(&self) -> usize {
        self.lines.len()
    }

    /// The records as a polars frame of text columns.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Per record, the source line (Parquet: row) it starts on, from 1.
    pub fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// One column's texts.
    pub(crate) fn texts(&self, name: &str) -> Result<&StringChunked, ReadError> {
        self.frame
            .column(name)
            .and_then(|column| column.str())
            .map_err(|error| ReadError::Engine {
                line: self.lines.first().copied().unwrap_or(0),
                detail: delimited::error_kind(&error),
            })
    }
}

enum Body {
    Delimited(Box<Delimited>),
    Parquet(Box<Parquet>),
}

/// A source table, read once from start to end.
pub struct TableReader {
    body: Body,
    gzip: bool,
}

impl TableReader {
    /// Opens a CSV, TSV, Orange `.tab` (each also gzipped) or Parquet file, by content and not by
    /// name, and reads its header.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be opened or its header is unusable.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, ReadError> {
        let (source, container) = Source::open(path)?;
        let body = match container {
            Container::Parquet => Body::Parquet(Box::new(Parquet::open(source, options)?)),
            Container::Text | Container::Gzip => {
                Body::Delimited(Box::new(Delimited::open(source, options)?))
            }
        };
        Ok(Self {
            body,
            gzip: container == Container::Gzip,
        })
    }

    /// All column names, in the order of the file.
    pub fn names(&self) -> &[String] {
        match &self.body {
            Body::Delimited(reader) => reader.names(),
            Body::Parquet(reader) => reader.names(),
        }
    }

    /// The file's form.
    pub fn shape(&self) -> SourceShape {
        match &self.body {
            Body::Delimited(reader) => SourceShape {
                format: SourceFormat::Delimited {
                    delimiter: reader.delimiter(),
                    gzip: self.gzip,
                },
                skipped_after_header: reader.skipped_after_header(),
            },
            Body::Parquet(_) => SourceShape {
                format: SourceFormat::Parquet,
                skipped_after_header: 0,
            },
        }
    }

    /// Columns that have no exact text form (nested, binary, dates), with their type. They can
    /// neither be selected nor coded.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        match &self.body {
            Body::Delimited(_) => Vec::new(),
            Body::Parquet(reader) => reader.unreadable(),
        }
    }

    /// Blank lines passed over so far (a line without a byte is no record).
    pub fn blank_lines(&self) -> u64 {
        match &self.body {
            Body::Delimited(reader) => reader.blank_lines(),
            Body::Parquet(_) => 0,
        }
    }

    /// Restricts the batches to the named columns, in that order.
    ///
    /// # Errors
    /// [`ReadError::UnknownColumn`] with the names that exist.
    pub fn select(&mut self, wanted: &[String]) -> Result<(), ReadError> {
        let names = self.names();
        let mut projection = Vec::with_capacity(wanted.len());
        for name in wanted {
            let index = names
                .iter()
                .position(|known| known == name)
                .ok_or_else(|| ReadError::UnknownColumn {
                    name: name.clone(),
                    known: names.to_vec(),
                })?;
            if !projection.contains(&index) {
                projection.push(index);
            }
        }
        match &mut self.body {
            Body::Delimited(reader) => reader.project(projection),
            Body::Parquet(reader) => reader.project(projection)?,
        }
        Ok(())
    }

    /// The next batch; None behind the last record.
    ///
    /// # Errors
    /// [`ReadError`], naming the line; [`ReadError::HeaderOnly`] when there is no record at all.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        match &mut self.body {
            Body::Delimited(reader) => reader.next_batch(),
            Body::Parquet(reader) => reader.next_batch(),
        }
    }
}

//! CSV and its relatives, one bounded block at a time.

use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::*;

use super::header::{check_names, is_orange_header, read_fields, sniff_delimiter};
use super::scan::{Limits, scan_block};
use super::source::Source;
use super::{Batch, ReadError, ReadOptions};

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A delimited text file, open behind its header.
pub(crate) struct Delimited {
    source: Source,
    limits: Limits,
    batch_bytes: usize,
    delimiter: u8,
    skipped_after_header: usize,
    names: Vec<String>,
    projection: Vec<usize>,
    raw: Vec<u8>,
    /// How much of `raw` is known to be UTF-8 without NUL.
    checked: usize,
    /// Offset of `raw[0]` in the unpacked file.
    offset: u64,
    line: u64,
    ended: bool,
    rows: u64,
    blank: u64,
}

impl Delimited {
    pub(crate) fn open(source: Source, options: &ReadOptions) -> Result<Self, ReadError> {
        let limits = Limits {
            field_bytes: options.max_field_bytes,
            record_bytes: options.max_field_bytes.saturating_mul(16),
        };
        let mut reader = Self {
            source,
            limits,
            batch_bytes: options.batch_bytes.max(1),
            delimiter: b',',
            skipped_after_header: 0,
            names: Vec::new(),
            projection: Vec::new(),
            raw: Vec::new(),
            checked: 0,
            offset: 0,
            line: 1,
            ended: false,
            rows: 0,
            blank: 0,
        };
        reader.fill(reader.batch_bytes.max(BOM.len()))?;
        if reader.raw.starts_with(&BOM) {
            reader.consume(BOM.len(), 1);
        }
        if reader.raw.iter().all(u8::is_ascii_whitespace) && reader.ended {
            return Err(ReadError::Empty {
                path: reader.source.path().to_owned(),
            });
        }
        reader.delimiter = match options.delimiter {
            Some(given) => check_delimiter(given)?,
            None => sniff_delimiter(&reader.raw, reader.ended, limits),
        };
        let header = reader.take_record()?.unwrap_or_default();
        reader.names = check_names(&header)?;
        reader.projection = (0..reader.names.len()).collect();
        let skip = match options.skip_after_header {
            Some(rows) => rows,
            None if reader.has_orange_rows()? => 2,
            None => 0,
        };
        for _ in 0..skip {
            reader.take_record()?;
        }
        reader.skipped_after_header = skip;
        Ok(reader)
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    pub(crate) fn skipped_after_header(&self) -> usize {
        self.skipped_after_header
    }

    pub(crate) fn blank_lines(&self) -> u64 {
        self.blank
    }

    pub(crate) fn project(&mut self, projection: Vec<usize>) {
        self.projection = projection;
    }

    /// The next batch; None behind the last row.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        let mut wanted = self.batch_bytes;
        loop {
            self.fill(wanted)?;
            let usable = &self.raw[..self.checked];
            let block = scan_block(
                usable,
                self.line,
                self.names.len(),
                self.delimiter,
                self.ended,
                self.limits,
            )?;
            self.blank += block.blank;
            if block.lines.is_empty() {
                let all = self.ended && block.consumed == self.raw.len();
                let stuck = block.consumed == 0;
                self.consume(block.consumed, block.next_line);
                if all && self.rows == 0 {
                    return Err(ReadError::HeaderOnly {
                        path: self.source.path().to_owned(),
                    });
                }
                if all {
                    return Ok(None);
                }
                // A record longer than the block: read on until it is whole or over the limit.
                wanted = if stuck {
                    wanted.saturating_mul(2)
                } else {
                    self.batch_bytes
                };
                continue;
            }
            let batch = self.parse(block.bytes, block.lines)?;
            self.rows += batch.height() as u64;
            self.consume(block.consumed, block.next_line);
            return Ok(Some(batch));
        }
    }

    fn parse(&self, bytes: Vec<u8>, lines: Vec<u64>) -> Result<Batch, ReadError> {
        let first_line = lines.first().copied().unwrap_or(self.line);
        let last_line = lines.last().copied().unwrap_or(self.line);
        let engine = |error: PolarsError| ReadError::Engine {
            line: first_line,
            detail: error_kind(&error),
        };
        let schema: Schema = (0..self.names.len())
            .map(|column| Field::new(format!("c{column}").into(), DataType::String))
            .collect();
        let parse = CsvParseOptions {
            separator: self.delimiter,
            quote_char: Some(b'"'),
            eol_char: b'\n',
            ..CsvParseOptions::default()
        };
        let mut projection = self.projection.clone();
        projection.sort_unstable();
        let frame = CsvReadOptions::default()
            .with_has_header(true)
            .with_schema(Some(Arc::new(schema)))
            .with_projection(Some(Arc::new(projection)))
            .with_parse_options(parse)
            .with_rechunk(false)
            .into_reader_with_file_handle(Cursor::new(bytes))
            .finish()
            .map_err(engine)?;
        if frame.height() != lines.len() {
            return Err(ReadError::ParsersDisagree {
                first_line,
                last_line,
                expected: lines.len(),
                found: frame.height(),
            });
        }
        let mut columns = Vec::with_capacity(self.projection.len());
        for &index in &self.projection {
            let column = frame.column(&format!("c{index}")).map_err(engine)?;
            columns.push(column.clone().with_name(self.names[index].as_str().into()));
        }
        let frame = DataFrame::new(lines.len(), columns).map_err(engine)?;
        Ok(Batch { frame, lines })
    }

    /// Reads one record (header or a row to be skipped); None at the end of the file.
    fn take_record(&mut self) -> Result<Option<Vec<String>>, ReadError> {
        let Some((fields, end, next_line)) = self.peek_record(0, self.line)? else {
            return Ok(None);
        };
        self.consume(end, next_line);
        Ok(Some(fields))
    }

    fn peek_record(
        &mut self,
        start: usize,
        line: u64,
    ) -> Result<Option<(Vec<String>, usize, u64)>, ReadError> {
        loop {
            if self.ended && start >= self.raw.len() {
                return Ok(None);
            }
            let usable = &self.raw[..self.checked];
            if start < usable.len()
                && let Some(fields) =
                    read_fields(usable, start, line, self.delimiter, self.ended, self.limits)?
            {
                return Ok(Some((fields.texts, fields.end, fields.next_line)));
            }
            self.fill(self.raw.len() + self.batch_bytes)?;
        }
    }

    fn has_orange_rows(&mut self) -> Result<bool, ReadError> {
        let Some((types, end, line)) = self.peek_record(0, self.line)? else {
            return Ok(false);
        };
        let Some((roles, _, _)) = self.peek_record(end, line)? else {
            return Ok(false);
        };
        Ok(is_orange_header(self.source.path(), &types, &roles))
    }

    /// Reads until `raw` holds `wanted` bytes or the file ends, and checks what came.
    fn fill(&mut self, wanted: usize) -> Result<(), ReadError> {
        while !self.ended && self.raw.len() < wanted {
            let missing = wanted - self.raw.len();
            self.ended = self.source.fill(&mut self.raw, missing)?;
        }
        let fresh = &self.raw[self.checked..];
        let valid = match std::str::from_utf8(fresh) {
            Ok(_) => fresh.len(),
            // A character that the block cuts in two is judged with the next block.
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            Err(error) => {
                let at = self.checked + error.valid_up_to();
                if let Some(nul) = find_nul(&self.raw[self.checked..at]) {
                    return Err(self.nul(self.checked + nul));
                }
                return Err(ReadError::NotUtf8 {
                    line: self.line_of(at),
                    offset: self.offset + at as u64,
                });
            }
        };
        if let Some(nul) = find_nul(&fresh[..valid]) {
            return Err(self.nul(self.checked + nul));
        }
        self.checked += valid;
        Ok(())
    }

    fn nul(&self, at: usize) -> ReadError {
        ReadError::Nul {
            line: self.line_of(at),
            offset: self.offset + at as u64,
        }
    }

    fn line_of(&self, at: usize) -> u64 {
        self.line + self.raw[..at].iter().filter(|&&b| b == b'\n').count() as u64
    }

    fn consume(&mut self, bytes: usize, next_line: u64) {
        self.raw.drain(..bytes);
        self.checked -= bytes;
        self.offset += bytes as u64;
        self.line = next_line;
    }
}

fn find_nul(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&b| b == 0)
}

fn check_delimiter(given: u8) -> Result<u8, ReadError> {
    let usable = given.is_ascii()
        && !given.is_ascii_alphanumeric()
        && ![b'"', b'\n', b'\r', 0, b'.', b'-', b'+'].contains(&given);
    if usable {
        Ok(given)
    } else {
        Err(ReadError::BadDelimiter {
            found: given.into(),
        })
    }
}

/// The kind of a polars error without its text, which may quote cells.
pub(crate) fn error_kind(error: &PolarsError) -> String {
    let debug = format!("{error:?}");
    debug
        .split(['(', '{', ' '])
        .next()
        .unwrap_or("unknown")
        .to_owned()
}

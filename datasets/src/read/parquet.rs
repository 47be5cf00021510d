//! Parquet, a slice of rows at a time, every readable column as text.

use std::fmt::{Display, Write};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::*;

use super::delimited::error_kind;
use super::header::check_names;
use super::source::Source;
use super::{Batch, ReadError, ReadOptions};

/// The largest file that is read. It is held packed in memory: a memory-mapped file that another
/// program cuts short kills the process, and a table must end in an error instead.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// An open Parquet file.
pub(crate) struct Parquet {
    source: Source,
    bytes: Vec<u8>,
    metadata: FileMetadataRef,
    names: Vec<String>,
    /// Per column, the type's name when it has no text form.
    unreadable: Vec<Option<String>>,
    projection: Vec<usize>,
    rows: usize,
    at: usize,
    batch_rows: usize,
}

impl Parquet {
    pub(crate) fn open(mut source: Source, options: &ReadOptions) -> Result<Self, ReadError> {
        if source.len() > MAX_FILE_BYTES {
            return Err(ReadError::TooLarge {
                path: source.path().to_owned(),
                size: source.len(),
                limit: MAX_FILE_BYTES,
            });
        }
        let mut bytes = Vec::with_capacity(source.len() as usize);
        // One byte more than the file has, so that its end is seen and checked.
        while !source.fill(&mut bytes, 16 << 20)? {}
        let damaged = |detail| ReadError::DamagedParquet {
            path: source.path().to_owned(),
            detail,
        };
        let (metadata, schema) = guarded(|| {
            let mut reader = ParquetReader::new(Cursor::new(&bytes[..]));
            let schema = reader.schema()?;
            Ok((reader.get_metadata()?.clone(), schema))
        })
        .map_err(damaged)?;
        let raw: Vec<String> = schema.iter_names().map(|name| name.to_string()).collect();
        let names = check_names(&raw)?;
        let unreadable: Vec<Option<String>> = schema
            .iter_values()
            .map(|field| (!has_text_form(&field.dtype)).then(|| format!("{:?}", field.dtype)))
            .collect();
        let rows = metadata.num_rows;
        if rows == 0 {
            return Err(ReadError::HeaderOnly {
                path: source.path().to_owned(),
            });
        }
        let projection = (0..names.len())
            .filter(|&i| unreadable[i].is_none())
            .collect();
        Ok(Self {
            source,
            bytes,
            metadata,
            names,
            unreadable,
            projection,
            rows,
            at: 0,
            batch_rows: options.batch_rows.max(1),
        })
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Columns without a text form, with their type.
    pub(crate) fn unreadable(&self) -> Vec<(String, String)> {
        let named = self.names.iter().zip(&self.unreadable);
        named
            .filter_map(|(name, dtype)| Some((name.clone(), dtype.clone()?)))
            .collect()
    }

    pub(crate) fn project(&mut self, projection: Vec<usize>) -> Result<(), ReadError> {
        for &index in &projection {
            if let Some(dtype) = &self.unreadable[index] {
                return Err(ReadError::UnreadableColumn {
                    path: self.source.path().to_owned(),
                    name: self.names[index].clone(),
                    dtype: dtype.clone(),
                });
            }
        }
        self.projection = projection;
        Ok(())
    }

    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        if self.at >= self.rows || self.projection.is_empty() {
            return Ok(None);
        }
        let height = self.batch_rows.min(self.rows - self.at);
        let damaged = |detail| ReadError::DamagedParquet {
            path: self.source.path().to_owned(),
            detail,
        };
        let frame = guarded(|| {
            let mut reader = ParquetReader::new(Cursor::new(&self.bytes[..]))
                .with_slice(Some((self.at, height)))
                .with_projection(Some(sorted(&self.projection)))
                .read_parallel(ParallelStrategy::Columns);
            reader.set_metadata(self.metadata.clone());
            let frame = reader.finish()?;
            let mut columns = Vec::with_capacity(self.projection.len());
            for &index in &self.projection {
                columns.push(to_text(frame.column(&self.names[index])?)?);
            }
            DataFrame::new(frame.height(), columns)
        })
        .map_err(damaged)?;
        if frame.height() != height {
            return Err(damaged(format!(
                "{} rows where {height} were announced",
                frame.height()
            )));
        }
        let lines = (self.at as u64 + 1..=(self.at + height) as u64).collect();
        self.at += height;
        Ok(Some(Batch { frame, lines }))
    }
}

fn sorted(projection: &[usize]) -> Vec<usize> {
    let mut sorted = projection.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Types whose text form carries the value exactly.
fn has_text_form(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    match dtype {
        A::Null | A::Boolean | A::Int32 | A::Int64 | A::UInt32 | A::UInt64 => true,
        A::Int8 | A::Int16 | A::UInt8 | A::UInt16 => true,
        A::Float32 | A::Float64 => true,
        A::Utf8 | A::LargeUtf8 | A::Utf8View => true,
        A::Dictionary(_, values, _) => has_text_form(values),
        _ => false,
    }
}

/// A column's values as texts that say exactly what the values are.
///
/// Floats are printed by the standard library, as the shortest decimal that names the float and
/// without an exponent: 1.0 is "1", as it would stand in a CSV file of whole numbers.
fn to_text(column: &Column) -> PolarsResult<Column> {
    match column.dtype() {
        DataType::Float64 => Ok(printed(column, column.f64()?.iter())),
        DataType::Float32 => Ok(printed(column, column.f32()?.iter())),
        _ => column.cast(&DataType::String),
    }
}

fn printed<T: Display>(column: &Column, values: impl Iterator<Item = Option<T>>) -> Column {
    let mut builder = StringChunkedBuilder::new(column.name().clone(), column.len());
    let mut text = String::new();
    for value in values {
        match value {
            Some(value) => {
                text.clear();
                // Writing to a string cannot fail.
                let _ = write!(text, "{value}");
                builder.append_value(&text);
            }
            None => builder.append_null(),
        }
    }
    builder.finish().into_column()
}

/// Runs a polars call on untrusted bytes. A damaged file makes some decoders panic; that is bad
/// input and not our failure, so it is reported as such.
fn guarded<T>(work: impl FnOnce() -> PolarsResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error_kind(&error)),
        Err(_) => Err("the decoder stopped on it".into()),
    }
}

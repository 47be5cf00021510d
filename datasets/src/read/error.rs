//! What can be wrong with a source file, and where in it.

use std::path::PathBuf;

use thiserror::Error;

/// Why a source table cannot be read.
///
/// Messages name places (line, byte, column name), never a cell's value: a value is somebody's
/// health fact and messages end up in logs.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("{path}: no such file", path = path.display())]
    NotFound { path: PathBuf },
    #[error("{path}: this is a directory, not a table", path = path.display())]
    IsDirectory { path: PathBuf },
    #[error("{path}: not a regular file (a pipe or a device)", path = path.display())]
    NotRegular { path: PathBuf },
    #[error("{path}: permission denied", path = path.display())]
    PermissionDenied { path: PathBuf },
    #[error("{path}: reading failed after {offset} bytes: {source}", path = path.display())]
    Io {
        path: PathBuf,
        offset: u64,
        source: std::io::Error,
    },
    #[error("{path}: the file disappeared after {offset} bytes were read", path = path.display())]
    Vanished { path: PathBuf, offset: u64 },
    #[error("{path}: the file changed while it was read (after {offset} bytes)", path = path.display())]
    Changed { path: PathBuf, offset: u64 },
    #[error("{path}: the gzip data are damaged or cut short after {offset} unpacked bytes", path = path.display())]
    DamagedGzip { path: PathBuf, offset: u64 },
    #[error("{path}: {found}, which holds no table that can be read", path = path.display())]
    NotATable { path: PathBuf, found: &'static str },
    #[error("{path}: the file is empty", path = path.display())]
    Empty { path: PathBuf },
    #[error("{path}: a header and no row", path = path.display())]
    HeaderOnly { path: PathBuf },
    #[error("not UTF-8 at byte {offset} (line {line})")]
    NotUtf8 { line: u64, offset: u64 },
    #[error("a NUL byte at byte {offset} (line {line})")]
    Nul { line: u64, offset: u64 },
    #[error("line {line} has {found} fields where the header has {expected}")]
    Ragged {
        line: u64,
        expected: usize,
        found: usize,
    },
    #[error("line {line}: field {field} is longer than {limit} bytes")]
    FieldTooLong {
        line: u64,
        field: usize,
        limit: usize,
    },
    #[error("line {line}: the record is longer than {limit} bytes")]
    RecordTooLong { line: u64, limit: usize },
    #[error("the quote opened on line {line} is never closed")]
    UnclosedQuote { line: u64 },
    #[error("line {line}: a quote character inside field {field} that does not enclose it")]
    StrayQuote { line: u64, field: usize },
    #[error("line {line}: a carriage return that is not followed by a line feed")]
    BareCarriageReturn { line: u64 },
    #[error("the header's column {position} has no name")]
    EmptyName { position: usize },
    #[error("the header names \"{name}\" twice (columns {first} and {second})")]
    DuplicateName {
        name: String,
        first: usize,
        second: usize,
    },
    #[error("the table has {found} columns; at most {limit} can be read")]
    TooManyColumns { found: usize, limit: usize },
    #[error("no column named \"{name}\"")]
    UnknownColumn { name: String, known: Vec<String> },
    #[error("the delimiter {found:?} cannot separate fields")]
    BadDelimiter { found: char },
    #[error("{path}: the Parquet file is damaged or uses a feature that is not read: {detail}", path = path.display())]
    DamagedParquet { path: PathBuf, detail: String },
    #[error("{path}: column \"{name}\" holds {dtype}, which has no text form here", path = path.display())]
    UnreadableColumn {
        path: PathBuf,
        name: String,
        dtype: String,
    },
    #[error("{path}: {size} bytes; a Parquet file of at most {limit} bytes can be read", path = path.display())]
    TooLarge {
        path: PathBuf,
        size: u64,
        limit: u64,
    },
    #[error(
        "polars found {found} rows between lines {first_line} and {last_line} where the scanner found {expected}"
    )]
    ParsersDisagree {
        first_line: u64,
        last_line: u64,
        expected: usize,
        found: usize,
    },
    #[error("polars failed on the rows from line {line} on: {detail}")]
    Engine { line: u64, detail: String },
}

impl ReadError {
    /// The error's stable code, for scripts and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "read.not_found",
            Self::IsDirectory { .. } => "read.is_directory",
            Self::NotRegular { .. } => "read.not_regular",
            Self::PermissionDenied { .. } => "read.permission_denied",
            Self::Io { .. } => "read.io",
            Self::Vanished { .. } => "read.vanished",
            Self::Changed { .. } => "read.changed",
            Self::DamagedGzip { .. } => "read.damaged_gzip",
            Self::NotATable { .. } => "read.not_a_table",
            Self::Empty { .. } => "read.empty",
            Self::HeaderOnly { .. } => "read.header_only",
            Self::NotUtf8 { .. } => "read.not_utf8",
            Self::Nul { .. } => "read.nul",
            Self::Ragged { .. } => "read.ragged",
            Self::FieldTooLong { .. } => "read.field_too_long",
            Self::RecordTooLong { .. } => "read.record_too_long",
            Self::UnclosedQuote { .. } => "read.unclosed_quote",
            Self::StrayQuote { .. } => "read.stray_quote",
            Self::BareCarriageReturn { .. } => "read.bare_carriage_return",
            Self::EmptyName { .. } => "read.empty_name",
            Self::DuplicateName { .. } => "read.duplicate_name",
            Self::TooManyColumns { .. } => "read.too_many_columns",
            Self::UnknownColumn { .. } => "read.unknown_column",
            Self::BadDelimiter { .. } => "read.bad_delimiter",
            Self::DamagedParquet { .. } => "read.damaged_parquet",
            Self::UnreadableColumn { .. } => "read.unreadable_column",
            Self::TooLarge { .. } => "read.too_large",
            Self::ParsersDisagree { .. } => "read.parsers_disagree",
            Self::Engine { .. } => "read.engine",
        }
    }

    /// What the user can do next, one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::NotFound { .. } => "Check the path.".into(),
            Self::IsDirectory { .. } => "Name one file inside it.".into(),
            Self::NotRegular { .. } => {
                "Save the data to a file first: it is read more than once.".into()
            }
            Self::PermissionDenied { .. } => {
                "Give this user read permission on the file, or run as its owner.".into()
            }
            Self::Io { .. } => "Check the disk, then run again; nothing was written.".into(),
            Self::Vanished { .. } => "Put the file back and run again; nothing was written.".into(),
            Self::Changed { .. } => {
                "Wait until the program that writes it has finished, or read a copy; nothing was written."
                    .into()
            }
            Self::DamagedGzip { .. } => {
                "Check it with `gzip -t`, then copy or download it again.".into()
            }
            Self::NotATable { .. } => "Export the table as UTF-8 CSV, TSV or Parquet.".into(),
            Self::Empty { .. } | Self::HeaderOnly { .. } => {
                "Export the table again, with its rows.".into()
            }
            Self::NotUtf8 { .. } => {
                "Re-encode the file, for example: iconv -f WINDOWS-1252 -t UTF-8 IN > OUT.".into()
            }
            Self::Nul { .. } => {
                "If the file is UTF-16, re-encode it (iconv -f UTF-16 -t UTF-8 IN > OUT); otherwise it is damaged: export it again."
                    .into()
            }
            Self::Ragged { line, .. } => format!(
                "Look at line {line}: a field that holds the delimiter or a line break must stand in double quotes."
            ),
            Self::FieldTooLong { line, .. } | Self::RecordTooLong { line, .. } => format!(
                "Look at line {line}: a quote is probably not closed; free text does not belong in the table."
            ),
            Self::UnclosedQuote { line } => {
                format!("Close the quote on line {line}, or double it if it belongs to the text.")
            }
            Self::StrayQuote { .. } => {
                "Put the whole field in double quotes and double each quote inside it.".into()
            }
            Self::BareCarriageReturn { .. } => {
                "Save the file with LF or CRLF line ends (for example: tr '\\r' '\\n' < IN > OUT).".into()
            }
            Self::EmptyName { .. } => "Give every column a name, or delete the column.".into(),
            Self::DuplicateName { .. } => "Rename one of the two columns.".into(),
            Self::TooManyColumns { .. } => "Keep the columns that will be asked about.".into(),
            Self::UnknownColumn { known, .. } => {
                let shown: Vec<&str> = known.iter().take(12).map(String::as_str).collect();
                let more = if known.len() > shown.len() { ", ..." } else { "" };
                format!("The columns are: {}{more}.", shown.join(", "))
            }
            Self::BadDelimiter { .. } => {
                "Choose one ASCII character that is no quote, letter, digit or line end.".into()
            }
            Self::DamagedParquet { .. } => "Write the file again, or export it as CSV.".into(),
            Self::UnreadableColumn { name, .. } => {
                format!("Cast \"{name}\" to text or a number, or leave it out of the file.")
            }
            Self::TooLarge { .. } => "Split the file, or export it as CSV (read in batches).".into(),
            Self::ParsersDisagree { first_line, last_line, .. } => format!(
                "Please report this with the shape of lines {first_line} to {last_line} (not their values)."
            ),
            Self::Engine { .. } => "Please report this; exporting the table again may help.".into(),
        }
    }
}

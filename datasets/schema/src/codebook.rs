//! Codebooks: the ordered columns of a dataset and how source values become codes 0..=255.

use std::collections::HashSet;

use thiserror::Error;

use crate::column::{Column, MAX_TEXT, PhysicalCodes, Value};
use crate::cube::{Cube, CubeError, MAX_CUBES};
use crate::decimal::Decimal;
use crate::plan::ColumnIndex;

/// Version of the codebook format.
pub const CODEBOOK_VERSION: u32 = 1;
/// Physical code columns per codebook, at most.
pub const MAX_PHYSICAL_COLUMNS: usize = 512;

/// Why a source value has no codes, or codes have no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodeError {
    #[error(
        "column `{column}`: a value is missing, but the codebook lists no missing markers; add `missing = [\"\"]` to the column"
    )]
    MissingNotAllowed { column: String },
    #[error(
        "column `{column}`: `{value}` is not among the values of the codebook; add it there or to `missing`"
    )]
    UnknownValue { column: String, value: String },
    #[error(
        "column `{column}`: `{value}` is not a number; if it means \"not known\", add it to `missing`"
    )]
    NotANumber { column: String, value: String },
    #[error(
        "column `{column}`: {value} is outside {min} to {max}; widen the range in the codebook"
    )]
    OutOfRange {
        column: String,
        value: String,
        min: String,
        max: String,
    },
    #[error(
        "column `{column}`: {value} is not {min} plus a multiple of {step}; choose a finer `step` or set `rounding = true`"
    )]
    OffGrid {
        column: String,
        value: String,
        min: String,
        step: String,
    },
    #[error("column `{column}`: no value has the codes {codes:?}")]
    BadCode { column: String, codes: Vec<u8> },
    #[error("there is no column {index} in the codebook")]
    NoColumn { index: usize },
}

/// Why a codebook cannot be used; each says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodebookError {
    #[error("the codebook is not valid TOML: {message}")]
    Toml { message: String },
    #[error("codebook version {found} is not known; write `version = {CODEBOOK_VERSION}`")]
    Version { found: u32 },
    #[error("the dataset name `{name}` cannot be used; write 1 to 128 printable characters")]
    Name { name: String },
    #[error("the codebook has no columns; add at least one `[[columns]]`")]
    NoColumns,
    #[error(
        "the codebook needs {found} code columns, more than {MAX_PHYSICAL_COLUMNS}; drop columns or coarsen wide numbers"
    )]
    TooManyColumns { found: usize },
    #[error("column `{column}` stands twice; give each column its own name")]
    RepeatedColumn { column: String },
    #[error(
        "column `{column}` is the person key; it identifies people and is never coded, so remove it from `[[columns]]`"
    )]
    PersonKeyColumn { column: String },
    #[error(
        "column `{column}`: the {what} `{text}` cannot be used; write 1 to 128 printable characters without blanks around them"
    )]
    Text {
        column: String,
        what: &'static str,
        text: String,
    },
    #[error(
        "column `{column}`: {found} values; a code column tells 1 to 254 apart, so merge rare values or use buckets"
    )]
    ValueCount { column: String, found: usize },
    #[error("column `{column}`: `{value}` stands twice among values and labels; write it once")]
    RepeatedValue { column: String, value: String },
    #[error("column `{column}`: {found} edges; write 2 to 255 for 1 to 254 buckets")]
    EdgeCount { column: String, found: usize },
    #[error(
        "column `{column}`: edge {after} comes after {before}; write the edges in ascending order, each once"
    )]
    EdgeOrder {
        column: String,
        before: Decimal,
        after: Decimal,
    },
    #[error(
        "column `{column}`: {min} to {max} by {step} is not a grid of 1 to 64,516 values; write a positive `step`, `max` = `min` plus a multiple of it, and at most 64,515 steps"
    )]
    Grid {
        column: String,
        min: String,
        step: String,
        max: String,
    },
    #[error(
        "column `{column}`: the missing marker `{marker}` stands twice or is also a value; write each text in one place"
    )]
    MissingMarker { column: String, marker: String },
    #[error(
        "column `{column}`: kind `{found}` is not known; write categorical, ordered, bucketed or exact"
    )]
    Kind { column: String, found: String },
    #[error("column `{column}`: kind {kind} needs `{field}`")]
    FieldWanted {
        column: String,
        kind: &'static str,
        field: &'static str,
    },
    #[error("column `{column}`: kind {kind} has no `{field}`; remove it or change the kind")]
    FieldUnused {
        column: String,
        kind: &'static str,
        field: &'static str,
    },
    #[error("column `{column}`: `{field}`: {text} is not a decimal number; write it like \"0.5\"")]
    Number {
        column: String,
        field: &'static str,
        text: String,
    },
    #[error("cube `{cube}`: there is no column `{column}`; name columns of this codebook")]
    CubeColumn { cube: String, column: String },
    #[error("cube `{cube}`: {error}")]
    Cube { cube: String, error: CubeError },
    #[error("cube `{cube}`: modulus `{found}` is not known; write counts or sums")]
    CubeModulus { cube: String, found: String },
    #[error(
        "cube `{cube}` has the name, or the columns and modulus, of cube `{other}`; publish each cube once"
    )]
    RepeatedCube { cube: String, other: String },
    #[error("{found} cubes are more than {MAX_CUBES}; every member uploads each of them")]
    TooManyCubes { found: usize },
}

/// Which part of a logical column a physical column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digit {
    /// The whole code.
    Only,
    /// The more significant digit of a wide number.
    High,
    /// The less significant digit of a wide number.
    Low,
}

/// One code column as it is committed on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysicalColumn {
    /// Its position on chain.
    pub index: ColumnIndex,
    /// The position of its logical column in [`Codebook::columns`].
    pub logical: usize,
    /// The part of the logical column that it holds.
    pub digit: Digit,
}

/// The ordered columns of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codebook {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) person_key: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) first_physical: Vec<u16>,
    pub(crate) cubes: Vec<Cube>,
}

impl Codebook {
    /// The codebook of these columns.
    ///
    /// # Errors
    /// If there are no columns or too many, a name stands twice or is the person key, or the dataset name is empty.
    pub fn new(
        name: impl Into<String>,
        person_key: Option<String>,
        columns: Vec<Column>,
    ) -> Result<Self, CodebookError> {
        let name = name.into();
        if name.trim().is_empty()
            || name.chars().count() > MAX_TEXT
            || name.chars().any(char::is_control)
        {
            return Err(CodebookError::Name {
                name: name.chars().take(MAX_TEXT).collect(),
            });
        }
        if columns.is_empty() {
            return Err(CodebookError::NoColumns);
        }
        let mut names = HashSet::new();
        let mut first_physical = Vec::with_capacity(columns.len());
        let mut found = 0;
        for column in &columns {
            if !names.insert(column.name.as_str()) {
                return Err(CodebookError::RepeatedColumn {
                    column: column.name.clone(),
                });
            }
            if person_key.as_deref() == Some(column.name.as_str()) {
                return Err(CodebookError::PersonKeyColumn {
                    column: column.name.clone(),
                });
            }
            first_physical.push(found as u16);
            found += 1 + usize::from(column.kind.is_wide());
            if found > MAX_PHYSICAL_COLUMNS {
                return Err(CodebookError::TooManyColumns { found });
            }
        }
        Ok(Self {
            name,
            version: CODEBOOK_VERSION,
            person_key,
            columns,
            first_physical,
            cubes: Vec::new(),
        })
    }

    /// The name of the dataset.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the codebook format.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The source column that identifies a person; it is never coded.
    pub fn person_key(&self) -> Option<&str> {
        self.person_key.as_deref()
    }

    /// The logical columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The position and column of this exact name.
    pub fn find(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| column.name == name)
    }

    /// The physical columns, in on-chain order.
    pub fn physical_columns(&self) -> Vec<PhysicalColumn> {
        let mut physical = Vec::new();
        for (logical, column) in self.columns.iter().enumerate() {
            let digits: &[Digit] = if column.kind.is_wide() {
                &[Digit::High, Digit::Low]
            } else {
                &[Digit::Only]
            };
            for (offset, &digit) in digits.iter().enumerate() {
                physical.push(PhysicalColumn {
                    index: ColumnIndex(self.first_physical[logical] + offset as u16),
                    logical,
                    digit,
                });
            }
        }
        physical
    }

    /// The number of physical columns.
    pub fn physical_len(&self) -> usize {
        self.columns
            .iter()
            .map(|column| 1 + usize::from(column.kind.is_wide()))
            .sum()
    }

    /// The first physical column of a logical column: its only code, or the high digit with the low digit after it.
    pub fn first_physical(&self, logical: usize) -> Option<ColumnIndex> {
        self.first_physical.get(logical).copied().map(ColumnIndex)
    }

    /// The codes of a source value of column `logical`; `None` is a missing value.
    ///
    /// # Errors
    /// As [`Column::encode`], and if there is no such column.
    pub fn encode(&self, logical: usize, value: Option<&str>) -> Result<PhysicalCodes, CodeError> {
        self.column(logical)?.encode(value)
    }

    /// The codes of the number `mantissa / 10^scale` in column `logical`.
    ///
    /// # Errors
    /// As [`Column::encode_scaled`], and if there is no such column.
    pub fn encode_scaled(
        &self,
        logical: usize,
        mantissa: i128,
        scale: u8,
    ) -> Result<PhysicalCodes, CodeError> {
        self.column(logical)?.encode_scaled(mantissa, scale)
    }

    /// The value that the codes of column `logical` stand for.
    ///
    /// # Errors
    /// As [`Column::decode`], and if there is no such column.
    pub fn decode(&self, logical: usize, codes: &[u8]) -> Result<Value, CodeError> {
        self.column(logical)?.decode(codes)
    }

    fn column(&self, logical: usize) -> Result<&Column, CodeError> {
        self.columns
            .get(logical)
            .ok_or(CodeError::NoColumn { index: logical })
    }
}

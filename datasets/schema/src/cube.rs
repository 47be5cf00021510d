//! Cubes: sets of code columns whose joint domain has at most [`MAX_CELLS`] cells.
//!
//! A member publishes a cube as one encrypted one-hot of the joint cell; the sum over members is the contingency table of
//! the cube's columns, and every count, sum and sum of squares over those columns is a linear form on it ([`forms`]).
//! Nothing here is encrypted: this module says which cell a record is in and which cells a question adds up.

use std::collections::HashSet;

use thiserror::Error;

use crate::codebook::{Codebook, CodebookError, Digit};
use crate::column::{Column, ColumnKind, FIRST_VALUE, MAX_TEXT, MISSING, ONE_COLUMN_VALUES};
pub use crate::cube_forms::{
    CubeForms, Form, FormError, InconsistentValues, NotCovered, PassForms, forms,
};
pub use crate::cube_proposal::{Coverage, Proposal, UPLOAD_BYTES, propose};
use crate::digest::keccak256;
use crate::plan::ColumnIndex;

/// Cells of a cube, at most: a ciphertext has 4096 slots and the checks of an upload need a few of them.
pub const MAX_CELLS: usize = 4080;
/// Physical columns of a cube, at most; a column with one code adds no cells.
pub const MAX_CUBE_COLUMNS: usize = 64;
/// Cubes per codebook, at most.
pub const MAX_CUBES: usize = 64;
/// Version byte of the encoding.
pub const CUBE_VERSION: u8 = 1;

/// The plaintext modulus of a cube's ciphertexts: what a slot, and so an opened value, can count to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModulusClass {
    /// 4,194,301: values up to 2,097,150.
    #[default]
    Counts,
    /// 67,108,859: values up to 33,554,429; 256 times less room for the noise that hides partial openings.
    Sums,
}

impl ModulusClass {
    /// The prime modulus.
    pub const fn modulus(self) -> u64 {
        match self {
            Self::Counts => 4_194_301,
            Self::Sums => 67_108_859,
        }
    }

    /// The largest absolute value that an opening can tell apart, `(p - 1) / 2`.
    pub const fn largest(self) -> u64 {
        (self.modulus() - 1) / 2
    }

    /// The byte of this class in encodings.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Counts => 0,
            Self::Sums => 1,
        }
    }

    /// The class with this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Counts),
            1 => Some(Self::Sums),
            _ => None,
        }
    }

    /// The word for this class in a codebook file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Sums => "sums",
        }
    }
}

/// One physical column of a cube and the codes that records can have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CubeColumn {
    index: ColumnIndex,
    first: u8,
    last: u8,
}

impl CubeColumn {
    /// The column's position on chain.
    pub const fn index(&self) -> ColumnIndex {
        self.index
    }

    /// The first and last code: 1 (missing) or 2, and the code of the last value.
    pub const fn codes(&self) -> (u8, u8) {
        (self.first, self.last)
    }

    const fn len(&self) -> usize {
        (self.last - self.first) as usize + 1
    }
}

/// Why a cube, or its bytes, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CubeError {
    #[error("cube bytes end early, at offset {offset}")]
    Truncated { offset: usize },
    #[error("cube bytes go on after the last column: {extra} bytes left")]
    TrailingBytes { extra: usize },
    #[error("cube version {found} is not {CUBE_VERSION}")]
    Version { found: u8 },
    #[error("modulus class {found} is neither 0 (counts) nor 1 (sums)")]
    Class { found: u8 },
    #[error(
        "a cube's name is 1 to {MAX_TEXT} printable characters without blanks around them, not `{name}`"
    )]
    Name { name: String },
    #[error("a cube has 1 to {MAX_CUBE_COLUMNS} code columns, not {found}")]
    Columns { found: usize },
    #[error(
        "column {column} has codes {first}..={last}; the first is 1 or 2, the last not before it"
    )]
    Codes { column: u16, first: u8, last: u8 },
    #[error("column {column} stands twice in the cube")]
    RepeatedColumn { column: u16 },
    #[error(
        "the columns have more than {MAX_CELLS} joint cells; drop a column or coarsen one with buckets"
    )]
    TooManyCells,
}

/// An ordered set of code columns with at most [`MAX_CELLS`] joint cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cube {
    name: String,
    class: ModulusClass,
    columns: Vec<CubeColumn>,
    indices: Vec<ColumnIndex>,
    cells: usize,
}

impl Cube {
    /// The cube of these logical columns of `codebook`; a wide column brings both its digits.
    ///
    /// # Errors
    /// If there are no columns, one stands twice, or there are more than [`MAX_CELLS`] joint cells.
    pub fn new(
        name: impl Into<String>,
        codebook: &Codebook,
        logical: &[usize],
        class: ModulusClass,
    ) -> Result<Self, CubeError> {
        let mut columns = Vec::new();
        for physical in codebook.physical_columns() {
            if logical.contains(&physical.logical) {
                let (first, last) =
                    used_codes(&codebook.columns()[physical.logical], physical.digit);
                columns.push(CubeColumn {
                    index: physical.index,
                    first,
                    last,
                });
            }
        }
        // In the order of the codebook, so that one set of columns is one cube.
        let distinct: HashSet<_> = logical.iter().collect();
        if distinct.len() != logical.len() {
            let repeated = logical
                .iter()
                .enumerate()
                .find(|(i, column)| logical[..*i].contains(column));
            let index = repeated.and_then(|(_, &column)| codebook.first_physical(column));
            return Err(CubeError::RepeatedColumn {
                column: index.map_or(0, |index| index.0),
            });
        }
        Self::from_columns(name.into(), class, columns)
    }

    fn from_columns(
        name: String,
        class: ModulusClass,
        columns: Vec<CubeColumn>,
    ) -> Result<Self, CubeError> {
        let plain = name.trim() == name && !name.chars().any(char::is_control);
        if name.is_empty() || name.chars().count() > MAX_TEXT || !plain {
            return Err(CubeError::Name {
                name: name.chars().take(MAX_TEXT).collect(),
            });
        }
        if columns.is_empty() || columns.len() > MAX_CUBE_COLUMNS {
            return Err(CubeError::Columns {
                found: columns.len(),
            });
        }
        let mut cells = 1usize;
        let mut indices: Vec<ColumnIndex> = Vec::with_capacity(columns.len());
        for column in &columns {
            let CubeColumn { index, first, last } = *column;
            if !(first == MISSING || first == FIRST_VALUE) || last < first {
                return Err(CubeError::Codes {
                    column: index.0,
                    first,
                    last,
                });
            }
            if indices.contains(&index) {
                return Err(CubeError::RepeatedColumn { column: index.0 });
            }
            indices.push(index);
            cells *= column.len();
            if cells > MAX_CELLS {
                return Err(CubeError::TooManyCells);
            }
        }
        Ok(Self {
            name,
            class,
            columns,
            indices,
            cells,
        })
    }

    /// The cube's name in the codebook.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The class of the plaintext modulus.
    pub const fn modulus(&self) -> ModulusClass {
        self.class
    }

    /// The physical columns, in order.
    pub fn columns(&self) -> &[ColumnIndex] {
        &self.indices
    }

    /// The physical columns with their codes, in order.
    pub fn ranges(&self) -> &[CubeColumn] {
        &self.columns
    }

    /// The number of joint cells, 1..=[`MAX_CELLS`].
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// The joint cell of one code per cube column; the last column runs fastest.
    ///
    /// `None` for a wrong number of codes and for a code that no record has (0 is an empty slot).
    pub fn cell_of(&self, codes: &[u8]) -> Option<usize> {
        if codes.len() != self.columns.len() {
            return None;
        }
        let mut cell = 0;
        for (&code, column) in codes.iter().zip(&self.columns) {
            if code < column.first || code > column.last {
                return None;
            }
            cell = cell * column.len() + usize::from(code - column.first);
        }
        Some(cell)
    }

    /// The joint cell of a record with these codes, one per physical column of the dataset.
    pub fn cell_of_record(&self, record: &[u8]) -> Option<usize> {
        let codes: Option<Vec<u8>> = self
            .indices
            .iter()
            .map(|index| record.get(usize::from(index.0)).copied())
            .collect();
        self.cell_of(&codes?)
    }

    /// The codes of a cell, one per cube column; `cell` is taken modulo [`Cube::cells`].
    pub fn codes_of(&self, cell: usize) -> Vec<u8> {
        let mut rest = cell % self.cells;
        let mut codes = vec![0; self.columns.len()];
        for (code, column) in codes.iter_mut().zip(&self.columns).rev() {
            *code = column.first + (rest % column.len()) as u8;
            rest /= column.len();
        }
        codes
    }

    /// The canonical encoding: version, class, name, then index, first and last code of each column; big endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![CUBE_VERSION, self.class.byte()];
        bytes.extend((self.name.len() as u16).to_be_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.push(self.columns.len() as u8);
        for column in &self.columns {
            bytes.extend(column.index.0.to_be_bytes());
            bytes.extend([column.first, column.last]);
        }
        bytes
    }

    /// The cube that `bytes` encode.
    ///
    /// # Errors
    /// If the bytes are not exactly the encoding of a well-formed cube.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CubeError> {
        let mut offset = 0;
        let mut take = |len: usize| {
            let part = bytes
                .get(offset..offset + len)
                .ok_or(CubeError::Truncated { offset })?;
            offset += len;
            Ok::<_, CubeError>(part)
        };
        let head = take(4)?;
        if head[0] != CUBE_VERSION {
            return Err(CubeError::Version { found: head[0] });
        }
        let class = ModulusClass::from_byte(head[1]).ok_or(CubeError::Class { found: head[1] })?;
        let name = take(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| CubeError::Name {
            name: String::new(),
        })?;
        let count = take(1)?[0];
        let columns = (0..count)
            .map(|_| {
                let part = take(4)?;
                Ok(CubeColumn {
                    index: ColumnIndex(u16::from_be_bytes([part[0], part[1]])),
                    first: part[2],
                    last: part[3],
                })
            })
            .collect::<Result<_, CubeError>>()?;
        if offset != bytes.len() {
            return Err(CubeError::TrailingBytes {
                extra: bytes.len() - offset,
            });
        }
        Self::from_columns(name, class, columns)
    }

    /// The keccak of the canonical encoding.
    pub fn id(&self) -> [u8; 32] {
        keccak256(&self.to_bytes())
    }
}

/// The first and last code of a physical column.
fn used_codes(column: &Column, digit: Digit) -> (u8, u8) {
    let first = if column.nullable() {
        MISSING
    } else {
        FIRST_VALUE
    };
    let count = match (column.kind(), digit) {
        (ColumnKind::Exact(grid), Digit::High) => grid.count().div_ceil(ONE_COLUMN_VALUES),
        (_, Digit::Low) => ONE_COLUMN_VALUES,
        (kind, _) => kind.count(),
    };
    let last = usize::from(FIRST_VALUE) + count - 1;
    (first, u8::try_from(last).unwrap_or(u8::MAX))
}

impl Codebook {
    /// The cubes that members of the dataset publish encrypted; none in a codebook without `[[cubes]]`.
    pub fn cubes(&self) -> &[Cube] {
        &self.cubes
    }

    /// This codebook with these cubes.
    ///
    /// # Errors
    /// If there are too many, a name stands twice, or two cubes hold the same columns for the same modulus.
    pub fn with_cubes(mut self, cubes: Vec<Cube>) -> Result<Self, CodebookError> {
        if cubes.len() > MAX_CUBES {
            return Err(CodebookError::TooManyCubes { found: cubes.len() });
        }
        for (i, cube) in cubes.iter().enumerate() {
            let same = |other: &&Cube| {
                other.name == cube.name
                    || (other.columns == cube.columns && other.class == cube.class)
            };
            if let Some(other) = cubes[..i].iter().find(same) {
                return Err(CodebookError::RepeatedCube {
                    cube: cube.name.clone(),
                    other: other.name.clone(),
                });
            }
        }
        self.cubes = cubes;
        Ok(self)
    }

    /// The cube of these column names.
    ///
    /// # Errors
    /// If a column is not in the codebook, or the columns do not form a cube.
    pub fn cube(
        &self,
        name: &str,
        columns: &[String],
        class: ModulusClass,
    ) -> Result<Cube, CodebookError> {
        let logical = columns
            .iter()
            .map(|column| match self.find(column) {
                Some((logical, _)) => Ok(logical),
                None => Err(CodebookError::CubeColumn {
                    cube: name.to_owned(),
                    column: column.clone(),
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Cube::new(name, self, &logical, class).map_err(|error| CodebookError::Cube {
            cube: name.to_owned(),
            error,
        })
    }

    /// The names of a cube's columns, a wide column once.
    pub(crate) fn cube_column_names(&self, cube: &Cube) -> Vec<String> {
        let physical = self.physical_columns();
        let mut names: Vec<String> = Vec::new();
        for index in cube.columns() {
            if let Some(column) = physical.iter().find(|p| p.index == *index) {
                let name = self.columns[column.logical].name();
                if names.last().is_none_or(|last| last != name) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }
}

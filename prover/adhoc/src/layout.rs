//! Layouts: which slot of a record's compact list holds which code of which column.

use salus_schema::codebook::{Codebook, Digit};
use salus_schema::column::{FIRST_VALUE, ONE_COLUMN_VALUES};
use salus_schema::plan::ColumnIndex;
use thiserror::Error;

use crate::parameters::MAX_SLOTS;

/// Why columns have no layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// More slots than one list holds.
    #[error("the columns need {found} slots; one compact list holds {MAX_SLOTS}")]
    TooManySlots {
        /// Slots needed.
        found: usize,
    },
    /// No column with a code.
    #[error("a record needs at least one column with a code")]
    Empty,
    /// More columns than an index tells apart.
    #[error("a record has at most 512 columns, not {found}")]
    TooManyColumns {
        /// Columns given.
        found: usize,
    },
}

/// Why codes are not a record of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodesError {
    /// Not one code per column of the dataset.
    #[error("the dataset has {expected} code columns and {found} codes were given")]
    Count {
        /// Columns of the layout.
        expected: usize,
        /// Codes given.
        found: usize,
    },
    /// A code that the column does not use.
    #[error("column {column} uses codes 1 to {last}, not {code}")]
    Unused {
        /// Position of the column.
        column: u16,
        /// The code.
        code: u8,
        /// Its last code.
        last: u8,
    },
}

/// The slots of a record: code `c` of a column stands `c - 1` slots after the column's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    last: Vec<u8>,
    first: Vec<u16>,
    slots: usize,
}

impl Layout {
    /// The layout of columns with codes `1..=last[j]`, in on-chain order; `last[j] = 0` leaves column `j` out.
    ///
    /// # Errors
    /// If nothing is left or the slots exceed [`MAX_SLOTS`].
    pub fn new(last: Vec<u8>) -> Result<Self, LayoutError> {
        if last.len() > 512 {
            return Err(LayoutError::TooManyColumns { found: last.len() });
        }
        let slots: usize = last.iter().map(|&codes| usize::from(codes)).sum();
        if slots == 0 {
            return Err(LayoutError::Empty);
        }
        if slots > MAX_SLOTS {
            return Err(LayoutError::TooManySlots { found: slots });
        }
        let mut first = Vec::with_capacity(last.len());
        let mut next = 0u16;
        for &codes in &last {
            first.push(next);
            next += u16::from(codes);
        }
        Ok(Self { last, first, slots })
    }

    /// The layout of every code column of a codebook.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn from_codebook(codebook: &Codebook) -> Result<Self, LayoutError> {
        Self::new(last_codes(codebook))
    }

    /// The layout of these code columns of a codebook, the others left out.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn of_columns(codebook: &Codebook, columns: &[ColumnIndex]) -> Result<Self, LayoutError> {
        let mut last = last_codes(codebook);
        for (column, codes) in last.iter_mut().enumerate() {
            if !columns.iter().any(|index| usize::from(index.0) == column) {
                *codes = 0;
            }
        }
        Self::new(last)
    }

    /// Slots of a record, 1..=2048.
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Code columns of the dataset, those without slots included.
    pub fn columns(&self) -> usize {
        self.last.len()
    }

    /// The last used code of a column, 0 when the record leaves it out.
    pub fn last_code(&self, column: ColumnIndex) -> u8 {
        self.last
            .get(usize::from(column.0))
            .copied()
            .unwrap_or_default()
    }

    /// The slot of a code, `None` when the record has none for it.
    pub fn slot(&self, column: ColumnIndex, code: u8) -> Option<u16> {
        let column_last = self.last_code(column);
        (code >= 1 && code <= column_last)
            .then(|| self.first[usize::from(column.0)] + u16::from(code - 1))
    }

    /// Per column with slots: its first slot and the number of its slots.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        self.first
            .iter()
            .zip(&self.last)
            .filter(|(_, last)| **last > 0)
            .map(|(&first, &last)| (usize::from(first), usize::from(last)))
    }

    /// The bits of a record with these codes, one code per column of the dataset.
    ///
    /// # Errors
    /// If a code is missing or not used by its column.
    pub fn one_hot(&self, codes: &[u8]) -> Result<Vec<u64>, CodesError> {
        if codes.len() != self.columns() {
            return Err(CodesError::Count {
                expected: self.columns(),
                found: codes.len(),
            });
        }
        let mut bits = vec![0; self.slots];
        for (column, &code) in (0u16..).zip(codes) {
            let last = self.last_code(ColumnIndex(column));
            if last == 0 {
                continue;
            }
            match self.slot(ColumnIndex(column), code) {
                Some(slot) => bits[usize::from(slot)] = 1,
                None => return Err(CodesError::Unused { column, code, last }),
            }
        }
        Ok(bits)
    }

    /// blake3 of the last codes, domain separated.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/layout");
        hasher.update(&self.last);
        *hasher.finalize().as_bytes()
    }
}

fn last_codes(codebook: &Codebook) -> Vec<u8> {
    codebook
        .physical_columns()
        .iter()
        .map(|physical| {
            let values = codebook.columns()[physical.logical].kind().count();
            let last = match physical.digit {
                Digit::Only => values - 1,
                Digit::High => (values - 1) / ONE_COLUMN_VALUES,
                Digit::Low => ONE_COLUMN_VALUES - 1,
            };
            u8::try_from(last + usize::from(FIRST_VALUE)).unwrap_or(u8::MAX)
        })
        .collect()
}

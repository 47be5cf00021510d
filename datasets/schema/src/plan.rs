//! Plans: the public tables that a contract and a circuit see of a query.
//!
//! A plan is a list of passes. A pass looks `K` code columns up in `K` tables; the sum of the entries is the
//! record's cell, and a sum of at least [`CircuitClass::cells`] puts the record outside the pass.
//! The byte form is big endian and canonical: one plan has exactly one encoding, and its keccak is the plan hash.

use thiserror::Error;

use crate::digest::keccak256;
pub use crate::table::{CodeTable, Run};

/// Codes per column: 0 empty slot, 1 missing, 2..=255 values.
pub const CODES: usize = 256;
/// Published values per pass, at most.
pub const VALUES: usize = 64;
/// Published values per group of a moments pass: count, sum, sum of squares.
pub const MOMENTS: usize = 3;
/// Version byte of the encoding.
pub const PLAN_VERSION: u8 = 1;
/// Passes per plan, at most.
pub const MAX_PASSES: usize = 255;

/// Position of a physical code column in the dataset, the index used on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnIndex(pub u16);

/// The size class of the circuit that proves a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CircuitClass {
    /// Four columns, 1024 cells.
    K4,
    /// Eight columns, 256 cells.
    K8,
}

impl CircuitClass {
    /// Columns looked up per pass.
    pub const fn columns(self) -> usize {
        match self {
            Self::K4 => 4,
            Self::K8 => 8,
        }
    }

    /// Cells per pass; also the table entry that means "outside".
    pub const fn cells(self) -> u16 {
        match self {
            Self::K4 => 1024,
            Self::K8 => 256,
        }
    }

    /// Groups that one moments pass can hold: one block of 256 cells each.
    pub const fn moment_groups(self) -> usize {
        self.cells() as usize / CODES
    }

    /// The class with exactly `columns` columns, if there is one.
    pub const fn from_columns(columns: usize) -> Option<Self> {
        match columns {
            4 => Some(Self::K4),
            8 => Some(Self::K8),
            _ => None,
        }
    }
}

/// How the histogram of cells becomes the published values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// Per group `g`: count, sum of `m`, sum of `m^2` over the cells `256 * g + m`.
    Moments,
    /// Value `t` is the count of cell `t`.
    Cells,
}

impl Image {
    /// The byte and transcript word of this image.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Moments => 0,
            Self::Cells => 1,
        }
    }
}

/// Why a plan, a pass or a table is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MalformedPlan {
    #[error("plan bytes end early: {needed} more bytes wanted at offset {offset}")]
    Truncated { offset: usize, needed: usize },
    #[error("plan bytes go on after the last pass: {extra} bytes left")]
    TrailingBytes { extra: usize },
    #[error("plan version {found} is not {PLAN_VERSION}")]
    Version { found: u8 },
    #[error("no circuit has {found} columns (4 or 8)")]
    Columns { found: usize },
    #[error("a plan has 1 to {MAX_PASSES} passes, not {found}")]
    Passes { found: usize },
    #[error("image byte {found} is neither 0 (moments) nor 1 (cells)")]
    ImageByte { found: u8 },
    #[error("a pass publishes 1 to {VALUES} values, not {found}")]
    Values { found: usize },
    #[error("a moments pass of this class publishes 3 to {most} values in threes, not {found}")]
    MomentValues { found: usize, most: usize },
    #[error("the base mask {mask:#x} names values beyond the {values} of the pass")]
    MaskBeyondValues { mask: u64, values: u8 },
    #[error("the base mask {mask:#x} hides every value of the pass")]
    MaskHidesAll { mask: u64 },
    #[error(
        "the base mask {mask:#x} hides the count of group {group}, so that it could not be checked"
    )]
    MaskHidesCount { mask: u64, group: usize },
    #[error(
        "column {column} stands at position {position} again; only padding may repeat the first column"
    )]
    RepeatedColumn { position: usize, column: u16 },
    #[error("a table of another circuit class stands at position {position}")]
    TableClass { position: usize },
    #[error("entry {value} of code {code} is above {cells}")]
    Entry { code: usize, value: u32, cells: u16 },
    #[error("the entry of code 0 is {found}; an empty slot must fall outside ({cells})")]
    EmptySlot { found: u16, cells: u16 },
    #[error("the runs of table {table} cover {covered} codes, not 255")]
    RunCoverage { table: usize, covered: usize },
    #[error("a run has length 0")]
    EmptyRun,
    #[error("the runs are not the canonical ones of their tables")]
    NotCanonical,
}

/// One proof's worth of public tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    columns: Vec<ColumnIndex>,
    tables: Vec<CodeTable>,
    image: Image,
    values: u8,
    base_mask: u64,
}

impl Pass {
    /// The pass over these columns, positions beyond the given ones filled with padding.
    ///
    /// # Errors
    /// As [`Pass::new`], and if no column or more than `class.columns()` columns are given.
    pub fn padded(
        class: CircuitClass,
        used: Vec<(ColumnIndex, CodeTable)>,
        image: Image,
        values: u8,
        base_mask: u64,
    ) -> Result<Self, MalformedPlan> {
        let (mut columns, mut tables): (Vec<_>, Vec<_>) = used.into_iter().unzip();
        let Some(&first) = columns.first() else {
            return Err(MalformedPlan::Columns { found: 0 });
        };
        while columns.len() < class.columns() {
            columns.push(first);
            tables.push(CodeTable::padding(class));
        }
        Self::new(class, columns, tables, image, values, base_mask)
    }

    /// The pass with exactly these columns and tables.
    ///
    /// `values` is the number of published values, `base_mask` the values that are never published.
    ///
    /// # Errors
    /// If a count does not fit `class`, a column repeats other than as padding at the end, or the mask names values
    /// that do not exist, hides everything or hides a group's count.
    pub fn new(
        class: CircuitClass,
        columns: Vec<ColumnIndex>,
        tables: Vec<CodeTable>,
        image: Image,
        values: u8,
        base_mask: u64,
    ) -> Result<Self, MalformedPlan> {
        if columns.len() != class.columns() || tables.len() != class.columns() {
            let found = if columns.len() == class.columns() {
                tables.len()
            } else {
                columns.len()
            };
            return Err(MalformedPlan::Columns { found });
        }
        if let Some(position) = tables.iter().position(|table| table.class() != class) {
            return Err(MalformedPlan::TableClass { position });
        }
        let pass = Self {
            columns,
            tables,
            image,
            values,
            base_mask,
        };
        pass.check_columns()?;
        pass.check_values(class)?;
        Ok(pass)
    }

    fn check_columns(&self) -> Result<(), MalformedPlan> {
        let mut padding = false;
        for (position, &column) in self.columns.iter().enumerate().skip(1) {
            let repeated = self.columns[..position].contains(&column);
            let pads = column == self.columns[0] && self.tables[position].is_padding();
            if (repeated && !pads) || (padding && !repeated) {
                return Err(MalformedPlan::RepeatedColumn {
                    position,
                    column: column.0,
                });
            }
            padding |= repeated;
        }
        Ok(())
    }

    fn check_values(&self, class: CircuitClass) -> Result<(), MalformedPlan> {
        let found = usize::from(self.values);
        let mask = self.base_mask;
        if found == 0 || found > VALUES {
            return Err(MalformedPlan::Values { found });
        }
        let most = MOMENTS * class.moment_groups();
        if self.image == Image::Moments && (found % MOMENTS != 0 || found > most) {
            return Err(MalformedPlan::MomentValues { found, most });
        }
        let all = u64::MAX >> (VALUES - found);
        if mask & !all != 0 {
            return Err(MalformedPlan::MaskBeyondValues {
                mask,
                values: self.values,
            });
        }
        if mask == all {
            return Err(MalformedPlan::MaskHidesAll { mask });
        }
        if self.image == Image::Moments
            && let Some(group) =
                (0..found / MOMENTS).find(|group| mask >> (MOMENTS * group) & 1 == 1)
        {
            return Err(MalformedPlan::MaskHidesCount { mask, group });
        }
        Ok(())
    }

    /// The circuit class of every table.
    pub fn class(&self) -> CircuitClass {
        self.tables[0].class()
    }

    /// Physical columns by position, `K` of them; padding repeats the first.
    pub fn columns(&self) -> &[ColumnIndex] {
        &self.columns
    }

    /// Tables by position, `K` of them.
    pub fn tables(&self) -> &[CodeTable] {
        &self.tables
    }

    /// How cells become published values.
    pub const fn image(&self) -> Image {
        self.image
    }

    /// Published values of this pass, 1..=64, masked ones included.
    pub const fn values(&self) -> usize {
        self.values as usize
    }

    /// Bit `t` set: value `t` is never published.
    pub const fn base_mask(&self) -> u64 {
        self.base_mask
    }

    /// The cell of a record with these codes by position, or `None` when it falls outside.
    ///
    /// Also `None` when `codes` does not have one code per position.
    pub fn evaluate(&self, codes: &[u8]) -> Option<usize> {
        if codes.len() != self.tables.len() {
            return None;
        }
        let cell: usize = codes
            .iter()
            .zip(&self.tables)
            .map(|(&code, table)| usize::from(table.get(code)))
            .sum();
        (cell < usize::from(self.class().cells())).then_some(cell)
    }

    /// The published values of a histogram of cells, zero where `mask` or the base mask has a bit.
    ///
    /// Cells beyond the published ones are ignored. Returns `None` when a value exceeds 64 bits.
    pub fn publish(&self, histogram: &[u64], mask: u64) -> Option<[u64; VALUES]> {
        let mut values = [0u64; VALUES];
        for (cell, &count) in histogram.iter().enumerate() {
            match self.image {
                Image::Cells => {
                    if cell < self.values() {
                        values[cell] = count;
                    }
                }
                Image::Moments => {
                    let (group, m) = (cell / CODES, (cell % CODES) as u64);
                    if MOMENTS * group < self.values() {
                        for power in 0..MOMENTS {
                            let value = &mut values[MOMENTS * group + power];
                            let term = count.checked_mul(m.pow(power as u32))?;
                            *value = value.checked_add(term)?;
                        }
                    }
                }
            }
        }
        for (t, value) in values.iter_mut().enumerate() {
            if (mask | self.base_mask) >> t & 1 == 1 {
                *value = 0;
            }
        }
        Some(values)
    }
}

/// The public tables of one query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    class: CircuitClass,
    passes: Vec<Pass>,
}

impl Plan {
    /// The plan with these passes.
    ///
    /// # Errors
    /// If there is no pass, more than [`MAX_PASSES`], or a pass of another class.
    pub fn new(class: CircuitClass, passes: Vec<Pass>) -> Result<Self, MalformedPlan> {
        if passes.is_empty() || passes.len() > MAX_PASSES {
            return Err(MalformedPlan::Passes {
                found: passes.len(),
            });
        }
        if passes.iter().any(|pass| pass.class() != class) {
            return Err(MalformedPlan::TableClass { position: 0 });
        }
        Ok(Self { class, passes })
    }

    /// The circuit class that proves every pass.
    pub const fn class(&self) -> CircuitClass {
        self.class
    }

    /// The passes, in the order in which they are proven and published.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            PLAN_VERSION,
            self.class.columns() as u8,
            u8::try_from(self.passes.len()).expect("checked in Plan::new"),
        ];
        for pass in &self.passes {
            bytes.push(pass.image.byte());
            bytes.push(pass.values);
            bytes.extend(pass.base_mask.to_be_bytes());
            for column in &pass.columns {
                bytes.extend(column.0.to_be_bytes());
            }
            let runs: Vec<Run> = pass.tables.iter().flat_map(CodeTable::runs).collect();
            let count = u16::try_from(runs.len()).expect("at most 8 * 255 runs");
            bytes.extend(count.to_be_bytes());
            for run in runs {
                bytes.push(run.len);
                bytes.extend(run.value.to_be_bytes());
                bytes.extend(run.slope.to_be_bytes());
            }
        }
        bytes
    }

    /// The plan that `bytes` encode; work and memory are bounded by the length of the input.
    ///
    /// # Errors
    /// If the bytes are not exactly the canonical encoding of a well-formed plan.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedPlan> {
        let mut reader = Reader { bytes, offset: 0 };
        let [version, columns, passes] = reader.take()?;
        if version != PLAN_VERSION {
            return Err(MalformedPlan::Version { found: version });
        }
        let class =
            CircuitClass::from_columns(usize::from(columns)).ok_or(MalformedPlan::Columns {
                found: usize::from(columns),
            })?;
        let passes = (0..passes)
            .map(|_| reader.pass(class))
            .collect::<Result<Vec<_>, _>>()?;
        if reader.offset != bytes.len() {
            return Err(MalformedPlan::TrailingBytes {
                extra: bytes.len() - reader.offset,
            });
        }
        let plan = Self::new(class, passes)?;
        if plan.to_bytes() != bytes {
            return Err(MalformedPlan::NotCanonical);
        }
        Ok(plan)
    }

    /// The keccak of the canonical encoding.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.to_bytes())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MalformedPlan> {
        let rest = &self.bytes[self.offset..];
        match rest.first_chunk::<N>() {
            Some(chunk) => {
                self.offset += N;
                Ok(*chunk)
            }
            None => Err(MalformedPlan::Truncated {
                offset: self.offset,
                needed: N - rest.len(),
            }),
        }
    }

    fn word(&mut self) -> Result<u16, MalformedPlan> {
        self.take().map(u16::from_be_bytes)
    }

    fn pass(&mut self, class: CircuitClass) -> Result<Pass, MalformedPlan> {
        let [image, values] = self.take()?;
        let image = match image {
            0 => Image::Moments,
            1 => Image::Cells,
            found => return Err(MalformedPlan::ImageByte { found }),
        };
        let base_mask = u64::from_be_bytes(self.take()?);
        let columns = (0..class.columns())
            .map(|_| self.word().map(ColumnIndex))
            .collect::<Result<Vec<_>, _>>()?;
        let mut left = self.word()?;
        let mut tables = Vec::with_capacity(class.columns());
        for table in 0..class.columns() {
            let mut runs = Vec::new();
            let mut covered = 0;
            while covered < CODES - 1 && left > 0 {
                let [len] = self.take()?;
                let (value, slope) = (self.word()?, self.word()?);
                covered += usize::from(len);
                left -= 1;
                runs.push(Run { len, value, slope });
            }
            if covered != CODES - 1 {
                return Err(MalformedPlan::RunCoverage { table, covered });
            }
            tables.push(CodeTable::from_runs(class, &runs)?);
        }
        if left != 0 {
            return Err(MalformedPlan::RunCoverage {
                table: class.columns(),
                covered: usize::from(left),
            });
        }
        Pass::new(class, columns, tables, image, values, base_mask)
    }
}

//! Linear forms: which cells of a cube a pass adds up, and how opened values become published ones.

use thiserror::Error;

use crate::answer::PassValues;
use crate::cube::{Cube, MAX_CELLS};
use crate::digest::keccak256;
use crate::plan::{CODES, Image, MOMENTS, Pass, Plan, VALUES};

/// A sparse linear form on a cube's cells.
///
/// Cells ascend strictly and weights are not 0, so that one form has one encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form(Vec<(u16, i64)>);

/// Why terms or bytes are not a form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    #[error("form bytes have length {found}; 4 and 10 for each cell are wanted")]
    Length { found: usize },
    #[error("cell {cell} stands at term {term}; cells ascend and are below {MAX_CELLS}")]
    Cell { term: usize, cell: u16 },
    #[error("the weight of cell {cell} is 0; a cell that does not count is left out")]
    ZeroWeight { cell: u16 },
}

impl Form {
    /// The form with these cells and weights.
    ///
    /// # Errors
    /// If cells do not ascend strictly below [`MAX_CELLS`], or a weight is 0.
    pub fn new(terms: Vec<(u16, i64)>) -> Result<Self, FormError> {
        for (term, &(cell, weight)) in terms.iter().enumerate() {
            let ascends = term == 0 || terms[term - 1].0 < cell;
            if !ascends || usize::from(cell) >= MAX_CELLS {
                return Err(FormError::Cell { term, cell });
            }
            if weight == 0 {
                return Err(FormError::ZeroWeight { cell });
            }
        }
        Ok(Self(terms))
    }

    /// The form whose weight of cell `c` is `weights[c]`.
    fn from_weights(weights: &[i64]) -> Self {
        let terms = weights.iter().enumerate().filter(|(_, w)| **w != 0);
        Self(terms.map(|(cell, &w)| (cell as u16, w)).collect())
    }

    /// Cells and weights, by cell.
    pub fn terms(&self) -> &[(u16, i64)] {
        &self.0
    }

    /// True for the form that is 0 on every table.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The largest absolute weight.
    pub fn largest_weight(&self) -> u64 {
        let weights = self.0.iter().map(|(_, w)| w.unsigned_abs());
        weights.max().unwrap_or(0)
    }

    /// The value on a clear table; cells beyond `table` count as empty.
    pub fn evaluate(&self, table: &[u64]) -> i128 {
        let terms = self.0.iter();
        terms
            .map(|&(cell, w)| {
                i128::from(w) * i128::from(table.get(usize::from(cell)).copied().unwrap_or(0))
            })
            .sum()
    }

    /// The canonical encoding: number of terms (4 bytes), then cell (2) and weight (8, two's complement); big endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 10 * self.0.len());
        bytes.extend((self.0.len() as u32).to_be_bytes());
        for (cell, weight) in &self.0 {
            bytes.extend(cell.to_be_bytes());
            bytes.extend(weight.to_be_bytes());
        }
        bytes
    }

    /// The form that `bytes` encode.
    ///
    /// # Errors
    /// If the bytes are not exactly the encoding of a form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let wrong = FormError::Length { found: bytes.len() };
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(wrong.clone())?;
        let count = u32::from_be_bytes(*count) as usize;
        if count > MAX_CELLS || rest.len() != 10 * count {
            return Err(wrong);
        }
        let terms = rest.chunks_exact(10).map(|term| {
            let mut weight = [0; 8];
            weight.copy_from_slice(&term[2..]);
            (
                u16::from_be_bytes([term[0], term[1]]),
                i64::from_be_bytes(weight),
            )
        });
        Self::new(terms.collect())
    }

    /// The keccak of the canonical encoding.
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.to_bytes())
    }
}

/// Why a plan cannot be answered from a cube.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotCovered {
    #[error("pass {pass} reads column {column}, which is not in the cube `{cube}`")]
    ColumnMissing {
        pass: usize,
        column: u16,
        cube: String,
    },
    #[error(
        "pass {pass}: {people} people can reach {needed}, and the cube `{cube}` opens values up to {largest}; publish it with `modulus = \"sums\"` or ask for coarser values"
    )]
    ValueExceedsModulus {
        pass: usize,
        cube: String,
        people: u64,
        needed: u128,
        largest: u64,
    },
}

impl NotCovered {
    /// The stable word for this reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ColumnMissing { .. } => "column_not_in_cube",
            Self::ValueExceedsModulus { .. } => "value_exceeds_modulus",
        }
    }
}

/// Opened values that no table can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InconsistentValues {
    #[error("the pass has {expected} counts and {found} were opened")]
    Counts { expected: usize, found: usize },
    #[error("the pass has sums for {expected} groups and {found} were opened")]
    Sums { expected: usize, found: usize },
    #[error("the sums of group {group} were not opened and are not masked")]
    Unopened { group: usize },
    #[error("value {value} is {found}, which no group of people has")]
    Impossible { value: usize, found: i128 },
}

/// The forms of every pass of a plan on one cube.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CubeForms {
    /// By pass, in the plan's order.
    pub passes: Vec<PassForms>,
}

/// The forms of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassForms {
    /// How cells become published values.
    pub image: Image,
    /// One form for each value ([`Image::Cells`]) or group ([`Image::Moments`]); empty where never published.
    pub counts: Vec<Form>,
    /// By group: the sum of `m - centre` and of its square; empty for [`Image::Cells`] and where never published.
    pub sums: Vec<[Form; 2]>,
    /// What is subtracted from the measured code, so that opened sums stay small.
    pub centre: i64,
    /// Values that are never published.
    pub base_mask: u64,
    values: usize,
}

/// The linear forms with which `cube` answers `plan` for at most `people` members.
///
/// # Errors
/// If the cube lacks a column that a pass reads, or a value could exceed half the modulus.
pub fn forms(cube: &Cube, plan: &Plan, people: u64) -> Result<CubeForms, NotCovered> {
    let passes = plan.passes().iter().enumerate();
    let passes = passes.map(|(index, pass)| pass_forms(cube, index, pass, people));
    Ok(CubeForms {
        passes: passes.collect::<Result<_, _>>()?,
    })
}

fn pass_forms(
    cube: &Cube,
    index: usize,
    pass: &Pass,
    people: u64,
) -> Result<PassForms, NotCovered> {
    let cells = pass_cells(cube, index, pass)?;
    let groups = match pass.image() {
        Image::Cells => pass.values(),
        Image::Moments => pass.values() / MOMENTS,
    };
    let hidden = |value: usize| pass.base_mask() >> value & 1 == 1;
    let mut forms = PassForms {
        image: pass.image(),
        counts: Vec::with_capacity(groups),
        sums: Vec::new(),
        centre: 0,
        base_mask: pass.base_mask(),
        values: pass.values(),
    };
    let form = |weight: &dyn Fn(usize) -> i64| {
        let weights: Vec<i64> = cells.iter().map(|cell| cell.map_or(0, weight)).collect();
        Form::from_weights(&weights)
    };
    match pass.image() {
        Image::Cells => {
            for t in 0..groups {
                let count = form(&|cell| i64::from(cell == t && !hidden(t)));
                forms.counts.push(count);
            }
        }
        Image::Moments => {
            let measured = cells.iter().flatten().filter(|c| *c / CODES < groups);
            let measured: Vec<i64> = measured.map(|c| (c % CODES) as i64).collect();
            let least = measured.iter().min().copied().unwrap_or(0);
            let most = measured.iter().max().copied().unwrap_or(0);
            forms.centre = (least + most) / 2;
            for g in 0..groups {
                let centred = |cell: usize, power: u32| {
                    let away = (cell % CODES) as i64 - forms.centre;
                    let published = cell / CODES == g && !hidden(MOMENTS * g + power as usize);
                    if published { away.pow(power) } else { 0 }
                };
                forms.counts.push(form(&|cell| centred(cell, 0)));
                let sum = form(&|cell| centred(cell, 1));
                forms.sums.push([sum, form(&|cell| centred(cell, 2))]);
            }
        }
    }
    let largest = forms.all().map(Form::largest_weight).max().unwrap_or(0);
    let needed = u128::from(largest) * u128::from(people);
    if needed > u128::from(cube.modulus().largest()) {
        return Err(NotCovered::ValueExceedsModulus {
            pass: index,
            cube: cube.name().to_owned(),
            people,
            needed,
            largest: cube.modulus().largest(),
        });
    }
    Ok(forms)
}

/// The pass's cell of every cell of the cube.
fn pass_cells(cube: &Cube, index: usize, pass: &Pass) -> Result<Vec<Option<usize>>, NotCovered> {
    let outside = usize::from(pass.class().cells());
    let mut cells = vec![0usize; cube.cells()];
    let mut stride = vec![1usize; cube.ranges().len()];
    for i in (1..stride.len()).rev() {
        let (first, last) = cube.ranges()[i].codes();
        stride[i - 1] = stride[i] * (usize::from(last - first) + 1);
    }
    for (column, table) in pass.columns().iter().zip(pass.tables()) {
        if table.is_padding() {
            continue;
        }
        let Some(at) = cube.columns().iter().position(|c| c == column) else {
            return Err(NotCovered::ColumnMissing {
                pass: index,
                column: column.0,
                cube: cube.name().to_owned(),
            });
        };
        let (first, last) = cube.ranges()[at].codes();
        let len = usize::from(last - first) + 1;
        for (cell, sum) in cells.iter_mut().enumerate() {
            let code = first + (cell / stride[at] % len) as u8;
            *sum += usize::from(table.get(code));
        }
    }
    let inside = |sum: usize| (sum < outside).then_some(sum);
    Ok(cells.into_iter().map(inside).collect())
}

impl PassForms {
    /// The number of published values, masked ones included.
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Every form of the pass.
    pub fn all(&self) -> impl Iterator<Item = &Form> {
        self.counts.iter().chain(self.sums.iter().flatten())
    }

    /// The bits of the values of count form `count`: itself, or a group's count, sum and sum of squares.
    pub const fn bits(&self, count: usize) -> u64 {
        match self.image {
            Image::Cells => 1 << count,
            Image::Moments => 0b111 << (MOMENTS * count),
        }
    }

    /// The published values of opened ones, 0 where `mask` or the base mask has a bit.
    ///
    /// `counts` has one entry per count form, `sums` one per group (none for [`Image::Cells`]): the opened sum of
    /// `m - centre` and of its square, or `None` for a masked group whose sums were not opened.
    ///
    /// # Errors
    /// If something is missing that is published, or a value is negative or beyond 64 bits.
    pub fn values_from(
        &self,
        counts: &[u64],
        sums: &[Option<[i128; 2]>],
        mask: u64,
    ) -> Result<PassValues, InconsistentValues> {
        if counts.len() != self.counts.len() {
            return Err(InconsistentValues::Counts {
                expected: self.counts.len(),
                found: counts.len(),
            });
        }
        if sums.len() != self.sums.len() {
            return Err(InconsistentValues::Sums {
                expected: self.sums.len(),
                found: sums.len(),
            });
        }
        let all = u64::MAX >> (VALUES - self.values);
        let mask = (mask | self.base_mask) & all;
        let mut published = PassValues {
            values: [0; VALUES],
            mask,
        };
        let mut put = |value: usize, found: Option<i128>| {
            if mask >> value & 1 == 0 {
                let wrong = InconsistentValues::Impossible {
                    value,
                    found: found.unwrap_or(i128::MIN),
                };
                let fits = found.and_then(|found| u64::try_from(found).ok());
                published.values[value] = fits.ok_or(wrong)?;
            }
            Ok::<_, InconsistentValues>(())
        };
        match self.image {
            Image::Cells => {
                for (value, &count) in counts.iter().enumerate() {
                    put(value, Some(i128::from(count)))?;
                }
            }
            Image::Moments => {
                let centre = i128::from(self.centre);
                for (group, (&count, sums)) in counts.iter().zip(sums).enumerate() {
                    let (first, n) = (MOMENTS * group, i128::from(count));
                    put(first, Some(n))?;
                    let Some([sum, squares]) = *sums else {
                        if mask >> (first + 1) & 0b11 != 0b11 {
                            return Err(InconsistentValues::Unopened { group });
                        }
                        continue;
                    };
                    let shifted = (n.checked_mul(centre)).and_then(|x| x.checked_add(sum));
                    put(first + 1, shifted)?;
                    let squared = (|| {
                        let cross = sum.checked_mul(2 * centre)?;
                        let square = n.checked_mul(centre * centre)?;
                        squares.checked_add(cross)?.checked_add(square)
                    })();
                    put(first + 2, squared)?;
                }
            }
        }
        Ok(published)
    }
}

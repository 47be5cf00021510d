//! Inference: from what was seen in a source column to a proposed codebook column, or a reason why there is none.

use thiserror::Error;

use crate::codebook::CodebookError;
use crate::column::{Category, Column, ONE_COLUMN_VALUES, TWO_COLUMN_VALUES};
use crate::decimal::{Decimal, MAX_SCALE};

/// Distinct texts of which a profile should keep at least this many, so that 254 values can be told from more.
pub const DISTINCT_CAP: usize = ONE_COLUMN_VALUES + 1;
/// Rows below which a text column with a different value in every row may still be a category.
const FEW_ROWS: u64 = 20;

/// What was seen in a source column of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberProfile {
    /// The smallest number.
    pub min: Decimal,
    /// The largest number.
    pub max: Decimal,
    /// The largest number of digits after the point that any number needs; 0 for integers, `1.0` included.
    pub decimals: u8,
}

/// What was seen in one source column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnProfile {
    /// The name of the column.
    pub name: String,
    /// The rows of the source.
    pub rows: u64,
    /// The rows without a value.
    pub missing: u64,
    /// The texts that stood for "not known", such as `""` or `NA`.
    pub missing_markers: Vec<String>,
    /// Distinct values with their counts, missing ones left out, at most [`DISTINCT_CAP`] or the caller's own cap.
    pub distinct: Vec<(String, u64)>,
    /// True when there are more distinct values than `distinct` holds.
    pub distinct_capped: bool,
    /// Set when every value is a decimal number.
    pub numbers: Option<NumberProfile>,
}

/// Why a source column has no proposal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotInferred {
    #[error(
        "column `{column}` has no values at all; leave it out, or list its values in the codebook"
    )]
    AllMissing { column: String },
    #[error(
        "column `{column}` has a different text in each of {rows} rows: it looks like an identifier and is left out; as a person key it is named by `person_key`"
    )]
    Identifier { column: String, rows: u64 },
    #[error(
        "column `{column}` has more than {ONE_COLUMN_VALUES} distinct texts; merge rare values in the source, or leave it out"
    )]
    TooManyTexts { column: String },
    #[error(
        "column `{column}` runs from {min} to {max}, which no step of a power of ten divides into 64,516 values"
    )]
    Range {
        column: String,
        min: Decimal,
        max: Decimal,
    },
    #[error(transparent)]
    Codebook(Box<CodebookError>),
}

impl From<CodebookError> for NotInferred {
    fn from(error: CodebookError) -> Self {
        Self::Codebook(Box::new(error))
    }
}

/// The proposed column for what was seen.
///
/// Numbers become exact columns: at the step of their decimals when at most 64,516 values fit, in one code column up to 254
/// values and in two above, otherwise at the finest power of ten that fits, with `rounding = true`. Texts become categories in
/// the order of their names. A column without missing values gets no missing markers, so that later ones are errors.
///
/// # Errors
/// If there are no values, more than 254 texts, or a different text in every row.
pub fn infer(profile: &ColumnProfile) -> Result<Column, NotInferred> {
    let column = || profile.name.clone();
    if profile.distinct.is_empty() && profile.numbers.is_none() {
        return Err(NotInferred::AllMissing { column: column() });
    }
    let mut missing = profile.missing_markers.clone();
    for marker in &mut missing {
        *marker = marker.trim().to_owned();
    }
    missing.sort();
    missing.dedup();
    if missing.is_empty() && profile.missing > 0 {
        missing.push(String::new());
    }
    if let Some(numbers) = profile.numbers {
        let (grid, rounding) = grid(&numbers, profile).ok_or_else(|| NotInferred::Range {
            column: column(),
            min: numbers.min,
            max: numbers.max,
        })?;
        return Ok(Column::exact(column(), grid, rounding, missing)?);
    }
    let known = profile.rows.saturating_sub(profile.missing);
    let all_different = profile.distinct.iter().all(|&(_, count)| count == 1);
    if all_different && known > FEW_ROWS {
        return Err(NotInferred::Identifier {
            column: column(),
            rows: known,
        });
    }
    if profile.distinct_capped || profile.distinct.len() > ONE_COLUMN_VALUES {
        return Err(NotInferred::TooManyTexts { column: column() });
    }
    let mut values: Vec<String> = profile
        .distinct
        .iter()
        .map(|(value, _)| value.trim().to_owned())
        .collect();
    values.sort();
    values.dedup();
    let values = values.into_iter().map(Category::plain).collect();
    Ok(Column::categorical(column(), values, missing)?)
}

/// The finest grid of a power of ten that holds the numbers, and whether it rounds them.
fn grid(
    numbers: &NumberProfile,
    profile: &ColumnProfile,
) -> Option<((Decimal, Decimal, Decimal), bool)> {
    let finest = -i32::from(numbers.decimals.min(MAX_SCALE));
    (finest..=37).find_map(|exponent| {
        let step = Decimal::power_of_ten(exponent)?;
        let (from, from_exact) = numbers.min.div_floor(step)?;
        let (to, to_exact) = numbers.max.div_floor(step)?;
        let to = to + i128::from(!to_exact);
        if to.checked_sub(from)? >= TWO_COLUMN_VALUES as i128 {
            return None;
        }
        let ends_exact = from_exact && to_exact;
        let rounding = !ends_exact || (exponent != finest && !all_multiples(profile, step));
        let grid = (step.checked_mul(from)?, step, step.checked_mul(to)?);
        Some((grid, rounding))
    })
}

/// True when every value was seen and is a multiple of `step`.
fn all_multiples(profile: &ColumnProfile, step: Decimal) -> bool {
    !profile.distinct_capped
        && profile.distinct.iter().all(|(text, _)| {
            text.parse::<Decimal>()
                .is_ok_and(|number| number.div_floor(step).is_some_and(|(_, exact)| exact))
        })
}

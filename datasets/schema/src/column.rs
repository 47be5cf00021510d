//! What one logical column holds and how its values become codes.

use std::collections::HashMap;

use crate::codebook::{CodeError, CodebookError};
use crate::decimal::Decimal;
pub use crate::grid::Grid;
use crate::grid::GridMiss;

/// Code of an empty slot; no record has it.
pub const EMPTY: u8 = 0;
/// Code of a missing value.
pub const MISSING: u8 = 1;
/// Code of the first value.
pub const FIRST_VALUE: u8 = 2;
/// Values that one code column can tell apart.
pub const ONE_COLUMN_VALUES: usize = 254;
/// Values that two code columns can tell apart.
pub const TWO_COLUMN_VALUES: usize = ONE_COLUMN_VALUES * ONE_COLUMN_VALUES;

/// Characters of a name, label or missing marker, at most.
pub const MAX_TEXT: usize = 128;

/// One value of a categorical or ordered column: the text in the source and the text shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// The value as it stands in the source data.
    pub value: String,
    /// The value as answers show it.
    pub label: String,
}

impl Category {
    /// The category that is shown as it is written.
    pub fn plain(value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            label: value.clone(),
            value,
        }
    }
}

/// The values of a categorical or ordered column, at most 254.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    entries: Vec<Category>,
    by_text: HashMap<String, u8>,
}

impl Categories {
    fn new(column: &str, entries: Vec<Category>) -> Result<Self, CodebookError> {
        if entries.is_empty() || entries.len() > ONE_COLUMN_VALUES {
            return Err(CodebookError::ValueCount {
                column: column.to_owned(),
                found: entries.len(),
            });
        }
        let mut by_text = HashMap::new();
        for (entry, index) in entries.iter().zip(0u8..) {
            for text in [&entry.value, &entry.label] {
                check_text(column, "value", text)?;
                if by_text
                    .insert(text.clone(), index)
                    .is_some_and(|earlier| earlier != index)
                    || (*text == entry.value
                        && entries[..usize::from(index)]
                            .iter()
                            .any(|e| e.value == *text))
                {
                    return Err(CodebookError::RepeatedValue {
                        column: column.to_owned(),
                        value: text.clone(),
                    });
                }
            }
        }
        Ok(Self { entries, by_text })
    }

    /// The values in code order; the value at position `i` has code `i + 2`.
    pub fn entries(&self) -> &[Category] {
        &self.entries
    }

    /// The position of a value or label.
    pub fn position(&self, text: &str) -> Option<u8> {
        self.by_text.get(text.trim()).copied()
    }
}

/// The half-open buckets `[edge_i, edge_{i+1})` of a bucketed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    edges: Vec<Decimal>,
}

impl Buckets {
    fn new(column: &str, edges: Vec<Decimal>) -> Result<Self, CodebookError> {
        if edges.len() < 2 || edges.len() > ONE_COLUMN_VALUES + 1 {
            return Err(CodebookError::EdgeCount {
                column: column.to_owned(),
                found: edges.len(),
            });
        }
        match edges.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(CodebookError::EdgeOrder {
                column: column.to_owned(),
                before: pair[0],
                after: pair[1],
            }),
            None => Ok(Self { edges }),
        }
    }

    /// The edges, strictly ascending, at least two.
    pub fn edges(&self) -> &[Decimal] {
        &self.edges
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// Never true: a bucketed column has at least one bucket.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bucket that holds `value`.
    pub fn position(&self, value: Decimal) -> Option<u8> {
        let above = self.edges.partition_point(|&edge| edge <= value);
        if above == 0 || above == self.edges.len() {
            return None;
        }
        u8::try_from(above - 1).ok()
    }

    /// How bucket `position` is shown: `[18,40)`.
    pub fn label(&self, position: usize) -> Option<String> {
        let (from, to) = (self.edges.get(position)?, self.edges.get(position + 1)?);
        Some(format!("[{from},{to})"))
    }
}

/// What a column's values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Labels without an order; can be filtered by equality and grouped.
    Categorical(Categories),
    /// Labels with an order; can also be compared.
    Ordered(Categories),
    /// Numbers known only up to a bucket; can be filtered at edges and grouped, not summed.
    Bucketed(Buckets),
    /// Numbers on a grid; sums are exact.
    Exact(Grid),
}

impl ColumnKind {
    /// The word for this kind in a codebook file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Categorical(_) => "categorical",
            Self::Ordered(_) => "ordered",
            Self::Bucketed(_) => "bucketed",
            Self::Exact(_) => "exact",
        }
    }

    /// The number of distinct values, missing not counted.
    pub fn count(&self) -> usize {
        match self {
            Self::Categorical(c) | Self::Ordered(c) => c.entries().len(),
            Self::Bucketed(b) => b.len(),
            Self::Exact(g) => g.count(),
        }
    }

    /// True when the column needs two code columns.
    pub const fn is_wide(&self) -> bool {
        matches!(self, Self::Exact(grid) if grid.is_wide())
    }
}

/// One logical column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) units: Option<String>,
    pub(crate) missing: Vec<String>,
    missing_numbers: Vec<Decimal>,
    pub(crate) kind: ColumnKind,
}

impl Column {
    /// A column of labels without an order.
    ///
    /// `missing` are the source texts that mean "not known"; with none the column may not have missing values.
    ///
    /// # Errors
    /// If there are no labels, more than 254, one is empty, too long or stands twice, or the name or a missing marker
    /// cannot be used.
    pub fn categorical(
        name: impl Into<String>,
        values: Vec<Category>,
        missing: Vec<String>,
    ) -> Result<Self, CodebookError> {
        let name = name.into();
        let kind = ColumnKind::Categorical(Categories::new(&name, values)?);
        Self::new(name, kind, missing)
    }

    /// A column of labels in ascending order.
    ///
    /// # Errors
    /// As [`Column::categorical`].
    pub fn ordered(
        name: impl Into<String>,
        values: Vec<Category>,
        missing: Vec<String>,
    ) -> Result<Self, CodebookError> {
        let name = name.into();
        let kind = ColumnKind::Ordered(Categories::new(&name, values)?);
        Self::new(name, kind, missing)
    }

    /// A column of numbers known up to the half-open buckets between `edges`.
    ///
    /// # Errors
    /// If there are fewer than 2 or more than 255 edges, they do not ascend, or the name or a missing marker cannot
    /// be used.
    pub fn bucketed(
        name: impl Into<String>,
        edges: Vec<Decimal>,
        missing: Vec<String>,
    ) -> Result<Self, CodebookError> {
        let name = name.into();
        let kind = ColumnKind::Bucketed(Buckets::new(&name, edges)?);
        Self::new(name, kind, missing)
    }

    /// A column of exact numbers `min, min + step, ..., max`.
    ///
    /// # Errors
    /// If `step` is not positive, `max` is off the grid, there are more than 64,516 values, or the name or a missing
    /// marker cannot be used.
    pub fn exact(
        name: impl Into<String>,
        (min, step, max): (Decimal, Decimal, Decimal),
        rounding: bool,
        missing: Vec<String>,
    ) -> Result<Self, CodebookError> {
        let name = name.into();
        let grid = Grid::new(min, step, max, rounding).ok_or_else(|| CodebookError::Grid {
            column: name.clone(),
            min: min.to_string(),
            step: step.to_string(),
            max: max.to_string(),
        })?;
        Self::new(name, ColumnKind::Exact(grid), missing)
    }

    fn new(name: String, kind: ColumnKind, missing: Vec<String>) -> Result<Self, CodebookError> {
        check_text(&name, "name", &name)?;
        for (i, marker) in missing.iter().enumerate() {
            let known = match &kind {
                ColumnKind::Categorical(c) | ColumnKind::Ordered(c) => c.position(marker).is_some(),
                ColumnKind::Bucketed(_) | ColumnKind::Exact(_) => false,
            };
            if known || missing[..i].contains(marker) {
                return Err(CodebookError::MissingMarker {
                    column: name,
                    marker: marker.clone(),
                });
            }
            if !marker.is_empty() {
                check_text(&name, "missing marker", marker)?;
            }
        }
        Ok(Self {
            name,
            description: None,
            units: None,
            missing_numbers: missing.iter().filter_map(|m| m.parse().ok()).collect(),
            missing,
            kind,
        })
    }

    /// The same column with a description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The same column with units.
    #[must_use]
    pub fn with_units(mut self, units: impl Into<String>) -> Self {
        self.units = Some(units.into());
        self
    }

    /// The name, as the source data and queries write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the column means, in words.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The unit of measurement.
    pub fn units(&self) -> Option<&str> {
        self.units.as_deref()
    }

    /// Source texts that mean "not known".
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// True when records may have no value here.
    pub fn nullable(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What the values are.
    pub const fn kind(&self) -> &ColumnKind {
        &self.kind
    }

    /// The codes of a source value; `None` is a missing value.
    ///
    /// # Errors
    /// If the value is missing where it may not be, not in the list, not a number, off the grid or out of range.
    pub fn encode(&self, value: Option<&str>) -> Result<PhysicalCodes, CodeError> {
        let Some(text) = value else {
            return self.encode_missing();
        };
        let text = text.trim();
        if self.missing.iter().any(|marker| marker.trim() == text) {
            return self.encode_missing();
        }
        match &self.kind {
            ColumnKind::Categorical(categories) | ColumnKind::Ordered(categories) => {
                match categories.position(text) {
                    Some(position) => Ok(PhysicalCodes::One(position + FIRST_VALUE)),
                    None => Err(self.unknown_value(text)),
                }
            }
            ColumnKind::Bucketed(_) | ColumnKind::Exact(_) => {
                let number: Decimal = text.parse().map_err(|_| CodeError::NotANumber {
                    column: self.name.clone(),
                    value: shorten(text),
                })?;
                self.encode_scaled(number.mantissa(), number.scale())
            }
        }
    }

    /// The codes of the number `mantissa / 10^scale`, the fast path for integer and fixed-point sources.
    ///
    /// A number that a missing marker spells, such as -999, is a missing value.
    ///
    /// # Errors
    /// As [`Column::encode`]; a categorical column is looked up by the number's plain text.
    pub fn encode_scaled(&self, mantissa: i128, scale: u8) -> Result<PhysicalCodes, CodeError> {
        if !self.missing_numbers.is_empty()
            && Decimal::new(mantissa, u32::from(scale))
                .is_some_and(|number| self.missing_numbers.contains(&number))
        {
            return self.encode_missing();
        }
        let text = || {
            Decimal::new(mantissa, u32::from(scale))
                .map_or_else(|| format!("{mantissa}e-{scale}"), |d| d.to_string())
        };
        match &self.kind {
            ColumnKind::Categorical(categories) | ColumnKind::Ordered(categories) => {
                let text = text();
                match categories.position(&text) {
                    Some(position) => Ok(PhysicalCodes::One(position + FIRST_VALUE)),
                    None => Err(self.unknown_value(&text)),
                }
            }
            ColumnKind::Bucketed(buckets) => Decimal::new(mantissa, u32::from(scale))
                .and_then(|value| buckets.position(value))
                .map(|position| PhysicalCodes::One(position + FIRST_VALUE))
                .ok_or_else(|| self.out_of_range(&text())),
            ColumnKind::Exact(grid) => match grid.position(mantissa, scale) {
                Ok(position) => Ok(PhysicalCodes::of_position(position, grid.is_wide())),
                Err(GridMiss::Outside) => Err(self.out_of_range(&text())),
                Err(GridMiss::Between) => Err(CodeError::OffGrid {
                    column: self.name.clone(),
                    value: text(),
                    min: grid.min().to_string(),
                    step: grid.step().to_string(),
                }),
            },
        }
    }

    /// The codes of a missing value.
    ///
    /// # Errors
    /// If the column has no missing markers.
    pub fn encode_missing(&self) -> Result<PhysicalCodes, CodeError> {
        match (self.nullable(), self.kind.is_wide()) {
            (false, _) => Err(CodeError::MissingNotAllowed {
                column: self.name.clone(),
            }),
            (true, false) => Ok(PhysicalCodes::One(MISSING)),
            (true, true) => Ok(PhysicalCodes::Two {
                high: MISSING,
                low: MISSING,
            }),
        }
    }

    /// The value that these codes stand for, the inverse of [`Column::encode`] up to rounding and bucketing.
    ///
    /// # Errors
    /// If no value of this column has these codes, an empty slot included.
    pub fn decode(&self, codes: &[u8]) -> Result<Value, CodeError> {
        let bad = || CodeError::BadCode {
            column: self.name.clone(),
            codes: codes.to_vec(),
        };
        let position = match (codes, self.kind.is_wide()) {
            (&[MISSING], false) | (&[MISSING, MISSING], true) => return Ok(Value::Missing),
            (&[code], false) if code >= FIRST_VALUE => usize::from(code - FIRST_VALUE),
            (&[high, low], true) if high >= FIRST_VALUE && low >= FIRST_VALUE => {
                ONE_COLUMN_VALUES * usize::from(high - FIRST_VALUE) + usize::from(low - FIRST_VALUE)
            }
            _ => return Err(bad()),
        };
        if position >= self.kind.count() {
            return Err(bad());
        }
        Ok(match &self.kind {
            ColumnKind::Categorical(c) | ColumnKind::Ordered(c) => {
                Value::Label(c.entries()[position].label.clone())
            }
            ColumnKind::Bucketed(b) => Value::Bucket {
                from: b.edges()[position],
                to: b.edges()[position + 1],
            },
            ColumnKind::Exact(g) => Value::Number(g.value(position)),
        })
    }

    fn unknown_value(&self, text: &str) -> CodeError {
        CodeError::UnknownValue {
            column: self.name.clone(),
            value: shorten(text),
        }
    }

    fn out_of_range(&self, text: &str) -> CodeError {
        let (min, max) = match &self.kind {
            ColumnKind::Exact(grid) => (grid.min(), grid.max()),
            ColumnKind::Bucketed(buckets) => (buckets.edges[0], buckets.edges[buckets.len()]),
            _ => (Decimal::ZERO, Decimal::ZERO),
        };
        CodeError::OutOfRange {
            column: self.name.clone(),
            value: shorten(text),
            min: min.to_string(),
            max: max.to_string(),
        }
    }
}

/// Checks a name, label or marker: 1 to 128 characters, none a control character, no blanks around it.
fn check_text(column: &str, what: &'static str, text: &str) -> Result<(), CodebookError> {
    let length = text.chars().count();
    if length == 0 || length > MAX_TEXT || text.trim() != text || text.chars().any(char::is_control)
    {
        return Err(CodebookError::Text {
            column: shorten(column),
            what,
            text: shorten(text),
        });
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The codes of one logical value: one code, or the two digits of a wide number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhysicalCodes {
    /// The code of a column that needs one code column.
    One(u8),
    /// The codes of a wide column: `position = 254 * (high - 2) + (low - 2)`.
    Two {
        /// The code of the more significant digit.
        high: u8,
        /// The code of the less significant digit.
        low: u8,
    },
}

impl PhysicalCodes {
    /// The codes of grid position `position`, below 254 or, when `wide`, below 64,516.
    pub(crate) fn of_position(position: u32, wide: bool) -> Self {
        let digits = ONE_COLUMN_VALUES as u32;
        let code = |digit: u32| u8::try_from(digit).expect("a digit is below 254") + FIRST_VALUE;
        if wide {
            Self::Two {
                high: code(position / digits),
                low: code(position % digits),
            }
        } else {
            Self::One(code(position))
        }
    }

    /// The codes in physical column order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let (first, second) = match self {
            Self::One(code) => (code, None),
            Self::Two { high, low } => (high, Some(low)),
        };
        std::iter::once(first).chain(second)
    }
}

/// A value read back from codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Not known.
    Missing,
    /// A category, as answers show it.
    Label(String),
    /// Somewhere in `[from, to)`.
    Bucket {
        /// The lower edge, included.
        from: Decimal,
        /// The upper edge, excluded.
        to: Decimal,
    },
    /// An exact number.
    Number(Decimal),
}

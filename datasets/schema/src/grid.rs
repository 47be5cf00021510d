//! Grids: exact numbers as integer steps.

use crate::column::{ONE_COLUMN_VALUES, TWO_COLUMN_VALUES};
use crate::decimal::Decimal;

/// The grid `min, min + step, ..., max` of an exact number column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    min: Decimal,
    step: Decimal,
    max: Decimal,
    count: u32,
    rounding: bool,
    scale: u8,
    min_scaled: i128,
    step_scaled: i128,
}

impl Grid {
    /// The grid, or `None` when `step` is not positive, `max < min`, `max` is off the grid or there are more than 64,516 values.
    pub fn new(min: Decimal, step: Decimal, max: Decimal, rounding: bool) -> Option<Self> {
        let scale = min.scale().max(step.scale()).max(max.scale());
        let (min_scaled, step_scaled) = (min.scaled(scale)?, step.scaled(scale)?);
        let span = max.scaled(scale)?.checked_sub(min_scaled)?;
        if step_scaled <= 0 || span < 0 || span % step_scaled != 0 {
            return None;
        }
        let count = u32::try_from(span / step_scaled).ok()?.checked_add(1)?;
        if count as usize > TWO_COLUMN_VALUES {
            return None;
        }
        Some(Self {
            min,
            step,
            max,
            count,
            rounding,
            scale,
            min_scaled,
            step_scaled,
        })
    }

    /// The smallest value.
    pub const fn min(&self) -> Decimal {
        self.min
    }

    /// The distance of neighbouring values.
    pub const fn step(&self) -> Decimal {
        self.step
    }

    /// The largest value.
    pub const fn max(&self) -> Decimal {
        self.max
    }

    /// The number of values, 1..=64,516.
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// True when source values are rounded to the nearest grid value, halves away from zero.
    pub const fn rounding(&self) -> bool {
        self.rounding
    }

    /// True when the values need two code columns.
    pub const fn is_wide(&self) -> bool {
        self.count as usize > ONE_COLUMN_VALUES
    }

    /// The value at `position`.
    ///
    /// # Panics
    /// If `position` is not below [`Grid::count`].
    pub fn value(&self, position: usize) -> Decimal {
        assert!(
            position < self.count(),
            "position {position} is off the grid"
        );
        let scaled = self.min_scaled + self.step_scaled * position as i128;
        Decimal::new(scaled, u32::from(self.scale)).expect("a grid value has the grid's scale")
    }

    /// The position of `mantissa / 10^scale`, rounded when the grid rounds.
    pub(crate) fn position(&self, mantissa: i128, scale: u8) -> Result<u32, GridMiss> {
        let common = self.scale.max(scale);
        let align = |value: i128, from: u8| {
            10i128
                .checked_pow(u32::from(common - from))
                .and_then(|power| value.checked_mul(power))
                .ok_or(GridMiss::Outside)
        };
        let value = align(mantissa, scale)?;
        let min = align(self.min_scaled, self.scale)?;
        let step = align(self.step_scaled, self.scale)?;
        let offset = value.checked_sub(min).ok_or(GridMiss::Outside)?;
        let (mut position, rest) = (offset.div_euclid(step), offset.rem_euclid(step));
        let last = i128::from(self.count - 1);
        if rest != 0 {
            if !self.rounding {
                return Err(if position < 0 || position >= last {
                    GridMiss::Outside
                } else {
                    GridMiss::Between
                });
            }
            let half = rest.checked_mul(2).ok_or(GridMiss::Outside)?.cmp(&step);
            if half.is_gt() || (half.is_eq() && value >= 0) {
                position += 1;
            }
        }
        if position < 0 || position > last {
            return Err(GridMiss::Outside);
        }
        u32::try_from(position).map_err(|_| GridMiss::Outside)
    }

    /// Positions whose value is below `bound`, `0..=count`, and whether the next one equals it.
    pub(crate) fn below(&self, bound: Decimal) -> (usize, bool) {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if self.value(middle) < bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low, low < self.count() && self.value(low) == bound)
    }
}

/// Why a number has no grid position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GridMiss {
    Outside,
    Between,
}

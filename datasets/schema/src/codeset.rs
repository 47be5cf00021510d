//! Sets of codes of one physical column.

use crate::column::{FIRST_VALUE, MISSING, ONE_COLUMN_VALUES};

/// A set of codes 1..=255; code 0 is never a member, so that an empty slot matches nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeSet([u64; 4]);

impl CodeSet {
    /// No code.
    pub const NONE: Self = Self([0; 4]);

    /// Only the missing code.
    pub fn missing() -> Self {
        let mut set = Self::NONE;
        set.insert(MISSING);
        set
    }

    /// The codes of value positions `from..to`, positions beyond 253 left out.
    pub fn positions(from: usize, to: usize) -> Self {
        let mut set = Self::NONE;
        for position in from..to.min(ONE_COLUMN_VALUES) {
            set.insert(position as u8 + FIRST_VALUE);
        }
        set
    }

    /// Adds `code`; code 0 is ignored.
    pub fn insert(&mut self, code: u8) {
        if code != 0 {
            self.0[usize::from(code / 64)] |= 1 << (code % 64);
        }
    }

    /// True when `code` is a member.
    pub const fn contains(&self, code: u8) -> bool {
        self.0[(code / 64) as usize] >> (code % 64) & 1 == 1
    }

    /// True when there is no member.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The members, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (1..=255u8).filter(move |&code| self.contains(code))
    }

    /// The value positions among the members, as maximal ranges `from..=to`.
    pub(crate) fn position_ranges(self) -> Vec<(usize, usize)> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for code in self.iter().filter(|&code| code >= FIRST_VALUE) {
            let position = usize::from(code - FIRST_VALUE);
            match ranges.last_mut() {
                Some((_, to)) if *to + 1 == position => *to = position,
                _ => ranges.push((position, position)),
            }
        }
        ranges
    }
}

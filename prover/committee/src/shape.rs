//! Shapes of committees: `n` holders, any `t` of whom open, and the subsets that share one secret each.
//!
//! The key is the sum of one secret per subset of `n - t + 1` holders. Fewer than `t` holders miss at least one subset
//! entirely; any `t` holders meet every subset.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Holders per committee, at most.
pub const MAX_HOLDERS: u8 = 16;
/// Subset secrets per committee, at most: each costs noise, a partial per value and 64 KiB of key generation traffic.
pub const MAX_SUBSETS: usize = 200;

/// Position of a holder in its committee, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HolderIndex(pub u8);

impl fmt::Display for HolderIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holder {}", self.0)
    }
}

/// Position of a subset in [`CommitteeShape::subsets`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubsetIndex(pub u16);

impl fmt::Display for SubsetIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subset {}", self.0)
    }
}

/// Why there is no committee of this shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    #[error("a committee has 2 to {MAX_HOLDERS} holders, not {holders}")]
    Holders { holders: u8 },
    #[error("the threshold of {holders} holders is 2 to {holders}, not {threshold}")]
    Threshold { holders: u8, threshold: u8 },
    /// With fewer than `2t - 1` holders, `t - 1` colluders can fill a subset, and nobody honest recomputes its public part.
    #[error(
        "{holders} holders with threshold {threshold} have subsets of colluders only; {needed} holders are needed"
    )]
    NoHonestMember {
        holders: u8,
        threshold: u8,
        needed: u8,
    },
    #[error("{subsets} subset secrets are more than {MAX_SUBSETS}")]
    Subsets { subsets: u64 },
}

/// `n` holders, any `t` of whom open; fewer learn nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawShape", into = "RawShape")]
pub struct CommitteeShape {
    holders: u8,
    threshold: u8,
}

#[derive(Serialize, Deserialize)]
struct RawShape {
    holders: u8,
    threshold: u8,
}

impl TryFrom<RawShape> for CommitteeShape {
    type Error = ShapeError;

    fn try_from(raw: RawShape) -> Result<Self, ShapeError> {
        Self::new(raw.holders, raw.threshold)
    }
}

impl From<CommitteeShape> for RawShape {
    fn from(shape: CommitteeShape) -> Self {
        Self {
            holders: shape.holders,
            threshold: shape.threshold,
        }
    }
}

impl CommitteeShape {
    /// The shape with `holders` holders, any `threshold` of whom open.
    ///
    /// # Errors
    /// If a number is out of range, a subset could consist of `threshold - 1` colluders, or there are too many subsets.
    pub fn new(holders: u8, threshold: u8) -> Result<Self, ShapeError> {
        if !(2..=MAX_HOLDERS).contains(&holders) {
            return Err(ShapeError::Holders { holders });
        }
        if !(2..=holders).contains(&threshold) {
            return Err(ShapeError::Threshold { holders, threshold });
        }
        let needed = 2 * threshold - 1;
        if holders < needed {
            return Err(ShapeError::NoHonestMember {
                holders,
                threshold,
                needed,
            });
        }
        let subsets = binomial(u64::from(holders), u64::from(threshold) - 1);
        if subsets > MAX_SUBSETS as u64 {
            return Err(ShapeError::Subsets { subsets });
        }
        Ok(Self { holders, threshold })
    }

    /// The number of holders, `n`.
    pub const fn holders(self) -> usize {
        self.holders as usize
    }

    /// How many holders open, `t`.
    pub const fn threshold(self) -> usize {
        self.threshold as usize
    }

    /// Members of every subset, `n - t + 1`.
    pub const fn subset_size(self) -> usize {
        (self.holders - self.threshold + 1) as usize
    }

    /// The number of subset secrets.
    pub fn subset_count(self) -> usize {
        binomial(u64::from(self.holders), u64::from(self.threshold) - 1) as usize
    }

    /// True when honest members outvote `t - 1` liars in every subset, so that a wrong partial has a name: `n >= 3t - 2`.
    pub const fn attributes_lies(self) -> bool {
        self.holders as usize + 2 >= 3 * self.threshold as usize
    }

    /// Every holder.
    pub fn indices(self) -> impl Iterator<Item = HolderIndex> + Clone {
        (0..self.holders).map(HolderIndex)
    }

    /// True when the index names a holder of this committee.
    pub const fn contains(self, holder: HolderIndex) -> bool {
        holder.0 < self.holders
    }

    /// All subsets of `n - t + 1` holders, in ascending order of their bit masks.
    pub fn subsets(self) -> Vec<Subset> {
        (0u32..1 << self.holders)
            .filter(|mask| mask.count_ones() as usize == self.subset_size())
            .enumerate()
            .map(|(index, mask)| Subset {
                index: SubsetIndex(index as u16),
                mask: mask as u16,
            })
            .collect()
    }

    /// The subsets with this holder.
    pub fn subsets_of(self, holder: HolderIndex) -> Vec<Subset> {
        let mut subsets = self.subsets();
        subsets.retain(|subset| subset.contains(holder));
        subsets
    }
}

impl fmt::Display for CommitteeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.threshold, self.holders)
    }
}

/// Holders that share one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subset {
    index: SubsetIndex,
    mask: u16,
}

impl Subset {
    /// The position among the subsets of the shape.
    pub const fn index(self) -> SubsetIndex {
        self.index
    }

    /// Bit `i` set: holder `i` is a member.
    pub const fn mask(self) -> u16 {
        self.mask
    }

    /// True when the holder is a member.
    pub const fn contains(self, holder: HolderIndex) -> bool {
        holder.0 < 16 && self.mask >> holder.0 & 1 == 1
    }

    /// The members, ascending.
    pub fn members(self) -> impl Iterator<Item = HolderIndex> + Clone {
        (0..MAX_HOLDERS)
            .map(HolderIndex)
            .filter(move |&holder| self.contains(holder))
    }
}

const fn binomial(n: u64, k: u64) -> u64 {
    let mut value = 1;
    let mut i = 0;
    while i < k {
        value = value * (n - i) / (i + 1);
        i += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_threshold_meets_every_subset_and_fewer_miss_one() {
        for (n, t) in [
            (2, 2),
            (3, 2),
            (4, 2),
            (5, 3),
            (7, 3),
            (7, 4),
            (9, 5),
            (16, 3),
        ] {
            let Ok(shape) = CommitteeShape::new(n, t) else {
                assert!(n < 2 * t - 1);
                continue;
            };
            let subsets = shape.subsets();
            assert_eq!(subsets.len(), shape.subset_count());
            for mask in 0u32..1 << n {
                let missed = subsets.iter().any(|s| u32::from(s.mask()) & mask == 0);
                assert_eq!(missed, mask.count_ones() < u32::from(t), "{n} {t} {mask:b}");
            }
        }
    }

    #[test]
    fn lies_have_names_from_three_t_minus_two_holders() {
        for (n, t, named) in [
            (4, 2, true),
            (3, 2, false),
            (7, 3, true),
            (5, 3, false),
            (6, 3, false),
        ] {
            let shape = CommitteeShape::new(n, t).unwrap();
            assert_eq!(shape.attributes_lies(), named);
            assert_eq!(shape.subset_size() > 2 * (shape.threshold() - 1), named);
        }
    }

    #[test]
    fn refuses_shapes_that_cannot_work() {
        assert_eq!(
            CommitteeShape::new(1, 1),
            Err(ShapeError::Holders { holders: 1 })
        );
        assert_eq!(
            CommitteeShape::new(17, 2),
            Err(ShapeError::Holders { holders: 17 })
        );
        assert!(matches!(
            CommitteeShape::new(4, 1),
            Err(ShapeError::Threshold { .. })
        ));
        assert!(matches!(
            CommitteeShape::new(4, 5),
            Err(ShapeError::Threshold { .. })
        ));
        assert!(matches!(
            CommitteeShape::new(4, 3),
            Err(ShapeError::NoHonestMember { needed: 5, .. })
        ));
        assert!(matches!(
            CommitteeShape::new(16, 5),
            Err(ShapeError::Subsets { subsets: 1820 })
        ));
    }
}

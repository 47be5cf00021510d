//! Column commitments of one chunk as registrations add up to them, with a version for each snapshot that needs one.

use super::fault::{Fault, rule};
use ark_bn254::{G1Affine, G1Projective};
use ark_ff::AdditiveGroup;
use salus_circuits::commitment::{accumulate, column_commitments, subtract};
use std::collections::BTreeMap;

/// Members of a chunk whose consent lapses in the same epoch.
struct Lapsing {
    members: u32,
    /// Period in which they were removed.
    removed_at: Option<u32>,
    sums: Vec<G1Projective>,
}

/// The sums of one chunk. What is written in period p is contained in snapshot p.
pub struct Sums {
    columns: usize,
    /// Period and sums, ascending.
    versions: Vec<(u32, Vec<G1Projective>)>,
    /// By expiry epoch.
    lapsing: BTreeMap<u32, Lapsing>,
}

impl Sums {
    /// An empty chunk.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            versions: Vec::new(),
            lapsing: BTreeMap::new(),
        }
    }

    /// The sums as they stand, to be written in `period`.
    fn open(&mut self, period: u32) -> &mut Vec<G1Projective> {
        let last = self.versions.last();
        if last.is_none_or(|(at, _)| *at != period) {
            let sums = last.map_or_else(
                || vec![G1Projective::ZERO; self.columns],
                |(_, sums)| sums.clone(),
            );
            self.versions.push((period, sums));
        }
        let newest = self.versions.len() - 1;
        &mut self.versions[newest].1
    }

    /// Adds a member.
    pub fn join(&mut self, period: u32, expiry: u32, commitments: &[G1Affine]) {
        accumulate(self.open(period), commitments, true);
        let columns = self.columns;
        let lapsing = self.lapsing.entry(expiry).or_insert_with(|| Lapsing {
            members: 0,
            removed_at: None,
            sums: vec![G1Projective::ZERO; columns],
        });
        lapsing.members += 1;
        accumulate(&mut lapsing.sums, commitments, true);
    }

    /// Takes a member out.
    pub fn leave(&mut self, period: u32, expiry: u32, commitments: &[G1Affine]) {
        accumulate(self.open(period), commitments, false);
        if let Some(lapsing) = self.lapsing.get_mut(&expiry) {
            lapsing.members = lapsing.members.saturating_sub(1);
            accumulate(&mut lapsing.sums, commitments, false);
        }
    }

    /// How many members lapse in `epoch` and are still counted.
    pub fn pending(&self, epoch: u32) -> u32 {
        self.lapsing
            .get(&epoch)
            .filter(|lapsing| lapsing.removed_at.is_none())
            .map_or(0, |lapsing| lapsing.members)
    }

    /// Takes out everyone who lapses in `epoch`; returns how many.
    pub fn expire(&mut self, period: u32, epoch: u32) -> Result<u32, Fault> {
        let members = self.pending(epoch);
        let Some(lapsing) = self.lapsing.get_mut(&epoch).filter(|_| members > 0) else {
            return Err(rule("NothingToExpire"));
        };
        lapsing.removed_at = Some(period);
        let sums = lapsing.sums.clone();
        subtract(self.open(period), &sums);
        Ok(members)
    }

    /// Period in which the members of an expiry epoch were removed.
    pub fn expired_at(&self, expiry: u32) -> Option<u32> {
        self.lapsing
            .get(&expiry)
            .and_then(|lapsing| lapsing.removed_at)
    }

    /// The column commitments of a snapshot: the last version that is not newer.
    pub fn at(&self, snapshot: u32) -> Vec<G1Affine> {
        match self
            .versions
            .iter()
            .rev()
            .find(|(period, _)| *period <= snapshot)
        {
            Some((_, sums)) => column_commitments(sums),
            None => vec![G1Affine::identity(); self.columns],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ark_bn254::Fr;
    use ark_ec::{AffineRepr, CurveGroup};

    fn point(k: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(k)).into_affine()
    }

    #[test]
    fn snapshots_keep_what_they_contained() {
        let mut sums = Sums::new(1);
        assert_eq!(sums.at(1), [G1Affine::identity()]);
        sums.join(1, 5, &[point(1)]);
        sums.join(1, 5, &[point(2)]);
        sums.join(3, 6, &[point(10)]);
        sums.leave(4, 5, &[point(2)]);
        let at: Vec<_> = (1..=5).map(|snapshot| sums.at(snapshot)[0]).collect();
        assert_eq!(at, [point(3), point(3), point(13), point(11), point(11)]);
    }

    #[test]
    fn a_lapsed_cohort_leaves_at_once_and_only_once() {
        let mut sums = Sums::new(1);
        sums.join(1, 5, &[point(1)]);
        sums.join(1, 5, &[point(2)]);
        sums.join(1, 6, &[point(4)]);
        sums.leave(1, 5, &[point(2)]);
        assert_eq!(
            (sums.pending(5), sums.pending(6), sums.pending(7)),
            (1, 1, 0)
        );
        assert_eq!(sums.expire(2, 5).unwrap(), 1);
        assert_eq!((sums.at(1)[0], sums.at(2)[0]), (point(5), point(4)));
        assert_eq!((sums.expired_at(5), sums.expired_at(6)), (Some(2), None));
        assert!(sums.expire(2, 5).is_err());
        assert!(sums.expire(2, 9).is_err());
    }
}

//! Running the checks: both kinds of zeros, and bisection to whoever spoils them.

use super::{Batch, Opener, Origin, Zero};
use crate::encrypt::Identity;

/// Fresh factors or subsets are drawn at most this often in one check.
pub(super) const MAX_ROUNDS: u32 = 64;
/// Rounds in which something fails and nobody can be named, at most.
pub(super) const MAX_BLAMELESS: u32 = 3;

/// Which check an upload failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is not a one-hot, or its attestation is not its own.
    Relation,
    /// A slot does not encode a residue, or has too much noise.
    Integrality,
}

/// An upload that failed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cheater {
    /// Whose upload it is.
    pub identity: Identity,
    /// What it failed.
    pub failed: Failed,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose uploads passed, in order.
    pub accepted: Vec<Identity>,
    /// Whose did not, in the order in which they were found.
    pub cheaters: Vec<Cheater>,
    /// Relations opened.
    pub relations: usize,
    /// Elements opened, 4096 values each.
    pub elements: usize,
}

/// Why a check ended without a report; nothing is accepted then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError<E> {
    #[error("an opening failed")]
    Opener(E),
    #[error("more than {most} uploads failed; refuse the batch and look at its issuers")]
    TooManyCheaters { most: usize },
    #[error("the batch fails and no upload fails alone; check it again in smaller batches")]
    Undetermined,
}

impl<E> From<E> for CheckError<E> {
    fn from(error: E) -> Self {
        Self::Opener(error)
    }
}

struct Run<'a, 'b, O: Opener> {
    batch: &'a Batch<'b>,
    seed: &'a [u8; 32],
    opener: &'a mut O,
    most: usize,
    /// Positions found to cheat, ascending.
    excluded: Vec<usize>,
    cheaters: Vec<Cheater>,
    relations: usize,
    elements: usize,
}

/// Checks a batch: two batches of relations, then 40 subsets, and names whoever fails; stops at more than `most` cheaters.
///
/// `seed` is drawn after the batch is fixed, by nobody who uploads.
///
/// # Errors
/// If an opening fails, there are too many cheaters, or a batch fails without anyone failing alone.
pub fn check<O: Opener>(
    batch: &Batch<'_>,
    seed: &[u8; 32],
    opener: &mut O,
    most: usize,
) -> Result<Report, CheckError<O::Error>> {
    let mut run = Run {
        batch,
        seed,
        opener,
        most,
        excluded: Vec::new(),
        cheaters: Vec::new(),
        relations: 0,
        elements: 0,
    };
    run.all_relations()?;
    run.all_subsets()?;
    let accepted = (0..batch.len()).filter(|at| run.excluded.binary_search(at).is_err());
    let accepted = accepted.filter_map(|at| batch.identity(at)).collect();
    Ok(Report {
        accepted,
        cheaters: run.cheaters,
        relations: run.relations,
        elements: run.elements,
    })
}

impl<O: Opener> Run<'_, '_, O> {
    fn blame(&mut self, at: usize, failed: Failed) -> Result<(), CheckError<O::Error>> {
        if let Err(place) = self.excluded.binary_search(&at)
            && let Some(identity) = self.batch.identity(at)
        {
            if self.cheaters.len() == self.most {
                return Err(CheckError::TooManyCheaters { most: self.most });
            }
            self.excluded.insert(place, at);
            self.cheaters.push(Cheater { identity, failed });
        }
        Ok(())
    }

    /// Bisects the whole batch; with fresh factors again while it fails and nobody is found.
    fn all_relations(&mut self) -> Result<(), CheckError<O::Error>> {
        let whole = self.batch.len() as u32;
        for round in 0..MAX_BLAMELESS {
            let before = self.cheaters.len();
            if self.relations(round, 0, whole)? || self.cheaters.len() > before {
                return Ok(());
            }
        }
        Err(CheckError::Undetermined)
    }

    /// True if the relations of `from..to` hold; otherwise whoever fails alone is blamed.
    fn relations(&mut self, round: u32, from: u32, to: u32) -> Result<bool, CheckError<O::Error>> {
        let mut holds = true;
        for form in self.batch.relations(round, from, to, self.seed) {
            self.relations += 1;
            holds = self.opener.open_zero(&form)?;
            if !holds {
                break;
            }
        }
        if holds {
            return Ok(true);
        }
        if to - from == 1 {
            self.blame(from as usize, Failed::Relation)?;
        } else {
            let middle = from + (to - from) / 2;
            self.relations(round, from, middle)?;
            self.relations(round, middle, to)?;
        }
        Ok(false)
    }

    /// Draws subsets until all of them are zero, naming whoever spoils one.
    fn all_subsets(&mut self) -> Result<(), CheckError<O::Error>> {
        let mut blameless = 0;
        for round in 0..MAX_ROUNDS {
            let before = self.cheaters.len();
            if self.subsets(round)? {
                return Ok(());
            }
            if self.cheaters.len() == before {
                blameless += 1;
                if blameless == MAX_BLAMELESS {
                    break;
                }
            }
        }
        Err(CheckError::Undetermined)
    }

    /// True if all subsets of a round are zero; else the first that is not has been bisected.
    fn subsets(&mut self, round: u32) -> Result<bool, CheckError<O::Error>> {
        for poly in self.batch.subsets(round, &self.excluded, self.seed) {
            self.elements += 1;
            if self.opener.open_zero_poly(&poly)? {
                continue;
            }
            if let Origin::Subset { subset, .. } = *poly.origin() {
                // The subset stays the same while members of it are excluded.
                let excluded = self.excluded.clone();
                self.halves(round, subset, 0, self.batch.len() as u32, &excluded)?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// Bisects `from..to` of a subset known not to be zero.
    fn halves(
        &mut self,
        round: u32,
        subset: u8,
        from: u32,
        to: u32,
        excluded: &[usize],
    ) -> Result<(), CheckError<O::Error>> {
        if to - from == 1 {
            return self.blame(from as usize, Failed::Integrality);
        }
        let middle = from + (to - from) / 2;
        for (from, to) in [(from, middle), (middle, to)] {
            let origin = Origin::Subset {
                round,
                subset,
                from,
                to,
            };
            if let Some(Zero::Poly(poly)) = self.batch.derive(&origin, excluded, self.seed) {
                self.elements += 1;
                if !self.opener.open_zero_poly(&poly)? {
                    self.halves(round, subset, from, to, excluded)?;
                }
            }
        }
        Ok(())
    }
}

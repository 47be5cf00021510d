//! Checking what a leader shows.
//!
//! A holder recomputes its own subsets' partials; those of other subsets it has from the leader, who could lie about them to
//! have suppressed sums opened or a wrong answer signed. So it asks the other members of these subsets, the witnesses,
//! whether the values are theirs. A witness that the leader passed over computes them first, with every check and all
//! bookkeeping of an opening, so that a leader silences nobody by not asking. Four things can come back:
//!
//! - A voice for the value, or a denial.
//! - An abstention: the witness can be reached, but refuses, is still computing, or breaks off.
//! - Nothing: it cannot be reached, or is silent. It is taken for dead.
//!
//! A value passes when `t` voices are for it, the leader's included, one of which is honest, and fewer than `t` deny it. It
//! also passes with fewer voices, but at least one, when nobody denied or abstained: with only `t` holders alive, a subset may
//! have no other living member than the leader, and openings are promised to go on then. The report calls such subsets
//! unchecked.
//!
//! # Security
//! Against `t - 1` corrupt holders, the leader among them: a foreign value that some honest, reachable member of its subset
//! computed otherwise is refused. What remains possible: a false value of a subset passes when every honest member of it is
//! dead, or when the adversary also keeps the asking holder from reaching all of these members, or them from answering in
//! time, by ruling the network between honest holders or by loading their machines beyond what they bear. Holders say that
//! they are still computing well before the asking holder loses patience; for that, [`crate::Limits`]`::peer` is to be the same
//! at all holders.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::CallError;
use super::leader::{Party, blocking};
use crate::message::{Opening, Phase, Reply, Request, Values};
use crate::opening::partials_hash;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::{HolderIndex, Subset, SubsetIndex};

/// What was said of one subset's value.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    voices: usize,
    denials: usize,
    abstentions: usize,
}

impl Tally {
    /// Why the value does not pass.
    fn objection(self, threshold: usize) -> Option<RefusalCode> {
        let Self {
            voices,
            denials,
            abstentions,
        } = self;
        if denials >= threshold || (denials > 0 && voices < threshold) {
            return Some(RefusalCode::Contradicted);
        }
        // What only a leader outside of the subset says, nobody alive can have computed.
        (voices == 0 || (abstentions > 0 && voices < threshold)).then_some(RefusalCode::Unavailable)
    }
}

impl Party {
    /// How long a witness is waited for, and after what time it says that it is still computing.
    ///
    /// The first fits twice into what a leader waits, the second into the first: with sums, a witness may have to check the
    /// counts with others before.
    fn patience(&self, phase: Phase) -> (Duration, Duration) {
        let eighth = self.limits.peer / 8;
        match phase {
            Phase::Counts => (2 * eighth, eighth),
            Phase::Sums => (4 * eighth, 3 * eighth),
        }
    }

    /// Asks the other holders about the partials of the subsets that this holder is not in.
    ///
    /// The word of `leader`, who showed them, counts for its subsets; without one, all holders are asked. `counts` are those
    /// that let out sums.
    ///
    /// # Errors
    /// If a value does not pass.
    pub(super) async fn cross_check(
        &self,
        leader: Option<HolderIndex>,
        opening: &Opening,
        phase: Phase,
        counts: &[Values],
        shown: &[Values],
    ) -> Result<(), Refusal> {
        let shape = self.keys.shape();
        let me = self.keys.index();
        let foreign: Vec<Subset> = shape
            .subsets()
            .into_iter()
            .filter(|s| !s.contains(me))
            .collect();
        if shown.len() != shape.subset_count() {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                "one list per subset is needed",
            ));
        }
        let (wait, _) = self.patience(phase);
        let mut tasks = JoinSet::new();
        for peer in self.witnesses(leader) {
            let hashes: Vec<(SubsetIndex, [u8; 32])> = foreign
                .iter()
                .filter(|subset| subset.contains(peer))
                .map(|s| {
                    (
                        s.index(),
                        partials_hash(*s, &shown[usize::from(s.index().0)]),
                    )
                })
                .collect();
            let Some(connection) = self.peers.get(&peer).filter(|_| !hashes.is_empty()) else {
                continue;
            };
            let asked: Vec<SubsetIndex> = hashes.iter().map(|(subset, _)| *subset).collect();
            let request = Request::Vouch(opening.clone(), phase, counts.to_vec(), hashes);
            let connection = Arc::clone(connection);
            tasks.spawn(async move { (peer, asked, connection.call(&request, wait).await) });
        }
        let mut tallies = vec![Tally::default(); shape.subset_count()];
        for subset in &foreign {
            if leader.is_some_and(|leader| subset.contains(leader)) {
                tallies[usize::from(subset.index().0)].voices += 1;
            }
        }
        while let Some(done) = tasks.join_next().await {
            let Ok((peer, asked, reply)) = done else {
                continue;
            };
            let differs = match reply {
                Ok(Reply::Vouched(said)) => said,
                Err(
                    CallError::Slow
                    | CallError::Unreachable {
                        connected: false, ..
                    },
                ) => {
                    tracing::warn!(holder = peer.0, "a witness is taken for dead");
                    continue;
                }
                // Whoever can fill a holder's connections must not make it look dead.
                Ok(_) | Err(_) => None,
            };
            for subset in asked {
                let tally = &mut tallies[usize::from(subset.0)];
                match &differs {
                    Some(differs) if differs.contains(&subset) => tally.denials += 1,
                    Some(_) => tally.voices += 1,
                    None => tally.abstentions += 1,
                }
            }
        }
        let objection = foreign.iter().find_map(|subset| {
            let tally = tallies[usize::from(subset.index().0)];
            let code = tally.objection(shape.threshold())?;
            Some((subset.index(), code))
        });
        match objection {
            None => Ok(()),
            Some((subset, code @ RefusalCode::Contradicted)) => Err(Refusal::new(
                code,
                format_args!("others computed other partials for {subset}"),
            )),
            Some((subset, code)) => Err(Refusal::new(
                code,
                format_args!("too few vouch for the partials of {subset}"),
            )),
        }
    }

    /// What this holder says of partials that another one was shown; `None` while it is still computing its own.
    ///
    /// # Errors
    /// If it would not give partials.
    pub(super) async fn vouch(
        &self,
        opening: Opening,
        phase: Phase,
        counts: Vec<Values>,
        hashes: Vec<(SubsetIndex, [u8; 32])>,
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        let (_, patience) = self.patience(phase);
        let said = async {
            let (keys, named) = (self.keys.clone(), opening.clone());
            let given = blocking(move || keys.given(&named, phase)).await?;
            if given.is_none() && phase == Phase::Sums {
                // Who asks may be the liar: nobody's word counts unasked.
                self.cross_check(None, &opening, Phase::Counts, &[], &counts)
                    .await?;
            }
            let holder = self.holder.clone();
            blocking(move || holder.vouch(&opening, phase, &counts, &hashes)).await
        };
        // What is being computed goes on, for who asks again.
        timeout(patience, said).await.unwrap_or(Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(voices: usize, denials: usize, abstentions: usize) -> Option<RefusalCode> {
        let tally = Tally {
            voices,
            denials,
            abstentions,
        };
        tally.objection(3)
    }

    #[test]
    fn values_pass_with_a_threshold_or_without_objection() {
        for (voices, denials, abstentions) in [(3, 2, 0), (3, 2, 4), (1, 0, 0), (2, 0, 0)] {
            assert_eq!(objection(voices, denials, abstentions), None);
        }
        for (voices, denials) in [(2, 1), (0, 1), (4, 3)] {
            let code = objection(voices, denials, 0);
            assert_eq!(code, Some(RefusalCode::Contradicted));
        }
        for (voices, abstentions) in [(0, 0), (2, 1), (1, 3)] {
            let code = objection(voices, 0, abstentions);
            assert_eq!(code, Some(RefusalCode::Unavailable));
        }
    }
}

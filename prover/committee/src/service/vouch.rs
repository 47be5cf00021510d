//! Checking what a leader shows.
//!
//! A holder recomputes its own subsets' partials; those of other subsets it has from the leader, who could lie about them to
//! have suppressed sums opened or a wrong answer signed. So it asks the other holders whether they gave these values. The
//! leader cannot hold back what an honest holder says of itself.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::leader::Party;
use crate::message::{Opening, Phase, Reply, Request, Values};
use crate::opening::partials_hash;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::{HolderIndex, Subset, SubsetIndex};

impl Party {
    /// Asks the other holders about the partials of the subsets that this holder is not in.
    ///
    /// A denied value passes only with `t` voices for it, the leader's included, one of which is honest.
    ///
    /// # Errors
    /// If a value is denied and has no `t` voices.
    pub(super) async fn cross_check(
        &self,
        leader: HolderIndex,
        opening: &Opening,
        phase: Phase,
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
            let request = Request::Vouch(opening.clone(), phase, hashes);
            // Half the time that the leader gives us.
            let (connection, wait) = (Arc::clone(connection), self.limits.peer / 2);
            tasks.spawn(async move { (asked, connection.call(&request, wait).await) });
        }
        let count = shape.subset_count();
        let (mut voices, mut denials) = (vec![0usize; count], vec![0usize; count]);
        for subset in foreign.iter().filter(|subset| subset.contains(leader)) {
            voices[usize::from(subset.index().0)] += 1;
        }
        while let Some(done) = tasks.join_next().await {
            // Who is silent, or was not asked by the leader, neither confirms nor denies.
            if let Ok((asked, Ok(Reply::Vouched(Some(differs))))) = done {
                for subset in asked {
                    let tally = if differs.contains(&subset) {
                        &mut denials
                    } else {
                        &mut voices
                    };
                    tally[usize::from(subset.0)] += 1;
                }
            }
        }
        let threshold = shape.threshold();
        let denied = foreign.iter().find(|subset| {
            let at = usize::from(subset.index().0);
            denials[at] >= threshold || (denials[at] > 0 && voices[at] < threshold)
        });
        match denied {
            None => Ok(()),
            Some(subset) => Err(Refusal::new(
                RefusalCode::Contradicted,
                format_args!("others computed other partials for {}", subset.index()),
            )),
        }
    }
}

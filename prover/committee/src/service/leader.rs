//! Leading an opening: gather, compare, release, have signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::connection::{CallError, Connection};
use crate::answer::{HolderSignature, Report, SealedAnswer, SignedAnswer};
use crate::config::{CommitteeFile, Limits};
use crate::message::{OpenRequest, Opening, Reply, Request, Values};
use crate::opening::{
    Agreed, CheckRequest, CoinSeed, Failure, Holder, KeyHolder, agree, from_values,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::HolderIndex;

/// What a holder needs to lead, and to ask the others.
pub(super) struct Party {
    /// The keys, for questions and verdicts.
    pub(super) keys: Arc<KeyHolder>,
    /// What this holder answers; the honest holder but in tests.
    pub(super) holder: Arc<dyn Holder>,
    pub(super) committee: CommitteeFile,
    pub(super) peers: BTreeMap<HolderIndex, Arc<Connection>>,
    pub(super) limits: Limits,
    /// Checks that found something that is not zero, by check.
    pub(super) failed: std::sync::Mutex<BTreeMap<[u8; 32], u32>>,
}

/// Why there is no answer.
pub(super) enum Stop {
    Refused(Refusal),
    Failed(Failure),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Stop {
    /// As a reply, with how everybody behaved.
    pub(super) fn into_reply(self) -> Reply {
        match self {
            Self::Refused(refusal) => Reply::Refused(refusal),
            Self::Failed(failure) => Reply::Failed(Box::new(failure)),
        }
    }
}

/// Runs work that computes or touches disks off the network's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Refusal::new(RefusalCode::Unavailable, "the holder failed")))
}

impl Party {
    fn is_peer_asked(&self, peer: HolderIndex, report: &Report) -> bool {
        !report.liars.contains(&peer)
            && !report.slow.contains(&peer)
            && !report.dead.contains(&peer)
            && !report.refused.iter().any(|(holder, _)| *holder == peer)
    }

    /// Asks every peer that has behaved so far, all at once; notes those that do not.
    pub(super) async fn ask_all(
        &self,
        request: Request,
        report: &mut Report,
    ) -> BTreeMap<HolderIndex, Reply> {
        let request = Arc::new(request);
        let mut tasks = JoinSet::new();
        for (&peer, connection) in &self.peers {
            if self.is_peer_asked(peer, report) {
                let (connection, request) = (connection.clone(), request.clone());
                let wait = self.limits.peer;
                tasks.spawn(async move { (peer, connection.call(&request, wait).await) });
            }
        }
        let mut replies = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok((peer, Ok(Reply::Refused(refusal)))) => report.refused.push((peer, refusal)),
                Ok((peer, Ok(reply))) => {
                    replies.insert(peer, reply);
                }
                Ok((peer, Err(CallError::Slow))) => report.slow.push(peer),
                Ok((peer, Err(error))) => {
                    tracing::warn!(holder = peer.0, %error, "holder does not answer");
                    report.dead.push(peer);
                }
                Err(_) => {}
            }
        }
        replies
    }

    /// Partials of all holders, compared: one list per subset.
    async fn gather(
        &self,
        request: Request,
        own: Vec<Values>,
        length: Option<usize>,
        report: &mut Report,
    ) -> Result<Vec<Values>, Stop> {
        let shape = self.keys.shape();
        let mut answers = BTreeMap::new();
        for (peer, reply) in self.ask_all(request, report).await {
            let subsets = shape.subsets_of(peer).len();
            match reply {
                Reply::Partials(lists)
                    if lists.len() == subsets
                        && lists.iter().all(|l| length.is_none_or(|n| l.0.len() == n)) =>
                {
                    answers.insert(peer, lists);
                }
                _ => report.dead.push(peer),
            }
        }
        answers.insert(self.keys.index(), own);
        let Agreed {
            values,
            liars,
            unchecked,
        } = agree(shape, &answers).map_err(|failure| {
            let mut all = Report::default();
            all.merge(report.clone());
            Stop::Failed(failure.with(all))
        })?;
        report.merge(Report {
            liars,
            unchecked,
            ..Report::default()
        });
        Ok(values)
    }

    /// Answers a query.
    pub(super) async fn lead(&self, request: OpenRequest) -> Result<SignedAnswer, Stop> {
        let mut report = Report::default();
        let keys = self.keys.clone();
        let asked = request.clone();
        let question = Arc::new(blocking(move || keys.question(&asked)).await?);
        let opening = Opening {
            request,
            ciphertext_hash: question.ciphertext_hash(),
        };

        let (holder, phase) = (self.holder.clone(), opening.clone());
        let own = blocking(move || holder.counts(&phase)).await?;
        let length = own.first().map(|list| list.0.len());
        let request = Request::Counts(opening.clone());
        let counts = self.gather(request, own, length, &mut report).await?;
        let release = question.release(&counts)?;

        let sums = if release.is_complete() {
            vec![Values::default(); counts.len()]
        } else {
            let (holder, phase, shown) = (self.holder.clone(), opening.clone(), counts.clone());
            let own = blocking(move || holder.sums(&phase, &shown)).await?;
            let length = own.first().map(|list| list.0.len());
            let request = Request::Sums(opening.clone(), counts.clone());
            self.gather(request, own, length, &mut report).await?
        };
        let answer = question.answer(&release, &sums)?;
        let mut signed = self
            .have_signed(opening, counts, sums, answer, report)
            .await?;
        signed.noise_micro_sigma = question.noise_micro_sigma();
        Ok(signed)
    }

    async fn have_signed(
        &self,
        opening: Opening,
        counts: Vec<Values>,
        sums: Vec<Values>,
        answer: SealedAnswer,
        mut report: Report,
    ) -> Result<SignedAnswer, Stop> {
        let (holder, phase) = (self.holder.clone(), opening.clone());
        let (shown, added) = (counts.clone(), sums.clone());
        let own = blocking(move || holder.sign(&phase, &shown, &added)).await?;
        let mut found = BTreeMap::from([(self.keys.index(), own)]);
        let request = Request::Sign(opening, counts, sums);
        for (peer, reply) in self.ask_all(request, &mut report).await {
            match reply {
                Reply::Signature(signature) => {
                    found.insert(peer, signature);
                }
                _ => report.dead.push(peer),
            }
        }
        let mut signatures = Vec::new();
        for (holder, signature) in found {
            let Some(entry) = self.committee.holder(holder) else {
                continue;
            };
            if self.keys.is_signed_by(&answer, &signature, entry.signer) {
                signatures.push(HolderSignature {
                    holder,
                    address: entry.signer,
                    signature,
                });
            } else {
                report.liars.push(holder);
            }
        }
        let mut all = Report::default();
        all.merge(report);
        let needed = self.keys.shape().threshold();
        if signatures.len() < needed {
            return Err(Stop::Failed(Failure::TooFewSignatures {
                signed: signatures.len() as u8,
                needed: needed as u8,
                report: Box::new(all),
            }));
        }
        Ok(SignedAnswer {
            answer,
            signatures,
            report: all,
            noise_micro_sigma: 0,
        })
    }

    /// The seeds of the coin for a subject.
    pub(super) async fn coin(&self, subject: [u8; 32]) -> Result<Vec<CoinSeed>, Stop> {
        let mut report = Report::default();
        let holder = self.holder.clone();
        let own = blocking(move || holder.coin_seeds(&subject)).await?;
        let request = Request::CoinSeeds(subject);
        let seeds = self.gather(request, own, Some(2), &mut report).await?;
        let seeds: Option<Vec<CoinSeed>> = seeds.iter().map(from_values).collect();
        let malformed = || Refusal::new(RefusalCode::BadRequest, "a seed has two words");
        Ok(seeds.ok_or_else(malformed)?)
    }

    /// Whether what a check names is zero.
    pub(super) async fn check(&self, request: CheckRequest) -> Result<bool, Stop> {
        if self.failures(&request.check) >= self.limits.failed_checks {
            let refusal = Refusal::new(
                RefusalCode::CheckLimit,
                "too many openings of this check failed",
            );
            return Err(refusal.into());
        }
        let mut report = Report::default();
        let (holder, asked) = (self.holder.clone(), request.clone());
        let own = blocking(move || holder.zero_partial(&asked)).await?;
        let length = own.first().map(|list| list.0.len());
        let call = Request::ZeroPartial(request.clone());
        let partials = self.gather(call, own, length, &mut report).await?;
        let (keys, asked) = (self.keys.clone(), request.clone());
        let zero = blocking(move || keys.verdict(&asked, &partials)).await?;
        if !zero {
            let mut failed = self
                .failed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *failed.entry(request.check).or_default() += 1;
        }
        Ok(zero)
    }

    fn failures(&self, check: &[u8; 32]) -> u32 {
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.get(check).copied().unwrap_or(0)
    }

    /// Holders that are to be asked about a leader's partials: all but the leader, if one is named, and this one.
    pub(super) fn witnesses(&self, leader: Option<HolderIndex>) -> BTreeSet<HolderIndex> {
        self.peers
            .keys()
            .copied()
            .filter(|peer| Some(*peer) != leader)
            .collect()
    }
}

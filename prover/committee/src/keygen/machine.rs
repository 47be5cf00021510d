//! The state machine of key generation.

use std::collections::BTreeMap;

use rand_core::CryptoRngCore;
use zeroize::Zeroize;

use super::message::{Abort, Body, Fault, Message, Step};
use super::subset::{HeldSubset, mask_seed};
use super::{PUBLIC_PART_BYTES, Session};
use crate::shape::{HolderIndex, Subset, SubsetIndex};
use crate::stream::{Key32, digest};
use salus_cubes::key::PublicKey;
use salus_cubes::ring::Poly;

/// A message and its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Who is to get it.
    pub to: HolderIndex,
    /// The message.
    pub message: Message,
}

/// What one holder has at the end.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The session that made the key.
    pub session: Session,
    /// The holder.
    pub holder: HolderIndex,
    /// The secrets of its subsets, ascending.
    pub subsets: Vec<HeldSubset>,
    /// The committee's public key.
    pub public: PublicKey,
}

/// After a round.
#[derive(Debug)]
pub enum Progress {
    /// Messages of the next round, and the machine that waits for those of the others.
    Next(Box<Keygen>, Vec<Outgoing>),
    /// Everybody confirmed.
    Done(Box<Generated>),
}

/// One holder in key generation, waiting for everybody's messages of one round.
#[derive(Debug)]
pub struct Keygen {
    session: Session,
    me: HolderIndex,
    step: Step,
    own: Body,
    contributions: Vec<(Subset, Key32)>,
    commitments: BTreeMap<(HolderIndex, SubsetIndex), [u8; 32]>,
    public_commitments: BTreeMap<SubsetIndex, [u8; 32]>,
    keys: Vec<HeldSubset>,
    parts: BTreeMap<SubsetIndex, Vec<u8>>,
    echoes: Vec<[u8; 32]>,
    transcript: [u8; 32],
}

impl Keygen {
    /// Starts a session: the messages of the first round.
    ///
    /// # Panics
    /// If `me` is no holder of the session's committee.
    pub fn start(
        session: Session,
        me: HolderIndex,
        rng: &mut impl CryptoRngCore,
    ) -> (Self, Vec<Outgoing>) {
        assert!(session.shape().contains(me), "{me} is not in the committee");
        let contributions: Vec<_> = session
            .shape()
            .subsets_of(me)
            .into_iter()
            .map(|subset| {
                let mut bytes = [0; 32];
                rng.fill_bytes(&mut bytes);
                let key = Key32::new(bytes);
                bytes.zeroize();
                (subset, key)
            })
            .collect();
        let hashes = contributions
            .iter()
            .map(|(subset, key)| commitment(&session, *subset, me, key.expose()))
            .collect();
        let machine = Self {
            transcript: *session.id(),
            session,
            me,
            step: Step::Commit,
            own: Body::Commit(hashes),
            contributions,
            commitments: BTreeMap::new(),
            public_commitments: BTreeMap::new(),
            keys: Vec::new(),
            parts: BTreeMap::new(),
            echoes: Vec::new(),
        };
        let outgoing = machine.to_all();
        (machine, outgoing)
    }

    /// The round whose messages are awaited.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Takes everybody else's messages of this round, by authenticated sender.
    ///
    /// # Errors
    /// Who stopped the protocol, where and how.
    pub fn advance(
        mut self: Box<Self>,
        incoming: &BTreeMap<HolderIndex, Message>,
    ) -> Result<Progress, Abort> {
        for peer in self.peers() {
            let message = incoming
                .get(&peer)
                .ok_or_else(|| self.abort(peer, Fault::Missing))?;
            self.check_envelope(peer, message)?;
        }
        match self.step {
            Step::Commit => self.hear_commitments(incoming),
            Step::Contribute => self.hear_contributions(incoming)?,
            Step::CommitPublic => self.hear_public_commitments(incoming)?,
            Step::RevealPublic => self.hear_public_parts(incoming)?,
            Step::Confirm => return self.hear_confirmations(incoming),
        }
        let outgoing = self.to_all();
        Ok(Progress::Next(self, outgoing))
    }

    fn peers(&self) -> Vec<HolderIndex> {
        let me = self.me;
        self.session
            .shape()
            .indices()
            .filter(|&h| h != me)
            .collect()
    }

    const fn abort(&self, holder: HolderIndex, fault: Fault) -> Abort {
        Abort {
            holder,
            subset: None,
            step: self.step,
            fault,
        }
    }

    const fn abort_in(&self, holder: HolderIndex, subset: Subset, fault: Fault) -> Abort {
        Abort {
            holder,
            subset: Some(subset.index()),
            step: self.step,
            fault,
        }
    }

    fn to_all(&self) -> Vec<Outgoing> {
        self.peers()
            .into_iter()
            .map(|to| {
                let body = match &self.own {
                    Body::Contribute(_) => Body::Contribute(
                        self.contributions
                            .iter()
                            .filter(|(subset, _)| subset.contains(to))
                            .map(|(_, key)| key.clone())
                            .collect(),
                    ),
                    public => public.clone(),
                };
                Outgoing {
                    to,
                    message: Message {
                        session: *self.session.id(),
                        from: self.me,
                        echoes: self.echoes.clone(),
                        body,
                    },
                }
            })
            .collect()
    }

    fn check_envelope(&self, peer: HolderIndex, message: &Message) -> Result<(), Abort> {
        if message.session != *self.session.id() {
            return Err(self.abort(peer, Fault::OtherSession));
        }
        if message.from != peer {
            let claimed = message.from;
            return Err(self.abort(peer, Fault::OtherSender { claimed }));
        }
        let found = message.body.step();
        if found != self.step {
            return Err(self.abort(peer, Fault::OtherStep { found }));
        }
        let shape = self.session.shape();
        let (expected, found) = match &message.body {
            Body::Commit(list) | Body::CommitPublic(list) => {
                (shape.subsets_of(peer).len(), list.len())
            }
            Body::RevealPublic(list) => (shape.subsets_of(peer).len(), list.len()),
            Body::Contribute(list) => (self.shared_with(peer).count(), list.len()),
            Body::Confirm(_) => (0, 0),
        };
        if expected != found {
            return Err(self.abort(peer, Fault::Length { expected, found }));
        }
        let (expected, found) = (self.echoes.len(), message.echoes.len());
        if expected != found {
            return Err(self.abort(peer, Fault::Length { expected, found }));
        }
        for (about, (mine, theirs)) in shape.indices().zip(self.echoes.iter().zip(&message.echoes))
        {
            if mine != theirs {
                // The peer heard `about` say something else: one of the two is lying. Of itself, it is the peer.
                let witness = if about == peer { self.me } else { peer };
                return Err(self.abort(about, Fault::Equivocation { witness }));
            }
        }
        Ok(())
    }

    fn shared_with(&self, peer: HolderIndex) -> impl Iterator<Item = Subset> {
        self.contributions
            .iter()
            .map(|(subset, _)| *subset)
            .filter(move |subset| subset.contains(peer))
    }

    /// Notes what everybody said in a public round, for the echoes of the next and the transcript.
    fn note(&mut self, incoming: &BTreeMap<HolderIndex, Message>) {
        self.echoes = self
            .session
            .shape()
            .indices()
            .map(|holder| match incoming.get(&holder) {
                Some(message) => message.body.echo(),
                None => self.own.echo(),
            })
            .collect();
        self.transcript = digest(
            "salus/v1/committee/keygen/transcript",
            &[&self.transcript, self.echoes.as_flattened()],
        );
    }

    fn hear_commitments(&mut self, incoming: &BTreeMap<HolderIndex, Message>) {
        self.note(incoming);
        let shape = self.session.shape();
        for holder in shape.indices() {
            let body = incoming.get(&holder).map_or(&self.own, |m| &m.body);
            if let Body::Commit(hashes) = body {
                for (subset, hash) in shape.subsets_of(holder).iter().zip(hashes) {
                    self.commitments.insert((holder, subset.index()), *hash);
                }
            }
        }
        self.step = Step::Contribute;
        self.own = Body::Contribute(Vec::new());
    }

    fn hear_contributions(
        &mut self,
        incoming: &BTreeMap<HolderIndex, Message>,
    ) -> Result<(), Abort> {
        let mut known: BTreeMap<(SubsetIndex, HolderIndex), Key32> = BTreeMap::new();
        for peer in self.peers() {
            let Body::Contribute(shown) = &incoming[&peer].body else {
                continue;
            };
            for (subset, bytes) in self.shared_with(peer).zip(shown) {
                let hash = commitment(&self.session, subset, peer, bytes.expose());
                if self.commitments.get(&(peer, subset.index())) != Some(&hash) {
                    return Err(self.abort_in(peer, subset, Fault::ChangedContribution));
                }
                known.insert((subset.index(), peer), bytes.clone());
            }
        }
        let mut keys = Vec::with_capacity(self.contributions.len());
        for (subset, own) in &self.contributions {
            let mask = subset.mask().to_le_bytes();
            let parts: Vec<&[u8]> = [&self.transcript[..], &mask]
                .into_iter()
                .chain(subset.members().map(|holder| {
                    let key = known.get(&(subset.index(), holder)).unwrap_or(own);
                    &key.expose()[..]
                }))
                .collect();
            let key = Key32::new(digest("salus/v1/committee/subset-key", &parts));
            keys.push(HeldSubset::new(*subset, &key));
        }
        let parts: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| key.public_part(self.session.id()))
            .collect();
        self.own = Body::CommitPublic(
            keys.iter()
                .zip(&parts)
                .map(|(key, part)| public_commitment(&self.session, key.subset(), part))
                .collect(),
        );
        self.parts = keys
            .iter()
            .map(|key| key.subset().index())
            .zip(parts)
            .collect();
        self.keys = keys;
        self.contributions.clear();
        self.step = Step::CommitPublic;
        Ok(())
    }

    fn hear_public_commitments(
        &mut self,
        incoming: &BTreeMap<HolderIndex, Message>,
    ) -> Result<(), Abort> {
        self.note(incoming);
        let shape = self.session.shape();
        let mut heard: BTreeMap<SubsetIndex, Vec<(HolderIndex, [u8; 32])>> = BTreeMap::new();
        for holder in shape.indices() {
            let body = incoming.get(&holder).map_or(&self.own, |m| &m.body);
            if let Body::CommitPublic(hashes) = body {
                for (subset, hash) in shape.subsets_of(holder).iter().zip(hashes) {
                    heard
                        .entry(subset.index())
                        .or_default()
                        .push((holder, *hash));
                }
            }
        }
        for subset in shape.subsets() {
            let said = &heard[&subset.index()];
            // A member trusts itself; the others believe the value that most members name.
            let right = said
                .iter()
                .find(|(holder, _)| *holder == self.me)
                .map_or_else(|| majority(said), |(_, hash)| *hash);
            if let Some((liar, _)) = said.iter().find(|(_, hash)| *hash != right) {
                return Err(self.abort_in(*liar, subset, Fault::WrongPublicPart));
            }
            self.public_commitments.insert(subset.index(), right);
        }
        self.own = Body::RevealPublic(
            shape
                .subsets_of(self.me)
                .iter()
                .filter_map(|subset| self.parts.get(&subset.index()).cloned())
                .collect(),
        );
        self.step = Step::RevealPublic;
        Ok(())
    }

    fn hear_public_parts(
        &mut self,
        incoming: &BTreeMap<HolderIndex, Message>,
    ) -> Result<(), Abort> {
        self.note(incoming);
        for peer in self.peers() {
            let Body::RevealPublic(parts) = &incoming[&peer].body else {
                continue;
            };
            for (subset, part) in self.session.shape().subsets_of(peer).iter().zip(parts) {
                let hash = public_commitment(&self.session, *subset, part);
                let right = self.public_commitments.get(&subset.index()) == Some(&hash);
                if !right || part.len() != PUBLIC_PART_BYTES {
                    return Err(self.abort_in(peer, *subset, Fault::ChangedPublicPart));
                }
                self.parts
                    .entry(subset.index())
                    .or_insert_with(|| part.clone());
            }
        }
        self.own = Body::Confirm(self.transcript);
        self.step = Step::Confirm;
        Ok(())
    }

    fn hear_confirmations(
        self: Box<Self>,
        incoming: &BTreeMap<HolderIndex, Message>,
    ) -> Result<Progress, Abort> {
        for peer in self.peers() {
            if incoming[&peer].body != self.own {
                return Err(self.abort(peer, Fault::OtherTranscript));
            }
        }
        let parts: Vec<Poly> = self
            .parts
            .values()
            .filter_map(|p| Poly::from_bytes(p))
            .collect();
        let public = PublicKey::from_shares(mask_seed(self.session.id()), &parts);
        Ok(Progress::Done(Box::new(Generated {
            session: self.session,
            holder: self.me,
            subsets: self.keys,
            public,
        })))
    }
}

fn commitment(
    session: &Session,
    subset: Subset,
    holder: HolderIndex,
    contribution: &[u8; 32],
) -> [u8; 32] {
    let place = [subset.mask().to_le_bytes(), [holder.0, 0]].concat();
    digest(
        "salus/v1/committee/keygen/contribution",
        &[session.id(), &place, contribution],
    )
}

fn public_commitment(session: &Session, subset: Subset, part: &[u8]) -> [u8; 32] {
    digest(
        "salus/v1/committee/keygen/public-part",
        &[session.id(), &subset.mask().to_le_bytes(), part],
    )
}

/// The value named most often, the first such by holder.
fn majority(said: &[(HolderIndex, [u8; 32])]) -> [u8; 32] {
    said.iter()
        .map(|(_, hash)| (said.iter().filter(|(_, other)| other == hash).count(), hash))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map_or([0; 32], |(_, hash)| *hash)
}

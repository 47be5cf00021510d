//! Datasets and their members, replayed by the rules of CohortRegistry.

use super::fault::{Fault, require, rule};
use super::registrations::{Terms, check};
use super::sums::Sums;
use super::{Depth, Effect, Moment, Topic};
use ark_bn254::G1Affine;
use salus_circuits::keys::VerifyingKey;
use salus_circuits::words::{Word, g1_from_words};
use salus_contracts::bindings::ICohortRegistry::{
    self, DatasetParams, ICohortRegistryEvents as Event,
};
use salus_contracts::client::{ChunkIndex, DatasetId, EventBody, OptIn, SlotIndex};
use salus_contracts::consent::{OptOut, commitments_hash};
use salus_contracts::history::{Rectification, signer};
use salus_contracts::primitives::{Address, B256, U256};
use salus_contracts::words::Point;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A dataset as the replay sees it.
pub struct Dataset {
    /// As created.
    pub params: DatasetParams,
    /// Who administers it now.
    pub admin: Address,
    /// Who accepts answers now.
    pub custodian: Address,
    /// Who may register people.
    pub issuers: HashSet<Address>,
    /// Least payment by token.
    pub prices: HashMap<Address, U256>,
    slots: u32,
    depth: usize,
    /// Root of the slot bases.
    pub root: Word,
    /// Blinding base of commitments.
    pub blinding: G1Affine,
    /// Present epoch.
    pub epoch: u32,
    /// When a timed epoch ends, Unix time in seconds.
    pub next_epoch_at: u64,
    /// Chunks and members of each snapshot, the first has id 1.
    pub snapshots: Vec<(u32, u32)>,
    members: u32,
    chunks: Vec<Chunk>,
}

struct Chunk {
    slots: HashMap<u32, Slot>,
    sums: Sums,
}

struct Slot {
    member: Address,
    expiry: u32,
    joined: u32,
    left: Option<u32>,
    nonce: u16,
    hash: B256,
}

/// All datasets of a registry.
#[derive(Default)]
pub struct Registry {
    /// By number, from 1.
    pub datasets: BTreeMap<u32, Dataset>,
}

/// Where a registry is and how closely to look.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The registry.
    pub address: Address,
    /// How closely.
    pub depth: Depth,
    /// Whether to change anything, or only to look whether it would pass.
    pub commit: bool,
    /// Slot bases of the bundle's dataset.
    pub bases: Option<(DatasetId, &'a [[Word; 2]])>,
}

impl Dataset {
    /// A dataset that nobody has joined.
    pub fn new(
        params: &DatasetParams,
        key: &VerifyingKey,
        slots: u32,
        depth: usize,
        moment: &Moment,
    ) -> Self {
        let mut prices = HashMap::new();
        if !params.token.is_zero() {
            prices.insert(params.token, params.price.to::<U256>());
        }
        Self {
            params: params.clone(),
            admin: moment.sender,
            custodian: params.custodian,
            issuers: HashSet::new(),
            prices,
            slots,
            depth,
            root: key.basis_root,
            blinding: key.blinding,
            epoch: 0,
            next_epoch_at: moment
                .timestamp
                .saturating_add(u64::from(params.epochLength)),
            snapshots: Vec::new(),
            members: 0,
            chunks: Vec::new(),
        }
    }

    /// Number of chunks, and members now.
    pub fn size(&self) -> (u32, u32) {
        (self.chunks.len() as u32, self.members)
    }

    /// What is written now is contained in this snapshot.
    pub fn period(&self) -> u32 {
        self.snapshots.len() as u32 + 1
    }

    /// Chunks and members of a snapshot.
    pub fn snapshot(&self, id: u32) -> Option<(u32, u32)> {
        id.checked_sub(1)
            .and_then(|index| self.snapshots.get(index as usize))
            .copied()
    }

    /// Column commitments of a snapshot, by chunk.
    pub fn commitments(&self, snapshot: u32, chunks: u32) -> Vec<Vec<G1Affine>> {
        self.chunks
            .iter()
            .take(chunks as usize)
            .map(|chunk| chunk.sums.at(snapshot))
            .collect()
    }

    /// The member that held a slot in a snapshot.
    pub fn member_at(&self, snapshot: u32, chunk: ChunkIndex, slot: SlotIndex) -> Option<Address> {
        let chunk = self.chunks.get(chunk.0 as usize)?;
        let slot = chunk.slots.get(&slot.0)?;
        let left = slot.left.or_else(|| chunk.sums.expired_at(slot.expiry));
        (slot.joined <= snapshot && left.is_none_or(|left| snapshot < left)).then_some(slot.member)
    }

    /// Whether members whose consent lapsed are still counted.
    pub fn pending(&self) -> bool {
        self.chunks
            .iter()
            .any(|chunk| chunk.sums.pending(self.epoch) > 0)
    }

    fn terms<'a>(&self, id: DatasetId, chunk: ChunkIndex, setting: &Setting<'a>) -> Terms<'a> {
        Terms {
            chain_id: setting.chain_id,
            registry: setting.address,
            dataset: id,
            chunk,
            columns: usize::from(self.params.columns),
            slots: self.slots,
            depth: self.depth,
            root: self.root,
            blinding: self.blinding,
            purposes: self.params.purposes,
            epoch: self.epoch,
            bases: setting
                .bases
                .filter(|(dataset, _)| *dataset == id)
                .map(|(_, bases)| bases),
        }
    }

    /// The slot of a present member.
    fn active(&self, chunk: ChunkIndex, slot: SlotIndex) -> Result<&Slot, Fault> {
        let empty = || Fault::Slot {
            rule: "SlotEmpty",
            chunk: chunk.0,
            slot: slot.0,
        };
        let chunk = self.chunks.get(chunk.0 as usize).ok_or_else(empty)?;
        let found = chunk.slots.get(&slot.0).ok_or_else(empty)?;
        if found.left.is_some() || chunk.sums.expired_at(found.expiry).is_some() {
            return Err(empty());
        }
        Ok(found)
    }
}

fn points(words: &[Point]) -> Result<Vec<G1Affine>, Fault> {
    words
        .iter()
        .map(|words| Ok(g1_from_words(words)?))
        .collect()
}

/// An event of the registry.
pub fn event(event: Event) -> EventBody {
    EventBody::Registry(event)
}

impl Registry {
    /// A dataset.
    pub fn get(&self, id: DatasetId) -> Result<&Dataset, Fault> {
        self.datasets
            .get(&id.0)
            .ok_or_else(|| rule("UnknownDataset"))
    }

    /// A dataset to change.
    pub fn get_mut(&mut self, id: DatasetId) -> Result<&mut Dataset, Fault> {
        self.datasets
            .get_mut(&id.0)
            .ok_or_else(|| rule("UnknownDataset"))
    }

    /// A dataset that the sender administers.
    pub fn owned(&mut self, id: DatasetId, moment: &Moment) -> Result<&mut Dataset, Fault> {
        let dataset = self.get_mut(id)?;
        require(dataset.admin == moment.sender, "NotAdmin")?;
        Ok(dataset)
    }

    /// Registers people.
    pub fn opt_in(
        &mut self,
        batch: &OptIn,
        moment: &Moment,
        setting: &Setting<'_>,
    ) -> Result<Effect, Fault> {
        let dataset = self
            .datasets
            .get_mut(&batch.dataset.0)
            .ok_or_else(|| rule("NotIssuer"))?;
        require(dataset.issuers.contains(&moment.sender), "NotIssuer")?;
        require(!batch.members.is_empty(), "EmptyBatch")?;
        let number = batch.chunk.0;
        require(number as usize <= dataset.chunks.len(), "ChunkOutOfOrder")?;
        let mut taken = BTreeSet::new();
        for member in &batch.members {
            let held = dataset
                .chunks
                .get(number as usize)
                .is_some_and(|c| c.slots.contains_key(&member.slot.0));
            if held || !taken.insert(member.slot.0) {
                return Err(Fault::Slot {
                    rule: "SlotTaken",
                    chunk: number,
                    slot: member.slot.0,
                });
            }
        }
        let terms = dataset.terms(batch.dataset, batch.chunk, setting);
        let checked = check(&batch.members, &terms, setting.depth, &moment.hash.0)?;
        let period = dataset.period();
        let mut effect = Effect::default();
        effect.count(Topic::Registrations, batch.members.len() as u64);
        for (member, checked) in batch.members.iter().zip(&checked) {
            let joined = ICohortRegistry::MemberJoined {
                datasetId: U256::from(batch.dataset.0),
                chunk: number,
                slot: member.slot.0,
                member: member.member,
                issuer: moment.sender,
                joined: period,
                expiryEpoch: checked.expiry,
                payoutId: member.payout_id,
                commitmentsHash: checked.hash,
            };
            effect.events.push(event(Event::MemberJoined(joined)));
        }
        if setting.commit {
            if number as usize == dataset.chunks.len() {
                let sums = Sums::new(usize::from(dataset.params.columns));
                dataset.chunks.push(Chunk {
                    slots: HashMap::new(),
                    sums,
                });
            }
            let chunk = &mut dataset.chunks[number as usize];
            for (member, checked) in batch.members.iter().zip(checked) {
                chunk
                    .sums
                    .join(period, checked.expiry, &checked.commitments);
                let slot = Slot {
                    member: member.member,
                    expiry: checked.expiry,
                    joined: period,
                    left: None,
                    nonce: member.nonce,
                    hash: checked.hash,
                };
                chunk.slots.insert(member.slot.0, slot);
            }
            dataset.members += batch.members.len() as u32;
        }
        Ok(effect)
    }

    /// Replaces a member's commitments.
    pub fn rectify(
        &mut self,
        change: &Rectification,
        moment: &Moment,
        setting: &Setting<'_>,
    ) -> Result<Effect, Fault> {
        let dataset = self
            .datasets
            .get_mut(&change.dataset.0)
            .ok_or_else(|| rule("NotIssuer"))?;
        require(dataset.issuers.contains(&moment.sender), "NotIssuer")?;
        let update = &change.update;
        let slot = dataset.active(change.chunk, update.slot)?;
        require(slot.member == update.member, "NotMember")?;
        require(update.nonce > slot.nonce, "NonceTooLow")?;
        require(
            commitments_hash(&change.previous) == slot.hash,
            "CommitmentsMismatch",
        )?;
        let expiry = slot.expiry;
        let terms = dataset.terms(change.dataset, change.chunk, setting);
        let mut checked = check(
            std::slice::from_ref(update),
            &terms,
            setting.depth,
            &moment.hash.0,
        )?;
        let checked = checked.pop().ok_or_else(|| rule("EmptyBatch"))?;
        let previous = points(&change.previous)?;
        let period = dataset.period();
        if setting.commit {
            let chunk = &mut dataset.chunks[change.chunk.0 as usize];
            chunk.sums.leave(period, expiry, &previous);
            chunk
                .sums
                .join(period, checked.expiry, &checked.commitments);
            if let Some(slot) = chunk.slots.get_mut(&update.slot.0) {
                (slot.expiry, slot.nonce, slot.hash) = (checked.expiry, update.nonce, checked.hash);
            }
        }
        let changed = ICohortRegistry::MemberRectified {
            datasetId: U256::from(change.dataset.0),
            chunk: change.chunk.0,
            slot: update.slot.0,
            member: update.member,
            issuer: moment.sender,
            effective: period,
            expiryEpoch: checked.expiry,
            payoutId: update.payout_id,
            commitmentsHash: checked.hash,
        };
        Ok(Effect::of(
            Topic::Changes,
            event(Event::MemberRectified(changed)),
        ))
    }

    /// Removes a member.
    pub fn opt_out(
        &mut self,
        id: OptOut,
        commitments: &[Point],
        signature: Option<&[u8; 65]>,
        moment: &Moment,
        setting: &Setting<'_>,
    ) -> Result<Effect, Fault> {
        let dataset = self.get_mut(id.dataset)?;
        let slot = dataset.active(id.chunk, id.slot)?;
        let (member, expiry) = (slot.member, slot.expiry);
        match signature {
            None => require(moment.sender == member, "NotMember")?,
            Some(_) if setting.depth == Depth::Answers => {}
            Some(signature) => {
                let signed = signer(id.digest(setting.chain_id, setting.address), signature);
                require(signed == Some(member), "ConsentRejected")?;
            }
        }
        require(
            commitments_hash(commitments) == slot.hash,
            "CommitmentsMismatch",
        )?;
        let points = points(commitments)?;
        let period = dataset.period();
        if setting.commit {
            let chunk = &mut dataset.chunks[id.chunk.0 as usize];
            chunk.sums.leave(period, expiry, &points);
            if let Some(slot) = chunk.slots.get_mut(&id.slot.0) {
                slot.left = Some(period);
            }
            dataset.members = dataset.members.saturating_sub(1);
        }
        let left = ICohortRegistry::MemberLeft {
            datasetId: U256::from(id.dataset.0),
            chunk: id.chunk.0,
            slot: id.slot.0,
            member,
            left: period,
        };
        Ok(Effect::of(Topic::Changes, event(Event::MemberLeft(left))))
    }

    /// Removes the lapsed members of a chunk.
    pub fn expire(
        &mut self,
        id: DatasetId,
        chunk: ChunkIndex,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.get_mut(id)?;
        let (period, epoch) = (dataset.period(), dataset.epoch);
        let found = dataset
            .chunks
            .get_mut(chunk.0 as usize)
            .ok_or_else(|| rule("NothingToExpire"))?;
        let members = found.sums.pending(epoch);
        require(members > 0, "NothingToExpire")?;
        if commit {
            found.sums.expire(period, epoch)?;
            dataset.members = dataset.members.saturating_sub(members);
        }
        let expired = ICohortRegistry::ChunkExpired {
            datasetId: U256::from(id.0),
            chunk: chunk.0,
            epoch,
            members,
            left: period,
        };
        Ok(Effect::of(
            Topic::Changes,
            event(Event::ChunkExpired(expired)),
        ))
    }
}

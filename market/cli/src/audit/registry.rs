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
    issuers: HashSet<Address>,
    /// Least payment by token.
    pub prices: HashMap<Address, U256>,
    slots: u32,
    depth: usize,
    /// Root of the slot bases.
    pub root: Word,
    blinding: G1Affine,
    epoch: u32,
    next_epoch_at: u64,
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
    datasets: BTreeMap<u32, Dataset>,
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

/// Levels of a tree with at least `slots` leaves.
const fn levels(slots: u32) -> usize {
    if slots <= 1 {
        0
    } else {
        (u32::BITS - (slots - 1).leading_zeros()) as usize
    }
}

fn same_family(a: &VerifyingKey, b: &VerifyingKey) -> bool {
    a.shape.slots == b.shape.slots
        && a.basis_root == b.basis_root
        && a.blinding == b.blinding
        && a.alpha == b.alpha
        && a.beta == b.beta
        && a.gammas[1] == b.gammas[1]
        && a.gammas[3] == b.gammas[3]
        && a.results == b.results
        && a.results_blinding == b.results_blinding
}

impl Dataset {
    fn period(&self) -> u32 {
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

    fn pending(&self) -> bool {
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

fn event(event: Event) -> EventBody {
    EventBody::Registry(event)
}

impl Registry {
    /// A dataset.
    pub fn get(&self, id: DatasetId) -> Result<&Dataset, Fault> {
        self.datasets
            .get(&id.0)
            .ok_or_else(|| rule("UnknownDataset"))
    }

    fn get_mut(&mut self, id: DatasetId) -> Result<&mut Dataset, Fault> {
        self.datasets
            .get_mut(&id.0)
            .ok_or_else(|| rule("UnknownDataset"))
    }

    /// A dataset that the sender administers.
    fn owned(&mut self, id: DatasetId, moment: &Moment) -> Result<&mut Dataset, Fault> {
        let dataset = self.get_mut(id)?;
        require(dataset.admin == moment.sender, "NotAdmin")?;
        Ok(dataset)
    }

    /// Creates a dataset.
    pub fn create(
        &mut self,
        params: &DatasetParams,
        circuits: &BTreeMap<Word, VerifyingKey>,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let priced = params.token.is_zero() == params.price.is_zero();
        let sound = (1..=255).contains(&params.columns)
            && params.minCohort > 0
            && params.minCell > 0
            && params.rewardBps <= 10_000
            && !params.custodian.is_zero()
            && priced;
        require(sound, "InvalidParams")?;
        let find = |id: B256| circuits.get(&id.0).ok_or_else(|| rule("UnknownCircuit"));
        let four = (!params.circuitK4.is_zero())
            .then(|| find(params.circuitK4))
            .transpose()?;
        require(
            params.circuitK8Low.is_zero() == params.circuitK8High.is_zero(),
            "InvalidParams",
        )?;
        let eight = match params.circuitK8Low.is_zero() {
            true => None,
            false => Some((find(params.circuitK8Low)?, find(params.circuitK8High)?)),
        };
        if let Some(key) = four {
            let whole =
                key.shape.columns == 4 && key.shape.lo == 0 && key.shape.hi == key.shape.slots;
            require(whole, "InvalidParams")?;
        }
        if let Some((low, high)) = eight {
            let whole = low.shape.columns == 8
                && high.shape.columns == 8
                && low.shape.lo == 0
                && low.shape.hi == high.shape.lo
                && high.shape.hi == high.shape.slots
                && same_family(low, high)
                && four.is_none_or(|four| same_family(low, four));
            require(whole, "InvalidParams")?;
        }
        let key = eight
            .map(|(low, _)| low)
            .or(four)
            .ok_or_else(|| rule("InvalidParams"))?;
        let slots = u32::try_from(key.shape.slots).map_err(|_| rule("InvalidParams"))?;
        let id = self.datasets.len() as u32 + 1;
        if commit {
            let mut prices = HashMap::new();
            if !params.token.is_zero() {
                prices.insert(params.token, params.price.to::<U256>());
            }
            let dataset = Dataset {
                params: params.clone(),
                admin: moment.sender,
                custodian: params.custodian,
                issuers: HashSet::new(),
                prices,
                slots,
                depth: levels(slots),
                root: key.basis_root,
                blinding: key.blinding,
                epoch: 0,
                next_epoch_at: moment
                    .timestamp
                    .saturating_add(u64::from(params.epochLength)),
                snapshots: Vec::new(),
                members: 0,
                chunks: Vec::new(),
            };
            self.datasets.insert(id, dataset);
        }
        let created = ICohortRegistry::DatasetCreated {
            datasetId: U256::from(id),
            admin: moment.sender,
            params: params.clone(),
        };
        Ok(Effect::of(
            Topic::Datasets,
            event(Event::DatasetCreated(created)),
        ))
    }

    /// Hands a dataset over.
    pub fn transfer_admin(
        &mut self,
        id: DatasetId,
        admin: Address,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.owned(id, moment)?;
        require(!admin.is_zero(), "InvalidParams")?;
        if commit {
            dataset.admin = admin;
        }
        let moved = ICohortRegistry::AdminTransferred {
            datasetId: U256::from(id.0),
            from: moment.sender,
            to: admin,
        };
        Ok(Effect::of(
            Topic::Datasets,
            event(Event::AdminTransferred(moved)),
        ))
    }

    /// Lets an issuer register people, or stops it.
    pub fn set_issuer(
        &mut self,
        id: DatasetId,
        issuer: Address,
        allowed: bool,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.owned(id, moment)?;
        if commit && allowed {
            dataset.issuers.insert(issuer);
        } else if commit {
            dataset.issuers.remove(&issuer);
        }
        let set = ICohortRegistry::IssuerSet {
            datasetId: U256::from(id.0),
            issuer,
            allowed,
        };
        Ok(Effect::of(Topic::Datasets, event(Event::IssuerSet(set))))
    }

    /// Names another custodian.
    pub fn set_custodian(
        &mut self,
        id: DatasetId,
        custodian: Address,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.owned(id, moment)?;
        require(!custodian.is_zero(), "InvalidParams")?;
        if commit {
            dataset.custodian = custodian;
        }
        let set = ICohortRegistry::CustodianSet {
            datasetId: U256::from(id.0),
            custodian,
        };
        Ok(Effect::of(Topic::Datasets, event(Event::CustodianSet(set))))
    }

    /// Sets a price.
    pub fn set_price(
        &mut self,
        id: DatasetId,
        token: Address,
        price: u128,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.owned(id, moment)?;
        require(!token.is_zero(), "InvalidParams")?;
        if commit {
            dataset.prices.insert(token, U256::from(price));
        }
        let set = ICohortRegistry::PriceSet {
            datasetId: U256::from(id.0),
            token,
            price: salus_contracts::primitives::aliases::U96::saturating_from(price),
        };
        Ok(Effect::of(Topic::Datasets, event(Event::PriceSet(set))))
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

    /// Enters the next epoch.
    pub fn advance_epoch(
        &mut self,
        id: DatasetId,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.get_mut(id)?;
        let length = u64::from(dataset.params.epochLength);
        if length == 0 {
            require(moment.sender == dataset.admin, "NotAdmin")?;
        } else {
            require(moment.timestamp >= dataset.next_epoch_at, "EpochNotDue")?;
        }
        require(!dataset.pending(), "ExpiryPending")?;
        let epoch = dataset
            .epoch
            .checked_add(1)
            .ok_or_else(|| rule("InvalidParams"))?;
        if commit {
            dataset.epoch = epoch;
            dataset.next_epoch_at = dataset.next_epoch_at.saturating_add(length);
        }
        let advanced = ICohortRegistry::EpochAdvanced {
            datasetId: U256::from(id.0),
            epoch,
        };
        Ok(Effect::of(
            Topic::Datasets,
            event(Event::EpochAdvanced(advanced)),
        ))
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

    /// Fixes the membership.
    pub fn snapshot(
        &mut self,
        id: DatasetId,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.get_mut(id)?;
        let allowed = moment.sender == dataset.admin || moment.sender == dataset.custodian;
        require(allowed, "NotAdmin")?;
        let due = dataset.params.epochLength != 0 && moment.timestamp >= dataset.next_epoch_at;
        require(!due, "EpochDue")?;
        require(!dataset.pending(), "ExpiryPending")?;
        let snapshot = dataset.period();
        require(snapshot < (1 << 24) - 1, "InvalidParams")?;
        let (chunks, members) = (dataset.chunks.len() as u32, dataset.members);
        if commit {
            dataset.snapshots.push((chunks, members));
        }
        let taken = ICohortRegistry::SnapshotTaken {
            datasetId: U256::from(id.0),
            snapshotId: snapshot,
            epoch: dataset.epoch,
            chunks,
            members,
        };
        Ok(Effect::of(
            Topic::Snapshots,
            event(Event::SnapshotTaken(taken)),
        ))
    }
}

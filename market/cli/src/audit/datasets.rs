//! Datasets themselves: who may do what, epochs and snapshots, by the rules of CohortRegistry.

use super::fault::{Fault, require, rule};
use super::registry::{Dataset, Registry, event};
use super::{Effect, Moment, Topic};
use salus_circuits::keys::VerifyingKey;
use salus_circuits::words::Word;
use salus_contracts::bindings::ICohortRegistry::{
    self, DatasetParams, ICohortRegistryEvents as Event,
};
use salus_contracts::client::DatasetId;
use salus_contracts::primitives::{Address, B256, U256, aliases::U96};
use std::collections::BTreeMap;

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

impl Registry {
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
            let dataset = Dataset::new(params, key, slots, levels(slots), moment);
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
            price: U96::saturating_from(price),
        };
        Ok(Effect::of(Topic::Datasets, event(Event::PriceSet(set))))
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
        let (chunks, members) = dataset.size();
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

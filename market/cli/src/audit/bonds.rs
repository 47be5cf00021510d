//! Bonds of key holders, replayed by the rules of the committee contract.

use super::committees::{Committees, Place, event};
use super::fault::{Fault, require, rule};
use super::registry::Registry;
use super::{Effect, Moment, Topic};
use salus_contracts::bindings::ICommittee::{self, ICommitteeEvents as Event};
use salus_contracts::history::{BondKey, CommitteeAction, TokenTransfer};
use salus_contracts::primitives::{Address, U256};
use std::collections::BTreeMap;

/// Seconds between a notice and the withdrawal.
const NOTICE: u64 = 30 * 24 * 3600;
/// The reporter's part of a slashed bond is one in this many.
const REPORTER_SHARE: u64 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Bond {
    amount: U256,
    leaving: U256,
    release_at: u64,
}

/// All bonds, and what came in and went out, by token.
#[derive(Default)]
pub struct Bonds {
    held: BTreeMap<BondKey, Bond>,
    /// What the contract must hold, as it counts it.
    pub obligations: BTreeMap<Address, U256>,
    /// Everything that was paid in.
    pub received: BTreeMap<Address, U256>,
    /// Everything that members took back.
    pub withdrawn: BTreeMap<Address, U256>,
    /// Everything that was slashed.
    pub slashed: BTreeMap<Address, U256>,
}

/// What a slashed bond pays to the members of the dataset's latest snapshot.
pub struct Slashed {
    /// The bond.
    pub bond: BondKey,
    /// The members' part, base units.
    pub rewards: U256,
}

fn add(sums: &mut BTreeMap<Address, U256>, token: Address, amount: U256) {
    let sum = sums.entry(token).or_default();
    *sum = sum.saturating_add(amount);
}

fn subtract(sums: &mut BTreeMap<Address, U256>, token: Address, amount: U256) {
    let sum = sums.entry(token).or_default();
    *sum = sum.saturating_sub(amount);
}

impl Bonds {
    /// Bonds in a token as they stand.
    pub fn standing(&self, token: Address) -> U256 {
        let of_token = self.held.iter().filter(|(key, _)| key.token == token);
        of_token.fold(U256::ZERO, |sum, (_, bond)| sum.saturating_add(bond.amount))
    }

    fn of(&self, key: &BondKey) -> Bond {
        self.held.get(key).copied().unwrap_or_default()
    }
}

impl Committees {
    /// Bonds; `deposit` gives the members of a dataset their part of a slashed one.
    pub fn bond(
        &mut self,
        action: &CommitteeAction,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
        deposit: impl FnOnce(&Slashed) -> Result<Effect, Fault>,
    ) -> Result<Effect, Fault> {
        let own = |key: &BondKey| BondKey {
            member: moment.sender,
            ..*key
        };
        match action {
            CommitteeAction::DepositBond { bond, amount } => {
                self.deposit(bond, *amount, registry, moment, place)
            }
            CommitteeAction::GiveNotice { bond, amount } => {
                self.notice(own(bond), *amount, moment, place)
            }
            CommitteeAction::WithdrawBond(bond) => self.withdraw(own(bond), moment, place),
            CommitteeAction::SlashBond(bond) => self.slash(bond, place, deposit),
            _ => Err(Fault::UnknownCall),
        }
    }

    fn deposit(
        &mut self,
        key: &BondKey,
        amount: U256,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        self.require_active(key.committee.0, key.member)?;
        let dataset = registry.get(key.dataset);
        let taken = dataset.is_ok_and(|dataset| !dataset.snapshots.is_empty());
        require(taken, "UnknownSnapshot")?;
        let held = self.bonds.of(key).amount;
        let fits = held
            .checked_add(amount)
            .is_some_and(|sum| sum.bit_len() <= 96);
        require(!amount.is_zero() && fits, "InvalidAmount")?;
        if place.commit {
            self.bonds.held.entry(*key).or_default().amount = held + amount;
            add(&mut self.bonds.obligations, key.token, amount);
            add(&mut self.bonds.received, key.token, amount);
        }
        let deposited = ICommittee::BondDeposited {
            committeeId: key.committee.0,
            member: key.member,
            datasetId: U256::from(key.dataset.0),
            token: key.token,
            from: moment.sender,
            amount,
        };
        let body = event(Event::BondDeposited(deposited));
        let mut effect = Effect::of(Topic::Bonds, body);
        effect.transfers.push(TokenTransfer {
            token: key.token,
            from: moment.sender,
            to: place.contract,
            amount,
        });
        Ok(effect)
    }

    fn notice(
        &mut self,
        key: BondKey,
        amount: U256,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        self.require_active(key.committee.0, key.member)?;
        let held = self.bonds.of(&key).amount;
        require(!amount.is_zero() && amount <= held, "InvalidAmount")?;
        let release_at = moment.timestamp.saturating_add(NOTICE);
        if place.commit
            && let Some(bond) = self.bonds.held.get_mut(&key)
        {
            (bond.leaving, bond.release_at) = (amount, release_at);
        }
        let given = ICommittee::BondNoticeGiven {
            committeeId: key.committee.0,
            member: key.member,
            datasetId: U256::from(key.dataset.0),
            token: key.token,
            amount,
            releaseAt: release_at,
        };
        let body = event(Event::BondNoticeGiven(given));
        Ok(Effect::of(Topic::Bonds, body))
    }

    fn withdraw(&mut self, key: BondKey, moment: &Moment, place: &Place) -> Result<Effect, Fault> {
        self.require_active(key.committee.0, key.member)?;
        let bond = self.bonds.of(&key);
        let amount = bond.leaving;
        require(!amount.is_zero(), "NothingBonded")?;
        require(moment.timestamp >= bond.release_at, "NoticeNotOver")?;
        if place.commit {
            let left = Bond {
                amount: bond.amount.saturating_sub(amount),
                ..Bond::default()
            };
            self.bonds.held.insert(key, left);
            subtract(&mut self.bonds.obligations, key.token, amount);
            add(&mut self.bonds.withdrawn, key.token, amount);
        }
        let withdrawn = ICommittee::BondWithdrawn {
            committeeId: key.committee.0,
            member: key.member,
            datasetId: U256::from(key.dataset.0),
            token: key.token,
            amount,
        };
        let body = event(Event::BondWithdrawn(withdrawn));
        let mut effect = Effect::of(Topic::Bonds, body);
        effect.transfers.push(TokenTransfer {
            token: key.token,
            from: place.contract,
            to: key.member,
            amount,
        });
        Ok(effect)
    }

    fn slash(
        &mut self,
        key: &BondKey,
        place: &Place,
        deposit: impl FnOnce(&Slashed) -> Result<Effect, Fault>,
    ) -> Result<Effect, Fault> {
        let reporter = self.reporter(key.committee.0, key.member)?;
        let amount = self.bonds.of(key).amount;
        if amount.is_zero() {
            return Err(rule("NothingBonded"));
        }
        let reward = amount / U256::from(REPORTER_SHARE);
        let slashed = Slashed {
            bond: *key,
            rewards: amount - reward,
        };
        let given = deposit(&slashed)?;
        if place.commit {
            self.bonds.held.remove(key);
            subtract(&mut self.bonds.obligations, key.token, amount);
            add(&mut self.bonds.slashed, key.token, amount);
        }
        let body = event(Event::BondSlashed(ICommittee::BondSlashed {
            committeeId: key.committee.0,
            member: key.member,
            datasetId: U256::from(key.dataset.0),
            token: key.token,
            reporter,
            reward,
            rewards: slashed.rewards,
        }));
        let mut effect = Effect::of(Topic::Bonds, body);
        effect.merge(given);
        if !reward.is_zero() {
            effect.transfers.push(TokenTransfer {
                token: key.token,
                from: place.contract,
                to: reporter,
                amount: reward,
            });
        }
        Ok(effect)
    }
}

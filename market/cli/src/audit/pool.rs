//! Member rewards, replayed by the rules of RewardPool and SignatureClaimVerifier.

use super::fault::{Fault, require, rule};
use super::registry::Registry;
use super::{Depth, Effect, Moment, Topic};
use rayon::prelude::*;
use salus_contracts::bindings::IRewardPool::{self, IRewardPoolEvents as Event};
use salus_contracts::client::{DatasetId, EventBody, RewardClaim};
use salus_contracts::consent::{ClaimRequest, nullifier};
use salus_contracts::history::{ClaimProof, TokenTransfer, claim_proof, signer};
use salus_contracts::primitives::{Address, B256, U256};
use std::collections::{BTreeMap, HashMap};

type Pot = (u32, u32, Address);

/// Deposits and what was paid of them.
#[derive(Default)]
pub struct Pool {
    deposited: BTreeMap<Pot, U256>,
    paid: HashMap<(Pot, B256), U256>,
    /// Deposits not yet paid out, by token, as the contract counts them.
    pub obligations: BTreeMap<Address, U256>,
    /// Everything that was paid in, by token.
    pub received: BTreeMap<Address, U256>,
    /// Everything that was paid out, by token.
    pub claimed: BTreeMap<Address, U256>,
}

/// Where a pool is and how closely to look.
#[derive(Clone, Copy)]
pub struct Place {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The pool.
    pub pool: Address,
    /// How closely.
    pub depth: Depth,
    /// Whether to change anything.
    pub commit: bool,
}

fn event(event: Event) -> EventBody {
    EventBody::Pool(event)
}

impl Pool {
    /// Takes a deposit for the members of a snapshot.
    pub fn deposit(
        &mut self,
        pot: Pot,
        amount: U256,
        from: Address,
        registry: &Registry,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let (dataset, snapshot, token) = pot;
        let found = registry
            .get(DatasetId(dataset))
            .map_err(|_| rule("UnknownSnapshot"))?;
        let (_, members) = found
            .snapshot(snapshot)
            .ok_or_else(|| rule("UnknownSnapshot"))?;
        require(members > 0, "NoMembers")?;
        if place.commit {
            for sum in [
                self.deposited.entry(pot).or_default(),
                self.obligations.entry(token).or_default(),
                self.received.entry(token).or_default(),
            ] {
                *sum = sum.saturating_add(amount);
            }
        }
        let mut effect = Effect::default();
        effect.events.push(event(Event::RewardDeposited(
            IRewardPool::RewardDeposited {
                datasetId: U256::from(dataset),
                snapshotId: U256::from(snapshot),
                token,
                from,
                amount,
            },
        )));
        effect.transfers.push(TokenTransfer {
            token,
            from,
            to: place.pool,
            amount,
        });
        Ok(effect)
    }

    /// Pays claims; those that are not due are passed over, unless `strict`.
    pub fn claim(
        &mut self,
        claims: &[RewardClaim],
        strict: bool,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let shown: Vec<Option<(ClaimProof, Option<Address>)>> =
            claims.par_iter().map(|claim| show(claim, place)).collect();
        let mut effect = Effect::default();
        let mut now: HashMap<(Pot, B256), U256> = HashMap::new();
        for (claim, shown) in claims.iter().zip(shown) {
            let pot = (claim.dataset.0, claim.snapshot.0, claim.token);
            let dataset = registry
                .get(claim.dataset)
                .map_err(|_| rule("UnknownSnapshot"))?;
            let (_, members) = dataset
                .snapshot(claim.snapshot.0)
                .ok_or_else(|| rule("UnknownSnapshot"))?;
            let deposited = self.deposited.get(&pot).copied().unwrap_or_default();
            let share = deposited
                .checked_div(U256::from(members))
                .unwrap_or_default();
            let key = (pot, claim.nullifier);
            let before = now
                .get(&key)
                .or_else(|| self.paid.get(&key))
                .copied()
                .unwrap_or_default();
            if before != claim.paid_before || share <= before {
                require(!strict, "AlreadyClaimed")?;
                continue;
            }
            let amount = share - before;
            require(!claim.recipient.is_zero(), "InvalidRecipient")?;
            require(claim.fee <= amount, "FeeAboveShare")?;
            let (proof, signed) = shown.ok_or_else(|| rule("ClaimRejected"))?;
            let name = nullifier(claim.dataset, claim.snapshot, proof.chunk, proof.slot);
            require(name == claim.nullifier, "ClaimRejected")?;
            let member = dataset.member_at(claim.snapshot.0, proof.chunk, proof.slot);
            require(member.is_some(), "ClaimRejected")?;
            require(
                place.depth == Depth::Answers || signed == member,
                "ClaimRejected",
            )?;
            now.insert(key, share);
            effect.count(Topic::Claims, 1);
            effect
                .events
                .push(event(Event::RewardClaimed(IRewardPool::RewardClaimed {
                    datasetId: U256::from(claim.dataset.0),
                    snapshotId: U256::from(claim.snapshot.0),
                    nullifier: claim.nullifier,
                    token: claim.token,
                    recipient: claim.recipient,
                    amount,
                    fee: claim.fee,
                })));
            let token = claim.token;
            effect.transfers.push(TokenTransfer {
                token,
                from: place.pool,
                to: claim.recipient,
                amount: amount - claim.fee,
            });
            if !claim.fee.is_zero() {
                effect.transfers.push(TokenTransfer {
                    token,
                    from: place.pool,
                    to: moment.sender,
                    amount: claim.fee,
                });
            }
            if place.commit {
                let owed = self.obligations.entry(token).or_default();
                *owed = owed.saturating_sub(amount);
                let paid = self.claimed.entry(token).or_default();
                *paid = paid.saturating_add(amount);
            }
        }
        if place.commit {
            self.paid.extend(now);
        }
        Ok(effect)
    }
}

/// What a claim shows, and who signed it.
fn show(claim: &RewardClaim, place: &Place) -> Option<(ClaimProof, Option<Address>)> {
    let proof = claim_proof(&claim.proof)?;
    if place.depth == Depth::Answers {
        return Some((proof, None));
    }
    let request = ClaimRequest {
        dataset: claim.dataset,
        snapshot: claim.snapshot,
        chunk: proof.chunk,
        slot: proof.slot,
        token: claim.token,
        recipient: claim.recipient,
        fee: claim.fee,
        paid_before: claim.paid_before,
    };
    let signed = signer(request.digest(place.chain_id, place.pool), &proof.signature);
    Some((proof, signed))
}

//! Member rewards.

use super::{
    Account, Call, ChainError, Client, Contract, DatasetId, Done, RewardClaim, SnapshotId,
};
use crate::bindings::IRewardPool;
use alloy::{
    primitives::{Address, B256, U256},
    sol_types::{SolCall, SolEvent},
};

impl Client {
    fn pool_call(&self, call: &impl SolCall) -> Call {
        Call {
            contract: Contract::RewardPool,
            to: Some(self.at.pool),
            data: call.abi_encode().into(),
        }
    }

    async fn pool_read<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        self.chain
            .read(Contract::RewardPool, self.at.pool, &call)
            .await
    }

    /// Step 8 of 8: pays a member's share to its recipient; returns the share in base units, fee included.
    ///
    /// # Errors
    /// The claim's proof does not hold, or it was paid already.
    pub async fn claim(
        &self,
        relayer: &Account,
        claim: &RewardClaim,
    ) -> Result<Done<U256>, ChainError> {
        let call = IRewardPool::claimCall {
            request: request(claim),
            proof: claim.proof.clone(),
        };
        self.paid(relayer, &call).await
    }

    /// Pays several claims in one transaction; claims paid in the meantime are passed over. Returns the sum.
    ///
    /// # Errors
    /// One of the proofs does not hold; nothing is paid then.
    pub async fn claim_many(
        &self,
        relayer: &Account,
        claims: &[RewardClaim],
    ) -> Result<Done<U256>, ChainError> {
        self.paid(relayer, &claim_many(claims)).await
    }

    /// The transaction of [`Client::claim_many`], for sending many of them with [`Account::send_all`].
    pub fn claim_many_call(&self, claims: &[RewardClaim]) -> Call {
        self.pool_call(&claim_many(claims))
    }

    async fn paid(&self, relayer: &Account, call: &impl SolCall) -> Result<Done<U256>, ChainError> {
        let mined = relayer.send(self.pool_call(call)).await?;
        let sum = mined
            .logs
            .iter()
            .filter(|log| log.address() == self.at.pool)
            .filter_map(|log| IRewardPool::RewardClaimed::decode_log(&log.inner).ok())
            .fold(U256::ZERO, |sum, paid| sum.saturating_add(paid.amount));
        Ok(mined.done(sum))
    }

    /// Base units that a nullifier could claim now, if it belongs to a member.
    ///
    /// # Errors
    /// There is no such snapshot.
    pub async fn due(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        token: Address,
        nullifier: B256,
    ) -> Result<U256, ChainError> {
        self.pool_read(IRewardPool::dueCall {
            datasetId: U256::from(dataset.0),
            snapshotId: U256::from(snapshot.0),
            token,
            nullifier,
        })
        .await
    }

    /// Base units that a nullifier was paid.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn paid_to(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        token: Address,
        nullifier: B256,
    ) -> Result<U256, ChainError> {
        self.pool_read(IRewardPool::paidCall {
            datasetId: U256::from(dataset.0),
            snapshotId: U256::from(snapshot.0),
            token,
            nullifier,
        })
        .await
    }

    /// Base units deposited for a snapshot's members.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn deposited(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        token: Address,
    ) -> Result<U256, ChainError> {
        self.pool_read(IRewardPool::depositedCall {
            datasetId: U256::from(dataset.0),
            snapshotId: U256::from(snapshot.0),
            token,
        })
        .await
    }
}

fn request(claim: &RewardClaim) -> IRewardPool::Claim {
    IRewardPool::Claim {
        datasetId: U256::from(claim.dataset.0),
        snapshotId: U256::from(claim.snapshot.0),
        token: claim.token,
        nullifier: claim.nullifier,
        recipient: claim.recipient,
        fee: claim.fee,
        paidBefore: claim.paid_before,
    }
}

fn claim_many(claims: &[RewardClaim]) -> IRewardPool::claimManyCall {
    IRewardPool::claimManyCall {
        requests: claims.iter().map(request).collect(),
        proofs: claims.iter().map(|claim| claim.proof.clone()).collect(),
    }
}

//! Queries, their escrow, and the tokens that pay for them.

use super::{
    Account, Answer, Call, ChainError, Client, Contract, DatasetId, Done, QueryId, QueryOrder,
    SnapshotId, account, registry::narrow,
};
use crate::{
    bindings::{
        IQueryMarket::{self, QueryRequest},
        IToken, Permit,
    },
    sealed::pass,
    words::word,
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    rpc::types::Filter,
    signers::SignerSync,
    sol_types::{SolCall, SolEvent, SolStruct},
};

/// Where a query stands on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryStatus {
    /// Not funded.
    Unknown,
    /// Waiting for an answer.
    Funded,
    /// Answered; the payment is due to members and custodian.
    Answered,
    /// Declined; the payment is credited to the researcher.
    Refused,
    /// Not answered in time; the payment is credited to the researcher.
    Expired,
    /// Answered, and the payment is with members' pool and custodian.
    Settled,
}

/// A query as it stands on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryState {
    /// Who the escrow belongs to: the researcher, and once answered the custodian.
    pub beneficiary: Address,
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot it was asked of.
    pub snapshot: SnapshotId,
    /// Last second in which an answer is accepted.
    pub deadline: u32,
    /// Where it stands.
    pub status: QueryStatus,
    /// Token of the payment.
    pub token: Address,
    /// Payment in base units.
    pub amount: u128,
    /// Hash of the plan bytes; zero once answered.
    pub plan_hash: B256,
}

impl Client {
    pub(super) fn market_call(&self, call: &impl SolCall) -> Call {
        Call {
            contract: Contract::QueryMarket,
            to: Some(self.at.market),
            data: call.abi_encode().into(),
        }
    }

    async fn market_read<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        self.chain
            .read(Contract::QueryMarket, self.at.market, &call)
            .await
    }

    async fn token_read<C: SolCall>(
        &self,
        token: Address,
        call: C,
    ) -> Result<C::Return, ChainError> {
        self.chain.read(Contract::Token, token, &call).await
    }

    /// The id that a query will have when this researcher funds it.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn query_id(
        &self,
        researcher: Address,
        order: &QueryOrder,
    ) -> Result<QueryId, ChainError> {
        let call = IQueryMarket::queryIdOfCall {
            researcher,
            request: request(order),
        };
        Ok(QueryId(self.market_read(call).await?))
    }

    /// Step 4 of 8: pays for a query into escrow, in one transaction, with an EIP-2612 permit.
    ///
    /// # Errors
    /// The token has no permits, or the order does not meet the dataset's terms.
    pub async fn fund(
        &self,
        researcher: &Account,
        order: &QueryOrder,
    ) -> Result<Done<QueryId>, ChainError> {
        let owner = researcher.address();
        let nonce = self
            .token_read(order.token, IToken::noncesCall { owner })
            .await?;
        let separator = self
            .token_read(order.token, IToken::DOMAIN_SEPARATORCall {})
            .await?;
        let permit = Permit {
            owner,
            spender: self.at.market,
            value: U256::from(order.amount),
            nonce,
            deadline: U256::from(order.deadline),
        };
        let preimage = [
            &[0x19, 0x01],
            separator.as_slice(),
            permit.eip712_hash_struct().as_slice(),
        ]
        .concat();
        let signature = researcher.signer().sign_hash_sync(&keccak256(preimage))?;
        let call = IQueryMarket::fundWithPermitCall {
            request: request(order),
            permitDeadline: permit.deadline,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        };
        self.funded(researcher, &call).await
    }

    /// Pays for a query from an allowance given before with [`Client::approve`]; for tokens without permits.
    ///
    /// # Errors
    /// The allowance is too small, or the order does not meet the dataset's terms.
    pub async fn fund_from_allowance(
        &self,
        researcher: &Account,
        order: &QueryOrder,
    ) -> Result<Done<QueryId>, ChainError> {
        let call = IQueryMarket::fundCall {
            request: request(order),
        };
        self.funded(researcher, &call).await
    }

    async fn funded(
        &self,
        researcher: &Account,
        call: &impl SolCall,
    ) -> Result<Done<QueryId>, ChainError> {
        let mined = researcher.send(self.market_call(call)).await?;
        let id =
            account::event::<IQueryMarket::QueryFunded>(&mined, self.at.market, "QueryFunded")?
                .queryId;
        Ok(mined.done(QueryId(id)))
    }

    /// Lets the market take `amount` base units of a token.
    ///
    /// # Errors
    /// The token refuses.
    pub async fn approve(
        &self,
        owner: &Account,
        token: Address,
        amount: U256,
    ) -> Result<Done<()>, ChainError> {
        let call = IToken::approveCall {
            spender: self.at.market,
            value: amount,
        };
        Ok(owner.send(token_call(token, &call)).await?.done(()))
    }

    /// Creates base units of the development token for someone. INSECURE by design.
    ///
    /// # Errors
    /// The deployment's token is another one.
    pub async fn mint(
        &self,
        sender: &Account,
        to: Address,
        amount: U256,
    ) -> Result<Done<()>, ChainError> {
        let call = IToken::mintCall { to, amount };
        Ok(sender
            .send(token_call(self.at.token, &call))
            .await?
            .done(()))
    }

    /// Sends `amount` base units of a token to someone.
    ///
    /// # Errors
    /// The token refuses.
    pub async fn transfer(
        &self,
        owner: &Account,
        token: Address,
        to: Address,
        amount: U256,
    ) -> Result<Done<()>, ChainError> {
        let call = IToken::transferCall { to, value: amount };
        Ok(owner.send(token_call(token, &call)).await?.done(()))
    }

    /// Base units of a token that an address holds.
    ///
    /// # Errors
    /// There is no such token.
    pub async fn token_balance(
        &self,
        token: Address,
        account: Address,
    ) -> Result<U256, ChainError> {
        self.token_read(token, IToken::balanceOfCall { account })
            .await
    }

    /// Step 6 of 8: has an answer verified and paid in one transition. Only the dataset's custodian.
    ///
    /// # Errors
    /// The proof, the masks or the minimum cohort do not hold, or the query is not open.
    pub async fn accept_answer(
        &self,
        custodian: &Account,
        answer: &Answer,
    ) -> Result<Done<()>, ChainError> {
        let call = IQueryMarket::acceptAnswerCall {
            queryId: answer.query.0,
            plan: answer.plan.clone(),
            results: answer.passes.iter().map(pass).collect(),
            proofs: answer.proofs.iter().copied().map(word).collect(),
        };
        Ok(custodian.send(self.market_call(&call)).await?.done(()))
    }

    /// Declines a query; the researcher is credited the whole amount. Only the custodian.
    ///
    /// # Errors
    /// The query is not open, or the sender is not the custodian.
    pub async fn refuse(
        &self,
        custodian: &Account,
        query: QueryId,
        reason: u16,
    ) -> Result<Done<()>, ChainError> {
        let call = IQueryMarket::refuseCall {
            queryId: query.0,
            reason,
        };
        Ok(custodian.send(self.market_call(&call)).await?.done(()))
    }

    /// Credits the researcher the whole amount of a query whose deadline has passed.
    ///
    /// # Errors
    /// The query is not open or not past its deadline.
    pub async fn refund(&self, sender: &Account, query: QueryId) -> Result<Done<()>, ChainError> {
        let call = IQueryMarket::refundExpiredCall { queryId: query.0 };
        Ok(sender.send(self.market_call(&call)).await?.done(()))
    }

    /// Step 7 of 8: splits the payments of a snapshot's answered queries in one token: members' part into the reward pool,
    /// the rest to the custodian's credit. Returns the members' part in base units.
    ///
    /// # Errors
    /// No answered query waits to be settled, or the node cannot be reached.
    pub async fn settle(
        &self,
        sender: &Account,
        dataset: DatasetId,
        snapshot: SnapshotId,
        token: Address,
    ) -> Result<Done<U256>, ChainError> {
        let queries = self.unsettled(dataset, snapshot, token).await?;
        if queries.is_empty() {
            return Err(ChainError::NothingToSettle { dataset, snapshot });
        }
        self.settle_queries(sender, &queries).await
    }

    /// As [`Client::settle`], for queries that the caller names.
    ///
    /// # Errors
    /// One of them is not answered, or already settled; nothing is settled then.
    pub async fn settle_queries(
        &self,
        sender: &Account,
        queries: &[QueryId],
    ) -> Result<Done<U256>, ChainError> {
        let call = IQueryMarket::settleCall {
            queryIds: queries.iter().map(|query| query.0).collect(),
        };
        let mined = sender.send(self.market_call(&call)).await?;
        let rewards = mined
            .logs
            .iter()
            .filter(|log| log.address() == self.at.market)
            .filter_map(|log| IQueryMarket::QuerySettled::decode_log(&log.inner).ok())
            .fold(U256::ZERO, |sum, settled| {
                sum.saturating_add(settled.memberRewards)
            });
        Ok(mined.done(rewards))
    }

    /// Queries of a snapshot that were answered and paid in `token`, but not settled yet.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn unsettled(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        token: Address,
    ) -> Result<Vec<QueryId>, ChainError> {
        let filter = Filter::new()
            .address(self.at.market)
            .event_signature(vec![
                IQueryMarket::AnswerAccepted::SIGNATURE_HASH,
                IQueryMarket::SealedAnswerAccepted::SIGNATURE_HASH,
            ])
            .topic2(U256::from(dataset.0))
            .topic3(U256::from(snapshot.0));
        let last = self.chain.block_number().await?;
        let mut answered = Vec::new();
        self.each_log(&filter, self.at.block..=last, |log| {
            // Both kinds name the query first.
            answered.extend(log.topics().get(1).copied().map(QueryId));
        })
        .await?;
        let mut waiting = Vec::new();
        for query in answered {
            let state = self.query(query).await?;
            if state.status == QueryStatus::Answered && state.token == token {
                waiting.push(query);
            }
        }
        Ok(waiting)
    }

    /// Pays an account what the market owes it (custodian fees, refunds); returns base units.
    ///
    /// # Errors
    /// It is owed nothing.
    pub async fn withdraw(
        &self,
        sender: &Account,
        token: Address,
        account: Address,
    ) -> Result<Done<U256>, ChainError> {
        let call = IQueryMarket::withdrawCall { token, account };
        let mined = sender.send(self.market_call(&call)).await?;
        let paid = account::event::<IQueryMarket::Withdrawn>(&mined, self.at.market, "Withdrawn")?;
        Ok(mined.done(paid.amount))
    }

    /// A query as it stands.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn query(&self, query: QueryId) -> Result<QueryState, ChainError> {
        let state = self
            .market_read(IQueryMarket::queryCall { queryId: query.0 })
            .await?;
        Ok(QueryState {
            beneficiary: state.beneficiary,
            dataset: DatasetId(state.datasetId),
            snapshot: SnapshotId(narrow("snapshot id", U256::from(state.snapshotId))?),
            deadline: state.deadline,
            status: status(state.status),
            token: state.token,
            amount: state.amount.to(),
            plan_hash: state.planHash,
        })
    }

    /// Base units that the market owes an account.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn credit(&self, token: Address, account: Address) -> Result<U256, ChainError> {
        self.market_read(IQueryMarket::creditCall { token, account })
            .await
    }

    /// Base units that the market must hold: open escrow, credits and unsettled rewards.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn obligations(&self, token: Address) -> Result<U256, ChainError> {
        self.market_read(IQueryMarket::obligationsCall { token })
            .await
    }
}

fn token_call(token: Address, call: &impl SolCall) -> Call {
    Call {
        contract: Contract::Token,
        to: Some(token),
        data: Bytes::from(call.abi_encode()),
    }
}

fn request(order: &QueryOrder) -> QueryRequest {
    QueryRequest {
        datasetId: U256::from(order.dataset.0),
        snapshotId: U256::from(order.snapshot.0),
        planHash: order.plan_hash,
        bodyHash: order.body_hash,
        token: order.token,
        amount: U256::from(order.amount),
        deadline: U256::from(order.deadline),
        nonce: U256::from(order.nonce),
    }
}

/// In the order of the contract's enum, which the ABI reduces to a number.
pub(super) fn status(code: u8) -> QueryStatus {
    match code {
        1 => QueryStatus::Funded,
        2 => QueryStatus::Answered,
        3 => QueryStatus::Refused,
        4 => QueryStatus::Expired,
        5 => QueryStatus::Settled,
        _ => QueryStatus::Unknown,
    }
}

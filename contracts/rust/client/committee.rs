//! Committees of key holders, the datasets that they serve, sealed answers, and bonds.

use super::{
    Account, Call, ChainError, Client, CommitteeId, CommitteeKind, Contract, DatasetId, Done,
    NewCommittee, QueryId, QueryStatus, SealedSubmission, SnapshotId, account, market::status,
    registry::amount96,
};
use crate::{
    bindings::{
        ICommittee::{self, CommitteeParams},
        IQueryMarket::{self, SealedEvidence},
        IToken,
    },
    sealed::{SealedAnswer, pass},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolCall,
};

/// What the chain knows of an account in a committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberStatus {
    /// No member.
    Stranger,
    /// A member whose signatures count.
    Active,
    /// A member that signed two different answers to one query; its signatures no longer count.
    Equivocated,
}

/// A member's bond towards a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BondState {
    /// Base units held.
    pub amount: u128,
    /// Part of it that the member may take from `release_at` on. Only the rest stands for the future.
    pub leaving: u128,
    /// Unix time, seconds; 0 without a notice.
    pub release_at: u64,
}

/// What a key holder must know of a query before it opens anything, as of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryFacts {
    /// Funded, and the deadline has not passed.
    pub open: bool,
    /// Where it stands.
    pub status: QueryStatus,
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot it was asked of.
    pub snapshot: SnapshotId,
    /// Last second in which an answer is accepted.
    pub deadline: u32,
    /// Hash of the plan bytes; zero once answered.
    pub plan_hash: B256,
    /// Who is paid for an answer.
    pub custodian: Address,
    /// Least number of people in an answer.
    pub min_cohort: u32,
    /// Least published count.
    pub min_cell: u32,
    /// Members of the snapshot.
    pub members: u32,
    /// Committee that may answer it from encrypted cubes.
    pub cubes: Option<CommitteeId>,
    /// Committee that may answer it from ad-hoc ciphertexts.
    pub ad_hoc: Option<CommitteeId>,
}

impl QueryFacts {
    /// The committee of a kind that may answer the query.
    pub fn committee(&self, kind: CommitteeKind) -> Option<CommitteeId> {
        match kind {
            CommitteeKind::Cubes => self.cubes,
            CommitteeKind::AdHoc => self.ad_hoc,
        }
    }
}

/// Two answers to one query, signed by one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// The committee that both name.
    pub committee: CommitteeId,
    /// One answer and its signature.
    pub first: (SealedAnswer, [u8; 65]),
    /// The other answer and its signature.
    pub second: (SealedAnswer, [u8; 65]),
}

impl Client {
    /// Address of the committee contract.
    ///
    /// # Errors
    /// The deployment was made before there were sealed answers.
    pub fn committee_contract(&self) -> Result<Address, ChainError> {
        self.at.committee.ok_or(ChainError::NoSealedPath)
    }

    fn committee_call(&self, call: &impl SolCall) -> Result<Call, ChainError> {
        Ok(Call {
            contract: Contract::Committee,
            to: Some(self.committee_contract()?),
            data: call.abi_encode().into(),
        })
    }

    async fn committee_read<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        let at = self.committee_contract()?;
        self.chain.read(Contract::Committee, at, &call).await
    }

    /// Registers a committee with the acceptance of each member, in the order of the members. Anyone may.
    ///
    /// # Errors
    /// A signature is not the member's, the committee's form is wrong, or it exists.
    pub async fn register_committee(
        &self,
        sender: &Account,
        committee: &NewCommittee,
        acceptances: &[[u8; 65]],
    ) -> Result<Done<CommitteeId>, ChainError> {
        let call = ICommittee::registerCall {
            params: params(committee),
            acceptances: acceptances.concat().into(),
        };
        let mined = sender.send(self.committee_call(&call)?).await?;
        let event = account::event::<ICommittee::CommitteeRegistered>(
            &mined,
            self.committee_contract()?,
            "CommitteeRegistered",
        )?;
        Ok(mined.done(CommitteeId(event.committeeId)))
    }

    /// Names the dataset's committee of its kind, for the next snapshot and later ones. Only the dataset's admin.
    /// Returns the first snapshot that it may answer for.
    ///
    /// # Errors
    /// The sender is not the admin, or there is no such committee.
    pub async fn bind_committee(
        &self,
        admin: &Account,
        dataset: DatasetId,
        committee: CommitteeId,
    ) -> Result<Done<SnapshotId>, ChainError> {
        let call = ICommittee::bindCall {
            datasetId: U256::from(dataset.0),
            committeeId: committee.0,
        };
        self.bound(admin, &call).await
    }

    /// The dataset has no committee of a kind from the next snapshot on. Only the dataset's admin.
    ///
    /// # Errors
    /// The sender is not the admin.
    pub async fn unbind_committee(
        &self,
        admin: &Account,
        dataset: DatasetId,
        kind: CommitteeKind,
    ) -> Result<Done<SnapshotId>, ChainError> {
        let call = ICommittee::unbindCall {
            datasetId: U256::from(dataset.0),
            kind: kind.code(),
        };
        self.bound(admin, &call).await
    }

    async fn bound(
        &self,
        admin: &Account,
        call: &impl SolCall,
    ) -> Result<Done<SnapshotId>, ChainError> {
        let mined = admin.send(self.committee_call(call)?).await?;
        let at = self.committee_contract()?;
        let event = account::event::<ICommittee::CommitteeBound>(&mined, at, "CommitteeBound")?;
        Ok(mined.done(SnapshotId(event.fromSnapshot)))
    }

    /// A committee's content.
    ///
    /// # Errors
    /// There is no such committee.
    pub async fn committee(&self, committee: CommitteeId) -> Result<NewCommittee, ChainError> {
        let found = self
            .committee_read(ICommittee::committeeCall {
                committeeId: committee.0,
            })
            .await?;
        Ok(NewCommittee {
            kind: CommitteeKind::from_code(found.kind).ok_or_else(|| ChainError::OutOfRange {
                what: "committee kind",
                value: found.kind.to_string(),
            })?,
            threshold: found.threshold,
            key_hash: found.keyHash,
            members: found.members,
        })
    }

    /// The committee that may answer queries on a snapshot; for a snapshot to come, as things stand.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn committee_of(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        kind: CommitteeKind,
    ) -> Result<Option<CommitteeId>, ChainError> {
        let id = self
            .committee_read(ICommittee::committeeAtCall {
                datasetId: U256::from(dataset.0),
                snapshotId: U256::from(snapshot.0),
                kind: kind.code(),
            })
            .await?;
        Ok(some(id))
    }

    /// What an account is to a committee.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn member_status(
        &self,
        committee: CommitteeId,
        account: Address,
    ) -> Result<MemberStatus, ChainError> {
        let status = self
            .committee_read(ICommittee::memberStatusCall {
                committeeId: committee.0,
                account,
            })
            .await?;
        // Order of the contract's enum, which the ABI reduces to a number.
        Ok(match status {
            1 => MemberStatus::Active,
            2 => MemberStatus::Equivocated,
            _ => MemberStatus::Stranger,
        })
    }

    /// What a key holder must know of a query before it opens anything; `None` if it was never funded.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn query_facts(&self, query: QueryId) -> Result<Option<QueryFacts>, ChainError> {
        let facts = self
            .committee_read(ICommittee::queryFactsCall { queryId: query.0 })
            .await?;
        let status = status(facts.status);
        Ok((status != QueryStatus::Unknown).then(|| QueryFacts {
            open: facts.open,
            status,
            dataset: DatasetId(facts.datasetId),
            snapshot: SnapshotId(facts.snapshotId),
            deadline: facts.deadline,
            plan_hash: facts.planHash,
            custodian: facts.custodian,
            min_cohort: facts.minCohort,
            min_cell: facts.minCell,
            members: facts.members,
            cubes: some(facts.cubes),
            ad_hoc: some(facts.adHoc),
        }))
    }

    /// Step 6 of 8 for a sealed answer: has the committee's signatures checked and the payment made due. Anyone may send
    /// it; the custodian is paid.
    ///
    /// # Errors
    /// The signatures, the masks or the minimum cohort do not hold, or the query is not open.
    pub async fn accept_sealed_answer(
        &self,
        relayer: &Account,
        answer: &SealedSubmission,
    ) -> Result<Done<()>, ChainError> {
        self.committee_contract()?;
        let call = IQueryMarket::acceptSealedAnswerCall {
            queryId: answer.query.0,
            plan: answer.plan.clone(),
            results: answer.passes.iter().map(pass).collect(),
            evidence: SealedEvidence {
                committeeId: answer.committee.0,
                ciphertextHash: answer.ciphertext_hash,
                signatures: answer.signatures.concat().into(),
            },
        };
        Ok(relayer.send(self.market_call(&call)).await?.done(()))
    }

    /// Shows that a member signed two different answers to one query; returns the member. Anyone may, once per member.
    ///
    /// # Errors
    /// The answers do not contradict each other, one key did not sign both, or the member was reported already.
    pub async fn report_equivocation(
        &self,
        reporter: &Account,
        proof: &Equivocation,
    ) -> Result<Done<Address>, ChainError> {
        let call = ICommittee::reportEquivocationCall {
            committeeId: proof.committee.0,
            answerA: (&proof.first.0).into(),
            answerB: (&proof.second.0).into(),
            signatureA: proof.first.1.to_vec().into(),
            signatureB: proof.second.1.to_vec().into(),
        };
        let mined = reporter.send(self.committee_call(&call)?).await?;
        let event = account::event::<ICommittee::EquivocationReported>(
            &mined,
            self.committee_contract()?,
            "EquivocationReported",
        )?;
        Ok(mined.done(event.member))
    }

    /// Lets the committee contract take `amount` base units of a token, for [`Client::deposit_bond`].
    ///
    /// # Errors
    /// The token refuses.
    pub async fn approve_bond(
        &self,
        owner: &Account,
        token: Address,
        amount: U256,
    ) -> Result<Done<()>, ChainError> {
        let call = IToken::approveCall {
            spender: self.committee_contract()?,
            value: amount,
        };
        let call = Call {
            contract: Contract::Token,
            to: Some(token),
            data: Bytes::from(call.abi_encode()),
        };
        Ok(owner.send(call).await?.done(()))
    }

    /// Adds to a member's bond towards a dataset, from an allowance given with [`Client::approve_bond`]. Anyone may.
    ///
    /// # Errors
    /// The account is no active member, the dataset has no snapshot, or the allowance is too small.
    pub async fn deposit_bond(
        &self,
        payer: &Account,
        committee: CommitteeId,
        member: Address,
        dataset: DatasetId,
        token: Address,
        amount: u128,
    ) -> Result<Done<()>, ChainError> {
        let call = ICommittee::depositBondCall {
            committeeId: committee.0,
            member,
            datasetId: U256::from(dataset.0),
            token,
            amount: U256::from(amount96(amount)?),
        };
        Ok(payer.send(self.committee_call(&call)?).await?.done(()))
    }

    /// The sending member gives notice that it takes `amount` of its bond; replaces an earlier notice.
    ///
    /// # Errors
    /// The bond is smaller, or the sender is no active member.
    pub async fn give_notice(
        &self,
        member: &Account,
        committee: CommitteeId,
        dataset: DatasetId,
        token: Address,
        amount: u128,
    ) -> Result<Done<()>, ChainError> {
        let call = ICommittee::giveNoticeCall {
            committeeId: committee.0,
            datasetId: U256::from(dataset.0),
            token,
            amount: U256::from(amount),
        };
        Ok(member.send(self.committee_call(&call)?).await?.done(()))
    }

    /// Pays the sending member what it gave notice of; returns base units.
    ///
    /// # Errors
    /// The notice is not over, there is none, or the sender is no active member.
    pub async fn withdraw_bond(
        &self,
        member: &Account,
        committee: CommitteeId,
        dataset: DatasetId,
        token: Address,
    ) -> Result<Done<U256>, ChainError> {
        let call = ICommittee::withdrawBondCall {
            committeeId: committee.0,
            datasetId: U256::from(dataset.0),
            token,
        };
        let mined = member.send(self.committee_call(&call)?).await?;
        let at = self.committee_contract()?;
        let event = account::event::<ICommittee::BondWithdrawn>(&mined, at, "BondWithdrawn")?;
        Ok(mined.done(event.amount))
    }

    /// Slashes a bond of a member that equivocated: a tenth to its reporter, the rest to the dataset's members, whose part
    /// is returned in base units. Anyone may.
    ///
    /// # Errors
    /// The member was not reported, or has no such bond.
    pub async fn slash_bond(
        &self,
        sender: &Account,
        committee: CommitteeId,
        member: Address,
        dataset: DatasetId,
        token: Address,
    ) -> Result<Done<U256>, ChainError> {
        let call = ICommittee::slashBondCall {
            committeeId: committee.0,
            member,
            datasetId: U256::from(dataset.0),
            token,
        };
        let mined = sender.send(self.committee_call(&call)?).await?;
        let at = self.committee_contract()?;
        let event = account::event::<ICommittee::BondSlashed>(&mined, at, "BondSlashed")?;
        Ok(mined.done(event.rewards))
    }

    /// A member's bond towards a dataset.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn bond(
        &self,
        committee: CommitteeId,
        member: Address,
        dataset: DatasetId,
        token: Address,
    ) -> Result<BondState, ChainError> {
        let bond = self
            .committee_read(ICommittee::bondCall {
                committeeId: committee.0,
                member,
                datasetId: U256::from(dataset.0),
                token,
            })
            .await?;
        Ok(BondState {
            amount: bond.amount.to(),
            leaving: bond.leaving.to(),
            release_at: bond.releaseAt,
        })
    }
}

fn some(id: B256) -> Option<CommitteeId> {
    (!id.is_zero()).then_some(CommitteeId(id))
}

fn params(committee: &NewCommittee) -> CommitteeParams {
    CommitteeParams {
        kind: committee.kind.code(),
        threshold: committee.threshold,
        keyHash: committee.key_hash,
        members: committee.members.clone(),
    }
}

//! Datasets and their members.

use super::{
    Account, Call, ChainError, ChunkIndex, Client, ColumnIndex, Contract, DatasetId, Done, Epoch,
    KnowledgeProof, Mined, NewDataset, OptIn, PipelineError, Registration, SlotIndex, SnapshotId,
    account,
};
use crate::{
    bindings::ICohortRegistry::{self, DatasetParams, Member},
    words::{Point, flatten, points, word},
};
use alloy::{
    primitives::{Address, B256, U256, aliases::U96},
    sol_types::SolCall,
};

/// A dataset as it stands on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetState {
    /// Who administers it.
    pub admin: Address,
    /// Who accepts answers.
    pub custodian: Address,
    /// Hash of the codebook.
    pub schema_hash: B256,
    /// Purposes every consent must cover.
    pub purposes: B256,
    /// Physical code columns.
    pub columns: u16,
    /// Slots per chunk.
    pub slots: u32,
    /// Root of the tree of slot bases.
    pub basis_root: B256,
    /// Blinding base H of the commitments.
    pub blinding: Point,
    /// Least number of people in an answer.
    pub min_cohort: u32,
    /// Least published count.
    pub min_cell: u32,
    /// Present epoch.
    pub epoch: Epoch,
    /// Number of snapshots taken; the latest has this id.
    pub snapshots: u32,
    /// Chunks in use.
    pub chunks: u32,
    /// Members now.
    pub members: u32,
}

/// What the registry keeps of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotState {
    /// The member, zero if the slot was never used.
    pub member: Address,
    /// The consent lapses in this epoch.
    pub expiry_epoch: Epoch,
    /// First snapshot with the member.
    pub joined: SnapshotId,
    /// First snapshot without the member again.
    pub left: Option<SnapshotId>,
    /// Nonce of the last consent.
    pub nonce: u16,
    /// Hash of the commitments.
    pub commitments_hash: B256,
}

impl Client {
    fn registry_call(&self, call: &impl SolCall) -> Call {
        Call {
            contract: Contract::CohortRegistry,
            to: Some(self.at.registry),
            data: call.abi_encode().into(),
        }
    }

    async fn registry_read<C: SolCall>(&self, call: C) -> Result<C::Return, ChainError> {
        self.chain
            .read(Contract::CohortRegistry, self.at.registry, &call)
            .await
    }

    /// Creates a dataset; the sender becomes its admin.
    ///
    /// # Errors
    /// The parameters contradict themselves or name unknown circuits.
    pub async fn create_dataset(
        &self,
        admin: &Account,
        dataset: &NewDataset,
    ) -> Result<Done<DatasetId>, ChainError> {
        let (low, high) = dataset
            .circuits_k8
            .map_or_else(Default::default, |(l, h)| (l.0, h.0));
        let (token, price) = dataset.price.unwrap_or_default();
        let params = DatasetParams {
            schemaHash: dataset.schema_hash,
            purposes: dataset.purposes,
            columns: dataset.columns,
            circuitK4: dataset.circuit_k4.map_or_else(Default::default, |id| id.0),
            circuitK8Low: low,
            circuitK8High: high,
            minCohort: dataset.min_cohort,
            minCell: dataset.min_cell,
            rewardBps: dataset.reward_bps,
            epochLength: dataset.epoch_length,
            custodian: dataset.custodian,
            token,
            price: amount96(price)?,
        };
        let call = ICohortRegistry::createDatasetCall { params };
        let mined = admin.send(self.registry_call(&call)).await?;
        let id = account::event::<ICohortRegistry::DatasetCreated>(
            &mined,
            self.at.registry,
            "DatasetCreated",
        )?
        .datasetId;
        Ok(mined.done(DatasetId(narrow("dataset id", id)?)))
    }

    /// Lets an issuer register people of a dataset, or stops it. Only the admin.
    ///
    /// # Errors
    /// The sender is not the admin.
    pub async fn set_issuer(
        &self,
        admin: &Account,
        dataset: DatasetId,
        issuer: Address,
        allowed: bool,
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::setIssuerCall {
            datasetId: U256::from(dataset.0),
            issuer,
            allowed,
        };
        Ok(admin.send(self.registry_call(&call)).await?.done(()))
    }

    /// Sets the least payment per query in a token, base units; 0 stops accepting it. Only the admin.
    ///
    /// # Errors
    /// The sender is not the admin.
    pub async fn set_price(
        &self,
        admin: &Account,
        dataset: DatasetId,
        token: Address,
        price: u128,
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::setPriceCall {
            datasetId: U256::from(dataset.0),
            token,
            price: amount96(price)?,
        };
        Ok(admin.send(self.registry_call(&call)).await?.done(()))
    }

    /// Step 3 of 8: registers a batch of people of one chunk in one transaction.
    ///
    /// # Errors
    /// Any proof, signature or slot of the batch is wrong (the error names the slot); nobody is registered then.
    pub async fn opt_in_batch(
        &self,
        issuer: &Account,
        batch: &OptIn,
    ) -> Result<Done<()>, ChainError> {
        Ok(issuer.send(self.opt_in_call(batch)).await?.done(()))
    }

    /// Registers many batches in order, with up to `window` transactions on their way.
    ///
    /// # Errors
    /// The first batch that fails, with what was mined before.
    pub async fn opt_in_all<I>(
        &self,
        issuer: &Account,
        batches: I,
        window: usize,
        mined: impl FnMut(usize, &Mined),
    ) -> Result<Vec<Mined>, PipelineError>
    where
        I: IntoIterator<Item = OptIn>,
    {
        let calls = batches.into_iter().map(|batch| self.opt_in_call(&batch));
        issuer.send_all(calls, window, mined).await
    }

    /// The transaction of a batch, for callers that send it themselves.
    pub fn opt_in_call(&self, batch: &OptIn) -> Call {
        self.registry_call(&ICohortRegistry::optInCall {
            datasetId: U256::from(batch.dataset.0),
            chunk: batch.chunk.0,
            batch: batch.members.iter().map(member).collect(),
        })
    }

    /// Replaces a member's commitments with the member's fresh consent.
    ///
    /// # Errors
    /// As for opting in; also if `previous` is not what the slot holds.
    pub async fn rectify(
        &self,
        issuer: &Account,
        dataset: DatasetId,
        chunk: ChunkIndex,
        update: &Registration,
        previous: &[Point],
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::rectifyCall {
            datasetId: U256::from(dataset.0),
            chunk: chunk.0,
            update: member(update),
            previous: flatten(previous),
        };
        Ok(issuer.send(self.registry_call(&call)).await?.done(()))
    }

    /// Removes a member from every later snapshot. Without a signature the sender must be the member.
    ///
    /// # Errors
    /// The signature is not the member's, or `commitments` are not what the slot holds.
    pub async fn opt_out(
        &self,
        relayer: &Account,
        dataset: DatasetId,
        chunk: ChunkIndex,
        slot: SlotIndex,
        commitments: &[Point],
        signature: Option<[u8; 65]>,
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::optOutCall {
            datasetId: U256::from(dataset.0),
            chunk: chunk.0,
            slot: slot.0,
            commitments: flatten(commitments),
            signature: signature.map(Vec::from).unwrap_or_default().into(),
        };
        Ok(relayer.send(self.registry_call(&call)).await?.done(()))
    }

    /// Enters the next epoch.
    ///
    /// # Errors
    /// The timed epoch has not ended, or epochs are manual and the sender is not the admin.
    pub async fn advance_epoch(
        &self,
        sender: &Account,
        dataset: DatasetId,
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::advanceEpochCall {
            datasetId: U256::from(dataset.0),
        };
        Ok(sender.send(self.registry_call(&call)).await?.done(()))
    }

    /// Removes the members of a chunk whose consent lapsed with the present epoch.
    ///
    /// # Errors
    /// There is nothing to expire.
    pub async fn expire_chunk(
        &self,
        sender: &Account,
        dataset: DatasetId,
        chunk: ChunkIndex,
    ) -> Result<Done<()>, ChainError> {
        let call = ICohortRegistry::expireChunkCall {
            datasetId: U256::from(dataset.0),
            chunk: chunk.0,
        };
        Ok(sender.send(self.registry_call(&call)).await?.done(()))
    }

    /// Fixes the present membership. Only admin or custodian.
    ///
    /// # Errors
    /// The sender is neither, or lapsed members are still counted.
    pub async fn snapshot(
        &self,
        sender: &Account,
        dataset: DatasetId,
    ) -> Result<Done<SnapshotId>, ChainError> {
        let call = ICohortRegistry::snapshotCall {
            datasetId: U256::from(dataset.0),
        };
        let mined = sender.send(self.registry_call(&call)).await?;
        let id = account::event::<ICohortRegistry::SnapshotTaken>(
            &mined,
            self.at.registry,
            "SnapshotTaken",
        )?
        .snapshotId;
        Ok(mined.done(SnapshotId(id)))
    }

    /// Whether an account may register people of a dataset now.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn is_issuer(&self, dataset: DatasetId, issuer: Address) -> Result<bool, ChainError> {
        self.registry_read(ICohortRegistry::isIssuerCall {
            datasetId: U256::from(dataset.0),
            issuer,
        })
        .await
    }

    /// A dataset as it stands.
    ///
    /// # Errors
    /// There is no such dataset.
    pub async fn dataset(&self, dataset: DatasetId) -> Result<DatasetState, ChainError> {
        let state = self
            .registry_read(ICohortRegistry::datasetCall {
                datasetId: U256::from(dataset.0),
            })
            .await?;
        Ok(DatasetState {
            admin: state.admin,
            custodian: state.custodian,
            schema_hash: state.schemaHash,
            purposes: state.purposes,
            columns: state.columns,
            slots: state.slots,
            basis_root: state.basisRoot,
            blinding: [state.hX.to_be_bytes(), state.hY.to_be_bytes()],
            min_cohort: state.minCohort,
            min_cell: state.minCell,
            epoch: Epoch(state.epoch),
            snapshots: state.snapshots,
            chunks: state.chunks,
            members: state.members,
        })
    }

    /// What the registry keeps of a slot.
    ///
    /// # Errors
    /// There is no such dataset.
    pub async fn slot(
        &self,
        dataset: DatasetId,
        chunk: ChunkIndex,
        slot: SlotIndex,
    ) -> Result<SlotState, ChainError> {
        let state = self
            .registry_read(ICohortRegistry::membershipCall {
                datasetId: U256::from(dataset.0),
                chunk: chunk.0,
                slot: slot.0,
            })
            .await?;
        Ok(SlotState {
            member: state.member,
            expiry_epoch: Epoch(state.expiryEpoch),
            joined: SnapshotId(state.joined),
            left: (state.left != 0).then_some(SnapshotId(state.left)),
            nonce: state.nonce,
            commitments_hash: state.commitmentsHash,
        })
    }

    /// The member that held a slot in a snapshot; also after the member left.
    ///
    /// # Errors
    /// There is no such dataset or snapshot.
    pub async fn member_at(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        chunk: ChunkIndex,
        slot: SlotIndex,
    ) -> Result<Option<Address>, ChainError> {
        let member = self
            .registry_read(ICohortRegistry::memberAtCall {
                datasetId: U256::from(dataset.0),
                snapshotId: U256::from(snapshot.0),
                chunk: chunk.0,
                slot: slot.0,
            })
            .await?;
        Ok((!member.is_zero()).then_some(member))
    }

    /// Members of a snapshot.
    ///
    /// # Errors
    /// There is no such dataset or snapshot.
    pub async fn member_count(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
    ) -> Result<u32, ChainError> {
        self.registry_read(ICohortRegistry::memberCountCall {
            datasetId: U256::from(dataset.0),
            snapshotId: U256::from(snapshot.0),
        })
        .await
    }

    /// Column commitments of a snapshot: one row per chunk, one point per given column.
    ///
    /// # Errors
    /// There is no such dataset, snapshot or column.
    pub async fn column_commitments(
        &self,
        dataset: DatasetId,
        snapshot: SnapshotId,
        columns: &[ColumnIndex],
    ) -> Result<Vec<Vec<Point>>, ChainError> {
        let words = self
            .registry_read(ICohortRegistry::commitmentsAtCall {
                datasetId: U256::from(dataset.0),
                snapshotId: U256::from(snapshot.0),
                columns: columns.iter().map(|c| U256::from(c.0)).collect(),
                perPass: U256::from(columns.len()),
            })
            .await?;
        Ok(points(&words)
            .chunks(columns.len().max(1))
            .map(<[Point]>::to_vec)
            .collect())
    }
}

fn member(registration: &Registration) -> Member {
    let KnowledgeProof { r, s1, s2 } = registration.proof;
    Member {
        slot: registration.slot.0,
        member: registration.member,
        expiryEpoch: registration.expiry_epoch,
        purposes: registration.purposes,
        payoutId: registration.payout_id,
        nonce: U256::from(registration.nonce),
        commitments: flatten(&registration.commitments),
        basisX: word(registration.basis[0]),
        basisY: word(registration.basis[1]),
        path: registration.path.clone(),
        rX: word(r[0]),
        rY: word(r[1]),
        s1: word(s1),
        s2: word(s2),
        signature: registration.signature.to_vec().into(),
    }
}

/// Payments fit in 96 bits on chain.
pub(super) fn amount96(amount: u128) -> Result<U96, ChainError> {
    U96::checked_from_limbs_slice(U256::from(amount).as_limbs()).ok_or_else(|| {
        ChainError::OutOfRange {
            what: "amount",
            value: amount.to_string(),
        }
    })
}

pub(super) fn narrow(what: &'static str, number: U256) -> Result<u32, ChainError> {
    u32::try_from(number).map_err(|_| ChainError::OutOfRange {
        what,
        value: number.to_string(),
    })
}

//! A typed client of the contracts: what Salus does on chain, in Salus's own words.

mod account;
mod chain;
mod committee;
mod error;
mod events;
mod market;
mod pool;
mod registry;
mod types;
mod verifier;

pub use account::{Account, Call, Mined, PipelineError};
pub use chain::{Chain, Endpoint};
pub use committee::{BondState, Equivocation, MemberStatus, QueryFacts};
pub use error::{ChainError, Contract, Family, Revert};
pub use events::{Event, EventBody};
pub use market::{QueryState, QueryStatus};
pub use registry::{DatasetState, SlotState};
pub use types::{
    Answer, ChunkIndex, CircuitId, ColumnIndex, CommitteeId, CommitteeKind, DatasetId, Done, Epoch,
    KnowledgeProof, NewCommittee, NewDataset, OptIn, PassValues, QueryId, QueryOrder, Registration,
    RewardClaim, SealedSubmission, SlotIndex, SnapshotId,
};

use crate::deploy::Deployment;

/// The deployed contracts on a connected chain.
#[derive(Debug, Clone)]
pub struct Client {
    chain: Chain,
    at: Deployment,
}

impl Client {
    /// The contracts of `deployment`, reached over `chain`.
    ///
    /// # Errors
    /// The deployment was made on another chain.
    pub fn new(chain: Chain, deployment: Deployment) -> Result<Self, ChainError> {
        if chain.id() != deployment.chain_id {
            return Err(ChainError::WrongChain {
                expected: deployment.chain_id,
                found: chain.id(),
            });
        }
        Ok(Self {
            chain,
            at: deployment,
        })
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Addresses of the contracts.
    pub fn deployment(&self) -> &Deployment {
        &self.at
    }
}

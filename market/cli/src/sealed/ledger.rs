//! A holder's own view of the chain.

use salus_committee::ledger::{
    Address as HolderAddress, Ledger, Market, QueryFacts, QueryState, Unavailable,
};
use salus_contracts::client::{
    ChainError, Client, CommitteeKind, QueryFacts as ChainFacts, QueryId, QueryStatus,
};
use salus_contracts::primitives::B256;
use salus_schema::codebook::Codebook;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Reads queries from the chain on behalf of a committee of one kind.
pub struct ChainLedger {
    client: Client,
    runtime: Handle,
    kind: CommitteeKind,
    codebook: Arc<Codebook>,
}

/// The chain's trouble as a holder reports it.
pub fn unavailable(error: &ChainError) -> Unavailable {
    Unavailable {
        what: "the chain",
        reason: error.to_string(),
    }
}

impl ChainLedger {
    /// The view through `client`, of a dataset with this codebook. Its calls block: they are for threads outside the runtime's
    /// own.
    pub fn new(
        client: Client,
        runtime: Handle,
        kind: CommitteeKind,
        codebook: Arc<Codebook>,
    ) -> Self {
        Self {
            client,
            runtime,
            kind,
            codebook,
        }
    }

    async fn read(&self, query: &[u8; 32]) -> Result<Option<ChainFacts>, ChainError> {
        let id = QueryId(B256::from(*query));
        let Some(facts) = self.client.query_facts(id).await? else {
            return Ok(None);
        };
        let dataset = self.client.dataset(facts.dataset).await?;
        // Another codebook would give the plan another meaning.
        let ours = dataset.schema_hash == B256::from(self.codebook.hash());
        Ok(ours.then_some(facts))
    }

    fn unknown(&self) -> QueryFacts {
        QueryFacts {
            state: QueryState::NotFunded,
            expired: false,
            plan_hash: [0; 32],
            dataset: 0,
            snapshot: 0,
            members: 0,
            committee: [0; 32],
            min_cohort: u64::MAX,
            min_cell: u64::MAX,
            codebook: self.codebook.clone(),
            noise: None,
        }
    }
}

impl Ledger for ChainLedger {
    fn market(&self) -> Market {
        Market {
            chain: self.client.chain().id(),
            contract: HolderAddress(self.client.deployment().market.into_array()),
        }
    }

    fn query(&self, query: &[u8; 32]) -> Result<QueryFacts, Unavailable> {
        let read = self.runtime.block_on(self.read(query));
        let Some(facts) = read.map_err(|e| unavailable(&e))? else {
            return Ok(self.unknown());
        };
        let state = match facts.status {
            QueryStatus::Unknown => QueryState::NotFunded,
            QueryStatus::Funded => QueryState::Open,
            _ => QueryState::Closed,
        };
        Ok(QueryFacts {
            state,
            expired: state == QueryState::Open && !facts.open,
            plan_hash: facts.plan_hash.0,
            dataset: u64::from(facts.dataset.0),
            snapshot: u64::from(facts.snapshot.0),
            members: u64::from(facts.members),
            committee: facts.committee(self.kind).map_or([0; 32], |id| id.0.0),
            min_cohort: u64::from(facts.min_cohort),
            min_cell: u64::from(facts.min_cell),
            codebook: self.codebook.clone(),
            noise: None,
        })
    }
}

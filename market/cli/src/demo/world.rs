//! What exists once people have joined: contracts, dataset, records, commitments, keys.

use super::cast::{Cast, chain_error};
use crate::error::CliError;
use ark_bn254::G1Affine;
use rand::RngCore;
use rand::rngs::OsRng;
use salus_circuits::layout::ChunkSize;
use salus_contracts::client::{Client, DatasetId, Done, QueryId, QueryOrder, SnapshotId};
use salus_contracts::primitives::B256;
use salus_prover::proven::{Chunk, PartProver};
use salus_schema::codebook::Codebook;
use salus_schema::plan::{CircuitClass, Plan};
use salus_schema::query::Query;

/// Provers of a chunk size, loaded as far as the queries need them.
pub struct Provers {
    /// The chunk size.
    pub size: ChunkSize,
    /// The circuit with four columns.
    pub k4: Vec<PartProver>,
    /// Both parts with eight columns; empty when no query needs them.
    pub k8: Vec<PartProver>,
}

/// Everything a query meets.
pub struct World<'a> {
    /// The contracts.
    pub client: &'a Client,
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot that queries are asked of.
    pub snapshot: SnapshotId,
    /// The codebook.
    pub codebook: &'a Codebook,
    /// The custodian's records.
    pub chunks: &'a [Chunk],
    /// Column commitments of the snapshot, per chunk.
    pub commitments: &'a [Vec<G1Affine>],
    /// Provers.
    pub provers: &'a Provers,
    /// Price of a query in base units.
    pub price: u128,
    /// Least people in an answer.
    pub min_cohort: u32,
    /// Least published count.
    pub min_cell: u32,
}

impl World<'_> {
    /// Step 4: puts the price of a query into escrow.
    pub async fn fund(
        &self,
        cast: &Cast,
        query: &Query,
        plan: &Plan,
    ) -> Result<(Done<QueryId>, QueryOrder), CliError> {
        let now = cast.chain.timestamp().await.map_err(|e| chain_error(&e))?;
        let mut nonce = [0u8; 8];
        OsRng.fill_bytes(&mut nonce);
        let order = QueryOrder {
            dataset: self.dataset,
            snapshot: self.snapshot,
            plan_hash: B256::from(plan.hash()),
            body_hash: B256::from(query.hash()),
            token: self.client.deployment().token,
            amount: self.price,
            deadline: u32::try_from(now.saturating_add(24 * 3600)).unwrap_or(u32::MAX),
            nonce: u64::from_be_bytes(nonce),
        };
        let funded = self.client.fund(&cast.researcher, &order).await;
        Ok((funded.map_err(|e| chain_error(&e))?, order))
    }

    /// The provers of a class.
    pub fn parts(&self, class: CircuitClass) -> &[PartProver] {
        match class {
            CircuitClass::K4 => &self.provers.k4,
            CircuitClass::K8 => &self.provers.k8,
        }
    }
}

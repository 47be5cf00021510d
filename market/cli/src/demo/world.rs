//! What exists once people have joined: contracts, dataset, records, commitments, keys.

use ark_bn254::G1Affine;
use salus_circuits::layout::ChunkSize;
use salus_contracts::client::{Client, DatasetId, SnapshotId};
use salus_prover::proven::{Chunk, PartProver};
use salus_schema::codebook::Codebook;
use salus_schema::plan::CircuitClass;

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
    /// The provers of a class.
    pub fn parts(&self, class: CircuitClass) -> &[PartProver] {
        match class {
            CircuitClass::K4 => &self.provers.k4,
            CircuitClass::K8 => &self.provers.k8,
        }
    }
}

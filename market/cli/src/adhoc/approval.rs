//! A holder's own view of evaluations: which are vouched for, and what they are.
//!
//! The holder reads the chain's members and their uploads itself and compares the evaluation's hash of records with its
//! own. That the evaluation is right, and that the proofs of the uploads hold, it takes from the evaluators that its
//! operator named.

use super::key::AdhocKey;
use super::output::Output;
use super::uploads::{self, RecordsError};
use super::vouch::Vouched;
use crate::sealed::gather::{self, Registry};
use salus_adhoc::layout::Layout;
use salus_adhoc::upload::records_hash;
use salus_blobs::{BlobStore, ContentId};
use salus_committee::adhoc::Evaluation;
use salus_committee::ledger::{CiphertextError, Ciphertexts, Unavailable};
use salus_contracts::client::{Client, DatasetId};
use salus_contracts::primitives::Address;
use salus_cubes::check::{Origin, Zero};
use salus_cubes::sum::CubeSum;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Evaluations kept in memory.
const KEPT: usize = 16;

/// Evaluations in the public folder.
pub struct PublicEvaluations {
    /// The contracts.
    pub client: Client,
    /// Where blocking calls wait; they come from threads outside of it.
    pub runtime: Handle,
    /// The layout of records.
    pub layout: Layout,
    /// The public folder.
    pub public: PathBuf,
    /// The blobs in it.
    pub blobs: BlobStore,
    /// Hash of the ceremony's public key file.
    pub key: [u8; 32],
    /// Hash of its server keys.
    pub server: [u8; 32],
    /// Evaluators that the operator named.
    pub evaluators: BTreeSet<Address>,
    /// How many of them must vouch.
    pub needed: usize,
    kept: Mutex<HashMap<[u8; 32], Arc<Evaluation>>>,
}

/// Who is believed.
pub struct Trusted {
    /// Evaluators.
    pub evaluators: BTreeSet<Address>,
    /// How many of them must vouch.
    pub needed: usize,
}

fn unavailable(what: &'static str, reason: impl std::fmt::Display) -> CiphertextError {
    CiphertextError::Unavailable(Unavailable {
        what,
        reason: reason.to_string(),
    })
}

impl PublicEvaluations {
    /// The view with this key file; `None` when it is none.
    pub fn new(
        client: Client,
        runtime: Handle,
        layout: Layout,
        (public, blobs): (PathBuf, BlobStore),
        key: &[u8],
        trusted: Trusted,
    ) -> Option<Self> {
        let (key, server) = AdhocKey::hashes(key)?;
        Some(Self {
            client,
            runtime,
            layout,
            public,
            blobs,
            key,
            server,
            evaluators: trusted.evaluators,
            needed: trusted.needed,
            kept: Mutex::default(),
        })
    }

    async fn output(&self, hash: &[u8; 32]) -> Result<Output, CiphertextError> {
        let bytes = self.blobs.get(&ContentId::from_digest(*hash)).await;
        let bytes = bytes.map_err(|_| CiphertextError::UnknownEvaluation)?;
        Output::from_bytes(&bytes).map_err(|_| CiphertextError::UnknownEvaluation)
    }

    async fn approved(&self, query: &[u8; 32], hash: &[u8; 32]) -> bool {
        let Ok(output) = self.output(hash).await else {
            return false;
        };
        if output.about.query != *query || output.about.key != self.key {
            return false;
        }
        let vouched = Vouched {
            chain: self.client.chain().id(),
            market: self.client.deployment().market,
            query: *query,
            key: self.key,
            uploads: output.about.uploads,
            output: *hash,
        };
        let by = vouched.by(&self.public).unwrap_or_default();
        by.intersection(&self.evaluators).count() >= self.needed
    }

    async fn make(&self, hash: &[u8; 32]) -> Result<Evaluation, CiphertextError> {
        let output = self.output(hash).await?;
        let about = &output.about;
        let unknown = || CiphertextError::UnknownSnapshot {
            dataset: about.dataset,
            snapshot: about.snapshot,
        };
        let registry = Registry {
            chain: self.client.chain().id(),
            contract: self.client.deployment().registry,
            dataset: DatasetId(u32::try_from(about.dataset).map_err(|_| unknown())?),
        };
        let snapshot = u32::try_from(about.snapshot).map_err(|_| unknown())?;
        let roster = gather::roster(&self.client, registry.dataset).await;
        let roster = roster.map_err(|e| unavailable("the chain", e))?;
        let seated = roster.at(snapshot).ok_or_else(unknown)?;
        let mismatch = |error: RecordsError| {
            tracing::warn!(%error, "an evaluation does not fit its uploads");
            CiphertextError::SumMismatch
        };
        let included = uploads::included(&registry, &seated, &self.layout, &self.public);
        let included = included.map_err(mismatch)?;
        let list: [u8; 32] = Sha256::digest(uploads::list(&included)).into();
        if list != about.uploads {
            return Err(CiphertextError::SumMismatch);
        }
        let mut held = Vec::with_capacity(included.len());
        for record in included.into_values() {
            let id = ContentId::from_digest(record.digest);
            let bytes = self.blobs.get(&id).await;
            let bytes = bytes.map_err(|e| unavailable("the blob store", e))?;
            held.push((record, bytes.to_vec()));
        }
        let records = uploads::records(&registry, &self.layout, &held, None, || {});
        let records = records_hash(&records.map_err(mismatch)?);
        output
            .evaluation(*hash, &self.layout, records, self.server)
            .map_err(|error| {
                tracing::warn!(%error, "an evaluation that is vouched for does not hold");
                CiphertextError::SumMismatch
            })
    }
}

impl Ciphertexts for PublicEvaluations {
    fn cube_sum(
        &self,
        dataset: u64,
        snapshot: u64,
        _cube: &[u8; 32],
    ) -> Result<Arc<CubeSum>, CiphertextError> {
        Err(CiphertextError::UnknownSnapshot { dataset, snapshot })
    }

    fn evaluation_approved(&self, query: &[u8; 32], evaluation: &[u8; 32]) -> bool {
        self.runtime.block_on(self.approved(query, evaluation))
    }

    fn evaluation(&self, evaluation: &[u8; 32]) -> Result<Arc<Evaluation>, CiphertextError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(evaluation) {
            return Ok(found.clone());
        }
        let made = Arc::new(self.runtime.block_on(self.make(evaluation))?);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(*evaluation, made.clone());
        Ok(made)
    }

    fn coin_subject(&self, _check: &[u8; 32]) -> Result<[u8; 32], CiphertextError> {
        Err(CiphertextError::UnknownCheck)
    }

    fn zero(
        &self,
        _check: &[u8; 32],
        _coin: &[u8; 32],
        _origin: &Origin,
        _excluded: &[usize],
    ) -> Result<Zero, CiphertextError> {
        Err(CiphertextError::UnknownCheck)
    }
}

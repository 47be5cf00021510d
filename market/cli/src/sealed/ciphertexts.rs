//! A holder's own view of the ciphertexts: it reads every upload, checks who vouched for it, and adds.

use super::checks::{self, CheckFolder, Ready};
use super::gather::{self, GatherError, Registry};
use super::held::{HeldSum, Included};
use super::link::Linked;
use super::roster::Seated;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use salus_blobs::{BlobError, BlobStore, ContentId};
use salus_committee::adhoc::Evaluation;
use salus_committee::ledger::{CiphertextError, Ciphertexts, Unavailable};
use salus_contracts::client::{Client, CommitteeId, CommitteeKind, DatasetId, SnapshotId};
use salus_contracts::primitives::B256;
use salus_cubes::check::{Origin, Zero};
use salus_cubes::sum::CubeSum;
use salus_cubes::upload::Upload;
use salus_schema::codebook::Codebook;
use salus_schema::cube::Cube;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Blobs read ahead.
const AHEAD: usize = 16;
/// Finished sums, and lists of members, kept in memory.
const KEPT_TABLES: usize = 32;
/// Checks kept ready: a batch is some 100 MB.
const KEPT_CHECKS: usize = 1;

/// A table: dataset, snapshot, cube.
type Table = (u64, u64, [u8; 32]);

/// The people of a snapshot and their uploads to one cube.
pub struct Members {
    /// Where uploads are signed for.
    pub registry: Registry,
    /// The people in the order of their places.
    pub seated: Vec<Seated>,
    /// Their uploads.
    pub included: Included,
}

/// What was made before and cannot change: a snapshot is fixed, and the first upload counts.
#[derive(Default)]
pub struct Kept {
    members: Mutex<HashMap<Table, Arc<Members>>>,
    sums: Mutex<HashMap<Table, Arc<CubeSum>>>,
    /// Checks made ready, the latest last.
    ready: Mutex<Vec<([u8; 32], Arc<Ready>)>>,
    /// The relations of the latest link, by statement, proof and masks.
    pub(super) link: Mutex<Option<(Vec<ContentId>, Arc<Linked>)>>,
}

/// Uploads that anyone can read, and the checks of them.
pub struct PublicUploads {
    /// The contracts.
    pub client: Client,
    /// The committee of this holder.
    pub committee: CommitteeId,
    /// Where blocking calls wait; they come from threads outside of it.
    pub runtime: Handle,
    /// The dataset's codebook with its cubes.
    pub codebook: Arc<Codebook>,
    /// The folder of `uploads.bin`.
    pub list: PathBuf,
    /// The ciphertexts.
    pub blobs: BlobStore,
    /// The holder's own folder for running sums.
    pub sums: PathBuf,
    /// Checks that may be asked for, when this holder takes part in them.
    pub checks: Option<CheckFolder>,
    /// What was made before.
    pub kept: Kept,
}

fn unavailable(what: &'static str, reason: impl std::fmt::Display) -> CiphertextError {
    CiphertextError::Unavailable(Unavailable {
        what,
        reason: reason.to_string(),
    })
}

fn gather_error(error: &GatherError) -> CiphertextError {
    match error {
        GatherError::Missing(_) => CiphertextError::SumMismatch,
        GatherError::List(e) => unavailable("the list of uploads", e),
    }
}

/// The upload with this hash.
///
/// # Errors
/// It is not there, or is no upload.
pub async fn upload(blobs: &BlobStore, digest: [u8; 32]) -> Result<Upload, CiphertextError> {
    let read: Result<Bytes, BlobError> = blobs.get(&ContentId::from_digest(digest)).await;
    let bytes = read.map_err(|e| match e {
        BlobError::Changed { .. } => CiphertextError::SumMismatch,
        other => unavailable("the blob store", other),
    })?;
    Upload::from_bytes(bytes.into()).map_err(|_| CiphertextError::SumMismatch)
}

/// Calls `each` with the uploads of these hashes, in order, a few of them in memory at a time.
///
/// # Errors
/// One is not there, or `each` fails.
pub async fn each_upload(
    blobs: &BlobStore,
    digests: &[[u8; 32]],
    mut each: impl FnMut(Upload) -> Result<(), CiphertextError>,
) -> Result<(), CiphertextError> {
    let mut found = stream::iter(digests.iter().copied())
        .map(|digest| upload(blobs, digest))
        .buffered(AHEAD);
    while let Some(upload) = found.next().await {
        each(upload?)?;
    }
    Ok(())
}

impl PublicUploads {
    fn registry(&self, dataset: u64) -> Option<Registry> {
        Some(Registry {
            chain: self.client.chain().id(),
            contract: self.client.deployment().registry,
            dataset: DatasetId(u32::try_from(dataset).ok()?),
        })
    }

    /// The dataset's number, if the registry can have it.
    pub fn dataset(&self, dataset: u64) -> Option<DatasetId> {
        Some(self.registry(dataset)?.dataset)
    }

    /// The cube of the codebook with this id.
    pub fn cube(&self, id: &[u8; 32]) -> Option<&Cube> {
        self.codebook.cubes().iter().find(|cube| cube.id() == *id)
    }

    /// The members of a snapshot and their uploads to a cube.
    ///
    /// # Errors
    /// The chain or the list cannot be read, the snapshot was not taken, or somebody's upload is missing.
    pub async fn members(
        &self,
        dataset: u64,
        snapshot: u64,
        cube: &[u8; 32],
    ) -> Result<Arc<Members>, CiphertextError> {
        let table = (dataset, snapshot, *cube);
        if let Some(found) = lock(&self.kept.members).get(&table) {
            return Ok(found.clone());
        }
        let unknown = || CiphertextError::UnknownSnapshot { dataset, snapshot };
        let registry = self.registry(dataset).ok_or_else(unknown)?;
        let number = u32::try_from(snapshot).map_err(|_| unknown())?;
        self.serves(registry.dataset, number).await?;
        let roster = gather::roster(&self.client, registry.dataset).await;
        let roster = roster.map_err(|e| unavailable("the chain", e))?;
        let seated = roster.at(number).ok_or_else(unknown)?;
        let included =
            gather::included(&registry, &seated, cube, &self.list).map_err(|e| gather_error(&e))?;
        let made = Arc::new(Members {
            registry,
            seated,
            included,
        });
        keep(&mut lock(&self.kept.members), table, made.clone());
        Ok(made)
    }

    /// The dataset has this codebook and named this holder's committee for the snapshot: nobody else's ciphertexts under the
    /// same key are touched, neither added up nor checked.
    async fn serves(&self, dataset: DatasetId, snapshot: u32) -> Result<(), CiphertextError> {
        let chain = |e| unavailable("the chain", e);
        let state = self.client.dataset(dataset).await.map_err(chain)?;
        let id = SnapshotId(snapshot);
        let kind = CommitteeKind::Cubes;
        let named = self.client.committee_of(dataset, id, kind).await;
        let ours = state.schema_hash == B256::from(self.codebook.hash())
            && named.map_err(chain)? == Some(self.committee);
        ours.then_some(()).ok_or(CiphertextError::UnknownSnapshot {
            dataset: u64::from(dataset.0),
            snapshot: u64::from(snapshot),
        })
    }

    async fn add_up(
        &self,
        dataset: u64,
        snapshot: u64,
        cube: &[u8; 32],
    ) -> Result<CubeSum, CiphertextError> {
        let unknown = || CiphertextError::UnknownSnapshot { dataset, snapshot };
        let declared = self.cube(cube).ok_or_else(unknown)?;
        let wanted = self
            .members(dataset, snapshot, cube)
            .await?
            .included
            .clone();

        let mut held = HeldSum::load(&self.sums, declared);
        let difference = held.difference(&wanted);
        let wrong = |_| CiphertextError::SumMismatch;
        let sum = &mut held.sum;
        each_upload(&self.blobs, &difference.add, |u| sum.add(&u).map_err(wrong)).await?;
        each_upload(&self.blobs, &difference.subtract, |u| {
            sum.subtract(&u).map_err(wrong)
        })
        .await?;
        held.included = wanted;
        let finished = held.sum.finish().map_err(wrong)?;
        // Not being able to keep it costs time later and nothing else.
        if let Err(error) = held.store(&self.sums, declared) {
            tracing::warn!(%error, "the running sum was not kept");
        }
        Ok(finished)
    }

    fn ready(&self, check: &[u8; 32]) -> Result<Arc<Ready>, CiphertextError> {
        // Held while a check is made ready: the requests of one check come at once.
        let mut ready = lock(&self.kept.ready);
        if let Some((_, found)) = ready.iter().find(|(id, _)| id == check) {
            return Ok(found.clone());
        }
        let folder = self.checks.as_ref().ok_or(CiphertextError::UnknownCheck)?;
        let made = Arc::new(
            self.runtime
                .block_on(checks::prepare(self, folder, check))?,
        );
        if ready.len() >= KEPT_CHECKS {
            ready.remove(0);
        }
        ready.push((*check, made.clone()));
        Ok(made)
    }
}

/// Keeps something; rather forgets all than grows for ever.
fn keep<T>(kept: &mut HashMap<Table, T>, table: Table, made: T) {
    if kept.len() >= KEPT_TABLES {
        kept.clear();
    }
    kept.insert(table, made);
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ciphertexts for PublicUploads {
    fn cube_sum(
        &self,
        dataset: u64,
        snapshot: u64,
        cube: &[u8; 32],
    ) -> Result<Arc<CubeSum>, CiphertextError> {
        let table = (dataset, snapshot, *cube);
        // Held while adding up: two requests for one table make it once.
        let mut made = lock(&self.kept.sums);
        if let Some(sum) = made.get(&table) {
            return Ok(sum.clone());
        }
        let sum = Arc::new(
            self.runtime
                .block_on(self.add_up(dataset, snapshot, cube))?,
        );
        keep(&mut made, table, sum.clone());
        Ok(sum)
    }

    fn evaluation_approved(&self, _query: &[u8; 32], _evaluation: &[u8; 32]) -> bool {
        false
    }

    fn evaluation(&self, _evaluation: &[u8; 32]) -> Result<Arc<Evaluation>, CiphertextError> {
        Err(CiphertextError::UnknownEvaluation)
    }

    fn coin_subject(&self, check: &[u8; 32]) -> Result<[u8; 32], CiphertextError> {
        Ok(*self.ready(check)?.subject())
    }

    fn zero(
        &self,
        check: &[u8; 32],
        coin: &[u8; 32],
        origin: &Origin,
        excluded: &[usize],
    ) -> Result<Zero, CiphertextError> {
        self.ready(check)?.derive(coin, origin, excluded)
    }
}

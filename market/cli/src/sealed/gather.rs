//! Which upload counts for whom in a snapshot, from the chain's roster and the public list of uploads.

use super::held::Included;
use super::roster::{Roster, Seated};
use super::uploads::{self, UploadRecord};
use crate::bundle::format::FormatError;
use salus_contracts::client::{ChainError, ChunkIndex, Client, DatasetId, EventBody, SlotIndex};
use salus_contracts::primitives::{Address, B256};
use salus_contracts::sealed::{SealedUpload, recover, sealed_upload_digest};
use std::collections::HashMap;
use std::path::Path;

/// Where uploads are signed for.
#[derive(Debug, Clone, Copy)]
pub struct Registry {
    /// EIP-155 chain id.
    pub chain: u64,
    /// The registry's address.
    pub contract: Address,
    /// The dataset.
    pub dataset: DatasetId,
}

/// Why the uploads of a snapshot are not complete.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] FormatError),
    /// A member has no upload that counts.
    #[error("the member in chunk {}, slot {} has no valid upload to this cube", .0.0, .0.1)]
    Missing((u32, u32)),
}

/// The roster of a dataset from a node's events.
///
/// # Errors
/// The node cannot be reached.
pub async fn roster(client: &Client, dataset: DatasetId) -> Result<Roster, ChainError> {
    let mut roster = Roster::new(dataset);
    let last = client.chain().block_number().await?;
    let blocks = client.deployment().block..=last;
    client
        .each_event(blocks, |event| {
            if let EventBody::Registry(event) = &event.body {
                roster.see(event);
            }
        })
        .await?;
    Ok(roster)
}

/// Whether the issuer that registered the member signed this upload for it.
pub fn counts(registry: &Registry, seated: &Seated, record: &UploadRecord) -> bool {
    let upload = SealedUpload {
        dataset: registry.dataset,
        member: record.member,
        chunk: ChunkIndex(record.chunk),
        slot: SlotIndex(record.slot),
        nonce: record.version,
        epoch: record.epoch,
        cube: B256::from(record.cube),
        ciphertext_hash: B256::from(record.digest),
    };
    let digest = sealed_upload_digest(registry.chain, registry.contract, &upload);
    record.member == seated.member
        && record.version == seated.version
        && recover(digest, &record.signature) == Some(seated.issuer)
}

/// The upload of every member of a snapshot to a cube. Of several valid ones the first counts: one upload per credential.
///
/// # Errors
/// [`GatherError`]: a sum that lacks a member, or has a stranger, is never made.
pub fn included(
    registry: &Registry,
    seated: &[Seated],
    cube: &[u8; 32],
    list: &Path,
) -> Result<Included, GatherError> {
    let by_place: HashMap<_, _> = seated.iter().map(|s| (s.place, s)).collect();
    let mut included = Included::new();
    uploads::each(list, |record| {
        let place = (record.chunk, record.slot);
        let Some(seated) = by_place.get(&place) else {
            return;
        };
        if record.cube == *cube
            && !included.contains_key(&place)
            && counts(registry, seated, &record)
        {
            included.insert(place, record.digest);
        }
    })?;
    match seated.iter().find(|s| !included.contains_key(&s.place)) {
        Some(missing) => Err(GatherError::Missing(missing.place)),
        None => Ok(included),
    }
}

//! Uploads of the ad-hoc path: made by members, vouched for by issuers like those to cubes, read by everybody.
//!
//! They stand in the same `uploads.bin`; in place of a cube's id there is the layout's hash. The list of an evaluation,
//! a blob: `"SLAHU"`, two zero bytes, version byte, then chunk u32, slot u32 and SHA-256 of each upload, by place.

use crate::bundle::format::FormatError;
use crate::sealed::gather::{Registry, counts};
use crate::sealed::roster::{Place, Seated};
use crate::sealed::uploads::{self, UploadRecord};
use rand::rngs::OsRng;
use rayon::prelude::*;
use salus_adhoc::keys::ClientMaterial;
use salus_adhoc::layout::Layout;
use salus_adhoc::upload::{Binding, MAX_UPLOAD_BYTES, Record, Upload, UploadError};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{ChunkIndex, SlotIndex};
use salus_contracts::primitives::B256;
use salus_contracts::sealed::{SealedUpload, sealed_upload_digest, sign};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const MAGIC: [u8; 8] = *b"SLAHU\0\0\x01";

/// Which upload counts for whom, by place.
pub type Included = BTreeMap<Place, UploadRecord>;

/// Why the records of a snapshot are not there.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] FormatError),
    /// A member has no upload that counts.
    #[error("the member in chunk {}, slot {} has no valid upload of this layout", .0.0, .0.1)]
    Missing(Place),
    /// An upload is none.
    #[error("the upload of chunk {}, slot {}: {source}", .place.0, .place.1)]
    Upload {
        /// Whose.
        place: Place,
        /// Why.
        source: UploadError,
    },
    /// The issuer's key failed.
    #[error("the issuer could not sign: {0}")]
    Sign(String),
}

/// What a member's proof is bound to.
fn binding(registry: &Registry, member: [u8; 20], epoch: u32, layout: &Layout) -> Binding {
    Binding {
        chain: registry.chain,
        contract: registry.contract.into_array(),
        dataset: u64::from(registry.dataset.0),
        member,
        epoch,
        layout: layout.hash(),
    }
}

/// Encrypts and proves one member's record, and has the issuer sign for it.
///
/// # Errors
/// The codes are no record, or a key fails.
pub fn make(
    registry: &Registry,
    client: &ClientMaterial,
    layout: &Layout,
    seated: &Seated,
    codes: &[u8],
    (issuer, epoch): (&PrivateKeySigner, u32),
) -> Result<(UploadRecord, Vec<u8>), RecordsError> {
    let binding = binding(registry, seated.member.into_array(), epoch, layout);
    let upload = Upload::prove(client, layout, codes, &binding, &mut OsRng);
    let bytes = upload
        .map_err(|source| RecordsError::Upload {
            place: seated.place,
            source,
        })?
        .to_bytes();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let (chunk, slot) = seated.place;
    let message = SealedUpload {
        dataset: registry.dataset,
        member: seated.member,
        chunk: ChunkIndex(chunk),
        slot: SlotIndex(slot),
        nonce: seated.version,
        epoch,
        cube: B256::from(layout.hash()),
        ciphertext_hash: B256::from(digest),
    };
    let message = sealed_upload_digest(registry.chain, registry.contract, &message);
    let signature = sign(issuer, message).map_err(|e| RecordsError::Sign(e.to_string()))?;
    let record = UploadRecord {
        chunk,
        slot,
        member: seated.member,
        version: seated.version,
        epoch,
        cube: layout.hash(),
        digest,
        signature,
    };
    Ok((record, bytes))
}

/// The upload of every member of a snapshot. Of several valid ones the first counts.
///
/// # Errors
/// The list cannot be read, or a member has none.
pub fn included(
    registry: &Registry,
    seated: &[Seated],
    layout: &Layout,
    folder: &Path,
) -> Result<Included, RecordsError> {
    let by_place: HashMap<_, _> = seated.iter().map(|s| (s.place, s)).collect();
    let mut included = Included::new();
    uploads::each(folder, |record| {
        let place = (record.chunk, record.slot);
        let ours = record.cube == layout.hash() && !included.contains_key(&place);
        if let Some(seated) = by_place.get(&place)
            && ours
            && counts(registry, seated, &record)
        {
            included.insert(place, record);
        }
    })?;
    match seated.iter().find(|s| !included.contains_key(&s.place)) {
        Some(missing) => Err(RecordsError::Missing(missing.place)),
        None => Ok(included),
    }
}

/// The bytes of the list of these uploads.
pub fn list(included: &Included) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for ((chunk, slot), record) in included {
        bytes.extend(chunk.to_be_bytes());
        bytes.extend(slot.to_be_bytes());
        bytes.extend(record.digest);
    }
    bytes
}

/// The records of these uploads, in order; with `client` their proofs are verified, some 0.1 s of CPU each.
///
/// # Errors
/// An upload does not decode, has another layout, or its proof does not hold.
///
/// # Security
/// Without `client` the records are good for their hash only.
pub fn records(
    registry: &Registry,
    layout: &Layout,
    held: &[(UploadRecord, Vec<u8>)],
    client: Option<&ClientMaterial>,
    done: impl Fn() + Sync,
) -> Result<Vec<Record>, RecordsError> {
    held.par_iter()
        .map(|(record, bytes)| {
            let wrong = |source| RecordsError::Upload {
                place: (record.chunk, record.slot),
                source,
            };
            if bytes.len() > MAX_UPLOAD_BYTES {
                return Err(wrong(UploadError::Kind));
            }
            let upload = Upload::from_bytes(bytes).map_err(wrong)?;
            let found = match client {
                Some(client) => {
                    let member = record.member.into_array();
                    let binding = binding(registry, member, record.epoch, layout);
                    upload.verify(client, layout, &binding).map_err(wrong)?
                }
                None => upload.assume_verified(),
            };
            done();
            Ok(found)
        })
        .collect()
}

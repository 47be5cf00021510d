//! The patients' side: every record encrypted once per cube, vouched for by its issuer, and put where anyone can add it up.

use super::attestations::AttestationWriter;
use super::gather::Registry;
use super::roster::Seated;
use super::uploads::{UploadRecord, UploadWriter};
use crate::bundle::format::FormatError;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::OsRng;
use rayon::prelude::*;
use salus_blobs::{BlobError, BlobStore};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{ChunkIndex, SlotIndex};
use salus_contracts::primitives::B256;
use salus_contracts::sealed::{SealedUpload, sealed_upload_digest, sign};
use salus_cubes::encrypt::{Attestation, EncryptError, Identity, encrypt_cell};
use salus_cubes::key::PublicKey;
use salus_cubes::upload::Upload;
use salus_schema::cube::Cube;

/// People whose ciphertexts are in memory at a time.
const BATCH: usize = 256;
/// Blobs written at once.
const WRITERS: usize = 16;

/// Why nobody's record was sealed any further.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A record has no cell in the cube: its codes are not those of the codebook.
    #[error("the record in chunk {}, slot {} has no cell in cube {cube}", place.0, place.1)]
    NoCell {
        /// Whose.
        place: (u32, u32),
        /// The cube's name.
        cube: String,
    },
    /// Encryption failed.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A list cannot be written.
    #[error(transparent)]
    List(#[from] FormatError),
    /// The issuer's key failed.
    #[error("the issuer could not sign: {0}")]
    Sign(String),
    /// Interrupted between two batches; everything up to there is on the disk.
    #[error("interrupted")]
    Interrupted,
}

/// Who an upload is from and to what, as its proofs bind it.
///
/// Holders, members and auditors derive it alike; an upload replayed under another name or dataset does not verify.
pub fn identity(registry: &Registry, seated: &Seated, cube: &[u8; 32]) -> Identity {
    Identity::of(&[
        &registry.chain.to_be_bytes(),
        registry.contract.as_slice(),
        &registry.dataset.0.to_be_bytes(),
        &seated.place.0.to_be_bytes(),
        &seated.place.1.to_be_bytes(),
        seated.member.as_slice(),
        &seated.version.to_be_bytes(),
        cube,
    ])
}

/// Where ciphertexts go.
pub struct Outbox<'a> {
    /// Ciphertexts.
    pub blobs: &'a BlobStore,
    /// Who uploaded what; public.
    pub list: &'a mut UploadWriter,
    /// What only holders see.
    pub attestations: &'a mut AttestationWriter,
    /// The issuer's key.
    pub issuer: &'a PrivateKeySigner,
    /// The dataset's epoch.
    pub epoch: u32,
}

/// Encrypts the records of `people` to one cube and files them. `codes(place)` gives a record's codes by physical column.
///
/// # Errors
/// [`SealError`]; what was filed before stays and is valid.
pub async fn seal(
    registry: &Registry,
    key: &PublicKey,
    cube: &Cube,
    people: &[Seated],
    codes: impl Fn((u32, u32)) -> Vec<u8> + Sync,
    out: &mut Outbox<'_>,
    mut progress: impl FnMut(usize) -> bool,
) -> Result<(), SealError> {
    let id = cube.id();
    let mut done = 0;
    for batch in people.chunks(BATCH) {
        let made: Vec<(Upload, Attestation)> = tokio::task::block_in_place(|| {
            batch
                .par_iter()
                .map(|seated| {
                    let cell = cube.cell_of_record(&codes(seated.place)).ok_or_else(|| {
                        SealError::NoCell {
                            place: seated.place,
                            cube: cube.name().to_owned(),
                        }
                    })?;
                    let who = identity(registry, seated, &id);
                    Ok(encrypt_cell(key, cube, cell, &who, &mut OsRng)?)
                })
                .collect::<Result<_, SealError>>()
        })?;
        let mut records = Vec::with_capacity(made.len());
        for (seated, (upload, attestation)) in batch.iter().zip(&made) {
            records.push(sign_record(registry, seated, id, upload.hash(), out)?);
            out.attestations.push(attestation)?;
        }
        stream::iter(made)
            .map(|(upload, _)| out.blobs.put(Bytes::from(upload.into_bytes())))
            .buffer_unordered(WRITERS)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        out.attestations.sync()?;
        // The list last: what it names is there.
        for record in &records {
            out.list.push(record)?;
        }
        out.list.sync()?;
        done += batch.len();
        if !progress(done) {
            return Err(SealError::Interrupted);
        }
    }
    Ok(())
}

fn sign_record(
    registry: &Registry,
    seated: &Seated,
    cube: [u8; 32],
    digest: [u8; 32],
    out: &Outbox<'_>,
) -> Result<UploadRecord, SealError> {
    let (chunk, slot) = seated.place;
    let upload = SealedUpload {
        dataset: registry.dataset,
        member: seated.member,
        chunk: ChunkIndex(chunk),
        slot: SlotIndex(slot),
        nonce: seated.version,
        epoch: out.epoch,
        cube: B256::from(cube),
        ciphertext_hash: B256::from(digest),
    };
    let message = sealed_upload_digest(registry.chain, registry.contract, &upload);
    let signature = sign(out.issuer, message).map_err(|e| SealError::Sign(e.to_string()))?;
    Ok(UploadRecord {
        chunk,
        slot,
        member: seated.member,
        version: seated.version,
        epoch: out.epoch,
        cube,
        digest,
        signature,
    })
}

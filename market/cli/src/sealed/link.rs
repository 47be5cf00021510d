//! The holder's side of a custodian's link: the proof is verified against the chain before anything is opened.

use super::checks::Ready;
use super::ciphertexts::{self, PublicUploads};
use crate::bundle::keys::read_basis;
use ark_bn254::G1Affine;
use bytes::Bytes;
use salus_blobs::ContentId;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::{LinkProof, LinkStatement, REPETITIONS, VerifiedLink, verify};
use salus_circuits::words::g1_from_words;
use salus_committee::ledger::{CiphertextError, Unavailable};
use salus_contracts::client::{ColumnIndex, SnapshotId};
use salus_cubes::check::Zero;
use salus_cubes::link::combine;
use salus_cubes::upload::Upload;
use salus_schema::cube::Cube;

fn unavailable(what: &'static str, reason: impl std::fmt::Display) -> CiphertextError {
    CiphertextError::Unavailable(Unavailable {
        what,
        reason: reason.to_string(),
    })
}

/// A link that is about the wrong thing, or that nobody proved.
const WRONG: CiphertextError = CiphertextError::SumMismatch;

async fn blob(own: &PublicUploads, id: &ContentId) -> Result<Bytes, CiphertextError> {
    let read = own.blobs.get(id).await;
    read.map_err(|e| unavailable("the blob store", e))
}

/// Weights of a cube's cells in one repetition.
pub fn cell_weights(link: &VerifiedLink, cube: &Cube, repetition: usize) -> Vec<i64> {
    (0..cube.cells())
        .map(|cell| {
            link.challenges()
                .centred_cell_weight(repetition, &cube.codes_of(cell))
        })
        .collect()
}

/// Verifies a link and derives the relation of one repetition.
///
/// # Errors
/// The proof does not hold for this chain's commitments and this snapshot's uploads.
pub async fn prepare(
    own: &PublicUploads,
    statement: &ContentId,
    proof: &ContentId,
    mask: &ContentId,
    repetition: u32,
) -> Result<Ready, CiphertextError> {
    let statement = LinkStatement::from_bytes(&blob(own, statement).await?).map_err(|_| WRONG)?;
    let proof = LinkProof::from_bytes(&blob(own, proof).await?).map_err(|_| WRONG)?;
    let mask = Upload::from_bytes(blob(own, mask).await?.into()).map_err(|_| WRONG)?;
    let repetition = repetition as usize;
    let announcement = statement.announcement();
    let context = *announcement.context();
    let (registry, _, included) = own
        .members(context.dataset, context.snapshot, &context.cube)
        .await?;
    let cube = own.cube(&context.cube).ok_or(WRONG)?;
    let here = context.chain_id == registry.chain
        && context.contract == registry.contract.into_array()
        && repetition < REPETITIONS
        && announcement.masks()[repetition].ciphertext == mask.hash();
    let places = included.iter().map(|((c, s), digest)| (*c, *s, *digest));
    let about = uploads_hash(places).map_err(|_| WRONG)?;
    if !here || *announcement.uploads() != about {
        return Err(WRONG);
    }
    check_commitments(own, &statement).await?;

    let basis = basis(own, context.dataset).await?;
    let link = tokio::task::block_in_place(|| verify(&basis, &statement, &proof));
    let link = link.map_err(|_| WRONG)?;
    let slots = announcement.slots();
    let chunks = announcement.commitments().len();
    let rho: Vec<Vec<u8>> = (0..chunks)
        .map(|chunk| link.challenges().members(repetition, chunk, slots))
        .collect();
    let mut rhos = Vec::with_capacity(included.len());
    let mut uploads = Vec::with_capacity(included.len());
    for ((chunk, slot), digest) in &included {
        let weight = rho
            .get(*chunk as usize)
            .and_then(|row| row.get(*slot as usize));
        rhos.push(*weight.ok_or(WRONG)?);
        uploads.push(ciphertexts::upload(&own.blobs, *digest).await?);
    }
    let weights = cell_weights(&link, cube, repetition);
    let value = link.values()[repetition];
    let form = combine(&uploads, &rhos, &weights, &mask, value).map_err(|_| WRONG)?;
    Ok(Ready::Link {
        subject: announcement.digest(),
        coin: *statement.coin(),
        zero: Zero::Form(form),
    })
}

/// The column commitments of the statement are those of the chain.
async fn check_commitments(
    own: &PublicUploads,
    statement: &LinkStatement,
) -> Result<(), CiphertextError> {
    let announcement = statement.announcement();
    let context = announcement.context();
    let columns: Vec<ColumnIndex> = announcement
        .columns()
        .iter()
        .copied()
        .map(ColumnIndex)
        .collect();
    let dataset = own.dataset(context.dataset).ok_or(WRONG)?;
    let snapshot = SnapshotId(u32::try_from(context.snapshot).map_err(|_| WRONG)?);
    let words = own
        .client
        .column_commitments(dataset, snapshot, &columns)
        .await
        .map_err(|e| unavailable("the chain", e))?;
    let points: Result<Vec<Vec<G1Affine>>, _> = words
        .iter()
        .map(|row| row.iter().map(g1_from_words).collect())
        .collect();
    if points.map_err(|_| WRONG)? == announcement.commitments() {
        Ok(())
    } else {
        Err(WRONG)
    }
}

/// The dataset's commitment key: slot bases from the public folder, held against the chain's root.
async fn basis(own: &PublicUploads, dataset: u64) -> Result<CommitmentKey, CiphertextError> {
    let id = own.dataset(dataset).ok_or(WRONG)?;
    let state = own.client.dataset(id).await;
    let state = state.map_err(|e| unavailable("the chain", e))?;
    let words = read_basis(&own.list).map_err(|e| unavailable("basis.bin", e))?;
    let points: Result<Vec<G1Affine>, _> = words.iter().map(g1_from_words).collect();
    let blinding = g1_from_words(&state.blinding).map_err(|_| WRONG)?;
    let key = CommitmentKey::new(points.map_err(|_| WRONG)?, blinding);
    if key.root() == state.basis_root.0 {
        Ok(key)
    } else {
        Err(WRONG)
    }
}

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
use salus_cubes::check::{Zero, ZeroForm};
use salus_cubes::link::Combiner;
use salus_cubes::upload::Upload;
use salus_schema::cube::Cube;
use std::sync::Arc;

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

/// A link that holds: what its coin was drawn for, the coin, and the relation of every repetition.
pub struct Linked {
    subject: [u8; 32],
    coin: [u8; 32],
    forms: Vec<ZeroForm>,
}

/// One repetition of a link, verified.
///
/// # Errors
/// The proof does not hold for this chain's commitments and this snapshot's uploads.
pub async fn prepare(
    own: &PublicUploads,
    statement: &ContentId,
    proof: &ContentId,
    masks: &[ContentId],
    repetition: u32,
) -> Result<Ready, CiphertextError> {
    let kept = ciphertexts::lock(&own.kept.link).clone();
    let parts: Vec<ContentId> = [statement, proof]
        .into_iter()
        .chain(masks)
        .copied()
        .collect();
    let linked = match kept {
        Some((of, linked)) if of == parts => linked,
        _ => {
            let made = Arc::new(verified(own, statement, proof, masks).await?);
            *ciphertexts::lock(&own.kept.link) = Some((parts, made.clone()));
            made
        }
    };
    let form = linked.forms.get(repetition as usize).ok_or(WRONG)?;
    Ok(Ready::Link {
        subject: linked.subject,
        coin: linked.coin,
        zero: Zero::Form(form.clone()),
    })
}

/// Verifies a link and derives the relations of all repetitions in one pass over the uploads.
async fn verified(
    own: &PublicUploads,
    statement: &ContentId,
    proof: &ContentId,
    masks: &[ContentId],
) -> Result<Linked, CiphertextError> {
    let statement = LinkStatement::from_bytes(&blob(own, statement).await?).map_err(|_| WRONG)?;
    let proof = LinkProof::from_bytes(&blob(own, proof).await?).map_err(|_| WRONG)?;
    let announcement = statement.announcement();
    let context = *announcement.context();
    let known = own
        .members(context.dataset, context.snapshot, &context.cube)
        .await?;
    let cube = own.cube(&context.cube).ok_or(WRONG)?;
    let here = context.chain_id == known.registry.chain
        && context.contract == known.registry.contract.into_array()
        && announcement.modulus() == cube.modulus().modulus()
        && announcement
            .columns()
            .iter()
            .eq(cube.columns().iter().map(|c| &c.0))
        && masks.len() == REPETITIONS;
    let places = known.included.iter();
    let about = uploads_hash(places.map(|((c, s), digest)| (*c, *s, *digest)));
    if !here || *announcement.uploads() != about.map_err(|_| WRONG)? {
        return Err(WRONG);
    }
    let mut ciphers = Vec::with_capacity(REPETITIONS);
    for (mask, announced) in masks.iter().zip(announcement.masks()) {
        let cipher = Upload::from_bytes(blob(own, mask).await?.into()).map_err(|_| WRONG)?;
        if cipher.hash() != announced.ciphertext {
            return Err(WRONG);
        }
        ciphers.push(cipher);
    }
    check_commitments(own, &statement).await?;
    let basis = basis(own, context.dataset).await?;
    let link = tokio::task::block_in_place(|| verify(&basis, &statement, &proof));
    let link = link.map_err(|_| WRONG)?;

    let slots = announcement.slots();
    let chunks = announcement.commitments().len();
    let rhos: Vec<Vec<Vec<u8>>> = (0..REPETITIONS)
        .map(|repetition| {
            (0..chunks)
                .map(|chunk| link.challenges().members(repetition, chunk, slots))
                .collect()
        })
        .collect();
    let digests: Vec<[u8; 32]> = known.included.values().copied().collect();
    let mut at = known.included.keys();
    let mut combiners: Vec<Combiner> = ciphers.iter().map(Combiner::new).collect();
    ciphertexts::each_upload(&own.blobs, &digests, |upload| {
        let &(chunk, slot) = at.next().ok_or(WRONG)?;
        for (combiner, rho) in combiners.iter_mut().zip(&rhos) {
            let row = rho.get(chunk as usize).ok_or(WRONG)?;
            let weight = row.get(slot as usize).ok_or(WRONG)?;
            combiner.add(&upload, *weight).map_err(|_| WRONG)?;
        }
        Ok(())
    })
    .await?;
    let forms = combiners.into_iter().zip(&ciphers).enumerate();
    let forms = forms.map(|(repetition, (combiner, mask))| {
        let weights = cell_weights(&link, cube, repetition);
        combiner.finish(&weights, mask, link.values()[repetition])
    });
    Ok(Linked {
        subject: announcement.digest(),
        coin: *statement.coin(),
        forms: forms.collect::<Result<_, _>>().map_err(|_| WRONG)?,
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

//! A batch of registrations against everything that does not depend on who registered before.

use super::Depth;
use super::fault::Fault;
use ark_bn254::G1Affine;
use ark_ec::AffineRepr;
use rayon::prelude::*;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::registration::{BatchItem, OpeningProof, Seat, verify_batch};
use salus_circuits::words::{Word, field_from_word, g1_from_words};
use salus_contracts::client::{ChunkIndex, DatasetId, Registration};
use salus_contracts::consent::{Consent, commitments_hash};
use salus_contracts::history::signer;
use salus_contracts::primitives::{Address, B256};

/// What a dataset asks of every registration.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The registry.
    pub registry: Address,
    /// The dataset.
    pub dataset: DatasetId,
    /// The chunk.
    pub chunk: ChunkIndex,
    /// Physical columns.
    pub columns: usize,
    /// Slots per chunk.
    pub slots: u32,
    /// Levels of the tree of slot bases.
    pub depth: usize,
    /// Its root.
    pub root: Word,
    /// Blinding base H.
    pub blinding: G1Affine,
    /// Purposes that every consent must cover.
    pub purposes: B256,
    /// Present epoch.
    pub epoch: u32,
    /// Slot bases of basis.bin, if this is the bundle's dataset.
    pub bases: Option<&'a [[Word; 2]]>,
}

/// A registration that passed.
pub struct Checked {
    /// Its commitments.
    pub commitments: Vec<G1Affine>,
    /// Their hash.
    pub hash: B256,
    /// Epoch of its lapse.
    pub expiry: u32,
}

/// What the batch product needs of a registration.
struct Opening {
    basis: G1Affine,
    proof: OpeningProof,
}

/// Checks a batch; `seed` must bind it, as the hash of its transaction does.
///
/// # Errors
/// The first registration that does not hold.
pub fn check(
    batch: &[Registration],
    terms: &Terms<'_>,
    depth: Depth,
    seed: &Word,
) -> Result<Vec<Checked>, Fault> {
    let parsed: Vec<(Checked, Option<Opening>)> = batch
        .par_iter()
        .map(|member| one(member, terms, depth))
        .collect::<Result<_, _>>()?;
    let items: Vec<BatchItem<'_>> = batch
        .iter()
        .zip(&parsed)
        .filter_map(|(member, (checked, opening))| {
            opening.as_ref().map(|opening| BatchItem {
                seat: seat(member, terms),
                basis: opening.basis,
                commitments: &checked.commitments,
                proof: opening.proof,
            })
        })
        .collect();
    // One product per core: sums of a few hundred points do not divide well within.
    let share = items.len().div_ceil(rayon::current_num_threads()).max(8);
    items
        .par_chunks(share)
        .map(|items| verify_batch(items, &terms.blinding, seed))
        .collect::<Result<Vec<()>, _>>()?;
    Ok(parsed.into_iter().map(|(checked, _)| checked).collect())
}

fn seat(member: &Registration, terms: &Terms<'_>) -> Seat {
    Seat {
        chain_id: terms.chain_id,
        registry: terms.registry.into_array(),
        dataset: u64::from(terms.dataset.0),
        chunk: terms.chunk.0,
        slot: member.slot.0,
        member: member.member.into_array(),
    }
}

fn one(
    member: &Registration,
    terms: &Terms<'_>,
    depth: Depth,
) -> Result<(Checked, Option<Opening>), Fault> {
    let fault = |rule| Fault::Slot {
        rule,
        chunk: terms.chunk.0,
        slot: member.slot.0,
    };
    let ensure = |kept: bool, rule| if kept { Ok(()) } else { Err(fault(rule)) };
    ensure(member.slot.0 < terms.slots, "SlotOutOfRange")?;
    ensure(
        member.commitments.len() == terms.columns,
        "WrongColumnCount",
    )?;
    let expiry = u32::try_from(member.expiry_epoch).map_err(|_| fault("ExpiryOutOfRange"))?;
    ensure(expiry > terms.epoch, "ExpiryOutOfRange")?;
    ensure(
        member.purposes & terms.purposes == terms.purposes,
        "PurposesNotCovered",
    )?;
    let point = |words: &[Word; 2]| match g1_from_words(words) {
        Ok(point) if !point.is_zero() => Ok(point),
        _ => Err(fault("InvalidPoint")),
    };
    let commitments = member
        .commitments
        .iter()
        .map(point)
        .collect::<Result<Vec<_>, _>>()?;
    let hash = commitments_hash(&member.commitments);
    if let Some(bases) = terms.bases
        && bases.get(member.slot.0 as usize) != Some(&member.basis)
    {
        return Err(Fault::SlotBase {
            chunk: terms.chunk.0,
            slot: member.slot.0,
        });
    }
    let checked = Checked {
        commitments,
        hash,
        expiry,
    };
    if depth == Depth::Answers {
        return Ok((checked, None));
    }
    let basis = point(&member.basis)?;
    let path: Vec<Word> = member.path.iter().map(|node| node.0).collect();
    let led = path.len() == terms.depth
        && CommitmentKey::verify_path(&terms.root, member.slot.0 as usize, &basis, &path);
    ensure(led, "WrongSlotBase")?;
    let scalar = |word: &Word| field_from_word(word).map_err(|_| fault("NonCanonicalScalar"));
    let proof = OpeningProof {
        r: point(&member.proof.r)?,
        s1: scalar(&member.proof.s1)?,
        s2: scalar(&member.proof.s2)?,
    };
    let consent = Consent {
        dataset: terms.dataset,
        chunk: terms.chunk,
        slot: member.slot,
        purposes: member.purposes,
        expiry_epoch: member.expiry_epoch,
        commitments_hash: hash,
        payout_id: member.payout_id,
        nonce: member.nonce,
    };
    let signed = signer(
        consent.digest(terms.chain_id, terms.registry),
        &member.signature,
    );
    ensure(signed == Some(member.member), "ConsentRejected")?;
    Ok((checked, Some(Opening { basis, proof })))
}

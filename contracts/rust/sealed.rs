//! What the sealed path signs: a key holder's acceptance, a committee's answer, an issuer's upload.
//!
//! Source: EIP-712. Acceptances are for the domain "Salus Committee" of the committee contract, answers for "Salus
//! QueryMarket" of the market, uploads for "Salus" of the registry; all of version "1" and of one chain.

use crate::{
    bindings::{ICommittee, IQueryMarket::PassResult},
    client::{
        ChunkIndex, CommitteeId, CommitteeKind, DatasetId, NewCommittee, PassValues, QueryId,
        SlotIndex, SnapshotId,
    },
    words::word,
};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain},
};
use std::collections::BTreeMap;

pub use crate::history::signer as recover;

mod message {
    #![allow(missing_docs)]
    alloy::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct CommitteeAcceptance {
            uint8 kind;
            uint8 threshold;
            bytes32 keyHash;
            address[] members;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct SealedAnswer {
            bytes32 queryId;
            uint256 datasetId;
            uint256 snapshotId;
            bytes32 committeeId;
            bytes32 ciphertextHash;
            bytes32 planHash;
            bytes32 resultsHash;
            bytes32 releaseHash;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct SealedUpload {
            uint256 datasetId;
            address member;
            uint32 chunk;
            uint32 slot;
            uint256 nonce;
            uint32 epoch;
            bytes32 cubeId;
            bytes32 ciphertextHash;
        }
    }
}

/// What a committee vouches for with its signatures.
///
/// # Security
/// A holder signs at most one answer per query and remembers it across restarts: two different ones by the same key are
/// an equivocation that anyone can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedAnswer {
    /// The query.
    pub query: QueryId,
    /// Its dataset.
    pub dataset: DatasetId,
    /// The snapshot it was asked of.
    pub snapshot: SnapshotId,
    /// The committee.
    pub committee: CommitteeId,
    /// Hash over the ciphertexts that were opened.
    pub ciphertext_hash: B256,
    /// Hash of the plan bytes.
    pub plan_hash: B256,
    /// [`results_hash`] of what is published.
    pub results_hash: B256,
    /// [`release_hash`] of the dataset's limits.
    pub release_hash: B256,
}

impl From<&SealedAnswer> for ICommittee::SealedAnswer {
    fn from(answer: &SealedAnswer) -> Self {
        Self {
            queryId: answer.query.0,
            datasetId: U256::from(answer.dataset.0),
            snapshotId: U256::from(answer.snapshot.0),
            committeeId: answer.committee.0,
            ciphertextHash: answer.ciphertext_hash,
            planHash: answer.plan_hash,
            resultsHash: answer.results_hash,
            releaseHash: answer.release_hash,
        }
    }
}

/// An issuer's word for one member's ciphertext of one cube.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedUpload {
    /// The dataset.
    pub dataset: DatasetId,
    /// The member.
    pub member: Address,
    /// The member's chunk.
    pub chunk: ChunkIndex,
    /// The member's slot.
    pub slot: SlotIndex,
    /// Nonce of the consent that it belongs to.
    pub nonce: u16,
    /// Epoch of the dataset in which it was made.
    pub epoch: u32,
    /// The cube.
    pub cube: B256,
    /// SHA-256 of the upload's bytes, the digest of its content id.
    pub ciphertext_hash: B256,
}

/// Id of a committee on every chain: the EIP-712 struct hash of its content.
pub fn committee_id(committee: &NewCommittee) -> CommitteeId {
    CommitteeId(acceptance(committee).eip712_hash_struct())
}

/// What each member signs to be part of a committee registered at `contract`.
pub fn committee_acceptance_digest(
    chain_id: u64,
    contract: Address,
    committee: &NewCommittee,
) -> B256 {
    acceptance(committee).eip712_signing_hash(&domain("Salus Committee", chain_id, contract))
}

fn acceptance(committee: &NewCommittee) -> message::CommitteeAcceptance {
    message::CommitteeAcceptance {
        kind: committee.kind.code(),
        threshold: committee.threshold,
        keyHash: committee.key_hash,
        members: committee.members.clone(),
    }
}

/// What a committee's members sign for an answer that the market at `market` is to accept.
pub fn sealed_answer_digest(chain_id: u64, market: Address, answer: &SealedAnswer) -> B256 {
    reported_answer_digest(chain_id, market, &answer.into())
}

/// As [`sealed_answer_digest`], for an answer as a report of equivocation carries it, which may be about any number.
pub fn reported_answer_digest(
    chain_id: u64,
    market: Address,
    answer: &ICommittee::SealedAnswer,
) -> B256 {
    message::SealedAnswer {
        queryId: answer.queryId,
        datasetId: answer.datasetId,
        snapshotId: answer.snapshotId,
        committeeId: answer.committeeId,
        ciphertextHash: answer.ciphertextHash,
        planHash: answer.planHash,
        resultsHash: answer.resultsHash,
        releaseHash: answer.releaseHash,
    }
    .eip712_signing_hash(&domain("Salus QueryMarket", chain_id, market))
}

/// What an issuer signs for an upload to a dataset of the registry at `registry`.
pub fn sealed_upload_digest(chain_id: u64, registry: Address, upload: &SealedUpload) -> B256 {
    message::SealedUpload {
        datasetId: U256::from(upload.dataset.0),
        member: upload.member,
        chunk: upload.chunk.0,
        slot: upload.slot.0,
        nonce: U256::from(upload.nonce),
        epoch: upload.epoch,
        cubeId: upload.cube,
        ciphertextHash: upload.ciphertext_hash,
    }
    .eip712_signing_hash(&domain("Salus", chain_id, registry))
}

/// Hash of the published values as the market computes it: keccak256(abi.encode(PassResult[])).
pub fn results_hash(passes: &[PassValues]) -> B256 {
    let results: Vec<PassResult> = passes.iter().map(pass).collect();
    keccak256(results.abi_encode())
}

/// Hash of a dataset's release limits: keccak256(abi.encode(uint256 minCohort, uint256 minCell)).
pub fn release_hash(min_cohort: u32, min_cell: u32) -> B256 {
    keccak256((U256::from(min_cohort), U256::from(min_cell)).abi_encode_params())
}

/// Signs a digest of this module: r, s, v with low s and v 27 or 28.
///
/// # Errors
/// The signer fails.
pub fn sign(key: &PrivateKeySigner, digest: B256) -> Result<[u8; 65], alloy::signers::Error> {
    Ok(key.sign_hash_sync(&digest)?.as_bytes())
}

/// The signatures over `digest` in the order that the market wants, ascending by signer; void ones and repetitions are
/// left out.
pub fn by_signer(
    digest: B256,
    signatures: impl IntoIterator<Item = [u8; 65]>,
) -> Vec<(Address, [u8; 65])> {
    let signed: BTreeMap<Address, [u8; 65]> = signatures
        .into_iter()
        .filter_map(|signature| recover(digest, &signature).map(|signer| (signer, signature)))
        .collect();
    signed.into_iter().collect()
}

pub(crate) fn pass(values: &PassValues) -> PassResult {
    PassResult {
        mask: values.mask,
        rho: word(values.rho),
        values: values.values.iter().copied().map(word).collect(),
    }
}

fn domain(name: &'static str, chain_id: u64, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: name,
        version: "1",
        chain_id: chain_id,
        verifying_contract: contract,
    }
}

impl CommitteeKind {
    /// The contract's number for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Cubes => 1,
            Self::AdHoc => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Cubes),
            2 => Some(Self::AdHoc),
            _ => None,
        }
    }
}

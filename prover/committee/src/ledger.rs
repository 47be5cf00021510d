//! What a holder asks of others: the chain, the ciphertexts and the signer. Implemented by the caller, so that this package
//! knows no chain and no storage.

use std::sync::Arc;

use salus_cubes::check::{Origin, Zero};
use salus_cubes::sum::CubeSum;
use salus_schema::codebook::Codebook;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::adhoc::Evaluation;
use crate::answer::{SealedAnswer, Signature};
use crate::noise::NoisePolicy;

/// An Ethereum address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address(pub [u8; 20]);

/// A market contract on a chain: openings on one market say nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Market {
    /// The chain.
    pub chain: u64,
    /// The query market's contract.
    pub contract: Address,
}

/// The other side cannot be reached now; asking again later may help.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} cannot be reached: {reason}")]
pub struct Unavailable {
    /// What.
    pub what: &'static str,
    /// Why; no secrets, it is logged.
    pub reason: String,
}

/// Where a query stands on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// The chain has no such query, or its escrow is empty.
    NotFunded,
    /// Funded and waiting for an answer.
    Open,
    /// Answered, cancelled or refunded.
    Closed,
}

/// What the chain says of a query.
#[derive(Clone, Debug)]
pub struct QueryFacts {
    /// Where it stands.
    pub state: QueryState,
    /// True when its deadline is over.
    pub expired: bool,
    /// Keccak of the plan that was paid for.
    pub plan_hash: [u8; 32],
    /// The dataset.
    pub dataset: u64,
    /// The snapshot of the dataset's members.
    pub snapshot: u64,
    /// Members of the snapshot.
    pub members: u64,
    /// The committee that the dataset names.
    pub committee: [u8; 32],
    /// The smallest number of people an answer may be about.
    pub min_cohort: u64,
    /// The smallest count that may be published.
    pub min_cell: u64,
    /// The dataset's codebook.
    pub codebook: Arc<Codebook>,
    /// Noise that the release rule demands; `None` for exact release with suppression.
    pub noise: Option<NoisePolicy>,
}

/// The holder's own view of the chain. Never the caller's.
pub trait Ledger: Send + Sync {
    /// The market that this ledger reads.
    fn market(&self) -> Market;

    /// What the chain says of a query, by its id; [`QueryState::NotFunded`] for one it does not know.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn query(&self, query: &[u8; 32]) -> Result<QueryFacts, Unavailable>;
}

/// Why there are no ciphertexts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CiphertextError {
    #[error("snapshot {snapshot} of dataset {dataset} is not here")]
    UnknownSnapshot { dataset: u64, snapshot: u64 },
    #[error("the uploads of the snapshot do not add up to its sum")]
    SumMismatch,
    #[error("this evaluation is not here")]
    UnknownEvaluation,
    #[error("this check is not known")]
    UnknownCheck,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The holder's own view of the ciphertexts.
///
/// # Security
/// An implementation that takes a sum from somebody else, instead of adding the members' uploads itself, lets that somebody
/// have a single patient's record opened.
pub trait Ciphertexts: Send + Sync {
    /// The sum of a snapshot's uploads to a cube, which this holder added up itself.
    ///
    /// # Errors
    /// If the snapshot is not known or the uploads are not there.
    fn cube_sum(
        &self,
        dataset: u64,
        snapshot: u64,
        cube: &[u8; 32],
    ) -> Result<Arc<CubeSum>, CiphertextError>;

    /// True when this holder, or enough evaluators it trusts, recomputed these ciphertexts for this query.
    fn evaluation_approved(&self, query: &[u8; 32], evaluation: &[u8; 32]) -> bool;

    /// The ciphertexts of an evaluation, whose hash the implementation has checked.
    ///
    /// # Errors
    /// If they are not here.
    fn evaluation(&self, evaluation: &[u8; 32]) -> Result<Arc<Evaluation>, CiphertextError>;

    /// What the coin of an upload check is drawn for: a hash that fixes everything which the check is about.
    ///
    /// # Errors
    /// If the check is not known.
    fn coin_subject(&self, check: &[u8; 32]) -> Result<[u8; 32], CiphertextError>;

    /// What `origin` of an upload check has open to zero, derived here from the uploads, the attestations and the
    /// committee's coin for [`Ciphertexts::coin_subject`]; `excluded` are positions found to cheat before.
    ///
    /// See `salus_cubes::check::Batch::derive`. For a custodian's link: `salus_cubes::link::combine` of the proven value.
    ///
    /// # Errors
    /// If the check is not known, or `origin` names nothing of it.
    fn zero(
        &self,
        check: &[u8; 32],
        coin: &[u8; 32],
        origin: &Origin,
        excluded: &[usize],
    ) -> Result<Zero, CiphertextError>;
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the answer was not signed: {reason}")]
pub struct SignerError {
    /// Why; no secrets.
    pub reason: String,
}

/// Signs answers with the holder's secp256k1 key as EIP-712 `SealedAnswer`, and reads the signer off a signature.
pub trait Signer: Send + Sync {
    /// The holder's address.
    fn address(&self) -> Address;

    /// The signature of an answer.
    ///
    /// # Errors
    /// If the signer fails.
    fn sign(&self, answer: &SealedAnswer) -> Result<Signature, SignerError>;

    /// Whose signature this is, if it is one.
    fn signer_of(&self, answer: &SealedAnswer, signature: &Signature) -> Option<Address>;
}

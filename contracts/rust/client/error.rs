//! Why a chain operation did not happen.

use super::{DatasetId, SnapshotId};
use alloy::{
    dyn_abi::{DynSolValue, JsonAbiExt},
    json_abi::{ContractObject, Error as AbiError},
    primitives::{Address, B256, Bytes, Selector, TxHash, hex},
    sol_types::{Panic, Revert as RevertString, SolError},
    transports::{RpcError, TransportError, TransportErrorKind},
};
use std::{collections::HashMap, fmt, sync::OnceLock, time::Duration};

/// A contract of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contract {
    /// Datasets, members and commitments.
    CohortRegistry,
    /// Escrow.
    QueryMarket,
    /// Proof verification.
    AnswerVerifier,
    /// Member rewards.
    RewardPool,
    /// Decides who may claim.
    ClaimVerifier,
    /// Key holders of the sealed path.
    Committee,
    /// Payment token.
    Token,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CohortRegistry => "CohortRegistry",
            Self::QueryMarket => "QueryMarket",
            Self::AnswerVerifier => "AnswerVerifier",
            Self::RewardPool => "RewardPool",
            Self::ClaimVerifier => "ClaimVerifier",
            Self::Committee => "Committee",
            Self::Token => "Token",
        })
    }
}

/// A decoded revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// The contract that declares the error; the called one if the error is unknown.
    pub contract: Contract,
    /// Name of the error; `Error` and `Panic` for Solidity's own, `unknown` if no artifact declares it.
    pub error: String,
    /// Names and values of its arguments.
    pub args: Vec<(String, String)>,
    /// As returned.
    pub data: Bytes,
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}(", self.contract, self.error)?;
        for (index, (name, value)) in self.args.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            if name.is_empty() {
                write!(f, "{comma}{value}")?;
            } else {
                write!(f, "{comma}{name}: {value}")?;
            }
        }
        f.write_str(")")
    }
}

/// Whose doing a failure is; decides exit codes and HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A rule of the dataset, the escrow or a role says no.
    Refused,
    /// Bad input or cheating: a proof, signature or encoding is wrong.
    Invalid,
    /// Our side, the node or the network.
    Failed,
}

/// Why a chain operation did not happen. Except for [`ChainError::NotConfirmed`], nothing was changed on chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A contract refused. Gas was spent only if the transaction is named.
    #[error("{revert}")]
    Reverted {
        /// What it said.
        revert: Box<Revert>,
        /// The mined transaction, if it reverted in a block rather than in the estimate.
        transaction: Option<TxHash>,
    },
    /// The node did not take the transaction or the call.
    #[error("the node refused ({code}): {message}")]
    Rejected {
        /// JSON-RPC code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The node could not be reached or answered nonsense.
    #[error("cannot talk to the node: {0}")]
    Transport(#[source] Box<RpcError<TransportErrorKind>>),
    /// The URL is no HTTP address.
    #[error("not an RPC address: {url}: {detail}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The node serves another chain than the deployment was made on.
    #[error("the node serves chain {found}, the deployment is on chain {expected}")]
    WrongChain {
        /// The deployment's.
        expected: u64,
        /// The node's.
        found: u64,
    },
    /// No receipt in time; the transaction may still be mined.
    #[error("transaction {transaction} was not confirmed within {} s", waited.as_secs())]
    NotConfirmed {
        /// The transaction.
        transaction: TxHash,
        /// Time waited.
        waited: Duration,
    },
    /// There is no contract where one should be.
    #[error("no contract at {address} ({contract})")]
    NoContract {
        /// Expected.
        contract: Contract,
        /// Where.
        address: Address,
    },
    /// A reply of a contract does not decode.
    #[error("{contract} answered something that does not decode: {detail}")]
    Reply {
        /// Who.
        contract: Contract,
        /// What the decoder said.
        detail: String,
    },
    /// The deployment was made before there were sealed answers.
    #[error("this deployment has no committee contract, so it takes no sealed answers")]
    NoSealedPath,
    /// No answered query of the snapshot waits to be settled.
    #[error("nothing to settle for snapshot {snapshot} of dataset {dataset}")]
    NothingToSettle {
        /// The dataset.
        dataset: DatasetId,
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// A mined transaction lacks the event that it must emit.
    #[error("transaction {transaction} did not emit {event}")]
    MissingEvent {
        /// The event.
        event: &'static str,
        /// The transaction.
        transaction: TxHash,
    },
    /// A number on chain is larger than the protocol allows.
    #[error("{what} out of range: {value}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The transaction could not be signed.
    #[error("cannot sign: {0}")]
    Signing(#[from] alloy::signers::Error),
    /// The node does not know a transaction.
    #[error("unknown transaction {transaction}")]
    UnknownTransaction {
        /// Its hash.
        transaction: TxHash,
    },
    /// The node does not know a block.
    #[error("unknown block {block}")]
    UnknownBlock {
        /// Its number.
        block: u64,
    },
    /// A node returned a transaction that does not hash to what was asked for.
    #[error("the node returned other bytes for transaction {expected}: they hash to {found}")]
    WrongTransaction {
        /// Asked for.
        expected: B256,
        /// Hash of what came.
        found: B256,
    },
}

impl From<TransportError> for ChainError {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => Self::Rejected {
                code: payload.code,
                message: payload.message.into_owned(),
            },
            other => Self::Transport(Box::new(other)),
        }
    }
}

/// Errors that say the caller sent something wrong; every other declared error is a refusal.
const INVALID: &[&str] = &[
    "AcceptanceRejected",
    "AddressEmptyCode",
    "CircuitMismatch",
    "ClaimRejected",
    "CommitmentsMismatch",
    "ConsentRejected",
    "ECDSAInvalidSignature",
    "ECDSAInvalidSignatureLength",
    "ECDSAInvalidSignatureS",
    "ERC2612InvalidSigner",
    "InvalidAmount",
    "InvalidCommittee",
    "InvalidMask",
    "InvalidParams",
    "InvalidPoint",
    "KnowledgeProofRejected",
    "MalformedCircuit",
    "MalformedPlan",
    "MalformedSignatures",
    "NonCanonicalScalar",
    "NotCommitteeMember",
    "NotEquivocation",
    "OpeningRejected",
    "PlanHashMismatch",
    "ProofRejected",
    "SignatureRejected",
    "SignersOutOfOrder",
    "TooFewSignatures",
    "UnexpectedValue",
    "WrongColumnCount",
    "WrongCount",
    "WrongSlotBase",
];

impl ChainError {
    /// Whose doing it is.
    pub fn family(&self) -> Family {
        match self {
            Self::Reverted { revert, .. } => match revert.error.as_str() {
                "unknown" | "Panic" => Family::Failed,
                error if INVALID.contains(&error) => Family::Invalid,
                _ => Family::Refused,
            },
            Self::BadUrl { .. }
            | Self::WrongChain { .. }
            | Self::NoSealedPath
            | Self::NothingToSettle { .. } => Family::Refused,
            Self::OutOfRange { .. } | Self::WrongTransaction { .. } => Family::Invalid,
            _ => Family::Failed,
        }
    }

    /// The decoded revert, if this is one.
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted { revert, .. } => Some(revert),
            _ => None,
        }
    }

    /// Name of the error that a contract raised, if this is a revert.
    pub fn revert_name(&self) -> Option<&str> {
        self.revert().map(|revert| revert.error.as_str())
    }

    /// Turns a node's reply to a call of `contract` into a revert where it carries revert data.
    pub(crate) fn from_call(contract: Contract, error: TransportError) -> Self {
        let data = match &error {
            RpcError::ErrorResp(payload) => payload
                .as_revert_data()
                .or_else(|| (payload.code == 3).then(Bytes::new)),
            _ => None,
        };
        match data {
            Some(data) => Self::reverted(contract, data, None),
            None => error.into(),
        }
    }

    pub(crate) fn reverted(contract: Contract, data: Bytes, transaction: Option<TxHash>) -> Self {
        Self::Reverted {
            revert: Box::new(decode(contract, data)),
            transaction,
        }
    }
}

type Table = HashMap<Selector, Vec<(Contract, AbiError)>>;

/// All errors that the artifacts declare.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        for (contract, json) in crate::deploy::artifacts() {
            let object: ContractObject = serde_json::from_str(json)
                .expect("the bindings were generated from the same artifact at compile time");
            for error in object
                .abi
                .iter()
                .flat_map(|abi| abi.errors.values().flatten())
            {
                table
                    .entry(error.selector())
                    .or_default()
                    .push((contract, error.clone()));
            }
        }
        table
    })
}

fn decode(called: Contract, data: Bytes) -> Revert {
    let plain = |error: &str, args| Revert {
        contract: called,
        error: error.to_owned(),
        args,
        data: data.clone(),
    };
    if let Ok(revert) = RevertString::abi_decode(&data) {
        return plain("Error", vec![("reason".to_owned(), revert.reason)]);
    }
    if let Ok(panic) = Panic::abi_decode(&data) {
        return plain("Panic", vec![("code".to_owned(), panic.code.to_string())]);
    }
    let declared = data
        .get(..4)
        .and_then(|selector| table().get(&Selector::from_slice(selector)))
        .and_then(|declared| {
            declared
                .iter()
                .find(|(contract, _)| *contract == called)
                .or_else(|| declared.first())
        });
    let Some((contract, error)) = declared else {
        let args = vec![("data".to_owned(), hex::encode_prefixed(&data))];
        return plain("unknown", args);
    };
    let values = error.abi_decode_input(&data[4..]).unwrap_or_default();
    Revert {
        contract: *contract,
        error: error.name.clone(),
        args: error
            .inputs
            .iter()
            .map(|input| input.name.clone())
            .zip(values.iter().map(show))
            .collect(),
        data,
    }
}

fn show(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Bool(flag) => flag.to_string(),
        DynSolValue::String(text) => text.clone(),
        DynSolValue::FixedBytes(bytes, size) => hex::encode_prefixed(&bytes[..*size]),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        DynSolValue::Array(values)
        | DynSolValue::FixedArray(values)
        | DynSolValue::Tuple(values) => {
            let shown: Vec<_> = values.iter().map(show).collect();
            format!("[{}]", shown.join(", "))
        }
        other => format!("{other:?}"),
    }
}

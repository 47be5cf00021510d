//! What happened on a chain, read from signed transactions: the material of an audit.
//!
//! [`Client::history`] gathers every transaction to the contracts; [`read`] says from a transaction's bytes alone who
//! signed what. Nothing here asks a node whether it is true: an auditor replays the actions and compares.

mod action;
mod committee;

pub use action::{Action, ClaimProof, Creation, Rectification, claim_proof, creation_matches};
pub use committee::{BondKey, CommitteeAction, Report};

use crate::{
    client::{Chain, ChainError, Client, EventBody},
    deploy::Deployment,
};
use alloy::{
    consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable},
    eips::{Decodable2718, Encodable2718},
    primitives::{
        Address, B256, Bytes, IntoLogData, Log, LogData, Signature, TxHash, TxKind, U256, keccak256,
    },
    providers::Provider,
    rpc::types::{BlockTransactionsKind, TransactionReceipt},
    sol_types::{SolEvent, SolEventInterface},
};
use std::ops::RangeInclusive;

/// Longest transaction that is read, bytes.
pub const MAX_TRANSACTION: usize = 8 << 20;

/// Why bytes are not a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// More bytes than any transaction of the contracts needs.
    #[error("a transaction of {length} bytes is longer than {MAX_TRANSACTION}")]
    TooLong {
        /// Length in bytes.
        length: usize,
    },
    /// The bytes are not the one encoding of a transaction.
    #[error("the bytes are not a transaction")]
    Malformed,
    /// Nobody's signature.
    #[error("the signature of the transaction is void")]
    Signature,
    /// It is good on another chain, or on any.
    #[error("the transaction is for chain {found:?}, not {expected}")]
    Chain {
        /// The deployment's.
        expected: u64,
        /// The transaction's.
        found: Option<u64>,
    },
}

/// A transaction as its signer meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Keccak-256 of its bytes.
    pub hash: TxHash,
    /// Who signed it.
    pub sender: Address,
    /// The sender's counter.
    pub nonce: u64,
    /// Gas it may use.
    pub gas_limit: u64,
    /// The called contract, `None` for a creation.
    pub to: Option<Address>,
    /// What it asks for.
    pub action: Action,
}

impl Transaction {
    /// Address of the contract that it creates, if it creates one.
    pub fn creates(&self) -> Option<Address> {
        self.to.is_none().then(|| self.sender.create(self.nonce))
    }
}

/// What a transaction's bytes say, for the contracts of `at`. Work and memory are bounded by the length of `raw`.
///
/// # Errors
/// The bytes are not the canonical encoding of a signed transaction for the deployment's chain.
pub fn read(raw: &[u8], at: &Deployment) -> Result<Transaction, HistoryError> {
    if raw.len() > MAX_TRANSACTION {
        return Err(HistoryError::TooLong { length: raw.len() });
    }
    let mut rest = raw;
    let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|_| HistoryError::Malformed)?;
    if !rest.is_empty() || envelope.encoded_2718() != raw {
        return Err(HistoryError::Malformed);
    }
    if envelope.chain_id() != Some(at.chain_id) {
        return Err(HistoryError::Chain {
            expected: at.chain_id,
            found: envelope.chain_id(),
        });
    }
    let sender = envelope
        .recover_signer()
        .map_err(|_| HistoryError::Signature)?;
    let to = match envelope.kind() {
        TxKind::Create => None,
        TxKind::Call(to) => Some(to),
    };
    Ok(Transaction {
        hash: keccak256(raw),
        sender,
        nonce: envelope.nonce(),
        gas_limit: envelope.gas_limit(),
        to,
        action: Action::read(to, envelope.input(), at),
    })
}

/// Who made a 65-byte signature over a digest, by the rules of the contracts: v is 27 or 28, s is low.
pub fn signer(digest: B256, signature: &[u8; 65]) -> Option<Address> {
    if !matches!(signature[64], 27 | 28) {
        return None;
    }
    let signature = Signature::from_raw_array(signature).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(&digest).ok()
}

/// What a contract logged, as raw as the chain keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLog {
    /// The contract.
    pub address: Address,
    /// At most four.
    pub topics: Vec<B256>,
    /// ABI-encoded fields.
    pub data: Bytes,
}

impl From<&Log> for RawLog {
    fn from(log: &Log) -> Self {
        Self {
            address: log.address,
            topics: log.data.topics().to_vec(),
            data: log.data.data.clone(),
        }
    }
}

/// The log that a contract of the deployment writes for an event; `None` for an event that is not known.
pub fn log_of(event: &EventBody, at: &Deployment) -> Option<RawLog> {
    let (address, data): (_, LogData) = match event {
        EventBody::Registry(event) => (at.registry, event.to_log_data()),
        EventBody::Market(event) => (at.market, event.to_log_data()),
        EventBody::Verifier(event) => (at.verifier, event.to_log_data()),
        EventBody::Pool(event) => (at.pool, event.to_log_data()),
        EventBody::Committee(event) => (at.committee?, event.to_log_data()),
        EventBody::Unknown(..) => return None,
    };
    Some(RawLog {
        address,
        topics: data.topics().to_vec(),
        data: data.data,
    })
}

/// The code address in a log of `CircuitRegistered`, which depends on how the verifier stores keys.
pub fn circuit_code(log: &RawLog) -> Option<Address> {
    let log = Log::new(log.address, log.topics.clone(), log.data.clone())?;
    crate::bindings::IAnswerVerifier::IAnswerVerifierEvents::decode_log(&log)
        .ok()
        .map(|event| {
            let crate::bindings::IAnswerVerifier::IAnswerVerifierEvents::CircuitRegistered(event) =
                event.data;
            event.code
        })
}

/// A movement of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTransfer {
    /// The token.
    pub token: Address,
    /// Payer.
    pub from: Address,
    /// Payee.
    pub to: Address,
    /// Base units.
    pub amount: U256,
}

/// The movement that a token's log speaks of, if it is one.
pub fn token_transfer(log: &RawLog) -> Option<TokenTransfer> {
    let inner = Log::new(log.address, log.topics.clone(), log.data.clone())?;
    let event = crate::bindings::IToken::Transfer::decode_log(&inner).ok()?;
    Some(TokenTransfer {
        token: log.address,
        from: event.from,
        to: event.to,
        amount: event.value,
    })
}

/// A mined transaction with what the node says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// Block number.
    pub block: u64,
    /// Unix time of the block, seconds.
    pub timestamp: u64,
    /// False when it reverted.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// Signed bytes.
    pub raw: Bytes,
    /// What it logged, in order.
    pub logs: Vec<RawLog>,
}

/// Where a node has a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    /// Block number.
    pub block: u64,
    /// False when it reverted.
    pub success: bool,
}

impl Chain {
    /// Where the node has a transaction, `None` if it does not.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn inclusion(&self, transaction: TxHash) -> Result<Option<Inclusion>, ChainError> {
        let receipt = self.receipt_now(transaction).await?;
        Ok(receipt.map(|receipt| Inclusion {
            block: receipt.block_number.unwrap_or_default(),
            success: receipt.status(),
        }))
    }

    async fn receipt_now(
        &self,
        transaction: TxHash,
    ) -> Result<Option<TransactionReceipt>, ChainError> {
        match self.dev_chain() {
            Some(chain) => Ok(chain.receipt(transaction)),
            None => Ok(self.provider().get_transaction_receipt(transaction).await?),
        }
    }
}

impl Client {
    /// Hands over, in order, every transaction in `blocks` that calls or creates a contract of the deployment, its
    /// token included, also those that reverted. Returns early with what `each` refuses.
    ///
    /// # Errors
    /// The node cannot be reached or does not know a block, or `each` fails.
    pub async fn history<E: From<ChainError>>(
        &self,
        blocks: RangeInclusive<u64>,
        mut each: impl FnMut(Mined) -> Result<(), E>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), E> {
        let at = self.deployment();
        let mut ours = vec![
            at.registry,
            at.market,
            at.verifier,
            at.pool,
            at.claim_verifier,
            at.token,
        ];
        ours.extend(at.committee);
        for number in blocks {
            let block = self
                .chain()
                .provider()
                .get_block_by_number(number.into())
                .kind(BlockTransactionsKind::Hashes)
                .await
                .map_err(ChainError::from)?
                .ok_or(ChainError::UnknownBlock { block: number })?;
            for hash in block.transactions.hashes() {
                let receipt = self
                    .chain()
                    .receipt_now(hash)
                    .await?
                    .ok_or(ChainError::UnknownTransaction { transaction: hash })?;
                let touched = receipt.to.or(receipt.contract_address);
                if !touched.is_some_and(|address| ours.contains(&address)) {
                    continue;
                }
                each(Mined {
                    block: number,
                    timestamp: block.header.timestamp,
                    success: receipt.status(),
                    gas_used: receipt.gas_used,
                    raw: self.chain().raw_transaction(hash).await?,
                    logs: receipt
                        .inner
                        .logs()
                        .iter()
                        .map(|log| RawLog::from(&log.inner))
                        .collect(),
                })?;
            }
            progress(number);
        }
        Ok(())
    }
}

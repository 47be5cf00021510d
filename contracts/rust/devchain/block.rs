//! Blocks as the embedded chain keeps them, and their JSON-RPC forms.

use super::{DevChainError, spool::Span};
use alloy::{
    consensus::{
        EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom,
        TxEnvelope, TxReceipt, TxType, constants::EMPTY_WITHDRAWALS, proofs,
        transaction::Recovered,
    },
    eips::{eip2718::Decodable2718, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{Address, B256, Bloom, Bytes, Log, TxHash, U256, keccak256},
    rpc::types::{
        Block as RpcBlock, BlockTransactions, Header as RpcHeader, Log as RpcLog,
        Transaction as RpcTransaction, TransactionInfo, TransactionReceipt,
    },
};

/// A mined transaction without its calldata, which lies in the spool.
#[derive(Debug, Clone)]
pub(super) struct Mined {
    pub hash: TxHash,
    pub tx_type: TxType,
    pub from: Address,
    pub to: Option<Address>,
    pub created: Option<Address>,
    pub effective_gas_price: u128,
    pub success: bool,
    /// What a reverted execution returned.
    pub revert_data: Option<Bytes>,
    pub logs: Vec<Log>,
    pub raw: Span,
}

/// A block holds one transaction, or none if it was mined by request.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub header: Header,
    pub hash: B256,
    pub mined: Option<Mined>,
}

/// What a block's header is made from.
pub(super) struct Seal<'a> {
    pub parent: B256,
    pub number: u64,
    pub timestamp: u64,
    pub gas_limit: u64,
    pub gas_used: u64,
    pub base_fee: u64,
    pub transaction: Option<(&'a TxEnvelope, &'a ReceiptEnvelope)>,
    pub prague: bool,
}

impl Seal<'_> {
    /// The header. Transaction and receipt roots and the bloom are the protocol's; the state root is
    /// zero, because this chain keeps a flat state and no trie.
    pub(super) fn header(&self) -> Header {
        let (transactions_root, receipts_root, logs_bloom) = match self.transaction {
            Some((tx, receipt)) => (
                proofs::calculate_transaction_root(std::slice::from_ref(tx)),
                proofs::calculate_receipt_root(std::slice::from_ref(receipt)),
                receipt.bloom(),
            ),
            None => (EMPTY_ROOT_HASH, EMPTY_ROOT_HASH, Bloom::ZERO),
        };
        Header {
            parent_hash: self.parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            transactions_root,
            receipts_root,
            logs_bloom,
            number: self.number,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            mix_hash: randomness(self.parent, self.number),
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: self.prague.then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

/// PREVRANDAO of a block: public and repeatable, so of no use as randomness, as on any dev chain.
pub(super) fn randomness(parent: B256, number: u64) -> B256 {
    keccak256([parent.as_slice(), &number.to_be_bytes()].concat())
}

/// The consensus receipt of a block's only transaction.
pub(super) fn receipt<T>(
    tx_type: TxType,
    inner: ReceiptWithBloom<Receipt<T>>,
) -> ReceiptEnvelope<T> {
    match tx_type {
        TxType::Legacy => ReceiptEnvelope::Legacy(inner),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(inner),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(inner),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(inner),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(inner),
    }
}

/// Decodes a signed transaction that fills `raw` to its last byte.
pub(super) fn decode(raw: &[u8]) -> Result<TxEnvelope, DevChainError> {
    let mut rest = raw;
    let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|error| DevChainError::Decode {
        detail: error.to_string(),
    })?;
    if rest.is_empty() {
        Ok(envelope)
    } else {
        Err(DevChainError::Decode {
            detail: format!("{} bytes after the transaction", rest.len()),
        })
    }
}

impl Block {
    pub(super) fn rpc_logs(&self) -> impl Iterator<Item = RpcLog> + '_ {
        self.mined.iter().flat_map(move |mined| {
            mined.logs.iter().zip(0..).map(move |(log, index)| RpcLog {
                inner: log.clone(),
                block_hash: Some(self.hash),
                block_number: Some(self.header.number),
                block_timestamp: Some(self.header.timestamp),
                transaction_hash: Some(mined.hash),
                transaction_index: Some(0),
                log_index: Some(index),
                removed: false,
            })
        })
    }

    /// The receipt of the block's transaction, if it has one.
    pub(super) fn rpc_receipt(&self) -> Option<TransactionReceipt> {
        let mined = self.mined.as_ref()?;
        let inner = Receipt {
            status: mined.success.into(),
            cumulative_gas_used: self.header.gas_used,
            logs: self.rpc_logs().collect(),
        };
        Some(TransactionReceipt {
            inner: receipt(
                mined.tx_type,
                ReceiptWithBloom {
                    receipt: inner,
                    logs_bloom: self.header.logs_bloom,
                },
            ),
            transaction_hash: mined.hash,
            transaction_index: Some(0),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: self.header.gas_used,
            effective_gas_price: mined.effective_gas_price,
            blob_gas_used: None,
            blob_gas_price: None,
            from: mined.from,
            to: mined.to,
            contract_address: mined.created,
        })
    }

    /// The block's transaction in JSON-RPC form, decoded from `raw`.
    pub(super) fn rpc_transaction(
        &self,
        raw: &[u8],
    ) -> Result<Option<RpcTransaction>, DevChainError> {
        let Some(mined) = &self.mined else {
            return Ok(None);
        };
        Ok(Some(RpcTransaction::from_transaction(
            Recovered::new_unchecked(decode(raw)?, mined.from),
            TransactionInfo {
                hash: Some(mined.hash),
                index: Some(0),
                block_hash: Some(self.hash),
                block_number: Some(self.header.number),
                base_fee: self.header.base_fee_per_gas,
                block_timestamp: Some(self.header.timestamp),
            },
        )))
    }

    /// The block in JSON-RPC form with the given transactions.
    pub(super) fn rpc(&self, transactions: BlockTransactions<RpcTransaction>) -> RpcBlock {
        let size = self.mined.as_ref().map_or(0, |mined| mined.raw.len());
        RpcBlock {
            header: RpcHeader {
                hash: self.hash,
                inner: self.header.clone(),
                total_difficulty: Some(U256::ZERO),
                size: Some(U256::from(size)),
            },
            uncles: Vec::new(),
            transactions,
            withdrawals: Some(Default::default()),
        }
    }
}

//! Why the embedded chain did not do what it was asked.

use alloy::{
    primitives::{Address, Bytes, U256, hex},
    sol_types::{Panic, Revert, SolError},
};
use revm::context::result::{HaltReason, InvalidTransaction};
use std::io;

/// Nothing is mined when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum DevChainError {
    /// The bytes are no signed transaction.
    #[error("transaction does not decode: {detail}")]
    Decode {
        /// What the decoder said.
        detail: String,
    },
    /// The signature does not recover to an address.
    #[error("invalid sender: the transaction's signature does not recover")]
    Signature,
    /// A transaction type this chain does not run.
    #[error("transaction type {tx_type} is not supported")]
    UnsupportedType {
        /// EIP-2718 type byte.
        tx_type: u8,
    },
    /// No replay protection.
    #[error("only replay-protected (EIP-155) transactions are accepted")]
    MissingChainId,
    /// Signed for another chain.
    #[error("invalid chain id: have {found}, want {expected}")]
    WrongChainId {
        /// This chain.
        expected: u64,
        /// The signed one.
        found: u64,
    },
    /// A nonce that was used.
    #[error("nonce too low: address {sender}, tx: {found} state: {expected}")]
    NonceTooLow {
        /// Signer.
        sender: Address,
        /// Next usable nonce.
        expected: u64,
        /// The signed one.
        found: u64,
    },
    /// A nonce that leaves a gap; there is no pool that would wait for the missing one.
    #[error("nonce too high: address {sender}, tx: {found} state: {expected}")]
    NonceTooHigh {
        /// Signer.
        sender: Address,
        /// Next usable nonce.
        expected: u64,
        /// The signed one.
        found: u64,
    },
    /// The sender cannot pay the maximum fee and the value, in wei.
    #[error("insufficient funds for gas * price + value: have {balance} want {needed}")]
    InsufficientFunds {
        /// Needed, wei.
        needed: U256,
        /// Held, wei.
        balance: U256,
    },
    /// More gas than a block holds.
    #[error("exceeds block gas limit: tx {found}, block {limit}")]
    GasAboveBlockLimit {
        /// The block's limit.
        limit: u64,
        /// The transaction's limit.
        found: u64,
    },
    /// More gas than one transaction may have (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {found})")]
    GasAboveCap {
        /// The cap.
        cap: u64,
        /// The transaction's limit.
        found: u64,
    },
    /// Less gas than the transaction's bytes cost.
    #[error("intrinsic gas too low: have {found}, want {needed}")]
    IntrinsicGas {
        /// Least gas limit.
        needed: u64,
        /// The transaction's limit.
        found: u64,
    },
    /// The fee cap is under the base fee, in wei per gas.
    #[error("max fee per gas less than block base fee: {found} < {base_fee}")]
    FeeBelowBase {
        /// Base fee.
        base_fee: u64,
        /// Fee cap.
        found: u128,
    },
    /// Another rule of the protocol.
    #[error("invalid transaction: {reason}")]
    Invalid {
        /// The rule.
        reason: InvalidTransaction,
    },
    /// A call or an estimate reverted.
    #[error("execution reverted{}", reason_text(data))]
    Reverted {
        /// ABI-encoded error.
        data: Bytes,
    },
    /// A call or an estimate stopped exceptionally.
    #[error("execution halted: {reason:?}")]
    Halted {
        /// The EVM's reason.
        reason: HaltReason,
    },
    /// The execution needs more than the allowed gas.
    #[error("gas required exceeds allowance ({allowance})")]
    GasAllowance {
        /// Most gas that was allowed.
        allowance: u64,
    },
    /// There is no such block.
    #[error("block not found: {block}")]
    UnknownBlock {
        /// As asked.
        block: String,
    },
    /// Only the newest state is kept.
    #[error("state of block {block} is not kept; the newest is {latest}")]
    HistoricalState {
        /// Block asked for.
        block: u64,
        /// Newest block.
        latest: u64,
    },
    /// The first block of a range lies after its last.
    #[error("invalid block range: {from} > {to}")]
    BlockRange {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Block times must increase.
    #[error("timestamp {found} is not after the newest block's {latest}")]
    TimestampTooEarly {
        /// Newest block's time.
        latest: u64,
        /// Asked for.
        found: u64,
    },
    /// The EVM itself failed.
    #[error("EVM failed: {detail}")]
    Evm {
        /// What it said.
        detail: String,
    },
    /// The spool of raw transactions could not be written or read.
    #[error("raw transaction store: {0}")]
    Spool(#[from] io::Error),
}

fn reason_text(data: &Bytes) -> String {
    if let Ok(revert) = Revert::abi_decode(data) {
        format!(": {}", revert.reason)
    } else if let Ok(panic) = Panic::abi_decode(data) {
        format!(": {panic}")
    } else if let Some(selector) = data.get(..4) {
        format!(": custom error {}", hex::encode_prefixed(selector))
    } else {
        String::new()
    }
}

impl DevChainError {
    /// JSON-RPC code: 3 for reverts, -32602 for bad input, -32000 otherwise.
    pub fn code(&self) -> i64 {
        match self {
            Self::Reverted { .. } => 3,
            Self::Decode { .. } | Self::BlockRange { .. } | Self::TimestampTooEarly { .. } => {
                -32602
            }
            _ => -32000,
        }
    }

    /// Maps revm's validation errors to ours.
    pub(super) fn from_invalid(reason: InvalidTransaction, sender: Address) -> Self {
        match reason {
            InvalidTransaction::NonceTooLow { tx, state } => Self::NonceTooLow {
                sender,
                expected: state,
                found: tx,
            },
            InvalidTransaction::NonceTooHigh { tx, state } => Self::NonceTooHigh {
                sender,
                expected: state,
                found: tx,
            },
            InvalidTransaction::LackOfFundForMaxFee { fee, balance } => Self::InsufficientFunds {
                needed: *fee,
                balance: *balance,
            },
            InvalidTransaction::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            } => Self::IntrinsicGas {
                needed: initial_gas,
                found: gas_limit,
            },
            InvalidTransaction::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            } => Self::IntrinsicGas {
                needed: gas_floor,
                found: gas_limit,
            },
            InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => Self::GasAboveCap {
                cap,
                found: gas_limit,
            },
            reason => Self::Invalid { reason },
        }
    }
}

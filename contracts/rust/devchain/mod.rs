//! An Ethereum node inside the process: no installation, no ports unless asked for, same results every time.
//!
//! It executes with revm, mines one block per transaction the moment the transaction arrives, keeps only
//! the newest state, and answers the JSON-RPC methods that wallets and libraries use: in process through
//! an alloy provider ([`DevChain::provider`]), for browsers over HTTP ([`DevChain::serve`]).
//!
//! # Security
//! A development chain: no consensus, no peers, public "randomness", a zero state root. Nothing that it
//! says convinces anyone but its operator.

mod block;
mod clock;
mod curve;
mod error;
mod journal;
mod rpc;
mod server;
mod spool;
mod state;
mod transport;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::DevChainError;
pub use journal::JournalError;
pub use server::{AllowedOrigins, ServeError, Server, ServerConfig};

use alloy::{
    primitives::{Address, B256, Bytes, TxHash, U256},
    rpc::types::{Filter, FilterBlockOption, Log, TransactionReceipt, TransactionRequest},
};
use serde::{Deserialize, Serialize};
use state::{State, View};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One ether in wei.
pub const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// The protocol rules a chain runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardfork {
    /// March 2024; the contracts need no later rules.
    Cancun,
    /// May 2025.
    Prague,
    /// December 2025.
    Osaka,
}

/// How a chain starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Gas limit of every block.
    pub block_gas_limit: u64,
    /// Gas limit of one transaction (EIP-7825); `None` allows a block's worth.
    pub tx_gas_cap: Option<u64>,
    /// Base fee of every block in wei per gas; it does not move.
    pub base_fee: u64,
    /// Protocol rules.
    pub hardfork: Hardfork,
    /// Accounts with a balance in wei at genesis.
    pub funded: Vec<(Address, U256)>,
    /// Time of the genesis block; `None` asks the clock.
    pub genesis_timestamp: Option<u64>,
    /// Source of block times.
    pub clock: Arc<dyn Clock>,
    /// Bytes of raw transactions kept in memory before they go to a temporary file.
    pub calldata_in_memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            block_gas_limit: 200_000_000,
            tx_gas_cap: None,
            base_fee: 1_000_000_000,
            hardfork: Hardfork::Osaka,
            funded: Vec::new(),
            genesis_timestamp: None,
            clock: Arc::new(SystemClock),
            calldata_in_memory: 32 << 20,
        }
    }
}

impl Config {
    /// Gives every address 10,000 ether at genesis.
    pub fn fund(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        let balance = ETHER * U256::from(10_000);
        self.funded
            .extend(addresses.into_iter().map(|address| (address, balance)));
        self
    }
}

/// A handle to an embedded chain; clones share it. Calls and estimates run in parallel, mining alone.
#[derive(Debug, Clone)]
pub struct DevChain(Arc<RwLock<State>>);

impl DevChain {
    /// A chain with only its genesis block.
    pub fn new(config: Config) -> Self {
        curve::install();
        Self(Arc::new(RwLock::new(State::new(config))))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // State changes happen after everything that can fail, so a poisoned lock guards whole blocks.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.read().config.chain_id
    }

    /// Number of the newest block.
    pub fn block_number(&self) -> u64 {
        self.read().height()
    }

    /// Unix time of the newest block, seconds.
    pub fn timestamp(&self) -> u64 {
        self.read().tip().header.timestamp
    }

    /// Wei held by `address`.
    pub fn balance(&self, address: Address) -> U256 {
        self.read().account(address).balance
    }

    /// Next usable nonce of `address`.
    pub fn nonce(&self, address: Address) -> u64 {
        self.read().account(address).nonce
    }

    /// Mines a signed transaction and returns its hash; a transaction that reverts is mined too.
    ///
    /// # Errors
    /// Malformed or inadmissible transactions (nonce, funds, chain, gas); nothing is mined then.
    pub fn submit(&self, raw: &[u8]) -> Result<TxHash, DevChainError> {
        self.write().mine(raw)
    }

    /// Runs a call on the state of the newest block and returns its output.
    ///
    /// # Errors
    /// The call reverts, halts or could not start.
    pub fn call(&self, request: &TransactionRequest) -> Result<Bytes, DevChainError> {
        self.read().call(request, View::Latest)
    }

    /// Gas limit with which the transaction succeeds in the next block, at most about 1.6 % too high.
    ///
    /// # Errors
    /// The transaction reverts, halts or could not start.
    pub fn estimate_gas(&self, request: &TransactionRequest) -> Result<u64, DevChainError> {
        self.read().estimate(request, View::Pending)
    }

    /// Receipt of a mined transaction.
    pub fn receipt(&self, hash: TxHash) -> Option<TransactionReceipt> {
        self.read().block_of(hash)?.rpc_receipt()
    }

    /// What a mined transaction returned when it reverted; `None` if it did not revert or is unknown.
    pub fn revert_data(&self, hash: TxHash) -> Option<Bytes> {
        let state = self.read();
        state.block_of(hash)?.mined.as_ref()?.revert_data.clone()
    }

    /// Signed bytes of a mined transaction, `None` if unknown.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn raw_transaction(&self, hash: TxHash) -> Result<Option<Bytes>, DevChainError> {
        self.read().raw(hash)
    }

    /// Logs that match, in order.
    ///
    /// # Errors
    /// An inverted range, or a block hash that does not exist.
    pub fn logs(&self, filter: &Filter) -> Result<Vec<Log>, DevChainError> {
        self.read().logs(filter)
    }

    /// Adds seconds to the clock; returns the total added so far.
    pub fn increase_time(&self, seconds: u64) -> u64 {
        self.write().increase_time(seconds)
    }

    /// Fixes the time of the next block.
    ///
    /// # Errors
    /// The time is not after the newest block's.
    pub fn set_next_timestamp(&self, timestamp: u64) -> Result<(), DevChainError> {
        self.write().set_next_timestamp(timestamp)
    }

    /// Mines an empty block and returns its hash.
    pub fn mine_empty(&self) -> B256 {
        self.write().mine_empty()
    }

    /// Remembers the present state under the returned number. Costs a copy of the state.
    pub fn snapshot(&self) -> u64 {
        self.write().snapshot()
    }

    /// Goes back to a snapshot, which is used up; false if the number is unknown.
    ///
    /// # Errors
    /// The spool cannot be cut back; the chain is unchanged then.
    pub fn revert(&self, snapshot: u64) -> Result<bool, DevChainError> {
        self.write().revert(snapshot)
    }
}

impl State {
    pub(super) fn logs(&self, filter: &Filter) -> Result<Vec<Log>, DevChainError> {
        let (from, to) = self.log_range(filter)?;
        let mut found = Vec::new();
        let mut collect = |number: u64| {
            if let Some(block) = self.block(number)
                && filter.matches_bloom(block.header.logs_bloom)
            {
                found.extend(block.rpc_logs().filter(|log| filter.matches(&log.inner)));
            }
        };
        if filter.address.is_empty() {
            (from..=to.min(self.height())).for_each(collect);
        } else {
            let mut numbers: Vec<u64> = filter
                .address
                .iter()
                .filter_map(|address| self.by_emitter.get(address))
                .flat_map(|numbers| {
                    let start = numbers.partition_point(|n| *n < from);
                    let end = numbers.partition_point(|n| *n <= to);
                    numbers[start..end.max(start)].iter().copied()
                })
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().for_each(&mut collect);
        }
        Ok(found)
    }

    fn log_range(&self, filter: &Filter) -> Result<(u64, u64), DevChainError> {
        use alloy::eips::BlockNumberOrTag as Tag;
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => match self.by_hash.get(&hash) {
                Some(number) => Ok((*number, *number)),
                None => Err(DevChainError::UnknownBlock {
                    block: hash.to_string(),
                }),
            },
            FilterBlockOption::Range {
                from_block,
                to_block,
            } => {
                let latest = self.height();
                let resolve = |tag: Option<Tag>| match tag {
                    None | Some(Tag::Latest | Tag::Safe | Tag::Finalized) => latest,
                    Some(Tag::Pending) => latest + 1,
                    Some(Tag::Earliest) => 0,
                    Some(Tag::Number(number)) => number,
                };
                let (from, to) = (resolve(from_block), resolve(to_block));
                if from > to && from_block.is_some() && to_block.is_some() {
                    return Err(DevChainError::BlockRange { from, to });
                }
                Ok((from, to))
            }
        }
    }
}

//! The embedded chain's state: executing, mining, time and snapshots.

use super::{
    Config, DevChainError, Hardfork,
    block::{self, Block, Mined, Seal},
    spool::Spool,
};
use alloy::{
    consensus::{
        Receipt, ReceiptWithBloom, Transaction as _, TxEnvelope, TxType,
        transaction::SignerRecoverable,
    },
    primitives::{
        Address, B256, Bloom, Bytes, TxHash, TxKind, U256,
        map::{AddressHashMap, B256HashMap},
    },
    rpc::types::TransactionRequest,
};
use revm::{
    Context, DatabaseCommit, DatabaseRef, ExecuteEvm, MainBuilder, MainContext,
    context::{
        BlockEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult, Output},
    },
    database::{InMemoryDB, WrapDatabaseRef},
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState},
};

/// Block hashes that the BLOCKHASH opcode can see.
const BLOCKHASH_WINDOW: u64 = 256;
/// Gas a call with value hands to its callee on top of what was set aside (EVM constant).
const CALL_STIPEND: u64 = 2_300;

/// Which block a simulation believes it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The newest block's own number and time.
    Latest,
    /// The block that would be mined now.
    Pending,
}

#[derive(Debug)]
pub(super) struct State {
    pub config: Config,
    pub db: InMemoryDB,
    pub blocks: Vec<Block>,
    pub by_transaction: B256HashMap<u64>,
    pub by_hash: B256HashMap<u64>,
    /// Numbers of the blocks in which an address emitted a log, ascending.
    pub by_emitter: AddressHashMap<Vec<u64>>,
    pub spool: Spool,
    /// Seconds added to the clock.
    offset: i64,
    next_timestamp: Option<u64>,
    snapshots: Vec<Snapshot>,
    next_snapshot: u64,
}

#[derive(Debug)]
struct Snapshot {
    id: u64,
    db: InMemoryDB,
    blocks: usize,
    spool_end: u64,
    offset: i64,
    next_timestamp: Option<u64>,
}

impl State {
    pub(super) fn new(config: Config) -> Self {
        let mut db = InMemoryDB::default();
        for (address, balance) in &config.funded {
            db.insert_account_info(*address, AccountInfo::from_balance(*balance));
        }
        let mut state = Self {
            spool: Spool::new(config.calldata_in_memory),
            db,
            blocks: Vec::new(),
            by_transaction: B256HashMap::default(),
            by_hash: B256HashMap::default(),
            by_emitter: AddressHashMap::default(),
            offset: 0,
            next_timestamp: None,
            snapshots: Vec::new(),
            next_snapshot: 1,
            config,
        };
        let timestamp = state
            .config
            .genesis_timestamp
            .unwrap_or_else(|| state.config.clock.now());
        state.seal(timestamp, 0, None);
        state
    }

    /// The newest block; the chain is never without its genesis block.
    pub(super) fn tip(&self) -> &Block {
        self.blocks
            .last()
            .expect("the constructor seals the genesis block and nothing removes it")
    }

    pub(super) fn height(&self) -> u64 {
        self.tip().header.number
    }

    /// Time of the next block: strictly after the newest, otherwise the clock plus the offset.
    pub(super) fn next_timestamp(&self) -> u64 {
        let earliest = self.tip().header.timestamp + 1;
        match self.next_timestamp {
            Some(chosen) => chosen.max(earliest),
            None => self
                .config
                .clock
                .now()
                .saturating_add_signed(self.offset)
                .max(earliest),
        }
    }

    /// Adds seconds to the clock, after catching up with the newest block if the clock lags behind it.
    pub(super) fn increase_time(&mut self, seconds: u64) -> u64 {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let ahead = i128::from(self.tip().header.timestamp) - i128::from(self.config.clock.now());
        let ahead = i64::try_from(ahead).unwrap_or(0);
        self.offset = self.offset.max(ahead).saturating_add(seconds);
        self.offset.max(0).unsigned_abs()
    }

    /// Fixes the next block's time; later blocks continue from there.
    pub(super) fn set_next_timestamp(&mut self, timestamp: u64) -> Result<(), DevChainError> {
        let latest = self.tip().header.timestamp;
        if timestamp <= latest {
            return Err(DevChainError::TimestampTooEarly {
                latest,
                found: timestamp,
            });
        }
        self.next_timestamp = Some(timestamp);
        Ok(())
    }

    fn consume_timestamp(&mut self) -> u64 {
        let timestamp = self.next_timestamp();
        if self.next_timestamp.take().is_some() {
            let now = self.config.clock.now();
            self.offset = i64::try_from(i128::from(timestamp) - i128::from(now)).unwrap_or(0);
        }
        timestamp
    }

    /// Forgets added seconds: the next block's time is the clock's, if that is later than the newest block.
    pub(super) fn follow_clock(&mut self) {
        self.offset = 0;
        self.next_timestamp = None;
    }

    pub(super) fn mine_empty(&mut self) -> B256 {
        let timestamp = self.consume_timestamp();
        self.seal(timestamp, 0, None)
    }

    /// Executes a signed transaction in a block of its own. On an error nothing has changed.
    pub(super) fn mine(&mut self, raw: &[u8]) -> Result<TxHash, DevChainError> {
        let envelope = block::decode(raw)?;
        let sender = self.admit(&envelope)?;
        let (result, changes) = self.execute(transaction_env(&envelope, sender), Run::Mine)?;
        let span = self.spool.push(raw)?;
        self.db.commit(changes);

        let timestamp = self.consume_timestamp();
        let gas_used = result.tx_gas_used();
        let created = match &result {
            ExecutionResult::Success {
                output: Output::Create(_, address),
                ..
            } => *address,
            // A creation that fails has an address too, as in every client's receipts.
            _ => envelope
                .kind()
                .is_create()
                .then(|| sender.create(envelope.nonce())),
        };
        let revert_data = match &result {
            ExecutionResult::Revert { output, .. } => Some(output.clone()),
            _ => None,
        };
        let success = result.is_success();
        let logs = if success {
            result.into_logs()
        } else {
            Vec::new()
        };
        let base_fee = self.config.base_fee;
        let mined = Mined {
            hash: *envelope.tx_hash(),
            tx_type: envelope.tx_type(),
            from: sender,
            to: envelope.to(),
            created,
            effective_gas_price: envelope.effective_gas_price(Some(base_fee)),
            success,
            revert_data,
            logs,
            raw: span,
        };
        let hash = mined.hash;
        self.seal(timestamp, gas_used, Some((envelope, mined)));
        Ok(hash)
    }

    /// Checks that need no execution; returns the sender.
    fn admit(&self, envelope: &TxEnvelope) -> Result<Address, DevChainError> {
        if matches!(envelope.tx_type(), TxType::Eip4844) {
            return Err(DevChainError::UnsupportedType {
                tx_type: envelope.tx_type().into(),
            });
        }
        let expected = self.config.chain_id;
        match envelope.chain_id() {
            None => return Err(DevChainError::MissingChainId),
            Some(found) if found != expected => {
                return Err(DevChainError::WrongChainId { expected, found });
            }
            Some(_) => {}
        }
        let (limit, found) = (self.config.block_gas_limit, envelope.gas_limit());
        if found > limit {
            return Err(DevChainError::GasAboveBlockLimit { limit, found });
        }
        let (base_fee, found) = (self.config.base_fee, envelope.max_fee_per_gas());
        if found < u128::from(base_fee) {
            return Err(DevChainError::FeeBelowBase { base_fee, found });
        }
        envelope
            .recover_signer()
            .map_err(|_| DevChainError::Signature)
    }

    fn seal(
        &mut self,
        timestamp: u64,
        gas_used: u64,
        transaction: Option<(TxEnvelope, Mined)>,
    ) -> B256 {
        let (parent, number) = match self.blocks.last() {
            Some(tip) => (tip.hash, tip.header.number + 1),
            None => (B256::ZERO, 0),
        };
        let receipt = transaction.as_ref().map(|(_, mined)| {
            let receipt = Receipt {
                status: mined.success.into(),
                cumulative_gas_used: gas_used,
                logs: mined.logs.clone(),
            };
            block::receipt(
                mined.tx_type,
                ReceiptWithBloom {
                    logs_bloom: mined.logs.iter().collect::<Bloom>(),
                    receipt,
                },
            )
        });
        let header = Seal {
            parent,
            number,
            timestamp,
            gas_limit: self.config.block_gas_limit,
            gas_used,
            base_fee: self.config.base_fee,
            transaction: transaction
                .as_ref()
                .map(|(envelope, _)| envelope)
                .zip(receipt.as_ref()),
            prague: self.config.hardfork >= Hardfork::Prague,
        }
        .header();
        let hash = header.hash_slow();
        let mined = transaction.map(|(_, mined)| mined);
        if let Some(mined) = &mined {
            self.by_transaction.insert(mined.hash, number);
            for log in &mined.logs {
                let numbers = self.by_emitter.entry(log.address).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        self.by_hash.insert(hash, number);
        self.db.cache.block_hashes.insert(U256::from(number), hash);
        if let Some(expired) = number.checked_sub(BLOCKHASH_WINDOW) {
            self.db.cache.block_hashes.remove(&U256::from(expired));
        }
        self.blocks.push(Block {
            header,
            hash,
            mined,
        });
        hash
    }

    /// Remembers the present state; returns the snapshot's number.
    pub(super) fn snapshot(&mut self) -> u64 {
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.push(Snapshot {
            id,
            db: self.db.clone(),
            blocks: self.blocks.len(),
            spool_end: self.spool.end(),
            offset: self.offset,
            next_timestamp: self.next_timestamp,
        });
        id
    }

    /// Goes back to a snapshot and drops it and all later ones; false if there is none of that number.
    pub(super) fn revert(&mut self, id: u64) -> Result<bool, DevChainError> {
        let Some(index) = self.snapshots.iter().position(|s| s.id == id) else {
            return Ok(false);
        };
        self.spool.truncate(self.snapshots[index].spool_end)?;
        let snapshot = self.snapshots.swap_remove(index);
        self.snapshots.truncate(index);
        for block in self.blocks.drain(snapshot.blocks..) {
            self.by_hash.remove(&block.hash);
            if let Some(mined) = block.mined {
                self.by_transaction.remove(&mined.hash);
            }
        }
        let newest = snapshot.blocks as u64;
        self.by_emitter.retain(|_, numbers| {
            numbers.truncate(numbers.partition_point(|n| *n < newest));
            !numbers.is_empty()
        });
        self.db = snapshot.db;
        self.offset = snapshot.offset;
        self.next_timestamp = snapshot.next_timestamp;
        Ok(true)
    }

    pub(super) fn account(&self, address: Address) -> AccountInfo {
        // The in-memory database cannot fail; an unknown account is an empty one.
        self.db
            .basic_ref(address)
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// Runs a call without keeping its effects; returns the output.
    pub(super) fn call(
        &self,
        request: &TransactionRequest,
        view: View,
    ) -> Result<Bytes, DevChainError> {
        let gas = request.gas.unwrap_or(u64::MAX);
        let result = self.simulate(request, gas.min(self.config.block_gas_limit), view)?;
        output(result)
    }

    /// Least gas limit found to suffice, at most 1.6 % above the true minimum.
    pub(super) fn estimate(
        &self,
        request: &TransactionRequest,
        view: View,
    ) -> Result<u64, DevChainError> {
        let mut high = request
            .gas
            .unwrap_or(u64::MAX)
            .min(self.config.tx_gas_cap.unwrap_or(u64::MAX))
            .min(self.config.block_gas_limit);
        let price = request.max_fee_per_gas.or(request.gas_price).unwrap_or(0);
        if price > 0 {
            let balance = self.account(request.from.unwrap_or_default()).balance;
            let value = request.value.unwrap_or_default();
            let left = balance
                .checked_sub(value)
                .ok_or(DevChainError::InsufficientFunds {
                    needed: value,
                    balance,
                })?;
            high = high.min((left / U256::from(price)).saturating_to());
        }
        let allowance = high;
        let first = match self.simulate(request, high, view) {
            Err(DevChainError::IntrinsicGas { .. }) => {
                return Err(DevChainError::GasAllowance { allowance });
            }
            other => other?,
        };
        let spent = first.gas().total_gas_spent().max(first.tx_gas_used());
        if matches!(first, ExecutionResult::Halt { .. }) && spent >= allowance {
            return Err(DevChainError::GasAllowance { allowance });
        }
        output(first)?;
        // A call hands on at most 63/64 of its gas, so what was spent is not always enough.
        let mut low = spent;
        let likely = (spent + CALL_STIPEND).saturating_mul(64) / 63;
        if likely < high {
            if self.suffices(request, likely, view)? {
                return Ok(likely);
            }
            low = likely;
        }
        while low + 1 < high && (high - low) > high / 64 {
            let middle = low + (high - low) / 2;
            if self.suffices(request, middle, view)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }

    fn suffices(
        &self,
        request: &TransactionRequest,
        gas: u64,
        view: View,
    ) -> Result<bool, DevChainError> {
        match self.simulate(request, gas, view) {
            Ok(result) => Ok(result.is_success()),
            Err(DevChainError::IntrinsicGas { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn simulate(
        &self,
        request: &TransactionRequest,
        gas_limit: u64,
        view: View,
    ) -> Result<ExecutionResult, DevChainError> {
        let authorizations = request.authorization_list.clone().unwrap_or_default();
        let tx_type = if authorizations.is_empty() { 2 } else { 4 };
        let tx = TxEnv {
            tx_type,
            caller: request.from.unwrap_or_default(),
            gas_limit,
            gas_price: 0,
            gas_priority_fee: Some(0),
            kind: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            data: request.input.input().cloned().unwrap_or_default(),
            chain_id: Some(self.config.chain_id),
            access_list: request.access_list.clone().unwrap_or_default(),
            authorization_list: authorizations.into_iter().map(Either::Left).collect(),
            ..TxEnv::default()
        };
        self.execute(tx, Run::Simulate(view))
            .map(|(result, _)| result)
    }

    fn execute(&self, tx: TxEnv, run: Run) -> Result<(ExecutionResult, EvmState), DevChainError> {
        let caller = tx.caller;
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(&self.db))
            .modify_cfg_chained(|cfg| {
                cfg.chain_id = self.config.chain_id;
                cfg.set_spec_and_mainnet_gas_params(self.config.hardfork.spec());
                cfg.tx_gas_limit_cap = Some(self.config.tx_gas_cap.unwrap_or(u64::MAX));
                if let Run::Simulate(_) = run {
                    cfg.disable_nonce_check = true;
                    cfg.disable_base_fee = true;
                    cfg.disable_eip3607 = true;
                }
            })
            .with_block(self.block_env(run))
            .build_mainnet();
        match evm.transact(tx) {
            Ok(done) => Ok((done.result, done.state)),
            Err(EVMError::Transaction(reason)) => Err(DevChainError::from_invalid(reason, caller)),
            Err(error) => Err(DevChainError::Evm {
                detail: error.to_string(),
            }),
        }
    }

    fn block_env(&self, run: Run) -> BlockEnv {
        let tip = self.tip();
        let (number, timestamp, prevrandao) = match run {
            Run::Simulate(View::Latest) => {
                (tip.header.number, tip.header.timestamp, tip.header.mix_hash)
            }
            Run::Simulate(View::Pending) | Run::Mine => {
                let number = tip.header.number + 1;
                (
                    number,
                    self.next_timestamp(),
                    block::randomness(tip.hash, number),
                )
            }
        };
        BlockEnv {
            number: U256::from(number),
            timestamp: U256::from(timestamp),
            gas_limit: self.config.block_gas_limit,
            basefee: self.config.base_fee,
            prevrandao: Some(prevrandao),
            ..BlockEnv::default()
        }
    }

    /// Signed bytes of a mined transaction.
    pub(super) fn raw(&self, hash: TxHash) -> Result<Option<Bytes>, DevChainError> {
        match self.block_of(hash).and_then(|block| block.mined.as_ref()) {
            Some(mined) => Ok(Some(self.spool.read(mined.raw)?.into())),
            None => Ok(None),
        }
    }

    pub(super) fn block_of(&self, hash: TxHash) -> Option<&Block> {
        self.block(*self.by_transaction.get(&hash)?)
    }

    pub(super) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }
}

#[derive(Debug, Clone, Copy)]
enum Run {
    Mine,
    Simulate(View),
}

impl Hardfork {
    fn spec(self) -> SpecId {
        match self {
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka => SpecId::OSAKA,
        }
    }
}

fn output(result: ExecutionResult) -> Result<Bytes, DevChainError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(DevChainError::Reverted { data: output }),
        ExecutionResult::Halt { reason, .. } => Err(DevChainError::Halted { reason }),
    }
}

fn transaction_env(envelope: &TxEnvelope, caller: Address) -> TxEnv {
    TxEnv {
        tx_type: envelope.tx_type().into(),
        caller,
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        authorization_list: envelope
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
        ..TxEnv::default()
    }
}

//! JSON-RPC methods of the embedded chain.

use super::{
    DevChain, DevChainError,
    state::{State, View},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, Bytes, TxHash, U64, U256},
    rpc::{
        json_rpc::ErrorPayload,
        types::{BlockTransactions, FeeHistory, Filter, TransactionRequest},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

/// Most blocks one eth_feeHistory answer covers, as in other clients.
const FEE_HISTORY_BLOCKS: u64 = 1_024;

type Answer = Result<Box<RawValue>, ErrorPayload>;

impl From<DevChainError> for ErrorPayload {
    fn from(error: DevChainError) -> Self {
        let data = match &error {
            DevChainError::Reverted { data } => to_raw_value(data).ok(),
            _ => None,
        };
        Self {
            code: error.code(),
            message: error.to_string().into(),
            data,
        }
    }
}

/// Positional parameters of one request.
struct Params<'a>(Vec<&'a RawValue>);

impl<'a> Params<'a> {
    fn parse(raw: Option<&'a RawValue>) -> Result<Self, ErrorPayload> {
        match raw.map(RawValue::get) {
            None | Some("null") => Ok(Self(Vec::new())),
            Some(text) => serde_json::from_str(text)
                .map(Self)
                .map_err(|_| invalid("params must be an array")),
        }
    }

    fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ErrorPayload> {
        match self.0.get(index).map(|raw| raw.get()) {
            None | Some("null") => Ok(None),
            Some(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|error| invalid(&format!("parameter {index}: {error}"))),
        }
    }

    fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, ErrorPayload> {
        self.optional(index)?
            .ok_or_else(|| invalid(&format!("missing value for required parameter {index}")))
    }
}

fn invalid(detail: &str) -> ErrorPayload {
    ErrorPayload {
        code: -32602,
        message: format!("Invalid params: {detail}").into(),
        data: None,
    }
}

fn reply<T: Serialize>(value: T) -> Answer {
    to_raw_value(&value)
        .map_err(|error| ErrorPayload::internal_error_message(error.to_string().into()))
}

fn quantity(value: u64) -> Answer {
    reply(U64::from(value))
}

/// A number as browsers and tools send it: a JSON number, or text in decimal or hex.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    fn value(self) -> Result<u64, ErrorPayload> {
        match self {
            Self::Number(value) => Ok(value),
            Self::Text(text) => match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            }
            .ok_or_else(|| invalid(&format!("not a number: {text:?}"))),
        }
    }
}

/// Answers one request.
pub(super) fn handle(chain: &DevChain, method: &str, params: Option<&RawValue>) -> Answer {
    let p = Params::parse(params)?;
    match method {
        "eth_chainId" => quantity(chain.chain_id()),
        "net_version" => reply(chain.chain_id().to_string()),
        "net_listening" => reply(true),
        "web3_clientVersion" => reply(concat!("salus-devchain/", env!("CARGO_PKG_VERSION"))),
        "eth_syncing" => reply(false),
        "eth_accounts" => reply::<[Address; 0]>([]),
        "eth_blockNumber" => quantity(chain.block_number()),
        "eth_gasPrice" => quantity(chain.read().config.base_fee),
        "eth_maxPriorityFeePerGas" => quantity(0),
        "eth_feeHistory" => fee_history(
            &chain.read(),
            p.required::<Seconds>(0)?.value()?,
            p.optional(1)?,
            p.optional::<Vec<f64>>(2)?.unwrap_or_default().len(),
        ),
        "eth_getTransactionCount" => {
            at_newest(&chain.read(), p.optional(1)?)?;
            quantity(chain.nonce(p.required(0)?))
        }
        "eth_getBalance" => {
            at_newest(&chain.read(), p.optional(1)?)?;
            reply(chain.balance(p.required(0)?))
        }
        "eth_getCode" => {
            let state = chain.read();
            at_newest(&state, p.optional(1)?)?;
            reply(state.code(p.required(0)?))
        }
        "eth_getStorageAt" => {
            let state = chain.read();
            at_newest(&state, p.optional(2)?)?;
            reply(state.storage(p.required(0)?, p.required(1)?))
        }
        "eth_call" => {
            let state = chain.read();
            let view = at_newest(&state, p.optional(1)?)?;
            no_overrides(&p)?;
            reply(state.call(&p.required::<TransactionRequest>(0)?, view)?)
        }
        "eth_estimateGas" => {
            let state = chain.read();
            let view = match p.optional(1)? {
                None => View::Pending,
                some => at_newest(&state, some)?,
            };
            no_overrides(&p)?;
            quantity(state.estimate(&p.required::<TransactionRequest>(0)?, view)?)
        }
        "eth_sendRawTransaction" => reply(chain.submit(&p.required::<Bytes>(0)?)?),
        "eth_getTransactionReceipt" => reply(chain.receipt(p.required(0)?)),
        "eth_getTransactionByHash" => transaction(&chain.read(), p.required(0)?),
        "eth_getRawTransactionByHash" => reply(chain.raw_transaction(p.required(0)?)?),
        "eth_getBlockByNumber" => {
            let state = chain.read();
            let number = match p.required::<BlockNumberOrTag>(0)? {
                BlockNumberOrTag::Number(number) => number,
                BlockNumberOrTag::Earliest => 0,
                // There is no pool, so the pending block is the newest one.
                _ => state.height(),
            };
            block(&state, Some(number), p.optional(1)?.unwrap_or(false))
        }
        "eth_getBlockByHash" => {
            let state = chain.read();
            let number = state.by_hash.get(&p.required::<B256>(0)?).copied();
            block(&state, number, p.optional(1)?.unwrap_or(false))
        }
        "eth_getBlockReceipts" => {
            let state = chain.read();
            let found = number_of(&state, p.required(0)?).and_then(|n| state.block(n));
            reply(found.map(|b| b.rpc_receipt().into_iter().collect::<Vec<_>>()))
        }
        "eth_getLogs" => reply(chain.logs(&p.required::<Filter>(0)?)?),
        "evm_increaseTime" => quantity(chain.increase_time(p.required::<Seconds>(0)?.value()?)),
        "evm_setNextBlockTimestamp" => {
            chain.set_next_timestamp(p.required::<Seconds>(0)?.value()?)?;
            reply(())
        }
        "evm_mine" => {
            let mut state = chain.write();
            if let Some(timestamp) = p.optional::<Seconds>(0)? {
                state.set_next_timestamp(timestamp.value()?)?;
            }
            state.mine_empty();
            reply("0x0")
        }
        "evm_snapshot" => quantity(chain.snapshot()),
        "evm_revert" => reply(chain.revert(p.required::<Seconds>(0)?.value()?)?),
        other => Err(ErrorPayload {
            code: -32601,
            message: format!("the method {other} does not exist/is not available").into(),
            data: None,
        }),
    }
}

impl State {
    fn code(&self, address: Address) -> Bytes {
        use revm::DatabaseRef;
        let account = self.account(address);
        match account.code {
            Some(code) => code.original_bytes(),
            None => self
                .db
                .code_by_hash_ref(account.code_hash)
                .map(|code| code.original_bytes())
                .unwrap_or_default(),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> B256 {
        use revm::DatabaseRef;
        self.db
            .storage_ref(address, slot)
            .unwrap_or_default()
            .into()
    }
}

/// State and block overrides would change the answer, so they are refused rather than ignored.
fn no_overrides(p: &Params<'_>) -> Result<(), ErrorPayload> {
    for index in 2..p.0.len() {
        if !matches!(p.0[index].get(), "null" | "{}") {
            return Err(invalid("state and block overrides are not supported"));
        }
    }
    Ok(())
}

fn number_of(state: &State, id: BlockId) -> Option<u64> {
    match id {
        BlockId::Hash(hash) => state.by_hash.get(&hash.block_hash).copied(),
        BlockId::Number(BlockNumberOrTag::Number(number)) => Some(number),
        BlockId::Number(BlockNumberOrTag::Earliest) => Some(0),
        BlockId::Number(_) => Some(state.height()),
    }
}

/// Only the newest state is kept: any other block is refused, never answered with the wrong state.
fn at_newest(state: &State, id: Option<BlockId>) -> Result<View, DevChainError> {
    let Some(id) = id else {
        return Ok(View::Latest);
    };
    if id == BlockId::pending() {
        return Ok(View::Pending);
    }
    let latest = state.height();
    match number_of(state, id) {
        Some(number) if number == latest => Ok(View::Latest),
        Some(block) if block < latest => Err(DevChainError::HistoricalState { block, latest }),
        _ => Err(DevChainError::UnknownBlock {
            block: format!("{id:?}"),
        }),
    }
}

fn block(state: &State, number: Option<u64>, full: bool) -> Answer {
    let Some(block) = number.and_then(|number| state.block(number)) else {
        return reply(());
    };
    let transactions = match &block.mined {
        Some(mined) if full => {
            let raw = state.spool.read(mined.raw).map_err(DevChainError::from)?;
            BlockTransactions::Full(block.rpc_transaction(&raw)?.into_iter().collect())
        }
        mined => BlockTransactions::Hashes(mined.iter().map(|mined| mined.hash).collect()),
    };
    reply(block.rpc(transactions))
}

fn transaction(state: &State, hash: TxHash) -> Answer {
    match (state.block_of(hash), state.raw(hash)?) {
        (Some(block), Some(raw)) => reply(block.rpc_transaction(&raw)?),
        _ => reply(()),
    }
}

fn fee_history(
    state: &State,
    count: u64,
    newest: Option<BlockNumberOrTag>,
    percentiles: usize,
) -> Answer {
    let newest = match newest {
        Some(BlockNumberOrTag::Number(number)) => number.min(state.height()),
        Some(BlockNumberOrTag::Earliest) => 0,
        _ => state.height(),
    };
    let count = count.clamp(1, FEE_HISTORY_BLOCKS).min(newest + 1);
    let oldest = newest + 1 - count;
    let base_fee = state.config.base_fee;
    let mut history = FeeHistory {
        oldest_block: oldest,
        base_fee_per_gas: vec![base_fee.into(); count as usize + 1],
        base_fee_per_blob_gas: vec![1; count as usize + 1],
        blob_gas_used_ratio: vec![0.0; count as usize],
        ..FeeHistory::default()
    };
    let mut rewards = Vec::new();
    for block in (oldest..=newest).filter_map(|number| state.block(number)) {
        history
            .gas_used_ratio
            .push(block.header.gas_used as f64 / block.header.gas_limit as f64);
        let tip = block.mined.as_ref().map_or(0, |mined| {
            mined
                .effective_gas_price
                .saturating_sub(u128::from(base_fee))
        });
        rewards.push(vec![tip; percentiles]);
    }
    history.reward = (percentiles > 0).then_some(rewards);
    reply(history)
}

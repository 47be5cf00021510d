//! Signing and sending transactions for one key, one after the other or many at once.

use super::{Chain, ChainError, Contract, Done};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, Bytes, TxHash, TxKind, U256},
    providers::Provider,
    rpc::types::{Log, TransactionReceipt, TransactionRequest},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolEvent,
};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long fee figures of a node are used before they are asked for again.
const FEE_AGE: Duration = Duration::from_secs(5);

/// A transaction to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which contract, for decoding its errors.
    pub contract: Contract,
    /// Where it is; creation if there is none yet.
    pub to: Option<Address>,
    /// Calldata, or creation code with arguments.
    pub data: Bytes,
}

impl Call {
    fn request(&self, from: Address) -> TransactionRequest {
        let request = TransactionRequest::default()
            .from(from)
            .input(self.data.clone().into());
        match self.to {
            Some(to) => request.to(to),
            None => TransactionRequest {
                to: Some(TxKind::Create),
                ..request
            },
        }
    }
}

/// A transaction that was mined and succeeded.
#[derive(Debug, Clone)]
pub struct Mined {
    /// Its hash.
    pub hash: TxHash,
    /// Block it is in.
    pub block: u64,
    /// Gas it used.
    pub gas_used: u64,
    /// Address of the contract it created.
    pub created: Option<Address>,
    /// What it logged.
    pub logs: Vec<Log>,
}

/// A pipeline that stopped.
#[derive(Debug, thiserror::Error)]
#[error("transaction {index} of the batch: {source}")]
pub struct PipelineError {
    /// Number of the call that failed, from 0. Calls after it were not sent, or were mined as far as `mined` says.
    pub index: usize,
    /// Calls that were mined before.
    pub mined: Vec<Mined>,
    /// Why it failed.
    #[source]
    pub source: ChainError,
}

/// A key that sends transactions; clones share its nonces.
#[derive(Debug, Clone)]
pub struct Account {
    chain: Chain,
    signer: PrivateKeySigner,
    state: Arc<Mutex<Sending>>,
}

#[derive(Debug, Default)]
struct Sending {
    /// Next nonce; unknown before the first transaction and after a failed one.
    nonce: Option<u64>,
    fees: Option<(Instant, u128, u128)>,
}

/// Transactions on their way, and those that arrived.
struct Pipeline<'a, F> {
    waiting: FuturesOrdered<BoxFuture<'a, Result<Mined, ChainError>>>,
    done: Vec<Mined>,
    mined: F,
}

impl<F: FnMut(usize, &Mined)> Pipeline<'_, F> {
    /// Waits for the oldest one; false if none is on its way.
    async fn finish_one(&mut self) -> Result<bool, ChainError> {
        let Some(receipt) = self.waiting.next().await else {
            return Ok(false);
        };
        let receipt = receipt?;
        (self.mined)(self.done.len(), &receipt);
        self.done.push(receipt);
        Ok(true)
    }

    async fn drain(&mut self) -> Result<(), ChainError> {
        while self.finish_one().await? {}
        Ok(())
    }
}

struct Sent {
    hash: TxHash,
    call: Call,
}

impl Account {
    /// An account on `chain`. Nothing is sent yet.
    pub fn new(chain: &Chain, signer: PrivateKeySigner) -> Self {
        Self {
            chain: chain.clone(),
            signer,
            state: Arc::default(),
        }
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// The chain it sends to.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// The nonce of the next transaction, if nothing else is sent until then.
    pub(crate) async fn next_nonce(&self) -> Result<u64, ChainError> {
        Ok(self
            .chain
            .provider()
            .get_transaction_count(self.address())
            .pending()
            .await?)
    }

    /// Sends one transaction and waits until it is mined.
    ///
    /// # Errors
    /// It would revert (nothing is sent then), the node refuses it, or it reverts in its block.
    pub async fn send(&self, call: Call) -> Result<Mined, ChainError> {
        let gas = self.estimate(&call).await?;
        let sent = self.submit(call, gas).await?;
        self.finish(sent).await
    }

    /// Sends many transactions in order, with up to `window` of them on their way; `mined` is told of each in order.
    /// Later ones are estimated while earlier ones execute, so an embedded chain uses every core.
    ///
    /// # Errors
    /// The first one that fails, with what was mined until then.
    pub async fn send_all<I, F>(
        &self,
        calls: I,
        window: usize,
        mined: F,
    ) -> Result<Vec<Mined>, PipelineError>
    where
        I: IntoIterator<Item = Call>,
        F: FnMut(usize, &Mined),
    {
        let mut pipeline = Pipeline {
            waiting: FuturesOrdered::new(),
            done: Vec::new(),
            mined,
        };
        match self.pump(&mut pipeline, calls, window.max(1)).await {
            Ok(()) => Ok(pipeline.done),
            Err(source) => {
                self.state.lock().await.nonce = None;
                Err(PipelineError {
                    index: pipeline.done.len(),
                    mined: pipeline.done,
                    source,
                })
            }
        }
    }

    async fn pump<'a, I, F>(
        &'a self,
        pipeline: &mut Pipeline<'a, F>,
        calls: I,
        window: usize,
    ) -> Result<(), ChainError>
    where
        I: IntoIterator<Item = Call>,
        F: FnMut(usize, &Mined),
    {
        let estimates = stream::iter(calls)
            .map(|call| async move {
                let gas = self.estimate(&call).await;
                (call, gas)
            })
            .buffered(window);
        let mut estimates = std::pin::pin!(estimates);
        while let Some((call, gas)) = estimates.next().await {
            while pipeline.waiting.len() >= window {
                pipeline.finish_one().await?;
            }
            let gas = match gas {
                Ok(gas) => gas,
                // It may need what is still on its way (a chunk opened by an earlier batch): ask again after that.
                Err(_) => {
                    pipeline.drain().await?;
                    self.estimate(&call).await?
                }
            };
            match self.submit(call, gas).await {
                Ok(sent) => pipeline.waiting.push_back(self.finish(sent).boxed()),
                Err(error) => {
                    pipeline.drain().await?;
                    return Err(error);
                }
            }
        }
        pipeline.drain().await
    }

    async fn estimate(&self, call: &Call) -> Result<u64, ChainError> {
        self.chain
            .estimate(call.contract, call.request(self.address()))
            .await
    }

    /// Signs with the next nonce and hands over. The lock keeps nonces in the order of submission.
    async fn submit(&self, call: Call, gas_limit: u64) -> Result<Sent, ChainError> {
        let mut state = self.state.lock().await;
        let nonce = match state.nonce {
            Some(nonce) => nonce,
            None => self.next_nonce().await?,
        };
        let (max_fee_per_gas, max_priority_fee_per_gas) = match state.fees {
            Some((asked, max, tip)) if asked.elapsed() < FEE_AGE => (max, tip),
            _ => {
                let fees = self.chain.provider().estimate_eip1559_fees().await?;
                let (max, tip) = (fees.max_fee_per_gas, fees.max_priority_fee_per_gas);
                state.fees = Some((Instant::now(), max, tip));
                (max, tip)
            }
        };
        let transaction = TxEip1559 {
            chain_id: self.chain.id(),
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: call.to.map_or(TxKind::Create, TxKind::Call),
            value: U256::ZERO,
            access_list: Default::default(),
            input: call.data.clone(),
        };
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash())?;
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        // Unknown until the node has answered: a lost answer must not leave a gap or a repeat.
        state.nonce = None;
        let hash = self.chain.submit(envelope.encoded_2718()).await?;
        state.nonce = Some(nonce + 1);
        Ok(Sent { hash, call })
    }

    async fn finish(&self, sent: Sent) -> Result<Mined, ChainError> {
        let receipt = self.chain.receipt(sent.hash).await?;
        if !receipt.status() {
            let request = sent.call.request(self.address());
            let data = self.chain.revert_data(&receipt, request).await;
            return Err(ChainError::reverted(
                sent.call.contract,
                data,
                Some(sent.hash),
            ));
        }
        Ok(receipt.into())
    }
}

impl Mined {
    pub(super) fn done<T>(&self, value: T) -> Done<T> {
        Done {
            value,
            gas_used: self.gas_used,
            transaction: self.hash,
            block: self.block,
        }
    }
}

/// The first event of a kind that `emitter` logged in a transaction.
pub(super) fn event<E: SolEvent>(
    mined: &Mined,
    emitter: Address,
    name: &'static str,
) -> Result<E, ChainError> {
    mined
        .logs
        .iter()
        .filter(|log| log.address() == emitter)
        .find_map(|log| E::decode_log(&log.inner).ok())
        .map(|log| log.data)
        .ok_or(ChainError::MissingEvent {
            event: name,
            transaction: mined.hash,
        })
}

impl From<TransactionReceipt> for Mined {
    fn from(receipt: TransactionReceipt) -> Self {
        Self {
            hash: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            gas_used: receipt.gas_used,
            created: receipt.contract_address,
            logs: receipt.inner.logs().to_vec(),
        }
    }
}

//! A chain to talk to: embedded in this process, or behind a JSON-RPC address.

use super::{ChainError, Contract};
use crate::devchain::DevChain;
use alloy::{
    eips::{BlockNumberOrTag, eip2718::Encodable2718},
    primitives::{Address, B256, Bytes, TxHash, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        types::{TransactionReceipt, TransactionRequest},
    },
    sol_types::SolCall,
    transports::http::{Http, reqwest},
};
use std::{str::FromStr, time::Duration};

/// Longest wait for one HTTP answer.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
/// First and longest pause between two looks for a receipt.
const RECEIPT_PAUSE: (Duration, Duration) = (Duration::from_millis(4), Duration::from_secs(1));
/// Longest wait for a receipt.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);

/// Where a chain is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// In this process.
    Embedded(DevChain),
    /// At a JSON-RPC address.
    Http(reqwest::Url),
}

impl FromStr for Endpoint {
    type Err = ChainError;

    /// Reads an `http://` or `https://` address.
    fn from_str(text: &str) -> Result<Self, ChainError> {
        let bad = |detail: String| ChainError::BadUrl {
            url: text.to_owned(),
            detail,
        };
        let url = reqwest::Url::parse(text).map_err(|error| bad(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            other => Err(bad(format!("scheme {other} is not http or https"))),
        }
    }
}

/// A connected chain; clones share the connection.
#[derive(Debug, Clone)]
pub struct Chain {
    provider: DynProvider,
    embedded: Option<DevChain>,
    id: u64,
}

impl Chain {
    /// Connects and asks for the chain's id.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, ChainError> {
        let url = match endpoint {
            Endpoint::Embedded(chain) => return Ok(Self::embedded(chain)),
            Endpoint::Http(url) => url,
        };
        let client = reqwest::Client::builder()
            .timeout(HTTP_TIMEOUT)
            .build()
            .map_err(|error| ChainError::BadUrl {
                url: url.to_string(),
                detail: error.to_string(),
            })?;
        let transport = Http::with_client(client, url);
        let local = transport.guess_local();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_client(RpcClient::new(transport, local))
            .erased();
        let id = provider.get_chain_id().await?;
        Ok(Self {
            provider,
            embedded: None,
            id,
        })
    }

    /// The chain in this process.
    pub fn embedded(chain: DevChain) -> Self {
        Self {
            provider: chain.provider(),
            id: chain.chain_id(),
            embedded: Some(chain),
        }
    }

    /// EIP-155 chain id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The alloy provider underneath, for what this client does not cover.
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The embedded chain, if that is what this is.
    pub fn dev_chain(&self) -> Option<&DevChain> {
        self.embedded.as_ref()
    }

    /// Number of the newest block.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn block_number(&self) -> Result<u64, ChainError> {
        Ok(self.provider.get_block_number().await?)
    }

    /// Unix time of the newest block, seconds.
    ///
    /// # Errors
    /// The node cannot be reached or has no newest block.
    pub async fn timestamp(&self) -> Result<u64, ChainError> {
        match self
            .provider
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await?
        {
            Some(block) => Ok(block.header.timestamp),
            None => Err(ChainError::UnknownBlock { block: 0 }),
        }
    }

    /// Unix time of a block, seconds.
    ///
    /// # Errors
    /// The node cannot be reached or does not know the block.
    pub async fn block_timestamp(&self, block: u64) -> Result<u64, ChainError> {
        match self.provider.get_block_by_number(block.into()).await? {
            Some(found) => Ok(found.header.timestamp),
            None => Err(ChainError::UnknownBlock { block }),
        }
    }

    /// Wei held by an address.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn balance(&self, address: Address) -> Result<U256, ChainError> {
        Ok(self.provider.get_balance(address).await?)
    }

    /// Lets time pass on a development chain (embedded or anvil) and mines a block.
    ///
    /// # Errors
    /// The node cannot be reached or is no development chain.
    pub async fn advance_time(&self, seconds: u64) -> Result<(), ChainError> {
        self.provider
            .raw_request::<_, serde_json::Value>("evm_increaseTime".into(), [seconds])
            .await?;
        self.provider
            .raw_request::<[u8; 0], serde_json::Value>("evm_mine".into(), [])
            .await?;
        Ok(())
    }

    /// Runs a view function and decodes its answer.
    ///
    /// # Errors
    /// The call reverts, the node cannot be reached, or the answer does not decode.
    pub async fn read<C: SolCall>(
        &self,
        contract: Contract,
        address: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let request = TransactionRequest::default()
            .to(address)
            .input(call.abi_encode().into());
        let output = self
            .provider
            .call(request)
            .await
            .map_err(|error| ChainError::from_call(contract, error))?;
        C::abi_decode_returns(&output).map_err(|error| {
            if output.is_empty() {
                ChainError::NoContract { contract, address }
            } else {
                ChainError::Reply {
                    contract,
                    detail: error.to_string(),
                }
            }
        })
    }

    /// Gas limit for a transaction, with the revert decoded if it would fail.
    pub(super) async fn estimate(
        &self,
        contract: Contract,
        request: TransactionRequest,
    ) -> Result<u64, ChainError> {
        let gas = match &self.embedded {
            // Skipping JSON matters here: calldata goes up to 100 KB.
            Some(chain) => {
                let chain = chain.clone();
                let done = tokio::task::spawn_blocking(move || chain.estimate_gas(&request)).await;
                match done.map_err(alloy::transports::TransportErrorKind::custom)? {
                    Ok(gas) => gas,
                    Err(crate::devchain::DevChainError::Reverted { data }) => {
                        return Err(ChainError::reverted(contract, data, None));
                    }
                    Err(error) => return Err(refused(&error)),
                }
            }
            None => self
                .provider
                .estimate_gas(request)
                .await
                .map_err(|error| ChainError::from_call(contract, error))?,
        };
        Ok(gas)
    }

    pub(super) async fn submit(&self, raw: Vec<u8>) -> Result<TxHash, ChainError> {
        match &self.embedded {
            Some(chain) => {
                let chain = chain.clone();
                tokio::task::spawn_blocking(move || chain.submit(&raw))
                    .await
                    .map_err(alloy::transports::TransportErrorKind::custom)?
                    .map_err(|error| refused(&error))
            }
            None => {
                let pending = self.provider.send_raw_transaction(&raw).await?;
                Ok(*pending.tx_hash())
            }
        }
    }

    /// Waits until a transaction is mined.
    pub(super) async fn receipt(&self, hash: TxHash) -> Result<TransactionReceipt, ChainError> {
        let start = tokio::time::Instant::now();
        let (mut pause, longest) = RECEIPT_PAUSE;
        loop {
            let found = match &self.embedded {
                Some(chain) => chain.receipt(hash),
                None => self.provider.get_transaction_receipt(hash).await?,
            };
            if let Some(receipt) = found {
                return Ok(receipt);
            }
            let waited = start.elapsed();
            if waited > RECEIPT_TIMEOUT {
                return Err(ChainError::NotConfirmed {
                    transaction: hash,
                    waited,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// What a mined transaction returned when it reverted, as far as the node can still tell.
    pub(super) async fn revert_data(
        &self,
        receipt: &TransactionReceipt,
        request: TransactionRequest,
    ) -> Bytes {
        if let Some(chain) = &self.embedded {
            return chain
                .revert_data(receipt.transaction_hash)
                .unwrap_or_default();
        }
        let block = receipt.block_number.unwrap_or_default().saturating_sub(1);
        match self.provider.call(request).block(block.into()).await {
            Ok(_) => Bytes::new(),
            Err(error) => error
                .as_error_resp()
                .and_then(|payload| payload.as_revert_data())
                .unwrap_or_default(),
        }
    }

    /// The signed bytes of a mined transaction, checked against its hash: what an audit replays.
    ///
    /// # Errors
    /// The node does not know it, cannot be reached, or returns other bytes.
    pub async fn raw_transaction(&self, hash: TxHash) -> Result<Bytes, ChainError> {
        let unknown = ChainError::UnknownTransaction { transaction: hash };
        let raw: Bytes = match &self.embedded {
            Some(chain) => chain
                .raw_transaction(hash)
                .map_err(|error| refused(&error))?
                .ok_or(unknown)?,
            // Not every node has eth_getRawTransactionByHash; encoding the decoded form gives the same bytes.
            None => self
                .provider
                .get_transaction_by_hash(hash)
                .await?
                .ok_or(unknown)?
                .into_inner()
                .encoded_2718()
                .into(),
        };
        let found: B256 = keccak256(&raw);
        if found == hash {
            Ok(raw)
        } else {
            Err(ChainError::WrongTransaction {
                expected: hash,
                found,
            })
        }
    }
}

fn refused(error: &crate::devchain::DevChainError) -> ChainError {
    ChainError::Rejected {
        code: error.code(),
        message: error.to_string(),
    }
}

//! What happened, in order: the contracts' events by block range.

use super::{ChainError, Client, Contract};
use crate::bindings::{IAnswerVerifier, ICohortRegistry, ICommittee, IQueryMarket, IRewardPool};
use alloy::{
    primitives::TxHash,
    providers::Provider,
    rpc::types::{Filter, Log},
    sol_types::SolEventInterface,
    transports::RpcError,
};
use std::ops::RangeInclusive;

/// Blocks asked for at once, to begin with; nodes limit the range, the number of logs, or both.
const PAGE: u64 = 2_000;

/// One event of one of the contracts.
#[derive(Debug, Clone)]
pub struct Event {
    /// Block it happened in.
    pub block: u64,
    /// Its place among the block's logs.
    pub index: u64,
    /// Transaction that caused it.
    pub transaction: TxHash,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum EventBody {
    /// To datasets and members.
    Registry(ICohortRegistry::ICohortRegistryEvents),
    /// To queries and payments.
    Market(IQueryMarket::IQueryMarketEvents),
    /// To verifying keys.
    Verifier(IAnswerVerifier::IAnswerVerifierEvents),
    /// To committees and their bonds.
    Committee(ICommittee::ICommitteeEvents),
    /// To member rewards.
    Pool(IRewardPool::IRewardPoolEvents),
    /// A log that the bindings do not know.
    Unknown(Contract, Box<Log>),
}

impl Client {
    /// All events of the contracts in a range of blocks, in order. Pages are made smaller while the node complains.
    ///
    /// # Errors
    /// The node cannot be reached, or refuses even a single block.
    pub async fn events(&self, blocks: RangeInclusive<u64>) -> Result<Vec<Event>, ChainError> {
        let mut events = Vec::new();
        self.each_event(blocks, |event| events.push(event)).await?;
        Ok(events)
    }

    /// As [`Client::events`], handing over one by one.
    ///
    /// # Errors
    /// As [`Client::events`]; events before the failing page were handed over.
    pub async fn each_event(
        &self,
        blocks: RangeInclusive<u64>,
        mut each: impl FnMut(Event),
    ) -> Result<(), ChainError> {
        let at = &self.at;
        let mut ours = vec![at.registry, at.market, at.verifier, at.pool];
        ours.extend(at.committee);
        let filter = Filter::new().address(ours);
        self.each_log(&filter, blocks, |log| each(self.event(log)))
            .await
    }

    /// Hands over the matching logs of a range of blocks, page by page.
    pub(super) async fn each_log(
        &self,
        filter: &Filter,
        blocks: RangeInclusive<u64>,
        mut each: impl FnMut(Log),
    ) -> Result<(), ChainError> {
        let (mut from, last) = blocks.into_inner();
        let mut page = PAGE;
        while from <= last {
            let to = last.min(from.saturating_add(page - 1));
            let range = filter.clone().from_block(from).to_block(to);
            match self.chain.provider().get_logs(&range).await {
                Ok(logs) => {
                    logs.into_iter().for_each(&mut each);
                    let Some(next) = to.checked_add(1) else {
                        break;
                    };
                    from = next;
                    page = (page * 2).min(PAGE);
                }
                Err(RpcError::ErrorResp(_)) if to > from => page = ((to - from) / 2).max(1),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn event(&self, log: Log) -> Event {
        let at = &self.at;
        let address = log.address();
        let body = if address == at.registry {
            ICohortRegistry::ICohortRegistryEvents::decode_log(&log.inner)
                .ok()
                .map(|event| EventBody::Registry(event.data))
        } else if address == at.market {
            IQueryMarket::IQueryMarketEvents::decode_log(&log.inner)
                .ok()
                .map(|event| EventBody::Market(event.data))
        } else if address == at.verifier {
            IAnswerVerifier::IAnswerVerifierEvents::decode_log(&log.inner)
                .ok()
                .map(|event| EventBody::Verifier(event.data))
        } else if Some(address) == at.committee {
            ICommittee::ICommitteeEvents::decode_log(&log.inner)
                .ok()
                .map(|event| EventBody::Committee(event.data))
        } else {
            IRewardPool::IRewardPoolEvents::decode_log(&log.inner)
                .ok()
                .map(|event| EventBody::Pool(event.data))
        };
        let contract = if address == at.registry {
            Contract::CohortRegistry
        } else if address == at.market {
            Contract::QueryMarket
        } else if address == at.verifier {
            Contract::AnswerVerifier
        } else if Some(address) == at.committee {
            Contract::Committee
        } else {
            Contract::RewardPool
        };
        Event {
            block: log.block_number.unwrap_or_default(),
            index: log.log_index.unwrap_or_default(),
            transaction: log.transaction_hash.unwrap_or_default(),
            body: body.unwrap_or_else(|| EventBody::Unknown(contract, Box::new(log))),
        }
    }
}

//! The embedded chain as an alloy transport.

use super::{DevChain, rpc};
use alloy::{
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest},
    },
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use std::{
    task::{Context, Poll},
    time::Duration,
};

/// Blocks appear within microseconds, so waiting for a receipt should not last longer.
const POLL: Duration = Duration::from_millis(2);

impl DevChain {
    /// An alloy provider on this chain, without a wallet.
    pub fn provider(&self) -> DynProvider {
        let client = RpcClient::new(self.clone(), true).with_poll_interval(POLL);
        ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_client(client)
            .erased()
    }

    fn answer(&self, request: &SerializedRequest) -> Response {
        let payload = match rpc::handle(self, request.method(), request.params()) {
            Ok(value) => ResponsePayload::Success(value),
            Err(error) => ResponsePayload::Failure(error),
        };
        Response {
            id: request.id().clone(),
            payload,
        }
    }

    fn answer_packet(&self, packet: &RequestPacket) -> ResponsePacket {
        match packet {
            RequestPacket::Single(request) => ResponsePacket::Single(self.answer(request)),
            RequestPacket::Batch(requests) => {
                ResponsePacket::Batch(requests.iter().map(|r| self.answer(r)).collect())
            }
        }
    }
}

impl tower::Service<RequestPacket> for DevChain {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let chain = self.clone();
        Box::pin(async move {
            // A large transaction computes for a while: keep it off the executor's own threads.
            tokio::task::spawn_blocking(move || chain.answer_packet(&packet))
                .await
                .map_err(TransportErrorKind::custom)
        })
    }
}

//! Connections to one server: dialled when needed, kept while they work.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::frame::{self, FrameError};
use crate::config::Limits;
use crate::identity::{Fingerprint, Identity, SERVER_NAME};
use crate::message::{Reply, Request};
use crate::pinning::client_config;

/// Idle connections kept per server.
const KEPT: usize = 4;

/// Why a server did not reply.
#[derive(Debug, Error)]
pub enum CallError {
    #[error("no reply in time")]
    Slow,
    #[error("cannot be reached: {reason}")]
    Unreachable {
        /// What went wrong.
        reason: String,
        /// True when somebody took the connection and then ended it.
        connected: bool,
    },
    #[error(transparent)]
    Frame(#[from] FrameError),
}

type Stream = TlsStream<TcpStream>;

/// One server, as one of its clients sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    tls: Arc<ClientConfig>,
    limits: Limits,
    idle: Mutex<Vec<Stream>>,
}

impl Connection {
    pub(crate) fn new(
        identity: &Identity,
        address: String,
        server: Fingerprint,
        limits: Limits,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            address,
            tls: client_config(identity, server)?,
            limits,
            idle: Mutex::default(),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to a request, waited for at most `wait`.
    ///
    /// Requests may be repeated: holders answer the same to the same. A kept connection that turns out dead is replaced once.
    pub(crate) async fn call(&self, request: &Request, wait: Duration) -> Result<Reply, CallError> {
        let call = async {
            let kept = self.idle().pop();
            if let Some(mut stream) = kept
                && let Ok(reply) = self.exchange(&mut stream, request, wait).await
            {
                self.keep(stream);
                return Ok(reply);
            }
            let mut stream = self.dial().await?;
            let reply = self.exchange(&mut stream, request, wait).await?;
            self.keep(stream);
            Ok(reply)
        };
        timeout(wait, call).await.map_err(|_| CallError::Slow)?
    }

    fn keep(&self, stream: Stream) {
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push(stream);
        }
    }

    async fn dial(&self) -> Result<Stream, CallError> {
        let unreachable = |connected: bool| {
            move |error: io::Error| CallError::Unreachable {
                reason: error.to_string(),
                connected,
            }
        };
        let name = ServerName::try_from(SERVER_NAME).expect("a constant host name");
        let dial = async {
            let socket = TcpStream::connect(&self.address)
                .await
                .map_err(unreachable(false))?;
            socket.set_nodelay(true).map_err(unreachable(true))?;
            TlsConnector::from(self.tls.clone())
                .connect(name, socket)
                .await
                .map_err(unreachable(true))
        };
        timeout(self.limits.handshake, dial)
            .await
            .map_err(|_| CallError::Slow)?
    }

    async fn exchange(
        &self,
        stream: &mut Stream,
        request: &Request,
        wait: Duration,
    ) -> Result<Reply, CallError> {
        let exchange = async {
            frame::write(stream, request, self.limits.frame).await?;
            frame::read(stream, usize::MAX, wait, self.limits.frame).await
        };
        exchange.await.map_err(|error| match error {
            FrameError::Idle | FrameError::Slow => CallError::Slow,
            other => other.into(),
        })
    }
}

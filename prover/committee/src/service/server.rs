//! The server: who may connect, and what each may ask.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use super::frame::{self, FrameError};
use super::leader::{Party, blocking};
use crate::config::{ClientRole, CommitteeFile, ConfigError, HolderConfig, Limits};
use crate::identity::{Fingerprint, Identity};
use crate::keys::HolderKeys;
use crate::ledger::{Ciphertexts, Ledger, Signer};
use crate::message::{Phase, Reply, Request};
use crate::opening::{Holder, KeyHolder, StartError, Surroundings};
use crate::pinning::server_config;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::HolderIndex;

/// Bytes of a request by anyone but a holder, at most: a question, or a check with its excluded members.
const MAX_CLIENT_REQUEST: usize = 128 << 10;

/// Why a service does not start or stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the committee file does not name this holder's certificate {certificate}")]
    NotAHolder { certificate: Fingerprint },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
}

/// Who is on the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Peer(HolderIndex),
    Client,
    Operator,
}

pub(super) fn caller(committee: &CommitteeFile, certificate: &Fingerprint) -> Option<Caller> {
    if let Some(holder) = committee.holder_of(certificate) {
        return Some(Caller::Peer(holder));
    }
    let client = committee
        .clients
        .iter()
        .find(|c| c.certificate == *certificate)?;
    Some(match client.role {
        ClientRole::Client => Caller::Client,
        ClientRole::Operator => Caller::Operator,
    })
}

pub(super) fn allowed(committee: &CommitteeFile) -> Vec<Fingerprint> {
    let holders = committee.holders.iter().map(|h| h.certificate);
    holders
        .chain(committee.clients.iter().map(|c| c.certificate))
        .collect()
}

pub(super) fn connections(
    committee: &CommitteeFile,
    me: HolderIndex,
    identity: &Identity,
    limits: Limits,
) -> Result<BTreeMap<HolderIndex, Arc<Connection>>, rustls::Error> {
    let entries = committee.holders.iter().enumerate();
    entries
        .filter(|(index, _)| *index != usize::from(me.0))
        .map(|(index, entry)| {
            let (address, certificate) = (entry.address.clone(), entry.certificate);
            let connection = Connection::new(identity, address, certificate, limits)?;
            Ok((HolderIndex(index as u8), Arc::new(connection)))
        })
        .collect()
}

/// A holder's service, listening.
pub struct Service {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    party: Arc<Party>,
}

impl Service {
    /// Starts to listen.
    ///
    /// # Errors
    /// If the configuration, the keys, the journal or the address cannot be used.
    pub async fn bind(
        config: HolderConfig,
        keys: HolderKeys,
        ledger: Arc<dyn Ledger>,
        ciphertexts: Arc<dyn Ciphertexts>,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, ServeError> {
        let surroundings = Surroundings {
            ledger,
            ciphertexts,
            signer,
        };
        Self::bind_as(config, keys, surroundings, |holder| holder).await
    }

    /// [`Service::bind`] with what it answers changed by `wrap`; for tests of misbehaviour.
    ///
    /// # Errors
    /// See [`Service::bind`].
    pub async fn bind_as(
        config: HolderConfig,
        keys: HolderKeys,
        surroundings: Surroundings,
        wrap: impl FnOnce(Arc<dyn Holder>) -> Arc<dyn Holder>,
    ) -> Result<Self, ServeError> {
        config.committee.check()?;
        let shape = config.committee.shape().map_err(ConfigError::from)?;
        let certificate = keys.identity.fingerprint();
        let me = config
            .committee
            .holder_of(&certificate)
            .ok_or(ServeError::NotAHolder { certificate })?;
        let acceptor = server_config(&keys.identity, allowed(&config.committee))?;
        let peers = connections(&config.committee, me, &keys.identity, config.limits)?;
        let keys = Arc::new(KeyHolder::new(
            me,
            shape,
            config.committee_id,
            config.limits.check_openings,
            keys,
            surroundings,
            &config.journal,
        )?);
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Listen { address, source })?;
        Ok(Self {
            listener,
            acceptor: TlsAcceptor::from(acceptor),
            party: Arc::new(Party {
                holder: wrap(keys.clone()),
                keys,
                committee: config.committee,
                peers,
                limits: config.limits,
                failed: Mutex::default(),
            }),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` completes, then lets requests in progress end.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let door = Door {
            listener: self.listener,
            acceptor: self.acceptor,
            committee: Arc::new(self.party.committee.clone()),
            limits: self.party.limits,
        };
        let party = self.party;
        let handler = move |caller, request| {
            let party = party.clone();
            async move { party.handle(caller, request).await }
        };
        door.serve(handler, shutdown).await;
    }
}

/// [`Service::bind`] and [`Service::run`].
///
/// # Errors
/// See [`Service::bind`].
pub async fn serve(
    config: HolderConfig,
    keys: HolderKeys,
    ledger: Arc<dyn Ledger>,
    ciphertexts: Arc<dyn Ciphertexts>,
    signer: Arc<dyn Signer>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let service = Service::bind(config, keys, ledger, ciphertexts, signer).await?;
    service.run(shutdown).await;
    Ok(())
}

impl Party {
    async fn handle(self: Arc<Self>, caller: Caller, request: Request) -> Reply {
        let kind = crate::message::Wire::kind(&request);
        let reply = self.answer(caller, request).await;
        match &reply {
            Reply::Refused(refusal) => {
                tracing::info!(?caller, kind, code = refusal.code.word(), "refused");
            }
            Reply::Failed(failure) => {
                tracing::warn!(?caller, kind, report = ?failure.report(), "failed")
            }
            _ => tracing::debug!(?caller, kind, "answered"),
        }
        reply
    }

    async fn answer(&self, caller: Caller, request: Request) -> Reply {
        let holder = self.holder.clone();
        let partials = |result: Result<Vec<_>, Refusal>| result.map(Reply::Partials);
        let reply = match (caller, request) {
            (_, Request::Status) => {
                blocking(move || Ok(Reply::Status(Box::new(holder.status())))).await
            }
            (Caller::Client, Request::Open(request)) => {
                return match self.lead(request).await {
                    Ok(answer) => Reply::Answer(Box::new(answer)),
                    Err(stop) => stop.into_reply(),
                };
            }
            (Caller::Client, Request::Check(request)) => {
                return match self.check(request).await {
                    Ok(zero) => Reply::Verdict(zero),
                    Err(stop) => stop.into_reply(),
                };
            }
            (Caller::Client, Request::Coin(subject)) => {
                return match self.coin(subject).await {
                    Ok(seeds) => Reply::Coin(seeds),
                    Err(stop) => stop.into_reply(),
                };
            }
            (Caller::Peer(_), Request::CoinSeeds(subject)) => {
                blocking(move || partials(holder.coin_seeds(&subject))).await
            }
            (Caller::Peer(_), Request::Counts(opening)) => {
                blocking(move || partials(holder.counts(&opening))).await
            }
            (Caller::Peer(leader), Request::Sums(opening, counts)) => {
                match self
                    .cross_check(Some(leader), &opening, Phase::Counts, &[], &counts)
                    .await
                {
                    Ok(()) => blocking(move || partials(holder.sums(&opening, &counts))).await,
                    Err(refusal) => Err(refusal),
                }
            }
            (Caller::Peer(leader), Request::Sign(opening, counts, sums)) => {
                match self.cross_check_all(leader, &opening, &counts, &sums).await {
                    Ok(()) => {
                        let sign = move || holder.sign(&opening, &counts, &sums);
                        blocking(move || sign().map(Reply::Signature)).await
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            (Caller::Peer(_), Request::Vouch(opening, phase, counts, hashes)) => self
                .vouch(opening, phase, counts, hashes)
                .await
                .map(Reply::Vouched),
            (Caller::Peer(_), Request::ZeroPartial(request)) => {
                blocking(move || partials(holder.zero_partial(&request))).await
            }
            _ => Err(not_allowed()),
        };
        reply.unwrap_or_else(Reply::Refused)
    }

    async fn cross_check_all(
        &self,
        leader: HolderIndex,
        opening: &crate::message::Opening,
        counts: &[crate::message::Values],
        sums: &[crate::message::Values],
    ) -> Result<(), Refusal> {
        let leader = Some(leader);
        self.cross_check(leader, opening, Phase::Counts, &[], counts)
            .await?;
        if sums.iter().all(|list| list.0.is_empty()) {
            return Ok(());
        }
        self.cross_check(leader, opening, Phase::Sums, counts, sums)
            .await
    }
}

pub(super) fn not_allowed() -> Refusal {
    Refusal::new(RefusalCode::NotAllowed, "this certificate may not ask that")
}

/// A listening socket, who may connect, and within which limits.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) acceptor: TlsAcceptor,
    pub(super) committee: Arc<CommitteeFile>,
    pub(super) limits: Limits,
}

impl Door {
    /// Accepts connections until `shutdown` completes; then no new request is read, and those in progress end.
    pub(super) async fn serve<F, R>(self, handler: F, shutdown: impl Future<Output = ()>)
    where
        F: Fn(Caller, Request) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let (closing, closed) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                // Finished connections are forgotten as others arrive.
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    // Out of descriptors, most likely: give others the time to close some.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!("too many connections; one was closed");
                continue;
            };
            let (acceptor, committee) = (self.acceptor.clone(), self.committee.clone());
            let (handler, closed, limits) = (handler.clone(), closed.clone(), self.limits);
            connections.spawn(async move {
                let _place = place;
                if let Err(error) =
                    connection(socket, acceptor, &committee, limits, handler, closed).await
                {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
        drop(self.listener);
        // Receivers may all be gone: then nobody has to be told.
        let _ = closing.send(true);
        while connections.join_next().await.is_some() {}
    }
}

async fn connection<F, R>(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    committee: &CommitteeFile,
    limits: Limits,
    handler: F,
    mut closed: watch::Receiver<bool>,
) -> Result<(), FrameError>
where
    F: Fn(Caller, Request) -> R,
    R: Future<Output = Reply>,
{
    socket.set_nodelay(true)?;
    let mut stream = tokio::select! {
        accepted = timeout(limits.handshake, acceptor.accept(socket)) => {
            accepted.map_err(|_| FrameError::Slow)??
        }
        _ = closed.wait_for(|closed| *closed) => return Ok(()),
    };
    let Some(caller) = certificate(&stream).and_then(|c| caller(committee, &c)) else {
        // Unreachable: the handshake refused it. Never serve whom we cannot name.
        return Ok(());
    };
    let end = requests(&mut stream, caller, limits, handler, closed).await;
    // The goodbye of TLS, if the other side still listens.
    let _ = timeout(limits.handshake, stream.shutdown()).await;
    end
}

async fn requests<F, R>(
    stream: &mut TlsStream<TcpStream>,
    caller: Caller,
    limits: Limits,
    handler: F,
    mut closed: watch::Receiver<bool>,
) -> Result<(), FrameError>
where
    F: Fn(Caller, Request) -> R,
    R: Future<Output = Reply>,
{
    let most = match caller {
        Caller::Peer(_) => usize::MAX,
        Caller::Client | Caller::Operator => MAX_CLIENT_REQUEST,
    };
    loop {
        let request = tokio::select! {
            request = frame::read(stream, most, limits.idle, limits.frame) => request,
            _ = closed.wait_for(|closed| *closed) => return Ok(()),
        };
        let request = match request {
            Ok(request) => request,
            Err(FrameError::Closed | FrameError::Idle) => return Ok(()),
            Err(error) => {
                let refusal = Refusal::new(RefusalCode::BadRequest, &error);
                // The connection ends either way: what follows a broken frame cannot be read.
                let _ = frame::write(stream, &Reply::Refused(refusal), limits.frame).await;
                return Err(error);
            }
        };
        let reply = handler(caller, request).await;
        frame::write(stream, &reply, limits.frame).await?;
    }
}

fn certificate(stream: &TlsStream<TcpStream>) -> Option<Fingerprint> {
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates()?;
    certificates
        .first()
        .map(|certificate| Fingerprint::of(certificate))
}

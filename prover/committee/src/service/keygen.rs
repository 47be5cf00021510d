//! Key generation among services: the state machine of [`crate::keygen`] over mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_core::CryptoRngCore;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::server::{Caller, Door, ServeError, allowed, connections, not_allowed};
use crate::config::{CommitteeFile, ConfigError, Limits};
use crate::identity::Identity;
use crate::keygen::{Abort, Fault, Generated, Keygen, Message, Outgoing, Progress, Step};
use crate::message::{Reply, Request};
use crate::pinning::server_config;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::HolderIndex;

/// Between attempts to reach a holder that has not started yet.
const RETRY: Duration = Duration::from_millis(200);

/// What a holder needs to take part in key generation.
#[derive(Clone, Debug)]
pub struct KeygenConfig {
    /// The committee.
    pub committee: CommitteeFile,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What all holders agreed on for this attempt, such as a date; a new one for every attempt.
    pub nonce: Vec<u8>,
    /// For every round, the start of the others included.
    pub round: Duration,
    /// Times and sizes of connections.
    pub limits: Limits,
}

/// Why no key was made.
#[derive(Debug, Error)]
pub enum KeygenError {
    /// Somebody broke the protocol, or was silent.
    #[error(transparent)]
    Abort(#[from] Abort),
    /// This holder cannot take part.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Messages that have arrived, by round and sender.
#[derive(Default)]
struct Mailbox {
    messages: Mutex<BTreeMap<(Step, HolderIndex), Message>>,
    arrived: Notify,
}

impl Mailbox {
    /// Keeps a message; a second, different one of the same round is refused.
    fn put(&self, from: HolderIndex, message: Message) -> Result<(), Refusal> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (message.body.step(), from);
        match messages.get(&key) {
            Some(before) if *before == message => Ok(()),
            Some(_) => Err(Refusal::new(
                RefusalCode::AlreadyAnsweredDifferently,
                "another message of this round has arrived",
            )),
            None => {
                messages.insert(key, message);
                self.arrived.notify_one();
                Ok(())
            }
        }
    }

    /// The messages of a round once `count` have arrived, or those there are at the deadline.
    async fn take(
        &self,
        step: Step,
        count: usize,
        deadline: Instant,
    ) -> BTreeMap<HolderIndex, Message> {
        loop {
            {
                let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
                let here = messages.keys().filter(|(found, _)| *found == step).count();
                if here >= count || Instant::now() >= deadline {
                    let mut round = BTreeMap::new();
                    messages.retain(|(found, from), message| {
                        let ours = *found == step;
                        if ours {
                            round.insert(*from, message.clone());
                        }
                        !ours
                    });
                    return round;
                }
            }
            // Woken or too late: look again.
            let _ = timeout_at(deadline, self.arrived.notified()).await;
        }
    }
}

/// Makes a key with the other holders; all run this at about the same time.
///
/// # Errors
/// Who stopped it, or why this holder could not take part.
pub async fn generate_keys(
    config: KeygenConfig,
    identity: &Identity,
    rng: &mut (impl CryptoRngCore + Send),
) -> Result<Generated, KeygenError> {
    config.committee.check().map_err(ServeError::from)?;
    let certificate = identity.fingerprint();
    let me = config
        .committee
        .holder_of(&certificate)
        .ok_or(ServeError::NotAHolder { certificate })?;
    let session = config
        .committee
        .session(&config.nonce)
        .map_err(|error| ServeError::Config(ConfigError::from(error)))?;
    let tls = server_config(identity, allowed(&config.committee)).map_err(ServeError::from)?;
    let peers =
        connections(&config.committee, me, identity, config.limits).map_err(ServeError::from)?;
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;

    let mailbox = Arc::new(Mailbox::default());
    let door = Door {
        listener,
        acceptor: TlsAcceptor::from(tls),
        committee: Arc::new(config.committee.clone()),
        limits: config.limits,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (posted, id) = (mailbox.clone(), *session.id());
    let handler = move |caller, request| {
        let reply = receive(&posted, &id, caller, request);
        async move { reply.map_or_else(Reply::Refused, |()| Reply::Taken) }
    };
    let server = tokio::spawn(door.serve(handler, async {
        let _ = stopped.await;
    }));

    let (machine, outgoing) = Keygen::start(session, me, rng);
    let result = rounds(&config, machine, outgoing, &peers, &mailbox).await;
    // The server may have ended by itself.
    let _ = stop.send(());
    let _ = server.await;
    Ok(result?)
}

fn receive(
    mailbox: &Mailbox,
    session: &[u8; 32],
    caller: Caller,
    request: Request,
) -> Result<(), Refusal> {
    let (Caller::Peer(peer), Request::Keygen(message)) = (caller, request) else {
        return Err(not_allowed());
    };
    // Messages of other sessions do not take the place of this one's.
    if message.session != *session || message.from != peer {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            "another session or sender",
        ));
    }
    mailbox.put(peer, message)
}

async fn rounds(
    config: &KeygenConfig,
    machine: Keygen,
    mut outgoing: Vec<Outgoing>,
    peers: &BTreeMap<HolderIndex, Arc<Connection>>,
    mailbox: &Mailbox,
) -> Result<Generated, Abort> {
    let mut machine = Box::new(machine);
    let mut sending = JoinSet::new();
    loop {
        let deadline = Instant::now() + config.round;
        for Outgoing { to, message } in outgoing {
            if let Some(connection) = peers.get(&to) {
                let (connection, wait) = (connection.clone(), config.limits.peer);
                sending.spawn(async move { send(&connection, message, wait, deadline).await });
            }
        }
        let step = machine.step();
        let incoming = mailbox.take(step, peers.len(), deadline).await;
        for peer in peers.keys().filter(|peer| !incoming.contains_key(peer)) {
            tracing::warn!(holder = peer.0, %step, "no message of key generation");
        }
        // Hashing and ring arithmetic take milliseconds per subset.
        let advanced = tokio::task::spawn_blocking(move || machine.advance(&incoming)).await;
        match advanced {
            Ok(Ok(Progress::Next(next, messages))) => (machine, outgoing) = (next, messages),
            Ok(Ok(Progress::Done(generated))) => {
                // Others still wait for our last message.
                while sending.join_next().await.is_some() {}
                return Ok(*generated);
            }
            Ok(Err(abort)) => return Err(abort),
            Err(_) => {
                let holder = peers.keys().next().copied().unwrap_or(HolderIndex(0));
                return Err(Abort {
                    holder,
                    subset: None,
                    step,
                    fault: Fault::Missing,
                });
            }
        }
    }
}

/// Sends until the other has taken it or the round is over.
async fn send(connection: &Connection, message: Message, wait: Duration, deadline: Instant) {
    let request = Request::Keygen(message);
    while Instant::now() < deadline {
        match connection.call(&request, wait).await {
            Ok(Reply::Taken) => return,
            Ok(Reply::Refused(refusal)) => {
                tracing::warn!(
                    code = refusal.code.word(),
                    "a message of key generation was refused"
                );
                return;
            }
            Ok(_) | Err(_) => sleep(RETRY).await,
        }
    }
}

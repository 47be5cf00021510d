//! The market's side: a connection to one holder, which leads.

use thiserror::Error;

use super::connection::{CallError, Connection};
use crate::answer::SignedAnswer;
use crate::config::{HolderEntry, Limits};
use crate::identity::Identity;
use crate::message::{OpenRequest, Reply, Request, Status};
use crate::opening::{CheckRequest, CoinSeed, Failure};
use crate::refusal::Refusal;

/// Phases of an opening, and one more of patience: how many times a peer's time a leader may take.
const PHASES: u32 = 5;

/// Why a client has no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The holder decided not to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The committee could not.
    #[error(transparent)]
    Failed(Box<Failure>),
    /// The holder could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The identity's key cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The holder replied something else.
    #[error("the holder's reply does not belong to the request")]
    Unexpected,
}

/// A client of one holder.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    limits: Limits,
}

impl Client {
    /// A client of this holder; connects when first asked.
    ///
    /// # Errors
    /// If the identity's key cannot be used.
    pub fn new(
        identity: &Identity,
        holder: &HolderEntry,
        limits: Limits,
    ) -> Result<Self, ClientError> {
        let (address, certificate) = (holder.address.clone(), holder.certificate);
        Ok(Self {
            connection: Connection::new(identity, address, certificate, limits)?,
            limits,
        })
    }

    /// Sends any request and returns the reply; refusals and failures are errors.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask(&self, request: &Request) -> Result<Reply, ClientError> {
        match self
            .connection
            .call(request, self.limits.peer * PHASES)
            .await?
        {
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Failed(failure) => Err(ClientError::Failed(failure)),
            reply => Ok(reply),
        }
    }

    /// The answer to a funded query, with the signatures of at least `t` holders.
    ///
    /// Whoever relies on it checks the signatures: this client trusts no holder, but checks nothing itself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(&self, request: OpenRequest) -> Result<SignedAnswer, ClientError> {
        match self.ask(&Request::Open(request)).await? {
            Reply::Answer(answer) => Ok(*answer),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Whether what an upload check names is zero.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn check(&self, request: CheckRequest) -> Result<bool, ClientError> {
        match self.ask(&Request::Check(request)).await? {
            Reply::Verdict(zero) => Ok(zero),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The seeds of the committee's coin for a subject, one per subset; [`crate::opening::coin_of`] makes the coin.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn coin(&self, subject: [u8; 32]) -> Result<Vec<CoinSeed>, ClientError> {
        match self.ask(&Request::Coin(subject)).await? {
            Reply::Coin(seeds) => Ok(seeds),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// What the holder says of itself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status).await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(ClientError::Unexpected),
        }
    }
}

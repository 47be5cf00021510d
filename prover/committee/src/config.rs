//! The committee file, which all parties share, and what one holder's service needs besides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::Fingerprint;
use crate::keygen::Session;
use crate::ledger::Address;
use crate::shape::{CommitteeShape, HolderIndex, ShapeError};

/// Version of the committee file.
pub const COMMITTEE_FILE_VERSION: u32 = 1;
/// Clients per committee file, at most.
pub const MAX_CLIENTS: usize = 64;
/// Bytes of a committee file, at most.
pub const MAX_COMMITTEE_FILE: usize = 256 << 10;

/// Why a committee file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("the committee file has {found} bytes, more than {MAX_COMMITTEE_FILE}")]
    Size { found: usize },
    #[error("the committee file is not well formed: {reason}")]
    Syntax { reason: String },
    #[error("committee file version {found} is not {COMMITTEE_FILE_VERSION}")]
    Version { found: u32 },
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("{found} clients are more than {MAX_CLIENTS}")]
    Clients { found: usize },
    #[error("{what} {value} stands twice")]
    Repeated { what: &'static str, value: String },
    #[error("the address of {name} is not host:port: {address:?}")]
    Address { name: String, address: String },
}

/// What a connected party may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientRole {
    /// Asks for openings and checks.
    Client,
    /// Asks for status only.
    Operator,
}

/// One holder, as all parties see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolderEntry {
    /// Its name, for people.
    pub name: String,
    /// Where it listens, `host:port`.
    pub address: String,
    /// SHA-256 of its TLS certificate.
    pub certificate: Fingerprint,
    /// The Ethereum address of its signing key, `0x` and 40 hexadecimal digits.
    #[serde(with = "address_text")]
    pub signer: Address,
}

/// One client, as all holders see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientEntry {
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of its TLS certificate.
    pub certificate: Fingerprint,
    /// What it may do.
    pub role: ClientRole,
}

/// The file that names a committee's holders and clients; every party has the same one.
///
/// ```toml
/// version = 1
/// epoch = 0
/// threshold = 2
///
/// [[holders]]
/// name = "north"
/// address = "10.0.0.1:7443"
/// certificate = "0000000000000000000000000000000000000000000000000000000000000000"
/// signer = "0x0000000000000000000000000000000000000000"
///
/// [[clients]]
/// name = "market"
/// certificate = "0000000000000000000000000000000000000000000000000000000000000000"
/// role = "client"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeFile {
    /// [`COMMITTEE_FILE_VERSION`].
    pub version: u32,
    /// The key epoch.
    pub epoch: u32,
    /// How many holders open.
    pub threshold: u8,
    /// The holders, in the order of their indices.
    pub holders: Vec<HolderEntry>,
    /// The clients.
    #[serde(default)]
    pub clients: Vec<ClientEntry>,
}

impl CommitteeFile {
    /// The file with this text.
    ///
    /// # Errors
    /// If it is not well formed, names somebody twice, or its shape cannot work.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_COMMITTEE_FILE {
            return Err(ConfigError::Size { found: text.len() });
        }
        let file: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            reason: error.message().to_owned(),
        })?;
        file.check()?;
        Ok(file)
    }

    /// The text of this file.
    ///
    /// # Errors
    /// If it could not be read back.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        self.check()?;
        toml::to_string(self).map_err(|error| ConfigError::Syntax {
            reason: error.to_string(),
        })
    }

    /// Checks what reading a file checks; for files made by hand.
    ///
    /// # Errors
    /// See [`CommitteeFile::from_toml`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.version != COMMITTEE_FILE_VERSION {
            return Err(ConfigError::Version {
                found: self.version,
            });
        }
        self.shape()?;
        if self.clients.len() > MAX_CLIENTS {
            return Err(ConfigError::Clients {
                found: self.clients.len(),
            });
        }
        for holder in &self.holders {
            let address = &holder.address;
            let fits = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && host.len() <= 253 && port.parse::<u16>().is_ok()
            });
            if !fits {
                return Err(ConfigError::Address {
                    name: holder.name.clone(),
                    address: address.chars().take(300).collect(),
                });
            }
        }
        let holders = self.holders.iter();
        distinct("signer", holders.clone().map(|h| hex::encode(h.signer.0)))?;
        distinct("holder", holders.clone().map(|h| h.name.clone()))?;
        let certificates = holders.map(|h| h.certificate.to_string());
        let clients = self.clients.iter().map(|c| c.certificate.to_string());
        distinct("certificate", certificates.chain(clients))
    }

    /// The committee's shape.
    ///
    /// # Errors
    /// If it cannot work.
    pub fn shape(&self) -> Result<CommitteeShape, ShapeError> {
        let holders = u8::try_from(self.holders.len()).unwrap_or(u8::MAX);
        CommitteeShape::new(holders, self.threshold)
    }

    /// The holder with this certificate.
    pub fn holder_of(&self, certificate: &Fingerprint) -> Option<HolderIndex> {
        let at = self
            .holders
            .iter()
            .position(|h| h.certificate == *certificate)?;
        u8::try_from(at).ok().map(HolderIndex)
    }

    /// The entry of a holder.
    pub fn holder(&self, holder: HolderIndex) -> Option<&HolderEntry> {
        self.holders.get(usize::from(holder.0))
    }

    /// The session in which these holders make their key; all use the same `nonce`, a new one for every attempt.
    ///
    /// # Errors
    /// If the shape cannot work.
    pub fn session(&self, nonce: &[u8]) -> Result<Session, ShapeError> {
        let certificates: Vec<[u8; 32]> = self.holders.iter().map(|h| h.certificate.0).collect();
        Ok(Session::new(
            self.shape()?,
            &certificates,
            self.epoch,
            nonce,
        ))
    }
}

fn distinct(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let mut seen = std::collections::HashSet::new();
    for value in values {
        if !seen.insert(value.clone()) {
            return Err(ConfigError::Repeated { what, value });
        }
    }
    Ok(())
}

mod address_text {
    use super::Address;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(address: &Address, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format!("0x{}", hex::encode(address.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Address, D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0; 20];
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or_else(|| D::Error::custom("an address is 0x and 40 hexadecimal digits"))?;
        Ok(Address(bytes))
    }
}

/// How long a holder waits, and how much it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the rest of a frame once it began, and for a reply to be taken.
    pub frame: Duration,
    /// For the next request on an open connection.
    pub idle: Duration,
    /// For another holder's reply; later ones are reported as slow. To be the same at all holders, who derive from it
    /// when to say that they need more time.
    pub peer: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Openings of one upload check that found something not zero, before this holder leads no more of it.
    pub failed_checks: u32,
    /// Different openings of one upload check that this holder takes part in.
    pub check_openings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            frame: Duration::from_secs(20),
            idle: Duration::from_secs(120),
            peer: Duration::from_secs(10),
            connections: 64,
            failed_checks: 64,
            check_openings: 2048,
        }
    }
}

/// What one holder's service needs besides its keys.
#[derive(Clone, Debug)]
pub struct HolderConfig {
    /// The committee.
    pub committee: CommitteeFile,
    /// The committee's id on chain: what funded queries must name.
    pub committee_id: [u8; 32],
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder of the journal and the flooding budget; one process at a time.
    pub journal: PathBuf,
    /// Times and sizes.
    pub limits: Limits,
}

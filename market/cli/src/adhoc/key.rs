//! The public key file of a DEALER CEREMONY: what uploaders need, and which server keys belong to it.
//!
//! `"SLAHK"`, two zero bytes, version byte; the hash of the server keys, 32 bytes; the client material. Its SHA-256 is the
//! key hash under which the committee is registered, so that the chain pins the server keys too.

use crate::error::{CliError, Kind};
use salus_adhoc::keys::{ClientMaterial, KeyError, ServerKeys};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

const MAGIC: [u8; 8] = *b"SLAHK\0\0\x01";
const HEAD: usize = MAGIC.len() + 32;
/// Bytes read from the disk at once.
const BUFFER: usize = 1 << 20;

/// The public keys of a ceremony.
pub struct AdhocKey {
    /// What uploaders need.
    pub client: ClientMaterial,
    /// Hash of the server keys.
    pub server: [u8; 32],
    /// What the committee is registered with: SHA-256 of the file.
    pub hash: [u8; 32],
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum AdhocKeyError {
    /// Another kind of file.
    #[error("these bytes are not version 1 of an ad-hoc key file")]
    Kind,
    /// The client material does not decode.
    #[error(transparent)]
    Client(#[from] KeyError),
}

impl AdhocKey {
    /// The bytes of the key file.
    ///
    /// # Errors
    /// The client material does not serialise.
    pub fn encode(client: &ClientMaterial, server: [u8; 32]) -> Result<Vec<u8>, KeyError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(server);
        bytes.extend(client.to_bytes()?);
        Ok(bytes)
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// They are of another kind, or the client material does not decode.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AdhocKeyError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(AdhocKeyError::Kind)?;
        let (server, client) = rest.split_first_chunk::<32>().ok_or(AdhocKeyError::Kind)?;
        Ok(Self {
            client: ClientMaterial::from_bytes(client)?,
            server: *server,
            hash: Sha256::digest(bytes).into(),
        })
    }

    /// Hash of the file and of its server keys, without decoding what uploaders need.
    pub fn hashes(bytes: &[u8]) -> Option<([u8; 32], [u8; 32])> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let server = head.strip_prefix(&MAGIC)?.try_into().ok()?;
        Some((Sha256::digest(bytes).into(), server))
    }
}

/// The bytes of a key file on the disk.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|e| {
        CliError::new(
            Kind::NotFound,
            "adhoc_key_unreadable",
            format!("{}: {e}", path.display()),
            "Give the public key file of the dealer ceremony.",
        )
    })
}

/// The server keys in a file, if they are the pinned ones.
pub fn server_keys(path: &Path, pinned: [u8; 32]) -> Result<ServerKeys, CliError> {
    let refused = |kind, code: &str, e: &dyn std::fmt::Display| {
        CliError::new(
            kind,
            code,
            format!("{}: {e}", path.display()),
            "Give the server keys of the committee's dealer ceremony; anyone may hold them, they decrypt nothing.",
        )
    };
    let file =
        File::open(path).map_err(|e| refused(Kind::NotFound, "server_keys_unreadable", &e))?;
    ServerKeys::read_from(BufReader::with_capacity(BUFFER, file), pinned)
        .map_err(|e| refused(Kind::Invalid, "server_keys_invalid", &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut named = MAGIC.to_vec();
            named.extend(&bytes);
            prop_assert!(AdhocKey::from_bytes(&bytes).is_err());
            prop_assert!(AdhocKey::from_bytes(&named).is_err());
            prop_assert_eq!(AdhocKey::hashes(&named).is_some(), bytes.len() >= 32);
        }
    }
}

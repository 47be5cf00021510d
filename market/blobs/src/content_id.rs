//! Content ids: CIDv1, raw codec, sha2-256, as IPFS prints them (`bafkrei...`).

use cid::Cid;
use multihash::Multihash;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Multicodec of raw bytes.
const RAW: u64 = 0x55;
/// Multihash code of sha2-256.
const SHA2_256: u64 = 0x12;
/// Longest text that is looked at; a CIDv1 with sha2-256 has 59 characters in base32.
const MOST_CHARACTERS: usize = 128;

/// The name of a blob: the sha2-256 of its bytes.
///
/// Text form: CIDv1, raw codec, base32 (multiformats CID specification); the same bytes added to IPFS as one raw leaf have
/// the same name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId([u8; 32]);

/// Why a text is no content id of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContentIdError {
    /// Not a CID at all.
    #[error("not a content id: {0}")]
    Malformed(String),
    /// A CID of another kind.
    #[error(
        "a content id here is CIDv1, raw, sha2-256; this one has version {version}, codec {codec:#x}, hash {hash:#x}"
    )]
    OtherKind {
        /// CID version.
        version: u64,
        /// Multicodec.
        codec: u64,
        /// Multihash code.
        hash: u64,
    },
}

impl ContentId {
    /// The content id of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The content id with this sha2-256 digest.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The sha2-256 digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = Multihash::<64>::wrap(SHA2_256, &self.0).map_err(|_| fmt::Error)?;
        write!(f, "{}", Cid::new_v1(RAW, hash))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<Self, ContentIdError> {
        if text.len() > MOST_CHARACTERS {
            return Err(ContentIdError::Malformed(format!(
                "{} characters are more than {MOST_CHARACTERS}",
                text.len()
            )));
        }
        let cid = Cid::try_from(text).map_err(|e| ContentIdError::Malformed(e.to_string()))?;
        let hash = cid.hash();
        let kind = ContentIdError::OtherKind {
            version: cid.version().into(),
            codec: cid.codec(),
            hash: hash.code(),
        };
        if u64::from(cid.version()) != 1 || cid.codec() != RAW || hash.code() != SHA2_256 {
            return Err(kind);
        }
        <[u8; 32]>::try_from(hash.digest())
            .map(Self)
            .map_err(|_| kind)
    }
}

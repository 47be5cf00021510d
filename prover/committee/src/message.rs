//! Requests and replies between parties, and how many bytes each may have.
//!
//! The encoding is postcard's, canonical: a message that does not encode back to the same bytes is refused.

use std::fmt;

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::answer::{Signature, SignedAnswer};
use crate::keygen::Message as KeygenMessage;
use crate::opening::{CheckRequest, CoinSeed, Failure, MAX_EXCLUDED};
use crate::refusal::Refusal;
use crate::shape::{CommitteeShape, HolderIndex, MAX_SUBSETS, SubsetIndex};

/// Version byte of every frame.
pub const PROTOCOL_VERSION: u8 = 1;
/// Bytes of a question's canonical JSON, at most.
pub const MAX_QUESTION: usize = 64 << 10;
/// Values that one phase of an opening opens, at most.
pub const MAX_VALUES: usize = 4096;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    #[error("kind {found} is not known")]
    Kind { found: u8 },
    #[error("{found} bytes are more than the {most} of kind {kind}")]
    Size { kind: u8, found: usize, most: usize },
    #[error("the encoding of kind {kind} is broken")]
    Encoding { kind: u8 },
}

/// Values modulo 2^128, encoded as 16 bytes each, little endian.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(pub Vec<u128>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.0.len())
    }
}

impl Values {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words of 16 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Values, E> {
                let (words, rest) = bytes.as_chunks::<16>();
                if !rest.is_empty() {
                    return Err(E::custom("a word is cut"));
                }
                Ok(Values(
                    words.iter().map(|w| u128::from_le_bytes(*w)).collect(),
                ))
            }
        }
        deserializer.deserialize_bytes(Words)
    }
}

/// What is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The snapshot's sum of a cube of the dataset's codebook, by cube id.
    Cube([u8; 32]),
    /// The outputs of an ad-hoc evaluation, by its hash.
    Evaluation([u8; 32]),
}

/// A request to answer a funded query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// The query on chain.
    pub query: [u8; 32],
    /// The question in canonical JSON; every holder plans it and compares the plan's hash with the funded one.
    pub question: String,
    /// The dataset.
    pub dataset: u64,
    /// The snapshot.
    pub snapshot: u64,
    /// What is opened.
    pub target: Target,
}

/// An opening among holders: the leader's request and the ciphertexts it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// What was asked.
    pub request: OpenRequest,
    /// The leader's hash of the ciphertexts; a holder with another one refuses.
    pub ciphertext_hash: [u8; 32],
}

/// Which partials are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The counts.
    Counts,
    /// The sums of the groups that will be published.
    Sums,
}

/// What a party asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What keys there are and how much of the flooding budget is spent. Anyone who may connect.
    Status,
    /// Answer a query, as leader. Clients.
    Open(OpenRequest),
    /// Partials of the counts. Holders.
    Counts(Opening),
    /// Partials of the sums; one list of counts per subset, all subsets in order. Holders.
    Sums(Opening, Vec<Values>),
    /// Sign the answer that these counts and sums give. Holders.
    Sign(Opening, Vec<Values>, Vec<Values>),
    /// Whether these are the hashes of the asked holder's partials; with sums, the counts that let them out, one list per
    /// subset, else nothing. Holders.
    Vouch(Opening, Phase, Vec<Values>, Vec<(SubsetIndex, [u8; 32])>),
    /// Open one form of an upload check, as leader: zero or not. Clients.
    Check(CheckRequest),
    /// Partial of one form of an upload check. Holders.
    ZeroPartial(CheckRequest),
    /// A message of key generation. Holders, while keys are made.
    Keygen(KeygenMessage),
    /// Draw the coin of a subject, as leader. Clients.
    Coin([u8; 32]),
    /// The asked holder's seeds of a coin. Holders.
    CoinSeeds([u8; 32]),
}

/// What the asked party says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Open`].
    Answer(Box<SignedAnswer>),
    /// To [`Request::Counts`], [`Request::Sums`] and [`Request::ZeroPartial`]: one list per subset of the holder, ascending.
    Partials(Vec<Values>),
    /// To [`Request::Sign`].
    Signature(Signature),
    /// To [`Request::Vouch`]: the subsets for which the holder has something else; `None` when it is still computing.
    Vouched(Option<Vec<SubsetIndex>>),
    /// To [`Request::Check`]: true when the form is zero.
    Verdict(bool),
    /// To [`Request::Keygen`].
    Taken,
    /// Not done, by decision of the asked holder.
    Refused(Refusal),
    /// Not done, because the committee as a whole could not.
    Failed(Box<Failure>),
    /// To [`Request::Coin`]: one seed per subset, all subsets in order.
    Coin(Vec<CoinSeed>),
}

/// What a holder says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which holder.
    pub holder: HolderIndex,
    /// The committee's shape.
    pub shape: CommitteeShape,
    /// The cube key.
    pub cube: Option<CubeKeyStatus>,
    /// The ad-hoc key.
    pub adhoc: Option<CeremonyStatus>,
    /// The signer's address.
    pub signer: [u8; 20],
}

/// A cube key in a status reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CubeKeyStatus {
    /// How the key was made.
    pub origin: String,
    /// Hash of the public key.
    pub key_hash: [u8; 32],
    /// The key epoch.
    pub epoch: u32,
    /// The share of the flooding budget that is spent, 0 to 1.
    pub budget_spent: f64,
}

impl Eq for CubeKeyStatus {}

/// An ad-hoc key in a status reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CeremonyStatus {
    /// [`crate::dealer::DEALER_CEREMONY`].
    pub origin: String,
    /// The ceremony's id.
    pub ceremony: [u8; 32],
    /// The share of the flooding budget that is spent, 0 to 1.
    pub budget_spent: f64,
}

impl Eq for CeremonyStatus {}

/// A message with a kind byte and a size limit.
pub trait Wire: Serialize + DeserializeOwned {
    /// The kind byte.
    fn kind(&self) -> u8;

    /// Bytes of a message of this kind, at most; `None` for unknown kinds.
    fn limit(kind: u8) -> Option<usize>;

    /// The encoding.
    ///
    /// # Errors
    /// If it would exceed the limit of its kind.
    fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let kind = self.kind();
        let bytes = postcard::to_stdvec(self).map_err(|_| MessageError::Encoding { kind })?;
        check_size::<Self>(kind, bytes.len())?;
        Ok(bytes)
    }

    /// The message of this kind with this encoding.
    ///
    /// # Errors
    /// If it is too long, broken, of another kind, or not canonical.
    fn decode(kind: u8, bytes: &[u8]) -> Result<Self, MessageError> {
        check_size::<Self>(kind, bytes.len())?;
        let broken = MessageError::Encoding { kind };
        let (message, rest): (Self, _) = postcard::take_from_bytes(bytes).map_err(|_| broken)?;
        let canonical = postcard::to_stdvec(&message).map_err(|_| broken)?;
        if !rest.is_empty() || message.kind() != kind || canonical != bytes {
            return Err(broken);
        }
        Ok(message)
    }
}

/// Checks a length against the limit of its kind.
pub(crate) fn check_size<M: Wire>(kind: u8, found: usize) -> Result<(), MessageError> {
    let most = M::limit(kind).ok_or(MessageError::Kind { found: kind })?;
    if found > most {
        return Err(MessageError::Size { kind, found, most });
    }
    Ok(())
}

const OPENING: usize = MAX_QUESTION + KIB;
const PARTIALS: usize = MAX_SUBSETS * (16 * MAX_VALUES + 8);

impl Wire for Request {
    fn kind(&self) -> u8 {
        match self {
            Self::Status => 0,
            Self::Open(_) => 1,
            Self::Counts(_) => 2,
            Self::Sums(..) => 3,
            Self::Sign(..) => 4,
            Self::Vouch(..) => 5,
            Self::Check(_) => 6,
            Self::ZeroPartial(_) => 7,
            Self::Keygen(_) => 8,
            Self::Coin(_) => 9,
            Self::CoinSeeds(_) => 10,
        }
    }

    fn limit(kind: u8) -> Option<usize> {
        Some(match kind {
            0 => 16,
            1 | 2 => OPENING,
            3 => OPENING + PARTIALS,
            4 => OPENING + 2 * PARTIALS,
            5 => OPENING + PARTIALS + MAX_SUBSETS * 40,
            6 | 7 => KIB + 5 * MAX_EXCLUDED + 32 * MAX_SUBSETS,
            8 => 16 * MIB,
            9 | 10 => 64,
            _ => return None,
        })
    }
}

impl Wire for Reply {
    fn kind(&self) -> u8 {
        match self {
            Self::Status(_) => 0,
            Self::Answer(_) => 1,
            Self::Partials(_) => 2,
            Self::Signature(_) => 3,
            Self::Vouched(_) => 4,
            Self::Verdict(_) => 5,
            Self::Taken => 6,
            Self::Refused(_) => 7,
            Self::Failed(_) => 8,
            Self::Coin(_) => 9,
        }
    }

    fn limit(kind: u8) -> Option<usize> {
        Some(match kind {
            0 => KIB,
            1 => MIB,
            2 => PARTIALS,
            3 => 128,
            4 => 4 * MAX_SUBSETS,
            5 | 6 => 16,
            7 => KIB,
            8 => 64 * KIB,
            9 => KIB + 32 * MAX_SUBSETS,
            _ => return None,
        })
    }
}

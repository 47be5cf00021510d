//! Fiat-Shamir challenges, byte for byte as the contracts compute them (SPEC.md section 3).
//!
//! Every challenge is Keccak-256 over 32-byte words that begin with a tag, and every chain
//! of challenges begins with a header that binds chain id, market contract, dataset,
//! snapshot and query. A proof made for one context is therefore void in any other.

use crate::words::{Word, field_word, g1_words, g2_words, integer_word, scalar_from_hash};
use ark_bn254::{Fr, G1Affine, G2Affine};
use sha3::{Digest, Keccak256};

/// Keccak-256 of raw bytes.
pub fn keccak(bytes: &[u8]) -> Word {
    Keccak256::digest(bytes).into()
}

/// What a challenge is for; part of every preimage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Context of an answer.
    Header,
    /// Column-combining challenge of one proof.
    Zeta,
    /// Lookup and fold challenge of one proof.
    Gamma,
    /// Seed of a batch's random weights.
    Batch,
    /// One random weight.
    Weight,
    /// Random combination of a registration.
    Register,
    /// Schnorr challenge of a registration.
    Pok,
    /// What the custodian link fixes before the public coin.
    Link,
    /// Commitment key of the custodian link.
    LinkKey,
    /// Ciphertexts of the custodian link.
    LinkUploads,
    /// Seed of the custodian link's public challenges.
    LinkSeed,
    /// Weights of the members in the custodian link.
    LinkMembers,
    /// Weights of the columns in the custodian link.
    LinkColumns,
    /// Fiat-Shamir challenge of the custodian link.
    LinkChallenge,
    /// Seed of the random weights that join the custodian link's equations.
    LinkBatch,
    /// Generators of the custodian link's value commitments.
    LinkGenerator,
}

impl Tag {
    /// `keccak256("salus.v1.<name>")`.
    pub fn word(self) -> Word {
        keccak(match self {
            Tag::Header => b"salus.v1.header",
            Tag::Zeta => b"salus.v1.zeta",
            Tag::Gamma => b"salus.v1.gamma",
            Tag::Batch => b"salus.v1.batch",
            Tag::Weight => b"salus.v1.weight",
            Tag::Register => b"salus.v1.register",
            Tag::Pok => b"salus.v1.pok",
            Tag::Link => b"salus.v1.link",
            Tag::LinkKey => b"salus.v1.link.key",
            Tag::LinkUploads => b"salus.v1.link.uploads",
            Tag::LinkSeed => b"salus.v1.link.seed",
            Tag::LinkMembers => b"salus.v1.link.members",
            Tag::LinkColumns => b"salus.v1.link.columns",
            Tag::LinkChallenge => b"salus.v1.link.challenge",
            Tag::LinkBatch => b"salus.v1.link.batch",
            Tag::LinkGenerator => b"salus.v1.link.generator",
        })
    }
}

/// An append-only hash of words.
pub struct Hasher(Keccak256);

impl Hasher {
    /// A hasher whose first word is the tag.
    pub fn new(tag: Tag) -> Self {
        let mut inner = Keccak256::new();
        inner.update(tag.word());
        Self(inner)
    }
    /// Appends a word.
    pub fn word(mut self, word: &Word) -> Self {
        self.0.update(word);
        self
    }
    /// Appends an integer.
    pub fn integer(self, value: u128) -> Self {
        self.word(&integer_word(value))
    }
    /// Appends a scalar.
    pub fn scalar(self, value: &Fr) -> Self {
        self.word(&field_word(value))
    }
    /// Appends a G1 point.
    pub fn g1(self, point: &G1Affine) -> Self {
        let [x, y] = g1_words(point);
        self.word(&x).word(&y)
    }
    /// Appends a G2 point.
    pub fn g2(self, point: &G2Affine) -> Self {
        g2_words(point).iter().fold(self, |h, w| h.word(w))
    }
    /// The digest.
    pub fn finish(self) -> Word {
        self.0.finalize().into()
    }
    /// The digest modulo the scalar order.
    pub fn challenge(self) -> Fr {
        scalar_from_hash(&self.finish())
    }
}

/// Where an answer is valid: nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Context {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the QueryMarket contract.
    pub market: [u8; 20],
    /// Dataset number on chain.
    pub dataset: u64,
    /// Snapshot number of the dataset.
    pub snapshot: u64,
    /// On-chain query id; binds plan, body, researcher and nonce.
    pub query_id: Word,
}

impl Context {
    /// The header word every proof of the answer starts from.
    pub fn header(&self) -> Word {
        Hasher::new(Tag::Header)
            .integer(u128::from(self.chain_id))
            .word(&address_word(&self.market))
            .integer(u128::from(self.dataset))
            .integer(u128::from(self.snapshot))
            .word(&self.query_id)
            .finish()
    }
}

/// An address as `uint256(uint160(address))`.
pub fn address_word(address: &[u8; 20]) -> Word {
    let mut out = [0u8; 32];
    out[12..].copy_from_slice(address);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            chain_id: 31337,
            market: [7; 20],
            dataset: 1,
            snapshot: 2,
            query_id: [9; 32],
        }
    }

    #[test]
    fn header_depends_on_every_field() {
        let base = context().header();
        let variants = [
            Context {
                chain_id: 1,
                ..context()
            },
            Context {
                market: [8; 20],
                ..context()
            },
            Context {
                dataset: 2,
                ..context()
            },
            Context {
                snapshot: 1,
                ..context()
            },
            Context {
                query_id: [1; 32],
                ..context()
            },
        ];
        for other in variants {
            assert_ne!(base, other.header(), "{other:?}");
        }
    }

    #[test]
    fn tags_are_distinct() {
        let tags = [
            Tag::Header,
            Tag::Zeta,
            Tag::Gamma,
            Tag::Batch,
            Tag::Weight,
            Tag::Register,
            Tag::Pok,
            Tag::Link,
            Tag::LinkKey,
            Tag::LinkUploads,
            Tag::LinkSeed,
            Tag::LinkMembers,
            Tag::LinkColumns,
            Tag::LinkChallenge,
            Tag::LinkBatch,
            Tag::LinkGenerator,
        ];
        for (i, a) in tags.iter().enumerate() {
            for b in &tags[..i] {
                assert_ne!(a.word(), b.word());
            }
        }
    }
}

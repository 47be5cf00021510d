//! Key generation without a dealer.
//!
//! 1. *commit*: for each of its subsets a holder draws 32 bytes and publishes their hash.
//! 2. *contribute*: it shows the bytes to the other members. `K_A` is the hash of the transcript so far and of all
//!    contributions to subset `A`: whoever speaks last cannot steer it, because everybody had committed.
//! 3. *commit-public*: `K_A` gives the ternary secret `s_A` and the error `e_A`; every member computes
//!    `b_A = a * s_A + e_A` and publishes its hash. All members must publish the same one.
//! 4. *reveal-public*: the `b_A` themselves, checked against the hashes. The public key is `b = sum b_A`.
//! 5. *confirm*: all holders compare the hash of everything said.
//!
//! Rounds 3 to 5 repeat the hash of what was heard from each holder in the public round before, so that telling two
//! holders two things is seen.
//!
//! # Security
//! Without round 3, whoever publishes last subtracts the parts of the others and decrypts alone (the rogue key attack; the
//! tests carry it out). Every shape has an honest member in every subset, which recomputes `b_A`, so that no proof of
//! knowledge is needed. Channels must be authenticated and, in round 2, private. Any single holder can stop the protocol,
//! and is named; whoever stops falls silent, so that the first abort names the cause and later ones name who stopped. Draw a
//! fresh session for every attempt: an abort after round 2 has revealed contributions to members only.
//!
//! The machine is pure: messages in, messages out; who carries them is no matter here.

mod machine;
mod message;
mod subset;

pub use machine::{Generated, Keygen, Outgoing, Progress};
pub use message::{Abort, Body, Fault, Message, Step};
pub use subset::{HeldSubset, mask_seed};

use crate::shape::CommitteeShape;
use crate::stream::digest;

/// Bytes of one public part.
pub const PUBLIC_PART_BYTES: usize = 16 * salus_cubes::ring::DEGREE;

/// What all holders agree on before key generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: [u8; 32],
    shape: CommitteeShape,
    epoch: u32,
}

impl Session {
    /// The session of these holders (any bytes that name them, such as certificate fingerprints, in order), key epoch and
    /// attempt. Every attempt needs a new `nonce`.
    pub fn new(shape: CommitteeShape, holders: &[[u8; 32]], epoch: u32, nonce: &[u8]) -> Self {
        let id = digest(
            "salus/v1/committee/session",
            &[
                &[shape.holders() as u8, shape.threshold() as u8],
                holders.as_flattened(),
                &epoch.to_le_bytes(),
                nonce,
            ],
        );
        Self { id, shape, epoch }
    }

    /// The session's hash.
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The committee's shape.
    pub const fn shape(&self) -> CommitteeShape {
        self.shape
    }

    /// The key epoch.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }
}

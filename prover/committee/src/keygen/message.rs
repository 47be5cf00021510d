//! Messages of key generation, and who is to blame when it stops.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::shape::{HolderIndex, SubsetIndex};
use crate::stream::{Key32, digest};

/// The rounds, in order. Every holder sends one message per round to every other holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// Hashes of the contributions to every subset key of the sender, to all.
    Commit,
    /// The contributions to the subsets that sender and receiver share, to members only.
    Contribute,
    /// Hashes of the public parts that follow from the subset keys, to all.
    CommitPublic,
    /// The public parts, to all.
    RevealPublic,
    /// The hash of everything that was said, to all.
    Confirm,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Contribute => "contribute",
            Self::CommitPublic => "commit-public",
            Self::RevealPublic => "reveal-public",
            Self::Confirm => "confirm",
        })
    }
}

/// What a message says. Lists follow the subsets of the sender in ascending order; contributions, those it shares with the
/// receiver.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// See [`Step::Commit`].
    Commit(Vec<[u8; 32]>),
    /// See [`Step::Contribute`]. Secret.
    Contribute(Vec<Key32>),
    /// See [`Step::CommitPublic`].
    CommitPublic(Vec<[u8; 32]>),
    /// See [`Step::RevealPublic`]: 65,536 bytes per subset, little-endian words of 16 bytes.
    RevealPublic(Vec<Vec<u8>>),
    /// See [`Step::Confirm`].
    Confirm([u8; 32]),
}

impl Body {
    /// The round to which this belongs.
    pub const fn step(&self) -> Step {
        match self {
            Self::Commit(_) => Step::Commit,
            Self::Contribute(_) => Step::Contribute,
            Self::CommitPublic(_) => Step::CommitPublic,
            Self::RevealPublic(_) => Step::RevealPublic,
            Self::Confirm(_) => Step::Confirm,
        }
    }

    /// The hash that other holders echo in the next round.
    pub(crate) fn echo(&self) -> [u8; 32] {
        let domain = "salus/v1/committee/keygen/echo";
        match self {
            Self::Commit(hashes) | Self::CommitPublic(hashes) => digest(
                domain,
                &[self.step().to_string().as_bytes(), hashes.as_flattened()],
            ),
            Self::RevealPublic(parts) => {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                digest(domain, &parts)
            }
            // Differs by receiver: never echoed.
            Self::Contribute(_) | Self::Confirm(_) => [0; 32],
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({}, [redacted])", self.step())
    }
}

/// One message of key generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The session it belongs to.
    pub session: [u8; 32],
    /// Who sent it. The transport checks this.
    pub from: HolderIndex,
    /// What the sender heard from every holder in the previous public round, itself included; empty in the first.
    pub echoes: Vec<[u8; 32]>,
    /// What it says.
    pub body: Body,
}

/// What went wrong in key generation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("sent nothing")]
    Missing,
    #[error("sent a message of another session")]
    OtherSession,
    #[error("sent a message of step {found}")]
    OtherStep { found: Step },
    #[error("sent a message in the name of {claimed}")]
    OtherSender { claimed: HolderIndex },
    #[error("sent {found} entries where {expected} belong")]
    Length { expected: usize, found: usize },
    #[error("revealed a contribution that is not the committed one")]
    ChangedContribution,
    #[error("revealed a public part that is not the committed one")]
    ChangedPublicPart,
    #[error("committed to a public part that the subset's members do not compute")]
    WrongPublicPart,
    #[error("told {witness} something else than the others, or {witness} says so falsely")]
    Equivocation { witness: HolderIndex },
    #[error("confirmed another transcript")]
    OtherTranscript,
}

/// Key generation stopped. No key was made; everybody starts again with a new session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key generation stopped at {step}: {holder}{} {fault}", .subset.map(|s| format!(" ({s})")).unwrap_or_default())]
pub struct Abort {
    /// Who.
    pub holder: HolderIndex,
    /// For which subset, when it concerns one.
    pub subset: Option<SubsetIndex>,
    /// In which round.
    pub step: Step,
    /// What.
    pub fault: Fault,
}

//! Opening: what a holder answers, how answers are compared, and what is released.
//!
//! Counts are opened first. From them every holder derives, by itself, which groups the release rule lets out; the sums of
//! those, and of no other, are opened second. Suppressed sums are never opened. What is signed last is the release.

mod agree;
mod coin;
mod holder;
mod question;
mod source;
mod zero;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use agree::{Agreed, agree};
pub(crate) use coin::from_values;
pub use coin::{CoinSeed, coin_of};
pub use holder::{Holder, KeyHolder, StartError, Surroundings};
pub use question::{Question, Release, binding};
pub use zero::{CheckRequest, MAX_EXCLUDED, ZeroTarget};

use crate::answer::Report;
use crate::message::Values;
use crate::shape::{HolderIndex, Subset, SubsetIndex};
use crate::stream::digest;

/// Why a committee gave no answer although its leader was willing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Failure {
    /// Members of a subset contradict each other and nobody can tell who is right.
    #[error("the members of {subset} disagree ({}), and {}", names(.holders), ATTRIBUTION)]
    Disagreement {
        /// The subset.
        subset: SubsetIndex,
        /// Its members that answered; at least one of them lies.
        holders: Vec<HolderIndex>,
        /// How all holders behaved.
        report: Box<Report>,
    },
    /// Nobody who answered knows the secret of a subset.
    #[error("{answered} holders answered and {needed} are needed: nobody of {subset} did")]
    Uncovered {
        /// The first such subset.
        subset: SubsetIndex,
        /// Holders that answered.
        answered: u8,
        /// Holders that are needed.
        needed: u8,
        /// How all holders behaved.
        report: Box<Report>,
    },
    /// The answer is known, but too few signed it.
    #[error("{signed} holders signed and {needed} are needed")]
    TooFewSignatures {
        /// Who signed.
        signed: u8,
        /// Holders that are needed.
        needed: u8,
        /// How all holders behaved.
        report: Box<Report>,
    },
}

const ATTRIBUTION: &str = "too few answered alike to tell who lies; nothing was released";

fn names(holders: &[HolderIndex]) -> String {
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Failure {
    /// How all holders behaved.
    pub const fn report(&self) -> &Report {
        match self {
            Self::Disagreement { report, .. }
            | Self::Uncovered { report, .. }
            | Self::TooFewSignatures { report, .. } => report,
        }
    }

    /// This failure with a report.
    #[must_use]
    pub fn with(mut self, found: Report) -> Self {
        match &mut self {
            Self::Disagreement { report, .. }
            | Self::Uncovered { report, .. }
            | Self::TooFewSignatures { report, .. } => **report = found,
        }
        self
    }
}

/// The hash by which partials of one subset are remembered and vouched for.
pub fn partials_hash(subset: Subset, values: &Values) -> [u8; 32] {
    digest(
        "salus/v1/committee/partials",
        &[&subset.mask().to_le_bytes(), &values.to_bytes()],
    )
}

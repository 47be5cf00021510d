//! A holder that lies, for demonstrations: INSECURE, and refused in production mode.

use salus_committee::answer::Signature;
use salus_committee::message::{Opening, Phase, Status, Values};
use salus_committee::opening::{CheckRequest, Holder};
use salus_committee::refusal::Refusal;
use salus_committee::shape::SubsetIndex;
use std::sync::Arc;

/// Gives every partial opening with an error that changes the decoded value.
pub struct Liar(pub Arc<dyn Holder>);

/// A few units of a value, whatever the modulus.
const ERROR: u128 = 1 << 112;

fn wrong(lists: Vec<Values>) -> Vec<Values> {
    lists
        .into_iter()
        .map(|Values(list)| Values(list.into_iter().map(|v| v.wrapping_add(ERROR)).collect()))
        .collect()
}

impl Holder for Liar {
    fn status(&self) -> Status {
        self.0.status()
    }

    fn counts(&self, opening: &Opening) -> Result<Vec<Values>, Refusal> {
        self.0.counts(opening).map(wrong)
    }

    fn sums(&self, opening: &Opening, counts: &[Values]) -> Result<Vec<Values>, Refusal> {
        self.0.sums(opening, counts).map(wrong)
    }

    fn sign(
        &self,
        opening: &Opening,
        counts: &[Values],
        sums: &[Values],
    ) -> Result<Signature, Refusal> {
        self.0.sign(opening, counts, sums)
    }

    fn vouch(
        &self,
        opening: &Opening,
        phase: Phase,
        counts: &[Values],
        hashes: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        self.0.vouch(opening, phase, counts, hashes)
    }

    fn coin_seeds(&self, subject: &[u8; 32]) -> Result<Vec<Values>, Refusal> {
        self.0.coin_seeds(subject).map(wrong)
    }

    fn zero_partial(&self, request: &CheckRequest) -> Result<Vec<Values>, Refusal> {
        self.0.zero_partial(request).map(wrong)
    }
}

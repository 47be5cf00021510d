//! The committee's coin: challenges of upload checks and custodians' links.
//!
//! Every subset of holders has a seed for every subject, a pseudorandom function of its key; the coin is the hash of all
//! seeds. Whoever fixes a subject (the hash of a batch, of a link's announcement) cannot know its coin before, as long as it
//! lacks one subset's key, and nobody can choose among coins: a subject has one. A holder that is shown a coin recomputes
//! the seeds of its own subsets.
//!
//! # Security
//! Changing the subject draws another coin: every draw is one more try for whoever makes subjects.

use salus_cubes::key::SubsetKey;

use crate::ledger::Market;
use crate::message::Values;
use crate::stream::digest;

/// A subset's contribution to a coin.
pub type CoinSeed = [u8; 32];

/// The coin of a subject from the seeds of all subsets, ascending.
pub fn coin_of(subject: &[u8; 32], seeds: &[CoinSeed]) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = vec![subject];
    parts.extend(seeds.iter().map(|seed| &seed[..]));
    digest("salus/v1/committee/coin", &parts)
}

/// The seed of one subset.
pub(super) fn seed(key: &SubsetKey, market: Market, subject: &[u8; 32]) -> CoinSeed {
    let parts: [&[u8]; 3] = [&market.chain.to_le_bytes(), &market.contract.0, subject];
    let bytes = key.stream("salus/v1/committee/coin-seed", &parts).take(32);
    let mut seed = [0; 32];
    seed.copy_from_slice(&bytes);
    seed
}

/// A seed among partials.
pub(super) fn to_values(seed: &CoinSeed) -> Values {
    let (words, _) = seed.as_chunks::<16>();
    Values(
        words
            .iter()
            .map(|word| u128::from_le_bytes(*word))
            .collect(),
    )
}

/// A seed from partials; None when it has not two words.
pub(crate) fn from_values(values: &Values) -> Option<CoinSeed> {
    let [low, high] = values.0[..] else {
        return None;
    };
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&low.to_le_bytes());
    seed[16..].copy_from_slice(&high.to_le_bytes());
    Some(seed)
}

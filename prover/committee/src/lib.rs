//! One key holder of a committee: dealer-free key generation, partial opening, combination, the mutual-TLS service.
//!
//! Any `t` of `n` holders open an approved aggregate; fewer learn nothing. The steps, with the module that does each:
//!
//! 1. [`shape`]: the holders and the subsets that share one secret each.
//! 2. [`keygen`]: the cube key, made by the holders without a dealer; [`dealer`]: the ad-hoc key, split by a dealer.
//! 3. [`key_file`]: a holder's secrets, encrypted at rest.
//! 4. [`opening`]: what a holder opens, by its own view of the chain ([`ledger`]); what it remembers ([`journal`]); how
//!    answers of several holders are compared; which groups the release rule lets out; [`noise`] for private release.
//! 5. [`service`]: the above over TLS 1.3 with pinned certificates, and the client's side.
//!
//! # Security
//! Against `t - 1` corrupt holders that deviate as they like: they learn nothing beyond what is released and what a leader
//! sees (the counts of the opened query, suppressed ones included); a wrong partial is noticed, and has a name when
//! `n >= 3t - 2`. With exactly `t` holders alive some values are given by one holder alone: these subsets are reported as
//! unchecked. Any holder can stop key generation; `n - t + 1` can stop openings.

pub mod adhoc;
pub mod answer;
pub mod config;
pub mod dealer;
pub mod identity;
pub mod journal;
pub mod key_file;
pub mod keygen;
pub mod keys;
pub mod ledger;
pub mod message;
pub mod noise;
pub mod opening;
pub mod refusal;
pub mod service;
pub mod shape;

mod pinning;
mod stream;

pub use config::{CommitteeFile, HolderConfig, Limits};
pub use service::{Client, serve};
pub use stream::Key32;

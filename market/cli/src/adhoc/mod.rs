//! The ad-hoc path: queries that no cube covers, bootstrapped on everybody's encrypted records.
//!
//! Members upload one proven list of encrypted bits each ([`uploads`]). Evaluators, who hold no secret, check the proofs,
//! evaluate a funded query and sign what they computed ([`evaluator`], [`vouch`]). A holder opens an evaluation when enough
//! of the evaluators that its operator named vouch for it ([`approval`]); counts first, together with the verdict on every
//! record, then the sums that the release rule lets out.
//!
//! # Security
//! The keys come from a DEALER CEREMONY: the dealer could read every record. Holders trust that one of the evaluators
//! whose signatures they ask for is honest: together they could have anything opened that fits the shape of the query. An
//! auditor with the server keys repeats the evaluation, see `salus audit --re-execute`.

pub mod approval;
pub mod evaluator;
pub mod key;
pub mod output;
pub mod uploads;
pub mod vouch;

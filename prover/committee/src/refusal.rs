//! Why a holder does not answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The stable codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The chain does not know the query, or it is not funded.
    NotFunded,
    /// The query is settled, cancelled or refunded.
    NotOpen,
    /// The question is not in canonical form for the dataset's codebook.
    MalformedQuestion,
    /// The question's plan is not the funded one.
    PlanMismatch,
    /// Fewer people are in the dataset, or in the answer, than the release rule demands.
    BelowCohort,
    /// The ciphertexts do not add up to the sum that others opened.
    SumMismatch,
    /// The named cube is not registered, or does not cover the plan.
    NotCovered,
    /// Opening this would use up the noise that hides the key.
    FloodingBudget,
    /// The same query was opened with other contents before.
    AlreadyAnsweredDifferently,
    /// The query names another committee, dataset or snapshot.
    WrongCommittee,
    /// The query's deadline is over.
    DeadlinePassed,
    /// The holder does not have this snapshot's ciphertexts.
    UnknownSnapshot,
    /// The holder has no key of this kind.
    NoKey,
    /// Nobody vouches for the evaluation of these ciphertexts.
    NotApproved,
    /// The partials shown do not include what this holder computed.
    PartialsDiffer,
    /// Other holders say they computed something else than what is shown.
    Contradicted,
    /// Combined values that no table has.
    Implausible,
    /// Too many checks of this batch have failed.
    CheckLimit,
    /// The holder does not know this check.
    UnknownCheck,
    /// The caller may not ask this.
    NotAllowed,
    /// The request is malformed.
    BadRequest,
    /// The holder failed: its chain, its disk or its ciphertexts cannot be reached.
    Unavailable,
}

impl RefusalCode {
    /// The word in logs, replies and documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotFunded => "NOT_FUNDED",
            Self::NotOpen => "NOT_OPEN",
            Self::MalformedQuestion => "MALFORMED_QUESTION",
            Self::PlanMismatch => "PLAN_MISMATCH",
            Self::BelowCohort => "BELOW_COHORT",
            Self::SumMismatch => "SUM_MISMATCH",
            Self::NotCovered => "NOT_COVERED",
            Self::FloodingBudget => "FLOODING_BUDGET",
            Self::AlreadyAnsweredDifferently => "ALREADY_ANSWERED_DIFFERENTLY",
            Self::WrongCommittee => "WRONG_COMMITTEE",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::UnknownSnapshot => "UNKNOWN_SNAPSHOT",
            Self::NoKey => "NO_KEY",
            Self::NotApproved => "NOT_APPROVED",
            Self::PartialsDiffer => "PARTIALS_DIFFER",
            Self::Contradicted => "CONTRADICTED",
            Self::Implausible => "IMPLAUSIBLE",
            Self::CheckLimit => "CHECK_LIMIT",
            Self::UnknownCheck => "UNKNOWN_CHECK",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::BadRequest => "BAD_REQUEST",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Bytes of a refusal's explanation, at most.
pub const MAX_DETAIL: usize = 400;

/// A refusal: the code, and one sentence without any secret or health fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// What a person reads.
    pub detail: String,
}

impl Refusal {
    /// The refusal; long explanations are cut.
    pub fn new(code: RefusalCode, detail: impl fmt::Display) -> Self {
        let mut detail = detail.to_string();
        if let Some((cut, _)) = detail
            .char_indices()
            .find(|(at, c)| at + c.len_utf8() > MAX_DETAIL)
        {
            detail.truncate(cut);
        }
        Self { code, detail }
    }
}

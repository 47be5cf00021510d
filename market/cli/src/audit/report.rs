//! What an audit found.

use super::sealed::SealedFinding;
use crate::error::{CliError, Kind};
use salus_contracts::primitives::TxHash;
use serde::Serialize;

/// Problems that are kept per check; the rest is only counted.
const KEPT: usize = 50;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Files against the manifest.
    Files,
    /// Bytes, signatures, counters and order of transactions.
    Transactions,
    /// Creation code and arguments of the contracts.
    Contracts,
    /// Verifying keys and slot bases.
    Circuits,
    /// Datasets and who may do what.
    Datasets,
    /// Registrations: consent, slot, proof of knowledge.
    Registrations,
    /// Opt-outs, rectifications and expiries.
    Changes,
    /// Snapshots.
    Snapshots,
    /// Funded queries, their plans and ids.
    Queries,
    /// Proofs and release rule.
    Answers,
    /// Committees, whom they serve, and equivocations.
    Committees,
    /// Bonds of key holders.
    Bonds,
    /// Sealed answers: committee, release rule, signatures, ciphertexts.
    SealedAnswers,
    /// Key holders' signatures on answers.
    Signatures,
    /// Uploads: one per person, vouched for by the issuer, with the bytes that were vouched for.
    Uploads,
    /// Sums of uploads, added again.
    Sums,
    /// Proofs that uploads and column commitments hold the same records.
    Links,
    /// Evaluations of ad-hoc ciphertexts.
    Evaluations,
    /// Rows as shown against what the proof published.
    Rows,
    /// Division of payments.
    Payouts,
    /// Rewards claimed by members.
    Claims,
    /// Credits paid out.
    Withdrawals,
    /// What contracts logged against what the replay derived.
    Events,
    /// Token movements in and out of escrow and pool.
    Tokens,
    /// Sums of money.
    Conservation,
    /// Transactions on the node.
    Inclusion,
}

/// Every topic, in the order of the report.
const TOPICS: [Topic; 26] = [
    Topic::Files,
    Topic::Transactions,
    Topic::Contracts,
    Topic::Circuits,
    Topic::Datasets,
    Topic::Registrations,
    Topic::Changes,
    Topic::Snapshots,
    Topic::Queries,
    Topic::Answers,
    Topic::Committees,
    Topic::Bonds,
    Topic::SealedAnswers,
    Topic::Signatures,
    Topic::Uploads,
    Topic::Sums,
    Topic::Links,
    Topic::Evaluations,
    Topic::Rows,
    Topic::Payouts,
    Topic::Claims,
    Topic::Withdrawals,
    Topic::Events,
    Topic::Tokens,
    Topic::Conservation,
    Topic::Inclusion,
];

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The transaction it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TxHash>,
    /// What is wrong.
    pub message: String,
}

/// One kind of check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub name: Topic,
    /// How many things were checked.
    pub checked: u64,
    /// How many of them are wrong.
    pub wrong: u64,
    /// How many more could not be checked because something is missing.
    pub unchecked: u64,
    /// The first of the wrong ones.
    pub problems: Vec<Problem>,
    /// What is missing for the first of the unchecked ones.
    pub gaps: Vec<String>,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    verdict: &'static str,
    /// What was looked at: `answers` or `full`.
    pub depth: &'static str,
    /// What was checked, and what is wrong with it.
    pub checks: Vec<Check>,
    /// Every sealed answer: what was done again, and what only signatures speak for.
    pub sealed_answers: Vec<SealedFinding>,
    /// What a reader must know, though nothing is wrong.
    pub notes: Vec<String>,
    #[serde(skip)]
    first: Option<Problem>,
    #[serde(skip)]
    first_gap: Option<String>,
}

impl AuditReport {
    /// A report in which nothing was checked yet.
    pub fn new(depth: &'static str) -> Self {
        let checks = TOPICS.map(|name| Check {
            name,
            checked: 0,
            wrong: 0,
            unchecked: 0,
            problems: Vec::new(),
            gaps: Vec::new(),
        });
        Self {
            verdict: "ok",
            depth,
            checks: checks.into(),
            sealed_answers: Vec::new(),
            notes: Vec::new(),
            first: None,
            first_gap: None,
        }
    }

    /// Counts things that were checked.
    pub fn checked(&mut self, topic: Topic, count: u64) {
        self.checks[topic as usize].checked += count;
    }

    /// Counts something that is wrong.
    pub fn wrong(&mut self, topic: Topic, transaction: Option<TxHash>, message: impl Into<String>) {
        self.verdict = "invalid";
        let problem = Problem {
            transaction,
            message: message.into(),
        };
        if self.first.is_none() {
            self.first = Some(problem.clone());
        }
        let check = &mut self.checks[topic as usize];
        check.wrong += 1;
        if check.problems.len() < KEPT {
            check.problems.push(problem);
        }
    }

    /// Counts something that could not be checked.
    pub fn unchecked(&mut self, topic: Topic, gap: impl Into<String>) {
        if self.first.is_none() {
            self.verdict = "could_not_check";
        }
        let gap = gap.into();
        if self.first_gap.is_none() {
            self.first_gap = Some(gap.clone());
        }
        let check = &mut self.checks[topic as usize];
        check.unchecked += 1;
        if check.gaps.len() < KEPT {
            check.gaps.push(gap);
        }
    }

    /// Adds a note, once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// `ok`, `invalid`, or `could_not_check` when nothing is known to be wrong and something is missing.
    pub fn verdict(&self) -> &str {
        self.verdict
    }

    /// How many things of a kind were checked.
    pub fn count(&self, topic: Topic) -> u64 {
        self.checks[topic as usize].checked
    }

    /// How many problems there are.
    pub fn problems(&self) -> u64 {
        self.checks.iter().map(|check| check.wrong).sum()
    }

    /// How many things could not be checked.
    pub fn gaps(&self) -> u64 {
        self.checks.iter().map(|check| check.unchecked).sum()
    }

    /// The last line of the command.
    pub fn line(&self, command: &str) -> String {
        match (&self.first, &self.first_gap) {
            (None, None) => {
                let sealed = match self.count(Topic::SealedAnswers) {
                    0 => String::new(),
                    count => format!(" {count} sealed answers,"),
                };
                format!(
                    "{command}: ok: {} registrations, {} answers,{sealed} {} payouts, {} claims",
                    self.count(Topic::Registrations),
                    self.count(Topic::Answers),
                    self.count(Topic::Payouts),
                    self.count(Topic::Claims),
                )
            }
            (Some(first), _) => format!(
                "{command}: invalid: {} problems, the first: {}",
                self.problems(),
                first.sentence()
            ),
            (None, Some(first)) => format!(
                "{command}: could not check: {} things, the first: {first}",
                self.gaps()
            ),
        }
    }

    /// The error of a bundle that is invalid or could not be checked.
    pub fn error(&self) -> Option<CliError> {
        let invalid = self.first.as_ref().map(|first| {
            CliError::new(
                Kind::Invalid,
                "audit_invalid",
                format!("the bundle does not hold up: {}", first.sentence()),
                "Do not rely on its answers; the report (--json) lists every problem.",
            )
        });
        invalid.or_else(|| {
            self.first_gap.as_ref().map(|first| {
                CliError::new(
                    Kind::CouldNotCheck,
                    "audit_incomplete",
                    format!("nothing is known to be wrong, but not all could be checked: {first}"),
                    "Get what is missing from the publisher, then audit again; the report (--json) lists every gap.",
                )
            })
        })
    }

    /// The report as lines of text, without the last one.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for check in self
            .checks
            .iter()
            .filter(|check| check.checked + check.wrong + check.unchecked > 0)
        {
            let name = serde_json::to_value(check.name).unwrap_or_default();
            let name = name.as_str().unwrap_or_default();
            out += &format!(
                "{name:<15} {:>8} checked  {:>5} wrong\n",
                check.checked, check.wrong
            );
            for problem in &check.problems {
                out += &format!("  wrong: {}\n", problem.sentence());
            }
            if check.unchecked > 0 {
                out += &format!("  {} could not be checked\n", check.unchecked);
            }
            for gap in &check.gaps {
                out += &format!("  not checked: {gap}\n");
            }
        }
        for finding in &self.sealed_answers {
            out += &finding.text();
        }
        for note in &self.notes {
            out += &format!("note: {note}\n");
        }
        out
    }
}

impl Problem {
    fn sentence(&self) -> String {
        match self.transaction {
            Some(hash) => format!("transaction {hash}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stand_at_their_own_index() {
        for (index, topic) in TOPICS.iter().enumerate() {
            assert_eq!(*topic as usize, index);
        }
    }
}

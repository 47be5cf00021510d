//! The sealed path: keys, uploads, sums, links, evaluations, and what stands behind every sealed answer.
//!
//! Added again, verified again: uploads and their signatures, sums, link proofs, signatures on answers, release rule, rows.
//! Not repeatable without the holders' keys: the opening of a sum, and whether a form opens to zero. The report says for
//! every answer which is which.

mod answers;
mod ciphertexts;
mod evaluations;
mod finding;
mod links;

pub use finding::SealedFinding;
#[cfg(test)]
pub use {answers::cube_ciphertext_hash, finding::Part};

use super::replay::Replay;
use super::report::{AuditReport, Topic};
use crate::bundle::blobs::{self, BlobFault};
use crate::bundle::sealed::SealedBundle;
use crate::error::CliError;
use salus_blobs::ContentId;
use salus_circuits::words::Word;
use salus_contracts::client::{CommitteeKind, DatasetId};
use salus_contracts::deploy::Deployment;
use salus_contracts::primitives::{B256, hex};
use salus_cubes::key::PublicKey;
use salus_schema::codebook::Codebook;
use std::collections::HashSet;
use std::path::Path;

/// What is audited.
pub struct Subject<'a> {
    /// The bundle.
    pub dir: &'a Path,
    /// The contracts.
    pub at: &'a Deployment,
    /// What its blobs are, if it has any.
    pub contents: Option<SealedBundle>,
    /// The dataset's codebook with its cubes.
    pub codebook: &'a Codebook,
    /// The dataset.
    pub dataset: DatasetId,
    /// The contracts' state after all transactions.
    pub replay: &'a Replay<'a>,
    /// The slot bases.
    pub bases: &'a [[Word; 2]],
    /// Queries whose rows hold.
    pub shown: &'a HashSet<B256>,
    /// Server keys with which ad-hoc evaluations are done again.
    pub server_keys: Option<&'a Path>,
}

impl Subject<'_> {
    /// Checks everything and adds one finding per sealed answer.
    ///
    /// # Errors
    /// uploads.bin cannot be read.
    pub fn check(
        &self,
        report: &mut AuditReport,
        progress: &mut impl FnMut(&str, u64, u64),
    ) -> Result<(), CliError> {
        let empty = SealedBundle::default();
        let contents = self.contents.as_ref().unwrap_or(&empty);
        self.check_keys(contents, report);
        let sums = ciphertexts::check(self, contents, report, progress)?;
        let links = links::check(self, contents, &sums, report);
        answers::check(self, contents, &sums, &links, report)
    }

    /// The public keys hash to what the committees were registered with.
    fn check_keys(&self, contents: &SealedBundle, report: &mut AuditReport) {
        let mut seen = HashSet::new();
        for entry in &contents.committees {
            report.checked(Topic::Committees, 1);
            let name = format!("committee {}", entry.id);
            let mut wrong = |message: &str| {
                report.wrong(Topic::Committees, None, format!("{name}: {message}"));
            };
            if !seen.insert(entry.id) {
                wrong("stands twice in sealed.json");
            }
            let Some(committee) = self.replay.committees.all.get(&entry.id) else {
                wrong("was never registered");
                continue;
            };
            if committee.params.kind != entry.kind {
                wrong("is of another kind on chain");
            }
            if committee.params.key_hash != B256::from(*entry.key.digest()) {
                wrong("its key in sealed.json is not the one that it was registered with");
                continue;
            }
            match self.blob(&entry.key, Topic::Committees, report) {
                Some(bytes) if entry.kind == CommitteeKind::Cubes => {
                    if let Err(error) = PublicKey::from_bytes(&bytes) {
                        let message = format!("{name}: its key does not decode: {error}");
                        report.wrong(Topic::Committees, None, message);
                    }
                }
                _ => {}
            }
        }
    }

    /// A blob, or a problem or gap under `topic`.
    fn blob(&self, id: &ContentId, topic: Topic, report: &mut AuditReport) -> Option<Vec<u8>> {
        match blobs::read(self.dir, id) {
            Ok(bytes) => Some(bytes),
            Err(fault) => {
                blame(&fault, topic, "", report);
                None
            }
        }
    }

    /// Name of a cube for messages.
    fn cube_name(&self, id: &B256) -> String {
        let cube = self.codebook.cubes().iter().find(|c| c.id() == id.0);
        cube.map_or_else(
            || hex::encode_prefixed(id),
            |cube| format!("`{}`", cube.name()),
        )
    }
}

/// Reports why a blob was not read: something is wrong, or it could not be looked at.
fn blame(fault: &BlobFault, topic: Topic, whose: &str, report: &mut AuditReport) {
    let message = format!("{whose}{fault}");
    if fault.is_wrong() {
        report.wrong(topic, None, message);
    } else {
        report.unchecked(topic, message);
    }
}

//! Ad-hoc evaluations: what an output is about, and, with the server keys, every step of it again.
//!
//! Repeating it gives the same bytes on the build that made it; another build may round its transforms otherwise. Then the
//! outputs differ and that alone proves nothing: the report says that it could not be checked, not that it is wrong, unless
//! a proof, a list or a hash fails, which is the same on every build.

use super::Subject;
use crate::adhoc::evaluator::{compute, layout};
use crate::adhoc::key::{self, AdhocKey};
use crate::adhoc::output::Output;
use crate::adhoc::uploads;
use crate::bundle::blobs;
use crate::bundle::sealed::EvaluationEntry;
use crate::error::CliError;
use crate::sealed::gather::Registry;
use salus_adhoc::evaluate::RunControl;
use salus_adhoc::keys::ServerKeys;
use salus_adhoc::layout::Layout;
use salus_blobs::ContentId;
use std::path::Path;

/// What repeats evaluations: the keys of one ceremony.
pub struct Repeater {
    key: AdhocKey,
    server: ServerKeys,
    layout: Layout,
}

/// What came of an evaluation that was repeated.
pub enum Repeated {
    /// The same bytes.
    Equal {
        /// From this many uploads.
        uploads: u64,
    },
    /// Other bytes.
    Differs,
    /// It cannot have been made honestly.
    Wrong(String),
}

impl Repeater {
    /// The keys for a committee's public key blob.
    ///
    /// # Errors
    /// The server keys are not there or not those that the blob pins.
    pub fn new(subject: &Subject<'_>, blob: &ContentId, server: &Path) -> Result<Self, CliError> {
        let failed = |e: &dyn std::fmt::Display| crate::adhoc::evaluator::failed("the key", e);
        let bytes = blobs::read(subject.dir, blob).map_err(|e| failed(&e))?;
        let key = AdhocKey::from_bytes(&bytes).map_err(|e| failed(&e))?;
        Ok(Self {
            server: key::server_keys(server, key.server)?,
            key,
            layout: layout(subject.codebook)?,
        })
    }

    /// Repeats an evaluation from the uploads in the bundle; `plan` and `snapshot` are those of the chain.
    pub fn repeat(
        &self,
        subject: &Subject<'_>,
        entry: &EvaluationEntry,
        plan: &[u8],
        snapshot: u32,
    ) -> Repeated {
        match self.again(subject, entry, plan, snapshot) {
            Ok(repeated) => repeated,
            Err(reason) => Repeated::Wrong(reason),
        }
    }

    fn again(
        &self,
        subject: &Subject<'_>,
        entry: &EvaluationEntry,
        plan: &[u8],
        snapshot: u32,
    ) -> Result<Repeated, String> {
        let bytes = blobs::read(subject.dir, &entry.output).map_err(|e| e.to_string())?;
        let output = Output::from_bytes(&bytes).map_err(|e| e.to_string())?;
        let about = &output.about;
        for (kept, what) in [
            (about.query == entry.query.0, "query"),
            (about.dataset == u64::from(subject.dataset.0), "dataset"),
            (about.snapshot == u64::from(snapshot), "snapshot"),
            (about.key == self.key.hash, "key"),
            (about.plan == plan, "plan"),
            (about.uploads == *entry.uploads.digest(), "list of uploads"),
        ] {
            if !kept {
                return Err(format!("its output is about another {what}"));
            }
        }
        let registry = Registry {
            chain: subject.at.chain_id,
            contract: subject.at.registry,
            dataset: subject.dataset,
        };
        let seated = subject.replay.roster.at(snapshot);
        let seated = seated.ok_or("the registrations do not add up to its snapshot")?;
        let included = uploads::included(&registry, &seated, &self.layout, subject.dir);
        let included = included.map_err(|e| e.to_string())?;
        if ContentId::of(&uploads::list(&included)) != entry.uploads {
            return Err("its list of uploads is not that of the snapshot's members".to_owned());
        }
        let mut held = Vec::with_capacity(included.len());
        for record in included.into_values() {
            let id = ContentId::from_digest(record.digest);
            let bytes = blobs::read(subject.dir, &id).map_err(|e| e.to_string())?;
            held.push((record, bytes));
        }
        let client = Some(&self.key.client);
        let records = uploads::records(&registry, &self.layout, &held, client, || {});
        let records = records.map_err(|e| e.to_string())?;
        let control = RunControl::default();
        let again = compute(&self.server, &self.layout, &records, about, &control);
        let again = again.map_err(|e| e.to_string())?;
        match again.to_bytes() == bytes {
            true => Ok(Repeated::Equal {
                uploads: records.len() as u64,
            }),
            false => Ok(Repeated::Differs),
        }
    }
}

//! Uploads and sums: who must be in a sum, who vouched for what, and whether the sum is their sum.
//!
//! The list of uploads is read once and every upload once, a batch in memory at a time; per sum there are the people of
//! its snapshot and one running sum.

use super::{Subject, blame};
use crate::audit::report::{AuditReport, Topic};
use crate::bundle::blobs::{self, BlobFault};
use crate::bundle::sealed::{SealedBundle, SumEntry};
use crate::error::CliError;
use crate::sealed::roster::{Place, Seated};
use crate::sealed::uploads::{self, UploadRecord};
use rayon::prelude::*;
use salus_blobs::ContentId;
use salus_contracts::client::{ChunkIndex, CommitteeKind, SlotIndex};
use salus_contracts::primitives::{Address, B256};
use salus_contracts::sealed::{SealedUpload, recover, sealed_upload_digest};
use salus_cubes::sum::RunningSum;
use salus_cubes::upload::{UPLOAD_BYTES, Upload};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// Uploads in memory at a time, 98 KB each.
const BATCH: usize = 128;
/// Bytes per step of the progress.
const MEGABYTE: u64 = 1_000_000;

/// What became of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Added again from this many uploads, one per person, and equal byte for byte.
    Equal {
        /// How many.
        uploads: u64,
    },
    /// Something is wrong with it or with an upload in it.
    Wrong,
    /// Something is missing.
    Unchecked,
}

/// A sum after its check.
pub struct Added {
    /// What sealed.json says.
    pub entry: SumEntry,
    /// What became of it.
    pub outcome: Outcome,
    /// The uploads in it, by place.
    pub uploads: Vec<(Place, [u8; 32])>,
}

/// A sum being added.
struct Table {
    entry: SumEntry,
    seated: Rc<Vec<Seated>>,
    /// By seated person: whether the list names an upload.
    listed: Vec<bool>,
    uploads: Vec<(Place, [u8; 32])>,
    running: RunningSum,
    wrong: bool,
    gap: bool,
}

/// A listed upload of a person, and the tables that it is in.
struct Listed {
    record: UploadRecord,
    issuer: Address,
    tables: Vec<usize>,
}

/// Checks every sum of sealed.json.
pub fn check(
    subject: &Subject<'_>,
    contents: &SealedBundle,
    report: &mut AuditReport,
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<Vec<Added>, CliError> {
    let mut tables = tables(subject, contents, report);
    let mut out: Vec<Added> = contents
        .sums
        .iter()
        .filter(|entry| !tables.iter().any(|table| table.entry == **entry))
        .map(|entry| Added {
            entry: entry.clone(),
            outcome: Outcome::Wrong,
            uploads: Vec::new(),
        })
        .collect();
    if !tables.is_empty() {
        add(subject, &mut tables, report, progress)?;
    }
    for table in tables {
        out.push(finish(subject, table, report));
    }
    Ok(out)
}

/// The tables that can be added.
fn tables(subject: &Subject<'_>, contents: &SealedBundle, report: &mut AuditReport) -> Vec<Table> {
    let mut seen = HashSet::new();
    let mut rosters: BTreeMap<u32, Option<Rc<Vec<Seated>>>> = BTreeMap::new();
    let mut tables = Vec::new();
    for entry in &contents.sums {
        let name = name(subject, entry);
        let mut wrong = |message: &str| {
            report.wrong(Topic::Sums, None, format!("{name}: {message}"));
        };
        if !seen.insert((entry.snapshot, entry.cube)) {
            wrong("it stands twice in sealed.json");
            continue;
        }
        let kind = CommitteeKind::Cubes;
        let bound = subject
            .replay
            .committees
            .at(subject.dataset, entry.snapshot, kind);
        if bound != Some(entry.committee) {
            wrong("its committee is not the one that the dataset had bound for the snapshot");
            continue;
        }
        let cube = subject
            .codebook
            .cubes()
            .iter()
            .find(|c| c.id() == entry.cube.0);
        let Some(cube) = cube else {
            wrong("the codebook has no such cube");
            continue;
        };
        let roster = &subject.replay.roster;
        let seated = rosters
            .entry(entry.snapshot)
            .or_insert_with(|| roster.at(entry.snapshot).map(Rc::new));
        let Some(seated) = seated else {
            wrong("the registrations do not add up to the members of its snapshot");
            continue;
        };
        tables.push(Table {
            entry: entry.clone(),
            listed: vec![false; seated.len()],
            uploads: Vec::with_capacity(seated.len()),
            seated: seated.clone(),
            running: RunningSum::new(cube),
            wrong: false,
            gap: false,
        });
    }
    tables
}

fn name(subject: &Subject<'_>, entry: &SumEntry) -> String {
    let cube = subject.cube_name(&entry.cube);
    format!("the sum of cube {cube} over snapshot {}", entry.snapshot)
}

fn person(record: &UploadRecord) -> String {
    format!(
        "the upload of chunk {}, slot {}, version {}",
        record.chunk, record.slot, record.version
    )
}

/// Reads the list and adds every upload to the tables that it belongs to.
fn add(
    subject: &Subject<'_>,
    tables: &mut [Table],
    report: &mut AuditReport,
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<(), CliError> {
    let mut records: u64 = 0;
    uploads::each(subject.dir, |_| records += 1)?;
    let total = records * UPLOAD_BYTES as u64 / MEGABYTE;
    let (mut read, mut idle) = (0, 0);
    let mut batch = Vec::with_capacity(BATCH);
    uploads::each(subject.dir, |record| {
        match place(record, tables, report) {
            Some(listed) => batch.push(listed),
            None => idle += 1,
        }
        if batch.len() == BATCH {
            read += add_batch(subject, &batch, tables, report);
            batch.clear();
            progress("add uploads, MB", read / MEGABYTE, total);
        }
    })?;
    add_batch(subject, &batch, tables, report);
    progress("add uploads, MB", total, total);
    if idle > 0 {
        report.note(format!(
            "{idle} listed uploads are in none of the audited sums: people who left, earlier versions, other cubes"
        ));
    }
    Ok(())
}

/// Which tables a listed upload is in; `None` for none.
fn place(record: UploadRecord, tables: &mut [Table], report: &mut AuditReport) -> Option<Listed> {
    let at = (record.chunk, record.slot);
    let (mut issuer, mut member) = (None, true);
    let mut twice = false;
    let mut within = Vec::new();
    for (number, table) in tables.iter_mut().enumerate() {
        if table.entry.cube.0 != record.cube {
            continue;
        }
        let Ok(index) = table.seated.binary_search_by_key(&at, |s| s.place) else {
            continue;
        };
        let seated = &table.seated[index];
        if seated.version != record.version {
            continue;
        }
        if seated.member != record.member {
            (table.wrong, member) = (true, false);
        } else if std::mem::replace(&mut table.listed[index], true) {
            (table.wrong, twice) = (true, true);
        } else {
            issuer = Some(seated.issuer);
            within.push(number);
        }
    }
    if !member {
        let message = format!("{} is listed for another member", person(&record));
        report.wrong(Topic::Uploads, None, message);
    }
    if twice {
        let message = format!("{} stands twice in uploads.bin", person(&record));
        report.wrong(Topic::Uploads, None, message);
    }
    Some(Listed {
        record,
        issuer: issuer?,
        tables: within,
    })
}

/// Checks and adds uploads; returns how many bytes were read.
fn add_batch(
    subject: &Subject<'_>,
    batch: &[Listed],
    tables: &mut [Table],
    report: &mut AuditReport,
) -> u64 {
    let read: Vec<(bool, Result<Vec<u8>, BlobFault>)> = batch
        .par_iter()
        .map(|listed| {
            let id = ContentId::from_digest(listed.record.digest);
            (vouched(subject, listed), blobs::read(subject.dir, &id))
        })
        .collect();
    let mut total = 0;
    for (listed, (vouched, bytes)) in batch.iter().zip(read) {
        let record = &listed.record;
        report.checked(Topic::Uploads, 1);
        let mut wrong = !vouched;
        if !vouched {
            let message = format!(
                "{} was not signed by the issuer that registered the person",
                person(record)
            );
            report.wrong(Topic::Uploads, None, message);
        }
        let upload = match bytes {
            Ok(bytes) => {
                total += bytes.len() as u64;
                Upload::from_bytes(bytes)
                    .map_err(|error| {
                        wrong = true;
                        let message = format!("{} does not decode: {error}", person(record));
                        report.wrong(Topic::Uploads, None, message);
                    })
                    .ok()
            }
            Err(fault) => {
                wrong |= fault.is_wrong();
                let whose = format!("{}: ", person(record));
                blame(&fault, Topic::Uploads, &whose, report);
                None
            }
        };
        for number in &listed.tables {
            let table = &mut tables[*number];
            table.wrong |= wrong;
            match &upload {
                None => table.gap = true,
                Some(upload) => match table.running.add(upload) {
                    Ok(()) => {
                        let place = (record.chunk, record.slot);
                        table.uploads.push((place, record.digest));
                    }
                    Err(error) => {
                        (table.wrong, table.gap) = (true, true);
                        let message = format!("{}: {error}", person(record));
                        report.wrong(Topic::Uploads, None, message);
                    }
                },
            }
        }
    }
    total
}

/// Whether the issuer that registered the person signed for this upload.
fn vouched(subject: &Subject<'_>, listed: &Listed) -> bool {
    let record = &listed.record;
    let upload = SealedUpload {
        dataset: subject.dataset,
        member: record.member,
        chunk: ChunkIndex(record.chunk),
        slot: SlotIndex(record.slot),
        nonce: record.version,
        epoch: record.epoch,
        cube: B256::from(record.cube),
        ciphertext_hash: B256::from(record.digest),
    };
    let digest = sealed_upload_digest(subject.at.chain_id, subject.at.registry, &upload);
    recover(digest, &record.signature) == Some(listed.issuer)
}

/// Compares a table with the sum that was published.
fn finish(subject: &Subject<'_>, mut table: Table, report: &mut AuditReport) -> Added {
    let name = name(subject, &table.entry);
    let missing: Vec<Place> = table
        .seated
        .iter()
        .zip(&table.listed)
        .filter(|(_, listed)| !**listed)
        .map(|(seated, _)| seated.place)
        .collect();
    if let Some((chunk, slot)) = missing.first() {
        table.wrong = true;
        let message = format!(
            "{name}: {} people have no upload in the list, the first in chunk {chunk}, slot {slot}",
            missing.len()
        );
        report.wrong(Topic::Uploads, None, message);
    }
    table.uploads.sort_unstable();
    let outcome = match table.gap {
        true if table.wrong => Outcome::Wrong,
        true => {
            let gap = format!("{name} was not added again: uploads are missing");
            report.unchecked(Topic::Sums, gap);
            Outcome::Unchecked
        }
        false => compare(subject, &table, &name, report),
    };
    Added {
        outcome,
        uploads: table.uploads,
        entry: table.entry,
    }
}

fn compare(subject: &Subject<'_>, table: &Table, name: &str, report: &mut AuditReport) -> Outcome {
    let published = match blobs::read(subject.dir, &table.entry.sum) {
        Ok(bytes) => bytes,
        Err(fault) => {
            blame(&fault, Topic::Sums, &format!("{name}: "), report);
            let wrong = table.wrong || fault.is_wrong();
            return if wrong {
                Outcome::Wrong
            } else {
                Outcome::Unchecked
            };
        }
    };
    report.checked(Topic::Sums, 1);
    match table.running.finish() {
        Ok(sum) if sum.to_bytes() == published => {}
        Ok(_) => {
            let message = format!("{name} is not the sum of its uploads");
            report.wrong(Topic::Sums, None, message);
            return Outcome::Wrong;
        }
        Err(error) => {
            report.wrong(Topic::Sums, None, format!("{name}: {error}"));
            return Outcome::Wrong;
        }
    }
    match table.wrong {
        true => Outcome::Wrong,
        false => Outcome::Equal {
            uploads: table.uploads.len() as u64,
        },
    }
}

//! The audit bundle: everything public that an auditor needs, in one directory.
//!
//! manifest.json names chain, contracts, dataset, and the SHA-256 of the other files: codebook.toml; keys.bin, the
//! verifying keys; basis.bin, the slot bases; chain.bin, every transaction to the contracts; queries.json, what was
//! asked and what was answered. Where there are sealed answers also uploads.bin, whose uploads count; sealed.json, which
//! blobs are keys, sums and proofs; and the folder blobs, named by their own hashes. It is written beside its place and
//! renamed, so there is never half a bundle.

pub mod blobs;
pub mod chain;
pub mod format;
pub mod keys;
pub mod manifest;
pub mod sealed;

use crate::error::{CliError, Kind};
use crate::sealed::uploads;
use chain::ChainWriter;
use manifest::{BUNDLE_VERSION, Counts, FILES, Manifest, SEALED_FILES};
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::keys::VerifyingKey;
use salus_contracts::client::{ChainError, Client, DatasetId, Family};
use salus_schema::codebook::Codebook;
use sealed::SealedBundle;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleQuery {
    /// As typed.
    pub sql: String,
    /// Canonical JSON of the query.
    pub body: String,
    /// Plan bytes.
    pub plan: Vec<u8>,
    /// Its id on chain.
    pub query_id: [u8; 32],
    /// Rows as shown; null or empty when there is no answer.
    pub answer: serde_json::Value,
}

/// What a bundle is made of.
pub struct BundleInput<'a> {
    /// The contracts, whose transactions are gathered.
    pub client: &'a Client,
    /// The dataset.
    pub dataset: DatasetId,
    /// Its codebook.
    pub codebook: &'a Codebook,
    /// The verifying keys of its circuits.
    pub keys: Vec<VerifyingKey>,
    /// The slot bases.
    pub basis: &'a CommitmentKey,
    /// What was asked.
    pub queries: &'a [BundleQuery],
    /// The public side of the sealed path, where it was used.
    pub sealed: Option<SealedInput<'a>>,
}

/// The public side of the sealed path.
#[derive(Debug, Clone, Copy)]
pub struct SealedInput<'a> {
    /// Folder that holds uploads.bin.
    pub uploads: &'a Path,
    /// Folder of the local blob store. All its blobs go into the bundle.
    pub blobs: &'a Path,
    /// What the blobs are.
    pub contents: &'a SealedBundle,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleSummary {
    /// The bundle.
    pub dir: PathBuf,
    /// Transactions in it.
    pub transactions: u64,
    /// Length of all files in bytes, blobs included.
    pub bytes: u64,
    /// Blobs in it.
    pub blobs: u64,
    /// Their part of the bytes, shared with the blob store where the file system allows it.
    pub blob_bytes: u64,
}

fn disk(path: &Path) -> impl Fn(io::Error) -> CliError + '_ {
    move |source| {
        CliError::new(
            Kind::Failed,
            "bundle_not_written",
            format!("{}: {source}; no bundle was written", path.display()),
            "Free space or choose another directory with --out, then run the command again.",
        )
    }
}

/// Whether a bundle may be put at `dir`: nothing is there, or an empty directory, or a bundle and `force` is given.
///
/// # Errors
/// Something else is there, or a bundle without `force`.
pub fn check_target(dir: &Path, force: bool) -> Result<(), CliError> {
    let refuse = |code, message: &str, next: &str| {
        Err(CliError::new(
            Kind::Usage,
            code,
            format!("{} {message}", dir.display()),
            next,
        ))
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return refuse(
                "out_not_a_directory",
                "is a file",
                "Choose another directory with --out.",
            );
        }
        Err(error) => return Err(disk(dir)(error)),
    };
    let mut empty = true;
    for entry in entries {
        empty = false;
        let name = entry.map_err(disk(dir))?.file_name();
        let stranger = match name.to_str() {
            Some(blobs::NAME) => blobs::stranger(&blobs::folder(dir)).map_err(disk(dir))?,
            Some(known) if is_part(known) => None,
            _ => Some(PathBuf::from(&name)),
        };
        if let Some(stranger) = stranger {
            let shown = stranger.strip_prefix(dir).unwrap_or(&stranger);
            let message = format!("holds {}, which is no part of a bundle", shown.display());
            return refuse(
                "out_not_a_bundle",
                &message,
                "Choose another directory with --out.",
            );
        }
    }
    if empty || force {
        return Ok(());
    }
    refuse(
        "out_exists",
        "already holds a bundle",
        "Give --force to replace it, or another directory with --out.",
    )
}

fn is_part(name: &str) -> bool {
    name == manifest::NAME || FILES.contains(&name) || SEALED_FILES.contains(&name)
}

/// A directory that goes away unless it is kept.
struct Aside(Option<PathBuf>);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Writes a bundle to `dir`; `progress` is told blocks done and blocks in all.
///
/// # Errors
/// See [`check_target`]; or the node or the disk fails, and nothing is left behind then.
pub async fn write(
    dir: &Path,
    force: bool,
    input: &BundleInput<'_>,
    mut progress: impl FnMut(u64, u64),
) -> Result<BundleSummary, CliError> {
    check_target(dir, force)?;
    let beside = beside(dir);
    if let Some(parent) = beside.parent() {
        fs::create_dir_all(parent).map_err(disk(parent))?;
    }
    fs::create_dir(&beside).map_err(disk(&beside))?;
    let mut aside = Aside(Some(beside.clone()));

    let last = input.client.chain().block_number().await.map_err(node)?;
    let transactions = write_chain(&beside, input.client, last, &mut progress).await?;
    let failed = disk(&beside);
    fs::write(beside.join(manifest::CODEBOOK), input.codebook.to_toml()).map_err(&failed)?;
    keys::write_keys(&beside, &input.keys).map_err(&failed)?;
    keys::write_basis(&beside, &input.basis.slots).map_err(&failed)?;
    manifest::write_queries(&beside, input.queries).map_err(&failed)?;
    let mut gathered = blobs::Gathered::default();
    let mut names = FILES.to_vec();
    if let Some(sealed) = &input.sealed {
        // A copy: the list grows in place.
        let list = sealed.uploads.join(uploads::NAME);
        fs::copy(&list, beside.join(uploads::NAME)).map_err(disk(&list))?;
        sealed.contents.write(&beside).map_err(&failed)?;
        gathered =
            blobs::gather(sealed.blobs, &blobs::folder(&beside)).map_err(disk(sealed.blobs))?;
        names.extend(SEALED_FILES);
    }
    let mut files = BTreeMap::new();
    for name in names {
        files.insert(name.to_owned(), manifest::digest(&beside, name)?);
    }
    let bytes = gathered.bytes + files.values().map(|file| file.bytes).sum::<u64>();
    let manifest = Manifest {
        version: BUNDLE_VERSION,
        deployment: input.client.deployment().clone(),
        dataset: input.dataset.0,
        last_block: last,
        counts: Counts {
            transactions,
            keys: input.keys.len() as u64,
            slots: input.basis.slots.len() as u64,
            queries: input.queries.len() as u64,
        },
        files,
    };
    manifest.write(&beside).map_err(&failed)?;

    if dir.exists() {
        fs::remove_dir_all(dir).map_err(disk(dir))?;
    }
    fs::rename(&beside, dir).map_err(disk(dir))?;
    aside.0 = None;
    Ok(BundleSummary {
        dir: dir.to_owned(),
        transactions,
        bytes,
        blobs: gathered.blobs,
        blob_bytes: gathered.bytes,
    })
}

/// `dir.tmpPID`, in the same file system as `dir`.
fn beside(dir: &Path) -> PathBuf {
    let plain: PathBuf = dir.components().collect();
    let mut name = OsString::from(plain);
    name.push(format!(".tmp{}", std::process::id()));
    PathBuf::from(name)
}

fn node(error: ChainError) -> CliError {
    let kind = match error.family() {
        Family::Refused => Kind::Refused,
        Family::Invalid => Kind::Invalid,
        Family::Failed => Kind::Failed,
    };
    CliError::new(
        kind,
        "bundle_chain",
        error,
        "Check the node, then run the command again; no bundle was written.",
    )
}

/// Why chain.bin was not written.
enum ChainFailure {
    Node(ChainError),
    Disk(io::Error),
}

impl From<ChainError> for ChainFailure {
    fn from(error: ChainError) -> Self {
        Self::Node(error)
    }
}

async fn write_chain(
    dir: &Path,
    client: &Client,
    last: u64,
    progress: &mut impl FnMut(u64, u64),
) -> Result<u64, CliError> {
    let mut writer = ChainWriter::create(dir).map_err(disk(dir))?;
    let first = client.deployment().block;
    let total = (last + 1).saturating_sub(first);
    let gathered: Result<(), ChainFailure> = client
        .history(
            first..=last,
            |mined| writer.push(&mined).map_err(ChainFailure::Disk),
            |block| progress(block + 1 - first, total),
        )
        .await;
    match gathered {
        Ok(()) => writer.close().map_err(disk(dir)),
        Err(ChainFailure::Node(error)) => Err(node(error)),
        Err(ChainFailure::Disk(error)) => Err(disk(dir)(error)),
    }
}

//! Checkpoints: the exact state of an evaluation after a batch of records, for a run that was killed to go on.
//!
//! File, version 1: `"SLAK"`, version byte, three zero bytes, 32 bytes of binding, the state, blake3 of all that. The binding
//! is the hash of query, records, keys and build: a checkpoint of anything else is refused. The hash finds damage, not
//! forgery: keep checkpoints where only the evaluator writes.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use bincode::Options;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accumulate::Running;
use crate::digits::Columns;

const MAGIC: &[u8; 8] = b"SLAK\x01\0\0\0";
/// Bytes of a checkpoint, at most.
pub const MAX_CHECKPOINT_BYTES: u64 = 1 << 30;

/// Why a checkpoint cannot be written or resumed from.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Reading or writing failed.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// Damaged or of another kind.
    #[error("checkpoint {path} is damaged; remove it to start again")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Of another evaluation.
    #[error(
        "checkpoint {path} belongs to another query, other records, other keys or another build"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// What is left to do, and what was summed so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) branch: usize,
    pub(crate) next: usize,
    pub(crate) running: Vec<Running>,
    pub(crate) values: Vec<Columns>,
}

/// Writes the state so that the file is, at any instant, either the old one or the new one.
pub(crate) fn write(path: &Path, binding: [u8; 32], state: &State) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(binding);
    options()
        .serialize_into(&mut bytes, state)
        .map_err(|error| io(std::io::Error::other(error)))?;
    bytes.extend(integrity(&bytes));
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    file.as_file().sync_data().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// The state in the file, `None` when there is no file.
pub(crate) fn read(path: &Path, binding: [u8; 32]) -> Result<Option<State>, CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = || CheckpointError::Damaged {
        path: path.to_owned(),
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        Ok(metadata) if metadata.len() > MAX_CHECKPOINT_BYTES => return Err(damaged()),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(io)?;
    let (content, hash) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if *hash != integrity(content) {
        return Err(damaged());
    }
    let rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (found, state) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
    if *found != binding {
        return Err(CheckpointError::Foreign {
            path: path.to_owned(),
        });
    }
    options()
        .deserialize(state)
        .map(Some)
        .map_err(|_| damaged())
}

fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_limit(MAX_CHECKPOINT_BYTES)
}

fn integrity(bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key("salus/v1/adhoc/checkpoint", bytes)
}

//! Saving an embedded chain as its genesis and its signed transactions, and replaying it.
//!
//! One JSON object per line: the genesis, then one line per block (time, and the signed transaction if it has
//! one), then the hash of the newest block. Loading executes everything again, so a changed file is
//! noticed: a signature fails, a nonce does not fit, or the last hash differs.

use super::{Clock, Config, DevChain, DevChainError, Hardfork};
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::NamedTempFile;

const VERSION: u32 = 1;

/// Why a chain was not saved or loaded. A failed save leaves the earlier file as it was.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{path}: {source}")]
    File {
        /// The journal.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line is not what the format allows there.
    #[error("{path}:{line}: {detail}")]
    Line {
        /// The journal.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A block could not be executed again.
    #[error("{path}:{line}: {source}")]
    Replay {
        /// The journal.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// The chain's reason.
        source: DevChainError,
    },
    /// The file ends before the newest block's hash: it was cut.
    #[error("{path}: the journal is incomplete")]
    Incomplete {
        /// The journal.
        path: PathBuf,
    },
    /// The replay ended elsewhere than the saved chain.
    #[error("{path}: replay ends in block {found}, the journal says {expected}")]
    TipMismatch {
        /// The journal.
        path: PathBuf,
        /// Saved hash.
        expected: B256,
        /// Hash after the replay.
        found: B256,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Genesis {
        version: u32,
        chain_id: u64,
        block_gas_limit: u64,
        tx_gas_cap: Option<u64>,
        base_fee: u64,
        hardfork: Hardfork,
        timestamp: u64,
        funded: Vec<(Address, U256)>,
    },
    Block {
        timestamp: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Bytes>,
    },
    Tip {
        blocks: u64,
        hash: B256,
    },
}

impl DevChain {
    /// Writes the chain to `path`, replacing the file in one step once all of it is on disk.
    ///
    /// # Errors
    /// The file cannot be written; whatever was at `path` is unchanged then.
    pub fn save(&self, path: &Path) -> Result<(), JournalError> {
        let failed = |source| JournalError::File {
            path: path.to_owned(),
            source,
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
        self.write_journal(&mut file).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        // The rename itself is durable only once the folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    fn write_journal(&self, file: &mut NamedTempFile) -> io::Result<()> {
        let state = self.read();
        let mut out = BufWriter::new(file);
        let mut line = |line: Line| -> io::Result<()> {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")
        };
        let config = &state.config;
        for block in &state.blocks {
            let timestamp = block.header.timestamp;
            line(match (&block.mined, block.header.number) {
                (_, 0) => Line::Genesis {
                    version: VERSION,
                    chain_id: config.chain_id,
                    block_gas_limit: config.block_gas_limit,
                    tx_gas_cap: config.tx_gas_cap,
                    base_fee: config.base_fee,
                    hardfork: config.hardfork,
                    timestamp,
                    funded: config.funded.clone(),
                },
                (None, _) => Line::Block {
                    timestamp,
                    raw: None,
                },
                (Some(mined), _) => Line::Block {
                    timestamp,
                    raw: Some(state.spool.read(mined.raw)?.into()),
                },
            })?;
        }
        let tip = state.tip();
        line(Line::Tip {
            blocks: tip.header.number,
            hash: tip.hash,
        })?;
        out.flush()
    }

    /// Executes a saved chain again; blocks after it take their time from `clock`.
    ///
    /// # Errors
    /// The file cannot be read, was cut or changed, or a block does not execute as it did.
    pub fn load(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File {
            path: path.to_owned(),
            source,
        };
        let mut chain: Option<Self> = None;
        let lines = BufReader::new(File::open(path).map_err(failed)?).lines();
        for (text, number) in lines.zip(1..) {
            let malformed = |detail: String| JournalError::Line {
                path: path.to_owned(),
                line: number,
                detail,
            };
            let line: Line = serde_json::from_str(&text.map_err(failed)?)
                .map_err(|error| malformed(error.to_string()))?;
            match (line, &chain) {
                (
                    Line::Genesis {
                        version: VERSION,
                        chain_id,
                        block_gas_limit,
                        tx_gas_cap,
                        base_fee,
                        hardfork,
                        timestamp,
                        funded,
                    },
                    None,
                ) => {
                    chain = Some(Self::new(Config {
                        chain_id,
                        block_gas_limit,
                        tx_gas_cap,
                        base_fee,
                        hardfork,
                        funded,
                        genesis_timestamp: Some(timestamp),
                        clock: clock.clone(),
                        ..Config::default()
                    }));
                }
                (Line::Genesis { version, .. }, None) => {
                    return Err(malformed(format!("version {version} is not supported")));
                }
                (Line::Block { timestamp, raw }, Some(chain)) => chain
                    .replay(timestamp, raw)
                    .map_err(|source| JournalError::Replay {
                        path: path.to_owned(),
                        line: number,
                        source,
                    })?,
                (Line::Tip { hash, .. }, Some(replayed)) => {
                    let found = replayed.read().tip().hash;
                    if found != hash {
                        return Err(JournalError::TipMismatch {
                            path: path.to_owned(),
                            expected: hash,
                            found,
                        });
                    }
                    replayed.write().follow_clock();
                    return Ok(replayed.clone());
                }
                _ => return Err(malformed("unexpected line".to_owned())),
            }
        }
        Err(JournalError::Incomplete {
            path: path.to_owned(),
        })
    }

    fn replay(&self, timestamp: u64, raw: Option<Bytes>) -> Result<(), DevChainError> {
        let mut state = self.write();
        state.set_next_timestamp(timestamp)?;
        match raw {
            Some(raw) => {
                state.mine(&raw)?;
            }
            None => {
                state.mine_empty();
            }
        }
        Ok(())
    }
}

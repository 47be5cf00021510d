//! What a holder remembers on disk: what it opened and signed for each query, and how much of the flooding budget is spent.
//!
//! Everything is on disk before an answer leaves the holder. A query has one file of records, each with its length and a
//! checksum; a last record that a crash cut off is dropped. The budget file is replaced atomically, before the query's record
//! is written: a crash in between counts an opening twice, never not at all.

mod budget;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use budget::Budgets;
pub use budget::KeyId;
pub use record::{CountsRecord, QueryRecords, Record, SignedRecord, SumsRecord};
use salus_cubes::parameters::FloodingBudgetExceeded;

/// Bytes of one query's file, at most.
const MAX_FILE: u64 = 1 << 20;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is in use by another process", .path.display())]
    InUse { path: PathBuf },
    #[error("{} is damaged; nothing is answered from it", .path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Budget(#[from] FloodingBudgetExceeded),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { path, source }
}

/// The journal of one holder. One process at a time: the folder is locked.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    budgets: Budgets,
    _lock: File,
}

impl Journal {
    /// Opens, or begins, the journal in this folder.
    ///
    /// # Errors
    /// If the folder cannot be used, another process uses it, or the budget file is damaged.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        for kind in ["queries", "checks"] {
            let path = folder.join(kind);
            fs::create_dir_all(&path).map_err(at(&path))?;
        }
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse {
                    path: folder.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(at(&path)(source)),
        }
        Ok(Self {
            budgets: Budgets::open(&folder.join("budget"))?,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// What was done for a query.
    ///
    /// # Errors
    /// If its file cannot be read or is damaged.
    pub fn query(&self, query: &[u8; 32]) -> Result<QueryRecords, JournalError> {
        let path = self.path("queries", query);
        let (records, _) = self.read(&path)?;
        QueryRecords::from_records(records).ok_or(JournalError::Damaged { path })
    }

    /// Remembers one more thing done for a query.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&self, query: &[u8; 32], record: &Record) -> Result<(), JournalError> {
        self.push(&self.path("queries", query), &record.to_bytes())
    }

    /// The forms of a check batch that were opened, in the order of their first opening.
    ///
    /// # Errors
    /// If its file cannot be read or is damaged.
    pub fn check(&self, batch: &[u8; 32]) -> Result<Vec<[u8; 32]>, JournalError> {
        let path = self.path("checks", batch);
        let (records, _) = self.read(&path)?;
        records
            .into_iter()
            .map(|bytes| bytes.try_into().ok())
            .collect::<Option<_>>()
            .ok_or(JournalError::Damaged { path })
    }

    /// Remembers one more form of a check batch.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_check(&self, batch: &[u8; 32], form: &[u8; 32]) -> Result<(), JournalError> {
        self.push(&self.path("checks", batch), form)
    }

    /// Spends flooding budget of a key; on disk when this returns.
    ///
    /// # Errors
    /// If the budget does not allow it, or it cannot be written.
    pub fn spend(&mut self, key: KeyId, cost: f64) -> Result<(), JournalError> {
        self.budgets.spend(key, cost)
    }

    /// The share of a key's flooding budget that is spent, 0 to 1.
    pub fn spent_share(&self, key: &KeyId) -> f64 {
        self.budgets.spent_share(key)
    }

    fn path(&self, kind: &str, id: &[u8; 32]) -> PathBuf {
        self.folder.join(kind).join(hex::encode(id))
    }

    /// The whole records of a file and their length in bytes.
    fn read(&self, path: &Path) -> Result<(Vec<Vec<u8>>, u64), JournalError> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => {
                file.take(MAX_FILE + 1)
                    .read_to_end(&mut bytes)
                    .map_err(at(path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(path)(error)),
        }
        if bytes.len() as u64 > MAX_FILE {
            return Err(JournalError::Damaged {
                path: path.to_owned(),
            });
        }
        record::split(&bytes).ok_or_else(|| JournalError::Damaged {
            path: path.to_owned(),
        })
    }

    /// Appends a record and syncs it; first cuts off what a crash left behind.
    fn push(&self, path: &Path, payload: &[u8]) -> Result<(), JournalError> {
        let (_, whole) = self.read(path)?;
        let written = (|| {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            let new = file.metadata()?.len() == 0;
            file.set_len(whole)?;
            io::Seek::seek(&mut file, io::SeekFrom::Start(whole))?;
            file.write_all(&record::frame(payload))?;
            file.sync_all()?;
            if new && let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok(())
        })();
        written.map_err(at(path))
    }
}

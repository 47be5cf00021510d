//! The spent flooding budget of every key, on disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use salus_cubes::parameters::FloodingBudget;
use serde::{Deserialize, Serialize};

use super::{JournalError, at, record};

/// Bytes of the file, at most.
const MAX_FILE: u64 = 64 << 10;

/// What an opening costs at least.
const LEAST: f64 = FloodingBudget::LIMIT / (1u64 << 50) as f64;

/// Which key an opening is counted against: a key generation session or a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId(pub [u8; 32]);

#[derive(Debug)]
pub(super) struct Budgets {
    path: PathBuf,
    spent: BTreeMap<KeyId, FloodingBudget>,
}

impl Budgets {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let damaged = || JournalError::Damaged {
            path: path.to_owned(),
        };
        let mut spent = BTreeMap::new();
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() > MAX_FILE => return Err(damaged()),
            Ok(_) => {
                let bytes = fs::read(path).map_err(at(path))?;
                let (mut payloads, whole) = record::split(&bytes).ok_or_else(damaged)?;
                let payload = payloads.pop().ok_or_else(damaged)?;
                if !payloads.is_empty() || whole != bytes.len() as u64 {
                    return Err(damaged());
                }
                let entries: Vec<(KeyId, f64)> =
                    postcard::from_bytes(&payload).map_err(|_| damaged())?;
                for (key, value) in entries {
                    if !(0.0..=FloodingBudget::LIMIT).contains(&value) {
                        return Err(damaged());
                    }
                    spent.insert(key, FloodingBudget::after(value));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(path)(error)),
        }
        Ok(Self {
            path: path.to_owned(),
            spent,
        })
    }

    pub(super) fn spend(&mut self, key: KeyId, cost: f64) -> Result<(), JournalError> {
        let mut budget = self.spent.get(&key).copied().unwrap_or_default();
        // No opening is so cheap that adding it up is lost in rounding.
        budget.spend(cost.max(LEAST))?;
        let before = self.spent.insert(key, budget);
        self.write().inspect_err(|_| {
            match before {
                Some(before) => self.spent.insert(key, before),
                None => self.spent.remove(&key),
            };
        })
    }

    pub(super) fn spent_share(&self, key: &KeyId) -> f64 {
        self.spent
            .get(key)
            .map_or(0.0, |budget| budget.spent() / FloodingBudget::LIMIT)
    }

    fn write(&self) -> Result<(), JournalError> {
        let entries: Vec<(KeyId, f64)> = self
            .spent
            .iter()
            .map(|(key, budget)| (*key, budget.spent()))
            .collect();
        let payload = postcard::to_stdvec(&entries).unwrap_or_default();
        let temporary = self.path.with_extension("new");
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(&record::frame(&payload))?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            if let Some(parent) = self.path.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok(())
        })();
        written.map_err(at(&self.path))
    }
}

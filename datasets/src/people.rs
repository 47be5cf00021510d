//! From rows to people: one record per declared person key.
//!
//! The unit of privacy is the person. Several rows of one person would let that person weigh more
//! than once in every answer, and would make a cell of "ten" out of one patient with ten visits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rand::RngCore;
use rand::rngs::OsRng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// What to do with a person who has several rows that do not agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// Refuse the file and name the lines.
    #[default]
    Refuse,
    /// Keep the row that comes first in the file.
    First,
    /// Keep the row that comes last in the file.
    Last,
}

/// What a row is to the people seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first row of a new person, who gets this index.
    New(usize),
    /// Another row of the person with this index.
    Again(usize),
    /// The row names nobody.
    NoKey,
}

/// The people seen so far, known only by salted hashes of their keys.
///
/// # Security
/// The salt is drawn from the system's generator for every run and never leaves this value, so the
/// hashes can neither be looked up in a table of hashed identifiers nor be compared across runs.
pub(crate) struct People {
    salt: [u8; 32],
    by_key: HashMap<[u8; 16], u32>,
    keyed: bool,
    count: usize,
}

impl People {
    /// Nobody yet; when not `keyed`, every row is a person.
    pub(crate) fn new(keyed: bool) -> Self {
        let mut salt = [0u8; 32];
        OsRng.fill_bytes(&mut salt);
        Self {
            salt,
            by_key: HashMap::new(),
            keyed,
            count: 0,
        }
    }

    /// How many people there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes in one row. Keys are compared as texts, blanks around them ignored.
    pub(crate) fn see(&mut self, key: Option<&str>) -> Seen {
        if !self.keyed {
            self.count += 1;
            return Seen::New(self.count - 1);
        }
        let key = key.map(str::trim).unwrap_or_default();
        if key.is_empty() {
            return Seen::NoKey;
        }
        let digest = Sha256::new()
            .chain_update(self.salt)
            .chain_update(key.as_bytes())
            .finalize();
        let mut short = [0u8; 16];
        short.copy_from_slice(&digest[..16]);
        match self.by_key.entry(short) {
            Entry::Occupied(entry) => Seen::Again(*entry.get() as usize),
            Entry::Vacant(entry) => {
                // Slots are counted in 32 bits on chain; the coder stops long before this wraps.
                entry.insert(self.count as u32);
                self.count += 1;
                Seen::New(self.count - 1)
            }
        }
    }
}

impl Drop for People {
    fn drop(&mut self) {
        self.salt.zeroize();
        for (mut key, _) in self.by_key.drain() {
            key.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_key_are_one_person() {
        let mut people = People::new(true);
        assert_eq!(people.see(Some("17")), Seen::New(0));
        assert_eq!(people.see(Some("18")), Seen::New(1));
        assert_eq!(people.see(Some(" 17 ")), Seen::Again(0));
        assert_eq!(
            people.see(Some("017")),
            Seen::New(2),
            "keys are texts, not numbers"
        );
        assert_eq!(people.see(Some("  ")), Seen::NoKey);
        assert_eq!(people.see(None), Seen::NoKey);
        assert_eq!(people.count(), 3);
    }

    #[test]
    fn without_a_key_every_row_is_a_person() {
        let mut people = People::new(false);
        assert_eq!(people.see(None), Seen::New(0));
        assert_eq!(people.see(None), Seen::New(1));
    }

    #[test]
    fn two_runs_share_no_hash() {
        let hashes = |people: &mut People| {
            people.see(Some("17"));
            people.by_key.keys().copied().collect::<Vec<_>>()
        };
        assert_ne!(
            hashes(&mut People::new(true)),
            hashes(&mut People::new(true))
        );
    }
}

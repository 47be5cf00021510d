//! An evaluator's word for an output: its signature in a file that anyone can read.
//!
//! `evaluations/OUTPUT/ADDRESS` in the public folder holds 65 bytes. Names are not believed: the signer is recovered.

use salus_contracts::PrivateKeySigner;
use salus_contracts::primitives::{Address, B256, hex, keccak256};
use salus_contracts::sealed::{recover, sign};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the folder.
pub const NAME: &str = "evaluations";
/// Signatures read per output, at most.
const MOST: usize = 256;

/// What an evaluator vouches for.
#[derive(Debug, Clone, Copy)]
pub struct Vouched {
    /// EIP-155 chain.
    pub chain: u64,
    /// The market.
    pub market: Address,
    /// The query.
    pub query: [u8; 32],
    /// Hash of the ceremony's public key file.
    pub key: [u8; 32],
    /// SHA-256 of the list of uploads.
    pub uploads: [u8; 32],
    /// SHA-256 of the output.
    pub output: [u8; 32],
}

impl Vouched {
    fn digest(&self) -> B256 {
        let mut bytes = b"salus/v1/adhoc/vouched".to_vec();
        bytes.extend(self.chain.to_be_bytes());
        bytes.extend(self.market.as_slice());
        bytes.extend(self.query);
        bytes.extend(self.key);
        bytes.extend(self.uploads);
        bytes.extend(self.output);
        keccak256(bytes)
    }

    /// Files the signature of an evaluator.
    ///
    /// # Errors
    /// The disk or the key fails.
    pub fn file(&self, public: &Path, key: &PrivateKeySigner) -> io::Result<()> {
        let folder = folder(public, &self.output);
        fs::create_dir_all(&folder)?;
        let signature = sign(key, self.digest()).map_err(io::Error::other)?;
        let path = folder.join(key.address().to_string());
        let beside = path.with_extension("new");
        fs::write(&beside, signature)?;
        fs::rename(beside, path)
    }

    /// Those who vouch for it.
    ///
    /// # Errors
    /// The folder cannot be read; that it is missing is no error.
    pub fn by(&self, public: &Path) -> io::Result<BTreeSet<Address>> {
        let mut found = BTreeSet::new();
        let entries = match fs::read_dir(folder(public, &self.output)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries.take(MOST) {
            let path = entry?.path();
            if fs::metadata(&path)?.len() != 65 {
                continue;
            }
            let signature: Option<[u8; 65]> = fs::read(&path)?.try_into().ok();
            found.extend(signature.and_then(|s| recover(self.digest(), &s)));
        }
        Ok(found)
    }
}

fn folder(public: &Path, output: &[u8; 32]) -> PathBuf {
    public.join(NAME).join(hex::encode(output))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn signers_are_recovered_and_words_for_something_else_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKeySigner::from_slice(&[3; 32]).unwrap();
        let about = Vouched {
            chain: 1,
            market: Address::repeat_byte(2),
            query: [3; 32],
            key: [4; 32],
            uploads: [5; 32],
            output: [6; 32],
        };
        assert!(about.by(dir.path()).unwrap().is_empty());
        about.file(dir.path(), &key).unwrap();
        let signers = about.by(dir.path()).unwrap();
        assert_eq!(signers, BTreeSet::from([key.address()]));
        for other in [
            Vouched { chain: 2, ..about },
            Vouched {
                query: [9; 32],
                ..about
            },
            Vouched {
                uploads: [9; 32],
                ..about
            },
        ] {
            assert!(!other.by(dir.path()).unwrap().contains(&key.address()));
        }
    }
}

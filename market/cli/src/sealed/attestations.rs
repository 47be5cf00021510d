//! `attestations.bin`: what members tell the holders about their uploads, and nobody else.
//!
//! Encodings of [`Attestation`] one after the other. With a published attestation anyone can test guesses of a member's
//! cell, so the file is readable by its owner only and is part of no bundle.

use crate::bundle::format::FormatError;
use salus_cubes::encrypt::{ATTESTATION_BYTES, Attestation};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the file.
pub const NAME: &str = "attestations.bin";
const OWNER_ONLY: u32 = 0o600;

/// Appends attestations.
pub struct AttestationWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FormatError + '_ {
    move |source| FormatError::File {
        path: path.to_owned(),
        source,
    }
}

impl AttestationWriter {
    /// Opens the file in `dir` for appending, or begins it; a torn last record is cut off.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(dir: &Path) -> Result<Self, FormatError> {
        let path = dir.join(NAME);
        std::fs::create_dir_all(dir).map_err(failed(&path))?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(OWNER_ONLY)
            .open(&path)
            .map_err(failed(&path))?;
        let length = file.metadata().map_err(failed(&path))?.len();
        let whole = length / ATTESTATION_BYTES as u64 * ATTESTATION_BYTES as u64;
        file.set_len(whole).map_err(failed(&path))?;
        let out = BufWriter::new(file);
        Ok(Self { path, out })
    }

    /// Appends the attestation of an upload.
    ///
    /// # Errors
    /// The disk fails.
    pub fn push(&mut self, attestation: &Attestation) -> Result<(), FormatError> {
        let written = self.out.write_all(&attestation.to_bytes());
        written.map_err(failed(&self.path))
    }

    /// Everything pushed is on the disk when this returns.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&mut self) -> Result<(), FormatError> {
        let synced = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all());
        synced.map_err(failed(&self.path))
    }
}

/// The attestations in `dir` by the hash of their upload; of several for one upload the first counts.
///
/// # Errors
/// The file is missing, others can read it, or it holds something else.
pub fn read(dir: &Path) -> Result<HashMap<[u8; 32], Attestation>, FormatError> {
    let path = dir.join(NAME);
    let wrong = |reason: String| FormatError::Text {
        path: path.clone(),
        reason,
    };
    let file = File::open(&path).map_err(failed(&path))?;
    let meta = file.metadata().map_err(failed(&path))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others than its owner can read it".to_owned()));
    }
    let mut source = BufReader::new(file);
    let mut found = HashMap::new();
    let mut bytes = [0; ATTESTATION_BYTES];
    for _ in 0..meta.len() / ATTESTATION_BYTES as u64 {
        source.read_exact(&mut bytes).map_err(failed(&path))?;
        let attestation = Attestation::from_bytes(&bytes).map_err(|e| wrong(e.to_string()))?;
        found.entry(*attestation.upload()).or_insert(attestation);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use salus_cubes::encrypt::Identity;
    use salus_schema::cube::ModulusClass;

    fn sample(upload: u8, value: u64) -> Attestation {
        let who = Identity::of(&[b"somebody"]);
        Attestation::new(ModulusClass::Counts, &who, [upload; 32], [value; 4]).unwrap()
    }

    #[test]
    fn appends_and_finds_by_upload() {
        let dir = tempfile::tempdir().unwrap();
        for part in [[sample(1, 7), sample(2, 8)], [sample(2, 9), sample(3, 1)]] {
            let mut writer = AttestationWriter::open(dir.path()).unwrap();
            part.iter().for_each(|a| writer.push(a).unwrap());
            writer.sync().unwrap();
        }
        let path = dir.path().join(NAME);
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        file.set_len(4 * ATTESTATION_BYTES as u64 - 1).unwrap();
        let found = read(dir.path()).unwrap();
        assert_eq!(found.len(), 2, "the torn record is passed over");
        assert_eq!(found[&[2; 32]].values(), &[8; 4], "the first counts");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = AttestationWriter::open(dir.path()).unwrap();
        writer.push(&sample(1, 1)).unwrap();
        writer.sync().unwrap();
        let path = dir.path().join(NAME);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(dir.path()), Err(FormatError::Text { .. })));
    }
}

//! `uploads.bin`: which blob is whose upload, with the issuer's signature; append-only, public.
//!
//! Magic, version u32, then records of 163 bytes: chunk u32, slot u32, member 20, version u16, epoch u32, cube 32,
//! SHA-256 of the upload 32, issuer's signature 65 (all big endian). A torn last record, left by a crash in the middle of
//! an append, is cut off at the next open.

use crate::bundle::format::{FormatError, MAGIC_BYTES, Source, VERSION};
use salus_contracts::primitives::Address;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Name of the file.
pub const NAME: &str = "uploads.bin";
const MAGIC: [u8; MAGIC_BYTES] = *b"SALUSUPL";
const HEAD: u64 = MAGIC_BYTES as u64 + 4;
const RECORD: u64 = 4 + 4 + 20 + 2 + 4 + 32 + 32 + 65;

/// One upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// Chunk of the member.
    pub chunk: u32,
    /// Slot of the member.
    pub slot: u32,
    /// Pseudonymous key of the member.
    pub member: Address,
    /// 1 for the registration, one more for every rectification.
    pub version: u16,
    /// Dataset epoch in which it was made.
    pub epoch: u32,
    /// Which cube.
    pub cube: [u8; 32],
    /// SHA-256 of the upload's bytes, which is also its content id.
    pub digest: [u8; 32],
    /// The issuer's EIP-712 signature over all of this.
    pub signature: [u8; 65],
}

impl UploadRecord {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD as usize);
        out.extend(self.chunk.to_be_bytes());
        out.extend(self.slot.to_be_bytes());
        out.extend(self.member.as_slice());
        out.extend(self.version.to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.cube);
        out.extend(self.digest);
        out.extend(self.signature);
        out
    }
}

/// Appends uploads.
pub struct UploadWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl UploadWriter {
    /// Opens the file in `dir` for appending, or begins it.
    ///
    /// # Errors
    /// The disk fails, or the file is of another kind.
    pub fn open(dir: &Path) -> Result<Self, FormatError> {
        let path = dir.join(NAME);
        let failed = |source| FormatError::File {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&path)
            .map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < HEAD {
            file.set_len(0).map_err(failed)?;
            file.write_all(&MAGIC).map_err(failed)?;
            file.write_all(&VERSION.to_be_bytes()).map_err(failed)?;
        } else {
            reader(dir)?;
            file.set_len(HEAD + (length - HEAD) / RECORD * RECORD)
                .map_err(failed)?;
        }
        Ok(Self {
            path,
            out: BufWriter::new(file),
        })
    }

    /// Appends one upload.
    ///
    /// # Errors
    /// The disk fails.
    pub fn push(&mut self, record: &UploadRecord) -> Result<(), FormatError> {
        self.out
            .write_all(&record.bytes())
            .map_err(|source| FormatError::File {
                path: self.path.clone(),
                source,
            })
    }

    /// Everything pushed is on the disk when this returns.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&mut self) -> Result<(), FormatError> {
        let synced: io::Result<()> = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all());
        synced.map_err(|source| FormatError::File {
            path: self.path.clone(),
            source,
        })
    }
}

fn reader(dir: &Path) -> Result<Source<io::BufReader<File>>, FormatError> {
    Source::open(dir, NAME, MAGIC, "list of uploads")
}

/// Calls `each` for every whole record in `dir`, in order.
///
/// # Errors
/// The file is missing, of another kind or of another version.
pub fn each(dir: &Path, mut each: impl FnMut(UploadRecord)) -> Result<(), FormatError> {
    let path = dir.join(NAME);
    let mut source = reader(dir)?;
    let failed = |source| FormatError::File {
        path: path.clone(),
        source,
    };
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    for _ in 0..length.saturating_sub(HEAD) / RECORD {
        each(record(&mut source)?);
    }
    Ok(())
}

fn record<R: Read>(source: &mut Source<R>) -> Result<UploadRecord, FormatError> {
    Ok(UploadRecord {
        chunk: source.u32()?,
        slot: source.u32()?,
        member: Address::from(source.bytes::<20>()?),
        version: u16::from_be_bytes(source.bytes()?),
        epoch: source.u32()?,
        cube: source.bytes()?,
        digest: source.bytes()?,
        signature: source.bytes()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample(slot: u32) -> UploadRecord {
        UploadRecord {
            chunk: 1,
            slot,
            member: Address::repeat_byte(7),
            version: 2,
            epoch: 3,
            cube: [4; 32],
            digest: [5; 32],
            signature: [6; 65],
        }
    }

    fn all(dir: &Path) -> Vec<UploadRecord> {
        let mut out = Vec::new();
        each(dir, |record| out.push(record)).unwrap();
        out
    }

    fn write(dir: &Path, slots: std::ops::Range<u32>) {
        let mut writer = UploadWriter::open(dir).unwrap();
        for slot in slots {
            writer.push(&sample(slot)).unwrap();
        }
        writer.sync().unwrap();
    }

    #[test]
    fn appends_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..3);
        write(dir.path(), 3..5);
        assert_eq!(all(dir.path()), (0..5).map(sample).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_record_is_passed_over_and_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..2);
        let path = dir.path().join(NAME);
        let length = std::fs::metadata(&path).unwrap().len();
        for cut in 1..RECORD {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length - cut).unwrap();
            assert_eq!(all(dir.path()), [sample(0)]);
            write(dir.path(), 1..2);
            assert_eq!(all(dir.path()), [sample(0), sample(1)]);
        }
    }

    #[test]
    fn other_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, b"a letter to a friend").unwrap();
        assert!(matches!(
            each(dir.path(), |_| {}),
            Err(FormatError::Magic { .. })
        ));
        assert!(UploadWriter::open(dir.path()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"a letter to a friend");
    }
}

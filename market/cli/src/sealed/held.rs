//! A holder's running sum of one cube: carried from snapshot to snapshot, kept across restarts.
//!
//! `CUBE.sum` in the holder's folder: magic, version u32, number u32 of uploads in the sum, then chunk u32, slot u32 and
//! SHA-256 of each, then the running sum with its own hash. A new snapshot costs one addition per newcomer and one
//! subtraction per leaver. A file that is damaged or of another version is passed over, and the sum is made afresh.

use super::roster::Place;
use crate::bundle::format::{FormatError, MAGIC_BYTES, Source, VERSION};
use salus_cubes::sum::{RunningSum, SUM_BYTES};
use salus_schema::cube::Cube;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; MAGIC_BYTES] = *b"SALUSSUM";

/// Which uploads are in a sum, by place.
pub type Included = BTreeMap<Place, [u8; 32]>;

/// A sum and what is in it.
pub struct HeldSum {
    /// The uploads in the sum.
    pub included: Included,
    /// Their sum.
    pub sum: RunningSum,
}

/// What has to be added and subtracted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Uploads to add.
    pub add: Vec<[u8; 32]>,
    /// Uploads to subtract.
    pub subtract: Vec<[u8; 32]>,
}

fn path(dir: &Path, cube: &Cube) -> PathBuf {
    dir.join(format!(
        "{}.sum",
        salus_contracts::primitives::hex::encode(cube.id())
    ))
}

impl HeldSum {
    /// The sum in `dir`, or an empty one when there is none that can be read.
    pub fn load(dir: &Path, cube: &Cube) -> Self {
        Self::read(dir, cube).unwrap_or_else(|_| Self {
            included: Included::new(),
            sum: RunningSum::new(cube),
        })
    }

    fn read(dir: &Path, cube: &Cube) -> Result<Self, FormatError> {
        let path = path(dir, cube);
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let mut source = Source::open(dir, name, MAGIC, "running sum")?;
        let number = source.u32()?;
        let mut included = Included::new();
        for _ in 0..number {
            let place = (source.u32()?, source.u32()?);
            included.insert(place, source.bytes()?);
        }
        let bytes = source.bytes::<SUM_BYTES>()?;
        source.end()?;
        let wrong = |reason: String| FormatError::Text {
            path: path.clone(),
            reason,
        };
        let sum = RunningSum::from_bytes(&bytes).map_err(|e| wrong(e.to_string()))?;
        if sum.cube() != &cube.id() || sum.count() as usize != included.len() {
            return Err(wrong("it is the sum of something else".to_owned()));
        }
        Ok(Self { included, sum })
    }

    /// Puts the sum into `dir`; there is the old or the new file at any moment.
    ///
    /// # Errors
    /// The disk fails.
    pub fn store(&self, dir: &Path, cube: &Cube) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let path = path(dir, cube);
        let beside = path.with_extension("sum.new");
        let mut out = BufWriter::new(File::create(&beside)?);
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        let number = u32::try_from(self.included.len()).map_err(io::Error::other)?;
        out.write_all(&number.to_be_bytes())?;
        for ((chunk, slot), digest) in &self.included {
            out.write_all(&chunk.to_be_bytes())?;
            out.write_all(&slot.to_be_bytes())?;
            out.write_all(digest)?;
        }
        out.write_all(&self.sum.to_bytes())?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    }

    /// What lies between this sum and that of `wanted`.
    pub fn difference(&self, wanted: &Included) -> Difference {
        let gone = |(place, digest): &(&Place, &[u8; 32])| wanted.get(place) != Some(digest);
        let new = |(place, digest): &(&Place, &[u8; 32])| self.included.get(place) != Some(digest);
        Difference {
            add: wanted.iter().filter(new).map(|(_, d)| *d).collect(),
            subtract: self.included.iter().filter(gone).map(|(_, d)| *d).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use salus_schema::codebook::Codebook;
    use salus_schema::cube::ModulusClass;

    fn cube() -> Cube {
        let codebook = Codebook::from_toml(
            "version = 1\nname = \"t\"\n[[columns]]\nname = \"a\"\nkind = \"exact\"\nmin = 0\nstep = 1\nmax = 1\n",
        )
        .unwrap();
        Cube::new("c", &codebook, &[0], ModulusClass::Counts).unwrap()
    }

    #[test]
    fn is_found_again_and_a_damaged_file_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let cube = cube();
        assert!(HeldSum::load(dir.path(), &cube).included.is_empty());
        let empty = HeldSum::load(dir.path(), &cube);
        empty.store(dir.path(), &cube).unwrap();
        assert!(HeldSum::read(dir.path(), &cube).is_ok());
        let path = path(dir.path(), &cube);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(HeldSum::read(dir.path(), &cube).is_err());
        assert!(HeldSum::load(dir.path(), &cube).included.is_empty());
    }

    #[test]
    fn only_what_changed_is_touched() {
        let mut held = HeldSum::load(Path::new("/nonexistent"), &cube());
        held.included = [((0, 0), [1; 32]), ((0, 1), [2; 32]), ((0, 2), [3; 32])].into();
        let wanted = [((0, 0), [1; 32]), ((0, 2), [4; 32]), ((1, 0), [5; 32])].into();
        let difference = held.difference(&wanted);
        assert_eq!(difference.add, [[4; 32], [5; 32]]);
        assert_eq!(difference.subtract, [[2; 32], [3; 32]]);
    }
}

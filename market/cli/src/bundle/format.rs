//! Bounded reading of the bundle's binary files: no length is believed before the bytes are there.

use crate::error::{CliError, Kind};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that every binary file begins with, before its version.
pub const MAGIC_BYTES: usize = 8;
/// Version of every binary file.
pub const VERSION: u32 = 1;

/// Why a file of a bundle was not read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file system refused.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is another kind of file.
    #[error("{path} is not a {wanted} file")]
    Magic {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// It was written by another version of this program.
    #[error("{path} has version {found}; this program reads version {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It ends early.
    #[error("{path} ends in the middle of a record")]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// It goes on after its end.
    #[error("{path} goes on after its end")]
    Trailing {
        /// The file.
        path: PathBuf,
    },
    /// A number is out of range.
    #[error("{path}: {what} {found} is out of range")]
    Range {
        /// The file.
        path: PathBuf,
        /// Which number.
        what: &'static str,
        /// The number.
        found: u64,
    },
    /// Text that does not parse.
    #[error("{path}: {reason}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
}

impl From<FormatError> for CliError {
    fn from(error: FormatError) -> Self {
        match &error {
            FormatError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                CliError::new(
                    Kind::CouldNotCheck,
                    "bundle_file_missing",
                    &error,
                    "Get the whole bundle; every file that manifest.json names is needed.",
                )
            }
            FormatError::File { .. } => CliError::new(
                Kind::Failed,
                "bundle_unreadable",
                &error,
                "Check the disk and the permissions.",
            ),
            FormatError::Version { .. } => CliError::new(
                Kind::CouldNotCheck,
                "bundle_version",
                &error,
                "Check it with the version of salus that wrote it.",
            ),
            _ => CliError::new(
                Kind::Invalid,
                "bundle_malformed",
                &error,
                "Get the bundle again from its publisher.",
            ),
        }
    }
}

/// A binary file being read.
pub struct Source<R> {
    path: PathBuf,
    inner: R,
}

impl Source<BufReader<File>> {
    /// Opens `name` in a bundle and checks magic and version.
    pub fn open(
        dir: &Path,
        name: &str,
        magic: [u8; MAGIC_BYTES],
        wanted: &'static str,
    ) -> Result<Self, FormatError> {
        let path = dir.join(name);
        match File::open(&path) {
            Ok(file) => Self::new(path, BufReader::with_capacity(1 << 18, file), magic, wanted),
            Err(source) => Err(FormatError::File { path, source }),
        }
    }
}

impl<R: Read> Source<R> {
    /// Reads from `inner`; `path` is for messages.
    pub fn new(
        path: PathBuf,
        inner: R,
        magic: [u8; MAGIC_BYTES],
        wanted: &'static str,
    ) -> Result<Self, FormatError> {
        let mut source = Self { path, inner };
        if source.bytes::<MAGIC_BYTES>()? != magic {
            return Err(FormatError::Magic {
                path: source.path,
                wanted,
            });
        }
        match source.u32()? {
            VERSION => Ok(source),
            found => Err(FormatError::Version {
                path: source.path,
                found,
            }),
        }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut out = [0; N];
        self.inner
            .read_exact(&mut out)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => FormatError::Truncated {
                    path: self.path.clone(),
                },
                _ => FormatError::File {
                    path: self.path.clone(),
                    source,
                },
            })?;
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.bytes::<1>()?[0])
    }

    /// Four bytes, big endian.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_be_bytes(self.bytes()?))
    }

    /// Eight bytes, big endian.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_be_bytes(self.bytes()?))
    }

    /// A length of four bytes, at most `limit`.
    pub fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, FormatError> {
        let found = self.u32()?;
        match usize::try_from(found) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(self.range(what, u64::from(found))),
        }
    }

    /// Bytes behind their length of at most `limit`; memory grows with what is really there.
    pub fn long(&mut self, what: &'static str, limit: usize) -> Result<Vec<u8>, FormatError> {
        let length = self.length(what, limit)?;
        let mut out = Vec::with_capacity(length.min(1 << 16));
        let read = (&mut self.inner).take(length as u64).read_to_end(&mut out);
        match read {
            Ok(found) if found == length => Ok(out),
            Ok(_) => Err(FormatError::Truncated {
                path: self.path.clone(),
            }),
            Err(source) => Err(FormatError::File {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Nothing follows.
    pub fn end(&mut self) -> Result<(), FormatError> {
        let mut byte = [0];
        match self.inner.read(&mut byte) {
            Ok(0) => Ok(()),
            Ok(_) => Err(FormatError::Trailing {
                path: self.path.clone(),
            }),
            Err(source) => Err(FormatError::File {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// The error for a number out of range.
    pub fn range(&self, what: &'static str, found: u64) -> FormatError {
        FormatError::Range {
            path: self.path.clone(),
            what,
            found,
        }
    }
}

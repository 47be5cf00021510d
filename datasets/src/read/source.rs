//! The bytes of a source file: opened once, unpacked if gzipped, and watched for change.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use super::ReadError;

/// What the first bytes of a file say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Text,
    Gzip,
    Parquet,
}

/// The state of a file by which a change is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            len: meta.len(),
            modified: meta.modified().ok(),
        }
    }
}

enum Body {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

/// An open source file.
pub(crate) struct Source {
    path: PathBuf,
    stamp: Stamp,
    body: Body,
    /// Bytes handed out so far (unpacked).
    offset: u64,
}

impl Source {
    /// Opens `path` and says what it holds. Reads nothing but the first bytes.
    pub(crate) fn open(path: &Path) -> Result<(Self, Container), ReadError> {
        let of = |error| io_error(path, 0, error);
        // Looked at before it is opened: opening a pipe would wait for a writer.
        let meta = fs::metadata(path).map_err(of)?;
        if meta.is_dir() {
            return Err(ReadError::IsDirectory {
                path: path.to_owned(),
            });
        }
        if !meta.is_file() {
            return Err(ReadError::NotRegular {
                path: path.to_owned(),
            });
        }
        let mut file = File::open(path).map_err(of)?;
        let stamp = Stamp::of(&file.metadata().map_err(of)?);
        let mut head = [0u8; 8];
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..]).map_err(of)? {
                0 => break,
                n => filled += n,
            }
        }
        file.seek(SeekFrom::Start(0)).map_err(of)?;
        let head = &head[..filled];
        if head.is_empty() {
            return Err(ReadError::Empty {
                path: path.to_owned(),
            });
        }
        let not_a_table = |found| ReadError::NotATable {
            path: path.to_owned(),
            found,
        };
        let (body, container) = match head {
            [0x1f, 0x8b, ..] => (
                Body::Gzip(Box::new(MultiGzDecoder::new(file))),
                Container::Gzip,
            ),
            [b'P', b'A', b'R', b'1', ..] => (Body::Plain(file), Container::Parquet),
            [b'P', b'K', 3, 4, ..] => {
                return Err(not_a_table("a ZIP archive or an .xlsx workbook"));
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(not_a_table("a Zstandard archive")),
            [b'B', b'Z', b'h', ..] => return Err(not_a_table("a bzip2 archive")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return Err(not_a_table("an xz archive")),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(not_a_table("UTF-16 text")),
            [0xd0, 0xcf, 0x11, 0xe0, ..] => return Err(not_a_table("an .xls workbook")),
            [b'%', b'P', b'D', b'F', ..] => return Err(not_a_table("a PDF document")),
            _ => (Body::Plain(file), Container::Text),
        };
        Ok((
            Self {
                path: path.to_owned(),
                stamp,
                body,
                offset: 0,
            },
            container,
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.stamp.len
    }

    /// Appends about `wanted` unpacked bytes to `into`; true when the file has ended.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] or [`ReadError::Changed`] when the file is no longer the one that
    /// was opened: a table cut off midway must never pass for the whole one.
    pub(crate) fn fill(&mut self, into: &mut Vec<u8>, wanted: usize) -> Result<bool, ReadError> {
        let before = into.len();
        let read = match &mut self.body {
            Body::Plain(file) => file.take(wanted as u64).read_to_end(into),
            Body::Gzip(decoder) => decoder.as_mut().take(wanted as u64).read_to_end(into),
        };
        self.offset += (into.len() - before) as u64;
        self.check_unchanged()?;
        match read {
            Ok(n) => Ok(n < wanted),
            Err(error) if matches!(self.body, Body::Gzip(_)) && is_damage(&error) => {
                Err(ReadError::DamagedGzip {
                    path: self.path.clone(),
                    offset: self.offset,
                })
            }
            Err(error) => Err(io_error(&self.path, self.offset, error)),
        }
    }

    fn check_unchanged(&self) -> Result<(), ReadError> {
        let (path, offset) = (self.path.clone(), self.offset);
        match fs::metadata(&self.path) {
            Ok(meta) if Stamp::of(&meta) == self.stamp => Ok(()),
            Ok(_) => Err(ReadError::Changed { path, offset }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::Vanished { path, offset })
            }
            Err(error) => Err(io_error(&self.path, self.offset, error)),
        }
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

fn io_error(path: &Path, offset: u64, source: io::Error) -> ReadError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound if offset == 0 => ReadError::NotFound { path },
        io::ErrorKind::NotFound => ReadError::Vanished { path, offset },
        io::ErrorKind::PermissionDenied => ReadError::PermissionDenied { path },
        _ => ReadError::Io {
            path,
            offset,
            source,
        },
    }
}

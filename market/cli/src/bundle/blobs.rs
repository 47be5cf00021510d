//! `blobs/`: ciphertexts, sums and proofs of the sealed path, each under the name of its content.
//!
//! The layout is that of [`salus_blobs::BlobStore::local`]: a folder per last two characters of the content id, in it one
//! file per blob. The manifest does not list blobs: a blob's name is its hash.

use salus_blobs::{ContentId, MOST_BYTES};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Name of the folder.
pub const NAME: &str = "blobs";

/// Why there is no blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobFault {
    /// It is not there.
    #[error("blob {0} is not in the bundle")]
    Missing(ContentId),
    /// Other bytes than its name says.
    #[error("blob {wanted} holds other bytes: they hash to {found}")]
    Changed {
        /// Its name.
        wanted: ContentId,
        /// The name of what it holds.
        found: ContentId,
    },
    /// More bytes than a blob may have.
    #[error("blob {id} has {found} bytes, more than the {MOST_BYTES} of a blob")]
    TooLarge {
        /// Its name.
        id: ContentId,
        /// Its length.
        found: u64,
    },
    /// The disk refuses.
    #[error("blob {id}: {source}")]
    File {
        /// Its name.
        id: ContentId,
        /// The system's reason.
        source: io::Error,
    },
}

impl BlobFault {
    /// Whether something is wrong with the bundle; otherwise the blob could not be looked at.
    pub const fn is_wrong(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::TooLarge { .. })
    }
}

/// What [`gather`] put into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gathered {
    /// Number of blobs.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// Where the blobs of a bundle lie.
pub fn folder(bundle: &Path) -> PathBuf {
    bundle.join(NAME)
}

/// Where a blob lies below the folder of blobs.
fn place(folder: &Path, id: &ContentId) -> PathBuf {
    let name = id.to_string();
    let spread = name.get(name.len() - 2..).unwrap_or_default().to_owned();
    folder.join(spread).join(name)
}

/// The blob of a bundle with this name, hashed and found right.
///
/// # Errors
/// [`BlobFault`].
pub fn read(bundle: &Path, id: &ContentId) -> Result<Vec<u8>, BlobFault> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => BlobFault::Missing(*id),
        _ => BlobFault::File { id: *id, source },
    };
    let file = File::open(place(&folder(bundle), id)).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::with_capacity(length.min(MOST_BYTES) as usize);
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        let found = length.max(MOST_BYTES + 1);
        return Err(BlobFault::TooLarge { id: *id, found });
    }
    let found = ContentId::of(&bytes);
    if found == *id {
        Ok(bytes)
    } else {
        Err(BlobFault::Changed { wanted: *id, found })
    }
}

/// Puts every blob of `from` into `to`, by a second link to the same file where the file system allows it. Files that are
/// no blobs, such as writes that were interrupted, are passed over.
///
/// Blobs are never changed in place, so a shared file is safe.
///
/// # Errors
/// The disk refuses.
pub fn gather(from: &Path, to: &Path) -> io::Result<Gathered> {
    let mut gathered = Gathered::default();
    fs::create_dir_all(to)?;
    each(from, |entry| {
        if let Entry::Blob(id, path) = entry {
            let target = place(to, &id);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            if fs::hard_link(&path, &target).is_err() {
                fs::copy(&path, &target)?;
            }
            gathered.blobs += 1;
            gathered.bytes += fs::metadata(&target)?.len();
        }
        Ok(())
    })?;
    Ok(gathered)
}

/// The first thing below `folder` that is no blob.
///
/// # Errors
/// The disk refuses.
pub fn stranger(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut stranger = None;
    each(folder, |entry| {
        if let Entry::Other(path) = entry {
            stranger.get_or_insert(path);
        }
        Ok(())
    })?;
    Ok(stranger)
}

enum Entry {
    Blob(ContentId, PathBuf),
    Other(PathBuf),
}

fn each(folder: &Path, mut each: impl FnMut(Entry) -> io::Result<()>) -> io::Result<()> {
    for spread in fs::read_dir(folder)? {
        let spread = spread?;
        if !spread.file_type()?.is_dir() {
            each(Entry::Other(spread.path()))?;
            continue;
        }
        for blob in fs::read_dir(spread.path())? {
            let blob = blob?;
            let path = blob.path();
            let id = blob.file_name().to_str().and_then(|name| name.parse().ok());
            let entry = match id {
                Some(id) if blob.file_type()?.is_file() && place(folder, &id) == path => {
                    Entry::Blob(id, path)
                }
                _ => Entry::Other(path),
            };
            each(entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use salus_blobs::BlobStore;

    fn stored(dir: &Path, contents: &[&'static [u8]]) -> Vec<ContentId> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let store = BlobStore::local(&folder(dir)).unwrap();
        contents
            .iter()
            .map(|bytes| {
                let put = store.put(salus_contracts::primitives::Bytes::from_static(bytes).0);
                runtime.block_on(put).unwrap()
            })
            .collect()
    }

    #[test]
    fn blobs_of_a_store_are_found_and_gathered() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ids = stored(from.path(), &[b"one", b"three"]);
        let spread = place(&folder(from.path()), &ids[0]);
        let torn = spread.with_file_name("torn#1");
        fs::write(&torn, "half a blob").unwrap();
        let gathered = gather(&folder(from.path()), &folder(to.path())).unwrap();
        assert_eq!(gathered, Gathered { blobs: 2, bytes: 8 });
        assert_eq!(read(to.path(), &ids[0]).unwrap(), b"one");
        assert_eq!(read(to.path(), &ids[1]).unwrap(), b"three");
        assert_eq!(stranger(&folder(to.path())).unwrap(), None);
        assert_eq!(stranger(&folder(from.path())).unwrap(), Some(torn));
    }

    #[test]
    fn missing_and_changed_blobs_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let ids = stored(dir.path(), &[b"one"]);
        let path = place(&folder(dir.path()), &ids[0]);
        fs::write(&path, "two").unwrap();
        let changed = read(dir.path(), &ids[0]).unwrap_err();
        assert!(changed.is_wrong(), "{changed}");
        fs::remove_file(&path).unwrap();
        let missing = read(dir.path(), &ids[0]).unwrap_err();
        assert!(matches!(missing, BlobFault::Missing(id) if id == ids[0]));
        assert!(!missing.is_wrong());
    }
}

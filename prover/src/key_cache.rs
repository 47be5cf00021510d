//! Proving keys on disk. A file is only ever used when its digest is the pinned one; a missing or
//! damaged development key is generated again.

use salus_circuits::keys::{DevelopmentKey, KeyError, ProvingKey};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why no key could be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The key itself is unusable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cache directory cannot be used.
    #[error("key cache {path}: {source}")]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEvent {
    /// It was read from the cache.
    Loaded,
    /// It is being generated.
    Generating,
    /// A cached file had other bytes and is replaced.
    Damaged,
}

/// The file in which `directory` holds a development key.
pub fn key_path(directory: &Path, id: &DevelopmentKey) -> PathBuf {
    directory.join(format!("{}-{}.pk", id.id(), &id.pinned().digest[..16]))
}

/// Returns a development key from `directory`, generating and storing it when needed.
///
/// # Errors
/// When production mode refuses the key, a generated key is not the pinned one, or the directory
/// cannot be written.
pub fn development_key(
    directory: &Path,
    id: &DevelopmentKey,
    production: bool,
    mut event: impl FnMut(KeyEvent),
) -> Result<ProvingKey, CacheError> {
    if production {
        return Err(KeyError::Insecure { id: id.id() }.into());
    }
    let pinned = id.pinned();
    let path = key_path(directory, id);
    if let Ok(bytes) = fs::read(&path) {
        match ProvingKey::from_pinned_bytes(&bytes, pinned.digest, &id.shape()) {
            Ok(key) => {
                event(KeyEvent::Loaded);
                return Ok(key);
            }
            Err(_) => event(KeyEvent::Damaged),
        }
    }
    event(KeyEvent::Generating);
    let bytes = id.generate(production)?.to_bytes()?;
    let key = ProvingKey::from_pinned_bytes(&bytes, pinned.digest, &id.shape())?;
    let io = |source| CacheError::Io {
        path: path.clone(),
        source,
    };
    fs::create_dir_all(directory).map_err(io)?;
    // A reader never sees half a key: write aside, then rename.
    let aside = path.with_extension(format!("tmp{}", std::process::id()));
    let written = fs::File::create(&aside)
        .and_then(|mut f| f.write_all(&bytes).and_then(|()| f.sync_all()))
        .and_then(|()| fs::rename(&aside, &path));
    if let Err(source) = written {
        let _ = fs::remove_file(&aside);
        return Err(io(source));
    }
    Ok(key)
}

//! The key file: everything secret that a holder owns, encrypted under a passphrase.
//!
//! ```text
//! "SLKF" | version 1 | Argon2id memory KiB u32, passes u32, lanes u32 | salt 16 | nonce 24 | XChaCha20-Poly1305
//! ```
//! Integers are little endian; the header is authenticated with the contents. The file's mode must be 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_core::CryptoRngCore;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{HolderKeys, KeysError};

const MAGIC: [u8; 4] = *b"SLKF";
const VERSION: u8 = 1;
const SALT: usize = 16;
const NONCE: usize = 24;
const HEADER: usize = 4 + 1 + 12 + SALT + NONCE;
/// Bytes of a key file, at most.
pub const MAX_KEY_FILE: u64 = 64 << 20;

/// Why a key file cannot be read or written.
#[derive(Debug, Error)]
pub enum KeyFileError {
    #[error("{}: {source}", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} can be read by others (mode {mode:o}); set it to 600", .path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("the file has {found} bytes; a key file has {HEADER} to {MAX_KEY_FILE}")]
    Size { found: u64 },
    #[error("this is not a key file")]
    Magic,
    #[error("key file version {found} is not {VERSION}")]
    Version { found: u8 },
    #[error(
        "the key derivation parameters are out of bounds: {memory_kib} KiB, {passes} passes, {lanes} lanes"
    )]
    Parameters {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    #[error("the passphrase is wrong or the file was changed")]
    Passphrase,
    #[error("the contents of the key file are malformed: {0}")]
    Contents(#[from] KeysError),
}

/// Work that a guess of the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParameters {
    /// Memory in KiB, 8 to 1,048,576.
    pub memory_kib: u32,
    /// Passes, 1 to 16.
    pub passes: u32,
    /// Lanes, 1 to 4.
    pub lanes: u32,
}

impl Default for KdfParameters {
    /// 64 MiB, three passes, one lane.
    fn default() -> Self {
        Self {
            memory_kib: 65_536,
            passes: 3,
            lanes: 1,
        }
    }
}

impl KdfParameters {
    fn derive(
        self,
        passphrase: &SecretString,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let error = KeyFileError::Parameters {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
        };
        let bounded = (8..=1 << 20).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=4).contains(&self.lanes);
        if !bounded {
            return Err(error);
        }
        let Ok(params) = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)) else {
            return Err(error);
        };
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut *key)
            .map_err(|_| error)?;
        Ok(key)
    }
}

/// The encrypted bytes of `keys`.
///
/// # Errors
/// If the parameters are out of bounds.
pub fn seal(
    keys: &HolderKeys,
    passphrase: &SecretString,
    kdf: KdfParameters,
    rng: &mut impl CryptoRngCore,
) -> Result<Vec<u8>, KeyFileError> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(MAGIC);
    bytes.push(VERSION);
    for word in [kdf.memory_kib, kdf.passes, kdf.lanes] {
        bytes.extend(word.to_le_bytes());
    }
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    bytes.extend(salt);
    bytes.extend(nonce);
    let key = kdf.derive(passphrase, &salt)?;
    let plain = keys.to_bytes();
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let payload = Payload {
        msg: &plain,
        aad: &bytes,
    };
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| KeyFileError::Size {
            found: plain.len() as u64,
        })?;
    bytes.extend(sealed);
    Ok(bytes)
}

/// The keys in these bytes.
///
/// # Errors
/// If the bytes are not a key file, the passphrase is wrong, or the contents are malformed.
pub fn unseal(bytes: &[u8], passphrase: &SecretString) -> Result<HolderKeys, KeyFileError> {
    let Some((header, sealed)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(KeyFileError::Size {
            found: bytes.len() as u64,
        });
    };
    if header[..4] != MAGIC {
        return Err(KeyFileError::Magic);
    }
    if header[4] != VERSION {
        return Err(KeyFileError::Version { found: header[4] });
    }
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let kdf = KdfParameters {
        memory_kib: word(5),
        passes: word(9),
        lanes: word(13),
    };
    let key = kdf.derive(passphrase, &header[17..17 + SALT])?;
    let mut nonce = [0; NONCE];
    nonce.copy_from_slice(&header[17 + SALT..]);
    let payload = Payload {
        msg: sealed,
        aad: header,
    };
    let plain = XChaCha20Poly1305::new((&*key).into())
        .decrypt(&XNonce::from(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| KeyFileError::Passphrase)?;
    Ok(HolderKeys::from_bytes(&plain)?)
}

/// Writes the key file: to a temporary file of mode 0600 beside it, synced, then renamed over it.
///
/// # Errors
/// If the file system refuses or the parameters are out of bounds.
pub fn write(
    path: &Path,
    keys: &HolderKeys,
    passphrase: &SecretString,
    kdf: KdfParameters,
    rng: &mut impl CryptoRngCore,
) -> Result<(), KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = seal(keys, passphrase, kdf, rng)?;
    let mut suffix = [0; 8];
    rng.fill_bytes(&mut suffix);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", hex::encode(suffix)));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)?.sync_all()
    })();
    written.map_err(|source| {
        // Best effort: the temporary file is encrypted.
        let _ = fs::remove_file(&temporary);
        io(source)
    })
}

/// Reads the key file.
///
/// # Errors
/// If others may read the file, or as [`unseal`].
pub fn read(path: &Path, passphrase: &SecretString) -> Result<HolderKeys, KeyFileError> {
    let io = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > MAX_KEY_FILE {
        return Err(KeyFileError::Size {
            found: metadata.len(),
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    unseal(&bytes, passphrase)
}

//! `keys.bin` and `basis.bin`: verifying keys as the words that the contract stores, and the slot bases.
//!
//! keys.bin: magic, version u32, number u32, 170 words per key. basis.bin: magic, version u32, slots u32, x and y per slot.

use super::format::{FormatError, MAGIC_BYTES, Source, VERSION};
use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use salus_circuits::keys::VerifyingKey;
use salus_circuits::layout::{RESULTS, Shape};
use salus_circuits::words::{Word, WordError, g1_from_words, g1_words, g2_from_words};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Name of the file of keys.
pub const KEYS: &str = "keys.bin";
/// Name of the file of slot bases.
pub const BASIS: &str = "basis.bin";
/// Words of a key with its dimensions.
pub const KEY_WORDS: usize = 170;
const KEYS_MAGIC: [u8; MAGIC_BYTES] = *b"SALUSKEY";
const BASIS_MAGIC: [u8; MAGIC_BYTES] = *b"SALUSBAS";
const MAX_KEYS: usize = 64;
const MAX_SLOTS: usize = 1 << 20;

/// Why words are not a verifying key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyWordsError {
    /// Not 170 words.
    #[error("a key has {KEY_WORDS} words, not {bytes} bytes")]
    Length {
        /// Length in bytes.
        bytes: usize,
    },
    /// A coordinate or point is wrong.
    #[error(transparent)]
    Word(#[from] WordError),
    /// Infinity unbinds the block that the point stands for.
    #[error("point {index} of the key is infinity")]
    Infinity {
        /// Position of its first word.
        index: usize,
    },
    /// No circuit has these dimensions.
    #[error("no circuit has the dimensions of the key")]
    Shape,
}

struct Words<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Words<'_> {
    fn word(&mut self) -> Word {
        let mut word = [0; 32];
        let at = 32 * self.next;
        if let Some(bytes) = self.bytes.get(at..at + 32) {
            word.copy_from_slice(bytes);
        }
        self.next += 1;
        word
    }

    fn g1(&mut self) -> Result<G1Affine, KeyWordsError> {
        let index = self.next;
        let point = g1_from_words(&[self.word(), self.word()])?;
        if point.is_zero() {
            Err(KeyWordsError::Infinity { index })
        } else {
            Ok(point)
        }
    }

    fn g2(&mut self) -> Result<G2Affine, KeyWordsError> {
        let index = self.next;
        let point = g2_from_words(&[self.word(), self.word(), self.word(), self.word()])?;
        if point.is_zero() {
            Err(KeyWordsError::Infinity { index })
        } else {
            Ok(point)
        }
    }

    fn size(&mut self) -> Result<usize, KeyWordsError> {
        let word = self.word();
        let mut low = [0; 8];
        low.copy_from_slice(&word[24..]);
        if word[..24].iter().any(|b| *b != 0) {
            return Err(KeyWordsError::Shape);
        }
        usize::try_from(u64::from_be_bytes(low)).map_err(|_| KeyWordsError::Shape)
    }
}

/// The key of 170 words, with every check on points.
///
/// # Errors
/// [`KeyWordsError`] naming what is wrong.
pub fn key_from_words(bytes: &[u8]) -> Result<VerifyingKey, KeyWordsError> {
    if bytes.len() != 32 * KEY_WORDS {
        return Err(KeyWordsError::Length { bytes: bytes.len() });
    }
    let mut words = Words { bytes, next: 0 };
    let alpha = words.g1()?;
    let beta = words.g2()?;
    let gamma1 = words.g2()?;
    let gamma3 = words.g2()?;
    let gamma0 = words.g2()?;
    let gamma2 = words.g2()?;
    let delta = words.g2()?;
    let ic = [words.g1()?, words.g1()?, words.g1()?];
    let results_blinding = words.g1()?;
    let results = (0..RESULTS)
        .map(|_| words.g1())
        .collect::<Result<Vec<_>, _>>()?;
    let (slots, lo, hi) = (words.size()?, words.size()?, words.size()?);
    let (columns, cells) = (words.size()?, words.size()?);
    let basis_root = words.word();
    let blinding = words.g1()?;
    // The domain is the prover's business and not part of a key's identity: the smallest that holds the rows.
    let shape = (10..=20)
        .map(|log_domain| Shape {
            log_domain,
            slots,
            lo,
            hi,
            columns,
            cells,
        })
        .find(|shape| shape.check().is_ok())
        .ok_or(KeyWordsError::Shape)?;
    Ok(VerifyingKey {
        shape,
        alpha,
        beta,
        gammas: [gamma0, gamma1, gamma2, gamma3],
        delta,
        ic,
        results,
        results_blinding,
        basis_root,
        blinding,
    })
}

/// The 170 words of a key.
pub fn key_words(key: &VerifyingKey) -> Vec<u8> {
    key.words()
        .into_iter()
        .chain(key.dimension_words())
        .flatten()
        .collect()
}

fn create(
    dir: &Path,
    name: &str,
    magic: [u8; MAGIC_BYTES],
    count: usize,
) -> io::Result<BufWriter<File>> {
    let mut out = BufWriter::new(File::create_new(dir.join(name))?);
    out.write_all(&magic)?;
    out.write_all(&VERSION.to_be_bytes())?;
    out.write_all(
        &u32::try_from(count)
            .map_err(io::Error::other)?
            .to_be_bytes(),
    )?;
    Ok(out)
}

fn close(out: BufWriter<File>) -> io::Result<()> {
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

/// Writes keys.bin.
pub fn write_keys(dir: &Path, keys: &[VerifyingKey]) -> io::Result<()> {
    let mut out = create(dir, KEYS, KEYS_MAGIC, keys.len())?;
    for key in keys {
        out.write_all(&key_words(key))?;
    }
    close(out)
}

/// The keys of keys.bin as words, 5,440 bytes each.
pub fn read_keys(dir: &Path) -> Result<Vec<Vec<u8>>, FormatError> {
    let mut source = Source::open(dir, KEYS, KEYS_MAGIC, "verifying key")?;
    let count = source.length("number of keys", MAX_KEYS)?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        keys.push(source.bytes::<{ 32 * KEY_WORDS }>()?.to_vec());
    }
    source.end()?;
    Ok(keys)
}

/// Writes basis.bin.
pub fn write_basis(dir: &Path, slots: &[G1Affine]) -> io::Result<()> {
    let mut out = create(dir, BASIS, BASIS_MAGIC, slots.len())?;
    for point in slots {
        out.write_all(&g1_words(point).concat())?;
    }
    close(out)
}

/// The words of basis.bin, two per slot.
pub fn read_basis(dir: &Path) -> Result<Vec<[Word; 2]>, FormatError> {
    let mut source = Source::open(dir, BASIS, BASIS_MAGIC, "slot basis")?;
    let count = source.length("number of slots", MAX_SLOTS)?;
    let mut slots = Vec::with_capacity(count.min(1 << 14));
    for _ in 0..count {
        slots.push([source.bytes()?, source.bytes()?]);
    }
    source.end()?;
    Ok(slots)
}

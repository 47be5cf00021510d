//! Uploads: one member's encrypted cube as it is stored and signed.
//!
//! Header: magic `SLSU`, version, modulus class, cube id. Then for the mask `a` and the body `b` three planes each of 4096
//! words of 32 bits, little endian: bits 32..64, 64..96 and 96..128 of every coefficient. The low 32 bits are not kept.

use salus_schema::cube::ModulusClass;
use sha2::{Digest, Sha256};

use crate::parameters::DROPPED_BITS;
use crate::ring::{DEGREE, Poly};

const MAGIC: [u8; 4] = *b"SLSU";
const VERSION: u8 = 1;
/// Length of the header.
pub const HEADER_BYTES: usize = 4 + 1 + 1 + 32;
/// Words of 32 bits in a ciphertext: three planes for each half.
pub const LANES: usize = 6 * DEGREE;
/// Length of an upload.
pub const UPLOAD_BYTES: usize = HEADER_BYTES + 4 * LANES;

/// An encrypted one-hot of a cube's cells.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    cube: [u8; 32],
    class: ModulusClass,
    bytes: Vec<u8>,
}

/// Why bytes are not an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    #[error("an upload has {UPLOAD_BYTES} bytes, not {found}")]
    Length { found: usize },
    #[error("the bytes do not begin as an upload does")]
    Magic,
    #[error("upload version {found} is not {VERSION}")]
    Version { found: u8 },
    #[error("modulus class {found} is neither 0 (counts) nor 1 (sums)")]
    Class { found: u8 },
}

impl Upload {
    /// The upload of a ciphertext, each coefficient rounded to its high 96 bits.
    pub(crate) fn pack(cube: [u8; 32], class: ModulusClass, a: &Poly, b: &Poly) -> Self {
        let mut bytes = Vec::with_capacity(UPLOAD_BYTES);
        bytes.extend(MAGIC);
        bytes.extend([VERSION, class.byte()]);
        bytes.extend(cube);
        let half = 1u128 << (DROPPED_BITS - 1);
        for element in [a, b] {
            for plane in 1..4 {
                for x in element.coefficients() {
                    let word = (x.wrapping_add(half) >> (DROPPED_BITS * plane)) as u32;
                    bytes.extend(word.to_le_bytes());
                }
            }
        }
        Self { cube, class, bytes }
    }

    /// The upload with this encoding.
    ///
    /// # Errors
    /// If the length or the header is wrong; whether it encrypts a one-hot is for [`crate::check`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, UploadError> {
        if bytes.len() != UPLOAD_BYTES {
            return Err(UploadError::Length { found: bytes.len() });
        }
        if bytes[..4] != MAGIC {
            return Err(UploadError::Magic);
        }
        if bytes[4] != VERSION {
            return Err(UploadError::Version { found: bytes[4] });
        }
        let class =
            ModulusClass::from_byte(bytes[5]).ok_or(UploadError::Class { found: bytes[5] })?;
        let mut cube = [0; 32];
        cube.copy_from_slice(&bytes[6..HEADER_BYTES]);
        Ok(Self { cube, class, bytes })
    }

    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The id of the cube.
    pub const fn cube(&self) -> &[u8; 32] {
        &self.cube
    }

    /// The class of the plaintext modulus.
    pub const fn class(&self) -> ModulusClass {
        self.class
    }

    /// The SHA-256 of the encoding: the digest of its content identifier.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The words of all planes, mask first.
    pub fn lanes(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        let words = self.bytes[HEADER_BYTES..].chunks_exact(4);
        words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
    }

    /// Mask and body, their low 32 bits clear.
    pub fn unpack(&self) -> (Poly, Poly) {
        let words = &self.bytes[HEADER_BYTES..];
        let half = |from: usize| {
            Poly::from_fn(|i| {
                let word = |plane: usize| {
                    let at = 4 * (from + plane * DEGREE + i);
                    let word = [words[at], words[at + 1], words[at + 2], words[at + 3]];
                    u128::from(u32::from_le_bytes(word))
                };
                word(0) << 32 | word(1) << 64 | word(2) << 96
            })
        };
        (half(0), half(3 * DEGREE))
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("cube", &self.cube)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

//! Bounded reading and writing of the link's bytes.

use crate::words::{Word, WordError, field_from_word, field_word, g1_from_words, g1_words};
use ark_bn254::{Fr, G1Affine};

/// Why bytes are not a link's announcement, statement or proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes begin with something else.
    #[error("the bytes do not begin with {expected:?}")]
    Magic {
        /// The four bytes expected.
        expected: [u8; 4],
    },
    /// A version this program does not know.
    #[error("version {found} of the link's bytes; this program reads version {expected}")]
    Version {
        /// The version read.
        found: u8,
        /// The version known.
        expected: u8,
    },
    /// The bytes are shorter or longer than their header says.
    #[error("{found} bytes where the header asks for {expected}")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// A dimension beyond what a link can have.
    #[error("{what} is {found}; a link has 1 to {limit}")]
    Dimension {
        /// Which dimension.
        what: &'static str,
        /// The value read.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// A word that is no scalar or point.
    #[error("word at byte {offset}: {source}")]
    Word {
        /// Position in the bytes.
        offset: usize,
        /// What is wrong with it.
        source: WordError,
    },
    /// The parts decode and do not fit together.
    #[error(transparent)]
    Statement(#[from] super::StatementError),
}

/// Reads fixed fields from the front of a slice.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Checks magic and version.
    pub(super) fn new(bytes: &'a [u8], magic: [u8; 4], version: u8) -> Result<Self, DecodeError> {
        let mut reader = Self { bytes, at: 0 };
        if reader.array()? != magic {
            return Err(DecodeError::Magic { expected: magic });
        }
        let [found] = reader.array()?;
        if found != version {
            return Err(DecodeError::Version {
                found,
                expected: version,
            });
        }
        Ok(reader)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let end = self.at + N;
        let Some(part) = self.bytes.get(self.at..end) else {
            return Err(DecodeError::Length {
                found: self.bytes.len() as u64,
                expected: end as u64,
            });
        };
        self.at = end;
        let mut out = [0; N];
        out.copy_from_slice(part);
        Ok(out)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A dimension between 1 and `limit`.
    pub(super) fn dimension(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let found = self.u32()?;
        if found == 0 || found as usize > limit {
            return Err(DecodeError::Dimension {
                what,
                found: u64::from(found),
                limit: limit as u64,
            });
        }
        Ok(found as usize)
    }

    /// Fails unless exactly `expected` bytes are left; called before anything of that size is allocated.
    pub(super) fn expect_left(&self, expected: u64) -> Result<(), DecodeError> {
        let left = (self.bytes.len() - self.at) as u64;
        if left == expected {
            return Ok(());
        }
        Err(DecodeError::Length {
            found: self.bytes.len() as u64,
            expected: self.at as u64 + expected,
        })
    }

    pub(super) fn word(&mut self) -> Result<Word, DecodeError> {
        self.array()
    }

    pub(super) fn scalar(&mut self) -> Result<Fr, DecodeError> {
        let offset = self.at;
        field_from_word(&self.word()?).map_err(|source| DecodeError::Word { offset, source })
    }

    pub(super) fn scalars(&mut self, count: usize) -> Result<Vec<Fr>, DecodeError> {
        (0..count).map(|_| self.scalar()).collect()
    }

    pub(super) fn point(&mut self) -> Result<G1Affine, DecodeError> {
        let offset = self.at;
        let words = [self.word()?, self.word()?];
        g1_from_words(&words).map_err(|source| DecodeError::Word { offset, source })
    }

    pub(super) fn points(&mut self, count: usize) -> Result<Vec<G1Affine>, DecodeError> {
        (0..count).map(|_| self.point()).collect()
    }
}

/// Appends fields to bytes that begin with magic and version.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(magic: [u8; 4], version: u8) -> Self {
        let mut out = magic.to_vec();
        out.push(version);
        Self(out)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn scalar(&mut self, value: &Fr) -> &mut Self {
        self.bytes(&field_word(value))
    }

    pub(super) fn scalars<'s>(&mut self, values: impl IntoIterator<Item = &'s Fr>) -> &mut Self {
        values.into_iter().fold(self, |out, v| out.scalar(v))
    }

    pub(super) fn point(&mut self, point: &G1Affine) -> &mut Self {
        g1_words(point).iter().fold(self, |out, w| out.bytes(w))
    }

    pub(super) fn points<'s>(
        &mut self,
        points: impl IntoIterator<Item = &'s G1Affine>,
    ) -> &mut Self {
        points.into_iter().fold(self, |out, p| out.point(p))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Serde through the type's own bytes: raw in binary formats, hexadecimal in text.
macro_rules! serde_by_bytes {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::link::bytes::serialize(&self.to_bytes(), serializer)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = $crate::link::bytes::deserialize(deserializer)?;
                Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use serde_by_bytes;

pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    if !s.is_human_readable() {
        return s.serialize_bytes(bytes);
    }
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let text: String = bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect();
    s.serialize_str(&text)
}

pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    struct Bytes(bool);
    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(if self.0 {
                "lower-case hexadecimal"
            } else {
                "bytes"
            })
        }
        fn visit_bytes<E: serde::de::Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
            Ok(v.to_vec())
        }
        fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Vec<u8>, E> {
            let nibble = |b: u8| match b {
                b'0'..=b'9' => Ok(b - b'0'),
                b'a'..=b'f' => Ok(b - b'a' + 10),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str("text"), &self)),
            };
            let (pairs, rest) = v.as_bytes().as_chunks::<2>();
            if !rest.is_empty() {
                return Err(E::invalid_length(v.len(), &self));
            }
            pairs
                .iter()
                .map(|[high, low]| Ok(nibble(*high)? << 4 | nibble(*low)?))
                .collect()
        }
    }
    let text = d.is_human_readable();
    if text {
        d.deserialize_str(Bytes(text))
    } else {
        d.deserialize_bytes(Bytes(text))
    }
}

//! The custodian's message: openings of the commitments, of their weighted sums, and the range proofs.

use super::bytes::{DecodeError, Reader, Writer, serde_by_bytes};
use super::range::{BitProof, RangeProof};
use super::{Announcement, LinkStatement, MAX_CHUNKS, MAX_COLUMNS, MAX_SLOTS, REPETITIONS};
use crate::transcript::{Hasher, Tag};
use crate::words::Word;
use ark_bn254::{Fr, G1Affine};

/// Proof of knowledge of all column openings of one chunk, as one random combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkProof {
    /// `M = sum_i m_i B_i + m' H`.
    pub mask: G1Affine,
    /// `z_i = m_i + sum_j eps^(j+1) a_ij`, one per slot.
    pub responses: Vec<Fr>,
    /// `m' + sum_j eps^(j+1) r_j`.
    pub blinding: Fr,
}

/// The weighted sums of one repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormProof {
    /// `V`, below p.
    pub value: u64,
    /// Value commitment to `sum rho_i m_i` over all chunks.
    pub mask: G1Affine,
    /// Value commitments to `sum rho_i a_ij` over all chunks, per column.
    pub sums: Vec<G1Affine>,
    /// Blinding of the combination of these.
    pub blinding: Fr,
    /// The quotient is small.
    pub range: RangeProof,
}

/// A proof that the values `V` are what the column commitments and the masks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkProof {
    /// By chunk.
    pub chunks: Vec<ChunkProof>,
    /// By repetition.
    pub forms: [FormProof; REPETITIONS],
}

/// The sizes that a statement gives to its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Chunks.
    pub chunks: usize,
    /// Slots per chunk.
    pub slots: usize,
    /// Columns of the cube.
    pub columns: usize,
    /// Bits of the quotient.
    pub bits: usize,
}

impl Dimensions {
    /// Of the proofs of an announcement.
    pub fn of(announcement: &Announcement) -> Self {
        Self {
            chunks: announcement.commitments().len(),
            slots: announcement.slots(),
            columns: announcement.columns().len(),
            bits: announcement.quotient_bits(),
        }
    }

    /// Bytes of a proof.
    pub fn proof_bytes(&self) -> u64 {
        HEADER + self.body_bytes()
    }

    fn body_bytes(&self) -> u64 {
        let (chunks, slots) = (self.chunks as u64, self.slots as u64);
        let (columns, bits) = (self.columns as u64, self.bits as u64);
        let range = 64 * (bits - 1) + (2 * 64 + 3 * 32) * bits;
        let form = 8 + 64 + 64 * columns + 32 + range;
        chunks * (64 + 32 * slots + 32) + REPETITIONS as u64 * form
    }
}

/// Magic, version, four dimensions.
const HEADER: u64 = 4 + 1 + 16;

impl LinkProof {
    /// The sizes of this proof, or `None` when its parts disagree.
    pub fn dimensions(&self) -> Option<Dimensions> {
        let [form, ..] = &self.forms;
        let out = Dimensions {
            chunks: self.chunks.len(),
            slots: self.chunks.first()?.responses.len(),
            columns: form.sums.len(),
            bits: form.range.proofs.len(),
        };
        let chunks_fit = self.chunks.iter().all(|c| c.responses.len() == out.slots);
        let forms_fit = self.forms.iter().all(|f| {
            f.sums.len() == out.columns
                && f.range.proofs.len() == out.bits
                && f.range.bits.len() + 1 == out.bits
        });
        (chunks_fit && forms_fit).then_some(out)
    }

    /// The Fiat-Shamir challenge, over the statement and all first messages.
    pub fn challenge(&self, statement: &LinkStatement) -> Fr {
        let mut h = Hasher::new(Tag::LinkChallenge).word(&statement.seed());
        for chunk in &self.chunks {
            h = h.g1(&chunk.mask);
        }
        for form in &self.forms {
            h = h.integer(u128::from(form.value)).g1(&form.mask);
            h = form.sums.iter().fold(h, Hasher::g1);
            h = form.range.absorb(h);
        }
        h.challenge()
    }

    /// Hash of challenge and responses, from which the weights of the joined check come.
    pub(super) fn batch_seed(&self, challenge: &Fr) -> Word {
        let mut h = Hasher::new(Tag::LinkBatch).scalar(challenge);
        for chunk in &self.chunks {
            h = chunk.responses.iter().fold(h, Hasher::scalar);
            h = h.scalar(&chunk.blinding);
        }
        for form in &self.forms {
            h = h.scalar(&form.blinding);
            for bit in &form.range.proofs {
                h = h
                    .scalar(&bit.challenge)
                    .scalar(&bit.zero_response)
                    .scalar(&bit.one_response);
            }
        }
        h.finish()
    }

    const MAGIC: [u8; 4] = *b"SLKP";
    const VERSION: u8 = 1;

    /// Versioned canonical bytes; 32 per slot dominate.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new(Self::MAGIC, Self::VERSION);
        let [form, ..] = &self.forms;
        let slots = self.chunks.first().map_or(0, |c| c.responses.len());
        for dimension in [
            self.chunks.len(),
            slots,
            form.sums.len(),
            form.range.proofs.len(),
        ] {
            w.bytes(&u32::try_from(dimension).unwrap_or(u32::MAX).to_be_bytes());
        }
        for chunk in &self.chunks {
            w.point(&chunk.mask)
                .scalars(&chunk.responses)
                .scalar(&chunk.blinding);
        }
        for form in &self.forms {
            w.bytes(&form.value.to_be_bytes())
                .point(&form.mask)
                .points(&form.sums)
                .scalar(&form.blinding)
                .points(&form.range.bits);
            for bit in &form.range.proofs {
                w.point(&bit.zero).point(&bit.one);
                w.scalars([&bit.challenge, &bit.zero_response, &bit.one_response]);
            }
        }
        w.finish()
    }

    /// The proof of bytes.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing larger than a small multiple of the input is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes, Self::MAGIC, Self::VERSION)?;
        let size = Dimensions {
            chunks: r.dimension("chunks", MAX_CHUNKS)?,
            slots: r.dimension("slots", MAX_SLOTS)?,
            columns: r.dimension("columns", MAX_COLUMNS)?,
            bits: r.dimension("quotient bits", 64)?,
        };
        r.expect_left(size.body_bytes())?;
        let mut chunks = Vec::with_capacity(size.chunks);
        for _ in 0..size.chunks {
            chunks.push(ChunkProof {
                mask: r.point()?,
                responses: r.scalars(size.slots)?,
                blinding: r.scalar()?,
            });
        }
        let mut form = || -> Result<FormProof, DecodeError> {
            Ok(FormProof {
                value: r.u64()?,
                mask: r.point()?,
                sums: r.points(size.columns)?,
                blinding: r.scalar()?,
                range: RangeProof {
                    bits: r.points(size.bits - 1)?,
                    proofs: (0..size.bits)
                        .map(|_| {
                            Ok(BitProof {
                                zero: r.point()?,
                                one: r.point()?,
                                challenge: r.scalar()?,
                                zero_response: r.scalar()?,
                                one_response: r.scalar()?,
                            })
                        })
                        .collect::<Result<_, DecodeError>>()?,
                },
            })
        };
        Ok(Self {
            chunks,
            forms: [form()?, form()?, form()?, form()?, form()?],
        })
    }
}

serde_by_bytes!(LinkProof);

//! Evaluated queries: squashed ciphertexts for the committee, counts apart from sums, and what the opened phases mean.

use thiserror::Error;

use crate::keys::SQUASHED_DIMENSION;
use crate::query::PassShape;

/// Bits of an opened block.
pub const BLOCK_BITS: u32 = 4;
/// log2 of the scale of an opened block: one padding bit above four bits of message.
pub const BLOCK_SCALE_LOG: u32 = 123;
const MAGIC: &[u8; 8] = b"SLAR\x01\0\0\0";
/// Blocks per value, at most.
const MAX_BLOCKS: usize = 16;
/// Bytes of one block.
const BLOCK_BYTES: usize = 16 * (SQUASHED_DIMENSION + 1);

/// Why bytes are not an evaluated query, or phases not its values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not version 1 of a result.
    #[error("these bytes are not version 1 of an evaluated query")]
    Kind,
    /// Not the passes of the query.
    #[error("the result does not have the passes and values of its query")]
    Shape,
    /// The bytes end early or go on.
    #[error("the result bytes do not have the length that they announce")]
    Length,
    /// Not one phase per block.
    #[error("the value has {expected} blocks and {found} phases were opened")]
    Phases {
        /// Blocks of the value.
        expected: usize,
        /// Phases given.
        found: usize,
    },
    /// A phase far from every multiple of the scale.
    #[error("block {block}: the opened phase is no digit; a share or a ciphertext is wrong")]
    NoDigit {
        /// Position of the block.
        block: usize,
    },
}

/// An LWE ciphertext modulo 2^128 under the dealer's secret: phase = body - sum of mask words at the secret's bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SquashedLwe {
    /// 4096 words.
    pub mask: Vec<u128>,
    /// One word.
    pub body: u128,
}

/// One encrypted number: base-16 blocks, least significant first. No blocks: the value is 0 for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SealedValue {
    /// The blocks.
    pub blocks: Vec<SquashedLwe>,
}

/// The encrypted values of a pass, in the order of the plan; masked ones have no blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPass {
    /// One per value. [`PassShape::counts`] and [`PassShape::sums`] say which may be opened when.
    pub values: Vec<SealedValue>,
}

/// An evaluated query, ready to be opened: counts first, then the sums of the groups that are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// [`crate::query::AdhocQuery::hash`].
    pub query: [u8; 32],
    /// [`crate::upload::records_hash`].
    pub records: [u8; 32],
    /// [`crate::keys::ServerKeys::hash`].
    pub keys: [u8; 32],
    /// People whose records were read.
    pub people: u64,
    /// The passes of the plan.
    pub passes: Vec<SealedPass>,
}

/// The digit that an opened phase shows.
///
/// # Errors
/// If the phase is further from a multiple of 2^123 than a quarter of it, or shows a negative digit.
pub fn digit(block: usize, phase: u128) -> Result<u8, AnswerError> {
    let nearest = phase.wrapping_add(1 << (BLOCK_SCALE_LOG - 1)) >> BLOCK_SCALE_LOG;
    let off = phase.wrapping_sub(nearest << BLOCK_SCALE_LOG) as i128;
    if off.unsigned_abs() > 1 << (BLOCK_SCALE_LOG - 2) || nearest >> BLOCK_BITS != 0 {
        return Err(AnswerError::NoDigit { block });
    }
    Ok(nearest as u8)
}

impl SealedValue {
    /// The number that the opened phases of its blocks show.
    ///
    /// # Errors
    /// If a phase is missing or shows no digit.
    pub fn decode(&self, phases: &[u128]) -> Result<u64, AnswerError> {
        if phases.len() != self.blocks.len() {
            return Err(AnswerError::Phases {
                expected: self.blocks.len(),
                found: phases.len(),
            });
        }
        phases
            .iter()
            .enumerate()
            .rev()
            .try_fold(0u64, |number, (block, &phase)| {
                Ok(number << BLOCK_BITS | u64::from(digit(block, phase)?))
            })
    }
}

impl Evaluated {
    /// Hash of everything that can be opened; signed in place of a cube sum's hash.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("salus/v1/adhoc/evaluated", &self.to_bytes())
    }

    /// Whether the passes are those of a query.
    pub fn fits(&self, shapes: &[PassShape]) -> bool {
        self.passes.len() == shapes.len()
            && self
                .passes
                .iter()
                .zip(shapes)
                .all(|(pass, shape)| pass.values.len() == shape.values())
    }

    /// The only bytes of this result.
    pub fn to_bytes(&self) -> Vec<u8> {
        let blocks: usize = self
            .passes
            .iter()
            .flat_map(|pass| &pass.values)
            .map(|value| value.blocks.len())
            .sum();
        let mut bytes = Vec::with_capacity(128 + blocks * BLOCK_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.query);
        bytes.extend(self.records);
        bytes.extend(self.keys);
        bytes.extend(self.people.to_le_bytes());
        bytes.push(self.passes.len() as u8);
        for pass in &self.passes {
            bytes.push(pass.values.len() as u8);
            for value in &pass.values {
                bytes.push(value.blocks.len() as u8);
                for block in &value.blocks {
                    for word in block.mask.iter().chain([&block.body]) {
                        bytes.extend(word.to_le_bytes());
                    }
                }
            }
        }
        bytes
    }

    /// The result of these bytes.
    ///
    /// # Errors
    /// If the bytes are of another kind or length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AnswerError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(AnswerError::Kind)?;
        fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], AnswerError> {
            let (chunk, tail) = rest.split_first_chunk::<N>().ok_or(AnswerError::Length)?;
            *rest = tail;
            Ok(*chunk)
        }
        let (query, records, keys) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
        let people = u64::from_le_bytes(take(&mut rest)?);
        let [passes] = take(&mut rest)?;
        let mut result = Self {
            query,
            records,
            keys,
            people,
            passes: Vec::new(),
        };
        for _ in 0..passes {
            let [count] = take(&mut rest)?;
            let mut values = Vec::new();
            for _ in 0..count {
                let [blocks] = take(&mut rest)?;
                let length = usize::from(blocks) * BLOCK_BYTES;
                if usize::from(blocks) > MAX_BLOCKS || rest.len() < length {
                    return Err(AnswerError::Length);
                }
                let (words, tail) = rest.split_at(length);
                rest = tail;
                let blocks = words
                    .chunks_exact(BLOCK_BYTES)
                    .map(|block| {
                        let mut words = block.chunks_exact(16).map(|word| {
                            u128::from_le_bytes(word.try_into().expect("chunks of sixteen"))
                        });
                        let mask = words.by_ref().take(SQUASHED_DIMENSION).collect();
                        let body = words.next().unwrap_or_default();
                        SquashedLwe { mask, body }
                    })
                    .collect();
                values.push(SealedValue { blocks });
            }
            result.passes.push(SealedPass { values });
        }
        if rest.is_empty() {
            Ok(result)
        } else {
            Err(AnswerError::Length)
        }
    }
}

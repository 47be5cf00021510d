//! The public weights of a link: 8 bits per slot, one residue per column.

use super::REPETITIONS;
use crate::transcript::{Hasher, Tag};
use crate::words::Word;

/// Slots whose weights come from one hash.
const PER_HASH: usize = 32;

/// Weights of members and columns, derived from the statement's seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChallenges {
    seed: Word,
    modulus: u64,
    columns: Vec<Vec<u64>>,
}

impl LinkChallenges {
    pub(super) fn new(seed: Word, modulus: u64, columns: usize) -> Self {
        let columns = (0..REPETITIONS)
            .map(|repetition| {
                (0..columns)
                    .map(|column| {
                        let hash = Hasher::new(Tag::LinkColumns)
                            .word(&seed)
                            .integer(repetition as u128)
                            .integer(column as u128)
                            .finish();
                        residue(&hash, modulus)
                    })
                    .collect()
            })
            .collect();
        Self {
            seed,
            modulus,
            columns,
        }
    }

    /// `beta`: one weight below p per column of the cube.
    ///
    /// # Panics
    /// When there is no such repetition.
    pub fn columns(&self, repetition: usize) -> &[u64] {
        &self.columns[repetition]
    }

    /// `rho`: the weights of the first `slots` slots of a chunk, members or not.
    pub fn members(&self, repetition: usize, chunk: usize, slots: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(slots.next_multiple_of(PER_HASH));
        for block in 0..slots.div_ceil(PER_HASH) {
            out.extend_from_slice(&self.block(repetition, chunk, block));
        }
        out.truncate(slots);
        out
    }

    /// `rho` of one slot.
    pub fn member(&self, repetition: usize, chunk: usize, slot: usize) -> u8 {
        self.block(repetition, chunk, slot / PER_HASH)[slot % PER_HASH]
    }

    fn block(&self, repetition: usize, chunk: usize, block: usize) -> Word {
        Hasher::new(Tag::LinkMembers)
            .word(&self.seed)
            .integer(repetition as u128)
            .integer(chunk as u128)
            .integer(block as u128)
            .finish()
    }

    /// `sum_j beta_j codes_j mod p`: the weight of a cube cell in the committee's linear form.
    ///
    /// # Panics
    /// When there is no such repetition.
    pub fn cell_weight(&self, repetition: usize, codes: &[u8]) -> u64 {
        codes
            .iter()
            .zip(&self.columns[repetition])
            .fold(0, |sum, (code, beta)| {
                (sum + u64::from(*code) * beta) % self.modulus
            })
    }

    /// The same as an integer in `-(p-1)/2..=(p-1)/2`, as ciphertexts want their weights.
    ///
    /// # Panics
    /// When there is no such repetition.
    pub fn centred_cell_weight(&self, repetition: usize, codes: &[u8]) -> i64 {
        let weight = self.cell_weight(repetition, codes);
        // both are below 2^32
        if weight > self.modulus / 2 {
            weight as i64 - self.modulus as i64
        } else {
            weight as i64
        }
    }
}

/// A 256-bit big-endian integer modulo p < 2^32; biased by at most p / 2^256.
fn residue(hash: &Word, modulus: u64) -> u64 {
    hash.iter()
        .fold(0, |r, byte| ((r << 8) | u64::from(*byte)) % modulus)
}

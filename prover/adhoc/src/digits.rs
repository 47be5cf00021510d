//! Exact digits: the total of a chunk becomes clean base-4 blocks, blocks of all chunks become one normalised number.
//!
//! Bits are taken lowest first: lifted to the top of the torus, turned into `bit * 2^scale`, which is subtracted from the
//! total, and into `bit * 2^59` or `2^60`, which two by two make a block of the shortint encoding. Sums of blocks are kept
//! as columns of at most four blocks; the last pass carries through every column, so that the opened digits depend on the
//! number alone and not on how it was added up.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tfhe::core_crypto::prelude::LweCiphertext;
use tfhe::shortint::ciphertext::{Ciphertext, Degree, NoiseLevel};
use tfhe::shortint::{AtomicPatternKind, CarryModulus, MessageModulus, PBSOrder};

use crate::accumulate::Chunk;
use crate::answer::SquashedLwe;
use crate::form::add;
use crate::keys::{ComputeKeys, ServerKeys};
use crate::parameters::RING;
use crate::rotate::{ACCUMULATOR, LANES, LARGE, Rotator, coefficient, native};

/// log2 of the scale of a block of two bits.
const BLOCK_LOG: u32 = 59;
/// Blocks that one column sums before it carries: 5 * 3 fills message and carry.
const COLUMN: usize = 5;

fn shifted(words: &[u64], log: u32) -> Vec<u64> {
    words.iter().map(|word| word << log).collect()
}

fn subtract(out: &mut [u64], words: &[u64]) {
    for (out, word) in out.iter_mut().zip(words) {
        *out = out.wrapping_sub(*word);
    }
}

/// A block of these words, its two bits of message full.
pub(crate) fn block(words: Vec<u64>) -> Ciphertext {
    Ciphertext::new(
        LweCiphertext::from_container(words, native()),
        Degree::new(3),
        NoiseLevel::NOMINAL,
        MessageModulus(4),
        CarryModulus(4),
        AtomicPatternKind::Standard(PBSOrder::KeyswitchBootstrap),
    )
}

/// The blocks, lowest first, of each total of a chunk. Totals are at the chunk's lowest scale.
pub(crate) fn extract(
    keys: &ComputeKeys,
    totals: Vec<Vec<u64>>,
    chunk: Chunk,
) -> Vec<Vec<Vec<u64>>> {
    totals
        .into_par_iter()
        .chunks(LANES / 2)
        .flat_map_iter(|lanes| extract_lanes(keys, lanes, chunk))
        .collect()
}

fn extract_lanes(
    keys: &ComputeKeys,
    mut totals: Vec<Vec<u64>>,
    chunk: Chunk,
) -> Vec<Vec<Vec<u64>>> {
    let lowest = chunk.lowest();
    let mut rotator = Rotator::new();
    let mut blocks: Vec<Vec<Vec<u64>>> = vec![Vec::new(); totals.len()];
    for bit in 0..chunk.bits {
        let scale = lowest + bit;
        let block_scale = BLOCK_LOG + bit % 2;
        // The lowest bit carries the most noise: it gets the whole circle, and its block bit is lifted from the same output.
        let single = bit == 0;
        let centre = 1u64 << if single { 62 } else { 61 };
        let remove = 1u64 << scale;
        let (first, second) = (
            remove / 2,
            if single { remove } else { 1 << block_scale } / 2,
        );
        let mut lut = vec![first.wrapping_neg(); RING];
        if !single {
            lut[RING / 2..].fill(second.wrapping_neg());
        }
        let inputs: Vec<Vec<u64>> = totals
            .iter()
            .map(|total| {
                let mut lifted = shifted(total, 63 - scale);
                lifted[RING] = lifted[RING].wrapping_add(centre);
                lifted
            })
            .collect();
        let outputs = rotator.rotate(keys.keyswitch(), &keys.summing, &inputs, &lut);
        for ((total, blocks), output) in totals
            .iter_mut()
            .zip(&mut blocks)
            .zip(outputs.chunks_exact(ACCUMULATOR))
        {
            let mut bit_at_scale = coefficient(output, 0);
            bit_at_scale[RING] = bit_at_scale[RING].wrapping_add(first);
            subtract(total, &bit_at_scale);
            let in_block = if single {
                shifted(&bit_at_scale, block_scale - scale)
            } else {
                let mut in_block = coefficient(output, RING / 2);
                in_block[RING] = in_block[RING].wrapping_add(second);
                in_block
            };
            match blocks.last_mut() {
                Some(last) if bit % 2 == 1 => add(last, &in_block),
                _ => blocks.push(in_block),
            }
        }
    }
    blocks
}

/// A number as columns of blocks, column `j` worth `4^j` each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Columns(Vec<Vec<Vec<u64>>>);

impl Columns {
    /// Adds a number, lowest block first, times `4^shift`.
    pub(crate) fn push(&mut self, keys: &ComputeKeys, blocks: &[Vec<u64>], shift: usize) {
        for (j, block) in blocks.iter().enumerate() {
            self.column(shift + j).push(block.clone());
        }
        for j in 0.. {
            if j >= self.0.len() {
                break;
            }
            while self.0[j].len() >= COLUMN {
                self.carry(keys, j);
            }
        }
    }

    fn column(&mut self, j: usize) -> &mut Vec<Vec<u64>> {
        if self.0.len() <= j {
            self.0.resize(j + 1, Vec::new());
        }
        &mut self.0[j]
    }

    /// Replaces the oldest blocks of a column, up to five, by their sum modulo 4, and carries the rest.
    fn carry(&mut self, keys: &ComputeKeys, j: usize) {
        let take = self.0[j].len().min(COLUMN);
        let mut terms = self.0[j].drain(..take).map(block);
        let Some(mut sum) = terms.next() else { return };
        for term in terms {
            keys.shortint.unchecked_add_assign(&mut sum, &term);
        }
        let (message, carry) = rayon::join(
            || keys.shortint.message_extract(&sum),
            || keys.shortint.carry_extract(&sum),
        );
        self.0[j].push(message.ct.into_container());
        self.column(j + 1).push(carry.ct.into_container());
    }

    /// `count` blocks, each in 0..4: the only such digits of the number.
    pub(crate) fn normalise(mut self, keys: &ComputeKeys, count: usize) -> Vec<Vec<u64>> {
        let mut digits = Vec::with_capacity(count);
        for j in 0..count {
            self.column(j + 1);
            while self.0[j].len() > 1 {
                self.carry(keys, j);
            }
            digits.push(self.0[j].pop().unwrap_or_else(|| vec![0; LARGE]));
        }
        digits
    }

    /// Whether every block has the length of a ciphertext.
    pub(crate) fn well_formed(&self) -> bool {
        self.0.len() <= 64
            && self
                .0
                .iter()
                .all(|column| column.len() < COLUMN && column.iter().all(|b| b.len() == LARGE))
    }
}

/// The blocks of a normalised number, two to an opened block of base 16, with the noise of computation squashed.
pub(crate) fn squash(keys: &ServerKeys, digits: &[Vec<u64>]) -> Vec<SquashedLwe> {
    let shortint = &keys.compute.shortint;
    digits
        .par_chunks(2)
        .map(|pair| {
            let mut packed = block(pair[0].clone());
            if let Some(high) = pair.get(1) {
                let high = shortint.unchecked_scalar_mul(&block(high.clone()), 4);
                shortint.unchecked_add_assign(&mut packed, &high);
            }
            let squashed = keys.squashing.squash_ciphertext_noise(&packed, shortint);
            let words = squashed.lwe_ciphertext().as_ref();
            let (mask, body) = words.split_at(words.len() - 1);
            SquashedLwe {
                mask: mask.to_vec(),
                body: body[0],
            }
        })
        .collect()
}

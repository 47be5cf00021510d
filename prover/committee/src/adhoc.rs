//! Outputs of an ad-hoc evaluation: LWE ciphertexts under a dealer's key.

use std::fmt;

use salus_cubes::stream::Stream;

use crate::dealer::{DealerCeremonyShare, LWE_DIMENSION};
use crate::stream::digest;

/// Bits of a number in one block.
pub const BLOCK_BITS: u32 = 4;
/// Bits of a block's message space: a padding bit above the number's.
const MESSAGE_BITS: u32 = BLOCK_BITS + 1;
/// Blocks of a number, at most.
pub const MAX_BLOCKS: usize = 16;

/// One LWE ciphertext modulo 2^128 of a block: `body = <mask, secret> + digit * 2^123 + noise`.
#[derive(Clone, PartialEq, Eq)]
pub struct LweCiphertext {
    /// The mask.
    pub mask: Box<[u128; LWE_DIMENSION]>,
    /// The body.
    pub body: u128,
}

impl LweCiphertext {
    /// The ciphertext with this mask and body; `None` unless the mask has 4096 words.
    pub fn new(mask: Vec<u128>, body: u128) -> Option<Self> {
        let mask = mask.into_boxed_slice().try_into().ok()?;
        Some(Self { mask, body })
    }

    /// The hash of mask and body.
    pub fn hash(&self) -> [u8; 32] {
        let words = self.mask.iter().chain([&self.body]);
        let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        digest("salus/v1/committee/lwe-ciphertext", &[&bytes])
    }
}

impl fmt::Debug for LweCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LweCiphertext")
    }
}

/// The squashed outputs of an ad-hoc query, before release.
///
/// Values are laid out as the plan publishes them: `counts` has one entry per value of a cells pass and per group of a
/// moments pass, passes one after the other; `sums` has the sum and the sum of squares of each group of the moments passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The evaluation's hash, which evaluators vouch for.
    pub hash: [u8; 32],
    /// The query it was made for.
    pub query: [u8; 32],
    /// The plan it evaluates.
    pub plan_hash: [u8; 32],
    /// The dataset.
    pub dataset: u64,
    /// The snapshot.
    pub snapshot: u64,
    /// People in the evaluation.
    pub members: u64,
    /// The noise of every output is below 2 to this power.
    pub noise_bits: u32,
    /// By pass: what is subtracted from the measured code before it is summed; 0 for cells.
    pub centres: Vec<u64>,
    /// The counts.
    pub counts: Vec<SealedNumber>,
    /// The sums and sums of squares of what is left of the measured code.
    pub sums: Vec<[SealedNumber; 2]>,
    /// What must open to its value, beside the counts, before anything is released: that every record is well formed.
    pub guards: Vec<Guard>,
}

/// A number that says whether the records of an evaluation are well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The number; never without blocks.
    pub number: SealedNumber,
    /// What it must be.
    pub value: u64,
}

/// An encrypted number: blocks of four bits, least significant first; no blocks for a number that is 0 for everybody.
pub type SealedNumber = Vec<LweCiphertext>;

/// Uniform summands of one flooding value, as for cubes.
const SUMMANDS: u32 = 8;
/// Openings are accounted at this multiple of their worst noise: Fisher information of the flooding relative to a Gaussian.
const FISHER: f64 = 1.005;

/// Flooding of LWE openings: each of `subsets` shares adds a sum of eight uniforms, absolutely below `2^bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LweFlooding {
    subsets: u32,
}

impl LweFlooding {
    pub(crate) const fn new(subsets: usize) -> Self {
        Self {
            subsets: subsets as u32,
        }
    }

    /// All values together stay below half a step of the encoding, and as much again is left for the ciphertext's own noise.
    pub(crate) const fn bits(self) -> u32 {
        126 - MESSAGE_BITS - (u32::BITS - (self.subsets - 1).leading_zeros())
    }

    /// True when ciphertexts of this noise have room beside the flooding.
    pub(crate) const fn leaves_room_for(self, noise_bits: u32) -> bool {
        noise_bits < 126 - MESSAGE_BITS
    }

    fn variance(self) -> f64 {
        f64::from(SUMMANDS) * 2f64.powi(2 * (self.bits() as i32 - 2)) / 12.0
    }

    /// What opening one ciphertext costs of the flooding budget.
    pub(crate) fn cost(self, noise_bits: u32) -> f64 {
        FISHER * 2f64.powi(2 * noise_bits.min(128) as i32) / (2.0 * self.variance())
    }

    fn sample(self, stream: &mut Stream) -> u128 {
        let width = self.bits() - 2;
        let bytes = stream.take(16 * SUMMANDS as usize);
        let (words, _) = bytes.as_chunks::<16>();
        words.iter().fold(0, |sum: u128, word| {
            let uniform = u128::from_le_bytes(*word) >> (128 - width);
            sum.wrapping_add(uniform).wrapping_sub(1 << (width - 1))
        })
    }

    /// The partial opening of the ciphertext at `position` of an evaluation. Asking again gives the same.
    pub(crate) fn partial(
        self,
        share: &DealerCeremonyShare,
        ciphertext: &LweCiphertext,
        binding: &[u8; 32],
        position: u32,
    ) -> u128 {
        // Bound to the ciphertext itself: the same noise never hides two products.
        let parts: [&[u8]; 5] = [
            share.flood_key().expose(),
            binding,
            &position.to_le_bytes(),
            &self.bits().to_le_bytes(),
            &ciphertext.hash(),
        ];
        let mut stream = Stream::new("salus/v1/committee/lwe-flooding", &parts);
        share
            .product(&ciphertext.mask)
            .wrapping_add(self.sample(&mut stream))
    }

    /// The digit, from one partial opening per subset; `None` when the phase shows none.
    pub(crate) fn combine(
        self,
        block: &LweCiphertext,
        partials: impl Iterator<Item = u128>,
    ) -> Option<u64> {
        let phase = partials.fold(block.body, u128::wrapping_sub);
        let shift = 128 - MESSAGE_BITS;
        let digit = phase.wrapping_add(1 << (shift - 1)) >> shift;
        (digit >> BLOCK_BITS == 0).then_some(digit as u64)
    }
}

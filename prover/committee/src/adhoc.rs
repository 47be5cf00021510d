//! Outputs of an ad-hoc evaluation: LWE ciphertexts under a dealer's key.

use std::fmt;

use salus_cubes::stream::Stream;

use crate::dealer::{DealerCeremonyShare, LWE_DIMENSION};

/// One LWE ciphertext modulo 2^128: `body = <mask, secret> + message * 2^(128 - message_bits) + noise`.
#[derive(Clone, PartialEq, Eq)]
pub struct LweCiphertext {
    /// The mask.
    pub mask: Box<[u128; LWE_DIMENSION]>,
    /// The body.
    pub body: u128,
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
/// Codes are not centred here.
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
    /// Bits of the message space, 1..=40, the sign included.
    pub message_bits: u32,
    /// The noise of every output is below 2 to this power.
    pub noise_bits: u32,
    /// The counts.
    pub counts: Vec<LweCiphertext>,
    /// The sums and sums of squares.
    pub sums: Vec<[LweCiphertext; 2]>,
}

/// Uniform summands of one flooding value, as for cubes.
const SUMMANDS: u32 = 8;
/// Bits of a message space, at most; more leave too little room for flooding.
pub const MAX_MESSAGE_BITS: u32 = 40;
/// Openings are accounted at this multiple of their worst noise: Fisher information of the flooding relative to a Gaussian.
const FISHER: f64 = 1.005;

/// Flooding of LWE openings: each of `subsets` shares adds a sum of eight uniforms, absolutely below `2^bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LweFlooding {
    subsets: u32,
    message_bits: u32,
}

impl LweFlooding {
    /// `None` unless the message space has 1 to 40 bits.
    pub(crate) fn new(subsets: usize, message_bits: u32) -> Option<Self> {
        (1..=MAX_MESSAGE_BITS)
            .contains(&message_bits)
            .then_some(Self {
                subsets: subsets as u32,
                message_bits,
            })
    }

    /// All values together stay below half a step of the encoding, and as much again is left for the ciphertext's own noise.
    pub(crate) const fn bits(self) -> u32 {
        126 - self.message_bits - (u32::BITS - (self.subsets - 1).leading_zeros())
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
        let parts: [&[u8]; 4] = [
            share.flood_key().expose(),
            binding,
            &position.to_le_bytes(),
            &self.bits().to_le_bytes(),
        ];
        let mut stream = Stream::new("salus/v1/committee/lwe-flooding", &parts);
        share
            .product(&ciphertext.mask)
            .wrapping_add(self.sample(&mut stream))
    }

    /// The message, centred around 0, from one partial opening per subset.
    pub(crate) fn combine(
        self,
        ciphertext: &LweCiphertext,
        partials: impl Iterator<Item = u128>,
    ) -> i64 {
        let phase = partials.fold(ciphertext.body, u128::wrapping_sub);
        let shift = 128 - self.message_bits;
        (phase.wrapping_add(1 << (shift - 1)) as i128 >> shift) as i64
    }
}

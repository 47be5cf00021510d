//! Parameters, the noise of ciphertexts and the noise that hides partial openings.
//!
//! Degree 4096, ciphertext modulus `2^128`, ternary secrets and encryption randomness, errors TUniform(30), 96 bits kept per
//! coefficient. The public key is the sum of one public share for each of `c` subset secrets.

use salus_schema::cube::{Form, ModulusClass};

use crate::ring::DEGREE;
use crate::stream::Stream;

/// Errors are uniform on `-2^30..=2^30`, the two ends with half the weight of the others.
pub const ERROR_BITS: u32 = 30;
/// Bits that an upload drops from every coefficient, by rounding.
pub const DROPPED_BITS: u32 = 32;
/// Uniform summands of one flooding value.
const SUMMANDS: u32 = 8;
/// Members' noise is a product with the key's error, which stays the same; a form whose weights resemble one frequency sees that
/// error at one point. Such forms are accounted at this multiple of the mean, exceeded by a key with probability `e^-16`.
const KEY_SPREAD: f64 = 16.0;
/// Fisher information of a flooding value, relative to a Gaussian of its variance.
const FISHER: f64 = 1.005;

/// A prime plaintext modulus: slots hold residues, encoded as the nearest integer to `m * 2^128 / p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    class: ModulusClass,
    p: u64,
    quotient: u128,
    remainder: u64,
    barrett: u64,
}

/// A slot read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The residue in `-(p-1)/2..=(p-1)/2`.
    pub value: i64,
    /// How far the phase was from the encoding of `value`.
    pub residual: i128,
}

impl Modulus {
    /// The modulus of a class.
    pub const fn of(class: ModulusClass) -> Self {
        let p = class.modulus();
        // 2^128 = (2^128 - 1) + 1, and p does not divide 2^128.
        Self {
            class,
            p,
            quotient: u128::MAX / p as u128,
            remainder: (u128::MAX % p as u128) as u64 + 1,
            barrett: u64::MAX / p,
        }
    }

    /// The class.
    pub const fn class(&self) -> ModulusClass {
        self.class
    }

    /// The prime.
    pub const fn p(&self) -> u64 {
        self.p
    }

    /// Bits of the prime: 22 or 26.
    pub const fn bits(&self) -> u32 {
        u64::BITS - (self.p - 1).leading_zeros()
    }

    /// `x` modulo the prime, without branches or divisions.
    pub const fn reduce(&self, x: u64) -> u64 {
        let quotient = ((x as u128 * self.barrett as u128) >> 64) as u64;
        let rest = x.wrapping_sub(quotient.wrapping_mul(self.p));
        // The estimate is short by at most two.
        self.once(self.once(rest))
    }

    const fn once(&self, x: u64) -> u64 {
        let less = x.wrapping_sub(self.p);
        let negative = ((less as i64) >> 63) as u64;
        less.wrapping_add(negative & self.p)
    }

    /// The product of two residues.
    pub const fn times(&self, x: u64, y: u64) -> u64 {
        self.reduce(x * y)
    }

    /// The difference of two residues.
    pub const fn minus(&self, x: u64, y: u64) -> u64 {
        self.once(x + self.p - y)
    }

    /// A residue that 16 uniform bytes spell, `2^-100` from uniform.
    pub const fn residue(&self, bytes: [u8; 16]) -> u64 {
        let word = u128::from_le_bytes(bytes);
        let high = self.reduce((word >> 64) as u64);
        let shift = self.remainder_of_2_64();
        self.reduce(high * shift + self.reduce(word as u64))
    }

    const fn remainder_of_2_64(&self) -> u64 {
        u64::MAX % self.p + 1
    }

    /// The residue of a signed number.
    pub const fn residue_of(&self, value: i64) -> u64 {
        value.rem_euclid(self.p as i64) as u64
    }

    /// The representative of a residue in `-(p-1)/2..=(p-1)/2`.
    pub const fn centre(&self, residue: u64) -> i64 {
        if residue > self.p / 2 {
            residue as i64 - self.p as i64
        } else {
            residue as i64
        }
    }

    /// The encoding of a residue, without branches or divisions.
    pub const fn encode_residue(&self, residue: u64) -> u128 {
        let x = residue * self.remainder + self.p / 2;
        let rounded = (x - self.reduce(x)) as u128;
        // (x - x mod p) / p for x below 2^54: multiply by the inverse of p modulo 2^64.
        let exact = (rounded as u64).wrapping_mul(self.inverse_of_p());
        (residue as u128)
            .wrapping_mul(self.quotient)
            .wrapping_add(exact as u128)
    }

    const fn inverse_of_p(&self) -> u64 {
        let mut inverse = self.p;
        let mut i = 0;
        while i < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(self.p.wrapping_mul(inverse)));
            i += 1;
        }
        inverse
    }

    /// The encoding of a number.
    pub const fn encode(&self, value: i64) -> u128 {
        self.encode_residue(self.residue_of(value))
    }

    /// The nearest encoded residue.
    pub const fn decode(&self, phase: u128) -> Decoded {
        let p = self.p as u128;
        let (high, low) = (phase >> 64, phase & (u64::MAX as u128));
        let scaled = high * p + ((low * p) >> 64);
        let residue = (((scaled + (1 << 63)) >> 64) % p) as u64;
        Decoded {
            value: self.centre(residue),
            residual: phase.wrapping_sub(self.encode_residue(residue)) as i128,
        }
    }
}

/// One coefficient of the error distribution from four uniform bytes.
pub(crate) const fn error(bytes: [u8; 4]) -> u128 {
    let x = u32::from_le_bytes(bytes);
    let error = (x >> 1) as i64 + (x & 1) as i64 - (1 << ERROR_BITS);
    error as i128 as u128
}

/// Variances of the noise in ciphertexts under a key of `subsets` secrets.
///
/// Over fresh randomness; units are ciphertext units squared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseModel {
    subsets: u32,
}

impl NoiseModel {
    /// The model for `subsets` secrets.
    pub const fn new(subsets: u32) -> Self {
        Self { subsets }
    }

    /// Of one error coefficient, `(2^61 + 1) / 6`.
    pub fn error_variance() -> f64 {
        (2.0 * pow2(2 * ERROR_BITS) + 1.0) / 6.0
    }

    /// Of one slot before rounding: `n (4c/3) sigma^2 + sigma^2`.
    pub fn fresh_variance(&self) -> f64 {
        let products = DEGREE as f64 * 4.0 / 3.0 * f64::from(self.subsets);
        (products + 1.0) * Self::error_variance()
    }

    /// Of one slot of an upload: fresh, and the rounding of both halves.
    pub fn upload_variance(&self) -> f64 {
        let secret = DEGREE as f64 * 2.0 / 3.0 * f64::from(self.subsets);
        self.fresh_variance() + pow2(2 * DROPPED_BITS) / 12.0 * (secret + 1.0)
    }

    /// Of a form on the sum of `members` uploads.
    pub fn form_variance(&self, form: &Form, members: u64) -> f64 {
        let squares = form.terms().iter().map(|(_, w)| (*w as f64) * (*w as f64));
        squares.sum::<f64>() * members as f64 * self.upload_variance()
    }
}

fn pow2(bits: u32) -> f64 {
    (0..bits).fold(1.0, |x, _| 2.0 * x)
}

const fn ceil_log2(x: u64) -> u32 {
    u64::BITS - x.saturating_sub(1).leading_zeros()
}

/// What an opening reads, and so how much flooding fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// A value of a cube of this class: all flooding together stays below half a step of the encoding.
    Value(ModulusClass),
    /// A relation that must be zero, with weights random modulo `p`: together below `2^105`.
    Relation,
    /// `p` times an element, that must be zero: together below `2^113`.
    Multiple,
    /// A link with 8-bit factors, that must be zero: together below `2^115`, which leaves `2^-12` of the residues unnoticed.
    Link,
}

/// The flooding noise of partial openings: each of `subsets` adds a sum of eight uniforms, absolutely below `2^bits`.
///
/// # Security
/// A partial opening differs from a simulated one by at most the Kullback-Leibler divergence that [`Flooding::cost`] gives;
/// [`FloodingBudget`] adds these up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flooding {
    subsets: u32,
    room: Room,
}

impl Flooding {
    /// The flooding of openings by `subsets` secrets.
    ///
    /// # Panics
    /// If `subsets` is 0 or above 4096.
    pub const fn new(subsets: u32, room: Room) -> Self {
        assert!(subsets > 0 && subsets <= 4096);
        Self { subsets, room }
    }

    /// The number of subset secrets.
    pub const fn subsets(&self) -> u32 {
        self.subsets
    }

    /// What is opened.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// One flooding value is absolutely below `2^bits`.
    pub const fn bits(&self) -> u32 {
        let all = match self.room {
            Room::Value(class) => 127 - Modulus::of(class).bits(),
            Room::Relation => 105,
            Room::Multiple => 113,
            Room::Link => 115,
        };
        all - ceil_log2(self.subsets as u64)
    }

    /// `len` flooding values that a secret stream spells.
    pub fn sample(&self, stream: &mut Stream, len: usize) -> zeroize::Zeroizing<Vec<u128>> {
        let width = self.bits() - 2;
        let middle = 1u128 << (width - 1);
        let mut values = zeroize::Zeroizing::new(Vec::with_capacity(len));
        let per_value = 16 * SUMMANDS as usize;
        // In pieces, to keep the bytes in cache.
        for piece in (0..len).step_by(64) {
            let bytes = stream.take(per_value * 64.min(len - piece));
            for value in bytes.chunks_exact(per_value) {
                let summands = value.chunks_exact(16).map(|word| {
                    let mut array = [0; 16];
                    array.copy_from_slice(word);
                    (u128::from_le_bytes(array) >> (128 - width)).wrapping_sub(middle)
                });
                values.push(summands.fold(0u128, u128::wrapping_add));
            }
        }
        values
    }

    /// The variance of one flooding value.
    pub fn variance(&self) -> f64 {
        f64::from(SUMMANDS) * pow2(2 * (self.bits() - 2)) / 12.0
    }

    /// The largest residual that an honest opening leaves: seven standard deviations of all flooding together and an eighth
    /// of one value's range for the noise, but no more than all flooding can reach.
    pub const fn plausible(&self) -> u128 {
        let unit = 1u128 << (self.bits() - 3);
        let hard = unit * 8 * self.subsets as u128;
        // (2^B)^2 / 24 each: 7 sqrt(c / 24) 2^B = sqrt(49 c 2^32 / 24) 2^(B - 16)
        let spread = ((49 * self.subsets as u128) << 32) / 24;
        let likely = (spread.isqrt() + 1) << (self.bits() - 16);
        let (hard, likely) = (hard, likely);
        unit + if likely < hard { likely } else { hard }
    }

    /// The divergence that one subset's opening costs when the noise has this variance, in nats.
    ///
    /// For weights that were random when the key was made; else [`Flooding::form_cost`].
    pub fn cost(&self, noise_variance: f64) -> f64 {
        FISHER * noise_variance / (2.0 * self.variance())
    }

    /// The divergence that one subset's opening of a form on the sum of `members` uploads costs, in nats.
    pub fn form_cost(&self, form: &Form, members: u64) -> f64 {
        let variance = NoiseModel::new(self.subsets).form_variance(form, members);
        self.cost(KEY_SPREAD * variance)
    }

    /// The divergence that one subset's opening of a zero costs, `squares` being the sum of the squares of all weights of all
    /// uploads.
    pub(crate) fn zero_cost(&self, squares: u128) -> f64 {
        let variance = squares as f64 * NoiseModel::new(self.subsets).upload_variance();
        match self.room {
            Room::Relation | Room::Multiple => self.cost(variance),
            Room::Value(_) | Room::Link => self.cost(KEY_SPREAD * variance),
        }
    }
}

/// The flooding budget of one subset secret: what its openings may reveal together.
///
/// # Security
/// With a total divergence `D`, what all openings show is within total variation `sqrt(D / 2)` of what a simulator without the
/// secret shows (Pinsker). Openings stop before that exceeds `2^-20`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloodingBudget {
    spent: f64,
}

/// The opening would exceed the flooding budget; the key epoch has to end.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the opening costs {cost:e} and {left:e} is left of the flooding budget; begin a new key epoch"
)]
pub struct FloodingBudgetExceeded {
    /// What the opening costs.
    pub cost: f64,
    /// What is left.
    pub left: f64,
}

impl FloodingBudget {
    /// The total divergence at which openings stop, `2 * (2^-20)^2 = 2^-39`.
    pub const LIMIT: f64 = 1.0 / (1u64 << 39) as f64;

    /// The budget after `spent`, as stored.
    pub const fn after(spent: f64) -> Self {
        Self { spent }
    }

    /// What was spent.
    pub const fn spent(&self) -> f64 {
        self.spent
    }

    /// Spends the cost of an opening.
    ///
    /// # Errors
    /// If that would exceed the limit, or `cost` is not a number of at least 0; nothing is spent then.
    pub fn spend(&mut self, cost: f64) -> Result<(), FloodingBudgetExceeded> {
        let total = self.spent + cost;
        if cost >= 0.0 && total <= Self::LIMIT {
            self.spent = total;
            return Ok(());
        }
        let left = Self::LIMIT - self.spent;
        Err(FloodingBudgetExceeded { cost, left })
    }
}

/// What a choice of subsets and modulus leaves, as base-2 logarithms; for documents, not for decisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// Ciphertext modulus over the standard deviation of an error: with the degree, what lattice attacks depend on.
    pub modulus_over_error: f64,
    /// Standard deviation of the noise of one slot of an upload.
    pub upload_noise: f64,
    /// Bound of one flooding value.
    pub flooding: u32,
    /// Half a step of the encoding: the largest noise and flooding that leave a value readable.
    pub half_step: u32,
    /// Half the modulus: the largest value.
    pub largest_value: f64,
    /// Openings of a count over all cells and `2^20` members that the flooding budget allows.
    pub openings: f64,
}

impl Margins {
    /// The margins of cubes of a class under a key of `subsets` secrets.
    pub fn of(subsets: u32, class: ModulusClass) -> Self {
        let flooding = Flooding::new(subsets, Room::Value(class));
        let model = NoiseModel::new(subsets);
        let count = salus_schema::cube::MAX_CELLS as f64 * f64::from(1u32 << 20);
        let cost = flooding.cost(KEY_SPREAD * count * model.upload_variance());
        Self {
            modulus_over_error: 128.0 - NoiseModel::error_variance().log2() / 2.0,
            upload_noise: model.upload_variance().log2() / 2.0,
            flooding: flooding.bits(),
            half_step: 127 - Modulus::of(class).bits(),
            largest_value: (class.largest() as f64).log2(),
            openings: (FloodingBudget::LIMIT / cost).log2(),
        }
    }
}

//! The parameter set, its noise and what can go wrong with which probability.
//!
//! Torus elements are 64-bit words; noise is a standard deviation in units of 2^-64 of the torus, or in *positions*: one
//! position is one coefficient of a rotation, 2^52. The formulas are the usual ones of the TFHE literature (Chillotti,
//! Gama, Georgieva, Izabachene, J. Cryptology 2020; the centred modulus switch of Bergerat et al.), with binary secrets.

/// Degree of the ring, also the dimension of the large LWE key.
pub const RING: usize = 2048;
/// Dimension of the small LWE key.
pub const SMALL: usize = 918;
/// log2 of the positions of a rotation, twice the ring degree.
pub const POSITIONS_LOG: u32 = 12;
/// log2 of the scale of a bit in a fresh record.
pub const SLOT_LOG: u32 = 50;
/// Slots of a record, at most: what one mask of the large dimension carries.
pub const MAX_SLOTS: usize = RING;
/// Coefficients per window of a 16-window rotation.
pub const WINDOW: usize = 128;
/// Windows of a rotation, and the base of a measure's digits.
pub const WINDOWS: usize = 16;
/// log2 of the bound of fresh noise and of the noise of the bootstrapping keys.
pub const RING_NOISE_LOG: u32 = 17;
/// log2 of the bound of the noise of the keyswitching key.
pub const SMALL_NOISE_LOG: u32 = 45;
/// Base, in bits, and levels of the keyswitching key.
pub const KEYSWITCH: Gadget = Gadget {
    base_log: 4,
    levels: 4,
};
/// The bootstrapping key of counts and ANDs: one level, the fastest.
pub const COUNTING: Gadget = Gadget {
    base_log: 23,
    levels: 1,
};
/// The bootstrapping key of histograms, measures and digits: two levels, 2^7 times less noise.
pub const SUMMING: Gadget = Gadget {
    base_log: 15,
    levels: 2,
};
/// Bits of a chunk's total, at most.
pub const CHUNK_BITS: u32 = 11;
/// Rotations of the counting key per chunk: their noise leaves 2^-188 in the first bit.
pub const COUNT_CHUNK: usize = 63;
/// Records per chunk of a histogram, totals below 2^11.
pub const HISTOGRAM_CHUNK: usize = 2047;
/// Records per chunk of a digit of a measure, totals of at most 15 * 136 < 2^11.
pub const DIGIT_CHUNK: usize = 136;
/// Records per query, at most: totals of measures stay below 2^48.
pub const MAX_RECORDS: usize = 1 << 24;
/// Failure probability of one tfhe operation on digits, log2: the published value of the set.
pub const LIBRARY_FAILURE_LOG2: f64 = -129.581;

/// Base and number of levels of a decomposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gadget {
    /// log2 of the base.
    pub base_log: u32,
    /// Levels.
    pub levels: u32,
}

/// Variance of the uniform noise on `[-2^log, 2^log]` with half weight at the ends.
fn uniform_variance(log: u32) -> f64 {
    let bound = 2f64.powi(log as i32);
    (2.0 * bound * bound + 1.0) / 6.0
}

/// Standard deviation, in positions, of the phase that a rotation turns by: keyswitch plus modulus switch.
pub fn phase_deviation() -> f64 {
    let base = 2f64.powi(KEYSWITCH.base_log as i32);
    let terms = (RING as u32 * KEYSWITCH.levels) as f64;
    let key = terms * (base * base + 2.0) / 12.0 * uniform_variance(SMALL_NOISE_LOG);
    let dropped = 2f64.powi(64 - (KEYSWITCH.base_log * KEYSWITCH.levels) as i32);
    let rounding = RING as f64 / 2.0 * dropped * dropped / 12.0;
    let position = 2f64.powi(64 - POSITIONS_LOG as i32);
    let switch = SMALL as f64 / 48.0 + 1.0 / 12.0;
    ((key + rounding) / (position * position) + switch).sqrt()
}

/// Standard deviation of a rotation's output noise, in units of 2^-64.
pub fn rotation_deviation(gadget: Gadget) -> f64 {
    let base = 2f64.powi(gadget.base_log as i32);
    let terms = (SMALL as u32 * gadget.levels) as f64 * 2.0 * RING as f64;
    let key = terms * (base * base + 2.0) / 12.0 * uniform_variance(RING_NOISE_LOG);
    let dropped = 2f64.powi(64 - (gadget.base_log * gadget.levels) as i32);
    let rounding = SMALL as f64 / 2.0 * (1.0 + RING as f64 / 2.0) * dropped * dropped / 12.0;
    (key + rounding).sqrt()
}

/// log2 of the probability that Gaussian noise of deviation `sigma` exceeds `margin` on either side.
pub fn failure_log2(margin: f64, sigma: f64) -> f64 {
    let x = margin / sigma / std::f64::consts::SQRT_2;
    if x < 1.0 {
        return 0.0;
    }
    (-x * x * std::f64::consts::LOG2_E - (x * std::f64::consts::PI.sqrt()).log2()).min(0.0)
}

/// log2 of the failure probability of one rotation whose windows have `width` coefficients.
pub fn window_failure_log2(width: usize) -> f64 {
    failure_log2(width as f64 / 2.0, phase_deviation())
}

/// log2 of the failure probability of extracting the digits of one chunk's total.
///
/// `total_deviation` is the noise of the total and `lowest` the log2 of its unit.
pub fn extraction_failure_log2(total_deviation: f64, lowest: u32) -> f64 {
    let position = 2f64.powi(64 - POSITIONS_LOG as i32);
    let phase = phase_deviation() * position;
    let mut failures = UnionBound::default();
    for bit in 0..64 - lowest {
        let lift = 2f64.powi((63 - lowest - bit) as i32);
        let removed = f64::from(bit) * rotation_deviation(SUMMING).powi(2);
        let lifted = (total_deviation * total_deviation + removed) * lift * lift;
        let margin = 2f64.powi(if bit == 0 { 62 } else { 61 });
        failures.add(failure_log2(margin, (lifted + phase * phase).sqrt()), 1.0);
    }
    failures.log2()
}

/// A sum of small probabilities, kept as a logarithm.
#[derive(Clone, Copy, Debug)]
pub struct UnionBound(f64);

impl Default for UnionBound {
    fn default() -> Self {
        Self(f64::NEG_INFINITY)
    }
}

impl UnionBound {
    /// Adds `times` events of probability `2^log2`.
    pub fn add(&mut self, log2: f64, times: f64) {
        let term = log2 + times.log2();
        let (high, low) = if self.0 > term {
            (self.0, term)
        } else {
            (term, self.0)
        };
        if high > f64::NEG_INFINITY {
            self.0 = high + (1.0 + (low - high).exp2()).log2();
        }
    }

    /// log2 of the sum, at most 0.
    pub fn log2(&self) -> f64 {
        self.0.min(0.0)
    }
}

/// What is assumed of one core when a duration is estimated, in seconds.
///
/// [`CostModel::REFERENCE`] decides how a query is planned (only its ratios matter there) and is the default of
/// estimates; [`crate::evaluate::measure_costs`] finds the figures of the machine at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// One keyswitch and rotation of the counting key, in a full batch.
    pub count: f64,
    /// One keyswitch and rotation of the summing key, in a full batch.
    pub sum: f64,
    /// One library operation on a digit.
    pub digit: f64,
    /// One squashed block.
    pub squash: f64,
}

impl CostModel {
    /// One core of a 3.5 GHz Zen 4 machine shared with other work; a quiet core is faster.
    pub const REFERENCE: Self = Self {
        count: 0.020,
        sum: 0.032,
        digit: 0.022,
        squash: 0.370,
    };
}

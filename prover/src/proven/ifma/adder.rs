//! Batch-affine addition of G1 points, eight pairs at a time.
//!
//! Every lane runs its own chain of Montgomery's inversion trick, so one scalar inversion serves a
//! whole batch. Cost of eight additions: 6 lane products (about 700 instructions), 3 transposes
//! and the bookkeeping around them; the scalar inversion adds 5 us per [`BATCH`].

use super::field::{Base, Lanes, Modulus, transpose};
use crate::proven::msm::{Adder as PortableAdder, Point};
use ark_bn254::Fq;
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, Zero};
use core::arch::x86_64::*;

type Fq8 = Lanes<Base>;

/// Pairs whose inversions are shared; their working set of 0.4 MB stays in the L2 cache.
const BATCH: usize = 2048;
/// How many groups of eight pairs the table is read ahead.
const AHEAD: usize = 4;

/// A point in one cache line: words of x then y, each below 2 p, in Montgomery form with R = 2^260.
/// All zero is infinity; no finite point has y = 0 because the group order is odd.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Packed([u64; 8]);

impl Packed {
    /// Infinity.
    pub const INFINITY: Self = Self([0; 8]);

    /// From plain coordinates.
    pub fn new(p: &Point<Fq>) -> Self {
        let (x, y) = (to_words(p.x), to_words(p.y));
        Self([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]])
    }

    /// To plain coordinates.
    pub fn point(&self) -> Point<Fq> {
        Point {
            x: from_words(&self.0[..4]),
            y: from_words(&self.0[4..]),
        }
    }

    /// True for infinity.
    pub fn is_infinity(&self) -> bool {
        self.0[4..] == [0; 4]
    }

    /// The point of an id in `points`: index * 2 + sign.
    pub fn load(points: &[Self], id: u32) -> Self {
        let mut p = points[(id >> 1) as usize];
        if id & 1 == 1 && !p.is_infinity() {
            // 2 p - y; both are below 2^255
            let mut borrow = false;
            for (y, m) in p.0[4..].iter_mut().zip(TWICE_P) {
                let (d, b1) = m.overflowing_sub(*y);
                let (d, b2) = d.overflowing_sub(u64::from(borrow));
                (*y, borrow) = (d, b1 | b2);
            }
        }
        p
    }
}

const TWICE_P: [u64; 4] = {
    let p = Base::WORDS;
    [
        p[0] << 1,
        p[1] << 1 | p[0] >> 63,
        p[2] << 1 | p[1] >> 63,
        p[3] << 1 | p[2] >> 63,
    ]
};

/// v 2^260 mod p; ark keeps v 2^256.
fn to_words(v: Fq) -> [u64; 4] {
    v.double().double().double().double().0.0
}

/// ark's reading of the words of v 2^260 is 16 v.
fn raw(w: [u64; 4]) -> Fq {
    let mut value = BigInt(w);
    while value >= BigInt(Base::WORDS) {
        value.sub_with_borrow(&BigInt(Base::WORDS));
    }
    Fq::new_unchecked(value)
}

fn from_words(w: &[u64]) -> Fq {
    const SIXTEENTH: Fq = ark_ff::MontFp!(
        "12312136615409592312513603231707217237391675025980025810262583815737939742328"
    );
    raw([w[0], w[1], w[2], w[3]]) * SIXTEENTH
}

/// What the second pass needs of eight pairs.
struct Group {
    left_x: Fq8,
    left_y: Fq8,
    /// Right minus left, plus 2 p.
    delta_x: Fq8,
    delta_y: Fq8,
    /// Product of the denominators before this group, lane by lane.
    prefix: Fq8,
    /// Lanes in which either point is infinite.
    infinite: __mmask8,
}

/// Pending additions `out[target] = points[left] + points[right]`.
pub struct Adder {
    left: Vec<u32>,
    right: Vec<u32>,
    target: Vec<u32>,
    groups: Vec<Group>,
}

impl Adder {
    /// Empty buffers.
    ///
    /// # Panics
    /// Without AVX-512 IFMA: this is what makes [`Self::flush`] sound.
    pub fn new() -> Self {
        assert!(super::available());
        Self {
            left: Vec::with_capacity(BATCH),
            right: Vec::with_capacity(BATCH),
            target: Vec::with_capacity(BATCH),
            groups: Vec::with_capacity(BATCH / 8),
        }
    }

    /// Adds two points by id once a batch is full.
    #[inline]
    pub fn push(
        &mut self,
        points: &[Packed],
        left: u32,
        right: u32,
        target: usize,
        out: &mut [Packed],
    ) {
        self.left.push(left);
        self.right.push(right);
        self.target.push(target as u32);
        if self.left.len() == BATCH {
            self.flush(points, out);
        }
    }

    /// Adds all pending pairs.
    pub fn flush(&mut self, points: &[Packed], out: &mut [Packed]) {
        if self.left.is_empty() {
            return;
        }
        // whole groups: the last pair may be added several times
        while !self.left.len().is_multiple_of(8) {
            self.left.push(self.left[self.left.len() - 1]);
            self.right.push(self.right[self.right.len() - 1]);
            self.target.push(self.target[self.target.len() - 1]);
        }
        // SAFETY: an adder exists only where the features do, see `new`.
        let product = unsafe { self.collect(points) };
        match invert_each(product) {
            // SAFETY: as above.
            Some(inverses) => unsafe { self.finish(points, inverses, out) },
            None => self.one_by_one(points, out),
        }
        self.left.clear();
        self.right.clear();
        self.target.clear();
        self.groups.clear();
    }

    /// First pass: loads all pairs and multiplies their denominators up.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn collect(&mut self, points: &[Packed]) -> [[u64; 4]; 8] {
        let one = Fq8::splat(to_words(Fq::ONE));
        let mut product = one;
        for k in (0..self.left.len()).step_by(8) {
            for ahead in [&self.left, &self.right] {
                for id in ahead.iter().skip(k + 8 * AHEAD).take(8) {
                    let line: *const Packed = &points[(*id >> 1) as usize];
                    _mm_prefetch::<_MM_HINT_T0>(line.cast());
                }
            }
            let (left_x, left_y, left_infinite) = load_eight(points, &self.left[k..k + 8]);
            let (right_x, right_y, right_infinite) = load_eight(points, &self.right[k..k + 8]);
            let infinite = left_infinite | right_infinite;
            let delta_x = right_x.minus(left_x).plus_moduli(2).carry();
            let delta_y = right_y.minus(left_y).plus_moduli(2).carry();
            let delta_x = if infinite == 0 {
                delta_x
            } else {
                delta_x.blend(infinite, one)
            };
            self.groups.push(Group {
                left_x,
                left_y,
                delta_x,
                delta_y,
                prefix: product,
                infinite,
            });
            product = product.times(delta_x);
        }
        split(product)
    }

    /// Second pass: slopes and sums, last group first.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&self, points: &[Packed], inverses: [[u64; 4]; 8], out: &mut [Packed]) {
        let mut inverse = join(inverses);
        for (index, group) in self.groups.iter().enumerate().rev() {
            let k = 8 * index;
            let own = inverse.times(group.prefix);
            inverse = inverse.times(group.delta_x);
            let slope = group.delta_y.times(own);
            let square = slope.times_loose(slope);
            // x = slope^2 - 2 left_x - (right_x - left_x); delta_x has 2 p too much
            let twice = group.left_x.plus(group.left_x);
            let x = square
                .minus(twice)
                .minus(group.delta_x)
                .plus_moduli(2)
                .reduce();
            let fall = group.left_x.minus(x).plus_moduli(2).carry();
            let y = slope.times_loose(fall).minus(group.left_y).reduce();
            let (x, y) = (x.pack(), y.pack());
            let rows = transpose([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]]);
            for (row, target) in rows.iter().zip(&self.target[k..k + 8]) {
                let line: *mut Packed = &mut out[*target as usize];
                // SAFETY: `line` is an exclusive reference to 64 bytes, aligned to 64.
                unsafe { _mm512_store_si512(line.cast(), *row) };
            }
            if group.infinite != 0 {
                for i in (0..8).filter(|i| group.infinite >> i & 1 == 1) {
                    let left = Packed::load(points, self.left[k + i]);
                    let sum = if left.is_infinity() {
                        Packed::load(points, self.right[k + i])
                    } else {
                        left
                    };
                    out[self.target[k + i] as usize] = sum;
                }
            }
        }
    }

    /// Some pair has equal x: leaves the batch to the portable adder.
    #[cold]
    fn one_by_one(&self, points: &[Packed], out: &mut [Packed]) {
        let mut sums = vec![Point::INFINITY; self.left.len()];
        let mut adder = PortableAdder::new();
        for (k, (l, r)) in self.left.iter().zip(&self.right).enumerate() {
            adder.push(
                Packed::load(points, *l).point(),
                Packed::load(points, *r).point(),
                k,
                &mut sums,
            );
        }
        adder.flush(&mut sums);
        for (sum, target) in sums.iter().zip(&self.target) {
            out[*target as usize] = Packed::new(sum);
        }
    }
}

/// Coordinates of eight points by id, and which of them are infinite.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load_eight(points: &[Packed], ids: &[u32]) -> (Fq8, Fq8, __mmask8) {
    let mut rows = [_mm512_setzero_si512(); 8];
    let mut negative = 0;
    for (i, (row, id)) in rows.iter_mut().zip(ids).enumerate() {
        let line: *const Packed = &points[(*id >> 1) as usize];
        // SAFETY: `line` is a reference to 64 bytes, aligned to 64.
        *row = unsafe { _mm512_load_si512(line.cast()) };
        negative |= ((*id & 1) as __mmask8) << i;
    }
    let w = transpose(rows);
    let x = Lanes::unpack([w[0], w[1], w[2], w[3]]);
    let y: Fq8 = Lanes::unpack([w[4], w[5], w[6], w[7]]);
    let infinite = y.zero_limbs();
    (x, y.negate(negative), infinite)
}

#[target_feature(enable = "avx512f")]
fn split(v: Fq8) -> [[u64; 4]; 8] {
    let w = v.pack();
    let mut out = [[0; 4]; 8];
    for (j, word) in w.iter().enumerate() {
        let mut lane = [0u64; 8];
        // SAFETY: 64 bytes are written to an array of 64 bytes.
        unsafe { _mm512_storeu_si512(lane.as_mut_ptr().cast(), *word) };
        for (out, lane) in out.iter_mut().zip(lane) {
            out[j] = lane;
        }
    }
    out
}

#[target_feature(enable = "avx512f")]
fn join(v: [[u64; 4]; 8]) -> Fq8 {
    let word = |j: usize| {
        let w = v.map(|lane| lane[j] as i64);
        _mm512_setr_epi64(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
    };
    Lanes::unpack([word(0), word(1), word(2), word(3)])
}

/// Inverts eight residues in the 2^260 form; `None` when one is zero.
fn invert_each(values: [[u64; 4]; 8]) -> Option<[[u64; 4]; 8]> {
    // ark reads 16 v: its inverse is 1 / (16 v), and the words of 1/v are those ark keeps for 16/v
    let values = values.map(raw);
    let mut prefixes = [Fq::ONE; 8];
    let mut product = Fq::ONE;
    for (prefix, v) in prefixes.iter_mut().zip(&values) {
        *prefix = product;
        product *= v;
    }
    if product.is_zero() {
        return None;
    }
    let mut inverse = product.inverse()? * Fq::from(256u64);
    let mut out = [[0; 4]; 8];
    for k in (0..8).rev() {
        out[k] = (inverse * prefixes[k]).0.0;
        inverse *= values[k];
    }
    Some(out)
}

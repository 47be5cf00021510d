//! A B on a coset: two inverse and two forward transforms and their product, eight rows at a time.
//!
//! All butterflies are `(u + w v, u - w v)`: the inverse transform runs from bit-reversed to natural
//! order, the forward one back, so nothing is permuted in between. Twiddles of the forward
//! transform contain the coset's shift, the last product the factor 1/n^2 and the way out of
//! Montgomery form. Sums stay unreduced: the first three levels
//! stay below 12 p, every other adds at most 2 p, and the 82 p of k = 19 are below the 84 p a lane
//! holds.
//!
//! Cost: about 150 instructions per 8 butterflies. Every transform touches memory three times
//! instead of k times: blocks of 2^8 rows in order, then columns of 2^8 blocks, then blocks again.

use super::field::{Lanes, Scalar, limbs, transpose};
use ark_bn254::Fr;
use ark_ff::{BigInt, FftField, Field, PrimeField};
use core::arch::x86_64::*;
use rayon::prelude::*;

type Fr8 = Lanes<Scalar>;

/// Twiddles for one domain size and coset.
pub struct CosetProduct {
    /// log2 of the domain.
    log: u32,
    /// Vectors per block, blocks of the domain: both powers of two, 8 * block * rows = 2^log.
    block: usize,
    rows: usize,
    /// w8, w8^2, w8^3 of the inverse transform.
    eighth: [Fr8; 3],
    /// Inverse transform within a block: level with half H at H - 1.
    inner: Vec<Fr8>,
    /// Inverse transform across blocks: for each column, level with half R at R - 1.
    outer: Vec<Fr8>,
    /// Forward transform down to halves of 8: level l, part j at 2^l - 1 + j, the same in all lanes.
    forward: Vec<[i64; 5]>,
    /// Its last three levels: 1 + 2 + 4 vectors for every 64 rows.
    last: Vec<Fr8>,
    /// 2^8 / n^2.
    exit: Fr8,
}

fn reversed(k: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        k.reverse_bits() >> (usize::BITS - bits)
    }
}

/// Words of v 2^260 mod r.
fn words(v: Fr) -> [u64; 4] {
    (v * Fr::from(16u64)).0.0
}

#[target_feature(enable = "avx512f")]
fn lanes(v: [[u64; 4]; 8]) -> Fr8 {
    let word = |j: usize| {
        let w = v.map(|lane| lane[j] as i64);
        _mm512_setr_epi64(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
    };
    Lanes::unpack([word(0), word(1), word(2), word(3)])
}

/// `(u + w v, u - w v)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn butterfly(u: &mut Fr8, v: &mut Fr8, w: Fr8) {
    let product = v.carry().times_loose(w);
    (*u, *v) = (u.plus(product), u.minus(product).plus_moduli(2));
}

/// The same with w = 1 for v below 4 p, which the first three levels keep.
#[inline]
#[target_feature(enable = "avx512f")]
fn sum_and_difference(u: &mut Fr8, v: &mut Fr8) {
    (*u, *v) = (u.plus(*v), u.minus(*v).plus_moduli(4));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_lanes(v: [Fr8; 8]) -> [Fr8; 8] {
    let mut out = v;
    for i in 0..5 {
        let turned = transpose(v.map(|v| v.limbs[i]));
        for (out, limb) in out.iter_mut().zip(turned) {
            out.limbs[i] = limb;
        }
    }
    out
}

impl CosetProduct {
    /// For domains of 2^7 to 2^19 rows and the coset `shift` times the domain.
    ///
    /// # Panics
    /// For other sizes, and without AVX-512 IFMA: this is what makes [`Self::product`] sound.
    pub fn new(log: u32, shift: Fr) -> Self {
        assert!(super::available() && (7..=19).contains(&log));
        // SAFETY: the features were found.
        unsafe { Self::tables(log, shift) }
    }

    #[target_feature(enable = "avx512f")]
    fn tables(log: u32, shift: Fr) -> Self {
        let n = 1usize << log;
        let block = 1usize << (log / 2).max(6).saturating_sub(3);
        let rows = n / 8 / block;
        let root = Fr::get_root_of_unity(n as u64).expect("domains up to 2^28 exist");
        let powers = |w: Fr, count: usize| -> Vec<Fr> {
            core::iter::successors(Some(Fr::ONE), |p| Some(*p * w))
                .take(count)
                .collect()
        };
        let inverse = powers(root.inverse().expect("a root is not zero"), n / 2);
        // w_(16 half)^(8 v + lane): the twiddle of vector v at a level with halves of `half` vectors
        let level = |half: usize, v: usize| {
            lanes(core::array::from_fn(|lane| {
                words(inverse[(8 * v + lane) * (n / (16 * half))])
            }))
        };
        let halves = |end: usize| (0..end.ilog2()).map(|k| 1usize << k);
        let mut inner = Vec::new();
        for half in halves(block) {
            inner.extend((0..half).map(|v| level(half, v)));
        }
        let mut outer = Vec::new();
        for column in 0..block {
            for half in halves(rows) {
                outer.extend((0..half).map(|row| level(half * block, row * block + column)));
            }
        }
        // t(l, j) = g^(n / 2^(l+1)) w^(reversed(j) n / 2^(l+1))
        let roots = powers(root, n / 2);
        let split = |l: u32| {
            let step = n >> (l + 1);
            let base = shift.pow([step as u64]);
            let roots = &roots;
            move |j: usize| words(base * roots[reversed(j, l) * step])
        };
        let forward = (0..log - 3)
            .flat_map(|l| (0..1 << l).map(split(l)).map(limbs))
            .collect();
        let [four, two, one] = [split(log - 3), split(log - 2), split(log - 1)];
        let mut last = Vec::new();
        for first in (0..n / 8).step_by(8) {
            last.push(lanes(core::array::from_fn(|r| four(first + r))));
            last.extend((0..2).map(|c| lanes(core::array::from_fn(|r| two(2 * (first + r) + c)))));
            last.extend((0..4).map(|c| lanes(core::array::from_fn(|r| one(4 * (first + r) + c)))));
        }
        let size = Fr::from(n as u64);
        let exit = Fr::from(256u64) * (size * size).inverse().expect("n is below r");
        Self {
            log,
            block,
            rows,
            eighth: core::array::from_fn(|k| Lanes::splat(words(inverse[(k + 1) * (n / 8)]))),
            inner,
            outer,
            forward,
            last,
            exit: Lanes::splat(exit.into_bigint().0),
        }
    }

    /// The values on the coset of the product of the polynomials with values `a` and `b` on the
    /// domain, as plain integers below r.
    ///
    /// # Panics
    /// When the lengths are not that of the domain.
    pub fn product(&self, a: &[Fr], b: &[Fr]) -> Vec<BigInt<4>> {
        assert!(a.len() == 1 << self.log && b.len() == a.len());
        // SAFETY: a value of this type exists only where the features do, see `new`.
        let (mut a, mut b) = rayon::join(
            || unsafe { self.to_columns(a) },
            || unsafe { self.to_columns(b) },
        );
        let mut out = vec![BigInt([0; 4]); 8 * a.len()];
        a.par_chunks_mut(self.block)
            .zip(b.par_chunks_mut(self.block))
            .zip(out.par_chunks_mut(8 * self.block))
            .enumerate()
            // SAFETY: as above.
            .for_each(|(index, ((a, b), out))| unsafe { self.finish(index, a, b, out) });
        (0..out.len())
            .into_par_iter()
            .with_min_len(1024)
            .map(|k| out[reversed(k, self.log)])
            .collect()
    }

    /// The inverse transform and the forward levels that cross blocks.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn to_columns(&self, values: &[Fr]) -> Vec<Fr8> {
        let mut data = Vec::with_capacity(values.len() / 8);
        for first in (0..values.len()).step_by(64) {
            // loaded by columns, so that the first three levels run across vectors
            let load = |r: usize, c: usize| values[reversed(first + 8 * r + c, self.log)].0.0;
            let mut v: [Fr8; 8] =
                core::array::from_fn(|c| lanes(core::array::from_fn(|r| load(r, c))));
            let [w1, w2, w3] = self.eighth;
            let mut pair = |i: usize, j: usize, w: Option<Fr8>| {
                let (low, high) = v.split_at_mut(j);
                match w {
                    Some(w) => butterfly(&mut low[i], &mut high[0], w),
                    None => sum_and_difference(&mut low[i], &mut high[0]),
                }
            };
            for i in [0, 2, 4, 6] {
                pair(i, i + 1, None);
            }
            for i in [0, 4] {
                pair(i, i + 2, None);
                pair(i + 1, i + 3, Some(w2));
            }
            for (i, w) in [None, Some(w1), Some(w2), Some(w3)].into_iter().enumerate() {
                pair(i, i + 4, w);
            }
            data.extend(transpose_lanes(v));
        }
        for block in data.chunks_exact_mut(self.block) {
            natural(block, &self.inner);
        }
        let mut column = vec![self.exit; self.rows];
        for (c, twiddles) in self
            .outer
            .chunks_exact((self.rows - 1).max(1))
            .enumerate()
            .take(self.block)
        {
            for (row, v) in column.iter_mut().enumerate() {
                *v = data[row * self.block + c];
            }
            natural(&mut column, twiddles);
            self.halve(0, 0, &mut column);
            for (row, v) in column.iter().enumerate() {
                data[row * self.block + c] = *v;
            }
        }
        data
    }

    /// Forward levels from `level` on over `data`, part `part` of that level.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn halve(&self, level: u32, part: usize, data: &mut [Fr8]) {
        for k in 0..data.len().ilog2() {
            let width = data.len() >> k;
            let twiddles = &self.forward[(1 << (level + k)) - 1 + (part << k)..];
            for (part, w) in data.chunks_exact_mut(width).zip(twiddles) {
                let w = Lanes::new(w.map(|l| _mm512_set1_epi64(l)));
                let (low, high) = part.split_at_mut(width / 2);
                for (u, v) in low.iter_mut().zip(high) {
                    butterfly(u, v, w);
                }
            }
        }
    }

    /// The forward levels within block `index` of both polynomials and the product of their values.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&self, index: usize, a: &mut [Fr8], b: &mut [Fr8], out: &mut [BigInt<4>]) {
        let level = self.rows.ilog2();
        self.halve(level, index, a);
        self.halve(level, index, b);
        let groups = a
            .chunks_exact(8)
            .zip(b.chunks_exact(8))
            .zip(out.chunks_exact_mut(64))
            .enumerate();
        for (k, ((a, b), out)) in groups {
            let twiddles = &self.last[7 * (index * self.block / 8 + k)..][..7];
            let (a, b) = (last_levels(a, twiddles), last_levels(b, twiddles));
            for c in 0..8 {
                let scaled = a[c].carry().times(self.exit);
                let product = scaled.times_loose(b[c].carry()).reduce().canonical().pack();
                for (j, word) in product.into_iter().enumerate() {
                    let mut lane = [0u64; 8];
                    // SAFETY: 64 bytes are written to an array of 64 bytes.
                    unsafe { _mm512_storeu_si512(lane.as_mut_ptr().cast(), word) };
                    for (r, lane) in lane.into_iter().enumerate() {
                        out[8 * r + c].0[j] = lane;
                    }
                }
            }
        }
    }
}

/// Inverse levels over the whole of `data`; twiddles of the level with half H at H - 1.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn natural(data: &mut [Fr8], twiddles: &[Fr8]) {
    for half in (0..data.len().ilog2()).map(|k| 1usize << k) {
        let twiddles = &twiddles[half - 1..2 * half - 1];
        for part in data.chunks_exact_mut(2 * half) {
            let (low, high) = part.split_at_mut(half);
            for ((u, v), w) in low.iter_mut().zip(high).zip(twiddles) {
                butterfly(u, v, *w);
            }
        }
    }
}

/// The last three forward levels of 64 rows; vector c of the result holds rows c, 8 + c, ...
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn last_levels(data: &[Fr8], twiddles: &[Fr8]) -> [Fr8; 8] {
    let mut v = transpose_lanes(core::array::from_fn(|r| data[r]));
    let mut twiddles = twiddles.iter();
    for width in [8, 4, 2] {
        for part in v.chunks_exact_mut(width) {
            let (low, high) = part.split_at_mut(width / 2);
            let w = *twiddles.next().expect("seven twiddles");
            for (u, v) in low.iter_mut().zip(high) {
                butterfly(u, v, w);
            }
        }
    }
    v
}

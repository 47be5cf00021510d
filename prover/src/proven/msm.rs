//! Batch-affine point sums and fixed-base multi-scalar multiplication.
//!
//! Cost model: one affine addition is six field multiplications when the inversions of a batch
//! are shared (Montgomery's trick), against eleven or more for a mixed Jacobian one. The bases of
//! the quotient never change, so all their window shifts are precomputed and every digit
//! of every scalar falls into one common set of buckets: no doublings at query time.

use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, PrimeField, Zero};
use rayon::prelude::*;

/// An affine point as plain coordinates; infinity is (0, 0), which is on no curve with b != 0.
#[derive(Clone, Copy)]
pub(crate) struct Point<F> {
    pub(crate) x: F,
    pub(crate) y: F,
}

impl<F: Field> Point<F> {
    pub(crate) const INFINITY: Self = Self {
        x: F::ZERO,
        y: F::ZERO,
    };

    fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }
}

pub(crate) fn plain<C: SWCurveConfig>(p: &Affine<C>) -> Point<C::BaseField> {
    p.xy().map_or(Point::INFINITY, |(x, y)| Point { x, y })
}

pub(crate) fn affine<C: SWCurveConfig>(p: &Point<C::BaseField>) -> Affine<C> {
    if p.is_infinity() {
        Affine::zero()
    } else {
        Affine::new_unchecked(p.x, p.y)
    }
}

/// Pairs whose inversions are shared.
const BATCH: usize = 1024;

/// Reusable buffers of the pair adder.
pub(crate) struct Adder<F> {
    pairs: Vec<(Point<F>, Point<F>)>,
    targets: Vec<u32>,
    denominators: Vec<F>,
    prefixes: Vec<F>,
}

impl<F: Field> Adder<F> {
    pub(crate) fn new() -> Self {
        Self {
            pairs: Vec::with_capacity(BATCH),
            targets: Vec::with_capacity(BATCH),
            denominators: Vec::with_capacity(BATCH),
            prefixes: Vec::with_capacity(BATCH),
        }
    }

    pub(crate) fn push(
        &mut self,
        left: Point<F>,
        right: Point<F>,
        target: usize,
        out: &mut [Point<F>],
    ) {
        self.pairs.push((left, right));
        self.targets.push(target as u32);
        if self.pairs.len() == BATCH {
            self.flush(out);
        }
    }

    /// Adds all pending pairs on a curve with a = 0 and writes them to their targets.
    pub(crate) fn flush(&mut self, out: &mut [Point<F>]) {
        let mut product = F::ONE;
        for (l, r) in &self.pairs {
            let difference = r.x - l.x;
            let denominator = if l.is_infinity() || r.is_infinity() {
                F::ONE
            } else if !difference.is_zero() {
                difference
            } else if l.y == r.y && !l.y.is_zero() {
                l.y.double()
            } else {
                F::ONE
            };
            self.prefixes.push(product);
            product *= denominator;
            self.denominators.push(denominator);
        }
        let mut inverse = product.inverse().expect("every denominator is nonzero");
        for k in (0..self.pairs.len()).rev() {
            let (l, r) = self.pairs[k];
            let own = inverse * self.prefixes[k];
            inverse *= self.denominators[k];
            out[self.targets[k] as usize] = if l.is_infinity() {
                r
            } else if r.is_infinity() {
                l
            } else if l.x == r.x && (l.y != r.y || l.y.is_zero()) {
                Point::INFINITY
            } else {
                let slope = if l.x == r.x {
                    let square = l.x.square();
                    (square.double() + square) * own
                } else {
                    (r.y - l.y) * own
                };
                let x = slope.square() - l.x - r.x;
                Point {
                    x,
                    y: slope * (l.x - x) - l.y,
                }
            };
        }
        self.pairs.clear();
        self.targets.clear();
        self.denominators.clear();
        self.prefixes.clear();
    }
}

/// Sums each bucket. `ids` lists point index * 2 + sign, bucket after bucket; `counts` says how
/// many belong to each. Every level halves every bucket, so all additions of a level are independent.
fn sum_buckets<F: Field>(points: &[Point<F>], ids: &[u32], mut counts: Vec<u32>) -> Vec<Point<F>> {
    let load = |id: u32| {
        let mut p = points[(id >> 1) as usize];
        if id & 1 == 1 {
            p.y = -p.y;
        }
        p
    };
    let halves = |counts: &[u32]| counts.iter().map(|c| c.div_ceil(2) as usize).sum::<usize>();
    let mut adder = Adder::new();
    let mut current = vec![Point::INFINITY; halves(&counts)];
    let (mut from, mut to) = (0, 0);
    for count in &mut counts {
        let bucket = &ids[from..from + *count as usize];
        from += bucket.len();
        let mut pairs = bucket.chunks_exact(2);
        for pair in pairs.by_ref() {
            adder.push(load(pair[0]), load(pair[1]), to, &mut current);
            to += 1;
        }
        if let [last] = pairs.remainder() {
            current[to] = load(*last);
            to += 1;
        }
        *count = count.div_ceil(2);
    }
    adder.flush(&mut current);
    while counts.iter().any(|c| *c > 1) {
        let mut next = vec![Point::INFINITY; halves(&counts)];
        let (mut from, mut to) = (0, 0);
        for count in &mut counts {
            let bucket = &current[from..from + *count as usize];
            from += bucket.len();
            let mut pairs = bucket.chunks_exact(2);
            for pair in pairs.by_ref() {
                adder.push(pair[0], pair[1], to, &mut next);
                to += 1;
            }
            if let [last] = pairs.remainder() {
                next[to] = *last;
                to += 1;
            }
            *count = count.div_ceil(2);
        }
        adder.flush(&mut next);
        current = next;
    }
    let mut from = 0;
    counts
        .iter()
        .map(|c| {
            if *c == 0 {
                return Point::INFINITY;
            }
            from += 1;
            current[from - 1]
        })
        .collect()
}

/// Turns per-bucket counts into start offsets.
pub(crate) fn offsets(counts: &[u32]) -> Vec<u32> {
    let mut next = 0;
    counts
        .iter()
        .map(|c| {
            let start = next;
            next += c;
            start
        })
        .collect()
}

/// Calls `visit(t, |d|, d < 0)` for every nonzero signed digit d of `window` bits, at most half the
/// radix in absolute value; the scalar is the sum of `d_t 2^(window t)`.
pub(crate) fn signed_digits(
    limbs: &[u64],
    window: usize,
    windows: usize,
    mut visit: impl FnMut(usize, usize, bool),
) {
    let half = 1u64 << (window - 1);
    let mask = (1u64 << window) - 1;
    let mut carry = 0;
    for t in 0..windows {
        let (limb, shift) = (t * window / 64, t * window % 64);
        let mut digit = limbs.get(limb).map_or(0, |l| l >> shift);
        if shift + window > 64 {
            digit |= limbs.get(limb + 1).map_or(0, |l| l << (64 - shift));
        }
        let digit = (digit & mask) + carry;
        if digit > half {
            carry = 1;
            if digit <= mask {
                visit(t, (mask + 1 - digit) as usize, true);
            }
        } else {
            carry = 0;
            if digit != 0 {
                visit(t, digit as usize, false);
            }
        }
    }
}

/// Sums points by class: `out[k]` is the sum of `points[i]` with `classes[i] == k`.
///
/// # Panics
/// When the slices differ in length or a class is not below `count`.
pub fn class_sums<C: SWCurveConfig>(
    points: &[Affine<C>],
    classes: &[u16],
    count: usize,
) -> Vec<Affine<C>> {
    assert_eq!(points.len(), classes.len());
    let mut counts = vec![0u32; count];
    for class in classes {
        counts[usize::from(*class)] += 1;
    }
    let mut next = offsets(&counts);
    let mut ids = vec![0u32; points.len()];
    for (i, class) in classes.iter().enumerate() {
        let position = &mut next[usize::from(*class)];
        ids[*position as usize] = (i as u32) << 1;
        *position += 1;
    }
    let points: Vec<_> = points.iter().map(plain).collect();
    sum_buckets(&points, &ids, counts)
        .iter()
        .map(affine)
        .collect()
}

/// `sum_k scalars[k] * points[k]` for small non-negative scalars: one pass per scalar bit.
///
/// # Panics
/// When the slices differ in length.
pub fn small_msm<C: SWCurveConfig>(points: &[Affine<C>], scalars: &[u32]) -> Projective<C> {
    assert_eq!(points.len(), scalars.len());
    let bits = 32 - scalars.iter().fold(0, |acc, s| acc | s).leading_zeros();
    let mut acc = Projective::<C>::zero();
    for bit in (0..bits).rev() {
        acc.double_in_place();
        for (p, s) in points.iter().zip(scalars) {
            if (s >> bit) & 1 == 1 {
                acc += p;
            }
        }
    }
    acc
}

/// Precomputed window shifts of fixed bases.
pub struct FixedBaseMsm<C: SWCurveConfig> {
    table: Vec<Point<C::BaseField>>,
    bases: usize,
    window: usize,
    windows: usize,
}

impl<C: SWCurveConfig> FixedBaseMsm<C> {
    /// Precomputes `2^(window t) * base` for all windows; signed digits of `window` bits.
    ///
    /// Memory: 64 bytes (G1) per base and window, 71 MB for 2^16 bases at 15 bits.
    pub fn new(bases: &[Affine<C>], window: usize) -> Self {
        let bits = C::ScalarField::MODULUS_BIT_SIZE as usize + 1;
        let windows = bits.div_ceil(window);
        let rows: Vec<Vec<Point<C::BaseField>>> = bases
            .par_chunks(256)
            .map(|chunk| {
                let mut shifts = Vec::with_capacity(chunk.len() * windows);
                for base in chunk {
                    let mut p = base.into_group();
                    for t in 0..windows {
                        shifts.push(p);
                        if t + 1 < windows {
                            for _ in 0..window {
                                p.double_in_place();
                            }
                        }
                    }
                }
                Projective::normalize_batch(&shifts)
                    .iter()
                    .map(plain)
                    .collect()
            })
            .collect();
        Self {
            table: rows.concat(),
            bases: bases.len(),
            window,
            windows,
        }
    }

    /// A window width that balances bucket count against digit count for this many bases.
    pub fn window_for(bases: usize) -> usize {
        match bases {
            0..=20_000 => 13,
            20_001..=50_000 => 14,
            50_001..=100_000 => 15,
            _ => 16,
        }
    }

    /// Calls `visit(bucket, id)` for every nonzero signed digit of `scalars[first..]`.
    fn digits(&self, first: usize, scalars: &[C::ScalarField], mut visit: impl FnMut(usize, u32)) {
        for (k, scalar) in scalars.iter().enumerate() {
            let row = (first + k) * self.windows;
            signed_digits(
                scalar.into_bigint().as_ref(),
                self.window,
                self.windows,
                |t, digit, negative| {
                    visit(digit - 1, ((row + t) as u32) << 1 | u32::from(negative));
                },
            );
        }
    }

    /// `sum_k scalars[k] * bases[k]`.
    ///
    /// # Panics
    /// When there are more scalars than bases.
    pub fn msm(&self, scalars: &[C::ScalarField]) -> Projective<C> {
        assert!(
            scalars.len() <= self.bases,
            "{} scalars for {} bases",
            scalars.len(),
            self.bases
        );
        let buckets = 1usize << (self.window - 1);
        let tasks = rayon::current_num_threads().clamp(1, 8);
        let share = scalars.len().div_ceil(tasks).max(1);
        let partial: Vec<Vec<Point<C::BaseField>>> = scalars
            .par_chunks(share)
            .enumerate()
            .map(|(task, part)| {
                let mut counts = vec![0u32; buckets];
                self.digits(task * share, part, |bucket, _| counts[bucket] += 1);
                let mut next = offsets(&counts);
                let mut ids = vec![0u32; counts.iter().sum::<u32>() as usize];
                self.digits(task * share, part, |bucket, id| {
                    ids[next[bucket] as usize] = id;
                    next[bucket] += 1;
                });
                sum_buckets(&self.table, &ids, counts)
            })
            .collect();
        let Some(merged) = partial.into_iter().reduce(|a, b| add_each(&a, &b)) else {
            return Projective::zero();
        };
        weighted_sum::<C>(&merged)
    }
}

/// Pairwise sums.
fn add_each<F: Field>(a: &[Point<F>], b: &[Point<F>]) -> Vec<Point<F>> {
    let mut out = vec![Point::INFINITY; a.len()];
    let mut adder = Adder::new();
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        adder.push(*a, *b, k, &mut out);
    }
    adder.flush(&mut out);
    out
}

/// `sum_b (b + 1) * buckets[b]`.
fn weighted_sum<C: SWCurveConfig>(buckets: &[Point<C::BaseField>]) -> Projective<C> {
    let share = buckets
        .len()
        .div_ceil(rayon::current_num_threads().clamp(1, 8))
        .max(1);
    buckets
        .par_chunks(share)
        .enumerate()
        .map(|(task, part)| {
            let mut running = Projective::<C>::zero();
            let mut acc = Projective::<C>::zero();
            for p in part.iter().rev() {
                if !p.is_infinity() {
                    running += affine::<C>(p);
                }
                acc += running;
            }
            acc + running * C::ScalarField::from((task * share) as u64)
        })
        .reduce(Projective::zero, |a, b| a + b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective, g1, g2};
    use ark_ec::VariableBaseMSM;
    use ark_ff::UniformRand;
    use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn class_sums_add_equal_opposite_and_missing_points() {
        let mut rng = StdRng::seed_from_u64(1);
        let p = G1Affine::rand(&mut rng);
        let q = G1Affine::rand(&mut rng);
        let points = [p, p, -p, q, p, G1Affine::zero(), -q, -p, p, p, p];
        let classes = [0u16, 0, 1, 1, 2, 2, 3, 2, 4, 4, 4];
        let sums = class_sums(&points, &classes, 6);
        assert_eq!(sums[0], (p + p).into_affine());
        assert_eq!(sums[1], (q - p).into_affine());
        assert_eq!(sums[2], G1Affine::zero());
        assert_eq!(sums[3], -q);
        assert_eq!(sums[4], (p * Fr::from(3u64)).into_affine());
        assert_eq!(sums[5], G1Affine::zero());
    }

    #[test]
    fn msm_agrees_with_the_stock_one() {
        let mut rng = StdRng::seed_from_u64(2);
        for n in [1usize, 2, 7, 300] {
            let bases: Vec<G1Affine> = (0..n).map(|_| G1Affine::rand(&mut rng)).collect();
            let mut scalars: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
            scalars[0] = -Fr::from(1u64);
            if n > 2 {
                scalars[1] = Fr::from(0u64);
                scalars[2] = Fr::from(1u64 << 14);
            }
            for window in [5, 13, 15, 16] {
                let table = FixedBaseMsm::<g1::Config>::new(&bases, window);
                assert_eq!(
                    table.msm(&scalars),
                    G1Projective::msm(&bases, &scalars).unwrap()
                );
            }
        }
    }

    #[test]
    fn small_msm_agrees_with_the_stock_one() {
        let mut rng = StdRng::seed_from_u64(3);
        let bases: Vec<G2Affine> = (0..40).map(|_| G2Affine::rand(&mut rng)).collect();
        let scalars: Vec<u32> = (0..40).map(|_| rng.gen_range(0..5000)).collect();
        let wide: Vec<Fr> = scalars.iter().map(|s| Fr::from(*s)).collect();
        assert_eq!(
            small_msm::<g2::Config>(&bases, &scalars),
            G2Projective::msm(&bases, &wide).unwrap()
        );
        assert!(small_msm::<g2::Config>(&bases, &[0; 40]).is_zero());
    }
}

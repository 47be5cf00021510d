//! Multi-scalar multiplication over the lane adder: the same bucket trees as the portable module.

use super::adder::{Adder, Packed};
use crate::proven::msm::{affine, offsets, plain, signed_digits};
use ark_bn254::{G1Affine, G1Projective, g1};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt};
use rayon::prelude::*;

/// Sums each bucket. `ids` lists point index * 2 + sign, bucket after bucket; `counts` says how
/// many belong to each. Every level halves every bucket.
pub fn sum_buckets(points: &[Packed], ids: &[u32], mut counts: Vec<u32>) -> Vec<Packed> {
    let halves = |counts: &[u32]| counts.iter().map(|c| c.div_ceil(2) as usize).sum::<usize>();
    let mut adder = Adder::new();
    let mut current = vec![Packed::INFINITY; halves(&counts)];
    let (mut from, mut to) = (0, 0);
    for count in &mut counts {
        let bucket = &ids[from..from + *count as usize];
        from += bucket.len();
        let (pairs, last) = bucket.as_chunks::<2>();
        for [left, right] in pairs {
            adder.push(points, *left, *right, to, &mut current);
            to += 1;
        }
        if let [last] = last {
            current[to] = Packed::load(points, *last);
            to += 1;
        }
        *count = count.div_ceil(2);
    }
    adder.flush(points, &mut current);
    while counts.iter().any(|c| *c > 1) {
        let mut next = vec![Packed::INFINITY; halves(&counts)];
        let (mut from, mut to) = (0, 0);
        for count in &mut counts {
            let end = from + *count;
            while from + 1 < end {
                adder.push(&current, from << 1, (from + 1) << 1, to, &mut next);
                from += 2;
                to += 1;
            }
            if from < end {
                next[to] = current[from as usize];
                from += 1;
                to += 1;
            }
            *count = count.div_ceil(2);
        }
        adder.flush(&current, &mut next);
        current = next;
    }
    let mut sums = current.into_iter();
    counts
        .iter()
        .map(|c| if *c == 0 { None } else { sums.next() }.unwrap_or(Packed::INFINITY))
        .collect()
}

/// Sums points by class: `out[k]` is the sum of `points[i]` with `classes[i] == k`.
pub fn class_sums(points: &[G1Affine], classes: &[u16], count: usize) -> Vec<G1Affine> {
    let packed: Vec<Packed> = points.iter().map(|p| Packed::new(&plain(p))).collect();
    let sorted = Sorted::new(count, |visit| {
        classes
            .iter()
            .enumerate()
            .for_each(|(i, class)| visit(usize::from(*class), (i as u32) << 1));
    });
    sum_buckets(&packed, &sorted.ids, sorted.counts)
        .iter()
        .map(|p| affine(&p.point()))
        .collect()
}

/// Ids in the order of their buckets.
struct Sorted {
    counts: Vec<u32>,
    ids: Vec<u32>,
}

impl Sorted {
    /// Counting sort of what `each` visits; it is called twice.
    fn new(buckets: usize, each: impl Fn(&mut dyn FnMut(usize, u32))) -> Self {
        let mut counts = vec![0u32; buckets];
        each(&mut |bucket, _| counts[bucket] += 1);
        let mut next = offsets(&counts);
        let mut ids = vec![0; counts.iter().sum::<u32>() as usize];
        each(&mut |bucket, id| {
            ids[next[bucket] as usize] = id;
            next[bucket] += 1;
        });
        Self { counts, ids }
    }
}

/// `(sum_b (b + 1) * sums[b], sum_b sums[b])` of every `width` buckets.
///
/// With b = row * C + column, two affine additions per bucket give all row and column sums; only
/// those few are weighted with general additions.
fn weighted_sums(sums: &[Packed], width: usize) -> Vec<(G1Projective, G1Projective)> {
    let columns = 1usize << (width.ilog2().div_ceil(2));
    let rows = width.div_ceil(columns);
    let parts = sums.len().div_ceil(width);
    let finite = || {
        sums.iter()
            .enumerate()
            .filter(|(_, p)| !p.is_infinity())
            .map(|(k, _)| k)
    };
    let split = |k: usize| (k / width, k % width / columns, k % width % columns);
    let sorted = Sorted::new(parts * (rows + columns), |visit| {
        for k in finite() {
            let (part, row, column) = split(k);
            visit(part * (rows + columns) + row, (k as u32) << 1);
            visit(part * (rows + columns) + rows + column, (k as u32) << 1);
        }
    });
    let lines = sum_buckets(sums, &sorted.ids, sorted.counts);
    lines
        .chunks(rows + columns)
        .map(|lines| {
            let mut weighted = G1Projective::ZERO;
            let mut running = G1Projective::ZERO;
            for row in lines[1..rows].iter().rev() {
                running += affine::<g1::Config>(&row.point());
                weighted += running;
            }
            for _ in 0..columns.ilog2() {
                weighted.double_in_place();
            }
            let mut running = G1Projective::ZERO;
            for column in lines[rows..].iter().rev() {
                running += affine::<g1::Config>(&column.point());
                weighted += running;
            }
            (weighted, running)
        })
        .collect()
}

/// Window shifts of fixed bases, 64 bytes each.
pub struct FixedBase {
    table: Vec<Packed>,
    bases: usize,
    window: usize,
    windows: usize,
}

impl FixedBase {
    /// A window width that balances bucket count against digit count for this many bases.
    pub fn window_for(bases: usize) -> usize {
        match bases {
            0..=20_000 => 13,
            20_001..=50_000 => 15,
            _ => 16,
        }
    }

    /// Precomputes `2^(window t) * base` for all windows.
    pub fn new(bases: &[G1Affine], window: usize) -> Self {
        let windows = 255usize.div_ceil(window);
        let rows: Vec<Vec<Packed>> = bases
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
                let affine = G1Projective::normalize_batch(&shifts);
                affine.iter().map(|p| Packed::new(&plain(p))).collect()
            })
            .collect();
        Self {
            table: rows.concat(),
            bases: bases.len(),
            window,
            windows,
        }
    }

    /// `sum_k scalars[k] * bases[k]`.
    ///
    /// # Panics
    /// When there are more scalars than bases.
    pub fn msm(&self, scalars: &[BigInt<4>]) -> G1Projective {
        assert!(
            scalars.len() <= self.bases,
            "{} scalars for {} bases",
            scalars.len(),
            self.bases
        );
        let buckets = 1usize << (self.window - 1);
        let tasks = rayon::current_num_threads().clamp(1, 8);
        let share = scalars.len().div_ceil(tasks).max(1);
        let sorted: Vec<Sorted> = scalars
            .par_chunks(share)
            .enumerate()
            .map(|(task, part)| {
                Sorted::new(buckets, |visit| {
                    for (k, scalar) in part.iter().enumerate() {
                        let first = (task * share + k) * self.windows;
                        signed_digits(
                            &scalar.0,
                            self.window,
                            self.windows,
                            |t, digit, negative| {
                                visit(digit - 1, ((first + t) as u32) << 1 | u32::from(negative));
                            },
                        );
                    }
                })
            })
            .collect();
        // then every task takes a range of buckets and what all sorters put there
        let width = buckets.div_ceil(tasks);
        (0..tasks)
            .into_par_iter()
            .map(|task| {
                let range = (task * width).min(buckets)..((task + 1) * width).min(buckets);
                let mut parts: Vec<_> = sorted
                    .iter()
                    .map(|s| {
                        let skipped: u32 = s.counts[..range.start].iter().sum();
                        (&s.ids[skipped as usize..], &s.counts[range.clone()])
                    })
                    .collect();
                let counts: Vec<u32> = (0..range.len())
                    .map(|b| parts.iter().map(|(_, c)| c[b]).sum())
                    .collect();
                let mut ids = Vec::with_capacity(counts.iter().sum::<u32>() as usize);
                for b in 0..range.len() {
                    for (rest, counts) in &mut parts {
                        let (now, later) = rest.split_at(counts[b] as usize);
                        ids.extend_from_slice(now);
                        *rest = later;
                    }
                }
                let sums = sum_buckets(&self.table, &ids, counts);
                if sums.is_empty() {
                    return G1Projective::ZERO;
                }
                let (weighted, total) = weighted_sums(&sums, sums.len())[0];
                weighted + total * ark_bn254::Fr::from(range.start as u64)
            })
            .reduce(|| G1Projective::ZERO, |a, b| a + b)
    }
}

/// `sum_k scalars[k] * points[k]` for scalars below `2^bits`.
///
/// Cost: about `(bits / c) (n + 2^c)` affine additions for c near log2(n) - 2.
pub fn msm(points: &[G1Affine], scalars: &[BigInt<4>], bits: usize) -> G1Projective {
    assert_eq!(points.len(), scalars.len());
    if points.is_empty() {
        return G1Projective::ZERO;
    }
    let packed: Vec<Packed> = points.iter().map(|p| Packed::new(&plain(p))).collect();
    let window = (points.len().ilog2() as usize)
        .saturating_sub(2)
        .clamp(3, 14);
    let windows = (bits + 1).div_ceil(window);
    let buckets = 1usize << (window - 1);
    let sorted = Sorted::new(buckets * windows, |visit| {
        for (k, scalar) in scalars.iter().enumerate() {
            signed_digits(&scalar.0, window, windows, |t, digit, negative| {
                visit(
                    t * buckets + digit - 1,
                    (k as u32) << 1 | u32::from(negative),
                );
            });
        }
    });
    let sums = sum_buckets(&packed, &sorted.ids, sorted.counts);
    let mut acc = G1Projective::ZERO;
    for (weighted, _) in weighted_sums(&sums, buckets).iter().rev() {
        for _ in 0..window {
            acc.double_in_place();
        }
        acc += weighted;
    }
    acc
}

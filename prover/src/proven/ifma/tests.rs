//! The lanes against the portable code, bit for bit.
#![allow(clippy::unwrap_used)]

use super::adder::{Adder, Packed};
use super::fft::CosetProduct;
use super::msm::{FixedBase, msm};
use crate::proven::msm::{Adder as PortableAdder, FixedBaseMsm, Point, affine, plain};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective, g1};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{BigInt, FftField, Field, PrimeField, UniformRand, Zero};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};

/// False, with a line on standard output, where the lanes cannot run.
fn available() -> bool {
    let available = super::available();
    if !available {
        println!("skipped: no AVX-512 IFMA");
    }
    available
}

mod field {
    use super::super::field::{Base, Lanes, Modulus, Scalar, transpose};
    use super::*;
    use core::arch::x86_64::*;

    fn words(w: [__m512i; 4]) -> [[u64; 4]; 8] {
        // SAFETY: both are 256 bytes of plain integers.
        let columns: [[u64; 8]; 4] = unsafe { core::mem::transmute(w) };
        core::array::from_fn(|i| core::array::from_fn(|j| columns[j][i]))
    }

    fn lanes(v: [[u64; 4]; 8]) -> [__m512i; 4] {
        let columns: [[u64; 8]; 4] = core::array::from_fn(|j| core::array::from_fn(|i| v[i][j]));
        // SAFETY: both are 256 bytes of plain integers.
        unsafe { core::mem::transmute(columns) }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn operations<M: Modulus>(a: [[u64; 4]; 8], b: [[u64; 4]; 8], mask: u8) -> [[[u64; 4]; 8]; 4] {
        let (a, b) = (Lanes::<M>::unpack(lanes(a)), Lanes::<M>::unpack(lanes(b)));
        let product = a.plus_moduli(2).carry().times(b.plus_moduli(2).carry());
        [
            product.canonical().pack(),
            a.negate(mask).minus(b).minus(b).reduce().canonical().pack(),
            a.plus(b)
                .plus(a)
                .plus_moduli(-1)
                .reduce()
                .canonical()
                .pack(),
            a.pack(),
        ]
        .map(words)
    }

    #[target_feature(enable = "avx512f")]
    fn turned(r: [__m512i; 8]) -> [__m512i; 8] {
        transpose(r)
    }

    #[test]
    fn arithmetic_agrees_with_ark() {
        if !available() {
            return;
        }
        fn check<M: Modulus, F: PrimeField<BigInt = BigInt<4>>>(seed: u64) {
            let mut rng = StdRng::seed_from_u64(seed);
            let below: [u64; 4] = (-F::one()).into_bigint().0;
            let edges = [
                [0; 4],
                [1, 0, 0, 0],
                below,
                [(1 << 52) - 1, 0, 0, 0],
                [u64::MAX, u64::MAX, u64::MAX, 0],
            ];
            let shift = F::from(2u64).pow([260]).inverse().unwrap();
            for round in 0..200 {
                let mut draw = || {
                    core::array::from_fn(|_| match rng.gen_range(0..4) {
                        0 => edges[rng.gen_range(0..edges.len())],
                        _ => F::rand(&mut rng).into_bigint().0,
                    })
                };
                let (a, b): ([[u64; 4]; 8], [[u64; 4]; 8]) = (draw(), draw());
                let mask = round as u8;
                // SAFETY: the features were found.
                let [product, difference, sum, same] = unsafe { operations::<M>(a, b, mask) };
                for i in 0..8 {
                    let of = |w: [u64; 4]| F::from_bigint(BigInt(w)).unwrap();
                    let (x, y) = (of(a[i]), of(b[i]));
                    let signed = if mask >> i & 1 == 1 { -x } else { x };
                    assert_eq!(of(product[i]), x * y * shift);
                    assert_eq!(of(difference[i]), signed - y - y);
                    assert_eq!(of(sum[i]), x + y + x);
                    assert_eq!(same[i], a[i]);
                }
            }
        }
        check::<Base, Fq>(1);
        check::<Scalar, Fr>(2);
        // SAFETY: plain integers of equal size; the features were found.
        let back: [[u64; 8]; 8] = unsafe {
            let rows: [[u64; 8]; 8] =
                core::array::from_fn(|i| core::array::from_fn(|j| (8 * i + j) as u64));
            core::mem::transmute(turned(core::mem::transmute::<[[u64; 8]; 8], [__m512i; 8]>(
                rows,
            )))
        };
        assert!((0..64).all(|k| back[k % 8][k / 8] == k as u64));
    }
}

/// A point with the given x, or the next x that has one.
fn point_near(mut x: Fq) -> G1Affine {
    loop {
        if let Some(p) = G1Affine::get_point_from_x_unchecked(x, false) {
            return p;
        }
        x += Fq::ONE;
    }
}

#[test]
fn sums_of_pairs_equal_the_portable_ones() {
    if !available() {
        return;
    }
    let mut rng = StdRng::seed_from_u64(3);
    let mut special = vec![
        G1Affine::zero(),
        G1Affine::generator(),
        -G1Affine::generator(),
    ];
    special.extend([Fq::zero(), -Fq::from(40u64), Fq::from(u64::MAX), -Fq::ONE].map(point_near));
    for (pairs, often) in [
        (1usize, 2),
        (7, 2),
        (64, 3),
        (2048, 2000),
        (5003, 50_000),
        (4099, 7),
    ] {
        let points: Vec<G1Affine> = (0..300)
            .map(|_| {
                if rng.gen_range(0..often) == 0 {
                    special[rng.gen_range(0..special.len())]
                } else {
                    G1Affine::rand(&mut rng)
                }
            })
            .collect();
        let packed: Vec<Packed> = points.iter().map(|p| Packed::new(&plain(p))).collect();
        for (p, packed) in points.iter().zip(&packed) {
            assert_eq!(affine::<g1::Config>(&packed.point()), *p);
        }
        let (mut lanes, mut portable) = (Adder::new(), PortableAdder::new());
        let mut out = vec![Packed::INFINITY; pairs];
        let mut expected = vec![Point::INFINITY; pairs];
        for k in 0..pairs {
            let left = rng.gen_range(0..600u32);
            // equal and opposite points only where they are meant to be frequent
            let right = if rng.gen_range(0..often) == 0 {
                left ^ rng.gen_range(0..2)
            } else {
                rng.gen_range(0..600)
            };
            let load = |id: u32| {
                let p = points[(id >> 1) as usize];
                plain(&if id & 1 == 1 { -p } else { p })
            };
            lanes.push(&packed, left, right, pairs - 1 - k, &mut out);
            portable.push(load(left), load(right), pairs - 1 - k, &mut expected);
        }
        lanes.flush(&packed, &mut out);
        portable.flush(&mut expected);
        for (lane, expected) in out.iter().zip(&expected) {
            let lane = lane.point();
            assert_eq!((lane.x, lane.y), (expected.x, expected.y));
        }
    }
}

#[test]
fn sums_of_sums_stay_exact_over_many_levels() {
    if !available() {
        return;
    }
    let mut rng = StdRng::seed_from_u64(4);
    let points: Vec<G1Affine> = (0..1000).map(|_| G1Affine::rand(&mut rng)).collect();
    let classes: Vec<u16> = (0..1000).map(|_| rng.gen_range(0..4)).collect();
    let expected = crate::proven::msm::class_sums(&points, &classes, 5);
    assert_eq!(super::msm::class_sums(&points, &classes, 5), expected);
}

#[test]
fn products_equal_the_portable_ones() {
    if !available() {
        return;
    }
    let mut rng = StdRng::seed_from_u64(5);
    for n in [1usize, 2, 9, 700] {
        let mut bases: Vec<G1Affine> = (0..n).map(|_| G1Affine::rand(&mut rng)).collect();
        let mut scalars: Vec<Fr> = (0..n).map(|_| Fr::rand(&mut rng)).collect();
        scalars[0] = -Fr::from(1u64);
        if n > 2 {
            scalars[1] = Fr::from(0u64);
            scalars[2] = Fr::from(1u64 << 14);
            bases[3] = G1Affine::zero();
            bases[4] = bases[5];
            scalars[4] = scalars[5];
        }
        let bits: Vec<BigInt<4>> = scalars.iter().map(|s| s.into_bigint()).collect();
        let expected = G1Projective::msm(&bases, &scalars).unwrap();
        assert_eq!(msm(&bases, &bits, 254), expected);
        for window in [5, 13, 16, 17] {
            assert_eq!(FixedBase::new(&bases, window).msm(&bits), expected);
            assert_eq!(
                FixedBaseMsm::<g1::Config>::new(&bases, window).msm(&scalars),
                expected
            );
        }
        assert!(
            FixedBase::new(&bases, 13)
                .msm(&vec![BigInt::zero(); n])
                .is_zero()
        );
        let small: Vec<BigInt<4>> = (0..n)
            .map(|_| BigInt::from(rng.gen_range(0..1u64 << 13)))
            .collect();
        let wide: Vec<Fr> = small.iter().map(|s| Fr::from_bigint(*s).unwrap()).collect();
        assert_eq!(
            msm(&bases, &small, 13).into_affine(),
            G1Projective::msm(&bases, &wide).unwrap().into_affine()
        );
    }
}

#[test]
fn coset_products_equal_those_of_ark_poly() {
    if !available() {
        return;
    }
    let mut rng = StdRng::seed_from_u64(7);
    for log in [7u32, 8, 9, 12, 13, 14, 16] {
        let n = 1usize << log;
        let edge = [
            Fr::from(0u64),
            -Fr::from(1u64),
            Fr::from(1u64),
            Fr::from(u64::MAX),
        ];
        let mut draw = |kind: usize| -> Vec<Fr> {
            (0..n)
                .map(|k| {
                    if kind == 0 {
                        Fr::rand(&mut rng)
                    } else {
                        edge[k * kind % 4]
                    }
                })
                .collect()
        };
        for kind in 0..4 {
            let (mut a, mut b) = (draw(kind), draw(kind / 2));
            let product = CosetProduct::new(log, Fr::GENERATOR).product(&a, &b);
            let domain = GeneralEvaluationDomain::<Fr>::new(n).unwrap();
            let coset = domain.get_coset(Fr::GENERATOR).unwrap();
            for v in [&mut a, &mut b] {
                domain.ifft_in_place(v);
                coset.fft_in_place(v);
            }
            let expected: Vec<BigInt<4>> = a
                .iter()
                .zip(&b)
                .map(|(a, b)| (*a * b).into_bigint())
                .collect();
            assert!(product == expected, "2^{log} rows");
        }
    }
}

/// CPU time of this thread in ns, from the scheduler's own accounting (Linux).
fn thread_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// `cargo test --release -p salus-prover -- --ignored --nocapture lane_costs`
#[test]
// A timing, not a check: its figures depend on the machine, so it runs by hand only.
#[ignore = "timing"]
fn lane_costs() {
    if !available() {
        return;
    }
    let mut rng = StdRng::seed_from_u64(6);
    let bases: Vec<G1Affine> = (0..1 << 12).map(|_| G1Affine::rand(&mut rng)).collect();
    let scalars: Vec<Fr> = (0..1 << 16).map(|_| Fr::rand(&mut rng)).collect();
    let bits: Vec<BigInt<4>> = scalars.iter().map(|s| s.into_bigint()).collect();
    let time = |name: &str, count: usize, f: &mut dyn FnMut()| {
        let best = (0..7)
            .map(|_| {
                let start = thread_cpu();
                f();
                thread_cpu() - start
            })
            .min()
            .unwrap();
        println!(
            "{name}: {:.1} ns each, {:.2} ms",
            best as f64 / count as f64,
            best as f64 / 1e6
        );
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| {
        let packed: Vec<Packed> = bases.iter().map(|p| Packed::new(&plain(p))).collect();
        let (mut adder, mut out) = (Adder::new(), vec![Packed::INFINITY; 2048]);
        time("additions in cache", 2048 * 16, &mut || {
            for k in 0..2048 * 16u32 {
                adder.push(
                    &packed,
                    k * 14 % 4096,
                    (k * 14 + 6) % 4096,
                    k as usize % 2048,
                    &mut out,
                );
            }
        });
        let v = Fq::rand(&mut rng);
        let mut w = v;
        time("scalar inversions", 1000, &mut || {
            (0..1000).for_each(|_| w = w.inverse().unwrap() + v)
        });
        time("scalar products", 100_000, &mut || {
            (0..100_000).for_each(|_| w *= v)
        });
        println!("{w}");
        time("4096 points", 1, &mut || {
            _ = msm(&bases, &bits[..1 << 12], 254)
        });
        time("4096 points, stock", 1, &mut || {
            _ = G1Projective::msm(&bases, &scalars[..1 << 12])
        });
        let many: Vec<G1Affine> = (0..1 << 16)
            .map(|k| (bases[k % 4096] + bases[k / 4096]).into_affine())
            .collect();
        for window in [15, 16, 17] {
            let table = FixedBase::new(&many, window);
            time(&format!("quotient, {window} bits"), 1, &mut || {
                _ = table.msm(&bits)
            });
        }
    });
}

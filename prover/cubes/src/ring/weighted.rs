//! Sums of products with small signed weights, by three primes.
//!
//! Elements have their low 32 bits clear (as uploads do), so 96 bits remain. With weights below `2^25` in absolute value a
//! product has coefficients below `2^12 * 2^96 * 2^25 = 2^133`; [`MAX_PRODUCTS`] of them stay below `2^148`, a quarter of
//! the product of the primes, and the sum is exact.

use std::sync::LazyLock;

use tfhe_ntt::prime64::Plan;

use super::{DEGREE, Poly};

/// Products in one sum, at most.
pub const MAX_PRODUCTS: u32 = 1 << 15;
/// Weights are below this in absolute value.
pub const WEIGHT_LIMIT: i64 = 1 << 25;
/// Bits that are clear at the bottom of every element.
const CLEAR_BITS: u32 = 32;

const PRIMES: [u64; 3] = [super::PRIME, 1_125_899_906_629_633, 1_125_899_906_424_833];

/// An element or weights, transformed modulo each prime.
type Residues = [Vec<u64>; 3];

/// A transformed element with clear low bits.
#[derive(Clone)]
pub struct Element(Residues);

/// Transformed weights.
#[derive(Clone)]
pub struct Weights(Residues);

/// A multiplication by a constant modulo a prime, prepared.
#[derive(Clone, Copy)]
struct Constant {
    factor: u64,
    quotient: u64,
}

impl Constant {
    const fn new(factor: u64, prime: u64) -> Self {
        Self {
            factor,
            quotient: (((factor as u128) << 64) / prime as u128) as u64,
        }
    }

    /// `x * factor` modulo the prime, below twice the prime.
    #[inline(always)]
    const fn times(self, x: u64, prime: u64) -> u64 {
        let quotient = ((x as u128 * self.quotient as u128) >> 64) as u64;
        x.wrapping_mul(self.factor)
            .wrapping_sub(quotient.wrapping_mul(prime))
    }
}

struct Basis {
    plans: [Plan; 3],
    /// `2^48` modulo each prime.
    shifts: [Constant; 3],
    /// The inverse of prime `j` modulo prime `i`, at `[i][j]` for `j < i`.
    inverses: [[Constant; 3]; 3],
}

static BASIS: LazyLock<Basis> = LazyLock::new(|| Basis {
    plans: PRIMES.map(|p| Plan::try_new(DEGREE, p).expect("the primes are 1 mod 8192")),
    shifts: PRIMES.map(|p| Constant::new(power(2, 48, p), p)),
    inverses: PRIMES.map(|p| PRIMES.map(|q| Constant::new(power(q % p, p - 2, p), p))),
});

fn power(base: u64, mut exponent: u64, prime: u64) -> u64 {
    let times = |x: u64, y: u64| (u128::from(x) * u128::from(y) % u128::from(prime)) as u64;
    let (mut square, mut result) = (base, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    result
}

impl Element {
    /// The transform of an element whose low 32 bits are clear; they are ignored.
    pub fn new(element: &Poly) -> Self {
        let basis = &*BASIS;
        Self(std::array::from_fn(|i| {
            let (p, shift) = (PRIMES[i], basis.shifts[i]);
            let reduce = |x: &u128| {
                let x = x >> CLEAR_BITS;
                let low = x as u64 & ((1 << 48) - 1);
                let high = (x >> 48) as u64;
                let mut sum = low + shift.times(high, p);
                if sum >= 2 * p {
                    sum -= 2 * p;
                }
                if sum >= p {
                    sum -= p;
                }
                sum
            };
            let mut words: Vec<u64> = element.coefficients().iter().map(reduce).collect();
            basis.plans[i].fwd(&mut words);
            words
        }))
    }
}

impl Weights {
    /// The weights with which coefficient 0 of a product is the sum of `weights[c]` times coefficient `c`.
    ///
    /// # Panics
    /// If there are not 4096 weights, or one is not below [`WEIGHT_LIMIT`] in absolute value.
    pub fn new(weights: &[i64]) -> Self {
        assert_eq!(weights.len(), DEGREE);
        assert!(weights.iter().all(|w| w.abs() < WEIGHT_LIMIT));
        let basis = &*BASIS;
        Self(std::array::from_fn(|i| {
            let p = PRIMES[i] as i64;
            let lift = |w: i64| (if w < 0 { w + p } else { w }) as u64;
            let mut words = Vec::with_capacity(DEGREE);
            words.push(lift(weights[0]));
            words.extend(weights[1..].iter().rev().map(|w| lift(-w)));
            basis.plans[i].fwd(&mut words);
            words
        }))
    }
}

/// A sum of products.
#[derive(Clone)]
pub struct Accumulator {
    residues: Residues,
    products: u32,
}

/// More than [`MAX_PRODUCTS`] products in one sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum has at most {MAX_PRODUCTS} products")]
pub struct TooManyProducts;

impl Default for Accumulator {
    fn default() -> Self {
        Self {
            residues: std::array::from_fn(|_| vec![0; DEGREE]),
            products: 0,
        }
    }
}

impl Accumulator {
    /// Adds `element * weights`.
    ///
    /// # Errors
    /// Beyond [`MAX_PRODUCTS`] products.
    pub fn add(&mut self, element: &Element, weights: &Weights) -> Result<(), TooManyProducts> {
        if self.products >= MAX_PRODUCTS {
            return Err(TooManyProducts);
        }
        for (i, sum) in self.residues.iter_mut().enumerate() {
            BASIS.plans[i].mul_accumulate(sum, &element.0[i], &weights.0[i]);
        }
        self.products += 1;
        Ok(())
    }

    /// Adds another sum.
    ///
    /// # Errors
    /// Beyond [`MAX_PRODUCTS`] products.
    pub fn merge(&mut self, other: &Self) -> Result<(), TooManyProducts> {
        let products = self.products + other.products;
        if products > MAX_PRODUCTS {
            return Err(TooManyProducts);
        }
        self.products = products;
        for (i, (sum, more)) in self.residues.iter_mut().zip(&other.residues).enumerate() {
            for (x, y) in sum.iter_mut().zip(more) {
                let total = *x + *y;
                *x = if total >= PRIMES[i] {
                    total - PRIMES[i]
                } else {
                    total
                };
            }
        }
        Ok(())
    }

    /// The sum, its low 32 bits clear.
    pub fn finish(mut self) -> Poly {
        let basis = &*BASIS;
        for (i, residues) in self.residues.iter_mut().enumerate() {
            basis.plans[i].inv(residues);
            basis.plans[i].normalize(residues);
        }
        let [p0, p1, p2] = PRIMES;
        let (m1, m2) = (u128::from(p0), u128::from(p0) * u128::from(p1));
        let m3 = m2.wrapping_mul(u128::from(p2));
        let [r0, r1, r2] = &self.residues;
        // Mixed digits d0 + d1 p0 + d2 p0 p1; `less` is (x - d) / q modulo p.
        let less = |x: u64, digit: u64, p: u64, inverse: Constant| {
            let digit = if digit >= p { digit - p } else { digit };
            let quotient = inverse.times(x + p - digit, p);
            if quotient >= p {
                quotient - p
            } else {
                quotient
            }
        };
        Poly::from_fn(|n| {
            let d0 = r0[n];
            let d1 = less(r1[n], d0, p1, basis.inverses[1][0]);
            let d2 = less(r2[n], d0, p2, basis.inverses[2][0]);
            let d2 = less(d2, d1, p2, basis.inverses[2][1]);
            let mut sum = u128::from(d0)
                .wrapping_add(m1.wrapping_mul(u128::from(d1)))
                .wrapping_add(m2.wrapping_mul(u128::from(d2)));
            if d2 > p2 / 2 {
                sum = sum.wrapping_sub(m3);
            }
            sum << CLEAR_BITS
        })
    }
}

//! Exact arithmetic in `Z_{2^128}[X]/(X^4096 + 1)`, by number-theoretic transforms modulo primes of about 50 bits.
//!
//! Two products are needed, and neither is of two full-size polynomials: with a ternary secret ([`Multiplier`]) and with
//! weights of up to 26 bits ([`weighted`]). Both are computed over the integers, so every machine gets the same bytes
//! whichever vector instructions the transform uses.

mod multiplier;
pub mod weighted;

pub use multiplier::{Multiplier, PRIME, SecretTransform, Transform, WIDE_PRIME};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::stream::Stream;

/// The number of coefficients of a ring element.
pub const DEGREE: usize = 4096;

/// A ring element: 4096 coefficients modulo `2^128`, constant term first.
#[derive(Clone, PartialEq, Eq)]
pub struct Poly(Vec<u128>);

impl Poly {
    /// Zero.
    pub fn zero() -> Self {
        Self(vec![0; DEGREE])
    }

    /// The element with these coefficients, `None` unless there are 4096.
    pub fn from_coefficients(coefficients: Vec<u128>) -> Option<Self> {
        (coefficients.len() == DEGREE).then_some(Self(coefficients))
    }

    /// The element with coefficient `at(i)` of `X^i`.
    pub fn from_fn(at: impl FnMut(usize) -> u128) -> Self {
        Self((0..DEGREE).map(at).collect())
    }

    /// The uniform element that a stream spells.
    pub fn uniform(stream: &mut Stream) -> Self {
        let bytes = stream.take(16 * DEGREE);
        Self(read_words(&bytes))
    }

    /// The coefficients, constant term first.
    pub fn coefficients(&self) -> &[u128] {
        &self.0
    }

    /// The coefficients, constant term first.
    pub fn coefficients_mut(&mut self) -> &mut [u128] {
        &mut self.0
    }

    /// Adds `other`.
    pub fn add_assign(&mut self, other: &Self) {
        for (x, y) in self.0.iter_mut().zip(&other.0) {
            *x = x.wrapping_add(*y);
        }
    }

    /// Subtracts `other`.
    pub fn sub_assign(&mut self, other: &Self) {
        for (x, y) in self.0.iter_mut().zip(&other.0) {
            *x = x.wrapping_sub(*y);
        }
    }

    /// Multiplies every coefficient.
    pub fn scale(&mut self, factor: u128) {
        for x in &mut self.0 {
            *x = x.wrapping_mul(factor);
        }
    }

    /// The encoding: 16 bytes per coefficient, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// The element with this encoding, `None` unless it has 65,536 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 16 * DEGREE).then(|| Self(read_words(bytes)))
    }
}

impl Zeroize for Poly {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Poly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poly(..)")
    }
}

fn read_words(bytes: &[u8]) -> Vec<u128> {
    let words = bytes.chunks_exact(16).map(|word| {
        let mut array = [0; 16];
        array.copy_from_slice(word);
        u128::from_le_bytes(array)
    });
    words.collect()
}

/// A ring element with coefficients -1, 0 and 1; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretPoly(Vec<i8>);

impl SecretPoly {
    /// The element with uniform ternary coefficients that a stream spells, 255 of 256 bytes being used.
    pub fn ternary(stream: &mut Stream) -> Self {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(DEGREE));
        while coefficients.len() < DEGREE {
            let bytes = stream.take(DEGREE + DEGREE / 16);
            let missing = DEGREE - coefficients.len();
            let accepted = bytes.iter().filter(|byte| **byte < 255).take(missing);
            coefficients.extend(accepted.map(|byte| (byte % 3) as i8 - 1));
        }
        Self(std::mem::take(&mut coefficients))
    }

    /// The element with these coefficients, `None` unless there are 4096 of -1, 0 and 1.
    pub fn from_coefficients(coefficients: Vec<i8>) -> Option<Self> {
        let coefficients = Zeroizing::new(coefficients);
        let ternary = coefficients.iter().all(|x| (-1..=1).contains(x));
        (coefficients.len() == DEGREE && ternary).then(|| Self(coefficients.to_vec()))
    }

    /// The coefficients, constant term first.
    pub fn coefficients(&self) -> &[i8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretPoly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretPoly([redacted])")
    }
}

/// Coefficient 0 of `a * s`.
pub fn constant_term(a: &Poly, s: &SecretPoly) -> u128 {
    let (a, s) = (a.coefficients(), s.coefficients());
    let mut sum = a[0].wrapping_mul(i128::from(s[0]) as u128);
    // X^t * X^(N-t) = -1
    for (x, y) in a[1..].iter().rev().zip(&s[1..]) {
        sum = sum.wrapping_sub(x.wrapping_mul(i128::from(*y) as u128));
    }
    sum
}

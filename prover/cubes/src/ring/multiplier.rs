//! Products with ternary elements: four 32-bit limbs, one prime.

use std::sync::LazyLock;

use tfhe_ntt::prime64::Plan;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{DEGREE, Poly, SecretPoly};

/// The prime of the shared multiplier, `1 mod 8192`, below `2^50`: the transform uses AVX-512 IFMA where there is one.
pub const PRIME: u64 = 1_125_899_906_826_241;
/// A prime of 62 bits, `1 mod 8192`: the transform cannot use IFMA.
pub const WIDE_PRIME: u64 = 4_611_686_018_427_322_369;

const LIMBS: usize = 4;
const LIMB_BITS: usize = 32;

/// A public element, split into limbs and transformed.
#[derive(Clone)]
pub struct Transform([Vec<u64>; LIMBS]);

/// A ternary element, transformed; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretTransform(Vec<u64>);

impl std::fmt::Debug for SecretTransform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretTransform([redacted])")
    }
}

/// Multiplies public elements by ternary ones.
///
/// A limb product has absolute coefficients below `4096 * 2^32 = 2^44`, so its residue modulo a prime above `2^45` is the
/// integer itself, and the sum of the shifted limb products is exact modulo `2^128`.
#[derive(Debug)]
pub struct Multiplier {
    plan: Plan,
    prime: u64,
}

impl Multiplier {
    /// The multiplier that everything uses, modulo [`PRIME`].
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Multiplier> =
            LazyLock::new(|| Multiplier::with_prime(PRIME).expect("PRIME is 1 mod 8192"));
        &SHARED
    }

    /// A multiplier modulo another prime, such as [`WIDE_PRIME`] to compare with a path without IFMA.
    ///
    /// `None` if `prime` is below `2^46`, not `1 mod 8192` or not prime.
    pub fn with_prime(prime: u64) -> Option<Self> {
        if prime < 1 << 46 {
            return None;
        }
        let plan = Plan::try_new(DEGREE, prime)?;
        Some(Self { plan, prime })
    }

    /// True if the transforms use AVX-512 IFMA.
    pub fn uses_ifma(&self) -> bool {
        self.plan.use_ifma()
    }

    /// The transform of a public element.
    pub fn transform(&self, element: &Poly) -> Transform {
        Transform(std::array::from_fn(|limb| {
            let words = element.coefficients().iter();
            let mut limbs: Vec<u64> = words
                .map(|x| u64::from((x >> (LIMB_BITS * limb)) as u32))
                .collect();
            self.plan.fwd(&mut limbs);
            limbs
        }))
    }

    /// The transform of a ternary element.
    pub fn transform_secret(&self, secret: &SecretPoly) -> SecretTransform {
        let prime = self.prime;
        let lift = |x: &i8| {
            let sign = (i64::from(*x) >> 63) as u64;
            (i64::from(*x) as u64).wrapping_add(sign & prime)
        };
        let mut words: Vec<u64> = secret.coefficients().iter().map(lift).collect();
        self.plan.fwd(&mut words);
        SecretTransform(words)
    }

    /// The product.
    pub fn multiply(&self, element: &Transform, secret: &SecretTransform) -> Poly {
        let mut product = Poly::zero();
        let mut limb = Zeroizing::new(vec![0u64; DEGREE]);
        for (j, words) in element.0.iter().enumerate() {
            limb.copy_from_slice(words);
            self.plan.mul_assign_normalize(&mut limb, &secret.0);
            self.plan.inv(&mut limb);
            for (sum, &residue) in product.coefficients_mut().iter_mut().zip(limb.iter()) {
                let above = u64::from(residue > self.prime / 2).wrapping_neg();
                let centred = residue.wrapping_sub(above & self.prime) as i64;
                *sum = sum.wrapping_add((i128::from(centred) as u128) << (LIMB_BITS * j));
            }
        }
        product
    }
}

//! Eight residues at a time: 5 limbs of 52 bits, Montgomery form with R = 2^260.
//!
//! The six spare bits (R is 84 times the modulus p) pay for laziness: a product of inputs below
//! `i p` and `j p` with `i j <= 84` is below 2 p without any comparison, so sums and differences
//! go into the next product unreduced. Limbs are "normal" when they are below 2^52; sums keep
//! signed 64-bit limbs until [`carry`] makes them normal again.
//!
//! Cost: a product is 100 `vpmadd52` and about 40 cheap instructions for eight residues.

// limbs of several vectors are addressed by the same index
#![allow(clippy::needless_range_loop)]

use core::arch::x86_64::*;
use core::marker::PhantomData;

/// Low 52 bits.
pub const MASK: i64 = (1 << 52) - 1;

/// A prime of 254 bits.
pub trait Modulus: Copy {
    /// The prime in 64-bit limbs.
    const WORDS: [u64; 4];
    /// The prime in 52-bit limbs.
    const P: [i64; 5] = limbs(Self::WORDS);
    /// -1/p mod 2^52.
    const NEGATED_INVERSE: i64 = negated_inverse(Self::WORDS[0]);
    /// Approximates 2^260 / p from below; see [`reduce`].
    const QUOTIENT: i64 = (1 << 52) / (Self::P[4] + 1);
}

/// Coordinates of BN254 G1.
#[derive(Clone, Copy)]
pub struct Base;
impl Modulus for Base {
    const WORDS: [u64; 4] = <ark_bn254::FqConfig as ark_ff::MontConfig<4>>::MODULUS.0;
}

/// Scalars of BN254.
#[derive(Clone, Copy)]
pub struct Scalar;
impl Modulus for Scalar {
    const WORDS: [u64; 4] = <ark_bn254::FrConfig as ark_ff::MontConfig<4>>::MODULUS.0;
}

/// 4 x 64 bits as 5 x 52 bits.
pub const fn limbs(w: [u64; 4]) -> [i64; 5] {
    let m = MASK as u64;
    [
        (w[0] & m) as i64,
        (((w[0] >> 52) | (w[1] << 12)) & m) as i64,
        (((w[1] >> 40) | (w[2] << 24)) & m) as i64,
        (((w[2] >> 28) | (w[3] << 36)) & m) as i64,
        (w[3] >> 16) as i64,
    ]
}

const fn negated_inverse(p: u64) -> i64 {
    let mut inverse = 1u64;
    let mut k = 0;
    while k < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
        k += 1;
    }
    (inverse.wrapping_neg() as i64) & MASK
}

/// Eight residues modulo `M`, limb by limb.
#[derive(Clone, Copy)]
pub struct Lanes<M> {
    /// `limbs[i]` holds limb i of all eight.
    pub limbs: [__m512i; 5],
    modulus: PhantomData<M>,
}

impl<M: Modulus> Lanes<M> {
    /// From limbs.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn new(limbs: [__m512i; 5]) -> Self {
        Self {
            limbs,
            modulus: PhantomData,
        }
    }

    /// One residue in every lane.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn splat(words: [u64; 4]) -> Self {
        Self::new(limbs(words).map(|l| _mm512_set1_epi64(l)))
    }

    /// Eight residues from 4 x 64-bit words, word by word.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn unpack(w: [__m512i; 4]) -> Self {
        let mask = _mm512_set1_epi64(MASK);
        // (a | b) & mask
        let join = |a, b| _mm512_ternarylogic_epi64::<0xa8>(a, b, mask);
        Self::new([
            _mm512_and_si512(w[0], mask),
            join(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1])),
            join(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2])),
            join(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3])),
            _mm512_srli_epi64::<16>(w[3]),
        ])
    }

    /// The inverse of [`Self::unpack`], for normal limbs and values below 2^256.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn pack(self) -> [__m512i; 4] {
        let l = self.limbs;
        [
            _mm512_or_si512(l[0], _mm512_slli_epi64::<52>(l[1])),
            _mm512_or_si512(_mm512_srli_epi64::<12>(l[1]), _mm512_slli_epi64::<40>(l[2])),
            _mm512_or_si512(_mm512_srli_epi64::<24>(l[2]), _mm512_slli_epi64::<28>(l[3])),
            _mm512_or_si512(_mm512_srli_epi64::<36>(l[3]), _mm512_slli_epi64::<16>(l[4])),
        ]
    }

    /// Limb-wise sum, not normal.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn plus(self, other: Self) -> Self {
        let mut out = self.limbs;
        for i in 0..5 {
            out[i] = _mm512_add_epi64(out[i], other.limbs[i]);
        }
        Self::new(out)
    }

    /// Limb-wise difference, not normal and perhaps negative.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn minus(self, other: Self) -> Self {
        let mut out = self.limbs;
        for i in 0..5 {
            out[i] = _mm512_sub_epi64(out[i], other.limbs[i]);
        }
        Self::new(out)
    }

    /// Limb-wise sum with `k` times the modulus.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn plus_moduli(self, k: i64) -> Self {
        let mut out = self.limbs;
        for i in 0..5 {
            out[i] = _mm512_add_epi64(out[i], _mm512_set1_epi64(k * M::P[i]));
        }
        Self::new(out)
    }

    /// `2 p - self` in the lanes of `mask`, limb-wise.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn negate(self, mask: __mmask8) -> Self {
        let mut out = self.limbs;
        for i in 0..5 {
            out[i] = _mm512_mask_sub_epi64(out[i], mask, _mm512_set1_epi64(2 * M::P[i]), out[i]);
        }
        Self::new(out)
    }

    /// `other` in the lanes of `mask`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn blend(self, mask: __mmask8, other: Self) -> Self {
        let mut out = self.limbs;
        for i in 0..5 {
            out[i] = _mm512_mask_mov_epi64(out[i], mask, other.limbs[i]);
        }
        Self::new(out)
    }

    /// Lanes whose limbs are all zero.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn zero_limbs(self) -> __mmask8 {
        let l = self.limbs;
        let any = _mm512_or_si512(
            _mm512_or_si512(l[0], l[1]),
            _mm512_or_si512(_mm512_or_si512(l[2], l[3]), l[4]),
        );
        _mm512_testn_epi64_mask(any, any)
    }

    /// Makes the limbs of a non-negative value normal.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn carry(self) -> Self {
        let mask = _mm512_set1_epi64(MASK);
        let mut l = self.limbs;
        for i in 0..4 {
            l[i + 1] = _mm512_add_epi64(l[i + 1], _mm512_srai_epi64::<52>(l[i]));
            l[i] = _mm512_and_si512(l[i], mask);
        }
        Self::new(l)
    }

    /// Brings a value in (-4 p, 3.9 p) with small signed limbs to [0, 1.1 p), normal.
    ///
    /// The quotient by p is estimated from the top limb alone, from below; the carries still to
    /// come from the limbs beneath are covered by the 8 units subtracted.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn reduce(self) -> Self {
        let shifted = _mm512_add_epi64(self.limbs[4], _mm512_set1_epi64(4 * M::P[4] - 8));
        let quotient = _mm512_madd52hi_epu64(
            _mm512_setzero_si512(),
            shifted,
            _mm512_set1_epi64(M::QUOTIENT),
        );
        let mut out = self.limbs;
        for i in 0..5 {
            let p = M::P[i];
            let multiples = _mm512_setr_epi64(4 * p, 3 * p, 2 * p, p, 0, -p, -2 * p, -3 * p);
            out[i] = _mm512_add_epi64(out[i], _mm512_permutexvar_epi64(quotient, multiples));
        }
        Self::new(out).carry()
    }

    /// Brings a normal value below 2 p to [0, p).
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn canonical(self) -> Self {
        let less = self.plus_moduli(-1).carry();
        // after the carries only the top limb can be negative
        let negative = _mm512_cmplt_epi64_mask(less.limbs[4], _mm512_setzero_si512());
        less.blend(negative, self)
    }

    /// Product over R with limbs not yet normal, below 2 p; both factors normal.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn times_loose(self, other: Self) -> Self {
        let (a, b) = (self.limbs, other.limbs);
        let zero = _mm512_setzero_si512();
        let mask = _mm512_set1_epi64(MASK);
        let negated_inverse = _mm512_set1_epi64(M::NEGATED_INVERSE);
        let mut t = [zero; 5];
        for i in 0..5 {
            for j in 0..5 {
                t[j] = _mm512_madd52lo_epu64(t[j], a[i], b[j]);
            }
            let m = _mm512_madd52lo_epu64(zero, t[0], negated_inverse);
            // t0 + low(m p0) is divisible by 2^52: rounding t0 up gives the same carry sooner
            let carry = _mm512_srli_epi64::<52>(_mm512_add_epi64(t[0], mask));
            let mut next = [t[1], t[2], t[3], t[4], zero];
            next[0] = _mm512_add_epi64(next[0], carry);
            for j in 0..5 {
                next[j] = _mm512_madd52hi_epu64(next[j], a[i], b[j]);
            }
            for j in 1..5 {
                next[j - 1] = _mm512_madd52lo_epu64(next[j - 1], m, _mm512_set1_epi64(M::P[j]));
            }
            for j in 0..5 {
                next[j] = _mm512_madd52hi_epu64(next[j], m, _mm512_set1_epi64(M::P[j]));
            }
            t = next;
        }
        Self::new(t)
    }

    /// Product over R, normal and below 2 p; both factors normal.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn times(self, other: Self) -> Self {
        self.times_loose(other).carry()
    }
}

/// Rows to columns: `out[j]` holds word j of every input.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn transpose(r: [__m512i; 8]) -> [__m512i; 8] {
    let pair = |k: usize| {
        (
            _mm512_unpacklo_epi64(r[k], r[k + 1]),
            _mm512_unpackhi_epi64(r[k], r[k + 1]),
        )
    };
    let ((e0, o0), (e1, o1), (e2, o2), (e3, o3)) = (pair(0), pair(2), pair(4), pair(6));
    let quad = |a, b, c, d| {
        let (ab04, ab26) = (
            _mm512_shuffle_i64x2::<0x88>(a, b),
            _mm512_shuffle_i64x2::<0xdd>(a, b),
        );
        let (cd04, cd26) = (
            _mm512_shuffle_i64x2::<0x88>(c, d),
            _mm512_shuffle_i64x2::<0xdd>(c, d),
        );
        [
            _mm512_shuffle_i64x2::<0x88>(ab04, cd04),
            _mm512_shuffle_i64x2::<0x88>(ab26, cd26),
            _mm512_shuffle_i64x2::<0xdd>(ab04, cd04),
            _mm512_shuffle_i64x2::<0xdd>(ab26, cd26),
        ]
    };
    let (even, odd) = (quad(e0, e1, e2, e3), quad(o0, o1, o2, o3));
    [
        even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3],
    ]
}

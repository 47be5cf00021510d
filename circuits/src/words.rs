//! Curve points and field elements as the 32-byte big-endian words that the EVM hashes.
//!
//! A G1 point is `(x, y)`, the point at infinity `(0, 0)` (EIP-196). A G2 point is
//! `(x.c1, x.c0, y.c1, y.c0)` (EIP-197). Decoding is strict: coordinates below the field
//! modulus, on the curve and, for G2, in the prime-order subgroup.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};

/// One 256-bit big-endian word.
pub type Word = [u8; 32];

/// Why words were not a group or field element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// The value is not below the modulus of its field.
    #[error("non-canonical field element 0x{}", hex_of(.word))]
    NotCanonical {
        /// The offending word.
        word: Word,
    },
    /// The coordinates satisfy no curve equation.
    #[error("point is not on the curve")]
    NotOnCurve,
    /// A G2 point outside the subgroup of prime order.
    #[error("point is not in the prime-order subgroup")]
    NotInSubgroup,
}

fn hex_of(word: &Word) -> String {
    word.iter().map(|b| format!("{b:02x}")).collect()
}

/// The word of a prime-field element.
pub fn field_word<F: PrimeField>(value: &F) -> Word {
    let bytes = value.into_bigint().to_bytes_be();
    let mut out = [0u8; 32];
    out[32 - bytes.len()..].copy_from_slice(&bytes);
    out
}

/// The word of an integer.
pub fn integer_word(value: u128) -> Word {
    let mut out = [0u8; 32];
    out[16..].copy_from_slice(&value.to_be_bytes());
    out
}

/// The two words of a G1 point.
pub fn g1_words(point: &G1Affine) -> [Word; 2] {
    match point.xy() {
        Some((x, y)) => [field_word(&x), field_word(&y)],
        None => [[0; 32]; 2],
    }
}

/// The four words of a G2 point, imaginary parts first.
pub fn g2_words(point: &G2Affine) -> [Word; 4] {
    match point.xy() {
        Some((x, y)) => [
            field_word(&x.c1),
            field_word(&x.c0),
            field_word(&y.c1),
            field_word(&y.c0),
        ],
        None => [[0; 32]; 4],
    }
}

/// The field element of a word.
///
/// # Errors
/// [`WordError::NotCanonical`] when the word is not below the modulus.
pub fn field_from_word<F: PrimeField>(word: &Word) -> Result<F, WordError> {
    let mut repr = F::BigInt::default();
    let limbs = repr.as_mut();
    for (i, chunk) in word.rchunks(8).enumerate() {
        let mut limb = [0u8; 8];
        limb.copy_from_slice(chunk);
        limbs[i] = u64::from_be_bytes(limb);
    }
    F::from_bigint(repr).ok_or(WordError::NotCanonical { word: *word })
}

/// The scalar a 256-bit hash stands for: the hash modulo the scalar order.
pub fn scalar_from_hash(hash: &Word) -> Fr {
    Fr::from_be_bytes_mod_order(hash)
}

/// The G1 point of two words; `(0, 0)` is infinity. BN254's G1 has cofactor one.
///
/// # Errors
/// When a coordinate is not canonical or the point is not on the curve.
pub fn g1_from_words(words: &[Word; 2]) -> Result<G1Affine, WordError> {
    if words.iter().all(|w| w == &[0; 32]) {
        return Ok(G1Affine::zero());
    }
    let point = G1Affine::new_unchecked(field_from_word(&words[0])?, field_from_word(&words[1])?);
    if point.is_on_curve() {
        Ok(point)
    } else {
        Err(WordError::NotOnCurve)
    }
}

/// The G2 point of four words; all zero is infinity.
///
/// # Errors
/// When a coordinate is not canonical, the point is not on the curve, or not in the subgroup.
pub fn g2_from_words(words: &[Word; 4]) -> Result<G2Affine, WordError> {
    if words.iter().all(|w| w == &[0; 32]) {
        return Ok(G2Affine::zero());
    }
    let c = |i: usize| field_from_word::<Fq>(&words[i]);
    let point = G2Affine::new_unchecked(Fq2::new(c(1)?, c(0)?), Fq2::new(c(3)?, c(2)?));
    if !point.is_on_curve() {
        return Err(WordError::NotOnCurve);
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(WordError::NotInSubgroup);
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_trips_and_refuses_aliases() {
        let g = G1Affine::generator();
        assert_eq!(g1_from_words(&g1_words(&g)), Ok(g));
        let g2 = G2Affine::generator();
        assert_eq!(g2_from_words(&g2_words(&g2)), Ok(g2));
        assert_eq!(g1_from_words(&[[0; 32]; 2]), Ok(G1Affine::zero()));
        // x + q is the same residue but another word
        let mut alias = Fq::MODULUS;
        alias.add_with_carry(&g.x.into_bigint());
        let mut word = [0u8; 32];
        word.copy_from_slice(&alias.to_bytes_be());
        assert!(matches!(
            g1_from_words(&[word, field_word(&g.y)]),
            Err(WordError::NotCanonical { .. })
        ));
        assert_eq!(
            g1_from_words(&[field_word(&g.x), field_word(&g.x)]),
            Err(WordError::NotOnCurve)
        );
    }

    #[test]
    fn refuses_twist_points_outside_the_subgroup() {
        let mut x = Fq2::new(Fq::from(1u64), Fq::from(0u64));
        let point = loop {
            if let Some(p) = G2Affine::get_point_from_x_unchecked(x, false)
                && !p.is_in_correct_subgroup_assuming_on_curve()
            {
                break p;
            }
            x.c0 += Fq::from(1u64);
        };
        assert_eq!(
            g2_from_words(&g2_words(&point)),
            Err(WordError::NotInSubgroup)
        );
    }

    proptest! {
        #[test]
        fn decoding_never_panics(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let _ = g1_from_words(&[a, b]);
            let _ = g2_from_words(&[a, b, a, b]);
        }
    }
}

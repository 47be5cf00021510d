use proptest::prelude::*;
use rand_core::RngCore;
use salus_cubes::ring::weighted::{Accumulator, Element, MAX_PRODUCTS, WEIGHT_LIMIT, Weights};
use salus_cubes::ring::{DEGREE, Multiplier, PRIME, Poly, SecretPoly, WIDE_PRIME, constant_term};

use crate::holders::rng;

/// The product by definition, skipping zeros of `b`.
fn schoolbook(a: &[u128], b: &[i64]) -> Vec<u128> {
    let mut product = vec![0u128; DEGREE];
    for (i, &factor) in b.iter().enumerate().filter(|(_, f)| **f != 0) {
        let factor = i128::from(factor) as u128;
        for (j, &x) in a.iter().enumerate() {
            let term = x.wrapping_mul(factor);
            if i + j < DEGREE {
                product[i + j] = product[i + j].wrapping_add(term);
            } else {
                product[i + j - DEGREE] = product[i + j - DEGREE].wrapping_sub(term);
            }
        }
    }
    product
}

fn check_secret_product(a: Vec<u128>, s: Vec<i8>) {
    let wide: Vec<i64> = s.iter().map(|x| i64::from(*x)).collect();
    let expected = Poly::from_coefficients(schoolbook(&a, &wide)).unwrap();
    let a = Poly::from_coefficients(a).unwrap();
    let s = SecretPoly::from_coefficients(s).unwrap();
    for prime in [PRIME, WIDE_PRIME] {
        let multiplier = Multiplier::with_prime(prime).unwrap();
        let product =
            multiplier.multiply(&multiplier.transform(&a), &multiplier.transform_secret(&s));
        assert!(product == expected, "modulo {prime}");
    }
    assert_eq!(constant_term(&a, &s), expected.coefficients()[0]);
}

fn random_element(seed: u64) -> Vec<u128> {
    let mut rng = rng(seed);
    let mut word = || u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    (0..DEGREE).map(|_| word()).collect()
}

fn ternary(seed: u64) -> Vec<i8> {
    let mut rng = rng(seed);
    (0..DEGREE)
        .map(|_| (rng.next_u32() % 3) as i8 - 1)
        .collect()
}

#[test]
fn dense_and_extreme_products_are_those_of_the_schoolbook() {
    check_secret_product(random_element(1), ternary(2));
    check_secret_product(vec![u128::MAX; DEGREE], vec![1; DEGREE]);
    check_secret_product(vec![u128::MAX; DEGREE], vec![-1; DEGREE]);
    check_secret_product(vec![1 << 127; DEGREE], ternary(3));
    check_secret_product(vec![u128::MAX / 3; DEGREE], vec![-1; DEGREE]);
}

#[test]
fn the_wide_prime_cannot_use_the_fast_path() {
    assert!(!Multiplier::with_prime(WIDE_PRIME).unwrap().uses_ifma());
    assert!(Multiplier::with_prime(PRIME + 2).is_none());
    assert!(Multiplier::with_prime(12289).is_none());
}

fn sparse<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(usize, T)>> {
    prop::collection::vec((0..DEGREE, value), 0..12)
}

fn dense<T: Clone + Default>(terms: &[(usize, T)]) -> Vec<T> {
    let mut dense = vec![T::default(); DEGREE];
    for (at, value) in terms {
        dense[*at] = value.clone();
    }
    dense
}

fn coefficient() -> impl Strategy<Value = u128> {
    prop_oneof![
        any::<u128>(),
        Just(u128::MAX),
        Just(1),
        Just(1 << 127),
        (0..128u32).prop_map(|b| 1 << b)
    ]
}

fn weight() -> impl Strategy<Value = i64> {
    let most = WEIGHT_LIMIT - 1;
    prop_oneof![-most..=most, Just(most), Just(-most), -2..=2i64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products_with_ternary_elements_are_exact(a in sparse(coefficient()), s in sparse(-1i8..=1), fill in any::<bool>()) {
        let a = if fill { random_element(a.len() as u64) } else { dense(&a) };
        check_secret_product(a, dense(&s));
    }

    #[test]
    fn weighted_sums_are_exact(terms in prop::collection::vec((sparse(coefficient()), sparse(weight()), any::<bool>()), 1..4)) {
        let mut expected = vec![0u128; DEGREE];
        let mut parts = [Accumulator::default(), Accumulator::default()];
        for (i, (a, w, fill)) in terms.iter().enumerate() {
            let a = if *fill { random_element(i as u64) } else { dense(a) };
            let a: Vec<u128> = a.iter().map(|x| x >> 32 << 32).collect();
            let w = dense(w);
            // Weights are read from the constant term: w(1/X).
            let mut reversed = vec![w[0]];
            reversed.extend(w[1..].iter().rev().map(|x| -x));
            for (sum, x) in expected.iter_mut().zip(schoolbook(&a, &reversed)) {
                *sum = sum.wrapping_add(x);
            }
            let element = Element::new(&Poly::from_coefficients(a).unwrap());
            parts[i % 2].add(&element, &Weights::new(&w)).unwrap();
        }
        let [mut sum, more] = parts;
        sum.merge(&more).unwrap();
        prop_assert!(sum.finish().coefficients() == &expected[..]);
    }
}

#[test]
fn a_full_accumulator_is_exact_and_takes_no_more() {
    let top = u128::MAX << 32;
    let element = Element::new(&Poly::from_fn(|_| top));
    let weights = vec![WEIGHT_LIMIT - 1; DEGREE];
    let transformed = Weights::new(&weights);
    let mut sum = Accumulator::default();
    sum.add(&element, &transformed).unwrap();
    let mut expected = sum.clone().finish();
    while sum.add(&element, &transformed).is_ok() {}
    assert!(sum.merge(&sum.clone()).is_err());
    expected.scale(u128::from(MAX_PRODUCTS));
    let found = sum.finish();
    assert!(found == expected);
    let constant = top
        .wrapping_mul((WEIGHT_LIMIT - 1) as u128)
        .wrapping_mul(DEGREE as u128);
    assert_eq!(
        found.coefficients()[0],
        constant.wrapping_mul(u128::from(MAX_PRODUCTS))
    );
}

#[test]
fn encodings_round_trip_and_wrong_lengths_are_refused() {
    let element = Poly::from_coefficients(random_element(5)).unwrap();
    let bytes = element.to_bytes();
    assert!(Poly::from_bytes(&bytes) == Some(element));
    assert!(Poly::from_bytes(&bytes[1..]).is_none());
    assert!(Poly::from_coefficients(vec![0; DEGREE - 1]).is_none());
    assert!(SecretPoly::from_coefficients(vec![2; DEGREE]).is_none());
    assert!(SecretPoly::from_coefficients(vec![-128; DEGREE]).is_none());
}

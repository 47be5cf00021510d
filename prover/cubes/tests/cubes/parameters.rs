use proptest::prelude::*;
use rand_core::RngCore;
use salus_cubes::parameters::{Flooding, FloodingBudget, Modulus, NoiseModel, Room};
use salus_cubes::ring::{DEGREE, Poly};
use salus_cubes::stream::Stream;
use salus_cubes::sum::RunningSum;
use salus_schema::cube::{Form, ModulusClass};

use crate::holders::{Holders, cube, rng};

const CLASSES: [ModulusClass; 2] = [ModulusClass::Counts, ModulusClass::Sums];

#[test]
fn the_moduli_are_prime_and_the_largest_of_their_sizes() {
    let is_prime = |n: u64| {
        (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
    };
    assert!(CLASSES.iter().all(|class| is_prime(class.modulus())));
    assert!((ModulusClass::Sums.modulus() + 1..1 << 26).all(|n| !is_prime(n)));
    assert_eq!(CLASSES.map(|class| Modulus::of(class).bits()), [22, 26]);
}

/// `round(m * 2^128 / p)` in two steps of 64 bits.
fn long_division(m: u64, p: u64) -> u128 {
    let (m, p) = (u128::from(m), u128::from(p));
    let (high, rest) = ((m << 64) / p, (m << 64) % p);
    let (low, rest) = ((rest << 64) / p, (rest << 64) % p);
    (high << 64 | low).wrapping_add(u128::from(2 * rest >= p))
}

proptest! {
    #[test]
    fn residues_are_encoded_to_the_nearest_integer_and_read_back(m in any::<u64>(), error in any::<u128>(), class in 0..2usize) {
        let modulus = Modulus::of(CLASSES[class]);
        let (p, half) = (modulus.p(), modulus.p() / 2);
        prop_assert_eq!(modulus.reduce(m), m % p);
        let residue = m % p;
        let encoded = modulus.encode_residue(residue);
        prop_assert_eq!(encoded, long_division(residue, p));
        let room = u128::MAX / u128::from(p) / 2 - 1;
        let error = (error % (2 * room)) as i128 - room as i128;
        let decoded = modulus.decode(encoded.wrapping_add(error as u128));
        prop_assert_eq!((decoded.value, decoded.residual), (modulus.centre(residue), error));
        prop_assert!(decoded.value.unsigned_abs() <= half);
        prop_assert_eq!(modulus.encode(decoded.value), encoded);
        prop_assert_eq!(modulus.minus(modulus.times(residue, residue), residue), (residue * residue + p - residue) % p);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&m.to_le_bytes());
        bytes[8..].copy_from_slice(&m.rotate_left(7).to_le_bytes());
        let word = u128::from_le_bytes(bytes);
        prop_assert_eq!(u128::from(modulus.residue(bytes)), word % u128::from(p));
    }
}

fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, n), x| (sum + x * x, n + 1));
    (sum / f64::from(count)).sqrt()
}

/// Residuals of the slots of an element that encrypts integers.
fn residuals(holders: &Holders, a: &Poly, b: &Poly, class: ModulusClass) -> Vec<f64> {
    let modulus = Modulus::of(class);
    let phase = holders.phase(a, b);
    let phase = phase.coefficients().iter();
    phase.map(|x| modulus.decode(*x).residual as f64).collect()
}

#[test]
fn measured_noise_is_the_predicted_noise() {
    let (holders, class) = (Holders::new(10), ModulusClass::Counts);
    let (cube, model) = (cube(class), NoiseModel::new(10));
    let members = holders.members(&cube, 2000, 11);
    let within = |measured: f64, variance: f64, tolerance: f64, what: &str| {
        let ratio = measured / variance.sqrt();
        println!(
            "{what}: 2^{:.2}, {ratio:.3} of the prediction",
            measured.log2()
        );
        assert!((ratio - 1.0).abs() < tolerance, "{what}: {ratio}");
    };

    let (a, b) = members[0].upload.unpack();
    let single = deviation(residuals(&holders, &a, &b, class).into_iter());
    within(single, model.upload_variance(), 0.15, "upload");
    assert!(model.fresh_variance() < model.upload_variance());

    let mut sum = RunningSum::new(&cube);
    for member in &members {
        sum.add(&member.upload).unwrap();
    }
    let table = sum.finish().unwrap();
    let residuals = residuals(&holders, table.a(), table.b(), class);
    let variance = 2000.0 * model.upload_variance();
    within(
        deviation(residuals.iter().copied()),
        variance,
        0.1,
        "sum of 2000",
    );

    // Random filters: the noise of a form is that of its cells.
    let mut rng = rng(12);
    let mut form = || {
        let terms = (0..cube.cells() as u16).filter(|_| rng.next_u32() & 1 == 1);
        Form::new(terms.map(|cell| (cell, 1)).collect()).unwrap()
    };
    let forms: Vec<Form> = (0..300).map(|_| form()).collect();
    let noise = |form: &Form| -> f64 {
        let terms = form.terms().iter();
        terms
            .map(|(c, w)| *w as f64 * residuals[usize::from(*c)])
            .sum()
    };
    let measured = deviation(forms.iter().map(noise));
    let variance = model.form_variance(&forms[0], 2000);
    // 300 filters of 300 cells of one table are far from independent.
    within(measured, variance, 0.5, "filters");
}

#[test]
fn flooding_has_the_stated_bound_and_variance() {
    for (class, bits) in [(ModulusClass::Counts, 101), (ModulusClass::Sums, 97)] {
        let flooding = Flooding::new(10, Room::Value(class));
        assert_eq!(flooding.bits(), bits);
        let values = flooding.sample(&mut Stream::new("salus/v1/test", &[]), DEGREE);
        let values: Vec<f64> = values.iter().map(|x| *x as i128 as f64).collect();
        assert!(values.iter().all(|x| x.abs() < 2f64.powi(bits as i32)));
        let ratio = deviation(values.iter().copied()) / flooding.variance().sqrt();
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
        let mean = values.iter().sum::<f64>() / DEGREE as f64 / flooding.variance().sqrt();
        assert!(mean.abs() < 0.08, "{mean}");
    }
}

#[test]
fn all_flooding_together_leaves_the_value_readable() {
    for class in CLASSES {
        for subsets in 1..=40 {
            let flooding = Flooding::new(subsets, Room::Value(class));
            let all = u128::from(subsets) << flooding.bits();
            let step = u128::MAX / u128::from(class.modulus());
            assert!(all <= step / 2, "{subsets}");
            assert!(flooding.plausible() <= step / 2 + (1 << (flooding.bits() - 3)));
        }
    }
}

#[test]
fn the_budget_stops_openings_and_counts_nothing_then() {
    let flooding = Flooding::new(10, Room::Value(ModulusClass::Counts));
    let terms = (0..4080).map(|cell| (cell, 1)).collect();
    let form = Form::new(terms).unwrap();
    let cost = flooding.form_cost(&form, 1 << 20);
    // A million openings of the widest form over a million members.
    assert!(cost * f64::from(1 << 20) < FloodingBudget::LIMIT);
    let mut budget = FloodingBudget::default();
    budget.spend(FloodingBudget::LIMIT * 0.75).unwrap();
    assert!(budget.spend(FloodingBudget::LIMIT * 0.5).is_err());
    assert!(budget.spend(f64::NAN).is_err() && budget.spend(-1.0).is_err());
    assert_eq!(budget.spent(), FloodingBudget::LIMIT * 0.75);
    budget.spend(FloodingBudget::LIMIT * 0.25).unwrap();
}

use super::{fixture, phase};
use crate::accumulate::Ready;
use crate::parameters::{
    COUNTING, RING, SMALL, SUMMING, failure_log2, phase_deviation, rotation_deviation,
    window_failure_log2,
};
use crate::query::{Branch, Work};
use crate::rotate::{ACCUMULATOR, LARGE, Rotator, coefficient, keyswitch_batch};
use tfhe::core_crypto::prelude::*;

fn deviation(samples: &[f64]) -> f64 {
    (samples.iter().map(|x| x * x).sum::<f64>() / samples.len() as f64).sqrt()
}

/// The phase of a small ciphertext after the centred modulus switch, in positions.
fn switched_phase(small: &LweCiphertextOwned<u64>) -> usize {
    let log = PolynomialSize(RING).to_blind_rotation_input_modulus_log();
    let switched =
        lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(small.as_view(), log);
    let secret = fixture().secrets.small.as_ref();
    let mut phase = switched.body();
    for (word, bit) in switched.mask().zip(secret) {
        phase = (phase + 2 * RING - (word % (2 * RING)) * *bit as usize) % (2 * RING);
    }
    phase
}

/// 140 records times 8 conjunctions: the estimate of a deviation has a relative error of 2 %, the tolerance is 10 %.
#[test]
fn phase_noise_agrees_with_the_formula() {
    let fixture = fixture();
    let mut errors = Vec::new();
    for code in 2..10u8 {
        let first = fixture
            .layout
            .slot(salus_schema::plan::ColumnIndex(1), code)
            .unwrap();
        let branch = Branch {
            predicates: vec![vec![first], vec![0, 1, 2], vec![first + 1, first]],
            work: Work::Split {
                count: None,
                rotations: Vec::new(),
            },
        };
        let ready = Ready::new(&branch, 1, fixture.layout.slots());
        for group in (0..fixture.records.len()).collect::<Vec<_>>().chunks(16) {
            let mut scratch = Vec::new();
            let inputs: Vec<_> = group
                .iter()
                .map(|&i| ready.and.input(&fixture.records[i..=i], &mut scratch))
                .collect();
            let small = keyswitch_batch(fixture.compute.keyswitch(), &inputs);
            for (&i, small) in group.iter().zip(&small) {
                let bits = fixture.layout.one_hot(&fixture.people[i]).unwrap();
                let inside: u64 = branch
                    .predicates
                    .iter()
                    .flatten()
                    .map(|&s| bits[usize::from(s)])
                    .sum();
                let expected = -(512 * (3 - inside as i64));
                let off = (switched_phase(small) as i64 - expected).rem_euclid(4096);
                let off = if off >= 2048 { off - 4096 } else { off };
                errors.push(off as f64 + 0.5);
            }
        }
    }
    let (found, expected) = (deviation(&errors), phase_deviation());
    assert!(
        (found / expected - 1.0).abs() < 0.10,
        "{found} positions, formula {expected}"
    );
}

/// 16 rotations of 2048 coefficients each; the formula leaves out rounding of the transforms, the tolerance is half a bit.
#[test]
fn rotation_noise_agrees_with_the_formula() {
    let fixture = fixture();
    let inputs: Vec<Vec<u64>> = (0..16u64)
        .map(|i| {
            let mut input = vec![0u64; LARGE];
            for (j, word) in input.iter_mut().enumerate() {
                *word = (i * 4096 + j as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            }
            input
        })
        .collect();
    let small = keyswitch_batch(fixture.compute.keyswitch(), &inputs);
    let mut lut = vec![0u64; RING];
    lut[..128].fill(1 << 57);
    for (gadget, key) in [
        (COUNTING, fixture.compute.counting()),
        (SUMMING, &fixture.compute.summing),
    ] {
        let mut rotator = Rotator::new();
        let outputs = rotator.rotate_switched(key, &small, &lut);
        let mut errors = Vec::new();
        for (small, output) in small.iter().zip(outputs.chunks_exact(ACCUMULATOR)) {
            let turn = switched_phase(small);
            for degree in (0..RING).step_by(16) {
                let from = (degree + turn) % (2 * RING);
                let expected = if from < RING {
                    lut[from]
                } else {
                    lut[from - RING].wrapping_neg()
                };
                let found = phase(&coefficient(output, degree));
                errors.push(found.wrapping_sub(expected) as i64 as f64);
            }
        }
        let (found, expected) = (deviation(&errors).log2(), rotation_deviation(gadget).log2());
        println!("rotation noise, {gadget:?}: 2^{found:.2}, formula 2^{expected:.2}");
        assert!(
            (found - expected).abs() < 0.5,
            "2^{found}, formula 2^{expected}"
        );
    }
}

#[test]
fn failure_probabilities_are_those_of_the_tables() {
    assert_eq!(SMALL, 918);
    // Two-sided normal tails: 13.15 deviations are 2^-128, 9.16 are 2^-64.
    assert!((failure_log2(13.15, 1.0) + 128.8).abs() < 1.5);
    assert!((failure_log2(9.16, 1.0) + 64.5).abs() < 1.5);
    assert!(window_failure_log2(128) < -125.0);
    assert!(window_failure_log2(256) < window_failure_log2(128));
}

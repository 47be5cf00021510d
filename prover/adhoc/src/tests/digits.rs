use super::{fixture, phase, rng};
use crate::accumulate::Chunk;
use crate::digits::{Columns, extract};
use crate::parameters::{COUNTING, SUMMING, rotation_deviation};
use crate::rotate::{LARGE, Rotator, keyswitch_batch, native};
use rand::Rng;
use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::*;

fn encrypted(value: u64, deviation: f64, seed: u128) -> Vec<u64> {
    let mut seeder = new_seeder();
    let mut generator =
        EncryptionRandomGenerator::<DefaultRandomGenerator>::new(Seed(seed), seeder.as_mut());
    let noise = Gaussian::from_dispersion_parameter(StandardDev(deviation * 2f64.powi(-64)), 0.0);
    let mut out = LweCiphertext::new(0u64, LweSize(LARGE), native());
    encrypt_lwe_ciphertext(
        &fixture().secrets.ring.as_lwe_secret_key(),
        &mut out,
        Plaintext(value),
        noise,
        &mut generator,
    );
    out.into_container()
}

fn number(blocks: &[Vec<u64>]) -> u64 {
    blocks.iter().rev().fold(0, |number, block| {
        number << 2 | (phase(block).wrapping_add(1 << 58) >> 59)
    })
}

#[test]
fn totals_at_the_edges_of_a_chunk_become_their_digits() {
    let keys = &fixture().compute;
    let cases = [
        (
            Chunk::histogram(1 << 20),
            SUMMING,
            vec![0, 1, 1023, 1024, 2046, 2047],
        ),
        (Chunk::counts(1, 1 << 20), COUNTING, vec![0, 62, 63]),
        (Chunk::counts(2, 1 << 20), COUNTING, vec![0, 1, 64, 126]),
        (Chunk::digit(1 << 20), SUMMING, vec![0, 15, 2040]),
        (Chunk::histogram(3), SUMMING, vec![0, 3]),
    ];
    for (chunk, gadget, totals) in cases {
        let deviation = rotation_deviation(gadget) * (chunk.rotations as f64).sqrt();
        let ciphertexts = totals
            .iter()
            .map(|&total| encrypted(total << chunk.lowest(), deviation, u128::from(total)))
            .collect();
        let found: Vec<u64> = extract(keys, ciphertexts, chunk)
            .iter()
            .map(|blocks| number(blocks))
            .collect();
        assert_eq!(found, totals, "{chunk:?}");
    }
}

#[test]
fn sums_of_many_numbers_have_normalised_digits() {
    let keys = &fixture().compute;
    let mut columns = Columns::default();
    let mut sum = 0;
    let mut rng = rng(8);
    for term in 0..7u64 {
        let shift = rng.gen_range(0..2);
        let blocks: Vec<Vec<u64>> = (0..3)
            .map(|j| {
                encrypted(
                    (3 - (term + j) % 2) << 59,
                    2f64.powi(45),
                    u128::from(9 * term + j),
                )
            })
            .collect();
        sum += (0..3).map(|j| (3 - (term + j) % 2) << (2 * j)).sum::<u64>() << (2 * shift);
        columns.push(keys, &blocks, shift);
        assert!(columns.well_formed());
    }
    let digits = columns.normalise(keys, 7);
    for digit in &digits {
        assert!(phase(digit).wrapping_add(1 << 58) >> 59 < 4);
    }
    assert_eq!(number(&digits), sum);
}

#[test]
fn batched_keyswitch_and_rotation_are_bit_equal_to_tfhe() {
    let keys = &fixture().compute;
    let inputs: Vec<Vec<u64>> = (0..5u64)
        .map(|i| encrypted(i << 59, 2f64.powi(40), u128::from(i)))
        .collect();
    let small = keyswitch_batch(keys.keyswitch(), &inputs);
    let mut lut = vec![0; crate::parameters::RING];
    lut[..128].fill(1 << 57);
    for bootstrap in [keys.counting(), &keys.summing] {
        let mut rotator = Rotator::new();
        let outputs = rotator
            .rotate(keys.keyswitch(), bootstrap, &inputs, &lut)
            .to_vec();
        for ((input, small), output) in inputs
            .iter()
            .zip(&small)
            .zip(outputs.chunks_exact(crate::rotate::ACCUMULATOR))
        {
            let input = LweCiphertext::from_container(input.clone(), native());
            let mut expected = LweCiphertext::new(0u64, small.lwe_size(), native());
            keyswitch_lwe_ciphertext(keys.keyswitch(), &input, &mut expected);
            assert_eq!(expected.as_ref(), small.as_ref());
            let log = PolynomialSize(2048).to_blind_rotation_input_modulus_log();
            let switched = lwe_ciphertext_centered_binary_modulus_switch::<u64, usize, _>(
                expected.as_view(),
                log,
            );
            let mut accumulator =
                GlweCiphertext::new(0u64, GlweSize(2), PolynomialSize(2048), native());
            accumulator.get_mut_body().as_mut().copy_from_slice(&lut);
            blind_rotate_assign(&switched, &mut accumulator, bootstrap);
            assert_eq!(accumulator.as_ref(), output);
        }
    }
}

//! The link's statement in plain integers, and weighted sums of scalars.

use super::challenge::LinkChallenges;
use super::{Announcement, REPETITIONS};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt, PrimeField};

/// `sum_i rho_i a_ij` over all chunks, by repetition and column; integers below 2^48.
///
/// `codes` are chunks x columns of the cube x slots.
pub fn column_sums(
    announcement: &Announcement,
    challenges: &LinkChallenges,
    codes: &[&[Vec<u8>]],
) -> [Vec<u64>; REPETITIONS] {
    std::array::from_fn(|repetition| {
        let mut sums = vec![0u64; announcement.columns().len()];
        for (chunk, columns) in codes.iter().enumerate() {
            let rho = challenges.members(repetition, chunk, announcement.slots());
            for (sum, column) in sums.iter_mut().zip(*columns) {
                *sum += column
                    .iter()
                    .zip(&rho)
                    .map(|(a, r)| u64::from(*a) * u64::from(*r))
                    .sum::<u64>();
            }
        }
        sums
    })
}

/// `sum_j beta_j sums_j + mask` as value V below p and quotient kappa: `sum + mask = V + p kappa`.
pub fn value_and_quotient(sums: &[u64], beta: &[u64], mask: u64, modulus: u64) -> (u64, u64) {
    let total = sums
        .iter()
        .zip(beta)
        .map(|(s, b)| u128::from(*s) * u128::from(*b))
        .sum::<u128>()
        + u128::from(mask);
    let modulus = u128::from(modulus);
    // Sums are below 2^48 and there are at most 16: the quotient is below 2^53.
    ((total % modulus) as u64, (total / modulus) as u64)
}

/// `sum_i weights_e[i] * scalars[i]` for each of the repetitions.
///
/// Works on canonical limbs: a weight has 8 bits, so a limb's sum over at most 2^16 slots fits in 88 bits and one
/// reduction at the end replaces a field multiplication per term.
pub fn weighted_sums(scalars: &[Fr], weights: &[Vec<u8>; REPETITIONS]) -> [Fr; REPETITIONS] {
    let mut limbs = [[0u128; 4]; REPETITIONS];
    for (i, scalar) in scalars.iter().enumerate() {
        let BigInt(parts) = scalar.into_bigint();
        for (acc, row) in limbs.iter_mut().zip(weights) {
            let weight = u128::from(row[i]);
            for (sum, part) in acc.iter_mut().zip(parts) {
                *sum += weight * u128::from(part);
            }
        }
    }
    let shift = Fr::from(1u128 << 64);
    limbs.map(|acc| {
        acc.iter()
            .rev()
            .fold(Fr::ZERO, |sum, limb| sum * shift + Fr::from(*limb))
    })
}

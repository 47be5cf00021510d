//! Chooses between the lane arithmetic and its portable twins; results are equal.
//!
//! On a CPU with AVX-512 IFMA an affine addition costs about 60 ns instead of 300 ns.

use super::msm::{self, FixedBaseMsm};
use ark_bn254::{Fr, G1Affine, G1Projective, g1};
use ark_ec::VariableBaseMSM;
#[cfg(target_arch = "x86_64")]
use {super::ifma, ark_ff::PrimeField};

/// Fixed-base multi-scalar multiplication in G1.
pub enum FixedBase {
    /// Any CPU.
    Portable(FixedBaseMsm<g1::Config>),
    /// Eight additions at a time.
    #[cfg(target_arch = "x86_64")]
    Lanes(ifma::msm::FixedBase),
}

impl FixedBase {
    /// Precomputes the window shifts of `bases`.
    pub fn new(bases: &[G1Affine]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if ifma::available() {
            return Self::Lanes(ifma::msm::FixedBase::new(bases, ifma::msm::FixedBase::window_for(bases.len())));
        }
        Self::Portable(FixedBaseMsm::new(bases, FixedBaseMsm::<g1::Config>::window_for(bases.len())))
    }

    /// `sum_k scalars[k] * bases[k]`.
    pub fn msm(&self, scalars: &[Fr]) -> G1Projective {
        match self {
            Self::Portable(table) => table.msm(scalars),
            #[cfg(target_arch = "x86_64")]
            Self::Lanes(table) => {
                let bits: Vec<_> = scalars.iter().map(|s| s.into_bigint()).collect();
                table.msm(&bits)
            }
        }
    }
}

/// `sum_k scalars[k] * points[k]` for points seen once.
///
/// # Panics
/// When the slices differ in length.
pub fn msm(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    assert_eq!(points.len(), scalars.len());
    #[cfg(target_arch = "x86_64")]
    if ifma::available() {
        let bits: Vec<_> = scalars.iter().map(|s| s.into_bigint()).collect();
        return ifma::msm::msm(points, &bits, 254);
    }
    G1Projective::msm_unchecked(points, scalars)
}

/// Sums points by class: `out[k]` is the sum of `points[i]` with `classes[i] == k`.
///
/// # Panics
/// When the slices differ in length or a class is not below `count`.
pub fn class_sums(points: &[G1Affine], classes: &[u16], count: usize) -> Vec<G1Affine> {
    assert_eq!(points.len(), classes.len());
    #[cfg(target_arch = "x86_64")]
    if ifma::available() {
        return ifma::msm::class_sums(points, classes, count);
    }
    msm::class_sums(points, classes, count)
}

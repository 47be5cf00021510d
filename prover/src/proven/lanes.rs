//! Chooses between the lane arithmetic and its portable twins; results are equal.
//!
//! On a CPU with AVX-512 IFMA an affine addition costs about 60 ns instead of 300 ns, and a
//! transform a fifth.

use super::msm::{self, FixedBaseMsm};
use ark_bn254::{Fr, G1Affine, G1Projective, g1};
use ark_ec::VariableBaseMSM;
use ark_ff::FftField;
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use rayon::prelude::*;
use std::time::{Duration, Instant};
#[cfg(target_arch = "x86_64")]
use {super::ifma, ark_ff::PrimeField};

/// Commits to the product of two polynomials by its values on the coset of a domain.
pub enum CosetCommitter {
    /// Any CPU.
    Portable {
        /// Where the factors are given, and where their product is committed to.
        domains: Box<[GeneralEvaluationDomain<Fr>; 2]>,
        /// The bases.
        table: FixedBaseMsm<g1::Config>,
    },
    /// Eight rows at a time.
    #[cfg(target_arch = "x86_64")]
    Lanes {
        /// Transforms and product.
        fft: Box<ifma::fft::CosetProduct>,
        /// The bases.
        table: ifma::msm::FixedBase,
    },
}

impl CosetCommitter {
    /// Precomputes twiddles and the window shifts of `bases`, one per point of the coset.
    ///
    /// # Panics
    /// When there is no domain with this number of points.
    pub fn new(bases: &[G1Affine]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if ifma::available()
            && bases.len().is_power_of_two()
            && (7..=19).contains(&bases.len().ilog2())
        {
            return Self::Lanes {
                fft: Box::new(ifma::fft::CosetProduct::new(
                    bases.len().ilog2(),
                    Fr::GENERATOR,
                )),
                table: ifma::msm::FixedBase::new(
                    bases,
                    ifma::msm::FixedBase::window_for(bases.len()),
                ),
            };
        }
        Self::portable(bases)
    }

    fn portable(bases: &[G1Affine]) -> Self {
        let domain =
            GeneralEvaluationDomain::<Fr>::new(bases.len()).expect("domains up to 2^28 exist");
        Self::Portable {
            domains: Box::new([
                domain,
                domain
                    .get_coset(Fr::GENERATOR)
                    .expect("the generator is not zero"),
            ]),
            table: FixedBaseMsm::new(bases, FixedBaseMsm::<g1::Config>::window_for(bases.len())),
        }
    }

    /// The commitment to the product of the polynomials with values `a` and `b` on the domain, and how
    /// long the transforms and the multi-scalar multiplication took.
    pub fn commit(&self, mut a: Vec<Fr>, mut b: Vec<Fr>) -> (G1Projective, Duration, Duration) {
        let start = Instant::now();
        match self {
            Self::Portable { domains, table } => {
                let [domain, coset] = &**domains;
                let to_coset = |v: &mut Vec<Fr>| {
                    domain.ifft_in_place(v);
                    coset.fft_in_place(v);
                };
                rayon::join(|| to_coset(&mut a), || to_coset(&mut b));
                a.par_iter_mut().zip(&b).for_each(|(a, b)| *a *= b);
                let transforms = start.elapsed();
                (table.msm(&a), transforms, start.elapsed() - transforms)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Lanes { fft, table } => {
                let product = fft.product(&a, &b);
                let transforms = start.elapsed();
                (
                    table.msm(&product),
                    transforms,
                    start.elapsed() - transforms,
                )
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

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::UniformRand;
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn both_paths_commit_to_the_same_product() {
        let mut rng = StdRng::seed_from_u64(1);
        let bases: Vec<G1Affine> = (0..1 << 8).map(|_| G1Affine::rand(&mut rng)).collect();
        let mut draw = || -> Vec<Fr> { bases.iter().map(|_| Fr::rand(&mut rng)).collect() };
        let (a, b) = (draw(), draw());
        let fast = CosetCommitter::new(&bases).commit(a.clone(), b.clone()).0;
        assert_eq!(fast, CosetCommitter::portable(&bases).commit(a, b).0);
    }
}

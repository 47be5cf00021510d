//! Key generation from explicit secrets ("toxic waste").
//!
//! A production key comes out of a ceremony in which no party ever knows these secrets
//! (SPEC.md section 6); this generator is what development keys, tests and the ceremony's
//! reference implementation are made of.

use super::{KeyError, ProvingKey, VerifyingKey};
use crate::aggregate::rows::for_each_row;
use crate::commitment::CommitmentKey;
use crate::layout::{RESULTS, Shape};
use crate::qap::coset_quotient_scalars;
use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, FftField, Field, UniformRand};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_std::rand::{CryptoRng, Rng};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secrets shared by all circuits of a chunk size. Whoever knows them can forge.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct FamilySecrets {
    tau: Fr,
    alpha: Fr,
    beta: Fr,
    gamma1: Fr,
    gamma3: Fr,
}

/// Secrets of one circuit.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CircuitSecrets {
    gamma0: Fr,
    gamma2: Fr,
    delta: Fr,
}

fn nonzero(rng: &mut impl Rng) -> Fr {
    loop {
        let v = Fr::rand(rng);
        if v != Fr::ZERO {
            return v;
        }
    }
}

impl FamilySecrets {
    /// Fresh secrets. tau lies outside every domain up to 2^20.
    pub fn random(rng: &mut (impl Rng + CryptoRng)) -> Self {
        let tau = loop {
            let t = nonzero(rng);
            if t.pow([1u64 << 20]) != Fr::ONE {
                break t;
            }
        };
        Self {
            tau,
            alpha: nonzero(rng),
            beta: nonzero(rng),
            gamma1: nonzero(rng),
            gamma3: nonzero(rng),
        }
    }

    /// Secrets with ONE gamma for all blocks: the broken construction that the forgery test attacks.
    #[cfg(test)]
    pub(crate) fn with_single_gamma(mut self, gamma: Fr) -> Self {
        self.gamma1 = gamma;
        self.gamma3 = gamma;
        self
    }
}

impl CircuitSecrets {
    /// Fresh secrets.
    pub fn random(rng: &mut (impl Rng + CryptoRng)) -> Self {
        Self {
            gamma0: nonzero(rng),
            gamma2: nonzero(rng),
            delta: nonzero(rng),
        }
    }

    /// See [`FamilySecrets::with_single_gamma`].
    #[cfg(test)]
    pub(crate) fn with_single_gamma(mut self, gamma: Fr) -> Self {
        self.gamma0 = gamma;
        self.gamma2 = gamma;
        self
    }
}

fn inverse(v: &Fr) -> Fr {
    v.inverse().expect("secrets are sampled nonzero")
}

/// Generates the key of one circuit.
///
/// # Errors
/// [`KeyError::Shape`] when the dimensions are impossible.
pub fn generate(
    shape: Shape,
    family: &FamilySecrets,
    circuit: &CircuitSecrets,
) -> Result<ProvingKey, KeyError> {
    shape.check()?;
    let s = &shape;
    let domain = GeneralEvaluationDomain::<Fr>::new(s.domain()).expect("domains up to 2^28 exist");
    let lagrange = domain.evaluate_all_lagrange_coefficients(family.tau);

    // beta u_j + alpha v_j + w_j per variable, accumulated row by row
    let mut combined = vec![Fr::ZERO; s.variables()];
    let mut row = 0;
    for_each_row(s, |a, b, c| {
        let l = lagrange[row];
        let (al, bl) = (family.beta * l, family.alpha * l);
        for (terms, weight) in [(&a, al), (&b, bl), (&c, l)] {
            for (coefficient, variable) in terms {
                combined[*variable] += weight * coefficient;
            }
        }
        row += 1;
    });
    debug_assert_eq!(row, s.rows());

    let blocks = [
        (0..Shape::BLOCK1, inverse(&circuit.gamma0)),
        (Shape::BLOCK1..s.zeta(), inverse(&family.gamma1)),
        (s.zeta()..s.y(0), inverse(&circuit.gamma2)),
        (s.y(0)..s.instance(), inverse(&family.gamma3)),
        (s.instance()..s.variables(), inverse(&circuit.delta)),
    ];
    for (range, factor) in blocks {
        combined[range].iter_mut().for_each(|v| *v *= factor);
    }

    let zt = domain.evaluate_vanishing_polynomial(family.tau);
    let coset = coset_quotient_scalars(&domain, family.tau, zt * inverse(&circuit.delta))
        .expect("the generator lies outside the domain");
    let kappa = zt
        * inverse(&circuit.delta)
        * inverse(&domain.evaluate_vanishing_polynomial(Fr::GENERATOR));
    let rows: Vec<Fr> = lagrange[..s.rows()].iter().map(|l| *l * kappa).collect();

    let g1 = BatchMulPreprocessing::new(G1Projective::from(G1Affine::generator()), 4 * s.domain());
    let g2 = BatchMulPreprocessing::new(G2Projective::from(G2Affine::generator()), s.domain());
    let one1 = |v: Fr| (G1Affine::generator() * v).into_affine();
    let one2 = |v: Fr| (G2Affine::generator() * v).into_affine();

    let mut points = g1.batch_mul(&combined);
    combined.zeroize();
    let witness = points.split_off(s.instance());
    let results_blinding = points[s.y_blinding()];
    let results = points[s.y(0)..s.y(RESULTS)].to_vec();
    let aux = points[s.zeta()..=s.aux_blinding()].to_vec();
    let commitment = CommitmentKey::new(
        points[s.x(0)..s.x_blinding()].to_vec(),
        points[s.x_blinding()],
    );

    Ok(ProvingKey {
        vk: VerifyingKey {
            shape,
            alpha: one1(family.alpha),
            beta: one2(family.beta),
            gammas: [circuit.gamma0, family.gamma1, circuit.gamma2, family.gamma3].map(one2),
            delta: one2(circuit.delta),
            ic: [points[0], points[1], points[2]],
            results,
            results_blinding,
            basis_root: commitment.root(),
            blinding: commitment.blinding,
        },
        commitment,
        beta: one1(family.beta),
        delta: one1(circuit.delta),
        lagrange_g1: g1.batch_mul(&lagrange[..s.rows()]),
        lagrange_g2: g2.batch_mul(&lagrange[..s.rows()]),
        aux,
        witness,
        quotient_coset: g1.batch_mul(&coset),
        quotient_rows: g1.batch_mul(&rows),
    })
}

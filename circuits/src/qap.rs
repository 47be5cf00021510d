//! R1CS to QAP without the extra instance rows of the libsnark reduction.
//!
//! libsnark's reduction appends one row per instance variable to make the instance
//! polynomials independent; with most variables in the instance that would double the
//! domain. Here the layout itself gives every committed variable a row of its own
//! (SPEC.md section 5.2), so the extra rows are left out. The quotient is committed in the
//! coset-Lagrange basis, which saves the prover a division and an inverse transform.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{R1CSToQAP, evaluate_constraint};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_relations::gr1cs::{
    ConstraintSystemRef, Matrix, R1CS_PREDICATE_LABEL, Result as R1csResult, SynthesisError,
};
use rayon::prelude::*;

/// The reduction, usable as `ark_groth16::Groth16<Bn254, LeanQap>`.
pub struct LeanQap;

impl R1CSToQAP for LeanQap {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> Result<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize), SynthesisError> {
        let all = cs.to_matrices()?;
        let matrices = &all[R1CS_PREDICATE_LABEL];
        let rows = cs.num_constraints();
        let domain = D::new(rows).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let lagrange = domain.evaluate_all_lagrange_coefficients(*t);
        let variables = cs.num_instance_variables() + cs.num_witness_variables();
        let evaluate = |matrix: &Matrix<F>| {
            let mut out = vec![F::zero(); variables];
            for (row, weight) in matrix.iter().zip(&lagrange) {
                for (coefficient, variable) in row {
                    out[*variable] += *weight * coefficient;
                }
            }
            out
        };
        Ok((
            evaluate(&matrices[0]),
            evaluate(&matrices[1]),
            evaluate(&matrices[2]),
            domain.evaluate_vanishing_polynomial(*t),
            variables - 1,
            domain.size(),
        ))
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        _inputs: usize,
        rows: usize,
        assignment: &[F],
    ) -> R1csResult<Vec<F>> {
        let domain = GeneralEvaluationDomain::<F>::new(rows)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let coset = domain
            .get_coset(F::GENERATOR)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let on_coset = |matrix: &Matrix<F>| {
            let mut v = vec![F::zero(); domain.size()];
            v[..rows]
                .par_iter_mut()
                .zip(matrix)
                .for_each(|(out, row)| *out = evaluate_constraint(row, assignment));
            domain.ifft_in_place(&mut v);
            coset.fft_in_place(&mut v);
            v
        };
        let (mut a, b, c) = (
            on_coset(&matrices[0]),
            on_coset(&matrices[1]),
            on_coset(&matrices[2]),
        );
        a.par_iter_mut()
            .zip(b)
            .zip(c)
            .for_each(|((a, b), c)| *a = *a * b - c);
        Ok(a)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        zt: F,
        delta_inverse: F,
    ) -> Result<Vec<F>, SynthesisError> {
        let domain = GeneralEvaluationDomain::<F>::new(max_power + 1)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        coset_quotient_scalars(&domain, t, zt * delta_inverse)
            .ok_or(SynthesisError::PolynomialDegreeTooLarge)
    }
}

/// `scale / Z(g) * L_k(t / g)`: the scalar of each coset evaluation of `A B - C`, where
/// `scale = Z(t) / delta` and g generates the coset.
pub fn coset_quotient_scalars<F: PrimeField>(
    domain: &GeneralEvaluationDomain<F>,
    t: F,
    scale: F,
) -> Option<Vec<F>> {
    let g = F::GENERATOR;
    let kappa = scale * domain.evaluate_vanishing_polynomial(g).inverse()?;
    let mut out = domain.evaluate_all_lagrange_coefficients(t * g.inverse()?);
    out.iter_mut().for_each(|x| *x *= kappa);
    Some(out)
}

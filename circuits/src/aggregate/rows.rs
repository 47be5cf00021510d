//! The constraint twin of the aggregate relation: every row, in layout order.
//!
//! One generator serves the key generation, the stock prover's constraint system and the
//! tests, so there is a single place where the circuit is written down. The numbers in the
//! comments are the statements of SPEC.md section 4.

use crate::layout::{OPEN_CODES, RESULTS, Shape};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use salus_schema::plan::CODES;

/// A sparse linear combination of variables.
pub type Sparse = Vec<(Fr, usize)>;

fn small(v: u64) -> Fr {
    Fr::from(v)
}

/// The variable that holds zeta^l, for l in 1..=K.
fn power_variable(s: &Shape, l: usize) -> usize {
    if l == 1 { s.zeta() } else { s.power(l) }
}

/// Terms of zeta^l * a.
fn column_term(s: &Shape, l: usize, a: u64, sign: Fr) -> Option<(Fr, usize)> {
    let variable = if l == 0 {
        Shape::ONE
    } else {
        power_variable(s, l)
    };
    (a > 0).then(|| (sign * small(a), variable))
}

/// The moments image of published value t as a combination of cell multiplicities.
fn moments(s: &Shape, t: usize) -> Sparse {
    let (group, power) = (t / 3, (t % 3) as u32);
    if group >= s.groups() {
        return Vec::new();
    }
    (0..CODES)
        .filter(|m| power == 0 || *m > 0)
        .map(|m| (small((m as u64).pow(power)), s.muq(group * CODES + m)))
        .collect()
}

/// Calls `emit(A, B, C)` for every row `A * B = C`, in layout order.
pub fn for_each_row(s: &Shape, mut emit: impl FnMut(Sparse, Sparse, Sparse)) {
    let one = Fr::ONE;
    let minus = -one;
    let n = s.active();
    let gamma = || (one, Shape::GAMMA);

    // (S2) cells: invq_i * (gamma - (sum_l g_il - x_i)) = 1; slots of another part are only pinned.
    for slot in 0..s.slots {
        if (s.lo..s.hi).contains(&slot) {
            let i = slot - s.lo;
            let mut b = vec![gamma(), (one, s.x(slot))];
            b.extend((0..s.columns).map(|l| (minus, s.g(l, i))));
            emit(vec![(one, s.invq(i))], b, vec![(one, Shape::ONE)]);
        } else {
            emit(vec![], vec![(one, s.x(slot))], vec![]);
        }
    }
    emit(vec![], vec![(one, s.x_blinding())], vec![]);
    // (S7) hidden part of each published value
    for t in 0..RESULTS {
        emit(
            vec![(one, Shape::ONE)],
            vec![(one, s.y(t))],
            vec![(one, s.kept(t)), (minus, s.opened(t))],
        );
    }
    emit(vec![], vec![(one, s.y_blinding())], vec![]);

    // (S1) lookups: inv_il * (gamma - g_il) = 1
    for l in 0..s.columns {
        for i in 0..n {
            emit(
                vec![(one, s.inv(l, i))],
                vec![gamma(), (minus, s.g(l, i))],
                vec![(one, Shape::ONE)],
            );
        }
    }
    // (S3) tables: z_la * (gamma - T_l[a]) = mu_la, T_l[a] = zeta^l a + u_la, u_l0 = beta W
    for l in 0..s.columns {
        for a in 0..CODES {
            let k = l * CODES + a;
            let mut b = vec![gamma()];
            b.extend(column_term(s, l, a as u64, minus));
            b.push(match a {
                0 => (-small(s.cells as u64), s.beta()),
                _ => (minus, s.u(l * OPEN_CODES + a - 1)),
            });
            emit(vec![(one, s.z(k))], b, vec![(one, s.mu(k))]);
        }
    }
    for q in 0..s.sums() {
        let mut b = vec![gamma()];
        if q > 0 {
            b.push((-small(q as u64), s.beta()));
        }
        emit(vec![(one, s.zq(q))], b, vec![(one, s.muq(q))]);
    }
    // (S4) balances
    for l in 0..s.columns {
        let mut c: Sparse = (0..n).map(|i| (one, s.inv(l, i))).collect();
        c.extend((0..CODES).map(|a| (minus, s.z(l * CODES + a))));
        emit(vec![], vec![], c);
    }
    let mut c: Sparse = (0..n).map(|i| (one, s.invq(i))).collect();
    c.extend((0..s.sums()).map(|q| (minus, s.zq(q))));
    emit(vec![], vec![], c);
    // powers of zeta
    for l in 2..=s.columns {
        emit(
            vec![(one, power_variable(s, l - 1))],
            vec![(one, s.zeta())],
            vec![(one, s.power(l))],
        );
    }
    // (S5) the query tables are the public ones: (1-gamma)^2 sum_k u_k gamma^k = beta D
    let entries = s.entries();
    for k in 0..entries - 1 {
        let above = if k + 2 == entries {
            s.u(k + 1)
        } else {
            s.horner(k + 1)
        };
        emit(
            vec![(one, above)],
            vec![gamma()],
            vec![(one, s.horner(k)), (minus, s.u(k))],
        );
    }
    let one_minus_gamma = || vec![(one, Shape::ONE), (minus, Shape::GAMMA)];
    emit(
        vec![(one, s.horner(0))],
        one_minus_gamma(),
        vec![(one, s.difference(0))],
    );
    emit(
        vec![(one, s.difference(0))],
        one_minus_gamma(),
        vec![(one, s.difference(1))],
    );
    emit(
        vec![(one, s.beta())],
        vec![(one, s.difference(2))],
        vec![(one, s.difference(1))],
    );
    // (S6) image: select, mask, open
    for t in 0..RESULTS {
        let m = moments(s, t);
        let mut a: Sparse = vec![(one, s.muq(t))];
        let mut c: Sparse = vec![(one, s.selected(t))];
        for (coefficient, variable) in m {
            match a.iter_mut().find(|(_, v)| *v == variable) {
                Some(term) => term.0 -= coefficient,
                None => a.push((-coefficient, variable)),
            }
            c.push((-coefficient, variable));
        }
        emit(a, vec![(one, s.image())], c);
    }
    for t in 0..RESULTS {
        emit(
            vec![(one, s.selected(t))],
            vec![(one, Shape::ONE), (minus, s.mask(t))],
            vec![(one, s.kept(t))],
        );
    }
    for t in 0..RESULTS {
        emit(
            vec![(one, s.kept(t))],
            vec![(one, s.direct())],
            vec![(one, s.opened(t))],
        );
    }
    for bit in (0..RESULTS)
        .map(|t| s.mask(t))
        .chain([s.direct(), s.image()])
    {
        emit(vec![(one, bit)], vec![(one, bit)], vec![(one, bit)]);
    }
    // (S8) V = zeta + gamma (flags + gamma (sum_t opened_t gamma^t + gamma^64 D))
    for t in 0..RESULTS {
        let above = if t + 1 == RESULTS {
            s.difference(2)
        } else {
            s.fold(t + 1)
        };
        emit(
            vec![(one, above)],
            vec![gamma()],
            vec![(one, s.fold(t)), (minus, s.opened(t))],
        );
    }
    let mut c = vec![
        (one, s.fold_flags()),
        (minus, s.direct()),
        (-small(2), s.image()),
    ];
    let mut weight = small(4);
    for t in 0..RESULTS {
        c.push((-weight, s.mask(t)));
        weight.double_in_place();
    }
    emit(vec![(one, s.fold(0))], vec![gamma()], c);
    emit(
        vec![(one, s.fold_flags())],
        vec![gamma()],
        vec![(one, Shape::FOLD), (minus, s.zeta())],
    );
    // (S9) zeta is not zero: with beta = 0, D would be free in S5, and with it V and every value
    emit(
        vec![(one, s.zeta())],
        vec![(one, s.zeta_inverse())],
        vec![(one, Shape::ONE)],
    );
    // independence of the remaining committed variables
    for v in [Shape::ONE, Shape::GAMMA, Shape::FOLD, s.aux_blinding()] {
        emit(vec![], vec![(one, v)], vec![]);
    }
}

/// The rows as an arkworks constraint system: the stock prover's view, and the tests'.
pub struct AggregateCircuit {
    /// Dimensions.
    pub shape: Shape,
    /// Full assignment in layout order; `None` when only the matrices are wanted.
    pub assignment: Option<Vec<Fr>>,
}

impl ConstraintSynthesizer<Fr> for AggregateCircuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let s = self.shape;
        let value = |k: usize| {
            self.assignment
                .as_ref()
                .map(|a| a[k])
                .ok_or(SynthesisError::AssignmentMissing)
        };
        let mut variables = vec![Variable::One];
        for k in 1..s.instance() {
            variables.push(cs.new_input_variable(|| value(k))?);
        }
        for k in s.instance()..s.variables() {
            variables.push(cs.new_witness_variable(|| value(k))?);
        }
        let combination =
            |v: Sparse| LinearCombination(v.into_iter().map(|(c, k)| (c, variables[k])).collect());
        let mut result = Ok(());
        for_each_row(&s, |a, b, c| {
            let (a, b, c) = (combination(a), combination(b), combination(c));
            if let Err(e) = cs.enforce_r1cs_constraint(|| a, || b, || c) {
                result = Err(e);
            }
        });
        result
    }
}

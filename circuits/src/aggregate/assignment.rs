//! The full satisfying assignment, variable by variable: the oracle the fast prover is
//! compared with, and the input of the stock prover. Clarity over speed.

use super::relation::{AggregatePrivate, AggregatePublic, masked, table_fold, tally};
use crate::layout::{OPEN_CODES, RESULTS, Shape};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, batch_inversion};
use salus_schema::plan::{CODES, Image};

/// Blindings of the prover's two commitments; fresh for every proof.
#[derive(Clone, Copy)]
pub struct Blindings {
    /// Of `C_aux`.
    pub aux: Fr,
    /// Of `C_res`; zero when the values are opened directly.
    pub res: Fr,
}

/// Blocks 1 to 3 of the assignment, which do not depend on gamma; the rest is zero.
pub fn before_gamma(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    private: &AggregatePrivate,
    blindings: &Blindings,
) -> Vec<Fr> {
    let s = shape;
    let zeta = public.zeta();
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |p| Some(*p * zeta))
        .take(s.columns + 1)
        .collect();
    let beta = powers[s.columns];
    let mut z = vec![Fr::ZERO; s.variables()];
    z[Shape::ONE] = Fr::ONE;
    for slot in 0..s.slots {
        z[s.x(slot)] = (0..s.columns).map(|l| powers[l] * Fr::from(private.codes[l][slot])).sum();
    }
    z[s.x_blinding()] = (0..s.columns).map(|l| powers[l] * private.blindings[l]).sum();
    z[s.zeta()] = zeta;
    z[s.direct()] = Fr::from(public.opened.is_some());
    z[s.image()] = Fr::from(public.pass.image() == Image::Cells);
    for t in 0..RESULTS {
        z[s.mask(t)] = Fr::from(public.mask >> t & 1);
    }
    for (l, table) in public.pass.tables().iter().enumerate() {
        for a in 1..CODES {
            z[s.u(l * OPEN_CODES + a - 1)] = beta * Fr::from(table.get(a as u8));
        }
        for i in 0..s.active() {
            let a = private.codes[l][s.lo + i];
            z[s.g(l, i)] = powers[l] * Fr::from(a) + beta * Fr::from(table.get(a));
            z[s.mu(l * CODES + usize::from(a))] += Fr::ONE;
        }
    }
    let tally = tally(s, public.pass, &private.codes);
    for (q, m) in tally.multiplicities.iter().enumerate() {
        z[s.muq(q)] = Fr::from(*m);
    }
    z[s.aux_blinding()] = blindings.aux;
    if public.opened.is_none() {
        for (t, v) in masked(&tally.values, public.mask).iter().enumerate() {
            z[s.y(t)] = Fr::from(*v);
        }
    }
    z[s.y_blinding()] = blindings.res;
    z
}

/// Completes an assignment of [`before_gamma`] once gamma is known.
pub fn after_gamma(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    private: &AggregatePrivate,
    mut z: Vec<Fr>,
    gamma: Fr,
) -> Vec<Fr> {
    let s = shape;
    let zeta = z[s.zeta()];
    let mut power = zeta;
    for l in 2..=s.columns {
        power *= zeta;
        z[s.power(l)] = power;
    }
    let beta = z[s.beta()];
    z[Shape::GAMMA] = gamma;
    z[Shape::FOLD] = public.fold(&zeta, &gamma);

    let tally = tally(s, public.pass, &private.codes);
    let mut inverses: Vec<Fr> = Vec::with_capacity(s.columns * s.active() + s.active());
    inverses.extend((0..s.columns).flat_map(|l| (0..s.active()).map(move |i| (l, i))).map(|(l, i)| gamma - z[s.g(l, i)]));
    inverses.extend(tally.sums.iter().map(|q| gamma - beta * Fr::from(*q)));
    batch_inversion(&mut inverses);
    z[s.inv(0, 0)..][..inverses.len()].copy_from_slice(&inverses);

    let mut table: Vec<Fr> = (0..s.table_rows())
        .map(|k| {
            let (l, a) = (k / CODES, (k % CODES) as u8);
            let weight = public.pass.tables()[l].get(a);
            gamma - zeta.pow([l as u64]) * Fr::from(a) - beta * Fr::from(weight)
        })
        .collect();
    table.extend((0..s.sums()).map(|q| gamma - beta * Fr::from(q as u64)));
    batch_inversion(&mut table);
    for (k, inverse) in table.iter().enumerate() {
        z[s.z(0) + k] = z[s.mu(0) + k] * inverse;
    }

    let mut above = z[s.u(s.entries() - 1)];
    for k in (0..s.entries() - 1).rev() {
        above = above * gamma + z[s.u(k)];
        z[s.horner(k)] = above;
    }
    let step = Fr::ONE - gamma;
    z[s.difference(0)] = above * step;
    z[s.difference(1)] = above * step.square();
    z[s.difference(2)] = table_fold(public.pass, &gamma);

    let kept = masked(&tally.values, public.mask);
    let mut acc = z[s.difference(2)];
    for t in (0..RESULTS).rev() {
        z[s.selected(t)] = Fr::from(tally.values[t]);
        z[s.kept(t)] = Fr::from(kept[t]);
        z[s.opened(t)] = if public.opened.is_some() { Fr::from(kept[t]) } else { Fr::ZERO };
        acc = acc * gamma + z[s.opened(t)];
        z[s.fold(t)] = acc;
    }
    z[s.fold_flags()] = acc * gamma + Fr::from(public.flags());
    z
}

//! The full satisfying assignment, variable by variable: the oracle the fast prover is
//! compared with, and the input of the stock prover. Clarity over speed.

use super::relation::{AggregatePrivate, AggregatePublic, Tally, masked, table_fold, tally};
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

/// zeta^0 .. zeta^K; the last one is beta.
pub fn zeta_powers(zeta: &Fr, columns: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |p| Some(*p * zeta))
        .take(columns + 1)
        .collect()
}

/// The control variables of blocks 2 and 3: everything before gamma that is not per record or
/// per table multiplicity. Writes into an assignment in layout order.
pub fn control_before_gamma(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    tally: &Tally,
    zeta: &Fr,
    blindings: &Blindings,
    z: &mut [Fr],
) {
    let s = shape;
    let beta = zeta.pow([s.columns as u64]);
    z[Shape::ONE] = Fr::ONE;
    z[s.zeta()] = *zeta;
    z[s.direct()] = Fr::from(public.opened.is_some());
    z[s.image()] = Fr::from(public.pass.image() == Image::Cells);
    for t in 0..RESULTS {
        z[s.mask(t)] = Fr::from((public.mask >> t) & 1);
    }
    for (l, table) in public.pass.tables().iter().enumerate() {
        for a in 1..CODES {
            z[s.u(l * OPEN_CODES + a - 1)] = beta * Fr::from(table.get(a as u8));
        }
    }
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
}

/// The control variables of the witness, once gamma is known.
pub fn control_after_gamma(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    tally: &Tally,
    gamma: &Fr,
    z: &mut [Fr],
) {
    let s = shape;
    let zeta = z[s.zeta()];
    let powers = zeta_powers(&zeta, s.columns);
    for l in 2..=s.columns {
        z[s.power(l)] = powers[l];
    }
    // Zero has no inverse and no proof; a challenge is zero with probability 1/p.
    z[s.zeta_inverse()] = zeta.inverse().unwrap_or_default();
    z[Shape::GAMMA] = *gamma;
    z[Shape::FOLD] = public.fold(&zeta, gamma);
    let mut above = z[s.u(s.entries() - 1)];
    for k in (0..s.entries() - 1).rev() {
        above = above * gamma + z[s.u(k)];
        z[s.horner(k)] = above;
    }
    let step = Fr::ONE - gamma;
    z[s.difference(0)] = above * step;
    z[s.difference(1)] = above * step.square();
    z[s.difference(2)] = table_fold(public.pass, gamma);

    let kept = masked(&tally.values, public.mask);
    let mut acc = z[s.difference(2)];
    for t in (0..RESULTS).rev() {
        z[s.selected(t)] = Fr::from(tally.values[t]);
        z[s.kept(t)] = Fr::from(kept[t]);
        z[s.opened(t)] = if public.opened.is_some() {
            Fr::from(kept[t])
        } else {
            Fr::ZERO
        };
        acc = acc * gamma + z[s.opened(t)];
        z[s.fold(t)] = acc;
    }
    z[s.fold_flags()] = acc * gamma + Fr::from(public.flags());
}

/// Blocks 1 to 3 of the full assignment, which do not depend on gamma; the rest is zero.
pub fn before_gamma(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    private: &AggregatePrivate,
    blindings: &Blindings,
) -> Vec<Fr> {
    let s = shape;
    let zeta = public.zeta();
    let powers = zeta_powers(&zeta, s.columns);
    let beta = powers[s.columns];
    let mut z = vec![Fr::ZERO; s.variables()];
    for slot in 0..s.slots {
        z[s.x(slot)] = (0..s.columns)
            .map(|l| powers[l] * Fr::from(private.codes[l][slot]))
            .sum();
    }
    z[s.x_blinding()] = (0..s.columns)
        .map(|l| powers[l] * private.blindings[l])
        .sum();
    for (l, table) in public.pass.tables().iter().enumerate() {
        for i in 0..s.active() {
            let a = private.codes[l][s.lo + i];
            z[s.g(l, i)] = powers[l] * Fr::from(a) + beta * Fr::from(table.get(a));
            z[s.mu(l * CODES + usize::from(a))] += Fr::ONE;
        }
    }
    let tally = tally(s, public.pass, &private.codes);
    control_before_gamma(s, public, &tally, &zeta, blindings, &mut z);
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
    let tally = tally(s, public.pass, &private.codes);
    control_after_gamma(s, public, &tally, &gamma, &mut z);
    let powers = zeta_powers(&z[s.zeta()], s.columns);
    let beta = powers[s.columns];

    let records = (0..s.columns).flat_map(|l| (0..s.active()).map(move |i| (l, i)));
    let mut inverses: Vec<Fr> = records.map(|(l, i)| gamma - z[s.g(l, i)]).collect();
    inverses.extend(tally.sums.iter().map(|q| gamma - beta * Fr::from(*q)));
    batch_inversion(&mut inverses);
    z[s.inv(0, 0)..][..inverses.len()].copy_from_slice(&inverses);

    let mut table = table_denominators(s, public, &powers, &gamma);
    table.extend((0..s.sums()).map(|q| gamma - beta * Fr::from(q as u64)));
    batch_inversion(&mut table);
    for (k, inverse) in table.iter().enumerate() {
        z[s.z(0) + k] = z[s.mu(0) + k] * inverse;
    }
    z
}

/// `gamma - T_l[a]` for every table entry, at index l * 256 + a.
pub fn table_denominators(
    shape: &Shape,
    public: &AggregatePublic<'_>,
    powers: &[Fr],
    gamma: &Fr,
) -> Vec<Fr> {
    let beta = powers[shape.columns];
    public
        .pass
        .tables()
        .iter()
        .zip(powers)
        .flat_map(|(table, power)| {
            (0..=255u8).map(move |a| *gamma - *power * Fr::from(a) - beta * Fr::from(table.get(a)))
        })
        .collect()
}

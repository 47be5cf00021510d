//! Step 5 of 8: where a query becomes a proof.
//!
//! The prover works on row values. With A_k, B_k, C_k the values of row k:
//! A = alpha + sum A_k [L_k] + r delta, B likewise, and the quotient is committed as
//! `<A B on the coset> - <C on the domain>`, which needs four transforms instead of six because
//! almost all C values are one or small integers.

use super::chunk::{Chunk, ColumnSums};
use super::lanes::{CosetCommitter, class_sums, msm};
use super::msm::small_msm;
use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective, g1, g2};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field, UniformRand, Zero, batch_inversion};
use ark_std::rand::{CryptoRng, Rng};
use rayon::prelude::*;
use salus_circuits::aggregate::assignment::{
    Blindings, control_after_gamma, control_before_gamma, table_denominators, zeta_powers,
};
use salus_circuits::aggregate::rows::{Sparse, for_each_row};
use salus_circuits::aggregate::{AggregatePublic, Proof, tally};
use salus_circuits::keys::ProvingKey;
use salus_circuits::layout::{RESULTS, Shape};
use salus_schema::plan::CODES;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A row outside the regular regions (slots, lookups, tables, sums).
struct ControlRow {
    row: usize,
    a: Sparse,
    b: Sparse,
    c: Sparse,
}

/// Where the time of a proof went (wall clock).
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Tallying, commitments and row values.
    pub witness: Duration,
    /// Four transforms.
    pub transforms: Duration,
    /// Multi-scalar multiplication of the quotient.
    pub quotient: Duration,
    /// A, B, C.
    pub elements: Duration,
}

/// One circuit's key, ready to prove: window tables and query-independent sums.
pub struct PartProver {
    key: Arc<ProvingKey>,
    quotient: CosetCommitter,
    control: Vec<ControlRow>,
    /// Rows whose B value contains gamma with coefficient one.
    gamma_g1: G1Projective,
    gamma_g2: G2Projective,
    /// `sum_q q * L` over the rows of cell sums.
    sums_g1: G1Projective,
    sums_g2: G2Projective,
    /// Rows whose C value is one.
    ones: G1Projective,
}

/// A proof with what the caller must remember.
pub struct Proven {
    /// The proof.
    pub proof: Proof,
    /// Blinding of `C_res`; zero when opened directly.
    pub blinding: Fr,
    /// Image values of this part before masking.
    pub values: [u64; RESULTS],
    /// Where the time went.
    pub timings: Timings,
}

fn is_gamma_only(b: &Sparse) -> bool {
    b.len() == 1 && b[0] == (Fr::ONE, Shape::GAMMA)
}

fn dot(terms: &Sparse, z: &[Fr]) -> Fr {
    terms
        .iter()
        .map(|(c, v)| if *c == Fr::ONE { z[*v] } else { *c * z[*v] })
        .sum()
}

impl PartProver {
    /// Precomputes windows and sums: about 55 us of CPU per row of the domain, once per key.
    pub fn new(key: Arc<ProvingKey>) -> Self {
        let s = *key.shape();
        let regular_slots = s.lo..s.hi;
        let regular = s.lookup_row(0, 0)..s.power_row(2);
        let mut control = Vec::new();
        let mut gamma_rows: Vec<usize> = regular_slots
            .clone()
            .chain(s.lookup_row(0, 0)..s.balance_row(0))
            .collect();
        let mut row = 0;
        for_each_row(&s, |a, b, c| {
            if row >= s.slots && !regular.contains(&row) {
                if is_gamma_only(&b) {
                    gamma_rows.push(row);
                }
                control.push(ControlRow { row, a, b, c });
            }
            row += 1;
        });
        let sum_rows = s.sum_row(0)..s.sum_row(s.sums());
        let weights: Vec<u32> = (0..s.sums() as u32).collect();
        let ones = regular_slots.chain(s.lookup_row(0, 0)..s.table_row(0));
        Self {
            quotient: CosetCommitter::new(&key.quotient_coset),
            gamma_g1: gamma_rows
                .iter()
                .map(|k| key.lagrange_g1[*k])
                .sum::<G1Projective>(),
            gamma_g2: gamma_rows
                .iter()
                .map(|k| key.lagrange_g2[*k])
                .sum::<G2Projective>(),
            sums_g1: small_msm::<g1::Config>(&key.lagrange_g1[sum_rows.clone()], &weights),
            sums_g2: small_msm::<g2::Config>(&key.lagrange_g2[sum_rows], &weights),
            ones: ones.map(|k| key.quotient_rows[k]).sum::<G1Projective>(),
            control,
            key,
        }
    }

    /// The key.
    pub fn key(&self) -> &Arc<ProvingKey> {
        &self.key
    }

    /// Proves one pass over this part of a chunk.
    ///
    /// `public.columns` must be the commitments of the chunk's columns; nothing is checked here,
    /// a wrong input yields a proof that does not verify.
    ///
    /// # Security
    /// Zero knowledge rests on `rng`: r, s and both blindings must be fresh and unpredictable.
    pub fn prove(
        &self,
        part: usize,
        public: &AggregatePublic<'_>,
        chunk: &Chunk,
        rng: &mut (impl Rng + CryptoRng),
    ) -> Proven {
        let start = Instant::now();
        let key = &*self.key;
        let s = key.shape();
        let columns: Vec<usize> = public
            .pass
            .columns()
            .iter()
            .map(|c| usize::from(c.0))
            .collect();
        let private = chunk.private(&columns);
        let sums: Vec<Arc<ColumnSums>> = public
            .pass
            .columns()
            .par_iter()
            .enumerate()
            .map(|(l, c)| chunk.sums(key, part, c.0, l))
            .collect();
        let tally = tally(s, public.pass, &private.codes);
        let zeta = public.zeta();
        let powers = zeta_powers(&zeta, s.columns);
        let beta = powers[s.columns];
        let blindings = Blindings {
            aux: Fr::rand(rng),
            res: if public.opened.is_some() {
                Fr::ZERO
            } else {
                Fr::rand(rng)
            },
        };
        let mut z = vec![Fr::ZERO; s.variables()];
        control_before_gamma(s, public, &tally, &zeta, &blindings, &mut z);
        z[s.x_blinding()] = powers
            .iter()
            .zip(&private.blindings)
            .map(|(p, r)| *p * r)
            .sum();

        let weights: Vec<Vec<u32>> = public
            .pass
            .tables()
            .iter()
            .map(|t| t.entries().iter().map(|e| u32::from(*e)).collect())
            .collect();
        let aux = self
            .commit_aux(&sums, &weights, &powers, &tally.multiplicities, &z)
            .into_affine();
        let mut res = key.vk.results_blinding * blindings.res;
        for t in 0..RESULTS {
            if !z[s.y(t)].is_zero() {
                res += key.vk.results[t] * z[s.y(t)];
            }
        }
        let res = res.into_affine();

        let gamma = public.gamma(&zeta, &aux, &res);
        control_after_gamma(s, public, &tally, &gamma, &mut z);

        // class values: one inversion per table entry and per cell sum in use
        let used: Vec<usize> = (0..s.sums())
            .filter(|q| tally.multiplicities[*q] > 0)
            .collect();
        let table = table_denominators(s, public, &powers, &gamma);
        let mut inverses = table.clone();
        inverses.extend(used.iter().map(|q| gamma - beta * Fr::from(*q as u64)));
        batch_inversion(&mut inverses);
        let sum_inverses = inverses.split_off(table.len());
        let mut inverse_of_sum = vec![Fr::ZERO; s.sums()];
        for (q, inverse) in used.iter().zip(&sum_inverses) {
            inverse_of_sum[*q] = *inverse;
        }
        let table_values: Vec<Fr> = inverses
            .iter()
            .enumerate()
            .map(|(k, inverse)| *inverse * Fr::from(sums[k / CODES].counts[k % CODES]))
            .collect();
        let sum_values: Vec<Fr> = used
            .iter()
            .zip(&sum_inverses)
            .map(|(q, inverse)| *inverse * Fr::from(tally.multiplicities[*q]))
            .collect();

        // row values of A and B over the whole domain
        let size = s.domain();
        let (mut a, mut b) = (vec![Fr::ZERO; size], vec![Fr::ZERO; size]);
        let n = s.active();
        for (i, q) in tally.sums.iter().enumerate() {
            a[s.lo + i] = inverse_of_sum[usize::from(*q)];
            b[s.lo + i] = gamma - beta * Fr::from(*q);
        }
        for slot in (0..s.slots).filter(|i| !(s.lo..s.hi).contains(i)) {
            b[slot] = (0..s.columns)
                .map(|l| powers[l] * Fr::from(private.codes[l][slot]))
                .sum();
        }
        for l in 0..s.columns {
            let rows = s.lookup_row(l, 0)..s.lookup_row(l, 0) + n;
            let codes = &private.codes[l][s.lo..s.hi];
            a[rows.clone()]
                .par_iter_mut()
                .zip(&mut b[rows])
                .zip(codes)
                .for_each(|((a, b), code)| {
                    let k = l * CODES + usize::from(*code);
                    *a = inverses[k];
                    *b = table[k];
                });
        }
        a[s.table_row(0)..s.sum_row(0)].copy_from_slice(&table_values);
        b[s.table_row(0)..s.sum_row(0)].copy_from_slice(&table);
        let mut denominator = gamma;
        for q in 0..s.sums() {
            b[s.sum_row(q)] = denominator;
            denominator -= beta;
        }
        for (q, value) in used.iter().zip(&sum_values) {
            a[s.sum_row(*q)] = *value;
        }
        for row in &self.control {
            a[row.row] = dot(&row.a, &z);
            b[row.row] = if is_gamma_only(&row.b) {
                gamma
            } else {
                dot(&row.b, &z)
            };
        }
        let witness = start.elapsed();

        // A
        let start = Instant::now();
        let class_points = |by_code: fn(&ColumnSums) -> &Vec<G1Affine>| -> Vec<G1Affine> {
            sums.iter()
                .flat_map(|s| by_code(s).iter().copied())
                .collect()
        };
        let mut points = class_points(|s| &s.lookup_g1);
        let mut scalars = inverses.clone();
        let by_sum = class_sums(&key.lagrange_g1[s.lo..s.hi], &tally.sums, s.sums());
        for (k, q) in used.iter().enumerate() {
            points.extend([by_sum[*q], key.lagrange_g1[s.sum_row(*q)]]);
            scalars.extend([sum_inverses[k], sum_values[k]]);
        }
        points.extend(&key.lagrange_g1[s.table_row(0)..s.sum_row(0)]);
        scalars.extend(&table_values);
        for row in self.control.iter().filter(|r| !a[r.row].is_zero()) {
            points.push(key.lagrange_g1[row.row]);
            scalars.push(a[row.row]);
        }
        let a_sum = msm(&points, &scalars);

        // witness part of C
        let first = s.instance();
        let mut points = class_points(|s| &s.witness);
        let mut scalars = inverses;
        let by_sum = class_sums(
            &key.witness[s.invq(0) - first..s.invq(n) - first],
            &tally.sums,
            s.sums(),
        );
        for (k, q) in used.iter().enumerate() {
            points.extend([by_sum[*q], key.witness[s.zq(*q) - first]]);
            scalars.extend([sum_inverses[k], sum_values[k]]);
        }
        points.extend(&key.witness[s.z(0) - first..s.z(s.table_rows()) - first]);
        scalars.extend(&table_values);
        for (v, value) in z.iter().enumerate().skip(s.power(2)) {
            if !value.is_zero() {
                points.push(key.witness[v - first]);
                scalars.push(*value);
            }
        }
        // minus C on the domain, in the quotient's row basis
        for row in &self.control {
            let c = dot(&row.c, &z);
            if !c.is_zero() {
                points.push(key.quotient_rows[row.row]);
                scalars.push(-c);
            }
        }
        let mut c_sum = msm(&points, &scalars) - self.ones;
        c_sum -= small_msm::<g1::Config>(
            &key.quotient_rows[s.sum_row(0)..s.sum_row(s.sums())],
            &tally.multiplicities,
        );
        for sums in &sums {
            c_sum -= sums.linear.quotient;
        }

        // B, in both groups
        let control_b: Vec<(usize, Fr)> = self
            .control
            .iter()
            .filter(|r| !is_gamma_only(&r.b) && !b[r.row].is_zero())
            .map(|r| (r.row, b[r.row]))
            .collect();
        macro_rules! b_element {
            ($projective:ty, $config:ty, $lagrange:ident, $gamma:ident, $sums:ident, $lookup:ident, $slot:ident, $linear:ident, $idle:ident) => {{
                let mut weighted = self.$sums;
                let mut acc = self.$gamma * gamma;
                for (l, sums) in sums.iter().enumerate() {
                    let rows = s.table_row(l * CODES)..s.table_row((l + 1) * CODES);
                    for points in [&sums.$lookup[..], &sums.$slot[..], &key.$lagrange[rows]] {
                        weighted += small_msm::<$config>(points, &weights[l]);
                    }
                    acc += (sums.linear.$idle - sums.linear.$linear) * powers[l];
                }
                acc -= weighted * beta;
                let (rows, values): (Vec<usize>, Vec<Fr>) = control_b.iter().copied().unzip();
                let points: Vec<_> = rows.iter().map(|k| key.$lagrange[*k]).collect();
                acc + <$projective>::msm_unchecked(&points, &values)
            }};
        }
        let (b1_sum, b2_sum) = rayon::join(
            || {
                b_element!(
                    G1Projective,
                    g1::Config,
                    lagrange_g1,
                    gamma_g1,
                    sums_g1,
                    lookup_g1,
                    slot_g1,
                    b_g1,
                    idle_g1
                )
            },
            || {
                b_element!(
                    G2Projective,
                    g2::Config,
                    lagrange_g2,
                    gamma_g2,
                    sums_g2,
                    lookup_g2,
                    slot_g2,
                    b_g2,
                    idle_g2
                )
            },
        );
        let elements = start.elapsed();

        // quotient: A B on the coset
        let (committed, transforms, quotient) = self.quotient.commit(a, b);
        c_sum += committed;

        let start = Instant::now();
        let (r, t) = (Fr::rand(rng), Fr::rand(rng));
        let a_point = a_sum + key.vk.alpha + key.delta * r;
        let b1_point = b1_sum + key.beta + key.delta * t;
        let b_point = b2_sum + key.vk.beta + key.vk.delta * t;
        let c_point = c_sum + a_point * t + b1_point * r - key.delta * (r * t);
        Proven {
            proof: Proof {
                a: a_point.into_affine(),
                b: b_point.into_affine(),
                c: c_point.into_affine(),
                aux,
                res,
            },
            blinding: blindings.res,
            values: tally.values,
            timings: Timings {
                witness,
                transforms,
                quotient,
                elements: elements + start.elapsed(),
            },
        }
    }

    /// `C_aux`: everything that must be fixed before gamma.
    fn commit_aux(
        &self,
        sums: &[Arc<ColumnSums>],
        weights: &[Vec<u32>],
        powers: &[Fr],
        multiplicities: &[u32],
        z: &[Fr],
    ) -> G1Projective {
        let key = &*self.key;
        let s = key.shape();
        let base = |v: usize| v - s.zeta();
        let mut weighted = G1Projective::ZERO;
        let mut acc = G1Projective::ZERO;
        for (l, sums) in sums.iter().enumerate() {
            let open = CODES - 1;
            weighted += small_msm::<g1::Config>(&sums.aux, &weights[l]);
            weighted += small_msm::<g1::Config>(
                &key.aux[base(s.u(l * open))..base(s.u((l + 1) * open))],
                &weights[l][1..],
            );
            acc += sums.linear.aux * powers[l] + sums.linear.multiplicities;
        }
        acc += weighted * powers[s.columns];
        acc += small_msm::<g1::Config>(
            &key.aux[base(s.muq(0))..base(s.muq(s.sums()))],
            multiplicities,
        );
        for v in (s.zeta()..s.g(0, 0)).chain([s.aux_blinding()]) {
            if !z[v].is_zero() {
                acc += key.aux[base(v)] * z[v];
            }
        }
        acc
    }
}

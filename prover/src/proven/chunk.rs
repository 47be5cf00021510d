//! One chunk: its records, and the class sums that depend on the data alone.
//!
//! `1/(gamma - g)` and `g` take at most 256 values per queried column, so their multi-scalar
//! products collapse to sums of key points by code. Those sums know nothing of the query:
//! they are computed once per column and position and updated by two additions per opt-in.

use super::msm::{class_sums, small_msm};
use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective, g1, g2};
use ark_ec::CurveGroup;
use ark_ff::AdditiveGroup;
use salus_circuits::aggregate::AggregatePrivate;
use salus_circuits::keys::ProvingKey;
use salus_circuits::layout::Shape;
use salus_schema::plan::CODES;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use zeroize::Zeroize;

/// Sums by code of one column at one position of one circuit.
pub struct ColumnSums {
    /// Members per code among the active slots.
    pub counts: Vec<u32>,
    /// Row-Lagrange points of the lookup rows by code.
    pub lookup_g1: Vec<G1Affine>,
    /// The same in G2.
    pub lookup_g2: Vec<G2Affine>,
    /// Block 2 bases of the looked-up values by code.
    pub aux: Vec<G1Affine>,
    /// Witness bases of the inverses by code.
    pub witness: Vec<G1Affine>,
    /// Row-Lagrange points of the active slot rows by code.
    pub slot_g1: Vec<G1Affine>,
    /// The same in G2.
    pub slot_g2: Vec<G2Affine>,
    /// Contribution that a query scales by zeta^l.
    pub linear: Linear,
}

/// Sums weighted by the code itself, and by multiplicity.
#[derive(Clone)]
pub struct Linear {
    /// `sum_a a * (lookup_a + table row a)`, the zeta^l part of B at lookups and table rows, G1.
    pub b_g1: G1Projective,
    /// The same in G2.
    pub b_g2: G2Projective,
    /// Slot rows of other parts of the chunk: `sum_i a_i * L_i`, G1.
    pub idle_g1: G1Projective,
    /// The same in G2.
    pub idle_g2: G2Projective,
    /// `sum_a a * aux_a`.
    pub aux: G1Projective,
    /// Multiplicities of the table entries: block 2 part.
    pub multiplicities: G1Projective,
    /// Multiplicities as C values of the table rows, in the quotient's row basis.
    pub quotient: G1Projective,
}

type SumsKey = (u16, usize, usize);

/// Records and caches of one chunk.
pub struct Chunk {
    codes: Vec<Vec<u8>>,
    blindings: Vec<Fr>,
    sums: Mutex<HashMap<SumsKey, Arc<ColumnSums>>>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.codes.zeroize();
        self.blindings.zeroize();
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Chunk {{ columns: {}, records: [redacted] }}",
            self.codes.len()
        )
    }
}

impl Chunk {
    /// An empty chunk of `columns` physical columns and `slots` slots.
    pub fn empty(columns: usize, slots: usize) -> Self {
        Self::new(vec![vec![0; slots]; columns], vec![Fr::ZERO; columns])
    }

    /// A chunk of known codes (columns x slots, 0 where empty) and summed blindings per column.
    pub fn new(codes: Vec<Vec<u8>>, blindings: Vec<Fr>) -> Self {
        assert_eq!(codes.len(), blindings.len());
        Self {
            codes,
            blindings,
            sums: Mutex::new(HashMap::new()),
        }
    }

    /// Replaces the record of a slot: an opt-in (from all zero), an opt-out (to all zero) or a
    /// rectification. `blindings` is the change of the summed blinding per column. Cached sums
    /// of the touched columns that other calls still use stay as they were: they are
    /// copy-on-write.
    ///
    /// # Panics
    /// When the number of codes or blindings is not the number of columns.
    pub fn set(&mut self, key: &[&ProvingKey], slot: usize, codes: &[u8], blindings: &[Fr]) {
        assert!(codes.len() == self.codes.len() && blindings.len() == self.codes.len());
        let sums = self
            .sums
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for (column, (new, change)) in codes.iter().zip(blindings).enumerate() {
            let old = std::mem::replace(&mut self.codes[column][slot], *new);
            self.blindings[column] += change;
            if old == *new {
                continue;
            }
            sums.retain(|(c, position, part), cached| {
                if usize::from(*c) != column {
                    return true;
                }
                let Some(key) = key.get(*part) else {
                    return false;
                };
                match Arc::get_mut(cached) {
                    Some(cached) => {
                        cached.update(key, *position, slot, old, *new);
                        true
                    }
                    None => false,
                }
            });
        }
    }

    /// Codes per physical column.
    pub fn codes(&self) -> &[Vec<u8>] {
        &self.codes
    }

    /// The private input of a pass over these physical columns.
    pub fn private(&self, columns: &[usize]) -> AggregatePrivate {
        AggregatePrivate {
            codes: columns.iter().map(|c| self.codes[*c].clone()).collect(),
            blindings: columns.iter().map(|c| self.blindings[*c]).collect(),
        }
    }

    /// Cached sums of a column at a position under the key of a part.
    pub fn sums(
        &self,
        key: &ProvingKey,
        part: usize,
        column: u16,
        position: usize,
    ) -> Arc<ColumnSums> {
        let id = (column, position, part);
        if let Some(found) = self.lock().get(&id) {
            return found.clone();
        }
        let made = Arc::new(ColumnSums::new(
            key,
            position,
            &self.codes[usize::from(column)],
        ));
        self.lock().entry(id).or_insert(made).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SumsKey, Arc<ColumnSums>>> {
        self.sums
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const CODE_VALUES: [u32; CODES] = {
    let mut out = [0; CODES];
    let mut a = 0;
    while a < CODES {
        out[a] = a as u32;
        a += 1;
    }
    out
};

fn aux_range(s: &Shape, from: usize, len: usize) -> std::ops::Range<usize> {
    from - s.zeta()..from - s.zeta() + len
}

impl ColumnSums {
    fn new(key: &ProvingKey, l: usize, codes: &[u8]) -> Self {
        let s = key.shape();
        let active: Vec<u16> = codes[s.lo..s.hi].iter().map(|a| u16::from(*a)).collect();
        let n = s.active();
        let mut counts = vec![0u32; CODES];
        for a in &active {
            counts[usize::from(*a)] += 1;
        }
        let lookup = s.lookup_row(l, 0)..s.lookup_row(l, 0) + n;
        let by_code_g1 = |points: &[G1Affine]| class_sums(points, &active, CODES);
        let by_code_g2 = |points: &[G2Affine]| class_sums(points, &active, CODES);
        let witness = s.inv(l, 0) - s.instance()..s.inv(l, 0) - s.instance() + n;
        let mut out = Self {
            counts,
            lookup_g1: by_code_g1(&key.lagrange_g1[lookup.clone()]),
            lookup_g2: by_code_g2(&key.lagrange_g2[lookup]),
            aux: by_code_g1(&key.aux[aux_range(s, s.g(l, 0), n)]),
            witness: by_code_g1(&key.witness[witness]),
            slot_g1: by_code_g1(&key.lagrange_g1[s.lo..s.hi]),
            slot_g2: by_code_g2(&key.lagrange_g2[s.lo..s.hi]),
            linear: Linear {
                b_g1: G1Projective::ZERO,
                b_g2: G2Projective::ZERO,
                idle_g1: G1Projective::ZERO,
                idle_g2: G2Projective::ZERO,
                aux: G1Projective::ZERO,
                multiplicities: G1Projective::ZERO,
                quotient: G1Projective::ZERO,
            },
        };
        out.linear = out.linear(key, l);
        let idle: Vec<(usize, u32)> = (0..s.slots)
            .filter(|i| !(s.lo..s.hi).contains(i))
            .map(|i| (i, u32::from(codes[i])))
            .collect();
        if !idle.is_empty() {
            let weights: Vec<u32> = idle.iter().map(|(_, a)| *a).collect();
            let points: Vec<G1Affine> = idle.iter().map(|(i, _)| key.lagrange_g1[*i]).collect();
            out.linear.idle_g1 = small_msm::<g1::Config>(&points, &weights);
            let points: Vec<G2Affine> = idle.iter().map(|(i, _)| key.lagrange_g2[*i]).collect();
            out.linear.idle_g2 = small_msm::<g2::Config>(&points, &weights);
        }
        out
    }

    /// Recomputes the code-weighted sums from the sums by code.
    fn linear(&self, key: &ProvingKey, l: usize) -> Linear {
        let s = key.shape();
        let table = s.table_row(l * CODES)..s.table_row((l + 1) * CODES);
        let codes = &CODE_VALUES;
        Linear {
            b_g1: small_msm::<g1::Config>(&self.lookup_g1, codes)
                + small_msm::<g1::Config>(&key.lagrange_g1[table.clone()], codes),
            b_g2: small_msm::<g2::Config>(&self.lookup_g2, codes)
                + small_msm::<g2::Config>(&key.lagrange_g2[table.clone()], codes),
            idle_g1: self.linear.idle_g1,
            idle_g2: self.linear.idle_g2,
            aux: small_msm::<g1::Config>(&self.aux, codes),
            multiplicities: small_msm::<g1::Config>(
                &key.aux[aux_range(s, s.mu(l * CODES), CODES)],
                &self.counts,
            ),
            quotient: small_msm::<g1::Config>(&key.quotient_rows[table], &self.counts),
        }
    }

    /// Moves one slot from code `old` to code `new`: a handful of additions.
    fn update(&mut self, key: &ProvingKey, l: usize, slot: usize, old: u8, new: u8) {
        let s = key.shape();
        let (from, to) = (usize::from(old), usize::from(new));
        let change = Fr::from(new) - Fr::from(old);
        if !(s.lo..s.hi).contains(&slot) {
            self.linear.idle_g1 += key.lagrange_g1[slot] * change;
            self.linear.idle_g2 += key.lagrange_g2[slot] * change;
            return;
        }
        let i = slot - s.lo;
        self.counts[from] -= 1;
        self.counts[to] += 1;
        let row = s.lookup_row(l, i);
        let g1_moves: [(&mut Vec<G1Affine>, G1Affine); 4] = [
            (&mut self.lookup_g1, key.lagrange_g1[row]),
            (&mut self.aux, key.aux[s.g(l, i) - s.zeta()]),
            (&mut self.witness, key.witness[s.inv(l, i) - s.instance()]),
            (&mut self.slot_g1, key.lagrange_g1[slot]),
        ];
        for (sums, point) in g1_moves {
            sums[from] = (sums[from] - point).into_affine();
            sums[to] = (sums[to] + point).into_affine();
        }
        for (sums, point) in [
            (&mut self.lookup_g2, key.lagrange_g2[row]),
            (&mut self.slot_g2, key.lagrange_g2[slot]),
        ] {
            sums[from] = (sums[from] - point).into_affine();
            sums[to] = (sums[to] + point).into_affine();
        }
        self.linear.b_g1 += key.lagrange_g1[row] * change;
        self.linear.b_g2 += key.lagrange_g2[row] * change;
        self.linear.aux += key.aux[s.g(l, i) - s.zeta()] * change;
        let mu = |a: usize| s.mu(l * CODES + a) - s.zeta();
        self.linear.multiplicities += key.aux[mu(to)] - key.aux[mu(from)];
        let table = |a: usize| s.table_row(l * CODES + a);
        self.linear.quotient += key.quotient_rows[table(to)] - key.quotient_rows[table(from)];
    }
}

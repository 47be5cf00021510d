//! The aggregate statement in native form: what is public, what is private, what holds.

use crate::layout::{RESULTS, Shape};
use crate::transcript::{Context, Hasher, Tag};
use crate::words::Word;
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use salus_schema::plan::{Image, Pass};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What everybody knows about one proof (one pass over one part of one chunk).
#[derive(Debug, Clone)]
pub struct AggregatePublic<'a> {
    /// Where the answer is valid.
    pub context: Context,
    /// Identity of the circuit and its key.
    pub circuit_id: Word,
    /// Index of the pass in the plan.
    pub pass_index: u32,
    /// Index of the chunk in the dataset.
    pub chunk: u32,
    /// Column commitments of the K queried columns, in the pass's order.
    pub columns: &'a [G1Affine],
    /// Public tables, image and base mask.
    pub pass: &'a Pass,
    /// Values that are not published: bit t set hides value t.
    pub mask: u64,
    /// Values opened by this very proof; `None` when they stay inside `C_res`.
    pub opened: Option<&'a [u64; RESULTS]>,
}

/// What only the custodian knows: codes and blinding.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AggregatePrivate {
    /// Codes per queried column over all slots of the chunk: K x slots, 0 where a slot is empty.
    pub codes: Vec<Vec<u8>>,
    /// Sum of the members' blindings, per queried column.
    pub blindings: Vec<Fr>,
}

impl std::fmt::Debug for AggregatePrivate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AggregatePrivate([redacted])")
    }
}

impl AggregatePublic<'_> {
    /// The challenge that combines columns; fixed before anything about the answer is.
    pub fn zeta(&self) -> Fr {
        let mut h = Hasher::new(Tag::Zeta)
            .word(&self.context.header())
            .word(&self.circuit_id)
            .integer(u128::from(self.pass_index))
            .integer(u128::from(self.chunk));
        for c in self.columns {
            h = h.g1(c);
        }
        h.challenge()
    }

    /// `direct + 2 image + 4 mask`, as an integer below 2^66.
    pub fn flags(&self) -> u128 {
        u128::from(self.opened.is_some())
            + 2 * u128::from(self.pass.image() == Image::Cells)
            + 4 * u128::from(self.mask)
    }

    /// The opened values, or zeros.
    pub fn opened_or_zero(&self) -> [u64; RESULTS] {
        self.opened.copied().unwrap_or([0; RESULTS])
    }

    /// The lookup and fold challenge; fixed after both commitments of the prover.
    pub fn gamma(&self, zeta: &Fr, aux: &G1Affine, res: &G1Affine) -> Fr {
        let mut h = Hasher::new(Tag::Gamma)
            .scalar(zeta)
            .integer(self.flags())
            .g1(aux)
            .g1(res);
        for y in self.opened_or_zero() {
            h = h.integer(u128::from(y));
        }
        h.challenge()
    }

    /// `C' = sum_l zeta^l C_{j_l}`.
    pub fn combined_columns(&self, zeta: &Fr) -> G1Affine {
        let combined = self
            .columns
            .iter()
            .rev()
            .fold(G1Projective::ZERO, |acc, c| acc * zeta + c);
        combined.into_affine()
    }

    /// V: the fold of zeta, flags, opened values and query tables in powers of gamma.
    pub fn fold(&self, zeta: &Fr, gamma: &Fr) -> Fr {
        let mut acc = table_fold(self.pass, gamma);
        for y in self.opened_or_zero().iter().rev() {
            acc = acc * gamma + Fr::from(*y);
        }
        acc = acc * gamma + Fr::from(self.flags());
        acc * gamma + zeta
    }
}

/// D = (1 - gamma)^2 sum_k e_k gamma^k, from the runs of the tables: a handful of terms whatever
/// the number of codes.
pub fn table_fold(pass: &Pass, gamma: &Fr) -> Fr {
    let mut acc = Fr::ZERO;
    let mut power = Fr::ONE;
    let step = Fr::ONE - gamma;
    for table in pass.tables() {
        for run in table.runs() {
            let length = Fr::from(run.len);
            let end = power * gamma.pow([u64::from(run.len)]);
            acc += Fr::from(run.value) * step * (power - end);
            if run.slope > 0 {
                let ramp = power * gamma - length * end + (length - Fr::ONE) * end * gamma;
                acc += Fr::from(run.slope) * ramp;
            }
            power = end;
        }
    }
    acc
}

/// Cell sums of the active records and everything that follows from them.
#[derive(Clone)]
pub struct Tally {
    /// Cell sum q of each active record.
    pub sums: Vec<u16>,
    /// Multiplicity of each cell sum.
    pub multiplicities: Vec<u32>,
    /// The image before masking.
    pub values: [u64; RESULTS],
}

/// Tallies the active slots of a chunk: the relation's plain meaning.
///
/// `codes` is K x slots. A record counts in cell q iff the weights of its K codes sum to q < W.
pub fn tally(shape: &Shape, pass: &Pass, codes: &[Vec<u8>]) -> Tally {
    let mut sums = vec![0u16; shape.active()];
    for (column, table) in codes.iter().zip(pass.tables()) {
        for (sum, code) in sums.iter_mut().zip(&column[shape.lo..shape.hi]) {
            *sum += table.get(*code);
        }
    }
    let mut multiplicities = vec![0u32; shape.sums()];
    for q in &sums {
        multiplicities[usize::from(*q)] += 1;
    }
    let values = image(shape, pass.image(), &multiplicities);
    Tally {
        sums,
        multiplicities,
        values,
    }
}

/// The published image of cell multiplicities.
pub fn image(shape: &Shape, image: Image, multiplicities: &[u32]) -> [u64; RESULTS] {
    let mut values = [0u64; RESULTS];
    match image {
        Image::Cells => {
            for (v, m) in values.iter_mut().zip(multiplicities) {
                *v = u64::from(*m);
            }
        }
        Image::Moments => {
            for (group, cells) in multiplicities[..shape.cells].chunks(256).enumerate() {
                for (code, count) in cells.iter().enumerate() {
                    let (code, count) = (code as u64, u64::from(*count));
                    values[3 * group] += count;
                    values[3 * group + 1] += code * count;
                    values[3 * group + 2] += code * code * count;
                }
            }
        }
    }
    values
}

/// The values that remain after the mask.
pub fn masked(values: &[u64; RESULTS], mask: u64) -> [u64; RESULTS] {
    std::array::from_fn(|t| if (mask >> t) & 1 == 1 { 0 } else { values[t] })
}

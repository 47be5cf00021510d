//! Step 2 of 8: a member's codes become hiding commitments in the slot basis.
//!
//! `c = a * B_i + r * H`: B_i belongs to slot i and is the same for every column, H is the
//! blinding base. The sum over all members of a chunk is the column commitment; it is at the
//! same time the verifier's prepared input, so no hash is ever evaluated inside a circuit.

use crate::transcript::keccak;
use crate::words::{Word, g1_words};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use rayon::prelude::*;

/// Slot bases and blinding base of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentKey {
    /// `B_i` for each slot.
    pub slots: Vec<G1Affine>,
    /// `H`.
    pub blinding: G1Affine,
    /// Merkle tree over the slot bases: level 0 are the leaves, the last level the root.
    tree: Vec<Vec<Word>>,
}

fn node(left: &Word, right: &Word) -> Word {
    let mut bytes = [0u8; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    keccak(&bytes)
}

impl CommitmentKey {
    /// Builds the Merkle tree over the bases: leaf `keccak(x, y)`, missing leaves zero.
    pub fn new(slots: Vec<G1Affine>, blinding: G1Affine) -> Self {
        let mut level: Vec<Word> = slots
            .par_iter()
            .map(|p| keccak(&g1_words(p).concat()))
            .collect();
        level.resize(slots.len().next_power_of_two(), [0; 32]);
        let mut tree = vec![level];
        while let Some(last) = tree.last().filter(|l| l.len() > 1) {
            let next = last
                .par_chunks(2)
                .map(|pair| node(&pair[0], &pair[1]))
                .collect();
            tree.push(next);
        }
        Self {
            slots,
            blinding,
            tree,
        }
    }

    /// Merkle root of the slot bases.
    pub fn root(&self) -> Word {
        self.tree
            .last()
            .and_then(|l| l.first())
            .copied()
            .unwrap_or_default()
    }

    /// Siblings from the leaf of a slot to the root.
    ///
    /// # Panics
    /// When the slot does not exist.
    pub fn path(&self, slot: usize) -> Vec<Word> {
        assert!(
            slot < self.slots.len(),
            "slot {slot} of {}",
            self.slots.len()
        );
        self.tree[..self.tree.len() - 1]
            .iter()
            .enumerate()
            .map(|(height, level)| level[(slot >> height) ^ 1])
            .collect()
    }

    /// True iff `path` leads from the basis point at `slot` to `root`.
    pub fn verify_path(root: &Word, slot: usize, basis: &G1Affine, path: &[Word]) -> bool {
        let leaf = keccak(&g1_words(basis).concat());
        let top = path
            .iter()
            .enumerate()
            .fold(leaf, |hash, (height, sibling)| {
                if (slot >> height) & 1 == 0 {
                    node(&hash, sibling)
                } else {
                    node(sibling, &hash)
                }
            });
        slot >> path.len() == 0 && top == *root
    }
}

/// Multiples of one point by windows, for many multiplications of the same base.
pub struct FixedBase {
    windows: Vec<Vec<G1Affine>>,
}

const WINDOW: usize = 8;

impl FixedBase {
    /// Precomputes 32 windows of 255 multiples.
    pub fn new(base: &G1Affine) -> Self {
        use ark_ec::CurveGroup;
        let mut start = G1Projective::from(*base);
        let mut all = Vec::with_capacity(32 * 255);
        for _ in 0..32 {
            let mut p = start;
            for _ in 0..255 {
                all.push(p);
                p += start;
            }
            start = p;
        }
        let affine = G1Projective::normalize_batch(&all);
        Self {
            windows: affine.chunks(255).map(<[G1Affine]>::to_vec).collect(),
        }
    }

    /// `scalar * base`.
    pub fn mul(&self, scalar: &Fr) -> G1Projective {
        let bytes = scalar.into_bigint().to_bytes_le();
        debug_assert_eq!(WINDOW, 8);
        bytes
            .iter()
            .zip(&self.windows)
            .filter(|(b, _)| **b != 0)
            .fold(G1Projective::ZERO, |acc, (b, w)| {
                acc + w[usize::from(*b) - 1]
            })
    }
}

/// `code * basis + blinding * H`, given H's table.
///
/// # Security
/// Perfectly hiding for a uniform blinding because H is not infinity (checked by the key's
/// tests); binding under discrete logarithm in the family's group. The blinding multiplication
/// branches on blinding bytes: it runs on the member's own device, or at the custodian that
/// knows the blinding anyway, and never on a machine shared with an adversary.
pub fn commit(
    basis: &G1Affine,
    blinding_base: &FixedBase,
    code: u8,
    blinding: &Fr,
) -> G1Projective {
    small_multiple(basis, code) + blinding_base.mul(blinding)
}

/// `code * basis` by double and add over eight bits.
fn small_multiple(basis: &G1Affine, code: u8) -> G1Projective {
    let mut acc = G1Projective::ZERO;
    for bit in (0..8).rev() {
        acc.double_in_place();
        if code >> bit & 1 == 1 {
            acc += basis;
        }
    }
    acc
}

/// Adds one point to each sum, or takes it away: a member joins or leaves the column commitments.
///
/// # Panics
/// When the slices differ in length.
pub fn accumulate(sums: &mut [G1Projective], points: &[G1Affine], join: bool) {
    assert_eq!(sums.len(), points.len());
    for (sum, point) in sums.iter_mut().zip(points) {
        if join {
            *sum += point;
        } else {
            *sum -= point;
        }
    }
}

/// Takes a group of members, given by its own sums, out of the column commitments.
///
/// # Panics
/// When the slices differ in length.
pub fn subtract(sums: &mut [G1Projective], group: &[G1Projective]) {
    assert_eq!(sums.len(), group.len());
    sums.iter_mut()
        .zip(group)
        .for_each(|(sum, part)| *sum -= part);
}

/// The sums as points.
pub fn column_commitments(sums: &[G1Projective]) -> Vec<G1Affine> {
    use ark_ec::CurveGroup;
    G1Projective::normalize_batch(sums)
}

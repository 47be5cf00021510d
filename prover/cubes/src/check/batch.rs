//! Batches: uploads with their attestations, and the zeros that follow from them and a seed.

use rayon::prelude::*;
use salus_schema::cube::Cube;

use super::run::{MAX_BLAMELESS, MAX_ROUNDS};
use super::{Origin, Zero, ZeroForm, ZeroPoly};
use crate::encrypt::{Attestation, Identity, PROOF_SLOTS, REPETITIONS, RESERVED_SLOTS, challenge};
use crate::parameters::{Modulus, Room};
use crate::ring::DEGREE;
use crate::ring::weighted::{Accumulator, Element, MAX_PRODUCTS, Weights};
use crate::stream::Stream;
use crate::sum::RunningSum;
use crate::upload::Upload;

/// Batches of relations with independent factors.
pub const RELATION_BATCHES: usize = 2;
/// Random subsets whose sums are checked to encode residues.
pub const SUBSETS: usize = 40;
/// Subsets are drawn in tables of `2^4` buckets, so that an upload is added once for four subsets.
const TABLE_BITS: usize = 4;

/// One upload to check.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Who uploads, as the checker derives it from what the issuer signed.
    pub identity: Identity,
    /// The upload.
    pub upload: &'a Upload,
    /// What came with it.
    pub attestation: &'a Attestation,
}

/// Why an upload cannot be checked with the others; it is refused without an opening.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("a batch has 1 to {MAX_PRODUCTS} uploads, not {found}")]
    Size { found: usize },
    #[error("the upload of {identity:02x?} is of another cube or modulus class")]
    OtherCube { identity: [u8; 32] },
    #[error("the attestation of {identity:02x?} is for another identity or class")]
    OtherIdentity { identity: [u8; 32] },
    #[error("the attestation of {identity:02x?} is for another upload")]
    OtherUpload { identity: [u8; 32] },
    #[error("{identity:02x?} has two uploads in the batch")]
    RepeatedIdentity { identity: [u8; 32] },
    #[error("{identity:02x?} uploads the same bytes as somebody else in the batch")]
    RepeatedUpload { identity: [u8; 32] },
}

#[derive(Clone)]
struct Member<'a> {
    identity: Identity,
    upload: &'a Upload,
    hash: [u8; 32],
    values: [u64; REPETITIONS],
}

/// Uploads of one cube that are checked together, in the order of their identities.
pub struct Batch<'a> {
    cells: usize,
    modulus: Modulus,
    empty: RunningSum,
    members: Vec<Member<'a>>,
}

impl<'a> Batch<'a> {
    /// The batch of these submissions, in any order.
    ///
    /// # Errors
    /// The first submission that does not fit: another cube, an attestation for something else, an identity or an upload
    /// that appears twice.
    pub fn new(cube: &Cube, submissions: &[Submission<'a>]) -> Result<Self, BatchError> {
        let found = submissions.len();
        if found == 0 || found > MAX_PRODUCTS as usize {
            return Err(BatchError::Size { found });
        }
        let (id, class) = (cube.id(), cube.modulus());
        let mut members: Vec<Member<'a>> = submissions
            .par_iter()
            .map(|submission| {
                let Submission {
                    identity,
                    upload,
                    attestation,
                } = *submission;
                let Identity(named) = identity;
                if *upload.cube() != id || upload.class() != class {
                    return Err(BatchError::OtherCube { identity: named });
                }
                if attestation.identity() != identity || attestation.class() != class {
                    return Err(BatchError::OtherIdentity { identity: named });
                }
                let hash = upload.hash();
                if *attestation.upload() != hash {
                    return Err(BatchError::OtherUpload { identity: named });
                }
                Ok(Member {
                    identity,
                    upload,
                    hash,
                    values: *attestation.values(),
                })
            })
            .collect::<Result<_, _>>()?;
        members.sort_unstable_by_key(|member| member.hash);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].hash == pair[1].hash) {
            let Identity(identity) = pair[1].identity;
            return Err(BatchError::RepeatedUpload { identity });
        }
        members.sort_unstable_by_key(|member| member.identity);
        if let Some(pair) = members
            .windows(2)
            .find(|pair| pair[0].identity == pair[1].identity)
        {
            let Identity(identity) = pair[1].identity;
            return Err(BatchError::RepeatedIdentity { identity });
        }
        Ok(Self {
            cells: cube.cells(),
            modulus: Modulus::of(class),
            empty: RunningSum::new(cube),
            members,
        })
    }

    /// The number of uploads, at least 1.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Never true: a batch has at least one upload.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Who stands at a position.
    pub fn identity(&self, at: usize) -> Option<Identity> {
        self.members.get(at).map(|member| member.identity)
    }

    /// The zero that `origin` names, or `None` if it names nobody, a link, or what no run of [`super::check`] opens.
    ///
    /// Only the nodes of the bisection and few rounds are derived, so that whoever leads a check has little to choose from.
    /// `excluded` are the positions found to cheat so far, ascending; they stand in no subset.
    pub fn derive(&self, origin: &Origin, excluded: &[usize], seed: &[u8; 32]) -> Option<Zero> {
        let node = |from: u32, to: u32| is_node(from, to, self.len() as u32).then_some(());
        match *origin {
            Origin::Relation {
                round,
                repetition,
                from,
                to,
            } => {
                node(from, to).filter(|()| round < MAX_BLAMELESS)?;
                if usize::from(repetition) >= RELATION_BATCHES {
                    return None;
                }
                let [form] = self.relation_forms([repetition], round, from, to, seed);
                Some(Zero::Form(form))
            }
            Origin::Subset {
                round,
                subset,
                from,
                to,
            } => {
                node(from, to).filter(|()| round < MAX_ROUNDS)?;
                self.subset(round, subset, from, to, excluded, seed)
                    .map(Zero::Poly)
            }
            Origin::Single { at } => self.single(at).map(Zero::Poly),
            Origin::Link => None,
        }
    }

    /// The relations of the members `from..to`, with two independent choices of factors; the range must be in the batch.
    pub fn relations(
        &self,
        round: u32,
        from: u32,
        to: u32,
        seed: &[u8; 32],
    ) -> [ZeroForm; RELATION_BATCHES] {
        self.relation_forms([0, 1], round, from, to, seed)
    }

    fn relation_forms<const K: usize>(
        &self,
        repetitions: [u8; K],
        round: u32,
        from: u32,
        to: u32,
        seed: &[u8; 32],
    ) -> [ZeroForm; K] {
        let node = [round, from, to].map(u32::to_le_bytes).concat();
        let empty = || repetitions.map(|repetition| (repetition, RelationSum::default()));
        let partial = |members: &[Member<'_>]| {
            let mut sums = empty();
            for member in members {
                self.add_relations(member, seed, &node, &mut sums);
            }
            sums
        };
        let members = &self.members[from as usize..to as usize];
        let sums = members
            .par_chunks(8)
            .map(partial)
            .reduce(empty, |mut left, right| {
                for ((_, sum), (_, more)) in left.iter_mut().zip(right) {
                    sum.merge(more);
                }
                left
            });
        sums.map(|(repetition, sum)| {
            let origin = Origin::Relation {
                round,
                repetition,
                from,
                to,
            };
            let mask = sum.products.finish();
            ZeroForm::new(mask, sum.body, Room::Relation, sum.squares, origin)
        })
    }

    fn add_relations(
        &self,
        member: &Member<'_>,
        seed: &[u8; 32],
        node: &[u8],
        sums: &mut [(u8, RelationSum)],
    ) {
        let challenges: [Vec<u64>; REPETITIONS] = std::array::from_fn(|k| {
            challenge(&member.identity, &member.hash, &self.modulus, self.cells, k)
        });
        let squares: [Vec<u64>; REPETITIONS] = std::array::from_fn(|k| {
            let r = challenges[k].iter();
            r.map(|r| self.modulus.times(*r, *r)).collect()
        });
        let (a, b) = member.upload.unpack();
        let element = Element::new(&a);
        for (repetition, sum) in sums {
            let parts: [&[u8]; 5] = [seed, node, &[*repetition], &member.identity.0, &member.hash];
            let stream = Stream::new("salus/v1/cubes/relation-factors", &parts);
            let (weights, constant) = self.relation(member, &challenges, &squares, stream);
            sum.products
                .add(&element, &Weights::new(&weights))
                .expect("a batch has at most as many uploads as a sum has products");
            sum.body = weights
                .iter()
                .zip(b.coefficients())
                .fold(sum.body, |body, (w, x)| {
                    body.wrapping_add(x.wrapping_mul(i128::from(*w) as u128))
                })
                .wrapping_add(self.modulus.encode_residue(constant));
            let squares = weights.iter().map(|w| w.unsigned_abs().pow(2));
            sum.squares += squares.map(u128::from).sum::<u128>();
        }
    }

    /// The weights of all slots and the constant of one member's relations, with factors from a stream.
    fn relation(
        &self,
        member: &Member<'_>,
        challenges: &[Vec<u64>; REPETITIONS],
        squares: &[Vec<u64>; REPETITIONS],
        mut factors: Stream,
    ) -> (Vec<i64>, u64) {
        let modulus = &self.modulus;
        let p = modulus.p();
        let zero_slots = (self.cells..PROOF_SLOTS).chain(RESERVED_SLOTS..DEGREE);
        let drawn = factors.residues(p, 1 + 2 * REPETITIONS + zero_slots.clone().count());
        let mut weights = vec![0u64; DEGREE];
        // One of the cells ...
        weights[..self.cells].fill(drawn[0]);
        let mut constant = p - drawn[0];
        // ... and the two relations of every pair; sums stay below 9 * 2^52.
        for k in 0..REPETITIONS {
            let (linear, square) = (drawn[1 + 2 * k], drawn[2 + 2 * k]);
            let minus = p - square;
            let cells = weights[..self.cells].iter_mut();
            for ((w, r), r2) in cells.zip(&challenges[k]).zip(&squares[k]) {
                *w += linear * r + minus * r2;
            }
            let d = member.values[k];
            let pair = &mut weights[PROOF_SLOTS + 2 * k..][..2];
            pair[0] = (p - linear) + square * modulus.reduce(2 * d);
            pair[1] = square;
            constant += (p - linear) * d + square * modulus.times(d, d);
        }
        for (slot, factor) in zero_slots.zip(&drawn[1 + 2 * REPETITIONS..]) {
            weights[slot] = *factor;
        }
        let weights = weights.iter().map(|w| modulus.centre(modulus.reduce(*w)));
        (weights.collect(), modulus.reduce(constant))
    }

    /// Which subsets of a round a member stands in, one bit each.
    fn draw(&self, member: &Member<'_>, round: u32, seed: &[u8; 32]) -> u64 {
        let round = round.to_le_bytes();
        let parts: [&[u8]; 4] = [seed, &round, &member.identity.0, &member.hash];
        let mut bytes = [0; 8];
        Stream::new("salus/v1/cubes/subsets", &parts).fill(&mut bytes);
        u64::from_le_bytes(bytes) & ((1 << SUBSETS) - 1)
    }

    /// `p` times the sums of all subsets of a round that are not empty, without the excluded positions.
    pub fn subsets(&self, round: u32, excluded: &[usize], seed: &[u8; 32]) -> Vec<ZeroPoly> {
        let drawn: Vec<(u64, &Upload)> = self
            .members
            .iter()
            .enumerate()
            .filter(|(at, _)| excluded.binary_search(at).is_err())
            .map(|(_, member)| (self.draw(member, round, seed), member.upload))
            .collect();
        let tables = (0..SUBSETS / TABLE_BITS).into_par_iter();
        let polys = tables.flat_map_iter(|table| {
            let mut buckets = vec![None::<RunningSum>; 1 << TABLE_BITS];
            for (bits, upload) in &drawn {
                let value = (bits >> (TABLE_BITS * table)) as usize % (1 << TABLE_BITS);
                if value > 0 {
                    let bucket = buckets[value].get_or_insert_with(|| self.empty.clone());
                    add(bucket, upload);
                }
            }
            let subsets = (0..TABLE_BITS).filter_map(move |bit| {
                let chosen = buckets.iter().enumerate();
                let mut chosen = chosen.filter(|(value, _)| value >> bit & 1 == 1);
                let mut sum = chosen.find_map(|(_, bucket)| bucket.clone())?;
                for bucket in chosen.filter_map(|(_, bucket)| bucket.as_ref()) {
                    sum.merge(bucket).expect("a batch is smaller than a sum");
                }
                Some((TABLE_BITS * table + bit, sum))
            });
            let subsets: Vec<_> = subsets.collect();
            subsets.into_iter().map(move |(subset, sum)| {
                let origin = Origin::Subset {
                    round,
                    subset: subset as u8,
                    from: 0,
                    to: self.len() as u32,
                };
                self.multiple(&sum, origin)
            })
        });
        polys.collect()
    }

    /// `p` times the sum of the members `from..to` of one subset, `None` if there are none.
    pub fn subset(
        &self,
        round: u32,
        subset: u8,
        from: u32,
        to: u32,
        excluded: &[usize],
        seed: &[u8; 32],
    ) -> Option<ZeroPoly> {
        let mut sum = self.empty.clone();
        let members = self.members.get(from as usize..to as usize)?;
        for (member, at) in members.iter().zip(from as usize..) {
            let drawn =
                usize::from(subset) < SUBSETS && self.draw(member, round, seed) >> subset & 1 == 1;
            if drawn && excluded.binary_search(&at).is_err() {
                add(&mut sum, member.upload);
            }
        }
        let origin = Origin::Subset {
            round,
            subset,
            from,
            to,
        };
        (sum.count() > 0).then(|| self.multiple(&sum, origin))
    }

    /// `p` times one member's upload.
    pub fn single(&self, at: u32) -> Option<ZeroPoly> {
        let mut sum = self.empty.clone();
        add(&mut sum, self.members.get(at as usize)?.upload);
        Some(self.multiple(&sum, Origin::Single { at }))
    }

    fn multiple(&self, sum: &RunningSum, origin: Origin) -> ZeroPoly {
        let p = u128::from(self.modulus.p());
        let (mut a, mut b) = sum.halves();
        a.scale(p);
        b.scale(p);
        ZeroPoly::new(a, b, p * p * u128::from(sum.count()), origin)
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// True if bisecting `0..len` reaches `from..to`.
fn is_node(from: u32, to: u32, len: u32) -> bool {
    let (mut low, mut high) = (0, len);
    while from < to && to <= high && (low, high) != (from, to) && high - low > 1 {
        let middle = low + (high - low) / 2;
        if to <= middle {
            high = middle;
        } else {
            low = middle;
        }
    }
    from < to && (low, high) == (from, to)
}

fn add(sum: &mut RunningSum, upload: &Upload) {
    sum.add(upload)
        .expect("a batch holds uploads of one cube and is smaller than a sum");
}

#[derive(Default)]
struct RelationSum {
    products: Accumulator,
    body: u128,
    squares: u128,
}

impl RelationSum {
    fn merge(&mut self, other: Self) {
        self.products
            .merge(&other.products)
            .expect("a batch has at most as many uploads as a sum has products");
        self.body = self.body.wrapping_add(other.body);
        self.squares += other.squares;
    }
}

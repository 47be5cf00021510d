//! The custodian link with real ciphertexts: 60 people, real masks, a key that opens the relations.
#![allow(clippy::unwrap_used)]

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use salus_circuits::aggregate::AggregatePrivate;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::{
    Announcement, LinkContext, LinkStatement, Mask, REPETITIONS, StatementError, verify,
};
use salus_cubes::encrypt::{Identity, encrypt_cell};
use salus_cubes::key::{PublicKey, SecretShare, SubsetKey};
use salus_cubes::link::encrypt_mask;
use salus_cubes::open::{combine_zero, partial_zero};
use salus_cubes::ring::Poly;
use salus_cubes::upload::Upload;
use salus_prover::sealed::{FormsError, LinkInput, Masks, Placed, prove_link, zero_forms};
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Cube, ModulusClass};

const SLOTS: usize = 40;
const PEOPLE: usize = 60;

const CODEBOOK: &str = r#"
version = 1
name = "cohort"

[[columns]]
name = "age"
kind = "exact"
min = 40
step = 1
max = 69

[[columns]]
name = "stage"
kind = "ordered"
values = ["I", "II", "III", "IV"]
missing = ["?"]

[[columns]]
name = "sex"
kind = "categorical"
values = ["male", "female"]
"#;

/// All subset keys in one place.
struct Holders {
    keys: Vec<SubsetKey>,
    shares: Vec<SecretShare>,
    public: PublicKey,
}

impl Holders {
    fn new() -> Self {
        let keys: Vec<_> = (1..=3).map(|i| SubsetKey::new([i; 32])).collect();
        let public: Vec<Poly> = keys.iter().map(|key| key.public_share(&[7; 32])).collect();
        Self {
            shares: keys.iter().map(SubsetKey::secret).collect(),
            public: PublicKey::from_shares([7; 32], &public),
            keys,
        }
    }

    fn opens_to_zero(&self, form: &salus_cubes::check::ZeroForm) -> bool {
        let subsets = self.keys.len() as u32;
        let partials: Vec<u128> = self
            .keys
            .iter()
            .zip(&self.shares)
            .map(|(key, share)| partial_zero(form, share, key, subsets, &[9; 32]))
            .collect();
        combine_zero(form, subsets, &partials).unwrap()
    }
}

fn cube(class: ModulusClass) -> Cube {
    let codebook = Codebook::from_toml(CODEBOOK).unwrap();
    Cube::new("all", &codebook, &[0, 1, 2], class).unwrap()
}

/// Two chunks of 40 slots, 30 people in each.
struct World {
    cube: Cube,
    key: CommitmentKey,
    holders: Holders,
    /// Chunk, slot and cell.
    people: Vec<(u32, u32, usize)>,
    uploads: Vec<Upload>,
    rng: ChaCha20Rng,
}

impl World {
    fn new(class: ModulusClass, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let cube = cube(class);
        let holders = Holders::new();
        let people: Vec<_> = (0..PEOPLE)
            .map(|i| {
                let (chunk, slot) = (i / 30, 7 * (i % 30) % SLOTS);
                (chunk as u32, slot as u32, rng.gen_range(0..cube.cells()))
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let uploads = people
            .iter()
            .enumerate()
            .map(|(i, (_, _, cell))| {
                let identity = Identity([i as u8; 32]);
                encrypt_cell(&holders.public, &cube, *cell, &identity, &mut rng)
                    .unwrap()
                    .0
            })
            .collect();
        let key = CommitmentKey::new(
            (0..SLOTS).map(|_| G1Affine::rand(&mut rng)).collect(),
            G1Affine::rand(&mut rng),
        );
        Self {
            cube,
            key,
            holders,
            people,
            uploads,
            rng,
        }
    }

    fn chunks(&mut self, people: &[(u32, u32, usize)]) -> Vec<AggregatePrivate> {
        let mut codes = vec![vec![vec![0; SLOTS]; self.cube.columns().len()]; 2];
        for (chunk, slot, cell) in people {
            for (column, code) in self.cube.codes_of(*cell).into_iter().enumerate() {
                codes[*chunk as usize][column][*slot as usize] = code;
            }
        }
        let rng = &mut self.rng;
        codes
            .into_iter()
            .map(|codes| AggregatePrivate {
                blindings: codes.iter().map(|_| Fr::rand(rng)).collect(),
                codes,
            })
            .collect()
    }

    fn placed(&self) -> Vec<Placed<'_>> {
        self.people
            .iter()
            .zip(&self.uploads)
            .map(|((chunk, slot, _), upload)| Placed {
                chunk: *chunk,
                slot: *slot,
                upload,
            })
            .collect()
    }

    fn uploads_hash(&self) -> Result<[u8; 32], StatementError> {
        let placed = self.placed();
        uploads_hash(placed.iter().map(|p| (p.chunk, p.slot, p.upload.hash())))
    }

    /// A whole run: the records behind the commitments are `people`. `lie` is added to each encrypted mask.
    fn run(&mut self, people: &[(u32, u32, usize)], lie: u64) -> Run {
        let chunks = self.chunks(people);
        let commit = |(codes, blinding): (&Vec<u8>, &Fr)| {
            let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
            let sum = G1Projective::msm(&self.key.slots, &scalars).unwrap()
                + self.key.blinding * blinding;
            sum.into_affine()
        };
        let commitments = chunks
            .iter()
            .map(|c| c.codes.iter().zip(&c.blindings).map(commit).collect())
            .collect();
        let modulus = self.cube.modulus().modulus();
        let masks = Masks::draw(modulus, &mut self.rng);
        let ciphertexts: [Upload; REPETITIONS] = masks.values().map(|u| {
            let (id, class) = (self.cube.id(), self.cube.modulus());
            let u = (u + lie) % modulus;
            encrypt_mask(&self.holders.public, id, class, u, &mut self.rng).unwrap()
        });
        let points = masks.commitments();
        let announcement = Announcement::new(
            LinkContext {
                chain_id: 31337,
                contract: [7; 20],
                dataset: 1,
                snapshot: 2,
                cube: self.cube.id(),
                attempt: 0,
            },
            modulus,
            &self.key,
            self.cube.columns().iter().map(|c| c.0).collect(),
            commitments,
            self.uploads_hash().unwrap(),
            std::array::from_fn(|e| Mask {
                commitment: points[e],
                ciphertext: ciphertexts[e].hash(),
            }),
        )
        .unwrap();
        let statement = LinkStatement::new(announcement, self.rng.r#gen());
        let input = LinkInput {
            key: &self.key,
            statement: &statement,
            chunks: &chunks,
        };
        let proof = prove_link(&input, masks, &mut self.rng).unwrap();
        Run {
            verified: verify(&self.key, &statement, &proof).unwrap(),
            statement,
            ciphertexts,
        }
    }

    /// How many repetitions the committee accepts.
    fn accepted(&self, run: &Run) -> usize {
        let forms = zero_forms(
            &run.statement,
            &run.verified,
            &self.cube,
            &self.placed(),
            &run.ciphertexts,
        );
        let forms = forms.unwrap();
        forms
            .iter()
            .filter(|form| self.holders.opens_to_zero(form))
            .count()
    }
}

struct Run {
    statement: LinkStatement,
    verified: salus_circuits::link::VerifiedLink,
    ciphertexts: [Upload; REPETITIONS],
}

#[test]
fn honest_records_are_accepted_in_every_repetition() {
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let mut world = World::new(class, 1);
        assert_eq!(world.people.len(), PEOPLE);
        let people = world.people.clone();
        let run = world.run(&people, 0);
        assert_eq!(world.accepted(&run), REPETITIONS);
    }
}

#[test]
fn a_flipped_bit_swapped_records_and_another_mask_are_rejected() {
    let mut world = World::new(ModulusClass::Counts, 2);
    let honest = world.people.clone();
    let mut flipped = honest.clone();
    // the last column runs fastest: its two codes are 2 and 3
    flipped[17].2 ^= 1;
    let mut swapped = honest.clone();
    let other = (4..30).find(|i| swapped[*i].2 != swapped[3].2).unwrap();
    (swapped[3].2, swapped[other].2) = (swapped[other].2, swapped[3].2);
    let mut missing = honest.clone();
    missing.remove(40);
    for committed in [flipped, swapped, missing] {
        for _ in 0..4 {
            let run = world.run(&committed, 0);
            // about 2^-8 each
            assert!(world.accepted(&run) < 2);
        }
    }
    // far enough that flooding does not hide it
    let run = world.run(&honest, 1 << 20);
    assert_eq!(world.accepted(&run), 0);
}

#[test]
fn relations_are_derived_from_the_announced_ciphertexts_only() {
    let mut world = World::new(ModulusClass::Counts, 3);
    let people = world.people.clone();
    let run = world.run(&people, 0);
    let other = world.run(&people, 0);
    let derive = |statement, verified, cube, uploads: &[Placed<'_>], masks| {
        zero_forms(statement, verified, cube, uploads, masks).map(|_| ())
    };
    let placed = world.placed();
    let sums = cube(ModulusClass::Sums);
    let (s, v, c, m) = (&run.statement, &run.verified, &world.cube, &run.ciphertexts);
    assert_eq!(derive(s, v, c, &placed, m), Ok(()));
    assert_eq!(
        derive(&other.statement, v, c, &placed, m),
        Err(FormsError::Statement)
    );
    let coin = LinkStatement::new(s.announcement().clone(), [0; 32]);
    assert_eq!(derive(&coin, v, c, &placed, m), Err(FormsError::Statement));
    assert_eq!(derive(s, v, &sums, &placed, m), Err(FormsError::Cube));
    assert!(matches!(
        derive(s, v, c, &placed[1..], m),
        Err(FormsError::Uploads { .. })
    ));
    let mut traded = placed.clone();
    (traded[0].upload, traded[1].upload) = (placed[1].upload, placed[0].upload);
    assert!(matches!(
        derive(s, v, c, &traded, m),
        Err(FormsError::Uploads { .. })
    ));
    let mut disordered = placed.clone();
    disordered.swap(0, 1);
    assert!(matches!(
        derive(s, v, c, &disordered, m),
        Err(FormsError::Order(_))
    ));
    assert_eq!(
        derive(s, v, c, &placed, &other.ciphertexts),
        Err(FormsError::Mask { repetition: 0 })
    );
}

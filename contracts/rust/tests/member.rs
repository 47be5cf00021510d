//! Test members: commitments and proofs of knowledge over a basis whose discrete logarithms the tests know.

use alloy::primitives::{Address, B256, U256, keccak256};
use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{BigInteger, PrimeField, UniformRand};
use rand::{Rng, SeedableRng, rngs::StdRng};
use salus_contracts::{
    client::{ChunkIndex, DatasetId, KnowledgeProof, Registration, SlotIndex},
    consent::{Consent, MemberKey, commitments_hash},
    words::{Point, Word},
};

pub fn scalar_word(value: Fr) -> Word {
    let bytes = value.into_bigint().to_bytes_be();
    bytes.try_into().unwrap()
}

pub fn point_words(point: G1Projective) -> Point {
    let coordinate = |value: ark_bn254::Fq| value.into_bigint().to_bytes_be().try_into().unwrap();
    match point.into_affine().xy() {
        Some((x, y)) => [coordinate(x), coordinate(y)],
        None => [[0; 32]; 2],
    }
}

/// G2 in EVM order.
pub fn g2_words(point: G2Projective) -> Vec<Word> {
    let (x, y) = point.into_affine().xy().unwrap();
    [x.c1, x.c0, y.c1, y.c0]
        .map(|value| value.into_bigint().to_bytes_be().try_into().unwrap())
        .to_vec()
}

pub fn number(value: u64) -> Word {
    U256::from(value).to_be_bytes()
}

/// Keccak-256 of concatenated words.
pub fn hash(words: &[Word]) -> Word {
    keccak256(words.as_flattened()).0
}

pub fn tag(name: &str) -> Word {
    keccak256(format!("salus.v1.{name}")).0
}

pub fn reduce(word: Word) -> Fr {
    Fr::from_be_bytes_mod_order(&word)
}

pub fn address_word(address: Address) -> Word {
    address.into_word().0
}

/// Slot bases b_i G and blinding base h G with known b_i and h, and the Merkle tree over the slot bases.
pub struct Basis {
    pub slots: Vec<Fr>,
    pub blinding: Fr,
    levels: Vec<Vec<B256>>,
}

impl Basis {
    pub fn new(slots: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let slots: Vec<_> = (0..slots).map(|_| Fr::rand(&mut rng)).collect();
        let mut leaves: Vec<_> = slots
            .iter()
            .map(|b| B256::from(hash(&point_words(G1Projective::generator() * b))))
            .collect();
        leaves.resize(slots.len().next_power_of_two(), B256::ZERO);
        let mut levels = vec![leaves];
        while levels.last().unwrap().len() > 1 {
            let parents = levels
                .last()
                .unwrap()
                .chunks(2)
                .map(|pair| keccak256([pair[0], pair[1]].concat()))
                .collect();
            levels.push(parents);
        }
        Self {
            slots,
            blinding: Fr::rand(&mut rng),
            levels,
        }
    }

    pub fn root(&self) -> B256 {
        self.levels.last().unwrap()[0]
    }

    fn path(&self, slot: usize) -> Vec<B256> {
        self.levels[..self.levels.len() - 1]
            .iter()
            .enumerate()
            .map(|(height, level)| level[(slot >> height) ^ 1])
            .collect()
    }
}

/// Where registrations are meant to be accepted.
#[derive(Clone, Copy)]
pub struct Place {
    pub chain_id: u64,
    pub registry: Address,
    pub dataset: DatasetId,
    pub chunk: ChunkIndex,
}

/// A registration with what its member keeps secret.
pub struct TestMember {
    pub registration: Registration,
    pub key: MemberKey,
    /// Discrete logarithms of the commitments.
    pub commitments: Vec<Fr>,
}

pub fn register(basis: &Basis, place: Place, slot: u32, codes: &[u8]) -> TestMember {
    let mut rng = StdRng::seed_from_u64(u64::from(place.chunk.0) << 32 | u64::from(slot));
    let key = MemberKey::from_secret(&rng.r#gen::<[u8; 32]>().into()).unwrap();
    let member = key.address();
    let (base, blinding) = (basis.slots[slot as usize], basis.blinding);
    let randomness: Vec<_> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
    let logs: Vec<_> = codes
        .iter()
        .zip(&randomness)
        .map(|(code, r)| base * Fr::from(*code) + blinding * r)
        .collect();
    let commitments: Vec<_> = logs
        .iter()
        .map(|log| point_words(G1Projective::generator() * log))
        .collect();

    let mut preimage = vec![
        tag("register"),
        number(place.chain_id),
        address_word(place.registry),
        number(place.dataset.0.into()),
        number(place.chunk.0.into()),
        number(slot.into()),
        address_word(member),
    ];
    preimage.extend(commitments.as_flattened());
    let mu = reduce(hash(&preimage));
    let combine = |values: &mut dyn Iterator<Item = Fr>| {
        let mut power = Fr::from(1);
        values.fold(Fr::from(0), |sum, value| {
            let sum = sum + value * power;
            power *= mu;
            sum
        })
    };
    let code = combine(&mut codes.iter().map(|code| Fr::from(*code)));
    let random = combine(&mut randomness.iter().copied());
    let (k1, k2) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
    let r = point_words(G1Projective::generator() * (base * k1 + blinding * k2));
    let e = reduce(hash(&[tag("pok"), scalar_word(mu), r[0], r[1]]));
    let proof = KnowledgeProof {
        r,
        s1: scalar_word(k1 + e * code),
        s2: scalar_word(k2 + e * random),
    };

    let (purposes, payout_id) = (B256::with_last_byte(1), keccak256(member));
    let consent = Consent {
        dataset: place.dataset,
        chunk: place.chunk,
        slot: SlotIndex(slot),
        purposes,
        expiry_epoch: 10,
        commitments_hash: commitments_hash(&commitments),
        payout_id,
        nonce: 1,
    };
    let signature = key
        .sign_consent(place.chain_id, place.registry, &consent)
        .unwrap();
    TestMember {
        registration: Registration {
            slot: SlotIndex(slot),
            member,
            expiry_epoch: 10,
            purposes,
            payout_id,
            nonce: 1,
            commitments,
            basis: point_words(G1Affine::generator() * base),
            path: basis.path(slot as usize),
            proof,
            signature,
        },
        key,
        commitments: logs,
    }
}

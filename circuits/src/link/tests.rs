//! Statements, weights and bytes; proofs are tested beside their prover (salus-prover, `sealed`).
#![allow(clippy::unwrap_used)]

use super::proof::{ChunkProof, FormProof};
use super::range::{BitProof, RangeProof};
use super::relation::{value_and_quotient, weighted_sums};
use super::statement::uploads_hash;
use super::*;
use crate::words::g1_words;
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::SeedableRng;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;

fn key() -> CommitmentKey {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    CommitmentKey::new(
        (0..5).map(|_| G1Affine::rand(&mut rng)).collect(),
        G1Affine::rand(&mut rng),
    )
}

fn context() -> LinkContext {
    LinkContext {
        chain_id: 31337,
        contract: [7; 20],
        dataset: 1,
        snapshot: 2,
        cube: [3; 32],
        attempt: 0,
    }
}

fn build(
    modulus: u64,
    columns: Vec<u16>,
    commitments: Vec<Vec<G1Affine>>,
) -> Result<Announcement, StatementError> {
    let mask = Mask {
        commitment: G1Affine::generator(),
        ciphertext: [9; 32],
    };
    Announcement::new(
        context(),
        modulus,
        &key(),
        columns,
        commitments,
        [5; 32],
        [mask; REPETITIONS],
    )
}

fn announcement() -> Announcement {
    build(
        MODULI[0],
        vec![4, 1],
        vec![vec![G1Affine::generator(); 2]; 3],
    )
    .unwrap()
}

/// A proof of the right sizes that proves nothing.
fn any_proof() -> LinkProof {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let bits = announcement().quotient_bits();
    let mut point = || G1Affine::rand(&mut rng);
    let (a, b, c) = (point(), point(), point());
    let s = Fr::rand(&mut rng);
    let form = FormProof {
        value: 17,
        mask: a,
        sums: vec![b, G1Affine::identity()],
        blinding: s,
        range: RangeProof {
            bits: vec![c; bits - 1],
            proofs: vec![
                BitProof {
                    zero: a,
                    one: b,
                    challenge: s,
                    zero_response: -s,
                    one_response: s + s,
                };
                bits
            ],
        },
    };
    let chunk = ChunkProof {
        mask: c,
        responses: vec![s; 5],
        blinding: -s,
    };
    LinkProof {
        chunks: vec![chunk; 3],
        forms: std::array::from_fn(|_| form.clone()),
    }
}

#[test]
fn moduli_are_prime_and_larger_than_any_weight() {
    for p in MODULI {
        assert!(p > 255 && p < 1 << 32);
        assert!((2..).take_while(|d| d * d <= p).all(|d| p % d != 0), "{p}");
    }
}

#[test]
fn generators_are_the_published_ones() {
    let g = generators();
    assert!(g.value.is_on_curve() && g.blinding.is_on_curve());
    assert!(!g.value.is_zero() && !g.blinding.is_zero());
    let hex = |p: &G1Affine| -> String {
        let [x, _] = g1_words(p);
        x.iter().map(|b| format!("{b:02x}")).collect()
    };
    assert_eq!(
        [hex(&g.value), hex(&g.blinding)],
        [
            "24cf0823236cf3c8202e75a1b422c688843ca2830802f50bb207362c5abd998b",
            "2d721fc08aed3ecb28c5b686712db157f3e254c4726d3bf860a135dd9348d120"
        ]
    );
}

#[test]
fn announcements_are_refused_where_their_parts_do_not_fit() {
    let g = G1Affine::generator();
    assert_eq!(
        build(65_537, vec![1], vec![vec![g]]),
        Err(StatementError::Modulus { found: 65_537 })
    );
    let refused =
        |columns: Vec<u16>, commitments| build(MODULI[1], columns, commitments).unwrap_err();
    assert!(matches!(
        refused(vec![], vec![vec![]]),
        StatementError::Dimension {
            what: "columns",
            ..
        }
    ));
    assert!(matches!(
        refused((0..17).collect(), vec![vec![g; 17]]),
        StatementError::Dimension {
            what: "columns",
            ..
        }
    ));
    assert!(matches!(
        refused(vec![1], vec![]),
        StatementError::Dimension { what: "chunks", .. }
    ));
    assert_eq!(
        refused(vec![1, 2, 1], vec![vec![g; 3]]),
        StatementError::RepeatedColumn { column: 1 }
    );
    assert_eq!(
        refused(vec![1, 2], vec![vec![g; 2], vec![g]]),
        StatementError::Commitments {
            chunk: 1,
            found: 1,
            expected: 2
        }
    );
}

#[test]
fn challenges_are_the_stored_ones() {
    let hex = |w: &[u8]| -> String { w.iter().map(|b| format!("{b:02x}")).collect() };
    let statement = LinkStatement::new(announcement(), [1; 32]);
    let weights = statement.challenges();
    assert_eq!(
        hex(&statement.announcement().digest()),
        "752c5dcaebf05a58dcda9003a8cd174e546f15d06f2b7dd9add03945da685f09"
    );
    assert_eq!(
        hex(&weights.members(2, 1, 40)[28..]),
        "032543d3cffd1b0a70e4253f"
    );
    assert_eq!(weights.columns(4), [1_246_074, 698_333]);
}

#[test]
fn uploads_are_hashed_in_order_and_once() {
    let a = (0, 7, [1; 32]);
    let b = (1, 0, [2; 32]);
    let both = uploads_hash([a, b]).unwrap();
    assert_ne!(both, uploads_hash([a]).unwrap());
    assert_ne!(both, uploads_hash([a, (1, 0, [3; 32])]).unwrap());
    assert_ne!(both, uploads_hash([a, (1, 1, [2; 32])]).unwrap());
    assert_eq!(
        uploads_hash([b, a]),
        Err(StatementError::UploadOrder { chunk: 0, slot: 7 })
    );
    assert_eq!(
        uploads_hash([a, a]),
        Err(StatementError::UploadOrder { chunk: 0, slot: 7 })
    );
}

#[test]
fn weights_depend_on_coin_repetition_chunk_and_slot() {
    let statement = LinkStatement::new(announcement(), [1; 32]);
    let weights = statement.challenges();
    let other = LinkStatement::new(announcement(), [2; 32]).challenges();
    let row = weights.members(0, 0, 100);
    assert_eq!(row.len(), 100);
    assert_eq!(weights.members(0, 0, 33), row[..33]);
    assert!((0..100).all(|slot| weights.member(0, 0, slot) == row[slot]));
    assert_ne!(row, weights.members(1, 0, 100));
    assert_ne!(row, weights.members(0, 1, 100));
    assert_ne!(row, other.members(0, 0, 100));
    assert_ne!(row[..32], row[32..64]);
    for e in 0..REPETITIONS {
        assert_eq!(weights.columns(e).len(), 2);
        assert!(weights.columns(e).iter().all(|b| *b < MODULI[0]));
    }
    assert_ne!(weights.columns(0), weights.columns(1));
    let [a, b] = [weights.columns(3)[0], weights.columns(3)[1]];
    for code in 0..=255u8 {
        let p = MODULI[0] as i64;
        let centred = weights.centred_cell_weight(3, &[code, 3]);
        assert!(centred.abs() <= (p - 1) / 2);
        let residue = centred.rem_euclid(p) as u64;
        assert_eq!(residue, weights.cell_weight(3, &[code, 3]));
    }
    assert_eq!(
        weights.cell_weight(3, &[255, 7]),
        (255 * a + 7 * b) % MODULI[0]
    );
}

#[test]
fn the_largest_quotient_fits_its_bits_and_the_field() {
    let slots = (MAX_SLOTS * MAX_CHUNKS) as u64;
    assert_eq!(quotient_bits(MAX_COLUMNS, slots), 52);
    // p 2^bits and the sum stay below 2^80, far below the group order: nothing wraps
    for p in MODULI {
        for (columns, slots) in [(1usize, 1u64), (3, 96), (16, 1 << 20)] {
            let sums = vec![255 * 255 * slots; columns];
            let (value, quotient) = value_and_quotient(&sums, &vec![p - 1; columns], p - 1, p);
            assert!(value < p);
            assert!(quotient >> quotient_bits(columns, slots) == 0);
            let total = u128::from(sums[0]) * columns as u128 * u128::from(p - 1);
            assert_eq!(
                total + u128::from(p - 1),
                u128::from(value) + u128::from(p) * u128::from(quotient)
            );
        }
    }
}

#[test]
fn weighted_sums_are_the_plain_ones() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let scalars: Vec<Fr> = (0..200)
        .map(|i| match i {
            0 => -Fr::from(1u64),
            1 => Fr::ZERO,
            _ => Fr::rand(&mut rng),
        })
        .collect();
    let weights: [Vec<u8>; REPETITIONS] =
        std::array::from_fn(|e| (0..200).map(|i| (255 - i * (e + 1) % 256) as u8).collect());
    let plain = weights.clone().map(|row| {
        scalars
            .iter()
            .zip(row)
            .map(|(s, w)| *s * Fr::from(w))
            .sum::<Fr>()
    });
    assert_eq!(weighted_sums(&scalars, &weights), plain);
}

#[test]
fn a_proof_of_nothing_is_refused() {
    let statement = LinkStatement::new(announcement(), [1; 32]);
    assert_eq!(
        verify(&key(), &statement, &any_proof()),
        Err(LinkError::Proof)
    );
    let mut zero = any_proof();
    for chunk in &mut zero.chunks {
        chunk.mask = G1Affine::identity();
        chunk.responses.fill(Fr::ZERO);
        chunk.blinding = Fr::ZERO;
    }
    assert_eq!(verify(&key(), &statement, &zero), Err(LinkError::Proof));
}

#[test]
fn bytes_and_serde_round_trip() {
    let proof = any_proof();
    let bytes = proof.to_bytes();
    let size = proof::Dimensions::of(&announcement());
    assert_eq!(bytes.len() as u64, size.proof_bytes());
    assert_eq!(LinkProof::from_bytes(&bytes).unwrap(), proof);
    let statement = LinkStatement::new(announcement(), [1; 32]);
    assert_eq!(
        LinkStatement::from_bytes(&statement.to_bytes()).unwrap(),
        statement
    );
    let json = serde_json::to_string(&(&proof, &statement, &announcement())).unwrap();
    let back: (LinkProof, LinkStatement, Announcement) = serde_json::from_str(&json).unwrap();
    assert_eq!(back, (proof, statement, announcement()));
    assert!(serde_json::from_str::<LinkProof>("\"534c\"").is_err());
    assert!(serde_json::from_str::<LinkProof>("\"534\"").is_err());
    assert!(serde_json::from_str::<LinkProof>("\"53zz\"").is_err());
}

#[test]
fn headers_that_promise_more_than_the_input_are_refused() {
    let mut bytes = any_proof().to_bytes();
    for at in [5, 9, 13, 17] {
        let mut large = bytes.clone();
        large[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(
            LinkProof::from_bytes(&large),
            Err(DecodeError::Dimension { .. })
        ));
        large[at..at + 4].copy_from_slice(&0u32.to_be_bytes());
        assert!(matches!(
            LinkProof::from_bytes(&large),
            Err(DecodeError::Dimension { .. })
        ));
    }
    bytes[5..9].copy_from_slice(&65_536u32.to_be_bytes());
    assert!(matches!(
        LinkProof::from_bytes(&bytes),
        Err(DecodeError::Length { .. })
    ));
    let mut other = any_proof().to_bytes();
    other[4] = 2;
    assert_eq!(
        LinkProof::from_bytes(&other),
        Err(DecodeError::Version {
            found: 2,
            expected: 1
        })
    );
    other.truncate(3);
    assert!(LinkProof::from_bytes(&other).is_err());
    assert!(matches!(
        LinkProof::from_bytes(&announcement().to_bytes()),
        Err(DecodeError::Magic { .. })
    ));
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0usize..3) {
        let magic = [b"SLKP\x01", b"SLKS\x01", b"SLKA\x01"][kind];
        let framed = [&magic[..], &bytes].concat();
        for input in [&bytes, &framed] {
            let _ = LinkProof::from_bytes(input);
            let _ = LinkStatement::from_bytes(input);
            let _ = Announcement::from_bytes(input);
        }
    }

    #[test]
    fn mutated_bytes_are_refused_or_canonical(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<bool>()) {
        let mutate = |mut bytes: Vec<u8>| {
            let index = at.index(bytes.len());
            if cut { bytes.truncate(index) } else { bytes[index] = value }
            bytes
        };
        let bytes = mutate(any_proof().to_bytes());
        if let Ok(proof) = LinkProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
        }
        let bytes = mutate(LinkStatement::new(announcement(), [1; 32]).to_bytes());
        if let Ok(statement) = LinkStatement::from_bytes(&bytes) {
            prop_assert_eq!(statement.to_bytes(), bytes);
        }
    }
}

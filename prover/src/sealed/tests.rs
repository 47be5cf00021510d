//! Honest links and named cheaters. Ciphertexts are integers here; `tests/sealed_link.rs` uses real ones.
#![allow(clippy::unwrap_used)]

use super::link::{Claims, prove_claims};
use super::{LinkInput, LinkProveError, Masks, prove_link};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{Field, UniformRand};
use ark_std::rand::{Rng, SeedableRng};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use salus_circuits::aggregate::AggregatePrivate;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::range::RangeProof;
use salus_circuits::link::relation::{column_sums, value_and_quotient};
use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::verify::{Batch, check_openings};
use salus_circuits::link::{
    Announcement, LinkContext, LinkError, LinkProof, LinkStatement, MODULI, Mask, REPETITIONS,
    VerifiedLink, verify,
};
use std::sync::LazyLock;

const SLOTS: usize = 96;
const COLUMNS: usize = 3;
const P: u64 = MODULI[0];

static KEY: LazyLock<CommitmentKey> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    CommitmentKey::new(
        (0..SLOTS).map(|_| G1Affine::rand(&mut rng)).collect(),
        G1Affine::rand(&mut rng),
    )
});

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

/// Codes, chunks x columns x slots; about a tenth of the slots is empty.
type Records = Vec<Vec<Vec<u8>>>;

fn records(chunks: usize, rng: &mut ChaCha20Rng) -> Records {
    (0..chunks)
        .map(|_| {
            let present: Vec<bool> = (0..SLOTS).map(|_| rng.gen_bool(0.9)).collect();
            (0..COLUMNS)
                .map(|_| {
                    let code = |p: &bool| if *p { rng.gen_range(1..=14) } else { 0 };
                    present.iter().map(code).collect()
                })
                .collect()
        })
        .collect()
}

fn private(records: &Records, rng: &mut ChaCha20Rng) -> Vec<AggregatePrivate> {
    let chunk = |codes: &Vec<Vec<u8>>| AggregatePrivate {
        codes: codes.clone(),
        blindings: codes.iter().map(|_| Fr::rand(rng)).collect(),
    };
    records.iter().map(chunk).collect()
}

fn commitments(chunks: &[AggregatePrivate]) -> Vec<Vec<G1Affine>> {
    let commit = |(codes, blinding): (&Vec<u8>, &Fr)| {
        let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
        let sum = G1Projective::msm(&KEY.slots, &scalars).unwrap() + KEY.blinding * blinding;
        sum.into_affine()
    };
    chunks
        .iter()
        .map(|c| c.codes.iter().zip(&c.blindings).map(commit).collect())
        .collect()
}

fn announcement(
    context: LinkContext,
    commitments: Vec<Vec<G1Affine>>,
    masks: [G1Affine; REPETITIONS],
) -> Announcement {
    let uploads = uploads_hash([(0, 0, [1; 32]), (0, 1, [2; 32])]).unwrap();
    let masks = masks.map(|commitment| Mask {
        commitment,
        ciphertext: [4; 32],
    });
    let columns = vec![5, 0, 9];
    Announcement::new(context, P, &KEY, columns, commitments, uploads, masks).unwrap()
}

/// One whole honest run over committed records.
struct Run {
    chunks: Vec<AggregatePrivate>,
    masks: [u64; REPETITIONS],
    statement: LinkStatement,
    proof: LinkProof,
}

fn run(committed: &Records, seed: u64) -> Run {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let chunks = private(committed, &mut rng);
    let masks = Masks::draw(P, &mut rng);
    let values = *masks.values();
    let announcement = announcement(context(), commitments(&chunks), masks.commitments());
    let statement = LinkStatement::new(announcement, rng.r#gen());
    let input = LinkInput {
        key: &KEY,
        statement: &statement,
        chunks: &chunks,
    };
    let proof = prove_link(&input, masks, &mut rng).unwrap();
    Run {
        chunks,
        masks: values,
        statement,
        proof,
    }
}

/// What the committee's linear forms over these ciphertexts hold: zero in an honest link.
fn forms(link: &VerifiedLink, encrypted: &Records, masks: &[u64; REPETITIONS]) -> Vec<u64> {
    (0..REPETITIONS)
        .map(|e| {
            let mut sum = masks[e] + P - link.values()[e];
            for (chunk, columns) in encrypted.iter().enumerate() {
                for slot in 0..SLOTS {
                    let codes: Vec<u8> = columns.iter().map(|c| c[slot]).collect();
                    let rho = link.challenges().member(e, chunk, slot);
                    sum += u64::from(rho) * link.challenges().cell_weight(e, &codes);
                }
            }
            sum % P
        })
        .collect()
}

fn opens_to_zero(committed: &Records, encrypted: &Records, seed: u64) -> usize {
    let run = run(committed, seed);
    let link = verify(&KEY, &run.statement, &run.proof).unwrap();
    let forms = forms(&link, encrypted, &run.masks);
    forms.iter().filter(|form| **form == 0).count()
}

/// A proof of changed claims about masks with blinding zero: what a cheating custodian runs.
fn cheat(run: &Run, statement: &LinkStatement, change: impl FnOnce(&mut Claims)) -> LinkProof {
    let mut rng = ChaCha20Rng::seed_from_u64(77);
    let challenges = statement.challenges();
    let records: Vec<&[Vec<u8>]> = run.chunks.iter().map(|c| c.codes.as_slice()).collect();
    let sums = column_sums(statement.announcement(), &challenges, &records);
    let mut claims = Claims {
        values: run.proof.forms.clone().map(|f| f.value),
        masks: run.masks.map(Fr::from),
        blindings: [Fr::from(0u64); REPETITIONS],
    };
    change(&mut claims);
    let input = LinkInput {
        key: &KEY,
        statement,
        chunks: &run.chunks,
    };
    prove_claims(&input, &challenges, &sums, &claims, &mut rng)
}

/// A statement whose masks are given in the open, so that cheaters can be written down.
fn with_masks(run: &Run, masks: [Fr; REPETITIONS]) -> LinkStatement {
    let key = salus_circuits::link::generators();
    let zero = Fr::from(0u64);
    let points = masks.map(|u| key.commit(&u, &zero));
    let announcement = announcement(context(), commitments(&run.chunks), points);
    LinkStatement::new(announcement, *run.statement.coin())
}

fn values(run: &Run, statement: &LinkStatement) -> ([u64; REPETITIONS], [u64; REPETITIONS]) {
    let challenges = statement.challenges();
    let records: Vec<&[Vec<u8>]> = run.chunks.iter().map(|c| c.codes.as_slice()).collect();
    let sums = column_sums(statement.announcement(), &challenges, &records);
    let all: [_; REPETITIONS] = std::array::from_fn(|e| {
        value_and_quotient(&sums[e], challenges.columns(e), run.masks[e], P)
    });
    (all.map(|a| a.0), all.map(|a| a.1))
}

#[test]
fn an_honest_link_verifies_and_every_form_is_zero() {
    for chunks in [1, 3] {
        let records = records(chunks, &mut ChaCha20Rng::seed_from_u64(2));
        assert_eq!(opens_to_zero(&records, &records, 3), REPETITIONS);
    }
}

#[test]
fn empty_chunks_and_all_zero_commitments_are_linked_too() {
    let mut records = records(2, &mut ChaCha20Rng::seed_from_u64(2));
    records[1] = vec![vec![0; SLOTS]; COLUMNS];
    assert_eq!(opens_to_zero(&records, &records, 4), REPETITIONS);
}

#[test]
fn a_flipped_bit_swapped_records_and_a_missing_member_show() {
    let committed = records(2, &mut ChaCha20Rng::seed_from_u64(5));
    let full = |chunk: usize, from: usize| {
        (from..SLOTS)
            .find(|slot| committed[chunk][0][*slot] != 0)
            .unwrap()
    };
    let (a, b) = (full(0, 10), full(0, 50));
    let mut flipped = committed.clone();
    flipped[0][1][a] ^= 1;
    let mut swapped = committed.clone();
    swapped[0].iter_mut().for_each(|column| column.swap(a, b));
    let mut missing = committed.clone();
    missing[0].iter_mut().for_each(|column| column[a] = 0);
    // the same slot of another chunk
    let mut moved = committed.clone();
    for column in 0..COLUMNS {
        moved[0][column][a] = committed[1][column][a];
        moved[1][column][a] = committed[0][column][a];
    }
    // a difference that the sum over members does not show
    let mut balanced = committed.clone();
    balanced[0][0][a] += 1;
    balanced[0][0][b] -= 1;
    for (name, encrypted) in [
        ("flipped", flipped),
        ("swapped", swapped),
        ("missing", missing),
        ("moved", moved),
        ("balanced", balanced),
    ] {
        assert_ne!(encrypted, committed, "{name}");
        for seed in 0..4 {
            let zeros = opens_to_zero(&committed, &encrypted, 100 + seed);
            assert!(zeros < 2, "{name}: {zeros} forms are zero");
        }
    }
}

#[test]
fn a_ciphertext_of_another_mask_shows() {
    let records = records(1, &mut ChaCha20Rng::seed_from_u64(6));
    let run = run(&records, 7);
    let link = verify(&KEY, &run.statement, &run.proof).unwrap();
    let other = run.masks.map(|u| (u + 1) % P);
    assert!(forms(&link, &records, &other).iter().all(|form| *form != 0));
}

#[test]
fn masks_must_be_the_announced_ones() {
    let records = records(1, &mut ChaCha20Rng::seed_from_u64(6));
    let run = run(&records, 7);
    let input = LinkInput {
        key: &KEY,
        statement: &run.statement,
        chunks: &run.chunks,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let other = Masks::draw(P, &mut rng);
    assert_eq!(
        prove_link(&input, other, &mut rng),
        Err(LinkProveError::Mask { repetition: 0 })
    );
    // a cheater that uses another mask than it announced
    let statement = with_masks(&run, run.masks.map(Fr::from));
    let honest = cheat(&run, &statement, |c| {
        c.values = values(&run, &statement).0;
    });
    assert!(verify(&KEY, &statement, &honest).is_ok());
    let forged = cheat(&run, &statement, |c| {
        c.masks[4] += Fr::from(1u64);
        c.values = values(&run, &statement).0;
        c.values[4] = (c.values[4] + 1) % P;
    });
    assert_eq!(verify(&KEY, &statement, &forged), Err(LinkError::Proof));
}

#[test]
fn a_custodian_that_proves_from_other_records_is_refused() {
    let committed = records(2, &mut ChaCha20Rng::seed_from_u64(9));
    let mut run = run(&committed, 10);
    let statement = with_masks(&run, run.masks.map(Fr::from));
    let slot = (0..SLOTS).find(|i| committed[1][2][*i] != 0).unwrap();
    run.chunks[1].codes[2][slot] ^= 1;
    let values = values(&run, &statement).0;
    let forged = cheat(&run, &statement, |c| c.values = values);
    assert_eq!(verify(&KEY, &statement, &forged), Err(LinkError::Proof));
}

#[test]
fn any_value_passes_without_the_range_proof_and_none_with_it() {
    // The ciphertexts hold other records than the commitments. The custodian publishes the value that the committee
    // will open to zero; in the field, a quotient for it always exists.
    let committed = records(1, &mut ChaCha20Rng::seed_from_u64(11));
    let run = run(&committed, 12);
    let statement = with_masks(&run, run.masks.map(Fr::from));
    let honest = values(&run, &statement).0;
    let forged = cheat(&run, &statement, |c| {
        c.values = honest.map(|v| (v + 12_345) % P);
    });
    let announcement = statement.announcement();
    let mut batch = Batch::new([9; 32], SLOTS);
    check_openings(
        announcement,
        &statement.challenges(),
        &forged,
        &forged.challenge(&statement),
        &mut batch,
    );
    assert!(batch.holds(&KEY), "the variant accepts");
    assert_eq!(verify(&KEY, &statement, &forged), Err(LinkError::Proof));
}

#[test]
fn a_quotient_outside_its_range_is_refused() {
    // A mask moved by a multiple of p has the same residue: only the quotient moves.
    let records = records(1, &mut ChaCha20Rng::seed_from_u64(13));
    let run = run(&records, 14);
    let end = Fr::from(1u64 << run.statement.announcement().quotient_bits());
    let half = Fr::from(2u64).inverse().unwrap();
    for (shift, accepted) in [
        (Fr::from(0u64), true),
        (end * half, true),
        (end, false),
        (-end, false),
        // 2^-k of the field: no small integer at all
        (half, false),
    ] {
        let mut masks = run.masks.map(Fr::from);
        masks[2] += Fr::from(P) * shift;
        let statement = with_masks(&run, masks);
        let proof = cheat(&run, &statement, |c| {
            c.masks = masks;
            c.values = values(&run, &statement).0;
        });
        let verdict = verify(&KEY, &statement, &proof).is_ok();
        assert_eq!(verdict, accepted, "shift {shift}");
    }
}

#[test]
fn the_range_proof_ends_where_it_says() {
    let mut rng = ChaCha20Rng::seed_from_u64(30);
    let key = salus_circuits::link::generators();
    const BITS: usize = 7;
    for (value, accepted) in [
        (Fr::from(0u64), true),
        (Fr::from(1u64), true),
        (Fr::from(127u64), true),
        (Fr::from(128u64), false),
        (-Fr::from(1u64), false),
    ] {
        let blinding = Fr::rand(&mut rng);
        let challenge = Fr::rand(&mut rng);
        let (mut proof, pending) = super::range::begin(&value, &blinding, BITS, &mut rng);
        pending.finish(&challenge, &mut proof);
        let commitment = [(key.commit(&value, &blinding), Fr::from(1u64))];
        let holds = |proof: &RangeProof| {
            let mut batch = Batch::new([1; 32], SLOTS);
            proof.check(&commitment, &challenge, &mut batch);
            batch.holds(&KEY)
        };
        assert_eq!(holds(&proof), accepted, "{value}");
        // a bit that is 2
        proof.bits[0] = (proof.bits[0] + key.value).into_affine();
        assert!(!holds(&proof), "{value}");
    }
}

#[test]
fn values_must_be_residues() {
    let records = records(1, &mut ChaCha20Rng::seed_from_u64(13));
    let mut run = run(&records, 14);
    run.proof.forms[3].value = P;
    assert_eq!(
        verify(&KEY, &run.statement, &run.proof),
        Err(LinkError::Value {
            repetition: 3,
            value: P,
            modulus: P
        })
    );
}

#[test]
fn a_proof_is_void_in_any_other_statement() {
    let records = records(1, &mut ChaCha20Rng::seed_from_u64(15));
    let run = run(&records, 16);
    let original = run.statement.announcement();
    let masks = original.masks().map(|m| m.commitment);
    let rebuilt = |context| announcement(context, original.commitments().to_vec(), masks);
    assert_eq!(&rebuilt(context()), original);
    let c = context();
    let coin = *run.statement.coin();
    let mut others: Vec<LinkStatement> = [
        LinkContext { chain_id: 1, ..c },
        LinkContext {
            contract: [8; 20],
            ..c
        },
        LinkContext { dataset: 2, ..c },
        LinkContext { snapshot: 3, ..c },
        LinkContext { cube: [4; 32], ..c },
        LinkContext { attempt: 1, ..c },
    ]
    .map(|context| LinkStatement::new(rebuilt(context), coin))
    .into();
    others.push(LinkStatement::new(original.clone(), [0x55; 32]));
    let make = |modulus, columns, uploads, masks| {
        Announcement::new(
            c,
            modulus,
            &KEY,
            columns,
            original.commitments().to_vec(),
            uploads,
            masks,
        )
        .unwrap()
    };
    let (columns, uploads, masks) = (
        original.columns().to_vec(),
        *original.uploads(),
        *original.masks(),
    );
    let mut ciphertext = masks;
    ciphertext[1].ciphertext[0] ^= 1;
    let mut commitment = masks;
    commitment.swap(0, 1);
    for announcement in [
        make(P, vec![5, 0, 8], uploads, masks),
        make(P, columns.clone(), [1; 32], masks),
        make(P, columns.clone(), uploads, ciphertext),
        make(P, columns.clone(), uploads, commitment),
        make(MODULI[1], columns, uploads, masks),
    ] {
        others.push(LinkStatement::new(announcement, coin));
    }
    assert!(verify(&KEY, &run.statement, &run.proof).is_ok());
    for other in others {
        let verdict = verify(&KEY, &other, &run.proof);
        assert_eq!(verdict, Err(LinkError::Proof), "{:?}", other.announcement());
    }
    let mut rng = ChaCha20Rng::seed_from_u64(17);
    let mut slots = KEY.slots.clone();
    slots[95] = G1Affine::rand(&mut rng);
    let key = CommitmentKey::new(slots, KEY.blinding);
    assert!(matches!(
        verify(&key, &run.statement, &run.proof),
        Err(LinkError::Key { .. })
    ));
}

#[test]
fn records_of_other_sizes_are_refused() {
    let records = records(2, &mut ChaCha20Rng::seed_from_u64(18));
    let mut rng = ChaCha20Rng::seed_from_u64(19);
    let mut short = run(&records, 20);
    short.chunks[1].codes[0].pop();
    let mut narrow = run(&records, 20);
    narrow.chunks[0].codes.pop();
    let mut bare = run(&records, 20);
    bare.chunks[0].blindings.pop();
    let mut few = run(&records, 20);
    few.chunks.pop();
    for (run, what) in [
        (short, "slots"),
        (narrow, "columns"),
        (bare, "blindings"),
        (few, "chunks"),
    ] {
        let input = LinkInput {
            key: &KEY,
            statement: &run.statement,
            chunks: &run.chunks,
        };
        let refused = prove_link(&input, Masks::draw(P, &mut rng), &mut rng);
        assert!(
            matches!(refused, Err(LinkProveError::Dimensions { what: w, .. }) if w == what),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn parts_of_a_proof_cannot_trade_places() {
    let records = records(2, &mut ChaCha20Rng::seed_from_u64(21));
    let run = run(&records, 22);
    let refused = |change: &dyn Fn(&mut LinkProof)| {
        let mut proof = run.proof.clone();
        change(&mut proof);
        assert!(verify(&KEY, &run.statement, &proof).is_err());
    };
    refused(&|p| p.chunks.swap(0, 1));
    refused(&|p| p.forms.swap(0, 1));
    refused(&|p| p.forms[0].range.proofs.swap(0, 1));
    refused(&|p| {
        p.chunks.pop();
    });
    refused(&|p| {
        p.forms[0].range.proofs.pop();
        p.forms[0].range.bits.pop();
    });
    // two errors that cancel in a sum without weights
    refused(&|p| {
        p.chunks[0].responses[3] += Fr::from(1u64);
        p.chunks[1].responses[3] -= Fr::from(1u64);
    });
    refused(&|p| {
        p.forms[0].blinding += Fr::from(1u64);
        p.forms[1].blinding -= Fr::from(1u64);
    });
}

#[test]
fn secrets_are_not_printed() {
    let mut rng = ChaCha20Rng::seed_from_u64(23);
    assert_eq!(
        format!("{:?}", Masks::draw(P, &mut rng)),
        "Masks([redacted])"
    );
}

static HONEST: LazyLock<Run> =
    LazyLock::new(|| run(&records(2, &mut ChaCha20Rng::seed_from_u64(24)), 25));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn tampered_bytes_are_not_accepted(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let run = &*HONEST;
        let mut bytes = run.proof.to_bytes();
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        if let Ok(proof) = LinkProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
            prop_assert!(verify(&KEY, &run.statement, &proof).is_err());
        }
    }

    #[test]
    fn tampered_statements_are_not_accepted(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let run = &*HONEST;
        let mut bytes = run.statement.to_bytes();
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        if let Ok(statement) = LinkStatement::from_bytes(&bytes) {
            prop_assert_eq!(statement.to_bytes(), bytes);
            prop_assert!(verify(&KEY, &statement, &run.proof).is_err());
        }
    }
}

#[test]
fn bytes_carry_an_honest_proof() {
    let run = &*HONEST;
    let proof = LinkProof::from_bytes(&run.proof.to_bytes()).unwrap();
    let statement = LinkStatement::from_bytes(&run.statement.to_bytes()).unwrap();
    assert_eq!(proof, run.proof);
    assert_eq!(statement, run.statement);
    let announcement = statement.announcement();
    assert_eq!(
        &Announcement::from_bytes(&announcement.to_bytes()).unwrap(),
        announcement
    );
    assert!(verify(&KEY, &statement, &proof).is_ok());
}

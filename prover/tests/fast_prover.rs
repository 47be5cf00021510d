//! The fast prover against the verifier, the plain tally and, for timing only, the stock prover.
#![allow(clippy::unwrap_used)]

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use salus_circuits::aggregate::{VerifyError, verify_answer};
use salus_circuits::keys::{DevelopmentKey, ProvingKey};
use salus_circuits::layout::ChunkSize;
use salus_circuits::transcript::Context;
use salus_prover::proven::answer::ItemProof;
use salus_prover::proven::{Chunk, DatasetProver, PartProver, ProveError};
use salus_schema::plan::{CircuitClass, CodeTable, ColumnIndex, Image, Pass, Plan};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static FAMILY: LazyLock<Vec<PartProver>> = LazyLock::new(|| {
    DevelopmentKey::family(ChunkSize::Tiny)
        .iter()
        .map(|id| PartProver::new(Arc::new(id.generate(false).unwrap())))
        .collect()
});

fn parts(class: CircuitClass) -> &'static [PartProver] {
    match class {
        CircuitClass::K4 => &FAMILY[..1],
        CircuitClass::K8 => &FAMILY[1..],
    }
}

const COLUMNS: usize = 9;

fn random_chunk(key: &ProvingKey, rng: &mut ChaCha20Rng) -> Chunk {
    let slots = key.shape().slots;
    let present: Vec<bool> = (0..slots).map(|_| rng.gen_bool(0.7)).collect();
    let codes = (0..COLUMNS)
        .map(|_| {
            present
                .iter()
                .map(|p| if *p { rng.gen_range(1..12) } else { 0 })
                .collect()
        })
        .collect();
    Chunk::new(codes, (0..COLUMNS).map(|_| Fr::rand(rng)).collect())
}

fn commitments(key: &ProvingKey, chunk: &Chunk) -> Vec<G1Affine> {
    let private = chunk.private(&(0..COLUMNS).collect::<Vec<_>>());
    private
        .codes
        .iter()
        .zip(&private.blindings)
        .map(|(codes, r)| {
            let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
            let sum = G1Projective::msm(&key.commitment.slots, &scalars).unwrap()
                + key.commitment.blinding * r;
            sum.into_affine()
        })
        .collect()
}

fn plan(class: CircuitClass) -> Plan {
    let t = |f: &dyn Fn(u8) -> Option<u16>| CodeTable::from_fn(class, f).unwrap();
    let mut used = vec![
        (ColumnIndex(0), t(&|a| (2..=4).contains(&a).then_some(0))),
        (ColumnIndex(1), t(&|a| (a >= 2 && a != 5).then_some(0))),
        (
            ColumnIndex(2),
            t(&|a| (2..8).contains(&a).then(|| u16::from(a) - 2)),
        ),
    ];
    if class == CircuitClass::K8 {
        used.extend((3..8).map(|j| (ColumnIndex(j), t(&|a| (a != 3).then_some(0)))));
    }
    let cells = Pass::padded(class, used, Image::Cells, 6, 0).unwrap();
    let groups = class.moment_groups() as u16;
    let used = vec![
        (
            ColumnIndex(8),
            t(&move |a| (a >= 2 && u16::from(a) < 2 + groups).then(|| (u16::from(a) - 2) * 256)),
        ),
        (ColumnIndex(4), t(&|a| (a >= 2).then_some(u16::from(a)))),
    ];
    let moments = Pass::padded(class, used, Image::Moments, 3 * groups as u8, 0b100).unwrap();
    Plan::new(class, vec![cells, moments]).unwrap()
}

fn context() -> Context {
    Context {
        chain_id: 31337,
        market: [1; 20],
        dataset: 2,
        snapshot: 3,
        query_id: [4; 32],
    }
}

#[test]
fn answers_verify_for_every_class_and_number_of_chunks() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for class in [CircuitClass::K4, CircuitClass::K8] {
        let parts = parts(class);
        let keys: Vec<_> = parts.iter().map(|p| p.key().vk.clone()).collect();
        for chunks in [1usize, 3] {
            let chunks: Vec<Chunk> = (0..chunks)
                .map(|_| random_chunk(parts[0].key(), &mut rng))
                .collect();
            let columns: Vec<Vec<G1Affine>> = chunks
                .iter()
                .map(|c| commitments(parts[0].key(), c))
                .collect();
            let prover = DatasetProver::new(parts, &chunks, &columns).unwrap();
            let plan = plan(class);
            let exact = prover.exact_totals(&plan).unwrap();
            // by hand: pass 0, cell 1 is column 2 with code 3
            let by_hand: u64 = chunks
                .iter()
                .map(|c| {
                    let codes = c.codes();
                    (0..codes[0].len())
                        .filter(|i| {
                            (2..=4).contains(&codes[0][*i])
                                && codes[1][*i] >= 2
                                && codes[1][*i] != 5
                                && codes[2][*i] == 3
                                && (class == CircuitClass::K4
                                    || (3..8).all(|j| codes[j][*i] != 3 && codes[j][*i] != 0))
                        })
                        .count() as u64
                })
                .sum();
            assert_eq!(exact[0][1], by_hand);
            let masks = [0b10_0000, 0b100];
            let never = AtomicBool::new(false);
            let mut seen = Vec::new();
            let answer = prover
                .prove(
                    &context(),
                    &plan,
                    &masks,
                    Vec::new(),
                    &never,
                    |p, _| seen.push(p.done),
                    &mut rng,
                )
                .unwrap();
            assert_eq!(seen, (1..=answer.proofs.len()).collect::<Vec<_>>());
            assert_eq!(answer.totals[0].values[5], 0, "masked");
            assert_eq!(answer.totals[0].values[1], by_hand);
            let count = chunks.len() as u32;
            let check = |totals: &[_], proofs: &[_]| {
                verify_answer(
                    &context(),
                    &plan,
                    count,
                    |c, j| columns[c as usize][usize::from(j)],
                    &keys,
                    totals,
                    proofs,
                )
            };
            assert_eq!(check(&answer.totals, &answer.proofs), Ok(()));

            let mut wrong = answer.totals.clone();
            wrong[1].values[0] += 1;
            assert!(check(&wrong, &answer.proofs).is_err());
            let mut wrong = answer.totals.clone();
            wrong[0].values[5] = exact[0][5];
            assert_eq!(
                check(&wrong, &answer.proofs),
                Err(VerifyError::Unpublished { pass: 0, index: 5 })
            );
            let mut wrong = answer.totals.clone();
            wrong[1].mask = 0;
            assert!(matches!(
                check(&wrong, &answer.proofs),
                Err(VerifyError::Mask { pass: 1, .. })
            ));
            let mut wrong = answer.totals.clone();
            wrong[0].blinding[31] ^= 1;
            assert!(check(&wrong, &answer.proofs).is_err());
            if answer.proofs.len() > 2 {
                let mut swapped = answer.proofs.clone();
                swapped.swap(0, 1);
                assert_eq!(check(&answer.totals, &swapped), Err(VerifyError::Pairing));
            }
            assert!(matches!(
                check(&answer.totals, &answer.proofs[1..]),
                Err(VerifyError::Count { .. })
            ));
        }
    }
}

#[test]
fn cancelling_keeps_finished_items_and_resuming_uses_them() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let parts = parts(CircuitClass::K4);
    let chunks: Vec<Chunk> = (0..2)
        .map(|_| random_chunk(parts[0].key(), &mut rng))
        .collect();
    let columns: Vec<Vec<G1Affine>> = chunks
        .iter()
        .map(|c| commitments(parts[0].key(), c))
        .collect();
    let prover = DatasetProver::new(parts, &chunks, &columns).unwrap();
    let plan = plan(CircuitClass::K4);
    let cancel = AtomicBool::new(false);
    let mut kept: Vec<ItemProof> = Vec::new();
    let masks = [0, 0b100];
    let stopped = prover.prove(
        &context(),
        &plan,
        &masks,
        Vec::new(),
        &cancel,
        |p, item| {
            kept.push(item.clone());
            cancel.store(p.done == 2, Ordering::Relaxed);
        },
        &mut rng,
    );
    assert!(matches!(stopped, Err(ProveError::Cancelled(c)) if c.done == 2 && c.total == 4));
    let never = AtomicBool::new(false);
    let first = kept[0].proof;
    let mut further = 0;
    let answer = prover
        .prove(
            &context(),
            &plan,
            &masks,
            kept,
            &never,
            |_, _| further += 1,
            &mut rng,
        )
        .unwrap();
    assert_eq!(further, 2);
    assert_eq!(answer.proofs[0], first);
    let keys: Vec<_> = parts.iter().map(|p| p.key().vk.clone()).collect();
    let verdict = verify_answer(
        &context(),
        &plan,
        2,
        |c, j| columns[c as usize][usize::from(j)],
        &keys,
        &answer.totals,
        &answer.proofs,
    );
    assert_eq!(verdict, Ok(()));
}

#[test]
fn opting_in_one_by_one_equals_building_at_once() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for class in [CircuitClass::K4, CircuitClass::K8] {
        let parts = parts(class);
        let keys: Vec<&ProvingKey> = parts.iter().map(|p| &**p.key()).collect();
        let slots = keys[0].shape().slots;
        let mut chunk = Chunk::empty(COLUMNS, slots);
        let plan = plan(class);
        // warm the caches on the empty chunk, then change records under them
        for (part, prover) in parts.iter().enumerate() {
            for pass in plan.passes() {
                for (l, c) in pass.columns().iter().enumerate() {
                    chunk.sums(prover.key(), part, c.0, l);
                }
            }
        }
        for slot in [0, 5, slots / 2, slots - 1, 5, 0] {
            let codes: Vec<u8> = (0..COLUMNS).map(|_| rng.gen_range(0..9)).collect();
            let blindings: Vec<Fr> = (0..COLUMNS).map(|_| Fr::rand(&mut rng)).collect();
            chunk.set(&keys, slot, &codes, &blindings);
        }
        let columns = vec![commitments(keys[0], &chunk)];
        let chunks = [chunk];
        let prover = DatasetProver::new(parts, &chunks, &columns).unwrap();
        let never = AtomicBool::new(false);
        let answer = prover
            .prove(
                &context(),
                &plan,
                &[0, 0b100],
                Vec::new(),
                &never,
                |_, _| {},
                &mut rng,
            )
            .unwrap();
        let vks: Vec<_> = keys.iter().map(|k| k.vk.clone()).collect();
        let verdict = verify_answer(
            &context(),
            &plan,
            1,
            |c, j| columns[c as usize][usize::from(j)],
            &vks,
            &answer.totals,
            &answer.proofs,
        );
        assert_eq!(verdict, Ok(()), "{class:?}");
    }
}

#[test]
fn refuses_plans_and_keys_that_do_not_fit() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let parts = parts(CircuitClass::K4);
    let chunks = [random_chunk(parts[0].key(), &mut rng)];
    let columns = vec![commitments(parts[0].key(), &chunks[0])];
    assert!(matches!(
        DatasetProver::new(parts, &[], &[]),
        Err(ProveError::Empty)
    ));
    assert!(matches!(
        DatasetProver::new(&FAMILY[1..2], &chunks, &columns),
        Err(ProveError::Coverage { .. })
    ));
    let prover = DatasetProver::new(parts, &chunks, &columns).unwrap();
    assert!(matches!(
        prover.exact_totals(&plan(CircuitClass::K8)),
        Err(ProveError::Coverage { .. })
    ));
    let far = Pass::padded(
        CircuitClass::K4,
        vec![(ColumnIndex(50), CodeTable::padding(CircuitClass::K4))],
        Image::Cells,
        1,
        0,
    )
    .unwrap();
    let far = Plan::new(CircuitClass::K4, vec![far]).unwrap();
    assert!(matches!(
        prover.exact_totals(&far),
        Err(ProveError::NoSuchColumn {
            column: 50,
            columns: 9
        })
    ));
}

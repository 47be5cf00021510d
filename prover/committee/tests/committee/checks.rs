//! Upload checks through a committee, and openings under a dealer's key.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_core::RngCore;
use salus_committee::adhoc::{Evaluation, Guard, LweCiphertext};
use salus_committee::dealer::{LWE_DIMENSION, split};
use salus_committee::message::{OpenRequest, Reply, Request, Target};
use salus_committee::opening::{CheckRequest, CoinSeed, Holder, ZeroTarget, coin_of};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::{ClientError, CommitteeOpener};
use salus_committee::shape::HolderIndex;
use salus_cubes::check::{Batch, Failed, Origin, Submission, check};
use salus_cubes::encrypt::{Attestation, Identity as Person, encrypt_cell};
use salus_cubes::upload::Upload;
use salus_schema::plan::Plan;
use tokio::runtime::Handle;

use crate::adversary::Liar;
use crate::opening::GROUPS;
use crate::service::{Running, Wrap};
use crate::world::{DATASET, SNAPSHOT, World, cube, expected, facts, question, released, rng};

const CHECK: [u8; 32] = [0x5c; 32];

type Uploads = Arc<Vec<(Person, Upload, Attestation)>>;

/// Uploads of some people; the attestation of one may belong to another upload of the same person.
fn uploads(world: &World, people: u8, cheater: Option<u8>) -> Uploads {
    let (cube, mut rng) = (cube(), rng(21));
    let uploads = (0..people).map(|i| {
        let person = Person([i; 32]);
        let cell = usize::from(i) * 7 % cube.cells();
        let (upload, honest) = encrypt_cell(&world.public, &cube, cell, &person, &mut rng).unwrap();
        let attestation = if cheater == Some(i) {
            let mut values = *honest.values();
            values[0] = (values[0] + 1) % cube.modulus().modulus();
            Attestation::new(honest.class(), &person, *honest.upload(), values).unwrap()
        } else {
            honest
        };
        (person, upload, attestation)
    });
    Arc::new(uploads.collect())
}

fn batch(uploads: &Uploads) -> Batch<'_> {
    let submissions: Vec<Submission<'_>> = uploads
        .iter()
        .map(|(identity, upload, attestation)| Submission {
            identity: *identity,
            upload,
            attestation,
        })
        .collect();
    Batch::new(&cube(), &submissions).unwrap()
}

/// Lets all holders derive the check's elements from the uploads.
fn publish(world: &World, uploads: &Uploads) {
    let uploads = uploads.clone();
    let derive = move |coin: &[u8; 32], origin: &Origin, excluded: &[usize]| {
        batch(&uploads).derive(origin, excluded, coin)
    };
    world
        .ciphertexts
        .checks
        .lock()
        .unwrap()
        .insert(CHECK, Box::new(derive));
}

async fn checked(
    running: &Running,
    uploads: &Uploads,
) -> Result<salus_cubes::check::Report, salus_cubes::check::CheckError<ClientError>> {
    let (client, uploads) = (running.client(&running.market, 0), uploads.clone());
    let runtime = Handle::current();
    let seeds = client.coin(CHECK).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let coin = coin_of(&CHECK, &seeds);
        let mut opener = CommitteeOpener::new(&client, runtime, CHECK, seeds);
        check(&batch(&uploads), &coin, &mut opener, 4)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_uploads_pass_even_beside_a_liar() {
    let world = World::new(4, 2);
    let uploads = uploads(&world, 3, None);
    publish(&world, &uploads);
    let liar: Wrap = Box::new(|honest| Arc::new(Liar { honest }));
    let running = Running::start(&world, &[], BTreeMap::from([(2, liar)])).await;
    let report = checked(&running, &uploads).await.unwrap();
    assert_eq!(report.accepted.len(), 3);
    assert!(report.cheaters.is_empty());
    let spent = running.client(&running.operator, 0).status().await.unwrap();
    assert!(spent.cube.unwrap().budget_spent > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cheating_upload_is_found_and_the_others_are_accepted() {
    let world = World::new(4, 2);
    let uploads = uploads(&world, 4, Some(2));
    publish(&world, &uploads);
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let report = checked(&running, &uploads).await.unwrap();
    assert_eq!(report.cheaters.len(), 1);
    assert_eq!(report.cheaters[0].identity, Person([2; 32]));
    assert_eq!(report.cheaters[0].failed, Failed::Relation);
    assert_eq!(report.accepted.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_one_check_are_capped() {
    let world = World::new(4, 2);
    let uploads = uploads(&world, 4, Some(2));
    publish(&world, &uploads);
    let mut running = Running::start(&world, &[0], BTreeMap::new()).await;
    running.limits.failed_checks = 2;
    running.start_one(&world, 0, None).await;
    let error = checked(&running, &uploads).await.unwrap_err();
    let salus_cubes::check::CheckError::Opener(ClientError::Refused(refusal)) = error else {
        panic!("{error}");
    };
    assert_eq!(refusal.code, RefusalCode::CheckLimit);
}

/// The seeds of the check's coin, put together from all holders.
fn coin_seeds(world: &World) -> Vec<CoinSeed> {
    let mut seeds = vec![[0; 32]; world.shape.subset_count()];
    for holder in world.shape.indices() {
        let given = world.holder(holder.0).coin_seeds(&CHECK).unwrap();
        for (subset, values) in world.shape.subsets_of(holder).iter().zip(given) {
            let words: Vec<u8> = values.0.iter().flat_map(|w| w.to_le_bytes()).collect();
            seeds[usize::from(subset.index().0)].copy_from_slice(&words);
        }
    }
    seeds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coin_is_one_for_every_subject_whoever_leads_and_lies() {
    let world = World::new(4, 2);
    let liar: Wrap = Box::new(|honest| Arc::new(Liar { honest }));
    let running = Running::start(&world, &[], BTreeMap::from([(2, liar)])).await;
    let first = running.client(&running.market, 0).coin(CHECK).await;
    let second = running.client(&running.market, 1).coin(CHECK).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    assert_eq!(first.len(), world.shape.subset_count());
    let other = running.client(&running.market, 0).coin([1; 32]).await;
    assert_ne!(coin_of(&CHECK, &first), coin_of(&[1; 32], &other.unwrap()));
    let peer = running.client(&running.operator, 0).coin(CHECK).await;
    assert!(matches!(peer, Err(ClientError::Refused(r)) if r.code == RefusalCode::NotAllowed));
}

#[test]
fn a_coin_that_somebody_chose_is_refused() {
    let world = World::new(4, 2);
    let uploads = uploads(&world, 3, None);
    publish(&world, &uploads);
    let seeds = coin_seeds(&world);
    let holder = world.holder(1);
    let batch = batch(&uploads);
    let mine = world.shape.subsets_of(HolderIndex(1))[0].index().0;
    for (change, count) in [(Some(mine), 4), (None, 3), (None, 5)] {
        let mut chosen = seeds.clone();
        chosen.resize(count, [0; 32]);
        if let Some(subset) = change {
            chosen[usize::from(subset)][0] ^= 1;
        }
        let [form, _] = batch.relations(0, 0, 3, &coin_of(&CHECK, &chosen));
        let request = CheckRequest {
            check: CHECK,
            target: ZeroTarget::from(form.origin()),
            excluded: vec![],
            expected: form.hash(),
            coin: chosen,
        };
        let refusal = holder.zero_partial(&request).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::SumMismatch);
    }
}

#[test]
fn nothing_but_what_the_holder_derives_is_opened() {
    let world = World::new(4, 2);
    let uploads = uploads(&world, 3, None);
    publish(&world, &uploads);
    let seeds = coin_seeds(&world);
    let holder = world.holder(1);
    let batch = batch(&uploads);
    let [form, _] = batch.relations(0, 0, 3, &coin_of(&CHECK, &seeds));
    let right = CheckRequest {
        check: CHECK,
        target: ZeroTarget::from(form.origin()),
        excluded: vec![],
        expected: form.hash(),
        coin: seeds,
    };
    let first = holder.zero_partial(&right).unwrap();
    let spent = holder.status().cube.unwrap().budget_spent;
    // Again: the same bytes, at no cost, after a restart as well.
    assert_eq!(holder.zero_partial(&right).unwrap(), first);
    drop(holder);
    let holder = world.holder(1);
    assert_eq!(holder.zero_partial(&right).unwrap(), first);
    assert_eq!(holder.status().cube.unwrap().budget_spent, spent);

    let code = |request: &CheckRequest| holder.zero_partial(request).unwrap_err().code;
    let other_seed = CheckRequest {
        expected: batch.relations(0, 0, 3, &[1; 32])[0].hash(),
        ..right.clone()
    };
    assert_eq!(code(&other_seed), RefusalCode::SumMismatch);
    let unknown = CheckRequest {
        check: [0; 32],
        ..right.clone()
    };
    assert_eq!(code(&unknown), RefusalCode::UnknownCheck);
    let beyond = CheckRequest {
        target: ZeroTarget::Relation {
            round: 0,
            repetition: 0,
            from: 0,
            to: 9,
        },
        ..right.clone()
    };
    assert_eq!(code(&beyond), RefusalCode::UnknownCheck);
    let unsorted = CheckRequest {
        excluded: vec![2, 1],
        ..right
    };
    assert_eq!(code(&unsorted), RefusalCode::BadRequest);
}

/// Blocks of every number.
const BLOCKS: u32 = 5;
/// What is subtracted from the measured code, 2 or more.
const CENTRE: u64 = 2;
const EVALUATION: [u8; 32] = [0xe1; 32];

/// The outputs that an honest evaluation of the records has.
fn evaluation(secret: &[u8], query: [u8; 32], plan: &Plan) -> Evaluation {
    let mut rng = rng(31);
    let mut block = |digit: u64| {
        let mut mask = Box::new([0u128; LWE_DIMENSION]);
        for x in mask.iter_mut() {
            *x = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
        }
        let product = mask.iter().zip(secret).fold(0u128, |sum, (a, s)| {
            sum.wrapping_add(a.wrapping_mul(u128::from(*s)))
        });
        let noise = u128::from(rng.next_u32());
        let message = u128::from(digit) << 123;
        LweCiphertext {
            mask,
            body: product.wrapping_add(message).wrapping_add(noise),
        }
    };
    let mut number = |value: u64| {
        (0..BLOCKS)
            .map(|at| block(value >> (4 * at) & 15))
            .collect()
    };
    let values = &expected(plan, 0)[0].1;
    let groups: Vec<[u64; 3]> = values
        .chunks_exact(3)
        .map(|group| {
            let [count, sum, squares] = group else {
                panic!("three values a group")
            };
            let left = sum - CENTRE * count;
            [
                *count,
                left,
                squares - 2 * CENTRE * left - CENTRE * CENTRE * count,
            ]
        })
        .collect();
    Evaluation {
        hash: EVALUATION,
        query,
        plan_hash: plan.hash(),
        dataset: DATASET,
        snapshot: SNAPSHOT,
        members: 60,
        noise_bits: 33,
        centres: vec![CENTRE],
        counts: groups.iter().map(|group| number(group[0])).collect(),
        sums: groups
            .iter()
            .map(|group| [number(group[1]), number(group[2])])
            .collect(),
        guards: vec![Guard {
            number: number(9),
            value: 9,
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evaluations_open_under_a_dealers_key_and_only_for_their_query() {
    let mut world = World::new(4, 2);
    let mut bits = rng(30);
    let secret: Vec<u8> = (0..LWE_DIMENSION)
        .map(|_| (bits.next_u32() & 1) as u8)
        .collect();
    let shares = split(&secret, world.shape, &mut rng(8)).unwrap();
    for (keys, shares) in world.keys.iter_mut().zip(shares) {
        keys.ceremony = Some(shares);
    }
    let (query, plan) = question(GROUPS);
    let request = OpenRequest {
        query: [1; 32],
        question: query.canonical_json(),
        dataset: DATASET,
        snapshot: SNAPSHOT,
        target: Target::Evaluation(EVALUATION),
    };
    world
        .ledger
        .0
        .lock()
        .unwrap()
        .insert(request.query, facts(plan.hash()));
    let outputs = Arc::new(evaluation(&secret, request.query, &plan));
    world
        .ciphertexts
        .evaluations
        .lock()
        .unwrap()
        .insert(EVALUATION, outputs);

    let liar: Wrap = Box::new(|honest| Arc::new(Liar { honest }));
    let running = Running::start(&world, &[], BTreeMap::from([(1, liar)])).await;
    let client = running.client(&running.market, 0);
    let signed = client.open(request.clone()).await.unwrap();
    assert_eq!(released(&signed.answer), expected(&plan, 5));
    assert_eq!(signed.answer.ciphertext_hash, EVALUATION);
    assert_eq!(signed.report.liars, [HolderIndex(1)]);

    let other = OpenRequest {
        query: [2; 32],
        ..request
    };
    world
        .ledger
        .0
        .lock()
        .unwrap()
        .insert(other.query, facts(plan.hash()));
    let Err(ClientError::Refused(refusal)) = client.open(other).await else {
        panic!("an evaluation was opened for another query");
    };
    assert_eq!(refusal.code, RefusalCode::SumMismatch);

    let malformed = [0xe2; 32];
    let request = OpenRequest {
        query: [3; 32],
        question: query.canonical_json(),
        dataset: DATASET,
        snapshot: SNAPSHOT,
        target: Target::Evaluation(malformed),
    };
    let mut outputs = evaluation(&secret, request.query, &plan);
    outputs.hash = malformed;
    outputs.guards[0].value = 8;
    world
        .ledger
        .0
        .lock()
        .unwrap()
        .insert(request.query, facts(plan.hash()));
    world
        .ciphertexts
        .evaluations
        .lock()
        .unwrap()
        .insert(malformed, Arc::new(outputs));
    let Err(ClientError::Refused(refusal)) = client.open(request).await else {
        panic!("malformed records were answered from");
    };
    assert_eq!(refusal.code, RefusalCode::Implausible);
    let status = client.ask(&Request::Status).await.unwrap();
    let Reply::Status(status) = status else {
        panic!("{status:?}")
    };
    assert!(status.adhoc.unwrap().budget_spent > 0.0);
}

#[test]
fn without_a_dealers_key_no_evaluation_is_opened() {
    let world = World::new(4, 2);
    let (query, plan) = question(GROUPS);
    let request = OpenRequest {
        query: [1; 32],
        question: query.canonical_json(),
        dataset: DATASET,
        snapshot: SNAPSHOT,
        target: Target::Evaluation(EVALUATION),
    };
    world
        .ledger
        .0
        .lock()
        .unwrap()
        .insert(request.query, facts(plan.hash()));
    let outputs = Arc::new(evaluation(&[0; LWE_DIMENSION], request.query, &plan));
    world
        .ciphertexts
        .evaluations
        .lock()
        .unwrap()
        .insert(EVALUATION, outputs);
    let opening = salus_committee::message::Opening {
        request,
        ciphertext_hash: EVALUATION,
    };
    assert_eq!(
        world.holder(0).counts(&opening).unwrap_err().code,
        RefusalCode::NoKey
    );
}

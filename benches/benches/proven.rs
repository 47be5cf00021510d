//! The proven path on a full standard chunk: proving at 2, 4 and 8 columns, verification alone and
//! in a batch, and a person's opt-in. Keys and records are made outside the timer.
#![allow(missing_docs)]

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::UniformRand;
use ark_std::rand::SeedableRng;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use salus_benches::scenario::{chunk, commitments, context, parts, plan};
use salus_circuits::aggregate::verify_answer;
use salus_circuits::commitment::{FixedBase, commit};
use salus_circuits::layout::ChunkSize;
use salus_circuits::registration::{Seat, prove, verify};
use salus_prover::proven::DatasetProver;
use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn proving(c: &mut Criterion) {
    let never = AtomicBool::new(false);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let slots = ChunkSize::Standard.slots();
    let mut group = c.benchmark_group("prove one full chunk");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(2))
        .measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(slots as u64));
    for queried in [2usize, 4, 8] {
        let plan = plan(queried).expect("2 to 8 columns can be planned");
        let parts = parts(ChunkSize::Standard, plan.class()).expect("development keys can be made");
        let chunks = [chunk(slots, slots, 7)];
        let columns = [commitments(parts[0].key(), &chunks[0])];
        let prover = DatasetProver::new(&parts, &chunks, &columns).expect("keys cover the chunk");
        group.bench_function(format!("{queried} columns"), |b| {
            b.iter(|| {
                let answer = prover.prove(
                    &context(),
                    &plan,
                    &[0],
                    Vec::new(),
                    &never,
                    |_, _| {},
                    &mut rng,
                );
                black_box(answer.expect("nothing cancels"))
            });
        });
    }
    group.finish();
}

fn verification(c: &mut Criterion) {
    let never = AtomicBool::new(false);
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let plan = plan(4).expect("4 columns can be planned");
    let parts = parts(ChunkSize::Small, plan.class()).expect("development keys can be made");
    let keys: Vec<_> = parts.iter().map(|p| p.key().vk.clone()).collect();
    let slots = ChunkSize::Small.slots();
    let mut group = c.benchmark_group("verify an answer");
    for count in [1usize, 16] {
        let chunks: Vec<_> = (0..count).map(|i| chunk(slots, slots, i as u64)).collect();
        let columns: Vec<_> = chunks
            .iter()
            .map(|c| commitments(parts[0].key(), c))
            .collect();
        let prover = DatasetProver::new(&parts, &chunks, &columns).expect("keys cover the chunk");
        let answer = prover
            .prove(
                &context(),
                &plan,
                &[0],
                Vec::new(),
                &never,
                |_, _| {},
                &mut rng,
            )
            .expect("nothing cancels");
        group.bench_function(format!("{count} chunks"), |b| {
            b.iter(|| {
                verify_answer(
                    &context(),
                    &plan,
                    count as u32,
                    |c, j| columns[c as usize][usize::from(j)],
                    &keys,
                    &answer.totals,
                    &answer.proofs,
                )
                .expect("an honest answer verifies");
            });
        });
    }
    group.finish();
}

fn opt_in(c: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (basis, h) = (G1Affine::rand(&mut rng), G1Affine::rand(&mut rng));
    let table = FixedBase::new(&h);
    let seat = Seat {
        chain_id: 1,
        registry: [1; 20],
        dataset: 1,
        chunk: 0,
        slot: 0,
        member: [2; 20],
    };
    let mut group = c.benchmark_group("opt in, 8 columns");
    let codes = [2u8, 3, 4, 5, 6, 7, 200, 255];
    let mut register = || {
        let blindings: Vec<Fr> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
        let points: Vec<G1Projective> = codes
            .iter()
            .zip(&blindings)
            .map(|(a, r)| commit(&basis, &table, *a, r))
            .collect();
        let commitments = G1Projective::normalize_batch(&points);
        let proof = prove(
            &seat,
            &basis,
            &table,
            &codes,
            &blindings,
            &commitments,
            &mut rng,
        );
        (commitments, proof)
    };
    group.bench_function("commit and prove", |b| b.iter(|| black_box(register())));
    let (commitments, proof) = register();
    group.bench_function("verify", |b| {
        b.iter(|| {
            verify(&seat, &basis, &h, &commitments, &proof).expect("an honest opening verifies")
        });
    });
    group.finish();
}

criterion_group!(benches, proving, verification, opt_in);
criterion_main!(benches);

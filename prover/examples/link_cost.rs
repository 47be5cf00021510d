//! What the custodian link costs: wall and processor time per slot of prover and verifier, and proof bytes.
//!
//! `cargo run --release -p salus-prover --example link_cost [chunks] [columns]`; fixed seeds, setup outside the timers.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use salus_circuits::aggregate::AggregatePrivate;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::layout::ChunkSize;
use salus_circuits::link::{
    Announcement, LinkContext, LinkProof, LinkStatement, MODULI, Mask, verify,
};
use salus_prover::sealed::{LinkInput, Masks, prove_link};
use std::time::Instant;

/// Processor seconds of this process so far, all threads.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| -> f64 { fields.get(at).and_then(|f| f.parse().ok()).unwrap_or(0.0) };
    // user and system time, in ticks of 10 ms
    (ticks(11) + ticks(12)) / 100.0
}

/// Runs `f` a few times and prints the mean.
fn measure<T>(what: &str, slots: usize, mut f: impl FnMut() -> T) -> T {
    const RUNS: u32 = 5;
    let mut out = f();
    let (wall, processor) = (Instant::now(), processor_seconds());
    for _ in 0..RUNS {
        out = f();
    }
    let per = |seconds: f64| seconds / f64::from(RUNS);
    let (wall, processor) = (
        per(wall.elapsed().as_secs_f64()),
        per(processor_seconds() - processor),
    );
    println!(
        "  {what}: {:.1} ms wall, {:.1} ms processor, {:.2} us processor per slot",
        wall * 1e3,
        processor * 1e3,
        processor * 1e6 / slots as f64
    );
    out
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: usize| -> usize {
        arguments
            .next()
            .and_then(|a| a.parse().ok())
            .unwrap_or(default)
    };
    let (chunks, columns) = (next(1), next(4));
    for size in [ChunkSize::Small, ChunkSize::Standard] {
        let slots = size.slots();
        println!("{chunks} chunk(s) of {slots} slots, {columns} columns");
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = CommitmentKey::new(
            (0..slots).map(|_| G1Affine::rand(&mut rng)).collect(),
            G1Affine::rand(&mut rng),
        );
        let records: Vec<AggregatePrivate> = (0..chunks)
            .map(|_| AggregatePrivate {
                codes: (0..columns)
                    .map(|_| (0..slots).map(|_| rng.gen_range(1..=60)).collect())
                    .collect(),
                blindings: (0..columns).map(|_| Fr::rand(&mut rng)).collect(),
            })
            .collect();
        let commit = |codes: &Vec<u8>, blinding: &Fr| {
            let scalars: Vec<Fr> = codes.iter().map(|c| Fr::from(*c)).collect();
            let sum = G1Projective::msm_unchecked(&key.slots, &scalars) + key.blinding * blinding;
            sum.into_affine()
        };
        let commitments: Vec<Vec<G1Affine>> = records
            .iter()
            .map(|r| {
                let pairs = r.codes.iter().zip(&r.blindings);
                pairs.map(|(codes, b)| commit(codes, b)).collect()
            })
            .collect();
        let modulus = MODULI[0];
        let points = Masks::draw(modulus, &mut ChaCha20Rng::seed_from_u64(2)).commitments();
        let announcement = Announcement::new(
            LinkContext {
                chain_id: 31337,
                contract: [7; 20],
                dataset: 1,
                snapshot: 1,
                cube: [3; 32],
                attempt: 0,
            },
            modulus,
            &key,
            (0..columns as u16).collect(),
            commitments,
            [5; 32],
            points.map(|commitment| Mask {
                commitment,
                ciphertext: [9; 32],
            }),
        )
        .expect("the dimensions fit");
        let statement = LinkStatement::new(announcement, [1; 32]);
        let input = LinkInput {
            key: &key,
            statement: &statement,
            chunks: &records,
        };
        let people = chunks * slots;
        let proof = measure("prove ", people, || {
            let masks = Masks::draw(modulus, &mut ChaCha20Rng::seed_from_u64(2));
            prove_link(&input, masks, &mut rng).expect("the records fit the statement")
        });
        let bytes = proof.to_bytes();
        let read = measure("decode", people, || {
            LinkProof::from_bytes(&bytes).expect("an encoded proof decodes")
        });
        measure("verify", people, || {
            verify(&key, &statement, &read).expect("the proof is honest")
        });
        println!(
            "  proof: {} bytes, {:.1} per slot",
            bytes.len(),
            bytes.len() as f64 / people as f64
        );
    }
}

//! Plain runner: proving cost per record, fast against stock prover in the same run, as CSV.
//!
//! `cargo run --release -p salus-benches --bin proving [records ...]`

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::Groth16;
use ark_std::rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use salus_benches::meter::{Meter, peak_memory};
use salus_benches::scenario::{chunk, commitments, context, parts, plan};
use salus_circuits::aggregate::assignment::{Blindings, after_gamma, before_gamma};
use salus_circuits::aggregate::rows::AggregateCircuit;
use salus_circuits::aggregate::{AggregatePublic, verify_answer};
use salus_circuits::layout::ChunkSize;
use salus_circuits::qap::LeanQap;
use salus_prover::proven::DatasetProver;
use std::sync::atomic::AtomicBool;

fn main() -> anyhow::Result<()> {
    let mut sizes: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse())
        .collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    println!(
        "columns,records,chunks,warm,wall_ms,cpu_ms,cpu_us_per_record,witness_ms,transforms_ms,quotient_ms,elements_ms,verify_ms,peak_mb"
    );
    let never = AtomicBool::new(false);
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    for queried in [2usize, 4, 8] {
        let plan = plan(queried)?;
        for &records in &sizes {
            let size = ChunkSize::for_people(records);
            let parts = parts(size, plan.class())?;
            let slots = size.slots();
            let count = records.div_ceil(slots);
            let chunks: Vec<_> = (0..count)
                .map(|c| chunk(slots, slots.min(records - c * slots), c as u64))
                .collect();
            let columns: Vec<_> = chunks
                .iter()
                .map(|c| commitments(parts[0].key(), c))
                .collect();
            let prover = DatasetProver::new(&parts, &chunks, &columns)?;
            let keys: Vec<_> = parts.iter().map(|p| p.key().vk.clone()).collect();
            for warm in [false, true, true] {
                let meter = Meter::start();
                let answer = prover.prove(
                    &context(),
                    &plan,
                    &[0],
                    Vec::new(),
                    &never,
                    |_, _| {},
                    &mut rng,
                )?;
                let (wall, cpu, t) = (meter.wall(), meter.cpu(), answer.timings);
                let meter = Meter::start();
                verify_answer(
                    &context(),
                    &plan,
                    count as u32,
                    |c, j| columns[c as usize][usize::from(j)],
                    &keys,
                    &answer.totals,
                    &answer.proofs,
                )?;
                println!(
                    "{queried},{records},{count},{warm},{:.1},{:.1},{:.2},{:.1},{:.1},{:.1},{:.1},{:.2},{}",
                    wall.as_secs_f64() * 1e3,
                    cpu.as_secs_f64() * 1e3,
                    cpu.as_secs_f64() * 1e6 / records as f64,
                    t.witness.as_secs_f64() * 1e3,
                    t.transforms.as_secs_f64() * 1e3,
                    t.quotient.as_secs_f64() * 1e3,
                    t.elements.as_secs_f64() * 1e3,
                    meter.wall().as_secs_f64() * 1e3,
                    peak_memory() / 1_000_000,
                );
            }
        }
    }
    stock_side_by_side(&mut rng)
}

/// The same statement, key and records through the stock prover and through ours.
fn stock_side_by_side(rng: &mut ChaCha20Rng) -> anyhow::Result<()> {
    let plan = plan(4)?;
    let pass = &plan.passes()[0];
    let parts = parts(ChunkSize::Standard, plan.class())?;
    let key = parts[0].key();
    let s = key.shape();
    let chunk = chunk(s.slots, s.slots, 1);
    let columns = commitments(key, &chunk);
    let queried: Vec<usize> = pass.columns().iter().map(|c| usize::from(c.0)).collect();
    let private = chunk.private(&queried);
    let chosen: Vec<_> = queried.iter().map(|c| columns[*c]).collect();
    let public = AggregatePublic {
        context: context(),
        circuit_id: key.vk.circuit_id(),
        pass_index: 0,
        chunk: 0,
        columns: &chosen,
        pass,
        mask: 0,
        opened: None,
    };
    let stock_key = key.to_stock();
    eprintln!(
        "stock ark-groth16 against ours, {} records, 4 columns, user CPU in ms",
        s.slots
    );
    println!("prover,records,wall_ms,cpu_ms");
    parts[0].prove(0, &public, &chunk, rng);
    for _ in 0..3 {
        let meter = Meter::start();
        let blindings = Blindings {
            aux: Fr::rand(rng),
            res: Fr::rand(rng),
        };
        let z = before_gamma(s, &public, &private, &blindings);
        let z = after_gamma(s, &public, &private, z, Fr::rand(rng));
        let circuit = AggregateCircuit {
            shape: *s,
            assignment: Some(z),
        };
        Groth16::<Bn254, LeanQap>::create_random_proof_with_reduction(circuit, &stock_key, rng)?;
        println!(
            "stock,{},{:.0},{:.0}",
            s.slots,
            meter.wall().as_secs_f64() * 1e3,
            meter.cpu().as_secs_f64() * 1e3
        );
        let meter = Meter::start();
        parts[0].prove(0, &public, &chunk, rng);
        println!(
            "ours,{},{:.0},{:.0}",
            s.slots,
            meter.wall().as_secs_f64() * 1e3,
            meter.cpu().as_secs_f64() * 1e3
        );
    }
    Ok(())
}

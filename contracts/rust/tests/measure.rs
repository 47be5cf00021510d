//! Measurements, run by hand: `cargo test -p salus-contracts --test contracts -- --ignored --nocapture measure`.

use crate::{
    flow::World,
    member::{TestMember, register},
    node::{ADDRESSES, Node, anvil, embedded},
};
use alloy::rpc::types::TransactionRequest;
use std::time::Instant;

const MEMBERS: usize = 1_000;
const BATCH: usize = 50;
const COLUMNS: usize = 4;

async fn throughput(node: Node) {
    let name = node.name;
    let world = World::new(node, MEMBERS, COLUMNS as u16).await;
    let people: Vec<TestMember> = (0..MEMBERS as u32)
        .map(|slot| register(&world.basis, world.place(0), slot, &[2; COLUMNS]))
        .collect();
    let batches: Vec<_> = people
        .chunks(BATCH)
        .map(|people| world.batch(0, people))
        .collect();
    let issuer = world.node.account(0);
    let start = Instant::now();
    let mined = world
        .client
        .opt_in_all(&issuer, batches, 4, |_, _| {})
        .await
        .unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let gas: u64 = mined.iter().map(|m| m.gas_used).sum();
    println!(
        "{name}: {MEMBERS} opt-ins of {COLUMNS} columns in {seconds:.2} s: {:.0}/s, {:.2} ms each, {} gas each",
        MEMBERS as f64 / seconds,
        seconds * 1e3 / MEMBERS as f64,
        gas / MEMBERS as u64
    );
}

/// Where the time of one batch goes: curve arithmetic (first run less second) or the interpreter (second run).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measurement"]
async fn measure_one_batch() {
    let chain = embedded();
    let world = World::new(Node::of(chain.clone()), BATCH, COLUMNS as u16).await;
    let people: Vec<TestMember> = (0..BATCH as u32)
        .map(|slot| register(&world.basis, world.place(0), slot, &[2; COLUMNS]))
        .collect();
    let call = world.client.opt_in_call(&world.batch(0, &people));
    let request = TransactionRequest::default()
        .from(ADDRESSES[0])
        .to(world.client.deployment().registry)
        .input(call.data.into());
    for run in ["first", "second", "third"] {
        let start = Instant::now();
        chain.call(&request).unwrap();
        let each = start.elapsed().as_secs_f64() * 1e3 / BATCH as f64;
        println!("{run} execution: {each:.3} ms per opt-in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measurement"]
async fn measure_opt_ins() {
    throughput(Node::of(embedded())).await;
    if let Some(node) = anvil().await {
        throughput(node).await;
    }
}

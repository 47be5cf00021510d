//! Measurements, run by hand: `cargo test -p salus-contracts --test contracts -- --ignored --nocapture measure`.

use crate::{
    member::{TestMember, register},
    node::{ADDRESSES, Node, anvil, embedded},
    probe::sign,
    world::World,
};
use alloy::{consensus::TxEip1559, eips::eip2718::Encodable2718, rpc::types::TransactionRequest};
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
// A measurement, not a check: its figures depend on the machine, so it runs by hand only.
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
// A measurement, not a check: its figures depend on the machine, so it runs by hand only.
#[ignore = "measurement"]
async fn measure_opt_ins() {
    throughput(Node::of(embedded())).await;
    if let Some(node) = anvil().await {
        throughput(node).await;
    }
}

/// Resident memory, in MiB, of this process.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib >> 10)
}

/// Many transactions of 100 KB of calldata each.
#[test]
// A measurement, not a check: its figures depend on the machine, so it runs by hand only.
#[ignore = "measurement"]
fn measure_memory() {
    const TRANSACTIONS: u64 = 3_000;
    let chain = embedded();
    let before = resident();
    let start = Instant::now();
    for nonce in 0..TRANSACTIONS {
        let mut input = vec![1; 100_000];
        input[..8].copy_from_slice(&nonce.to_be_bytes());
        let tx = TxEip1559 {
            chain_id: chain.chain_id(),
            nonce,
            gas_limit: 10_000_000,
            max_fee_per_gas: 1_000_000_000,
            to: ADDRESSES[1].into(),
            input: input.into(),
            ..TxEip1559::default()
        };
        chain.submit(&sign(tx, 0).encoded_2718()).unwrap();
    }
    println!(
        "{TRANSACTIONS} transactions of 100 KB: {:.2} ms each, resident {before:?} -> {:?} MiB",
        start.elapsed().as_secs_f64() * 1e3 / TRANSACTIONS as f64,
        resident()
    );
}

/// Serves for a while, for trying a browser or a script by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
// A server to try by hand, not a check: it would only hold up the run.
#[ignore = "by hand"]
async fn serve_for_a_minute() {
    let config = salus_contracts::devchain::ServerConfig {
        address: "127.0.0.1:18545".parse().unwrap(),
        ..Default::default()
    };
    let server = embedded().serve(config).await.unwrap();
    println!("{}", server.url());
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    server.shutdown().await;
}

//! Latency and CPU of openings over TLS on the loopback: all holders in this process, journals on disk.
//!
//! `cargo run --release -p salus-committee --example opening [FOLDER]`; journals go to FOLDER, or a temporary one. CPU is that of the process
//! divided by the number of holders: TLS, journal and leading included. The last column is the processor time of
//! the partials alone, products of sum and secrets made before.

#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/committee/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::RngCore;
use salus_committee::Client;
use salus_committee::config::{
    ClientEntry, ClientRole, CommitteeFile, HolderConfig, HolderEntry, Limits,
};
use salus_committee::identity::Identity;
use salus_committee::ledger::QueryFacts;
use salus_committee::message::{OpenRequest, Target};
use salus_committee::service::Service;
use salus_cubes::encrypt::{Identity as Person, encrypt_cell};
use salus_cubes::open::{Product, partial};
use salus_cubes::parameters::{Flooding, Room};
use salus_cubes::sum::{CubeSum, RunningSum};
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Form, ModulusClass};
use salus_schema::planner;
use salus_schema::query::Query;
use tokio::sync::oneshot;

use world::{COMMITTEE, DATASET, SNAPSHOT, World, address, facts, rng};

const PEOPLE: u64 = 640;
const ROUNDS: u32 = 20;
const CODEBOOK: &str = r#"
version = 1
name = "grades"
[[columns]]
name = "grade"
kind = "exact"
min = 0
step = 1
max = 63
[[columns]]
name = "score"
kind = "exact"
min = 0
step = 1
max = 9
[[cubes]]
name = "main"
columns = ["grade", "score"]
"#;
const QUESTIONS: [(&str, &str); 3] = [
    ("1", "SELECT COUNT(*) FROM grades WHERE score < 5"),
    ("64", "SELECT grade, COUNT(*) FROM grades GROUP BY grade"),
    (
        "192",
        "SELECT grade, AVG(score), VAR_SAMP(score) FROM grades GROUP BY grade",
    ),
];

/// Processor time of this process, in steps of 10 ms.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn sum(world: &World, codebook: &Codebook) -> CubeSum {
    let (cube, mut rng) = (&codebook.cubes()[0], rng(1));
    let mut running = RunningSum::new(cube);
    for i in 0..PEOPLE {
        let codes = [2 + (i % 64) as u8, 2 + (rng.next_u32() % 10) as u8];
        let mut person = [0; 32];
        person[..8].copy_from_slice(&i.to_le_bytes());
        let cell = cube.cell_of(&codes).unwrap();
        let (upload, _) =
            encrypt_cell(&world.public, cube, cell, &Person(person), &mut rng).unwrap();
        running.add(&upload).unwrap();
    }
    running.finish().unwrap()
}

async fn start(world: &World, folder: &std::path::Path) -> (Client, Vec<oneshot::Sender<()>>) {
    let market = Identity::generate().unwrap();
    let sockets: Vec<_> = world
        .keys
        .iter()
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    drop(sockets);
    let committee = CommitteeFile {
        version: 1,
        epoch: 0,
        threshold: world.shape.threshold() as u8,
        holders: world
            .shape
            .indices()
            .map(|holder| HolderEntry {
                name: holder.to_string(),
                address: addresses[usize::from(holder.0)].to_string(),
                certificate: world.keys[usize::from(holder.0)].identity.fingerprint(),
                signer: address(holder),
            })
            .collect(),
        clients: vec![ClientEntry {
            name: "market".to_owned(),
            certificate: market.fingerprint(),
            role: ClientRole::Client,
        }],
    };
    let limits = Limits::default();
    let client = Client::new(&market, &committee.holders[0], limits).unwrap();
    let mut stops = Vec::new();
    for holder in world.shape.indices() {
        let at = usize::from(holder.0);
        let config = HolderConfig {
            committee: committee.clone(),
            committee_id: COMMITTEE,
            listen: addresses[at],
            journal: folder.join(format!("{}-{}", world.shape.holders(), holder.0)),
            limits,
        };
        let (keys, around) = (world.keys[at].clone(), world.surroundings(holder));
        let service = Service::bind_as(config, keys, around, |h| h).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(service.run(async {
            let _ = stopped.await;
        }));
        stops.push(stop);
    }
    (client, stops)
}

/// The processor time that one holder's partials of `values` random cells take.
fn partials(world: &World, sum: &CubeSum, values: usize) -> Duration {
    let cube = world.keys[0].cube.as_ref().unwrap();
    let products: Vec<Product> = cube
        .subsets()
        .iter()
        .map(|held| Product::new(sum, &held.key().secret()))
        .collect();
    let flooding = Flooding::new(
        world.shape.subset_count() as u32,
        Room::Value(ModulusClass::Counts),
    );
    let forms: Vec<Form> = (0..values)
        .map(|i| Form::new(vec![((i * 3 % 640) as u16, 1)]).unwrap())
        .collect();
    let times = (16_384 / values) as u32;
    let before = thread_cpu();
    for _ in 0..times {
        for (held, product) in cube.subsets().iter().zip(&products) {
            for form in &forms {
                partial(product, form, held.key(), &flooding, &[0; 32], None).unwrap();
            }
        }
    }
    (thread_cpu() - before) / times
}

#[tokio::main]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::args_os()
        .nth(1)
        .map_or(temporary.path().to_owned(), Into::into);
    let codebook = Arc::new(Codebook::from_toml(CODEBOOK).unwrap());
    let id = codebook.cubes()[0].id();
    println!("committee  values  wall ms  CPU ms/holder  partials ms/holder");
    for (holders, threshold) in [(4, 2), (5, 3), (7, 3)] {
        let world = World::new(holders, threshold);
        let table = Arc::new(sum(&world, &codebook));
        world
            .ciphertexts
            .sums
            .lock()
            .unwrap()
            .insert(id, table.clone());
        let (client, stops) = start(&world, &folder).await;
        for (index, (values, sql)) in QUESTIONS.into_iter().enumerate() {
            let query = Query::from_sql(sql, &codebook).unwrap();
            let (plan, _) = planner::plan(&query, &codebook).unwrap();
            let (mut begin, mut before) = (Instant::now(), cpu());
            for round in 0..=ROUNDS {
                // The first opening of a question warms caches and connections.
                if round == 1 {
                    (begin, before) = (Instant::now(), cpu());
                }
                let request = OpenRequest {
                    query: [[index as u8; 16], [round as u8; 16]]
                        .concat()
                        .try_into()
                        .unwrap(),
                    question: query.canonical_json(),
                    dataset: DATASET,
                    snapshot: SNAPSHOT,
                    target: Target::Cube(id),
                };
                let facts = QueryFacts {
                    codebook: codebook.clone(),
                    members: PEOPLE,
                    ..facts(plan.hash())
                };
                world.ledger.0.lock().unwrap().insert(request.query, facts);
                let signed = client.open(request).await.unwrap();
                assert!(signed.report.is_clean(), "{:?}", signed.report);
            }
            let (wall, cpu) = (begin.elapsed() / ROUNDS, (cpu() - before) / ROUNDS);
            println!(
                "{:>9}  {values:>6}  {:>7.2}  {:>13.2}  {:>18.3}",
                world.shape.to_string(),
                wall.as_secs_f64() * 1e3,
                cpu.as_secs_f64() * 1e3 / f64::from(holders),
                partials(&world, &table, values.parse().unwrap()).as_secs_f64() * 1e3,
            );
        }
        let many = partials(&world, &table, 1024).as_secs_f64() * 1e3;
        println!(
            "{:>9}    1024        -              -  {many:>18.3}",
            world.shape.to_string()
        );
        for stop in stops {
            let _ = stop.send(());
        }
    }
}

//! Heavy tests share one set of keys; records are few, parameters are the real ones.
#![allow(clippy::unwrap_used)]

mod decoders;
mod digits;
mod ingest;
mod noise;
mod queries;
mod runs;

use std::sync::OnceLock;

use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use salus_schema::answer::{Decoder, PassValues};
use salus_schema::codebook::Codebook;
use salus_schema::plan::{Plan, VALUES};
use salus_schema::planner;
use salus_schema::query::Query;
use tfhe::core_crypto::prelude::*;

use crate::evaluate::{RunControl, totals};
use crate::keys::{CeremonySecrets, ComputeKeys, ServerKeys};
use crate::layout::Layout;
use crate::query::AdhocQuery;
use crate::rotate::native;
use crate::upload::Record;

const CODEBOOK: &str = r#"
version = 1
name = "clinic"
[[columns]]
name = "sex"
kind = "categorical"
values = ["f", "m"]
[[columns]]
name = "region"
kind = "categorical"
values = ["r0","r1","r2","r3","r4","r5","r6","r7","r8","r9","r10","r11","r12","r13","r14","r15"]
[[columns]]
name = "smoker"
kind = "categorical"
values = ["no", "yes", "former"]
missing = [""]
[[columns]]
name = "age"
kind = "exact"
min = 20
step = 1
max = 89
[[columns]]
name = "pressure"
kind = "exact"
min = 60
step = 1
max = 260
missing = [""]
"#;

struct Fixture {
    codebook: Codebook,
    layout: Layout,
    secrets: CeremonySecrets,
    compute: ComputeKeys,
    people: Vec<Vec<u8>>,
    records: Vec<Record>,
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let mut rng = rng(1);
        let codebook = Codebook::from_toml(CODEBOOK).unwrap();
        let layout = Layout::from_codebook(&codebook).unwrap();
        let secrets = CeremonySecrets::new(&mut rng);
        let compute = secrets.compute(&mut rng);
        let public_key = secrets.public_key(&mut rng);
        let people: Vec<Vec<u8>> = (0..140)
            .map(|_| {
                vec![
                    rng.gen_range(2..4),
                    rng.gen_range(2..18),
                    rng.gen_range(1..5),
                    rng.gen_range(2..72),
                    if rng.gen_bool(0.1) {
                        1
                    } else {
                        rng.gen_range(2..203)
                    },
                ]
            })
            .collect();
        let records = people
            .iter()
            .map(|codes| Record::of_slots(&public_key, &layout.one_hot(codes).unwrap(), &mut rng))
            .collect();
        Fixture {
            codebook,
            layout,
            secrets,
            compute,
            people,
            records,
        }
    })
}

fn server() -> &'static ServerKeys {
    static SERVER: OnceLock<ServerKeys> = OnceLock::new();
    SERVER.get_or_init(|| {
        let fixture = fixture();
        ServerKeys::new(fixture.compute.clone(), fixture.secrets.squashing()).unwrap()
    })
}

fn planned(sql: &str) -> (Plan, Decoder, AdhocQuery) {
    let fixture = fixture();
    let query = Query::from_sql(sql, &fixture.codebook).unwrap();
    let (plan, decoder) = planner::plan(&query, &fixture.codebook).unwrap();
    let adhoc = AdhocQuery::new(&plan, &fixture.layout).unwrap();
    (plan, decoder, adhoc)
}

/// What each pass publishes of these people, in the clear.
fn clear(plan: &Plan, people: &[Vec<u8>]) -> Vec<[u64; VALUES]> {
    plan.passes()
        .iter()
        .map(|pass| {
            let mut histogram = vec![0u64; usize::from(pass.class().cells())];
            for codes in people {
                let at: Vec<u8> = pass
                    .columns()
                    .iter()
                    .map(|column| codes[usize::from(column.0)])
                    .collect();
                if let Some(cell) = pass.evaluate(&at) {
                    histogram[cell] += 1;
                }
            }
            pass.publish(&histogram, 0).unwrap()
        })
        .collect()
}

/// The phase of an LWE ciphertext under the large key.
fn phase(words: &[u64]) -> u64 {
    let ciphertext = LweCiphertext::from_container(words, native());
    let key = fixture().secrets.ring.as_lwe_secret_key();
    decrypt_lwe_ciphertext(&key, &ciphertext).0
}

/// What each pass publishes of the first `people` records, computed on ciphertexts and decrypted with the dealer's key.
fn computed(adhoc: &AdhocQuery, people: usize, control: &RunControl) -> Vec<PassValues> {
    let fixture = fixture();
    let records = &fixture.records[..people];
    let columns = totals(&fixture.compute, [0; 32], records, adhoc, control).unwrap();
    let opened: Vec<Option<u64>> = columns
        .into_iter()
        .zip(adhoc.values())
        .map(|(columns, spec)| {
            let digits = columns.normalise(&fixture.compute, 2 * spec.blocks(people));
            let value = digits.iter().rev().fold(0, |value, digit| {
                let digit = phase(digit).wrapping_add(1 << 58) >> 59;
                assert!(digit < 4, "an opened digit is redundant: {digit}");
                value << 2 | digit
            });
            Some(value)
        })
        .collect();
    let mut opened = &opened[..];
    adhoc
        .passes()
        .iter()
        .map(|shape| {
            let (of_pass, rest) = opened.split_at(shape.values());
            opened = rest;
            shape.published(of_pass, 0).unwrap()
        })
        .collect()
}

fn agrees(sql: &str, people: usize) -> AdhocQuery {
    let (plan, _, adhoc) = planned(sql);
    let expected = clear(&plan, &fixture().people[..people]);
    let found: Vec<_> = computed(&adhoc, people, &RunControl::default())
        .iter()
        .map(|pass| pass.values)
        .collect();
    assert_eq!(found, expected, "{sql}");
    adhoc
}

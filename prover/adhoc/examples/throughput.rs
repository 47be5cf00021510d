//! CPU per record of a COUNT with three conditions and of a histogram of 16 groups, against tfhe's integer types in the
//! same run; time and bytes of one proven upload. `cargo run --release -p salus-adhoc --example throughput [records]`
//!
//! Figures are CPU seconds of this process, so that other load on the machine does not count as time.

use std::sync::{Arc, Mutex};

use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rustix::time::{ClockId, clock_gettime};
use salus_adhoc::evaluate::{RunControl, Stage, evaluate, measure_costs};
use salus_adhoc::keys::{DealerCeremony, ServerKeys};
use salus_adhoc::layout::Layout;
use salus_adhoc::query::AdhocQuery;
use salus_adhoc::upload::{Binding, Record, Upload};
use salus_schema::codebook::Codebook;
use salus_schema::planner;
use salus_schema::query::Query;
use tfhe::prelude::*;
use tfhe::{ConfigBuilder, FheUint8, FheUint16, generate_keys, set_server_key};

const CODEBOOK: &str = r#"
version = 1
name = "clinic"
[[columns]]
name = "sex"
kind = "categorical"
values = ["f", "m"]
[[columns]]
name = "smoker"
kind = "categorical"
values = ["no", "yes", "former"]
[[columns]]
name = "region"
kind = "categorical"
values = ["r0","r1","r2","r3","r4","r5","r6","r7","r8","r9","r10","r11","r12","r13","r14","r15"]
[[columns]]
name = "age"
kind = "exact"
min = 20
step = 1
max = 89
"#;
const COUNT: &str =
    "SELECT COUNT(*) FROM clinic WHERE age BETWEEN 30 AND 60 AND sex = 'f' AND smoker = 'no'";
const HISTOGRAM: &str = "SELECT region, COUNT(*) FROM clinic WHERE age BETWEEN 30 AND 60 AND sex = 'f' AND smoker = 'no' GROUP BY region";

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu();
    let done = work();
    (done, cpu() - start)
}

/// CPU seconds of the records and of everything after them.
fn run(
    keys: &ServerKeys,
    records: &[Record],
    query: &AdhocQuery,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let reached = Arc::new(Mutex::new(0.0));
    let watcher = Arc::clone(&reached);
    let control = RunControl::default()
        .threads(1)
        .watched_by(move |progress| {
            if progress.stage == Stage::Records
                && let Ok(mut reached) = watcher.lock()
            {
                *reached = cpu();
            }
        });
    let start = cpu();
    evaluate(keys, records, query, &control)?;
    let end = cpu();
    let reached = reached.lock().map_or(end, |reached| *reached);
    Ok((reached - start, end - reached))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let people: usize = std::env::args().nth(1).map_or(Ok(1260), |n| n.parse())?;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let codebook = Codebook::from_toml(CODEBOOK)?;
    let layout = Layout::from_codebook(&codebook)?;
    let (ceremony, seconds) = timed(|| DealerCeremony::run(&layout, &mut rng));
    let DealerCeremony { client, server, .. } = ceremony?;
    println!("dealer ceremony (trusted setup): {seconds:.1} s");
    let file = tempfile::NamedTempFile::new()?;
    server.write_to(std::io::BufWriter::with_capacity(1 << 20, file.as_file()))?;
    let length = file.as_file().metadata()?.len();
    let pinned = server.hash();
    drop(server);
    let (server, reading) = timed(|| {
        let bytes = std::io::BufReader::with_capacity(1 << 20, file.reopen()?);
        ServerKeys::read_from(bytes, pinned)
    });
    let server = server?;
    println!("server keys: {length} bytes, read in {reading:.1} s");
    println!(
        "this machine, seconds of wall clock: {:.4?}",
        measure_costs(&server)
    );

    let codes: Vec<Vec<u8>> = (0..people)
        .map(|_| {
            vec![
                rng.gen_range(2..4),
                rng.gen_range(2..5),
                rng.gen_range(2..18),
                rng.gen_range(2..72),
            ]
        })
        .collect();
    let binding = Binding {
        chain: 31337,
        contract: [1; 20],
        dataset: 1,
        member: [2; 20],
        epoch: 1,
        layout: layout.hash(),
    };
    let (upload, proving) =
        timed(|| Upload::prove(&client, &layout, &codes[0], &binding, &mut rng));
    let upload = upload?;
    let bytes = upload.to_bytes().len();
    let (verified, verifying) = timed(|| upload.verify(&client, &layout, &binding));
    verified?;
    println!(
        "upload of {} slots: {bytes} bytes, proven in {proving:.2} s, verified in {verifying:.3} s",
        layout.slots()
    );

    let (records, encrypting) = timed(|| {
        codes
            .iter()
            .map(|codes| Record::encrypt_unproven(&client, &layout, codes, &mut rng))
            .collect::<Result<Vec<_>, _>>()
    });
    let records = records?;
    println!(
        "encryption without proof: {:.2} ms",
        1e3 * encrypting / people as f64
    );

    let (naive_count, naive_histogram) = naive(&codes)?;
    for (name, sql, people, naive) in [
        ("COUNT, 3 conditions", COUNT, people, naive_count),
        (
            "histogram of 16, 3 conditions",
            HISTOGRAM,
            people / 2,
            naive_histogram,
        ),
    ] {
        let query = Query::from_sql(sql, &codebook)?;
        let (plan, _) = planner::plan(&query, &codebook)?;
        let adhoc = AdhocQuery::new(&plan, &layout)?;
        let estimate = adhoc.estimate(people, 1);
        let (seconds, after) = run(&server, &records[..people], &adhoc)?;
        let each = seconds / people as f64;
        println!(
            "{name}: {people} records, {:.2} ms each with extraction ({:.1} records/s/core), {after:.1} s to normalise and squash; \
             integer types {:.0} ms each: {:.1} times slower; failure 2^{:.0}; estimated {:.1} s",
            1e3 * each,
            1.0 / each,
            1e3 * naive,
            naive / each,
            estimate.p_fail_log2,
            estimate.seconds,
        );
    }
    Ok(())
}

/// CPU seconds per record of the same two queries on tfhe's integer types.
fn naive(codes: &[Vec<u8>]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (client, server) = generate_keys(ConfigBuilder::default().build());
    set_server_key(server);
    let encrypted = codes
        .iter()
        .take(4)
        .map(|codes| {
            codes
                .iter()
                .map(|&code| FheUint8::try_encrypt(code, &client))
                .collect::<Result<Vec<_>, _>>()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let inside = |record: &[FheUint8]| {
        record[3].ge(12u8) & record[3].le(42u8) & record[0].eq(2u8) & record[1].eq(2u8)
    };
    let (total, counting) = timed(|| {
        let matches: Vec<FheUint16> = encrypted
            .iter()
            .map(|record| FheUint16::cast_from(inside(record)))
            .collect();
        matches.iter().sum::<FheUint16>()
    });
    let total: u16 = total.decrypt(&client);
    let expected = codes[..4]
        .iter()
        .filter(|c| (12..=42).contains(&c[3]) && c[0] == 2 && c[1] == 2)
        .count();
    assert_eq!(usize::from(total), expected);
    let (_, spreading) = timed(|| {
        let mut counts: Vec<FheUint16> =
            (0..16).map(|_| FheUint16::encrypt_trivial(0u16)).collect();
        for record in &encrypted[..2] {
            let inside = inside(record);
            for (bucket, count) in (2u8..).zip(&mut counts) {
                *count += FheUint16::cast_from(&inside & record[2].eq(bucket));
            }
        }
        counts
    });
    Ok((counting / 4.0, spreading / 2.0))
}

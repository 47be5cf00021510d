//! Plain runner: encrypted cubes at growing numbers of patients, each really encrypted on its own, as CSV.
//!
//! `cargo run --release -p salus-benches --bin cubes [--disk DIR] [patients ...]`
//!
//! For every size: encryption per patient, addition per patient, memory, then COUNT, GROUP BY and a mean over the sum:
//! what one holder of a 2-of-4 committee computes to open it, and what the combination costs. Every value opened is
//! compared with the clear table. With `--disk` uploads are written to a file and added up again from it.

use anyhow::{Context as _, ensure};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use salus_benches::meter::{Meter, peak_memory};
use salus_cubes::encrypt::{Identity, encrypt_cell};
use salus_cubes::key::{PublicKey, SubsetKey};
use salus_cubes::open::{Product, combine, partial};
use salus_cubes::parameters::{Flooding, Room};
use salus_cubes::sum::{CubeSum, RunningSum};
use salus_cubes::upload::{UPLOAD_BYTES, Upload};
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Cube, CubeForms, Form, ModulusClass, PassForms, forms};
use salus_schema::planner;
use salus_schema::query::Query;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Subsets of a 2-of-4 committee, and those that one holder is in.
const SUBSETS: u32 = 4;
const HELD: usize = 3;
/// Uploads whose addition is timed at once, from memory.
const BATCH: usize = 64;
/// Uploads written to disk, at most: 10 GB.
const MOST_ON_DISK: usize = 100_000;

const CODEBOOK: &str = r#"
version = 1
name = "patients"
[[columns]]
name = "age"
kind = "exact"
min = 0
step = 1
max = 12
[[columns]]
name = "bmi"
kind = "exact"
min = 0
step = 1
max = 7
[[columns]]
name = "sex"
kind = "exact"
min = 0
step = 1
max = 1
[[columns]]
name = "diabetes"
kind = "exact"
min = 0
step = 1
max = 1
[[columns]]
name = "smoker"
kind = "exact"
min = 0
step = 1
max = 1
[[columns]]
name = "region"
kind = "exact"
min = 0
step = 1
max = 3
"#;

const QUERIES: [(&str, &str); 3] = [
    (
        "count_4_filters",
        "SELECT COUNT(*) FROM patients WHERE age >= 6 AND bmi >= 4 AND diabetes = 1 AND smoker = 1",
    ),
    (
        "group_by_32",
        "SELECT bmi, region, COUNT(*) FROM patients WHERE smoker = 0 GROUP BY bmi, region",
    ),
    (
        "mean_by_sex",
        "SELECT sex, AVG(age) FROM patients WHERE diabetes = 1 GROUP BY sex",
    ),
];

struct Committee {
    keys: Vec<SubsetKey>,
    public: PublicKey,
}

impl Committee {
    fn new() -> Self {
        let keys: Vec<SubsetKey> = (0..SUBSETS as u8)
            .map(|i| SubsetKey::new([i + 1; 32]))
            .collect();
        let seed = [9; 32];
        let shares: Vec<_> = keys.iter().map(|k| k.public_share(&seed)).collect();
        let public = PublicKey::from_shares(seed, &shares);
        Self { keys, public }
    }
}

fn micros(duration: Duration, over: usize) -> f64 {
    duration.as_secs_f64() * 1e6 / over.max(1) as f64
}

/// Encrypts and adds `patients` records; returns the sum, the clear table and what each step cost.
fn ingest(
    committee: &Committee,
    cube: &Cube,
    patients: usize,
    mut file: Option<&mut BufWriter<File>>,
) -> anyhow::Result<(RunningSum, Vec<u64>, f64, f64)> {
    let mut rng = ChaCha20Rng::seed_from_u64(patients as u64);
    let mut table = vec![0u64; cube.cells()];
    let mut sum = RunningSum::new(cube);
    let (mut encrypting, mut adding) = (Duration::ZERO, Duration::ZERO);
    let mut written = 0;
    for from in (0..patients).step_by(BATCH) {
        let number = BATCH.min(patients - from);
        let start = Instant::now();
        let uploads: Vec<Upload> = (0..number)
            .map(|i| {
                let cell = rng.next_u32() as usize % cube.cells();
                table[cell] += 1;
                let who = Identity::of(&[&((from + i) as u64).to_le_bytes()]);
                encrypt_cell(&committee.public, cube, cell, &who, &mut rng).map(|(u, _)| u)
            })
            .collect::<Result<_, _>>()?;
        encrypting += start.elapsed();
        let start = Instant::now();
        for upload in &uploads {
            sum.add(upload)?;
        }
        adding += start.elapsed();
        if let Some(file) = &mut file
            && written < MOST_ON_DISK
        {
            for upload in &uploads {
                file.write_all(upload.as_bytes())?;
            }
            written += number;
        }
    }
    let (encrypting, adding) = (micros(encrypting, patients), micros(adding, patients));
    Ok((sum, table, encrypting, adding))
}

/// Opens every form and compares; returns microseconds for one holder and for the combination.
fn open(
    committee: &Committee,
    sum: &CubeSum,
    all: &[&Form],
    table: &[u64],
) -> anyhow::Result<(f64, f64)> {
    let flooding = Flooding::new(SUBSETS, Room::Value(sum.class()));
    let binding = [3; 32];
    let held = |keys: &[SubsetKey]| -> anyhow::Result<Vec<Vec<u128>>> {
        keys.iter()
            .map(|key| {
                let product = Product::new(sum, &key.secret());
                let opened = all.iter().map(|form| {
                    partial(&product, form, key, &flooding, &binding, None).map_err(Into::into)
                });
                opened.collect()
            })
            .collect()
    };
    let start = Instant::now();
    black_box(held(&committee.keys[..HELD])?);
    let holder = micros(start.elapsed(), 1);
    let partials = held(&committee.keys)?;
    let start = Instant::now();
    let mut values = Vec::with_capacity(all.len());
    for (i, form) in all.iter().enumerate() {
        let of_form: Vec<u128> = partials.iter().map(|p| p[i]).collect();
        values.push(combine(sum, form, &flooding, &of_form)?.value);
    }
    let combining = micros(start.elapsed(), 1);
    for (form, value) in all.iter().zip(values) {
        ensure!(
            i128::from(value) == form.evaluate(table),
            "an opened value differs from the clear table"
        );
    }
    Ok((holder, combining))
}

fn from_disk(path: &Path, cube: &Cube) -> anyhow::Result<(f64, f64, RunningSum)> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut sum = RunningSum::new(cube);
    let meter = Meter::start();
    let mut bytes = vec![0; UPLOAD_BYTES];
    while file.read_exact(&mut bytes).is_ok() {
        sum.add(&Upload::from_bytes(bytes.clone())?)?;
    }
    let number = sum.count() as usize;
    let (cpu, wall) = (micros(meter.cpu(), number), micros(meter.wall(), number));
    Ok((cpu, wall, sum))
}

fn plan_forms(
    codebook: &Codebook,
    cube: &Cube,
    sql: &str,
    people: u64,
) -> anyhow::Result<CubeForms> {
    let (plan, _) = planner::plan(&Query::from_sql(sql, codebook)?, codebook)?;
    Ok(forms(cube, &plan, people)?)
}

fn main() -> anyhow::Result<()> {
    let mut sizes = Vec::new();
    let mut disk = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--disk" {
            disk = Some(words.next().context("--disk wants a directory")?);
        } else {
            sizes.push(word.parse()?);
        }
    }
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000];
    }
    let codebook = Codebook::from_toml(CODEBOOK)?;
    let logical: Vec<usize> = (0..codebook.columns().len()).collect();
    let committee = Committee::new();
    println!("patients,cells,what,value,unit");
    for patients in sizes {
        // Class sums while the largest weight allows it, as a dataset of that size would declare.
        let cube = Cube::new("all", &codebook, &logical, ModulusClass::Sums)?;
        let say = |what: &str, value: f64, unit: &str| {
            println!("{patients},{},{what},{value:.1},{unit}", cube.cells());
        };
        let path = disk
            .as_ref()
            .map(|dir| Path::new(dir).join("uploads.bench"));
        let mut file = match &path {
            Some(path) => Some(BufWriter::with_capacity(1 << 20, File::create(path)?)),
            None => None,
        };
        let (sum, table, encrypting, adding) = ingest(&committee, &cube, patients, file.as_mut())?;
        if let Some(mut file) = file {
            file.flush()?;
        }
        say("encrypt_per_patient", encrypting, "us");
        say("add_per_patient", adding, "us");
        say("upload", UPLOAD_BYTES as f64, "bytes");
        say("peak_memory", peak_memory() as f64 / 1e6, "MB");
        let finished = sum.finish()?;
        for (name, sql) in QUERIES {
            let start = Instant::now();
            let forms = plan_forms(&codebook, &cube, sql, patients as u64)?;
            let all = forms.passes.iter().flat_map(PassForms::all);
            let all: Vec<&Form> = all.filter(|f| !f.is_empty()).collect();
            let planning = micros(start.elapsed(), 1);
            let (holder, combining) = open(&committee, &finished, &all, &table)?;
            say(&format!("{name}_values"), all.len() as f64, "values");
            say(&format!("{name}_plan_and_forms"), planning, "us");
            say(&format!("{name}_one_holder"), holder, "us");
            say(&format!("{name}_combine"), combining, "us");
        }
        if let Some(path) = path {
            let (cpu, wall, again) = from_disk(&path, &cube)?;
            say("resum_from_disk_cpu_per_patient", cpu, "us");
            say("resum_from_disk_wall_per_patient", wall, "us");
            ensure!(
                again.count() as usize != patients || again == sum,
                "the sum from disk differs"
            );
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

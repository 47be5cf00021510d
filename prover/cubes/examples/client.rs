//! Measures what an upload costs the member who makes it and the server that adds and checks it: medians of CPU time.
//!
//! `cargo run --release -p salus-cubes --example client`; the development profile optimises the same packages.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use salus_cubes::check::{self, Batch, Opener, Submission, ZeroForm, ZeroPoly};
use salus_cubes::encrypt::{Identity, encrypt_cell};
use salus_cubes::key::{PublicKey, SecretShare, SubsetKey};
use salus_cubes::open::{self, Product};
use salus_cubes::parameters::{Flooding, Margins, Room};
use salus_cubes::ring::{Multiplier, Poly};
use salus_cubes::sum::RunningSum;
use salus_cubes::upload::UPLOAD_BYTES;
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Cube, Form, ModulusClass};

const CODEBOOK: &str = r#"
version = 1
name = "measured"
[[columns]]
name = "age"
kind = "exact"
min = 1
step = 1
max = 102
[[columns]]
name = "region"
kind = "exact"
min = 1
step = 1
max = 40
"#;

/// CPU time of this process, in microseconds; on Linux from `/proc`, elsewhere wall time.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()) {
        Some(nanoseconds) => nanoseconds / 1e3,
        None => {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.unwrap_or_default().as_secs_f64() * 1e6
        }
    }
}

/// The median of CPU times per item of `run`, which does `items` items.
fn median(items: usize, runs: usize, mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = cpu();
            run();
            (cpu() - start) / items as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn line(what: &str, microseconds: f64) {
    println!("{what:<62} {microseconds:>10.1} us");
}

struct Key {
    keys: Vec<SubsetKey>,
    shares: Vec<SecretShare>,
}

impl Opener for &Key {
    type Error = Infallible;

    fn open_zero(&mut self, form: &ZeroForm) -> Result<bool, Infallible> {
        let all = self.keys.iter().zip(&self.shares);
        let count = self.keys.len() as u32;
        let partials: Vec<u128> = all
            .map(|(key, share)| open::partial_zero(form, share, key, count, &[0; 32]))
            .collect();
        Ok(open::combine_zero(form, count, &partials).unwrap())
    }

    fn open_zero_poly(&mut self, poly: &ZeroPoly) -> Result<bool, Infallible> {
        let all = self.keys.iter().zip(&self.shares);
        let count = self.keys.len() as u32;
        let partials: Vec<Poly> = all
            .map(|(key, share)| open::partial_zero_poly(poly, share, key, count, &[0; 32]))
            .collect();
        Ok(open::combine_zero_poly(poly, count, &partials).unwrap())
    }
}

fn main() {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global()
        .unwrap();
    let codebook = Codebook::from_toml(CODEBOOK).unwrap();
    let cube = Cube::new("widest", &codebook, &[0, 1], ModulusClass::Counts).unwrap();
    let keys: Vec<_> = (0..10).map(|i| SubsetKey::new([i; 32])).collect();
    let shares: Vec<_> = keys.iter().map(SubsetKey::secret).collect();
    let public: Vec<_> = keys.iter().map(|key| key.public_share(&[1; 32])).collect();
    let key = PublicKey::from_shares([1; 32], &public);
    let holders = Key { keys, shares };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    println!(
        "{} cells, 10 subset secrets, IFMA {}",
        cube.cells(),
        Multiplier::shared().uses_ifma()
    );

    let multiplier = Multiplier::shared();
    let transform = multiplier.transform(key.b());
    let product = median(1000, 11, || {
        for _ in 0..1000 {
            black_box(multiplier.multiply(&transform, holders.shares[0].transform()));
        }
    });
    line("product with a ternary element, both transformed", product);
    let mut who = 0u64;
    let client = median(200, 11, || {
        for _ in 0..200 {
            who += 1;
            let identity = Identity::of(&[&who.to_le_bytes()]);
            black_box(encrypt_cell(&key, &cube, 5, &identity, &mut rng).unwrap());
        }
    });
    line("client: encrypt, prove, pack and hash one cube", client);
    println!("client: {UPLOAD_BYTES} bytes");

    let members: Vec<_> = (0..256u64)
        .map(|i| {
            let identity = Identity::of(&[&i.to_be_bytes()]);
            let cell = i as usize * 13 % cube.cells();
            let (upload, attestation) =
                encrypt_cell(&key, &cube, cell, &identity, &mut rng).unwrap();
            (identity, upload, attestation)
        })
        .collect();
    let mut sum = RunningSum::new(&cube);
    for (_, upload, _) in &members {
        sum.add(upload).unwrap();
    }
    let table = sum.finish().unwrap();
    let add = median(2560, 11, || {
        for (_, upload, _) in (0..10).flat_map(|_| &members) {
            sum.add(upload).unwrap();
        }
    });
    line("server: add one upload", add);
    let subtract = median(2560, 11, || {
        for (_, upload, _) in (0..10).flat_map(|_| &members) {
            sum.subtract(upload).unwrap();
        }
    });
    line("server: subtract one upload", subtract);

    let submissions: Vec<_> = members
        .iter()
        .map(|(identity, upload, attestation)| Submission {
            identity: *identity,
            upload,
            attestation,
        })
        .collect();
    let batch = Batch::new(&cube, &submissions).unwrap();
    let relations = median(256, 5, || {
        black_box(batch.relations(0, 0, 256, &[2; 32]));
    });
    line("check: two batches of relations, per upload", relations);
    let subsets = median(256, 3, || {
        black_box(batch.subsets(0, &[], &[2; 32]));
    });
    line("check: 40 subsets, per upload", subsets);
    let poly = batch.single(0).unwrap();
    let share = median(100, 5, || {
        for _ in 0..100 {
            let (secret, key) = (&holders.shares[0], &holders.keys[0]);
            black_box(open::partial_zero_poly(&poly, secret, key, 10, &[0; 32]));
        }
    });
    line("check: one subset's opening of one element", share);
    let start = cpu();
    let mut opener = &holders;
    let report = check::check(&batch, &[3; 32], &mut opener, 4).unwrap();
    assert_eq!(report.accepted.len(), 256);
    line(
        "check: everything for 256 uploads, all ten subsets",
        cpu() - start,
    );

    let cached = median(200, 5, || {
        for _ in 0..200 {
            black_box(Product::new(&table, &holders.shares[0]));
        }
    });
    line(
        "holder: product of table and one secret, once per sum",
        cached,
    );
    let product = Product::new(&table, &holders.shares[0]);
    let flooding = Flooding::new(10, Room::Value(cube.modulus()));
    let form = Form::new((0..4080).map(|cell| (cell, 1)).collect()).unwrap();
    let partial = median(1000, 11, || {
        for _ in 0..1000 {
            let key = &holders.keys[0];
            black_box(open::partial(&product, &form, key, &flooding, &[0; 32], None).unwrap());
        }
    });
    line(
        "holder: one subset's opening of a count over 4080 cells",
        partial,
    );
    margins();
}

/// Base-2 logarithms of what the parameters leave.
fn margins() {
    println!();
    println!(
        "log2 of       subsets  q/sigma  upload noise  flooding  half step  largest value  openings"
    );
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        for subsets in [4, 6, 10, 35] {
            let margins = Margins::of(subsets, class);
            println!(
                "{:<13} {subsets:>7} {:>8.1} {:>13.1} {:>9} {:>10} {:>14.1} {:>9.1}",
                class.word(),
                margins.modulus_over_error,
                margins.upload_noise,
                margins.flooding,
                margins.half_step,
                margins.largest_value,
                margins.openings,
            );
        }
    }
}

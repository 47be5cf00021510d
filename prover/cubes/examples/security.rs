//! Prints the cost of the primal lattice attack on every parameter set in use, beside published reference sets.
//!
//! Method: uSVP embedding with the 2016 estimate (Alkim, Ducas, Pöppelmann, Schwabe, "Post-quantum key exchange: a new
//! hope", section 6; Albrecht, Göpfert, Virdia, Wunderer, ASIACRYPT 2017) in the Bai-Galbraith scaling for small secrets.
//! The root Hermite factor is Chen's. Costs of BKZ with block size b in dimension d: Core-SVP 0.292 b; BDGL16 sieving with
//! 8d calls, 0.292 b + 16.4 + log2(8d); and 0.265 b + 16.4 + log2(8d), a stand-in for newer sieves.
//!
//! What it does not cover: dual and hybrid attacks, which for small secrets can be some bits cheaper, and attacks on the
//! ring structure, of which none better is known for power-of-two cyclotomics. It is no substitute for the lattice
//! estimator (Albrecht, Player, Scott 2015); the reference rows show how far the two agree.

use std::f64::consts::{E, PI};

/// An LWE instance.
struct Instance {
    name: &'static str,
    /// Dimension of the secret.
    n: f64,
    /// log2 of the modulus.
    log_q: f64,
    /// Standard deviation of a secret coefficient.
    secret: f64,
    /// Standard deviation of the error.
    error: f64,
}

struct Attack {
    block: u32,
    dimension: f64,
}

/// Root Hermite factor of BKZ with block size `b`.
fn root_hermite(b: f64) -> f64 {
    ((PI * b).powf(1.0 / b) * b / (2.0 * PI * E)).powf(1.0 / (2.0 * (b - 1.0)))
}

/// The least block size that finds the secret.
fn attack(lwe: &Instance) -> Option<Attack> {
    let scale = (lwe.error / lwe.secret).log2();
    (60..1500).find_map(|block| {
        let b = f64::from(block);
        let log_delta = root_hermite(b).log2();
        let best = (lwe.n * (lwe.log_q - scale) / log_delta).sqrt() - lwe.n;
        [0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2]
            .iter()
            .map(|f| (best * f).floor().max(1.0))
            .find_map(|m| {
                let d = lwe.n + m + 1.0;
                let short = b.log2() / 2.0 + lwe.error.log2();
                let reached = log_delta * (2.0 * b - d - 1.0) + (m * lwe.log_q + lwe.n * scale) / d;
                (short <= reached).then_some(Attack {
                    block,
                    dimension: d,
                })
            })
    })
}

/// Standard deviation of TUniform(b): uniform on [-2^b, 2^b], both ends half as likely.
fn t_uniform(b: i32) -> f64 {
    (2f64.powi(2 * b + 1) + 1.0).sqrt() / 6f64.sqrt()
}

fn main() {
    let ternary = (2f64 / 3.0).sqrt();
    let binary = 0.5;
    let row = |name, n: u32, log_q, secret, error| Instance {
        name,
        n: f64::from(n),
        log_q,
        secret,
        error,
    };
    let reference = [
        row(
            "ML-KEM-512 (published: b = 406)",
            512,
            3329f64.log2(),
            1.5f64.sqrt(),
            1.5f64.sqrt(),
        ),
        row(
            "HE Standard 2018, n = 4096, ternary (published: 128)",
            4096,
            109.0,
            ternary,
            3.2,
        ),
        row(
            "HE Standard 2018, n = 8192, ternary (published: 128)",
            8192,
            218.0,
            ternary,
            3.2,
        ),
    ];
    let ours = [
        row(
            "cubes: n = 4096, q = 2^128, ternary, TUniform(30)",
            4096,
            128.0,
            ternary,
            t_uniform(30),
        ),
        row(
            "ad-hoc, small key: n = 918, TUniform(45)",
            918,
            64.0,
            binary,
            t_uniform(45),
        ),
        row(
            "ad-hoc, large key: n = 2048, TUniform(17)",
            2048,
            64.0,
            binary,
            t_uniform(17),
        ),
        row(
            "ad-hoc, squashing: n = 4096, q = 2^128, TUniform(30)",
            4096,
            128.0,
            binary,
            t_uniform(30),
        ),
    ];
    println!(
        "{:<58}{:>6}{:>8}{:>10}{:>8}{:>8}",
        "set", "b", "d", "Core-SVP", "BDGL16", "0.265"
    );
    for (title, rows) in [("reference", &reference[..]), ("in use", &ours[..])] {
        println!("-- {title}");
        for lwe in rows {
            let Some(Attack { block, dimension }) = attack(lwe) else {
                println!("{:<58} no block size below 1500", lwe.name);
                continue;
            };
            let (b, calls) = (f64::from(block), 16.4 + (8.0 * dimension).log2());
            println!(
                "{:<58}{block:>6}{dimension:>8.0}{:>10.1}{:>8.1}{:>8.1}",
                lwe.name,
                0.292 * b,
                0.292 * b + calls,
                0.265 * b + calls
            );
        }
    }
}

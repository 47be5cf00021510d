//! What the demo shows: the queries it asks by itself, the result as text, and its own cost.

use super::ask::Asked;
use crate::args::DemoArgs;
use crate::error::{CliError, Kind};
use serde_json::{Value, json};
use std::fmt::Write;

/// Queries for the synthetic cohort when none are given.
pub const SYNTHETIC: [&str; 5] = [
    "SELECT COUNT(*) FROM cohort",
    "SELECT diabetes, COUNT(*) FROM cohort GROUP BY diabetes",
    "SELECT sex, AVG(systolic_bp), STDDEV_SAMP(systolic_bp) FROM cohort WHERE age BETWEEN 40 AND 64 GROUP BY sex",
    "SELECT smoking, AVG(cholesterol) FROM cohort WHERE cholesterol IS NOT NULL GROUP BY smoking",
    "SELECT bucket(age, 10), COUNT(*) FROM cohort WHERE diabetes = 'yes' GROUP BY bucket(age, 10)",
];

/// Queries for a small synthetic cohort on the ad-hoc path when none are given.
pub const ADHOC: [&str; 3] = [
    "SELECT COUNT(*) FROM cohort WHERE age >= 25 AND diabetes = 'no' AND systolic_bp >= 95",
    "SELECT region, COUNT(*) FROM cohort GROUP BY region",
    "SELECT AVG(systolic_bp) FROM cohort WHERE age >= 25",
];

/// The queries to ask: --sql, --sql-file, else those for synthetic people, or one that suits any table.
pub fn queries(args: &DemoArgs, synthetic: &[&str]) -> Result<Vec<String>, CliError> {
    let mut texts = args.sql.clone();
    if let Some(path) = &args.sql_file {
        let text = std::fs::read_to_string(path).map_err(|e| {
            CliError::new(
                Kind::NotFound,
                "sql_file_unreadable",
                format!("{}: {e}", path.display()),
                "Give a readable file with one query per line.",
            )
        })?;
        texts.extend(
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with("--"))
                .map(|l| l.trim_end_matches(';').to_owned()),
        );
    }
    if texts.is_empty() {
        texts = match &args.data {
            None => synthetic.iter().map(|q| (*q).to_owned()).collect(),
            Some(_) => vec!["SELECT COUNT(*) FROM data".to_owned()],
        };
    }
    Ok(texts)
}

/// A question that no cube covers: what can be done instead.
pub fn not_covered(asked: &Asked, why: Option<&str>) -> Value {
    json!({
        "sql": asked.sql,
        "reason": why.unwrap_or("its columns are not together in a cube of the codebook"),
        "next": "Ask it on the proven path, coarsen a column with buckets, or run it as an ad-hoc query.",
    })
}

/// Peak resident memory of this process in bytes; null where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// User CPU seconds of this process; null where the system does not tell.
pub fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: u64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(11)?
        .parse()
        .ok()?;
    Some(ticks as f64 / 100.0)
}

/// The report as text: each query with its rows, then money, gas and verdict.
pub fn text(report: &Value) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{} people took part, each under a key of their own.\n",
        report["members"]
    );
    for query in report["queries"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "{}", query["sql"].as_str().unwrap_or_default());
        if query["status"] == "refused" {
            let _ = writeln!(
                out,
                "  refused: {} (refunded in full)",
                query["reason"].as_str().unwrap_or_default()
            );
            let _ = writeln!(
                out,
                "  next: {}\n",
                query["next"].as_str().unwrap_or_default()
            );
            continue;
        }
        for row in query["rows"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}", row_text(row));
        }
        let equal = if query["clear_text_equal"] == true {
            "equals"
        } else {
            "DIFFERS FROM"
        };
        if query["path"] == "ad-hoc" {
            let _ = writeln!(
                out,
                "  ad-hoc: evaluated on ciphertexts in {:.1} s, opened by the committee in {:.2} s, {} signatures, verified on chain for {} gas; {equal} the clear text{}\n",
                query["evaluate_seconds"].as_f64().unwrap_or_default(),
                query["open_seconds"].as_f64().unwrap_or_default(),
                query["signatures"],
                query["gas"]["answer"],
                trouble_lines(query),
            );
            continue;
        }
        if query["path"] == "sealed" {
            let _ = writeln!(out, "{}\n", sealed_line(query, equal));
            continue;
        }
        let _ = writeln!(
            out,
            "  proven: {} bytes of proof in {:.2} s, verified on chain for {} gas; {equal} the clear text\n",
            query["proof_bytes"],
            query["prove_seconds"].as_f64().unwrap_or_default(),
            query["gas"]["answer"],
        );
    }
    for question in report["not_covered"].as_array().into_iter().flatten() {
        let word = |name: &str| question[name].as_str().unwrap_or_default();
        let _ = writeln!(out, "{}\n  not sealed: {}", word("sql"), word("reason"));
        let _ = writeln!(out, "  next: {}\n", word("next"));
    }
    match report["paths_agree"].as_bool() {
        Some(true) => {
            let _ = writeln!(out, "both paths agree on every question that both answered");
        }
        Some(false) => {
            let _ = writeln!(out, "THE PATHS DIFFER");
        }
        None => {}
    }
    if report["sealed"].is_object() {
        let _ = writeln!(out, "{}", committee_line(&report["sealed"]));
    }
    if report["adhoc"].is_object() {
        let _ = writeln!(out, "{}", adhoc_line(&report["adhoc"]));
    }
    let _ = writeln!(
        out,
        "opt-in: {} gas per person",
        report["gas"]["opt_in_per_member"]
    );
    let _ = writeln!(
        out,
        "rewards: {} base units shared by {} people, {} each",
        report["rewards"]["settled"].as_str().unwrap_or_default(),
        report["members"],
        report["rewards"]["per_member"].as_str().unwrap_or_default(),
    );
    let _ = writeln!(
        out,
        "keys: {} (development only: their secrets are public)",
        report["keys"].as_str().unwrap_or_default()
    );
    let _ = writeln!(
        out,
        "audit: {}",
        report["audit"].as_str().unwrap_or_default()
    );
    let bundle = report["bundle"].as_str().unwrap_or_default();
    let _ = writeln!(
        out,
        "bundle: {bundle}   (check it yourself: salus audit {bundle})"
    );
    out
}

/// What befell holders while a query was opened.
fn trouble_lines(query: &Value) -> String {
    let mut out = String::new();
    for (name, what) in [
        ("liars", "gave wrong values and was overruled"),
        ("slow", "was too slow"),
        ("dead", "did not answer"),
    ] {
        for holder in query["committee"][name].as_array().into_iter().flatten() {
            let _ = write!(out, "\n  holder {holder} {what}");
        }
    }
    out
}

fn sealed_line(query: &Value, equal: &str) -> String {
    let mut out = format!(
        "  sealed: opened from {} cells by the committee in {:.2} s, {} signatures, verified on chain for {} gas; {equal} the clear text",
        query["cells"],
        query["open_seconds"].as_f64().unwrap_or_default(),
        query["signatures"],
        query["gas"]["answer"],
    );
    out += &trouble_lines(query);
    out
}

fn adhoc_line(adhoc: &Value) -> String {
    format!(
        "DEALER CEREMONY: whoever ran it could read every record; {} holders, any {} open what {} evaluators vouch for\n{} records of {} bytes proven in {:.0} s; trusted: {}",
        adhoc["holders"],
        adhoc["threshold"],
        adhoc["evaluators"].as_array().map_or(0, Vec::len),
        adhoc["uploads"],
        adhoc["upload_bytes"],
        adhoc["prove_seconds"].as_f64().unwrap_or_default(),
        adhoc["trusted"].as_str().unwrap_or_default(),
    )
}

fn committee_line(sealed: &Value) -> String {
    format!(
        "committee: {} holders, any {} open, no dealer; {} ciphertexts of {} bytes checked by {} openings of zero, linked to the commitments",
        sealed["holders"],
        sealed["threshold"],
        sealed["uploads"],
        sealed["upload_bytes"],
        sealed["relations_opened"].as_u64().unwrap_or_default()
            + sealed["subset_sums_opened"].as_u64().unwrap_or_default(),
    )
}

/// One row: the group, then the figures; a suppressed group shows no number.
fn row_text(row: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(group) = row["group"].as_object().filter(|g| !g.is_empty()) {
        parts.push(
            group
                .iter()
                .map(|(k, v)| format!("{k} = {}", plain(v)))
                .collect::<Vec<_>>()
                .join(", "),
        );
    }
    if row["suppressed"] == true {
        parts.push("suppressed (too few people)".to_owned());
        return parts.join(": ");
    }
    let mut figures = vec![format!("count {}", row["count"])];
    for measure in ["sum", "avg", "var_samp", "stddev_samp"] {
        for (column, value) in row[measure].as_object().into_iter().flatten() {
            figures.push(format!("{measure}({column}) {value}"));
        }
    }
    parts.push(figures.join("  "));
    parts.join(": ")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

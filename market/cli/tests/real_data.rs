//! Real people's data, in one demo run per data set: every expected figure that the SQL subset can
//! express comes out of a proof that a contract verified, and equals what other engines computed.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::salus;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The shared data, if this machine has it.
fn shared() -> Option<PathBuf> {
    let dir = std::env::var_os("SALUS_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    if dir.join("expected").is_dir() {
        Some(dir)
    } else {
        println!("skipped: no shared data at {}", dir.display());
        None
    }
}

fn name(column: &Value) -> String {
    format!("\"{}\"", column.as_str().unwrap())
}

fn literal(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), |text| format!("'{text}'"))
}

fn condition(c: &Value) -> String {
    let column = name(&c[0]);
    match c[1].as_str().unwrap() {
        "not_null" => format!("{column} IS NOT NULL"),
        "is_null" => format!("{column} IS NULL"),
        "==" => format!("{column} = {}", literal(&c[2])),
        op => format!("{column} {op} {}", literal(&c[2])),
    }
}

fn filter(lists: &[&Value]) -> String {
    let all: Vec<String> = lists
        .iter()
        .filter_map(|l| l.as_array())
        .flatten()
        .map(condition)
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", all.join(" AND "))
    }
}

/// One figure to compare: query, where it stands in the answer, what it must be, how closely.
struct Figure {
    sql: String,
    group: Option<(String, String)>,
    field: (&'static str, Option<String>),
    expected: Value,
    relative: f64,
}

fn figures(q: &Value) -> Vec<Figure> {
    let answer = &q["answer"];
    let none = Value::Null;
    let wh = filter(&[&q["where"]]);
    let figure =
        |sql: &str, group: Option<(String, String)>, field, expected: &Value, relative| Figure {
            sql: sql.to_owned(),
            group,
            field,
            expected: expected.clone(),
            relative,
        };
    match q["op"].as_str().unwrap() {
        "count" => vec![figure(
            &format!("SELECT COUNT(*) FROM t{wh}"),
            None,
            ("count", None),
            &answer["count"],
            0.0,
        )],
        "group_count" => {
            let by = name(&q["group_by"]);
            let sql = format!("SELECT {by}, COUNT(*) FROM t{wh} GROUP BY {by}");
            let column = q["group_by"].as_str().unwrap().to_owned();
            let rows = answer.as_object().unwrap();
            rows.iter()
                .map(|(g, n)| {
                    figure(
                        &sql,
                        Some((column.clone(), g.clone())),
                        ("count", None),
                        n,
                        0.0,
                    )
                })
                .collect()
        }
        op @ ("group_mean" | "sum_mean") => {
            let measure = q["column"].as_str().unwrap().to_owned();
            let m = name(&q["column"]);
            // 15 decimals of float noise do not fit 16 bits: inferred with rounding to two decimals.
            let relative = if measure == "wt82_71" { 1e-2 } else { 1e-9 };
            let exact = if measure == "wt82_71" { 1e-2 } else { 0.0 };
            let mut out = Vec::new();
            let mut rows = |sql: String, group: Option<(String, String)>, a: &Value| {
                out.push(figure(&sql, group.clone(), ("count", None), &a["n"], 0.0));
                out.push(figure(
                    &sql,
                    group.clone(),
                    ("sum", Some(measure.clone())),
                    &a["sum"],
                    exact,
                ));
                out.push(figure(
                    &sql,
                    group.clone(),
                    ("avg", Some(measure.clone())),
                    &a["mean"],
                    relative,
                ));
                if a["sd_sample"] != none {
                    let sql = sql
                        .replace("SUM(", "STDDEV_SAMP(")
                        .replace("AVG(", "VAR_SAMP(");
                    out.push(figure(
                        &sql,
                        group,
                        ("stddev_samp", Some(measure.clone())),
                        &a["sd_sample"],
                        1e-9,
                    ));
                }
            };
            if op == "sum_mean" {
                rows(
                    format!("SELECT SUM({m}), AVG({m}) FROM t{wh}"),
                    None,
                    answer,
                );
            } else {
                let by = name(&q["group_by"]);
                let column = q["group_by"].as_str().unwrap();
                for (g, a) in answer.as_object().unwrap() {
                    let sql = format!("SELECT {by}, SUM({m}), AVG({m}) FROM t{wh} GROUP BY {by}");
                    rows(sql, Some((column.to_owned(), g.clone())), a);
                }
            }
            out
        }
        "proportion" => {
            let both = filter(&[&q["where"], &q["numerator_where"]]);
            vec![
                figure(
                    &format!("SELECT COUNT(*) FROM t{both}"),
                    None,
                    ("count", None),
                    &answer["numerator"],
                    0.0,
                ),
                figure(
                    &format!("SELECT COUNT(*) FROM t{wh}"),
                    None,
                    ("count", None),
                    &answer["denominator"],
                    0.0,
                ),
            ]
        }
        "histogram" => {
            let edges: Vec<String> = q["bins"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            let bucket = format!("bucket({}, {})", name(&q["column"]), edges.join(", "));
            let sql = format!("SELECT {bucket}, COUNT(*) FROM t{wh} GROUP BY {bucket}");
            let column = q["column"].as_str().unwrap();
            let counts = answer["counts"].as_array().unwrap();
            edges
                .windows(2)
                .zip(counts)
                .map(|(e, n)| {
                    let group = (column.to_owned(), format!("[{},{})", e[0], e[1]));
                    figure(&sql, Some(group), ("count", None), n, 0.0)
                })
                .collect()
        }
        other => panic!("an operation that this test does not know: {other}"),
    }
}

fn check(dataset: &str, file: &str, key: Option<&str>) {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join(format!("expected/{dataset}.json"))).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let figures: Vec<Figure> = expected["queries"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(figures)
        .collect();
    let mut texts: Vec<&str> = Vec::new();
    for f in &figures {
        if !texts.contains(&f.sql.as_str()) {
            texts.push(&f.sql);
        }
    }
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("bundle");
    let data = shared.join(file);
    let mut args: Vec<&str> = vec!["demo", "--json", "--min-cohort", "1", "--min-cell", "1"];
    args.extend([
        "--out",
        bundle.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ]);
    if let Some(key) = key {
        args.extend(["--person-key", key]);
    }
    for text in &texts {
        args.extend(["--sql", text]);
    }
    let report = driver::Run::of(salus(args).output().unwrap()).succeeded();
    assert_eq!(report["audit"], "ok");
    assert_eq!(
        report["members"],
        expected["tables"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()["rows"]
    );
    let queries = report["queries"].as_array().unwrap();
    assert_eq!(queries.len(), texts.len());
    for query in queries {
        assert_eq!(query["clear_text_equal"], true, "{query}");
        assert_eq!(query["path"], "proven");
        assert!(query["gas"]["answer"].as_u64().unwrap() > 200_000);
    }
    for f in &figures {
        let query = queries.iter().find(|q| q["sql"] == f.sql.as_str()).unwrap();
        let group = f
            .group
            .as_ref()
            .map_or(json!({}), |(c, g)| json!({ c.as_str(): g }));
        let row = query["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["group"] == group)
            .unwrap_or_else(|| panic!("no row {group} in {query}"));
        let found = match &f.field.1 {
            None => &row[f.field.0],
            Some(column) => &row[f.field.0][column],
        };
        let (a, b) = (found.as_f64().unwrap(), f.expected.as_f64().unwrap());
        let close = (a - b).abs() <= f.relative * b.abs();
        assert!(close, "{}: {:?} {group}: {a} is not {b}", f.sql, f.field);
    }
    println!(
        "{dataset}: {} figures from {} proven queries",
        figures.len(),
        texts.len()
    );
}

#[test]
fn every_expected_figure_of_nhefs_is_proven_exactly() {
    check("nhefs", "nhefs/nhefs.csv", Some("seqn"));
}

#[test]
fn every_expected_figure_of_heart_cleveland_is_proven_exactly() {
    check("heart_cleveland", "heart_cleveland/heart_disease.tab", None);
}

#[test]
fn nhefs_on_ciphertexts_equals_proven_and_clear_text() {
    let Some(dir) = shared() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("bundle");
    let data = dir.join("nhefs/nhefs.csv");
    let run = salus(["demo", "--json", "--path", "both", "--person-key", "seqn"])
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out)
        .args(["--sql", "SELECT qsmk, COUNT(*) FROM t GROUP BY qsmk"])
        .args([
            "--sql",
            "SELECT sex, AVG(age), VAR_SAMP(age) FROM t WHERE qsmk = 1 GROUP BY sex",
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["paths_agree"], true);
    assert_eq!(report["audit"], "ok");
    let queries = report["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 4, "two questions, both ways");
    assert!(queries.iter().all(|q| q["clear_text_equal"] == true));
    // Counts that other engines gave.
    let rows = queries[1]["rows"].as_array().unwrap();
    let counts: Vec<u64> = rows.iter().map(|r| r["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1201, 428]);
}

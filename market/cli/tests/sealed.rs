//! The sealed path end to end: holders are processes, and some of them misbehave.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, json};
use serde_json::{Value, json};

const BY_SEX: &str = "SELECT sex, COUNT(*) FROM cohort GROUP BY sex";

/// One question on ciphertexts, with what befalls holders; the demo compares with the clear text and audits by itself.
fn troubled(holders: &str, threshold: &str, troubles: &[&str]) -> Value {
    let place = Place::new();
    let out = place.path("bundle");
    let mut args = vec![
        "demo",
        "--path",
        "sealed",
        "--members",
        "60",
        "--sql",
        BY_SEX,
        "--holders",
        holders,
        "--threshold",
        threshold,
        "--out",
    ];
    args.push(out.to_str().unwrap());
    for trouble in troubles {
        args.extend(["--trouble", trouble]);
    }
    let report = json(args).succeeded();
    assert_eq!(report["audit"], "ok");
    assert_eq!(report["queries"].as_array().unwrap().len(), 1);
    let query = report["queries"][0].clone();
    assert_eq!(query["clear_text_equal"], true);
    assert_eq!(query["path"], "sealed");
    query["committee"].clone()
}

#[test]
fn a_lying_holder_is_overruled_and_named() {
    let committee = troubled("4", "2", &["2:lie"]);
    assert_eq!(committee["liars"], json!([2]));
    assert_eq!(committee["dead"], json!([]));
}

#[test]
fn another_holder_leads_when_the_first_is_killed() {
    let committee = troubled("4", "2", &["1:kill"]);
    assert_eq!(committee["dead"], json!([1]));
    assert_eq!(committee["liars"], json!([]));
}

#[test]
fn a_stopped_holder_delays_but_does_not_prevent_the_answer() {
    let committee = troubled("4", "2", &["3:stop"]);
    let named = [&committee["slow"], &committee["dead"]];
    assert!(named.contains(&&json!([3])), "{committee}");
}

#[test]
fn seven_holders_stand_a_liar_and_a_dead_one_at_once() {
    let committee = troubled("7", "3", &["2:lie", "7:kill"]);
    assert_eq!(committee["liars"], json!([2]));
    assert_eq!(committee["dead"], json!([7]));
}

#[test]
fn both_paths_give_the_same_rows_and_the_bundle_says_what_was_done_again() {
    let place = Place::new();
    let out = place.path("bundle");
    let out = out.to_str().unwrap();
    let mean = "SELECT sex, AVG(visits) FROM cohort WHERE diabetes = 'no' GROUP BY sex";
    let report = json([
        "demo",
        "--path",
        "both",
        "--members",
        "200",
        "--sql",
        BY_SEX,
        "--sql",
        mean,
        "--out",
        out,
    ])
    .succeeded();
    assert_eq!(report["paths_agree"], true);
    let queries = report["queries"].as_array().unwrap();
    let paths: Vec<&str> = queries
        .iter()
        .map(|q| q["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["proven", "sealed", "proven", "sealed"]);
    for pair in queries.chunks(2) {
        assert_eq!(pair[0]["rows"], pair[1]["rows"]);
        assert_eq!(pair[0]["clear_text_equal"], true);
    }
    let audited = json(["audit", out]).succeeded();
    let answers = audited["sealed_answers"].as_array().unwrap();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let done = answer["re_executed"].as_array().unwrap();
        let trusted = answer["attested"].as_array().unwrap();
        assert!(!done.is_empty() && !trusted.is_empty(), "{answer}");
        assert_eq!(answer["unchecked"], json!([]));
    }

    // One changed byte in one ciphertext is found.
    let blobs = place.path("bundle").join("blobs");
    let blob = files(&blobs)
        .into_iter()
        .find(|path| std::fs::metadata(path).unwrap().len() == 98_342)
        .unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[5_000] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, &bytes).unwrap();
    let wrong = json(["audit", out]);
    assert_eq!(wrong.code, Some(5));
    assert!(wrong.stderr.contains("error[audit_invalid]"));
    // A missing one is not wrong, but nothing is known.
    std::fs::remove_file(&blob).unwrap();
    let incomplete = json(["audit", out]);
    assert_eq!(incomplete.code, Some(8));
    assert!(incomplete.stderr.contains("error[audit_incomplete]"));
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn impossible_committees_and_troubles_are_refused_before_anything_starts() {
    let place = Place::new();
    let out = place.path("bundle");
    let out = out.to_str().unwrap();
    for extra in [
        ["--threshold", "1"],
        ["--threshold", "5"],
        ["--holders", "1"],
        ["--trouble", "9:kill"],
        ["--trouble", "0:kill"],
        ["--trouble", "2:sing"],
    ] {
        let mut args = vec!["demo", "--path", "sealed", "--members", "60", "--out", out];
        args.extend(extra);
        json(args).failed(2, "committee_impossible");
    }
    assert_eq!(place.names(), [] as [&str; 0]);
}

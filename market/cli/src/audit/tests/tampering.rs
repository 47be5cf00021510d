//! Harm done to a bundle, and by whom it is found: first by the hashes, and when those are made anew, by the replay.

use super::{full, world};
use crate::audit::Topic;
use crate::bundle::BundleQuery;
use crate::bundle::chain::{ChainReader, ChainWriter};
use crate::bundle::keys::{key_from_words, key_words, read_basis, read_keys, write_keys};
use crate::bundle::manifest::{self, FILES, Manifest, SEALED_FILES};
use salus_circuits::keys::{DevelopmentKey, VerifyingKey};
use salus_circuits::layout::ChunkSize;
use salus_contracts::history::{self, Action, Mined, Transaction};
use salus_schema::plan::CircuitClass;
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Makes the manifest fit the files again, as a forger would.
pub fn seal(dir: &Path) {
    let mut manifest = Manifest::read(dir).unwrap();
    let names: Vec<_> = manifest.names().collect();
    for name in names {
        manifest
            .files
            .insert(name.to_owned(), manifest::digest(dir, name).unwrap());
    }
    let mut reader = ChainReader::open(dir).unwrap();
    manifest.counts.transactions = 0;
    while reader.next().unwrap().is_some() {
        manifest.counts.transactions += 1;
    }
    manifest.counts.queries = manifest::read_queries(dir).unwrap().len() as u64;
    manifest.write(dir).unwrap();
}

pub fn found(dir: &Path, topic: Topic, message: &str) {
    seal(dir);
    let report = full(dir);
    assert_eq!(report.verdict(), "invalid");
    assert_eq!(report.error().unwrap().exit_code(), 5);
    let check = report
        .checks
        .iter()
        .find(|check| check.name == topic)
        .unwrap();
    assert!(
        check
            .problems
            .iter()
            .any(|problem| problem.message.contains(message)),
        "{message} not found in:\n{}",
        report.text()
    );
}

pub fn history_of(dir: &Path) -> Vec<(Mined, Transaction)> {
    let at = Manifest::read(dir).unwrap().deployment;
    let mut reader = ChainReader::open(dir).unwrap();
    let mut all = Vec::new();
    while let Some(mined) = reader.next().unwrap() {
        let transaction = history::read(&mined.raw, &at).unwrap();
        all.push((mined, transaction));
    }
    all
}

/// A bundle whose transactions `change` has had its way with.
pub fn with_history(change: impl FnOnce(&mut Vec<(Mined, Transaction)>)) -> TempDir {
    let dir = world::copy();
    let mut all = history_of(dir.path());
    change(&mut all);
    fs::remove_file(dir.path().join("chain.bin")).unwrap();
    let mut writer = ChainWriter::create(dir.path()).unwrap();
    all.iter()
        .for_each(|(mined, _)| writer.push(mined).unwrap());
    writer.close().unwrap();
    dir
}

pub fn with_queries(change: impl FnOnce(&mut Vec<BundleQuery>)) -> TempDir {
    let dir = world::copy();
    let mut queries = manifest::read_queries(dir.path()).unwrap();
    change(&mut queries);
    manifest::write_queries(dir.path(), &queries).unwrap();
    dir
}

pub fn nth(all: &[(Mined, Transaction)], n: usize, wanted: impl Fn(&Action) -> bool) -> usize {
    all.iter()
        .enumerate()
        .filter(|(_, (_, t))| wanted(&t.action))
        .nth(n)
        .unwrap()
        .0
}

#[test]
fn a_flipped_byte_in_any_file_is_noticed() {
    for name in FILES.into_iter().chain(SEALED_FILES) {
        for position in [0, 1, 2] {
            let dir = world::copy();
            let path = dir.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            let at = (bytes.len() - 1) * position / 2;
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let report = full(dir.path());
            assert_eq!(report.verdict(), "invalid", "{name} at {at}");
            assert!(report.error().unwrap().message.contains(name));
        }
    }
}

#[test]
fn the_manifest_cannot_tell_another_story() {
    let original = fs::read_to_string(world::bundle().join("manifest.json")).unwrap();
    let manifest = Manifest::read(world::bundle()).unwrap();
    let market = format!("{:?}", manifest.deployment.market).to_lowercase();
    let other = format!("0x{}", "ab".repeat(20));
    for (from, to) in [
        ("\"dataset\": 1", "\"dataset\": 2"),
        ("\"chain_id\": 31337", "\"chain_id\": 1"),
        ("\"keys\": 1", "\"keys\": 2"),
        ("\"queries\": 9", "\"queries\": 8"),
        (market.as_str(), other.as_str()),
    ] {
        let dir = world::copy();
        let text = original.replacen(from, to, 1);
        assert_ne!(text, original, "{from}");
        fs::write(dir.path().join("manifest.json"), text).unwrap();
        assert_eq!(full(dir.path()).verdict(), "invalid", "{from}");
    }
    // Any byte: not accepted, whatever the reason given.
    for at in (0..original.len()).step_by(37) {
        let dir = world::copy();
        let mut bytes = original.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(dir.path().join("manifest.json"), &bytes).unwrap();
        let blank = original.as_bytes()[at].is_ascii_whitespace();
        match super::audit(dir.path(), super::Depth::Answers, |_, _, _| {}) {
            Ok(report) if !blank => assert_eq!(report.verdict(), "invalid", "byte {at}"),
            _ => {}
        }
    }
}

#[test]
fn rows_that_nobody_proved_are_found() {
    let dir = with_queries(|queries| {
        let count = queries[0].answer[0]["count"].as_u64().unwrap();
        queries[0].answer[0]["count"] = json!(count + 1);
    });
    found(
        dir.path(),
        Topic::Rows,
        "the rows shown are not what was proven",
    );
    let dir = with_queries(|queries| {
        let avg = queries[1].answer[0]["avg"]["age"].as_f64().unwrap();
        queries[1].answer[0]["avg"]["age"] = json!(avg + 1e-9);
    });
    found(
        dir.path(),
        Topic::Rows,
        "the rows shown are not what was proven",
    );
    // A refused query with an answer, and an answered one without.
    let dir = with_queries(|queries| {
        queries[3].answer = json!([{"group": {}, "count": 7, "suppressed": false}])
    });
    found(dir.path(), Topic::Rows, "it was not answered");
    let dir = with_queries(|queries| queries[0].answer = json!([]));
    found(
        dir.path(),
        Topic::Rows,
        "the rows shown are not what was proven",
    );
}

#[test]
fn words_and_plans_that_were_not_funded_are_found() {
    let dir = with_queries(|queries| *queries[0].plan.last_mut().unwrap() ^= 1);
    found(
        dir.path(),
        Topic::Rows,
        "its plan is not the plan of its body",
    );
    let dir = with_queries(|queries| queries[0].sql = queries[1].sql.clone());
    found(dir.path(), Topic::Rows, "its SQL asks something else");
    let dir = with_queries(|queries| {
        let (body, plan, sql) = (
            queries[1].body.clone(),
            queries[1].plan.clone(),
            queries[1].sql.clone(),
        );
        (queries[0].body, queries[0].plan, queries[0].sql) = (body, plan, sql);
    });
    found(
        dir.path(),
        Topic::Rows,
        "its body is not the one that was funded",
    );
    let dir = with_queries(|queries| queries[0].query_id[0] ^= 1);
    found(dir.path(), Topic::Rows, "was never funded");
    let dir = with_queries(|queries| queries.push(queries[0].clone()));
    found(dir.path(), Topic::Rows, "stands twice");
}

#[test]
fn another_codebook_is_found() {
    let dir = world::copy();
    let path = dir.path().join("codebook.toml");
    let text = fs::read_to_string(&path).unwrap();
    let other = text.replacen("smokers", "drinkers", 1);
    assert_ne!(text, other);
    fs::write(&path, other).unwrap();
    found(dir.path(), Topic::Datasets, "not the codebook");
}

#[test]
fn a_changed_transaction_is_not_its_senders() {
    // A word in the middle of the last proof: the signature no longer fits the custodian.
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::AcceptAnswer(_)));
        let mut raw = all[at].0.raw.to_vec();
        let middle = raw.len() - 500;
        raw[middle] ^= 1;
        all[at].0.raw = raw.into();
    });
    found(dir.path(), Topic::Answers, "");
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::OptIn(_)));
        let mut raw = all[at].0.raw.to_vec();
        let middle = raw.len() / 2;
        raw[middle] ^= 1;
        all[at].0.raw = raw.into();
    });
    seal(dir.path());
    assert_eq!(full(dir.path()).verdict(), "invalid");
}

#[test]
fn a_dropped_registration_is_found() {
    let dir = with_history(|all| {
        let at = nth(all, 2, |a| matches!(a, Action::OptIn(_)));
        all.remove(at);
    });
    found(dir.path(), Topic::Answers, "not proven");
    found(dir.path(), Topic::Events, "not what the rules give");
    // Also by the proofs alone, when the logs are made to fit: nothing to compare them with.
    seal(dir.path());
    let report = super::audit(dir.path(), super::Depth::Answers, |_, _, _| {}).unwrap();
    assert_eq!(report.verdict(), "invalid");
}

#[test]
fn a_registration_declared_failed_is_found() {
    let dir = with_history(|all| {
        let at = nth(all, 6, |a| matches!(a, Action::OptIn(_)));
        all[at].0.success = false;
        all[at].0.logs.clear();
    });
    found(
        dir.path(),
        Topic::Registrations,
        "every rule of the contracts lets it pass",
    );
}

#[test]
fn payments_are_made_once() {
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::Claim(_)));
        all.insert(at + 1, all[at].clone());
    });
    found(dir.path(), Topic::Claims, "AlreadyClaimed");
    found(dir.path(), Topic::Transactions, "stands twice");
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::Settle { .. }));
        all.insert(at + 1, all[at].clone());
    });
    found(dir.path(), Topic::Payouts, "QueryNotAnswered");
}

#[test]
fn order_matters() {
    let dir = with_history(|all| {
        let (a, b) = (
            nth(all, 1, |a| matches!(a, Action::OptIn(_))),
            nth(all, 2, |a| matches!(a, Action::OptIn(_))),
        );
        all.swap(a, b);
    });
    found(dir.path(), Topic::Transactions, "out of order");
}

#[test]
fn an_answer_after_its_deadline_is_found() {
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::AcceptAnswer(_)));
        all[at..]
            .iter_mut()
            .for_each(|(mined, _)| mined.timestamp += 7200);
    });
    found(dir.path(), Topic::Answers, "QueryPastDeadline");
}

#[test]
fn logs_that_say_something_else_are_found() {
    for (n, wanted) in [(0, "joined"), (1, "claimed"), (2, "moved")] {
        let dir = with_history(|all| {
            let at = match n {
                0 => nth(all, 0, |a| matches!(a, Action::OptIn(_))),
                _ => nth(all, 0, |a| matches!(a, Action::Claim(_))),
            };
            let log = if n == 2 { all[at].0.logs.len() - 1 } else { 0 };
            let mut data = all[at].0.logs[log].data.to_vec();
            *data.last_mut().unwrap() ^= 1;
            all[at].0.logs[log].data = data.into();
        });
        let topic = if n == 2 { Topic::Tokens } else { Topic::Events };
        found(dir.path(), topic, "");
        println!("{wanted}");
    }
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::AcceptAnswer(_)));
        all[at].0.logs.clear();
    });
    found(
        dir.path(),
        Topic::Events,
        "1 events by the rules, 0 in the logs",
    );
}

#[test]
fn another_key_or_basis_is_found() {
    let other = DevelopmentKey {
        size: ChunkSize::Tiny,
        class: CircuitClass::K8,
        part: 0,
    };
    let other: VerifyingKey = other.generate(false).unwrap().vk;
    assert_eq!(key_from_words(&key_words(&other)).unwrap(), other);
    let dir = world::copy();
    fs::remove_file(dir.path().join("keys.bin")).unwrap();
    write_keys(dir.path(), &[other]).unwrap();
    found(
        dir.path(),
        Topic::Circuits,
        "which the dataset does not use",
    );
    found(dir.path(), Topic::Circuits, "which the dataset uses");

    // One word of the true key: another id.
    let dir = world::copy();
    let path = dir.path().join("keys.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(read_keys(dir.path()).unwrap().len(), 1);
    found(
        dir.path(),
        Topic::Circuits,
        "which the dataset does not use",
    );

    let dir = world::copy();
    let path = dir.path().join("basis.bin");
    let mut bytes = fs::read(&path).unwrap();
    let (first, second) = (16, 16 + 64);
    let slot: Vec<u8> = bytes[first..first + 64].to_vec();
    bytes.copy_within(second..second + 64, first);
    bytes[second..second + 64].copy_from_slice(&slot);
    fs::write(&path, bytes).unwrap();
    assert_eq!(
        read_basis(dir.path()).unwrap().len(),
        ChunkSize::Tiny.slots()
    );
    found(dir.path(), Topic::Circuits, "does not hash to the root");
}

#[test]
fn contracts_of_other_code_or_wiring_are_found() {
    // Without the creation there is only a note; with the creation of something else there is a problem.
    let dir = with_history(|all| {
        let at = nth(all, 0, |a| matches!(a, Action::Deploy(_)));
        all.remove(at);
    });
    seal(dir.path());
    let report = full(dir.path());
    assert_eq!(report.verdict(), "ok", "{}", report.text());
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("its code was not compared"))
    );
    let dir = world::copy();
    let mut manifest = Manifest::read(dir.path()).unwrap();
    std::mem::swap(
        &mut manifest.deployment.pool,
        &mut manifest.deployment.claim_verifier,
    );
    manifest.write(dir.path()).unwrap();
    found(dir.path(), Topic::Contracts, "not part of the deployment");
}

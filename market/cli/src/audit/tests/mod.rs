//! A small world with real proofs, and everything that somebody could do to its bundle.

#![allow(clippy::unwrap_used)]

mod links;
mod sealed;
mod tampering;
mod world;

use super::{AuditReport, Depth, Topic, audit};
use crate::bundle::manifest::{FILES, SEALED_FILES};
use std::path::Path;

fn full(dir: &Path) -> AuditReport {
    audit(dir, Depth::Full, |_, _, _| {}).unwrap()
}

#[test]
fn an_honest_bundle_holds_and_everything_in_it_was_counted() {
    let bundle = world::bundle();
    let report = full(bundle);
    assert_eq!(report.verdict(), "ok", "{}", report.text());
    let expected = [
        (Topic::Contracts, 7),
        (Topic::Registrations, 100),
        (Topic::Changes, 3),
        (Topic::Snapshots, 3),
        (Topic::Queries, 9),
        (Topic::Answers, 4),
        (Topic::SealedAnswers, 3),
        (Topic::Signatures, 7),
        // Two registered, two bound, one unbound, one report, two keys.
        (Topic::Committees, 8),
        (Topic::Bonds, 5),
        (Topic::Uploads, 101),
        (Topic::Sums, 3),
        (Topic::Links, 1),
        (Topic::Evaluations, 1),
        (Topic::Rows, 9),
        (Topic::Payouts, 7),
        (Topic::Claims, 102),
        (Topic::Withdrawals, 2),
        (Topic::Conservation, 2),
        (Topic::Files, 7),
    ];
    for (topic, count) in expected {
        assert_eq!(report.count(topic), count, "{topic:?}");
    }
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.starts_with("development keys"))
    );
    assert_eq!(
        report.line("audit"),
        "audit: ok: 100 registrations, 4 answers, 3 sealed answers, 7 payouts, 102 claims"
    );
    assert!(report.error().is_none());

    let answers = audit(bundle, Depth::Answers, |_, _, _| {}).unwrap();
    assert_eq!(answers.verdict(), "ok", "{}", answers.text());
    assert_eq!(answers.count(Topic::Answers), 4);
}

#[test]
fn what_is_not_there_cannot_be_checked() {
    let gone = audit(Path::new("/nonexistent/bundle"), Depth::Full, |_, _, _| {}).unwrap_err();
    assert_eq!(
        (gone.exit_code(), gone.code.as_str()),
        (3, "bundle_not_found")
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        audit(empty.path(), Depth::Full, |_, _, _| {})
            .unwrap_err()
            .exit_code(),
        8
    );
    for name in FILES.into_iter().chain(SEALED_FILES) {
        let copy = world::copy();
        std::fs::remove_file(copy.path().join(name)).unwrap();
        let error = audit(copy.path(), Depth::Full, |_, _, _| {}).unwrap_err();
        assert_eq!(
            (error.exit_code(), error.code.as_str()),
            (8, "bundle_file_missing"),
            "{name}"
        );
    }
    let copy = world::copy();
    let path = copy.path().join("manifest.json");
    let text =
        std::fs::read_to_string(&path)
            .unwrap()
            .replacen("\"version\": 1", "\"version\": 9", 1);
    std::fs::write(&path, text).unwrap();
    let error = audit(copy.path(), Depth::Full, |_, _, _| {}).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.code.as_str()),
        (8, "bundle_version")
    );
}

#[test]
fn a_target_that_is_no_bundle_is_left_alone() {
    use crate::bundle::check_target;
    let dir = tempfile::tempdir().unwrap();
    assert!(check_target(dir.path(), false).is_ok());
    assert!(check_target(&dir.path().join("new"), false).is_ok());
    assert_eq!(
        check_target(world::bundle(), false).unwrap_err().code,
        "out_exists"
    );
    assert!(check_target(world::bundle(), true).is_ok());
    let copy = world::copy();
    std::fs::write(copy.path().join("blobs/photo.jpg"), "the only one").unwrap();
    let refused = check_target(copy.path(), true).unwrap_err();
    assert_eq!(refused.code, "out_not_a_bundle");
    assert!(refused.message.contains("photo.jpg"));
    std::fs::write(dir.path().join("thesis.doc"), "work of years").unwrap();
    assert_eq!(
        check_target(dir.path(), true).unwrap_err().code,
        "out_not_a_bundle"
    );
    assert_eq!(
        check_target(&dir.path().join("thesis.doc"), true)
            .unwrap_err()
            .code,
        "out_not_a_directory"
    );
}

//! The ad-hoc path end to end: a dealer, evaluators and holders as processes.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, json};
use serde_json::json;

#[test]
fn more_people_than_an_ad_hoc_demo_can_take_are_refused_before_anything_is_made() {
    let place = Place::new();
    let out = place.path("bundle");
    let out = out.to_str().unwrap();
    let args = ["demo", "--path", "ad-hoc", "--members", "201", "--out", out];
    let refused = json(args).failed(6, "adhoc_too_many");
    assert_eq!(refused["error"]["charged"], "nothing");
    assert!(place.names().is_empty());
}

#[test]
// Some six CPU minutes and 3 GB: a key of a gigabyte is made, and every person's proof takes seconds.
#[ignore = "six CPU minutes: cargo test -p salus --test adhoc -- --ignored"]
fn a_count_is_evaluated_vouched_for_opened_and_repeated_by_the_audit() {
    let place = Place::new();
    let (out, keys) = (place.path("bundle"), place.path("server-keys.bin"));
    let (out, keys) = (out.to_str().unwrap(), keys.to_str().unwrap());
    let sql = "SELECT COUNT(*) FROM cohort WHERE diabetes = 'no'";
    let report = json([
        "demo",
        "--path",
        "ad-hoc",
        "--members",
        "24",
        "--min-cohort",
        "10",
        "--sql",
        sql,
        "--trouble",
        "2:lie",
        "--server-keys",
        keys,
        "--out",
        out,
    ])
    .succeeded();
    assert_eq!(report["audit"], "ok");
    let query = &report["queries"][0];
    assert_eq!(query["path"], "ad-hoc");
    assert_eq!(query["clear_text_equal"], true);
    assert_eq!(query["committee"]["liars"], json!([2]));
    assert_eq!(report["adhoc"]["origin"], "dealer ceremony");

    let trusting = json(["audit", out]).succeeded();
    let parts = &trusting["sealed_answers"][0];
    assert_eq!(
        parts["attested"],
        json!(["opening", "evaluation", "dealer"])
    );
    let again = json(["audit", out, "--re-execute", "--server-keys", keys]).succeeded();
    let parts = &again["sealed_answers"][0];
    assert_eq!(parts["attested"], json!(["opening", "dealer"]));
    let done = parts["re_executed"].as_array().unwrap();
    assert!(done.contains(&json!("evaluation")), "{parts}");
    assert_eq!(parts["uploads"], 24);
}

//! `salus committee` as its operators use it.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, Run, salus};

const PASSPHRASE: &str = "correct horse battery staple";

fn with(passphrase: &str, args: &[&str]) -> Run {
    let mut command = salus(["committee"]);
    command.args(args).arg("--json");
    command.env("SALUS_PASSPHRASE", passphrase);
    Run::of(command.output().unwrap())
}

fn entry(place: &Place, name: &str, address: &str) -> String {
    let dir = place.path(name);
    let made = with(
        PASSPHRASE,
        &[
            "init",
            "--dir",
            dir.to_str().unwrap(),
            "--name",
            name,
            "--address",
            address,
        ],
    );
    made.succeeded();
    place.file(&format!("{name}.json"), made.stdout)
}

#[test]
fn keys_are_never_replaced_and_open_with_their_passphrase_only() {
    let place = Place::new();
    entry(&place, "north", "127.0.0.1:7001");
    let dir = place.path("north");
    let dir = dir.to_str().unwrap();
    let init = [
        "init",
        "--dir",
        dir,
        "--name",
        "north",
        "--address",
        "127.0.0.1:7001",
    ];
    with(PASSPHRASE, &init).failed(2, "key_file_exists");
    with("short", &init).failed(2, "key_file_exists");

    let file = place.file("none.toml", "");
    let public = place.path("key.bin");
    let keygen = [
        "keygen",
        "--dir",
        dir,
        "--committee",
        &file,
        "--session",
        "s",
        "--public-key",
        public.to_str().unwrap(),
    ];
    with("another long passphrase", &keygen).failed(4, "passphrase_wrong");
    with("short", &keygen).failed(2, "passphrase_missing");
    with(PASSPHRASE, &keygen).failed(5, "committee_file_malformed");
    let nobody = place.path("nobody");
    let missing = [
        "status",
        "--dir",
        nobody.to_str().unwrap(),
        "--committee",
        &file,
    ];
    with(PASSPHRASE, &missing).failed(3, "key_file_missing");
}

#[test]
fn a_committee_is_assembled_once_and_a_silent_holder_is_named() {
    let place = Place::new();
    let north = entry(&place, "north", "127.0.0.1:1");
    let south = entry(&place, "south", "127.0.0.1:2");
    let west = entry(&place, "west", "127.0.0.1:3");
    let out = place.path("committee.toml");
    let out = out.to_str().unwrap();
    let assemble = [
        "assemble",
        "--threshold",
        "2",
        "--out",
        out,
        &north,
        &south,
        &west,
    ];
    with(PASSPHRASE, &assemble).succeeded();
    with(PASSPHRASE, &assemble).failed(2, "committee_not_written");
    let twice = place.path("twice.toml");
    let twice = [
        "assemble",
        "--threshold",
        "2",
        "--out",
        twice.to_str().unwrap(),
        &north,
        &north,
    ];
    with(PASSPHRASE, &twice).failed(5, "committee_malformed");

    let dir = place.path("north");
    let status = ["status", "--dir", dir.to_str().unwrap(), "--committee", out];
    let report = with(PASSPHRASE, &status).failed(7, "too_few_holders");
    assert_eq!(report["answering"], 0);
}

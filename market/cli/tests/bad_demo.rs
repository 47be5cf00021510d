//! The demo on bad tables, bad queries, full disks and Ctrl-C: a clear error, nothing half-written,
//! and the next run works.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, Run, salus};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const COUNT: &str = "SELECT COUNT(*) FROM d";

/// Makes the development key once, so that tests neither wait for nor make it side by side.
fn keys() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = Place::new();
        let out = place.path("out");
        let args = ["demo", "--members", "20", "--sql", COUNT, "--json", "--out"];
        let run = Run::of(salus(args).arg(&out).output().unwrap());
        run.succeeded();
    });
}

/// A demo with its bundle in `place`.
fn demo(place: &Place, args: &[&str]) -> Run {
    keys();
    let mut command = salus(["demo", "--json", "--out"]);
    Run::of(command.arg(place.path("out")).args(args).output().unwrap())
}

/// Asserts that the demo fails before it does anything and leaves nothing.
fn refused(place: &Place, args: &[&str], exit: i32, code: &str) -> Value {
    let before = place.names();
    let document = demo(place, args).failed(exit, code);
    assert_eq!(document["error"]["charged"], "nothing");
    assert_eq!(place.names(), before, "something was left behind");
    document
}

/// 60 people; all numbers are below zero in `depth`.
fn people() -> String {
    let rows: String = (0..60)
        .map(|i| {
            let sex = ["f", "m"][i % 2];
            format!("p{i},{},{sex},-{}.5,,t{}\n", 20 + i % 30, i % 9, i % 55)
        })
        .collect();
    format!("id,age,sex,depth,never,text\n{rows}")
}

#[test]
fn bad_tables_end_the_demo_before_it_begins() {
    let place = Place::new();
    let long = format!("a,b\n1,{}\n", "x".repeat(10 << 20));
    let tables: [(&str, Vec<u8>, &str); 6] = [
        ("ragged.csv", b"a,b\n1,2\n3\n".to_vec(), "read_ragged"),
        (
            "latin1.csv",
            b"name,b\nJos\xe9,2\n".to_vec(),
            "read_not_utf8",
        ),
        ("nul.csv", b"a,b\n1,2\n3,\x004\n".to_vec(), "read_nul"),
        ("long.csv", long.into_bytes(), "read_field_too_long"),
        ("empty.csv", Vec::new(), "read_empty"),
        (
            "nothing.csv",
            b"weight\nNA\nNA\n".to_vec(),
            "profile_nothing_to_code",
        ),
    ];
    for (name, bytes, code) in tables {
        let file = place.file(name, bytes);
        refused(&place, &["--data", &file], 5, code);
    }
    let absent = place.path("absent.csv");
    refused(
        &place,
        &["--data", absent.to_str().unwrap()],
        3,
        "read_not_found",
    );
    refused(
        &place,
        &["--data", place.root().to_str().unwrap()],
        5,
        "read_is_directory",
    );
    let file = place.file("people.csv", people());
    refused(
        &place,
        &["--data", &file, "--codebook", &file],
        5,
        "codebook_invalid",
    );
    refused(
        &place,
        &["--data", &file, "--person-key", "patient"],
        3,
        "read_unknown_column",
    );
    refused(&place, &["--codebook", &file], 2, "usage");
    refused(&place, &["--members", "0"], 2, "usage");
    let twice = place.file("twice.csv", "id,age\na,31337\nb,41\na,42\n");
    let asked = [
        "--data",
        &twice,
        "--person-key",
        "id",
        "--sql",
        "SELECT AVG(age) FROM d",
    ];
    refused(&place, &asked, 5, "code_conflicting_rows");
}

#[test]
fn one_bad_query_stops_all_before_anything_is_paid() {
    let place = Place::new();
    let file = place.file("people.csv", people());
    let ask = |query: &str, exit, code| {
        let args = [
            "--data",
            &file,
            "--person-key",
            "id",
            "--sql",
            COUNT,
            "--sql",
            query,
        ];
        let document = refused(&place, &args, exit, code);
        document["error"]["next"].as_str().unwrap().to_owned()
    };
    ask("SELECT AVG(height) FROM d", 6, "query_unknown_column");
    ask("SELECT MAX(age) FROM d", 6, "query_extreme_refused");
    ask("SELECT COUNT(*) FORM d", 5, "query_syntax");
    let next = ask("SELECT AVG(never) FROM d", 6, "query_unknown_column");
    assert!(next.contains("no values at all"), "{next}");
    let next = ask(
        "SELECT COUNT(*) FROM d WHERE id = 'p3'",
        6,
        "query_unknown_column",
    );
    assert!(next.contains("person key"), "{next}");
    let rows: String = (0..600)
        .map(|i| format!("{},t{}\n", i % 5, i % 300))
        .collect();
    let many = place.file("many.csv", format!("group,text\n{rows}"));
    let args = [
        "--data",
        &many,
        "--sql",
        "SELECT text, COUNT(*) FROM d GROUP BY text",
    ];
    let document = refused(&place, &args, 6, "query_unknown_column");
    let next = document["error"]["next"].as_str().unwrap();
    assert!(next.contains("more than 254"), "{next}");
}

#[test]
fn empty_answers_and_single_people_are_withheld_and_never_0() {
    let place = Place::new();
    let file = place.file("people.csv", people());
    let nobody = "SELECT COUNT(*) FROM d WHERE age = 25 AND sex = 'f'";
    let args = ["--data", &file, "--person-key", "id", "--sql", nobody];
    let document = demo(&place, &args).failed(6, "cohort_below_minimum");
    assert_eq!(document["queries"][0]["status"], "refused", "{document}");
    assert!(
        !document["queries"].to_string().contains("\"count\":0"),
        "{document}"
    );
    let one = place.file("one.csv", "age\n40\n");
    let document = demo(&place, &["--data", &one, "--force"]).failed(6, "cohort_below_minimum");
    assert_eq!(document["members"], 1);
    assert!(
        !document["queries"].to_string().contains("\"count\":1"),
        "{document}"
    );
}

#[test]
fn negative_numbers_and_small_groups_come_out_exact() {
    let place = Place::new();
    let file = place.file("people.csv", people());
    let by_sex = "SELECT sex, SUM(depth), AVG(depth) FROM d GROUP BY sex";
    let by_age =
        "SELECT bucket(age, 10), COUNT(*) FROM d WHERE depth < -8 GROUP BY bucket(age, 10)";
    let args = [
        "--data",
        &file,
        "--person-key",
        "id",
        "--sql",
        by_sex,
        "--sql",
        by_age,
        "--min-cohort",
        "1",
    ];
    let run = demo(&place, &args);
    let document = run.document();
    let rows = &document["queries"][0]["rows"];
    let wanted: f64 = (0..60)
        .filter(|i| i % 2 == 0)
        .map(|i| -(f64::from(i % 9) + 0.5))
        .sum();
    assert_eq!(rows[0]["group"]["sex"], "f", "{document}");
    assert_eq!(rows[0]["sum"]["depth"].as_f64(), Some(wanted), "{document}");
    for query in document["queries"].as_array().unwrap() {
        if query["status"] != "refused" {
            assert_eq!(query["clear_text_equal"], true, "{query}");
        }
        for row in query["rows"].as_array().unwrap() {
            assert_eq!(row["suppressed"] == true, row["count"].is_null(), "{row}");
        }
    }
}

#[test]
fn only_the_first_people_are_asked_when_told_so() {
    let place = Place::new();
    let file = place.file("people.csv", people());
    let sql = "SELECT COUNT(*), SUM(age) FROM d";
    let args = ["--data", &file, "--members", "25", "--sql", sql];
    let document = demo(&place, &args).succeeded();
    let row = &document["queries"][0]["rows"][0];
    let wanted: u64 = (0..25).map(|i| 20 + i % 30).sum();
    assert_eq!(
        (&row["count"], &row["sum"]["age"]),
        (&25.into(), &wanted.into()),
        "{document}"
    );
    assert_eq!(document["queries"][0]["clear_text_equal"], true);
}

#[test]
fn directories_with_other_files_are_not_touched() {
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out").join("thesis.txt"), "years of work").unwrap();
    let args = ["--members", "20", "--sql", COUNT];
    refused(&place, &args, 2, "out_not_a_bundle");
    refused(
        &place,
        &[&args[..], &["--force"]].concat(),
        2,
        "out_not_a_bundle",
    );
    assert_eq!(
        fs::read_to_string(place.path("out").join("thesis.txt")).unwrap(),
        "years of work"
    );
    let place = Place::new();
    place.file("out", "a file");
    refused(&place, &args, 2, "out_not_a_directory");
    let place = Place::new();
    demo(&place, &args).succeeded();
    refused(&place, &args, 2, "out_exists");
    demo(&place, &[&args[..], &["--force"]].concat()).succeeded();
}

#[test]
fn production_refuses_development_keys() {
    let place = Place::new();
    let mut command = salus(["demo", "--json", "--members", "20", "--sql", COUNT, "--out"]);
    let run = Run::of(
        command
            .arg(place.path("out"))
            .env("SALUS_MODE", "production")
            .output()
            .unwrap(),
    );
    let code = run.document()["error"]["code"].as_str().unwrap().to_owned();
    assert!(run.code == Some(6) || run.code == Some(1), "{code}");
    run.failed(run.code.unwrap(), &code);
    assert!(place.names().is_empty());
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let place = Place::new();
    let args = ["--members", "20", "--sql", COUNT, "--rpc"];
    refused(
        &place,
        &[&args[..], &["http://127.0.0.1:1"]].concat(),
        1,
        "chain_failed",
    );
    let run = demo(&place, &[&args[..], &["nonsense"]].concat());
    assert_ne!(run.code, Some(0));
    run.document();
}

#[test]
fn a_full_disk_leaves_no_bundle() {
    let place = Place::new();
    let small = place.path("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&small)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not mount a small disk");
        return;
    }
    keys();
    let mut command = salus(["demo", "--json", "--members", "20", "--sql", COUNT, "--out"]);
    let run = Run::of(command.arg(small.join("out")).output().unwrap());
    let left: Vec<_> = fs::read_dir(&small).unwrap().collect();
    assert!(
        Command::new("umount")
            .arg(&small)
            .status()
            .unwrap()
            .success()
    );
    run.failed(1, "bundle_not_written");
    assert!(left.is_empty(), "half-written: {left:?}");
}

#[test]
fn a_full_stdout_is_told_on_stderr() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    keys();
    let place = Place::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = salus(["demo", "--json", "--members", "20", "--sql", COUNT, "--out"]);
    let command = command
        .arg(place.path("out"))
        .stdout(full)
        .stderr(Stdio::piped());
    let run = Run::of(command.spawn().unwrap().wait_with_output().unwrap());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("error[stdout]"), "{}", run.stderr);
}

/// Waits for a process, at most a minute.
fn wait(mut child: Child) -> Run {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("the process did not stop");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Run::of(child.wait_with_output().unwrap())
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Starts a demo of 1,500 people and interrupts it when it has told of the stage.
#[cfg(unix)]
fn interrupted_after(place: &Place, stage: &str) -> Run {
    keys();
    let mut command = salus(["demo", "--json", "--members", "1500", "--out"]);
    command
        .arg(place.path("out"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        told += &format!("{line}\n");
        if line.trim_start().starts_with(stage) {
            break;
        }
    }
    interrupt(&child);
    for line in lines {
        told += &format!("{}\n", line.unwrap());
    }
    let mut run = wait(child);
    run.stderr = told;
    run
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_nothing_and_the_next_run_works() {
    let place = Place::new();
    for stage in ["1 read", "deploy contracts", "query 1"] {
        let run = interrupted_after(&place, stage);
        run.failed(7, "interrupted");
        assert!(
            place.names().is_empty(),
            "after {stage}: {:?}",
            place.names()
        );
    }
    demo(&place, &["--members", "20", "--sql", COUNT]).succeeded();
    let audit = driver::json([Path::new("audit"), &place.path("out")]);
    audit.succeeded();
}

/// Ctrl-C while a bundle is replaced must leave the old one or the new one.
#[test]
#[cfg(unix)]
fn ctrl_c_keeps_the_bundle_that_was_there() {
    let place = Place::new();
    demo(&place, &["--members", "20", "--sql", COUNT]).succeeded();
    let mut command = salus(["demo", "--json", "--force", "--members", "1500", "--out"]);
    command
        .arg(place.path("out"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    interrupt(&child);
    let run = wait(child);
    run.failed(7, "interrupted");
    assert_eq!(place.names(), ["out"]);
    driver::json([Path::new("audit"), &place.path("out")]).succeeded();
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_that_vanishes_midway_ends_the_demo() {
    let place = Place::new();
    let path = place.path("large.csv");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    writeln!(file, "a,b,c,d").unwrap();
    for i in 0..3_000_000u32 {
        writeln!(file, "{},{},{},{}", i % 100, i % 7, i % 50, i % 3).unwrap();
    }
    file.into_inner().unwrap();
    let mut command = salus([
        "demo",
        "--json",
        "--sql",
        "SELECT a, COUNT(*) FROM d WHERE b = 1 GROUP BY a",
        "--out",
    ]);
    command.arg(place.path("out")).arg("--data").arg(&path);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let descriptors = format!("/proc/{}/fd", child.id());
    let reads = || {
        let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target == path)
    };
    let start = Instant::now();
    while !reads() {
        assert!(start.elapsed().as_secs() < 60, "the table was never opened");
        std::thread::yield_now();
    }
    fs::remove_file(&path).unwrap();
    wait(child).failed(3, "read_vanished");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

//! Bad tables, codebooks, queries and disks against the real binary: a stable code, the right exit
//! code, a next step, one JSON document, and nothing half-written.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, Run, json, plain, salus};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A table of 40 people that can be used.
fn good() -> String {
    let rows: String = (0..40)
        .map(|i| format!("p{i},{},{}\n", 20 + i % 30, ["f", "m"][i % 2]))
        .collect();
    format!("id,age,sex\n{rows}")
}

fn validate(args: &[&str]) -> Run {
    json(["dataset", "validate"].iter().chain(args))
}

/// Both forms of the run fail alike; the text form leaves stdout empty.
fn refused(args: &[&str], exit: i32, code: &str) -> String {
    let document = validate(args).failed(exit, code);
    let text = plain(["dataset", "validate"].iter().chain(args));
    assert_eq!(
        (text.code, text.stdout.as_str()),
        (Some(exit), ""),
        "{}",
        text.stderr
    );
    assert!(text.stderr.contains(&format!("error[{code}]")) && text.stderr.contains("next: "));
    document["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn malformed_tables_are_refused_with_the_line() {
    let place = Place::new();
    let long = format!("a,b\n1,{}\n", "x".repeat(10 << 20));
    let unclosed = "a,b\n1,\"2\n3,4\n".to_owned();
    let tables: [(&str, Vec<u8>, &str, &str); 10] = [
        (
            "ragged.csv",
            b"a,b\n1,2\n3\n".to_vec(),
            "read_ragged",
            "line 3",
        ),
        (
            "latin1.csv",
            b"name,b\nJos\xe9,2\n".to_vec(),
            "read_not_utf8",
            "line 2",
        ),
        (
            "nul.csv",
            b"a,b\n1,2\n3,\x004\n".to_vec(),
            "read_nul",
            "line 3",
        ),
        (
            "long.csv",
            long.into_bytes(),
            "read_field_too_long",
            "line 2",
        ),
        (
            "unclosed.csv",
            unclosed.into_bytes(),
            "read_unclosed_quote",
            "line 2",
        ),
        (
            "header.csv",
            b"a,b\n".to_vec(),
            "read_header_only",
            "no row",
        ),
        ("empty.csv", Vec::new(), "read_empty", "empty"),
        (
            "twice.csv",
            b"a,a\n1,2\n".to_vec(),
            "read_duplicate_name",
            "twice",
        ),
        (
            "book.xlsx",
            b"PK\x03\x04whatever".to_vec(),
            "read_not_a_table",
            "ZIP",
        ),
        (
            "cut.csv.gz",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
            "read_damaged_gzip",
            "gzip",
        ),
    ];
    for (name, bytes, code, words) in tables {
        let file = place.file(name, bytes);
        let message = refused(&[&file], 5, code);
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn what_is_no_file_is_named() {
    let place = Place::new();
    let directory = place.root().to_str().unwrap();
    refused(&[directory], 5, "read_is_directory");
    refused(
        &[place.path("absent.csv").to_str().unwrap()],
        3,
        "read_not_found",
    );
    refused(&["/dev/null"], 5, "read_not_regular");
    let good = place.file("good.csv", good());
    let message = refused(
        &[&good, "--person-key", "patient"],
        3,
        "read_unknown_column",
    );
    assert!(message.contains("patient"));
    refused(
        &[&good, "--columns", "age,height"],
        3,
        "code_not_in_codebook",
    );
}

#[test]
fn files_without_permission_are_named() {
    let place = Place::new();
    let file = place.file("secret.csv", good());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    }
    if fs::File::open(&file).is_ok() {
        println!("skipped: this user reads files without permission (root)");
        return;
    }
    refused(&[&file], 4, "read_permission_denied");
    let good = place.file("good.csv", good());
    refused(
        &[&good, "--codebook", &file],
        4,
        "codebook_permission_denied",
    );
}

#[test]
fn good_tables_are_described() {
    let place = Place::new();
    let file = place.file("good.csv", good());
    let report = validate(&[&file, "--person-key", "id"]).succeeded();
    assert_eq!(
        (&report["people"], &report["rows"]),
        (&40.into(), &40.into())
    );
    assert_eq!(report["columns"][0]["name"], "age");
    assert_eq!(report["columns"][0]["missing"], "none");
    assert_eq!(
        report["columns"][1]["labels"],
        serde_json::json!(["f", "m"])
    );
    let text = plain(["dataset", "validate", &file]);
    assert!(text.stdout.contains("no person key"), "{}", text.stdout);
    assert!(
        text.stdout.contains("looks like an identifier"),
        "{}",
        text.stdout
    );
}

#[test]
fn a_column_without_values_is_left_out_and_said_so() {
    let place = Place::new();
    let file = place.file("t.csv", "age,weight\n40,\n41,NA\n42,\n");
    let report = validate(&[&file]).succeeded();
    assert_eq!(report["skipped"][0]["name"], "weight");
    let reason = report["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("no values at all"), "{reason}");
    let only = place.file("only.csv", "weight\nNA\nNA\n");
    refused(&[&only], 5, "profile_nothing_to_code");
}

#[test]
fn one_person_is_too_few_for_any_answer_and_said_so() {
    let place = Place::new();
    let file = place.file("t.csv", "age\n40\n");
    let report = validate(&[&file]).succeeded();
    assert_eq!(report["people"], 1);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("only 1 person"), "{warnings}");
}

#[test]
fn more_texts_than_codes_are_left_out_and_refused_by_a_codebook() {
    let place = Place::new();
    let rows: String = (0..600)
        .map(|i| format!("{},t{}\n", i % 5, i % 300))
        .collect();
    let file = place.file("t.csv", format!("group,text\n{rows}"));
    let report = validate(&[&file]).succeeded();
    assert_eq!(report["skipped"][0]["name"], "text");
    let reason = report["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("more than 254"), "{reason}");
    let values: Vec<String> = (0..255).map(|i| format!("\"t{i}\"")).collect();
    let codebook = format!(
        "version = 1\nname = \"t\"\n[[columns]]\nname = \"text\"\nkind = \"categorical\"\nvalues = [{}]\n",
        values.join(", ")
    );
    let codebook = place.file("c.toml", codebook);
    let message = refused(&[&file, "--codebook", &codebook], 5, "codebook_invalid");
    assert!(message.contains("254"), "{message}");
}

#[test]
fn contradicting_rows_of_one_person_are_refused_without_their_values() {
    let place = Place::new();
    let file = place.file("t.csv", "id,age\na,31337\nb,41\na,42\n");
    let message = refused(&[&file, "--person-key", "id"], 5, "code_conflicting_rows");
    assert!(
        message.contains("lines 2 and 4") && !message.contains("31337"),
        "{message}"
    );
    let report = validate(&[&file, "--person-key", "id", "--on-duplicate", "last"]).succeeded();
    assert_eq!(
        (&report["people"], &report["overruled_rows"]),
        (&2.into(), &1.into())
    );
    let no_key = place.file("n.csv", "id,age\na,40\n,41\n");
    let message = refused(&[&no_key, "--person-key", "id"], 5, "code_no_person_key");
    assert!(message.contains("line 3"), "{message}");
}

#[test]
fn negative_and_huge_numbers_are_coded_or_refused_but_never_wrong() {
    let place = Place::new();
    let file = place.file(
        "t.csv",
        "t,x,y\n-40,1e9,5\n-1,-1e9,99999999999999999999999999999999999999999\n-7,0.5,6\n",
    );
    let report = validate(&[&file]).succeeded();
    let columns = &report["columns"];
    assert_eq!(
        (&columns[0]["min"], &columns[0]["max"]),
        (&"-40".into(), &"-1".into())
    );
    assert_eq!(columns[1]["rounding"], true, "{columns}");
    assert_ne!(
        columns[2]["kind"], "exact",
        "a number beyond 128 bits is not rounded in silence"
    );
    let codebook = place.file(
        "c.toml",
        "version = 1\nname = \"t\"\n[[columns]]\nname = \"t\"\nkind = \"exact\"\nmin = -20\nstep = 1\nmax = 0\n",
    );
    let message = refused(&[&file, "--codebook", &codebook], 5, "code_refused");
    assert!(
        message.contains("line 2") && message.contains("outside"),
        "{message}"
    );
    assert!(
        !message.contains("-40"),
        "a health fact in a message: {message}"
    );
}

#[test]
fn codebooks_that_cannot_be_used_are_explained() {
    let place = Place::new();
    let file = place.file("good.csv", good());
    let with = |codebook: &str, exit, code| refused(&[&file, "--codebook", codebook], exit, code);
    with(
        place.path("absent.toml").to_str().unwrap(),
        3,
        "codebook_not_found",
    );
    with(place.root().to_str().unwrap(), 5, "codebook_not_a_file");
    with(
        &place.file("latin1.toml", b"name = \"Jos\xe9\"\n"),
        5,
        "codebook_not_utf8",
    );
    with(
        &place.file("broken.toml", "version = 1\nname ="),
        5,
        "codebook_invalid",
    );
    with(&place.file("table.toml", good()), 5, "codebook_invalid");
    let other = "version = 1\nname = \"t\"\n[[columns]]\nname = \"height\"\nkind = \"exact\"\nmin = 0\nstep = 1\nmax = 9\n";
    with(&place.file("other.toml", other), 3, "read_unknown_column");
}

#[test]
fn codebooks_are_written_whole_and_never_over_another_file() {
    let place = Place::new();
    let file = place.file("good.csv", good());
    let target = place.path("book.toml");
    let write = [
        "--person-key",
        "id",
        "--write-codebook",
        target.to_str().unwrap(),
    ];
    let args: Vec<&str> = [file.as_str()].into_iter().chain(write).collect();
    let report = validate(&args).succeeded();
    assert_eq!(report["codebook"]["written"], target.to_str().unwrap());
    let written = fs::read_to_string(&target).unwrap();
    let again = validate(&[&file, "--codebook", target.to_str().unwrap()]).succeeded();
    assert_eq!(again["codebook"]["hash"], report["codebook"]["hash"]);
    assert_eq!(again["person_key"], "id");
    refused(&args, 2, "codebook_exists");
    assert_eq!(fs::read_to_string(&target).unwrap(), written);
    refused(&[&file, "--write-codebook", &file], 2, "codebook_is_data");
    let nowhere = place.path("no/such/book.toml");
    refused(
        &[&file, "--write-codebook", nowhere.to_str().unwrap()],
        1,
        "codebook_not_written",
    );
    assert_eq!(place.names(), ["book.toml", "good.csv"]);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = Place::new();
    let file = place.file("good.csv", good());
    if !Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    refused(&[&file, "--write-codebook", "/dev/full"], 1, "disk_full");
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let out = salus(["dataset", "validate", &file, "--json"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let run = Run::of(out);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("error[stdout]") && run.stderr.contains("next: "),
        "{}",
        run.stderr
    );

    let small = place.path("small");
    fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"])
        .arg(&small)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not mount a small disk");
        return;
    }
    let labels: String = (0..200)
        .map(|i| format!("{}-{},{i}\n", "label".repeat(20), i % 100))
        .collect();
    let big = place.file("big.csv", format!("label,n\n{labels}"));
    let target = small.join("book.toml");
    let run = validate(&[&big, "--write-codebook", target.to_str().unwrap()]);
    let left: Vec<_> = fs::read_dir(&small).unwrap().collect();
    let unmounted = std::process::Command::new("umount")
        .arg(&small)
        .status()
        .unwrap();
    assert!(unmounted.success());
    run.failed(1, "disk_full");
    assert!(left.is_empty(), "half-written: {left:?}");
}

#[test]
fn a_reader_who_leaves_early_is_no_error() {
    let place = Place::new();
    let file = place.file("good.csv", good());
    let mut child = salus(["dataset", "validate", &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// Starts validating a table and changes the file as soon as it is being read.
#[cfg(target_os = "linux")]
fn while_reading(place: &Place, change: impl Fn(&Path)) -> Run {
    let path = place.path("large.csv");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    writeln!(file, "a,b,c,d").unwrap();
    for i in 0..3_000_000u32 {
        writeln!(file, "{},{},{},{}", i % 100, i % 7, i % 50, i % 3).unwrap();
    }
    file.into_inner().unwrap();
    let child = salus(["dataset", "validate", path.to_str().unwrap(), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let reads = || {
        let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target == path)
    };
    let start = std::time::Instant::now();
    while !reads() {
        assert!(start.elapsed().as_secs() < 60, "the table was never opened");
        std::thread::yield_now();
    }
    change(&path);
    Run::of(child.wait_with_output().unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_that_vanishes_or_changes_is_noticed() {
    let place = Place::new();
    let vanished = while_reading(&place, |path| fs::remove_file(path).unwrap());
    vanished.failed(3, "read_vanished");
    let changed = while_reading(&place, |path| {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"1,2,3,4\n").unwrap();
    });
    changed.failed(7, "read_changed");
    // Nothing was left that would stop the next run.
    let file = place.file("large.csv", good());
    validate(&[&file]).succeeded();
}

#[test]
fn the_doctor_tells_what_will_not_work() {
    let place = Place::new();
    let run = Run::of(
        salus(["doctor", "--json"])
            .env("SALUS_HOME", place.root())
            .output()
            .unwrap(),
    );
    let report = run.succeeded();
    assert_eq!(report["healthy"], true, "{report}");
    let keys = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "keys for pilots");
    assert_eq!(
        keys.unwrap()["status"],
        "warn",
        "keys are not made by a check"
    );
    let blocked = place.file("file", "");
    let run = Run::of(
        salus(["doctor", "--json"])
            .env("SALUS_HOME", blocked)
            .output()
            .unwrap(),
    );
    let document = run.failed(1, "doctor_failed");
    assert_eq!(document["error"]["detail"]["healthy"], false);
    let run = Run::of(
        salus(["doctor", "--json"])
            .env("SALUS_MODE", "prod")
            .output()
            .unwrap(),
    );
    run.failed(1, "doctor_failed");
}

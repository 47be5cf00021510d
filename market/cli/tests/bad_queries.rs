//! Queries that cannot be asked, and dry runs, against the real binary.
#![allow(clippy::unwrap_used)]

mod driver;

use driver::{Place, Run, json, plain};

fn lint(query: &str) -> Run {
    json(["query", "lint", query])
}

#[test]
fn queries_that_cannot_be_asked_are_refused_with_the_place() {
    let document =
        lint("SELECT COUNT(*) FROM d WHERE hieght > 3").failed(6, "query_unknown_column");
    let at = &document["error"]["detail"]["refusal"]["at"];
    assert_eq!(
        (&at["line"], &at["column"], &at["length"]),
        (&1.into(), &30.into(), &6.into())
    );
    let text = plain(["query", "lint", "SELECT COUNT(*)\nFROM d WHERE hieght > 3"]);
    let lines: Vec<&str> = text.stderr.lines().collect();
    let words = lines
        .iter()
        .position(|line| line.contains("line 2, column 14: "))
        .unwrap();
    assert_eq!(
        lines[words].find("hieght"),
        lines[words + 1].find("^^^^^^"),
        "{}",
        text.stderr
    );
    lint("SELECT MAX(age) FROM d").failed(6, "query_extreme_refused");
    lint("SELECT * FROM d").failed(6, "query_record_refused");
    lint("SELECT COUNT(*) FROM d WHERE age = 40 OR sex = 'male'")
        .failed(6, "query_or_across_columns");
    lint(&format!(
        "SELECT COUNT(*) FROM d WHERE {}",
        "(".repeat(20_000)
    ))
    .failed(6, "query_too_long");
    let deep = format!(
        "SELECT COUNT(*) FROM d WHERE {}age = 40{}",
        "(".repeat(2_000),
        ")".repeat(2_000)
    );
    lint(&deep).failed(6, "query_too_deep");
}

#[test]
fn what_is_no_query_is_invalid() {
    lint("SELECT COUNT(* FROM d").failed(5, "query_syntax");
    lint("").failed(6, "query_statement_refused");
    lint("{\"version\": 1").failed(5, "query_json");
    lint("{\"version\": 7, \"measures\": [{\"op\": \"count\"}], \"where\": [], \"group_by\": []}")
        .failed(5, "query_version");
}

#[test]
fn the_canonical_form_reads_back_as_the_same_query() {
    let first = lint("SELECT sex, AVG(bmi) FROM d WHERE age > 40 GROUP BY sex").succeeded();
    for again in [
        first["sql"].as_str().unwrap().to_owned(),
        first["canonical"].to_string(),
    ] {
        assert_eq!(lint(&again).succeeded()["hash"], first["hash"], "{again}");
    }
    let plan = json(["query", "plan", first["sql"].as_str().unwrap()]).succeeded();
    assert_eq!(plan["body_hash"], first["hash"]);
    assert_eq!(
        plan["plan_bytes"],
        (plan["plan"].as_str().unwrap().len() - 2) / 2
    );
}

#[test]
fn a_dry_run_answers_suppresses_and_refuses_as_the_engine_does() {
    let dry = |query: &str, more: &[&str]| json(["query", "dry-run", query].iter().chain(more));
    let answer = dry(
        "SELECT sex, AVG(cholesterol), COUNT(*) FROM d GROUP BY sex",
        &[],
    )
    .succeeded();
    assert_eq!(
        (&answer["dry_run"], &answer["clear_text_equal"]),
        (&true.into(), &true.into())
    );
    assert_eq!(answer["rows"].as_array().unwrap().len(), 2);
    let few = dry(
        "SELECT smoking, COUNT(*) FROM d GROUP BY smoking",
        &["--min-cell", "600"],
    )
    .succeeded();
    let rows = few["rows"].as_array().unwrap();
    let hidden = rows
        .iter()
        .filter(|row| row["suppressed"] == true)
        .collect::<Vec<_>>();
    assert!(!hidden.is_empty() && hidden.len() < rows.len(), "{few}");
    assert!(
        hidden.iter().all(|row| row["count"].is_null()),
        "suppressed is not 0: {few}"
    );
    // Nobody is both: an empty result is withheld, not shown as 0.
    let nobody =
        "SELECT COUNT(*) FROM d WHERE age = 18 AND visits = 20 AND hba1c > 13 AND bmi < 17";
    dry(nobody, &[]).failed(6, "cohort_below_minimum");
    dry("SELECT COUNT(*) FROM d", &["--members", "1"]).failed(6, "cohort_below_minimum");
    dry("SELECT COUNT(*) FROM d", &["--members", "0"]).failed(2, "usage");
    let text = plain(["query", "dry-run", "SELECT COUNT(*) FROM d"]);
    assert!(text.stdout.starts_with("DRY RUN"), "{}", text.stdout);
}

#[test]
fn a_dry_run_works_for_any_codebook() {
    let place = Place::new();
    let codebook = place.file(
        "c.toml",
        "version = 1\nname = \"clinic\"\nperson_key = \"pid\"\n\
         [[columns]]\nname = \"ward\"\nkind = \"categorical\"\nvalues = [\"a,b\", \"say \\\"x\\\"\"]\nmissing = [\"\"]\n\
         [[columns]]\nname = \"grams\"\nkind = \"exact\"\nmin = \"-0.5\"\nstep = \"0.5\"\nmax = 4000\nmissing = [\"NA\"]\n\
         [[columns]]\nname = \"band\"\nkind = \"bucketed\"\nedges = [0, 10, 50]\n",
    );
    let query = "SELECT ward, SUM(grams), COUNT(*) FROM d WHERE band >= 10 GROUP BY ward";
    let answer = json([
        "query",
        "dry-run",
        query,
        "--codebook",
        &codebook,
        "--members",
        "3000",
    ])
    .succeeded();
    assert_eq!(
        (&answer["people"], &answer["people_are"]),
        (&3000.into(), &"random".into())
    );
    assert_eq!(answer["rows"].as_array().unwrap().len(), 2);
    assert_eq!(answer["clear_text_equal"], true);
}

#[test]
fn wrong_words_are_a_usage_error_in_one_document() {
    for words in [
        &["dataset", "validate"][..],
        &["nonsense"],
        &["query", "dry-run", "x", "--members", "many"],
    ] {
        json(words).failed_usage();
    }
}

impl Run {
    fn failed_usage(&self) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert_eq!(self.document()["error"]["code"], "usage");
        assert!(self.stderr.contains("--help"), "{}", self.stderr);
    }
}

//! Coded, planned and decoded answers equal the clear-text oracle's, and both equal answers that
//! other engines computed from the same files.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use salus_datasets::code::{CodedDataset, CodingOptions, code_table};
use salus_datasets::oracle::{ClearAnswer, OracleError, answers};
use salus_datasets::people::OnDuplicate;
use salus_datasets::profile::{ProfileOptions, infer_codebook};
use salus_datasets::read::ReadOptions;
use salus_datasets::synthetic;
use salus_schema::answer::{Answer, PassValues};
use salus_schema::codebook::Codebook;
use salus_schema::column::{Category, Column, Value};
use salus_schema::decimal::Decimal;
use salus_schema::plan::VALUES;
use salus_schema::planner::plan;
use salus_schema::query::Query;

/// What the proven path publishes: the plan's tables over the codes, suppression, decoding.
fn through_codes(data: &CodedDataset, query: &Query, min_cell: u64) -> Answer {
    let (plan, decoder) = plan(query, &data.codebook).unwrap();
    let histogram = |pass: &salus_schema::plan::Pass| {
        let mut cells = vec![0u64; usize::from(pass.class().cells())];
        for person in 0..data.people {
            let codes: Vec<u8> = pass
                .columns()
                .iter()
                .map(|c| data.columns[usize::from(c.0)][person])
                .collect();
            if let Some(cell) = pass.evaluate(&codes) {
                cells[cell] += 1;
            }
        }
        cells
    };
    let histograms: Vec<Vec<u64>> = plan.passes().iter().map(histogram).collect();
    let publish = |masks: &[u64]| -> Vec<[u64; VALUES]> {
        let passes = plan.passes().iter().zip(&histograms).zip(masks);
        passes
            .map(|((pass, cells), &mask)| pass.publish(cells, mask).unwrap())
            .collect()
    };
    let base: Vec<u64> = plan.passes().iter().map(|pass| pass.base_mask()).collect();
    let suppression = decoder
        .suppression_masks(&publish(&base), min_cell)
        .unwrap();
    let published: Vec<PassValues> = publish(&suppression.masks)
        .into_iter()
        .zip(&suppression.masks)
        .map(|(values, &mask)| PassValues { values, mask })
        .collect();
    decoder.decode(&published).unwrap()
}

/// Both answers to every query, asserted equal.
fn both(
    path: &Path,
    codebook: &Codebook,
    queries: &[String],
    min_cell: u64,
    options: &CodingOptions,
) -> Vec<ClearAnswer> {
    let data = code_table(path, codebook, None, options).unwrap();
    let asked: Vec<Query> = queries
        .iter()
        .map(|sql| Query::from_sql(sql, codebook).unwrap_or_else(|e| panic!("{sql}: {e}")))
        .collect();
    let clear = answers(path, codebook, &asked, min_cell, options).unwrap();
    for ((sql, query), clear) in queries.iter().zip(&asked).zip(&clear) {
        assert_eq!(through_codes(&data, query, min_cell), clear.answer, "{sql}");
        assert_eq!(clear.people, data.people as u64);
    }
    clear
}

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SALUS_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!(
        "skipped: {} is not there (set SALUS_SHARED_DATA)",
        path.display()
    );
    None
}

fn quote(name: &str) -> String {
    format!("\"{name}\"")
}

fn literal(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

fn conditions(lists: &[&serde_json::Value]) -> String {
    let all: Vec<String> = lists
        .iter()
        .filter_map(|list| list.as_array())
        .flatten()
        .map(|condition| {
            let column = quote(condition[0].as_str().unwrap());
            match condition[1].as_str().unwrap() {
                "not_null" => format!("{column} IS NOT NULL"),
                "is_null" => format!("{column} IS NULL"),
                "==" => format!("{column} = {}", literal(&condition[2])),
                op => format!("{column} {op} {}", literal(&condition[2])),
            }
        })
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", all.join(" AND "))
    }
}

/// An expected figure: which query's row, and what it must hold.
struct Expected {
    id: String,
    query: usize,
    group: Option<String>,
    count: u64,
    sum: Option<f64>,
    mean: Option<f64>,
    deviation: Option<f64>,
    /// Relative tolerance of sum and mean: rounding at the source, or the printing of the file.
    tolerance: f64,
}

fn translate(file: &serde_json::Value, rounded: &[&str]) -> (Vec<String>, Vec<Expected>) {
    let (mut queries, mut expected) = (Vec::new(), Vec::new());
    for entry in file["queries"].as_array().unwrap() {
        let answer = &entry["answer"];
        let column = entry["column"].as_str().unwrap_or_default();
        let tolerance = if rounded.contains(&column) {
            1e-2
        } else {
            1e-9
        };
        let plain = conditions(&[&entry["where"]]);
        let mut ask = |sql: String| {
            queries.push(sql);
            queries.len() - 1
        };
        let mut expect =
            |query, group: Option<&str>, count: &serde_json::Value, figures: &serde_json::Value| {
                expected.push(Expected {
                    id: entry["id"].as_str().unwrap().into(),
                    query,
                    group: group.map(str::to_owned),
                    count: count.as_u64().unwrap(),
                    sum: figures["sum"].as_f64(),
                    mean: figures["mean"].as_f64(),
                    deviation: figures["sd_sample"].as_f64(),
                    tolerance,
                });
            };
        let none = serde_json::Value::Null;
        match entry["op"].as_str().unwrap() {
            "count" => {
                let query = ask(format!("SELECT COUNT(*) FROM d{plain}"));
                expect(query, None, &answer["count"], &none);
            }
            "group_count" => {
                let by = quote(entry["group_by"].as_str().unwrap());
                let query = ask(format!("SELECT {by}, COUNT(*) FROM d{plain} GROUP BY {by}"));
                for (group, count) in answer.as_object().unwrap() {
                    expect(query, Some(group), count, &none);
                }
            }
            "group_mean" => {
                let by = quote(entry["group_by"].as_str().unwrap());
                let m = quote(column);
                let query = ask(format!(
                    "SELECT {by}, COUNT({m}), SUM({m}), AVG({m}) FROM d{plain} GROUP BY {by}"
                ));
                for (group, figures) in answer.as_object().unwrap() {
                    expect(query, Some(group), &figures["n"], figures);
                }
            }
            "sum_mean" => {
                let m = quote(column);
                let query = ask(format!(
                    "SELECT COUNT({m}), SUM({m}), AVG({m}), STDDEV_SAMP({m}) FROM d{plain}"
                ));
                expect(query, None, &answer["n"], answer);
            }
            "proportion" => {
                let query = ask(format!("SELECT COUNT(*) FROM d{plain}"));
                expect(query, None, &answer["denominator"], &none);
                let narrower = conditions(&[&entry["where"], &entry["numerator_where"]]);
                let query = ask(format!("SELECT COUNT(*) FROM d{narrower}"));
                expect(query, None, &answer["numerator"], &none);
            }
            "histogram" => {
                let bins: Vec<i64> = entry["bins"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|b| b.as_i64().unwrap())
                    .collect();
                let joint = if plain.is_empty() { " WHERE" } else { " AND" };
                for (pair, count) in bins.windows(2).zip(answer["counts"].as_array().unwrap()) {
                    let (c, from, to) = (quote(column), pair[0], pair[1]);
                    let query = ask(format!(
                        "SELECT COUNT(*) FROM d{plain}{joint} {c} >= {from} AND {c} < {to}"
                    ));
                    expect(query, None, count, &none);
                }
            }
            other => panic!("unknown operation {other}"),
        }
    }
    (queries, expected)
}

fn near(found: f64, wanted: f64, tolerance: f64) -> bool {
    (found - wanted).abs() <= tolerance * wanted.abs().max(1e-12)
}

fn compare(
    dataset: &str,
    file: &str,
    person_key: Option<&str>,
    rounded: &[&str],
) -> Option<Vec<salus_datasets::profile::SkippedColumn>> {
    let (data, expected) = (shared(file)?, shared(&format!("expected/{dataset}.json"))?);
    let options = ProfileOptions {
        person_key: person_key.map(str::to_owned),
        ..ProfileOptions::default()
    };
    let (codebook, skipped) = infer_codebook(&data, &options).unwrap();
    let text = std::fs::read_to_string(expected).unwrap();
    let (queries, expected) = translate(&serde_json::from_str(&text).unwrap(), rounded);
    let answers = both(&data, &codebook, &queries, 1, &CodingOptions::default());
    for wanted in &expected {
        let (sql, rows) = (&queries[wanted.query], &answers[wanted.query].answer.rows);
        let row = rows
            .iter()
            .find(|row| match &wanted.group {
                Some(group) => row.group[0].1 == *group,
                None => row.group.is_empty(),
            })
            .unwrap_or_else(|| panic!("{}: no group {:?} in {sql}", wanted.id, wanted.group));
        let id = &wanted.id;
        let count = row.count_of.unwrap_or(row.count);
        assert_eq!(count, Some(wanted.count), "{id}: {sql}");
        if let Some(sum) = wanted.sum {
            let found = row.sum.unwrap().unwrap();
            assert!(
                near(found.to_f64(), sum, wanted.tolerance),
                "{id}: {found} for {sum}"
            );
        }
        if let Some(mean) = wanted.mean {
            let found = row.avg.unwrap().unwrap();
            assert!(
                near(found, mean, wanted.tolerance),
                "{id}: {found} for {mean}"
            );
        }
        if let Some(deviation) = wanted.deviation {
            let found = row.stddev_samp.unwrap().unwrap();
            assert!(
                near(found, deviation, wanted.tolerance),
                "{id}: {found} for {deviation}"
            );
        }
    }
    println!(
        "{dataset}: {} figures from {} queries equal",
        expected.len(),
        queries.len()
    );
    Some(skipped)
}

#[test]
fn nhefs_answers_equal_those_of_other_engines() {
    if let Some(skipped) = compare("nhefs", "nhefs/nhefs.csv", Some("seqn"), &["wt82_71"]) {
        let names: Vec<&str> = skipped.iter().map(|column| column.name.as_str()).collect();
        assert!(
            names.contains(&"rownames") && names.contains(&"id"),
            "{names:?}"
        );
        assert!(
            !names.contains(&"seqn") && !names.contains(&"wt82_71"),
            "{names:?}"
        );
    }
}

#[test]
fn heart_cleveland_answers_equal_those_of_other_engines() {
    compare(
        "heart_cleveland",
        "heart_cleveland/heart_disease.tab",
        None,
        &[],
    );
}

#[test]
fn brfss_floats_are_whole_numbers_and_its_answers_those_of_a_naive_count() {
    let Some(path) = shared("brfss2015/diabetes_binary_health_indicators_BRFSS2015.csv.gz") else {
        return;
    };
    let started = std::time::Instant::now();
    let (codebook, skipped) = infer_codebook(&path, &ProfileOptions::default()).unwrap();
    println!("profiled in {:?}", started.elapsed());
    assert!(skipped.is_empty());
    assert!(
        codebook
            .columns()
            .iter()
            .all(|column| !column.nullable() && !column.kind().is_wide())
    );
    let started = std::time::Instant::now();
    let columns = ["BMI", "Age", "Sex", "Smoker"].map(str::to_owned);
    let data = code_table(&path, &codebook, Some(&columns), &CodingOptions::default()).unwrap();
    println!("coded in {:?}", started.elapsed());
    assert_eq!((data.people, data.columns.len()), (253_680, 4));

    let sql = "SELECT COUNT(*), AVG(BMI) FROM d WHERE Smoker = 1 AND Sex = 0 AND Age >= 9";
    let query = Query::from_sql(sql, &data.codebook).unwrap();
    let started = std::time::Instant::now();
    let clear = answers(
        &path,
        &codebook,
        std::slice::from_ref(&query),
        10,
        &CodingOptions::default(),
    )
    .unwrap();
    println!("answered in {:?}", started.elapsed());
    assert_eq!(through_codes(&data, &query, 10), clear[0].answer);

    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let (bmi, age, sex, smoker) = (at("BMI"), at("Age"), at("Sex"), at("Smoker"));
    let (mut count, mut sum) = (0u64, 0f64);
    for line in lines {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        if cells[smoker] == 1.0 && cells[sex] == 0.0 && cells[age] >= 9.0 {
            count += 1;
            sum += cells[bmi];
        }
    }
    let row = &clear[0].answer.rows[0];
    assert_eq!(row.count, Some(count));
    assert_eq!(row.avg, Some(Some(sum / count as f64)));
}

#[test]
fn the_synthetic_cohort_answers_alike_through_codes_and_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cohort.csv");
    std::fs::write(&path, synthetic::csv(2_000, synthetic::DEFAULT_SEED)).unwrap();
    let queries = [
        "SELECT COUNT(*) FROM d",
        "SELECT COUNT(*) FROM d WHERE hba1c IS NULL",
        "SELECT COUNT(*), COUNT(hba1c), AVG(hba1c), STDDEV_SAMP(hba1c) FROM d WHERE diabetes = 'yes'",
        "SELECT region, COUNT(*) FROM d GROUP BY region",
        "SELECT sex, region, COUNT(*), SUM(cholesterol) FROM d WHERE age >= 65 GROUP BY sex, region",
        "SELECT bucket(age, 10), AVG(systolic_bp), VAR_SAMP(systolic_bp) FROM d GROUP BY bucket(age, 10)",
        "SELECT smoking, AVG(bmi) FROM d WHERE smoking >= 'former' AND region IN ('North','South') GROUP BY smoking",
        "SELECT visits, COUNT(*) FROM d WHERE NOT (visits BETWEEN 3 AND 5) GROUP BY visits",
        "SELECT COUNT(*) FROM d WHERE bmi > 29.95 OR bmi IS NULL",
        "SELECT SUM(hba1c) FROM d WHERE hba1c <> 5.5",
        "SELECT COUNT(*) FROM d WHERE age > 95",
    ]
    .map(str::to_owned);
    for min_cell in [1, 10, 60] {
        let found = both(
            &path,
            &synthetic::codebook().unwrap(),
            &queries,
            min_cell,
            &CodingOptions::default(),
        );
        assert!(
            found[10].answer.rows[0].suppressed,
            "an empty result is withheld, never 0"
        );
        assert_eq!(found[10].cohort, 0);
        assert!(!found[10].allows(1));
    }
}

#[test]
fn the_oracle_treats_people_as_the_coder_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "id,v\na,1\nb,2\na,3\nb,2\na,5\n").unwrap();
    let of = |n: i64| Decimal::from(n);
    let column = Column::exact("v", (of(0), of(1), of(9)), false, vec![]).unwrap();
    let codebook = Codebook::new("t", Some("id".into()), vec![column]).unwrap();
    let queries = ["SELECT COUNT(*), SUM(v) FROM d".to_owned()];
    let sum = |on_duplicate| {
        let options = CodingOptions {
            on_duplicate,
            ..CodingOptions::default()
        };
        both(&path, &codebook, &queries, 1, &options)[0].answer.rows[0]
            .sum
            .unwrap()
            .unwrap()
    };
    assert_eq!(sum(OnDuplicate::First), of(3));
    assert_eq!(sum(OnDuplicate::Last), of(7));
    let asked = [Query::from_sql(&queries[0], &codebook).unwrap()];
    let refused = answers(&path, &codebook, &asked, 1, &CodingOptions::default()).unwrap_err();
    assert!(matches!(
        refused,
        OracleError::ConflictingRows {
            first: 2,
            second: 4
        }
    ));
}

/// Label, whole number, hundredths of `wide` and of `half`, number in `range`.
type RandomRow = (usize, Option<i64>, Option<i64>, Option<i64>, i64);

/// A random table: its cells as texts, the values they must decode to, and its CSV form.
#[derive(Clone, Debug)]
struct RandomTable {
    rows: Vec<RandomRow>,
    separator: char,
    crlf: bool,
    batch_bytes: usize,
}

const LABELS: [&str; 4] = ["red", "a,b", "say \"x\"", "\u{fc}ber"];

impl RandomTable {
    fn codebook() -> Codebook {
        let decimal = |m: i128, scale| Decimal::new(m, scale).unwrap();
        let labels = LABELS.iter().map(|&label| Category::plain(label)).collect();
        let missing = || vec![String::new(), "NA".to_owned()];
        let whole = (Decimal::from(-20), Decimal::from(1), Decimal::from(100));
        let wide = (decimal(-30_000, 2), decimal(1, 2), decimal(30_000, 2));
        let half = (Decimal::from(0), decimal(5, 1), Decimal::from(50));
        let edges = [0, 10, 25, 50].map(Decimal::from).to_vec();
        Codebook::new(
            "random",
            Some("key".into()),
            vec![
                Column::categorical("label", labels, vec![]).unwrap(),
                Column::exact("whole", whole, false, missing()).unwrap(),
                Column::exact("wide", wide, false, missing()).unwrap(),
                Column::exact("half", half, true, missing()).unwrap(),
                Column::bucketed("range", edges, vec![]).unwrap(),
            ],
        )
        .unwrap()
    }

    /// The value of `half`, given in hundredths, after rounding to halves away from zero.
    fn rounded(hundredths: i64) -> Decimal {
        Decimal::new(i128::from((hundredths + 25) / 50 * 5), 1).unwrap()
    }

    fn csv(&self) -> String {
        let end = if self.crlf { "\r\n" } else { "\n" };
        let s = self.separator;
        let mut text = format!("half{s}key{s}label{s}unused{s}wide{s}whole{s}range{end}");
        for (i, &(label, whole, wide, half, range)) in self.rows.iter().enumerate() {
            let label = LABELS[label].replace('"', "\"\"");
            let text_of =
                |value: Option<String>| value.unwrap_or_else(|| ["", "NA", "\"\""][i % 3].into());
            let hundredths = |v: i64| {
                let sign = if v < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", v.abs() / 100, v.abs() % 100)
            };
            let (half, wide) = (text_of(half.map(hundredths)), text_of(wide.map(hundredths)));
            let whole = text_of(whole.map(|v| {
                if i % 2 == 0 {
                    v.to_string()
                } else {
                    format!("{v}.0")
                }
            }));
            // Every third person has two rows that say the same.
            let line = format!("{half}{s}p{i}{s}\"{label}\"{s}x{s}{wide}{s}{whole}{s}{range}{end}");
            text.push_str(&line);
            if i % 3 == 0 {
                text.push_str(&line);
            }
        }
        text
    }
}

fn random_table() -> impl Strategy<Value = RandomTable> {
    let maybe = |range: std::ops::RangeInclusive<i64>| proptest::option::weighted(0.85, range);
    let row = (
        0..4usize,
        maybe(-20..=100),
        maybe(-30_000..=30_000),
        maybe(0..=5_000),
        0..50i64,
    );
    let rows = proptest::collection::vec(row, 1..60);
    let separator = proptest::sample::select(vec![',', ';', '\t', '|']);
    (rows, separator, any::<bool>(), 1..400usize).prop_map(
        |(rows, separator, crlf, batch_bytes)| RandomTable {
            rows,
            separator,
            crlf,
            batch_bytes,
        },
    )
}

fn random_query() -> impl Strategy<Value = String> {
    let select = vec![
        "COUNT(*)",
        "COUNT(*), COUNT(whole), SUM(whole), AVG(whole)",
        "VAR_SAMP(half), STDDEV_SAMP(half), SUM(half)",
        "COUNT(*), SUM(wide), AVG(wide)",
        "COUNT(wide)",
    ];
    let filter = vec![
        "",
        " WHERE whole >= 10 AND half < 30",
        " WHERE label IN ('red', 'a,b') AND whole IS NOT NULL",
        " WHERE NOT (whole BETWEEN 0 AND 50) AND wide IS NOT NULL",
        " WHERE half IS NULL OR half > 12.3",
        " WHERE range >= 10 AND label <> 'say \"x\"'",
        " WHERE wide IS NULL",
    ];
    let group = vec![
        "",
        "label",
        "bucket(whole, 25)",
        "label, range",
        "range",
        "bucket(half, 20), label",
    ];
    let pick = proptest::sample::select;
    (pick(select), pick(filter), pick(group)).prop_map(|(select, filter, group)| match group {
        "" => format!("SELECT {select} FROM d{filter}"),
        group => format!("SELECT {group}, {select} FROM d{filter} GROUP BY {group}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn coding_and_decoding_gives_back_the_source(table in random_table()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, table.csv()).unwrap();
        let read = ReadOptions {
            delimiter: Some(table.separator as u8),
            batch_bytes: table.batch_bytes,
            ..ReadOptions::default()
        };
        let options = CodingOptions { read, ..CodingOptions::default() };
        let codebook = RandomTable::codebook();
        let data = code_table(&path, &codebook, None, &options).unwrap();
        prop_assert_eq!(data.people, table.rows.len());
        prop_assert_eq!(data.report.collapsed_rows, table.rows.len().div_ceil(3) as u64);
        prop_assert_eq!(&data.report.unused_columns, &["unused".to_owned()]);
        let number = |value: Option<Decimal>| value.map_or(Value::Missing, Value::Number);
        let hundredths = |value: i64| Decimal::new(i128::from(value), 2).unwrap();
        let edges = [0, 10, 25, 50];
        let mut rounded = 0;
        for (person, &(label, whole, wide, half, range)) in table.rows.iter().enumerate() {
            let codes = data.record(person).unwrap();
            let bucket = edges.windows(2).find(|e| e[0] <= range && range < e[1]).unwrap();
            let expected = [
                Value::Label(LABELS[label].to_owned()),
                number(whole.map(Decimal::from)),
                number(wide.map(hundredths)),
                number(half.map(RandomTable::rounded)),
                Value::Bucket { from: Decimal::from(bucket[0]), to: Decimal::from(bucket[1]) },
            ];
            let weight = 1 + u64::from(person % 3 == 0);
            rounded += weight * u64::from(half.is_some_and(|half| half % 50 != 0));
            for (logical, expected) in expected.into_iter().enumerate() {
                let first = usize::from(codebook.first_physical(logical).unwrap().0);
                let wide = codebook.columns()[logical].kind().is_wide();
                let found = codebook.decode(logical, &codes[first..=first + usize::from(wide)]);
                prop_assert_eq!(found.unwrap(), expected);
            }
        }
        prop_assert_eq!(data.report.columns[3].rounded, rounded);
    }

    #[test]
    fn the_oracle_equals_the_decoded_plan(
        table in random_table(),
        queries in proptest::collection::vec(random_query(), 1..6),
        min_cell in 0..8u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, table.csv()).unwrap();
        let read = ReadOptions {
            delimiter: Some(table.separator as u8),
            batch_bytes: table.batch_bytes,
            ..ReadOptions::default()
        };
        let options = CodingOptions { read, ..CodingOptions::default() };
        both(&path, &RandomTable::codebook(), &queries, min_cell, &options);
    }
}

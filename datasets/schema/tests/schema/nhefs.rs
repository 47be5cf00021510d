//! The whole way on real people: infer a codebook, plan, evaluate the tables, compare with published answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use salus_schema::answer::PassValues;
use salus_schema::codebook::Codebook;
use salus_schema::decimal::Decimal;
use salus_schema::infer::{ColumnProfile, DISTINCT_CAP, NumberProfile, infer};
use salus_schema::planner;
use salus_schema::query::Query;
use serde_json::Value;

use crate::cohort::{self, Person};

struct Cohort {
    codebook: Codebook,
    people: Vec<Person>,
}

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SALUS_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = folder.join("nhefs/nhefs.csv");
    file.exists().then_some(file)
}

fn profile(name: &str, values: &[Option<String>]) -> ColumnProfile {
    let mut distinct: BTreeMap<&str, u64> = BTreeMap::new();
    for value in values.iter().flatten() {
        *distinct.entry(value).or_default() += 1;
    }
    let numbers: Option<Vec<Decimal>> = distinct.keys().map(|v| v.parse().ok()).collect();
    ColumnProfile {
        name: name.to_owned(),
        rows: values.len() as u64,
        missing: values.iter().filter(|v| v.is_none()).count() as u64,
        missing_markers: Vec::new(),
        distinct_capped: distinct.len() > DISTINCT_CAP,
        distinct: distinct
            .iter()
            .take(DISTINCT_CAP)
            .map(|(v, n)| ((*v).to_owned(), *n))
            .collect(),
        numbers: numbers.filter(|n| !n.is_empty()).map(|n| NumberProfile {
            min: *n.iter().min().unwrap(),
            max: *n.iter().max().unwrap(),
            decimals: n.iter().map(|d| d.scale()).max().unwrap(),
        }),
    }
}

fn read(file: PathBuf) -> Cohort {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut people: Vec<Person> = lines
        .map(|line| {
            let cells = line.split(',');
            cells
                .map(|c| (!c.is_empty() && c != "NA").then(|| c.to_owned()))
                .collect()
        })
        .collect();
    let key = names.iter().position(|n| *n == "seqn").unwrap();
    let mut columns = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let values: Vec<Option<String>> = people.iter().map(|p| p[i].clone()).collect();
        if i != key {
            columns.push(infer(&profile(name, &values)).unwrap());
        }
    }
    for person in &mut people {
        person.remove(key);
    }
    let codebook = Codebook::new("nhefs", Some("seqn".into()), columns).unwrap();
    Cohort { codebook, people }
}

impl Cohort {
    fn ask(&self, sql: &str) -> Value {
        let query = Query::from_sql(sql, &self.codebook).unwrap_or_else(|r| panic!("{sql}: {r}"));
        let (plan, decoder) = planner::plan(&query, &self.codebook).unwrap();
        let exact = cohort::totals(&plan, &self.codebook, &self.people);
        let published: Vec<PassValues> = exact
            .into_iter()
            .zip(plan.passes())
            .map(|(values, pass)| PassValues {
                values,
                mask: pass.base_mask(),
            })
            .collect();
        serde_json::to_value(decoder.decode(&published).unwrap()).unwrap()["rows"].take()
    }
}

#[test]
fn published_answers_come_out() {
    let Some(file) = shared() else {
        println!("skipped: shared data is not here");
        return;
    };
    let cohort = read(file);
    let again = Codebook::from_toml(&cohort.codebook.to_toml()).unwrap();
    assert_eq!(again, cohort.codebook);
    let known = "FROM nhefs WHERE wt82_71 IS NOT NULL";
    let count = cohort.ask(&format!("SELECT COUNT(*) {known}"));
    assert_eq!(count[0]["count"], 1566);
    for (column, sums) in [
        ("age", [49763.0, 18608.0]),
        ("wt71", [81762.2, 29159.02]),
        ("smokeintensity", [24646.0, 7497.0]),
        ("smokeyrs", [28014.0, 10491.0]),
    ] {
        let sql =
            format!("SELECT qsmk, COUNT(*), SUM({column}), AVG({column}) {known} GROUP BY qsmk");
        let rows = cohort.ask(&sql);
        for (row, (count, sum)) in rows
            .as_array()
            .unwrap()
            .iter()
            .zip([(1163, sums[0]), (403, sums[1])])
        {
            assert_eq!(row["count"], count);
            assert_eq!(row["sum"][column].as_f64(), Some(sum));
            let mean = row["avg"][column].as_f64().unwrap();
            assert!((mean - sum / f64::from(count)).abs() < 1e-12 * mean);
        }
    }
    let change = cohort.ask("SELECT AVG(wt82_71) FROM nhefs GROUP BY qsmk");
    assert!((change[1]["avg"]["wt82_71"].as_f64().unwrap() - 4.525_078_989_702_237).abs() < 0.005);
    let men = cohort.ask(&format!("SELECT COUNT(*) {known} AND qsmk = 1 AND sex = 0"));
    assert_eq!(men[0]["count"], 220);
    let dead = cohort.ask("SELECT COUNT(*) FROM nhefs WHERE death = 1");
    assert_eq!(dead[0]["count"], 318);
    let pressure = cohort.ask("SELECT COUNT(*) FROM nhefs WHERE sex = 0 GROUP BY bucket(sbp, 80, 100, 120, 140, 160, 180, 230)");
    let counts: Vec<u64> = pressure
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [14, 195, 334, 152, 45, 14]);
}

#[test]
fn every_column_name_can_be_asked_for() {
    let Some(file) = shared() else {
        println!("skipped: shared data is not here");
        return;
    };
    let codebook = read(file).codebook;
    for column in codebook.columns() {
        let name = column.name();
        for sql in [
            format!("SELECT AVG({name}) FROM t WHERE {name} IS NOT NULL"),
            format!("SELECT AVG(\"{name}\") FROM t WHERE {name} IS NULL OR NOT {name} IS NULL"),
        ] {
            let query = Query::from_sql(&sql, &codebook).unwrap_or_else(|r| panic!("{sql}: {r}"));
            let again = Query::from_sql(&query.to_sql(), &codebook).unwrap();
            assert_eq!(again, query);
        }
    }
}

//! Plans against a direct reading of SQL's three-valued logic over source values.

use proptest::prelude::*;
use salus_schema::planner;
use salus_schema::query::Query;
use serde_json::Value;

use crate::cohort::{self, Person, person};

const NAMES: [&str; 10] = [
    "qsmk",
    "age",
    "\"rest SBP\"",
    "wt82_71",
    "sex",
    "stage",
    "bmi",
    "c1",
    "c2",
    "c3",
];
const STAGES: [&str; 4] = ["I", "II", "III", "IV"];
const OPERATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

/// A condition on one column.
#[derive(Clone, Debug)]
enum Tree {
    Compare(usize, f64),
    Between(f64, f64, bool),
    In(Vec<f64>, bool),
    Null(bool),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

/// The number that stands for a value in comparisons.
fn rank(column: usize, person: &Person) -> Option<f64> {
    let text = person[column].as_deref()?;
    Some(match column {
        4 => f64::from(u8::from(text == "female")),
        5 => STAGES.iter().position(|s| *s == text).unwrap() as f64,
        _ => text.parse().unwrap(),
    })
}

fn literal(column: usize, value: f64) -> String {
    match column {
        4 => ["'male'", "'female'"][value as usize].into(),
        5 => format!("'{}'", STAGES[value as usize]),
        _ => value.to_string(),
    }
}

fn compare(op: usize, a: f64, b: f64) -> bool {
    match op {
        0 => a == b,
        1 => a != b,
        2 => a < b,
        3 => a <= b,
        4 => a > b,
        _ => a >= b,
    }
}

impl Tree {
    fn truth(&self, value: Option<f64>) -> Option<bool> {
        match self {
            Self::Compare(op, bound) => value.map(|v| compare(*op, v, *bound)),
            Self::Between(a, b, not) => value.map(|v| (*a <= v && v <= *b) != *not),
            Self::In(list, not) => value.map(|v| list.contains(&v) != *not),
            Self::Null(not) => Some(value.is_none() != *not),
            Self::Not(tree) => tree.truth(value).map(|t| !t),
            Self::And(a, b) => match (a.truth(value), b.truth(value)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.truth(value), b.truth(value)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    fn sql(&self, column: usize) -> String {
        let name = NAMES[column];
        let not = |not: bool| if not { "NOT " } else { "" };
        match self {
            Self::Compare(op, v) => format!("{name} {} {}", OPERATORS[*op], literal(column, *v)),
            Self::Between(a, b, n) => format!(
                "{name} {}BETWEEN {} AND {}",
                not(*n),
                literal(column, *a),
                literal(column, *b)
            ),
            Self::In(list, n) => {
                let list: Vec<_> = list.iter().map(|v| literal(column, *v)).collect();
                format!("{name} {}IN ({})", not(*n), list.join(", "))
            }
            Self::Null(n) => format!("{name} IS {}NULL", not(*n)),
            Self::Not(tree) => format!("NOT ({})", tree.sql(column)),
            Self::And(a, b) => format!("({} AND {})", a.sql(column), b.sql(column)),
            Self::Or(a, b) => format!("({} OR {})", a.sql(column), b.sql(column)),
        }
    }
}

fn tree(column: usize) -> BoxedStrategy<Tree> {
    let null = any::<bool>().prop_map(Tree::Null);
    let value: BoxedStrategy<f64> = match column {
        1 => (20..160i32).prop_map(|v| f64::from(v) / 2.0).boxed(),
        2 => (85..240i32).prop_map(f64::from).boxed(),
        4 => (0..2i32).prop_map(f64::from).boxed(),
        6 => prop::sample::select(vec![10.0, 12.0, 18.5, 25.0, 30.0, 80.0, 90.0]).boxed(),
        _ => (0..4i32).prop_map(f64::from).boxed(),
    };
    let leaf = match column {
        3 => null.boxed(),
        4 => prop_oneof![
            1 => null,
            3 => (0..2usize, value.clone()).prop_map(|(op, v)| Tree::Compare(op, v)),
            2 => (prop::collection::vec(value, 1..3), any::<bool>()).prop_map(|(l, n)| Tree::In(l, n)),
        ]
        .boxed(),
        6 => prop_oneof![
            1 => null,
            3 => (any::<bool>(), value).prop_map(|(less, v)| Tree::Compare(if less { 2 } else { 5 }, v)),
        ]
        .boxed(),
        _ => prop_oneof![
            1 => null,
            3 => (0..6usize, value.clone()).prop_map(|(op, v)| Tree::Compare(op, v)),
            2 => (value.clone(), value.clone(), any::<bool>()).prop_map(|(a, b, n)| Tree::Between(a, b, n)),
            2 => (prop::collection::vec(value, 1..4), any::<bool>()).prop_map(|(l, n)| Tree::In(l, n)),
        ]
        .boxed(),
    };
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| Tree::Not(Box::new(t))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
        ]
    })
    .boxed()
}

/// Conditions on a few columns, joined by AND or by NOT (NOT .. OR NOT ..).
fn conditions() -> impl Strategy<Value = Vec<(usize, Tree)>> {
    prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 0..4).prop_flat_map(|columns| {
        columns
            .into_iter()
            .map(|column| (Just(column), tree(column)))
            .collect::<Vec<_>>()
    })
}

fn group(spelled: &str, person: &Person) -> Option<String> {
    let column = match spelled {
        "bucket(age, 10)" => 1,
        other => NAMES.iter().position(|n| *n == other).unwrap(),
    };
    let text = person[column].clone()?;
    Some(match spelled {
        "bucket(age, 10)" => {
            let decade = text.parse::<u32>().unwrap() / 10 * 10;
            format!("[{decade},{})", decade + 10)
        }
        "bmi" => {
            let bmi: f64 = text.parse().unwrap();
            let edges = ["12", "18.5", "25", "30", "80"];
            let at = edges
                .iter()
                .rposition(|e| e.parse::<f64>().unwrap() <= bmi)
                .unwrap();
            format!("[{},{})", edges[at], edges[at + 1])
        }
        _ => text,
    })
}

fn hundredths(column: usize, person: &Person) -> Option<i128> {
    let number: salus_schema::decimal::Decimal = person[column].as_deref()?.parse().unwrap();
    number.scaled(2)
}

fn groupings() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(
        vec!["qsmk", "sex", "stage", "bmi", "bucket(age, 10)"],
        0..=2,
    )
    .prop_shuffle()
}

fn close(found: &Value, expected: Option<f64>) -> bool {
    match (found.as_f64(), expected) {
        (None, None) => found.is_null(),
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs().max(1.0),
        _ => false,
    }
}

/// Checks one row against the people who belong to it.
fn check_row(row: &Value, measured: usize, measures: &[&str], members: &[&Person]) {
    let values: Vec<i128> = members
        .iter()
        .filter_map(|p| hundredths(measured, p))
        .collect();
    let moments = measures.iter().any(|m| !m.starts_with("COUNT(*"));
    let suppressed = members.is_empty() || (moments && values.is_empty());
    assert_eq!(row["suppressed"], Value::Bool(suppressed), "{row}");
    let name = NAMES[measured].trim_matches('"');
    let (n, sum) = (values.len() as f64, values.iter().sum::<i128>());
    let count = if measures.contains(&"COUNT(*)") {
        members.len()
    } else {
        values.len()
    };
    if suppressed {
        assert!(row["count"].is_null());
    } else {
        assert_eq!(row["count"], Value::from(count), "{row}");
    }
    let mean = sum as f64 / 100.0 / n;
    let spread: f64 = values
        .iter()
        .map(|&v| (v as f64 / 100.0 - mean).powi(2))
        .sum();
    let variance = (n >= 2.0).then(|| spread / (n - 1.0));
    for measure in measures {
        let (key, expected) = match *measure {
            "SUM" => ("sum", Some(sum as f64 / 100.0)),
            "AVG" => ("avg", Some(mean)),
            "VAR_SAMP" => ("var_samp", variance),
            "STDDEV_SAMP" => ("stddev_samp", variance.map(f64::sqrt)),
            _ => continue,
        };
        let expected = expected.filter(|_| !suppressed);
        assert!(
            close(&row[key][name], expected),
            "{key}: {row} against {expected:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn tables_answer_as_sql_does(
        people in prop::collection::vec(person(), 0..60),
        conditions in conditions(),
        groups in groupings(),
        measured in prop::sample::select(vec![1usize, 2, 3]),
        asked in prop::sample::subsequence(vec!["COUNT(*)", "SUM", "AVG", "VAR_SAMP", "STDDEV_SAMP"], 1..=5),
        negated in any::<bool>(),
    ) {
        let measures: Vec<&str> = asked
            .into_iter()
            .filter(|m| measured != 3 || !m.ends_with("_SAMP"))
            .collect();
        prop_assume!(!measures.is_empty());
        let spelled: Vec<String> = measures
            .iter()
            .map(|m| if m.starts_with("COUNT") { (*m).to_owned() } else { format!("{m}({})", NAMES[measured]) })
            .collect();
        let mut sql = format!("SELECT {} FROM t", spelled.join(", "));
        let parts: Vec<String> = conditions.iter().map(|(c, t)| t.sql(*c)).collect();
        if !parts.is_empty() {
            sql += " WHERE ";
            sql += &if negated {
                let parts: Vec<String> = parts.iter().map(|p| format!("NOT ({p})")).collect();
                format!("NOT ({})", parts.join(" OR "))
            } else {
                parts.join(" AND ")
            };
        }
        if !groups.is_empty() {
            sql += &format!(" GROUP BY {}", groups.join(", "));
        }
        let query = match Query::from_sql(&sql, &cohort::codebook()) {
            Ok(query) => query,
            Err(refusal) => {
                prop_assert!(["no_groups", "too_many_groups"].contains(&refusal.code()), "{sql}: {refusal}");
                return Ok(());
            }
        };
        let read_back = Query::from_sql(&query.to_sql(), &cohort::codebook());
        prop_assert_eq!(read_back.unwrap().hash(), query.hash());
        let from_json = Query::from_json(&query.canonical_json(), &cohort::codebook());
        prop_assert_eq!(from_json.unwrap(), query);

        let accepted: Vec<&Person> = people
            .iter()
            .filter(|p| conditions.iter().all(|(c, t)| t.truth(rank(*c, p)) == Some(true)))
            .collect();
        let rows = cohort::answer(&sql, &people, 1);
        let mut placed = 0;
        for row in rows.as_array().unwrap() {
            let members: Vec<&Person> = accepted
                .iter()
                .filter(|p| groups.iter().all(|g| {
                    let name = if *g == "bucket(age, 10)" { "age" } else { g };
                    group(g, p).as_deref() == row["group"][name].as_str()
                }))
                .copied()
                .collect();
            placed += members.len();
            check_row(row, measured, &measures, &members);
        }
        let expected = accepted.iter().filter(|p| groups.iter().all(|g| group(g, p).is_some())).count();
        prop_assert_eq!(placed, expected);
    }

    #[test]
    fn any_text_is_answered_or_refused(text in "\\PC{0,80}") {
        let _ = Query::from_sql(&text, &cohort::codebook());
        let _ = Query::from_json(&text, &cohort::codebook());
    }

    #[test]
    fn any_words_of_sql_are_answered_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "COUNT", "(", ")", "*", "FROM", "t", "WHERE", "age", "=", "1", "AND", "OR", "NOT", "GROUP BY", ",",
        "bucket", "AVG", "'I'", "stage", "IN", "BETWEEN", "IS", "NULL", "-", "<", "bmi", "AS", "a", "CASE", ".", "\n",
    ]), 0..25)) {
        let sql = format!("SELECT COUNT(*) FROM t WHERE {}", words.join(" "));
        for text in [words.join(" "), sql] {
            if let Err(refusal) = Query::from_sql(&text, &cohort::codebook()) {
                let at = refusal.at.unwrap();
                prop_assert!(at.offset + at.length <= text.len() && at.line >= 1 && at.column >= 1);
            }
        }
    }
}

#[test]
fn eight_columns_fit_and_nine_do_not() {
    let codebook = cohort::codebook();
    let sql = |more: &str| {
        format!(
            "SELECT SUM(age) FROM t WHERE qsmk = 1 AND \"rest SBP\" > 120 AND sex = 'male' AND stage > 'I' AND bmi < 30 AND c1 = 1 AND c2 = 1{more}"
        )
    };
    let query = cohort::query(&sql(""));
    let (plan, _) = planner::plan(&query, &codebook).unwrap();
    assert_eq!(plan.class().columns(), 8);
    let refusal = Query::from_sql(&sql(" AND c3 = 1"), &codebook).unwrap_err();
    assert_eq!(refusal.code(), "too_many_columns");
}

//! A small codebook with a column of every kind, and random records for it.

use proptest::prelude::*;
use salus_schema::codebook::Codebook;
use salus_schema::plan::{Pass, Plan, VALUES};
use salus_schema::planner;
use salus_schema::query::Query;

pub const CODEBOOK: &str = r#"
version = 1
name = "cohort"
person_key = "id"

[[columns]]
name = "qsmk"
kind = "exact"
min = 0
step = 1
max = 1

[[columns]]
name = "age"
kind = "exact"
min = 25
step = 1
max = 74
units = "years"

[[columns]]
name = "rest SBP"
kind = "exact"
min = 90
step = 2
max = 230
missing = ["", "NA"]

[[columns]]
name = "wt82_71"
kind = "exact"
min = "-41.5"
step = "0.01"
max = "48.6"
missing = [""]
rounding = true

[[columns]]
name = "sex"
kind = "categorical"
values = [{ value = "0", label = "male" }, { value = "1", label = "female" }]

[[columns]]
name = "stage"
kind = "ordered"
values = ["I", "II", "III", "IV"]
missing = ["?"]

[[columns]]
name = "bmi"
kind = "bucketed"
edges = ["12", "18.5", "25", "30", "80"]
missing = [""]

[[columns]]
name = "c1"
kind = "exact"
min = 0
step = 1
max = 3

[[columns]]
name = "c2"
kind = "exact"
min = 0
step = 1
max = 3

[[columns]]
name = "c3"
kind = "exact"
min = 0
step = 1
max = 3
"#;

pub fn codebook() -> Codebook {
    Codebook::from_toml(CODEBOOK).unwrap()
}

pub fn query(sql: &str) -> Query {
    Query::from_sql(sql, &codebook()).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"))
}

/// A person: source texts in codebook order, `None` for a missing value.
pub type Person = Vec<Option<String>>;

pub fn person() -> impl Strategy<Value = Person> {
    let optional = |values: BoxedStrategy<String>| {
        prop_oneof![1 => Just(None), 5 => values.prop_map(Some)].boxed()
    };
    let small = || (0..4i32).prop_map(|v| Some(v.to_string())).boxed();
    vec![
        (0..2i32).prop_map(|v| Some(v.to_string())).boxed(),
        (25..75i32).prop_map(|v| Some(v.to_string())).boxed(),
        optional((45..116i32).prop_map(|v| (2 * v).to_string()).boxed()),
        optional(
            (-4150..4861i32)
                .prop_map(|v| {
                    format!(
                        "{}{}.{:02}",
                        if v < 0 { "-" } else { "" },
                        v.abs() / 100,
                        v.abs() % 100
                    )
                })
                .boxed(),
        ),
        prop::sample::select(vec!["male", "female"])
            .prop_map(|v| Some(v.to_owned()))
            .boxed(),
        optional(
            prop::sample::select(vec!["I", "II", "III", "IV"])
                .prop_map(str::to_owned)
                .boxed(),
        ),
        optional((12..80i32).prop_map(|v| v.to_string()).boxed()),
        small(),
        small(),
        small(),
    ]
}

/// The physical codes of a person.
pub fn codes(codebook: &Codebook, person: &Person) -> Vec<u8> {
    person
        .iter()
        .enumerate()
        .flat_map(|(column, value)| codebook.encode(column, value.as_deref()).unwrap().iter())
        .collect()
}

pub fn cell(pass: &Pass, codes: &[u8]) -> Option<usize> {
    let looked_up: Vec<u8> = pass
        .columns()
        .iter()
        .map(|c| codes[usize::from(c.0)])
        .collect();
    pass.evaluate(&looked_up)
}

/// The true values of every pass over these people, base mask applied.
pub fn totals(plan: &Plan, codebook: &Codebook, people: &[Person]) -> Vec<[u64; VALUES]> {
    plan.passes()
        .iter()
        .map(|pass| {
            let mut histogram = vec![0; usize::from(plan.class().cells())];
            for person in people {
                if let Some(cell) = cell(pass, &codes(codebook, person)) {
                    histogram[cell] += 1;
                }
            }
            pass.publish(&histogram, 0).unwrap()
        })
        .collect()
}

/// The answer as JSON, through plan, tables, suppression and decoding.
pub fn answer(sql: &str, people: &[Person], min_cell: u64) -> serde_json::Value {
    use salus_schema::answer::PassValues;
    let codebook = codebook();
    let (plan, decoder) = planner::plan(&query(sql), &codebook).unwrap();
    let exact = totals(&plan, &codebook, people);
    let release = decoder.suppression_masks(&exact, min_cell).unwrap();
    let published: Vec<PassValues> = exact
        .iter()
        .zip(&release.masks)
        .map(|(values, &mask)| PassValues {
            values: std::array::from_fn(|t| if mask >> t & 1 == 1 { 0 } else { values[t] }),
            mask,
        })
        .collect();
    serde_json::to_value(decoder.decode(&published).unwrap()).unwrap()["rows"].take()
}

use salus_schema::query::Query;

use crate::cohort;

fn same(texts: &[&str]) -> String {
    let first = cohort::query(texts[0]);
    for text in texts {
        let query = cohort::query(text);
        assert_eq!(query.canonical_json(), first.canonical_json(), "{text}");
        assert_eq!(query.hash(), first.hash());
    }
    first.canonical_json()
}

#[test]
fn equivalent_texts_have_one_form() {
    same(&[
        "SELECT COUNT(*) FROM t WHERE age BETWEEN 30 AND 40",
        "select count(*) as n from other where AGE >= 30 and 40 >= age",
        "SELECT COUNT(*) FROM t WHERE NOT (age < 30 OR age > 40)",
        "SELECT COUNT(*), COUNT(*) FROM t WHERE age > 29.5 AND age < 41 AND age IS NOT NULL",
        "SELECT COUNT(*) FROM t x WHERE x.age IN (30,31,32,33,34,35,36,37,38,39,40)",
        "SELECT COUNT(*) FROM t WHERE (age BETWEEN 30 AND 35) OR (age BETWEEN 36 AND 40)",
    ]);
    same(&[
        "SELECT COUNT(*) FROM t WHERE age = 30 AND sex = 'male'",
        "SELECT COUNT(*) FROM t WHERE sex IN ('0') AND \"age\" = 30;",
        "SELECT COUNT(*) FROM t WHERE NOT (sex <> 'male' OR age <> 30)",
        "SELECT COUNT(*) FROM t WHERE sex <> 'female' AND age = '30.0'",
        "SELECT COUNT(*) FROM t WHERE sex = 0 AND 30 = age",
    ]);
    same(&[
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(*) FROM t WHERE stage IS NULL OR stage IS NOT NULL",
    ]);
    same(&[
        "SELECT COUNT(*) FROM t WHERE \"rest SBP\" IS NOT NULL",
        "SELECT COUNT(*) FROM t WHERE \"rest SBP\" > 0",
        "SELECT COUNT(*) FROM t WHERE \"rest SBP\" = 120 OR \"rest SBP\" <> 120",
    ]);
    same(&[
        "SELECT AVG(age), COUNT(*), SUM(age) FROM t GROUP BY bucket(age, 10)",
        "SELECT bucket(age, 10) AS decade, SUM(age), AVG(age), COUNT(*) FROM t GROUP BY decade",
        "SELECT COUNT(*), SUM(age), AVG(age) FROM t GROUP BY bucket(age, 20, 30, 40, 50, 60, 70, 80)",
    ]);
    same(&[
        "SELECT COUNT(*) FROM t GROUP BY bmi",
        "SELECT COUNT(*) FROM t GROUP BY bucket(bmi, 12, 18.5, 25, 30, 80)",
    ]);
    same(&[
        "SELECT COUNT(*) FROM t WHERE stage >= 'II' AND stage <> 'IV'",
        "SELECT COUNT(*) FROM t WHERE stage IN ('III', 'II', 'II')",
    ]);
}

#[test]
fn different_questions_have_different_hashes() {
    let texts = [
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(age) FROM t",
        "SELECT SUM(age) FROM t",
        "SELECT COUNT(*) FROM t WHERE stage = 'I'",
        "SELECT COUNT(*) FROM t WHERE stage <> 'I'",
        "SELECT COUNT(*) FROM t WHERE stage = 'I' OR stage IS NULL",
        "SELECT COUNT(*) FROM t WHERE stage IS NULL",
        "SELECT COUNT(*) FROM t GROUP BY sex, qsmk",
        "SELECT COUNT(*) FROM t GROUP BY qsmk, sex",
    ];
    let mut hashes: Vec<_> = texts.iter().map(|t| cohort::query(t).hash()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), texts.len());
}

#[test]
fn the_form_is_what_it_says() {
    let query = cohort::query(
        "SELECT sex, AVG(age), COUNT(*) FROM t WHERE (\"rest SBP\" > 121.5 AND \"rest SBP\" < 140 OR \"rest SBP\" IS NULL) \
         AND wt82_71 IS NOT NULL AND bmi >= 18.5 AND bmi < 30 AND stage IN ('II','I') GROUP BY sex, bucket(age, 25)",
    );
    assert_eq!(
        query.canonical_json(),
        concat!(
            r#"{"version":1,"measures":[{"op":"count"},{"op":"avg","column":"age"}],"where":["#,
            r#"{"column":"rest SBP","ranges":[["122","138"]],"or_missing":true},"#,
            r#"{"column":"wt82_71","is":"present"},"#,
            r#"{"column":"stage","labels":["I","II"]},"#,
            r#"{"column":"bmi","buckets":[["18.5","30"]]}],"#,
            r#""group_by":[{"column":"sex"},{"column":"age","edges":["25","50","75"]}]}"#
        )
    );
    assert_eq!(
        query.to_sql(),
        "SELECT sex, bucket(age, 25, 50, 75), COUNT(*), AVG(age) FROM data WHERE (\"rest SBP\" BETWEEN 122 AND 138 OR \
         \"rest SBP\" IS NULL) AND wt82_71 IS NOT NULL AND \"stage\" IN ('I', 'II') AND bmi >= 18.5 AND bmi < 30 GROUP BY sex, \
         bucket(age, 25, 50, 75)"
    );
    assert_eq!(
        query.sentence(),
        "Among people whose rest SBP is from 122 to 138 or not known, and whose wt82_71 is known, and whose stage is I or II, \
         and whose bmi is at least 18.5 and below 30: the number of people and the average age, for each value of sex and each \
         range of age between 25, 50 and 75."
    );
}

#[test]
fn json_need_not_be_canonical() {
    let codebook = cohort::codebook();
    let read = |text: &str| Query::from_json(text, &codebook);
    let loose = r#"{ "version": 1, "measures": [{"op":"sum","column":"age"},{"op":"count"}],
        "where": [{"column":"stage","labels":["II","I","II"]},{"column":"age","ranges":[["40.5","50"],["30","41"]]},
                  {"column":"age","ranges":[["20","45"]]}] }"#;
    assert_eq!(
        read(loose).unwrap(),
        cohort::query(
            "SELECT SUM(age), COUNT(*) FROM t WHERE age BETWEEN 30 AND 45 AND stage < 'III'"
        )
    );
    let code = |text: &str| read(text).unwrap_err().code();
    assert_eq!(code("{"), "json");
    assert_eq!(code(r#"{"version":1,"measures":[],"extra":1}"#), "json");
    assert_eq!(code(r#"{"version":2,"measures":[]}"#), "version");
    assert_eq!(code(r#"{"version":1,"measures":[]}"#), "no_measure");
    assert_eq!(
        code(r#"{"version":1,"measures":[{"op":"sum"}]}"#),
        "measure_column"
    );
    assert_eq!(
        code(r#"{"version":1,"measures":[{"op":"max","column":"age"}]}"#),
        "json"
    );
    let with = |condition: &str| {
        code(&format!(
            r#"{{"version":1,"measures":[{{"op":"count"}}],"where":[{condition}]}}"#
        ))
    };
    assert_eq!(
        with(r#"{"column":"nobody","is":"missing"}"#),
        "unknown_column"
    );
    assert_eq!(with(r#"{"column":"age"}"#), "condition_form");
    assert_eq!(with(r#"{"column":"age","labels":["x"]}"#), "condition_form");
    assert_eq!(
        with(r#"{"column":"age","is":"present","or_missing":true}"#),
        "condition_form"
    );
    assert_eq!(
        with(r#"{"column":"age","ranges":[["x","2"]]}"#),
        "not_a_number"
    );
    assert_eq!(
        with(r#"{"column":"wt82_71","ranges":[["1","2"]]}"#),
        "wide_comparison"
    );
    assert_eq!(
        with(r#"{"column":"bmi","buckets":[["18","25"]]}"#),
        "not_at_edge"
    );
    assert_eq!(
        with(r#"{"column":"stage","labels":["V"]}"#),
        "unknown_value"
    );
    assert_eq!(code(&" ".repeat(20_000)), "too_long");
}

#[test]
fn a_query_of_another_codebook_is_refused() {
    let query = cohort::query("SELECT SUM(age) FROM t");
    let text = "version = 1\nname = \"d\"\n[[columns]]\nname = \"age\"\nkind = \"categorical\"\nvalues = [\"old\"]";
    let other = salus_schema::codebook::Codebook::from_toml(text).unwrap();
    assert!(salus_schema::planner::plan(&query, &other).is_err());
    let query = cohort::query("SELECT COUNT(*) FROM t WHERE sex = 'male'");
    assert!(salus_schema::planner::plan(&query, &other).is_err());
}

use salus_schema::query::Query;
use salus_schema::refusal::Refusal;

use crate::cohort;

fn refusal(sql: &str) -> Refusal {
    match Query::from_sql(sql, &cohort::codebook()) {
        Ok(query) => panic!("{sql} was read as {}", query.canonical_json()),
        Err(refusal) => refusal,
    }
}

/// Each refusal: the text, its stable code, and the words that it points at.
const REFUSED: &[(&str, &str, &str)] = &[
    ("SELECT MIN(age) FROM t", "extreme_refused", "MIN(age)"),
    (
        "SELECT COUNT(*), max(age) FROM t",
        "extreme_refused",
        "max(age)",
    ),
    (
        "SELECT COUNT(*) FROM t JOIN u ON t.a = u.a",
        "join_refused",
        "JOIN",
    ),
    ("SELECT COUNT(*) FROM t, u", "join_refused", "FROM"),
    (
        "SELECT COUNT(*) FROM (SELECT * FROM t)",
        "subquery_refused",
        "FROM",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age IN (SELECT age FROM t)",
        "subquery_refused",
        "",
    ),
    ("SELECT DISTINCT age FROM t", "distinct_refused", "DISTINCT"),
    (
        "SELECT COUNT(DISTINCT age) FROM t",
        "distinct_refused",
        "DISTINCT",
    ),
    (
        "SELECT COUNT(*) FROM t ORDER BY 1",
        "order_by_refused",
        "ORDER",
    ),
    ("SELECT COUNT(*) FROM t LIMIT 5", "limit_refused", "LIMIT"),
    (
        "SELECT qsmk, COUNT(*) FROM t GROUP BY qsmk HAVING COUNT(*) > 5",
        "having_refused",
        "HAVING",
    ),
    (
        "SELECT COUNT(*) FROM t UNION SELECT COUNT(*) FROM t",
        "set_operation_refused",
        "UNION",
    ),
    (
        "WITH x AS (SELECT 1) SELECT COUNT(*) FROM x",
        "with_refused",
        "WITH",
    ),
    ("SELECT COUNT(*) OVER () FROM t", "window_refused", ""),
    (
        "SELECT COUNT(*) FILTER (WHERE age > 1) FROM t",
        "aggregate_clause_refused",
        "",
    ),
    ("SELECT * FROM t", "record_refused", "*"),
    ("SELECT age FROM t", "not_grouped", "age"),
    (
        "SELECT sex, COUNT(*) FROM t GROUP BY qsmk",
        "not_grouped",
        "sex",
    ),
    (
        "SELECT VAR_POP(age) FROM t",
        "function_refused",
        "VAR_POP(age)",
    ),
    (
        "SELECT SUM(age) / COUNT(*) FROM t",
        "selected_refused",
        "SUM(age) / COUNT(*)",
    ),
    (
        "SELECT SUM(age + 1) FROM t",
        "selected_refused",
        "SUM(age + 1)",
    ),
    (
        "SELECT SUM(age, qsmk) FROM t",
        "measure_column",
        "SUM(age, qsmk)",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age + 1 = 2",
        "expression_refused",
        "",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age = qsmk",
        "expression_refused",
        "qsmk",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE abs(age) = 1",
        "expression_refused",
        "",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE stage LIKE 'I%'",
        "pattern_refused",
        "",
    ),
    ("DELETE FROM t", "statement_refused", "DELETE FROM t"),
    (
        "SELECT COUNT(*) FROM t; SELECT COUNT(*) FROM t",
        "statement_refused",
        "",
    ),
    ("", "statement_refused", ""),
    ("SELECT COUNT(*)", "from_refused", ""),
    (
        "SELECT COUNT(*) FROM t GROUP BY ROLLUP(sex)",
        "group_refused",
        "",
    ),
    ("SELECT COUNT(*) FROM t GROUP BY 1", "group_refused", "1"),
    ("SELECT COUNT(* FROM t", "syntax", ""),
    ("SELECT sex FROM t GROUP BY sex", "no_measure", ""),
    (
        "SELECT SUM(age), AVG(qsmk) FROM t",
        "two_columns_measured",
        "AVG(qsmk)",
    ),
    (
        "SELECT COUNT(*), SUM(sex) FROM t",
        "not_numeric",
        "SUM(sex)",
    ),
    ("SELECT AVG(bmi) FROM t", "not_numeric", "AVG(bmi)"),
    (
        "SELECT VAR_SAMP(wt82_71) FROM t",
        "wide_variance",
        "VAR_SAMP(wt82_71)",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE ages = 1",
        "unknown_column",
        "ages",
    ),
    ("SELECT AVG(\"AGE\") FROM t", "unknown_column", "\"AGE\""),
    (
        "SELECT COUNT(*) FROM t WHERE u.age = 1",
        "unknown_column",
        "u.age",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE sex = \"male\"",
        "text_as_column",
        "\"male\"",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE sex = 'mail'",
        "unknown_value",
        "'mail'",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age = NULL",
        "null_constant",
        "NULL",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age IN (30, NULL)",
        "null_constant",
        "NULL",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age > 'old'",
        "not_a_number",
        "'old'",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE sex < 'male'",
        "unordered",
        "sex < 'male'",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE wt82_71 > 0",
        "wide_comparison",
        "wt82_71 > 0",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE bmi < 20",
        "not_at_edge",
        "bmi < 20",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE bmi <= 25",
        "not_at_edge",
        "bmi <= 25",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age = 1 OR qsmk = 1",
        "or_across_columns",
        "age = 1 OR qsmk = 1",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE NOT (age = 1 AND qsmk = 1)",
        "or_across_columns",
        "",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE c1 = 1 AND (age = 1 OR qsmk = 1)",
        "or_across_columns",
        "",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY sex, qsmk, stage",
        "group_columns",
        "stage",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY age, bucket(age, 5)",
        "repeated_group",
        "bucket(age, 5)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(age)",
        "bucket_arguments",
        "bucket(age)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(10, age)",
        "bucket_arguments",
        "bucket(10, age)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(sex, 2)",
        "bucket_labels",
        "bucket(sex, 2)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(age, 0)",
        "bucket_width",
        "bucket(age, 0)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(age, -5)",
        "bucket_width",
        "",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(age, 0.001)",
        "bucket_count",
        "bucket(age, 0.001)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(age, 40, 30)",
        "bucket_order",
        "bucket(age, 40, 30)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY bucket(bmi, 12, 20)",
        "not_at_edge",
        "bucket(bmi, 12, 20)",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY wt82_71",
        "wide_group",
        "wt82_71",
    ),
    (
        "SELECT COUNT(*) FROM t WHERE age > 80 GROUP BY age",
        "no_groups",
        "age",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY \"rest SBP\"",
        "too_many_groups",
        "\"rest SBP\"",
    ),
    (
        "SELECT COUNT(*) FROM t GROUP BY age, qsmk",
        "too_many_groups",
        "age",
    ),
    (
        "SELECT COUNT(*) FROM t TABLESAMPLE BERNOULLI (10)",
        "from_refused",
        "",
    ),
    ("SELECT COUNT(*) FROM t FOR UPDATE", "clause_refused", ""),
];

#[test]
fn every_refusal_has_its_code_and_place() {
    for &(sql, code, text) in REFUSED {
        let refused = refusal(sql);
        assert_eq!(refused.code(), code, "{sql}: {refused}");
        assert!(!refused.reason().is_empty() && !refused.instead().is_empty());
        let at = refused.at.unwrap();
        assert_eq!(
            &sql[at.offset..at.offset + at.length]
                .chars()
                .take(60)
                .collect::<String>(),
            &refused.text
        );
        if !text.is_empty() {
            assert_eq!(refused.text, text, "{sql}");
        }
    }
}

#[test]
fn places_count_lines_and_characters() {
    let sql = "SELECT COUNT(*)\nFROM données\nWHERE sex = 'é' AND\n  ages = 3";
    let refused = refusal(sql);
    assert_eq!(refused.code(), "unknown_value");
    let at = refused.at.unwrap();
    assert_eq!((at.line, at.column), (3, 13));
    let refused = refusal(&sql.replace("'é'", "'male'"));
    let at = refused.at.unwrap();
    assert_eq!((at.line, at.column, refused.text.as_str()), (4, 3, "ages"));
    assert_eq!(
        refused.to_string(),
        "line 4, column 3: the codebook has no column `ages` (at `ages`); ask instead: did you mean age?"
    );
}

#[test]
fn the_way_out_is_named() {
    for (sql, says) in [
        (
            "SELECT MIN(age) FROM t",
            "an extreme is the value of one person",
        ),
        (
            "SELECT COUNT(*) FROM t WHERE sex = 'm'",
            "one of `male`, `female`",
        ),
        (
            "SELECT VAR_SAMP(wt82_71) FROM t",
            "a square needs both digits at once",
        ),
        (
            "SELECT COUNT(*) FROM t WHERE wt82_71 > 1",
            "wt82_71 IS NULL or wt82_71 IS NOT NULL; to filter by value, add a bucketed copy",
        ),
        (
            "SELECT AVG(\"rest sbp\") FROM t",
            "did you mean \"rest SBP\"?",
        ),
        (
            "SELECT COUNT(*) FROM t WHERE bmi < 20",
            "among `12`, `18.5`, `25`, `30`, `80`",
        ),
    ] {
        let text = refusal(sql).to_string();
        assert!(text.contains(says), "{sql}: {text}");
    }
}

#[test]
fn refusals_serialise_for_programs() {
    let json = serde_json::to_value(refusal("SELECT COUNT(*) FROM t LIMIT 1")).unwrap();
    assert_eq!(json["code"], "limit_refused");
    assert_eq!(
        json["at"],
        serde_json::json!({"line":1,"column":24,"offset":23,"length":5})
    );
    assert_eq!(json["text"], "LIMIT");
}

#[test]
fn deep_and_long_texts_are_refused_or_read() {
    let nested = format!(
        "SELECT COUNT(*) FROM t WHERE {}age = 1{}",
        "(".repeat(3000),
        ")".repeat(3000)
    );
    assert_eq!(refusal(&nested).code(), "too_deep");
    let negated = format!(
        "SELECT COUNT(*) FROM t WHERE {} age = 1",
        "NOT ".repeat(3000)
    );
    assert_eq!(refusal(&negated).code(), "too_deep");
    let chain = format!(
        "SELECT COUNT(*) FROM t WHERE age=30{}",
        " OR age=30".repeat(950)
    );
    assert_eq!(
        cohort::query(&chain),
        cohort::query("SELECT COUNT(*) FROM t WHERE age = 30")
    );
    let across = format!(
        "SELECT COUNT(*) FROM t WHERE c1=1{}",
        " OR c2=1".repeat(950)
    );
    assert_eq!(refusal(&across).code(), "or_across_columns");
    for (start, more) in [
        ("SELECT 1", "+1"),
        ("SELECT SUM(age", "+1"),
        ("SELECT COUNT(*) FROM t WHERE age", "+1"),
        ("SELECT COUNT(*) FROM t WHERE age", " IS NULL"),
        ("SELECT COUNT(*) FROM t WHERE age", "::int"),
        ("SELECT COUNT(*) FROM t WHERE age", "[1]"),
        ("SELECT COUNT(*) FROM t WHERE age = 1", "||1"),
        ("SELECT COUNT(*) FROM t GROUP BY age", "+1"),
        ("SELECT COUNT(*) FROM unnest(1", "+1"),
        ("SELECT COUNT(*) FROM t WHERE age IN (1", ",1"),
    ] {
        let close = if start.contains("(age") || start.contains("(1") {
            ")"
        } else {
            ""
        };
        for times in [1900, 5000] {
            let text = format!("{start}{}{close}", more.repeat(times));
            let _ = Query::from_sql(&text, &cohort::codebook());
        }
    }
    assert_eq!(refusal_without_place(&" ".repeat(20_000)), "too_long");
}

fn refusal_without_place(sql: &str) -> &'static str {
    Query::from_sql(sql, &cohort::codebook())
        .unwrap_err()
        .code()
}

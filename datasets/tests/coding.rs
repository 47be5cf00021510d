//! What coding refuses, what it reports, and what it never shows.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use salus_datasets::code::{
    CodedDataset, CodingError, CodingOptions, OnRefused, RefusalReason, code_table,
};
use salus_datasets::people::OnDuplicate;
use salus_datasets::profile::{ProfileError, ProfileOptions, infer_codebook};
use salus_datasets::read::ReadError;
use salus_schema::codebook::Codebook;
use salus_schema::column::{Category, Column};
use salus_schema::decimal::Decimal;

fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn codebook(key: Option<&str>) -> Codebook {
    let whole = (Decimal::from(0), Decimal::from(1), Decimal::from(120));
    let sexes = ["f", "m"].map(Category::plain).to_vec();
    let columns = vec![
        Column::exact("age", whole, false, vec![]).unwrap(),
        Column::categorical("sex", sexes, vec!["?".into()]).unwrap(),
    ];
    Codebook::new("t", key.map(str::to_owned), columns).unwrap()
}

fn code(
    text: &str,
    key: Option<&str>,
    options: CodingOptions,
) -> Result<CodedDataset, CodingError> {
    let folder = tempfile::tempdir().unwrap();
    code_table(&file(&folder, text), &codebook(key), None, &options)
}

#[test]
fn refused_values_are_counted_and_placed_but_not_shown() {
    let text = "age,sex\n40,f\n999,m\n-5,secret\nold,f\n12.5,m\n,m\n";
    let error = code(text, None, CodingOptions::default()).unwrap_err();
    let shown = format!("{error} {error:?} {}", error.next_step());
    for value in ["999", "secret", "old", "12.5"] {
        assert!(!shown.contains(value), "{shown}");
    }
    assert_eq!(error.code(), "code.refused");
    let CodingError::Refused { report } = error else {
        panic!("{error}")
    };
    let found: Vec<(u64, RefusalReason)> = report.columns[0]
        .refusals
        .iter()
        .map(|r| (r.line, r.reason))
        .collect();
    use RefusalReason as R;
    assert_eq!(
        found,
        [
            (3, R::OutOfRange),
            (4, R::OutOfRange),
            (5, R::NotANumber),
            (6, R::OffGrid),
            (7, R::Missing)
        ]
    );
    assert_eq!(report.columns[1].refusals[0].reason, R::UnknownValue);
    assert_eq!(report.refused(), 6);

    let options = CodingOptions {
        show_values: true,
        ..CodingOptions::default()
    };
    let Err(CodingError::Refused { report }) = code(text, None, options) else {
        panic!()
    };
    assert_eq!(report.columns[0].refusals[0].value.as_deref(), Some("999"));
}

#[test]
fn refused_values_become_missing_only_where_missing_is_allowed() {
    let options = || CodingOptions {
        on_refused: OnRefused::Missing,
        ..CodingOptions::default()
    };
    let data = code("age,sex\n40,f\n41,x\n", None, options()).unwrap();
    assert_eq!(data.columns[1], [2, 1]);
    assert_eq!(
        (
            data.report.columns[1].refused,
            data.report.columns[1].missing
        ),
        (1, 1)
    );
    let error = code("age,sex\n40,f\n999,f\n", None, options()).unwrap_err();
    assert!(matches!(error, CodingError::Refused { .. }));
}

#[test]
fn huge_and_negative_numbers_are_refused_not_wrapped() {
    let huge = "9".repeat(60);
    for value in [
        huge.as_str(),
        "1e400",
        "-1",
        "340282366920938463463374607431768211456",
    ] {
        let error = code(
            &format!("age,sex\n{value},f\n"),
            None,
            CodingOptions::default(),
        );
        assert!(matches!(error, Err(CodingError::Refused { .. })), "{value}");
    }
}

#[test]
fn rows_of_one_person_collapse_conflict_or_are_chosen() {
    let agreeing = "id,age,sex\n1,40,f\n2,50,m\n1,40.0,f\n";
    let data = code(agreeing, Some("id"), CodingOptions::default()).unwrap();
    assert_eq!(
        (data.people, data.report.rows, data.report.collapsed_rows),
        (2, 3, 1)
    );
    assert!(data.report.unit().contains("\"id\""));

    let conflicting = "id,age,sex\n1,40,f\n2,50,m\n1,41,f\n2,50,f\n1,42,f\n";
    let error = code(conflicting, Some("id"), CodingOptions::default()).unwrap_err();
    assert!(
        matches!(
            error,
            CodingError::ConflictingRows {
                people: 2,
                example: (2, 4)
            }
        ),
        "{error}"
    );
    assert!(error.next_step().contains("--on-duplicate"));

    let ages = |on_duplicate| {
        let options = CodingOptions {
            on_duplicate,
            ..CodingOptions::default()
        };
        let data = code(conflicting, Some("id"), options).unwrap();
        assert_eq!(data.report.overruled_rows, 3);
        data.columns[0]
            .iter()
            .map(|code| code - 2)
            .collect::<Vec<_>>()
    };
    assert_eq!(ages(OnDuplicate::First), [40, 50]);
    assert_eq!(ages(OnDuplicate::Last), [42, 50]);
}

#[test]
fn without_a_key_every_row_is_a_person_and_the_report_says_so() {
    let data = code("age,sex\n40,f\n40,f\n", None, CodingOptions::default()).unwrap();
    assert_eq!(data.people, 2);
    assert!(
        data.report
            .unit()
            .contains("every row counts as one person")
    );
}

#[test]
fn a_row_without_a_key_belongs_to_nobody() {
    let error = code(
        "id,age,sex\n1,40,f\n,50,m\n ,60,m\n",
        Some("id"),
        CodingOptions::default(),
    );
    assert!(matches!(
        error,
        Err(CodingError::NoPersonKey {
            count: 2,
            first_line: 3
        })
    ));
    let error = code("age,sex\n40,f\n", Some("id"), CodingOptions::default()).unwrap_err();
    assert!(matches!(
        error,
        CodingError::Read(ReadError::UnknownColumn { .. })
    ));
    let options = CodingOptions {
        person_key: Some("age".into()),
        ..CodingOptions::default()
    };
    let error = code("age,sex\n40,f\n", None, options).unwrap_err();
    assert!(matches!(error, CodingError::PersonKeyAsColumn { .. }));
}

#[test]
fn one_person_and_some_columns_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "id,age,sex\n1,40,f\n");
    let options = CodingOptions::default();
    let only = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        code_table(&path, &codebook(Some("id")), Some(&names), &options)
    };
    let data = only(&["sex"]).unwrap();
    assert_eq!((data.people, data.columns), (1, vec![vec![2]]));
    assert_eq!(data.codebook.columns().len(), 1);
    assert_eq!(data.report.unused_columns, ["age"]);
    assert!(matches!(
        only(&["nope"]),
        Err(CodingError::NotInCodebook { .. })
    ));
    assert!(matches!(
        only(&["id"]),
        Err(CodingError::NotInCodebook { .. })
    ));
}

#[test]
fn inference_leaves_out_what_cannot_be_coded_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "id,serial,note,empty,zip,weight,group\n".to_owned();
    for i in 0..300 {
        text.push_str(&format!(
            "k{i},{},free text {i},,{:05},{}.{},{}\n",
            5000 + i,
            i % 50,
            50 + i % 40,
            i % 10,
            i % 3
        ));
    }
    let path = file(&folder, &text);
    let options = ProfileOptions {
        person_key: Some("id".into()),
        ..ProfileOptions::default()
    };
    let (codebook, skipped) = infer_codebook(&path, &options).unwrap();
    let names: Vec<&str> = codebook
        .columns()
        .iter()
        .map(|column| column.name())
        .collect();
    assert_eq!(names, ["zip", "weight", "group"]);
    assert_eq!(
        codebook.columns()[0].kind().word(),
        "categorical",
        "00042 is no number"
    );
    assert_eq!(codebook.columns()[1].kind().word(), "exact");
    assert_eq!(codebook.person_key(), Some("id"));
    let skipped: Vec<&str> = skipped.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(skipped, ["serial", "note", "empty"]);
    let data = code_table(&path, &codebook, None, &CodingOptions::default()).unwrap();
    assert_eq!(data.people, 300);
}

#[test]
fn more_than_254_texts_and_all_missing_columns_have_no_codes() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "town,empty\n".to_owned();
    for i in 0..600 {
        text.push_str(&format!("town {},NA\n", i % 255));
    }
    let error = infer_codebook(&file(&folder, &text), &ProfileOptions::default()).unwrap_err();
    let ProfileError::NothingToCode { columns, .. } = &error else {
        panic!("{error}")
    };
    assert!(columns[0].reason.contains("254"), "{}", columns[0].reason);
    assert!(
        columns[1].reason.contains("no values"),
        "{}",
        columns[1].reason
    );
    assert!(error.next_step().ends_with('.'));
    let missing_key = ProfileOptions {
        person_key: Some("nope".into()),
        ..ProfileOptions::default()
    };
    let error = infer_codebook(&file(&folder, &text), &missing_key).unwrap_err();
    assert_eq!(error.code(), "read.unknown_column");
}

#[test]
fn keeps_the_first_people_and_asks_the_same_people() {
    use salus_datasets::oracle::answers;
    use salus_schema::query::Query;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "id,v\na,1\nb,2\nc,4\na,8\nd,16\nb,32\n").unwrap();
    let whole = (Decimal::from(0), Decimal::from(1), Decimal::from(99));
    let column = || Column::exact("v", whole, false, vec![]).unwrap();
    let sum = |key: Option<&str>, on_duplicate, kept| {
        let codebook = Codebook::new("t", key.map(str::to_owned), vec![column()]).unwrap();
        let options = CodingOptions {
            on_duplicate,
            max_people: Some(kept),
            ..CodingOptions::default()
        };
        let coded = code_table(&path, &codebook, None, &options).unwrap();
        let of_codes: i64 = coded.columns[0].iter().map(|&c| i64::from(c) - 2).sum();
        let query = Query::from_sql("SELECT SUM(v) FROM t", &codebook).unwrap();
        let clear = answers(&path, &codebook, &[query], 1, &options).unwrap();
        assert_eq!(clear[0].people, coded.people as u64);
        let of_texts = clear[0].answer.rows[0].sum.unwrap().unwrap();
        assert_eq!(of_texts, Decimal::from(of_codes));
        (coded.people, of_codes)
    };
    assert_eq!(sum(Some("id"), OnDuplicate::First, 2), (2, 3));
    assert_eq!(sum(Some("id"), OnDuplicate::Last, 2), (2, 40));
    assert_eq!(sum(Some("id"), OnDuplicate::Last, 9), (4, 60));
    assert_eq!(sum(None, OnDuplicate::Refuse, 4), (4, 15));
}

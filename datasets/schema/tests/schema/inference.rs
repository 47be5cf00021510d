use salus_schema::column::{Column, ColumnKind};
use salus_schema::decimal::Decimal;
use salus_schema::infer::{ColumnProfile, NotInferred, NumberProfile, infer};

fn texts(values: &[&str]) -> ColumnProfile {
    ColumnProfile {
        name: "x".into(),
        rows: 100,
        missing: 0,
        missing_markers: vec![],
        distinct: values.iter().map(|v| ((*v).to_owned(), 10)).collect(),
        distinct_capped: false,
        numbers: None,
    }
}

fn numbers(min: &str, max: &str, decimals: u8) -> ColumnProfile {
    ColumnProfile {
        distinct_capped: true,
        numbers: Some(NumberProfile {
            min: min.parse().unwrap(),
            max: max.parse().unwrap(),
            decimals,
        }),
        ..texts(&[min, max])
    }
}

fn grid(column: &Column) -> (String, String, String, bool, bool) {
    match column.kind() {
        ColumnKind::Exact(g) => (
            g.min().to_string(),
            g.step().to_string(),
            g.max().to_string(),
            g.rounding(),
            g.is_wide(),
        ),
        other => panic!("{other:?}"),
    }
}

fn shape(
    min: &str,
    step: &str,
    max: &str,
    rounding: bool,
    wide: bool,
) -> (String, String, String, bool, bool) {
    (min.into(), step.into(), max.into(), rounding, wide)
}

#[test]
fn numbers_become_exact_columns() {
    let inferred = |profile| grid(&infer(&profile).unwrap());
    assert_eq!(
        inferred(numbers("0", "1", 0)),
        shape("0", "1", "1", false, false)
    );
    assert_eq!(
        inferred(numbers("7", "7", 0)),
        shape("7", "1", "7", false, false)
    );
    assert_eq!(
        inferred(numbers("-5", "248", 0)),
        shape("-5", "1", "248", false, false)
    );
    assert_eq!(
        inferred(numbers("0", "254", 0)),
        shape("0", "1", "254", false, true)
    );
    assert_eq!(
        inferred(numbers("36.17", "169.19", 2)),
        shape("36.17", "0.01", "169.19", false, true)
    );
    assert_eq!(
        inferred(numbers("-41.28046982", "48.5383869", 15)),
        shape("-41.29", "0.01", "48.54", true, true)
    );
    assert_eq!(
        inferred(numbers("3", "9999999", 0)),
        shape("0", "1000", "10000000", true, true)
    );
}

#[test]
fn whole_thousands_are_not_rounded() {
    let profile = ColumnProfile {
        distinct_capped: false,
        ..numbers("0", "9000000", 0)
    };
    assert_eq!(
        grid(&infer(&profile).unwrap()),
        shape("0", "1000", "9000000", false, true)
    );
}

#[test]
fn texts_become_sorted_categories() {
    let column = infer(&texts(&["male", "female"])).unwrap();
    match column.kind() {
        ColumnKind::Categorical(c) => {
            let labels: Vec<_> = c.entries().iter().map(|e| e.label.as_str()).collect();
            assert_eq!(labels, ["female", "male"]);
        }
        other => panic!("{other:?}"),
    }
    assert!(!column.nullable());
    assert!(infer(&texts(&["only"])).is_ok());
}

#[test]
fn missing_values_bring_markers() {
    let mut profile = numbers("0", "1", 0);
    profile.missing = 3;
    assert_eq!(infer(&profile).unwrap().missing(), [String::new()]);
    profile.missing_markers = vec!["NA".into(), " ".into(), "NA".into()];
    assert_eq!(infer(&profile).unwrap().missing(), ["", "NA"]);
}

#[test]
fn says_why_there_is_no_proposal() {
    let many: Vec<String> = (0..255).map(|i| format!("v{i}")).collect();
    let mut profile = texts(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(
        infer(&profile),
        Err(NotInferred::TooManyTexts { .. })
    ));
    for (_, count) in &mut profile.distinct {
        *count = 1;
    }
    profile.rows = 255;
    assert!(matches!(
        infer(&profile),
        Err(NotInferred::Identifier { rows: 255, .. })
    ));
    profile.distinct.clear();
    assert!(matches!(
        infer(&profile),
        Err(NotInferred::AllMissing { .. })
    ));
    let huge = Decimal::new(10i128.pow(37), 0).unwrap();
    let profile = numbers("0", &huge.to_string(), 30);
    assert!(matches!(
        infer(&profile),
        Ok(_) | Err(NotInferred::Range { .. })
    ));
}

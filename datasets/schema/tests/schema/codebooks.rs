use proptest::prelude::*;
use salus_schema::codebook::{CodeError, Codebook, CodebookError, Digit};
use salus_schema::column::{Column, PhysicalCodes, Value};
use salus_schema::decimal::Decimal;

use crate::cohort;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn exact(min: &str, step: &str, max: &str, rounding: bool) -> Column {
    let grid = (decimal(min), decimal(step), decimal(max));
    Column::exact("x", grid, rounding, vec![String::new()]).unwrap()
}

#[test]
fn toml_round_trips_with_one_hash() {
    let codebook = cohort::codebook();
    let again = Codebook::from_toml(&codebook.to_toml()).unwrap();
    assert_eq!(again, codebook);
    assert_eq!(again.hash(), codebook.hash());
    assert!(codebook.canonical_json().starts_with(r#"{"version":1,"name":"cohort","person_key":"id","columns":[{"name":"qsmk","kind":"exact","min":"0","step":"1","max":"1"}"#));
}

#[test]
fn wide_columns_take_two_physical_ones() {
    let codebook = cohort::codebook();
    let physical = codebook.physical_columns();
    assert_eq!(physical.len(), 11);
    assert_eq!(physical.len(), codebook.physical_len());
    let digits: Vec<_> = physical[3..6]
        .iter()
        .map(|p| (p.index.0, p.logical, p.digit))
        .collect();
    assert_eq!(
        digits,
        [(3, 3, Digit::High), (4, 3, Digit::Low), (5, 4, Digit::Only)]
    );
}

#[test]
fn wide_extremes() {
    let column = exact("-322.57", "0.01", "322.58", false);
    let two = |high, low| Ok(PhysicalCodes::Two { high, low });
    assert_eq!(column.encode(Some("-322.57")), two(2, 2));
    assert_eq!(column.encode(Some("-320.03")), two(3, 2));
    assert_eq!(column.encode(Some("322.58")), two(255, 255));
    assert_eq!(column.encode(None), two(1, 1));
    assert!(matches!(
        column.encode(Some("322.59")),
        Err(CodeError::OutOfRange { .. })
    ));
    assert_eq!(
        column.decode(&[255, 255]),
        Ok(Value::Number(decimal("322.58")))
    );
    assert!(column.decode(&[1, 2]).is_err() && column.decode(&[0, 0]).is_err());
    let one_more = (decimal("0"), decimal("1"), decimal("64516"));
    assert!(matches!(
        Column::exact("x", one_more, false, vec![]),
        Err(CodebookError::Grid { .. })
    ));
    let cut = exact("0", "1", "254", false);
    assert_eq!(cut.encode(Some("254")), two(3, 2));
    assert!(cut.decode(&[3, 3]).is_err());
}

#[test]
fn narrow_extremes() {
    let column = exact("0", "1", "253", false);
    assert_eq!(column.encode(Some("253")), Ok(PhysicalCodes::One(255)));
    assert_eq!(column.encode(Some("0.0")), Ok(PhysicalCodes::One(2)));
    assert_eq!(column.encode(Some(" 1e2 ")), Ok(PhysicalCodes::One(102)));
    assert!(matches!(
        column.encode(Some("0.5")),
        Err(CodeError::OffGrid { .. })
    ));
    assert!(matches!(
        column.encode(Some("-1")),
        Err(CodeError::OutOfRange { .. })
    ));
    assert!(matches!(
        column.encode(Some("9e40")),
        Err(CodeError::NotANumber { .. })
    ));
    assert!(matches!(
        column.encode(Some("1,5")),
        Err(CodeError::NotANumber { .. })
    ));
    assert!(matches!(
        column.encode_scaled(i128::MAX, 0),
        Err(CodeError::OutOfRange { .. })
    ));
    assert!(matches!(
        column.encode_scaled(i128::MIN, 30),
        Err(CodeError::OutOfRange { .. })
    ));
}

#[test]
fn rounding_takes_halves_away_from_zero() {
    let column = exact("-1", "0.1", "1", true);
    let rounded = |text: &str| {
        let codes: Vec<u8> = column.encode(Some(text)).unwrap().iter().collect();
        match column.decode(&codes).unwrap() {
            Value::Number(number) => number.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rounded("0.25"), "0.3");
    assert_eq!(rounded("-0.25"), "-0.3");
    assert_eq!(rounded("0.2499999999999999999"), "0.2");
    assert_eq!(rounded("-0.04"), "0");
    assert_eq!(rounded("1.04"), "1");
    assert!(column.encode(Some("1.05")).is_err());
    assert!(column.encode(Some("-1.05")).is_err());
}

#[test]
fn buckets_are_half_open() {
    let codebook = cohort::codebook();
    let bmi = codebook.find("bmi").unwrap().0;
    let code = |text| codebook.encode(bmi, Some(text));
    assert_eq!(code("12"), Ok(PhysicalCodes::One(2)));
    assert_eq!(code("18.49999"), Ok(PhysicalCodes::One(2)));
    assert_eq!(code("18.5"), Ok(PhysicalCodes::One(3)));
    assert_eq!(code("79.9"), Ok(PhysicalCodes::One(5)));
    assert!(matches!(code("80"), Err(CodeError::OutOfRange { .. })));
    assert!(matches!(code("11.9"), Err(CodeError::OutOfRange { .. })));
}

#[test]
fn source_values_and_missing_markers() {
    let codebook = cohort::codebook();
    let at = |name: &str, value| codebook.encode(codebook.find(name).unwrap().0, value);
    assert_eq!(at("sex", Some("1")), at("sex", Some("female")));
    assert!(matches!(
        at("sex", Some("f")),
        Err(CodeError::UnknownValue { .. })
    ));
    assert!(matches!(
        at("sex", None),
        Err(CodeError::MissingNotAllowed { .. })
    ));
    assert_eq!(at("stage", Some("?")), Ok(PhysicalCodes::One(1)));
    assert_eq!(at("rest SBP", Some(" NA ")), Ok(PhysicalCodes::One(1)));
    assert!(matches!(
        codebook.encode(99, None),
        Err(CodeError::NoColumn { index: 99 })
    ));
}

#[test]
fn numbers_that_mean_missing() {
    let grid = (decimal("0"), decimal("1"), decimal("9"));
    let markers = vec!["-999".to_owned(), "9".to_owned(), "NA".to_owned()];
    let column = Column::exact("x", grid, false, markers).unwrap();
    for text in ["-999", "-999.0", "9", "9.00", "NA"] {
        assert_eq!(
            column.encode(Some(text)),
            Ok(PhysicalCodes::One(1)),
            "{text}"
        );
    }
    assert_eq!(column.encode_scaled(-9990, 1), Ok(PhysicalCodes::One(1)));
    assert_eq!(column.encode_scaled(8, 0), Ok(PhysicalCodes::One(10)));
}

#[test]
fn errors_name_the_column_and_the_way_out() {
    let column = |body: &str| {
        let text = format!("version = 1\nname = \"d\"\nperson_key = \"id\"\n[[columns]]\n{body}");
        Codebook::from_toml(&text).unwrap_err().to_string()
    };
    for (body, says) in [
        (
            "name = \"a\"\nkind = \"text\"",
            "column `a`: kind `text` is not known; write categorical, ordered, bucketed or exact",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0\nstep = 1",
            "column `a`: kind exact needs `max`",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0\nstep = 1\nmax = 2\nedges = [1]",
            "column `a`: kind exact has no `edges`; remove it or change the kind",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0\nstep = \"x\"\nmax = 2",
            "column `a`: `step`: x is not a decimal number; write it like \"0.5\"",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0\nstep = 0\nmax = 2",
            "column `a`: 0 to 2 by 0 is not a grid",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0\nstep = 3\nmax = 2",
            "column `a`: 0 to 2 by 3 is not a grid",
        ),
        (
            "name = \"a\"\nkind = \"bucketed\"\nedges = [1]",
            "column `a`: 1 edges; write 2 to 255",
        ),
        (
            "name = \"a\"\nkind = \"bucketed\"\nedges = [1, 1]",
            "column `a`: edge 1 comes after 1",
        ),
        (
            "name = \"a\"\nkind = \"categorical\"\nvalues = []",
            "column `a`: 0 values",
        ),
        (
            "name = \"a\"\nkind = \"ordered\"\nvalues = [\"x\", \"x\"]",
            "column `a`: `x` stands twice",
        ),
        (
            "name = \"a\"\nkind = \"categorical\"\nvalues = [\"x\"]\nmissing = [\"x\"]",
            "column `a`: the missing marker `x`",
        ),
        (
            "name = \"a\"\nkind = \"categorical\"\nvalues = [\" x\"]",
            "column `a`: the value ` x` cannot be used",
        ),
        (
            "name = \"\"\nkind = \"categorical\"\nvalues = [\"x\"]",
            "the name `` cannot be used",
        ),
        (
            "name = \"id\"\nkind = \"categorical\"\nvalues = [\"x\"]",
            "column `id` is the person key",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nmin = 0.5\nstep = 1\nmax = 2",
            "exact decimal in quotes",
        ),
        (
            "name = \"a\"\nkind = \"exact\"\nminimum = 0",
            "unknown field `minimum`",
        ),
    ] {
        let error = column(body);
        assert!(error.contains(says), "{body}: {error}");
    }
    let twice = "name = \"a\"\nkind = \"categorical\"\nvalues = [\"x\"]\n";
    assert!(column(&format!("{twice}[[columns]]\n{twice}")).contains("column `a` stands twice"));
    let many: Vec<String> = (0..255).map(|i| format!("\"v{i}\"")).collect();
    let many = format!(
        "name = \"a\"\nkind = \"categorical\"\nvalues = [{}]",
        many.join(",")
    );
    assert!(column(&many).contains("column `a`: 255 values; a code column tells 1 to 254 apart"));
    assert!(matches!(
        Codebook::from_toml("version = 2\nname = \"d\""),
        Err(CodebookError::Version { found: 2 })
    ));
    assert!(matches!(
        Codebook::from_toml("version = 1\nname = \"d\""),
        Err(CodebookError::NoColumns)
    ));
    assert!(matches!(
        Codebook::from_toml("\0"),
        Err(CodebookError::Toml { .. })
    ));
}

proptest! {
    #[test]
    fn decimals_print_what_they_read(mantissa in any::<i64>(), scale in 0u32..20) {
        let number = Decimal::new(i128::from(mantissa), scale).unwrap();
        prop_assert_eq!(number.to_string().parse::<Decimal>().unwrap(), number);
        let close = (number.to_f64() - mantissa as f64 / 10f64.powi(scale as i32)).abs();
        prop_assert!(close <= number.to_f64().abs() * 1e-12);
    }

    #[test]
    fn decimals_compare_as_numbers(a in -1000..1000i64, sa in 0u32..4, b in -1000..1000i64, sb in 0u32..4) {
        let (x, y) = (Decimal::new(a.into(), sa).unwrap(), Decimal::new(b.into(), sb).unwrap());
        let scaled = |v: i64, s: u32| i128::from(v) * 10i128.pow(4 - s);
        prop_assert_eq!(x.cmp(&y), scaled(a, sa).cmp(&scaled(b, sb)));
    }

    #[test]
    fn any_text_codes_or_errs(text in "\\PC{0,40}") {
        let codebook = cohort::codebook();
        for column in 0..codebook.columns().len() {
            if let Ok(codes) = codebook.encode(column, Some(&text)) {
                prop_assert!(codes.iter().all(|code| code > 0));
            }
        }
    }

    #[test]
    fn exact_values_decode_to_themselves(min in -50_000..50_000i64, steps in 0..64_516i64, at in any::<prop::sample::Index>(), scale in 0u32..5) {
        let number = |v: i64| Decimal::new(v.into(), scale).unwrap();
        let grid = (number(min), number(1), number(min + steps));
        let column = Column::exact("x", grid, false, vec![]).unwrap();
        let value = number(min + at.index(steps as usize + 1) as i64);
        let codes: Vec<u8> = column.encode(Some(&value.to_string())).unwrap().iter().collect();
        prop_assert_eq!(column.decode(&codes), Ok(Value::Number(value)));
        prop_assert_eq!(column.encode_scaled(value.mantissa(), value.scale()).unwrap().iter().collect::<Vec<_>>(), codes);
    }

    #[test]
    fn random_toml_never_panics(text in "\\PC{0,200}") {
        let _ = Codebook::from_toml(&text);
    }
}

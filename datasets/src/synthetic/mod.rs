//! The built-in synthetic cohort: nobody's data, with the correlations of real data.
//!
//! Seeded and computed in integers, so that the demo, the tests and the benches see the same people
//! on every machine. No distribution here was fitted to anybody; the figures are plausible and
//! nothing more.

mod people;

use std::fmt::Write as _;
use std::io::{self, Write};

use polars::prelude::*;
use salus_schema::codebook::{Codebook, CodebookError};
use salus_schema::column::{Category, Column, MISSING, PhysicalCodes};
use salus_schema::decimal::Decimal;
use thiserror::Error;

pub use people::{People, Person, REGIONS, SEXES, SMOKING};

use crate::code::{CodedDataset, CodingReport, ColumnReport};
use crate::people::OnDuplicate;
use crate::read::{SourceFormat, SourceShape};

/// People in the default cohort.
pub const DEFAULT_PEOPLE: usize = 2_000;
/// Seed of the default cohort.
pub const DEFAULT_SEED: u64 = 2026;
/// Header of the CSV form.
pub const HEADER: &str =
    "person_id,age,sex,region,smoking,bmi,systolic_bp,cholesterol,hba1c,diabetes,visits";

/// People per row group of the Parquet form, and per piece of the CSV form.
const PIECE: usize = 1 << 16;

/// Why a synthetic cohort could not be made.
#[derive(Debug, Error)]
pub enum SyntheticError {
    #[error("the synthetic cohort cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the synthetic cohort cannot be written as Parquet: {0}")]
    Parquet(#[from] PolarsError),
    #[error(transparent)]
    Codebook(#[from] CodebookError),
}

/// The cohort's codebook. `cholesterol` is wide (two code columns); the rest need one each.
///
/// # Errors
/// Never in practice; the codebook's checks are not bypassed.
pub fn codebook() -> Result<Codebook, CodebookError> {
    let plain = |values: &[&str]| {
        values
            .iter()
            .map(|&v| Category::plain(v))
            .collect::<Vec<_>>()
    };
    let whole = |min: i64, max: i64| (Decimal::from(min), Decimal::from(1), Decimal::from(max));
    let tenths = |min: i64, max: i64| {
        let tenth = Decimal::new(1, 1).unwrap_or(Decimal::ZERO);
        let of = |t: i64| Decimal::new(i128::from(t), 1).unwrap_or(Decimal::ZERO);
        (of(min), tenth, of(max))
    };
    let maybe = || vec![String::new()];
    let columns = vec![
        Column::exact("age", whole(18, 90), false, vec![])?.with_units("years"),
        Column::categorical("sex", plain(&SEXES), vec![])?,
        Column::categorical("region", plain(&REGIONS), vec![])?,
        Column::ordered("smoking", plain(&SMOKING), maybe())?,
        Column::exact("bmi", tenths(160, 410), false, maybe())?.with_units("kg/m2"),
        Column::exact("systolic_bp", whole(85, 220), false, maybe())?.with_units("mmHg"),
        Column::exact("cholesterol", whole(100, 400), false, maybe())?.with_units("mg/dl"),
        Column::exact("hba1c", tenths(40, 140), false, maybe())?.with_units("%"),
        Column::categorical("diabetes", plain(&["no", "yes"]), vec![])?,
        Column::exact("visits", whole(0, 20), false, vec![])?.with_units("per year"),
    ];
    Codebook::new("synthetic cohort", Some("person_id".into()), columns)
}

/// The cohort as CSV text, header included.
pub fn csv(people: usize, seed: u64) -> String {
    let mut text = String::with_capacity(48 * people + HEADER.len() + 1);
    text.push_str(HEADER);
    text.push('\n');
    People::new(seed)
        .take(people)
        .for_each(|person| push_line(&mut text, &person));
    text
}

/// Writes the cohort as CSV, in pieces.
///
/// # Errors
/// [`SyntheticError::Io`]: the disk is full or the writer is gone.
pub fn write_csv(into: &mut dyn Write, people: usize, seed: u64) -> Result<(), SyntheticError> {
    let mut text = format!("{HEADER}\n");
    let mut line = People::new(seed).take(people);
    loop {
        let before = text.len();
        line.by_ref()
            .take(PIECE)
            .for_each(|person| push_line(&mut text, &person));
        if text.len() == before {
            break;
        }
        into.write_all(text.as_bytes())?;
        text.clear();
    }
    into.write_all(text.as_bytes())?;
    Ok(into.flush()?)
}

/// Writes the cohort as Parquet: integers, floats with one decimal, texts, one row group per 65,536 people.
///
/// # Errors
/// [`SyntheticError::Io`] or [`SyntheticError::Parquet`].
pub fn write_parquet<W: Write>(into: W, people: usize, seed: u64) -> Result<(), SyntheticError> {
    let mut line = People::new(seed).take(people);
    let mut piece: Vec<Person> = line.by_ref().take(PIECE).collect();
    let first = frame(&piece)?;
    let mut writer = ParquetWriter::new(into).batched(first.schema())?;
    writer.write_batch(&first)?;
    loop {
        piece.clear();
        piece.extend(line.by_ref().take(PIECE));
        if piece.is_empty() {
            break;
        }
        writer.write_batch(&frame(&piece)?)?;
    }
    writer.finish()?;
    Ok(())
}

/// The coded cohort without a detour over text; equal to coding its CSV form.
///
/// # Errors
/// [`SyntheticError::Codebook`], never in practice.
pub fn coded(people: usize, seed: u64) -> Result<CodedDataset, SyntheticError> {
    let codebook = codebook()?;
    let tables: Vec<CodeTable> = codebook.columns().iter().map(CodeTable::of).collect();
    let mut columns = vec![Vec::with_capacity(people); codebook.physical_len()];
    for person in People::new(seed).take(people) {
        let mut physical = columns.iter_mut();
        for (table, value) in tables.iter().zip(values(&person)) {
            let codes = table.codes(value);
            let digits = [codes.0, codes.1];
            for digit in &digits[..table.digits] {
                if let Some(column) = physical.next() {
                    column.push(*digit);
                }
            }
        }
    }
    let column_reports = codebook
        .columns()
        .iter()
        .enumerate()
        .map(|(logical, column)| {
            let first = codebook
                .first_physical(logical)
                .map_or(0, |index| index.0 as usize);
            let missing = columns[first]
                .iter()
                .filter(|&&code| code == MISSING)
                .count() as u64;
            ColumnReport {
                name: column.name().to_owned(),
                missing,
                ..ColumnReport::default()
            }
        })
        .collect();
    let report = CodingReport {
        shape: SourceShape {
            format: SourceFormat::Synthetic,
            skipped_after_header: 0,
        },
        rows: people as u64,
        blank_lines: 0,
        person_key: codebook.person_key().map(str::to_owned),
        on_duplicate: OnDuplicate::default(),
        people: people as u64,
        collapsed_rows: 0,
        overruled_rows: 0,
        columns: column_reports,
        unused_columns: Vec::new(),
    };
    Ok(CodedDataset {
        codebook,
        columns,
        people,
        report,
    })
}

/// A person's values in codebook order: category positions or numbers in the column's own unit.
fn values(person: &Person) -> [Option<i64>; 10] {
    [
        Some(person.age),
        Some(person.sex as i64),
        Some(person.region as i64),
        person.smoking.map(|s| s as i64),
        person.bmi,
        person.systolic_bp,
        person.cholesterol,
        person.hba1c,
        Some(i64::from(person.diabetes)),
        Some(person.visits),
    ]
}

/// The codes of every value that a person can have in one column.
struct CodeTable {
    from: i64,
    codes: Vec<(u8, u8)>,
    missing: (u8, u8),
    digits: usize,
}

impl CodeTable {
    fn of(column: &Column) -> Self {
        use salus_schema::column::ColumnKind as Kind;
        let split = |codes: PhysicalCodes| match codes {
            PhysicalCodes::One(code) => (code, code),
            PhysicalCodes::Two { high, low } => (high, low),
        };
        let (from, codes) = match column.kind() {
            Kind::Categorical(set) | Kind::Ordered(set) => {
                let texts = set
                    .entries()
                    .iter()
                    .map(|entry| column.encode(Some(&entry.value)));
                (0, texts.flatten().map(split).collect())
            }
            Kind::Exact(grid) => {
                let scale = grid.step().scale();
                let scaled = |value: Decimal| value.scaled(scale).unwrap_or(0) as i64;
                let (min, max) = (scaled(grid.min()), scaled(grid.max()));
                let all = (min..=max).map(|value| column.encode_scaled(i128::from(value), scale));
                (min, all.flatten().map(split).collect())
            }
            Kind::Bucketed(_) => (0, Vec::new()),
        };
        let digits = 1 + usize::from(column.kind().is_wide());
        Self {
            from,
            codes,
            missing: (MISSING, MISSING),
            digits,
        }
    }

    fn codes(&self, value: Option<i64>) -> (u8, u8) {
        let position = value.and_then(|value| usize::try_from(value - self.from).ok());
        position
            .and_then(|position| self.codes.get(position))
            .copied()
            .unwrap_or(self.missing)
    }
}

fn push_line(text: &mut String, person: &Person) {
    let _ = write!(
        text,
        "P{:07},{},{},{},",
        person.number, person.age, SEXES[person.sex], REGIONS[person.region]
    );
    text.push_str(person.smoking.map_or("", |smoking| SMOKING[smoking]));
    let mut number = |value: Option<i64>, tenths: bool| {
        text.push(',');
        if let Some(value) = value {
            let _ = if tenths {
                write!(text, "{}.{}", value / 10, value % 10)
            } else {
                write!(text, "{value}")
            };
        }
    };
    number(person.bmi, true);
    number(person.systolic_bp, false);
    number(person.cholesterol, false);
    number(person.hba1c, true);
    let _ = writeln!(
        text,
        ",{},{}",
        if person.diabetes { "yes" } else { "no" },
        person.visits
    );
}

fn frame(people: &[Person]) -> PolarsResult<DataFrame> {
    let texts = |name: &str, of: &dyn Fn(&Person) -> Option<&'static str>| {
        let column: StringChunked = people.iter().map(of).collect();
        column.with_name(name.into()).into_column()
    };
    let whole = |name: &str, of: &dyn Fn(&Person) -> Option<i64>| {
        let column: Int64Chunked = people.iter().map(of).collect();
        column.with_name(name.into()).into_column()
    };
    let tenths = |name: &str, of: &dyn Fn(&Person) -> Option<i64>| {
        // The nearest double of n/10 prints as n/10 again.
        let column: Float64Chunked = people
            .iter()
            .map(|person| of(person).map(|tenths| tenths as f64 / 10.0))
            .collect();
        column.with_name(name.into()).into_column()
    };
    let ids: StringChunked = people
        .iter()
        .map(|p| Some(format!("P{:07}", p.number)))
        .collect();
    DataFrame::new(
        people.len(),
        vec![
            ids.with_name("person_id".into()).into_column(),
            whole("age", &|p| Some(p.age)),
            texts("sex", &|p| Some(SEXES[p.sex])),
            texts("region", &|p| Some(REGIONS[p.region])),
            texts("smoking", &|p| p.smoking.map(|s| SMOKING[s])),
            tenths("bmi", &|p| p.bmi),
            whole("systolic_bp", &|p| p.systolic_bp),
            whole("cholesterol", &|p| p.cholesterol),
            tenths("hba1c", &|p| p.hba1c),
            texts("diabetes", &|p| Some(if p.diabetes { "yes" } else { "no" })),
            whole("visits", &|p| Some(p.visits)),
        ],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::code::{CodingOptions, code_table};

    #[test]
    fn csv_parquet_and_direct_coding_agree() {
        let folder = tempfile::tempdir().unwrap();
        let (people, seed) = (3_000, DEFAULT_SEED);
        let direct = coded(people, seed).unwrap();
        assert!(direct.columns.iter().flatten().all(|&code| code != 0));

        let text = folder.path().join("cohort.csv");
        write_csv(&mut std::fs::File::create(&text).unwrap(), people, seed).unwrap();
        assert_eq!(std::fs::read_to_string(&text).unwrap(), csv(people, seed));
        let table = folder.path().join("cohort.parquet");
        write_parquet(std::fs::File::create(&table).unwrap(), people, seed).unwrap();

        for path in [text, table] {
            let read = code_table(&path, &codebook().unwrap(), None, &CodingOptions::default());
            let read = read.unwrap();
            assert_eq!(read.columns, direct.columns, "{}", path.display());
            assert_eq!(read.people, people);
            assert_eq!(read.report.columns, direct.report.columns);
        }
    }

    #[test]
    fn the_default_cohort_is_frozen() {
        let text = csv(DEFAULT_PEOPLE, DEFAULT_SEED);
        let digest = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, FROZEN, "{}", &text[..400]);
    }

    const FROZEN: &str = "8f61dc19189e451e239da2a131a93510afa9a0cb7a2466e770d44ede46ebc4c5";
}

//! Cubes and their forms, against the passes that they stand for.

use proptest::prelude::*;
use salus_schema::codebook::{Codebook, CodebookError};
use salus_schema::column::{Category, Column};
use salus_schema::cube::{
    Coverage, Cube, CubeError, CubeForms, Form, FormError, InconsistentValues, MAX_CELLS,
    ModulusClass, NotCovered, UPLOAD_BYTES, forms, propose,
};
use salus_schema::plan::{Image, Pass, Plan, VALUES};
use salus_schema::planner;
use salus_schema::query::Query;

use crate::cohort;
use crate::plans::plan_on;

const COLUMNS: u16 = 6;

/// Codebooks of six columns with one to five values, some nullable, and a cube of some of them.
fn small_cube() -> impl Strategy<Value = Cube> {
    let column = (1..=5usize, any::<bool>());
    let columns = prop::collection::vec(column, usize::from(COLUMNS));
    let chosen = prop::sample::subsequence((0..usize::from(COLUMNS)).collect::<Vec<_>>(), 1..=5);
    (columns, chosen, any::<bool>()).prop_filter_map("too many cells", |(columns, chosen, sums)| {
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(i, (values, nullable))| {
                let values = (0..values)
                    .map(|v| Category::plain(format!("v{v}")))
                    .collect();
                let missing = if nullable {
                    vec![String::new()]
                } else {
                    vec![]
                };
                Column::categorical(format!("c{i}"), values, missing).unwrap()
            });
        let codebook = Codebook::new("t", None, columns.collect()).unwrap();
        let class = if sums {
            ModulusClass::Sums
        } else {
            ModulusClass::Counts
        };
        Cube::new("chosen", &codebook, &chosen, class).ok()
    })
}

/// What a pass publishes of a clear histogram of the cube's cells.
fn published(cube: &Cube, pass: &Pass, histogram: &[u64]) -> [u64; VALUES] {
    let mut cells = vec![0; usize::from(pass.class().cells())];
    for (cell, &people) in histogram.iter().enumerate() {
        let codes = cube.codes_of(cell);
        let code = |column| {
            cube.columns()
                .iter()
                .position(|c| c == column)
                .map(|at| codes[at])
        };
        // A column that is not in the cube is padding here: any code but 0 passes.
        let codes: Vec<u8> = pass
            .columns()
            .iter()
            .map(|c| code(c).unwrap_or(1))
            .collect();
        if let Some(cell) = pass.evaluate(&codes) {
            cells[cell] += people;
        }
    }
    pass.publish(&cells, 0).unwrap()
}

/// The values that forms give on the same histogram, through opened counts and centred sums.
fn sealed(forms: &CubeForms, histogram: &[u64]) -> Vec<([u64; VALUES], u64)> {
    let passes = forms.passes.iter().map(|pass| {
        let open = |form: &Form| form.evaluate(histogram);
        let counts: Vec<u64> = pass.counts.iter().map(|f| open(f) as u64).collect();
        let sums: Vec<_> = pass
            .sums
            .iter()
            .map(|pair| Some(pair.each_ref().map(open)))
            .collect();
        let values = pass.values_from(&counts, &sums, 0).unwrap();
        (values.values, values.mask)
    });
    passes.collect()
}

fn reads_only(cube: &Cube, plan: &Plan) -> bool {
    let used = |pass: &Pass| {
        let pairs = pass.columns().iter().zip(pass.tables());
        let mut used = pairs.filter(|(_, table)| (1..=255).any(|code| table.get(code) != 0));
        used.all(|(column, _)| cube.columns().contains(column))
    };
    plan.passes().iter().all(used)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn forms_publish_what_the_passes_publish(
        cube in small_cube(),
        plan in plan_on(COLUMNS),
        people in prop::collection::vec((any::<prop::sample::Index>(), 1..4u64), 0..40),
    ) {
        let mut histogram = vec![0; cube.cells()];
        for (at, more) in &people {
            histogram[at.index(cube.cells())] += more;
        }
        let total = histogram.iter().sum::<u64>();
        match forms(&cube, &plan, total) {
            Ok(forms) => {
                prop_assert!(reads_only(&cube, &plan));
                let expected: Vec<_> = plan
                    .passes()
                    .iter()
                    .map(|pass| (published(&cube, pass, &histogram), pass.base_mask()))
                    .collect();
                prop_assert_eq!(sealed(&forms, &histogram), expected);
                for form in forms.passes.iter().flat_map(|pass| pass.all()) {
                    let bound = cube.modulus().largest();
                    prop_assert!(form.evaluate(&histogram).unsigned_abs() <= u128::from(bound));
                    prop_assert_eq!(&Form::from_bytes(&form.to_bytes()).unwrap(), form);
                }
            }
            Err(NotCovered::ColumnMissing { column, pass, .. }) => {
                prop_assert!(!reads_only(&cube, &plan));
                prop_assert!(plan.passes()[pass].columns().iter().any(|c| c.0 == column));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn cells_and_codes_are_inverse(cube in small_cube(), at in any::<prop::sample::Index>(), code in any::<u8>()) {
        let cell = at.index(cube.cells());
        let codes = cube.codes_of(cell);
        prop_assert_eq!(cube.cell_of(&codes), Some(cell));
        let mut record = vec![0; usize::from(COLUMNS)];
        for (column, code) in cube.columns().iter().zip(&codes) {
            record[usize::from(column.0)] = *code;
        }
        prop_assert_eq!(cube.cell_of_record(&record), Some(cell));
        for at in 0..codes.len() {
            let mut other = codes.clone();
            other[at] = code;
            let (first, last) = cube.ranges()[at].codes();
            prop_assert_eq!(cube.cell_of(&other).is_some(), (first..=last).contains(&code));
            other[at] = 0;
            prop_assert_eq!(cube.cell_of(&other), None);
        }
        prop_assert_eq!(cube.cell_of(&codes[1..]), None);
        prop_assert_eq!(cube.cell_of_record(&record[..0]), None);
    }

    #[test]
    fn cube_bytes_round_trip_and_damage_is_refused_or_canonical(cube in small_cube(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = cube.to_bytes();
        prop_assert_eq!(Cube::from_bytes(&bytes).unwrap(), cube);
        prop_assert!(Cube::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = Cube::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(cube) = Cube::from_bytes(&bytes) {
            prop_assert_eq!(cube.to_bytes(), bytes.clone());
        }
        if let Ok(form) = Form::from_bytes(&bytes) {
            prop_assert_eq!(form.to_bytes(), bytes);
        }
    }
}

#[test]
fn forms_with_other_bytes_do_not_exist() {
    assert_eq!(
        Form::new(vec![(3, 1), (3, 1)]),
        Err(FormError::Cell { term: 1, cell: 3 })
    );
    let beyond = MAX_CELLS as u16;
    assert_eq!(
        Form::new(vec![(beyond, 1)]),
        Err(FormError::Cell {
            term: 0,
            cell: beyond
        })
    );
    assert_eq!(
        Form::new(vec![(3, 0)]),
        Err(FormError::ZeroWeight { cell: 3 })
    );
    assert_eq!(
        Form::from_bytes(&[0, 0, 0, 1]),
        Err(FormError::Length { found: 4 })
    );
    assert_eq!(
        Form::from_bytes(&[0xff; 14]),
        Err(FormError::Length { found: 14 })
    );
}

/// Two columns for one number: 300 values take the digits 2..=3 and 2..=255.
const WIDE: &str = r#"
version = 1
name = "wide"
[[columns]]
name = "days"
kind = "exact"
min = 0
step = 1
max = 299
missing = [""]
[[columns]]
name = "sex"
kind = "categorical"
values = ["f", "m"]
"#;

#[test]
fn a_wide_number_is_summed_from_both_its_digits() {
    let codebook = Codebook::from_toml(WIDE).unwrap();
    let cube = Cube::new("days", &codebook, &[0, 1], ModulusClass::Sums).unwrap();
    assert_eq!(cube.cells(), 3 * 255 * 2);
    let people = [
        Some("0"),
        Some("253"),
        Some("254"),
        Some("299"),
        None,
        Some("120"),
    ];
    let mut histogram = vec![0; cube.cells()];
    for (i, days) in people.iter().enumerate() {
        let mut record: Vec<u8> = codebook.encode(0, *days).unwrap().iter().collect();
        record.extend(codebook.encode(1, Some(["f", "m"][i % 2])).unwrap().iter());
        histogram[cube.cell_of_record(&record).unwrap()] += 1;
    }
    let sql = "SELECT sex, SUM(days), COUNT(*) FROM wide GROUP BY sex";
    let query = Query::from_sql(sql, &codebook).unwrap();
    let (plan, decoder) = planner::plan(&query, &codebook).unwrap();
    let forms = forms(&cube, &plan, 1000).unwrap();
    let published: Vec<_> = sealed(&forms, &histogram)
        .into_iter()
        .map(|(values, mask)| salus_schema::answer::PassValues { values, mask })
        .collect();
    let rows = decoder.decode(&published).unwrap().rows;
    let sums: Vec<String> = rows
        .iter()
        .map(|r| r.sum.unwrap().unwrap().to_string())
        .collect();
    assert_eq!(sums, ["254", "672"]);
    assert_eq!(
        rows.iter().map(|r| r.count).collect::<Vec<_>>(),
        [Some(3), Some(3)]
    );
}

#[test]
fn sums_are_centred_and_grow_until_the_modulus_refuses_them() {
    let codebook = cohort::codebook();
    let age = codebook.find("age").unwrap().0;
    let query = cohort::query("SELECT STDDEV_SAMP(age) FROM t");
    let (plan, _) = planner::plan(&query, &codebook).unwrap();
    let cube = |class| Cube::new("age", &codebook, &[age], class).unwrap();
    let (counts, sums) = (cube(ModulusClass::Counts), cube(ModulusClass::Sums));
    // 50 ages have the codes 2..=51, so 25 at most from the middle.
    let found = forms(&counts, &plan, 1000).unwrap();
    assert_eq!(found.passes[0].centre, 26);
    assert_eq!(found.passes[0].sums[0][1].largest_weight(), 25 * 25);
    let most = counts.modulus().largest() / 625;
    assert!(forms(&counts, &plan, most).is_ok());
    let refused = forms(&counts, &plan, most + 1).unwrap_err();
    assert_eq!(refused.code(), "value_exceeds_modulus");
    let NotCovered::ValueExceedsModulus {
        needed, largest, ..
    } = refused
    else {
        panic!("{refused}")
    };
    assert!(needed > u128::from(largest));
    assert!(forms(&sums, &plan, most + 1).is_ok());
    let average = cohort::query("SELECT AVG(age) FROM t");
    let (plan, _) = planner::plan(&average, &codebook).unwrap();
    let without_squares = forms(&counts, &plan, most + 1).unwrap();
    assert!(without_squares.passes[0].sums[0][1].is_empty());
}

#[test]
fn masked_groups_need_no_sums_and_published_ones_do() {
    let codebook = cohort::codebook();
    let query = cohort::query("SELECT qsmk, AVG(age) FROM t GROUP BY qsmk");
    let (plan, _) = planner::plan(&query, &codebook).unwrap();
    let logical = [
        codebook.find("qsmk").unwrap().0,
        codebook.find("age").unwrap().0,
    ];
    let cube = Cube::new("both", &codebook, &logical, ModulusClass::Counts).unwrap();
    let forms = forms(&cube, &plan, 100).unwrap();
    let pass = &forms.passes[0];
    assert_eq!(
        (pass.image, pass.counts.len(), pass.sums.len()),
        (Image::Moments, 2, 2)
    );
    assert_eq!((pass.bits(0), pass.bits(1)), (0b111, 0b111_000));
    let centre = i128::from(pass.centre);
    let opened = [Some([-4, 0]), None];
    let values = pass.values_from(&[3, 2], &opened, pass.bits(1)).unwrap();
    assert_eq!(values.values[..6], [3, (3 * centre - 4) as u64, 0, 0, 0, 0]);
    assert_eq!(values.mask, pass.base_mask | 0b111_000);
    let refused =
        |counts: &[u64], sums: &[Option<[i128; 2]>]| pass.values_from(counts, sums, 0).unwrap_err();
    assert_eq!(
        refused(&[3, 2], &opened),
        InconsistentValues::Unopened { group: 1 }
    );
    assert_eq!(
        refused(&[3], &opened),
        InconsistentValues::Counts {
            expected: 2,
            found: 1
        }
    );
    assert_eq!(
        refused(&[3, 2], &[]),
        InconsistentValues::Sums {
            expected: 2,
            found: 0
        }
    );
    let impossible = [Some([-4 * centre, 0]), Some([0, 0])];
    let found = 3 * centre - 4 * centre;
    assert_eq!(
        refused(&[3, 2], &impossible),
        InconsistentValues::Impossible { value: 1, found }
    );
    let overflow = [Some([i128::MAX, 0]), Some([0, 0])];
    assert!(matches!(
        refused(&[3, 2], &overflow),
        InconsistentValues::Impossible { value: 1, .. }
    ));
}

const WITH_CUBES: &str = r#"
[[cubes]]
name = "habits"
columns = ["qsmk", "sex", "age"]

[[cubes]]
name = "habits in sums"
columns = ["qsmk", "age"]
modulus = "sums"
"#;

#[test]
fn codebook_files_list_cubes_and_old_files_keep_their_hash() {
    let text = format!("{}{WITH_CUBES}", cohort::CODEBOOK);
    let codebook = Codebook::from_toml(&text).unwrap();
    let [first, second] = codebook.cubes() else {
        panic!("two cubes")
    };
    assert_eq!(
        (first.name(), first.cells(), first.modulus()),
        ("habits", 2 * 2 * 50, ModulusClass::Counts)
    );
    assert_eq!(
        (second.cells(), second.modulus()),
        (100, ModulusClass::Sums)
    );
    assert_ne!(first.id(), second.id());
    let read_back = Codebook::from_toml(&codebook.to_toml()).unwrap();
    assert_eq!(read_back, codebook);
    assert_eq!(read_back.hash(), codebook.hash());
    let plain = cohort::codebook();
    assert_ne!(plain.hash(), codebook.hash());
    assert!(!plain.canonical_json().contains("cubes"));
    assert_eq!(codebook.with_cubes(vec![]).unwrap().hash(), plain.hash());
}

#[test]
fn cubes_that_cannot_be_published_are_refused_with_a_reason() {
    let refused =
        |cubes: &str| Codebook::from_toml(&format!("{}{cubes}", cohort::CODEBOOK)).unwrap_err();
    let cube = |name: &str, columns: &str| {
        format!("\n[[cubes]]\nname = \"{name}\"\ncolumns = [{columns}]\n")
    };
    let error = |refused| match refused {
        CodebookError::Cube { error, .. } => error,
        other => panic!("{other}"),
    };
    assert!(matches!(
        refused(&cube("a", "\"height\"")),
        CodebookError::CubeColumn { .. }
    ));
    assert!(matches!(
        error(refused(&cube("a", ""))),
        CubeError::Columns { found: 0 }
    ));
    assert!(matches!(
        error(refused(&cube("", "\"age\""))),
        CubeError::Name { .. }
    ));
    assert!(matches!(
        error(refused(&cube("a", "\"age\", \"age\""))),
        CubeError::RepeatedColumn { .. }
    ));
    assert_eq!(
        error(refused(&cube("a", "\"age\", \"rest SBP\", \"sex\""))),
        CubeError::TooManyCells
    );
    assert_eq!(
        error(refused(&cube("a", "\"wt82_71\""))),
        CubeError::TooManyCells
    );
    let twice = cube("a", "\"age\"") + &cube("a", "\"sex\"");
    assert!(matches!(
        refused(&twice),
        CodebookError::RepeatedCube { .. }
    ));
    let same = cube("a", "\"age\", \"sex\"") + &cube("b", "\"sex\", \"age\"");
    assert!(matches!(refused(&same), CodebookError::RepeatedCube { .. }));
    let modulus = cube("a", "\"age\"") + "modulus = \"large\"\n";
    assert!(matches!(
        refused(&modulus),
        CodebookError::CubeModulus { .. }
    ));
    let many: String = (0..65).map(|i| cube(&format!("c{i}"), "\"age\"")).collect();
    assert!(matches!(
        refused(&many),
        CodebookError::TooManyCubes { found: 65 }
    ));
    let unknown = cube("a", "\"age\"") + "cells = 4\n";
    assert!(matches!(refused(&unknown), CodebookError::Toml { .. }));
}

#[test]
fn a_proposal_covers_what_fits_and_says_why_the_rest_does_not() {
    let codebook = cohort::codebook();
    let queries = [
        "SELECT COUNT(*) FROM t WHERE sex = 'male' AND age > 60",
        "SELECT qsmk, AVG(age), COUNT(*) FROM t GROUP BY qsmk",
        "SELECT stage, COUNT(*) FROM t GROUP BY stage",
        "SELECT COUNT(*) FROM t WHERE \"rest SBP\" > 120 AND age > 50 AND c2 = 1",
        "SELECT SUM(wt82_71) FROM t",
        "SELECT COUNT(*) FROM t",
        "SELECT VAR_SAMP(age) FROM t WHERE c1 = 1",
        "SELECT bmi, sex, COUNT(*) FROM t GROUP BY bmi, sex",
    ]
    .map(cohort::query);
    let people = 10_000;
    let proposal = propose(&queries, &codebook, people);
    assert_eq!(
        proposal.bytes_per_member,
        UPLOAD_BYTES * proposal.cubes.len() as u64
    );
    for (query, coverage) in queries.iter().zip(&proposal.coverage) {
        let (plan, _) = planner::plan(query, &codebook).unwrap();
        let answering = |cube: &Cube| forms(cube, &plan, people).is_ok();
        match coverage {
            Coverage::Cube(cube) => assert!(answering(&proposal.cubes[*cube])),
            _ => assert!(!proposal.cubes.iter().any(answering)),
        }
    }
    let uncovered: Vec<usize> = (0..8)
        .filter(|i| proposal.coverage[*i].cube().is_none())
        .collect();
    assert_eq!(uncovered, [3, 4]);
    assert_eq!(
        proposal.coverage[3],
        Coverage::TooWide(CubeError::TooManyCells)
    );
    // 50 x 4 x 2 x 2 x 5 = 4000 cells hold what fits but for one question.
    assert_eq!(proposal.cubes.len(), 2);
    assert!(
        proposal
            .cubes
            .iter()
            .any(|cube| cube.modulus() == ModulusClass::Sums)
    );
    let refused = &propose(&queries[6..7], &codebook, 10_000_000).coverage[0];
    assert!(matches!(
        refused,
        Coverage::Refused(NotCovered::ValueExceedsModulus { .. })
    ));
    assert!(propose(&[], &codebook, people).cubes.is_empty());
}

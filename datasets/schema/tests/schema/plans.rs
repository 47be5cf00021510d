use proptest::prelude::*;
use salus_schema::plan::{
    CircuitClass, CodeTable, ColumnIndex, Image, MalformedPlan, Pass, Plan, Run,
};

fn class() -> impl Strategy<Value = CircuitClass> {
    prop_oneof![Just(CircuitClass::K4), Just(CircuitClass::K8)]
}

fn table(class: CircuitClass) -> impl Strategy<Value = CodeTable> {
    let cells = class.cells();
    let entry = prop_oneof![Just(cells), Just(0), 0..=cells];
    prop_oneof![
        prop::collection::vec(entry, 255).prop_map(move |entries| {
            CodeTable::from_fn(class, |code| Some(entries[usize::from(code) - 1])).unwrap()
        }),
        (0u8..200, 1u8..50, 0u16..3).prop_map(move |(from, len, slope)| {
            CodeTable::from_fn(class, |code| {
                let t = code.checked_sub(from).filter(|&t| t < len)?;
                Some(u16::from(t) * slope)
            })
            .unwrap()
        }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    plan_on(40)
}

/// Plans that read the first `columns` physical columns.
pub fn plan_on(columns: u16) -> impl Strategy<Value = Plan> {
    class().prop_flat_map(move |class| {
        let most = class.columns().min(columns.into());
        let pass = (
            prop::collection::btree_set(0..columns, 1..=most),
            prop::collection::vec(table(class), class.columns()),
            prop_oneof![Just(Image::Cells), Just(Image::Moments)],
            1..=64u8,
        )
            .prop_map(move |(columns, tables, image, values)| {
                let used: Vec<_> = columns.into_iter().map(ColumnIndex).zip(tables).collect();
                let values = match image {
                    Image::Cells => values,
                    Image::Moments => 3 * (1 + values % class.moment_groups() as u8),
                };
                let base_mask = if image == Image::Moments { 0b100 } else { 0 };
                Pass::padded(class, used, image, values, base_mask).unwrap()
            });
        prop::collection::vec(pass, 1..4).prop_map(move |passes| Plan::new(class, passes).unwrap())
    })
}

proptest! {
    #[test]
    fn encoding_round_trips(plan in plan()) {
        let bytes = plan.to_bytes();
        prop_assert_eq!(Plan::from_bytes(&bytes), Ok(plan));
    }

    #[test]
    fn runs_round_trip_and_are_maximal(table in class().prop_flat_map(table)) {
        let runs = table.runs();
        prop_assert_eq!(CodeTable::from_runs(table.class(), &runs), Ok(table.clone()));
        let mut code = 1usize;
        for run in &runs {
            let end = code + usize::from(run.len);
            if run.len == 1 {
                prop_assert_eq!(run.slope, 0);
            }
            if let Some(&next) = table.entries().get(end) {
                let last = table.entries()[end - 1];
                if run.len == 1 {
                    prop_assert!(next < last);
                } else {
                    prop_assert_ne!(u32::from(next), u32::from(last) + u32::from(run.slope));
                }
            }
            code = end;
        }
        prop_assert_eq!(code, 256);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(plan) = Plan::from_bytes(&bytes) {
            prop_assert_eq!(plan.to_bytes(), bytes);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(plan in plan(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = plan.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = Plan::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn every_truncation_is_refused(plan in plan(), at in any::<prop::sample::Index>()) {
        let bytes = plan.to_bytes();
        prop_assert!(Plan::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
    }
}

fn one_pass() -> Pass {
    let class = CircuitClass::K4;
    let table = CodeTable::from_fn(class, |code| (code < 4).then_some(0)).unwrap();
    Pass::padded(class, vec![(ColumnIndex(3), table)], Image::Cells, 1, 0).unwrap()
}

#[test]
fn empty_slot_never_counts() {
    assert_eq!(one_pass().evaluate(&[0, 0, 0, 0]), None);
    assert_eq!(one_pass().evaluate(&[1, 1, 1, 1]), Some(0));
    let entries = [0; 256];
    assert_eq!(
        CodeTable::new(CircuitClass::K4, entries),
        Err(MalformedPlan::EmptySlot {
            found: 0,
            cells: 1024
        })
    );
}

#[test]
fn evaluate_wants_one_code_per_position() {
    assert_eq!(one_pass().evaluate(&[1, 1, 1]), None);
    assert_eq!(one_pass().evaluate(&[]), None);
}

#[test]
fn rejects_what_no_plan_has() {
    let class = CircuitClass::K4;
    let table = || CodeTable::from_fn(class, |_| Some(1)).unwrap();
    let pass = |columns: &[u16], image, values, mask| {
        let columns = columns.iter().map(|&c| ColumnIndex(c)).collect();
        Pass::new(
            class,
            columns,
            vec![table(), table(), table(), table()],
            image,
            values,
            mask,
        )
    };
    assert!(pass(&[0, 1, 2, 3], Image::Cells, 64, 0).is_ok());
    assert!(matches!(
        pass(&[0, 1, 2], Image::Cells, 1, 0),
        Err(MalformedPlan::Columns { found: 3 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 0], Image::Cells, 1, 0),
        Err(MalformedPlan::RepeatedColumn {
            position: 3,
            column: 0
        })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Cells, 0, 0),
        Err(MalformedPlan::Values { found: 0 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Cells, 65, 0),
        Err(MalformedPlan::Values { found: 65 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Moments, 4, 0),
        Err(MalformedPlan::MomentValues { found: 4, most: 12 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Moments, 15, 0),
        Err(MalformedPlan::MomentValues {
            found: 15,
            most: 12
        })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Cells, 2, 4),
        Err(MalformedPlan::MaskBeyondValues { mask: 4, values: 2 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Cells, 2, 3),
        Err(MalformedPlan::MaskHidesAll { mask: 3 })
    ));
    assert!(matches!(
        pass(&[0, 1, 2, 3], Image::Moments, 6, 8),
        Err(MalformedPlan::MaskHidesCount { group: 1, .. })
    ));
    assert!(matches!(
        Plan::new(CircuitClass::K8, vec![one_pass()]),
        Err(MalformedPlan::TableClass { .. })
    ));
    assert!(matches!(
        Plan::new(class, Vec::new()),
        Err(MalformedPlan::Passes { found: 0 })
    ));
    assert!(matches!(
        CodeTable::from_fn(class, |_| Some(1025)),
        Err(MalformedPlan::Entry {
            code: 1,
            value: 1025,
            ..
        })
    ));
    let long = Run {
        len: 255,
        value: u16::MAX,
        slope: u16::MAX,
    };
    assert!(CodeTable::from_runs(class, &[long]).is_err());
}

#[test]
fn rejects_split_runs() {
    let bytes = Plan::new(CircuitClass::K4, vec![one_pass()])
        .unwrap()
        .to_bytes();
    let runs_at = 3 + 1 + 1 + 8 + 4 * 2;
    assert_eq!(bytes[runs_at + 2], 3);
    let mut split = bytes[..runs_at].to_vec();
    let count = u16::from_be_bytes([bytes[runs_at], bytes[runs_at + 1]]) + 1;
    split.extend(count.to_be_bytes());
    split.extend([1, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    split.extend(&bytes[runs_at + 7..]);
    assert_eq!(Plan::from_bytes(&split), Err(MalformedPlan::NotCanonical));
}

use super::{agrees, clear, fixture, planned, rng};
use crate::layout::Layout;
use crate::query::{AdhocQuery, NotSupported, Work};
use rand::Rng;
use salus_schema::plan::ColumnIndex;

#[test]
fn counts_with_one_to_four_conditions_equal_the_clear_ones() {
    let conditions = [
        "sex = 'f'",
        "age BETWEEN 30 AND 70",
        "smoker <> 'yes'",
        "region IN ('r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9')",
    ];
    for k in 1..=4 {
        let sql = format!(
            "SELECT COUNT(*) FROM clinic WHERE {}",
            conditions[..k].join(" AND ")
        );
        // 23 is no multiple of what one rotation serves: the last one is not full.
        let adhoc = agrees(&sql, 23);
        assert_eq!(adhoc.branch_count(), 1);
    }
}

#[test]
fn histogram_of_sixteen_with_a_filter_equals_the_clear_one() {
    let adhoc = agrees(
        "SELECT region, COUNT(*) FROM clinic WHERE sex = 'f' AND age < 60 GROUP BY region",
        31,
    );
    let estimate = adhoc.estimate(1000, 1);
    assert_eq!(estimate.rotations_per_record, 2.0);
}

#[test]
fn mean_and_variance_of_a_wide_measure_equal_the_clear_ones() {
    agrees(
        "SELECT AVG(pressure), VAR_SAMP(pressure) FROM clinic WHERE sex = 'm'",
        12,
    );
}

#[test]
fn means_by_group_equal_the_clear_ones() {
    agrees(
        "SELECT sex, COUNT(*), AVG(age) FROM clinic WHERE smoker = 'no' GROUP BY sex",
        9,
    );
}

#[test]
fn two_group_columns_equal_the_clear_counts() {
    agrees(
        "SELECT sex, smoker, COUNT(*) FROM clinic WHERE age > 40 GROUP BY sex, smoker",
        20,
    );
}

#[test]
fn more_groups_than_windows_take_more_rotations_not_more_conjunctions() {
    let bucket = "bucket(age, 20, 25, 30, 35, 40, 45, 50, 55, 60, 62, 64, 66, 68, 70, 72, 74, 76, 78, 80, 82)";
    let (_, _, adhoc) = planned(&format!(
        "SELECT {bucket}, COUNT(*) FROM clinic WHERE sex = 'f' GROUP BY {bucket}"
    ));
    assert_eq!(adhoc.branch_count(), 1);
    let Work::Split { rotations, .. } = &adhoc.branches()[0].work else {
        panic!("a histogram is spread over windows");
    };
    assert_eq!(rotations.len(), 2);
}

#[test]
fn a_column_outside_the_record_is_refused_before_anything_runs() {
    let fixture = fixture();
    let (plan, ..) = planned("SELECT COUNT(*) FROM clinic WHERE age < 60 AND sex = 'f'");
    let layout = Layout::of_columns(&fixture.codebook, &[ColumnIndex(0), ColumnIndex(1)]).unwrap();
    assert_eq!(
        AdhocQuery::new(&plan, &layout),
        Err(NotSupported::ColumnNotInRecord { pass: 0, column: 3 })
    );
}

#[test]
fn estimates_grow_with_people_and_predict_failure() {
    let (_, _, adhoc) =
        planned("SELECT COUNT(*) FROM clinic WHERE sex = 'f' AND age < 60 AND smoker = 'no'");
    let (small, large) = (adhoc.estimate(1000, 1), adhoc.estimate(1_000_000, 1));
    assert!(small.seconds < large.seconds && small.p_fail_log2 < large.p_fail_log2);
    assert!(large.p_fail_log2 < -100.0, "{large:?}");
    assert!(adhoc.estimate(1000, 2).seconds < small.seconds);
}

/// The same figures as comparisons of tfhe's own integers, which the fast path is measured against.
#[test]
fn counts_equal_those_of_the_integer_api() {
    use tfhe::integer::{ClientKey, ServerKey};
    use tfhe::shortint::client_key::atomic_pattern::{
        AtomicPatternClientKey, StandardAtomicPatternClientKey,
    };
    use tfhe::shortint::parameters::{
        PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, PBSParameters,
    };
    let fixture = fixture();
    let client = ClientKey::from_raw_parts(tfhe::shortint::ClientKey {
        atomic_pattern: AtomicPatternClientKey::Standard(
            StandardAtomicPatternClientKey::from_raw_parts(
                fixture.secrets.ring.clone(),
                fixture.secrets.small.clone(),
                PBSParameters::PBS(PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128),
                None,
            ),
        ),
    });
    let server = ServerKey::new_radix_server_key_from_shortint(fixture.compute.shortint.clone());
    let mut rng = rng(5);
    let (from, to) = (rng.gen_range(2..20u8), rng.gen_range(40..72u8));
    let people = &fixture.people[..3];
    let naive = people
        .iter()
        .filter(|codes| {
            let age = client.encrypt_radix(u64::from(codes[3]), 4);
            let sex = client.encrypt_radix(u64::from(codes[0]), 1);
            let over = server.scalar_ge_parallelized(&age, from);
            let under = server.scalar_le_parallelized(&age, to);
            let women = server.scalar_eq_parallelized(&sex, 2u8);
            let both = server.boolean_bitand(&over, &under);
            client.decrypt_bool(&server.boolean_bitand(&both, &women))
        })
        .count() as u64;
    let sql = format!(
        "SELECT COUNT(*) FROM clinic WHERE age BETWEEN {} AND {} AND sex = 'f'",
        u32::from(from) + 18,
        u32::from(to) + 18
    );
    let (plan, ..) = planned(&sql);
    assert_eq!(clear(&plan, people)[0][0], naive);
    agrees(&sql, 3);
}

use salus_schema::answer::{AnswerError, PassValues};
use salus_schema::planner;
use serde_json::json;

use crate::cohort::{self, Person, answer};

fn someone(age: &str, sbp: Option<&str>, weight: Option<&str>) -> Person {
    let text = |t: &str| Some(t.to_owned());
    vec![
        text("1"),
        text(age),
        sbp.map(str::to_owned),
        weight.map(str::to_owned),
        text("male"),
        None,
        None,
        text("0"),
        text("0"),
        text("0"),
    ]
}

#[test]
fn one_person() {
    let people = [someone("46", Some("120"), Some("-41.5"))];
    assert_eq!(
        answer(
            "SELECT COUNT(*), AVG(age), SUM(age), VAR_SAMP(age), STDDEV_SAMP(age) FROM t",
            &people,
            1
        ),
        json!([{"group":{},"count":1,"sum":{"age":46},"avg":{"age":46.0},"var_samp":{"age":null},"stddev_samp":{"age":null},"suppressed":false}])
    );
    assert_eq!(
        answer("SELECT SUM(wt82_71) FROM t", &people, 1),
        json!([{"group":{},"count":1,"sum":{"wt82_71":-41.5},"suppressed":false}])
    );
}

#[test]
fn nobody_is_suppressed_not_zero() {
    assert_eq!(
        answer(
            "SELECT COUNT(*), SUM(age) FROM t WHERE sex = 'female'",
            &[someone("46", None, None)],
            0
        ),
        json!([{"group":{},"count":null,"sum":{"age":null},"suppressed":true}])
    );
    assert_eq!(
        answer("SELECT COUNT(*) FROM t WHERE age > 100", &[], 0),
        json!([{"group":{},"count":null,"suppressed":true}])
    );
}

#[test]
fn small_groups_are_withheld_in_every_pass() {
    let mut people: Vec<Person> = (0..5)
        .map(|i| someone("50", Some("120"), Some(&format!("0.0{i}"))))
        .collect();
    people.push(someone("50", Some("122"), None));
    people.push(someone("50", Some("122"), Some("1")));
    let rows = answer(
        "SELECT COUNT(*), SUM(wt82_71) FROM t WHERE \"rest SBP\" < 123 AND \"rest SBP\" > 119 GROUP BY \"rest SBP\"",
        &people,
        2,
    );
    assert_eq!(
        rows,
        json!([
            {"group":{"rest SBP":"120"},"count":5,"count_of":{"wt82_71":5},"sum":{"wt82_71":0.1},"suppressed":false},
            {"group":{"rest SBP":"122"},"count":null,"count_of":{"wt82_71":null},"sum":{"wt82_71":null},"suppressed":true}
        ])
    );
}

#[test]
fn count_star_counts_people_without_the_measure() {
    let people = [
        someone("30", None, None),
        someone("31", Some("100"), None),
        someone("32", Some("110"), None),
    ];
    assert_eq!(
        answer("SELECT COUNT(*), AVG(\"rest SBP\") FROM t", &people, 1),
        json!([{"group":{},"count":3,"count_of":{"rest SBP":2},"avg":{"rest SBP":105.0},"suppressed":false}])
    );
    assert_eq!(
        answer(
            "SELECT COUNT(*), AVG(\"rest SBP\") FROM t WHERE \"rest SBP\" IS NOT NULL",
            &people,
            1
        ),
        json!([{"group":{},"count":2,"avg":{"rest SBP":105.0},"suppressed":false}])
    );
    assert_eq!(
        answer("SELECT COUNT(\"rest SBP\"), COUNT(*) FROM t", &people, 1),
        json!([{"group":{},"count":3,"count_of":{"rest SBP":2},"suppressed":false}])
    );
    assert_eq!(
        answer("SELECT COUNT(\"rest SBP\") FROM t", &people, 1),
        json!([{"group":{},"count":2,"count_of":{"rest SBP":2},"suppressed":false}])
    );
    assert_eq!(
        answer("SELECT COUNT(age) FROM t", &people, 1),
        json!([{"group":{},"count":3,"count_of":{"age":3},"suppressed":false}])
    );
    assert_eq!(
        answer(
            "SELECT COUNT(stage), COUNT(*) FROM t WHERE stage IS NULL",
            &people,
            1
        ),
        json!([{"group":{},"count":null,"count_of":{"stage":null},"suppressed":true}])
    );
}

#[test]
fn wide_sums_are_exact_at_the_extremes() {
    let people = [
        someone("30", None, Some("-41.5")),
        someone("30", None, Some("48.6")),
        someone("30", None, Some("48.6")),
        someone("30", None, Some("-38.96")),
    ];
    assert_eq!(
        answer("SELECT SUM(wt82_71), AVG(wt82_71) FROM t", &people, 1),
        json!([{"group":{},"count":4,"sum":{"wt82_71":16.74},"avg":{"wt82_71":4.185},"suppressed":false}])
    );
    let text = {
        let codebook = cohort::codebook();
        let (plan, decoder) =
            planner::plan(&cohort::query("SELECT SUM(wt82_71) FROM t"), &codebook).unwrap();
        let published: Vec<PassValues> = cohort::totals(&plan, &codebook, &people)
            .into_iter()
            .zip(plan.passes())
            .map(|(values, pass)| PassValues {
                values,
                mask: pass.base_mask(),
            })
            .collect();
        serde_json::to_string(&decoder.decode(&published).unwrap()).unwrap()
    };
    assert_eq!(
        text,
        r#"{"rows":[{"group":{},"count":4,"sum":{"wt82_71":16.74},"suppressed":false}]}"#
    );
}

#[test]
fn published_values_must_fit_the_plan() {
    let codebook = cohort::codebook();
    let people = [
        someone("30", None, Some("1")),
        someone("40", None, Some("2")),
    ];
    let (plan, decoder) = planner::plan(
        &cohort::query("SELECT SUM(wt82_71) FROM t GROUP BY qsmk"),
        &codebook,
    )
    .unwrap();
    let honest: Vec<PassValues> = {
        let exact = cohort::totals(&plan, &codebook, &people);
        let masks = decoder.suppression_masks(&exact, 2).unwrap();
        assert_eq!(masks.cohort, 2);
        assert!(masks.allows(2) && !masks.allows(3));
        assert_eq!(masks.masks, [0b100_111; 2]);
        exact
            .into_iter()
            .zip(masks.masks)
            .map(|(values, mask)| PassValues { values, mask })
            .collect()
    };
    assert!(decoder.decode(&honest).is_ok());
    let altered = |change: &dyn Fn(&mut Vec<PassValues>)| {
        let mut published = honest.clone();
        change(&mut published);
        decoder.decode(&published).unwrap_err()
    };
    assert!(matches!(
        altered(&|p| {
            p.pop();
        }),
        AnswerError::PassCount {
            expected: 2,
            found: 1
        }
    ));
    assert!(matches!(
        altered(&|p| p[0].mask = 0),
        AnswerError::Mask { pass: 0, .. }
    ));
    assert!(matches!(
        altered(&|p| p[1].mask |= 1 << 6),
        AnswerError::Mask { pass: 1, .. }
    ));
    assert!(matches!(
        altered(&|p| p[0].values[0] = 1),
        AnswerError::MaskedValue { pass: 0, value: 0 }
    ));
    assert!(matches!(
        altered(&|p| p[0].values[63] = 1),
        AnswerError::MaskedValue { pass: 0, value: 63 }
    ));
    assert!(matches!(
        altered(&|p| p[0].mask = 0b100_100),
        AnswerError::MixedMask { group: 0 }
    ));
    assert!(matches!(
        altered(&|p| p[1].values[3] = 3),
        AnswerError::CountsDisagree { group: 1, .. }
    ));
    assert!(matches!(
        altered(&|p| p[0].values[4] = 3),
        AnswerError::ImpossibleSum { group: 1, count: 2 }
    ));
    assert!(matches!(
        altered(&|p| p[0].values[4] = 511),
        AnswerError::ImpossibleSum { group: 1, count: 2 }
    ));
    assert!(decoder.suppression_masks(&[], 1).is_err());
}

#[test]
fn huge_published_values_are_errors_not_panics() {
    let codebook = cohort::codebook();
    for sql in [
        "SELECT VAR_SAMP(age) FROM t",
        "SELECT AVG(wt82_71) FROM t",
        "SELECT COUNT(*) FROM t",
    ] {
        let (plan, decoder) = planner::plan(&cohort::query(sql), &codebook).unwrap();
        for value in [u64::MAX, u64::MAX / 2, 1] {
            let published: Vec<PassValues> = plan
                .passes()
                .iter()
                .map(|pass| PassValues {
                    values: std::array::from_fn(|t| {
                        if t >= pass.values() || pass.base_mask() >> t & 1 == 1 {
                            0
                        } else {
                            value
                        }
                    }),
                    mask: pass.base_mask(),
                })
                .collect();
            let _ = decoder.decode(&published);
        }
    }
}

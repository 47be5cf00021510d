//! Frozen bytes: a change here changes what contracts and circuits accept.

use salus_schema::plan::Plan;
use salus_schema::planner;

use crate::cohort;

const FROZEN: &str = include_str!("golden.txt");

const QUERIES: [&str; 5] = [
    "SELECT COUNT(*) FROM t",
    "SELECT COUNT(*) FROM t WHERE sex = 'male' AND age > 60",
    "SELECT qsmk, AVG(age), COUNT(*) FROM t WHERE wt82_71 IS NOT NULL GROUP BY qsmk",
    "SELECT SUM(wt82_71), COUNT(*) FROM t GROUP BY stage, sex",
    "SELECT VAR_SAMP(age) FROM t WHERE qsmk = 1 AND sex = 'male' AND stage > 'I' AND bmi < 30 GROUP BY c1",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn current() -> String {
    let codebook = cohort::codebook();
    let mut text = format!("codebook {}\n", hex(&codebook.hash()));
    for sql in QUERIES {
        let query = cohort::query(sql);
        let (plan, _) = planner::plan(&query, &codebook).unwrap();
        text += &format!(
            "sql {sql}\nquery {}\nplan {}\nbytes {}\n",
            hex(&query.hash()),
            hex(&plan.hash()),
            hex(&plan.to_bytes())
        );
    }
    text
}

#[test]
fn plans_and_hashes_are_frozen() {
    let current = current();
    assert!(current == FROZEN, "now:\n{current}");
}

#[test]
fn frozen_bytes_are_read_back() {
    for line in FROZEN.lines() {
        if let Some(hex) = line.strip_prefix("bytes ") {
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                .collect();
            assert_eq!(Plan::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        }
    }
}

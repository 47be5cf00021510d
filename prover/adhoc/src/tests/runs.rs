use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{clear, fixture, planned, server};
use crate::answer::Evaluated;
use crate::checkpoint::CheckpointError;
use crate::evaluate::{EvaluateError, RunControl, Stage, evaluate, totals};

const SQL: &str = "SELECT COUNT(*) FROM clinic WHERE sex = 'f' AND age < 60 AND smoker <> 'yes'";

#[test]
fn a_killed_run_resumes_to_the_same_bytes_on_any_number_of_threads() {
    let fixture = fixture();
    let (_, _, adhoc) = planned(SQL);
    let run =
        |control: &RunControl| totals(&fixture.compute, [7; 32], &fixture.records, &adhoc, control);
    let whole = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let expected = whole.install(|| run(&RunControl::default())).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let flag = Arc::new(AtomicBool::new(false));
    let setter = Arc::clone(&flag);
    let stopped = RunControl::default()
        .records_per_step(64)
        .checkpointed_at(&path)
        .cancelled_by(flag)
        .watched_by(move |progress| {
            assert_eq!(progress.stage, Stage::Records);
            setter.store(true, Ordering::Relaxed);
        });
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let stop = single.install(|| run(&stopped)).unwrap_err();
    assert!(
        matches!(
            stop,
            EvaluateError::Cancelled {
                branch: 0,
                record: 64
            }
        ),
        "{stop}"
    );

    // Damage, another binding and another query are refused; the file itself is good.
    let good = fs::read(&path).unwrap();
    for at in [0, 8, 60, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let error = run(&RunControl::default().checkpointed_at(&path)).unwrap_err();
        assert!(matches!(
            error,
            EvaluateError::Checkpoint(CheckpointError::Damaged { .. })
        ));
    }
    fs::write(&path, &good).unwrap();
    let resume = RunControl::default().checkpointed_at(&path);
    let foreign = totals(&fixture.compute, [8; 32], &fixture.records, &adhoc, &resume).unwrap_err();
    assert!(matches!(
        foreign,
        EvaluateError::Checkpoint(CheckpointError::Foreign { .. })
    ));

    let resumed = single.install(|| run(&resume)).unwrap();
    assert_eq!(resumed, expected);
}

#[test]
fn an_opened_answer_is_decoded_counts_first_and_small_groups_stay_closed() {
    let fixture = fixture();
    let people = 20;
    let (plan, decoder, adhoc) =
        planned("SELECT sex, COUNT(*), AVG(age) FROM clinic WHERE region <> 'r3' GROUP BY sex");
    let evaluated = evaluate(
        server(),
        &fixture.records[..people],
        &adhoc,
        &RunControl::default(),
    )
    .unwrap();
    assert!(evaluated.fits(adhoc.passes()));
    let bytes = evaluated.to_bytes();
    assert_eq!(Evaluated::from_bytes(&bytes).unwrap(), evaluated);
    assert!(Evaluated::from_bytes(&bytes[..bytes.len() - 1]).is_err());

    let secret = fixture.secrets.dealer_secret();
    let open = |pass: usize, value: usize| {
        let sealed = &evaluated.passes[pass].values[value];
        let phases: Vec<u128> = sealed
            .blocks
            .iter()
            .map(|block| secret.phase(block))
            .collect();
        sealed.decode(&phases).unwrap()
    };
    let exact = clear(&plan, &fixture.people[..people]);
    let shape = &adhoc.passes()[0];
    let mut opened = vec![None; shape.values()];
    for t in shape.counts() {
        opened[t] = Some(open(0, t));
        assert_eq!(opened[t], Some(exact[0][t]));
    }
    // A minimum cell between the two groups: the sums of the smaller one are never opened.
    let counts: Vec<u64> = shape.counts().filter_map(|t| opened[t]).collect();
    let min_cell = counts[0].min(counts[1]) + 1;
    let mut partial = [[0; 64]; 1];
    for t in shape.counts() {
        partial[0][t] = opened[t].unwrap();
    }
    let suppression = decoder.suppression_masks(&partial, min_cell).unwrap();
    for (group, t) in shape.counts().enumerate() {
        if suppression.masks[0] >> t & 1 == 0 {
            for sum in shape.sums(group) {
                opened[sum] = Some(open(0, sum));
            }
        }
    }
    let published = shape.published(&opened, suppression.masks[0]).unwrap();
    let answer = decoder.decode(&[published]).unwrap();
    let suppressed = answer.rows.iter().filter(|row| row.suppressed).count();
    assert!(suppressed == 1 || counts[0] == counts[1], "{answer:?}");
    for (t, &value) in exact[0].iter().enumerate().take(shape.values()) {
        let hidden = published.mask >> t & 1 == 1;
        assert_eq!(published.values[t], if hidden { 0 } else { value });
    }
}

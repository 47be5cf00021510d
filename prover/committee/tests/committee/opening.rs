//! Openings without a network.

use std::collections::BTreeMap;
use std::sync::Arc;

use salus_committee::answer::SealedAnswer;
use salus_committee::ledger::QueryState;
use salus_committee::message::{OpenRequest, Target, Values};
use salus_committee::noise::NoisePolicy;
use salus_committee::opening::{Failure, Holder, KeyHolder, agree};
use salus_committee::refusal::{Refusal, RefusalCode};
use salus_committee::shape::HolderIndex;
use salus_cubes::parameters::{Flooding, FloodingBudget, Room};
use salus_schema::cube::{Form, forms};

use crate::adversary::{BiasedFlooder, Liar, Replayer};
use crate::world::{PEOPLE, World, expected, question, released};

pub const GROUPS: &str =
    "SELECT quit, COUNT(*), AVG(age), STDDEV_SAMP(age) FROM smokers GROUP BY quit";
pub const COUNT: &str = "SELECT COUNT(*) FROM smokers WHERE age < 60";

/// What a leader does, with these holders answering.
pub fn lead(
    world: &World,
    leader: &KeyHolder,
    holders: &[Arc<dyn Holder>],
    request: &OpenRequest,
) -> Result<(SealedAnswer, Vec<HolderIndex>), Failure> {
    let opening = world.opening(request);
    let question = leader.question(request).unwrap();
    let answers = |ask: &dyn Fn(&dyn Holder) -> Vec<Values>| -> BTreeMap<_, _> {
        holders
            .iter()
            .map(|h| (h.status().holder, ask(&**h)))
            .collect()
    };
    let counts = agree(world.shape, &answers(&|h| h.counts(&opening).unwrap()))?;
    let release = question.release(&counts.values).unwrap();
    let honest = |h: &dyn Holder| !counts.liars.contains(&h.status().holder);
    let sums = answers(&|h| {
        if honest(h) {
            h.sums(&opening, &counts.values).unwrap()
        } else {
            Vec::new()
        }
    });
    let sums = agree(world.shape, &sums)?;
    Ok((
        question.answer(&release, &sums.values).unwrap(),
        counts.liars,
    ))
}

fn all(honest: &[Arc<KeyHolder>]) -> Vec<Arc<dyn Holder>> {
    honest
        .iter()
        .map(|holder| holder.clone() as Arc<dyn Holder>)
        .collect()
}

#[test]
fn answers_are_those_of_the_records_in_the_clear() {
    let world = World::new(4, 2);
    let honest = world.holders();
    for (id, sql) in [
        GROUPS,
        COUNT,
        "SELECT COUNT(*) FROM smokers",
        "SELECT SUM(age) FROM smokers WHERE quit = 0",
        "SELECT quit, COUNT(*) FROM smokers GROUP BY quit",
    ]
    .into_iter()
    .enumerate()
    {
        let (request, plan) = world.fund(id as u8 + 1, sql);
        let holders = all(&honest);
        let (answer, liars) = lead(&world, &honest[0], &holders, &request).unwrap();
        assert!(liars.is_empty());
        assert_eq!(released(&answer), expected(&plan, 5), "{sql}");
        assert_eq!(
            (answer.query, answer.plan_hash),
            (request.query, plan.hash())
        );
    }
}

#[test]
fn any_threshold_opens_the_same_answer() {
    let world = World::new(5, 3);
    let honest = world.holders();
    let (request, plan) = world.fund(1, GROUPS);
    for alive in [[0, 1, 2], [0, 2, 4], [2, 3, 4], [1, 3, 4]] {
        let holders: Vec<Arc<dyn Holder>> = alive
            .iter()
            .map(|&i| honest[i].clone() as Arc<dyn Holder>)
            .collect();
        let (answer, _) = lead(&world, &honest[alive[0]], &holders, &request).unwrap();
        assert_eq!(released(&answer), expected(&plan, 5));
    }
}

#[test]
fn sums_of_suppressed_groups_are_never_opened() {
    let world = World::new(4, 2);
    let honest = world.holders();
    // Two groups of three values each, one of the groups too small: one count, one sum, one sum of squares are left.
    let (request, plan) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    let answers: BTreeMap<_, _> = honest
        .iter()
        .map(|h| (h.index(), h.counts(&opening).unwrap()))
        .collect();
    let counts = agree(world.shape, &answers).unwrap().values;
    let sums = honest[0].sums(&opening, &counts).unwrap();
    let masked = expected(&plan, 5)
        .iter()
        .map(|(mask, _)| mask.count_ones())
        .sum::<u32>();
    assert_eq!(masked, 3);
    assert!(counts.iter().all(|list| list.0.len() == 2));
    assert!(sums.iter().all(|list| list.0.len() == 2));
}

#[test]
fn asking_again_gives_the_same_bytes_and_spends_nothing() {
    let world = World::new(4, 2);
    let holder = world.holder(1);
    let (request, _) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    let first = holder.counts(&opening).unwrap();
    let spent = holder.status().cube.unwrap().budget_spent;
    assert!(spent > 0.0);
    assert_eq!(holder.counts(&opening).unwrap(), first);
    assert_eq!(holder.status().cube.unwrap().budget_spent, spent);
    // Another query with the same form gets the same flooding: nothing can be averaged.
    let (other, _) = world.fund(2, GROUPS);
    assert_eq!(holder.counts(&world.opening(&other)).unwrap(), first);
}

#[test]
fn openings_cost_what_forms_chosen_with_the_key_in_sight_cost() {
    let world = World::new(4, 2);
    let (request, plan) = world.fund(1, "SELECT AVG(age), STDDEV_SAMP(age) FROM smokers");
    let opening = world.opening(&request);
    let cube = crate::world::cube();
    let opened = forms(&cube, &plan, PEOPLE as u64).unwrap();
    let subsets = world.shape.subset_count() as u32;
    let flooding = Flooding::new(subsets, Room::Value(cube.modulus()));
    let cost_of = |form: &Form| flooding.form_cost(form, PEOPLE as u64);
    let honest = world.holders();
    let counts: f64 = opened
        .passes
        .iter()
        .flat_map(|p| &p.counts)
        .map(cost_of)
        .sum();
    let sums: f64 = opened
        .passes
        .iter()
        .flat_map(|p| p.sums.iter().flatten())
        .map(cost_of)
        .sum();
    let question = honest[0].question(&request).unwrap();
    assert!(counts > 0.0);
    assert!((question.counts_cost() / counts - 1.0).abs() < 1e-9);

    let answers: BTreeMap<_, _> = honest
        .iter()
        .map(|h| (h.index(), h.counts(&opening).unwrap()))
        .collect();
    let values = agree(world.shape, &answers).unwrap().values;
    let release = question.release(&values).unwrap();
    assert!((question.sums_cost(&release) / sums - 1.0).abs() < 1e-9);

    // With sixty people both cost less than the least that is counted, and that is spent.
    let least = FloodingBudget::LIMIT / (1u64 << 50) as f64;
    honest[0].sums(&opening, &values).unwrap();
    let spent = honest[0].status().cube.unwrap().budget_spent * FloodingBudget::LIMIT;
    let expected = counts.max(least) + sums.max(least);
    assert!(
        (spent / expected - 1.0).abs() < 1e-9,
        "{spent:e} of {expected:e}"
    );
}

fn refusal(world: &World, request: &OpenRequest) -> RefusalCode {
    world
        .holder(0)
        .counts(&world.opening(request))
        .unwrap_err()
        .code
}

#[test]
fn every_refusal_has_its_code() {
    let world = World::new(4, 2);
    let (request, _) = world.fund(1, COUNT);
    let id = request.query;
    let facts = world.ledger.0.lock().unwrap()[&id].clone();
    let check = |change: &dyn Fn(&mut salus_committee::ledger::QueryFacts), code| {
        world.ledger.change(id, |f| change(f));
        assert_eq!(refusal(&world, &request), code);
        world.ledger.change(id, |f| *f = facts.clone());
    };
    check(&|f| f.state = QueryState::NotFunded, RefusalCode::NotFunded);
    check(&|f| f.state = QueryState::Closed, RefusalCode::NotOpen);
    check(&|f| f.expired = true, RefusalCode::DeadlinePassed);
    check(&|f| f.committee = [1; 32], RefusalCode::WrongCommittee);
    check(&|f| f.snapshot += 1, RefusalCode::WrongCommittee);
    check(&|f| f.plan_hash[0] ^= 1, RefusalCode::PlanMismatch);
    check(&|f| f.min_cohort = 61, RefusalCode::BelowCohort);
    check(&|f| f.members += 1, RefusalCode::SumMismatch);

    let unknown = OpenRequest {
        query: [99; 32],
        ..request.clone()
    };
    assert_eq!(refusal(&world, &unknown), RefusalCode::NotFunded);
    let other_cube = OpenRequest {
        target: Target::Cube([1; 32]),
        ..request.clone()
    };
    assert_eq!(refusal(&world, &other_cube), RefusalCode::NotCovered);
    let evaluation = OpenRequest {
        target: Target::Evaluation([1; 32]),
        ..request.clone()
    };
    assert_eq!(refusal(&world, &evaluation), RefusalCode::NotApproved);
    let blanks = OpenRequest {
        question: format!(" {}", request.question),
        ..request.clone()
    };
    assert_eq!(refusal(&world, &blanks), RefusalCode::MalformedQuestion);
    let other_question = OpenRequest {
        question: question(GROUPS).0.canonical_json(),
        ..request.clone()
    };
    assert_eq!(refusal(&world, &other_question), RefusalCode::PlanMismatch);
    let (uncovered, _) = world.fund(3, "SELECT COUNT(*) FROM smokers WHERE eyes = 1");
    assert_eq!(refusal(&world, &uncovered), RefusalCode::NotCovered);

    let mut other_sum = world.opening(&request);
    other_sum.ciphertext_hash[0] ^= 1;
    let holder = world.holder(1);
    assert_eq!(
        holder.counts(&other_sum).unwrap_err().code,
        RefusalCode::SumMismatch
    );
    world.ciphertexts.sums.lock().unwrap().clear();
    let opening = salus_committee::message::Opening {
        request,
        ciphertext_hash: [0; 32],
    };
    assert_eq!(
        holder.counts(&opening).unwrap_err().code,
        RefusalCode::UnknownSnapshot
    );
}

#[test]
fn an_answer_about_too_few_people_is_refused_after_its_counts() {
    let world = World::new(4, 2);
    let honest = world.holders();
    let (request, _) = world.fund(1, "SELECT AVG(age) FROM smokers WHERE quit = 1");
    let opening = world.opening(&request);
    let answers: BTreeMap<_, _> = honest
        .iter()
        .map(|h| (h.index(), h.counts(&opening).unwrap()))
        .collect();
    let counts = agree(world.shape, &answers).unwrap().values;
    let Refusal { code, detail } = honest[2].sums(&opening, &counts).unwrap_err();
    assert_eq!(code, RefusalCode::BelowCohort);
    assert!(
        !detail.contains('4'),
        "the count is in the refusal: {detail}"
    );
}

#[test]
fn counts_that_leave_out_the_holders_own_are_refused() {
    let world = World::new(4, 2);
    let honest = world.holders();
    let (request, _) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    let answers: BTreeMap<_, _> = honest
        .iter()
        .map(|h| (h.index(), h.counts(&opening).unwrap()))
        .collect();
    let counts = agree(world.shape, &answers).unwrap().values;
    let holder = &honest[0];
    let mine = usize::from(world.shape.subsets_of(holder.index())[0].index().0);
    let mut changed = counts.clone();
    changed[mine].0[0] ^= 1;
    assert_eq!(
        holder.sums(&opening, &changed).unwrap_err().code,
        RefusalCode::PartialsDiffer
    );
    let short = &counts[1..];
    assert_eq!(
        holder.sums(&opening, short).unwrap_err().code,
        RefusalCode::PartialsDiffer
    );
    // What it is not in, it takes from the leader; but never two versions for one query.
    let foreign = world
        .shape
        .subsets()
        .iter()
        .position(|s| !s.contains(holder.index()))
        .unwrap();
    holder.sums(&opening, &counts).unwrap();
    let mut other = counts.clone();
    other[foreign].0[0] = other[foreign].0[0].wrapping_add(1 << 90);
    let refused = holder.sums(&opening, &other).unwrap_err();
    assert_eq!(refused.code, RefusalCode::AlreadyAnsweredDifferently);
}

type Wrap = fn(Arc<dyn Holder>) -> Arc<dyn Holder>;

#[test]
fn lies_about_values_and_about_flooding_have_names() {
    for (holders, threshold) in [(4, 2), (7, 3)] {
        let world = World::new(holders, threshold);
        let honest = world.holders();
        let (request, plan) = world.fund(1, GROUPS);
        let wraps: [Wrap; 2] = [
            |honest| Arc::new(Liar { honest }),
            |honest| Arc::new(BiasedFlooder { honest }),
        ];
        for wrap in wraps {
            let mut parties = all(&honest);
            parties[2] = wrap(parties[2].clone());
            let (answer, liars) = lead(&world, &honest[0], &parties, &request).unwrap();
            assert_eq!(liars, [HolderIndex(2)]);
            assert_eq!(released(&answer), expected(&plan, 5));
        }
    }
}

#[test]
fn an_old_answer_to_a_new_question_is_a_lie() {
    let world = World::new(4, 2);
    let honest = world.holders();
    let mut parties = all(&honest);
    parties[3] = Arc::new(Replayer::new(parties[3].clone()));
    let (first, _) = world.fund(1, COUNT);
    let (_, liars) = lead(&world, &honest[0], &parties, &first).unwrap();
    assert!(liars.is_empty());
    let (second, plan) = world.fund(2, "SELECT COUNT(*) FROM smokers WHERE age > 40");
    let (answer, liars) = lead(&world, &honest[0], &parties, &second).unwrap();
    assert_eq!(liars, [HolderIndex(3)]);
    assert_eq!(released(&answer), expected(&plan, 5));
}

#[test]
fn two_colluding_liars_of_five_stop_the_answer_by_name() {
    let world = World::new(5, 3);
    let honest = world.holders();
    let (request, _) = world.fund(1, COUNT);
    let mut parties = all(&honest);
    for liar in [1, 2] {
        parties[liar] = Arc::new(Liar {
            honest: parties[liar].clone(),
        });
    }
    let failure = lead(&world, &honest[0], &parties, &request).unwrap_err();
    let Failure::Disagreement { holders, .. } = failure else {
        panic!("{failure}");
    };
    assert!(holders.contains(&HolderIndex(1)) || holders.contains(&HolderIndex(2)));
}

#[test]
fn noised_counts_are_near_and_the_same_when_asked_again() {
    let world = World::new(4, 2);
    let honest = world.holders();
    let (_, plan) = question(COUNT);
    let exact = expected(&plan, 0)[0].1[0];
    let policy = |micro_epsilon| NoisePolicy {
        micro_epsilon,
        delta_exponent: 20,
    };
    let mut seen = Vec::new();
    for (id, micro) in [
        (1, 2_000_000),
        (2, 2_000_000),
        (3, 1_900_000),
        (4, 1_800_000),
    ] {
        let (request, _) = world.fund(id, COUNT);
        world
            .ledger
            .change(request.query, |facts| facts.noise = Some(policy(micro)));
        let parties = all(&honest);
        let (answer, _) = lead(&world, &honest[0], &parties, &request).unwrap();
        seen.push(answer.results[0].values[0]);
    }
    assert_eq!(seen[0], seen[1], "the same question drew new noise");
    assert!(
        seen.iter().any(|count| *count != exact),
        "no noise at all: {seen:?}"
    );
    // Four shares of standard deviation 3: 20 is more than three of the sum's.
    assert!(
        seen.iter().all(|count| count.abs_diff(exact) < 25),
        "{seen:?} of {exact}"
    );
    // Sums are not noised here, so that they are not opened either.
    let (request, _) = world.fund(9, GROUPS);
    world
        .ledger
        .change(request.query, |facts| facts.noise = Some(policy(1_000_000)));
    assert_eq!(
        honest[0].counts(&world.opening(&request)).unwrap_err().code,
        RefusalCode::NotCovered
    );
}

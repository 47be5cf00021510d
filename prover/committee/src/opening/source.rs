//! The checks of a funded question, and where its ciphertexts come from.

use std::sync::Arc;

use salus_cubes::parameters::{Flooding, Room};
use salus_cubes::sum::CubeSum;
use salus_schema::answer::Decoder;
use salus_schema::cube::{Cube, CubeForms, ModulusClass, forms};
use salus_schema::plan::{Image, MOMENTS, Plan};
use salus_schema::planner;
use salus_schema::query::Query;

use crate::adhoc::{Evaluation, LweFlooding, MAX_BLOCKS};
use crate::ledger::{CiphertextError, Ciphertexts, QueryFacts, QueryState};
use crate::message::{MAX_QUESTION, MAX_VALUES, OpenRequest};
use crate::noise::ShareNoise;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::CommitteeShape;

/// Where the ciphertexts of a question come from.
pub(super) enum Source {
    Cube {
        cube: Box<Cube>,
        sum: Arc<CubeSum>,
        forms: CubeForms,
        flooding: Flooding,
    },
    Evaluation {
        evaluation: Arc<Evaluation>,
        flooding: LweFlooding,
    },
}

pub(super) fn refuse<T>(code: RefusalCode, detail: impl std::fmt::Display) -> Result<T, Refusal> {
    Err(Refusal::new(code, detail))
}

/// Counts and groups with sums of a pass.
pub(super) const fn outputs(image: Image, values: usize) -> (usize, usize) {
    match image {
        Image::Cells => (values, 0),
        Image::Moments => (values / MOMENTS, values / MOMENTS),
    }
}

pub(super) fn check_facts(
    facts: &QueryFacts,
    request: &OpenRequest,
    committee: [u8; 32],
) -> Result<(), Refusal> {
    match facts.state {
        QueryState::NotFunded => return refuse(RefusalCode::NotFunded, "the query has no escrow"),
        QueryState::Closed => return refuse(RefusalCode::NotOpen, "the query is closed"),
        QueryState::Open => {}
    }
    if facts.expired {
        return refuse(RefusalCode::DeadlinePassed, "the query's deadline is over");
    }
    if facts.committee != committee {
        return refuse(
            RefusalCode::WrongCommittee,
            "the dataset names another committee",
        );
    }
    if (facts.dataset, facts.snapshot) != (request.dataset, request.snapshot) {
        return refuse(
            RefusalCode::WrongCommittee,
            "the query is about another dataset or snapshot",
        );
    }
    Ok(())
}

pub(super) fn plan(request: &OpenRequest, facts: &QueryFacts) -> Result<(Plan, Decoder), Refusal> {
    if request.question.len() > MAX_QUESTION {
        return refuse(RefusalCode::MalformedQuestion, "the question is too long");
    }
    let malformed =
        |error: &dyn std::fmt::Display| Refusal::new(RefusalCode::MalformedQuestion, error);
    let query =
        Query::from_json(&request.question, &facts.codebook).map_err(|error| malformed(&error))?;
    if query.canonical_json() != request.question {
        return Err(malformed(&"the question is not in canonical form"));
    }
    let (plan, decoder) =
        planner::plan(&query, &facts.codebook).map_err(|error| malformed(&error))?;
    if plan.hash() != facts.plan_hash {
        return refuse(RefusalCode::PlanMismatch, "another plan was funded");
    }
    Ok((plan, decoder))
}

pub(super) fn unavailable(error: CiphertextError) -> Refusal {
    let code = match error {
        CiphertextError::UnknownSnapshot { .. } => RefusalCode::UnknownSnapshot,
        CiphertextError::SumMismatch => RefusalCode::SumMismatch,
        CiphertextError::UnknownEvaluation => RefusalCode::NotApproved,
        CiphertextError::UnknownCheck => RefusalCode::UnknownCheck,
        CiphertextError::Unavailable(_) => RefusalCode::Unavailable,
    };
    Refusal::new(code, error)
}

pub(super) fn cube_source(
    id: &[u8; 32],
    request: &OpenRequest,
    facts: &QueryFacts,
    plan: &Plan,
    shape: CommitteeShape,
    ciphertexts: &dyn Ciphertexts,
) -> Result<Source, Refusal> {
    let registered = facts.codebook.cubes().iter().find(|cube| cube.id() == *id);
    let Some(cube) = registered else {
        return refuse(RefusalCode::NotCovered, "the codebook has no such cube");
    };
    let forms = forms(cube, plan, facts.members)
        .map_err(|error| Refusal::new(RefusalCode::NotCovered, error))?;
    let sum = ciphertexts
        .cube_sum(request.dataset, request.snapshot, id)
        .map_err(unavailable)?;
    let fits = sum.cube() == id
        && sum.class() == cube.modulus()
        && u64::from(sum.members()) == facts.members;
    if !fits {
        return refuse(
            RefusalCode::SumMismatch,
            "the sum is not that of the snapshot's members",
        );
    }
    Ok(Source::Cube {
        flooding: value_flooding(shape, cube.modulus()),
        cube: Box::new(cube.clone()),
        sum,
        forms,
    })
}

fn value_flooding(shape: CommitteeShape, class: ModulusClass) -> Flooding {
    Flooding::new(shape.subset_count() as u32, Room::Value(class))
}

pub(super) fn evaluation_source(
    hash: &[u8; 32],
    request: &OpenRequest,
    facts: &QueryFacts,
    plan: &Plan,
    shape: CommitteeShape,
    ciphertexts: &dyn Ciphertexts,
) -> Result<Source, Refusal> {
    if !ciphertexts.evaluation_approved(&request.query, hash) {
        return refuse(
            RefusalCode::NotApproved,
            "nobody vouches for this evaluation",
        );
    }
    let evaluation = ciphertexts.evaluation(hash).map_err(unavailable)?;
    let bound = evaluation.hash == *hash
        && evaluation.query == request.query
        && evaluation.plan_hash == facts.plan_hash
        && (evaluation.dataset, evaluation.snapshot) == (request.dataset, request.snapshot)
        && evaluation.members == facts.members;
    if !bound {
        return refuse(
            RefusalCode::SumMismatch,
            "the evaluation is of another query",
        );
    }
    let (mut counts, mut sums) = (0, 0);
    for pass in plan.passes() {
        let (c, s) = outputs(pass.image(), pass.values());
        counts += c;
        sums += s;
    }
    let flooding = LweFlooding::new(shape.subset_count());
    let numbers = || {
        evaluation
            .counts
            .iter()
            .chain(evaluation.sums.iter().flatten())
            .chain(evaluation.guards.iter().map(|guard| &guard.number))
    };
    let fits = (evaluation.counts.len(), evaluation.sums.len()) == (counts, sums)
        && evaluation.centres.len() == plan.passes().len()
        && evaluation.centres.iter().all(|centre| *centre < 256)
        && numbers().all(|number| number.len() <= MAX_BLOCKS)
        && evaluation
            .guards
            .iter()
            .all(|guard| !guard.number.is_empty())
        && numbers().map(Vec::len).sum::<usize>() <= MAX_VALUES
        && flooding.leaves_room_for(evaluation.noise_bits);
    if !fits {
        return refuse(
            RefusalCode::NotCovered,
            "the evaluation does not fit the plan",
        );
    }
    Ok(Source::Evaluation {
        evaluation,
        flooding,
    })
}

pub(super) fn share_noise(
    facts: &QueryFacts,
    plan: &Plan,
    source: &Source,
) -> Result<Option<ShareNoise>, Refusal> {
    let Some(policy) = facts.noise else {
        return Ok(None);
    };
    let counts_only = plan
        .passes()
        .iter()
        .all(|pass| pass.image() == Image::Cells);
    if !counts_only || !matches!(source, Source::Cube { .. }) {
        return refuse(
            RefusalCode::NotCovered,
            "noise is added to counts from cubes only; this dataset opens no sums",
        );
    }
    // One person is in one cell of each pass.
    let noise = ShareNoise::calibrate(policy, 1, plan.passes().len() as u32)
        .map_err(|error| Refusal::new(RefusalCode::NotCovered, error))?;
    Ok(Some(noise))
}

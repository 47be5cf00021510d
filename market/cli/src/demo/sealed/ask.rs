//! One query on ciphertexts: fund, have the committee open, verify its signatures on chain, pay.

use super::super::ask::{Asked, Outcome, REASON_COHORT, outcome, refused_json, short, short_stage};
use super::super::cast::{Cast, chain_error};
use super::super::world::World;
use super::{Sealed, failed};
use crate::error::{CliError, Kind};
use crate::progress::Stage;
use crate::sealed::signer::{chain_answer, chain_passes};
use salus_committee::answer::SignedAnswer;
use salus_committee::message::{OpenRequest, Target};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::ClientError;
use salus_contracts::client::{QueryId, SealedSubmission};
use salus_contracts::primitives::Bytes;
use salus_contracts::sealed::{by_signer, sealed_answer_digest};
use salus_schema::answer::PassValues;
use salus_schema::cube::{Cube, forms};
use salus_schema::plan::Plan;
use salus_schema::planner;
use serde_json::{Value, json};
use std::time::Instant;

/// The first cube that covers a plan.
fn covering<'a>(cubes: &'a [Cube], plan: &Plan, people: u64) -> Option<&'a Cube> {
    cubes.iter().find(|cube| forms(cube, plan, people).is_ok())
}

/// Asks the holders one after the other until one leads; those that do not answer are passed over.
async fn open(
    sealed: &Sealed,
    request: &OpenRequest,
) -> Result<Result<SignedAnswer, ClientError>, CliError> {
    let mut last = None;
    for client in &sealed.clients {
        match client.open(request.clone()).await {
            Err(error @ (ClientError::Call(_) | ClientError::Unexpected)) => last = Some(error),
            other => return Ok(other),
        }
    }
    Err(failed(
        "no holder answers",
        last.map_or_else(String::new, |e| e.to_string()),
    ))
}

/// The answer of one query from ciphertexts, and its life on chain; None when no cube covers it.
pub async fn ask_sealed(
    cast: &Cast,
    world: &World<'_>,
    sealed: &Sealed,
    number: usize,
    asked: &Asked,
    clear: &Value,
    people: u64,
) -> Result<Option<Outcome>, CliError> {
    let internal = |e: &dyn std::fmt::Display| failed("the plan", e);
    let (plan, decoder) = planner::plan(&asked.query, world.codebook).map_err(|e| internal(&e))?;
    let Some(cube) = covering(world.codebook.cubes(), &plan, people) else {
        return Ok(None);
    };
    let body = asked.query.canonical_json();
    let name = format!("query {} sealed: {}", number + 1, short(&asked.sql));
    let (funded, order) = world.fund(cast, &asked.query, &plan).await?;
    let query: QueryId = funded.value;
    let stage = Stage::begin(&short_stage(&name), 0);
    let start = Instant::now();
    let request = OpenRequest {
        query: query.0.0,
        question: body.clone(),
        dataset: u64::from(world.dataset.0),
        snapshot: u64::from(world.snapshot.0),
        target: Target::Cube(cube.id()),
    };
    let signed = match open(sealed, &request).await? {
        Ok(signed) => signed,
        Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::BelowCohort => {
            stage.end("refused");
            let refused = world
                .client
                .refuse(&cast.custodian, query, REASON_COHORT)
                .await
                .map_err(|e| chain_error(&e))?;
            world
                .client
                .withdraw(&cast.researcher, order.token, cast.researcher.address())
                .await
                .map_err(|e| chain_error(&e))?;
            let gas = json!({"fund": funded.gas_used, "refuse": refused.gas_used});
            let json = refused_json(asked, "sealed", query, world.min_cohort, gas);
            let none = Value::Array(Vec::new());
            let out = outcome(asked, "sealed", body, &plan, query, json, none, true, true);
            return Ok(Some(out));
        }
        Err(error) => return Err(committee_error(&error)),
    };
    let open_seconds = start.elapsed().as_secs_f64();

    let passes = chain_passes(&signed.answer.results);
    let answer = chain_answer(&signed.answer).ok_or_else(|| internal(&"a number does not fit"))?;
    let market = world.client.deployment().market;
    let digest = sealed_answer_digest(cast.chain.id(), market, &answer);
    let signatures = by_signer(digest, signed.signatures.iter().map(|s| s.signature.0));
    let accepted = world
        .client
        .accept_sealed_answer(
            &cast.relayer,
            &SealedSubmission {
                query,
                plan: Bytes::from(plan.to_bytes()),
                passes,
                committee: sealed.id,
                ciphertext_hash: answer.ciphertext_hash,
                signatures: signatures.into_iter().map(|(_, s)| s).collect(),
            },
        )
        .await
        .map_err(|e| chain_error(&e))?;
    let published: Option<Vec<PassValues>> = signed
        .answer
        .results
        .iter()
        .map(|p| p.to_values())
        .collect();
    let published = published.ok_or_else(|| internal(&"too many values"))?;
    let rows = decoder.decode(&published).map_err(|e| internal(&e))?.rows;
    let rows = serde_json::to_value(rows).map_err(|e| internal(&e))?;
    let equal = rows == *clear;
    let report = &signed.report;
    let troubled = |list: &[salus_committee::shape::HolderIndex]| -> Vec<u64> {
        list.iter().map(|holder| u64::from(holder.0) + 1).collect()
    };
    let mut notes = Vec::new();
    for (what, list) in [
        ("lied", troubled(&report.liars)),
        ("too slow", troubled(&report.slow)),
        ("dead", troubled(&report.dead)),
    ] {
        if !list.is_empty() {
            notes.push(format!("{what}: holder {list:?}"));
        }
    }
    stage.end(&format!(
        "{} signatures, {} gas, {}{}{}",
        signed.signatures.len(),
        accepted.gas_used,
        if equal {
            "equals the clear text"
        } else {
            "DIFFERS from the clear text"
        },
        if notes.is_empty() { "" } else { "; " },
        notes.join("; "),
    ));
    let json = json!({
        "sql": asked.sql,
        "path": "sealed",
        "status": "settled",
        "rows": rows,
        "clear_text_equal": equal,
        "cube": cube.name(),
        "cells": cube.cells(),
        "signatures": signed.signatures.len(),
        "open_seconds": open_seconds,
        "committee": {
            "liars": troubled(&report.liars),
            "slow": troubled(&report.slow),
            "dead": troubled(&report.dead),
            "unchecked_subsets": report.unchecked.len(),
        },
        "gas": {"fund": funded.gas_used, "answer": accepted.gas_used},
        "paid": world.price.to_string(),
        "query_id": query.0,
        "sentence": asked.query.sentence(),
    });
    let out = outcome(
        asked, "sealed", body, &plan, query, json, rows, equal, false,
    );
    Ok(Some(out))
}

/// What a client is told when holders do not open.
pub fn committee_error(error: &ClientError) -> CliError {
    match error {
        ClientError::Refused(refusal) => CliError::new(
            Kind::Refused,
            "committee_refused",
            refusal,
            "The code says why; the query can be refunded after its deadline.",
        ),
        ClientError::Failed(failure) => CliError::new(
            Kind::Failed,
            "committee_failed",
            failure,
            "Enough honest holders have to be alive; then ask again: the same query opens to the same answer.",
        ),
        other => failed("the committee", other),
    }
}

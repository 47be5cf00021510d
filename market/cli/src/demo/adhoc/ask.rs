//! One evaluated query: have the committee open it, verify its signatures on chain, pay.

use super::super::ask::{Asked, Outcome, REASON_COHORT, outcome, refused_json, short, short_stage};
use super::super::cast::{Cast, chain_error};
use super::super::sealed::committee_error;
use super::super::world::World;
use super::Funded;
use super::committee::{Committee, Evaluation};
use crate::adhoc::evaluator::failed;
use crate::error::CliError;
use crate::progress::Stage;
use crate::sealed::signer::{chain_answer, chain_passes};
use salus_committee::answer::SignedAnswer;
use salus_committee::message::{OpenRequest, Target};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::ClientError;
use salus_contracts::client::SealedSubmission;
use salus_contracts::primitives::Bytes;
use salus_contracts::sealed::{by_signer, sealed_answer_digest};
use salus_schema::answer::PassValues;
use serde_json::{Value, json};
use std::time::Instant;

/// Asks the holders one after the other until one leads.
async fn open(
    committee: &Committee,
    request: &OpenRequest,
) -> Result<Result<SignedAnswer, ClientError>, CliError> {
    let mut last = String::new();
    for client in &committee.clients {
        match client.open(request.clone()).await {
            Err(error @ (ClientError::Call(_) | ClientError::Unexpected)) => {
                last = error.to_string();
            }
            other => return Ok(other),
        }
    }
    Err(failed("no holder answers", last))
}

/// The answer of one query and its life on chain.
#[allow(clippy::too_many_arguments)]
pub async fn ask(
    cast: &Cast,
    world: &World<'_>,
    committee: &Committee,
    number: usize,
    asked: &Asked,
    funded: &Funded,
    evaluation: &Evaluation,
    clear: &Value,
) -> Result<Outcome, CliError> {
    let chain = |e| chain_error(&e);
    let wrong = |e: &dyn std::fmt::Display| failed("the answer", e);
    let body = asked.query.canonical_json();
    let (plan, id) = (&funded.plan, funded.id);
    let name = format!("query {} ad-hoc: {}", number + 1, short(&asked.sql));
    let stage = Stage::begin(&short_stage(&name), 0);
    let start = Instant::now();
    let request = OpenRequest {
        query: id.0.0,
        question: body.clone(),
        dataset: u64::from(world.dataset.0),
        snapshot: u64::from(world.snapshot.0),
        target: Target::Evaluation(evaluation.output.0),
    };
    let signed = match open(committee, &request).await? {
        Ok(signed) => signed,
        Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::BelowCohort => {
            stage.end("refused");
            let refused = world
                .client
                .refuse(&cast.custodian, id, REASON_COHORT)
                .await;
            let refused = refused.map_err(chain)?;
            let to = cast.researcher.address();
            let back = world
                .client
                .withdraw(&cast.researcher, funded.order.token, to);
            back.await.map_err(chain)?;
            let gas = json!({"fund": funded.done.gas_used, "refuse": refused.gas_used});
            let json = refused_json(asked, "ad-hoc", id, world.min_cohort, gas);
            let none = Value::Array(Vec::new());
            return Ok(outcome(
                asked, "ad-hoc", body, plan, id, json, none, true, true,
            ));
        }
        Err(error) => return Err(committee_error(&error)),
    };
    let open_seconds = start.elapsed().as_secs_f64();
    let answer = chain_answer(&signed.answer).ok_or_else(|| wrong(&"a number does not fit"))?;
    let market = world.client.deployment().market;
    let digest = sealed_answer_digest(cast.chain.id(), market, &answer);
    let signatures = by_signer(digest, signed.signatures.iter().map(|s| s.signature.0));
    let submission = SealedSubmission {
        query: id,
        plan: Bytes::from(plan.to_bytes()),
        passes: chain_passes(&signed.answer.results),
        committee: committee.id,
        ciphertext_hash: answer.ciphertext_hash,
        signatures: signatures.into_iter().map(|(_, s)| s).collect(),
    };
    let accepted = world
        .client
        .accept_sealed_answer(&cast.relayer, &submission);
    let accepted = accepted.await.map_err(chain)?;
    let results = signed.answer.results.iter();
    let published: Option<Vec<PassValues>> = results.map(|p| p.to_values()).collect();
    let published = published.ok_or_else(|| wrong(&"too many values"))?;
    let rows = funded
        .decoder
        .decode(&published)
        .map_err(|e| wrong(&e))?
        .rows;
    let rows = serde_json::to_value(rows).map_err(|e| wrong(&e))?;
    let equal = rows == *clear;
    let report = &signed.report;
    let troubled = |list: &[salus_committee::shape::HolderIndex]| -> Vec<u64> {
        list.iter().map(|holder| u64::from(holder.0) + 1).collect()
    };
    let notes: String = [
        ("lied", &report.liars),
        ("too slow", &report.slow),
        ("dead", &report.dead),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(what, list)| format!("; {what}: holder {:?}", troubled(list)))
    .collect();
    stage.end(&format!(
        "{} signatures, {} gas, {} the clear text{notes}",
        signed.signatures.len(),
        accepted.gas_used,
        if equal { "equals" } else { "DIFFERS from" },
    ));
    let json = json!({
        "sql": asked.sql,
        "path": "ad-hoc",
        "status": "settled",
        "rows": rows,
        "clear_text_equal": equal,
        "signatures": signed.signatures.len(),
        "evaluate_seconds": evaluation.seconds,
        "open_seconds": open_seconds,
        "output": evaluation.output,
        "committee": {
            "liars": troubled(&report.liars),
            "slow": troubled(&report.slow),
            "dead": troubled(&report.dead),
        },
        "gas": {"fund": funded.done.gas_used, "answer": accepted.gas_used},
        "paid": world.price.to_string(),
        "query_id": id.0,
        "sentence": asked.query.sentence(),
    });
    Ok(outcome(
        asked, "ad-hoc", body, plan, id, json, rows, equal, false,
    ))
}

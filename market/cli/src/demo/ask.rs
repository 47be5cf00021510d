//! Steps 4 to 7 for one query: fund, prove, have it verified and paid; or refuse and refund.

use super::cast::{Cast, chain_error};
use super::world::World;
use crate::bundle::BundleQuery;
use crate::error::{CliError, Kind};
use crate::progress::{Interrupt, Stage};
use ark_std::rand::SeedableRng;
use rand::RngCore;
use rand::rngs::OsRng;
use rand_chacha::ChaCha20Rng;
use salus_circuits::transcript::Context;
use salus_circuits::words::integer_word;
use salus_contracts::client::{Answer as ChainAnswer, PassValues as ChainPass, QueryId};
use salus_contracts::primitives::Bytes;
use salus_prover::proven::{DatasetProver, ProveError};
use salus_schema::answer::PassValues;
use salus_schema::plan::Plan;
use salus_schema::planner;
use salus_schema::query::Query;
use serde_json::{Value, json};
use std::time::Instant;
use zeroize::Zeroizing;

/// Refusal reason on chain: fewer people than the minimum cohort.
pub const REASON_COHORT: u16 = 1;

/// A query with its plan.
pub struct Asked {
    /// As typed.
    pub sql: String,
    /// Parsed and canonical.
    pub query: Query,
}

/// What became of a query.
pub struct Outcome {
    /// `proven` or `sealed`.
    pub path: &'static str,
    /// One element of the demo's `queries`.
    pub json: Value,
    /// For the bundle; refused queries too, with an empty answer.
    pub bundle: BundleQuery,
    /// Whether the answer equals the clear-text one.
    pub equal: bool,
    /// Whether policy refused it.
    pub refused: bool,
}

fn prove_error(error: &ProveError) -> CliError {
    match error {
        ProveError::Cancelled(_) => interrupted(),
        other => CliError::new(
            Kind::Failed,
            "prove_failed",
            other,
            "Report this with the query and the codebook.",
        ),
    }
}

/// What an interrupted run says.
pub fn interrupted() -> CliError {
    CliError::new(
        Kind::TryAgain,
        "interrupted",
        "interrupted before the end; no bundle was written",
        "Run the command again; keys are cached, everything else starts afresh.",
    )
}

/// Exact rows of the custodian's tally against the clear-text rows, and the answer's life on chain.
pub async fn ask(
    cast: &Cast,
    world: &World<'_>,
    number: usize,
    asked: &Asked,
    clear: &Value,
    interrupt: &Interrupt,
) -> Result<Outcome, CliError> {
    let internal = |e: &dyn std::fmt::Display| {
        CliError::new(
            Kind::Failed,
            "plan_failed",
            e,
            "Report this with the query and the codebook.",
        )
    };
    let (plan, decoder) = planner::plan(&asked.query, world.codebook).map_err(|e| internal(&e))?;
    let body = asked.query.canonical_json();
    let name = format!("query {}: {}", number + 1, short(&asked.sql));

    let (funded, order) = world.fund(cast, &asked.query, &plan).await?;
    let query_id = funded.value;

    // 5. prove
    let parts = world.parts(plan.class());
    let prover =
        DatasetProver::new(parts, world.chunks, world.commitments).map_err(|e| prove_error(&e))?;
    let exact = prover.exact_totals(&plan).map_err(|e| prove_error(&e))?;
    let release = decoder
        .suppression_masks(&exact, u64::from(world.min_cell))
        .map_err(|e| internal(&e))?;
    if !release.allows(u64::from(world.min_cohort)) {
        let refused = world
            .client
            .refuse(&cast.custodian, query_id, REASON_COHORT)
            .await
            .map_err(|e| chain_error(&e))?;
        world
            .client
            .withdraw(&cast.researcher, order.token, cast.researcher.address())
            .await
            .map_err(|e| chain_error(&e))?;
        eprintln!(
            "{name}: refused, fewer than {} people would be in the answer; refunded in full",
            world.min_cohort
        );
        let gas = json!({"fund": funded.gas_used, "refuse": refused.gas_used});
        let json = refused_json(asked, "proven", query_id, world.min_cohort, gas);
        return Ok(outcome(
            asked,
            "proven",
            body,
            &plan,
            query_id,
            json,
            Value::Array(Vec::new()),
            true,
            true,
        ));
    }
    let context = Context {
        chain_id: cast.chain.id(),
        market: world.client.deployment().market.into_array(),
        dataset: u64::from(world.dataset.0),
        snapshot: u64::from(world.snapshot.0),
        query_id: query_id.0.0,
    };
    let proofs = plan.passes().len() * world.chunks.len() * parts.len();
    let stage = Stage::begin(&short_stage(&name), proofs as u64);
    let start = Instant::now();
    let mut seed = Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(seed.as_mut_slice());
    let mut rng = ChaCha20Rng::from_seed(*seed);
    let answer = tokio::task::block_in_place(|| {
        prover.prove(
            &context,
            &plan,
            &release.masks,
            Vec::new(),
            interrupt.flag(),
            |p, _| stage.at(p.done as u64),
            &mut rng,
        )
    })
    .map_err(|e| prove_error(&e))?;
    let prove_seconds = start.elapsed().as_secs_f64();

    // 6. verify and settle, in one transition
    let passes: Vec<ChainPass> = plan
        .passes()
        .iter()
        .zip(&answer.totals)
        .map(|(pass, total)| ChainPass {
            mask: total.mask,
            rho: total.blinding,
            values: total.values[..pass.values()]
                .iter()
                .map(|v| integer_word(u128::from(*v)))
                .collect(),
        })
        .collect();
    let accepted = world
        .client
        .accept_answer(
            &cast.custodian,
            &ChainAnswer {
                query: query_id,
                plan: Bytes::from(plan.to_bytes()),
                passes,
                proofs: answer.proofs.iter().flat_map(|p| p.to_words()).collect(),
            },
        )
        .await
        .map_err(|e| chain_error(&e))?;
    let published: Vec<PassValues> = answer
        .totals
        .iter()
        .map(|t| PassValues {
            values: t.values,
            mask: t.mask,
        })
        .collect();
    let rows = decoder.decode(&published).map_err(|e| internal(&e))?.rows;
    let rows = serde_json::to_value(rows).map_err(|e| internal(&e))?;
    let equal = rows == *clear;
    let proof_bytes = answer.proofs.len() * 32 * salus_circuits::aggregate::verify::PROOF_WORDS;
    stage.end(&format!(
        "{} proof{}, {} gas, {}",
        answer.proofs.len(),
        if answer.proofs.len() == 1 { "" } else { "s" },
        accepted.gas_used,
        if equal {
            "equals the clear text"
        } else {
            "DIFFERS from the clear text"
        },
    ));
    let t = answer.timings;
    let json = json!({
        "sql": asked.sql,
        "path": "proven",
        "status": "settled",
        "rows": rows,
        "clear_text_equal": equal,
        "proof_bytes": proof_bytes,
        "proofs": answer.proofs.len(),
        "prove_seconds": prove_seconds,
        "prove_split_seconds": {
            "witness": t.witness.as_secs_f64(),
            "transforms": t.transforms.as_secs_f64(),
            "quotient": t.quotient.as_secs_f64(),
            "elements": t.elements.as_secs_f64(),
        },
        "gas": {"fund": funded.gas_used, "answer": accepted.gas_used},
        "paid": world.price.to_string(),
        "query_id": query_id.0,
        "sentence": asked.query.sentence(),
    });
    Ok(outcome(
        asked, "proven", body, &plan, query_id, json, rows, equal, false,
    ))
}

/// What a refused query looks like in the report.
pub fn refused_json(
    asked: &Asked,
    path: &str,
    query_id: QueryId,
    min_cohort: u32,
    gas: Value,
) -> Value {
    json!({
        "sql": asked.sql,
        "path": path,
        "status": "refused",
        "reason": "cohort_below_minimum",
        "rows": [],
        "clear_text_equal": Value::Null,
        "proof_bytes": 0,
        "prove_seconds": 0.0,
        "gas": gas,
        "paid": "0",
        "query_id": query_id.0,
        "next": format!("Ask about at least {min_cohort} people: widen the filter or group less finely."),
    })
}

/// The outcome with these parts.
#[allow(clippy::too_many_arguments)]
pub fn outcome(
    asked: &Asked,
    path: &'static str,
    body: String,
    plan: &Plan,
    query_id: QueryId,
    json: Value,
    rows: Value,
    equal: bool,
    refused: bool,
) -> Outcome {
    Outcome {
        path,
        json,
        bundle: BundleQuery {
            sql: asked.sql.clone(),
            body,
            plan: plan.to_bytes(),
            query_id: query_id.0.0,
            answer: rows,
        },
        equal,
        refused,
    }
}

/// The query's beginning, for one line.
pub fn short(sql: &str) -> String {
    let flat: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= 60 {
        flat
    } else {
        format!("{}...", flat.chars().take(57).collect::<String>())
    }
}

pub fn short_stage(name: &str) -> String {
    if name.chars().count() <= 34 {
        name.to_owned()
    } else {
        format!("{}...", name.chars().take(31).collect::<String>())
    }
}

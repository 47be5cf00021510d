//! `salus query`: questions before anybody pays for them.

mod dry_run;
mod paths;
mod people;
mod shown;

use crate::args::{DryRunArgs, PlanArgs, QueryArgs};
use crate::error::{CliError, Kind};
use crate::output;
use crate::source::{self, data_error, query_error};
use salus_datasets::synthetic;
use salus_schema::answer::Decoder;
use salus_schema::codebook::Codebook;
use salus_schema::plan::{CircuitClass, Plan};
use salus_schema::planner::{self, PlanError};
use salus_schema::query::Query;
use serde_json::json;
use std::fmt::Write as _;

/// A query that can be asked, with its plan.
struct Planned {
    /// As typed.
    text: String,
    codebook: Codebook,
    query: Query,
    plan: Plan,
    decoder: Decoder,
}

/// Reads and plans the query.
fn planned(args: &QueryArgs) -> Result<Planned, CliError> {
    let codebook = match &args.codebook {
        Some(path) => source::read_codebook(path)?,
        None => synthetic::codebook().map_err(data_error)?,
    };
    let query = source::parse_query(&args.query, &codebook)
        .map_err(|refusal| query_error(&refusal, &args.query))?;
    let (plan, decoder) = planner::plan(&query, &codebook).map_err(|error| match error {
        PlanError::Refused(refusal) => query_error(&refusal, &args.query),
        PlanError::Malformed(error) => CliError::new(
            Kind::Failed,
            "plan_malformed",
            error,
            "Report this with the query and the codebook.",
        ),
    })?;
    Ok(Planned {
        text: args.query.clone(),
        codebook,
        query,
        plan,
        decoder,
    })
}

/// Proofs that one chunk of people takes in one pass.
const fn proofs_per_chunk(class: CircuitClass) -> usize {
    match class {
        CircuitClass::K4 => 1,
        CircuitClass::K8 => 2,
    }
}

/// `salus query lint`: exit 0 it can be asked, 6 it cannot, 5 the text is no query.
pub fn lint(args: &QueryArgs, as_json: bool) -> Result<(), CliError> {
    let planned = planned(args)?;
    let Planned {
        query,
        plan,
        decoder,
        ..
    } = &planned;
    let columns = source::used_columns(std::slice::from_ref(query));
    let values: usize = plan
        .passes()
        .iter()
        .map(salus_schema::plan::Pass::values)
        .sum();
    let proofs = proofs_per_chunk(plan.class());
    let class = plan.class();
    if as_json {
        let canonical: serde_json::Value =
            serde_json::from_str(&query.canonical_json()).unwrap_or_default();
        return output::json(&json!({
            "query": planned.text,
            "askable": true,
            "sentence": query.sentence(),
            "sql": query.to_sql(),
            "canonical": canonical,
            "hash": output::hex(&query.hash()),
            "columns": columns,
            "cost": {
                "class": format!("{class:?}"),
                "passes": plan.passes().len(),
                "groups": decoder.groups(),
                "values": values,
                "proofs_per_chunk": proofs * plan.passes().len(),
                "plan_bytes": plan.to_bytes().len(),
            },
        }));
    }
    let mut text = format!("{}\n\n", query.sentence());
    let _ = writeln!(text, "sql   {}", query.to_sql());
    let _ = writeln!(text, "hash  {}", output::hex(&query.hash()));
    let _ = writeln!(
        text,
        "cost  {} of class {class:?} (up to {} columns at once), {}, {} per chunk of people",
        output::counted(plan.passes().len(), "pass", "passes"),
        class.columns(),
        output::counted(decoder.groups(), "group", "groups"),
        output::counted(proofs * plan.passes().len(), "proof", "proofs"),
    );
    output::text(&text)
}

/// `salus query plan`: exit codes as [`lint`].
pub fn plan(args: &PlanArgs, as_json: bool) -> Result<(), CliError> {
    let planned = planned(&args.query)?;
    let mut document = shown::plan(&planned);
    document["paths"] = paths::document(&planned, args.members);
    if as_json {
        return output::json(&document);
    }
    let mut text = shown::plan_text(&document);
    text += &paths::text(&document["paths"]);
    output::text(&text)
}

/// `salus query dry-run`: exit codes as [`lint`]; also 6 when the answer would be withheld.
pub fn dry_run(args: &DryRunArgs, as_json: bool) -> Result<(), CliError> {
    let planned = planned(&args.query)?;
    let document = dry_run::run(&planned, args)?;
    if as_json {
        output::json(&document)
    } else {
        output::text(&shown::answer_text(&document))
    }
}

//! What the holders of a committee say of themselves.

use super::keygen::runtime;
use super::keys;
use crate::args::StatusArgs;
use crate::error::{CliError, Kind};
use crate::output;
use salus_committee::Limits;
use salus_committee::service::Client;
use salus_contracts::primitives::hex;
use serde_json::{Value, json};
use std::fmt::Write;

/// `salus committee status`.
pub fn run(args: &StatusArgs, as_json: bool) -> Result<(), CliError> {
    let own = keys::load(&args.key)?;
    let file = keys::committee(&args.committee)?;
    let runtime = runtime()?;
    let mut found = Vec::new();
    let mut alive = 0;
    for entry in &file.holders {
        let asked = runtime.block_on(async {
            Client::new(&own.identity, entry, Limits::default())?
                .status()
                .await
        });
        found.push(match asked {
            Ok(status) => {
                alive += 1;
                let cube = status.cube.map(|cube| {
                    json!({
                        "origin": cube.origin,
                        "key_hash": hex::encode_prefixed(cube.key_hash),
                        "epoch": cube.epoch,
                        "flooding_budget_spent": cube.budget_spent,
                    })
                });
                let ad_hoc = status.adhoc.map(|key| {
                    json!({
                        "origin": key.origin,
                        "ceremony": hex::encode_prefixed(key.ceremony),
                        "flooding_budget_spent": key.budget_spent,
                    })
                });
                json!({"name": entry.name, "answers": true, "cube": cube, "ad_hoc": ad_hoc})
            }
            Err(error) => {
                json!({"name": entry.name, "answers": false, "error": error.to_string()})
            }
        });
    }
    let verdict = (alive < usize::from(file.threshold)).then(|| {
        CliError::new(
            Kind::TryAgain,
            "too_few_holders",
            format!("{alive} holders answer and {} are needed", file.threshold),
            "Start the others, or ask their operators.",
        )
    });
    if !as_json {
        output::text(&text(&found, alive, file.threshold))?;
        return verdict.map_or(Ok(()), Err);
    }
    let mut document = json!({"holders": found, "answering": alive, "threshold": file.threshold});
    if let Some(error) = &verdict {
        document["error"] = error.document()["error"].take();
    }
    output::json(&document)?;
    verdict.map_or(Ok(()), |error| Err(error.after_document()))
}

fn text(found: &[Value], alive: usize, threshold: u8) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for holder in found {
        let name = holder["name"].as_str().unwrap_or_default();
        if holder["answers"] != true {
            let why = holder["error"].as_str().unwrap_or_default();
            let _ = writeln!(out, "{name}: does not answer: {why}");
            continue;
        }
        for kind in ["cube", "ad_hoc"] {
            let key = &holder[kind];
            if key.is_object() {
                let origin = key["origin"].as_str().unwrap_or_default();
                let spent = 100.0 * key["flooding_budget_spent"].as_f64().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "{name}: {kind} key, {origin}; {spent:.4} % of its budget spent"
                );
            }
        }
    }
    let _ = writeln!(
        out,
        "{alive} of {} answer, {threshold} are needed",
        found.len()
    );
    out
}

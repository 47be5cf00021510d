//! `salus demo`: the eight steps in one run, from a table of people to paid-out rewards.

mod adhoc;
mod ask;
pub mod cast;
mod claims;
mod join;
mod members;
mod report;
mod sealed;
mod world;

use crate::args::{AnswerPath, DemoArgs};
use crate::audit::{self, Depth};
use crate::bundle::{self, BundleInput, SealedInput};
use crate::error::{CliError, Kind};
use crate::home;
use crate::output;
use crate::progress::{Interrupt, Stage};
use crate::source::{self, Source};
use ask::{Asked, Outcome, ask, interrupted};
use cast::Cast;
use salus_circuits::keys::{DevelopmentKey, VerifyingKey};
use salus_circuits::layout::ChunkSize;
use salus_prover::key_cache::{KeyEvent, development_key};
use salus_prover::proven::PartProver;
use salus_schema::plan::CircuitClass;
use salus_schema::planner;
use salus_schema::query::Query;
use sealed::{Sealed, ask_sealed};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use world::{Provers, World};

/// One whole development token per query.
const PRICE: u128 = 100_000_000_000_000_000_000;

/// Runs the demo.
pub fn run(args: &DemoArgs, as_json: bool) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CliError::new(
                Kind::Failed,
                "runtime_failed",
                e,
                "Check the limits of this machine (ulimit -u).",
            )
        })?;
    let Report { mut json, verdict } = runtime.block_on(async {
        match args.path {
            AnswerPath::AdHoc => adhoc::play(args).await,
            _ => play(args).await,
        }
    })?;
    if as_json {
        if let Some(error) = &verdict {
            json["error"] = error.document()["error"].take();
        }
        output::json(&json)?;
    } else {
        output::text(&report::text(&json))?;
    }
    match verdict {
        None => Ok(()),
        Some(error) => Err(error.after_document()),
    }
}

struct Report {
    json: Value,
    verdict: Option<CliError>,
}

async fn play(args: &DemoArgs) -> Result<Report, CliError> {
    let start = Instant::now();
    let interrupt = Interrupt::listen();
    let force = args.force || args.out == Path::new("salus-demo");
    bundle::check_target(&args.out, force)?;
    if args.path.sealed() {
        sealed::holders::troubles(args)?;
    }

    // 1. ingest: read and code
    let stage = Stage::begin("1 read and code", 0);
    let texts = report::queries(args, &report::SYNTHETIC)?;
    let declared = source::declare(args.data.as_deref(), &args.table, args.members)?;
    let queries = declared.queries(&texts)?;
    let mut source = declared.code(Some(&source::used_columns(&queries)))?;
    let people = source.coded.people;
    let mut uncovered = vec![None; queries.len()];
    if args.path.sealed() {
        (source.codebook, uncovered) =
            sealed::with_cubes(source.codebook, &queries, people as u64)?;
    }
    let source = source;
    stage.end(&format!(
        "{people} people, {} code columns",
        source.codebook.physical_len()
    ));
    stop_if(&interrupt)?;
    let stage = Stage::begin("  clear text, for comparison", 0);
    let clear = clear_rows(&source, &queries, args.min_cell)?;
    stage.end("polars on the source values");
    let asked: Vec<Asked> = texts
        .iter()
        .zip(queries)
        .map(|(sql, query)| Asked {
            sql: sql.clone(),
            query,
        })
        .collect();
    let classes: Vec<CircuitClass> = asked
        .iter()
        .map(|a| planner::plan(&a.query, &source.codebook).map(|(p, _)| p.class()))
        .collect::<Result<_, _>>()
        .map_err(|e| {
            CliError::new(
                Kind::Refused,
                "query_refused",
                e,
                "Run `salus query lint` on the query.",
            )
        })?;
    stop_if(&interrupt)?;

    let provers = load_provers(
        ChunkSize::for_people(people),
        classes.contains(&CircuitClass::K8),
    )?;
    let keys: Vec<VerifyingKey> = provers
        .k4
        .iter()
        .chain(&provers.k8)
        .map(|p| p.key().vk.clone())
        .collect();
    stop_if(&interrupt)?;

    let committee = match args.path.sealed() {
        true => Some(tokio::task::block_in_place(|| Sealed::prepare(args))?),
        false => None,
    };

    // 2 and 3. commit, opt in
    let cast = Cast::gather(args.rpc.as_deref()).await?;
    let stage = Stage::begin("  deploy contracts", 0);
    let joined = join::Dataset::create(&cast, &source.codebook, &keys, args, PRICE).await?;
    stage.end(&format!(
        "dataset {} on chain {}",
        joined.dataset,
        cast.chain.id()
    ));
    let mut sealed = match committee {
        Some(made) => {
            let rpc = args.rpc.as_deref();
            Some(Sealed::register(made, &cast, &joined, &source.codebook, rpc, people).await?)
        }
        None => None,
    };
    let basis = provers.k4[0].key().commitment.clone();
    let cohort = join::opt_in(&cast, &joined, &basis, &source.coded, &interrupt).await?;
    let slots = basis.slots.len();
    let codes = |(chunk, slot): (u32, u32)| -> Vec<u8> {
        let at = chunk as usize * slots + slot as usize;
        source
            .coded
            .columns
            .iter()
            .map(|column| column[at])
            .collect()
    };
    let intake = match &mut sealed {
        Some(sealed) => {
            let made = sealed.take_in(
                &cast,
                &joined,
                &source.codebook,
                &cohort,
                &keys,
                &basis,
                &codes,
                &interrupt,
            );
            let made = made.await?;
            sealed.troubles()?;
            Some(made)
        }
        None => None,
    };
    let world = World {
        client: &joined.client,
        dataset: joined.dataset,
        snapshot: cohort.snapshot,
        codebook: &source.codebook,
        chunks: &cohort.chunks,
        commitments: &cohort.commitments,
        provers: &provers,
        price: PRICE,
        min_cohort: args.min_cohort,
        min_cell: args.min_cell,
    };

    // 4 to 7. ask
    let mut outcomes = Vec::new();
    let mut not_covered = Vec::new();
    for (number, asked) in asked.iter().enumerate() {
        stop_if(&interrupt)?;
        let clear = &clear[number];
        if args.path.proven() {
            outcomes.push(ask(&cast, &world, number, asked, clear, &interrupt).await?);
        }
        if let Some(sealed) = &sealed {
            let people = people as u64;
            let found = ask_sealed(&cast, &world, sealed, number, asked, clear, people).await?;
            match found {
                Some(outcome) => outcomes.push(outcome),
                None => not_covered.push(report::not_covered(asked, uncovered[number].as_deref())),
            }
        }
    }
    let agree = sealed::agree(&outcomes);

    // 8. claim
    let paid = claims::claim_all(&cast, &world, &cohort.members, &interrupt).await?;

    let stage = Stage::begin("  write the bundle", 0);
    let bundle_queries: Vec<_> = outcomes.iter().map(|o| o.bundle.clone()).collect();
    let contents = match (&sealed, &intake) {
        (Some(sealed), Some(intake)) => {
            let codebook = &source.codebook;
            Some(sealed.contents(&joined, codebook, &cohort, intake).await?)
        }
        _ => None,
    };
    let folders = sealed.as_ref().map(|s| (s.public(), s.blob_folder()));
    let input = BundleInput {
        client: &joined.client,
        dataset: joined.dataset,
        codebook: &source.codebook,
        keys,
        basis: &basis,
        queries: &bundle_queries,
        sealed: folders
            .as_ref()
            .zip(contents.as_ref())
            .map(|((uploads, blobs), contents)| SealedInput {
                uploads,
                blobs,
                contents,
            }),
    };
    bundle::write(&args.out, force, &input, |_, _| {}).await?;
    stage.end(&args.out.display().to_string());
    stop_if(&interrupt)?;
    let stage = Stage::begin("  audit the bundle", 0);
    let audited = tokio::task::block_in_place(|| {
        audit::audit(&args.out, Depth::Full, |_, done, _| stage.at(done))
    })?;
    let audit_line = audited.verdict().to_owned();
    stage.end(&audit_line);

    let json = json!({
        "members": people,
        "queries": outcomes.iter().map(|o| o.json.clone()).collect::<Vec<_>>(),
        "gas": {
            "deploy": joined.deploy_gas,
            "opt_in_per_member": cohort.gas.checked_div(people as u64),
            "snapshot": cohort.snapshot_gas,
            "settle": paid.settle_gas,
            "claim_per_member": paid.gas.checked_div(people as u64),
        },
        "rewards": {"settled": paid.settled, "claimed": paid.claimed, "per_member": paid.share},
        "audit": audit_line,
        "bundle": args.out.display().to_string(),
        "chunks": cohort.chunks.len(),
        "keys": DevelopmentKey { size: provers.size, class: CircuitClass::K4, part: 0 }.id(),
        "seconds": start.elapsed().as_secs_f64(),
        "peak_memory_bytes": report::peak_memory(),
        "cpu_seconds": report::cpu_seconds(),
        "skipped_columns": source.skipped.len(),
        "sealed": sealed.as_ref().zip(intake.as_ref()).map(|(s, i)| s.report(i, &source.codebook)),
        "not_covered": not_covered,
        "paths_agree": agree,
    });
    let verdict = verdict(&args.out, &audit_line, &outcomes, agree);
    Ok(Report { json, verdict })
}

/// What the process ends with.
fn verdict(
    out: &Path,
    audit_line: &str,
    outcomes: &[Outcome],
    agree: Option<bool>,
) -> Option<CliError> {
    if audit_line != "ok" {
        Some(CliError::new(
            Kind::Invalid,
            "audit_invalid",
            "the audit of the bundle found problems",
            format!("Run `salus audit {}` for the list.", out.display()),
        ))
    } else if outcomes.iter().any(|o| !o.equal) {
        Some(CliError::new(
            Kind::Invalid,
            "differs_from_clear_text",
            "an answer differs from the clear text",
            "Report this with the query and the codebook.",
        ))
    } else if agree == Some(false) {
        Some(CliError::new(
            Kind::Invalid,
            "paths_differ",
            "a sealed answer differs from the proven one",
            "Report this with the query and the codebook.",
        ))
    } else if outcomes.iter().any(|o| o.refused) {
        let mut refused = CliError::new(
            Kind::Refused,
            "cohort_below_minimum",
            "at least one query was refused: too few people would be in its answer",
            "Widen its filter, or lower --min-cohort if your policy allows it.",
        );
        "nothing for refused queries; the others were paid".clone_into(&mut refused.charged);
        Some(refused)
    } else {
        None
    }
}

/// The clear-text rows of each query.
fn clear_rows(source: &Source, queries: &[Query], min_cell: u32) -> Result<Vec<Value>, CliError> {
    source::clear_answers(source, queries, u64::from(min_cell))?
        .into_iter()
        .map(|clear| serde_json::to_value(clear.answer.rows))
        .collect::<Result<_, _>>()
        .map_err(|e| {
            CliError::new(
                Kind::Failed,
                "oracle_failed",
                e,
                "Report this with the query.",
            )
        })
}

fn stop_if(interrupt: &Interrupt) -> Result<(), CliError> {
    if interrupt.stopped() {
        Err(interrupted())
    } else {
        Ok(())
    }
}

fn load_provers(size: ChunkSize, eight: bool) -> Result<Provers, CliError> {
    let mut provers = Provers {
        size,
        k4: Vec::new(),
        k8: Vec::new(),
    };
    for id in DevelopmentKey::family(size) {
        if id.class == CircuitClass::K8 && !eight {
            continue;
        }
        let stage = Stage::begin(&format!("  key {}", id.id()), 0);
        let mut how = "loaded";
        let key = development_key(&home::key_cache(), &id, home::production(), |event| {
            how = match event {
                KeyEvent::Loaded => "loaded",
                KeyEvent::Generating => "generated and cached",
                KeyEvent::Damaged => "damaged file replaced",
            };
        })
        .map_err(|e| {
            CliError::new(
                Kind::Failed,
                "key_unavailable",
                e,
                if home::production() {
                    "Unset SALUS_MODE: there are no production keys yet."
                } else {
                    "Set SALUS_HOME to a directory that can be written, then run the command again."
                },
            )
        })?;
        let prover = PartProver::new(Arc::new(key));
        stage.end(how);
        match id.class {
            CircuitClass::K4 => provers.k4.push(prover),
            CircuitClass::K8 => provers.k8.push(prover),
        }
    }
    Ok(provers)
}

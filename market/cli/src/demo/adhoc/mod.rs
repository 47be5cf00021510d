//! The ad-hoc path in the demo: a dealer, holders and evaluators as processes, and questions for which nobody made a cube.

mod ask;
mod committee;
mod intake;

use super::ask::{Asked, Outcome};
use super::cast::Cast;
use super::report::{self, ADHOC};
use super::world::World;
use super::{PRICE, Report, claims, clear_rows, join, load_provers, stop_if};
use crate::adhoc::evaluator::{Question, adhoc_query, layout};
use crate::args::DemoArgs;
use crate::audit::{self, Depth};
use crate::bundle::{self, BundleInput, SealedInput};
use crate::error::{CliError, Kind};
use crate::progress::{Interrupt, Stage};
use crate::source;
use committee::Dealt;
use salus_adhoc::layout::Layout;
use salus_circuits::keys::{DevelopmentKey, VerifyingKey};
use salus_circuits::layout::ChunkSize;
use salus_contracts::client::{Done, QueryId, QueryOrder};
use salus_schema::answer::Decoder;
use salus_schema::plan::{CircuitClass, Plan};
use salus_schema::planner;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// More people take hours here; `--force` takes them.
const MOST: usize = 200;
/// CPU seconds of one member's proof and of its verification by one evaluator.
const PROOF_SECONDS: f64 = 4.0;
/// Evaluators, each in a process of its own and on as many threads as its number.
const EVALUATORS: usize = 2;
/// Cores that estimates assume.
const CORES: usize = 2;

/// A question with its plan and its escrow.
struct Funded {
    plan: Plan,
    decoder: Decoder,
    id: QueryId,
    order: QueryOrder,
    done: Done<QueryId>,
}

/// Seconds that members' proofs and both evaluations take, from the branches of the queries.
fn estimate(plans: &[(Plan, Decoder)], layout: &Layout, people: usize) -> Result<f64, CliError> {
    let mut seconds = people as f64 * PROOF_SECONDS / CORES as f64;
    for (plan, _) in plans {
        let query = adhoc_query(plan, layout)?;
        // The first evaluator has one thread, the second two.
        for threads in 1..=EVALUATORS {
            seconds += query.estimate(people, threads.min(CORES)).seconds;
        }
    }
    Ok(seconds)
}

fn too_many(people: usize, seconds: f64) -> CliError {
    CliError::new(
        Kind::Refused,
        "adhoc_too_many",
        format!(
            "{people} members are more than the {MOST} of an ad-hoc demo: proofs and evaluations would take about {:.1} h on {CORES} cores",
            seconds / 3600.0
        ),
        format!("Give --members {MOST} or fewer, or --force to wait."),
    )
}

/// Runs the demo on this path.
pub(super) async fn play(args: &DemoArgs) -> Result<Report, CliError> {
    let start = Instant::now();
    let interrupt = Interrupt::listen();
    let force = args.force || args.out == Path::new("salus-demo");
    bundle::check_target(&args.out, force)?;

    let stage = Stage::begin("1 read and code", 0);
    let texts = report::queries(args, &ADHOC)?;
    let declared = source::declare(args.data.as_deref(), &args.table, args.members)?;
    let queries = declared.queries(&texts)?;
    let source = declared.code(Some(&source::used_columns(&queries)))?;
    let people = source.coded.people;
    let layout = layout(&source.codebook)?;
    stage.end(&format!(
        "{people} people, {} code columns, {} encrypted bits each",
        source.codebook.physical_len(),
        layout.slots()
    ));
    let plans: Vec<(Plan, Decoder)> = queries
        .iter()
        .map(|query| planner::plan(query, &source.codebook))
        .collect::<Result<_, _>>()
        .map_err(|e| {
            CliError::new(
                Kind::Refused,
                "query_refused",
                e,
                "Run `salus query lint` on the query.",
            )
        })?;
    let estimated = estimate(&plans, &layout, people)?;
    if people > MOST && !args.force {
        return Err(too_many(people, estimated));
    }
    eprintln!("proofs and evaluations: about {estimated:.0} s on {CORES} cores");
    let stage = Stage::begin("  clear text, for comparison", 0);
    let clear = clear_rows(&source, &queries, args.min_cell)?;
    stage.end("polars on the source values");
    stop_if(&interrupt)?;
    let provers = load_provers(ChunkSize::for_people(people), false)?;
    let keys: Vec<VerifyingKey> = provers.k4.iter().map(|p| p.key().vk.clone()).collect();
    let basis = provers.k4[0].key().commitment.clone();

    let dealt = tokio::task::block_in_place(|| Dealt::run(args, &layout, EVALUATORS))?;
    stop_if(&interrupt)?;
    let cast = Cast::gather(args.rpc.as_deref()).await?;
    let stage = Stage::begin("  deploy contracts", 0);
    let joined = join::Dataset::create(&cast, &source.codebook, &keys, args, PRICE).await?;
    stage.end(&format!(
        "dataset {} on chain {}",
        joined.dataset,
        cast.chain.id()
    ));
    let rpc = args.rpc.as_deref();
    let mut committee = dealt
        .register(&cast, &joined, &source.codebook, rpc)
        .await?;
    let cohort = join::opt_in(&cast, &joined, &basis, &source.coded, &interrupt).await?;
    let slots = basis.slots.len();
    let codes = |(chunk, slot): (u32, u32)| -> Vec<u8> {
        let at = chunk as usize * slots + slot as usize;
        let columns = source.coded.columns.iter();
        columns.map(|column| column[at]).collect()
    };
    let intake = intake::file_all(
        &committee, &cast, &joined, &cohort, &layout, &codes, &interrupt,
    )
    .await?;

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
    let mut funded = Vec::new();
    for (query, (plan, decoder)) in queries.iter().zip(plans) {
        let (done, order) = world.fund(&cast, query, &plan).await?;
        funded.push(Funded {
            id: done.value,
            plan,
            decoder,
            order,
            done,
        });
    }
    let questions: Vec<Question> = queries
        .iter()
        .zip(&funded)
        .map(|(query, funded)| Question {
            query: funded.id.0,
            question: query.canonical_json(),
        })
        .collect();
    let evaluated =
        tokio::task::block_in_place(|| committee.evaluate(&questions, || interrupt.stopped()))?;
    stop_if(&interrupt)?;
    committee.start().await?;
    committee.troubles()?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (number, query) in queries.into_iter().enumerate() {
        stop_if(&interrupt)?;
        let asked = Asked {
            sql: texts[number].clone(),
            query,
        };
        let (funded, evaluation) = (&funded[number], &evaluated.evaluations[number]);
        let clear = &clear[number];
        let outcome = ask::ask(
            &cast, &world, &committee, number, &asked, funded, evaluation, clear,
        );
        outcomes.push(outcome.await?);
    }

    let paid = claims::claim_all(&cast, &world, &cohort.members, &interrupt).await?;
    let stage = Stage::begin("  write the bundle", 0);
    let bundle_queries: Vec<_> = outcomes.iter().map(|o| o.bundle.clone()).collect();
    let contents = committee.contents(&evaluated.evaluations).await?;
    let (public, blobs) = (committee.public(), committee.blob_folder());
    let input = BundleInput {
        client: &joined.client,
        dataset: joined.dataset,
        codebook: &source.codebook,
        keys,
        basis: &basis,
        queries: &bundle_queries,
        sealed: Some(SealedInput {
            uploads: &public,
            blobs: &blobs,
            contents: &contents,
        }),
    };
    bundle::write(&args.out, force, &input, |_, _| {}).await?;
    stage.end(&args.out.display().to_string());
    if let Some(path) = &args.server_keys {
        committee.keep_server_keys(path)?;
    }
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
        "adhoc": committee.report(&evaluated, &intake, &layout, estimated),
    });
    Ok(Report {
        json,
        verdict: super::verdict(&args.out, &audit_line, &outcomes, None),
    })
}

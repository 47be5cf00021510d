//! `salus committee evaluate`: an evaluator's run over funded queries, from uploads to a signed output.
//!
//! It holds no secret but its signing key. Interrupted, it leaves a checkpoint in its folder; the same command goes on from
//! there when query, uploads, keys and build are the same.

use super::key::{self, AdhocKey};
use super::output::{About, Output, seed, verdicts};
use super::uploads::{self, RecordsError};
use super::vouch::Vouched;
use crate::args::EvaluateArgs;
use crate::committee::{BLOBS, keys, runtime};
use crate::demo::cast::chain_error;
use crate::error::{CliError, Kind};
use crate::output as stdout;
use crate::progress::{Interrupt, Stage};
use crate::sealed::gather::{self, Registry};
use crate::source::read_codebook;
use bytes::Bytes;
use salus_adhoc::evaluate::{EvaluateError, RunControl, evaluate};
use salus_adhoc::keys::ServerKeys;
use salus_adhoc::layout::Layout;
use salus_adhoc::one_hot::{self, MAX_BATCH};
use salus_adhoc::query::AdhocQuery;
use salus_adhoc::upload::Record;
use salus_blobs::{BlobStore, ContentId};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{Chain, Client, Endpoint, QueryId};
use salus_contracts::primitives::{B256, hex};
use salus_schema::codebook::Codebook;
use salus_schema::plan::Plan;
use salus_schema::planner;
use salus_schema::query::Query;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A funded query, as a file names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its id on chain.
    pub query: B256,
    /// Canonical JSON of what is asked.
    pub question: String,
}

/// Why there is no layout, or another trouble of the path.
pub fn failed(what: &str, reason: impl std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Failed,
        "adhoc_path_failed",
        format!("{what}: {reason}"),
        "Run the command again.",
    )
}

/// The layout of records under a codebook: all its columns.
pub fn layout(codebook: &Codebook) -> Result<Layout, CliError> {
    Layout::from_codebook(codebook).map_err(|e| {
        CliError::new(
            Kind::Refused,
            "layout_impossible",
            e,
            "Use fewer columns (--columns) or coarser ones: a record is one list of encrypted bits.",
        )
    })
}

/// The query of a plan on records of this layout.
pub fn adhoc_query(plan: &Plan, layout: &Layout) -> Result<AdhocQuery, CliError> {
    AdhocQuery::new(plan, layout).map_err(|e| {
        CliError::new(
            Kind::Refused,
            "not_on_this_path",
            e,
            "Run `salus query plan` on it for the ways that there are.",
        )
    })
}

/// Evaluates and judges; the same bytes wherever the same build runs.
pub fn compute(
    keys: &ServerKeys,
    layout: &Layout,
    records: &[Record],
    about: &About,
    control: &RunControl,
) -> Result<Output, CliError> {
    let plan = Plan::from_bytes(&about.plan).map_err(|e| failed("the plan", e))?;
    let query = adhoc_query(&plan, layout)?;
    let answer = evaluate(keys, records, &query, control).map_err(|e| evaluating(&e))?;
    let seed = seed(about);
    let judged: Result<Vec<_>, _> = records
        .chunks(MAX_BATCH)
        .map(|batch| one_hot::check(keys, layout, batch, seed))
        .collect();
    let judged = judged.map_err(|e| failed("the check of records", e))?;
    Ok(Output {
        about: about.clone(),
        verdicts: verdicts(&answer, judged, seed),
        answer,
    })
}

fn evaluating(error: &EvaluateError) -> CliError {
    match error {
        EvaluateError::Cancelled { .. } => CliError::new(
            Kind::TryAgain,
            "interrupted",
            error,
            "Run the same command again: it goes on from the checkpoint in the evaluator's folder.",
        ),
        EvaluateError::Checkpoint(error) => CliError::new(
            Kind::Invalid,
            "checkpoint_unusable",
            error,
            "Remove the file to start this query afresh.",
        ),
        other => failed("the evaluation", other),
    }
}

/// Why records are not there, for a person.
pub fn records_error(error: &RecordsError) -> CliError {
    let (kind, code) = match error {
        RecordsError::List(_) | RecordsError::Sign(_) => (Kind::Failed, "uploads_unreadable"),
        RecordsError::Missing(_) => (Kind::Refused, "upload_missing"),
        RecordsError::Upload { .. } => (Kind::Invalid, "upload_invalid"),
    };
    CliError::new(
        kind,
        code,
        error,
        "Nothing is evaluated until every member of the snapshot has one valid upload.",
    )
}

/// The uploads of a snapshot with their proofs verified, and the list of them.
struct Taken {
    records: Vec<Record>,
    list: Vec<u8>,
}

async fn take(
    client: &Client,
    blobs: &BlobStore,
    public: &Path,
    layout: &Layout,
    key: &AdhocKey,
    (registry, snapshot): (Registry, u32),
) -> Result<Taken, CliError> {
    let roster = gather::roster(client, registry.dataset).await;
    let roster = roster.map_err(|e| chain_error(&e))?;
    let seated = roster
        .at(snapshot)
        .ok_or_else(|| failed("the roster", "the snapshot was not taken"))?;
    let included = uploads::included(&registry, &seated, layout, public);
    let included = included.map_err(|e| records_error(&e))?;
    let list = uploads::list(&included);
    let mut held = Vec::with_capacity(included.len());
    for record in included.into_values() {
        let read = blobs.get(&ContentId::from_digest(record.digest)).await;
        held.push((record, read.map_err(|e| failed("an upload", e))?.to_vec()));
    }
    let stage = Stage::begin("  verify proofs", held.len() as u64);
    let done = AtomicU64::new(0);
    let records = tokio::task::block_in_place(|| {
        uploads::records(&registry, layout, &held, Some(&key.client), || {
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1);
        })
    });
    let records = records.map_err(|e| records_error(&e))?;
    stage.end(&format!("{} records", records.len()));
    Ok(Taken { records, list })
}

/// `salus committee evaluate`.
pub fn run(args: &EvaluateArgs, as_json: bool) -> Result<(), CliError> {
    let own = keys::load(&args.key)?;
    let signer = PrivateKeySigner::from_slice(own.signing.expose());
    let signer = signer.map_err(|e| failed("the signing key", e))?;
    let deployment = keys::deployment(&args.deployment)?;
    let codebook = read_codebook(&args.codebook)?;
    let layout = layout(&codebook)?;
    let key_bytes = key::read(&args.adhoc_key)?;
    let key = AdhocKey::from_bytes(&key_bytes).map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "adhoc_key_invalid",
            e,
            "Give the public key file of the dealer ceremony.",
        )
    })?;
    let questions: Vec<Question> = args
        .question
        .iter()
        .map(|path| question(path))
        .collect::<Result<_, _>>()?;
    let stage = Stage::begin("  read server keys", 0);
    let server = key::server_keys(&args.server_keys, key.server)?;
    stage.end("pinned by the key file");
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let interrupt = Interrupt::listen();
        let chain = |e| chain_error(&e);
        let endpoint: Endpoint = args.rpc.parse().map_err(chain)?;
        let node = Chain::connect(endpoint).await.map_err(chain)?;
        let client = Client::new(node, deployment.clone()).map_err(chain)?;
        let blobs = BlobStore::local(&args.public.join(BLOBS)).map_err(|e| failed("blobs", e))?;
        let mut taken: Option<(u64, u64, Taken)> = None;
        let mut done = Vec::new();
        for question in &questions {
            let facts = client.query_facts(QueryId(question.query)).await;
            let facts = facts.map_err(chain)?.filter(|facts| facts.open);
            let query = Query::from_json(&question.question, &codebook)
                .map_err(|e| failed("the question", e))?;
            let (plan, _) = planner::plan(&query, &codebook).map_err(|e| failed("the plan", e))?;
            let funded = facts.filter(|f| f.plan_hash == B256::from(plan.hash()));
            let facts = funded.ok_or_else(|| {
                CliError::new(
                    Kind::Refused,
                    "not_funded",
                    format!("query {} is not open for this question", question.query),
                    "Fund it first, with the plan of exactly this question.",
                )
            })?;
            let registry = Registry {
                chain: client.chain().id(),
                contract: client.deployment().registry,
                dataset: facts.dataset,
            };
            let of = (u64::from(facts.dataset.0), u64::from(facts.snapshot.0));
            if taken.as_ref().is_none_or(|(d, s, _)| (*d, *s) != of) {
                let about = (registry, facts.snapshot.0);
                let made = take(&client, &blobs, &args.public, &layout, &key, about).await?;
                taken = Some((of.0, of.1, made));
            }
            let Some((_, _, Taken { records, list })) = &taken else {
                continue;
            };
            let about = About {
                query: question.query.0,
                dataset: of.0,
                snapshot: of.1,
                key: key.hash,
                uploads: Sha256::digest(list).into(),
                plan: plan.to_bytes(),
            };
            let folder = args.key.dir.join("checkpoints");
            std::fs::create_dir_all(&folder).map_err(|e| failed("the checkpoints", e))?;
            let checkpoint = folder.join(hex::encode(question.query));
            let resumed = checkpoint.exists();
            let prepared = adhoc_query(&plan, &layout)?;
            let branches = prepared.branch_count() * records.len();
            let stage = Arc::new(Stage::begin("  evaluate", branches as u64));
            let watcher = stage.clone();
            let control = RunControl::default()
                .threads(args.threads)
                .records_per_step(64)
                .cancelled_by(interrupt.shared())
                .checkpointed_at(&checkpoint)
                .watched_by(move |progress| watcher.at(progress.done as u64));
            let start = Instant::now();
            let output = tokio::task::block_in_place(|| {
                compute(&server, &layout, records, &about, &control)
            })?;
            let seconds = start.elapsed().as_secs_f64();
            drop(control);
            let put = async |bytes: Vec<u8>| {
                let stored = blobs.put(Bytes::from(bytes)).await;
                stored.map_err(|e| failed("a blob", e))
            };
            put(list.clone()).await?;
            let output = put(output.to_bytes()).await?;
            let vouched = Vouched {
                chain: registry.chain,
                market: client.deployment().market,
                query: about.query,
                key: about.key,
                uploads: about.uploads,
                output: *output.digest(),
            };
            vouched
                .file(&args.public, &signer)
                .map_err(|e| failed("the signature", e))?;
            let _ = std::fs::remove_file(&checkpoint);
            if let Ok(stage) = Arc::try_unwrap(stage) {
                stage.end(&format!(
                    "{} on {} threads",
                    hex::encode(output.digest()),
                    args.threads
                ));
            }
            done.push(json!({
                "query": question.query,
                "output": B256::from(*output.digest()),
                "uploads": B256::from(about.uploads),
                "seconds": seconds,
                "resumed": resumed,
            }));
        }
        Ok::<_, CliError>(done)
    })?;
    if as_json {
        return stdout::json(&json!({
            "evaluator": signer.address(),
            "threads": args.threads,
            "key": B256::from(key.hash),
            "evaluations": done,
        }));
    }
    let mut text = format!("evaluator {}\n", signer.address());
    for one in done {
        text += &format!("{} {}\n", one["query"], one["output"]);
    }
    stdout::text(&text)
}

fn question(path: &Path) -> Result<Question, CliError> {
    let next = "Give a file {\"query\": ID, \"question\": CANONICAL JSON}.";
    let text = std::fs::read_to_string(path).map_err(|e| keys::unreadable(path, e, next))?;
    serde_json::from_str(&text).map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "question_malformed",
            format!("{}: {e}", path.display()),
            next,
        )
    })
}

//! Replays a bundle from its transactions alone.
//!
//! Trusted are the bytes of signed transactions and nothing else: who sent what follows from signatures, what it did
//! from the rules of the contracts, written down here a second time. What a node said (status, logs) is compared with
//! that. Nothing is executed on an EVM, and without `--rpc` no socket is opened.

mod bonds;
mod committees;
mod datasets;
mod fault;
mod market;
mod pool;
mod registrations;
mod registry;
mod replay;
mod report;
mod rows;
mod sealed;
mod sums;
#[cfg(test)]
mod tests;

pub use report::AuditReport;
use report::Topic;

use crate::args::AuditArgs;
use crate::bundle::chain::ChainReader;
use crate::bundle::keys::{key_from_words, read_basis, read_keys};
use crate::bundle::manifest::{self, Manifest};
use crate::bundle::sealed::SealedBundle;
use crate::error::{CliError, Kind};
use crate::output;
use crate::progress::Stage;
use replay::Replay;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::keys::DevelopmentKey;
use salus_circuits::layout::ChunkSize;
use salus_circuits::transcript::keccak;
use salus_circuits::words::{Word, g1_from_words};
use salus_contracts::client::{Chain, ChainError, DatasetId, Endpoint, EventBody};
use salus_contracts::history::TokenTransfer;
use salus_contracts::primitives::{Address, TxHash, U256, hex};
use salus_schema::codebook::Codebook;
use std::collections::BTreeMap;
use std::path::Path;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Files, column sums, proofs, sealed answers and rows; proofs of knowledge and members' signatures are left out.
    Answers,
    /// Everything.
    Full,
}

/// When and by whom.
pub(crate) struct Moment {
    hash: TxHash,
    sender: Address,
    timestamp: u64,
}

/// What a transaction brings about.
#[derive(Default)]
pub(crate) struct Effect {
    events: Vec<EventBody>,
    transfers: Vec<TokenTransfer>,
    counts: Vec<(Topic, u64)>,
}

impl Effect {
    fn of(topic: Topic, event: EventBody) -> Self {
        Self {
            events: vec![event],
            transfers: Vec::new(),
            counts: vec![(topic, 1)],
        }
    }

    fn count(&mut self, topic: Topic, count: u64) {
        self.counts.push((topic, count));
    }

    fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
        self.transfers.extend(other.transfers);
        self.counts.extend(other.counts);
    }
}

/// Audits the bundle in `dir`; `progress` is told what is being done, how much of it, and how much there is.
///
/// # Errors
/// The bundle is not there, or cannot be checked: a file is missing, malformed or of another version. A bundle that can
/// be checked and is wrong gives a report that says so.
pub fn audit(
    dir: &Path,
    depth: Depth,
    progress: impl FnMut(&str, u64, u64),
) -> Result<AuditReport, CliError> {
    audit_with(dir, depth, None, progress)
}

/// As [`audit`]; with the server keys of a dealer ceremony its ad-hoc evaluations are done again.
///
/// # Errors
/// As [`audit`]; or the server keys are not those of the ceremony.
pub fn audit_with(
    dir: &Path,
    depth: Depth,
    server_keys: Option<&Path>,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<AuditReport, CliError> {
    if !dir.is_dir() {
        return Err(CliError::new(
            Kind::NotFound,
            "bundle_not_found",
            format!("there is no directory {}", dir.display()),
            "Give the directory that `salus demo` wrote with --out.",
        ));
    }
    let mut report = AuditReport::new(match depth {
        Depth::Answers => "answers",
        Depth::Full => "full",
    });
    let manifest = Manifest::read(dir)?;
    for (number, name) in manifest.names().enumerate() {
        progress("hash files", number as u64, manifest.files.len() as u64);
        report.checked(Topic::Files, 1);
        if manifest.files.get(name) != Some(&manifest::digest(dir, name)?) {
            report.wrong(
                Topic::Files,
                None,
                format!("{name} is not the file that manifest.json names"),
            );
        }
    }
    if report.verdict() != "ok" {
        return Ok(report);
    }

    let toml = manifest::read_text(dir, manifest::CODEBOOK)?;
    let codebook = Codebook::from_toml(&toml).map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "bundle_malformed",
            e,
            "Get the bundle again from its publisher.",
        )
    })?;
    let queries = manifest::read_queries(dir)?;
    let keys = read_keys(dir)?;
    let bases = read_basis(dir)?;
    let dataset = DatasetId(manifest.dataset);
    let mut replay = Replay::new(&manifest.deployment, depth, dataset, &bases);
    let mut reader = ChainReader::open(dir)?;
    let mut transactions = 0;
    while let Some(mined) = reader.next()? {
        if mined.block > manifest.last_block {
            report.wrong(
                Topic::Files,
                None,
                "chain.bin goes beyond the last block that manifest.json names",
            );
        }
        replay.step(&mined, &mut report);
        transactions += 1;
        progress(
            "replay transactions",
            transactions,
            manifest.counts.transactions,
        );
    }
    let counts = manifest::Counts {
        transactions,
        keys: keys.len() as u64,
        slots: bases.len() as u64,
        queries: queries.len() as u64,
    };
    if counts != manifest.counts {
        report.wrong(
            Topic::Files,
            None,
            "manifest.json counts other things than the files hold",
        );
    }
    check_contracts(&manifest, &replay, &mut report);
    check_keys(&keys, &bases, dataset, &replay, &mut report);
    match replay.registry.get(dataset) {
        Ok(found) => {
            let shown = rows::check(
                &queries,
                &codebook,
                dataset,
                found,
                &replay.market,
                &mut report,
            );
            let contents = match manifest.is_sealed() {
                true => Some(SealedBundle::read(dir)?),
                false => None,
            };
            let subject = sealed::Subject {
                dir,
                at: &manifest.deployment,
                contents,
                codebook: &codebook,
                dataset,
                replay: &replay,
                bases: &bases,
                shown: &shown,
                server_keys,
            };
            subject.check(&mut report, &mut progress)?;
        }
        Err(_) => report.wrong(
            Topic::Datasets,
            None,
            format!("dataset {dataset} was never created"),
        ),
    }
    conservation(&replay, &mut report);
    bonds(&replay, &mut report);
    Ok(report)
}

fn check_contracts(manifest: &Manifest, replay: &Replay<'_>, report: &mut AuditReport) {
    let at = &manifest.deployment;
    let contracts = [
        ("registry", at.registry),
        ("market", at.market),
        ("verifier", at.verifier),
        ("pool", at.pool),
        ("claim verifier", at.claim_verifier),
    ];
    let committee = at.committee.map(|address| ("committee contract", address));
    for (name, address) in contracts.into_iter().chain(committee) {
        if !replay.created().contains(&address) {
            report.note(format!(
                "the creation of the {name} is not in the bundle: its code was not compared"
            ));
        }
    }
}

/// keys.bin holds keys of the dataset, basis.bin hashes to their root.
fn check_keys(
    keys: &[Vec<u8>],
    bases: &[[Word; 2]],
    dataset: DatasetId,
    replay: &Replay<'_>,
    report: &mut AuditReport,
) {
    let Ok(dataset) = replay.registry.get(dataset) else {
        return;
    };
    let params = &dataset.params;
    let named: Vec<Word> = [params.circuitK4, params.circuitK8Low, params.circuitK8High]
        .iter()
        .filter(|id| !id.is_zero())
        .map(|id| id.0)
        .collect();
    let mut found = Vec::new();
    for words in keys {
        report.checked(Topic::Circuits, 1);
        let id = keccak(words);
        if !named.contains(&id) {
            let id = hex::encode(id);
            report.wrong(
                Topic::Circuits,
                None,
                format!("keys.bin holds key {id}, which the dataset does not use"),
            );
        } else if let Err(error) = key_from_words(words) {
            report.wrong(Topic::Circuits, None, format!("keys.bin: {error}"));
        }
        found.push(id);
    }
    for id in &named {
        if !found.contains(id) {
            let id = hex::encode(id);
            report.wrong(
                Topic::Circuits,
                None,
                format!("keys.bin lacks key {id}, which the dataset uses"),
            );
        }
    }
    report.checked(Topic::Circuits, 1);
    let points: Result<Vec<_>, _> = bases.iter().map(g1_from_words).collect();
    let root = points.map(|points| CommitmentKey::new(points, Default::default()).root());
    if root != Ok(dataset.root) {
        report.wrong(
            Topic::Circuits,
            None,
            "basis.bin does not hash to the root that the keys name",
        );
    }
    let pinned = |id: &Word| {
        [ChunkSize::Tiny, ChunkSize::Small, ChunkSize::Standard]
            .into_iter()
            .flat_map(DevelopmentKey::family)
            .any(|key| key.pinned().circuit_id == hex::encode(id))
    };
    if named.iter().any(pinned) {
        report.note("development keys: answers convince nobody outside a demo");
    }
}

/// No token appears or disappears between escrow, credits, rewards and accounts.
fn conservation(replay: &Replay<'_>, report: &mut AuditReport) {
    let (market, pool) = (&replay.market, &replay.pool);
    let sum = |parts: &[U256]| {
        parts
            .iter()
            .fold(U256::ZERO, |sum, part| sum.saturating_add(*part))
    };
    for (token, funded) in &market.funded {
        report.checked(Topic::Conservation, 1);
        let of = |sums: &BTreeMap<Address, U256>| sums.get(token).copied().unwrap_or_default();
        let held = sum(&[market.escrow(*token), market.credits(*token)]);
        if of(&market.obligations) != held {
            report.wrong(
                Topic::Conservation,
                None,
                format!("token {token}: what the market owes is not what it holds"),
            );
        }
        if *funded != sum(&[held, of(&market.withdrawn), of(&market.settled)]) {
            report.wrong(
                Topic::Conservation,
                None,
                format!("token {token}: funded is not paid, open and credited"),
            );
        }
        if of(&pool.received) != sum(&[of(&pool.claimed), of(&pool.obligations)]) {
            report.wrong(
                Topic::Conservation,
                None,
                format!("token {token}: deposits are not claimed and unclaimed"),
            );
        }
        if of(&pool.received) < of(&market.settled) {
            report.wrong(
                Topic::Conservation,
                None,
                format!("token {token}: settled rewards did not reach the pool"),
            );
        }
    }
}

/// No bond appears or disappears.
fn bonds(replay: &Replay<'_>, report: &mut AuditReport) {
    let bonds = &replay.committees.bonds;
    for (token, received) in &bonds.received {
        report.checked(Topic::Conservation, 1);
        let of = |sums: &BTreeMap<Address, U256>| sums.get(token).copied().unwrap_or_default();
        let held = bonds.standing(*token);
        let gone = of(&bonds.withdrawn).saturating_add(of(&bonds.slashed));
        if of(&bonds.obligations) != held || *received != held.saturating_add(gone) {
            report.wrong(
                Topic::Conservation,
                None,
                format!("token {token}: bonds paid in are not bonds held, withdrawn and slashed"),
            );
        }
    }
}

/// `salus audit DIR`.
pub fn command(args: &AuditArgs, json: bool) -> Result<(), CliError> {
    let stage = Stage::begin("audit", 0);
    let keys = args.server_keys.as_deref();
    let mut report = audit_with(&args.dir, Depth::Full, keys, |_, done, _| stage.at(done))?;
    match &args.rpc {
        Some(url) => include(&args.dir, url, &mut report)?,
        None => report.note("whether the transactions are on a chain was not checked (--rpc does)"),
    }
    stage.end(report.verdict());
    show("audit", &report, json)
}

/// Prints a report; its last line, or all of it as JSON. An invalid bundle is an error.
pub fn show(command: &str, report: &AuditReport, json: bool) -> Result<(), CliError> {
    if !json {
        eprint!("{}", report.text());
        output::text(&format!("{}\n", report.line(command)))?;
        return report.error().map_or(Ok(()), Err);
    }
    output::json(&serde_json::to_value(report).unwrap_or_default())?;
    report
        .error()
        .map_or(Ok(()), |error| Err(error.after_document()))
}

/// Looks every transaction up on a node.
fn include(dir: &Path, url: &str, report: &mut AuditReport) -> Result<(), CliError> {
    let unreachable = |e: &ChainError| {
        CliError::new(
            Kind::CouldNotCheck,
            "audit_rpc",
            e,
            "Check the address of the node, or audit without --rpc.",
        )
    };
    let manifest = Manifest::read(dir)?;
    let mut reader = ChainReader::open(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CliError::new(
                Kind::Failed,
                "runtime",
                e,
                "Close other programs and run the command again.",
            )
        })?;
    let endpoint: Endpoint = url.parse().map_err(|e| unreachable(&e))?;
    let chain = runtime
        .block_on(Chain::connect(endpoint))
        .map_err(|e| unreachable(&e))?;
    if chain.id() != manifest.deployment.chain_id {
        let error = ChainError::WrongChain {
            expected: manifest.deployment.chain_id,
            found: chain.id(),
        };
        return Err(unreachable(&error));
    }
    while let Some(mined) = reader.next()? {
        report.checked(Topic::Inclusion, 1);
        let hash = TxHash::from(keccak(&mined.raw));
        match runtime
            .block_on(chain.inclusion(hash))
            .map_err(|e| unreachable(&e))?
        {
            None => report.wrong(Topic::Inclusion, Some(hash), "the node does not have it"),
            Some(at) if at.block != mined.block || at.success != mined.success => {
                report.wrong(
                    Topic::Inclusion,
                    Some(hash),
                    "the node has it in another block or with another status",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

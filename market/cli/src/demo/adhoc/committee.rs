//! The dealer's committee and the evaluators of the demo.

use super::super::cast::{Cast, chain_error};
use super::super::join::Dataset;
use super::super::sealed::holders::{Holders, Trouble, troubles};
use super::intake::Intake;
use crate::adhoc::evaluator::{Question, failed};
use crate::adhoc::key::AdhocKey;
use crate::args::DemoArgs;
use crate::bundle::sealed::{CommitteeEntry, EvaluationEntry, SealedBundle};
use crate::committee::{BLOBS, client_keys, committee_of, keys};
use crate::error::{CliError, Kind};
use crate::progress::Stage;
use bytes::Bytes;
use rand::rngs::OsRng;
use salus_adhoc::keys::{DealerCeremony, ServerKeys};
use salus_adhoc::layout::Layout;
use salus_blobs::{BlobStore, ContentId};
use salus_committee::Limits;
use salus_committee::dealer::split;
use salus_committee::service::Client as HolderClient;
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{CommitteeId, CommitteeKind, NewCommittee};
use salus_contracts::devchain::{Server, ServerConfig};
use salus_contracts::primitives::{Address, B256, hex};
use salus_schema::codebook::Codebook;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long holders may take to start.
const START: Duration = Duration::from_secs(60);
/// What is on the screen of whoever runs the demo.
const DEALER: &str = "DEALER CEREMONY: this process made the whole key and could read every record";

/// What a dealer has handed out.
pub struct Dealt {
    root: TempDir,
    holders: Holders,
    troubles: Vec<(usize, Trouble)>,
    evaluators: Vec<(PathBuf, Address)>,
    key_bytes: Vec<u8>,
    key: AdhocKey,
    seconds: f64,
}

/// A committee under a dealer's key.
pub struct Committee {
    holders: Holders,
    root: TempDir,
    rpc: String,
    /// Serves the embedded chain to the processes.
    _server: Option<Server>,
    registered: NewCommittee,
    /// The committee on chain.
    pub id: CommitteeId,
    /// The public keys.
    pub key: AdhocKey,
    /// The market's connections to the holders.
    pub clients: Vec<HolderClient>,
    troubles: Vec<(usize, Trouble)>,
    evaluators: Vec<(PathBuf, Address)>,
    key_bytes: Vec<u8>,
    ceremony_seconds: f64,
}

/// An output that every evaluator arrived at.
pub struct Evaluation {
    /// The query.
    pub query: B256,
    /// SHA-256 of the output.
    pub output: B256,
    uploads: B256,
    /// Seconds of the last evaluator.
    pub seconds: f64,
}

/// What the evaluators did.
pub struct Evaluated {
    /// By query.
    pub evaluations: Vec<Evaluation>,
    runs: Vec<Value>,
}

fn disk(error: std::io::Error) -> CliError {
    failed("the working folder", error)
}

impl Dealt {
    /// The ceremony, identities of holders and evaluators, and the shares in the holders' key files.
    pub fn run(args: &DemoArgs, layout: &Layout, evaluators: usize) -> Result<Self, CliError> {
        let troubles = troubles(args)?;
        if let Some(path) = args.server_keys.as_ref().filter(|path| path.exists()) {
            return Err(CliError::new(
                Kind::Usage,
                "server_keys_exist",
                format!("{} is there already", path.display()),
                "Choose a new file with --server-keys.",
            ));
        }
        let beside = args.out.parent().filter(|p| !p.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new("."));
        fs::create_dir_all(beside).map_err(disk)?;
        let root = tempfile::Builder::new()
            .prefix(".salus-demo-")
            .tempdir_in(beside)
            .map_err(disk)?;
        let holders = Holders::init(root.path(), args.holders, args.threshold)?;
        let mut outsiders = Vec::new();
        for number in 1..=evaluators {
            let dir = holders.outsider(&format!("evaluator-{number}"))?;
            let own = client_keys(&dir, holders.passphrase())?;
            let signer = PrivateKeySigner::from_slice(own.signing.expose());
            let signer = signer.map_err(|e| failed("an evaluator", e))?;
            outsiders.push((dir, signer.address()));
        }

        eprintln!("{DEALER}");
        let start = Instant::now();
        let stage = Stage::begin("  dealer ceremony", 0);
        let ceremony = DealerCeremony::run(layout, &mut OsRng).map_err(|e| failed("keys", e))?;
        let server = ceremony.server.hash();
        let key_bytes = AdhocKey::encode(&ceremony.client, server);
        let key_bytes = key_bytes.map_err(|e| failed("the public keys", e))?;
        let key = AdhocKey::from_bytes(&key_bytes).map_err(|e| failed("the public keys", e))?;
        fs::write(root.path().join("adhoc-key.bin"), &key_bytes).map_err(disk)?;
        let bytes = write_server(&root.path().join("server-keys.bin"), &ceremony.server)?;
        let shape = holders
            .file()
            .shape()
            .map_err(|e| failed("the committee", e))?;
        let shares = split(ceremony.secret.bits(), shape, &mut OsRng);
        drop(ceremony);
        for (index, share) in shares
            .map_err(|e| failed("the shares", e))?
            .into_iter()
            .enumerate()
        {
            let mut own = client_keys(&holders.dir(index), holders.passphrase())?;
            own.ceremony = Some(share);
            keys::replace(&holders.dir(index), holders.passphrase(), &own)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        stage.end(&format!(
            "{} MB of server keys, {} MB for uploaders; shares for {} holders, any {} open",
            bytes / 1_000_000,
            key_bytes.len().div_ceil(1_000_000),
            args.holders,
            args.threshold
        ));
        Ok(Self {
            root,
            holders,
            troubles,
            evaluators: outsiders,
            key_bytes,
            key,
            seconds,
        })
    }

    /// Registers the committee and names it for the dataset, before the snapshot that it may answer for.
    pub async fn register(
        self,
        cast: &Cast,
        joined: &Dataset,
        codebook: &Codebook,
        rpc: Option<&str>,
    ) -> Result<Committee, CliError> {
        let stage = Stage::begin("  committee: register", 0);
        let chain = |e| chain_error(&e);
        let server = match (rpc, cast.chain.dev_chain()) {
            (None, Some(dev)) => Some(
                dev.serve(ServerConfig::default())
                    .await
                    .map_err(|e| failed("the chain's server", e))?,
            ),
            _ => None,
        };
        let rpc = match (&server, rpc) {
            (Some(server), _) => server.url(),
            (None, rpc) => rpc.unwrap_or_default().to_owned(),
        };
        let at = |name: &str| self.root.path().join(name);
        let deployment = serde_json::to_vec_pretty(joined.client.deployment())
            .map_err(|e| failed("the deployment", e))?;
        fs::write(at("deployment.json"), deployment).map_err(disk)?;
        fs::write(at("codebook.toml"), codebook.to_toml()).map_err(disk)?;
        let holders = &self.holders;
        let registered = committee_of(CommitteeKind::AdHoc, holders.file(), self.key.hash);
        let given = tokio::task::block_in_place(|| {
            let key = at("adhoc-key.bin");
            holders.acceptances(&at("deployment.json"), Some(&key))
        })?;
        let by_signer: BTreeMap<Address, [u8; 65]> = given
            .iter()
            .filter_map(|(signer, word)| {
                let signature = hex::decode(word).ok()?.try_into().ok()?;
                Some((signer.parse().ok()?, signature))
            })
            .collect();
        let acceptances: Vec<[u8; 65]> = by_signer.into_values().collect();
        let client = &joined.client;
        let id = client.register_committee(&cast.custodian, &registered, &acceptances);
        let id = id.await.map_err(chain)?.value;
        let bound = client.bind_committee(&cast.custodian, joined.dataset, id);
        bound.await.map_err(chain)?;
        let own = client_keys(&holders.market_dir(), holders.passphrase())?;
        let clients: Result<Vec<_>, _> = holders
            .file()
            .holders
            .iter()
            .map(|entry| HolderClient::new(&own.identity, entry, Limits::default()))
            .collect();
        stage.end(&format!("committee {} (ad-hoc, dealer ceremony)", id.0));
        Ok(Committee {
            clients: clients.map_err(|e| failed("the client", e))?,
            holders: self.holders,
            root: self.root,
            rpc,
            _server: server,
            registered,
            id,
            key: self.key,
            troubles: self.troubles,
            evaluators: self.evaluators,
            key_bytes: self.key_bytes,
            ceremony_seconds: self.seconds,
        })
    }
}

fn write_server(path: &Path, keys: &ServerKeys) -> Result<u64, CliError> {
    let file = File::create(path).map_err(disk)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    keys.write_to(&mut out)
        .map_err(|e| failed("server keys", e))?;
    out.flush().map_err(disk)?;
    Ok(fs::metadata(path).map_err(disk)?.len())
}

impl Committee {
    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The public folder: uploads.bin, blobs and evaluations.
    pub fn public(&self) -> PathBuf {
        self.at("public")
    }

    /// The folder of the blob store.
    pub fn blob_folder(&self) -> PathBuf {
        self.public().join(BLOBS)
    }

    /// The blob store.
    pub fn blobs(&self) -> Result<BlobStore, CliError> {
        BlobStore::local(&self.blob_folder()).map_err(|e| failed("the blob store", e))
    }

    /// Every evaluator evaluates everything; all must arrive at the same bytes. One that stopped is started again once
    /// and goes on from its checkpoint.
    pub fn evaluate(
        &self,
        questions: &[Question],
        stopped: impl Fn() -> bool,
    ) -> Result<Evaluated, CliError> {
        let mut arguments: Vec<(&str, PathBuf)> = vec![
            ("--deployment", self.at("deployment.json")),
            ("--codebook", self.at("codebook.toml")),
            ("--public", self.public()),
            ("--adhoc-key", self.at("adhoc-key.bin")),
            ("--server-keys", self.at("server-keys.bin")),
            ("--rpc", PathBuf::from(&self.rpc)),
        ];
        for (number, question) in questions.iter().enumerate() {
            let path = self.at(&format!("question-{number}.json"));
            let text = serde_json::to_vec(question).map_err(|e| failed("a question", e))?;
            fs::write(&path, text).map_err(disk)?;
            arguments.push(("--question", path));
        }
        let mut runs: Vec<Value> = Vec::new();
        for (number, (dir, _)) in self.evaluators.iter().enumerate() {
            eprintln!("evaluator {}, {} threads", number + 1, number + 1);
            let mut own = arguments.clone();
            own.push(("--threads", PathBuf::from((number + 1).to_string())));
            let run = || self.holders.evaluate(dir, &own);
            let said = match run()? {
                None if stopped() => return Err(super::super::ask::interrupted()),
                None => {
                    eprintln!("evaluator {} stopped; it is started again", number + 1);
                    run()?.ok_or_else(super::super::ask::interrupted)?
                }
                Some(said) => said,
            };
            runs.push(said);
        }
        let word = |value: &Value| value.as_str().and_then(|w| w.parse::<B256>().ok());
        let mut evaluations = Vec::new();
        for (number, question) in questions.iter().enumerate() {
            let of = |run: &Value| {
                let one = &run["evaluations"][number];
                let (output, uploads) = (word(&one["output"])?, word(&one["uploads"])?);
                let query = word(&one["query"])?;
                (query == question.query).then_some((output, uploads))
            };
            let all: Option<Vec<_>> = runs.iter().map(of).collect();
            let all = all.ok_or_else(|| failed("an evaluator", "it said nothing of a query"))?;
            if all.windows(2).any(|pair| pair[0] != pair[1]) {
                return Err(CliError::new(
                    Kind::Invalid,
                    "evaluators_differ",
                    format!("the evaluators differ on query {}", question.query),
                    "Nothing was opened. Find out which one ran another build or lied: salus audit --re-execute tells.",
                ));
            }
            let (output, uploads) = all[0];
            let last = runs
                .last()
                .map(|run| &run["evaluations"][number]["seconds"]);
            evaluations.push(Evaluation {
                query: question.query,
                output,
                uploads,
                seconds: last.and_then(Value::as_f64).unwrap_or_default(),
            });
        }
        Ok(Evaluated { evaluations, runs })
    }

    /// Starts the holders' services and waits until all answer.
    pub async fn start(&mut self) -> Result<(), CliError> {
        let mut arguments = vec![
            ("--deployment", self.at("deployment.json")),
            ("--codebook", self.at("codebook.toml")),
            ("--public", self.public()),
            ("--adhoc-key", self.at("adhoc-key.bin")),
        ];
        let needed = self.evaluators.len().to_string();
        arguments.push(("--evaluators-needed", PathBuf::from(needed)));
        for (_, address) in &self.evaluators {
            arguments.push(("--evaluator", PathBuf::from(address.to_string())));
        }
        let arguments: Vec<(&str, &Path)> =
            arguments.iter().map(|(n, p)| (*n, p.as_path())).collect();
        let liars = self.troubles.iter().filter(|(_, t)| *t == Trouble::Lie);
        let lying: Vec<usize> = liars.map(|(i, _)| *i).collect();
        self.holders.serve(&arguments, &self.rpc, &lying)?;
        let start = Instant::now();
        for client in &self.clients {
            while let Err(error) = client.status().await {
                if let Some((index, said)) = self.holders.ended() {
                    return Err(failed(&format!("holder {}", index + 1), said));
                }
                if start.elapsed() > START {
                    return Err(failed("the holders do not answer", error));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Lets the troubles of the command line happen, once.
    pub fn troubles(&mut self) -> Result<(), CliError> {
        for (index, trouble) in std::mem::take(&mut self.troubles) {
            self.holders.befall(index, trouble)?;
            eprintln!("holder {}: {}", index + 1, trouble.word());
        }
        Ok(())
    }

    /// Where the public parts are, for the bundle.
    pub async fn contents(&self, done: &[Evaluation]) -> Result<SealedBundle, CliError> {
        let key = self.blobs()?.put(Bytes::from(self.key_bytes.clone())).await;
        let entry = |one: &Evaluation| EvaluationEntry {
            query: one.query,
            keys: B256::from(self.key.hash),
            uploads: ContentId::from_digest(one.uploads.0),
            output: ContentId::from_digest(one.output.0),
            hash: one.output,
        };
        Ok(SealedBundle {
            committees: vec![CommitteeEntry {
                id: self.id.0,
                kind: CommitteeKind::AdHoc,
                key: key.map_err(|e| failed("a blob", e))?,
            }],
            evaluations: done.iter().map(entry).collect(),
            ..SealedBundle::default()
        })
    }

    /// Moves the server keys out of the demo's folder.
    pub fn keep_server_keys(&self, path: &Path) -> Result<(), CliError> {
        let from = self.at("server-keys.bin");
        let moved = fs::rename(&from, path).or_else(|_| fs::copy(&from, path).map(|_| ()));
        moved.map_err(|e| failed("the server keys", e))?;
        eprintln!("server keys: {}", path.display());
        Ok(())
    }

    /// What the path took, for the report.
    pub fn report(
        &self,
        evaluated: &Evaluated,
        intake: &Intake,
        layout: &Layout,
        estimated: f64,
    ) -> Value {
        json!({
            "committee": self.id.0,
            "origin": "dealer ceremony",
            "trusted": "the dealer to have forgotten the keys; one of the evaluators to have computed honestly",
            "holders": self.registered.members.len(),
            "threshold": self.registered.threshold,
            "evaluators": self.evaluators.iter().map(|(_, a)| a.to_string()).collect::<Vec<_>>(),
            "evaluator_runs": evaluated.runs,
            "slots": layout.slots(),
            "uploads": intake.uploads,
            "upload_bytes": intake.upload_bytes,
            "prove_seconds": intake.seconds,
            "ceremony_seconds": self.ceremony_seconds,
            "estimated_seconds": estimated,
        })
    }
}

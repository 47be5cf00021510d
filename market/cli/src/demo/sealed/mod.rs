//! The sealed path in the demo: a committee of processes, ciphertexts anyone can add up, and answers that no single party
//! could have opened.

mod ask;
pub mod holders;
mod intake;

pub use ask::{ask_sealed, committee_error};
use holders::{Trouble, troubles};

use super::ask::Outcome;
use super::cast::{Cast, chain_error};
use super::join::{Cohort, Dataset};
use crate::args::DemoArgs;
use crate::bundle::keys::{write_basis, write_keys};
use crate::bundle::sealed::{CommitteeEntry, LinkEntry, SealedBundle, SumEntry};
use crate::committee::{BLOBS, client_keys, new_committee, patient};
use crate::error::{CliError, Kind};
use crate::progress::Stage;
use crate::sealed::ciphertexts::{Kept, PublicUploads};
use bytes::Bytes;
use holders::Holders;
use salus_blobs::BlobStore;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::keys::VerifyingKey;
use salus_committee::ledger::Ciphertexts as _;
use salus_committee::service::Client as HolderClient;
use salus_contracts::client::{CommitteeId, CommitteeKind, NewCommittee};
use salus_contracts::devchain::{Server, ServerConfig};
use salus_contracts::primitives::{Address, B256, hex};
use salus_cubes::key::PublicKey;
use salus_schema::codebook::Codebook;
use salus_schema::cube::{Coverage, Proposal, propose};
use salus_schema::query::Query;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long holders may take to start.
const START: Duration = Duration::from_secs(60);

/// A committee at work.
pub struct Sealed {
    holders: Holders,
    /// Where everything of the sealed path lies while the demo runs; gone with it.
    root: TempDir,
    rpc: String,
    /// Serves the embedded chain to the holders.
    _server: Option<Server>,
    registered: NewCommittee,
    /// The committee on chain.
    pub id: CommitteeId,
    /// The joint public key.
    pub key: PublicKey,
    clients: Vec<HolderClient>,
    troubles: Vec<(usize, Trouble)>,
    /// Seconds to wait for a holder.
    patience: u64,
}

fn failed(what: &str, reason: impl std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Failed,
        "sealed_path_failed",
        format!("{what}: {reason}"),
        "Run the command again.",
    )
}

/// The codebook with cubes for these questions, unless it declares its own; and why a question has none.
pub fn with_cubes(
    codebook: Codebook,
    queries: &[Query],
    people: u64,
) -> Result<(Codebook, Vec<Option<String>>), CliError> {
    if !codebook.cubes().is_empty() {
        return Ok((codebook, vec![None; queries.len()]));
    }
    let Proposal {
        cubes, coverage, ..
    } = propose(queries, &codebook, people);
    let why = coverage
        .into_iter()
        .map(|c| match c {
            Coverage::Cube(_) => None,
            Coverage::NoPlan(e) => Some(e.to_string()),
            Coverage::TooWide(e) => Some(e.to_string()),
            Coverage::Refused(e) => Some(e.to_string()),
        })
        .collect();
    let codebook = codebook
        .with_cubes(cubes)
        .map_err(|e| failed("the cubes", e))?;
    Ok((codebook, why))
}

/// Whether every question that both paths answered has the same rows on both; None when there is none.
pub fn agree(outcomes: &[Outcome]) -> Option<bool> {
    let mut seen = None;
    for pair in outcomes.windows(2) {
        let [first, second] = pair else { continue };
        let same_question = first.bundle.body == second.bundle.body;
        if same_question && first.path != second.path {
            let same = first.bundle.answer == second.bundle.answer;
            seen = Some(seen.unwrap_or(true) && same);
        }
    }
    seen
}

/// A committee that is made and not yet registered.
pub struct Made {
    root: TempDir,
    holders: Holders,
    key: PublicKey,
    troubles: Vec<(usize, Trouble)>,
}

impl Sealed {
    /// Makes the committee: identities, then the key, each holder in a process of its own.
    pub fn prepare(args: &DemoArgs) -> Result<Made, CliError> {
        let troubles = troubles(args)?;
        let beside = args.out.parent().filter(|p| !p.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new("."));
        fs::create_dir_all(beside).map_err(|e| failed("the working folder", e))?;
        let root = tempfile::Builder::new()
            .prefix(".salus-demo-")
            .tempdir_in(beside)
            .map_err(|e| failed("the working folder", e))?;
        let mut holders = Holders::init(root.path(), args.holders, args.threshold)?;
        let key = PublicKey::from_bytes(&holders.keygen()?);
        let key = key.map_err(|e| failed("the public key", e))?;
        Ok(Made {
            root,
            holders,
            key,
            troubles,
        })
    }

    /// Registers the committee and names it for the dataset, before the snapshot that it may answer for.
    pub async fn register(
        made: Made,
        cast: &Cast,
        joined: &Dataset,
        codebook: &Codebook,
        rpc: Option<&str>,
        people: usize,
    ) -> Result<Self, CliError> {
        let Made {
            root,
            holders,
            key,
            troubles,
        } = made;
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
        let disk = |e: std::io::Error| failed("the working folder", e);
        let deployment = serde_json::to_vec_pretty(joined.client.deployment())
            .map_err(|e| failed("the deployment", e))?;
        fs::write(root.path().join("deployment.json"), deployment).map_err(disk)?;
        fs::write(root.path().join("codebook.toml"), codebook.to_toml()).map_err(disk)?;

        let registered = new_committee(holders.file(), key.hash());
        let given = tokio::task::block_in_place(|| {
            holders.acceptances(&root.path().join("deployment.json"), None)
        })?;
        let by_signer: BTreeMap<Address, [u8; 65]> = given
            .iter()
            .filter_map(|(signer, word)| {
                let signature = hex::decode(word).ok()?.try_into().ok()?;
                Some((signer.parse().ok()?, signature))
            })
            .collect();
        let acceptances: Vec<[u8; 65]> = by_signer.into_values().collect();
        let id = joined
            .client
            .register_committee(&cast.custodian, &registered, &acceptances)
            .await
            .map_err(chain)?
            .value;
        joined
            .client
            .bind_committee(&cast.custodian, joined.dataset, id)
            .await
            .map_err(chain)?;

        // The first request about a snapshot waits until a holder has read all its members.
        let patience = 10 + people as u64 / 250;
        let own = client_keys(&holders.market_dir(), holders.passphrase())?;
        let clients: Result<Vec<_>, _> = holders
            .file()
            .holders
            .iter()
            .map(|entry| HolderClient::new(&own.identity, entry, patient(patience)))
            .collect();
        stage.end(&format!("committee {}", id.0));
        Ok(Self {
            clients: clients.map_err(|e| failed("the client", e))?,
            holders,
            root,
            rpc,
            _server: server,
            registered,
            id,
            key,
            troubles,
            patience,
        })
    }

    /// The public folder: uploads.bin, blobs, keys and bases.
    pub fn public(&self) -> PathBuf {
        self.root.path().join("public")
    }

    /// The holders' inbox: attestations and checks.
    fn inbox(&self) -> PathBuf {
        self.root.path().join("inbox")
    }

    /// The folder of the blob store.
    pub fn blob_folder(&self) -> PathBuf {
        self.public().join(BLOBS)
    }

    /// The blob store.
    pub fn blobs(&self) -> Result<BlobStore, CliError> {
        BlobStore::local(&self.blob_folder()).map_err(|e| failed("the blob store", e))
    }

    /// The demo's own view of the ciphertexts, as a holder has one.
    fn view(&self, joined: &Dataset, codebook: &Codebook) -> Result<PublicUploads, CliError> {
        Ok(PublicUploads {
            client: joined.client.clone(),
            committee: self.id,
            runtime: tokio::runtime::Handle::current(),
            codebook: Arc::new(codebook.clone()),
            list: self.public(),
            blobs: self.blobs()?,
            sums: self.root.path().join("sums"),
            checks: None,
            kept: Kept::default(),
        })
    }

    /// Starts the holders' services and waits until all answer.
    async fn start(&mut self) -> Result<(), CliError> {
        let root = self.root.path().to_owned();
        let (public, inbox) = (self.public(), self.inbox());
        let arguments = [
            ("--deployment", root.join("deployment.json")),
            ("--codebook", root.join("codebook.toml")),
            ("--public", public),
            ("--inbox", inbox),
            ("--patience", PathBuf::from(self.patience.to_string())),
        ];
        let arguments: Vec<(&str, &Path)> =
            arguments.iter().map(|(n, p)| (*n, p.as_path())).collect();
        let lying: Vec<usize> = self
            .troubles
            .iter()
            .filter(|(_, t)| *t == Trouble::Lie)
            .map(|(i, _)| *i)
            .collect();
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

    /// Everybody's uploads, their checks and the custodian's link; then the committee is ready to answer.
    #[allow(clippy::too_many_arguments)]
    pub async fn take_in(
        &mut self,
        cast: &Cast,
        joined: &Dataset,
        codebook: &Codebook,
        cohort: &Cohort,
        keys: &[VerifyingKey],
        basis: &CommitmentKey,
        codes: &(dyn Fn((u32, u32)) -> Vec<u8> + Sync),
        interrupt: &crate::progress::Interrupt,
    ) -> Result<intake::Intake, CliError> {
        let public = self.public();
        fs::create_dir_all(&public)
            .and_then(|()| write_keys(&public, keys))
            .and_then(|()| write_basis(&public, &basis.slots))
            .map_err(|e| failed("the public folder", e))?;
        intake::take_in(
            self, cast, joined, codebook, cohort, basis, codes, interrupt,
        )
        .await
    }

    /// Files the sums that were opened and says where the public parts of the sealed path are.
    pub async fn contents(
        &self,
        joined: &Dataset,
        codebook: &Codebook,
        cohort: &Cohort,
        intake: &intake::Intake,
    ) -> Result<SealedBundle, CliError> {
        let blobs = self.blobs()?;
        let put = async |bytes: Vec<u8>| {
            let stored = blobs.put(Bytes::from(bytes)).await;
            stored.map_err(|e| failed("a blob", e))
        };
        let committee = self.id.0;
        let mut contents = SealedBundle {
            committees: vec![CommitteeEntry {
                id: committee,
                kind: CommitteeKind::Cubes,
                key: put(self.key.to_bytes()).await?,
            }],
            ..SealedBundle::default()
        };
        let view = self.view(joined, codebook)?;
        let dataset = u64::from(joined.dataset.0);
        let snapshot = cohort.snapshot.0;
        for cube in codebook.cubes() {
            let id = cube.id();
            let sum =
                tokio::task::block_in_place(|| view.cube_sum(dataset, u64::from(snapshot), &id));
            let sum = sum.map_err(|e| failed("a sum", e))?;
            contents.sums.push(SumEntry {
                committee,
                snapshot,
                cube: B256::from(id),
                sum: put(sum.to_bytes()).await?,
            });
        }
        for link in &intake.links {
            contents.links.push(LinkEntry {
                committee,
                snapshot,
                cube: B256::from(link.cube),
                statement: link.statement,
                proof: link.proof,
                masks: link.masks.clone(),
                coin_seeds: link.coins.iter().copied().map(B256::from).collect(),
                signatures: Vec::new(),
            });
        }
        Ok(contents)
    }

    /// What intake cost, for the report.
    pub fn report(&self, intake: &intake::Intake, codebook: &Codebook) -> Value {
        json!({
            "committee": self.id.0,
            "holders": self.registered.members.len(),
            "threshold": self.registered.threshold,
            "cubes": codebook.cubes().iter().map(|c| json!({
                "name": c.name(), "cells": c.cells(), "modulus": c.modulus().word(),
            })).collect::<Vec<_>>(),
            "uploads": intake.uploads,
            "upload_bytes": intake.upload_bytes,
            "seal_seconds_per_upload": intake.seal_seconds,
            "relations_opened": intake.relations,
            "subset_sums_opened": intake.elements,
            "check_seconds": intake.check_seconds,
            "links": intake.links.len(),
            "link_seconds": intake.link_seconds,
        })
    }

    /// Lets the troubles of the command line happen, once.
    pub fn troubles(&mut self) -> Result<(), CliError> {
        for (index, trouble) in std::mem::take(&mut self.troubles) {
            self.holders.befall(index, trouble)?;
            eprintln!("holder {}: {}", index + 1, trouble.word());
        }
        Ok(())
    }
}

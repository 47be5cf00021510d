//! One holder's service.

use super::accept::{no_key, of_holder};
use super::keygen::{listen, runtime};
use super::keys;
use super::liar::Liar;
use crate::adhoc::approval::{PublicEvaluations, Trusted};
use crate::adhoc::evaluator::layout;
use crate::adhoc::key;
use crate::args::ServeArgs;
use crate::demo::cast::chain_error;
use crate::error::{CliError, Kind};
use crate::home;
use crate::sealed::checks::CheckFolder;
use crate::sealed::ciphertexts::{Kept, PublicUploads};
use crate::sealed::ledger::ChainLedger;
use crate::sealed::signer::AnswerSigner;
use crate::source::read_codebook;
use salus_blobs::BlobStore;
use salus_committee::config::CommitteeFile;
use salus_committee::ledger::Ciphertexts;
use salus_committee::opening::{Holder, Surroundings};
use salus_committee::service::{ServeError, Service};
use salus_committee::{HolderConfig, Limits};
use salus_contracts::client::{Chain, Client, Endpoint};
use salus_contracts::sealed::committee_id;
use salus_schema::codebook::Codebook;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// The folder of blobs in the public folder.
pub const BLOBS: &str = "blobs";

/// `salus committee serve`.
pub fn run(args: &ServeArgs, _json: bool) -> Result<(), CliError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    if args.insecure_lie && home::production() {
        return Err(CliError::new(
            Kind::Refused,
            "lie_in_production",
            "--insecure-lie makes this holder give wrong values, which production mode refuses",
            "Leave it out.",
        ));
    }
    let own = keys::load(&args.key)?;
    let file = keys::committee(&args.committee)?;
    let index = keys::index(&own, &file)?;
    let deployment = keys::deployment(&args.deployment)?;
    let codebook = Arc::new(read_codebook(&args.codebook)?);
    let committee = of_holder(&own, &file, args.adhoc_key.as_deref())?;
    let (id, kind) = (committee_id(&committee), committee.kind);
    let listen = match args.listen {
        Some(listen) => listen,
        None => listen(file.holder(index).ok_or_else(no_key)?)?,
    };
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let chain = |e| chain_error(&e);
        let endpoint: Endpoint = args.rpc.parse().map_err(chain)?;
        let node = Chain::connect(endpoint).await.map_err(chain)?;
        let client = Client::new(node, deployment.clone()).map_err(chain)?;
        client.committee(id).await.map_err(|e| {
            CliError::new(
                Kind::Refused,
                "committee_not_registered",
                format!("committee {} is not on this chain: {e}", id.0),
                "Register it with every holder's `salus committee accept`, then start again.",
            )
        })?;
        let signer =
            AnswerSigner::new(own.signing.expose(), deployment.chain_id, deployment.market);
        let signer = signer.map_err(|e| cannot("signer_failed", e))?;
        let blobs =
            BlobStore::local(&args.public.join(BLOBS)).map_err(|e| cannot("blobs_failed", e))?;
        let ciphertexts: Arc<dyn Ciphertexts> = match &args.adhoc_key {
            Some(path) => Arc::new(evaluations(
                args,
                &file,
                (client.clone(), handle.clone(), blobs),
                &codebook,
                &key::read(path)?,
            )?),
            None => Arc::new(PublicUploads {
                client: client.clone(),
                committee: id,
                runtime: handle.clone(),
                codebook: codebook.clone(),
                list: args.public.clone(),
                blobs,
                sums: args.key.dir.join("sums"),
                checks: args.inbox.clone().map(CheckFolder),
                kept: Kept::default(),
            }),
        };
        let config = HolderConfig {
            committee: file,
            committee_id: id.0.0,
            listen,
            journal: args.key.dir.join("journal"),
            limits: patient(args.patience),
        };
        let ledger = ChainLedger::new(client, handle, kind, codebook);
        let surroundings = Surroundings {
            ledger: Arc::new(ledger),
            ciphertexts,
            signer: Arc::new(signer),
        };
        let lies = args.insecure_lie;
        let wrap = move |honest: Arc<dyn Holder>| -> Arc<dyn Holder> {
            if lies { Arc::new(Liar(honest)) } else { honest }
        };
        let bound = Service::bind_as(config, own, surroundings, wrap).await;
        let service = bound.map_err(|e| failed(&e))?;
        tracing::info!(holder = index.0, committee = %id.0, address = %listen, "serving");
        service.run(interrupted()).await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// The holder's view of ad-hoc evaluations.
fn evaluations(
    args: &ServeArgs,
    file: &CommitteeFile,
    (client, handle, blobs): (Client, Handle, BlobStore),
    codebook: &Codebook,
    key: &[u8],
) -> Result<PublicEvaluations, CliError> {
    let trusted = Trusted {
        evaluators: args.evaluator.iter().copied().collect(),
        needed: usize::from(args.evaluators_needed.unwrap_or(file.threshold)).max(1),
    };
    if trusted.evaluators.len() < trusted.needed {
        return Err(CliError::new(
            Kind::Usage,
            "too_few_evaluators",
            format!(
                "{} evaluators are named and {} must vouch: nothing would ever be opened",
                trusted.evaluators.len(),
                trusted.needed
            ),
            "Name more with --evaluator, or give --evaluators-needed.",
        ));
    }
    let folder = (args.public.clone(), blobs);
    PublicEvaluations::new(client, handle, layout(codebook)?, folder, key, trusted).ok_or_else(
        || {
            cannot(
                "adhoc_key_invalid",
                "the ad-hoc key file is of another kind",
            )
        },
    )
}

/// The usual limits, with this many seconds for another holder's reply.
pub fn patient(seconds: u64) -> Limits {
    Limits {
        peer: Duration::from_secs(seconds.clamp(1, 3600)),
        ..Limits::default()
    }
}

/// Ctrl-C, or the signal with which services are stopped.
async fn interrupted() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

fn cannot(code: &str, reason: impl std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Failed,
        code,
        reason,
        "Check the folders that the options name.",
    )
}

fn failed(error: &ServeError) -> CliError {
    CliError::new(
        Kind::Failed,
        "serve_failed",
        error,
        "Check the committee file, the keys and the address.",
    )
}

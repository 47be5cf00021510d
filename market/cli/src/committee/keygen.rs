//! One holder's part in making the committee's key.

use super::keys;
use crate::args::KeygenArgs;
use crate::error::{CliError, Kind};
use crate::output;
use rand::rngs::OsRng;
use salus_committee::Limits;
use salus_committee::config::HolderEntry;
use salus_committee::keys::CubeKeys;
use salus_committee::service::{KeygenConfig, KeygenError, generate_keys};
use salus_contracts::primitives::hex;
use serde_json::json;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Where a holder listens: at the address of its entry.
pub fn listen(entry: &HolderEntry) -> Result<SocketAddr, CliError> {
    let found = entry.address.to_socket_addrs();
    let first = found.ok().and_then(|mut all| all.next());
    first.ok_or_else(|| {
        CliError::new(
            Kind::Usage,
            "address_unknown",
            format!("{} is no address of this machine", entry.address),
            "Give --listen, or correct the holder's entry.",
        )
    })
}

/// A runtime for one command.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CliError::new(
                Kind::Failed,
                "runtime_failed",
                e,
                "Check the limits of this machine (ulimit -u).",
            )
        })
}

/// `salus committee keygen`.
pub fn run(args: &KeygenArgs, as_json: bool) -> Result<(), CliError> {
    let mut own = keys::load(&args.key)?;
    if own.cube.is_some() {
        return Err(CliError::new(
            Kind::Refused,
            "key_exists",
            "this holder already has a part of a cube key",
            "A new key needs new uploads from everybody: make a new identity if that is what you want.",
        ));
    }
    let committee = keys::committee(&args.committee)?;
    let index = keys::index(&own, &committee)?;
    let entry = committee.holder(index).ok_or_else(super::accept::no_key)?;
    let config = KeygenConfig {
        listen: listen(entry)?,
        committee: committee.clone(),
        nonce: args.session.as_bytes().to_vec(),
        round: Duration::from_secs(args.patience),
        limits: Limits::default(),
    };
    let made = runtime()?.block_on(generate_keys(config, &own.identity, &mut OsRng));
    let made = CubeKeys::from(made.map_err(|e| failed(&e))?);
    let public = made.public().to_bytes();
    let hash = hex::encode_prefixed(made.public().hash());
    own.cube = Some(made);
    keys::store(&args.key, &own)?;
    std::fs::write(&args.public_key, public).map_err(|e| {
        CliError::new(
            Kind::Failed,
            "public_key_not_written",
            format!(
                "{}: {e}; the holder's own key is stored",
                args.public_key.display()
            ),
            "Take the public key from another holder: it is the same.",
        )
    })?;
    if as_json {
        return output::json(&json!({
            "holder": index.0,
            "public_key": args.public_key.display().to_string(),
            "key_hash": hash,
        }));
    }
    output::text(&format!("joint public key {hash}\n"))
}

fn failed(error: &KeygenError) -> CliError {
    match error {
        KeygenError::Abort(abort) => CliError::new(
            Kind::Invalid,
            "keygen_aborted",
            abort,
            "Settle it with the holder that is named, then start again with a new --session.",
        ),
        KeygenError::Serve(error) => CliError::new(
            Kind::Failed,
            "keygen_failed",
            error,
            "Check the committee file and the addresses, then start again with a new --session.",
        ),
    }
}

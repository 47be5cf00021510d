//! A holder's consent to being registered as part of a committee.

use super::keys;
use crate::args::AcceptArgs;
use crate::error::{CliError, Kind};
use crate::output;
use salus_committee::config::CommitteeFile;
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{CommitteeKind, NewCommittee};
use salus_contracts::primitives::{Address, B256, hex};
use salus_contracts::sealed::{committee_acceptance_digest, committee_id, sign};
use serde_json::json;

/// The committee as the chain registers it: its members ascend by address.
pub fn new_committee(file: &CommitteeFile, key_hash: [u8; 32]) -> NewCommittee {
    let mut members: Vec<Address> = file
        .holders
        .iter()
        .map(|h| Address::from(h.signer.0))
        .collect();
    members.sort_unstable();
    NewCommittee {
        kind: CommitteeKind::Cubes,
        threshold: file.threshold,
        key_hash: B256::from(key_hash),
        members,
    }
}

/// `salus committee accept`.
pub fn run(args: &AcceptArgs, as_json: bool) -> Result<(), CliError> {
    let own = keys::load(&args.key)?;
    let file = keys::committee(&args.committee)?;
    keys::index(&own, &file)?;
    let deployment = keys::deployment(&args.deployment)?;
    let Some(contract) = deployment.committee else {
        return Err(CliError::new(
            Kind::Invalid,
            "no_committee_contract",
            "this deployment has no committee contract",
            "Deploy the contracts of this version.",
        ));
    };
    let cube = own.cube.as_ref().ok_or_else(no_key)?;
    let committee = new_committee(&file, cube.public().hash());
    let digest = committee_acceptance_digest(deployment.chain_id, contract, &committee);
    let signed = PrivateKeySigner::from_slice(own.signing.expose())
        .ok()
        .and_then(|key| Some((key.address(), sign(&key, digest).ok()?)));
    let Some((signer, signature)) = signed else {
        return Err(CliError::new(
            Kind::Failed,
            "not_signed",
            "the signing key failed",
            "Restore the key file from its backup.",
        ));
    };
    let (id, signature) = (committee_id(&committee), hex::encode_prefixed(signature));
    if as_json {
        return output::json(&json!({
            "committee": id.0,
            "signer": signer,
            "acceptance": signature,
        }));
    }
    output::text(&format!("committee {}\n{signer} {signature}\n", id.0))
}

/// What a holder without a cube key is told.
pub fn no_key() -> CliError {
    CliError::new(
        Kind::NotFound,
        "no_cube_key",
        "this holder has no part of a cube key yet",
        "Run `salus committee keygen` together with the other holders.",
    )
}

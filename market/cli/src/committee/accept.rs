//! A holder's consent to being registered as part of a committee.

use super::keys;
use crate::adhoc::key::{self, AdhocKey};
use crate::args::AcceptArgs;
use crate::error::{CliError, Kind};
use crate::output;
use salus_committee::config::CommitteeFile;
use salus_committee::keys::HolderKeys;
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{CommitteeKind, NewCommittee};
use salus_contracts::primitives::{Address, B256, hex};
use salus_contracts::sealed::{committee_acceptance_digest, committee_id, sign};
use serde_json::json;
use std::path::Path;

/// The committee of a cube key as the chain registers it.
pub fn new_committee(file: &CommitteeFile, key_hash: [u8; 32]) -> NewCommittee {
    committee_of(CommitteeKind::Cubes, file, key_hash)
}

/// The committee as the chain registers it: its members ascend by address.
pub fn committee_of(kind: CommitteeKind, file: &CommitteeFile, key_hash: [u8; 32]) -> NewCommittee {
    let mut members: Vec<Address> = file
        .holders
        .iter()
        .map(|h| Address::from(h.signer.0))
        .collect();
    members.sort_unstable();
    NewCommittee {
        kind,
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
    let committee = of_holder(&own, &file, args.adhoc_key.as_deref())?;
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

/// The committee that a holder is part of: that of a dealer's key when there is its file, else that of the cube key.
pub fn of_holder(
    own: &HolderKeys,
    file: &CommitteeFile,
    adhoc_key: Option<&Path>,
) -> Result<NewCommittee, CliError> {
    let Some(path) = adhoc_key else {
        let cube = own.cube.as_ref().ok_or_else(no_key)?;
        return Ok(new_committee(file, cube.public().hash()));
    };
    if own.ceremony.is_none() {
        return Err(CliError::new(
            Kind::NotFound,
            "no_dealer_share",
            "this holder has no share of a dealer's key",
            "Have the dealer of the ceremony hand it over.",
        ));
    }
    let bytes = key::read(path)?;
    let (hash, _) = AdhocKey::hashes(&bytes).ok_or_else(|| {
        CliError::new(
            Kind::Invalid,
            "adhoc_key_invalid",
            format!(
                "{} is no public key file of a dealer ceremony",
                path.display()
            ),
            "Give the file that the dealer published.",
        )
    })?;
    Ok(committee_of(CommitteeKind::AdHoc, file, hash))
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

//! Identities of holders and clients.

use super::keys;
use crate::args::{ClientInitArgs, HolderInitArgs, KeyArgs, Role};
use crate::error::{CliError, Kind};
use crate::output;
use rand::rngs::OsRng;
use salus_committee::config::{ClientEntry, ClientRole, HolderEntry};
use salus_committee::keys::HolderKeys;
use salus_committee::ledger::Address as HolderAddress;
use salus_contracts::PrivateKeySigner;
use serde::{Deserialize, Serialize};

/// What `init` and `client` print, and `assemble` reads.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderEntry>,
    /// A client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientEntry>,
}

fn generate(args: &KeyArgs) -> Result<HolderKeys, CliError> {
    let path = keys::path(args);
    if path.exists() {
        return Err(CliError::new(
            Kind::Usage,
            "key_file_exists",
            format!("{} is there already", path.display()),
            "Keys are never replaced silently: move the file away if it is really not needed.",
        ));
    }
    let made = HolderKeys::generate(&mut OsRng)
        .map_err(|e| CliError::new(Kind::Failed, "identity_failed", e, "Run the command again."))?;
    keys::store(args, &made)?;
    Ok(made)
}

fn show(entry: &Entry, json: bool) -> Result<(), CliError> {
    let failed =
        |e: &dyn std::fmt::Display| CliError::new(Kind::Failed, "entry_failed", e, "Report this.");
    if json {
        let value = serde_json::to_value(entry).map_err(|e| failed(&e))?;
        return output::json(&value);
    }
    output::text(&toml::to_string(entry).map_err(|e| failed(&e))?)
}

/// `salus committee init`.
pub fn holder(args: &HolderInitArgs, json: bool) -> Result<(), CliError> {
    let keys = generate(&args.key)?;
    let signer = PrivateKeySigner::from_slice(keys.signing.expose())
        .map_err(|e| CliError::new(Kind::Failed, "identity_failed", e, "Run the command again."))?;
    let holder = HolderEntry {
        name: args.name.clone(),
        address: args.address.clone(),
        certificate: keys.identity.fingerprint(),
        signer: HolderAddress(signer.address().into_array()),
    };
    let entry = Entry {
        holder: Some(holder),
        client: None,
    };
    show(&entry, json)
}

/// `salus committee client`.
pub fn client(args: &ClientInitArgs, json: bool) -> Result<(), CliError> {
    let keys = generate(&args.key)?;
    let client = ClientEntry {
        name: args.name.clone(),
        certificate: keys.identity.fingerprint(),
        role: match args.role {
            Role::Client => ClientRole::Client,
            Role::Operator => ClientRole::Operator,
        },
    };
    let entry = Entry {
        holder: None,
        client: Some(client),
    };
    show(&entry, json)
}

//! The key file of a holder or client, and the committee file.

use crate::args::KeyArgs;
use crate::error::{CliError, Kind};
use rand::rngs::OsRng;
use salus_committee::config::CommitteeFile;
use salus_committee::key_file::{self, KdfParameters, KeyFileError};
use salus_committee::keys::HolderKeys;
use salus_committee::shape::HolderIndex;
use salus_contracts::deploy::Deployment;
use secrecy::SecretString;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the key file in a party's folder.
const KEY_FILE: &str = "keys.slkf";
/// Fewest characters of a passphrase.
const SHORTEST: usize = 12;

/// The key file of a party.
pub fn path(args: &KeyArgs) -> PathBuf {
    args.dir.join(KEY_FILE)
}

/// A file that cannot be read, or says something else than it should.
pub fn unreadable(path: &Path, reason: impl std::fmt::Display, next: &str) -> CliError {
    CliError::new(
        Kind::NotFound,
        "file_unreadable",
        format!("{}: {reason}", path.display()),
        next,
    )
}

fn passphrase(args: &KeyArgs) -> Result<SecretString, CliError> {
    let text = match &args.passphrase_file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            let next = "Give a readable file with one line, the passphrase.";
            read.map_err(|e| unreadable(path, e, next))?
        }
        None => std::env::var("SALUS_PASSPHRASE").unwrap_or_default(),
    };
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() < SHORTEST {
        return Err(CliError::new(
            Kind::Usage,
            "passphrase_missing",
            format!(
                "the passphrase of the key file is missing or shorter than {SHORTEST} characters"
            ),
            "Set SALUS_PASSPHRASE, or give --passphrase-file.",
        ));
    }
    Ok(SecretString::from(line.to_owned()))
}

fn failed(error: &KeyFileError) -> CliError {
    let (kind, code, next) = match error {
        KeyFileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => (
            Kind::NotFound,
            "key_file_missing",
            "Run `salus committee init` first, or give the right --dir.",
        ),
        KeyFileError::Io { .. } => (
            Kind::Failed,
            "key_file_unreadable",
            "Check the folder that --dir names.",
        ),
        KeyFileError::Passphrase => (
            Kind::NotAllowed,
            "passphrase_wrong",
            "Give the passphrase that the key file was made with.",
        ),
        KeyFileError::Mode { .. } => (
            Kind::NotAllowed,
            "key_file_open_to_others",
            "Find out who could read it; if nobody did, chmod 600.",
        ),
        _ => (
            Kind::Invalid,
            "key_file_malformed",
            "Restore the key file from its backup.",
        ),
    };
    CliError::new(kind, code, error, next)
}

/// The party's keys.
pub fn load(args: &KeyArgs) -> Result<HolderKeys, CliError> {
    key_file::read(&path(args), &passphrase(args)?).map_err(|e| failed(&e))
}

/// The keys of a client in its folder.
pub fn client_keys(dir: &Path, passphrase: &str) -> Result<HolderKeys, CliError> {
    let passphrase = SecretString::from(passphrase.to_owned());
    key_file::read(&dir.join(KEY_FILE), &passphrase).map_err(|e| failed(&e))
}

/// Replaces the keys of a party in its folder: the dealer of a demo hands out its shares.
pub fn replace(dir: &Path, passphrase: &str, keys: &HolderKeys) -> Result<(), CliError> {
    let passphrase = SecretString::from(passphrase.to_owned());
    let parameters = KdfParameters::default();
    key_file::write(
        &dir.join(KEY_FILE),
        keys,
        &passphrase,
        parameters,
        &mut OsRng,
    )
    .map_err(|e| failed(&e))
}

/// Writes the party's keys, replacing those that are there.
pub fn store(args: &KeyArgs, keys: &HolderKeys) -> Result<(), CliError> {
    let passphrase = passphrase(args)?;
    std::fs::create_dir_all(&args.dir).map_err(|e| {
        CliError::new(
            Kind::Failed,
            "folder_not_made",
            format!("{}: {e}", args.dir.display()),
            "Choose a folder that can be written.",
        )
    })?;
    key_file::write(
        &path(args),
        keys,
        &passphrase,
        KdfParameters::default(),
        &mut OsRng,
    )
    .map_err(|e| failed(&e))
}

/// The committee file.
pub fn committee(path: &Path) -> Result<CommitteeFile, CliError> {
    let next = "Give the file that `salus committee assemble` wrote.";
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, e, next))?;
    CommitteeFile::from_toml(&text).map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "committee_file_malformed",
            format!("{}: {e}", path.display()),
            next,
        )
    })
}

/// The number of the holder with these keys.
pub fn index(keys: &HolderKeys, committee: &CommitteeFile) -> Result<HolderIndex, CliError> {
    let own = keys.identity.fingerprint();
    committee.holder_of(&own).ok_or_else(|| {
        CliError::new(
            Kind::NotAllowed,
            "not_a_holder",
            format!("the committee file names no holder with certificate {own}"),
            "Assemble the committee file with this holder's entry.",
        )
    })
}

/// The addresses of the contracts.
pub fn deployment(path: &Path) -> Result<Deployment, CliError> {
    let next = "Give the JSON file with the addresses of the contracts.";
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, e, next))?;
    serde_json::from_str(&text).map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "deployment_malformed",
            format!("{}: {e}", path.display()),
            next,
        )
    })
}

//! The committee file from the entries of holders and clients.

use super::init::Entry;
use super::keys::unreadable;
use crate::args::AssembleArgs;
use crate::error::{CliError, Kind};
use crate::output;
use salus_committee::config::{COMMITTEE_FILE_VERSION, CommitteeFile};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;

/// `salus committee assemble`.
pub fn run(args: &AssembleArgs, as_json: bool) -> Result<(), CliError> {
    let mut file = CommitteeFile {
        version: COMMITTEE_FILE_VERSION,
        epoch: 0,
        threshold: args.threshold,
        holders: Vec::new(),
        clients: Vec::new(),
    };
    for path in &args.entries {
        let next = "Give files with what `salus committee init` or `client` printed.";
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, e, next))?;
        let entry: Result<Entry, String> = if text.trim_start().starts_with('{') {
            serde_json::from_str(&text).map_err(|e| e.to_string())
        } else {
            toml::from_str(&text).map_err(|e| e.to_string())
        };
        let entry = entry.map_err(|e| {
            CliError::new(
                Kind::Invalid,
                "entry_malformed",
                format!("{}: {e}", path.display()),
                next,
            )
        })?;
        file.holders.extend(entry.holder);
        file.clients.extend(entry.client);
    }
    let text = file.to_toml().map_err(|e| {
        CliError::new(
            Kind::Invalid,
            "committee_malformed",
            e,
            "Check the entries and the threshold: 1 < threshold <= holders, every name once.",
        )
    })?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.out)
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()));
    written.map_err(|e| {
        CliError::new(
            Kind::Usage,
            "committee_not_written",
            format!("{}: {e}", args.out.display()),
            "Choose a new file with --out.",
        )
    })?;
    let (holders, clients) = (file.holders.len(), file.clients.len());
    let attributes = file.shape().is_ok_and(|s| s.attributes_lies());
    if as_json {
        return output::json(&json!({
            "committee": args.out.display().to_string(),
            "holders": holders,
            "threshold": args.threshold,
            "clients": clients,
            "names_liars": attributes,
        }));
    }
    let liars = if attributes {
        "a holder that lies is named"
    } else {
        "a lie is noticed but cannot always be pinned on a holder (that takes 3 t - 2 holders)"
    };
    output::text(&format!(
        "{}: any {} of {holders} holders open; {liars}; {clients} clients\n",
        args.out.display(),
        args.threshold
    ))
}

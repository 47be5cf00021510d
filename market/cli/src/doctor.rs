//! `salus doctor`.

use crate::error::CliError;

/// Checks this machine.
pub fn run(_json: bool) -> Result<(), CliError> {
    unreachable!()
}

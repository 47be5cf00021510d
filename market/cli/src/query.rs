//! `salus query`.

use crate::args::{DryRunArgs, QueryArgs};
use crate::error::CliError;

/// `salus query lint`.
pub fn lint(_args: &QueryArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}
/// `salus query plan`.
pub fn plan(_args: &QueryArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}
/// `salus query dry-run`.
pub fn dry_run(_args: &DryRunArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}

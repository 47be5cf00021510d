//! Replays a bundle from its transactions alone.

use crate::args::AuditArgs;
use crate::error::CliError;

/// `salus audit DIR`.
pub fn command(_args: &AuditArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}

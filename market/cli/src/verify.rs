//! `salus verify`.

use crate::args::BundleArgs;
use crate::error::CliError;

/// `salus verify bundle DIR`.
pub fn bundle(_args: &BundleArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}

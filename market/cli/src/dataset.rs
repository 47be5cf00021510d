//! `salus dataset`.

use crate::args::ValidateArgs;
use crate::error::CliError;

/// `salus dataset validate FILE`.
pub fn validate(_args: &ValidateArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}

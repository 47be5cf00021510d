//! `salus demo`: the eight steps in one run.

use crate::args::DemoArgs;
use crate::error::CliError;

/// Runs the demo.
pub fn run(_args: &DemoArgs, _json: bool) -> Result<(), CliError> {
    unreachable!()
}

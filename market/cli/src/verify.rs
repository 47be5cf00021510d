//! `salus verify`.

use crate::args::BundleArgs;
use crate::audit::{self, Depth};
use crate::error::CliError;
use crate::progress::Stage;

/// `salus verify bundle DIR`.
pub fn bundle(args: &BundleArgs, json: bool) -> Result<(), CliError> {
    let stage = Stage::begin("verify bundle", 0);
    let mut report = audit::audit(&args.dir, Depth::Answers, |_, done, _| stage.at(done))?;
    report.note("proofs of knowledge and members' signatures were not checked (salus audit does)");
    stage.end(report.verdict());
    audit::show("verify", &report, json)
}

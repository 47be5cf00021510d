//! `salus committee`: one key holder as a process, from its key file to its service.

mod accept;
mod assemble;
mod init;
mod keygen;
pub mod keys;
mod liar;
mod serve;
mod status;

pub use accept::{committee_of, new_committee};
pub use keygen::runtime;
pub use keys::client_keys;
pub use serve::{BLOBS, patient};

use crate::adhoc::evaluator;
use crate::args::CommitteeCommand;
use crate::error::CliError;

/// Runs a subcommand.
pub fn run(command: &CommitteeCommand, json: bool) -> Result<(), CliError> {
    match command {
        CommitteeCommand::Init(args) => init::holder(args, json),
        CommitteeCommand::Client(args) => init::client(args, json),
        CommitteeCommand::Assemble(args) => assemble::run(args, json),
        CommitteeCommand::Keygen(args) => keygen::run(args, json),
        CommitteeCommand::Accept(args) => accept::run(args, json),
        CommitteeCommand::Serve(args) => serve::run(args, json),
        CommitteeCommand::Evaluate(args) => evaluator::run(args, json),
        CommitteeCommand::Status(args) => status::run(args, json),
    }
}

//! `salus`: every role as a subcommand. stdout is data, stderr is progress.

mod adhoc;
mod args;
mod audit;
mod bundle;
mod committee;
mod dataset;
mod demo;
mod doctor;
mod error;
mod home;
mod output;
mod progress;
mod query;
mod sealed;
mod source;
mod verify;

use args::{Cli, Command, DatasetCommand, QueryCommand, VerifyCommand};
use clap::{CommandFactory, Parser};
use error::{CliError, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            if !e.use_stderr() {
                return ExitCode::SUCCESS;
            }
            if std::env::args_os().any(|word| word == "--json") {
                let usage = CliError::new(Kind::Usage, "usage", e.kind(), "Run `salus --help`.");
                let _ = output::json(&usage.document());
            }
            return ExitCode::from(2);
        }
    };
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            e.report(json);
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let json = cli.json;
    match cli.command {
        Command::Demo(args) => demo::run(&args, json),
        Command::Dataset(DatasetCommand::Validate(args)) => dataset::validate(&args, json),
        Command::Query(QueryCommand::Lint(args)) => query::lint(&args, json),
        Command::Query(QueryCommand::Plan(args)) => query::plan(&args, json),
        Command::Query(QueryCommand::DryRun(args)) => query::dry_run(&args, json),
        Command::Verify(VerifyCommand::Bundle(args)) => verify::bundle(&args, json),
        Command::Audit(args) => audit::command(&args, json),
        Command::Committee(command) => committee::run(&command, json),
        Command::Doctor => doctor::run(json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "salus", &mut std::io::stdout());
            Ok(())
        }
    }
}

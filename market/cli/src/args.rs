//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Research on medical records that nobody gets to see.
#[derive(Debug, Parser)]
#[command(name = "salus", version, max_term_width = 100)]
pub struct Cli {
    /// Print one JSON document on stdout instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole life of a dataset: read, code, opt in, fund, prove, verify, settle, claim, audit.
    Demo(DemoArgs),
    /// Look at tables and codebooks.
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Write queries before anybody pays for them.
    #[command(subcommand)]
    Query(QueryCommand),
    /// Check proofs offline.
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// Replay a bundle: every registration, snapshot, query, proof and payout. Needs no network.
    Audit(AuditArgs),
    /// Check this machine: keys, disk, chain, clocks.
    Doctor,
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum DatasetCommand {
    /// Check a table against a codebook, or propose one.
    Validate(ValidateArgs),
}

#[derive(Debug, Subcommand)]
pub enum QueryCommand {
    /// Say whether a query can be asked, and if not, what can.
    Lint(QueryArgs),
    /// Show the public tables of a query, its columns, passes and hashes.
    Plan(QueryArgs),
    /// Answer a query on the synthetic cohort with the same engine.
    DryRun(DryRunArgs),
}

#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Verify every answer of a bundle against the commitments its registrations add up to.
    Bundle(BundleArgs),
}

/// How a query is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswerPath {
    /// Groth16 proof against the on-chain commitments.
    Proven,
}

/// What to do with several differing rows of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Duplicates {
    /// Refuse the table and name the lines.
    Refuse,
    /// Keep the first row.
    First,
    /// Keep the last row.
    Last,
}

/// Where the records are and how to read them.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Codebook (TOML); inferred from the data when not given.
    #[arg(long, value_name = "FILE")]
    pub codebook: Option<PathBuf>,
    /// Column that identifies the person. Without it every row is a person.
    #[arg(long, value_name = "COL")]
    pub person_key: Option<String>,
    /// What to do when rows of one person differ.
    #[arg(long, value_enum, default_value_t = Duplicates::Refuse)]
    pub on_duplicate: Duplicates,
    /// Rows to pass over after the header (2 for Orange .tab files, found by themselves).
    #[arg(long, value_name = "N")]
    pub skip_after_header: Option<usize>,
    /// Columns to use, separated by commas; all that the queries name when not given.
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    pub columns: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Table of people: CSV, TSV, Orange .tab (also gzipped) or Parquet. A synthetic cohort when not given.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub table: TableArgs,
    /// A query; may be given several times.
    #[arg(long = "sql", value_name = "Q")]
    pub sql: Vec<String>,
    /// File of queries, one per line; lines beginning with -- are comments.
    #[arg(long, value_name = "FILE")]
    pub sql_file: Option<PathBuf>,
    /// Use only the first N people (or this many synthetic ones).
    #[arg(long, value_name = "N")]
    pub members: Option<usize>,
    /// Least number of people in an answer.
    #[arg(long, value_name = "K", default_value_t = 20)]
    pub min_cohort: u32,
    /// Least published count; smaller groups are suppressed.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub min_cell: u32,
    /// How queries are answered.
    #[arg(long, value_enum, default_value_t = AnswerPath::Proven)]
    pub path: AnswerPath,
    /// JSON-RPC endpoint of a development node; an EVM in this process when not given.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
    /// Directory for the audit bundle.
    #[arg(long, value_name = "DIR", default_value = "salus-demo")]
    pub out: PathBuf,
    /// Replace a bundle that is already there.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Table of people.
    pub data: PathBuf,
    #[command(flatten)]
    pub table: TableArgs,
    /// Write the inferred codebook here.
    #[arg(long, value_name = "FILE")]
    pub write_codebook: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The query: SQL, or canonical JSON if it begins with a brace.
    pub query: String,
    /// Codebook (TOML); that of the synthetic cohort when not given.
    #[arg(long, value_name = "FILE")]
    pub codebook: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DryRunArgs {
    #[command(flatten)]
    pub query: QueryArgs,
    /// Synthetic people to ask.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub members: usize,
    /// Least number of people in an answer.
    #[arg(long, value_name = "K", default_value_t = 20)]
    pub min_cohort: u32,
    /// Least published count.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub min_cell: u32,
}

#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Bundle directory.
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Bundle directory.
    pub dir: PathBuf,
    /// Also compare every transaction with this node.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

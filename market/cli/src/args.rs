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
    /// Hold keys: make an identity, take part in key generation, open what is funded and approved.
    #[command(subcommand)]
    Committee(CommitteeCommand),
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
    /// Show the public tables of a query, its hashes, and the ways to answer it with what each takes.
    Plan(PlanArgs),
    /// Answer a query on the synthetic cohort with the same engine.
    DryRun(DryRunArgs),
}

#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Verify every answer of a bundle against the commitments its registrations add up to.
    Bundle(BundleArgs),
}

#[derive(Debug, Subcommand)]
pub enum CommitteeCommand {
    /// Make a holder's key file and print its entry for the committee file.
    Init(HolderInitArgs),
    /// Make a client's key file and print its entry for the committee file.
    Client(ClientInitArgs),
    /// Put holders and clients into a committee file.
    Assemble(AssembleArgs),
    /// Make the committee's key together with all other holders; no dealer, nobody ever has the whole key.
    Keygen(KeygenArgs),
    /// Sign that this holder accepts to be part of the committee on chain.
    Accept(AcceptArgs),
    /// Answer requests until interrupted.
    Serve(ServeArgs),
    /// Evaluate funded ad-hoc queries on everybody's ciphertexts and vouch for the outputs; needs no share of the key.
    Evaluate(EvaluateArgs),
    /// Ask every holder what it has and how much of its flooding budget is spent.
    Status(StatusArgs),
}

/// Where a key file is and what opens it.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The party's own folder: key file, journal, running sums.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// File with the passphrase of the key file; SALUS_PASSPHRASE when not given.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HolderInitArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Name of the holder.
    #[arg(long)]
    pub name: String,
    /// Where the others reach it.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Asks for openings and checks.
    Client,
    /// Asks for status only.
    Operator,
}

#[derive(Debug, Args)]
pub struct ClientInitArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Name of the client.
    #[arg(long)]
    pub name: String,
    /// What it may do.
    #[arg(long, value_enum, default_value_t = Role::Client)]
    pub role: Role,
}

#[derive(Debug, Args)]
pub struct AssembleArgs {
    /// Holders that open together.
    #[arg(long, value_name = "T")]
    pub threshold: u8,
    /// Where to write the committee file; it is not overwritten.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Entries as init and client printed them, in files; holders in the order of their numbers.
    #[arg(required = true, value_name = "ENTRY")]
    pub entries: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct KeygenArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// The committee file, the same for all.
    #[arg(long, value_name = "FILE")]
    pub committee: PathBuf,
    /// A word that all holders agree on, new for every attempt.
    #[arg(long, value_name = "WORD")]
    pub session: String,
    /// Where to write the joint public key.
    #[arg(long, value_name = "FILE")]
    pub public_key: PathBuf,
    /// Seconds to wait for the others.
    #[arg(long, default_value_t = 120)]
    pub patience: u64,
}

#[derive(Debug, Args)]
pub struct AcceptArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// The committee file.
    #[arg(long, value_name = "FILE")]
    pub committee: PathBuf,
    /// Addresses of the contracts (JSON).
    #[arg(long, value_name = "FILE")]
    pub deployment: PathBuf,
    /// Accept for the committee of this DEALER CEREMONY's public key file instead of the cube key.
    #[arg(long, value_name = "FILE")]
    pub adhoc_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Addresses of the contracts (JSON).
    #[arg(long, value_name = "FILE")]
    pub deployment: PathBuf,
    /// JSON-RPC endpoint of the evaluator's own node.
    #[arg(long, value_name = "URL")]
    pub rpc: String,
    /// The dataset's codebook.
    #[arg(long, value_name = "FILE")]
    pub codebook: PathBuf,
    /// The public folder: uploads.bin, blobs/ and evaluations/.
    #[arg(long, value_name = "DIR")]
    pub public: PathBuf,
    /// Public key file of the DEALER CEREMONY.
    #[arg(long, value_name = "FILE")]
    pub adhoc_key: PathBuf,
    /// Server keys of the ceremony, 1.1 GB; the key file pins their hash.
    #[arg(long, value_name = "FILE")]
    pub server_keys: PathBuf,
    /// File {"query": ID, "question": CANONICAL JSON} of a funded query; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    pub question: Vec<PathBuf>,
    /// Threads; 0 for all. The output does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// The committee file.
    #[arg(long, value_name = "FILE")]
    pub committee: PathBuf,
    /// Addresses of the contracts (JSON).
    #[arg(long, value_name = "FILE")]
    pub deployment: PathBuf,
    /// JSON-RPC endpoint of the holder's own node.
    #[arg(long, value_name = "URL")]
    pub rpc: String,
    /// The dataset's codebook with its cubes.
    #[arg(long, value_name = "FILE")]
    pub codebook: PathBuf,
    /// The public folder: uploads.bin and blobs/.
    #[arg(long, value_name = "DIR")]
    pub public: PathBuf,
    /// The folder of attestations and checks; without it this holder takes part in no checks.
    #[arg(long, value_name = "DIR")]
    pub inbox: Option<PathBuf>,
    /// Serve the committee of this DEALER CEREMONY's public key file instead of the cube key.
    #[arg(long, value_name = "FILE", requires = "evaluator")]
    pub adhoc_key: Option<PathBuf>,
    /// Evaluator whose word counts for ad-hoc evaluations; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub evaluator: Vec<salus_contracts::primitives::Address>,
    /// How many of them must vouch for an evaluation; as many as holders open together when not given.
    #[arg(long, value_name = "T")]
    pub evaluators_needed: Option<u8>,
    /// Where to listen, if not at the address in the committee file.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Seconds to wait for another holder before it counts as slow; large datasets take long to add up the first time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub patience: u64,
    /// INSECURE: give wrong values, to see the others notice. Refused in production mode.
    #[arg(long, hide = true)]
    pub insecure_lie: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// The committee file.
    #[arg(long, value_name = "FILE")]
    pub committee: PathBuf,
}

/// How a query is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswerPath {
    /// Groth16 proof against the on-chain commitments.
    Proven,
    /// Computed on ciphertexts and opened by a committee of holders.
    Sealed,
    /// Both, and the two must agree.
    Both,
    /// Bootstrapped on ciphertexts under a DEALER CEREMONY's key: no cubes needed, slow, small cohorts only here.
    AdHoc,
}

impl AnswerPath {
    /// Whether queries are proven.
    pub const fn proven(self) -> bool {
        matches!(self, Self::Proven | Self::Both)
    }

    /// Whether queries are answered from ciphertexts.
    pub const fn sealed(self) -> bool {
        matches!(self, Self::Sealed | Self::Both)
    }
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
    /// Key holders of the sealed path, each a process of its own.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub holders: u8,
    /// Holders that open together.
    #[arg(long, value_name = "T", default_value_t = 2)]
    pub threshold: u8,
    /// What befalls a holder once the committee is ready, to see it cope: its number, and kill, stop or lie.
    #[arg(long, value_name = "NUMBER:WHAT")]
    pub trouble: Vec<String>,
    /// JSON-RPC endpoint of a development node; an EVM in this process when not given.
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
    /// Keep the server keys of an ad-hoc demo here, 1.1 GB, for `salus audit --re-execute`.
    #[arg(long, value_name = "FILE")]
    pub server_keys: Option<PathBuf>,
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
pub struct PlanArgs {
    #[command(flatten)]
    pub query: QueryArgs,
    /// People in the dataset, for durations and bounds.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub members: u64,
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
    /// Do ad-hoc evaluations again, on the build that made them, and compare every byte.
    #[arg(long, requires = "server_keys")]
    pub re_execute: bool,
    /// The server keys of the dealer ceremony; the committee's registration pins their hash.
    #[arg(long, value_name = "FILE", requires = "re_execute")]
    pub server_keys: Option<PathBuf>,
}

//! From files and options to coded people: what `demo` and `dataset validate` read.

mod problem;

use crate::args::{Duplicates, TableArgs};
use crate::error::{CliError, Kind};
pub use problem::{ProblemOf, data_error, query_error};
use salus_datasets::code::{CodedDataset, CodingOptions, code_table};
use salus_datasets::oracle::{ClearAnswer, answers};
use salus_datasets::people::OnDuplicate;
use salus_datasets::profile::{ProfileOptions, infer_codebook};
use salus_datasets::read::ReadOptions;
use salus_datasets::synthetic;
use salus_schema::codebook::Codebook;
use salus_schema::column::Column;
use salus_schema::query::Query;
use salus_schema::refusal::Cause;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest codebook file that is read, in bytes.
const MAX_CODEBOOK: u64 = 16 << 20;

/// Where people come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The built-in cohort.
    Synthetic {
        /// How many people.
        people: usize,
        /// Which people.
        seed: u64,
    },
    /// A table.
    File {
        /// Where it is.
        path: PathBuf,
        /// How it is read; the oracle must read it alike.
        options: Box<CodingOptions>,
    },
}

/// A dataset whose columns are known and whose people are not yet read.
#[derive(Debug, Clone)]
pub struct Declared {
    /// All columns that can be asked about.
    pub codebook: Codebook,
    /// Columns of the table that cannot, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Whether the codebook was proposed from the table's own values.
    pub inferred: bool,
    origin: Origin,
    /// Columns chosen on the command line; all when empty.
    chosen: Vec<String>,
}

/// Coded people.
pub struct Source {
    /// The codebook of exactly the coded columns.
    pub codebook: Codebook,
    /// The codes.
    pub coded: CodedDataset,
    /// Columns of the table that cannot be asked about, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Where the people come from.
    pub origin: Origin,
}

/// Finds out which columns a table has: from the codebook, or by reading the table once. Without a
/// table, the synthetic cohort's.
///
/// # Errors
/// When the table or the codebook cannot be read or used, or no column can be coded.
pub fn declare(
    data: Option<&Path>,
    table: &TableArgs,
    members: Option<usize>,
) -> Result<Declared, CliError> {
    if members == Some(0) {
        return Err(usage("--members 0 leaves nobody", "Give at least 1."));
    }
    let Some(path) = data else {
        return declare_synthetic(table, members);
    };
    let read = ReadOptions {
        skip_after_header: table.skip_after_header,
        ..ReadOptions::default()
    };
    let (codebook, skipped) = match &table.codebook {
        Some(file) => (read_codebook(file)?, Vec::new()),
        None => {
            let options = ProfileOptions {
                read: read.clone(),
                person_key: table.person_key.clone(),
                ..ProfileOptions::default()
            };
            let (codebook, skipped) = infer_codebook(path, &options).map_err(data_error)?;
            let skipped = skipped
                .into_iter()
                .map(|column| (column.name, column.reason));
            (codebook, skipped.collect())
        }
    };
    let options = CodingOptions {
        read,
        person_key: table.person_key.clone(),
        on_duplicate: match table.on_duplicate {
            Duplicates::Refuse => OnDuplicate::Refuse,
            Duplicates::First => OnDuplicate::First,
            Duplicates::Last => OnDuplicate::Last,
        },
        max_people: members,
        ..CodingOptions::default()
    };
    Ok(Declared {
        codebook,
        skipped,
        inferred: table.codebook.is_none(),
        origin: Origin::File {
            path: path.to_owned(),
            options: Box::new(options),
        },
        chosen: table.columns.clone(),
    })
}

fn declare_synthetic(table: &TableArgs, members: Option<usize>) -> Result<Declared, CliError> {
    let unused = [
        ("--codebook", table.codebook.is_some()),
        ("--person-key", table.person_key.is_some()),
        ("--skip-after-header", table.skip_after_header.is_some()),
    ];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        return Err(usage(
            &format!("{option} describes a table, and no table was given"),
            "Give the table with --data FILE, or leave the option out for the synthetic cohort.",
        ));
    }
    Ok(Declared {
        codebook: synthetic::codebook().map_err(data_error)?,
        skipped: Vec::new(),
        inferred: false,
        origin: Origin::Synthetic {
            people: members.unwrap_or(synthetic::DEFAULT_PEOPLE),
            seed: synthetic::DEFAULT_SEED,
        },
        chosen: table.columns.clone(),
    })
}

impl Declared {
    /// Reads SQL texts (canonical JSON if one begins with a brace) against the declared columns.
    ///
    /// # Errors
    /// The first text that cannot be asked, with the place and what could be asked instead.
    pub fn queries<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Query>, CliError> {
        texts.iter().map(|text| self.query(text.as_ref())).collect()
    }

    fn query(&self, text: &str) -> Result<Query, CliError> {
        parse_query(text, &self.codebook).map_err(|refusal| {
            let mut error = query_error(&refusal, text);
            if let Cause::UnknownColumn { name, .. } = &*refusal.cause {
                if let Some((_, reason)) = self.skipped.iter().find(|(skipped, _)| skipped == name) {
                    error.next = format!("The table has it, but {reason}.");
                } else if self.person_key() == Some(name) {
                    error.next = format!(
                        "\"{name}\" is the person key: it tells people apart and is never asked about."
                    );
                }
            }
            error
        })
    }

    fn person_key(&self) -> Option<&str> {
        match &self.origin {
            Origin::File { options, .. } => options.person_key.as_deref(),
            Origin::Synthetic { .. } => None,
        }
        .or(self.codebook.person_key())
    }

    /// Reads and codes the people in the columns chosen on the command line, else in `used`, else
    /// in all.
    ///
    /// # Errors
    /// When the table cannot be read or coded, or a chosen column does not exist.
    pub fn code(self, used: Option<&[String]>) -> Result<Source, CliError> {
        let names: Option<Vec<String>> = if self.chosen.is_empty() {
            used.map(|used| at_least_one(used, &self.codebook))
        } else {
            Some(self.chosen)
        };
        let coded = match &self.origin {
            Origin::Synthetic { people, seed } => {
                let all = synthetic::coded(*people, *seed).map_err(data_error)?;
                match &names {
                    Some(names) => narrow(all, names)?,
                    None => all,
                }
            }
            Origin::File { path, options } => {
                code_table(path, &self.codebook, names.as_deref(), options).map_err(data_error)?
            }
        };
        Ok(Source {
            codebook: coded.codebook.clone(),
            coded,
            skipped: self.skipped,
            origin: self.origin,
        })
    }
}

/// Answers in clear text, from the records of the same people, without codes or plans.
///
/// # Errors
/// When the table can no longer be read as it was, or the engine fails.
pub fn clear_answers(
    source: &Source,
    queries: &[Query],
    min_cell: u64,
) -> Result<Vec<ClearAnswer>, CliError> {
    match &source.origin {
        Origin::File { path, options } => {
            answers(path, &source.codebook, queries, min_cell, options).map_err(data_error)
        }
        Origin::Synthetic { people, seed } => {
            let mut file = tempfile::NamedTempFile::new().map_err(cannot_set_aside)?;
            synthetic::write_csv(file.as_file_mut(), *people, *seed).map_err(data_error)?;
            let options = CodingOptions::default();
            answers(file.path(), &source.codebook, queries, min_cell, &options).map_err(data_error)
        }
    }
}

fn cannot_set_aside(error: std::io::Error) -> CliError {
    CliError::new(
        Kind::Failed,
        "temporary_file",
        format!("a temporary file cannot be written: {error}"),
        "Free some disk space, or point TMPDIR at a directory that can be written.",
    )
}

/// Reads a query: canonical JSON if it begins with a brace, else SQL.
pub fn parse_query(
    text: &str,
    codebook: &Codebook,
) -> Result<Query, salus_schema::refusal::Refusal> {
    if text.trim_start().starts_with('{') {
        Query::from_json(text, codebook)
    } else {
        Query::from_sql(text, codebook)
    }
}

/// The logical columns that queries read, each once, in order of appearance.
pub fn used_columns(queries: &[Query]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for query in queries {
        let of = query
            .group_by()
            .iter()
            .map(|group| group.column())
            .chain(query.filter().iter().map(|condition| condition.column()))
            .chain(query.measured());
        for name in of {
            if names.iter().all(|known| known != name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// A dataset has at least one column, even when all that is asked is how many people there are.
fn at_least_one(used: &[String], codebook: &Codebook) -> Vec<String> {
    if !used.is_empty() {
        return used.to_vec();
    }
    let narrow = |column: &&Column| !column.kind().is_wide();
    let columns = codebook.columns();
    let chosen = columns.iter().find(narrow).or(columns.first());
    chosen
        .map(|column| column.name().to_owned())
        .into_iter()
        .collect()
}

/// The same people in fewer columns.
fn narrow(all: CodedDataset, names: &[String]) -> Result<CodedDataset, CliError> {
    if let Some(name) = names.iter().find(|name| all.codebook.find(name).is_none()) {
        let known = all
            .codebook
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        return Err(data_error(
            salus_datasets::code::CodingError::NotInCodebook {
                name: name.clone(),
                known,
            },
        ));
    }
    let CodedDataset {
        codebook,
        columns,
        people,
        mut report,
    } = all;
    let kept = |logical: usize| {
        names
            .iter()
            .any(|name| name == codebook.columns()[logical].name())
    };
    let chosen: Vec<Column> = codebook
        .columns()
        .iter()
        .enumerate()
        .filter(|(logical, _)| kept(*logical))
        .map(|(_, column)| column.clone())
        .collect();
    let columns = codebook
        .physical_columns()
        .iter()
        .zip(columns)
        .filter(|(physical, _)| kept(physical.logical))
        .map(|(_, codes)| codes)
        .collect();
    report.columns.retain(|column| names.contains(&column.name));
    let key = codebook.person_key().map(str::to_owned);
    let codebook = Codebook::new(codebook.name(), key, chosen).map_err(data_error)?;
    Ok(CodedDataset {
        codebook,
        columns,
        people,
        report,
    })
}

/// Reads a codebook file.
///
/// # Errors
/// When the file does not exist, cannot be read, or is no codebook.
pub fn read_codebook(path: &Path) -> Result<Codebook, CliError> {
    let shown = path.display();
    let problem = |kind, code: &str, what: &str, next: &str| {
        CliError::new(kind, code, format!("the codebook {shown} {what}"), next)
    };
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => problem(
            Kind::NotFound,
            "codebook_not_found",
            "does not exist",
            "Check the path, or let `salus dataset validate FILE --write-codebook F` propose one.",
        ),
        std::io::ErrorKind::PermissionDenied => problem(
            Kind::NotAllowed,
            "codebook_permission_denied",
            "may not be read",
            "Give yourself permission to read the file.",
        ),
        _ => problem(
            Kind::Failed,
            "codebook_io",
            &format!("cannot be read: {error}"),
            "Check the disk and run again.",
        ),
    };
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_file() || meta.len() > MAX_CODEBOOK {
        return Err(problem(
            Kind::Invalid,
            "codebook_not_a_file",
            "is a directory, a device, or larger than 16 MiB",
            "Name a TOML file.",
        ));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CODEBOOK).read_to_end(&mut bytes))
        .map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem(
            Kind::Invalid,
            "codebook_not_utf8",
            &format!("is not UTF-8 at byte {at}"),
            "Save the file as UTF-8.",
        )
    })?;
    Codebook::from_toml(&text).map_err(|error| {
        problem(
            Kind::Invalid,
            "codebook_invalid",
            &format!("cannot be used: {error}"),
            "Correct the file; `salus dataset validate FILE --write-codebook F` writes one to start from.",
        )
    })
}

fn usage(message: &str, next: &str) -> CliError {
    CliError::new(Kind::Usage, "usage", message, next)
}

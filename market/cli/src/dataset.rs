//! `salus dataset`.

use crate::args::ValidateArgs;
use crate::error::{CliError, Kind};
use crate::output;
use crate::progress::Stage;
use crate::source::{self, Source};
use salus_datasets::code::{CodingReport, ColumnReport};
use salus_datasets::read::SourceFormat;
use salus_schema::codebook::Codebook;
use salus_schema::column::{Column, ColumnKind};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Fewer people than this cannot give an answer under the default minimum cohort.
const FEW_PEOPLE: usize = 20;

/// Labels of a column that are listed in text.
const LABELS_SHOWN: usize = 8;

/// `salus dataset validate FILE`.
///
/// Exit codes: 0 the table can be registered as it is; 3 a file or column does not exist; 4 it may
/// not be read; 5 the table or the codebook is not usable; 1 the disk failed; 7 the file changed.
pub fn validate(args: &ValidateArgs, as_json: bool) -> Result<(), CliError> {
    if let Some(target) = &args.write_codebook {
        check_target(target, args)?;
    }
    let stage = Stage::begin("read the columns", 0);
    let declared = source::declare(Some(&args.data), &args.table, None)?;
    let inferred = declared.inferred;
    stage.end(&output::counted(
        declared.codebook.columns().len(),
        "column",
        "columns",
    ));
    let stage = Stage::begin("code every record", 0);
    let source = declared.code(None)?;
    stage.end(&output::counted(source.coded.people, "person", "people"));
    if let Some(target) = &args.write_codebook {
        write_codebook(target, &source.codebook)?;
    }
    let report = report(args, &source, inferred);
    if as_json {
        output::json(&report)
    } else {
        output::text(&text(&report))
    }
}

fn report(args: &ValidateArgs, source: &Source, inferred: bool) -> Value {
    let coded = &source.coded.report;
    let codebook = &source.codebook;
    let columns: Vec<Value> = codebook
        .columns()
        .iter()
        .zip(&coded.columns)
        .enumerate()
        .map(|(logical, (column, report))| column_report(codebook, logical, column, report, coded))
        .collect();
    let skipped: Vec<Value> = source
        .skipped
        .iter()
        .map(|(name, reason)| json!({"name": name, "reason": reason}))
        .collect();
    json!({
        "file": args.data.display().to_string(),
        "format": format_words(coded),
        "rows": coded.rows,
        "blank_lines": coded.blank_lines,
        "people": coded.people,
        "person_key": coded.person_key,
        "unit": coded.unit(),
        "repeated_rows": coded.collapsed_rows,
        "overruled_rows": coded.overruled_rows,
        "codebook": {
            "name": codebook.name(),
            "inferred": inferred,
            "hash": output::hex(&codebook.hash()),
            "code_columns": codebook.physical_len(),
            "written": args.write_codebook.as_ref().map(|path| path.display().to_string()),
        },
        "columns": columns,
        "skipped": skipped,
        "unused": unused(source),
        "warnings": warnings(source, inferred),
    })
}

/// Columns of the table that are neither coded nor skipped for a reason.
fn unused(source: &Source) -> Vec<&String> {
    let names = source.coded.report.unused_columns.iter();
    let listed = |name: &String| source.skipped.iter().any(|(skipped, _)| skipped == name);
    names.filter(|name| !listed(name)).collect()
}

fn column_report(
    codebook: &Codebook,
    logical: usize,
    column: &Column,
    report: &ColumnReport,
    table: &CodingReport,
) -> Value {
    let physical: Vec<u16> = codebook
        .physical_columns()
        .iter()
        .filter(|physical| physical.logical == logical)
        .map(|physical| physical.index.0)
        .collect();
    let mut value = json!({
        "name": column.name(),
        "kind": column.kind().word(),
        "values": column.kind().count(),
        "code_columns": physical,
        "missing_allowed": column.nullable(),
        "missing": band(report.missing, table.people),
        "rounded_cells": report.rounded,
        "units": column.units(),
    });
    match column.kind() {
        ColumnKind::Categorical(set) | ColumnKind::Ordered(set) => {
            let labels: Vec<&str> = set
                .entries()
                .iter()
                .map(|entry| entry.label.as_str())
                .collect();
            value["labels"] = json!(labels);
        }
        ColumnKind::Bucketed(buckets) => {
            let edges: Vec<String> = buckets.edges().iter().map(ToString::to_string).collect();
            value["edges"] = json!(edges);
        }
        ColumnKind::Exact(grid) => {
            value["min"] = json!(grid.min().to_string());
            value["step"] = json!(grid.step().to_string());
            value["max"] = json!(grid.max().to_string());
            value["rounding"] = json!(grid.rounding());
        }
    }
    value
}

/// How much is missing, coarse enough to be shown to anybody.
fn band(missing: u64, people: u64) -> &'static str {
    let share = |percent: u64| missing.saturating_mul(100) <= people.saturating_mul(percent);
    match missing {
        0 => "none",
        _ if missing == people => "all",
        _ if share(1) => "up to 1 %",
        _ if share(5) => "1 to 5 %",
        _ if share(20) => "5 to 20 %",
        _ if share(50) => "20 to 50 %",
        _ => "over 50 %",
    }
}

fn format_words(report: &CodingReport) -> String {
    let mut words = match report.shape.format {
        SourceFormat::Parquet => "Parquet".to_owned(),
        SourceFormat::Synthetic => "synthetic cohort".to_owned(),
        SourceFormat::Delimited { delimiter, gzip } => {
            let by = match delimiter {
                b',' => "commas".to_owned(),
                b'\t' => "tabs".to_owned(),
                b';' => "semicolons".to_owned(),
                other => format!("'{}'", char::from(other)),
            };
            format!(
                "text separated by {by}{}",
                if gzip { ", gzipped" } else { "" }
            )
        }
    };
    if report.shape.skipped_after_header > 0 {
        let _ = write!(
            words,
            ", {} passed over after the header",
            output::counted(report.shape.skipped_after_header, "row", "rows")
        );
    }
    words
}

fn warnings(source: &Source, inferred: bool) -> Vec<String> {
    let report = &source.coded.report;
    let mut warnings = Vec::new();
    if report.person_key.is_none() {
        warnings.push(
            "no person key: every row counts as a person, so somebody with several rows weighs more than once; \
             declare the column that identifies the person with --person-key COL"
                .to_owned(),
        );
    }
    if report.overruled_rows > 0 {
        warnings.push(format!(
            "{} contradicted another row of the same person and did not count",
            output::counted(report.overruled_rows as usize, "row", "rows")
        ));
    }
    let rounded: Vec<&str> = report
        .columns
        .iter()
        .filter(|column| column.rounded > 0)
        .map(|column| column.name.as_str())
        .collect();
    if !rounded.is_empty() {
        warnings.push(format!(
            "values were rounded to the codebook's steps in {}; answers are exact for the rounded values",
            rounded.join(", ")
        ));
    }
    if source.coded.people < FEW_PEOPLE {
        warnings.push(format!(
            "only {}: no answer can reach the usual minimum cohort of {FEW_PEOPLE}",
            output::counted(source.coded.people, "person", "people")
        ));
    }
    let empty: Vec<&str> = report
        .columns
        .iter()
        .filter(|column| report.people > 0 && column.missing == report.people)
        .map(|column| column.name.as_str())
        .collect();
    if !empty.is_empty() {
        warnings.push(format!("nobody has a value in {}", empty.join(", ")));
    }
    if inferred {
        warnings.push(
            "the codebook was proposed from the records themselves: its smallest and largest numbers and its rare \
             labels come from single people, and it becomes public with the dataset; widen ranges and merge rare \
             labels by hand before you publish it"
                .to_owned(),
        );
    }
    warnings
}

/// The report for a person; written from the same document as the JSON form.
fn text(report: &Value) -> String {
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut out = format!(
        "{}: {}, {} rows, {} people ({})\n",
        plain(&report["file"]),
        plain(&report["format"]),
        report["rows"],
        report["people"],
        plain(&report["unit"]),
    );
    let codebook = &report["codebook"];
    let _ = writeln!(
        out,
        "codebook \"{}\"{}, {} code columns, hash {}",
        plain(&codebook["name"]),
        if codebook["inferred"] == true {
            " (proposed from the data)"
        } else {
            ""
        },
        codebook["code_columns"],
        plain(&codebook["hash"]),
    );
    if let Some(path) = codebook["written"].as_str() {
        let _ = writeln!(out, "written to {path}");
    }
    out.push('\n');
    let mut rows = vec![
        ["column", "kind", "values", "codes", "missing", "what"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for column in report["columns"].as_array().into_iter().flatten() {
        let codes = column["code_columns"].as_array().map_or(0, Vec::len);
        rows.push(vec![
            plain(&column["name"]),
            plain(&column["kind"]),
            plain(&column["values"]),
            if codes == 2 {
                "two columns".to_owned()
            } else {
                "one column".to_owned()
            },
            plain(&column["missing"]),
            what(column),
        ]);
    }
    out.push_str(&output::aligned(&rows));
    let mut list = |title: &str, items: Vec<String>| {
        if !items.is_empty() {
            let _ = writeln!(out, "\n{title}");
            for item in items {
                let _ = writeln!(out, "  {item}");
            }
        }
    };
    let array = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    list(
        "left out",
        array("skipped")
            .iter()
            .map(|skipped| plain(&skipped["reason"]))
            .collect(),
    );
    list(
        "not in the codebook",
        array("unused").iter().map(&plain).collect(),
    );
    list("warnings", array("warnings").iter().map(&plain).collect());
    out
}

/// A column's values in a few words.
fn what(column: &Value) -> String {
    let words = |key: &str| {
        column[key]
            .as_array()
            .map(|items| items.iter().filter_map(Value::as_str).collect::<Vec<_>>())
    };
    let mut text = if let Some(labels) = words("labels") {
        let more = labels.len().saturating_sub(LABELS_SHOWN);
        let shown = labels[..labels.len() - more].join(", ");
        if more > 0 {
            format!("{shown}, and {more} more")
        } else {
            shown
        }
    } else if let Some(edges) = words("edges") {
        format!(
            "buckets from {} to {}",
            edges.first().unwrap_or(&""),
            edges.last().unwrap_or(&"")
        )
    } else {
        let of = |key: &str| column[key].as_str().unwrap_or_default();
        format!("{} to {} by {}", of("min"), of("max"), of("step"))
    };
    if let Some(rounded) = column["rounded_cells"]
        .as_u64()
        .filter(|&rounded| rounded > 0)
    {
        let _ = write!(text, ", {rounded} cells rounded");
    }
    text
}

/// Refuses a target that would lose somebody's work, before anything is read.
fn check_target(target: &Path, args: &ValidateArgs) -> Result<(), CliError> {
    let same = |other: &Path| match (target.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(two)) => one == two,
        _ => false,
    };
    if same(&args.data) {
        return Err(CliError::new(
            Kind::Usage,
            "codebook_is_data",
            "--write-codebook names the table itself",
            "Name another file.",
        ));
    }
    match std::fs::metadata(target) {
        Ok(meta) if meta.is_file() => Err(exists(target)),
        Ok(meta) if meta.is_dir() => Err(CliError::new(
            Kind::Usage,
            "codebook_is_directory",
            format!("--write-codebook {} is a directory", target.display()),
            "Name a file in it.",
        )),
        _ => Ok(()),
    }
}

fn exists(target: &Path) -> CliError {
    CliError::new(
        Kind::Usage,
        "codebook_exists",
        format!(
            "{} is already there and may have been edited by hand",
            target.display()
        ),
        "Move it away or name another file; use it with --codebook FILE.",
    )
}

/// Writes the codebook whole or not at all.
fn write_codebook(target: &Path, codebook: &Codebook) -> Result<(), CliError> {
    let text = codebook.to_toml();
    let failed = |error: std::io::Error| {
        let (code, next) = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => (
                "disk_full",
                "Free some disk space or name another place, then run again.",
            ),
            _ => (
                "codebook_not_written",
                "Name a file in a directory that can be written.",
            ),
        };
        let message = format!(
            "the codebook cannot be written to {}: {error}",
            target.display()
        );
        CliError::new(Kind::Failed, code, message, next)
    };
    if std::fs::metadata(target).is_ok_and(|meta| !meta.is_file()) {
        // A pipe or device has no half-written state to protect.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(target)
            .map_err(failed)?;
        return file
            .write_all(text.as_bytes())
            .and_then(|()| file.flush())
            .map_err(failed);
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // A codebook is public: readable as any new file, not only for its owner.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut aside = builder
        .prefix(".codebook")
        .tempfile_in(directory)
        .map_err(failed)?;
    aside.write_all(text.as_bytes()).map_err(failed)?;
    aside.as_file().sync_all().map_err(failed)?;
    // Never over a file that appeared in the meantime.
    match aside.persist_noclobber(target) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(exists(target))
        }
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_shares_are_shown_as_bands() {
        let bands = [0, 1, 10, 11, 50, 200, 500, 501, 1000].map(|missing| band(missing, 1000));
        assert_eq!(
            bands,
            [
                "none",
                "up to 1 %",
                "up to 1 %",
                "1 to 5 %",
                "1 to 5 %",
                "5 to 20 %",
                "20 to 50 %",
                "over 50 %",
                "all"
            ]
        );
    }
}

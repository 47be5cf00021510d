//! Plans and answers as JSON and as text.

use super::Planned;
use crate::output;
use salus_schema::codebook::{Codebook, Digit};
use salus_schema::column::{FIRST_VALUE, MISSING, Value as Coded};
use salus_schema::plan::{Image, Pass, Run};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The plan as a document: what goes on chain, and what it means.
pub(super) fn plan(planned: &Planned) -> Value {
    let bytes = planned.plan.to_bytes();
    let passes: Vec<Value> = planned
        .plan
        .passes()
        .iter()
        .map(|pass| pass_document(pass, &planned.codebook))
        .collect();
    json!({
        "query": planned.text,
        "sentence": planned.query.sentence(),
        "sql": planned.query.to_sql(),
        "body": planned.query.canonical_json(),
        "body_hash": output::hex(&planned.query.hash()),
        "codebook_hash": output::hex(&planned.codebook.hash()),
        "class": format!("{:?}", planned.plan.class()),
        "groups": planned.decoder.groups(),
        "passes": passes,
        "plan_bytes": bytes.len(),
        "plan": output::hex(&bytes),
        "plan_hash": output::hex(&planned.plan.hash()),
    })
}

fn pass_document(pass: &Pass, codebook: &Codebook) -> Value {
    let physical = codebook.physical_columns();
    let outside = pass.class().cells();
    let tables: Vec<Value> = pass
        .columns()
        .iter()
        .zip(pass.tables())
        .enumerate()
        .map(|(position, (&index, table))| {
            let column = physical.iter().find(|physical| physical.index == index);
            let name = column.map(|column| codebook.columns()[column.logical].name());
            let digit = column.map(|column| match column.digit {
                Digit::Only => "only",
                Digit::High => "high",
                Digit::Low => "low",
            });
            let mut from = 1u8;
            let mut runs = Vec::new();
            for run in table.runs() {
                let to = from.saturating_add(run.len - 1);
                runs.push(run_document(
                    &run,
                    from,
                    to,
                    outside,
                    codebook,
                    column.map(|c| (c.logical, c.digit)),
                ));
                from = to.saturating_add(1);
            }
            json!({
                "column": name,
                "digit": digit,
                "index": index.0,
                "padding": position > 0 && index == pass.columns()[0],
                "runs": runs,
            })
        })
        .collect();
    json!({
        "image": match pass.image() { Image::Cells => "cells", Image::Moments => "moments" },
        "values": pass.values(),
        "base_mask": format!("{:#x}", pass.base_mask()),
        "tables": tables,
    })
}

fn run_document(
    run: &Run,
    from: u8,
    to: u8,
    outside: u16,
    codebook: &Codebook,
    column: Option<(usize, Digit)>,
) -> Value {
    let means = match column {
        Some((logical, Digit::Only)) => meaning(codebook, logical, from, to),
        _ => None,
    };
    json!({
        "from": from,
        "to": to,
        "value": run.value,
        "slope": run.slope,
        "outside": run.value == outside && run.slope == 0,
        "means": means,
    })
}

/// What the codes of a column stand for; none when no record has them.
fn meaning(codebook: &Codebook, logical: usize, from: u8, to: u8) -> Option<String> {
    let word = |code: u8| match codebook.decode(logical, &[code]).ok()? {
        Coded::Missing => Some("missing".to_owned()),
        Coded::Label(label) => Some(label),
        Coded::Bucket { from, to } => Some(format!("[{from},{to})")),
        Coded::Number(number) => Some(number.to_string()),
    };
    let column = codebook.columns().get(logical)?;
    let values = column.kind().count();
    let last = u8::try_from(values + usize::from(FIRST_VALUE) - 1)
        .unwrap_or(u8::MAX)
        .min(to);
    let mut words = Vec::new();
    if from == MISSING && column.nullable() {
        words.extend(word(MISSING));
    }
    let first = from.max(FIRST_VALUE);
    if first < last {
        words.push(format!("{} to {}", word(first)?, word(last)?));
    } else if first == last {
        words.extend(word(first));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// The plan for a person.
pub(super) fn plan_text(document: &Value) -> String {
    let mut out = format!("{}\n\n", plain(&document["sentence"]));
    for key in ["sql", "body_hash", "codebook_hash", "plan_hash"] {
        let _ = writeln!(
            out,
            "{:<14} {}",
            key.replace('_', " "),
            plain(&document[key])
        );
    }
    let _ = writeln!(
        out,
        "{:<14} {}, {} groups, {} bytes",
        "class",
        plain(&document["class"]),
        document["groups"],
        document["plan_bytes"]
    );
    for (number, pass) in items(document, "passes").enumerate() {
        let mask = match plain(&pass["base_mask"]).as_str() {
            "0x0" => String::new(),
            mask => format!(", never published: {mask}"),
        };
        let _ = writeln!(
            out,
            "\npass {number}: {} image, {} values{mask}",
            plain(&pass["image"]),
            pass["values"]
        );
        for table in items(pass, "tables") {
            if table["padding"] == true {
                let _ = writeln!(out, "  column {}: padding, adds 0", table["index"]);
                continue;
            }
            let digit = match plain(&table["digit"]).as_str() {
                "only" => String::new(),
                digit => format!(", {digit} digit"),
            };
            let _ = writeln!(
                out,
                "  column {} ({}{digit})",
                table["index"],
                plain(&table["column"])
            );
            let rows: Vec<Vec<String>> = items(table, "runs").map(run_row).collect();
            for line in output::aligned(&rows).lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    let _ = writeln!(out, "\nplan {}", plain(&document["plan"]));
    out
}

fn run_row(run: &Value) -> Vec<String> {
    let of = |key: &str| run[key].as_u64().unwrap_or_default();
    let codes = if of("from") == of("to") {
        format!("code {}", of("from"))
    } else {
        format!("codes {}..{}", of("from"), of("to"))
    };
    let last = of("value") + of("slope") * (of("to") - of("from"));
    let adds = match (run["outside"] == true, of("slope")) {
        (true, _) => "outside".to_owned(),
        (_, 0) => format!("adds {}", of("value")),
        (_, 1) => format!("adds {} to {last}", of("value")),
        (_, slope) => format!("adds {} to {last} by {slope}", of("value")),
    };
    vec![
        codes,
        adds,
        run["means"].as_str().unwrap_or_default().to_owned(),
    ]
}

/// A dry run's answer for a person.
pub(super) fn answer_text(document: &Value) -> String {
    let mut out = format!(
        "DRY RUN on {} synthetic people ({}): no real person is in these figures, and nothing was charged.\n\n{}\n\n",
        document["people"],
        plain(&document["people_are"]),
        plain(&document["sentence"]),
    );
    let rows: Vec<&Value> = items(document, "rows").collect();
    let mut table = Vec::new();
    if let Some(first) = rows.first() {
        table.push(header(first));
        table.extend(rows.iter().map(|row| cells(row)));
    }
    out.push_str(&output::aligned(&table));
    let suppressed = document["suppressed"].as_u64().unwrap_or_default();
    if suppressed > 0 {
        let _ = writeln!(
            out,
            "\n{suppressed} of {} groups suppressed: fewer than {} people. Suppressed does not mean 0.",
            rows.len(),
            document["min_cell"]
        );
    }
    let _ = writeln!(
        out,
        "\nThe plan's answer equals the clear-text answer. A real run of this size takes {} proofs.",
        document["proofs"]
    );
    out
}

const FIGURES: [&str; 5] = ["count_of", "sum", "avg", "var_samp", "stddev_samp"];

fn fields<'a>(row: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    row[key].as_object().into_iter().flatten()
}

fn header(row: &Value) -> Vec<String> {
    let groups = fields(row, "group").map(|(name, _)| name.clone());
    let figures = FIGURES.iter().flat_map(|figure| {
        fields(row, figure).map(move |(column, _)| match *figure {
            "count_of" => format!("count({column})"),
            figure => format!("{figure}({column})"),
        })
    });
    groups
        .chain(std::iter::once("count".to_owned()))
        .chain(figures)
        .collect()
}

fn cells(row: &Value) -> Vec<String> {
    let groups = fields(row, "group").map(|(_, label)| plain(label));
    if row["suppressed"] == true {
        return groups
            .chain(std::iter::once("suppressed".to_owned()))
            .collect();
    }
    let figures = FIGURES.iter().flat_map(|figure| {
        fields(row, figure).map(|(_, value)| {
            if value.is_null() {
                "not known".to_owned()
            } else {
                value.to_string()
            }
        })
    });
    groups
        .chain(std::iter::once(row["count"].to_string()))
        .chain(figures)
        .collect()
}

//! The engine of a proven answer without its proof: plan, tally, suppression, decoding.

use super::people::{SEED, random_people};
use super::{Planned, proofs_per_chunk};
use crate::args::{DryRunArgs, Duplicates, TableArgs};
use crate::error::{CliError, Kind};
use crate::output;
use crate::source::{Declared, Source, clear_answers, declare, used_columns};
use salus_circuits::aggregate::relation::{masked, tally};
use salus_circuits::layout::ChunkSize;
use salus_schema::answer::PassValues;
use salus_schema::plan::{Pass, Plan, VALUES};
use serde_json::{Value, json};

/// Answers the query on made-up people and compares with the clear-text oracle.
pub(super) fn run(planned: &Planned, args: &DryRunArgs) -> Result<Value, CliError> {
    // Lives until the oracle has read the table.
    let file;
    let declared = match &args.query.codebook {
        None => declare(None, &table(None), Some(args.members))?,
        Some(codebook) => {
            file = random_people(&planned.codebook, args.members)?;
            declare(
                Some(file.path()),
                &table(Some(codebook)),
                Some(args.members),
            )?
        }
    };
    let source = code(declared, planned)?;
    let (plan, decoder) =
        super::planner::plan(&planned.query, &source.codebook).map_err(internal)?;
    let size = ChunkSize::for_people(source.coded.people);
    let exact = totals(&plan, size, &source.coded.columns);
    let release = decoder
        .suppression_masks(&exact, u64::from(args.min_cell))
        .map_err(internal)?;
    if !release.allows(u64::from(args.min_cohort)) {
        let error = CliError::new(
            Kind::Refused,
            "cohort_below_minimum",
            format!(
                "dry run on synthetic people: fewer than {} of {} would be in the answer, so it would be withheld",
                args.min_cohort, source.coded.people
            ),
            "Widen the conditions, group less finely, or try more people with --members.",
        );
        return Err(error.at(
            Vec::new(),
            json!({"dry_run": true, "people": source.coded.people}),
        ));
    }
    let published: Vec<PassValues> = exact
        .iter()
        .zip(&release.masks)
        .map(|(values, &mask)| PassValues {
            values: masked(values, mask),
            mask,
        })
        .collect();
    let answer = decoder.decode(&published).map_err(internal)?;
    let clear = clear_answers(
        &source,
        std::slice::from_ref(&planned.query),
        u64::from(args.min_cell),
    )?;
    if clear.iter().any(|clear| clear.answer != answer) || clear.len() != 1 {
        return Err(internal(
            "the plan's answer differs from the clear-text answer",
        ));
    }
    let chunks = source.coded.people.div_ceil(size.slots());
    Ok(json!({
        "dry_run": true,
        "people": source.coded.people,
        "people_are": if args.query.codebook.is_some() { "random" } else { "synthetic cohort" },
        "seed": SEED,
        "query": planned.text,
        "sentence": planned.query.sentence(),
        "sql": planned.query.to_sql(),
        "hash": output::hex(&planned.query.hash()),
        "rows": answer.rows,
        "suppressed": answer.rows.iter().filter(|row| row.suppressed).count(),
        "min_cohort": args.min_cohort,
        "min_cell": args.min_cell,
        "clear_text_equal": true,
        "proofs": chunks * plan.passes().len() * proofs_per_chunk(plan.class()),
    }))
}

fn table(codebook: Option<&std::path::PathBuf>) -> TableArgs {
    TableArgs {
        codebook: codebook.cloned(),
        person_key: None,
        on_duplicate: Duplicates::Refuse,
        skip_after_header: None,
        columns: Vec::new(),
    }
}

fn code(declared: Declared, planned: &Planned) -> Result<Source, CliError> {
    declared.code(Some(&used_columns(std::slice::from_ref(&planned.query))))
}

fn internal(error: impl std::fmt::Display) -> CliError {
    CliError::new(
        Kind::Failed,
        "dry_run_failed",
        error,
        "Report this with the query and the codebook.",
    )
}

/// The exact values of each pass, summed over chunks and parts as the proofs do.
fn totals(plan: &Plan, size: ChunkSize, columns: &[Vec<u8>]) -> Vec<[u64; VALUES]> {
    let people = columns.first().map_or(0, Vec::len);
    let shapes = size.shapes(plan.class());
    let chunk_values = |pass: &Pass, from: usize| {
        let codes: Vec<Vec<u8>> = pass
            .columns()
            .iter()
            .map(|index| {
                let column = &columns[usize::from(index.0)];
                let mut codes = column[from..people.min(from + size.slots())].to_vec();
                codes.resize(size.slots(), salus_schema::column::EMPTY);
                codes
            })
            .collect();
        let mut values = [0u64; VALUES];
        for shape in &shapes {
            let part = tally(shape, pass, &codes).values;
            values
                .iter_mut()
                .zip(part)
                .for_each(|(sum, value)| *sum += value);
        }
        values
    };
    plan.passes()
        .iter()
        .map(|pass| {
            let mut values = [0u64; VALUES];
            for from in (0..people).step_by(size.slots()) {
                let chunk = chunk_values(pass, from);
                values
                    .iter_mut()
                    .zip(chunk)
                    .for_each(|(sum, value)| *sum += value);
            }
            values
        })
        .collect()
}

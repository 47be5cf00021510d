//! Made-up people for any codebook: every value equally likely, columns independent.

use crate::error::{CliError, Kind};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use salus_schema::codebook::Codebook;
use salus_schema::column::{Column, ColumnKind};
use std::io::Write;
use tempfile::NamedTempFile;

/// Seed of the made-up people and of the synthetic cohort.
pub(super) const SEED: u64 = salus_datasets::synthetic::DEFAULT_SEED;

/// One in so many values is missing where the codebook allows it.
const MISSING_ONE_IN: u32 = 20;

/// A table of made-up people as a temporary CSV file; the same for the same codebook.
///
/// # Errors
/// When the temporary file cannot be written.
pub(super) fn random_people(codebook: &Codebook, people: usize) -> Result<NamedTempFile, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(
            Kind::Failed,
            "temporary_file",
            format!("a temporary file cannot be written: {error}"),
            "Free some disk space, or point TMPDIR at a directory that can be written.",
        )
    };
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let file = NamedTempFile::new().map_err(failed)?;
    let mut writer = std::io::BufWriter::new(file);
    let key = codebook.person_key();
    let names = key
        .into_iter()
        .chain(codebook.columns().iter().map(Column::name));
    line(&mut writer, names.map(str::to_owned)).map_err(failed)?;
    for person in 0..people {
        let key = key.map(|_| person.to_string());
        let cells = codebook
            .columns()
            .iter()
            .map(|column| cell(column, &mut rng));
        line(
            &mut writer,
            key.into_iter().chain(cells.collect::<Vec<_>>()),
        )
        .map_err(failed)?;
    }
    writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))
}

fn line(writer: &mut impl Write, cells: impl Iterator<Item = String>) -> std::io::Result<()> {
    let quoted: Vec<String> = cells
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
        .collect();
    writeln!(writer, "{}", quoted.join(","))
}

fn cell(column: &Column, rng: &mut ChaCha20Rng) -> String {
    if let Some(marker) = column.missing().first()
        && rng.gen_ratio(1, MISSING_ONE_IN)
    {
        return marker.clone();
    }
    let position = rng.gen_range(0..column.kind().count());
    match column.kind() {
        ColumnKind::Categorical(set) | ColumnKind::Ordered(set) => {
            set.entries()[position].value.clone()
        }
        ColumnKind::Bucketed(buckets) => buckets.edges()[position].to_string(),
        ColumnKind::Exact(grid) => grid.value(position).to_string(),
    }
}

//! Data on stdout. A reader who leaves early is no error; a full disk is.

use crate::error::{CliError, Kind};
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// Prints text as it is.
///
/// # Errors
/// When stdout cannot take it (a full disk); not when its reader has gone.
pub fn text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::new(
            Kind::Failed,
            "stdout",
            format!("the result cannot be written: {error}"),
            "Free some disk space or write to another place, then run again.",
        )),
        _ => Ok(()),
    }
}

/// Prints one JSON document and a line end.
///
/// # Errors
/// As [`text`].
pub fn json(document: &Value) -> Result<(), CliError> {
    text(&format!("{document}\n"))
}

/// Rows of cells as text, columns aligned and indented by two blanks; the first row is the header.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            line.push(' ');
            line.push_str(cell);
            let blanks = width.saturating_sub(cell.chars().count()) + 1;
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `0x` and the bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

/// `1 person`, `2 people`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = aligned(&[row(["a", "b"]), row(["\u{fc}ber", ""]), row(["c", "d"])]);
        assert_eq!(text, "  a     b\n  \u{fc}ber\n  c     d\n");
    }

    #[test]
    fn hexadecimal_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 0x0f, 0xa0]), "0x000fa0");
    }
}

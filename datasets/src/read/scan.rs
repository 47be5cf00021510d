//! The record scanner: strict RFC 4180 over one block of bytes.
//!
//! polars parses the fields. It does not promise to notice a malformed file, and what it notices
//! it cannot place; so every record is checked here first, and only a block in which the two
//! parsers cannot disagree is handed on.

use super::ReadError;

/// Limits that keep one hostile record from taking the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub field_bytes: usize,
    pub record_bytes: usize,
}

/// What one record looked like.
pub(crate) enum Record {
    /// `end` is the offset behind its line end, `content_end` the offset before it.
    Whole {
        end: usize,
        content_end: usize,
        fields: usize,
        next_line: u64,
    },
    /// The block ends before the record does.
    Cut,
}

/// Scans the record that starts at `raw[start]`, on line `line`.
///
/// `last` says that the stream ends with `raw`, so that a record may end without a line feed.
/// `on_field` receives each field's range, quotes included.
pub(crate) fn scan_record(
    raw: &[u8],
    start: usize,
    line: u64,
    delimiter: u8,
    last: bool,
    limits: Limits,
    mut on_field: impl FnMut(usize, usize),
) -> Result<Record, ReadError> {
    let mut pos = start;
    let mut here = line;
    let mut fields = 0usize;
    loop {
        let field_start = pos;
        let too_long = |at: usize| at - field_start > limits.field_bytes + 2;
        let field_error = ReadError::FieldTooLong {
            line,
            field: fields + 1,
            limit: limits.field_bytes,
        };
        if raw.get(pos) == Some(&b'"') {
            let opened = here;
            pos += 1;
            loop {
                match raw.get(pos) {
                    Some(b'"') if raw.get(pos + 1) == Some(&b'"') => pos += 2,
                    Some(b'"') => {
                        // The next byte decides between a doubled and a closing quote.
                        if pos + 1 == raw.len() && !last {
                            return Ok(Record::Cut);
                        }
                        pos += 1;
                        break;
                    }
                    Some(b'\n') => {
                        here += 1;
                        pos += 1;
                    }
                    Some(_) => pos += 1,
                    None if too_long(pos) => return Err(field_error),
                    None if last => return Err(ReadError::UnclosedQuote { line: opened }),
                    None => return Ok(Record::Cut),
                }
            }
        } else {
            while let Some(&byte) = raw.get(pos) {
                if byte == delimiter || byte == b'\n' || byte == b'\r' || byte == b'"' {
                    break;
                }
                pos += 1;
            }
        }
        if too_long(pos) {
            return Err(field_error);
        }
        fields += 1;
        if pos - start > limits.record_bytes {
            return Err(ReadError::RecordTooLong {
                line,
                limit: limits.record_bytes,
            });
        }
        on_field(field_start, pos);
        match raw.get(pos) {
            Some(&byte) if byte == delimiter => pos += 1,
            Some(b'\n') => {
                return Ok(Record::Whole {
                    end: pos + 1,
                    content_end: pos,
                    fields,
                    next_line: here + 1,
                });
            }
            Some(b'\r') => match raw.get(pos + 1) {
                Some(b'\n') => {
                    return Ok(Record::Whole {
                        end: pos + 2,
                        content_end: pos,
                        fields,
                        next_line: here + 1,
                    });
                }
                None if !last => return Ok(Record::Cut),
                _ => return Err(ReadError::BareCarriageReturn { line: here }),
            },
            Some(_) => {
                return Err(ReadError::StrayQuote {
                    line: here,
                    field: fields,
                });
            }
            None if last => {
                return Ok(Record::Whole {
                    end: pos,
                    content_end: pos,
                    fields,
                    next_line: here + 1,
                });
            }
            None => return Ok(Record::Cut),
        }
    }
}

/// The text of one field as the file's author meant it: without enclosing quotes, doubled quotes
/// halved.
pub(crate) fn unquote(field: &str) -> String {
    match field
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.to_owned(),
    }
}

/// Whole records of a block, ready for polars.
pub(crate) struct Block {
    /// The records, one header line of ours in front, every record ended by one line feed.
    pub bytes: Vec<u8>,
    /// The source line on which each record starts, from 1.
    pub lines: Vec<u64>,
    /// How many bytes of the input the records took.
    pub consumed: usize,
    /// The line of the first byte that was not consumed.
    pub next_line: u64,
    /// Blank lines that were passed over.
    pub blank: u64,
}

/// Scans as many whole records as `raw` holds.
///
/// A line without a single byte is no record in a table of two or more columns and is passed
/// over; in a table of one column it is a record whose only field is missing.
pub(crate) fn scan_block(
    raw: &[u8],
    first_line: u64,
    columns: usize,
    delimiter: u8,
    last: bool,
    limits: Limits,
) -> Result<Block, ReadError> {
    let mut bytes = Vec::with_capacity(raw.len() + 16 * columns);
    // A header of our own in front of every block: polars sniffs the first bytes of its input for
    // compressed streams and for blank lines, and a cell must never be mistaken for either.
    for column in 0..columns {
        if column > 0 {
            bytes.push(delimiter);
        }
        bytes.extend_from_slice(format!("c{column}").as_bytes());
    }
    bytes.push(b'\n');
    let mut block = Block {
        bytes,
        lines: Vec::new(),
        consumed: 0,
        next_line: first_line,
        blank: 0,
    };
    while block.consumed < raw.len() {
        let start = block.consumed;
        let line = block.next_line;
        match scan_record(raw, start, line, delimiter, last, limits, |_, _| {})? {
            Record::Cut => break,
            Record::Whole {
                end,
                content_end,
                fields,
                next_line,
            } => {
                let content = &raw[start..content_end];
                if content.is_empty() && columns > 1 {
                    block.blank += 1;
                } else if fields != columns {
                    return Err(ReadError::Ragged {
                        line,
                        expected: columns,
                        found: fields,
                    });
                } else {
                    let text: &[u8] = if content.is_empty() { b"\"\"" } else { content };
                    block.bytes.extend_from_slice(text);
                    block.bytes.push(b'\n');
                    block.lines.push(line);
                }
                block.consumed = end;
                block.next_line = next_line;
            }
        }
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: Limits = Limits {
        field_bytes: 1 << 20,
        record_bytes: 16 << 20,
    };

    fn block(text: &str, columns: usize, last: bool) -> Result<Block, ReadError> {
        scan_block(text.as_bytes(), 1, columns, b',', last, LIMITS)
    }

    fn body(block: &Block) -> String {
        let text = String::from_utf8(block.bytes.clone()).unwrap();
        text.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn takes_whole_records_and_leaves_the_cut_one() {
        let found = block("1,2\n3,4\n5,", 2, false).unwrap();
        assert_eq!(body(&found), "1,2\n3,4\n");
        assert_eq!((found.consumed, found.next_line), (8, 3));
        let found = block("1,2\n3,4", 2, true).unwrap();
        assert_eq!(body(&found), "1,2\n3,4\n");
    }

    #[test]
    fn a_quoted_line_break_keeps_the_line_numbers_right() {
        let found = block("\"a\nb\",1\r\n\"say \"\"hi\"\"\",2\n\n\n7,8\n", 2, true).unwrap();
        assert_eq!(found.lines, [1, 3, 6]);
        assert_eq!(found.blank, 2);
        assert_eq!(body(&found), "\"a\nb\",1\n\"say \"\"hi\"\"\",2\n7,8\n");
    }

    #[test]
    fn a_block_cut_at_any_byte_yields_the_same_records() {
        let text = "\"a\nb\",1\r\n\"say \"\"hi\"\"\",2\r\n,\r\n\"\",\"\"\r\n";
        let whole = body(&block(text, 2, true).unwrap());
        for cut in 0..text.len() {
            let head = block(&text[..cut], 2, false).unwrap();
            let rest = scan_block(
                &text.as_bytes()[head.consumed..],
                head.next_line,
                2,
                b',',
                true,
                LIMITS,
            )
            .unwrap();
            assert_eq!(
                format!("{}{}", body(&head), body(&rest)),
                whole,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_blank_line_is_a_missing_cell_only_in_a_single_column() {
        assert_eq!(body(&block("1\n\n2\n", 1, true).unwrap()), "1\n\"\"\n2\n");
        assert_eq!(body(&block("1,1\n\n2,2\n", 2, true).unwrap()), "1,1\n2,2\n");
    }

    #[test]
    fn rejects_malformed_records_with_their_line() {
        let error = |text: &str| block(text, 2, true).err().unwrap();
        assert!(matches!(
            error("1,2\n3\n"),
            ReadError::Ragged {
                line: 2,
                expected: 2,
                found: 1
            }
        ));
        assert!(matches!(
            error("1,2\n3,4,5\n"),
            ReadError::Ragged {
                line: 2,
                found: 3,
                ..
            }
        ));
        assert!(matches!(
            error("1,2\n\"3,4\n5,6\n"),
            ReadError::UnclosedQuote { line: 2 }
        ));
        assert!(matches!(
            error("1,5\" pipe\n"),
            ReadError::StrayQuote { line: 1, field: 2 }
        ));
        assert!(matches!(
            error("\"a\"b,1\n"),
            ReadError::StrayQuote { line: 1, field: 1 }
        ));
        assert!(matches!(
            error("1,2\r3,4\r"),
            ReadError::BareCarriageReturn { line: 1 }
        ));
    }

    #[test]
    fn rejects_a_field_and_a_record_over_the_limit() {
        let limits = Limits {
            field_bytes: 8,
            record_bytes: 20,
        };
        let scan = |text: &str, last| scan_block(text.as_bytes(), 1, 3, b',', last, limits);
        let long = format!("1,\"{}", "x".repeat(64));
        assert!(matches!(
            scan(&long, false).err().unwrap(),
            ReadError::FieldTooLong {
                line: 1,
                field: 2,
                limit: 8
            }
        ));
        assert!(matches!(
            scan("12345678,12345678,12345678\n", true).err().unwrap(),
            ReadError::RecordTooLong { line: 1, .. }
        ));
        assert!(scan("12345678,1,1\n", true).is_ok());
    }
}

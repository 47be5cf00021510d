//! Every way in which a source file can be wrong ends in an error that names the place.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use salus_datasets::read::{Batch, ReadError, ReadOptions, SourceFormat, TableReader};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// One row's texts; None where a cell is empty.
type Row = Vec<Option<String>>;

fn cells(batch: &Batch) -> Vec<Row> {
    let columns: Vec<_> = batch
        .frame()
        .columns()
        .iter()
        .map(|c| c.str().unwrap())
        .collect();
    (0..batch.height())
        .map(|row| {
            columns
                .iter()
                .map(|c| c.get(row).filter(|t| !t.is_empty()).map(str::to_owned))
                .collect()
        })
        .collect()
}

fn read_with(path: &Path, options: &ReadOptions) -> Result<(Vec<String>, Vec<Row>), ReadError> {
    let mut reader = TableReader::open(path, options)?;
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        rows.extend(cells(&batch));
    }
    Ok((reader.names().to_vec(), rows))
}

fn error(bytes: impl AsRef<[u8]>) -> ReadError {
    let folder = Folder::new();
    let error = read_with(&folder.file("t.csv", bytes), &ReadOptions::default()).unwrap_err();
    assert!(error.code().starts_with("read."), "{}", error.code());
    assert!(error.next_step().ends_with('.'), "{}", error.next_step());
    error
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn some(texts: &[&str]) -> Row {
    texts
        .iter()
        .map(|t| (!t.is_empty()).then(|| t.to_string()))
        .collect()
}

#[test]
fn ragged_rows_name_their_line() {
    assert!(matches!(
        error("a,b\n1,2\n3\n"),
        ReadError::Ragged {
            line: 3,
            expected: 2,
            found: 1
        }
    ));
    assert!(matches!(
        error("a;b\n1;2\n3;4;5\n"),
        ReadError::Ragged {
            line: 3,
            found: 3,
            ..
        }
    ));
    let multiline = "a,b\n\"x\ny\nz\",2\n3\n";
    assert!(matches!(
        error(multiline),
        ReadError::Ragged { line: 5, .. }
    ));
}

#[test]
fn wrong_encodings_name_byte_and_line() {
    assert!(matches!(
        error(b"name,n\nAna,1\nJos\xe9,2\n"),
        ReadError::NotUtf8 {
            line: 3,
            offset: 16
        }
    ));
    assert!(matches!(
        error(b"a,b\n1,\xff\n"),
        ReadError::NotUtf8 { line: 2, offset: 6 }
    ));
    assert!(matches!(
        error(b"a,b\n1,\xe2\x82"),
        ReadError::NotUtf8 { line: 2, offset: 6 }
    ));
    assert!(matches!(
        error(b"\xff\xfea\0,\0b\0\n\0"),
        ReadError::NotATable { .. }
    ));
    assert!(matches!(
        error(b"a\0,\0b\0\n\0"),
        ReadError::Nul { line: 1, offset: 1 }
    ));
}

#[test]
fn the_place_of_a_bad_byte_is_right_in_a_later_batch() {
    let folder = Folder::new();
    let mut text = b"name,n\n".to_vec();
    for i in 0..1000 {
        text.extend_from_slice(format!("J\u{f6}rg,{i}\n").as_bytes());
    }
    let offset = text.len() as u64 + 1;
    text.extend_from_slice(b"J\xf6rg,1000\n");
    for batch_bytes in [1, 7, 64, 100, 1 << 20] {
        let options = ReadOptions {
            batch_bytes,
            ..ReadOptions::default()
        };
        let error = read_with(&folder.file("t.csv", &text), &options).unwrap_err();
        assert!(
            matches!(error, ReadError::NotUtf8 { line: 1002, offset: o } if o == offset),
            "{batch_bytes}: {error}"
        );
    }
}

#[test]
fn nul_bytes_are_refused() {
    assert!(matches!(
        error(b"a,b\n1,2\n3,\x004\n"),
        ReadError::Nul {
            line: 3,
            offset: 10
        }
    ));
}

#[test]
fn a_field_of_ten_megabytes_is_refused() {
    let huge = format!("a,b\n1,2\n3,{}\n", "x".repeat(10_000_000));
    assert!(matches!(
        error(&huge),
        ReadError::FieldTooLong {
            line: 3,
            field: 2,
            ..
        }
    ));
    let quoted = format!("a,b\n1,2\n3,\"{}\"\n", "x\n".repeat(5_000_000));
    assert!(matches!(
        error(&quoted),
        ReadError::FieldTooLong {
            line: 3,
            field: 2,
            ..
        }
    ));
    let header = format!("a,{}\n1,2\n", "x".repeat(10_000_000));
    assert!(matches!(
        error(&header),
        ReadError::FieldTooLong { line: 1, .. }
    ));
}

#[test]
fn quotes_must_enclose_and_close() {
    assert!(matches!(
        error("a,b\n1,\"2\n3,4\n"),
        ReadError::UnclosedQuote { line: 2 }
    ));
    assert!(matches!(
        error("a,b\n1,2\" tube\n"),
        ReadError::StrayQuote { line: 2, field: 2 }
    ));
    assert!(matches!(
        error("a,b\r1,2\r"),
        ReadError::BareCarriageReturn { line: 1 }
    ));
}

#[test]
fn headers_must_name_every_column_once() {
    assert!(matches!(
        error("a,,c\n1,2,3\n"),
        ReadError::EmptyName { position: 2 }
    ));
    assert!(matches!(
        error("a,b,a\n1,2,3\n"),
        ReadError::DuplicateName {
            first: 1,
            second: 3,
            ..
        }
    ));
    let wide = vec!["c"; 5000]
        .iter()
        .enumerate()
        .map(|(i, c)| format!("{c}{i}"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(matches!(
        error(wide + "\n"),
        ReadError::TooManyColumns { found: 5000, .. }
    ));
}

#[test]
fn empty_tables_are_refused() {
    assert!(matches!(error(""), ReadError::Empty { .. }));
    assert!(matches!(error("\n\n"), ReadError::Empty { .. }));
    assert!(matches!(error("\u{feff}"), ReadError::Empty { .. }));
    assert!(matches!(error("a,b\n"), ReadError::HeaderOnly { .. }));
    assert!(matches!(error("a,b"), ReadError::HeaderOnly { .. }));
    assert!(matches!(error("a,b\n\n\n"), ReadError::HeaderOnly { .. }));
}

#[test]
fn what_is_not_a_readable_file_is_refused() {
    let folder = Folder::new();
    let open = |path: &Path| {
        TableReader::open(path, &ReadOptions::default())
            .err()
            .unwrap()
    };
    assert!(matches!(
        open(folder.0.path()),
        ReadError::IsDirectory { .. }
    ));
    assert!(matches!(
        open(&folder.0.path().join("absent.csv")),
        ReadError::NotFound { .. }
    ));
    assert!(matches!(
        error(b"PK\x03\x04rest"),
        ReadError::NotATable { .. }
    ));
    assert!(matches!(
        error(b"PAR1 but nothing else"),
        ReadError::DamagedParquet { .. }
    ));
    #[cfg(target_os = "linux")]
    assert!(matches!(
        open(Path::new("/dev/null")),
        ReadError::NotRegular { .. }
    ));
}

#[cfg(unix)]
#[test]
fn a_file_without_read_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.file("t.csv", "a,b\n1,2\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let error = read_with(&path, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, ReadError::PermissionDenied { .. }));
}

#[test]
fn a_file_that_vanishes_shrinks_or_grows_midway_is_no_shorter_table() {
    let folder = Folder::new();
    let text = format!("a,b\n{}", "1,2\n".repeat(1000));
    let options = ReadOptions {
        batch_bytes: 100,
        ..ReadOptions::default()
    };
    let started = |name: &str| {
        let path = folder.file(name, &text);
        let mut reader = TableReader::open(&path, &options).unwrap();
        assert!(reader.next_batch().unwrap().is_some());
        (path, reader)
    };
    let rest = |mut reader: TableReader| loop {
        match reader.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("read to its end"),
            Err(error) => return error,
        }
    };
    let (path, reader) = started("vanish.csv");
    fs::remove_file(&path).unwrap();
    assert!(matches!(rest(reader), ReadError::Vanished { .. }));

    let (path, reader) = started("shrink.csv");
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(500)
        .unwrap();
    assert!(matches!(rest(reader), ReadError::Changed { .. }));

    let (path, reader) = started("grow.csv");
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"9,9\n")
        .unwrap();
    assert!(matches!(rest(reader), ReadError::Changed { .. }));
}

#[test]
fn a_cut_or_damaged_gzip_is_refused() {
    let folder = Folder::new();
    let text = format!("a,b\n{}", "1,2\n3,44\n".repeat(1000));
    let whole = gzip(text.as_bytes());
    let path = folder.file("t.csv.gz", &whole);
    let (_, rows) = read_with(&path, &ReadOptions::default()).unwrap();
    assert_eq!(rows.len(), 2000);
    let shape = TableReader::open(&path, &ReadOptions::default())
        .unwrap()
        .shape();
    assert_eq!(
        shape.format,
        SourceFormat::Delimited {
            delimiter: b',',
            gzip: true
        }
    );
    assert!(matches!(
        error(&whole[..whole.len() - 5]),
        ReadError::DamagedGzip { .. }
    ));
    assert!(matches!(
        error(&whole[..whole.len() / 2]),
        ReadError::DamagedGzip { .. }
    ));
    let mut damaged = whole.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(matches!(error(&damaged), ReadError::DamagedGzip { .. }));
    let twice = [gzip(b"a,b\n1,2\n"), gzip(b"3,4\n")].concat();
    let (_, rows) = read_with(&folder.file("two.gz", twice), &ReadOptions::default()).unwrap();
    assert_eq!(
        rows,
        [some(&["1", "2"]), some(&["3", "4"])],
        "both gzip members are read"
    );
}

#[test]
fn texts_arrive_as_they_stand_whatever_the_batch() {
    let folder = Folder::new();
    let text = "\u{feff}a, b ,c\r\nx^2,\"say \"\"hi\"\", ok\",1.0\r\n\r\n,\"\",\"two\r\nlines\"\r\n\u{feff}z,0001,-0.50\r\nd, e ,f";
    let expected = [
        some(&["x^2", "say \"hi\", ok", "1.0"]),
        some(&["", "", "two\r\nlines"]),
        some(&["\u{feff}z", "0001", "-0.50"]),
        some(&["d", " e ", "f"]),
    ];
    let path = folder.file("t.csv", text);
    for batch_bytes in [1, 2, 3, 5, 8, 13, 21, 34, 55, 1 << 20] {
        let options = ReadOptions {
            batch_bytes,
            ..ReadOptions::default()
        };
        let (names, rows) = read_with(&path, &options).unwrap();
        assert_eq!(names, ["a", "b", "c"], "batches of {batch_bytes}");
        assert_eq!(rows, expected, "batches of {batch_bytes}");
    }
}

#[test]
fn a_single_column_keeps_its_empty_lines() {
    let folder = Folder::new();
    let path = folder.file("t.csv", "v\n\n1\n\n2\n");
    for batch_bytes in [1, 2, 1 << 20] {
        let options = ReadOptions {
            batch_bytes,
            ..ReadOptions::default()
        };
        let (_, rows) = read_with(&path, &options).unwrap();
        assert_eq!(rows, [some(&[""]), some(&["1"]), some(&[""]), some(&["2"])]);
    }
}

#[test]
fn columns_are_selected_by_name_and_in_order() {
    let folder = Folder::new();
    let path = folder.file("t.csv", "a,b,c\n1,2,3\n4,5,6\n");
    let mut reader = TableReader::open(&path, &ReadOptions::default()).unwrap();
    let error = reader.select(&["nope".into()]).unwrap_err();
    assert!(matches!(&error, ReadError::UnknownColumn { name, .. } if name == "nope"));
    assert!(error.next_step().contains("a, b, c"));
    reader.select(&["c".into(), "a".into()]).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!(cells(&batch), [some(&["3", "1"]), some(&["6", "4"])]);
}

#[test]
fn a_given_delimiter_is_obeyed_and_an_impossible_one_refused() {
    let folder = Folder::new();
    let path = folder.file("t.csv", "a:b,c\n1:2,3\n");
    let with = |delimiter| ReadOptions {
        delimiter: Some(delimiter),
        ..ReadOptions::default()
    };
    let (names, rows) = read_with(&path, &with(b':')).unwrap();
    assert_eq!(
        (names, rows),
        (vec!["a".into(), "b,c".into()], vec![some(&["1", "2,3"])])
    );
    assert!(matches!(
        read_with(&path, &with(b'"')),
        Err(ReadError::BadDelimiter { found: '"' })
    ));
}

#[test]
fn parquet_columns_arrive_as_exact_texts_and_others_are_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/types.parquet");
    let mut reader = TableReader::open(&path, &ReadOptions::default()).unwrap();
    let unreadable: Vec<String> = reader
        .unreadable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(unreadable, ["date", "ts", "dec", "list", "bin"]);
    let error = reader.select(&["date".into()]).unwrap_err();
    assert!(matches!(error, ReadError::UnreadableColumn { ref name, .. } if name == "date"));
    let wanted = ["i8", "u16", "i64", "f64", "f32", "bool", "text", "cat"].map(str::to_owned);
    reader.select(&wanted).unwrap();
    let rows = cells(&reader.next_batch().unwrap().unwrap());
    assert_eq!(
        rows[0],
        some(&["1", "1", "1", "1", "0.1", "true", "a", "x"])
    );
    assert_eq!(
        rows[1],
        some(&["-2", "2", "2", "0.1", "1", "false", "", "y"])
    );
    assert_eq!(rows[2], some(&["", "3", "3", "", "2.5", "", "c", ""]));
    assert_eq!(
        rows[4],
        some(&[
            "5",
            "65535",
            "",
            "3.7982000000000005",
            "3.3",
            "true",
            "\u{fc}",
            "y"
        ])
    );
    assert!(reader.next_batch().unwrap().is_none());
}

#[test]
fn a_damaged_parquet_file_is_refused_wherever_it_is_cut() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/types.parquet");
    let whole = fs::read(path).unwrap();
    let folder = Folder::new();
    for cut in [5, 100, whole.len() / 2, whole.len() - 1] {
        let path = folder.file("cut.parquet", &whole[..cut]);
        let error = read_with(&path, &ReadOptions::default()).unwrap_err();
        assert!(
            matches!(error, ReadError::DamagedParquet { .. }),
            "{cut}: {error}"
        );
    }
}

/// A table of random texts as strict CSV.
fn to_csv(rows: &[Vec<String>], separator: char, end: &str) -> String {
    let field = |text: &String| {
        let plain = !text.contains(['"', '\n', '\r', separator]);
        if plain {
            text.clone()
        } else {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
    };
    let line = |row: &Vec<String>| {
        row.iter()
            .map(field)
            .collect::<Vec<_>>()
            .join(&separator.to_string())
    };
    rows.iter().map(|row| line(row) + end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_texts_come_back_as_they_were_written(
        rows in (2..5usize).prop_flat_map(|width| {
            let cell = "[ -~\\n\\r\"\u{e4}\u{20ac}\u{1f9ec}x^]{0,12}";
            proptest::collection::vec(proptest::collection::vec(cell, width), 1..20)
        }),
        separator in proptest::sample::select(vec![',', ';', '\t', '|']),
        crlf in any::<bool>(),
        batch_bytes in 1..200usize,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let header: Vec<String> = (0..rows[0].len()).map(|i| format!("c{i}")).collect();
        let text = to_csv(&[header], separator, end) + &to_csv(&rows, separator, end);
        let folder = Folder::new();
        let options =
            ReadOptions { delimiter: Some(separator as u8), batch_bytes, ..ReadOptions::default() };
        let (_, found) = read_with(&folder.file("t.csv", text), &options).unwrap();
        let expected: Vec<Row> =
            rows.iter().map(|row| some(&row.iter().map(String::as_str).collect::<Vec<_>>())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_end_in_a_table_or_an_error(
        head in proptest::sample::select(vec![&b""[..], b"a,b\n", b"PAR1", b"\x1f\x8b\x08", b"\xef\xbb\xbf\"a\""]),
        tail in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b",\"\n\r;\t1 ".to_vec())], 0..200
        ),
        batch_bytes in 1..100usize,
    ) {
        let folder = Folder::new();
        let path = folder.file("t", [head, &tail[..]].concat());
        let options = ReadOptions { batch_bytes, ..ReadOptions::default() };
        if let Err(error) = read_with(&path, &options) {
            prop_assert!(error.code().starts_with("read."));
        }
    }
}

//! `manifest.json`: what a bundle is about and the SHA-256 of its files; `queries.json`: what was asked and answered.

use super::format::FormatError;
use super::{BundleQuery, chain, keys, sealed};
use crate::error::CliError;
use crate::sealed::uploads;
use salus_contracts::deploy::Deployment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// Name of the manifest.
pub const NAME: &str = "manifest.json";
/// Name of the codebook.
pub const CODEBOOK: &str = "codebook.toml";
/// Name of the queries.
pub const QUERIES: &str = "queries.json";
/// Version of the bundle format.
pub const BUNDLE_VERSION: u32 = 1;
/// Every file that each bundle has beside its manifest.
pub const FILES: [&str; 5] = [CODEBOOK, keys::KEYS, keys::BASIS, chain::NAME, QUERIES];
/// What a bundle of a dataset with sealed answers has as well, beside its blobs.
pub const SEALED_FILES: [&str; 2] = [uploads::NAME, sealed::NAME];
/// Bytes of a text file, at most.
const MAX_TEXT: u64 = 256 << 20;

/// What a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of the bundle.
    pub version: u32,
    /// Where the contracts are.
    pub deployment: Deployment,
    /// The dataset.
    pub dataset: u32,
    /// Last block that was looked at.
    pub last_block: u64,
    /// How much there is.
    pub counts: Counts,
    /// Size and hash of every other file, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// How much a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Transactions in chain.bin.
    pub transactions: u64,
    /// Keys in keys.bin.
    pub keys: u64,
    /// Bases in basis.bin.
    pub slots: u64,
    /// Queries in queries.json.
    pub queries: u64,
}

/// Size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueriesFile {
    version: u32,
    queries: Vec<QueryEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryEntry {
    sql: String,
    body: String,
    #[serde(with = "hex_bytes")]
    plan: Vec<u8>,
    #[serde(with = "hex_bytes")]
    query_id: Vec<u8>,
    answer: Value,
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&salus_contracts::primitives::hex::encode_prefixed(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        salus_contracts::primitives::hex::decode(text).map_err(D::Error::custom)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FormatError + '_ {
    move |source| FormatError::File {
        path: path.to_owned(),
        source,
    }
}

/// The error of a text that does not say what it should.
pub fn text(path: &Path, reason: impl std::fmt::Display) -> FormatError {
    FormatError::Text {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Reads a text file of a bundle.
pub fn read_text(dir: &Path, name: &str) -> Result<String, FormatError> {
    let path = dir.join(name);
    let mut out = Vec::new();
    let file = File::open(&path).map_err(failed(&path))?;
    file.take(MAX_TEXT + 1)
        .read_to_end(&mut out)
        .map_err(failed(&path))?;
    if out.len() as u64 > MAX_TEXT {
        return Err(FormatError::Range {
            path,
            what: "length",
            found: out.len() as u64,
        });
    }
    String::from_utf8(out).map_err(|e| text(&path, e))
}

/// Size and hash of a file of a bundle.
pub fn digest(dir: &Path, name: &str) -> Result<FileEntry, FormatError> {
    let path = dir.join(name);
    let mut file = BufReader::with_capacity(1 << 18, File::open(&path).map_err(failed(&path))?);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer).map_err(failed(&path))? {
            0 => break,
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
    let sha256 = salus_contracts::primitives::hex::encode(hash.finalize());
    Ok(FileEntry { bytes, sha256 })
}

impl Manifest {
    /// Reads the manifest of a bundle.
    ///
    /// # Errors
    /// It is missing, malformed, of another version, or does not name exactly the files of a bundle.
    pub fn read(dir: &Path) -> Result<Self, CliError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = dir.join(NAME);
        let json = read_text(dir, NAME)?;
        let versioned: Versioned = serde_json::from_str(&json).map_err(|e| text(&path, e))?;
        if versioned.version != BUNDLE_VERSION {
            return Err(FormatError::Version {
                path,
                found: versioned.version,
            }
            .into());
        }
        let manifest: Self = serde_json::from_str(&json).map_err(|e| text(&path, e))?;
        let has = |name: &&str| manifest.files.contains_key(*name);
        let sealed = SEALED_FILES.iter().filter(|name| has(name)).count();
        let whole = FILES.iter().all(has)
            && (sealed == 0 || sealed == SEALED_FILES.len())
            && manifest.files.len() == FILES.len() + sealed;
        if !whole {
            return Err(text(&path, "it does not name the files of a bundle").into());
        }
        Ok(manifest)
    }

    /// The files of the bundle.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        let all = FILES.into_iter().chain(SEALED_FILES);
        all.filter(|name| self.files.contains_key(*name))
    }

    /// Whether the bundle has uploads, sums and blobs of the sealed path.
    pub fn is_sealed(&self) -> bool {
        self.files.contains_key(sealed::NAME)
    }

    /// Writes the manifest.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        write_json(dir, NAME, self)
    }
}

/// Writes `value` as a text file of a bundle.
pub fn write_json(dir: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(dir.join(name))?);
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

/// Writes queries.json.
pub fn write_queries(dir: &Path, queries: &[BundleQuery]) -> io::Result<()> {
    let queries = queries
        .iter()
        .map(|query| QueryEntry {
            sql: query.sql.clone(),
            body: query.body.clone(),
            plan: query.plan.clone(),
            query_id: query.query_id.to_vec(),
            answer: query.answer.clone(),
        })
        .collect();
    write_json(
        dir,
        QUERIES,
        &QueriesFile {
            version: BUNDLE_VERSION,
            queries,
        },
    )
}

/// Reads queries.json.
pub fn read_queries(dir: &Path) -> Result<Vec<BundleQuery>, FormatError> {
    let path = dir.join(QUERIES);
    let file: QueriesFile =
        serde_json::from_str(&read_text(dir, QUERIES)?).map_err(|e| text(&path, e))?;
    if file.version != BUNDLE_VERSION {
        return Err(FormatError::Version {
            path,
            found: file.version,
        });
    }
    file.queries
        .into_iter()
        .map(|entry| {
            let query_id = entry
                .query_id
                .try_into()
                .map_err(|_| text(&path, "a query id has 32 bytes"))?;
            Ok(BundleQuery {
                sql: entry.sql,
                body: entry.body,
                plan: entry.plan,
                query_id,
                answer: entry.answer,
            })
        })
        .collect()
}

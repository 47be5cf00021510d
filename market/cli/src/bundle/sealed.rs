//! `sealed.json`: which blobs of a bundle are whose keys, sums, links and evaluations.
//!
//! Nothing in it is believed: keys, snapshots and hashes are on chain, and every blob is named by its hash. It only says
//! where to look.

use super::format::FormatError;
use super::manifest::{read_text, text, write_json};
use salus_blobs::ContentId;
use salus_contracts::client::CommitteeKind;
use salus_contracts::primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Name of the file.
pub const NAME: &str = "sealed.json";
/// Version of the file.
pub const VERSION: u32 = 1;
/// Entries of one kind, at most.
const MAX_ENTRIES: usize = 1 << 16;

/// Where the public parts of the sealed path are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealedBundle {
    /// Committees and their keys.
    pub committees: Vec<CommitteeEntry>,
    /// Sums that were opened.
    pub sums: Vec<SumEntry>,
    /// Custodians' links between uploads and commitments.
    pub links: Vec<LinkEntry>,
    /// Ad-hoc evaluations that were opened.
    pub evaluations: Vec<EvaluationEntry>,
}

/// A committee's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeEntry {
    /// Its id on chain.
    pub id: B256,
    /// How its key came about.
    pub kind: CommitteeKind,
    /// Blob of the public key.
    #[serde(with = "cid")]
    pub key: ContentId,
}

/// The sum of a snapshot's uploads to a cube.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumEntry {
    /// The committee that holds its key.
    pub committee: B256,
    /// The snapshot.
    pub snapshot: u32,
    /// The cube's id.
    pub cube: B256,
    /// Blob of the finished sum.
    #[serde(with = "cid")]
    pub sum: ContentId,
}

/// A custodian's proof that uploads and column commitments hold the same records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    /// The committee that opened its forms.
    pub committee: B256,
    /// The snapshot.
    pub snapshot: u32,
    /// The cube's id.
    pub cube: B256,
    /// Blob of the statement.
    #[serde(with = "cid")]
    pub statement: ContentId,
    /// Blob of the proof.
    #[serde(with = "cid")]
    pub proof: ContentId,
    /// Blobs of the masks' ciphertexts, by repetition.
    #[serde(with = "cids")]
    pub masks: Vec<ContentId>,
    /// What was contributed to the public coin; empty when the bundle does not show where it came from.
    pub coin_seeds: Vec<B256>,
    /// The holders' signatures on the outcome of their check, 65 bytes each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Bytes>,
}

/// An evaluation of a query on ad-hoc ciphertexts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationEntry {
    /// The query's id on chain.
    pub query: B256,
    /// Hash of the keys that it was computed with.
    pub keys: B256,
    /// Blob of the list of uploads.
    #[serde(with = "cid")]
    pub uploads: ContentId,
    /// Blob of the output.
    #[serde(with = "cid")]
    pub output: ContentId,
    /// What its answer names as the hash of the ciphertexts.
    pub hash: B256,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedFile {
    version: u32,
    committees: Vec<CommitteeEntry>,
    sums: Vec<SumEntry>,
    links: Vec<LinkEntry>,
    evaluations: Vec<EvaluationEntry>,
}

mod cid {
    use salus_blobs::ContentId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(id: &ContentId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ContentId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

mod cids {
    use salus_blobs::ContentId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(ids: &[ContentId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(ContentId::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ContentId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let ids = texts.iter().map(|text| text.parse());
        ids.collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

impl SealedBundle {
    /// Reads sealed.json in `dir`.
    ///
    /// # Errors
    /// It is missing, malformed, too long or of another version.
    pub fn read(dir: &Path) -> Result<Self, FormatError> {
        Self::from_json(&read_text(dir, NAME)?, &dir.join(NAME))
    }

    fn from_json(json: &str, path: &Path) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_str(json).map_err(|e| text(path, e))?;
        if version != VERSION {
            return Err(FormatError::Version {
                path: path.to_owned(),
                found: version,
            });
        }
        let file: SealedFile = serde_json::from_str(json).map_err(|e| text(path, e))?;
        for (what, found) in [
            ("number of committees", file.committees.len()),
            ("number of sums", file.sums.len()),
            ("number of links", file.links.len()),
            ("number of evaluations", file.evaluations.len()),
        ] {
            if found > MAX_ENTRIES {
                return Err(FormatError::Range {
                    path: path.to_owned(),
                    what,
                    found: found as u64,
                });
            }
        }
        Ok(Self {
            committees: file.committees,
            sums: file.sums,
            links: file.links,
            evaluations: file.evaluations,
        })
    }

    /// Writes sealed.json to `dir`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let file = SealedFile {
            version: VERSION,
            committees: self.committees.clone(),
            sums: self.sums.clone(),
            links: self.links.clone(),
            evaluations: self.evaluations.clone(),
        };
        write_json(dir, NAME, &file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn sample() -> SealedBundle {
        let id = |byte| B256::repeat_byte(byte);
        SealedBundle {
            committees: vec![CommitteeEntry {
                id: id(1),
                kind: CommitteeKind::AdHoc,
                key: ContentId::of(b"key"),
            }],
            sums: vec![SumEntry {
                committee: id(1),
                snapshot: 2,
                cube: id(3),
                sum: ContentId::of(b"sum"),
            }],
            links: vec![LinkEntry {
                committee: id(1),
                snapshot: 2,
                cube: id(3),
                statement: ContentId::of(b"statement"),
                proof: ContentId::of(b"proof"),
                masks: vec![ContentId::of(b"mask"); 5],
                coin_seeds: vec![id(4), id(5)],
                signatures: vec![Bytes::from(vec![6; 65])],
            }],
            evaluations: vec![EvaluationEntry {
                query: id(7),
                keys: id(8),
                uploads: ContentId::of(b"uploads"),
                output: ContentId::of(b"output"),
                hash: id(9),
            }],
        }
    }

    fn written() -> String {
        let dir = tempfile::tempdir().unwrap();
        sample().write(dir.path()).unwrap();
        assert_eq!(SealedBundle::read(dir.path()).unwrap(), sample());
        std::fs::read_to_string(dir.path().join(NAME)).unwrap()
    }

    fn parse(json: &str) -> Result<SealedBundle, FormatError> {
        SealedBundle::from_json(json, Path::new(NAME))
    }

    #[test]
    fn names_blobs_by_content_id_and_reads_back() {
        let json = written();
        assert!(json.contains(&ContentId::of(b"sum").to_string()));
        assert_eq!(parse(&json).unwrap(), sample());
    }

    #[test]
    fn unknown_fields_other_versions_and_foreign_names_are_refused() {
        let json = written();
        for (from, to) in [
            ("\"snapshot\": 2", "\"snapshot\": 2, \"note\": 1"),
            ("\"links\"", "\"chains\""),
            ("bafkrei", "bafybei"),
            ("ad-hoc", "dealer"),
        ] {
            let other = json.replacen(from, to, 1);
            assert_ne!(other, json, "{from}");
            assert!(matches!(parse(&other), Err(FormatError::Text { .. })));
        }
        let other = json.replacen("\"version\": 1", "\"version\": 2", 1);
        let refused = parse(&other).unwrap_err();
        assert!(matches!(refused, FormatError::Version { found: 2, .. }));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}

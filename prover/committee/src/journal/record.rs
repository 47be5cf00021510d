//! Records of one query, and how records lie in a file.

use serde::{Deserialize, Serialize};

use crate::answer::Signature;
use crate::stream::digest;

/// Bytes around a payload: its length and the checksum.
const OVERHEAD: usize = 4 + 16;
/// Bytes of a payload, at most.
const MAX_PAYLOAD: usize = 64 << 10;

/// The partials of the counts went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsRecord {
    /// Hash of the leader's message, by which others ask about it.
    pub asked: [u8; 32],
    /// Hash of the request, the plan, the ciphertexts and the release rule.
    pub opening: [u8; 32],
    /// Hash of the partials of each of the holder's subsets, ascending.
    pub partials: Vec<[u8; 32]>,
}

/// The partials of the sums went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumsRecord {
    /// Hash of all subsets' partials of the counts.
    pub counts: [u8; 32],
    /// Hash of the partials of each of the holder's subsets, ascending.
    pub partials: Vec<[u8; 32]>,
}

/// An answer was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// Hash of the answer.
    pub answer: [u8; 32],
    /// The signature.
    pub signature: Signature,
}

/// One thing done for a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// See [`CountsRecord`].
    Counts(CountsRecord),
    /// See [`SumsRecord`].
    Sums(SumsRecord),
    /// See [`SignedRecord`].
    Signed(SignedRecord),
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (record, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(record)
    }
}

/// Everything done for a query; each thing at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRecords {
    /// The counts.
    pub counts: Option<CountsRecord>,
    /// The sums.
    pub sums: Option<SumsRecord>,
    /// The signature.
    pub signed: Option<SignedRecord>,
}

impl QueryRecords {
    /// `None` when a record is malformed or stands twice.
    pub(super) fn from_records(records: Vec<Vec<u8>>) -> Option<Self> {
        let mut all = Self::default();
        for bytes in records {
            let twice = match Record::from_bytes(&bytes)? {
                Record::Counts(record) => all.counts.replace(record).is_some(),
                Record::Sums(record) => all.sums.replace(record).is_some(),
                Record::Signed(record) => all.signed.replace(record).is_some(),
            };
            if twice {
                return None;
            }
        }
        Some(all)
    }
}

fn checksum(payload: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest("salus/v1/committee/journal", &[payload])[..16]);
    short
}

/// The payload with its length and checksum.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OVERHEAD + payload.len());
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(checksum(payload));
    bytes.extend(payload);
    bytes
}

/// The payloads of a file and the length of the whole ones; `None` when a whole record is damaged.
///
/// A last record that is shorter than it says was cut by a crash and is left out: nothing was answered on its strength.
pub(super) fn split(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, u64)> {
    let mut payloads = Vec::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<OVERHEAD>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length > MAX_PAYLOAD {
            return None;
        }
        let Some((payload, tail)) = tail.split_at_checked(length) else {
            break;
        };
        if checksum(payload) != head[4..] {
            return None;
        }
        payloads.push(payload.to_vec());
        rest = tail;
    }
    Some((payloads, (bytes.len() - rest.len()) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_split_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some((payloads, whole)) = split(&bytes) {
                let again: Vec<u8> = payloads.iter().flat_map(|p| frame(p)).collect();
                prop_assert_eq!(&again[..], &bytes[..whole as usize]);
                let _ = QueryRecords::from_records(payloads);
            }
        }

        #[test]
        fn a_cut_file_keeps_its_whole_records(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5),
            cut in 1usize..20,
        ) {
            let mut bytes: Vec<u8> = payloads.iter().flat_map(|p| frame(p)).collect();
            bytes.truncate(bytes.len() - cut);
            let (found, _) = split(&bytes).expect("only cut, not changed");
            prop_assert!(found.len() < payloads.len());
            prop_assert_eq!(&found[..], &payloads[..found.len()]);
        }

        #[test]
        fn a_changed_record_is_seen(payload in proptest::collection::vec(any::<u8>(), 1..40), at in 4usize..50, bit in 0u8..8) {
            let mut bytes = frame(&payload);
            prop_assume!(at < bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(split(&bytes), None);
        }
    }
}

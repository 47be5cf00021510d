//! What an evaluation leaves: the sealed answer, the sealed verdicts on its records, and what both are about.
//!
//! `"SLAHO"`, two zero bytes, version byte; query 32, dataset u64, snapshot u64, key hash 32, SHA-256 of the list of uploads
//! 32 (all big endian); then plan, answer and verdicts, each with its length as u32. It is a blob, and its SHA-256 is what
//! the answer names as the hash of the ciphertexts: nothing else could have been opened.

use salus_adhoc::answer::{AnswerError, Evaluated, SealedPass, SealedValue};
use salus_adhoc::layout::Layout;
use salus_adhoc::one_hot::{MAX_BATCH, REPETITIONS, Verdict};
use salus_adhoc::query::{AdhocQuery, NotSupported};
use salus_committee::adhoc::{Evaluation, Guard, LweCiphertext, SealedNumber};
use salus_schema::plan::{Image, Plan};
use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"SLAHO\0\0\x01";
/// Bound of the noise of a squashed block, log2: thirteen deviations are below 2^69 with the parameters of the squashing
/// key (`rotation_deviation` of salus-adhoc over 2^128: three levels of 2^24, keys of noise 2^30), the rest is for the
/// rounding of transforms.
const NOISE_BITS: u32 = 80;

/// What is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The query on chain.
    pub query: [u8; 32],
    /// The dataset.
    pub dataset: u64,
    /// The snapshot.
    pub snapshot: u64,
    /// Hash of the ceremony's public key file.
    pub key: [u8; 32],
    /// SHA-256 of the list of uploads.
    pub uploads: [u8; 32],
    /// The plan's bytes.
    pub plan: Vec<u8>,
}

/// An evaluated query with the verdicts on its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What it is about.
    pub about: About,
    /// The sealed answer.
    pub answer: Evaluated,
    /// Verdicts of all records, in batches.
    pub verdicts: Evaluated,
}

/// Why bytes are no output, or not one that can be opened.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Another kind of bytes, or they end early or go on.
    #[error("these bytes are not version 1 of an evaluation's output")]
    Kind,
    /// The answer or the verdicts do not decode.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The plan does not decode.
    #[error("the plan does not decode: {0}")]
    Plan(String),
    /// The plan is not for this path.
    #[error(transparent)]
    NotSupported(#[from] NotSupported),
    /// Its parts are of different evaluations.
    #[error("{0}")]
    Parts(&'static str),
}

/// The seed of the verdicts: fixed only once the query is funded, when every upload counts already.
///
/// The query's id holds the researcher's nonce. One who colludes with a member and tries nonces, each with all the member's
/// combinations, wins a chance of [`salus_adhoc::one_hot::SOUNDNESS_LOG2`] per try.
pub fn seed(about: &About) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"salus/v1/adhoc/one-hot seed");
    hasher.update(about.query);
    hasher.update(about.uploads);
    hasher.finalize().into()
}

/// Verdicts as one answer of one pass, for its encoding.
pub fn verdicts(answer: &Evaluated, verdicts: Vec<Verdict>, seed: [u8; 32]) -> Evaluated {
    let values = verdicts.into_iter().map(|v| v.sealed).collect();
    Evaluated {
        query: seed,
        records: answer.records,
        keys: answer.keys,
        people: answer.people,
        passes: vec![SealedPass { values }],
    }
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], OutputError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(OutputError::Kind)?;
    *rest = left;
    Ok(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], OutputError> {
    split(rest, N)?.try_into().map_err(|_| OutputError::Kind)
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], OutputError> {
    let length = u32::from_be_bytes(array(rest)?);
    split(rest, length as usize)
}

impl Output {
    /// The only bytes of this output.
    pub fn to_bytes(&self) -> Vec<u8> {
        let about = &self.about;
        let mut out = MAGIC.to_vec();
        out.extend(about.query);
        out.extend(about.dataset.to_be_bytes());
        out.extend(about.snapshot.to_be_bytes());
        out.extend(about.key);
        out.extend(about.uploads);
        for part in [
            about.plan.clone(),
            self.answer.to_bytes(),
            self.verdicts.to_bytes(),
        ] {
            out.extend((part.len() as u32).to_be_bytes());
            out.extend(part);
        }
        out
    }

    /// The output with these bytes.
    ///
    /// # Errors
    /// [`OutputError`]; every length is bounded by what is there.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OutputError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(OutputError::Kind)?;
        let rest = &mut rest;
        let about = About {
            query: array(rest)?,
            dataset: u64::from_be_bytes(array(rest)?),
            snapshot: u64::from_be_bytes(array(rest)?),
            key: array(rest)?,
            uploads: array(rest)?,
            plan: part(rest)?.to_vec(),
        };
        let output = Self {
            about,
            answer: Evaluated::from_bytes(part(rest)?)?,
            verdicts: Evaluated::from_bytes(part(rest)?)?,
        };
        match rest.is_empty() {
            true => Ok(output),
            false => Err(OutputError::Kind),
        }
    }

    /// What the committee opens; `hash` is that of the bytes, `records` that of the records that the opener itself read,
    /// `server` the hash of the pinned keys.
    ///
    /// # Errors
    /// The parts are not of one evaluation of this plan over these records.
    pub fn evaluation(
        &self,
        hash: [u8; 32],
        layout: &Layout,
        records: [u8; 32],
        server: [u8; 32],
    ) -> Result<Evaluation, OutputError> {
        let about = &self.about;
        let plan = Plan::from_bytes(&about.plan).map_err(|e| OutputError::Plan(e.to_string()))?;
        let query = AdhocQuery::new(&plan, layout)?;
        let (answer, verdicts) = (&self.answer, &self.verdicts);
        let batches =
            usize::try_from(answer.people).map_or(usize::MAX, |people| people.div_ceil(MAX_BATCH));
        let [verdicts_pass] = verdicts.passes.as_slice() else {
            return Err(OutputError::Parts("the verdicts are not one list"));
        };
        for (kept, what) in [
            (
                answer.query == query.hash(),
                "the answer is of another plan",
            ),
            (answer.fits(query.passes()), "the answer has other values"),
            (answer.records == records, "the answer is of other records"),
            (answer.keys == server, "the answer is of other keys"),
            (
                verdicts.query == seed(about),
                "the verdicts have another seed",
            ),
            (
                verdicts.records == records,
                "the verdicts are of other records",
            ),
            (verdicts.keys == server, "the verdicts are of other keys"),
            (
                verdicts.people == answer.people,
                "the verdicts are of other people",
            ),
            (
                verdicts_pass.values.len() == batches,
                "verdicts are missing",
            ),
        ] {
            if !kept {
                return Err(OutputError::Parts(what));
            }
        }
        let mut made = Evaluation {
            hash,
            query: about.query,
            plan_hash: plan.hash(),
            dataset: about.dataset,
            snapshot: about.snapshot,
            members: answer.people,
            noise_bits: NOISE_BITS,
            centres: query.passes().iter().map(|shape| shape.centre()).collect(),
            counts: Vec::new(),
            sums: Vec::new(),
            guards: Vec::new(),
        };
        for (pass, shape) in answer.passes.iter().zip(query.passes()) {
            for t in shape.counts() {
                made.counts.push(number(&pass.values[t])?);
                if shape.image() == Image::Moments {
                    let [sum, squares] = [1, 2].map(|power| {
                        let value = pass.values.get(t + power);
                        value.map_or(Ok(SealedNumber::new()), number)
                    });
                    made.sums.push([sum?, squares?]);
                }
            }
        }
        for value in &verdicts_pass.values {
            made.guards.push(Guard {
                number: number(value)?,
                value: REPETITIONS as u64,
            });
        }
        Ok(made)
    }
}

fn number(value: &SealedValue) -> Result<SealedNumber, OutputError> {
    let block = |block: &salus_adhoc::answer::SquashedLwe| {
        LweCiphertext::new(block.mask.clone(), block.body)
            .ok_or(OutputError::Parts("a block has another dimension"))
    };
    value.blocks.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Output {
        let evaluated = |query| Evaluated {
            query,
            records: [1; 32],
            keys: [2; 32],
            people: 3,
            passes: vec![SealedPass {
                values: vec![SealedValue::default()],
            }],
        };
        Output {
            about: About {
                query: [4; 32],
                dataset: 5,
                snapshot: 6,
                key: [7; 32],
                uploads: [8; 32],
                plan: vec![9; 10],
            },
            answer: evaluated([11; 32]),
            verdicts: evaluated([12; 32]),
        }
    }

    proptest! {
        #[test]
        fn mutated_bytes_are_refused_or_encode_back(at in 0usize..400, to: u8) {
            let mut bytes = sample().to_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(output) = Output::from_bytes(&bytes) {
                prop_assert_eq!(output.to_bytes(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Output::from_bytes(&bytes);
            let mut named = MAGIC.to_vec();
            named.extend(bytes);
            let _ = Output::from_bytes(&named);
        }
    }

    #[test]
    fn reads_back_and_longer_or_shorter_bytes_are_refused() {
        let mut bytes = sample().to_bytes();
        assert_eq!(Output::from_bytes(&bytes).unwrap(), sample());
        assert!(Output::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(0);
        assert!(Output::from_bytes(&bytes).is_err());
    }
}

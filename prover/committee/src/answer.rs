//! What a committee publishes: released values, what they are an answer to, and signatures.

use salus_schema::answer::PassValues;
use salus_schema::plan::VALUES;
use serde::{Deserialize, Serialize};

use crate::ledger::Address;
use crate::refusal::Refusal;
use crate::shape::{HolderIndex, SubsetIndex};
use crate::stream::digest;

/// What one pass publishes: a contract's `PassResult` without blinding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedPass {
    /// Bit `t` set: value `t` is not published.
    pub mask: u64,
    /// The values, as many as the pass declares; 0 where masked.
    pub values: Vec<u64>,
}

impl ReleasedPass {
    /// The first `values` values of a pass.
    pub fn new(pass: &PassValues, values: usize) -> Self {
        Self {
            mask: pass.mask,
            values: pass.values[..values.min(VALUES)].to_vec(),
        }
    }

    /// As a decoder reads it; `None` for more than 64 values.
    pub fn to_values(&self) -> Option<PassValues> {
        let mut values = [0; VALUES];
        values
            .get_mut(..self.values.len())?
            .copy_from_slice(&self.values);
        Some(PassValues {
            values,
            mask: self.mask,
        })
    }
}

/// What holders sign, as EIP-712 `SealedAnswer` in the market's domain.
///
/// `resultsHash` is the keccak of the ABI encoding of `results` as `PassResult[]` with `rho = 0`, `releaseHash` that of
/// `(uint256 minCohort, uint256 minCell)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAnswer {
    /// The query.
    pub query: [u8; 32],
    /// The dataset.
    pub dataset: u64,
    /// The snapshot.
    pub snapshot: u64,
    /// The committee.
    pub committee: [u8; 32],
    /// Hash over the ciphertexts that were opened: [`cube_ciphertext_hash`] or the evaluation's.
    pub ciphertext_hash: [u8; 32],
    /// Keccak of the plan.
    pub plan_hash: [u8; 32],
    /// The released values of every pass.
    pub results: Vec<ReleasedPass>,
    /// The release rule's minimum cohort.
    pub min_cohort: u64,
    /// The release rule's minimum cell.
    pub min_cell: u64,
}

impl SealedAnswer {
    /// The hash by which a holder remembers what it signed.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        digest("salus/v1/committee/answer", &[&bytes])
    }
}

/// The `ciphertextHash` of an answer from a cube: binds the cube and the hash of its sum.
pub fn cube_ciphertext_hash(cube: &[u8; 32], sum: &[u8; 32]) -> [u8; 32] {
    digest("salus/v1/sealed/cube", &[cube, sum])
}

/// A recoverable secp256k1 signature: r, s, v.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Signature(pub [u8; 65]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

impl TryFrom<Vec<u8>> for Signature {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| "a signature has 65 bytes")
    }
}

impl From<Signature> for Vec<u8> {
    fn from(signature: Signature) -> Self {
        signature.0.to_vec()
    }
}

/// How the holders behaved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Holders whose partials the others' contradict.
    pub liars: Vec<HolderIndex>,
    /// Holders that did not answer in time.
    pub slow: Vec<HolderIndex>,
    /// Holders that could not be reached or broke the protocol.
    pub dead: Vec<HolderIndex>,
    /// Holders that refused, and why.
    pub refused: Vec<(HolderIndex, Refusal)>,
    /// Subsets for which fewer than `t` holders gave the value that was used: `t - 1` of them could have agreed on a lie.
    pub unchecked: Vec<SubsetIndex>,
}

impl Report {
    /// True when every holder answered and every value was checked.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.liars.extend(other.liars);
        self.slow.extend(other.slow);
        self.dead.extend(other.dead);
        self.refused.extend(other.refused);
        self.unchecked.extend(other.unchecked);
        for list in [&mut self.liars, &mut self.slow, &mut self.dead] {
            list.sort_unstable();
            list.dedup();
        }
        self.refused.sort_unstable_by_key(|(holder, _)| *holder);
        self.refused.dedup();
        self.unchecked.sort_unstable();
        self.unchecked.dedup();
    }
}

/// A released answer with the signatures of at least `t` holders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnswer {
    /// What was signed.
    pub answer: SealedAnswer,
    /// Who signed, ascending by holder.
    pub signatures: Vec<HolderSignature>,
    /// How the holders behaved.
    pub report: Report,
    /// The standard deviation of the noise in every count, in millionths; 0 for an exact release. That of all shares
    /// together: what a reader must be told.
    pub noise_micro_sigma: u64,
}

/// One holder's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderSignature {
    /// Who.
    pub holder: HolderIndex,
    /// Its address.
    pub address: Address,
    /// The signature.
    pub signature: Signature,
}

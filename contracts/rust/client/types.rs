//! Names for the numbers that go over the wire.

use crate::words::{Point, Word};
use alloy::primitives::{Address, B256, Bytes, TxHash, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A dataset's number on chain.
    DatasetId(u32)
);
number!(
    /// A fixed membership of a dataset, counted from 1.
    SnapshotId(u32)
);
number!(
    /// A list of slots within a dataset, counted from 0.
    ChunkIndex(u32)
);
number!(
    /// A member's place within a chunk, counted from 0.
    SlotIndex(u32)
);
number!(
    /// A settlement period of a dataset.
    Epoch(u32)
);
number!(
    /// A physical code column.
    ColumnIndex(u16)
);
number!(
    /// A funded query.
    QueryId(B256)
);
number!(
    /// A verifying key, named by the hash of its words.
    CircuitId(B256)
);
number!(
    /// A committee of key holders, named by its content.
    CommitteeId(B256)
);

/// What a mined transaction was about, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// Gas the transaction used.
    pub gas_used: u64,
    /// The transaction.
    pub transaction: TxHash,
    /// Block it was mined in.
    pub block: u64,
}

/// A dataset's fixed part, as its creator declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDataset {
    /// Hash of the codebook.
    pub schema_hash: B256,
    /// GA4GH DUO purposes, one bit each.
    pub purposes: B256,
    /// Physical code columns, 1..=256.
    pub columns: u16,
    /// Circuit with four columns.
    pub circuit_k4: Option<CircuitId>,
    /// Circuits with eight columns: low and high half of a chunk's slots.
    pub circuits_k8: Option<(CircuitId, CircuitId)>,
    /// Least number of people in an answer.
    pub min_cohort: u32,
    /// Least published count.
    pub min_cell: u32,
    /// Members' part of a payment in basis points, 0..=10000.
    pub reward_bps: u16,
    /// Seconds per epoch; 0 when the admin advances epochs.
    pub epoch_length: u32,
    /// Who accepts answers and is paid for them.
    pub custodian: Address,
    /// First accepted token and least payment per query in base units.
    pub price: Option<(Address, u128)>,
}

/// A Schnorr proof that the member knows the opening of the commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnowledgeProof {
    /// Nonce commitment R.
    pub r: Point,
    /// Response on the slot base.
    pub s1: Word,
    /// Response on the blinding base.
    pub s2: Word,
}

/// One person's registration, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Place in the chunk.
    pub slot: SlotIndex,
    /// Address of the member's key.
    pub member: Address,
    /// The consent lapses when the dataset enters this epoch.
    pub expiry_epoch: u64,
    /// Consented purposes.
    pub purposes: B256,
    /// Commitment to the payout identity.
    pub payout_id: B256,
    /// Consent nonce, at most 65535.
    pub nonce: u16,
    /// One commitment per physical column.
    pub commitments: Vec<Point>,
    /// The slot's base.
    pub basis: Point,
    /// Merkle path of the slot's base, leaf upwards.
    pub path: Vec<B256>,
    /// Proof of knowledge of the opening.
    pub proof: KnowledgeProof,
    /// The member's signature over the consent.
    pub signature: [u8; 65],
}

/// A batch of registrations of one chunk: one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptIn {
    /// The dataset.
    pub dataset: DatasetId,
    /// The chunk all of them are in.
    pub chunk: ChunkIndex,
    /// At least one.
    pub members: Vec<Registration>,
}

/// A researcher's request, before it is funded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOrder {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its latest snapshot.
    pub snapshot: SnapshotId,
    /// Hash of the plan bytes.
    pub plan_hash: B256,
    /// Hash of the canonical query.
    pub body_hash: B256,
    /// Payment token.
    pub token: Address,
    /// Payment in base units, at least the dataset's price.
    pub amount: u128,
    /// Last second (Unix time) in which an answer is accepted.
    pub deadline: u32,
    /// Makes equal requests distinct.
    pub nonce: u64,
}

/// What one pass of an answer publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassValues {
    /// Bit t set: value t is not published.
    pub mask: u64,
    /// Summed blinding of the result commitments, zero for a direct answer.
    pub rho: Word,
    /// Published values, zero where masked.
    pub values: Vec<Word>,
}

/// An answer with its proof, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The query it answers.
    pub query: QueryId,
    /// Plan bytes, whose hash was funded.
    pub plan: Bytes,
    /// One per pass.
    pub passes: Vec<PassValues>,
    /// Twelve words per item, items ordered by pass, chunk, part.
    pub proofs: Vec<Word>,
}

/// How a committee's key came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitteeKind {
    /// The holders made the key of encrypted cubes together; nobody ever held the whole key.
    Cubes,
    /// A dealer made and distributed the key of ad-hoc queries, and is trusted to have forgotten it.
    AdHoc,
}

/// A committee's content; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCommittee {
    /// How the key came about.
    pub kind: CommitteeKind,
    /// Signatures that an answer needs, 2 to the number of members.
    pub threshold: u8,
    /// Hash of the joint public key.
    pub key_hash: B256,
    /// Addresses of the holders' signing keys, 2..=16, ascending.
    pub members: Vec<Address>,
}

/// An answer with its committee's signatures, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSubmission {
    /// The query it answers.
    pub query: QueryId,
    /// Plan bytes, whose hash was funded.
    pub plan: Bytes,
    /// One per pass, without blinding.
    pub passes: Vec<PassValues>,
    /// The dataset's committee for the query's snapshot.
    pub committee: CommitteeId,
    /// Hash over the ciphertexts that were opened.
    pub ciphertext_hash: B256,
    /// Over the answer's digest, ascending by signer, as [`crate::sealed::by_signer`] orders them.
    pub signatures: Vec<[u8; 65]>,
}

/// A member's claim to a share of a snapshot's rewards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardClaim {
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot whose rewards are shared.
    pub snapshot: SnapshotId,
    /// Token of the reward.
    pub token: Address,
    /// Names the share without naming the member.
    pub nullifier: B256,
    /// Who is paid.
    pub recipient: Address,
    /// What the relayer keeps, base units.
    pub fee: U256,
    /// What this nullifier was paid before, base units.
    pub paid_before: U256,
    /// What the claim verifier asks for.
    pub proof: Bytes,
}

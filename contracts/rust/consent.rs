//! What members sign: EIP-712 messages for consent, withdrawal and claims, with keys derived from 32-byte secrets.
//!
//! Source: EIP-712; domain name "Salus", version "1", the chain's id, and the contract that checks the signature.

use crate::{
    client::{ChunkIndex, DatasetId, RewardClaim, SlotIndex, SnapshotId},
    words::Point,
};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::{SignerSync, k256::ecdsa::SigningKey, local::PrivateKeySigner},
    sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain},
};
use std::fmt;
use zeroize::Zeroizing;

mod message {
    #![allow(missing_docs)]
    alloy::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct Consent {
            uint256 dataset;
            uint32 chunk;
            uint32 slot;
            bytes32 purposes;
            uint64 expiryEpoch;
            bytes32 commitmentsHash;
            bytes32 payoutId;
            uint256 nonce;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct OptOut {
            uint256 dataset;
            uint32 chunk;
            uint32 slot;
        }

        #[derive(Debug, PartialEq, Eq)]
        struct Claim {
            uint256 dataset;
            uint256 snapshot;
            uint32 chunk;
            uint32 slot;
            address token;
            address recipient;
            uint256 fee;
            uint256 paidBefore;
        }
    }
}

/// Why a message could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The 32 bytes are zero or not below the order of secp256k1.
    #[error("the member secret is not a valid key")]
    InvalidSecret,
    /// The signer failed.
    #[error("cannot sign: {0}")]
    Signing(#[from] alloy::signers::Error),
}

/// A member's signing key for one dataset.
///
/// # Security
/// The key is wiped when dropped and never printed. It is a pseudonym: use another one per dataset.
pub struct MemberKey(PrivateKeySigner);

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey([redacted])")
    }
}

impl MemberKey {
    /// The key of a 32-byte secret, which is its scalar.
    ///
    /// # Errors
    /// The secret is zero or not below the group order (chance 2^-128 for random bytes).
    pub fn from_secret(secret: &Zeroizing<[u8; 32]>) -> Result<Self, ConsentError> {
        SigningKey::from_slice(secret.as_slice())
            .map(|key| Self(key.into()))
            .map_err(|_| ConsentError::InvalidSecret)
    }

    /// The address the registry knows the member by.
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// Signs a consent for the registry at `registry`.
    ///
    /// # Errors
    /// The signer fails.
    pub fn sign_consent(
        &self,
        chain_id: u64,
        registry: Address,
        consent: &Consent,
    ) -> Result<[u8; 65], ConsentError> {
        self.sign(consent.digest(chain_id, registry))
    }

    /// Signs a withdrawal for the registry at `registry`.
    ///
    /// # Errors
    /// The signer fails.
    pub fn sign_opt_out(
        &self,
        chain_id: u64,
        registry: Address,
        opt_out: OptOut,
    ) -> Result<[u8; 65], ConsentError> {
        self.sign(opt_out.digest(chain_id, registry))
    }

    /// Signs a claim for the reward pool at `pool` and completes it with nullifier and proof.
    ///
    /// # Errors
    /// The signer fails.
    pub fn sign_claim(
        &self,
        chain_id: u64,
        pool: Address,
        claim: &ClaimRequest,
    ) -> Result<RewardClaim, ConsentError> {
        let signature = self.sign(claim.digest(chain_id, pool))?;
        let proof = (claim.chunk.0, claim.slot.0, signature.to_vec()).abi_encode_params();
        Ok(RewardClaim {
            dataset: claim.dataset,
            snapshot: claim.snapshot,
            token: claim.token,
            nullifier: nullifier(claim.dataset, claim.snapshot, claim.chunk, claim.slot),
            recipient: claim.recipient,
            fee: claim.fee,
            paid_before: claim.paid_before,
            proof: proof.into(),
        })
    }

    fn sign(&self, digest: B256) -> Result<[u8; 65], ConsentError> {
        Ok(self.0.sign_hash_sync(&digest)?.as_bytes())
    }
}

/// Hash under which the registry keeps a member's commitments.
pub fn commitments_hash(commitments: &[Point]) -> B256 {
    keccak256(commitments.as_flattened().as_flattened())
}

/// Name of a member's share of a snapshot's rewards: one per slot and snapshot.
pub fn nullifier(
    dataset: DatasetId,
    snapshot: SnapshotId,
    chunk: ChunkIndex,
    slot: SlotIndex,
) -> B256 {
    let tag = keccak256("salus.v1.claim");
    keccak256(
        (
            tag,
            U256::from(dataset.0),
            U256::from(snapshot.0),
            chunk.0,
            slot.0,
        )
            .abi_encode(),
    )
}

fn domain(chain_id: u64, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Salus",
        version: "1",
        chain_id: chain_id,
        verifying_contract: contract,
    }
}

/// A member's consent to be part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The dataset.
    pub dataset: DatasetId,
    /// The member's chunk.
    pub chunk: ChunkIndex,
    /// The member's slot.
    pub slot: SlotIndex,
    /// GA4GH DUO purposes, one bit each.
    pub purposes: B256,
    /// The consent lapses when the dataset enters this epoch.
    pub expiry_epoch: u64,
    /// [`commitments_hash`] of the member's commitments.
    pub commitments_hash: B256,
    /// Commitment to the payout identity.
    pub payout_id: B256,
    /// Rises with every new consent for the same slot.
    pub nonce: u16,
}

impl Consent {
    /// EIP-712 digest for the registry at `registry`.
    pub fn digest(&self, chain_id: u64, registry: Address) -> B256 {
        message::Consent {
            dataset: U256::from(self.dataset.0),
            chunk: self.chunk.0,
            slot: self.slot.0,
            purposes: self.purposes,
            expiryEpoch: self.expiry_epoch,
            commitmentsHash: self.commitments_hash,
            payoutId: self.payout_id,
            nonce: U256::from(self.nonce),
        }
        .eip712_signing_hash(&domain(chain_id, registry))
    }
}

/// A member's wish to leave a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptOut {
    /// The dataset.
    pub dataset: DatasetId,
    /// The member's chunk.
    pub chunk: ChunkIndex,
    /// The member's slot.
    pub slot: SlotIndex,
}

impl OptOut {
    /// EIP-712 digest for the registry at `registry`.
    pub fn digest(&self, chain_id: u64, registry: Address) -> B256 {
        message::OptOut {
            dataset: U256::from(self.dataset.0),
            chunk: self.chunk.0,
            slot: self.slot.0,
        }
        .eip712_signing_hash(&domain(chain_id, registry))
    }
}

/// A member's wish to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot whose rewards are shared.
    pub snapshot: SnapshotId,
    /// The member's chunk.
    pub chunk: ChunkIndex,
    /// The member's slot.
    pub slot: SlotIndex,
    /// Token of the reward.
    pub token: Address,
    /// Who is paid.
    pub recipient: Address,
    /// What the relayer keeps, base units.
    pub fee: U256,
    /// What the share was paid before, base units.
    pub paid_before: U256,
}

impl ClaimRequest {
    /// EIP-712 digest for the reward pool at `pool`.
    pub fn digest(&self, chain_id: u64, pool: Address) -> B256 {
        message::Claim {
            dataset: U256::from(self.dataset.0),
            snapshot: U256::from(self.snapshot.0),
            chunk: self.chunk.0,
            slot: self.slot.0,
            token: self.token,
            recipient: self.recipient,
            fee: self.fee,
            paidBefore: self.paid_before,
        }
        .eip712_signing_hash(&domain(chain_id, pool))
    }
}

//! The holder's signing key: EIP-712 answers for the market.

use salus_circuits::words::integer_word;
use salus_committee::answer::{ReleasedPass, SealedAnswer as HolderAnswer, Signature};
use salus_committee::ledger::{Address as HolderAddress, Signer, SignerError};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{CommitteeId, DatasetId, PassValues, QueryId, SnapshotId};
use salus_contracts::primitives::{Address, B256};
use salus_contracts::sealed::{
    SealedAnswer, recover, release_hash, results_hash, sealed_answer_digest, sign,
};

/// Signs for one market on one chain.
pub struct AnswerSigner {
    key: PrivateKeySigner,
    chain: u64,
    market: Address,
}

/// Released values as the market's client takes them.
pub fn chain_passes(passes: &[ReleasedPass]) -> Vec<PassValues> {
    passes
        .iter()
        .map(|pass| PassValues {
            mask: pass.mask,
            rho: [0; 32],
            values: pass
                .values
                .iter()
                .map(|v| integer_word(u128::from(*v)))
                .collect(),
        })
        .collect()
}

/// What a committee vouches for, in the chain's terms; None when a number does not fit the contract.
pub fn chain_answer(answer: &HolderAnswer) -> Option<SealedAnswer> {
    Some(SealedAnswer {
        query: QueryId(B256::from(answer.query)),
        dataset: DatasetId(u32::try_from(answer.dataset).ok()?),
        snapshot: SnapshotId(u32::try_from(answer.snapshot).ok()?),
        committee: CommitteeId(B256::from(answer.committee)),
        ciphertext_hash: B256::from(answer.ciphertext_hash),
        plan_hash: B256::from(answer.plan_hash),
        results_hash: results_hash(&chain_passes(&answer.results)),
        release_hash: release_hash(
            u32::try_from(answer.min_cohort).ok()?,
            u32::try_from(answer.min_cell).ok()?,
        ),
    })
}

impl AnswerSigner {
    /// The signer with this secret.
    ///
    /// # Errors
    /// If the bytes are no secp256k1 secret.
    pub fn new(secret: &[u8; 32], chain: u64, market: Address) -> Result<Self, SignerError> {
        let key = PrivateKeySigner::from_slice(secret).map_err(|_| SignerError {
            reason: "the signing secret is not a secp256k1 key".to_owned(),
        })?;
        Ok(Self { key, chain, market })
    }

    fn digest(&self, answer: &HolderAnswer) -> Option<B256> {
        let answer = chain_answer(answer)?;
        Some(sealed_answer_digest(self.chain, self.market, &answer))
    }
}

impl Signer for AnswerSigner {
    fn address(&self) -> HolderAddress {
        HolderAddress(self.key.address().into_array())
    }

    fn sign(&self, answer: &HolderAnswer) -> Result<Signature, SignerError> {
        let digest = self.digest(answer).ok_or_else(|| SignerError {
            reason: "a number of the answer does not fit the contract".to_owned(),
        })?;
        let signature = sign(&self.key, digest).map_err(|e| SignerError {
            reason: e.to_string(),
        })?;
        Ok(Signature(signature))
    }

    fn signer_of(&self, answer: &HolderAnswer, signature: &Signature) -> Option<HolderAddress> {
        let signer = recover(self.digest(answer)?, &signature.0)?;
        Some(HolderAddress(signer.into_array()))
    }
}

//! Uploads: a patient's record as one compact list of encrypted bits with a proof that every slot is a bit.
//!
//! Wire form, version 1, little endian: `"SLUA"`, version byte, three zero bytes, slots (u16), two zero bytes, length of the
//! proof (u32), 2048 + slots words of list, the proof. The proof binds the list to a [`Binding`]; a list copied to another
//! member, dataset or epoch does not verify. That each column has exactly one bit is checked by [`crate::one_hot`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_core::CryptoRngCore;
use tfhe::core_crypto::commons::generators::NoiseRandomGenerator;
use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::*;
use tfhe::safe_serialization::{safe_deserialize_conformant, safe_serialize};
use tfhe::zk::{
    CompactPkeProof, CompactPkeProofConformanceParams, CompactPkeZkScheme, ZkComputeLoad,
};
use thiserror::Error;

use crate::keys::ClientMaterial;
use crate::layout::{CodesError, Layout};
use crate::parameters::{MAX_SLOTS, RING, RING_NOISE_LOG, SLOT_LOG};
use crate::rotate::native;

const MAGIC: &[u8; 8] = b"SLUA\x01\0\0\0";
const HEADER: usize = 16;
/// Bytes of a proof, at most.
pub const MAX_PROOF_BYTES: usize = 16 << 10;
/// Bytes of an upload, at most.
pub const MAX_UPLOAD_BYTES: usize = HEADER + 8 * (RING + MAX_SLOTS) + MAX_PROOF_BYTES;

/// Why an upload cannot be made, read or accepted.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The codes are not a record.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// The library could not prove.
    #[error("the record could not be proven: {reason}")]
    Proving {
        /// What the library said.
        reason: String,
    },
    /// Not version 1 of an upload.
    #[error("these bytes are not version 1 of an upload")]
    Kind,
    /// Another length than the header says.
    #[error("an upload of {slots} slots does not have {found} bytes")]
    Length {
        /// Slots in the header.
        slots: usize,
        /// Bytes given.
        found: usize,
    },
    /// Slots of another layout.
    #[error("the layout has {expected} slots and the upload {found}")]
    Slots {
        /// Of the layout.
        expected: usize,
        /// Of the upload.
        found: usize,
    },
    /// The proof does not decode, or not to these bytes.
    #[error("the proof does not decode: {reason}")]
    Proof {
        /// What the decoder said.
        reason: String,
    },
    /// The proof does not hold for this list, key and binding.
    #[error("the proof does not show that every slot is a bit of this member's record")]
    NotProven,
}

/// Where an upload belongs; part of what its proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// EIP-155 chain.
    pub chain: u64,
    /// The dataset registry.
    pub contract: [u8; 20],
    /// The dataset.
    pub dataset: u64,
    /// The member's pseudonymous key.
    pub member: [u8; 20],
    /// The consent's epoch.
    pub epoch: u32,
    /// [`Layout::hash`] of the record.
    pub layout: [u8; 32],
}

impl Binding {
    /// The metadata of the proof, injective in every field.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"salus/v1/adhoc/upload".to_vec();
        bytes.extend(self.chain.to_be_bytes());
        bytes.extend(self.contract);
        bytes.extend(self.dataset.to_be_bytes());
        bytes.extend(self.member);
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.layout);
        bytes
    }
}

/// An encrypted record and its proof, not yet checked.
pub struct Upload {
    list: Vec<u64>,
    proof: CompactPkeProof,
    proof_bytes: Vec<u8>,
}

/// An encrypted record whose slots are known to be bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    list: Vec<u64>,
    hash: [u8; 32],
}

impl Upload {
    /// The upload of a record's codes, one per column of the dataset. About two seconds of CPU.
    ///
    /// # Errors
    /// If the codes do not fit the layout, or the reference string is too small for it.
    pub fn prove(
        client: &ClientMaterial,
        layout: &Layout,
        codes: &[u8],
        binding: &Binding,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, UploadError> {
        Self::prove_slots(client, &layout.one_hot(codes)?, binding, rng)
    }

    /// As [`Upload::prove`], of any slots: what a cheater can send.
    pub(crate) fn prove_slots(
        client: &ClientMaterial,
        slots: &[u64],
        binding: &Binding,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, UploadError> {
        let noise = TUniform::<u64>::new(RING_NOISE_LOG);
        let mut list = LweCompactCiphertextList::new(
            0u64,
            LweSize(RING + 1),
            LweCiphertextCount(slots.len()),
            native(),
        );
        let mut generator = noise_generator(rng);
        let proof = encrypt_and_prove_lwe_compact_ciphertext_list_with_compact_public_key(
            &client.public_key,
            &mut list,
            &slots.to_vec(),
            1u64 << SLOT_LOG,
            noise,
            noise,
            &mut generator,
            &client.crs,
            &binding.to_bytes(),
            ZkComputeLoad::Proof,
        )
        .map_err(|error| UploadError::Proving {
            reason: error.to_string(),
        })?;
        let proof_bytes = encode_proof(&proof)?;
        Ok(Self {
            list: list.into_container(),
            proof,
            proof_bytes,
        })
    }

    /// The record, if its proof holds for this member.
    ///
    /// # Errors
    /// If the slots are not those of the layout or the proof does not hold.
    ///
    /// # Security
    /// Knowledge soundness of tfhe's proof (a vector commitment in the generic group and random oracle models). It bounds
    /// the noise and shows that every slot is 0 or 1; [`crate::one_hot`] shows the rest.
    pub fn verify(
        self,
        client: &ClientMaterial,
        layout: &Layout,
        binding: &Binding,
    ) -> Result<Record, UploadError> {
        let found = self.slots();
        if found != layout.slots() {
            return Err(UploadError::Slots {
                expected: layout.slots(),
                found,
            });
        }
        let list = LweCompactCiphertextList::from_container(
            &self.list[..],
            LweSize(RING + 1),
            LweCiphertextCount(found),
            native(),
        );
        let metadata = binding.to_bytes();
        // The library asserts on some malformed proofs that its conformance check lets through.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            verify_lwe_compact_ciphertext_list(
                &list,
                &client.public_key,
                &self.proof,
                &client.crs,
                &metadata,
            )
        }));
        match outcome {
            Ok(outcome) if outcome.is_valid() => Ok(self.into_record()),
            _ => Err(UploadError::NotProven),
        }
    }

    /// The record of an upload whose proof was verified before, when it was stored.
    ///
    /// # Security
    /// Skips the proof. A record whose slots are not bits can make a count depend on noise and so leak key bits.
    pub fn assume_verified(self) -> Record {
        self.into_record()
    }

    fn into_record(self) -> Record {
        let hash = self.hash();
        Record {
            list: self.list,
            hash,
        }
    }

    /// Slots of the record.
    pub fn slots(&self) -> usize {
        self.list.len() - RING
    }

    /// The wire form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 8 * self.list.len() + self.proof_bytes.len());
        bytes.extend(MAGIC);
        bytes.extend((self.slots() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend((self.proof_bytes.len() as u32).to_le_bytes());
        for word in &self.list {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.proof_bytes);
        bytes
    }

    /// blake3 of the wire form, domain separated.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("salus/v1/adhoc/upload bytes", &self.to_bytes())
    }

    /// The upload of these bytes; the only bytes that it has.
    ///
    /// # Errors
    /// If the bytes are of another kind or length, or the proof does not decode or is not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UploadError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(UploadError::Kind)?;
        let Some((&[s0, s1, 0, 0, p0, p1, p2, p3], rest)) = rest.split_first_chunk::<8>() else {
            return Err(UploadError::Kind);
        };
        let slots = usize::from(u16::from_le_bytes([s0, s1]));
        let proof_len = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
        let words = 8 * (RING + slots);
        if slots == 0
            || slots > MAX_SLOTS
            || proof_len > MAX_PROOF_BYTES
            || rest.len() != words + proof_len
        {
            return Err(UploadError::Length {
                slots,
                found: bytes.len(),
            });
        }
        let (words, proof_bytes) = rest.split_at(words);
        let list = words
            .chunks_exact(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().expect("chunks of eight")))
            .collect();
        let conformance = CompactPkeProofConformanceParams::new(CompactPkeZkScheme::V2);
        let proof: CompactPkeProof =
            safe_deserialize_conformant(proof_bytes, MAX_PROOF_BYTES as u64, &conformance)
                .map_err(|reason| UploadError::Proof { reason })?;
        if encode_proof(&proof)? != proof_bytes {
            return Err(UploadError::Proof {
                reason: "another encoding of the same proof".to_owned(),
            });
        }
        Ok(Self {
            list,
            proof,
            proof_bytes: proof_bytes.to_vec(),
        })
    }
}

impl Record {
    /// A record encrypted without a proof, for measurements and tests.
    ///
    /// # Errors
    /// If the codes do not fit the layout.
    pub fn encrypt_unproven(
        client: &ClientMaterial,
        layout: &Layout,
        codes: &[u8],
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, CodesError> {
        Ok(Self::of_slots(
            &client.public_key,
            &layout.one_hot(codes)?,
            rng,
        ))
    }

    pub(crate) fn of_slots(
        public_key: &LweCompactPublicKeyOwned<u64>,
        slots: &[u64],
        rng: &mut impl CryptoRngCore,
    ) -> Self {
        let noise = TUniform::<u64>::new(RING_NOISE_LOG);
        let mut list = LweCompactCiphertextList::new(
            0u64,
            LweSize(RING + 1),
            LweCiphertextCount(slots.len()),
            native(),
        );
        let plain =
            PlaintextList::from_container(slots.iter().map(|s| s << SLOT_LOG).collect::<Vec<_>>());
        encrypt_lwe_compact_ciphertext_list_with_compact_public_key(
            public_key,
            &mut list,
            &plain,
            noise,
            noise,
            &mut noise_generator(rng),
        );
        let list = list.into_container();
        let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/unproven record");
        for word in &list {
            hasher.update(&word.to_le_bytes());
        }
        Self {
            list,
            hash: *hasher.finalize().as_bytes(),
        }
    }

    /// 2048 words of mask and one body per slot.
    pub(crate) fn list(&self) -> &[u64] {
        &self.list
    }

    /// Slots of the record.
    pub fn slots(&self) -> usize {
        self.list.len() - RING
    }

    /// [`Upload::hash`] of the upload.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// The hash of a sequence of records, in order: what an evaluation is bound to.
pub fn records_hash(records: &[Record]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("salus/v1/adhoc/records");
    hasher.update(&(records.len() as u64).to_le_bytes());
    for record in records {
        hasher.update(&record.hash);
    }
    *hasher.finalize().as_bytes()
}

fn noise_generator(rng: &mut impl CryptoRngCore) -> NoiseRandomGenerator<DefaultRandomGenerator> {
    let mut seed = [0; 16];
    rng.fill_bytes(&mut seed);
    NoiseRandomGenerator::new_from_seed(Seed(u128::from_le_bytes(seed)))
}

fn encode_proof(proof: &CompactPkeProof) -> Result<Vec<u8>, UploadError> {
    let mut bytes = Vec::new();
    safe_serialize(proof, &mut bytes, MAX_PROOF_BYTES as u64).map_err(|error| {
        UploadError::Proof {
            reason: error.to_string(),
        }
    })?;
    Ok(bytes)
}

//! Steps 2 and 3: every person commits to their codes under keys of their own and consents.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::{RngCore, SeedableRng};
use rand::rngs::OsRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use salus_circuits::commitment::{CommitmentKey, FixedBase, commit};
use salus_circuits::registration::{Seat, prove};
use salus_circuits::words::{field_word, g1_words};
use salus_contracts::client::{
    ChunkIndex, DatasetId, KnowledgeProof, OptIn, Registration, SlotIndex,
};
use salus_contracts::consent::{Consent, ConsentError, MemberKey, commitments_hash};
use salus_contracts::primitives::{Address, B256};
use zeroize::Zeroizing;

/// Everything a person keeps: the secret of their pseudonymous key.
pub struct Member {
    secret: Zeroizing<[u8; 32]>,
    /// Their chunk.
    pub chunk: ChunkIndex,
    /// Their slot.
    pub slot: SlotIndex,
}

impl Member {
    /// The key, rebuilt when needed.
    pub fn key(&self) -> Result<MemberKey, ConsentError> {
        MemberKey::from_secret(&self.secret)
    }
}

/// Where and to what people register.
pub struct Office<'a> {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The registry's address.
    pub registry: Address,
    /// The dataset.
    pub dataset: DatasetId,
    /// Slot bases.
    pub basis: &'a CommitmentKey,
    /// Multiples of H.
    pub blinding_base: &'a FixedBase,
    /// Purposes consented to.
    pub purposes: B256,
    /// Consents lapse when the dataset enters this epoch.
    pub expiry_epoch: u64,
}

/// One batch ready to send, with what custodian and members keep of it.
pub struct Batch {
    /// The transaction's content.
    pub opt_in: OptIn,
    /// The people.
    pub members: Vec<Member>,
    /// Summed blindings per column.
    pub blindings: Vec<Fr>,
    /// Summed commitments per column.
    pub commitments: Vec<G1Projective>,
}

impl Office<'_> {
    /// Registers the people with these codes (columns x people) in consecutive slots.
    ///
    /// # Errors
    /// [`ConsentError`] when a random secret is no key (chance 2^-128).
    pub fn register(
        &self,
        chunk: u32,
        first_slot: usize,
        codes: &[&[u8]],
    ) -> Result<Batch, ConsentError> {
        let people = codes.first().map_or(0, |c| c.len());
        let made: Vec<(Registration, Member, Vec<Fr>, Vec<G1Affine>)> = (0..people)
            .into_par_iter()
            .map(|i| {
                let own: Vec<u8> = codes.iter().map(|c| c[i]).collect();
                self.register_one(chunk, first_slot + i, &own)
            })
            .collect::<Result<_, _>>()?;
        let mut batch = Batch {
            opt_in: OptIn {
                dataset: self.dataset,
                chunk: ChunkIndex(chunk),
                members: Vec::with_capacity(people),
            },
            members: Vec::with_capacity(people),
            blindings: vec![Fr::ZERO; codes.len()],
            commitments: vec![G1Projective::ZERO; codes.len()],
        };
        for (registration, member, blindings, commitments) in made {
            batch.opt_in.members.push(registration);
            batch.members.push(member);
            for (sum, r) in batch.blindings.iter_mut().zip(&blindings) {
                *sum += r;
            }
            for (sum, c) in batch.commitments.iter_mut().zip(&commitments) {
                *sum += c;
            }
        }
        Ok(batch)
    }

    fn register_one(
        &self,
        chunk: u32,
        slot: usize,
        codes: &[u8],
    ) -> Result<(Registration, Member, Vec<Fr>, Vec<G1Affine>), ConsentError> {
        // One generator per person, seeded by the system: blindings, key and proof are their own.
        let mut seed = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(seed.as_mut_slice());
        let mut rng = ChaCha20Rng::from_seed(*seed);
        let mut secret = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        let key = MemberKey::from_secret(&secret)?;
        let member = key.address();

        let basis = &self.basis.slots[slot];
        let blindings: Vec<Fr> = codes.iter().map(|_| nonzero(&mut rng)).collect();
        let points: Vec<G1Projective> = codes
            .iter()
            .zip(&blindings)
            .map(|(a, r)| commit(basis, self.blinding_base, *a, r))
            .collect();
        let commitments = G1Projective::normalize_batch(&points);
        debug_assert!(commitments.iter().all(|c| !c.is_zero()));
        let seat = Seat {
            chain_id: self.chain_id,
            registry: self.registry.into_array(),
            dataset: u64::from(self.dataset.0),
            chunk,
            slot: slot as u32,
            member: member.into_array(),
        };
        let proof = prove(
            &seat,
            basis,
            self.blinding_base,
            codes,
            &blindings,
            &commitments,
            &mut rng,
        );
        let words: Vec<_> = commitments.iter().map(g1_words).collect();
        let mut payout_id = B256::ZERO;
        rng.fill_bytes(payout_id.as_mut_slice());
        let consent = Consent {
            dataset: self.dataset,
            chunk: ChunkIndex(chunk),
            slot: SlotIndex(slot as u32),
            purposes: self.purposes,
            expiry_epoch: self.expiry_epoch,
            commitments_hash: commitments_hash(&words),
            payout_id,
            nonce: 1,
        };
        let signature = key.sign_consent(self.chain_id, self.registry, &consent)?;
        let registration = Registration {
            slot: SlotIndex(slot as u32),
            member,
            expiry_epoch: self.expiry_epoch,
            purposes: self.purposes,
            payout_id,
            nonce: 1,
            commitments: words,
            basis: g1_words(basis),
            path: self.basis.path(slot).into_iter().map(B256::from).collect(),
            proof: KnowledgeProof {
                r: g1_words(&proof.r),
                s1: field_word(&proof.s1),
                s2: field_word(&proof.s2),
            },
            signature,
        };
        let kept = Member {
            secret,
            chunk: ChunkIndex(chunk),
            slot: SlotIndex(slot as u32),
        };
        Ok((registration, kept, blindings, commitments))
    }
}

/// A blinding that hides: never zero.
fn nonzero(rng: &mut ChaCha20Rng) -> Fr {
    loop {
        let r = Fr::rand(rng);
        if r != Fr::ZERO {
            return r;
        }
    }
}

//! Step 3 of 8: a member proves knowledge of what was committed, in the right slot.
//!
//! One Schnorr proof in basis `(B_i, H)` for a random combination of the member's column
//! commitments, bound to chain, registry, dataset, chunk, slot and member. Without it a
//! commitment with a component on another slot would silently change someone else's record
//! (SPEC.md statement R1, PROTOCOL 1.1).

use crate::commitment::FixedBase;
use crate::transcript::{Hasher, Tag, address_word};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::{CryptoRng, Rng};
use zeroize::Zeroize;

/// Where and for whom a registration is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the CohortRegistry contract.
    pub registry: [u8; 20],
    /// Dataset number on chain.
    pub dataset: u64,
    /// Chunk of the dataset.
    pub chunk: u32,
    /// Slot of the chunk.
    pub slot: u32,
    /// The member's pseudonymous address.
    pub member: [u8; 20],
}

/// Proof of knowledge of the openings of all of a member's commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningProof {
    /// `R = k1 B + k2 H`.
    pub r: G1Affine,
    /// Response for the combined code.
    pub s1: Fr,
    /// Response for the combined blinding.
    pub s2: Fr,
}

/// Why a registration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A member must commit to every column.
    #[error("a registration needs at least one commitment")]
    Empty,
    /// A commitment at infinity hides nothing.
    #[error("commitment of column {column} is the point at infinity")]
    Infinity {
        /// Physical column.
        column: usize,
    },
    /// The proof does not verify.
    #[error("the proof of knowledge for slot {slot} does not verify")]
    Proof {
        /// Slot.
        slot: u32,
    },
}

impl Seat {
    /// The scalar that combines the columns.
    pub fn combiner(&self, commitments: &[G1Affine]) -> Fr {
        let h = Hasher::new(Tag::Register)
            .integer(u128::from(self.chain_id))
            .word(&address_word(&self.registry))
            .integer(u128::from(self.dataset))
            .integer(u128::from(self.chunk))
            .integer(u128::from(self.slot))
            .word(&address_word(&self.member));
        commitments.iter().fold(h, |h, c| h.g1(c)).challenge()
    }
}

fn challenge(combiner: &Fr, r: &G1Affine) -> Fr {
    Hasher::new(Tag::Pok).scalar(combiner).g1(r).challenge()
}

/// `sum_l combiner^l values_l`.
fn combine<T: Copy>(values: &[T], combiner: &Fr, to_scalar: impl Fn(T) -> Fr) -> Fr {
    values.iter().rev().fold(Fr::ZERO, |acc, v| acc * combiner + to_scalar(*v))
}

/// Proves knowledge of `codes` and `blindings` behind `commitments`.
///
/// # Panics
/// When the three slices differ in length.
pub fn prove(
    seat: &Seat,
    basis: &G1Affine,
    blinding_base: &FixedBase,
    codes: &[u8],
    blindings: &[Fr],
    commitments: &[G1Affine],
    rng: &mut (impl Rng + CryptoRng),
) -> OpeningProof {
    assert!(codes.len() == blindings.len() && codes.len() == commitments.len());
    let combiner = seat.combiner(commitments);
    let (mut k1, mut k2) = (Fr::rand(rng), Fr::rand(rng));
    let r = (*basis * k1 + blinding_base.mul(&k2)).into_affine();
    let e = challenge(&combiner, &r);
    let proof = OpeningProof {
        r,
        s1: k1 + e * combine(codes, &combiner, Fr::from),
        s2: k2 + e * combine(blindings, &combiner, |b| b),
    };
    k1.zeroize();
    k2.zeroize();
    proof
}

/// Verifies a registration exactly as the contract does.
///
/// # Errors
/// [`RegistrationError`] naming what is wrong.
pub fn verify(
    seat: &Seat,
    basis: &G1Affine,
    blinding_base: &G1Affine,
    commitments: &[G1Affine],
    proof: &OpeningProof,
) -> Result<(), RegistrationError> {
    if commitments.is_empty() {
        return Err(RegistrationError::Empty);
    }
    if let Some(column) = commitments.iter().position(|c| c.is_zero()) {
        return Err(RegistrationError::Infinity { column });
    }
    let combiner = seat.combiner(commitments);
    let combined = commitments.iter().rev().fold(G1Projective::ZERO, |acc, c| acc * combiner + c);
    let e = challenge(&combiner, &proof.r);
    if *basis * proof.s1 + *blinding_base * proof.s2 == combined * e + proof.r {
        Ok(())
    } else {
        Err(RegistrationError::Proof { slot: seat.slot })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commitment::{CommitmentKey, commit};
    use ark_std::rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    struct Member {
        key: CommitmentKey,
        seat: Seat,
        commitments: Vec<G1Affine>,
        proof: OpeningProof,
    }

    fn member() -> Member {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let key = CommitmentKey::new((0..11).map(|_| G1Affine::rand(&mut rng)).collect(), G1Affine::rand(&mut rng));
        let h = FixedBase::new(&key.blinding);
        let seat = Seat { chain_id: 1, registry: [2; 20], dataset: 3, chunk: 4, slot: 5, member: [6; 20] };
        let codes = [0u8, 1, 2, 255];
        let blindings: Vec<Fr> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
        let commitments: Vec<G1Affine> = codes
            .iter()
            .zip(&blindings)
            .map(|(a, r)| commit(&key.slots[5], &h, *a, r).into_affine())
            .collect();
        for ((a, r), c) in codes.iter().zip(&blindings).zip(&commitments) {
            assert_eq!(*c, (key.slots[5] * Fr::from(*a) + key.blinding * r).into_affine());
        }
        let proof = prove(&seat, &key.slots[5], &h, &codes, &blindings, &commitments, &mut rng);
        Member { key, seat, commitments, proof }
    }

    fn check(m: &Member, seat: &Seat, commitments: &[G1Affine], proof: &OpeningProof) -> bool {
        verify(seat, &m.key.slots[5], &m.key.blinding, commitments, proof).is_ok()
    }

    #[test]
    fn accepts_an_honest_member_and_no_other_seat() {
        let m = member();
        assert!(check(&m, &m.seat, &m.commitments, &m.proof));
        let seats = [
            Seat { chain_id: 9, ..m.seat },
            Seat { registry: [9; 20], ..m.seat },
            Seat { dataset: 9, ..m.seat },
            Seat { chunk: 9, ..m.seat },
            Seat { slot: 9, ..m.seat },
            Seat { member: [9; 20], ..m.seat },
        ];
        for seat in seats {
            assert!(!check(&m, &seat, &m.commitments, &m.proof), "{seat:?}");
        }
        assert!(verify(&m.seat, &m.key.slots[6], &m.key.blinding, &m.commitments, &m.proof).is_err());
    }

    #[test]
    fn rejects_a_component_on_another_members_slot() {
        // The cheater knows all openings and adds one unit to slot 7 in column 2.
        let m = member();
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let h = FixedBase::new(&m.key.blinding);
        let codes = [3u8, 3, 3, 3];
        let blindings: Vec<Fr> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
        let mut commitments: Vec<G1Affine> =
            codes.iter().zip(&blindings).map(|(a, r)| commit(&m.key.slots[5], &h, *a, r).into_affine()).collect();
        commitments[2] = (commitments[2] + m.key.slots[7]).into_affine();
        let proof = prove(&m.seat, &m.key.slots[5], &h, &codes, &blindings, &commitments, &mut rng);
        assert!(!check(&m, &m.seat, &commitments, &proof));
    }

    #[test]
    fn rejects_tampering_infinity_and_nothing() {
        let m = member();
        let mut swapped = m.commitments.clone();
        swapped.swap(0, 1);
        assert!(!check(&m, &m.seat, &swapped, &m.proof));
        for k in 0..3 {
            let mut p = m.proof;
            match k {
                0 => p.s1 += Fr::from(1u64),
                1 => p.s2 += Fr::from(1u64),
                _ => p.r = m.key.blinding,
            }
            assert!(!check(&m, &m.seat, &m.commitments, &p));
        }
        let mut none = m.commitments.clone();
        none[1] = G1Affine::zero();
        assert_eq!(
            verify(&m.seat, &m.key.slots[5], &m.key.blinding, &none, &m.proof),
            Err(RegistrationError::Infinity { column: 1 })
        );
        assert_eq!(
            verify(&m.seat, &m.key.slots[5], &m.key.blinding, &[], &m.proof),
            Err(RegistrationError::Empty)
        );
    }

    #[test]
    fn merkle_paths_bind_basis_and_slot() {
        let m = member();
        let root = m.key.root();
        for slot in 0..11 {
            let path = m.key.path(slot);
            assert_eq!(path.len(), 4);
            assert!(CommitmentKey::verify_path(&root, slot, &m.key.slots[slot], &path));
            assert!(!CommitmentKey::verify_path(&root, slot, &m.key.slots[(slot + 1) % 11], &path));
            assert!(!CommitmentKey::verify_path(&root, slot ^ 1, &m.key.slots[slot], &path));
            assert!(!CommitmentKey::verify_path(&root, slot + 16, &m.key.slots[slot], &path));
            assert!(!CommitmentKey::verify_path(&root, slot, &m.key.slots[slot], &path[1..]));
        }
    }
}

//! Step 3 of 8: a member proves knowledge of what was committed, in the right slot.
//!
//! One Schnorr proof in basis `(B_i, H)` for a random combination of the member's column
//! commitments, bound to chain, registry, dataset, chunk, slot and member. Without it a
//! commitment with a component on another slot would silently change someone else's record
//! (SPEC.md statement R1, PROTOCOL 1.1).

use crate::commitment::FixedBase;
use crate::transcript::{Hasher, Tag, address_word};
use crate::words::Word;
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, PrimeField, UniformRand};
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
    values
        .iter()
        .rev()
        .fold(Fr::ZERO, |acc, v| acc * combiner + to_scalar(*v))
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
    let combined = commitments
        .iter()
        .rev()
        .fold(G1Projective::ZERO, |acc, c| acc * combiner + c);
    let e = challenge(&combiner, &proof.r);
    if *basis * proof.s1 + *blinding_base * proof.s2 == combined * e + proof.r {
        Ok(())
    } else {
        Err(RegistrationError::Proof { slot: seat.slot })
    }
}

/// One registration of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// Where and for whom.
    pub seat: Seat,
    /// The slot's base.
    pub basis: G1Affine,
    /// One commitment per column.
    pub commitments: &'a [G1Affine],
    /// The proof.
    pub proof: OpeningProof,
}

/// Verifies many registrations with one multi-scalar product, about a twentieth of the work of one by one.
///
/// # Errors
/// As [`verify`], for the first registration that fails on its own.
///
/// # Security
/// `seed` must be a hash that binds every item, e.g. of the transaction that carries them; then a batch with a wrong
/// item passes with probability 2^-128.
pub fn verify_batch(
    items: &[BatchItem<'_>],
    blinding_base: &G1Affine,
    seed: &Word,
) -> Result<(), RegistrationError> {
    let mut points = vec![*blinding_base];
    let mut scalars = vec![Fr::ZERO];
    for (index, item) in items.iter().enumerate() {
        if item.commitments.is_empty() {
            return Err(RegistrationError::Empty);
        }
        if let Some(column) = item.commitments.iter().position(|c| c.is_zero()) {
            return Err(RegistrationError::Infinity { column });
        }
        let hash = Hasher::new(Tag::Weight)
            .word(seed)
            .integer(index as u128)
            .finish();
        let mut low = [0u8; 16];
        low.copy_from_slice(&hash[16..]);
        let weight = Fr::from(u128::from_be_bytes(low));
        let combiner = item.seat.combiner(item.commitments);
        let e = challenge(&combiner, &item.proof.r);
        scalars[0] += weight * item.proof.s2;
        points.push(item.basis);
        scalars.push(weight * item.proof.s1);
        points.push(item.proof.r);
        scalars.push(-weight);
        let mut factor = -(weight * e);
        for commitment in item.commitments {
            points.push(*commitment);
            scalars.push(factor);
            factor *= combiner;
        }
    }
    let scalars: Vec<_> = scalars.iter().map(|s| s.into_bigint()).collect();
    if G1Projective::msm_bigint(&points, &scalars) == G1Projective::ZERO {
        return Ok(());
    }
    for item in items {
        verify(
            &item.seat,
            &item.basis,
            blinding_base,
            item.commitments,
            &item.proof,
        )?;
    }
    // A single failure always shows above; without one the product would have been zero.
    Err(RegistrationError::Proof {
        slot: items.first().map_or(0, |item| item.seat.slot),
    })
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
        let key = CommitmentKey::new(
            (0..11).map(|_| G1Affine::rand(&mut rng)).collect(),
            G1Affine::rand(&mut rng),
        );
        let h = FixedBase::new(&key.blinding);
        let seat = Seat {
            chain_id: 1,
            registry: [2; 20],
            dataset: 3,
            chunk: 4,
            slot: 5,
            member: [6; 20],
        };
        let codes = [0u8, 1, 2, 255];
        let blindings: Vec<Fr> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
        let commitments: Vec<G1Affine> = codes
            .iter()
            .zip(&blindings)
            .map(|(a, r)| commit(&key.slots[5], &h, *a, r).into_affine())
            .collect();
        for ((a, r), c) in codes.iter().zip(&blindings).zip(&commitments) {
            assert_eq!(
                *c,
                (key.slots[5] * Fr::from(*a) + key.blinding * r).into_affine()
            );
        }
        let proof = prove(
            &seat,
            &key.slots[5],
            &h,
            &codes,
            &blindings,
            &commitments,
            &mut rng,
        );
        Member {
            key,
            seat,
            commitments,
            proof,
        }
    }

    fn check(m: &Member, seat: &Seat, commitments: &[G1Affine], proof: &OpeningProof) -> bool {
        verify(seat, &m.key.slots[5], &m.key.blinding, commitments, proof).is_ok()
    }

    #[test]
    fn accepts_an_honest_member_and_no_other_seat() {
        let m = member();
        assert!(check(&m, &m.seat, &m.commitments, &m.proof));
        let seats = [
            Seat {
                chain_id: 9,
                ..m.seat
            },
            Seat {
                registry: [9; 20],
                ..m.seat
            },
            Seat {
                dataset: 9,
                ..m.seat
            },
            Seat { chunk: 9, ..m.seat },
            Seat { slot: 9, ..m.seat },
            Seat {
                member: [9; 20],
                ..m.seat
            },
        ];
        for seat in seats {
            assert!(!check(&m, &seat, &m.commitments, &m.proof), "{seat:?}");
        }
        assert!(
            verify(
                &m.seat,
                &m.key.slots[6],
                &m.key.blinding,
                &m.commitments,
                &m.proof
            )
            .is_err()
        );
    }

    #[test]
    fn a_batch_accepts_what_each_accepts_and_names_the_one_that_fails() {
        let m = member();
        let item = BatchItem {
            seat: m.seat,
            basis: m.key.slots[5],
            commitments: &m.commitments,
            proof: m.proof,
        };
        assert_eq!(verify_batch(&[], &m.key.blinding, &[1; 32]), Ok(()));
        assert_eq!(
            verify_batch(&[item, item, item], &m.key.blinding, &[1; 32]),
            Ok(())
        );
        let mut bad = item;
        bad.proof.s2 += Fr::from(1u64);
        bad.seat.slot = 5;
        let refused = verify_batch(&[item, bad, item], &m.key.blinding, &[1; 32]);
        assert_eq!(refused, Err(RegistrationError::Proof { slot: 5 }));
        // two errors that cancel without weights
        let mut other = item;
        other.proof.s2 -= Fr::from(1u64);
        assert!(verify_batch(&[bad, other], &m.key.blinding, &[1; 32]).is_err());
    }

    #[test]
    fn rejects_a_component_on_another_members_slot() {
        // The cheater knows all openings and adds one unit to slot 7 in column 2.
        let m = member();
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let h = FixedBase::new(&m.key.blinding);
        let codes = [3u8, 3, 3, 3];
        let blindings: Vec<Fr> = codes.iter().map(|_| Fr::rand(&mut rng)).collect();
        let mut commitments: Vec<G1Affine> = codes
            .iter()
            .zip(&blindings)
            .map(|(a, r)| commit(&m.key.slots[5], &h, *a, r).into_affine())
            .collect();
        commitments[2] = (commitments[2] + m.key.slots[7]).into_affine();
        let proof = prove(
            &m.seat,
            &m.key.slots[5],
            &h,
            &codes,
            &blindings,
            &commitments,
            &mut rng,
        );
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
            assert!(CommitmentKey::verify_path(
                &root,
                slot,
                &m.key.slots[slot],
                &path
            ));
            assert!(!CommitmentKey::verify_path(
                &root,
                slot,
                &m.key.slots[(slot + 1) % 11],
                &path
            ));
            assert!(!CommitmentKey::verify_path(
                &root,
                slot ^ 1,
                &m.key.slots[slot],
                &path
            ));
            assert!(!CommitmentKey::verify_path(
                &root,
                slot + 16,
                &m.key.slots[slot],
                &path
            ));
            assert!(!CommitmentKey::verify_path(
                &root,
                slot,
                &m.key.slots[slot],
                &path[1..]
            ));
        }
    }
}

//! What the prover holds besides the verifying key.

use super::{KeyError, VerifyingKey};
use crate::aggregate::rows::for_each_row;
use crate::commitment::CommitmentKey;
use crate::layout::Shape;
use ark_bn254::{Bn254, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::Zero;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize, Compress, Validate};
use sha2::{Digest, Sha256};

/// Proving key in the row-Lagrange basis: the prover works with row values `A_k, B_k, C_k`, so
/// A and B are combinations of `[L_k(tau)]` and need no per-variable queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvingKey {
    /// The verifying key.
    pub vk: VerifyingKey,
    /// Slot bases and blinding base of the family.
    pub commitment: CommitmentKey,
    /// `[beta]_1`.
    pub beta: G1Affine,
    /// `[delta]_1`.
    pub delta: G1Affine,
    /// `[L_k(tau)]_1` per row in use.
    pub lagrange_g1: Vec<G1Affine>,
    /// `[L_k(tau)]_2` per row in use.
    pub lagrange_g2: Vec<G2Affine>,
    /// Block 2 bases, from zeta to the blinding.
    pub aux: Vec<G1Affine>,
    /// Witness bases, divided by delta.
    pub witness: Vec<G1Affine>,
    /// `[Z(tau) L^coset_k(tau) / (delta Z(g))]_1`: bases of A B on the coset.
    pub quotient_coset: Vec<G1Affine>,
    /// `[Z(tau) L_k(tau) / (delta Z(g))]_1` per row in use: bases of C on the domain itself, which
    /// spares the prover both transforms of C.
    pub quotient_rows: Vec<G1Affine>,
}

impl ProvingKey {
    /// Dimensions.
    pub fn shape(&self) -> &Shape {
        &self.vk.shape
    }

    /// Uncompressed bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the serializer fails, which a `Vec` cannot cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        let malformed = |e: ark_serialize::SerializationError| KeyError::Malformed {
            reason: e.to_string(),
        };
        self.vk
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        self.commitment
            .slots
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        self.beta
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        self.delta
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        self.lagrange_g1
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        self.lagrange_g2
            .serialize_uncompressed(&mut out)
            .map_err(malformed)?;
        for v in [
            &self.aux,
            &self.witness,
            &self.quotient_coset,
            &self.quotient_rows,
        ] {
            v.serialize_uncompressed(&mut out).map_err(malformed)?;
        }
        Ok(out)
    }

    /// SHA-256 of [`Self::to_bytes`], the pinned digest.
    pub fn digest_of(bytes: &[u8]) -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// Decodes bytes whose digest is pinned. Curve checks are skipped: the digest already says
    /// that these are the bytes somebody generated and checked.
    ///
    /// # Errors
    /// When the digest differs, the bytes do not decode or are for another shape.
    pub fn from_pinned_bytes(bytes: &[u8], digest: &str, shape: &Shape) -> Result<Self, KeyError> {
        let found = Self::digest_of(bytes);
        if found != digest {
            return Err(KeyError::DigestMismatch {
                expected: digest.to_owned(),
                found,
            });
        }
        let mut r = bytes;
        macro_rules! read {
            () => {
                CanonicalDeserialize::deserialize_with_mode(&mut r, Compress::No, Validate::No)
                    .map_err(|e: ark_serialize::SerializationError| KeyError::Malformed {
                        reason: e.to_string(),
                    })?
            };
        }
        let vk: VerifyingKey = read!();
        if vk.shape != *shape {
            return Err(KeyError::ShapeMismatch {
                expected: *shape,
                found: vk.shape,
            });
        }
        let slots: Vec<G1Affine> = read!();
        let commitment = CommitmentKey::new(slots, vk.blinding);
        let key = Self {
            vk,
            commitment,
            beta: read!(),
            delta: read!(),
            lagrange_g1: read!(),
            lagrange_g2: read!(),
            aux: read!(),
            witness: read!(),
            quotient_coset: read!(),
            quotient_rows: read!(),
        };
        let sizes_ok = key.lagrange_g1.len() == shape.rows()
            && key.lagrange_g2.len() == shape.rows()
            && key.aux.len() == shape.aux_blinding() + 1 - shape.zeta()
            && key.witness.len() == shape.variables() - shape.instance()
            && key.quotient_coset.len() == shape.domain()
            && key.quotient_rows.len() == shape.rows();
        if !sizes_ok || !r.is_empty() {
            return Err(KeyError::Malformed {
                reason: "lengths do not match the shape".to_owned(),
            });
        }
        Ok(key)
    }

    /// The same key in the form of the stock `ark_groth16` prover: the oracle and the baseline.
    /// Its verifying key is only nominal, since stock verification knows a single gamma.
    pub fn to_stock(&self) -> ark_groth16::ProvingKey<Bn254> {
        let s = self.shape();
        let mut a = vec![G1Projective::zero(); s.variables()];
        let mut b1 = vec![G1Projective::zero(); s.variables()];
        let mut b2 = vec![G2Projective::zero(); s.variables()];
        let mut row = 0;
        for_each_row(s, |left, right, _| {
            for (c, v) in &left {
                a[*v] += self.lagrange_g1[row] * c;
            }
            for (c, v) in &right {
                b1[*v] += self.lagrange_g1[row] * c;
                b2[*v] += self.lagrange_g2[row] * c;
            }
            row += 1;
        });
        let mut instance: Vec<G1Affine> = self.vk.ic.to_vec();
        instance.extend(&self.commitment.slots);
        instance.push(self.vk.blinding);
        instance.extend(&self.aux);
        instance.extend(&self.vk.results);
        instance.push(self.vk.results_blinding);
        ark_groth16::ProvingKey {
            vk: ark_groth16::VerifyingKey {
                alpha_g1: self.vk.alpha,
                beta_g2: self.vk.beta,
                gamma_g2: self.vk.gammas[0],
                delta_g2: self.vk.delta,
                gamma_abc_g1: instance,
            },
            beta_g1: self.beta,
            delta_g1: self.delta,
            a_query: G1Projective::normalize_batch(&a),
            b_g1_query: G1Projective::normalize_batch(&b1),
            b_g2_query: G2Projective::normalize_batch(&b2),
            h_query: self.quotient_coset.clone(),
            l_query: self.witness.clone(),
        }
    }
}

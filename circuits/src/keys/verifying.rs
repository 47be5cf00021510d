//! What a verifier holds.

use crate::layout::Shape;
use crate::words::{Word, g1_words, g2_words, integer_word};
use ark_bn254::{G1Affine, G2Affine};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};

/// The verifying key of one circuit, with one gamma per instance block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    /// Dimensions of the circuit.
    pub shape: Shape,
    /// `[alpha]_1`, of the family.
    pub alpha: G1Affine,
    /// `[beta]_2`, of the family.
    pub beta: G2Affine,
    /// `[gamma_k]_2` for blocks 0 to 3; 1 and 3 are of the family.
    pub gammas: [G2Affine; 4],
    /// `[delta]_2`.
    pub delta: G2Affine,
    /// Bases of block 0: one, gamma, V.
    pub ic: [G1Affine; 3],
    /// Bases of block 3, of the family: 64 values.
    pub results: Vec<G1Affine>,
    /// Blinding base of block 3, of the family.
    pub results_blinding: G1Affine,
    /// Merkle root of the slot bases, of the family.
    pub basis_root: Word,
    /// Blinding base H of block 1, of the family.
    pub blinding: G1Affine,
}

impl VerifyingKey {
    /// The words a contract stores, in the order of SPEC.md section 3.4.
    pub fn words(&self) -> Vec<Word> {
        let mut out = Vec::with_capacity(2 + 4 * 6 + 6 + 130);
        out.extend(g1_words(&self.alpha));
        for p in [
            &self.beta,
            &self.gammas[1],
            &self.gammas[3],
            &self.gammas[0],
            &self.gammas[2],
            &self.delta,
        ] {
            out.extend(g2_words(p));
        }
        for p in &self.ic {
            out.extend(g1_words(p));
        }
        out.extend(g1_words(&self.results_blinding));
        for p in &self.results {
            out.extend(g1_words(p));
        }
        out
    }

    /// The words that complete the identity: slots, lo, hi, K, W, basis root, H.
    pub fn dimension_words(&self) -> Vec<Word> {
        let s = &self.shape;
        let mut out: Vec<Word> = [s.slots, s.lo, s.hi, s.columns, s.cells]
            .iter()
            .map(|v| integer_word(*v as u128))
            .collect();
        out.push(self.basis_root);
        out.extend(g1_words(&self.blinding));
        out
    }

    /// Identity of the circuit and its key: Keccak-256 over all its words.
    pub fn circuit_id(&self) -> Word {
        let bytes: Vec<u8> = self
            .words()
            .into_iter()
            .chain(self.dimension_words())
            .flatten()
            .collect();
        crate::transcript::keccak(&bytes)
    }
}

impl CanonicalSerialize for VerifyingKey {
    fn serialize_with_mode<W: std::io::Write>(
        &self,
        mut w: W,
        mode: ark_serialize::Compress,
    ) -> Result<(), ark_serialize::SerializationError> {
        let s = &self.shape;
        for v in [
            s.log_domain as usize,
            s.slots,
            s.lo,
            s.hi,
            s.columns,
            s.cells,
        ] {
            (v as u64).serialize_with_mode(&mut w, mode)?;
        }
        self.alpha.serialize_with_mode(&mut w, mode)?;
        self.beta.serialize_with_mode(&mut w, mode)?;
        self.gammas.serialize_with_mode(&mut w, mode)?;
        self.delta.serialize_with_mode(&mut w, mode)?;
        self.ic.serialize_with_mode(&mut w, mode)?;
        self.results.serialize_with_mode(&mut w, mode)?;
        self.results_blinding.serialize_with_mode(&mut w, mode)?;
        self.basis_root.serialize_with_mode(&mut w, mode)?;
        self.blinding.serialize_with_mode(&mut w, mode)
    }
    fn serialized_size(&self, mode: ark_serialize::Compress) -> usize {
        6 * 8
            + self.alpha.serialized_size(mode)
            + self.beta.serialized_size(mode)
            + self.gammas.serialized_size(mode)
            + self.delta.serialized_size(mode)
            + self.ic.serialized_size(mode)
            + self.results.serialized_size(mode)
            + self.results_blinding.serialized_size(mode)
            + self.basis_root.serialized_size(mode)
            + self.blinding.serialized_size(mode)
    }
}

impl ark_serialize::Valid for VerifyingKey {
    fn check(&self) -> Result<(), ark_serialize::SerializationError> {
        self.shape
            .check()
            .map_err(|_| ark_serialize::SerializationError::InvalidData)?;
        if self.results.len() != crate::layout::RESULTS {
            return Err(ark_serialize::SerializationError::InvalidData);
        }
        self.alpha.check()?;
        self.beta.check()?;
        self.gammas.check()?;
        self.delta.check()?;
        self.ic.check()?;
        self.results.check()?;
        self.results_blinding.check()?;
        self.blinding.check()
    }
}

impl CanonicalDeserialize for VerifyingKey {
    fn deserialize_with_mode<R: std::io::Read>(
        mut r: R,
        compress: ark_serialize::Compress,
        validate: ark_serialize::Validate,
    ) -> Result<Self, ark_serialize::SerializationError> {
        let mut dims = [0usize; 6];
        for d in &mut dims {
            let v = u64::deserialize_with_mode(&mut r, compress, validate)?;
            *d = usize::try_from(v).map_err(|_| ark_serialize::SerializationError::InvalidData)?;
        }
        let shape = Shape {
            log_domain: u32::try_from(dims[0])
                .map_err(|_| ark_serialize::SerializationError::InvalidData)?,
            slots: dims[1],
            lo: dims[2],
            hi: dims[3],
            columns: dims[4],
            cells: dims[5],
        };
        shape
            .check()
            .map_err(|_| ark_serialize::SerializationError::InvalidData)?;
        macro_rules! read {
            () => {
                CanonicalDeserialize::deserialize_with_mode(&mut r, compress, validate)?
            };
        }
        Ok(Self {
            shape,
            alpha: read!(),
            beta: read!(),
            gammas: read!(),
            delta: read!(),
            ic: read!(),
            results: read!(),
            results_blinding: read!(),
            basis_root: read!(),
            blinding: read!(),
        })
    }
}

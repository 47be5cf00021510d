//! Encryption of a cell, on the member's or the issuer's machine.
//!
//! Besides the one-hot of the cell a ciphertext carries, in its last slots, [`REPETITIONS`] pairs `x`, `x^2` of a random
//! residue. Challenges `r` over the cells follow from identity and upload, and the attestation is `d = <r, m> - x`: with it,
//! that the upload is a one-hot becomes linear forms that must be zero ([`crate::check`]), and nothing is opened but zeros.

use std::fmt;

use rand_core::CryptoRngCore;
use salus_schema::cube::{Cube, ModulusClass};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::key::PublicKey;
use crate::parameters::{self, Modulus};
use crate::ring::{DEGREE, Multiplier, Poly, SecretPoly};
use crate::stream::{self, Stream};
use crate::upload::Upload;

/// Independent repetitions of the one-hot relation.
pub const REPETITIONS: usize = 4;
/// The first slot of the pairs; slots from the last cell up to here must be zero.
pub const PROOF_SLOTS: usize = DEGREE - 12;
/// The first of the last four slots, which must be zero in this version.
pub const RESERVED_SLOTS: usize = DEGREE - 4;

const MAGIC: [u8; 4] = *b"SLSA";
const VERSION: u8 = 1;
/// Length of an attestation's encoding.
pub const ATTESTATION_BYTES: usize = 4 + 1 + 1 + 32 + 32 + 4 * REPETITIONS;

/// Who uploads what for when: a hash of dataset, member, slot, nonce, epoch and whatever else the issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 32]);

/// The private part of an upload, for the holders who check it and nobody else.
///
/// # Security
/// With a published attestation anyone can test guesses of the member's cell: re-randomise the upload, compute the
/// attestation that a guess implies, and see whether the copy is accepted. It travels encrypted and is never stored with
/// the upload.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Attestation {
    #[zeroize(skip)]
    class: ModulusClass,
    identity: [u8; 32],
    upload: [u8; 32],
    values: [u64; REPETITIONS],
}

/// Why bytes are not an attestation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    #[error("an attestation has {ATTESTATION_BYTES} bytes, not {found}")]
    Length { found: usize },
    #[error("the bytes do not begin as an attestation does")]
    Magic,
    #[error("attestation version {found} is not {VERSION}")]
    Version { found: u8 },
    #[error("modulus class {found} is neither 0 (counts) nor 1 (sums)")]
    Class { found: u8 },
    #[error("value {repetition} is not below the modulus")]
    Value { repetition: usize },
}

impl Attestation {
    /// The attestation of these values, which must be below the modulus.
    ///
    /// # Errors
    /// [`AttestationError::Value`] for one that is not.
    pub fn new(
        class: ModulusClass,
        identity: &Identity,
        upload: [u8; 32],
        values: [u64; REPETITIONS],
    ) -> Result<Self, AttestationError> {
        if let Some(repetition) = values.iter().position(|v| *v >= class.modulus()) {
            return Err(AttestationError::Value { repetition });
        }
        Ok(Self {
            class,
            identity: identity.0,
            upload,
            values,
        })
    }

    /// Whose upload it is for.
    pub const fn identity(&self) -> Identity {
        Identity(self.identity)
    }

    /// The hash of the upload.
    pub const fn upload(&self) -> &[u8; 32] {
        &self.upload
    }

    /// The class of the plaintext modulus.
    pub const fn class(&self) -> ModulusClass {
        self.class
    }

    /// The residues `d`, by repetition.
    pub const fn values(&self) -> &[u64; REPETITIONS] {
        &self.values
    }

    /// The encoding; secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(ATTESTATION_BYTES));
        bytes.extend(MAGIC);
        bytes.extend([VERSION, self.class.byte()]);
        bytes.extend(self.identity);
        bytes.extend(self.upload);
        for value in &self.values {
            bytes.extend((*value as u32).to_le_bytes());
        }
        bytes
    }

    /// The attestation with this encoding.
    ///
    /// # Errors
    /// If the length, the header or a value is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AttestationError> {
        if bytes.len() != ATTESTATION_BYTES {
            return Err(AttestationError::Length { found: bytes.len() });
        }
        if bytes[..4] != MAGIC {
            return Err(AttestationError::Magic);
        }
        if bytes[4] != VERSION {
            return Err(AttestationError::Version { found: bytes[4] });
        }
        let class =
            ModulusClass::from_byte(bytes[5]).ok_or(AttestationError::Class { found: bytes[5] })?;
        let (mut identity, mut upload) = ([0; 32], [0; 32]);
        identity.copy_from_slice(&bytes[6..38]);
        upload.copy_from_slice(&bytes[38..70]);
        let mut values = [0; REPETITIONS];
        for (value, word) in values.iter_mut().zip(bytes[70..].chunks_exact(4)) {
            *value = u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        Self::new(class, &Identity(identity), upload, values)
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attestation([redacted])")
    }
}

/// Why a cell cannot be encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    #[error("cell {cell} is not below the cube's {cells}")]
    Cell { cell: usize, cells: usize },
    #[error("the random number generator failed")]
    Randomness,
}

/// The upload of a record's cell, and the attestation that goes with it; about half a millisecond.
///
/// Time and memory access do not depend on the cell.
///
/// # Errors
/// If the cell is not in the cube, or `rng` fails.
///
/// # Security
/// Hides the cell from everyone who does not hold all subset secrets, under ring LWE with the parameters of
/// [`crate::parameters`].
pub fn encrypt_cell(
    key: &PublicKey,
    cube: &Cube,
    cell: usize,
    identity: &Identity,
    rng: &mut impl CryptoRngCore,
) -> Result<(Upload, Attestation), EncryptError> {
    if cell >= cube.cells() {
        return Err(EncryptError::Cell {
            cell,
            cells: cube.cells(),
        });
    }
    let class = cube.modulus();
    let modulus = Modulus::of(class);
    let mut randomness = secret_stream(rng)?;
    let mut slots = Zeroizing::new(Poly::zero());
    let one = modulus.encode(1);
    for (c, slot) in slots.coefficients_mut()[..cube.cells()]
        .iter_mut()
        .enumerate()
    {
        slot.conditional_assign(&one, (c as u64).ct_eq(&(cell as u64)));
    }
    let mut x = Zeroizing::new([0u64; REPETITIONS]);
    for (k, x) in x.iter_mut().enumerate() {
        let mut bytes = Zeroizing::new([0; 16]);
        randomness.fill(bytes.as_mut());
        *x = modulus.residue(*bytes);
        let pair = &mut slots.coefficients_mut()[PROOF_SLOTS + 2 * k..][..2];
        pair[0] = modulus.encode_residue(*x);
        pair[1] = modulus.encode_residue(modulus.times(*x, *x));
    }
    let upload = encrypt_with(key, cube.id(), class, &slots, &mut randomness);
    let hash = upload.hash();
    let mut values = [0; REPETITIONS];
    for (k, value) in values.iter_mut().enumerate() {
        let challenge = challenge(identity, &hash, &modulus, cube.cells(), k);
        let mut chosen = Zeroizing::new(0u64);
        for (c, r) in challenge.iter().enumerate() {
            chosen.conditional_assign(r, (c as u64).ct_eq(&(cell as u64)));
        }
        *value = modulus.minus(*chosen, x[k]);
    }
    let attestation = Attestation {
        class,
        identity: identity.0,
        upload: hash,
        values,
    };
    Ok((upload, attestation))
}

/// An upload of any plaintext: `slots` holds encoded residues ([`Modulus::encode`]).
///
/// Whether it is a one-hot is what [`crate::check`] finds out.
///
/// # Errors
/// If `rng` fails.
pub fn encrypt_slots(
    key: &PublicKey,
    cube: [u8; 32],
    class: ModulusClass,
    slots: &Poly,
    rng: &mut impl CryptoRngCore,
) -> Result<Upload, EncryptError> {
    let mut randomness = secret_stream(rng)?;
    Ok(encrypt_with(key, cube, class, slots, &mut randomness))
}

fn secret_stream(rng: &mut impl CryptoRngCore) -> Result<Stream, EncryptError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    rng.try_fill_bytes(seed.as_mut())
        .map_err(|_| EncryptError::Randomness)?;
    Ok(Stream::new("salus/v1/cubes/encryption", &[seed.as_ref()]))
}

/// `(a r + e1, b r + e2 + slots)`, rounded.
fn encrypt_with(
    key: &PublicKey,
    cube: [u8; 32],
    class: ModulusClass,
    slots: &Poly,
    randomness: &mut Stream,
) -> Upload {
    let multiplier = Multiplier::shared();
    let r = multiplier.transform_secret(&SecretPoly::ternary(randomness));
    let [a, b] = key.transforms();
    let mut mask = Zeroizing::new(multiplier.multiply(a, &r));
    let mut body = Zeroizing::new(multiplier.multiply(b, &r));
    for element in [&mut mask, &mut body] {
        let bytes = randomness.take(4 * DEGREE);
        let coefficients = element.coefficients_mut().iter_mut();
        for (x, e) in coefficients.zip(bytes.chunks_exact(4)) {
            *x = x.wrapping_add(parameters::error([e[0], e[1], e[2], e[3]]));
        }
    }
    body.add_assign(slots);
    Upload::pack(cube, class, &mask, &body)
}

/// The challenge of one repetition: a uniform residue for each cell, which anyone can derive.
pub fn challenge(
    identity: &Identity,
    upload: &[u8; 32],
    modulus: &Modulus,
    cells: usize,
    repetition: usize,
) -> Vec<u64> {
    let parts: [&[u8]; 3] = [&identity.0, upload, &[repetition as u8]];
    Stream::new("salus/v1/cubes/one-hot", &parts).residues(modulus.p(), cells)
}

impl Identity {
    /// The identity that these parts spell.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(stream::hash("salus/v1/cubes/identity", parts))
    }
}

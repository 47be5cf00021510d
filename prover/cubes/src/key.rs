//! Keys: subset keys, the secrets and public shares derived from them, and the public key.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::parameters;
use crate::ring::{DEGREE, Multiplier, Poly, SecretPoly, SecretTransform, Transform};
use crate::stream::Stream;

const MAGIC: [u8; 4] = *b"SLPK";
const VERSION: u8 = 1;
/// Length of a public key's encoding: magic, version, seed, 4096 words of 16 bytes.
pub const PUBLIC_KEY_BYTES: usize = 4 + 1 + 32 + 16 * DEGREE;

/// What the members of one subset of holders share; wiped when dropped.
///
/// # Security
/// Whoever knows the key of every subset decrypts everything.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SubsetKey([u8; 32]);

impl SubsetKey {
    /// The key with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored encrypted.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The subset's secret.
    pub fn secret(&self) -> SecretShare {
        let mut stream = Stream::new("salus/v1/cubes/subset-secret", &[&self.0]);
        SecretShare::new(SecretPoly::ternary(&mut stream))
    }

    /// The subset's public share `a * s + e` for the `a` of this seed; always the same for the same seed.
    pub fn public_share(&self, seed: &[u8; 32]) -> Poly {
        let mut stream = Stream::new("salus/v1/cubes/subset-error", &[&self.0, seed]);
        public_share(seed, &self.secret(), &mut stream)
    }

    /// The stream of this key for one purpose and input.
    pub fn stream(&self, domain: &'static str, parts: &[&[u8]]) -> Stream {
        let mut all: Vec<&[u8]> = vec![&self.0];
        all.extend(parts);
        Stream::new(domain, &all)
    }
}

impl fmt::Debug for SubsetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubsetKey([redacted])")
    }
}

/// A ternary secret with its transform; wiped when dropped.
#[derive(Clone, Debug)]
pub struct SecretShare {
    secret: SecretPoly,
    transform: SecretTransform,
}

impl SecretShare {
    /// The share with this secret.
    pub fn new(secret: SecretPoly) -> Self {
        let transform = Multiplier::shared().transform_secret(&secret);
        Self { secret, transform }
    }

    /// The coefficients.
    pub const fn secret(&self) -> &SecretPoly {
        &self.secret
    }

    /// The transform.
    pub const fn transform(&self) -> &SecretTransform {
        &self.transform
    }

    /// The product of a public element and the secret.
    pub fn multiply(&self, element: &Poly) -> Poly {
        let multiplier = Multiplier::shared();
        multiplier.multiply(&multiplier.transform(element), &self.transform)
    }
}

/// The public element `a` of a seed.
pub fn common_element(seed: &[u8; 32]) -> Poly {
    Poly::uniform(&mut Stream::new("salus/v1/cubes/common-element", &[seed]))
}

/// The public share `a * s + e`, the error spelled by a secret stream.
///
/// # Security
/// The stream must not be used for anything else, and not twice for different seeds.
pub fn public_share(seed: &[u8; 32], secret: &SecretShare, error: &mut Stream) -> Poly {
    let mut share = secret.multiply(&common_element(seed));
    let bytes = error.take(4 * DEGREE);
    for (x, e) in share
        .coefficients_mut()
        .iter_mut()
        .zip(bytes.chunks_exact(4))
    {
        *x = x.wrapping_add(parameters::error([e[0], e[1], e[2], e[3]]));
    }
    share
}

/// The public key: the seed of `a` and `b`, the sum of all public shares.
///
/// # Security
/// Whoever publishes a share last can choose it as a function of the others and decrypt alone: shares must be committed to
/// before any is shown.
#[derive(Clone)]
pub struct PublicKey {
    seed: [u8; 32],
    b: Poly,
    transforms: [Transform; 2],
}

/// Why bytes are not a public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a public key has {PUBLIC_KEY_BYTES} bytes, not {found}")]
    Length { found: usize },
    #[error("the bytes do not begin as a public key does")]
    Magic,
    #[error("public key version {found} is not {VERSION}")]
    Version { found: u8 },
}

impl PublicKey {
    /// The key with this seed and sum of public shares.
    pub fn new(seed: [u8; 32], b: Poly) -> Self {
        let multiplier = Multiplier::shared();
        let a = multiplier.transform(&common_element(&seed));
        let transforms = [a, multiplier.transform(&b)];
        Self {
            seed,
            b,
            transforms,
        }
    }

    /// The key of these public shares for one seed.
    pub fn from_shares<'a>(seed: [u8; 32], shares: impl IntoIterator<Item = &'a Poly>) -> Self {
        let mut b = Poly::zero();
        for share in shares {
            b.add_assign(share);
        }
        Self::new(seed, b)
    }

    /// The seed of `a`.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The sum of all public shares.
    pub const fn b(&self) -> &Poly {
        &self.b
    }

    pub(crate) const fn transforms(&self) -> &[Transform; 2] {
        &self.transforms
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PUBLIC_KEY_BYTES);
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.seed);
        bytes.extend(self.b.to_bytes());
        bytes
    }

    /// The key with this encoding.
    ///
    /// # Errors
    /// If the length, magic or version is wrong; any seed and any `b` make a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let found = bytes.len();
        let wrong = KeyError::Length { found };
        if found != PUBLIC_KEY_BYTES {
            return Err(wrong);
        }
        if bytes[..4] != MAGIC {
            return Err(KeyError::Magic);
        }
        if bytes[4] != VERSION {
            return Err(KeyError::Version { found: bytes[4] });
        }
        let mut seed = [0; 32];
        seed.copy_from_slice(&bytes[5..37]);
        let b = Poly::from_bytes(&bytes[37..]).ok_or(wrong)?;
        Ok(Self::new(seed, b))
    }

    /// The SHA-256 of the encoding.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

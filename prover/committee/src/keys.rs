//! Everything secret that one holder owns.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::dealer::DealerCeremonyKeys;
use crate::identity::{Identity, IdentityError};
use crate::keygen::{Generated, HeldSubset};
use crate::shape::{CommitteeShape, HolderIndex, ShapeError};
use crate::stream::Key32;
use rand_core::CryptoRngCore;
use salus_cubes::key::PublicKey;

/// The order of secp256k1, big endian.
const SECP256K1_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// Why bytes are not the keys of a holder.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("the encoding is broken")]
    Encoding,
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("{found} subset keys for a holder of {expected} subsets")]
    Subsets { expected: usize, found: usize },
    #[error("holder {holder} is not in a committee of {holders}")]
    Holder { holder: u8, holders: usize },
    #[error("the public key is malformed: {reason}")]
    PublicKey { reason: String },
    #[error("the shares of the dealer ceremony do not fit its shape")]
    DealerShares,
    #[error("the signing secret is not a secp256k1 scalar")]
    SigningSecret,
    #[error("cube keys are those of holder {cube}, ceremony keys those of holder {ceremony}")]
    Holders { cube: u8, ceremony: u8 },
}

/// A secp256k1 signing secret. Signing is the caller's business: see [`crate::ledger::Signer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecret(Key32);

impl SigningSecret {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        loop {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            let secret = Self::new(Key32::new(bytes));
            bytes.zeroize();
            if let Ok(secret) = secret {
                return secret;
            }
        }
    }

    /// The secret with these big-endian bytes.
    ///
    /// # Errors
    /// If the number is 0 or not below the order of the group.
    pub fn new(bytes: Key32) -> Result<Self, KeysError> {
        let value = bytes.expose();
        if value.iter().all(|&byte| byte == 0) || *value >= SECP256K1_ORDER {
            return Err(KeysError::SigningSecret);
        }
        Ok(Self(bytes))
    }

    /// The scalar, big endian. Secret.
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// A holder's part of a committee's cube key.
#[derive(Clone, Debug)]
pub struct CubeKeys {
    session: [u8; 32],
    shape: CommitteeShape,
    epoch: u32,
    holder: HolderIndex,
    subsets: Vec<HeldSubset>,
    public: PublicKey,
}

impl From<Generated> for CubeKeys {
    fn from(generated: Generated) -> Self {
        Self {
            session: *generated.session.id(),
            shape: generated.session.shape(),
            epoch: generated.session.epoch(),
            holder: generated.holder,
            subsets: generated.subsets,
            public: generated.public,
        }
    }
}

impl CubeKeys {
    /// The session that made the key.
    pub const fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// The committee's shape.
    pub const fn shape(&self) -> CommitteeShape {
        self.shape
    }

    /// The key epoch.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The holder.
    pub const fn holder(&self) -> HolderIndex {
        self.holder
    }

    /// The secrets of the holder's subsets, ascending.
    pub fn subsets(&self) -> &[HeldSubset] {
        &self.subsets
    }

    /// The committee's public key.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// Everything secret that one holder owns; the contents of its key file.
#[derive(Clone, Debug)]
pub struct HolderKeys {
    /// The TLS identity.
    pub identity: Identity,
    /// The key that signs answers.
    pub signing: SigningSecret,
    /// Its part of the cube key, after key generation.
    pub cube: Option<CubeKeys>,
    /// Its shares of the ad-hoc key, after a DEALER CEREMONY.
    pub ceremony: Option<DealerCeremonyKeys>,
}

#[derive(Serialize, Deserialize)]
struct RawKeys {
    certificate: Vec<u8>,
    tls_key: Zeroizing<Vec<u8>>,
    signing: Key32,
    cube: Option<RawCube>,
    ceremony: Option<DealerCeremonyKeys>,
}

#[derive(Serialize, Deserialize)]
struct RawCube {
    session: [u8; 32],
    shape: CommitteeShape,
    epoch: u32,
    holder: HolderIndex,
    keys: Vec<Key32>,
    public: Vec<u8>,
}

impl HolderKeys {
    /// A new holder's keys: identity and signing secret, no part of any committee key yet.
    ///
    /// # Errors
    /// If the operating system's generator fails.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Result<Self, IdentityError> {
        Ok(Self {
            identity: Identity::generate()?,
            signing: SigningSecret::generate(rng),
            cube: None,
            ceremony: None,
        })
    }

    /// The encoding, to be encrypted.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let raw = RawKeys {
            certificate: self.identity.certificate().to_vec(),
            tls_key: Zeroizing::new(self.identity.expose_key().to_vec()),
            signing: Key32::new(*self.signing.expose()),
            cube: self.cube.as_ref().map(|cube| RawCube {
                session: cube.session,
                shape: cube.shape,
                epoch: cube.epoch,
                holder: cube.holder,
                keys: cube
                    .subsets
                    .iter()
                    .map(|held| Key32::new(*held.key().expose()))
                    .collect(),
                public: cube.public.to_bytes(),
            }),
            ceremony: self.ceremony.clone(),
        };
        // Sized first, so that no growing buffer leaves copies behind.
        let size = postcard::experimental::serialized_size(&raw).unwrap_or(0);
        let mut bytes = Zeroizing::new(vec![0; size]);
        postcard::to_slice(&raw, &mut bytes).expect("the size was measured");
        bytes
    }

    /// The keys with this encoding.
    ///
    /// # Errors
    /// If anything is malformed or does not fit together.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, KeysError> {
        let (raw, rest): (RawKeys, _) =
            postcard::take_from_bytes(bytes).map_err(|_| KeysError::Encoding)?;
        if !rest.is_empty() {
            return Err(KeysError::Encoding);
        }
        let cube = raw.cube.map(RawCube::check).transpose()?;
        if let Some(keys) = &raw.ceremony {
            if !keys.is_well_formed() {
                return Err(KeysError::DealerShares);
            }
            if let Some(cube) = &cube
                && cube.holder != keys.holder()
            {
                return Err(KeysError::Holders {
                    cube: cube.holder.0,
                    ceremony: keys.holder().0,
                });
            }
        }
        Ok(Self {
            identity: Identity::from_parts(raw.certificate, raw.tls_key),
            signing: SigningSecret::new(raw.signing)?,
            cube,
            ceremony: raw.ceremony,
        })
    }
}

impl RawCube {
    fn check(self) -> Result<CubeKeys, KeysError> {
        let shape = self.shape;
        if !shape.contains(self.holder) {
            return Err(KeysError::Holder {
                holder: self.holder.0,
                holders: shape.holders(),
            });
        }
        let subsets = shape.subsets_of(self.holder);
        if subsets.len() != self.keys.len() {
            return Err(KeysError::Subsets {
                expected: subsets.len(),
                found: self.keys.len(),
            });
        }
        let public = PublicKey::from_bytes(&self.public).map_err(|error| KeysError::PublicKey {
            reason: error.to_string(),
        })?;
        Ok(CubeKeys {
            session: self.session,
            shape,
            epoch: self.epoch,
            holder: self.holder,
            subsets: subsets
                .into_iter()
                .zip(self.keys)
                .map(|(subset, key)| HeldSubset::new(subset, &key))
                .collect(),
            public,
        })
    }
}

//! Keys of the ad-hoc path, all from one *dealer ceremony*.
//!
//! [`DealerCeremony::run`] makes them on one machine and splits them by holder: [`ClientMaterial`] is public, [`ServerKeys`]
//! goes to the evaluator and is public too, [`DealerSecret`] is the key under which squashed results are opened; it exists
//! once, to be split among the committee, and the keys under which records are encrypted are wiped when the call returns.
//!
//! # Security
//! A dealer ceremony is a trusted setup: whoever runs it, or reads that machine's memory while it runs, can decrypt every
//! record that is ever uploaded, and nobody can verify that the keys were wiped. No multi-party key generation is offered.

use std::fmt;
use std::io::{Read, Write};

use bincode::Options;
use rand_core::CryptoRngCore;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tfhe::core_crypto::commons::math::random::Seed;
use tfhe::core_crypto::prelude::*;
use tfhe::safe_serialization::{safe_deserialize, safe_serialize};
use tfhe::shortint::atomic_pattern::{AtomicPatternServerKey, StandardAtomicPatternServerKey};
use tfhe::shortint::ciphertext::MaxDegree;
use tfhe::shortint::client_key::atomic_pattern::{
    AtomicPatternClientKey, StandardAtomicPatternClientKey,
};
use tfhe::shortint::noise_squashing::{NoiseSquashingKey, NoiseSquashingPrivateKey};
use tfhe::shortint::parameters::{
    NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
    PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128, PBSParameters,
};
use tfhe::shortint::server_key::{ModulusSwitchConfiguration, ShortintBootstrappingKey};
use tfhe::shortint::{ClientKey, PBSOrder, ServerKey};
use tfhe::zk::{CompactPkeCrs, ZkMSBZeroPaddingBitCount};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::layout::Layout;
use crate::parameters::{
    Gadget, KEYSWITCH, RING, RING_NOISE_LOG, SLOT_LOG, SMALL, SMALL_NOISE_LOG, SUMMING,
};
use crate::rotate::{fix_transform, native};

/// Dimension of the key under which squashed results are opened, over 2^128.
pub const SQUASHED_DIMENSION: usize = 4096;
/// Bytes of [`ClientMaterial`], at most.
pub const MAX_CLIENT_BYTES: usize = 32 << 20;
/// Bytes of [`ServerKeys`], at most.
pub const MAX_SERVER_BYTES: u64 = 2 << 30;

const CLIENT_MAGIC: &[u8; 8] = b"SLACM\0\0\x01";
const SERVER_MAGIC: &[u8; 8] = b"SLASK\0\0\x01";
const SECRET_MAGIC: &[u8; 8] = b"SLADS\0\0\x01";

/// Why keys cannot be made, written or read.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The bytes do not begin as this kind and version of key does.
    #[error("these bytes are not version 1 of this kind of key")]
    Kind,
    /// The bytes do not decode within their bound.
    #[error("the key bytes do not decode: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
    /// A key of other dimensions.
    #[error("a key has other dimensions than the parameter set: {what}")]
    Dimensions {
        /// The key.
        what: &'static str,
    },
    /// Other bytes than the pinned ones.
    #[error("the key's hash is {found}, not the pinned {expected}")]
    Pin {
        /// Pinned hash, hexadecimal.
        expected: String,
        /// Hash of the bytes, hexadecimal.
        found: String,
    },
    /// The proof system refused the parameters.
    #[error("no reference string for these parameters: {reason}")]
    ReferenceString {
        /// What the library said.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the key file: {0}")]
    Io(#[from] std::io::Error),
}

/// What an uploader and whoever checks uploads need: the public key and the reference string of the proofs. Public.
pub struct ClientMaterial {
    pub(crate) public_key: LweCompactPublicKeyOwned<u64>,
    pub(crate) crs: CompactPkeCrs,
}

/// What an evaluator needs. Public: it decrypts nothing.
pub struct ServerKeys {
    pub(crate) compute: ComputeKeys,
    pub(crate) squashing: NoiseSquashingKey,
    hash: [u8; 32],
}

/// Keyswitching and bootstrapping keys. The counting bootstrapping key is the one inside `shortint`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ComputeKeys {
    pub(crate) shortint: ServerKey,
    pub(crate) summing: FourierLweBootstrapKeyOwned,
}

/// The key under which squashed results are opened, as made by a dealer: 4096 bits, to be split among the committee.
///
/// # Security
/// Whoever holds it whole reads every evaluated result (not the records). Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DealerSecret {
    bits: Vec<u8>,
}

/// The outcome of a dealer ceremony: a trusted setup, see the module.
pub struct DealerCeremony {
    /// For uploaders.
    pub client: ClientMaterial,
    /// For the evaluator.
    pub server: ServerKeys,
    /// For the committee, once.
    pub secret: DealerSecret,
}

struct InjectedSeeder<'a, R>(&'a mut R);

impl<R: CryptoRngCore> Seeder for InjectedSeeder<'_, R> {
    fn seed(&mut self) -> Seed {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Seed(u128::from_le_bytes(bytes))
    }

    fn is_available() -> bool {
        true
    }
}

/// The secret keys of a ceremony, wiped when dropped.
pub(crate) struct CeremonySecrets {
    pub(crate) ring: GlweSecretKeyOwned<u64>,
    pub(crate) small: LweSecretKeyOwned<u64>,
    squashed: GlweSecretKeyOwned<u128>,
}

impl Drop for CeremonySecrets {
    fn drop(&mut self) {
        self.ring.as_mut().zeroize();
        self.small.as_mut().zeroize();
        self.squashed.as_mut().zeroize();
    }
}

impl CeremonySecrets {
    pub(crate) fn new(rng: &mut impl CryptoRngCore) -> Self {
        fix_transform();
        let mut secret =
            SecretRandomGenerator::<DefaultRandomGenerator>::new(InjectedSeeder(rng).seed());
        Self {
            ring: allocate_and_generate_new_binary_glwe_secret_key(
                GlweDimension(1),
                PolynomialSize(RING),
                &mut secret,
            ),
            small: allocate_and_generate_new_binary_lwe_secret_key(
                LweDimension(SMALL),
                &mut secret,
            ),
            squashed: allocate_and_generate_new_binary_glwe_secret_key(
                GlweDimension(2),
                PolynomialSize(RING),
                &mut secret,
            ),
        }
    }

    fn generator(
        rng: &mut impl CryptoRngCore,
    ) -> EncryptionRandomGenerator<DefaultRandomGenerator> {
        let mut seeder = InjectedSeeder(rng);
        let seed = seeder.seed();
        EncryptionRandomGenerator::new(seed, &mut seeder)
    }

    fn bootstrap(
        &self,
        gadget: Gadget,
        rng: &mut impl CryptoRngCore,
    ) -> FourierLweBootstrapKeyOwned {
        let standard = par_allocate_and_generate_new_lwe_bootstrap_key(
            &self.small,
            &self.ring,
            DecompositionBaseLog(gadget.base_log as usize),
            DecompositionLevelCount(gadget.levels as usize),
            DynamicDistribution::new_t_uniform(RING_NOISE_LOG),
            native(),
            &mut Self::generator(rng),
        );
        let mut fourier = FourierLweBootstrapKeyOwned::new(
            standard.input_lwe_dimension(),
            standard.glwe_size(),
            standard.polynomial_size(),
            standard.decomposition_base_log(),
            standard.decomposition_level_count(),
        );
        par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut fourier);
        fourier
    }

    pub(crate) fn compute(&self, rng: &mut impl CryptoRngCore) -> ComputeKeys {
        let parameters = PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128;
        let large = self.ring.as_lwe_secret_key();
        let keyswitch = allocate_and_generate_new_lwe_keyswitch_key(
            &large,
            &self.small,
            DecompositionBaseLog(KEYSWITCH.base_log as usize),
            DecompositionLevelCount(KEYSWITCH.levels as usize),
            DynamicDistribution::new_t_uniform(SMALL_NOISE_LOG),
            native(),
            &mut Self::generator(rng),
        );
        let pattern = StandardAtomicPatternServerKey::from_raw_parts(
            keyswitch,
            ShortintBootstrappingKey::Classic {
                bsk: self.bootstrap(crate::parameters::COUNTING, rng),
                modulus_switch_noise_reduction_key:
                    ModulusSwitchConfiguration::CenteredMeanNoiseReduction,
            },
            PBSOrder::KeyswitchBootstrap,
        );
        let shortint = ServerKey {
            atomic_pattern: AtomicPatternServerKey::Standard(pattern),
            message_modulus: parameters.message_modulus,
            carry_modulus: parameters.carry_modulus,
            max_degree: MaxDegree::from_msg_carry_modulus(
                parameters.message_modulus,
                parameters.carry_modulus,
            ),
            max_noise_level: parameters.max_noise_level,
            ciphertext_modulus: parameters.ciphertext_modulus,
        };
        ComputeKeys {
            shortint,
            summing: self.bootstrap(SUMMING, rng),
        }
    }

    /// The squashing key; its encryption randomness is the operating system's.
    pub(crate) fn squashing(&self) -> NoiseSquashingKey {
        let parameters = PBSParameters::PBS(PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128);
        let client = ClientKey {
            atomic_pattern: AtomicPatternClientKey::Standard(
                StandardAtomicPatternClientKey::from_raw_parts(
                    self.ring.clone(),
                    self.small.clone(),
                    parameters,
                    None,
                ),
            ),
        };
        let private = NoiseSquashingPrivateKey::from_raw_parts(
            self.squashed.clone(),
            NOISE_SQUASHING_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128,
        );
        let key = NoiseSquashingKey::new(&client, &private);
        if let AtomicPatternClientKey::Standard(pattern) = client.atomic_pattern {
            let (mut ring, mut small, ..) = pattern.into_raw_parts();
            ring.as_mut().zeroize();
            small.as_mut().zeroize();
        }
        private.into_raw_parts().0.as_mut().zeroize();
        key
    }

    pub(crate) fn client(
        &self,
        layout: &Layout,
        rng: &mut impl CryptoRngCore,
    ) -> Result<ClientMaterial, KeyError> {
        let public_key = self.public_key(rng);
        let crs = CompactPkeCrs::new(
            LweDimension(RING),
            LweCiphertextCount(layout.slots()),
            TUniform::<u64>::new(RING_NOISE_LOG),
            native(),
            1u64 << (64 - SLOT_LOG),
            ZkMSBZeroPaddingBitCount(u64::from(64 - SLOT_LOG - 1)),
            rng,
        )
        .map_err(|error| KeyError::ReferenceString {
            reason: error.to_string(),
        })?;
        Ok(ClientMaterial { public_key, crs })
    }

    pub(crate) fn public_key(&self, rng: &mut impl CryptoRngCore) -> LweCompactPublicKeyOwned<u64> {
        allocate_and_generate_new_lwe_compact_public_key(
            &self.ring.as_lwe_secret_key(),
            DynamicDistribution::new_t_uniform(RING_NOISE_LOG),
            native(),
            &mut Self::generator(rng),
        )
    }

    pub(crate) fn dealer_secret(&self) -> DealerSecret {
        DealerSecret {
            bits: self
                .squashed
                .as_ref()
                .iter()
                .map(|&bit| bit as u8)
                .collect(),
        }
    }
}

impl DealerCeremony {
    /// The keys for records of this layout. About a minute of CPU and 2.5 GB of memory.
    ///
    /// # Errors
    /// If the proof system refuses the parameters.
    ///
    /// # Security
    /// A trusted setup: run it on an isolated machine, split the secret at once and destroy the machine's memory. The
    /// reference string of the proofs has a trapdoor of its own, known to this machine while it runs; who knows it can
    /// forge proofs, not read records.
    pub fn run(layout: &Layout, rng: &mut impl CryptoRngCore) -> Result<Self, KeyError> {
        let secrets = CeremonySecrets::new(rng);
        let client = secrets.client(layout, rng)?;
        let server = ServerKeys::new(secrets.compute(rng), secrets.squashing())?;
        Ok(Self {
            client,
            server,
            secret: secrets.dealer_secret(),
        })
    }

    /// True: every key of the ad-hoc path is as trustworthy as its dealer.
    pub const fn is_dealer_ceremony() -> bool {
        true
    }
}

impl fmt::Debug for DealerCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DealerCeremony([redacted])")
    }
}

impl ClientMaterial {
    /// The bytes, at most [`MAX_CLIENT_BYTES`].
    ///
    /// # Errors
    /// If the reference string does not serialise.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let mut bytes = CLIENT_MAGIC.to_vec();
        for word in self.public_key.as_ref() {
            bytes.extend(word.to_le_bytes());
        }
        safe_serialize(&self.crs, &mut bytes, MAX_CLIENT_BYTES as u64).map_err(malformed)?;
        Ok(bytes)
    }

    /// The material that [`ClientMaterial::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are too many, of another kind, do not decode or have other dimensions.
    ///
    /// # Security
    /// Compare [`ClientMaterial::hash_of`] with the hash published by the ceremony first.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let rest = bytes.strip_prefix(CLIENT_MAGIC).ok_or(KeyError::Kind)?;
        if bytes.len() > MAX_CLIENT_BYTES || rest.len() < 16 * RING {
            return Err(KeyError::Dimensions {
                what: "client material",
            });
        }
        let (words, mut crs_bytes) = rest.split_at(16 * RING);
        let words: Vec<u64> = words
            .chunks_exact(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().expect("chunks of eight")))
            .collect();
        let crs: CompactPkeCrs =
            safe_deserialize(&mut crs_bytes, MAX_CLIENT_BYTES as u64).map_err(malformed)?;
        if crs.lwe_dimension() != LweDimension(RING)
            || crs.plaintext_modulus() != 1 << (64 - SLOT_LOG)
            || crs.max_num_messages().0 > RING
        {
            return Err(KeyError::Dimensions {
                what: "reference string",
            });
        }
        if !crs_bytes.is_empty() {
            return Err(malformed("bytes are left over"));
        }
        Ok(Self {
            public_key: LweCompactPublicKey::from_container(words, native()),
            crs,
        })
    }

    /// The hash under which client material is pinned.
    pub fn hash_of(bytes: &[u8]) -> [u8; 32] {
        blake3::derive_key("salus/v1/adhoc/client material", bytes)
    }
}

impl ServerKeys {
    pub(crate) fn new(
        compute: ComputeKeys,
        squashing: NoiseSquashingKey,
    ) -> Result<Self, KeyError> {
        let mut keys = Self {
            compute,
            squashing,
            hash: [0; 32],
        };
        let mut sink = HashWriter::new(std::io::sink());
        keys.write_to(&mut sink)?;
        keys.hash = sink.finish();
        Ok(keys)
    }

    /// The hash under which the keys are pinned; every checkpoint and result names it.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Writes the keys, about 1.1 GB.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_to(&self, mut out: impl Write) -> Result<(), KeyError> {
        out.write_all(SERVER_MAGIC)?;
        limited()
            .serialize_into(&mut out, &self.compute)
            .map_err(malformed)?;
        limited()
            .serialize_into(&mut out, &self.squashing)
            .map_err(malformed)?;
        Ok(())
    }

    /// Reads the keys with this pinned hash.
    ///
    /// # Errors
    /// If reading fails, the bytes do not decode within [`MAX_SERVER_BYTES`], a key has other dimensions or the hash is
    /// another one.
    pub fn read_from(input: impl Read, pinned: [u8; 32]) -> Result<Self, KeyError> {
        fix_transform();
        let mut input = HashReader::new(input.take(MAX_SERVER_BYTES));
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if &magic != SERVER_MAGIC {
            return Err(KeyError::Kind);
        }
        let compute: ComputeKeys = decode(&mut input)?;
        let squashing: NoiseSquashingKey = decode(&mut input)?;
        let found = input.finish();
        if found != pinned {
            return Err(KeyError::Pin {
                expected: hex(&pinned),
                found: hex(&found),
            });
        }
        compute.check()?;
        Ok(Self {
            compute,
            squashing,
            hash: found,
        })
    }
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeys({})", hex(&self.hash))
    }
}

impl ComputeKeys {
    /// The keyswitching key, if the keys are of the parameter set.
    pub(crate) fn keyswitch(&self) -> &LweKeyswitchKeyOwned<u64> {
        self.standard()
            .expect("checked when the keys were made or read")
            .0
    }

    /// The counting bootstrapping key.
    pub(crate) fn counting(&self) -> &FourierLweBootstrapKeyOwned {
        self.standard()
            .expect("checked when the keys were made or read")
            .1
    }

    fn standard(&self) -> Option<(&LweKeyswitchKeyOwned<u64>, &FourierLweBootstrapKeyOwned)> {
        match &self.shortint.atomic_pattern {
            AtomicPatternServerKey::Standard(StandardAtomicPatternServerKey {
                key_switching_key,
                bootstrapping_key: ShortintBootstrappingKey::Classic { bsk, .. },
                pbs_order: PBSOrder::KeyswitchBootstrap,
            }) => Some((key_switching_key, bsk)),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), KeyError> {
        let Some((keyswitch, counting)) = self.standard() else {
            return Err(KeyError::Dimensions { what: "pattern" });
        };
        let fits = |key: &FourierLweBootstrapKeyOwned, gadget: Gadget| {
            key.input_lwe_dimension().0 == SMALL
                && key.polynomial_size().0 == RING
                && key.glwe_size().0 == 2
                && key.decomposition_base_log().0 == gadget.base_log as usize
                && key.decomposition_level_count().0 == gadget.levels as usize
        };
        if keyswitch.input_key_lwe_dimension().0 != RING
            || keyswitch.output_key_lwe_dimension().0 != SMALL
            || keyswitch.decomposition_base_log().0 != KEYSWITCH.base_log as usize
            || keyswitch.decomposition_level_count().0 != KEYSWITCH.levels as usize
        {
            return Err(KeyError::Dimensions { what: "keyswitch" });
        }
        if !fits(counting, crate::parameters::COUNTING) || !fits(&self.summing, SUMMING) {
            return Err(KeyError::Dimensions { what: "bootstrap" });
        }
        Ok(())
    }
}

impl DealerSecret {
    /// The 4096 bits of the key, coefficient by coefficient, to be split over Z modulo 2^128.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// The bytes: a header and 512 bytes of packed bits, least significant first.
    ///
    /// # Security
    /// The caller wipes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = SECRET_MAGIC.to_vec();
        bytes.extend(
            self.bits
                .chunks(8)
                .map(|bits| bits.iter().rev().fold(0u8, |byte, &bit| byte << 1 | bit)),
        );
        bytes
    }

    /// The secret of [`DealerSecret::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are not exactly one secret.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let packed = bytes.strip_prefix(SECRET_MAGIC).ok_or(KeyError::Kind)?;
        if packed.len() * 8 != SQUASHED_DIMENSION {
            return Err(KeyError::Dimensions {
                what: "dealer secret",
            });
        }
        Ok(Self {
            bits: (0..SQUASHED_DIMENSION)
                .map(|i| packed[i / 8] >> (i % 8) & 1)
                .collect(),
        })
    }

    /// The phase of a squashed ciphertext: what a whole committee finds together, for tests and for the dealer's own check.
    pub fn phase(&self, ciphertext: &crate::answer::SquashedLwe) -> u128 {
        self.bits
            .iter()
            .zip(&ciphertext.mask)
            .fold(ciphertext.body, |phase, (&bit, &word)| {
                phase.wrapping_sub(word & u128::from(bit).wrapping_neg())
            })
    }
}

impl fmt::Debug for DealerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DealerSecret([redacted])")
    }
}

fn limited() -> impl Options + Copy {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_limit(MAX_SERVER_BYTES)
}

fn decode<T: DeserializeOwned>(input: impl Read) -> Result<T, KeyError> {
    limited().deserialize_from(input).map_err(malformed)
}

fn malformed(reason: impl fmt::Display) -> KeyError {
    KeyError::Malformed {
        reason: reason.to_string(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what passes through.
struct HashWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W> HashWriter<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new_derive_key("salus/v1/adhoc/server keys"),
        }
    }

    fn finish(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

struct HashReader<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R> HashReader<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new_derive_key("salus/v1/adhoc/server keys"),
        }
    }

    fn finish(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        Ok(read)
    }
}

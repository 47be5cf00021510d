use proptest::prelude::*;
use rand_core::{CryptoRng, RngCore};
use salus_cubes::encrypt::{
    ATTESTATION_BYTES, Attestation, AttestationError, EncryptError, PROOF_SLOTS, RESERVED_SLOTS,
    encrypt_cell,
};
use salus_cubes::key::{KeyError, PUBLIC_KEY_BYTES, PublicKey, SubsetKey};
use salus_cubes::parameters::Modulus;
use salus_cubes::ring::DEGREE;
use salus_cubes::upload::{HEADER_BYTES, LANES, UPLOAD_BYTES, Upload, UploadError};
use salus_schema::cube::ModulusClass;
use sha2::{Digest, Sha256};

use crate::holders::{Holders, cube, identity, rng};

#[test]
fn a_ciphertext_holds_the_cell_the_pairs_and_nothing_else() {
    let holders = Holders::new(4);
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let (cube, modulus) = (cube(class), Modulus::of(class));
        for cell in [0, 123, cube.cells() - 1] {
            let (_, upload, _) = holders.encrypt(&cube, cell, 1, &mut rng(cell as u64));
            let (a, b) = upload.unpack();
            let phase = holders.phase(&a, &b);
            let slots: Vec<i64> = phase
                .coefficients()
                .iter()
                .map(|x| modulus.decode(*x).value)
                .collect();
            for (slot, &value) in slots.iter().enumerate() {
                if !(PROOF_SLOTS..RESERVED_SLOTS).contains(&slot) {
                    assert_eq!(value, i64::from(slot == cell), "slot {slot}");
                }
            }
            for pair in slots[PROOF_SLOTS..RESERVED_SLOTS].chunks_exact(2) {
                let x = modulus.residue_of(pair[0]);
                assert_eq!(modulus.times(x, x), modulus.residue_of(pair[1]));
                assert_ne!(x, 0);
            }
        }
    }
}

#[test]
fn uploads_are_small_and_the_schema_knows_how_small() {
    assert_eq!(UPLOAD_BYTES as u64, salus_schema::cube::UPLOAD_BYTES);
    const { assert!(UPLOAD_BYTES <= 100_000) };
}

#[test]
fn encryptions_of_one_cell_differ_and_one_seed_gives_one_upload() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let upload = |seed| holders.encrypt(&cube, 5, 1, &mut rng(seed)).1;
    assert_ne!(upload(1), upload(2));
    assert_eq!(upload(1), upload(1));
}

struct Broken;
impl RngCore for Broken {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, _: &mut [u8]) {}
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), rand_core::Error> {
        Err(core::num::NonZeroU32::MIN.into())
    }
}
impl CryptoRng for Broken {}

#[test]
fn cells_outside_the_cube_and_broken_generators_are_refused() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let cells = cube.cells();
    let encrypt = |cell| encrypt_cell(&holders.public, &cube, cell, &identity(1), &mut Broken);
    assert_eq!(
        encrypt(cells).unwrap_err(),
        EncryptError::Cell { cell: cells, cells }
    );
    assert_eq!(encrypt(0).unwrap_err(), EncryptError::Randomness);
}

/// Bytes of version 1 as any writer lays them out: header, then words of a linear congruential sequence.
fn version_1() -> Vec<u8> {
    let mut bytes = b"SLSU\x01\x01".to_vec();
    bytes.extend([0xc5; 32]);
    let mut word = 1u32;
    for _ in 0..LANES {
        bytes.extend(word.to_le_bytes());
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    bytes
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn version_1_bytes_keep_their_meaning() {
    let bytes = version_1();
    let upload = Upload::from_bytes(bytes.clone()).unwrap();
    assert_eq!(upload.class(), ModulusClass::Sums);
    assert_eq!(upload.cube(), &[0xc5; 32]);
    let word = |plane: usize, i: usize| {
        let at = HEADER_BYTES + 4 * (plane * DEGREE + i);
        u128::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
    };
    let (a, b) = upload.unpack();
    for i in [0, 1, 4095] {
        let coefficient =
            |first| word(first, i) << 32 | word(first + 1, i) << 64 | word(first + 2, i) << 96;
        assert_eq!(a.coefficients()[i], coefficient(0));
        assert_eq!(b.coefficients()[i], coefficient(3));
    }
    assert_eq!(hex::encode(upload.hash()), digest(&bytes));
    assert_eq!(upload.as_bytes(), bytes);
}

#[test]
fn derived_bytes_are_frozen() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let (_, upload, attestation) = holders.encrypt(&cube, 77, 3, &mut rng(3));
    let found = [
        hex::encode(cube.id()),
        hex::encode(holders.public.hash()),
        hex::encode(upload.hash()),
        digest(&attestation.to_bytes()),
    ];
    assert_eq!(found, FROZEN, "keys, challenges or encryption changed");
}

const FROZEN: [&str; 4] = [
    "1feb8016d08ba941121dc5b6db662dbc8b8d78975cf88920022f476d072358f4",
    "c1efcfaa575b97efcee669e2a3773d1e1e860ec1a50a3251540942ae045783e9",
    "06337e55f25f863efd8e9b5c8c6b825e66721b150c98566760100f8bb097b7b6",
    "d6c3270b675569c2fb6cda490e68cd895d01fe11b5289d9978bc2e0e51b3f12d",
];

#[test]
fn public_keys_round_trip_and_follow_from_their_shares() {
    let holders = Holders::new(3);
    let bytes = holders.public.to_bytes();
    assert_eq!(bytes.len(), PUBLIC_KEY_BYTES);
    let read = PublicKey::from_bytes(&bytes).unwrap();
    assert_eq!(
        (read.to_bytes(), read.hash()),
        (bytes.clone(), holders.public.hash())
    );
    assert_eq!(
        PublicKey::from_bytes(&bytes[1..]).unwrap_err(),
        KeyError::Length {
            found: bytes.len() - 1
        }
    );
    let mut other = bytes.clone();
    other[4] = 2;
    assert_eq!(
        PublicKey::from_bytes(&other).unwrap_err(),
        KeyError::Version { found: 2 }
    );
    other[0] = 0;
    assert_eq!(PublicKey::from_bytes(&other).unwrap_err(), KeyError::Magic);
    let shares: Vec<_> = holders
        .keys
        .iter()
        .rev()
        .map(|k| k.public_share(&[7; 32]))
        .collect();
    assert_eq!(
        PublicKey::from_shares([7; 32], &shares).hash(),
        holders.public.hash()
    );
}

#[test]
fn secrets_are_not_printed() {
    let holders = Holders::new(1);
    let (_, _, attestation) = holders.encrypt(&cube(ModulusClass::Counts), 1, 1, &mut rng(1));
    let shown = [
        format!("{:?}", SubsetKey::new([0xab; 32])),
        format!("{:?}", holders.shares[0].secret()),
        format!("{:?}", holders.shares[0].transform()),
        format!("{attestation:?}"),
    ];
    for text in shown {
        assert!(text.ends_with("([redacted])"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), attested in prop::collection::vec(any::<u8>(), ATTESTATION_BYTES)) {
        prop_assert_eq!(Upload::from_bytes(bytes.clone()).unwrap_err(), UploadError::Length { found: bytes.len() });
        prop_assert!(PublicKey::from_bytes(&bytes).is_err());
        prop_assert!(Attestation::from_bytes(&bytes).is_err());
        prop_assert!(Attestation::from_bytes(&attested).is_err());
    }

    #[test]
    fn a_damaged_header_is_refused_or_is_another_upload(at in 0..HEADER_BYTES, to in any::<u8>()) {
        let mut bytes = version_1();
        bytes[at] = to;
        match Upload::from_bytes(bytes.clone()) {
            Ok(upload) => prop_assert!(upload.as_bytes() == bytes && (at >= 5 || bytes == version_1())),
            Err(error) => prop_assert!(at < 6, "{}", error),
        }
    }

    #[test]
    fn attestations_round_trip_or_are_refused(values in prop::array::uniform4(any::<u32>()), sums in any::<bool>(), at in 0..ATTESTATION_BYTES, to in any::<u8>()) {
        let class = if sums { ModulusClass::Sums } else { ModulusClass::Counts };
        let values = values.map(|v| u64::from(v) % class.modulus());
        let attestation = Attestation::new(class, &identity(4), [8; 32], values).unwrap();
        let mut bytes = attestation.to_bytes();
        prop_assert_eq!(Attestation::from_bytes(&bytes).unwrap(), attestation);
        bytes[at] = to;
        if let Ok(read) = Attestation::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn attested_values_stay_below_the_modulus() {
    let class = ModulusClass::Counts;
    let values = [0, class.modulus(), 0, 0];
    let refused = Attestation::new(class, &identity(4), [8; 32], values);
    assert_eq!(
        refused.unwrap_err(),
        AttestationError::Value { repetition: 1 }
    );
}

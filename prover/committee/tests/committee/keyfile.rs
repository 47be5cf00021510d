//! Key files and committee files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use salus_committee::Key32;
use salus_committee::config::{CommitteeFile, ConfigError};
use salus_committee::dealer::{LWE_DIMENSION, split};
use salus_committee::key_file::{self, KdfParameters, KeyFileError};
use salus_committee::keys::{CubeKeys, HolderKeys, KeysError, SigningSecret};
use salus_committee::shape::CommitteeShape;
use secrecy::SecretString;

use crate::world::{make_keys, rng};

const FAST: KdfParameters = KdfParameters {
    memory_kib: 8,
    passes: 1,
    lanes: 1,
};

fn passphrase() -> SecretString {
    SecretString::from("correct horse battery staple")
}

fn keys() -> HolderKeys {
    let shape = CommitteeShape::new(4, 2).unwrap();
    let mut keys = HolderKeys::generate(&mut rng(1)).unwrap();
    let made = make_keys(shape, 6).swap_remove(2);
    keys.cube = Some(CubeKeys::from(made));
    let shares = split(&[1; LWE_DIMENSION], shape, &mut rng(2)).unwrap();
    keys.ceremony = shares.into_iter().nth(2);
    keys
}

#[test]
fn keys_come_back_from_their_file_and_only_with_the_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holder.key");
    let keys = keys();
    key_file::write(&path, &keys, &passphrase(), FAST, &mut rng(3)).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "a temporary file is left"
    );

    let read = key_file::read(&path, &passphrase()).unwrap();
    assert_eq!(read.identity, keys.identity);
    assert_eq!(read.signing, keys.signing);
    assert_eq!(read.ceremony, keys.ceremony);
    let (cube, before) = (read.cube.unwrap(), keys.cube.unwrap());
    assert_eq!(cube.public().hash(), before.public().hash());
    assert_eq!(
        (cube.holder(), cube.shape(), cube.epoch()),
        (before.holder(), before.shape(), 0)
    );
    for (a, b) in cube.subsets().iter().zip(before.subsets()) {
        assert_eq!(
            (a.subset(), a.key().expose()),
            (b.subset(), b.key().expose())
        );
    }

    let wrong = key_file::read(&path, &SecretString::from("something else"));
    assert!(matches!(wrong, Err(KeyFileError::Passphrase)));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holder.key");
    key_file::write(&path, &keys(), &passphrase(), FAST, &mut rng(3)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = key_file::read(&path, &passphrase());
    assert!(matches!(
        refused,
        Err(KeyFileError::Mode { mode: 0o640, .. })
    ));
}

#[test]
fn every_changed_byte_is_noticed() {
    let sealed = key_file::seal(&keys(), &passphrase(), FAST, &mut rng(3)).unwrap();
    for at in [
        0,
        4,
        5,
        9,
        13,
        17,
        40,
        60,
        sealed.len() / 2,
        sealed.len() - 1,
    ] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(
            key_file::unseal(&changed, &passphrase()).is_err(),
            "byte {at}"
        );
    }
    assert!(key_file::unseal(&sealed[..sealed.len() - 1], &passphrase()).is_err());
}

#[test]
fn nothing_secret_stands_in_the_file_or_in_debug_output() {
    let keys = keys();
    let sealed = key_file::seal(&keys, &passphrase(), FAST, &mut rng(3)).unwrap();
    let subset = keys.cube.as_ref().unwrap().subsets()[0].key().expose();
    for secret in [
        &keys.signing.expose()[..],
        &subset[..],
        &keys.identity.expose_key()[40..72],
    ] {
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
    }
    let text = format!("{keys:?}");
    for secret in [keys.signing.expose(), subset] {
        assert!(!text.contains(&format!("{secret:?}")) && !text.contains(&hex::encode(secret)));
    }
}

#[test]
fn derivation_parameters_are_bounded_before_any_work() {
    for kdf in [
        KdfParameters {
            memory_kib: 1 << 21,
            ..FAST
        },
        KdfParameters { passes: 17, ..FAST },
        KdfParameters { lanes: 5, ..FAST },
        KdfParameters {
            memory_kib: 0,
            ..FAST
        },
    ] {
        let refused = key_file::seal(&keys(), &passphrase(), kdf, &mut rng(3));
        assert!(matches!(refused, Err(KeyFileError::Parameters { .. })));
    }
    let mut sealed = key_file::seal(&keys(), &passphrase(), FAST, &mut rng(3)).unwrap();
    sealed[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
    let refused = key_file::unseal(&sealed, &passphrase());
    assert!(matches!(
        refused,
        Err(KeyFileError::Parameters {
            memory_kib: u32::MAX,
            ..
        })
    ));
}

#[test]
fn signing_secrets_are_scalars_of_the_curve() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let mut bytes = [0; 32];
    assert!(matches!(
        SigningSecret::new(Key32::new(bytes)),
        Err(KeysError::SigningSecret)
    ));
    hex::decode_to_slice(order, &mut bytes).unwrap();
    assert!(matches!(
        SigningSecret::new(Key32::new(bytes)),
        Err(KeysError::SigningSecret)
    ));
    bytes[31] -= 1;
    assert!(SigningSecret::new(Key32::new(bytes)).is_ok());
}

fn committee_text(holders: usize) -> String {
    let mut text = "version = 1\nepoch = 2\nthreshold = 2\n".to_owned();
    for i in 0..holders {
        text += &format!(
            "[[holders]]\nname = \"h{i}\"\naddress = \"127.0.0.1:70{i}\"\ncertificate = \"{}\"\nsigner = \"0x{}\"\n",
            hex::encode([i as u8; 32]),
            hex::encode([i as u8; 20]),
        );
    }
    text += &format!(
        "[[clients]]\nname = \"market\"\ncertificate = \"{}\"\nrole = \"client\"\n",
        hex::encode([0xaa; 32]),
    );
    text
}

#[test]
fn a_committee_file_reads_back_and_names_its_mistakes() {
    let file = CommitteeFile::from_toml(&committee_text(4)).unwrap();
    assert_eq!(file.shape().unwrap(), CommitteeShape::new(4, 2).unwrap());
    assert_eq!(
        CommitteeFile::from_toml(&file.to_toml().unwrap()).unwrap(),
        file
    );

    let twice = committee_text(4).replace(&hex::encode([2; 32]), &hex::encode([1; 32]));
    assert!(matches!(
        CommitteeFile::from_toml(&twice),
        Err(ConfigError::Repeated {
            what: "certificate",
            ..
        })
    ));
    let holder_is_client =
        committee_text(4).replace(&hex::encode([0xaa; 32]), &hex::encode([1; 32]));
    assert!(matches!(
        CommitteeFile::from_toml(&holder_is_client),
        Err(ConfigError::Repeated { .. })
    ));
    let lonely = CommitteeFile::from_toml(&committee_text(1));
    assert!(matches!(lonely, Err(ConfigError::Shape(_))));
    let address = committee_text(4).replace("127.0.0.1:701", "nowhere");
    assert!(matches!(
        CommitteeFile::from_toml(&address),
        Err(ConfigError::Address { .. })
    ));
    let role = committee_text(4).replace("\"client\"", "\"root\"");
    assert!(matches!(
        CommitteeFile::from_toml(&role),
        Err(ConfigError::Syntax { .. })
    ));
    let version = committee_text(4).replace("version = 1", "version = 2");
    assert!(matches!(
        CommitteeFile::from_toml(&version),
        Err(ConfigError::Version { found: 2 })
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = key_file::unseal(&bytes, &passphrase());
        let mut with_header = b"SLKF\x01\x08\0\0\0\x01\0\0\0\x01\0\0\0".to_vec();
        with_header.extend(&bytes);
        prop_assert!(key_file::unseal(&with_header, &passphrase()).is_err());
        let _ = CommitteeFile::from_toml(&String::from_utf8_lossy(&bytes));
    }
}

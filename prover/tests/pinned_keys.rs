//! Development keys are reproducible, pinned, and never accepted with other bytes.
#![allow(clippy::unwrap_used)]

use salus_circuits::keys::{DevelopmentKey, KeyError, ProvingKey};
use salus_circuits::layout::ChunkSize;
use salus_prover::key_cache::{CacheError, KeyEvent, development_key};

#[test]
fn generated_keys_are_the_pinned_ones_and_other_bytes_are_refused() {
    for id in DevelopmentKey::family(ChunkSize::Tiny) {
        let pinned = id.pinned();
        let key = id.generate(false).unwrap();
        let hex: String = key
            .vk
            .circuit_id()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, pinned.circuit_id);
        assert_eq!(id.shape().rows(), pinned.rows);
        assert!(id.id().starts_with("INSECURE"));
        let mut bytes = key.to_bytes().unwrap();
        let back = ProvingKey::from_pinned_bytes(&bytes, pinned.digest, &id.shape()).unwrap();
        assert_eq!(back, key);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let refused = ProvingKey::from_pinned_bytes(&bytes, pinned.digest, &id.shape());
        assert!(matches!(refused, Err(KeyError::DigestMismatch { .. })));
    }
}

#[test]
fn the_cache_generates_once_repairs_damage_and_refuses_production() {
    let dir = tempfile::tempdir().unwrap();
    let id = DevelopmentKey::family(ChunkSize::Tiny)[0];
    let events = |production| {
        let mut seen = Vec::new();
        let key = development_key(dir.path(), &id, production, |e| seen.push(e));
        (key, seen)
    };
    let (first, seen) = events(false);
    assert_eq!(seen, [KeyEvent::Generating]);
    let (second, seen) = events(false);
    assert_eq!(seen, [KeyEvent::Loaded]);
    assert_eq!(first.unwrap(), second.unwrap());
    let path = std::fs::read_dir(dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&path, b"half a key").unwrap();
    let (third, seen) = events(false);
    assert_eq!(seen, [KeyEvent::Damaged, KeyEvent::Generating]);
    third.unwrap();
    let (refused, _) = events(true);
    assert!(matches!(
        refused,
        Err(CacheError::Key(KeyError::Insecure { .. }))
    ));
}

#[test]
fn an_unwritable_cache_is_an_error_that_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let id = DevelopmentKey::family(ChunkSize::Tiny)[0];
    let error = development_key(&file, &id, false, |_| {}).unwrap_err();
    assert!(
        matches!(&error, CacheError::Io { path, .. } if path.starts_with(&file)),
        "{error}"
    );
}

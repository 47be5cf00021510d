//! Blobs are found by content, and a changed byte is found out.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use object_store::memory::InMemory;
use proptest::prelude::*;
use salus_blobs::{BlobError, BlobStore, ContentId, ContentIdError, S3Settings, SettingsError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn names_are_those_of_ipfs() {
    // A raw leaf with this text has this name in IPFS (helia 7, and by hand from the multiformats tables).
    let id = ContentId::of(b"hello world");
    let text = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    assert_eq!(id.to_string(), text);
    assert_eq!(text.parse::<ContentId>().unwrap(), id);
}

#[test]
fn other_kinds_of_cid_are_refused() {
    let dag_pb = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    assert!(matches!(
        dag_pb.parse::<ContentId>(),
        Err(ContentIdError::OtherKind { codec: 0x70, .. })
    ));
    let version_0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR";
    assert!(matches!(
        version_0.parse::<ContentId>(),
        Err(ContentIdError::OtherKind { version: 0, .. })
    ));
    for text in ["", "b", "hello", &"b".repeat(10_000)] {
        assert!(matches!(
            text.parse::<ContentId>(),
            Err(ContentIdError::Malformed(_))
        ));
    }
}

#[tokio::test]
async fn stores_once_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::local(&dir.path().join("new/blobs")).unwrap();
    let id = store.put(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(store.put(Bytes::from_static(b"one")).await.unwrap(), id);
    assert_eq!(store.get(&id).await.unwrap(), "one");
    assert!(store.contains(&id).await.unwrap());
    assert_eq!(files(dir.path()).len(), 1);

    // A second process on the same directory finds it.
    let again = BlobStore::local(&dir.path().join("new/blobs")).unwrap();
    assert_eq!(again.get(&id).await.unwrap(), "one");

    store.erase(&id).await.unwrap();
    store.erase(&id).await.unwrap();
    assert!(matches!(store.get(&id).await, Err(BlobError::Missing(m)) if m == id));
    assert!(!store.contains(&id).await.unwrap());
}

#[tokio::test]
async fn a_changed_byte_is_found_out_at_the_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::local(dir.path()).unwrap();
    let id = store.put(Bytes::from(vec![7u8; 98_304])).await.unwrap();
    let path = files(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        store.get(&id).await,
        Err(BlobError::Changed { wanted, .. }) if wanted == id
    ));
    std::fs::write(&path, &bytes[..100]).unwrap();
    assert!(matches!(
        store.get(&id).await,
        Err(BlobError::Changed { .. })
    ));
}

#[tokio::test]
async fn more_than_the_limit_is_refused_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::local(dir.path()).unwrap();
    let large = Bytes::from(vec![0u8; (salus_blobs::MOST_BYTES + 1) as usize]);
    assert!(matches!(
        store.put(large).await,
        Err(BlobError::TooLarge { .. })
    ));
    let id = store.put(Bytes::from_static(b"small")).await.unwrap();
    let path = files(dir.path()).pop().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(salus_blobs::MOST_BYTES + 1).unwrap();
    assert!(matches!(
        store.get(&id).await,
        Err(BlobError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn writers_of_the_same_bytes_do_not_disturb_each_other() {
    let store = BlobStore::over(Arc::new(InMemory::new()));
    let bytes = Bytes::from(vec![3u8; 100_000]);
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (store, bytes) = (store.clone(), bytes.clone());
            tokio::spawn(async move { store.put(bytes).await.unwrap() })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap(), ContentId::of(&bytes));
    }
    assert_eq!(store.get(&ContentId::of(&bytes)).await.unwrap(), bytes);
}

#[test]
fn settings_are_complete_or_named() {
    let full: BTreeMap<String, String> = [
        ("SALUS_S3_BUCKET", "b"),
        ("SALUS_S3_REGION", "eu-central-1"),
        ("SALUS_S3_ACCESS_KEY_ID", "id"),
        ("SALUS_S3_SECRET_ACCESS_KEY", "hidden"),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .collect();
    let settings = S3Settings::from_variables(&full).unwrap().unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
    assert!(BlobStore::s3(&settings).is_ok());
    assert_eq!(S3Settings::from_variables(&BTreeMap::new()), Ok(None));
    for name in full.keys().filter(|name| *name != "SALUS_S3_BUCKET") {
        let mut without = full.clone();
        without.remove(name);
        assert!(
            matches!(S3Settings::from_variables(&without), Err(SettingsError::Missing(m)) if m == name)
        );
    }
    let mut odd = full;
    odd.insert("SALUS_S3_ALLOW_HTTP".to_owned(), "yes".to_owned());
    assert!(matches!(
        S3Settings::from_variables(&odd),
        Err(SettingsError::Switch { .. })
    ));
}

proptest! {
    #[test]
    fn every_name_is_read_back(digest: [u8; 32]) {
        let id = ContentId::from_digest(digest);
        prop_assert_eq!(id.to_string().parse::<ContentId>(), Ok(id));
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,200}") {
        if let Ok(id) = text.parse::<ContentId>() {
            prop_assert_eq!(ContentId::from_digest(*id.digest()), id);
        }
    }
}

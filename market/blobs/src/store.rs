//! The store: put once, get checked.

use crate::{BlobError, ContentId, S3Settings};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::path::Path;
use std::sync::Arc;

/// Largest blob: 64 MiB.
pub const MOST_BYTES: u64 = 64 << 20;

/// A place where blobs lie.
#[derive(Clone, Debug)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
}

impl BlobStore {
    /// The store in a local directory, which is made when it is not there.
    ///
    /// # Errors
    /// [`BlobError::Directory`], [`BlobError::Store`].
    pub fn local(directory: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(directory).map_err(|source| BlobError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let objects = LocalFileSystem::new_with_prefix(directory)?;
        Ok(Self {
            objects: Arc::new(objects),
        })
    }

    /// The store in a bucket.
    ///
    /// # Errors
    /// [`BlobError::Store`] when the settings are not understood. Nothing is sent yet.
    pub fn s3(settings: &S3Settings) -> Result<Self, BlobError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key_id)
            .with_secret_access_key(&settings.secret_access_key)
            .with_allow_http(settings.allow_http);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        Ok(Self {
            objects: Arc::new(builder.build()?),
        })
    }

    /// The store over any object store, for tests with faults.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Stores `bytes` and returns their name. Storing again is no error and changes nothing.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Store`].
    pub async fn put(&self, bytes: Bytes) -> Result<ContentId, BlobError> {
        check_size(bytes.len() as u64)?;
        let id = ContentId::of(&bytes);
        let options = PutOptions::from(PutMode::Create);
        let payload = PutPayload::from(bytes);
        match self.objects.put_opts(&place(&id), payload, options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(id),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes that `id` names, hashed and found right.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Changed`], [`BlobError::TooLarge`], [`BlobError::Store`].
    pub async fn get(&self, id: &ContentId) -> Result<Bytes, BlobError> {
        let found = match self.objects.get(&place(id)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(BlobError::Missing(*id)),
            Err(error) => return Err(error.into()),
        };
        check_size(found.meta.size)?;
        // The size is the store's word; the stream may be longer.
        let mut bytes = BytesMut::new();
        let mut stream = found.into_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            check_size((bytes.len() + piece.len()) as u64)?;
            bytes.extend_from_slice(&piece);
        }
        let bytes = bytes.freeze();
        let hash = ContentId::of(&bytes);
        if hash == *id {
            Ok(bytes)
        } else {
            Err(BlobError::Changed {
                wanted: *id,
                found: hash,
            })
        }
    }

    /// Whether the store has the blob, by its name alone; its bytes are checked when they are read.
    ///
    /// # Errors
    /// [`BlobError::Store`].
    pub async fn contains(&self, id: &ContentId) -> Result<bool, BlobError> {
        match self.objects.head(&place(id)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Erases a blob. Erasing what is not there is no error.
    ///
    /// # Errors
    /// [`BlobError::Store`].
    pub async fn erase(&self, id: &ContentId) -> Result<(), BlobError> {
        match self.objects.delete(&place(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn check_size(found: u64) -> Result<(), BlobError> {
    if found > MOST_BYTES {
        return Err(BlobError::TooLarge {
            found,
            most: MOST_BYTES,
        });
    }
    Ok(())
}

/// Two characters of the name spread the blobs over 1,024 directories: every CID of ours begins with `bafkrei`.
fn place(id: &ContentId) -> ObjectPath {
    let name = id.to_string();
    let spread = name.get(name.len() - 2..).unwrap_or("xx").to_owned();
    ObjectPath::from_iter([spread, name])
}

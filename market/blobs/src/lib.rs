//! Content-addressed blobs over object_store: CIDv1 names, checked on every read.
//!
//! Blobs hold what is public or encrypted: ciphertexts, sums, proofs. A blob is written once under the name of its
//! content, so a retried write changes nothing and two writers of the same bytes cannot disturb each other. What comes
//! back is hashed before anybody sees it: a store, disk or network that changes a byte is found out at the read.
//!
//! The default store is a local directory; S3 and what speaks its protocol take settings ([`S3Settings`]).

mod content_id;
mod error;
mod settings;
mod store;

pub use content_id::{ContentId, ContentIdError};
pub use error::BlobError;
pub use settings::{S3Settings, SettingsError};
pub use store::{BlobStore, MOST_BYTES};

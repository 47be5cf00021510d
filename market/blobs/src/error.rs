//! What can go wrong with a blob.

use crate::ContentId;
use thiserror::Error;

/// Why a blob was not read or written.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The store has no such blob.
    #[error("blob {0} is not in the store")]
    Missing(ContentId),
    /// The bytes are not those that the name stands for. Invalid, not failed: somebody or something changed them.
    #[error("the store gave other bytes for {wanted}: they hash to {found}")]
    Changed {
        /// The name that was asked for.
        wanted: ContentId,
        /// The name of what came.
        found: ContentId,
    },
    /// More bytes than a blob may have.
    #[error("a blob has at most {most} bytes, not {found}")]
    TooLarge {
        /// Bytes offered or stored.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The store failed.
    #[error("the blob store failed: {0}")]
    Store(#[from] object_store::Error),
    /// A local directory cannot be used.
    #[error("{path}: {source}")]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

//! Content-addressed blobs over object_store: CIDv1, checked on every read.

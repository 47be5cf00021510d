//! Readers, person-level coding with polars and the clear-text oracle.

pub mod code;
pub mod people;
pub mod read;

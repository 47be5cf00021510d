//! Readers, person-level coding with polars and the clear-text oracle.

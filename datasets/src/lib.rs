//! Readers, person-level coding with polars and the clear-text oracle.
//!
//! * [`read`]: CSV, TSV, Orange `.tab`, gzip and Parquet as bounded batches of text cells.
//! * [`profile`]: what stands in the columns, and the codebook that follows from it.
//! * [`people`]: one record per person.
//! * [`code`]: the codes that are committed.
//! * [`oracle`]: the same queries answered in clear text, for comparison.
//! * [`synthetic`]: the built-in cohort of nobody.

pub mod code;
pub mod oracle;
pub mod people;
pub mod profile;
pub mod read;
pub mod synthetic;

//! Codebooks, records, the query model (JSON and SQL) and planning into public tables.

pub mod codebook;
pub mod column;
pub mod decimal;
pub mod plan;

mod digest;

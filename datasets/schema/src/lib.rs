//! Codebooks, records, the query model (JSON and SQL) and planning into public tables.

pub mod answer;
pub mod codebook;
pub mod codeset;
pub mod column;
pub mod decimal;
pub mod filter;
pub mod grid;
pub mod infer;
pub mod plan;
pub mod planner;
pub mod query;
pub mod refusal;

mod codebook_file;
mod digest;
mod query_json;
mod render;
mod sql;
mod sql_condition;

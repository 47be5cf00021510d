//! Codebooks, records, the query model (JSON and SQL) and planning into public tables.
//!
//! The way of a question, with the module that does each step:
//!
//! 1. [`infer`] proposes a column from what was seen in the data; a [`codebook`] lists the columns of a dataset and turns
//!    source values into codes: 0 is an empty slot, 1 is missing, 2..=255 are values. Numbers are exact decimals
//!    ([`decimal`]) on a grid ([`grid`]); a grid of more than 254 values takes two code columns.
//! 2. [`query`] holds a question in canonical form, read from SQL or from versioned JSON. Texts that accept the same values
//!    have one form and one hash. What cannot be asked is a [`refusal`] with a stable code, the place in the text, the reason
//!    and what could be asked instead.
//! 3. [`planner`] turns a query into a [`plan`]: the public tables that circuits and contracts see, in canonical bytes.
//! 4. [`cube`] says which cells of an encrypted contingency table a plan adds up, and proposes such tables.
//! 5. [`answer`] suppresses small groups and reads published values back into rows.
//!
//! Missing values follow SQL's three-valued logic: a comparison with a missing value is not true, and neither is its NOT.
//! A record without a value in a group column is in no group. `COUNT(*)` counts records without a measured value, the other
//! measures skip them.
//!
//! ```
//! use salus_schema::{codebook::Codebook, planner, query::Query};
//!
//! let codebook = Codebook::from_toml(
//!     r#"
//!     version = 1
//!     name = "smokers"
//!     [[columns]]
//!     name = "quit"
//!     kind = "exact"
//!     min = 0
//!     step = 1
//!     max = 1
//!     [[columns]]
//!     name = "age"
//!     kind = "exact"
//!     min = 25
//!     step = 1
//!     max = 74
//!     "#,
//! )?;
//! let query = Query::from_sql("SELECT quit, AVG(age) FROM smokers WHERE age < 60 GROUP BY quit", &codebook)?;
//! let (plan, decoder) = planner::plan(&query, &codebook)?;
//! assert_eq!((plan.passes().len(), decoder.groups()), (1, 2));
//! let refusal = Query::from_sql("SELECT MAX(age) FROM smokers", &codebook).unwrap_err();
//! assert_eq!(refusal.reason(), "an extreme is the value of one person");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod answer;
pub mod codebook;
pub mod codeset;
pub mod column;
pub mod cube;
pub mod decimal;
pub mod filter;
pub mod grid;
pub mod infer;
pub mod plan;
pub mod planner;
pub mod query;
pub mod refusal;

mod codebook_file;
mod cube_forms;
mod cube_proposal;
mod digest;
mod query_json;
mod render;
mod sql;
mod sql_condition;
mod table;

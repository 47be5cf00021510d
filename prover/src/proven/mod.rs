//! The proven path: witness and fast Groth16 prover.

pub mod answer;
pub mod chunk;
#[cfg(target_arch = "x86_64")]
mod ifma;
pub(crate) mod lanes;
pub mod msm;
pub mod prove;

pub use answer::{AnswerProof, Cancelled, DatasetProver, Progress, ProveError};
pub use chunk::Chunk;
pub use prove::PartProver;

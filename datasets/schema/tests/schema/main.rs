//! Tests of the public interface, one binary.
#![allow(clippy::unwrap_used)]

mod answers;
mod canonical;
mod codebooks;
mod cohort;
mod cubes;
mod golden;
mod inference;
mod nhefs;
mod plans;
mod refusals;
mod semantics;

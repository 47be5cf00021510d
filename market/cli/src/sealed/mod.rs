//! The sealed path: who uploaded what, who is in a sum, and what holders, demo and audit share about it.

pub mod roster;
pub mod uploads;

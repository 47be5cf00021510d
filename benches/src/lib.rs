//! Criterion benches, side-by-side comparisons and the architecture test.
//!
//! Synthetic data only, fixed seeds, set-up outside the timer.

pub mod meter;
pub mod scenario;

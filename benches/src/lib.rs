//! Criterion benches, side-by-side comparisons and the architecture test.

//! Tests of the public interface, one binary.
#![allow(clippy::unwrap_used)]

mod adversary;
mod checks;
mod holders;
mod links;
mod openings;
mod parameters;
mod ring;
mod sums;
mod uploads;

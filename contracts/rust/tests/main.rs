//! Tests of the embedded chain, the client and the contracts together; where anvil is at hand the same
//! checks run against it.

#![allow(clippy::unwrap_used)]

mod conformance;
mod devchain;
mod flow;
mod history;
mod http;
mod measure;
mod member;
mod node;
mod probe;
mod sealed;
mod sealed_messages;
mod simulator;
mod vectors;
mod world;

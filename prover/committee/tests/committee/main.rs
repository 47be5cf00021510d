//! Key generation, openings and the service, with honest and with misbehaving holders.
#![allow(clippy::unwrap_used)]

mod adversary;
mod checks;
mod keyfile;
mod keygen;
mod messages;
mod opening;
mod restart;
mod service;
mod tls;
mod witnesses;
mod world;

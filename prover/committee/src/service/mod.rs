//! The service of a holder over mutual TLS, and the client's side of it.

mod client;
mod connection;
mod frame;
mod keygen;
mod leader;
mod opener;
mod server;
mod vouch;

pub use client::{Client, ClientError};
pub use connection::CallError;
pub use frame::FrameError;
pub use keygen::{KeygenConfig, KeygenError, generate_keys};
pub use opener::CommitteeOpener;
pub use server::{ServeError, Service, serve};

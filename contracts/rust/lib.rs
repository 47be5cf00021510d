//! The only package that speaks to a chain: an embedded EVM, bindings of the contracts, and a typed client.
//!
//! [`client::Chain`] connects to the embedded chain ([`devchain::DevChain`]) or to a JSON-RPC address,
//! [`deploy::deploy`] puts the contracts there, [`client::Client`] uses them, and [`consent`] makes the
//! signatures that members give, and [`sealed`] those of key holders and issuers. [`history`] reads what happened back out
//! of signed transactions, offline.

pub mod bindings;
pub mod client;
pub mod consent;
pub mod deploy;
pub mod devchain;
pub mod history;
pub mod sealed;
pub mod words;

pub use alloy::primitives;
pub use alloy::signers::local::PrivateKeySigner;

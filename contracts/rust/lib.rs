//! The only package that speaks to a chain: an embedded EVM, bindings of the contracts, and a typed client.

pub mod devchain;

//! Solidity bindings.

//! Bootstrapped queries on tfhe: answers over encrypted records that no cube covers.
//!
//! A record is one compact list of encrypted bits, a one-hot per code column ([`layout`]), proven well formed when it is
//! uploaded ([`upload`], [`one_hot`]). A plan of `salus_schema` becomes a list of branches ([`query`]): an AND of linear
//! predicates in one blind rotation per record, and one more rotation per histogram or per base-16 digit of a measure.
//! [`evaluate`] adds the rotations of a chunk up, extracts exact digits, normalises every carry and squashes the noise of
//! the digits that the committee opens ([`answer`]). [`parameters`] states noise, failure probability and cost.
//!
//! # Security
//! All keys come from a *dealer ceremony* ([`keys`]): whoever runs [`keys::DealerCeremony`] could read every record. That
//! is the state of the art here and is said wherever a key is met. Secrecy of records rests on the LWE and GLWE
//! assumptions at the published 2^-128 parameters of tfhe; the bounds of [`parameters`] are averages over Gaussian noise.
#![deny(missing_docs)]

pub mod answer;
pub mod checkpoint;
pub mod evaluate;
pub mod keys;
pub mod layout;
pub mod one_hot;
pub mod parameters;
pub mod query;
pub mod upload;

mod accumulate;
mod digits;
mod estimate;
mod form;
mod rotate;

#[cfg(test)]
mod tests;

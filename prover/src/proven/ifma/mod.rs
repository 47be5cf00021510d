//! BN254 on the 52-bit multiply-add of AVX-512 IFMA, eight residues at a time.
//!
//! Everything here has a portable twin with equal results; [`available`] decides at run time.
//! This is the only module with `unsafe`: it calls functions compiled for CPU features that
//! [`available`] has found, and it moves whole cache lines in and out of vectors.
//!
//! * [`field`]: lazily reduced Montgomery arithmetic
//! * [`adder`]: batch-affine G1 additions
//! * [`fft`]: transforms and product of the quotient
//! * [`msm`]: bucket sums and multi-scalar multiplication
#![allow(unsafe_code)]

pub mod adder;
pub mod fft;
pub mod field;
pub mod msm;

/// Whether this CPU can run the functions of this module.
pub fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512ifma")
}

#[cfg(test)]
mod tests;

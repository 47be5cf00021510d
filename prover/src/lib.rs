//! Proven answers: witness and fast Groth16 prover.

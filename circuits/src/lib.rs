//! Statements, commitments, transcript, R1CS relations, keys and verification.

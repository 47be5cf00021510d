//! How curve points and scalars look in calldata: big-endian words, infinity as (0, 0).

use alloy::primitives::U256;

/// One EVM word, big endian.
pub type Word = [u8; 32];
/// Affine coordinates of a BN254 G1 point. The contracts, not this crate, check that it lies on the curve.
pub type Point = [Word; 2];

pub(crate) fn word(word: Word) -> U256 {
    U256::from_be_bytes(word)
}

pub(crate) fn flatten(points: &[Point]) -> Vec<U256> {
    points.iter().flatten().copied().map(word).collect()
}

/// Reads x, y, x, y, ...; a trailing half point is dropped by the caller's length check.
pub(crate) fn points(words: &[U256]) -> Vec<Point> {
    words
        .chunks_exact(2)
        .map(|pair| [pair[0].to_be_bytes(), pair[1].to_be_bytes()])
        .collect()
}

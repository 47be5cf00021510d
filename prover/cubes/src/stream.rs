//! Pseudorandom bytes: BLAKE3 in its key derivation mode, one domain per use, read as an endless output.

use blake3::{Hasher, OutputReader};
use zeroize::{Zeroize, Zeroizing};

/// An endless output of BLAKE3 for one domain and input; wiped when dropped.
///
/// # Security
/// A random oracle of its domain and parts; with a secret part, a pseudorandom function of the others.
pub struct Stream(OutputReader);

impl Stream {
    /// The stream of `parts` in `domain`, which begins with `salus/v1/`; parts are framed by their lengths.
    pub fn new(domain: &'static str, parts: &[&[u8]]) -> Self {
        let mut hasher = framed(domain, parts);
        let reader = hasher.finalize_xof();
        hasher.zeroize();
        Self(reader)
    }

    /// Fills `bytes` from the stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(vec![0; len]);
        self.0.fill(&mut bytes);
        bytes
    }

    /// `len` numbers uniform below `modulus`, by rejection.
    ///
    /// # Panics
    /// If `modulus` is 0 or above `2^31`.
    pub fn residues(&mut self, modulus: u64, len: usize) -> Vec<u64> {
        assert!(modulus > 0 && modulus <= 1 << 31);
        let limit = (1u64 << 32) / modulus * modulus;
        let mut residues = Vec::with_capacity(len);
        let mut bytes = vec![0u8; 4 * (len + len / 32 + 16)];
        while residues.len() < len {
            self.0.fill(&mut bytes);
            let words = bytes.chunks_exact(4);
            let words = words.map(|w| u64::from(u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
            let accepted = words
                .filter(|word| *word < limit)
                .map(|word| word % modulus);
            residues.extend(accepted.take(len - residues.len()));
        }
        residues
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream([redacted])")
    }
}

/// The BLAKE3 hash of `parts` in `domain`, parts framed by their lengths.
pub fn hash(domain: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    *framed(domain, parts).finalize().as_bytes()
}

fn framed(domain: &'static str, parts: &[&[u8]]) -> Hasher {
    let mut hasher = Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}

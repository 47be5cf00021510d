//! DEALER CEREMONY: keys of the ad-hoc path.
//!
//! The bootstrapping keys of ad-hoc queries need the decryption secret in one place once. Whoever holds that place, the
//! dealer, could decrypt everything; it splits the secret among the holders and is trusted to forget it. The types here say
//! so, the key file stores it, and every status reply shows it. Cube keys have no dealer: see [`crate::keygen`].
//!
//! The secret, 4096 bits, is split into one additive share modulo 2^128 per subset of `n - t + 1` holders, known to all its
//! members: the same subsets, comparison and blame as for cubes.

use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::shape::{CommitteeShape, HolderIndex, Subset};
use crate::stream::{Key32, digest};

/// Dimension of the ciphertexts that the committee opens.
pub const LWE_DIMENSION: usize = 4096;
/// What status replies and files say about these keys.
pub const DEALER_CEREMONY: &str = "DEALER CEREMONY: one party held the whole decryption key";

/// Why a secret was not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DealerError {
    #[error("the secret has {found} bits, not {LWE_DIMENSION}")]
    Dimension { found: usize },
    #[error("entry {position} of the secret is not a bit")]
    NotBinary { position: usize },
}

/// One subset's share of a dealer's secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct DealerCeremonyShare {
    #[zeroize(skip)]
    mask: u16,
    share: Vec<u128>,
    flood_key: Key32,
}

impl std::fmt::Debug for DealerCeremonyShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DealerCeremonyShare({:#b}, [redacted])", self.mask)
    }
}

impl DealerCeremonyShare {
    /// `<mask, share>` modulo 2^128; no branch depends on the share.
    pub(crate) fn product(&self, mask: &[u128; LWE_DIMENSION]) -> u128 {
        mask.iter()
            .zip(&self.share)
            .fold(0, |sum: u128, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)))
    }

    pub(crate) const fn flood_key(&self) -> &Key32 {
        &self.flood_key
    }
}

/// What one holder keeps of a DEALER CEREMONY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealerCeremonyKeys {
    id: [u8; 32],
    shape: CommitteeShape,
    holder: HolderIndex,
    shares: Vec<DealerCeremonyShare>,
}

impl DealerCeremonyKeys {
    /// The name of the ceremony: a hash that commits to nothing secret.
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The committee's shape.
    pub const fn shape(&self) -> CommitteeShape {
        self.shape
    }

    /// The holder to whom these belong.
    pub const fn holder(&self) -> HolderIndex {
        self.holder
    }

    /// The shares with their subsets, ascending.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (Subset, &DealerCeremonyShare)> {
        self.shape
            .subsets_of(self.holder)
            .into_iter()
            .zip(&self.shares)
    }

    /// True when there is one share of the right dimension per subset of the holder.
    pub(crate) fn is_well_formed(&self) -> bool {
        let subsets = self.shape.subsets_of(self.holder);
        self.shape.contains(self.holder)
            && subsets.len() == self.shares.len()
            && subsets.iter().zip(&self.shares).all(|(subset, share)| {
                subset.mask() == share.mask && share.share.len() == LWE_DIMENSION
            })
    }
}

/// Splits a binary secret: the keys of every holder, by index. The caller erases `secret_bits`.
///
/// # Errors
/// If the secret is not 4096 zeros and ones.
///
/// # Security
/// The caller knows the whole secret. All but one share are uniform, so any `t - 1` holders learn nothing from theirs.
pub fn split(
    secret_bits: &[u8],
    shape: CommitteeShape,
    rng: &mut impl CryptoRngCore,
) -> Result<Vec<DealerCeremonyKeys>, DealerError> {
    if secret_bits.len() != LWE_DIMENSION {
        return Err(DealerError::Dimension {
            found: secret_bits.len(),
        });
    }
    if let Some(position) = secret_bits.iter().position(|&bit| bit > 1) {
        return Err(DealerError::NotBinary { position });
    }
    let mut rest: Vec<u128> = secret_bits.iter().map(|&bit| u128::from(bit)).collect();
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let id = digest("salus/v1/committee/ceremony", &[&nonce]);
    let subsets = shape.subsets();
    let last = subsets.len() - 1;
    let mut shares = Vec::with_capacity(subsets.len());
    for (position, subset) in subsets.iter().enumerate() {
        let share = if position == last {
            std::mem::take(&mut rest)
        } else {
            let mut bytes = [0; 16];
            rest.iter_mut()
                .map(|left| {
                    rng.fill_bytes(&mut bytes);
                    let uniform = u128::from_le_bytes(bytes);
                    *left = left.wrapping_sub(uniform);
                    uniform
                })
                .collect()
        };
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        shares.push((
            *subset,
            DealerCeremonyShare {
                mask: subset.mask(),
                share,
                flood_key: Key32::new(key),
            },
        ));
        key.zeroize();
    }
    Ok(shape
        .indices()
        .map(|holder| DealerCeremonyKeys {
            id,
            shape,
            holder,
            shares: shares
                .iter()
                .filter(|(subset, _)| subset.contains(holder))
                .map(|(_, share)| share.clone())
                .collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    #[test]
    fn products_of_all_subsets_add_up_to_that_of_the_secret() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret: Vec<u8> = (0..LWE_DIMENSION)
            .map(|_| (rng.next_u32() & 1) as u8)
            .collect();
        let shape = CommitteeShape::new(5, 3).unwrap();
        let keys = split(&secret, shape, &mut rng).unwrap();
        assert!(keys.iter().all(DealerCeremonyKeys::is_well_formed));
        let mask: [u128; LWE_DIMENSION] =
            std::array::from_fn(|_| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()));
        let expected = mask
            .iter()
            .zip(&secret)
            .fold(0u128, |sum, (a, s)| sum.wrapping_add(a * u128::from(*s)));
        let mut sum = 0u128;
        for subset in shape.subsets() {
            let values: Vec<u128> = subset
                .members()
                .map(|holder| {
                    let (_, share) = keys[usize::from(holder.0)]
                        .shares()
                        .find(|(s, _)| *s == subset)
                        .unwrap();
                    share.product(&mask)
                })
                .collect();
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]));
            sum = sum.wrapping_add(values[0]);
        }
        assert_eq!(sum, expected);
    }

    #[test]
    fn refuses_what_is_not_a_binary_secret() {
        let shape = CommitteeShape::new(4, 2).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        assert_eq!(
            split(&[1; 7], shape, &mut rng),
            Err(DealerError::Dimension { found: 7 })
        );
        let mut secret = vec![0; LWE_DIMENSION];
        secret[3] = 2;
        assert_eq!(
            split(&secret, shape, &mut rng),
            Err(DealerError::NotBinary { position: 3 })
        );
    }

    #[test]
    fn shares_do_not_print() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let keys = split(
            &[1; LWE_DIMENSION],
            CommitteeShape::new(4, 2).unwrap(),
            &mut rng,
        )
        .unwrap();
        let text = format!("{:?}", keys[0]);
        assert!(text.contains("[redacted]") && text.len() < 600, "{text}");
    }
}

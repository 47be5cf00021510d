//! Openings of upload checks: partials of what must be zero, and nothing else.
//!
//! The caller names a check and what of it to open; every holder derives the element itself from its own uploads,
//! attestations and beacon, so that no caller can have anything else opened. The result says zero or not zero. When it is not
//! zero, whoever combines the partials sees a random multiple of what one cheating batch encrypts: failures are capped.

use salus_cubes::check::{Origin, Zero};
use salus_cubes::key::{SecretShare, SubsetKey};
use salus_cubes::open;
use salus_cubes::ring::Poly;
use serde::{Deserialize, Serialize};

use super::coin::CoinSeed;
use crate::ledger::{Ciphertexts, Market};
use crate::message::Values;
use crate::refusal::{Refusal, RefusalCode};
use crate::stream::digest;

/// Excluded uploads in one request, at most.
pub const MAX_EXCLUDED: usize = 4096;

/// What of a check is opened: [`Origin`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZeroTarget {
    /// A relation of the members at `from..to`.
    Relation {
        round: u32,
        repetition: u8,
        from: u32,
        to: u32,
    },
    /// Members at `from..to` of a drawn subset.
    Subset {
        round: u32,
        subset: u8,
        from: u32,
        to: u32,
    },
    /// One member.
    Single { at: u32 },
    /// The custodian's link.
    Link,
}

impl From<&Origin> for ZeroTarget {
    fn from(origin: &Origin) -> Self {
        match *origin {
            Origin::Relation {
                round,
                repetition,
                from,
                to,
            } => Self::Relation {
                round,
                repetition,
                from,
                to,
            },
            Origin::Subset {
                round,
                subset,
                from,
                to,
            } => Self::Subset {
                round,
                subset,
                from,
                to,
            },
            Origin::Single { at } => Self::Single { at },
            Origin::Link => Self::Link,
        }
    }
}

impl From<ZeroTarget> for Origin {
    fn from(target: ZeroTarget) -> Self {
        match target {
            ZeroTarget::Relation {
                round,
                repetition,
                from,
                to,
            } => Self::Relation {
                round,
                repetition,
                from,
                to,
            },
            ZeroTarget::Subset {
                round,
                subset,
                from,
                to,
            } => Self::Subset {
                round,
                subset,
                from,
                to,
            },
            ZeroTarget::Single { at } => Self::Single { at },
            ZeroTarget::Link => Self::Link,
        }
    }
}

/// One opening of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The check: a batch of uploads with its seed, or a link. Holders look it up themselves.
    pub check: [u8; 32],
    /// What of it.
    pub target: ZeroTarget,
    /// Members found to cheat before, ascending positions.
    pub excluded: Vec<u32>,
    /// Hash of the element that the caller derived; a holder that derives another one refuses.
    pub expected: [u8; 32],
    /// The seeds of the coin, one per subset; a holder recomputes those of its own subsets.
    pub coin: Vec<CoinSeed>,
}

pub(super) fn hash_of(zero: &Zero) -> [u8; 32] {
    match zero {
        Zero::Form(form) => form.hash(),
        Zero::Poly(poly) => poly.hash(),
    }
}

/// What must be zero, derived by this holder.
pub(super) struct ZeroQuestion {
    pub(super) zero: Zero,
    binding: [u8; 32],
    subsets: u32,
}

impl ZeroQuestion {
    pub(super) fn new(
        request: &CheckRequest,
        coin: &[u8; 32],
        subsets: usize,
        market: Market,
        ciphertexts: &dyn Ciphertexts,
    ) -> Result<Self, Refusal> {
        let ascends = request.excluded.windows(2).all(|pair| pair[0] < pair[1]);
        if request.excluded.len() > MAX_EXCLUDED || !ascends {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                "excluded members must ascend and be few",
            ));
        }
        let excluded: Vec<usize> = request.excluded.iter().map(|&at| at as usize).collect();
        let zero = ciphertexts
            .zero(
                &request.check,
                coin,
                &Origin::from(request.target),
                &excluded,
            )
            .map_err(super::source::unavailable)?;
        if hash_of(&zero) != request.expected {
            return Err(Refusal::new(
                RefusalCode::SumMismatch,
                "this holder derives another element for the check",
            ));
        }
        let binding = digest(
            "salus/v1/committee/check-binding",
            &[
                &market.chain.to_le_bytes(),
                &market.contract.0,
                &request.check,
            ],
        );
        Ok(Self {
            zero,
            binding,
            subsets: subsets as u32,
        })
    }

    pub(super) fn cost(&self) -> f64 {
        match &self.zero {
            Zero::Form(form) => form.flooding_cost(self.subsets),
            Zero::Poly(poly) => poly.flooding_cost(self.subsets),
        }
    }

    pub(super) fn partial(&self, secret: &SecretShare, key: &SubsetKey) -> Values {
        let (subsets, binding) = (self.subsets, &self.binding);
        Values(match &self.zero {
            Zero::Form(form) => vec![open::partial_zero(form, secret, key, subsets, binding)],
            Zero::Poly(poly) => open::partial_zero_poly(poly, secret, key, subsets, binding)
                .coefficients()
                .to_vec(),
        })
    }

    /// Zero or not, from one list of partials per subset.
    pub(super) fn verdict(&self, partials: &[Values]) -> Result<bool, Refusal> {
        let malformed =
            || Refusal::new(RefusalCode::BadRequest, "the partials do not fit the check");
        let verdict = match &self.zero {
            Zero::Form(form) => {
                let partials: Option<Vec<u128>> = partials
                    .iter()
                    .map(|values| {
                        <[u128; 1]>::try_from(&values.0[..])
                            .ok()
                            .map(|[value]| value)
                    })
                    .collect();
                open::combine_zero(form, self.subsets, &partials.ok_or_else(malformed)?)
            }
            Zero::Poly(poly) => {
                let partials: Option<Vec<Poly>> = partials
                    .iter()
                    .map(|values| Poly::from_coefficients(values.0.clone()))
                    .collect();
                open::combine_zero_poly(poly, self.subsets, &partials.ok_or_else(malformed)?)
            }
        };
        verdict.map_err(|_| malformed())
    }
}

//! Noise of a differentially private release, added by the subsets and known to no one holder.
//!
//! Every subset adds a centred binomial integer from its keyed stream. Holders know the noise of their own subsets, so
//! `t - 1` colluders know all shares but those of the subsets that they miss, at least one. The guarantee is therefore
//! calibrated to ONE share; the published noise is that of all shares, larger by the square root of their number, and this
//! true figure is what a reader must be told.

use salus_cubes::open::CentredBinomial;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Fair coins per half of a share, at most: standard deviation 1448 per share.
pub const MAX_COINS: u32 = 1 << 22;

/// Why no noise gives the asked guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoiseError {
    #[error("epsilon is {micro} millionths; 1,000 to 20,000,000 are supported")]
    Epsilon { micro: u64 },
    #[error("delta is 2^-{exponent}; 2^-10 to 2^-60 are supported")]
    Delta { exponent: u32 },
    #[error("one person changes the values by {change}; 1 to 1024 are supported")]
    Sensitivity { change: u32 },
    #[error("the guarantee needs more than {MAX_COINS} coins")]
    TooMuch,
}

/// The guarantee of a release: every published value of the query together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoisePolicy {
    /// Epsilon in millionths.
    pub micro_epsilon: u64,
    /// Delta is 2 to minus this.
    pub delta_exponent: u32,
}

/// Centred binomial noise of one share: the heads of `coins` coins minus those of as many others; variance `coins / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareNoise {
    coins: u32,
}

impl ShareNoise {
    /// The least noise with which one share alone hides a change of `sensitivity` in `values` values.
    ///
    /// Epsilon and delta are split evenly over the values that one person can change.
    ///
    /// # Errors
    /// If a parameter is out of range or too much noise would be needed.
    ///
    /// # Security
    /// Add or remove one person. The privacy loss of the binomial is computed from its exact probabilities, in floating
    /// point with errors far below the smallest supported delta.
    pub fn calibrate(
        policy: NoisePolicy,
        sensitivity: u32,
        values: u32,
    ) -> Result<Self, NoiseError> {
        let micro = policy.micro_epsilon;
        if !(1_000..=20_000_000).contains(&micro) {
            return Err(NoiseError::Epsilon { micro });
        }
        let exponent = policy.delta_exponent;
        if !(10..=60).contains(&exponent) {
            return Err(NoiseError::Delta { exponent });
        }
        if !(1..=1024).contains(&sensitivity) {
            return Err(NoiseError::Sensitivity {
                change: sensitivity,
            });
        }
        let values = f64::from(values.max(1));
        let epsilon = micro as f64 / 1e6 / values;
        let delta = 2f64.powi(-(exponent as i32)) / values;
        let enough = |coins: u32| privacy_loss(coins, sensitivity, epsilon) <= delta;
        if !enough(MAX_COINS) {
            return Err(NoiseError::TooMuch);
        }
        // The loss falls as coins are added.
        let (mut low, mut high) = (0, MAX_COINS);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if enough(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(Self { coins: high })
    }

    /// Coins per half.
    pub const fn coins(self) -> u32 {
        self.coins
    }

    /// The standard deviation of one share.
    pub fn share_sigma(self) -> f64 {
        (f64::from(self.coins) / 2.0).sqrt()
    }

    /// The standard deviation of the published value: `shares` independent shares.
    pub fn output_sigma(self, shares: usize) -> f64 {
        self.share_sigma() * (shares as f64).sqrt()
    }

    /// The share as openings take it.
    pub const fn share(self) -> CentredBinomial {
        CentredBinomial { flips: self.coins }
    }
}

/// Delta of adding a centred binomial of `coins` coins per half when two inputs differ by `change`:
/// the sum over `x` of `max(0, P(x) - e^epsilon * P(x - change))`.
fn privacy_loss(coins: u32, change: u32, epsilon: f64) -> f64 {
    let logs = log_probabilities(coins);
    let log_at = |x: i64| logs.get(x.unsigned_abs() as usize).copied();
    let last = logs.len() as i64 - 1;
    (-last..=last)
        .filter_map(|x| {
            let here = log_at(x)?;
            let there = log_at(x - i64::from(change)).unwrap_or(f64::NEG_INFINITY);
            let gap = epsilon + there - here;
            (gap < 0.0).then(|| here.exp() * -gap.exp_m1())
        })
        .sum()
}

/// ln P(x) for x = 0, 1, .. until the probability is below e^-90 or there are no more coins.
fn log_probabilities(coins: u32) -> Vec<f64> {
    let n = f64::from(coins);
    // The central probability is the product of (2i - 1) / (2i) over i = 1..=coins; Stirling's series for many.
    let mut log = if coins <= 4096 {
        (1..=coins).map(|i| (-0.5 / f64::from(i)).ln_1p()).sum()
    } else {
        -0.5 * (std::f64::consts::PI * n).ln() - 1.0 / (8.0 * n) + 1.0 / (192.0 * n.powi(3))
    };
    let mut logs = vec![log];
    for x in 0..coins {
        // P(x + 1) / P(x) = (coins - x) / (coins + x + 1)
        log += ((n - f64::from(x)) / (n + f64::from(x) + 1.0)).ln();
        if log < -90.0 {
            break;
        }
        logs.push(log);
    }
    logs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POLICY: NoisePolicy = NoisePolicy {
        micro_epsilon: 1_000_000,
        delta_exponent: 30,
    };

    #[test]
    fn probabilities_add_up_to_one() {
        for coins in [1, 2, 7, 4096, 4097, 100_000] {
            let logs = log_probabilities(coins);
            let sum: f64 = logs.iter().map(|l| l.exp()).sum::<f64>() * 2.0 - logs[0].exp();
            assert!((sum - 1.0).abs() < 1e-9, "{coins}: {sum}");
        }
    }

    #[test]
    fn loss_of_few_coins_is_the_one_counted_by_hand() {
        // One coin per half: P = 1/4, 1/2, 1/4 on -1, 0, 1. At epsilon = ln 1.5 and change 1:
        // x = -1: 1/4; x = 0: 1/2 - 3/8; x = 1: 1/4 - 3/4 < 0.
        let loss = privacy_loss(1, 1, 1.5f64.ln());
        assert!((loss - 0.375).abs() < 1e-12, "{loss}");
        // No overlap at all.
        assert!((privacy_loss(1, 3, 1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_share_suffices_and_one_coin_less_does_not() {
        let noise = ShareNoise::calibrate(POLICY, 1, 1).unwrap();
        let delta = 2f64.powi(-30);
        assert!(privacy_loss(noise.coins(), 1, 1.0) <= delta);
        assert!(privacy_loss(noise.coins() - 1, 1, 1.0) > delta);
        // The classical Gaussian bound, sqrt(2 ln(1.25 / delta)), is looser.
        assert!(noise.share_sigma() < (2.0 * (1.25 / delta).ln()).sqrt());
        assert!(noise.share_sigma() > 3.0);
        assert!((noise.output_sigma(10) / noise.share_sigma() - 10f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn larger_changes_and_more_values_need_more_noise() {
        let base = ShareNoise::calibrate(POLICY, 1, 1).unwrap().coins();
        assert!(ShareNoise::calibrate(POLICY, 4, 1).unwrap().coins() > 10 * base);
        assert!(ShareNoise::calibrate(POLICY, 1, 3).unwrap().coins() > 5 * base);
        assert_eq!(
            ShareNoise::calibrate(POLICY, 1024, 9),
            Err(NoiseError::TooMuch)
        );
    }
}

//! Exact decimal numbers: an integer mantissa and a power of ten, never a float.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Decimal places, at most.
pub const MAX_SCALE: u8 = 30;

/// Why a text is not a decimal number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    #[error("`{text}` is not a decimal number")]
    Syntax { text: String },
    #[error(
        "`{text}` has more digits than can be held exactly (38 digits, {MAX_SCALE} after the point)"
    )]
    TooLong { text: String },
}

/// `mantissa / 10^scale`, without trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self {
        mantissa: 0,
        scale: 0,
    };

    /// `mantissa / 10^scale` in lowest form; `None` when `scale` stays above [`MAX_SCALE`].
    pub fn new(mut mantissa: i128, mut scale: u32) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        let scale = u8::try_from(scale).ok().filter(|&s| s <= MAX_SCALE)?;
        Some(Self { mantissa, scale })
    }

    /// `10^exponent`, for `-MAX_SCALE..=38`.
    pub fn power_of_ten(exponent: i32) -> Option<Self> {
        let size = exponent.unsigned_abs();
        if exponent < 0 {
            Self::new(1, size)
        } else {
            Self::new(10i128.checked_pow(size)?, 0)
        }
    }

    /// The digits as an integer.
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The value times `10^scale`, when that is an integer that fits.
    pub fn scaled(self, scale: u8) -> Option<i128> {
        let more = scale.checked_sub(self.scale)?;
        self.mantissa
            .checked_mul(10i128.checked_pow(u32::from(more))?)
    }

    /// `self + other`, when it fits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let sum = self.scaled(scale)?.checked_add(other.scaled(scale)?)?;
        Self::new(sum, u32::from(scale))
    }

    /// `self * factor`, when it fits.
    pub fn checked_mul(self, factor: i128) -> Option<Self> {
        Self::new(self.mantissa.checked_mul(factor)?, u32::from(self.scale))
    }

    /// The floor of `self / step` and whether the division is exact; `None` when it does not fit or `step` is not positive.
    pub fn div_floor(self, step: Self) -> Option<(i128, bool)> {
        if step.mantissa <= 0 {
            return None;
        }
        let scale = self.scale.max(step.scale);
        let (x, s) = (self.scaled(scale)?, step.scaled(scale)?);
        Some((x.div_euclid(s), x.rem_euclid(s) == 0))
    }

    /// The nearest float, for display and for means; never for coding.
    pub fn to_f64(self) -> f64 {
        self.to_string()
            .parse()
            .expect("a printed decimal is a float literal")
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `[+-]digits[.digits][e[+-]digits]`, surrounding blanks ignored.
    fn from_str(source: &str) -> Result<Self, DecimalError> {
        let text = source.trim();
        let syntax = || DecimalError::Syntax {
            text: source.chars().take(80).collect(),
        };
        let too_long = || DecimalError::TooLong {
            text: source.chars().take(80).collect(),
        };
        let (body, exponent) = match text.split_once(['e', 'E']) {
            Some((body, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(syntax());
                }
                (body, exponent.parse::<i32>().map_err(|_| too_long())?)
            }
            None => (text, 0),
        };
        let (negative, digits) = match body.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, body.strip_prefix('+').unwrap_or(body)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|b| b.is_ascii_digit()) {
            return Err(syntax());
        }
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa = 0i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(i128::from(digit - b'0')))
                .ok_or_else(too_long)?;
        }
        if negative {
            mantissa = -mantissa;
        }
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        let places = i64::try_from(fraction.len()).map_err(|_| too_long())? - i64::from(exponent);
        if places >= 0 {
            let places = u32::try_from(places).map_err(|_| too_long())?;
            Self::new(mantissa, places).ok_or_else(too_long)
        } else {
            u32::try_from(-places)
                .ok()
                .and_then(|p| 10i128.checked_pow(p))
                .and_then(|p| mantissa.checked_mul(p))
                .and_then(|m| Self::new(m, 0))
                .ok_or_else(too_long)
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs != Ordering::Equal || self.scale == other.scale {
            return signs.then(self.mantissa.cmp(&other.mantissa));
        }
        let split = |d: &Self| {
            let unit = 10i128
                .checked_pow(u32::from(d.scale))
                .expect("scale is at most 30");
            (
                d.mantissa.div_euclid(unit),
                d.mantissa.rem_euclid(unit),
                d.scale,
            )
        };
        let ((whole, a, sa), (other_whole, b, sb)) = (split(self), split(other));
        let align = |fraction: i128, scale: u8| fraction * 10i128.pow(u32::from(MAX_SCALE - scale));
        whole
            .cmp(&other_whole)
            .then(align(a, sa).cmp(&align(b, sb)))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self {
            mantissa: i128::from(value),
            scale: 0,
        }
    }
}

impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

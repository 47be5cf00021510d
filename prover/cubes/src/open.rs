//! Opening: partial openings by subset secrets and their combination.
//!
//! A form `w` on the table `(A, B)` is opened as `sum_c w_c B_c` less one partial opening for each subset secret `s`,
//! `sum_c w_c (A s)_c + flooding`. The flooding is a pseudorandom function, under the subset's key, of the binding (where
//! the sum belongs), the sum, the modulus and the form: all holders of a subset return identical values, so that a wrong
//! one shows by comparison, and asking again averages nothing.

use salus_schema::cube::Form;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::check::{ZeroForm, ZeroPoly};
use crate::key::{SecretShare, SubsetKey};
use crate::parameters::{Decoded, Flooding, Modulus, Room};
use crate::ring::{self, Poly};
use crate::stream::Stream;
use crate::sum::CubeSum;

/// The product of a table's mask and one subset secret; wiped when dropped.
///
/// Computed once for a sum, it answers every form on it by a few multiplications.
///
/// # Security
/// As secret as the subset secret: a few products determine it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Product {
    #[zeroize(skip)]
    sum: [u8; 32],
    #[zeroize(skip)]
    modulus: Modulus,
    product: Poly,
}

impl std::fmt::Debug for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Product([redacted])")
    }
}

impl Product {
    /// The product of the table's mask and a secret.
    pub fn new(sum: &CubeSum, secret: &SecretShare) -> Self {
        Self {
            sum: sum.hash(),
            modulus: Modulus::of(sum.class()),
            product: secret.multiply(sum.a()),
        }
    }

    /// The hash of the table.
    pub const fn sum(&self) -> &[u8; 32] {
        &self.sum
    }
}

/// A subset's share of differentially private noise: the difference of two counts of `flips` fair coins.
///
/// Its variance is `flips / 2`. Members of all other subsets know their shares, so one share alone must give the privacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CentredBinomial {
    /// Coins on each side.
    pub flips: u32,
}

impl CentredBinomial {
    /// One value.
    pub fn sample(&self, stream: &mut Stream) -> i64 {
        let len = self.flips.div_ceil(64) as usize;
        let bytes = stream.take(16 * len);
        let (left, right) = bytes.split_at(8 * len);
        let heads = |side: &[u8]| {
            let mut rest = self.flips;
            let mut count = 0;
            for word in side.chunks_exact(8) {
                let taken = rest.min(64);
                rest -= taken;
                let mut array = [0; 8];
                array.copy_from_slice(word);
                let mask = u64::MAX >> (64 - taken);
                count += i64::from((u64::from_le_bytes(array) & mask).count_ones());
            }
            count
        };
        heads(left) - heads(right)
    }
}

/// Why partial openings do not combine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("flooding is for {expected} partial openings and {found} were given")]
    Partials { expected: usize, found: usize },
    #[error("flooding has room for another opening than this one")]
    Room,
    #[error(
        "the residual {residual} is beyond the plausible {plausible}: a partial opening is wrong"
    )]
    Implausible { residual: i128, plausible: u128 },
}

/// The parts that identify an opening for the keyed streams.
fn identity(
    binding: &[u8; 32],
    sum: &[u8; 32],
    flooding: &Flooding,
    p: u64,
    form: &Form,
) -> [u8; 32] {
    let bits = flooding.bits().to_le_bytes();
    let parts: [&[u8]; 5] = [binding, sum, &p.to_le_bytes(), &bits, &form.to_bytes()];
    crate::stream::hash("salus/v1/cubes/opening", &parts)
}

/// The partial opening of `form` by one subset.
///
/// `binding` says where the sum belongs: a hash of chain, contract, dataset, snapshot and cube. With `noise`, a share of
/// differentially private noise is subtracted from the opened value.
///
/// # Errors
/// [`OpenError::Room`] if `flooding` is not for values of this sum's class.
///
/// # Security
/// Hides the secret as long as the flooding budget lasts; cells beyond the cube's, and the slots of proofs, cannot be
/// named by a [`Form`] that a holder derived from a registered cube.
pub fn partial(
    product: &Product,
    form: &Form,
    key: &SubsetKey,
    flooding: &Flooding,
    binding: &[u8; 32],
    noise: Option<CentredBinomial>,
) -> Result<u128, OpenError> {
    let modulus = &product.modulus;
    if flooding.room() != Room::Value(modulus.class()) {
        return Err(OpenError::Room);
    }
    let identity = identity(binding, &product.sum, flooding, modulus.p(), form);
    let mut stream = key.stream("salus/v1/cubes/flooding", &[&identity]);
    let mut opening =
        weigh(form, &product.product).wrapping_add(flooding.sample(&mut stream, 1)[0]);
    if let Some(noise) = noise {
        let flips = noise.flips.to_le_bytes();
        let mut stream = key.stream("salus/v1/cubes/noise", &[&identity, &flips]);
        opening = opening.wrapping_add(modulus.encode(noise.sample(&mut stream)));
    }
    Ok(opening)
}

fn weigh(form: &Form, element: &Poly) -> u128 {
    let coefficients = element.coefficients();
    form.terms().iter().fold(0u128, |sum, &(cell, weight)| {
        let term = coefficients[usize::from(cell)].wrapping_mul(i128::from(weight) as u128);
        sum.wrapping_add(term)
    })
}

/// The opened value of `form` from one partial opening of every subset.
///
/// # Errors
/// If there is not one partial opening per subset, or the residual is beyond what flooding can leave.
///
/// # Security
/// A wrong partial opening is uniform to the check and passes with the share of the torus that flooding fills (about a
/// third with ten subsets); one that is wrong by a multiple of the encoding's step is not seen at all. The identical
/// values of a subset's holders are what detects wrong ones; this check catches accidents.
pub fn combine(
    sum: &CubeSum,
    form: &Form,
    flooding: &Flooding,
    partials: &[u128],
) -> Result<Decoded, OpenError> {
    if flooding.room() != Room::Value(sum.class()) {
        return Err(OpenError::Room);
    }
    let phase = subtract(weigh(form, sum.b()), flooding, partials)?;
    let decoded = Modulus::of(sum.class()).decode(phase);
    let plausible = flooding.plausible();
    if decoded.residual.unsigned_abs() > plausible {
        return Err(OpenError::Implausible {
            residual: decoded.residual,
            plausible,
        });
    }
    Ok(decoded)
}

fn subtract(body: u128, flooding: &Flooding, partials: &[u128]) -> Result<u128, OpenError> {
    if partials.len() != flooding.subsets() as usize {
        return Err(OpenError::Partials {
            expected: flooding.subsets() as usize,
            found: partials.len(),
        });
    }
    Ok(partials
        .iter()
        .fold(body, |phase, x| phase.wrapping_sub(*x)))
}

/// The partial opening of a relation that must be zero, by one subset.
///
/// # Security
/// The holder derives the relation itself, from uploads, attestations and a seed fixed after them.
pub fn partial_zero(
    form: &ZeroForm,
    secret: &SecretShare,
    key: &SubsetKey,
    subsets: u32,
    binding: &[u8; 32],
) -> u128 {
    let flooding = Flooding::new(subsets, form.room());
    let bits = flooding.bits().to_le_bytes();
    let mut stream = key.stream("salus/v1/cubes/zero", &[binding, &bits, &form.hash()]);
    ring::constant_term(form.a(), secret.secret()).wrapping_add(flooding.sample(&mut stream, 1)[0])
}

/// The partial opening of an element that must be zero, by one subset: 4096 values.
///
/// # Security
/// As [`partial_zero`].
pub fn partial_zero_poly(
    poly: &ZeroPoly,
    secret: &SecretShare,
    key: &SubsetKey,
    subsets: u32,
    binding: &[u8; 32],
) -> Poly {
    let flooding = Flooding::new(subsets, Room::Multiple);
    let bits = flooding.bits().to_le_bytes();
    let mut stream = key.stream(
        "salus/v1/cubes/zero-element",
        &[binding, &bits, &poly.hash()],
    );
    let mut product = Zeroizing::new(secret.multiply(poly.a()));
    let values = flooding.sample(&mut stream, ring::DEGREE);
    for (x, f) in product.coefficients_mut().iter_mut().zip(values.iter()) {
        *x = x.wrapping_add(*f);
    }
    std::mem::replace(&mut product, Poly::zero())
}

/// True if the relation is zero, up to noise and flooding.
///
/// # Errors
/// If there is not one partial opening per subset.
pub fn combine_zero(form: &ZeroForm, subsets: u32, partials: &[u128]) -> Result<bool, OpenError> {
    let flooding = Flooding::new(subsets, form.room());
    let phase = subtract(form.b(), &flooding, partials)? as i128;
    Ok(phase.unsigned_abs() <= flooding.plausible())
}

/// True if the element is zero, up to noise and flooding.
///
/// # Errors
/// If there is not one partial opening per subset.
pub fn combine_zero_poly(
    poly: &ZeroPoly,
    subsets: u32,
    partials: &[Poly],
) -> Result<bool, OpenError> {
    let flooding = Flooding::new(subsets, Room::Multiple);
    if partials.len() != subsets as usize {
        return Err(OpenError::Partials {
            expected: subsets as usize,
            found: partials.len(),
        });
    }
    let mut phase = poly.b().clone();
    for partial in partials {
        phase.sub_assign(partial);
    }
    let plausible = flooding.plausible();
    let small = |x: &u128| (*x as i128).unsigned_abs() <= plausible;
    Ok(phase.coefficients().iter().all(small))
}

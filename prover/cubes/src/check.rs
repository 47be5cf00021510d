//! Checks of uploads by openings that say only "zero" or "not zero".

use crate::parameters::Room;
use crate::ring::Poly;
use crate::stream;

/// A relation that must be zero: `b` less the constant term of `a s` is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroForm {
    a: Poly,
    b: u128,
    room: Room,
}

impl ZeroForm {
    pub(crate) const fn new(a: Poly, b: u128, room: Room) -> Self {
        Self { a, b, room }
    }

    /// The mask.
    pub const fn a(&self) -> &Poly {
        &self.a
    }

    /// The body.
    pub const fn b(&self) -> u128 {
        self.b
    }

    /// How much flooding its opening has.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// The hash that flooding is bound to.
    pub fn hash(&self) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&self.a.to_bytes(), &self.b.to_le_bytes()];
        stream::hash("salus/v1/cubes/zero-form", &parts)
    }
}

/// An element that must be zero: every coefficient of `b - a s` is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroPoly {
    a: Poly,
    b: Poly,
}

impl ZeroPoly {
    pub(crate) const fn new(a: Poly, b: Poly) -> Self {
        Self { a, b }
    }

    /// The mask.
    pub const fn a(&self) -> &Poly {
        &self.a
    }

    /// The body.
    pub const fn b(&self) -> &Poly {
        &self.b
    }

    /// The hash that flooding is bound to.
    pub fn hash(&self) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&self.a.to_bytes(), &self.b.to_bytes()];
        stream::hash("salus/v1/cubes/zero-poly", &parts)
    }
}

/// Whoever can open zeros: the committee, or in tests a key.
pub trait Opener {
    /// Why an opening could not be made.
    type Error;

    /// True if the relation is zero.
    ///
    /// # Errors
    /// If it could not be opened; nothing is known then.
    fn open_zero(&mut self, form: &ZeroForm) -> Result<bool, Self::Error>;

    /// True if the element is zero.
    ///
    /// # Errors
    /// If it could not be opened; nothing is known then.
    fn open_zero_poly(&mut self, poly: &ZeroPoly) -> Result<bool, Self::Error>;
}

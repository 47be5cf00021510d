//! Checks of uploads by openings that say only "zero" or "not zero".
//!
//! An upload claims to encrypt a one-hot. For the challenges `r_k` over the cells, which follow from identity and upload, and
//! the attested `d_k`, these hold modulo `p` for a one-hot `m` with pairs `x_k, y_k = x_k^2`:
//!
//! * `sum m = 1`, and every slot that is neither a cell nor part of a pair is 0;
//! * `<r_k, m> - x_k = d_k`;
//! * `y_k + 2 d_k x_k + d_k^2 = <r_k^2, m>`, which says `<r_k, m>^2 = <r_k^2, m>` if `y_k = x_k^2`.
//!
//! All of them, of a whole batch, are added up with factors that nobody knew when the uploads were made, and only that the
//! sum is zero is opened (a [`ZeroForm`]). Slots are not integers modulo `p` but points of a torus; that every slot encodes a
//! residue at all is the second check: `p` times the sum of a random subset must be zero everywhere (a [`ZeroPoly`]).
//!
//! # Security
//! * Anything but a one-hot over the integers modulo `p` satisfies the relations for random `r_k` with probability at most
//!   `(2/p)^4` per attempt (Schwartz-Zippel; attempts can be ground, as challenges come from a hash), and survives the two
//!   batches with `2^-44`. A slot off the encoding by a fraction of the torus survives 40 subsets with `2^-40`. Noise that
//!   passes stays below `2^114 / p` per slot. That the two checks together with this noise imply a one-hot is a sketch, not a
//!   proof.
//! * The seed is drawn after the batch is fixed, and every holder derives every form itself from uploads, attestations and
//!   seed ([`Batch::derive`]); an [`Origin`] is all that has to be sent.
//! * A rejected upload can have been built so that its rejection says one bit about the secrets. Openings stop at a number
//!   of cheaters, and identities have to cost something: one upload per issuer signature.
//! * With a victim's upload and attestation a copy that tests a guess of the cell can be made; without the attestation it
//!   needs the pairs' residues, which are hidden. So attestations go to the holders only.

mod batch;
mod run;

pub use batch::{Batch, BatchError, RELATION_BATCHES, SUBSETS, Submission};
pub use run::{Cheater, CheckError, Failed, Report, check};

use crate::parameters::{Flooding, Room};
use crate::ring::{DEGREE, Poly};
use crate::stream;

/// What a zero is made of, so that every holder can derive it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The relations of the members at positions `from..to` of a batch, repetition 0 or 1.
    Relation {
        round: u32,
        repetition: u8,
        from: u32,
        to: u32,
    },
    /// `p` times the sum of those members at `from..to` that subset `subset` of a round draws.
    Subset {
        round: u32,
        subset: u8,
        from: u32,
        to: u32,
    },
    /// `p` times one member's upload.
    Single { at: u32 },
    /// A custodian's combination ([`crate::link`]).
    Link,
}

/// A relation that must be zero: `b` less the constant term of `a s` is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroForm {
    a: Poly,
    b: u128,
    room: Room,
    /// The sum of the squares of all weights of all uploads.
    squares: u128,
    origin: Origin,
}

impl ZeroForm {
    pub(crate) const fn new(a: Poly, b: u128, room: Room, squares: u128, origin: Origin) -> Self {
        Self {
            a,
            b,
            room,
            squares,
            origin,
        }
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

    /// What it is made of.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The hash that flooding is bound to.
    pub fn hash(&self) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&self.a.to_bytes(), &self.b.to_le_bytes()];
        stream::hash("salus/v1/cubes/zero-form", &parts)
    }

    /// What the opening costs each subset of its flooding budget.
    pub fn flooding_cost(&self, subsets: u32) -> f64 {
        Flooding::new(subsets, self.room).zero_cost(self.squares)
    }
}

/// An element that must be zero: every coefficient of `b - a s` is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroPoly {
    a: Poly,
    b: Poly,
    squares: u128,
    origin: Origin,
}

impl ZeroPoly {
    pub(crate) const fn new(a: Poly, b: Poly, squares: u128, origin: Origin) -> Self {
        Self {
            a,
            b,
            squares,
            origin,
        }
    }

    /// The mask.
    pub const fn a(&self) -> &Poly {
        &self.a
    }

    /// The body.
    pub const fn b(&self) -> &Poly {
        &self.b
    }

    /// What it is made of.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The hash that flooding is bound to.
    pub fn hash(&self) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&self.a.to_bytes(), &self.b.to_bytes()];
        stream::hash("salus/v1/cubes/zero-poly", &parts)
    }

    /// What the opening of all coefficients costs each subset of its flooding budget.
    pub fn flooding_cost(&self, subsets: u32) -> f64 {
        Flooding::new(subsets, Room::Multiple).zero_cost(self.squares) * DEGREE as f64
    }
}

/// A form or an element that must be zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zero {
    /// One value.
    Form(ZeroForm),
    /// 4096 values.
    Poly(ZeroPoly),
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

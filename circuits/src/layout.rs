//! Where every variable and every row of the aggregate circuit lives.
//!
//! Rows come in a fixed order so that the rows that define the commitment bases (slots,
//! their blinding, results, their blinding) stand at positions that depend on the number of
//! slots alone. All circuits of a family therefore share those bases: a member commits once
//! and every circuit, whatever its number of columns, verifies against the same commitment
//! (SPEC.md section 2).

use salus_schema::plan::{CODES, CircuitClass, VALUES};

/// Number of published values per pass.
pub const RESULTS: usize = VALUES;
/// Codes that carry a table entry on chain: 1..=255 (code 0 always fails).
pub const OPEN_CODES: usize = CODES - 1;

/// Dimensions of one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// log2 of the evaluation domain.
    pub log_domain: u32,
    /// Slots of a chunk.
    pub slots: usize,
    /// First slot this circuit counts.
    pub lo: usize,
    /// One past the last slot this circuit counts.
    pub hi: usize,
    /// Queried columns K.
    pub columns: usize,
    /// Cells W; also the code of FAIL.
    pub cells: usize,
}

/// Which chunk size a dataset uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkSize {
    /// 96 slots on a domain of 2^13: walkthroughs and tests.
    Tiny,
    /// 1,762 slots on a domain of 2^14: pilot cohorts.
    Small,
    /// 11,592 slots on a domain of 2^16: everything else.
    Standard,
}

impl ChunkSize {
    /// log2 of the evaluation domain.
    pub const fn log_domain(self) -> u32 {
        match self {
            ChunkSize::Tiny => 13,
            ChunkSize::Small => 14,
            ChunkSize::Standard => 16,
        }
    }
    /// Slots of a chunk: as many as fill the domain at four columns.
    pub const fn slots(self) -> usize {
        match self {
            ChunkSize::Tiny => 96,
            ChunkSize::Small => 1762,
            ChunkSize::Standard => 11592,
        }
    }
    /// The cheaper size for a number of people.
    pub fn for_people(people: usize) -> Self {
        if people <= 4 * ChunkSize::Small.slots() {
            ChunkSize::Small
        } else {
            ChunkSize::Standard
        }
    }
    /// The circuits that together count all slots of a chunk for queries of this class.
    pub fn shapes(self, class: CircuitClass) -> Vec<Shape> {
        let parts = match class {
            CircuitClass::K4 => 1,
            CircuitClass::K8 => 2,
        };
        let slots = self.slots();
        (0..parts)
            .map(|p| Shape {
                log_domain: self.log_domain(),
                slots,
                lo: p * slots / parts,
                hi: (p + 1) * slots / parts,
                columns: class.columns(),
                cells: usize::from(class.cells()),
            })
            .collect()
    }
}

/// Why a shape is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The rows do not fit the domain.
    #[error("{rows} rows do not fit a domain of 2^{log_domain}")]
    TooManyRows {
        /// Rows needed.
        rows: usize,
        /// log2 of the domain.
        log_domain: u32,
    },
    /// A dimension is out of range.
    #[error("{what} = {value} is out of range")]
    OutOfRange {
        /// Which dimension.
        what: &'static str,
        /// Its value.
        value: usize,
    },
}

impl Shape {
    /// Checks that all dimensions are usable and the rows fit the domain.
    ///
    /// # Errors
    /// [`ShapeError`] naming the dimension.
    pub fn check(&self) -> Result<(), ShapeError> {
        let range = |what, value, ok: bool| {
            ok.then_some(())
                .ok_or(ShapeError::OutOfRange { what, value })
        };
        range("columns", self.columns, (2..=16).contains(&self.columns))?;
        range(
            "cells",
            self.cells,
            self.cells >= CODES && self.cells.is_multiple_of(CODES) && self.cells <= 4096,
        )?;
        range("slots", self.slots, self.slots > 0 && self.slots < 1 << 20)?;
        range("hi", self.hi, self.lo < self.hi && self.hi <= self.slots)?;
        range(
            "log_domain",
            self.log_domain as usize,
            (10..=20).contains(&self.log_domain),
        )?;
        if self.rows() > self.domain() {
            return Err(ShapeError::TooManyRows {
                rows: self.rows(),
                log_domain: self.log_domain,
            });
        }
        Ok(())
    }

    /// Size of the evaluation domain.
    pub fn domain(&self) -> usize {
        1 << self.log_domain
    }
    /// Slots this circuit counts.
    pub fn active(&self) -> usize {
        self.hi - self.lo
    }
    /// Groups of a moments image.
    pub fn groups(&self) -> usize {
        self.cells / CODES
    }
    /// Size of the table of cell sums: every failing column adds W, the others less than W.
    pub fn sums(&self) -> usize {
        (self.columns + 1) * self.cells
    }
    /// Entries of all query tables that are not fixed: K * 255.
    pub fn entries(&self) -> usize {
        self.columns * OPEN_CODES
    }
    /// Entries of all lookup tables: K * 256.
    pub fn table_rows(&self) -> usize {
        self.columns * CODES
    }
}

/// Variables, in the order of the full assignment.
impl Shape {
    /// The constant one (block 0).
    pub const ONE: usize = 0;
    /// Challenge gamma (block 0).
    pub const GAMMA: usize = 1;
    /// The fold V (block 0).
    pub const FOLD: usize = 2;
    /// First variable of block 1.
    pub const BLOCK1: usize = 3;

    /// Combined codes of slot i (block 1).
    pub fn x(&self, i: usize) -> usize {
        Self::BLOCK1 + i
    }
    /// Blinding of block 1.
    pub fn x_blinding(&self) -> usize {
        Self::BLOCK1 + self.slots
    }
    /// First variable of block 2; the challenge zeta.
    pub fn zeta(&self) -> usize {
        self.x_blinding() + 1
    }
    /// 1 iff values are opened through V (block 2).
    pub fn direct(&self) -> usize {
        self.zeta() + 1
    }
    /// 1 iff the image is cells (block 2).
    pub fn image(&self) -> usize {
        self.zeta() + 2
    }
    /// Mask bit t (block 2).
    pub fn mask(&self, t: usize) -> usize {
        self.zeta() + 3 + t
    }
    /// Looked-up value of active record i in column l (block 2).
    pub fn g(&self, l: usize, i: usize) -> usize {
        self.mask(RESULTS) + l * self.active() + i
    }
    /// beta * e_l[a], a in 1..256, at index l*255 + a - 1 (block 2).
    pub fn u(&self, k: usize) -> usize {
        self.g(self.columns, 0) + k
    }
    /// Multiplicity of table entry l*256 + a (block 2).
    pub fn mu(&self, k: usize) -> usize {
        self.u(self.entries()) + k
    }
    /// Multiplicity of cell sum q (block 2).
    pub fn muq(&self, q: usize) -> usize {
        self.mu(self.table_rows()) + q
    }
    /// Blinding of block 2.
    pub fn aux_blinding(&self) -> usize {
        self.muq(self.sums())
    }
    /// Hidden published value t (block 3).
    pub fn y(&self, t: usize) -> usize {
        self.aux_blinding() + 1 + t
    }
    /// Blinding of block 3.
    pub fn y_blinding(&self) -> usize {
        self.y(RESULTS)
    }
    /// Number of instance variables over all four blocks.
    pub fn instance(&self) -> usize {
        self.y_blinding() + 1
    }
    /// 1 / (gamma - g) (witness).
    pub fn inv(&self, l: usize, i: usize) -> usize {
        self.instance() + l * self.active() + i
    }
    /// 1 / (gamma - beta q) of active record i (witness).
    pub fn invq(&self, i: usize) -> usize {
        self.inv(self.columns, 0) + i
    }
    /// mu / (gamma - T) (witness).
    pub fn z(&self, k: usize) -> usize {
        self.invq(self.active()) + k
    }
    /// muq / (gamma - beta q) (witness).
    pub fn zq(&self, q: usize) -> usize {
        self.z(self.table_rows()) + q
    }
    /// zeta^l for l in 2..=K; zeta^K is beta (witness).
    pub fn power(&self, l: usize) -> usize {
        debug_assert!((2..=self.columns).contains(&l));
        self.zq(self.sums()) + l - 2
    }
    /// zeta^K (witness).
    pub fn beta(&self) -> usize {
        self.power(self.columns)
    }
    /// Horner partial sum from entry k on, k in 0..entries-1 (witness).
    pub fn horner(&self, k: usize) -> usize {
        self.beta() + 1 + k
    }
    /// (1-gamma) U, (1-gamma)^2 U, and D (witness).
    pub fn difference(&self, step: usize) -> usize {
        self.horner(self.entries() - 1) + step
    }
    /// Image value t before masking (witness).
    pub fn selected(&self, t: usize) -> usize {
        self.difference(3) + t
    }
    /// Image value t after masking (witness).
    pub fn kept(&self, t: usize) -> usize {
        self.selected(RESULTS) + t
    }
    /// Kept value t if opened directly, else zero (witness).
    pub fn opened(&self, t: usize) -> usize {
        self.kept(RESULTS) + t
    }
    /// Horner partial sum of V over opened values from t on (witness).
    pub fn fold(&self, t: usize) -> usize {
        self.opened(RESULTS) + t
    }
    /// V's Horner value just before zeta is added (witness).
    pub fn fold_flags(&self) -> usize {
        self.fold(RESULTS)
    }
    /// 1 / zeta (witness).
    pub fn zeta_inverse(&self) -> usize {
        self.fold_flags() + 1
    }
    /// Number of all variables.
    pub fn variables(&self) -> usize {
        self.zeta_inverse() + 1
    }
}

/// Rows, in their fixed order.
impl Shape {
    /// Row of slot i.
    pub fn slot_row(&self, i: usize) -> usize {
        i
    }
    /// Row that gives block 1 its blinding base H.
    pub fn x_blinding_row(&self) -> usize {
        self.slots
    }
    /// Row of hidden value t.
    pub fn result_row(&self, t: usize) -> usize {
        self.slots + 1 + t
    }
    /// Row that gives block 3 its blinding base.
    pub fn y_blinding_row(&self) -> usize {
        self.result_row(RESULTS)
    }
    /// Lookup row of active record i in column l.
    pub fn lookup_row(&self, l: usize, i: usize) -> usize {
        self.y_blinding_row() + 1 + l * self.active() + i
    }
    /// Row of table entry l*256 + a.
    pub fn table_row(&self, k: usize) -> usize {
        self.lookup_row(self.columns, 0) + k
    }
    /// Row of cell sum q.
    pub fn sum_row(&self, q: usize) -> usize {
        self.table_row(self.table_rows()) + q
    }
    /// Row equating both sides of the lookup in column l; l = K: of the cell sums.
    pub fn balance_row(&self, l: usize) -> usize {
        self.sum_row(self.sums()) + l
    }
    /// Row of zeta^l.
    pub fn power_row(&self, l: usize) -> usize {
        self.balance_row(self.columns + 1) + l - 2
    }
    /// Row of Horner step k.
    pub fn horner_row(&self, k: usize) -> usize {
        self.power_row(self.columns + 1) + k
    }
    /// Rows of the second difference.
    pub fn difference_row(&self, step: usize) -> usize {
        self.horner_row(self.entries() - 1) + step
    }
    /// Row choosing image value t.
    pub fn select_row(&self, t: usize) -> usize {
        self.difference_row(3) + t
    }
    /// Row masking value t.
    pub fn mask_row(&self, t: usize) -> usize {
        self.select_row(RESULTS) + t
    }
    /// Row opening value t.
    pub fn open_row(&self, t: usize) -> usize {
        self.mask_row(RESULTS) + t
    }
    /// Row making mask bit t boolean; t = 64: direct; t = 65: image.
    pub fn boolean_row(&self, t: usize) -> usize {
        self.open_row(RESULTS) + t
    }
    /// Row of V's Horner step t; t = 64: flags; t = 65: zeta.
    pub fn fold_row(&self, t: usize) -> usize {
        self.boolean_row(RESULTS + 2) + t
    }
    /// Row that makes zeta, hence beta, invertible.
    pub fn inverse_row(&self) -> usize {
        self.fold_row(RESULTS + 2)
    }
    /// Rows that keep one, gamma, V and the blinding of block 2 independent.
    pub fn trivial_row(&self, step: usize) -> usize {
        self.inverse_row() + 1 + step
    }
    /// Number of rows in use.
    pub fn rows(&self) -> usize {
        self.trivial_row(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_shapes_fit_and_fill_their_domains() {
        for size in [ChunkSize::Small, ChunkSize::Standard] {
            for class in [CircuitClass::K4, CircuitClass::K8] {
                let shapes = size.shapes(class);
                let mut next = 0;
                for s in &shapes {
                    s.check().expect("production shapes are valid");
                    assert_eq!(s.lo, next);
                    next = s.hi;
                }
                assert_eq!(next, size.slots());
            }
            let k4 = size.shapes(CircuitClass::K4)[0];
            assert!(
                k4.domain() - k4.rows() < 10,
                "domain not filled: {} of {}",
                k4.rows(),
                k4.domain()
            );
        }
    }

    #[test]
    fn basis_rows_do_not_depend_on_the_class() {
        for size in [ChunkSize::Small, ChunkSize::Standard] {
            let a = size.shapes(CircuitClass::K4)[0];
            for b in size.shapes(CircuitClass::K8) {
                assert_eq!(a.x_blinding_row(), b.x_blinding_row());
                assert_eq!(a.result_row(5), b.result_row(5));
                assert_eq!(a.y_blinding_row(), b.y_blinding_row());
            }
        }
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() {
        let mut s = ChunkSize::Small.shapes(CircuitClass::K4)[0];
        s.slots += 2;
        s.hi += 2;
        assert!(matches!(s.check(), Err(ShapeError::TooManyRows { .. })));
        s.columns = 1;
        assert!(matches!(
            s.check(),
            Err(ShapeError::OutOfRange {
                what: "columns",
                ..
            })
        ));
    }
}

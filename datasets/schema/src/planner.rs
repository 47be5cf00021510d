//! Planning: from a query to the public tables of its passes, and to the decoder of what they publish.
//!
//! A *cells* pass counts people per group, up to 64 groups. A *moments* pass gives count, sum and, when asked for, sum of
//! squares of one code column for 4 groups (1 with more than four columns); more groups take more passes, and a wide
//! column takes a pass for each of its digits. Two rules about missing values, both those of SQL but for the first:
//! * a record without a value in a group column is in no group;
//! * `SUM`, `AVG`, `VAR_SAMP` and `STDDEV_SAMP` skip records without a value in the measured column, `COUNT(*)` does not:
//!   when the two counts can differ, `COUNT(*)` has a cells pass of its own.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::answer::{Decoder, GroupSlots, PassShape, Slot};
use crate::codebook::Codebook;
use crate::codeset::CodeSet;
use crate::column::{Column, ColumnKind, FIRST_VALUE, MISSING, ONE_COLUMN_VALUES};
use crate::filter::domain;
use crate::plan::{
    CODES, CircuitClass, CodeTable, ColumnIndex, Image, MOMENTS, MalformedPlan, Pass, Plan,
};
use crate::query::{GroupAxis, Measure, Query};
use crate::refusal::{Cause, Refusal};

/// Why a query has no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The query was made for another codebook, or reads too much at once.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The tables of the query do not form a plan.
    #[error(transparent)]
    Malformed(#[from] MalformedPlan),
}

impl From<Cause> for PlanError {
    fn from(cause: Cause) -> Self {
        Self::Refused(Refusal::without_place(cause))
    }
}

/// The plan of `query` on datasets of `codebook`, and the decoder of its published values.
///
/// # Errors
/// If the query was made for another codebook or reads more than eight code columns in a pass.
pub fn plan(query: &Query, codebook: &Codebook) -> Result<(Plan, Decoder), PlanError> {
    let axes = query.axes_or(codebook).map_err(|(cause, _)| cause)?;
    let layout = Layout::new(query, codebook, &axes)?;
    let class = layout.class()?;
    let mut passes = Vec::new();
    let mut groups = layout.group_slots();
    for &role in &layout.roles {
        for block in layout.blocks(role, class) {
            let pass = layout.pass(role, block, class)?;
            layout.place(role, block, passes.len(), &mut groups);
            passes.push(pass);
        }
    }
    let shapes = passes.iter().map(PassShape::of).collect();
    let decoder = Decoder::new(query, codebook, groups, shapes);
    Ok((Plan::new(class, passes)?, decoder))
}

/// Checks that a plan exists, without making it.
pub(crate) fn check(query: &Query, codebook: &Codebook, axes: &[GroupAxis]) -> Result<(), Cause> {
    Layout::new(query, codebook, axes)?.class().map(|_| ())
}

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Counts every accepted record.
    Rows,
    /// Counts accepted records with a measured value.
    NonMissing,
    /// Moments of the measured column, or of its high digit.
    Moments,
    /// Moments of the low digit of a wide measured column.
    LowMoments,
}

impl Role {
    const fn image(self) -> Image {
        match self {
            Self::Rows | Self::NonMissing => Image::Cells,
            Self::Moments | Self::LowMoments => Image::Moments,
        }
    }

    const fn reads_measured(self) -> bool {
        !matches!(self, Self::Rows)
    }
}

/// A rectangle of groups: `rows` along the first axis, `columns` along the second.
#[derive(Clone, Copy, Debug)]
struct Block {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
}

struct Layout<'a> {
    codebook: &'a Codebook,
    axes: &'a [GroupAxis],
    filter: BTreeMap<usize, CodeSet>,
    measured: Option<usize>,
    roles: Vec<Role>,
    squares: bool,
    counts_are_moments: bool,
}

impl<'a> Layout<'a> {
    fn new(query: &Query, codebook: &'a Codebook, axes: &'a [GroupAxis]) -> Result<Self, Cause> {
        let filter = query.codes_by_column(codebook)?;
        let measured = match query.measured() {
            Some(name) => Some(crate::query::find(codebook, name)?.0),
            None => None,
        };
        let column = measured.map(|m| &codebook.columns()[m]);
        let moments = query.measures().iter().any(|m| m.needs_sum());
        let squares = query.measures().iter().any(|m| m.needs_squares());
        let wide = column.is_some_and(|c| c.kind().is_wide());
        if let Some(column) = column
            && moments
        {
            let name = || column.name().to_owned();
            if !matches!(column.kind(), ColumnKind::Exact(_)) {
                return Err(Cause::NotNumeric {
                    column: name(),
                    kind: column.kind().word(),
                });
            }
            if squares && wide {
                return Err(Cause::WideVariance { column: name() });
            }
        }
        let may_miss = measured.is_some_and(|m| {
            codebook.columns()[m].nullable()
                && filter.get(&m).is_none_or(|set| set.contains(MISSING))
                && axes.iter().all(|axis| axis.column != m)
        });
        let mut roles = Vec::new();
        if query.asks(Measure::Count) && (may_miss || !moments) {
            roles.push(Role::Rows);
        }
        if moments {
            roles.push(Role::Moments);
            if wide {
                roles.push(Role::LowMoments);
            }
        } else if query.asks(Measure::CountOf) && (may_miss || roles.is_empty()) {
            roles.push(Role::NonMissing);
        }
        Ok(Self {
            codebook,
            axes,
            filter,
            measured,
            roles,
            squares,
            counts_are_moments: !may_miss,
        })
    }

    fn column(&self, logical: usize) -> &Column {
        &self.codebook.columns()[logical]
    }

    /// The logical columns that a pass of this role reads.
    fn logical(&self, role: Role) -> BTreeSet<usize> {
        let measured = self.measured.filter(|_| role.reads_measured());
        self.filter
            .keys()
            .copied()
            .chain(self.axes.iter().map(|axis| axis.column))
            .chain(measured)
            .collect()
    }

    /// The smallest class that holds every pass.
    fn class(&self) -> Result<CircuitClass, Cause> {
        let found = self
            .roles
            .iter()
            .map(|&role| self.logical(role).len())
            .max()
            .unwrap_or(0);
        [CircuitClass::K4, CircuitClass::K8]
            .into_iter()
            .find(|class| found <= class.columns())
            .ok_or(Cause::TooManyColumns { found })
    }

    fn size(&self) -> (usize, usize) {
        let along = |i: usize| self.axes.get(i).map_or(1, |axis| axis.groups.len());
        (along(0), along(1))
    }

    /// The rectangles of groups that the passes of a role hold, in order.
    fn blocks(&self, role: Role, class: CircuitClass) -> Vec<Block> {
        let (rows, columns) = self.size();
        let (height, width) = match role.image() {
            Image::Cells => (rows, columns),
            Image::Moments => {
                let most = class.moment_groups();
                (1..=most)
                    .map(|height| (height, most / height))
                    .min_by_key(|&(h, w)| rows.div_ceil(h) * columns.div_ceil(w))
                    .unwrap_or((1, 1))
            }
        };
        let mut blocks = Vec::new();
        for row in (0..rows).step_by(height) {
            for column in (0..columns).step_by(width) {
                blocks.push(Block {
                    row,
                    rows: height.min(rows - row),
                    column,
                    columns: width.min(columns - column),
                });
            }
        }
        blocks
    }

    fn pass(&self, role: Role, block: Block, class: CircuitClass) -> Result<Pass, MalformedPlan> {
        let groups = block.rows * block.columns;
        let (values, base_mask) = match role.image() {
            Image::Cells => (groups, 0),
            Image::Moments => {
                let squares = (0..groups).map(|g| 1u64 << (MOMENTS * g + 2)).sum();
                (MOMENTS * groups, if self.squares { 0 } else { squares })
            }
        };
        let mut used = Vec::new();
        for logical in self.logical(role) {
            let table = CodeTable::from_fn(class, |code| self.entry(role, block, logical, code))?;
            used.push((self.physical(role, logical), table));
        }
        if used.is_empty() {
            used.push((ColumnIndex(0), CodeTable::padding(class)));
        }
        let values = u8::try_from(values).map_err(|_| MalformedPlan::Values { found: values })?;
        Pass::padded(class, used, role.image(), values, base_mask)
    }

    fn physical(&self, role: Role, logical: usize) -> ColumnIndex {
        let ColumnIndex(first) = self
            .codebook
            .first_physical(logical)
            .unwrap_or(ColumnIndex(0));
        let low = role == Role::LowMoments && self.measured == Some(logical);
        ColumnIndex(first + u16::from(low))
    }

    /// The table entry of `code` in a logical column, `None` for outside.
    fn entry(&self, role: Role, block: Block, logical: usize, code: u8) -> Option<u16> {
        let column = self.column(logical);
        let is_measured = role.reads_measured() && self.measured == Some(logical);
        let low = is_measured && role == Role::LowMoments;
        let mut known = domain(column);
        if let Some(set) = self.filter.get(&logical) {
            let accepted = if low && code >= FIRST_VALUE {
                // Conditions on a wide column accept all of its values or none.
                set.contains(FIRST_VALUE)
            } else {
                set.contains(code)
            };
            if !accepted {
                return None;
            }
        }
        if low {
            known = CodeSet::positions(0, ONE_COLUMN_VALUES);
        }
        let mut weight = 0;
        let stride = match role.image() {
            Image::Cells => 1,
            Image::Moments => CODES,
        };
        for (i, axis) in self.axes.iter().enumerate() {
            if axis.column != logical {
                continue;
            }
            let group = axis.groups.iter().position(|g| g.codes.contains(code))?;
            let (from, count, step) = if i == 0 {
                (block.row, block.rows, block.columns)
            } else {
                (block.column, block.columns, 1)
            };
            let within = group.checked_sub(from).filter(|&g| g < count)?;
            weight += within * step * stride;
        }
        if is_measured {
            if !known.contains(code) {
                return None;
            }
            if role.image() == Image::Moments {
                weight += usize::from(code);
            }
        }
        u16::try_from(weight).ok()
    }

    fn group_slots(&self) -> Vec<GroupSlots> {
        let (rows, columns) = self.size();
        let mut groups = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let key = self
                    .axes
                    .iter()
                    .zip([row, column])
                    .map(|(axis, i)| (axis.name.clone(), axis.groups[i].label.clone()))
                    .collect();
                groups.push(GroupSlots::new(key));
            }
        }
        groups
    }

    /// Notes in every group of the block where its values stand.
    fn place(&self, role: Role, block: Block, pass: usize, groups: &mut [GroupSlots]) {
        let (_, columns) = self.size();
        let step = match role.image() {
            Image::Cells => 1,
            Image::Moments => MOMENTS,
        };
        for i in 0..block.rows * block.columns {
            let row = block.row + i / block.columns;
            let column = block.column + i % block.columns;
            let group = &mut groups[row * columns + column];
            let slot = Some(Slot {
                pass,
                value: step * i,
            });
            match role {
                Role::Rows => {
                    group.rows = slot;
                    if self.counts_are_moments && !self.roles.contains(&Role::Moments) {
                        group.known = group.known.or(slot);
                    }
                }
                Role::NonMissing => group.known = slot,
                Role::Moments => {
                    group.known = slot;
                    group.moments = slot;
                    if self.counts_are_moments {
                        group.rows = slot;
                    }
                }
                Role::LowMoments => group.low = slot,
            }
        }
    }
}

//! Proposing cubes: which columns to publish together so that expected questions are covered.

use crate::codebook::Codebook;
use crate::cube::{Cube, CubeError, ModulusClass, NotCovered, forms};
use crate::plan::{ColumnIndex, Plan};
use crate::planner::{self, PlanError};
use crate::query::Query;

/// Bytes of one encrypted cube as a member uploads it, header included.
pub const UPLOAD_BYTES: u64 = 98_342;

/// Whether a question can be answered from the proposed cubes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// By the cube at this position.
    Cube(usize),
    /// By no cube: the question has no plan.
    NoPlan(PlanError),
    /// By no cube: its columns have too many joint cells.
    TooWide(CubeError),
    /// By no cube: its values grow beyond the larger modulus.
    Refused(NotCovered),
}

impl Coverage {
    /// The cube that answers the question.
    pub const fn cube(&self) -> Option<usize> {
        match self {
            Self::Cube(cube) => Some(*cube),
            _ => None,
        }
    }
}

/// Proposed cubes and what they are good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The cubes, named `cube-1`, `cube-2`, ...
    pub cubes: Vec<Cube>,
    /// By question, in the order given.
    pub coverage: Vec<Coverage>,
    /// What each member uploads.
    pub bytes_per_member: u64,
}

/// What a question needs of a cube.
#[derive(Clone)]
struct Need {
    query: usize,
    logical: Vec<usize>,
    class: ModulusClass,
    cells: usize,
}

/// Cubes that cover these questions for at most `people` members.
///
/// Every cube costs a member the same whatever its number of cells, so questions are merged greedily into as few cubes
/// as fit: widest first, each into the cube that it makes grow least.
pub fn propose(queries: &[Query], codebook: &Codebook, people: u64) -> Proposal {
    let mut coverage: Vec<Option<Coverage>> = vec![None; queries.len()];
    let mut needs = Vec::new();
    for (query, question) in queries.iter().enumerate() {
        match need(query, question, codebook, people) {
            Ok(need) => needs.push(need),
            Err(why) => coverage[query] = Some(why),
        }
    }
    needs.sort_by_key(|need| (std::cmp::Reverse(need.cells), need.logical.clone()));
    let mut merged: Vec<Need> = Vec::new();
    for need in needs {
        let best = merged
            .iter()
            .enumerate()
            .filter_map(|(at, cube)| {
                let mut logical = cube.logical.clone();
                logical.extend(need.logical.iter().filter(|c| !cube.logical.contains(c)));
                logical.sort_unstable();
                let class = cube.class.max(need.class);
                let grown = Cube::new("merged", codebook, &logical, class).ok()?;
                Some((
                    grown.cells() - cube.cells,
                    at,
                    logical,
                    class,
                    grown.cells(),
                ))
            })
            .min();
        let at = match best {
            Some((_, at, logical, class, cells)) => {
                merged[at].logical = logical;
                merged[at].class = class;
                merged[at].cells = cells;
                at
            }
            None => {
                merged.push(need.clone());
                merged.len() - 1
            }
        };
        coverage[need.query] = Some(Coverage::Cube(at));
    }
    let cubes: Vec<Cube> = merged
        .iter()
        .enumerate()
        .filter_map(|(i, need)| {
            let name = format!("cube-{}", i + 1);
            Cube::new(name, codebook, &need.logical, need.class).ok()
        })
        .collect();
    Proposal {
        bytes_per_member: UPLOAD_BYTES * cubes.len() as u64,
        coverage: coverage.into_iter().flatten().collect(),
        cubes,
    }
}

/// The smallest cube that answers a question alone.
fn need(
    query: usize,
    question: &Query,
    codebook: &Codebook,
    people: u64,
) -> Result<Need, Coverage> {
    let (plan, _) = planner::plan(question, codebook).map_err(Coverage::NoPlan)?;
    let mut logical = logical_columns(&plan, codebook);
    if logical.is_empty() {
        logical.push(smallest_column(codebook));
    }
    let mut refused = None;
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let cube = Cube::new("alone", codebook, &logical, class).map_err(Coverage::TooWide)?;
        match forms(&cube, &plan, people) {
            Ok(_) => {
                return Ok(Need {
                    query,
                    logical,
                    class,
                    cells: cube.cells(),
                });
            }
            Err(why) => refused = Some(why),
        }
    }
    Err(refused.map_or(
        Coverage::TooWide(CubeError::TooManyCells),
        Coverage::Refused,
    ))
}

/// The logical columns that a plan reads.
fn logical_columns(plan: &Plan, codebook: &Codebook) -> Vec<usize> {
    let read: Vec<ColumnIndex> = plan
        .passes()
        .iter()
        .flat_map(|pass| pass.columns().iter().zip(pass.tables()))
        .filter(|(_, table)| !table.is_padding())
        .map(|(column, _)| *column)
        .collect();
    let mut logical: Vec<usize> = codebook
        .physical_columns()
        .iter()
        .filter(|physical| read.contains(&physical.index))
        .map(|physical| physical.logical)
        .collect();
    logical.dedup();
    logical
}

fn smallest_column(codebook: &Codebook) -> usize {
    let counts = codebook.columns().iter().map(|c| c.kind().count());
    let smallest = counts.enumerate().min_by_key(|(_, count)| *count);
    smallest.map_or(0, |(column, _)| column)
}

//! Code tables: what a pass looks one column's codes up in, as entries and as canonical runs.

use crate::plan::{CODES, CircuitClass, MalformedPlan};

/// `len` consecutive entries `value, value + slope, value + 2 * slope, ...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub len: u8,
    pub value: u16,
    pub slope: u16,
}

/// One column's public table: an entry in `0..=cells` per code, where `cells` means outside.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CodeTable {
    class: CircuitClass,
    entries: [u16; CODES],
}

impl std::fmt::Debug for CodeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeTable")
            .field("class", &self.class)
            .field("runs", &self.runs())
            .finish()
    }
}

impl CodeTable {
    /// The table with these entries.
    ///
    /// # Errors
    /// If an entry is above `class.cells()`, or the entry of code 0 is not `class.cells()`.
    pub fn new(class: CircuitClass, entries: [u16; CODES]) -> Result<Self, MalformedPlan> {
        let cells = class.cells();
        if entries[0] != cells {
            return Err(MalformedPlan::EmptySlot {
                found: entries[0],
                cells,
            });
        }
        match entries.iter().position(|&entry| entry > cells) {
            Some(code) => Err(MalformedPlan::Entry {
                code,
                value: u32::from(entries[code]),
                cells,
            }),
            None => Ok(Self { class, entries }),
        }
    }

    /// The table whose entry for codes 1..=255 is `entry(code)`, `None` meaning outside.
    ///
    /// # Errors
    /// If an entry is above `class.cells()`.
    pub fn from_fn(
        class: CircuitClass,
        mut entry: impl FnMut(u8) -> Option<u16>,
    ) -> Result<Self, MalformedPlan> {
        let mut entries = [class.cells(); CODES];
        for code in 1..=255u8 {
            if let Some(value) = entry(code) {
                entries[usize::from(code)] = value;
            }
        }
        Self::new(class, entries)
    }

    /// The table that lets every code but 0 pass with weight 0: a column that the pass does not use.
    pub fn padding(class: CircuitClass) -> Self {
        let mut entries = [0; CODES];
        entries[0] = class.cells();
        Self { class, entries }
    }

    /// The table that `runs` describe for codes 1..=255; code 0 is outside.
    ///
    /// # Errors
    /// If a run is empty, an entry is above `class.cells()` or the runs do not cover exactly 255 codes.
    pub fn from_runs(class: CircuitClass, runs: &[Run]) -> Result<Self, MalformedPlan> {
        let cells = class.cells();
        let mut entries = [cells; CODES];
        let mut code = 1;
        for run in runs {
            if run.len == 0 {
                return Err(MalformedPlan::EmptyRun);
            }
            for t in 0..u32::from(run.len) {
                let value = u32::from(run.value) + u32::from(run.slope) * t;
                if code >= CODES {
                    let covered = runs.iter().map(|r| usize::from(r.len)).sum();
                    return Err(MalformedPlan::RunCoverage { table: 0, covered });
                }
                match u16::try_from(value) {
                    Ok(entry) if entry <= cells => entries[code] = entry,
                    _ => return Err(MalformedPlan::Entry { code, value, cells }),
                }
                code += 1;
            }
        }
        if code != CODES {
            return Err(MalformedPlan::RunCoverage {
                table: 0,
                covered: code - 1,
            });
        }
        Self::new(class, entries)
    }

    /// The circuit class that the entries were checked against.
    pub const fn class(&self) -> CircuitClass {
        self.class
    }

    /// The entry of `code`, in `0..=cells`.
    pub const fn get(&self, code: u8) -> u16 {
        self.entries[code as usize]
    }

    /// All 256 entries, by code.
    pub const fn entries(&self) -> &[u16; CODES] {
        &self.entries
    }

    /// The canonical runs of codes 1..=255: from code 1 on, always the longest run with a slope of at least 0.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut start = 1;
        while start < CODES {
            let value = self.entries[start];
            let slope = match self.entries.get(start + 1) {
                Some(&next) if next >= value => Some(next - value),
                _ => None,
            };
            let end = match slope {
                None => start + 1,
                Some(slope) => (start + 2..CODES)
                    .find(|&i| {
                        u32::from(self.entries[i])
                            != u32::from(self.entries[i - 1]) + u32::from(slope)
                    })
                    .unwrap_or(CODES),
            };
            runs.push(Run {
                len: u8::try_from(end - start).expect("a run has at most 255 codes"),
                value,
                slope: slope.unwrap_or(0),
            });
            start = end;
        }
        runs
    }

    pub(crate) fn is_padding(&self) -> bool {
        self.entries[1..].iter().all(|&entry| entry == 0)
    }
}

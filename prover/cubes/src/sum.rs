//! Running sums of uploads, one for each expiry epoch, and the encrypted table that they finish to.
//!
//! The 24,576 words of 32 bits of an upload are added into 64-bit lanes without carries. A lane holds at most
//! `members * (2^32 - 1)`, so it cannot overflow below [`MAX_MEMBERS`] members: sums do not depend on the order, and
//! subtracting a member leaves exactly the sum of the others.

use std::collections::BTreeMap;

use salus_schema::cube::{Cube, ModulusClass};
use sha2::{Digest, Sha256};

use crate::ring::{DEGREE, Poly};
use crate::upload::{LANES, Upload};

/// Members in one sum, at most.
pub const MAX_MEMBERS: u32 = u32::MAX;

const SUM_MAGIC: [u8; 4] = *b"SLRS";
const TABLE_MAGIC: [u8; 4] = *b"SLCT";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4 + 1 + 1 + 32 + 4;
const HASH_BYTES: usize = 32;
/// Length of a running sum's encoding: header with cube and members, lanes, SHA-256 of all before.
pub const SUM_BYTES: usize = HEADER_BYTES + 8 * LANES + HASH_BYTES;
/// Length of a finished sum's encoding.
pub const TABLE_BYTES: usize = HEADER_BYTES + 2 * 16 * DEGREE;

/// Why an upload cannot be added or subtracted, or bytes are not a sum. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    #[error("the upload or sum is of another cube or modulus class")]
    OtherCube,
    #[error("the sum has {members} members and cannot lose {lost}")]
    TooFew { members: u32, lost: u32 },
    #[error("the sum would have more than {MAX_MEMBERS} members")]
    TooMany,
    #[error(
        "lane {lane} exceeds what {members} members add: something was subtracted that was never added"
    )]
    NeverAdded { lane: usize, members: u32 },
    #[error("the encoding has {expected} bytes, not {found}")]
    Length { expected: usize, found: usize },
    #[error("the bytes do not begin as a sum does")]
    Magic,
    #[error("version {found} is not {VERSION}")]
    Version { found: u8 },
    #[error("modulus class {found} is neither 0 (counts) nor 1 (sums)")]
    Class { found: u8 },
    #[error("the bytes do not match their hash: the file is damaged")]
    Damaged,
    #[error("no upload expires in epoch {epoch}")]
    NoEpoch { epoch: u32 },
}

/// The sum of some members' uploads of one cube.
#[derive(Clone, PartialEq, Eq)]
pub struct RunningSum {
    cube: [u8; 32],
    class: ModulusClass,
    members: u32,
    lanes: Vec<u64>,
}

impl RunningSum {
    /// The empty sum of a cube.
    pub fn new(cube: &Cube) -> Self {
        Self::of(cube.id(), cube.modulus())
    }

    /// The empty sum of the cube with this id and class.
    pub fn of(cube: [u8; 32], class: ModulusClass) -> Self {
        Self {
            cube,
            class,
            members: 0,
            lanes: vec![0; LANES],
        }
    }

    /// The id of the cube.
    pub const fn cube(&self) -> &[u8; 32] {
        &self.cube
    }

    /// The class of the plaintext modulus.
    pub const fn class(&self) -> ModulusClass {
        self.class
    }

    /// The number of members.
    pub const fn count(&self) -> u32 {
        self.members
    }

    fn same(&self, cube: &[u8; 32], class: ModulusClass) -> Result<(), SumError> {
        if self.cube == *cube && self.class == class {
            Ok(())
        } else {
            Err(SumError::OtherCube)
        }
    }

    fn gain(&self, gained: u32) -> Result<u32, SumError> {
        self.members.checked_add(gained).ok_or(SumError::TooMany)
    }

    fn lose(&self, lost: u32) -> Result<u32, SumError> {
        let members = self.members;
        let rest = members.checked_sub(lost);
        rest.ok_or(SumError::TooFew { members, lost })
    }

    /// Adds a member's upload.
    ///
    /// # Errors
    /// If it is of another cube, or there are too many members.
    pub fn add(&mut self, upload: &Upload) -> Result<(), SumError> {
        self.same(upload.cube(), upload.class())?;
        self.members = self.gain(1)?;
        for (sum, word) in self.lanes.iter_mut().zip(upload.lanes()) {
            *sum = sum.wrapping_add(u64::from(word));
        }
        Ok(())
    }

    /// Subtracts a member's upload, the same bytes that were added.
    ///
    /// # Errors
    /// If it is of another cube, or there are no members. That the upload was added is for the caller to know.
    pub fn subtract(&mut self, upload: &Upload) -> Result<(), SumError> {
        self.same(upload.cube(), upload.class())?;
        self.members = self.lose(1)?;
        for (sum, word) in self.lanes.iter_mut().zip(upload.lanes()) {
            *sum = sum.wrapping_sub(u64::from(word));
        }
        Ok(())
    }

    /// Adds the members of another sum.
    ///
    /// # Errors
    /// If it is of another cube, or there are too many members.
    pub fn merge(&mut self, other: &Self) -> Result<(), SumError> {
        self.same(&other.cube, other.class)?;
        self.members = self.gain(other.members)?;
        for (sum, more) in self.lanes.iter_mut().zip(&other.lanes) {
            *sum = sum.wrapping_add(*more);
        }
        Ok(())
    }

    /// Subtracts the members of another sum, all of whom are in this one.
    ///
    /// # Errors
    /// If it is of another cube or has more members.
    pub fn remove(&mut self, other: &Self) -> Result<(), SumError> {
        self.same(&other.cube, other.class)?;
        self.members = self.lose(other.members)?;
        for (sum, less) in self.lanes.iter_mut().zip(&other.lanes) {
            *sum = sum.wrapping_sub(*less);
        }
        Ok(())
    }

    /// The encrypted table of the members.
    ///
    /// # Errors
    /// [`SumError::NeverAdded`] if the lanes cannot come from this many members.
    pub fn finish(&self) -> Result<CubeSum, SumError> {
        let members = self.members;
        let most = u64::from(members) * u64::from(u32::MAX);
        if let Some(lane) = self.lanes.iter().position(|sum| *sum > most) {
            return Err(SumError::NeverAdded { lane, members });
        }
        let (a, b) = self.halves();
        Ok(CubeSum {
            cube: self.cube,
            class: self.class,
            members,
            a,
            b,
        })
    }

    /// The encoding, 196,682 bytes, which ends with a hash of all before it.
    ///
    /// A caller that writes it to a new file, flushes it and renames it over the old one has the sum before or after an
    /// update and nothing between.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUM_BYTES);
        bytes.extend(header(SUM_MAGIC, self.class, &self.cube, self.members));
        for lane in &self.lanes {
            bytes.extend(lane.to_le_bytes());
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    /// The sum with this encoding.
    ///
    /// # Errors
    /// If the length, the header or the hash is wrong, or the lanes cannot come from this many members.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SumError> {
        if bytes.len() != SUM_BYTES {
            return Err(SumError::Length {
                expected: SUM_BYTES,
                found: bytes.len(),
            });
        }
        let (content, hash) = bytes.split_at(SUM_BYTES - HASH_BYTES);
        let (class, cube, members) = read_header(SUM_MAGIC, content)?;
        if Sha256::digest(content)[..] != *hash {
            return Err(SumError::Damaged);
        }
        let words = content[HEADER_BYTES..].chunks_exact(8);
        let lanes: Vec<u64> = words
            .map(|w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]))
            .collect();
        let most = u64::from(members) * u64::from(u32::MAX);
        if let Some(lane) = lanes.iter().position(|sum| *sum > most) {
            return Err(SumError::NeverAdded { lane, members });
        }
        Ok(Self {
            cube,
            class,
            members,
            lanes,
        })
    }

    /// Mask and body that the lanes stand for.
    pub(crate) fn halves(&self) -> (Poly, Poly) {
        join(&self.lanes)
    }
}

/// Mask and body from lanes of six planes.
pub(crate) fn join(lanes: &[u64]) -> (Poly, Poly) {
    let half = |from: usize| {
        Poly::from_fn(|i| {
            let plane = |j: usize| u128::from(lanes[from + j * DEGREE + i]);
            (plane(0) << 32)
                .wrapping_add(plane(1) << 64)
                .wrapping_add(plane(2) << 96)
        })
    };
    (half(0), half(3 * DEGREE))
}

impl std::fmt::Debug for RunningSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningSum")
            .field("cube", &self.cube)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

fn header(magic: [u8; 4], class: ModulusClass, cube: &[u8; 32], members: u32) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend([VERSION, class.byte()]);
    bytes.extend(cube);
    bytes.extend(members.to_le_bytes());
    bytes
}

/// Class, cube and members of a header; `bytes` is at least that long.
fn read_header(magic: [u8; 4], bytes: &[u8]) -> Result<(ModulusClass, [u8; 32], u32), SumError> {
    if bytes[..4] != magic {
        return Err(SumError::Magic);
    }
    if bytes[4] != VERSION {
        return Err(SumError::Version { found: bytes[4] });
    }
    let class = ModulusClass::from_byte(bytes[5]).ok_or(SumError::Class { found: bytes[5] })?;
    let mut cube = [0; 32];
    cube.copy_from_slice(&bytes[6..38]);
    let members = u32::from_le_bytes([bytes[38], bytes[39], bytes[40], bytes[41]]);
    Ok((class, cube, members))
}

/// The encrypted contingency table of a cube.
#[derive(Clone, PartialEq, Eq)]
pub struct CubeSum {
    cube: [u8; 32],
    class: ModulusClass,
    members: u32,
    a: Poly,
    b: Poly,
}

impl CubeSum {
    /// The id of the cube.
    pub const fn cube(&self) -> &[u8; 32] {
        &self.cube
    }

    /// The class of the plaintext modulus.
    pub const fn class(&self) -> ModulusClass {
        self.class
    }

    /// The number of members.
    pub const fn members(&self) -> u32 {
        self.members
    }

    /// The mask.
    pub const fn a(&self) -> &Poly {
        &self.a
    }

    /// The body.
    pub const fn b(&self) -> &Poly {
        &self.b
    }

    /// The encoding: header with cube and members, mask, body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = header(TABLE_MAGIC, self.class, &self.cube, self.members);
        bytes.extend(self.a.to_bytes());
        bytes.extend(self.b.to_bytes());
        bytes
    }

    /// The table with this encoding.
    ///
    /// # Errors
    /// If the length or the header is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SumError> {
        let wrong = SumError::Length {
            expected: TABLE_BYTES,
            found: bytes.len(),
        };
        if bytes.len() != TABLE_BYTES {
            return Err(wrong);
        }
        let (class, cube, members) = read_header(TABLE_MAGIC, bytes)?;
        let (a, b) = bytes[HEADER_BYTES..].split_at(16 * DEGREE);
        match (Poly::from_bytes(a), Poly::from_bytes(b)) {
            (Some(a), Some(b)) => Ok(Self {
                cube,
                class,
                members,
                a,
                b,
            }),
            _ => Err(wrong),
        }
    }

    /// The SHA-256 of the encoding.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }
}

impl std::fmt::Debug for CubeSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CubeSum")
            .field("cube", &self.cube)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// A running sum for each epoch in which consents expire; their total is the table of all members.
///
/// An opt-in is one addition whatever the number of epochs, and the end of an epoch drops its members at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSums {
    empty: RunningSum,
    epochs: BTreeMap<u32, RunningSum>,
}

impl EpochSums {
    /// No members of a cube.
    pub fn new(cube: &Cube) -> Self {
        Self {
            empty: RunningSum::new(cube),
            epochs: BTreeMap::new(),
        }
    }

    /// The sums by expiry epoch, to be stored one by one.
    pub const fn epochs(&self) -> &BTreeMap<u32, RunningSum> {
        &self.epochs
    }

    /// Puts a stored sum back.
    ///
    /// # Errors
    /// If it is of another cube.
    pub fn restore(&mut self, epoch: u32, sum: RunningSum) -> Result<(), SumError> {
        self.empty.same(&sum.cube, sum.class)?;
        self.epochs.insert(epoch, sum);
        Ok(())
    }

    /// Adds an upload whose consent expires at the end of `epoch`.
    ///
    /// # Errors
    /// As [`RunningSum::add`].
    pub fn add(&mut self, epoch: u32, upload: &Upload) -> Result<(), SumError> {
        self.empty.same(upload.cube(), upload.class())?;
        let sum = self.epochs.entry(epoch);
        sum.or_insert_with(|| self.empty.clone()).add(upload)
    }

    /// Subtracts an upload that was added for `epoch`.
    ///
    /// # Errors
    /// As [`RunningSum::subtract`], and if nothing expires in that epoch.
    pub fn subtract(&mut self, epoch: u32, upload: &Upload) -> Result<(), SumError> {
        let sum = self.epochs.get_mut(&epoch);
        let sum = sum.ok_or(SumError::NoEpoch { epoch })?;
        sum.subtract(upload)?;
        if sum.count() == 0 && sum.lanes.iter().all(|lane| *lane == 0) {
            self.epochs.remove(&epoch);
        }
        Ok(())
    }

    /// Removes everyone whose consent expires in `last` or before; returns how many.
    pub fn expire(&mut self, last: u32) -> u64 {
        let kept = match last.checked_add(1) {
            Some(next) => self.epochs.split_off(&next),
            None => BTreeMap::new(),
        };
        let expired = std::mem::replace(&mut self.epochs, kept);
        expired.values().map(|sum| u64::from(sum.members)).sum()
    }

    /// The sum of all epochs.
    ///
    /// # Errors
    /// [`SumError::TooMany`] if all epochs together have too many members.
    pub fn total(&self) -> Result<RunningSum, SumError> {
        let mut total = self.empty.clone();
        for sum in self.epochs.values() {
            total.merge(sum)?;
        }
        Ok(total)
    }
}

//! Who is in a snapshot, from the registry's events: the people whose uploads a sum must hold, each exactly once.

use salus_contracts::bindings::ICohortRegistry::ICohortRegistryEvents as Event;
use salus_contracts::client::DatasetId;
use salus_contracts::primitives::{Address, U256};
use std::collections::BTreeMap;

/// A place in a dataset: chunk, then slot.
pub type Place = (u32, u32);

/// One person in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seated {
    /// Chunk and slot.
    pub place: Place,
    /// Their pseudonymous key.
    pub member: Address,
    /// 1 for the registration, one more for every rectification in force.
    pub version: u16,
    /// Who vouched for the version in force; only this issuer's signature makes an upload count.
    pub issuer: Address,
}

#[derive(Debug, Clone)]
struct Version {
    effective: u32,
    issuer: Address,
    expiry_epoch: u32,
}

#[derive(Debug, Clone)]
struct Entry {
    member: Address,
    versions: Vec<Version>,
    left: Option<u32>,
}

/// The members of one dataset over all its snapshots.
#[derive(Debug, Clone)]
pub struct Roster {
    dataset: U256,
    entries: BTreeMap<Place, Entry>,
    /// Members as the chain counted them, by snapshot.
    counted: BTreeMap<u32, u32>,
}

impl Roster {
    /// The empty roster of a dataset.
    pub fn new(dataset: DatasetId) -> Self {
        Self {
            dataset: U256::from(dataset.0),
            entries: BTreeMap::new(),
            counted: BTreeMap::new(),
        }
    }

    /// Takes in the next event; those of other datasets change nothing.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::MemberJoined(e) if e.datasetId == self.dataset => {
                let version = Version {
                    effective: e.joined,
                    issuer: e.issuer,
                    expiry_epoch: e.expiryEpoch,
                };
                let entry = Entry {
                    member: e.member,
                    versions: vec![version],
                    left: None,
                };
                self.entries.insert((e.chunk, e.slot), entry);
            }
            Event::MemberRectified(e) if e.datasetId == self.dataset => {
                if let Some(entry) = self.entries.get_mut(&(e.chunk, e.slot)) {
                    entry.versions.push(Version {
                        effective: e.effective,
                        issuer: e.issuer,
                        expiry_epoch: e.expiryEpoch,
                    });
                }
            }
            Event::MemberLeft(e) if e.datasetId == self.dataset => {
                if let Some(entry) = self.entries.get_mut(&(e.chunk, e.slot)) {
                    entry.left = Some(e.left);
                }
            }
            Event::ChunkExpired(e) if e.datasetId == self.dataset => {
                let of_chunk = self.entries.range_mut((e.chunk, 0)..=(e.chunk, u32::MAX));
                for (_, entry) in of_chunk {
                    let lapses = entry
                        .versions
                        .last()
                        .is_some_and(|v| v.expiry_epoch == e.epoch);
                    if lapses && entry.left.is_none() {
                        entry.left = Some(e.left);
                    }
                }
            }
            Event::SnapshotTaken(e) if e.datasetId == self.dataset => {
                self.counted.insert(e.snapshotId, e.members);
            }
            _ => {}
        }
    }

    /// The people of a snapshot, by place; None when the snapshot was not taken, or when the chain counted other people
    /// than the events add up to.
    pub fn at(&self, snapshot: u32) -> Option<Vec<Seated>> {
        let counted = *self.counted.get(&snapshot)?;
        let seated: Vec<Seated> = self
            .entries
            .iter()
            .filter_map(|(&place, entry)| entry.at(place, snapshot))
            .collect();
        (seated.len() == counted as usize).then_some(seated)
    }
}

impl Entry {
    fn at(&self, place: Place, snapshot: u32) -> Option<Seated> {
        if self.left.is_some_and(|left| left <= snapshot) {
            return None;
        }
        let in_force = self
            .versions
            .iter()
            .take_while(|v| v.effective <= snapshot)
            .count();
        let version = self.versions.get(in_force.checked_sub(1)?)?;
        Some(Seated {
            place,
            member: self.member,
            version: u16::try_from(in_force).ok()?,
            issuer: version.issuer,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use salus_contracts::bindings::ICohortRegistry::{
        ChunkExpired, MemberJoined, MemberLeft, MemberRectified, SnapshotTaken,
    };
    use salus_contracts::primitives::B256;

    const DATASET: DatasetId = DatasetId(3);

    fn id() -> U256 {
        U256::from(DATASET.0)
    }

    fn joined(slot: u32, joined: u32, expiry: u32) -> Event {
        Event::MemberJoined(MemberJoined {
            datasetId: id(),
            chunk: 0,
            slot,
            member: Address::repeat_byte(slot as u8 + 1),
            issuer: Address::repeat_byte(0xaa),
            joined,
            expiryEpoch: expiry,
            payoutId: B256::ZERO,
            commitmentsHash: B256::ZERO,
        })
    }

    fn snapshot(number: u32, members: u32) -> Event {
        Event::SnapshotTaken(SnapshotTaken {
            datasetId: id(),
            snapshotId: number,
            epoch: 1,
            chunks: 1,
            members,
        })
    }

    fn left(slot: u32, left: u32) -> Event {
        Event::MemberLeft(MemberLeft {
            datasetId: id(),
            chunk: 0,
            slot,
            member: Address::repeat_byte(slot as u8 + 1),
            left,
        })
    }

    fn slots(roster: &Roster, snapshot: u32) -> Vec<u32> {
        let seated = roster.at(snapshot).unwrap();
        seated.iter().map(|s| s.place.1).collect()
    }

    #[test]
    fn follows_people_in_and_out() {
        let mut roster = Roster::new(DATASET);
        for event in [joined(0, 1, 9), joined(1, 1, 9), snapshot(1, 2)] {
            roster.see(&event);
        }
        for event in [left(0, 2), joined(2, 2, 9), snapshot(2, 2)] {
            roster.see(&event);
        }
        assert_eq!(slots(&roster, 1), [0, 1]);
        assert_eq!(slots(&roster, 2), [1, 2]);
        assert_eq!(roster.at(3), None);
    }

    #[test]
    fn rectification_makes_a_new_version_from_its_snapshot_on() {
        let mut roster = Roster::new(DATASET);
        roster.see(&joined(0, 1, 9));
        roster.see(&snapshot(1, 1));
        roster.see(&Event::MemberRectified(MemberRectified {
            datasetId: id(),
            chunk: 0,
            slot: 0,
            member: Address::repeat_byte(1),
            issuer: Address::repeat_byte(0xbb),
            effective: 2,
            expiryEpoch: 9,
            payoutId: B256::ZERO,
            commitmentsHash: B256::ZERO,
        }));
        roster.see(&snapshot(2, 1));
        let (before, after) = (roster.at(1).unwrap()[0], roster.at(2).unwrap()[0]);
        assert_eq!((before.version, after.version), (1, 2));
        assert_eq!(before.issuer, Address::repeat_byte(0xaa));
        assert_eq!(after.issuer, Address::repeat_byte(0xbb));
    }

    #[test]
    fn lapsed_consents_leave_with_their_chunk() {
        let mut roster = Roster::new(DATASET);
        for event in [joined(0, 1, 2), joined(1, 1, 3), snapshot(1, 2)] {
            roster.see(&event);
        }
        roster.see(&Event::ChunkExpired(ChunkExpired {
            datasetId: id(),
            chunk: 0,
            epoch: 2,
            members: 1,
            left: 2,
        }));
        roster.see(&snapshot(2, 1));
        assert_eq!(slots(&roster, 1), [0, 1]);
        assert_eq!(slots(&roster, 2), [1]);
    }

    #[test]
    fn other_datasets_and_a_disagreeing_count_do_not_pass() {
        let mut roster = Roster::new(DatasetId(4));
        roster.see(&joined(0, 1, 9));
        assert_eq!(roster.at(1), None);
        let mut roster = Roster::new(DATASET);
        roster.see(&joined(0, 1, 9));
        roster.see(&snapshot(1, 2));
        assert_eq!(roster.at(1), None, "somebody is missing");
    }
}

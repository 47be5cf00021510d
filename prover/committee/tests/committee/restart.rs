//! What survives a restart.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;

use salus_committee::journal::{Journal, JournalError, KeyId};
use salus_committee::message::{Opening, Values};
use salus_committee::opening::{Holder, KeyHolder, StartError, agree};
use salus_committee::refusal::RefusalCode;
use salus_committee::shape::HolderIndex;
use salus_cubes::parameters::FloodingBudget;

use crate::opening::{COUNT, GROUPS};
use crate::world::{COMMITTEE, World, sum};

fn gathered(world: &World, opening: &Opening) -> (Vec<Values>, Vec<Values>) {
    let holders = world.holders();
    let counts: BTreeMap<_, _> = holders
        .iter()
        .map(|h| (h.index(), h.counts(opening).unwrap()))
        .collect();
    let counts = agree(world.shape, &counts).unwrap().values;
    let sums: BTreeMap<_, _> = holders
        .iter()
        .map(|h| (h.index(), h.sums(opening, &counts).unwrap()))
        .collect();
    (counts, agree(world.shape, &sums).unwrap().values)
}

#[test]
fn the_same_request_gives_the_same_bytes_after_a_restart() {
    let world = World::new(4, 2);
    let (request, _) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    let (counts, sums) = gathered(&world, &opening);
    let answers = || {
        let holder = world.holder(2);
        let signature = holder.sign(&opening, &counts, &sums).unwrap();
        let spent = holder.status().cube.unwrap().budget_spent;
        (
            holder.counts(&opening).unwrap(),
            holder.sums(&opening, &counts).unwrap(),
            signature,
            spent.to_bits(),
        )
    };
    assert_eq!(answers(), answers());
}

#[test]
fn other_contents_under_the_same_query_are_refused_after_a_restart() {
    let world = World::new(4, 2);
    let (request, _) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    let (counts, sums) = gathered(&world, &opening);
    world.holder(2).sign(&opening, &counts, &sums).unwrap();
    let differently = RefusalCode::AlreadyAnsweredDifferently;

    // Another release rule.
    world
        .ledger
        .change(request.query, |facts| facts.min_cell = 1);
    assert_eq!(
        world.holder(2).counts(&opening).unwrap_err().code,
        differently
    );
    world
        .ledger
        .change(request.query, |facts| facts.min_cell = 5);

    // Another plan under the same id.
    let (other, _) = world.fund(1, COUNT);
    assert_eq!(
        world
            .holder(2)
            .counts(&world.opening(&other))
            .unwrap_err()
            .code,
        differently
    );

    // Another sum, and so another result.
    let (request, _) = world.fund(1, GROUPS);
    let id = crate::world::cube().id();
    let new = std::sync::Arc::new(sum(&world.public, 99));
    world.ciphertexts.sums.lock().unwrap().insert(id, new);
    let holder = world.holder(2);
    let opening = world.opening(&request);
    assert_eq!(holder.counts(&opening).unwrap_err().code, differently);
    assert_eq!(
        holder.sign(&opening, &counts, &sums).unwrap_err().code,
        differently
    );
}

#[test]
fn a_record_that_a_crash_cut_is_forgotten_and_a_damaged_one_is_not() {
    let world = World::new(4, 2);
    let (request, _) = world.fund(1, COUNT);
    let opening = world.opening(&request);
    let first = world.holder(0).counts(&opening).unwrap();
    let file = world
        .journal(HolderIndex(0))
        .join("queries")
        .join(hex::encode(request.query));
    let whole = fs::read(&file).unwrap();

    // The next record was being written.
    OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .write_all(&whole[..30])
        .unwrap();
    assert_eq!(world.holder(0).counts(&opening).unwrap(), first);
    // The only record was being written: nothing had been answered yet.
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(world.holder(0).counts(&opening).unwrap(), first);
    assert_eq!(fs::read(&file).unwrap(), whole);

    let mut damaged = whole;
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&file, damaged).unwrap();
    assert_eq!(
        world.holder(0).counts(&opening).unwrap_err().code,
        RefusalCode::Unavailable
    );
}

#[test]
fn the_flooding_budget_is_on_disk_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (KeyId([1; 32]), KeyId([2; 32]));
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.spend(key, 0.6 * FloodingBudget::LIMIT).unwrap();
    journal.spend(other, 0.1 * FloodingBudget::LIMIT).unwrap();
    drop(journal);
    let mut journal = Journal::open(folder.path()).unwrap();
    assert!((journal.spent_share(&key) - 0.6).abs() < 1e-9);
    assert!((journal.spent_share(&other) - 0.1).abs() < 1e-9);
    let refused = journal.spend(key, 0.5 * FloodingBudget::LIMIT);
    assert!(matches!(refused, Err(JournalError::Budget(_))));
    assert!((journal.spent_share(&key) - 0.6).abs() < 1e-9);
    drop(journal);
    // A budget that cannot be read is not a fresh one.
    fs::write(folder.path().join("budget"), b"garbage that is long enough").unwrap();
    assert!(matches!(
        Journal::open(folder.path()),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn a_spent_budget_refuses_by_its_code() {
    let world = World::new(4, 2);
    let session = *world.keys[0].cube.as_ref().unwrap().session();
    let mut journal = Journal::open(&world.journal(HolderIndex(0))).unwrap();
    journal
        .spend(KeyId(session), FloodingBudget::LIMIT)
        .unwrap();
    drop(journal);
    let (request, _) = world.fund(1, COUNT);
    let refused = world
        .holder(0)
        .counts(&world.opening(&request))
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::FloodingBudget);
}

#[test]
fn two_processes_do_not_share_a_journal() {
    let world = World::new(4, 2);
    let _running = world.holder(0);
    let (keys, holder) = (world.keys[0].clone(), HolderIndex(0));
    let second = KeyHolder::new(
        holder,
        world.shape,
        COMMITTEE,
        9,
        keys,
        world.surroundings(holder),
        &world.journal(holder),
    );
    assert!(matches!(
        second,
        Err(StartError::Journal(JournalError::InUse { .. }))
    ));
}

#[test]
fn another_holders_keys_do_not_start() {
    let world = World::new(4, 2);
    let (keys, holder) = (world.keys[1].clone(), HolderIndex(0));
    let started = KeyHolder::new(
        holder,
        world.shape,
        COMMITTEE,
        9,
        keys,
        world.surroundings(holder),
        &world.journal(holder),
    );
    assert!(matches!(started, Err(StartError::OtherCommittee { .. })));
}

use std::convert::Infallible;

use salus_cubes::check::{
    Batch, BatchError, CheckError, Failed, Opener, Origin, Report, SUBSETS, Submission, Zero,
    ZeroForm, ZeroPoly, check,
};
use salus_cubes::encrypt::{Attestation, Identity};
use salus_cubes::parameters::FloodingBudget;
use salus_cubes::upload::Upload;
use salus_schema::cube::{Cube, ModulusClass};

use crate::adversary::{Cheat, attest_copy, rerandomise};
use crate::holders::{Holders, Member, cube, identity, rng};

const SEED: [u8; 32] = [5; 32];

fn submissions(members: &[Member]) -> Vec<Submission<'_>> {
    let all = members.iter().map(|m| Submission {
        identity: m.identity,
        upload: &m.upload,
        attestation: &m.attestation,
    });
    all.collect()
}

fn run(holders: &Holders, cube: &Cube, submissions: &[Submission<'_>], seed: [u8; 32]) -> Report {
    let batch = Batch::new(cube, submissions).unwrap();
    let mut opener = holders;
    check(&batch, &seed, &mut opener, 8).unwrap()
}

fn alone(
    holders: &Holders,
    cube: &Cube,
    who: Identity,
    upload: &Upload,
    attestation: &Attestation,
) -> Report {
    let submission = Submission {
        identity: who,
        upload,
        attestation,
    };
    run(holders, cube, &[submission], SEED)
}

#[test]
fn honest_batches_are_accepted_at_the_least_cost() {
    let holders = Holders::new(4);
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let cube = cube(class);
        let members = holders.members(&cube, 24, 51);
        let report = run(&holders, &cube, &submissions(&members), SEED);
        assert_eq!((report.accepted.len(), report.cheaters.len()), (24, 0));
        assert_eq!((report.relations, report.elements), (2, SUBSETS));
    }
}

#[test]
fn every_cheater_is_named_and_nobody_else() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let honest = holders.members(&cube, 3, 52);
    for (i, cheat) in Cheat::ALL.into_iter().enumerate() {
        let who = identity(900);
        let (upload, attestation) =
            cheat.upload(&holders.public, &cube, who, &mut rng(600 + i as u64));
        let mut all = submissions(&honest);
        all.push(Submission {
            identity: who,
            upload: &upload,
            attestation: &attestation,
        });
        let report = run(&holders, &cube, &all, [i as u8; 32]);
        let named: Vec<Identity> = report.cheaters.iter().map(|c| c.identity).collect();
        assert_eq!(named, [who], "{cheat:?}");
        assert_eq!(report.accepted.len(), 3, "{cheat:?}");
    }
}

#[test]
fn relations_alone_miss_half_the_torus_and_subsets_do_not() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let mut by = [0, 0];
    for i in 0..16u8 {
        let who = identity(i.into());
        let cheat = Cheat::HalfTorusEverywhere;
        let (upload, attestation) = cheat.upload(&holders.public, &cube, who, &mut rng(i.into()));
        let submission = Submission {
            identity: who,
            upload: &upload,
            attestation: &attestation,
        };
        let report = run(&holders, &cube, &[submission], [i; 32]);
        assert_eq!(report.cheaters.len(), 1);
        by[usize::from(report.cheaters[0].failed == Failed::Integrality)] += 1;
    }
    // Two batches let a quarter through.
    assert!(by[0] > 0 && by[1] > 0, "{by:?}");
}

#[test]
fn bisection_finds_cheaters_with_few_openings() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let honest = holders.members(&cube, 61, 53);
    let cheats = [Cheat::TwoAndMinusOne, Cheat::TwoOnes, Cheat::HalfTorus];
    let cheaters: Vec<(Identity, Upload, Attestation)> = cheats
        .iter()
        .enumerate()
        .map(|(i, cheat)| {
            let who = identity(700 + i as u64);
            let (upload, attestation) =
                cheat.upload(&holders.public, &cube, who, &mut rng(70 + i as u64));
            (who, upload, attestation)
        })
        .collect();
    let mut all = submissions(&honest);
    all.extend(
        cheaters
            .iter()
            .map(|(identity, upload, attestation)| Submission {
                identity: *identity,
                upload,
                attestation,
            }),
    );
    let report = run(&holders, &cube, &all, SEED);
    println!(
        "{} relations and {} elements opened",
        report.relations, report.elements
    );
    let mut named: Vec<_> = report.cheaters.iter().map(|c| c.identity).collect();
    let mut expected: Vec<_> = cheaters.iter().map(|c| c.0).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(report.accepted.len(), 61);
    // Three paths of six levels, both children each, two batches where they hold.
    assert!(report.relations <= 2 + 3 * 6 * 4, "{}", report.relations);
    assert!(report.elements <= 2 * SUBSETS + 12, "{}", report.elements);
}

#[test]
fn the_order_of_submissions_does_not_matter() {
    let (holders, cube) = (Holders::new(2), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 5, 54);
    let mut all = submissions(&members);
    let first = Batch::new(&cube, &all).unwrap();
    all.reverse();
    let second = Batch::new(&cube, &all).unwrap();
    assert_eq!(
        first.relations(0, 0, 5, &SEED),
        second.relations(0, 0, 5, &SEED)
    );
    let subsets = first.subsets(1, &[2], &SEED);
    assert_eq!(subsets, second.subsets(1, &[2], &SEED));
    for poly in subsets {
        let derived = first.derive(poly.origin(), &[2], &SEED);
        assert_eq!(derived, Some(Zero::Poly(poly)));
    }
    let [form, _] = first.relations(2, 2, 5, &SEED);
    assert_eq!(
        first.derive(form.origin(), &[], &SEED),
        Some(Zero::Form(form))
    );
}

#[test]
fn only_what_a_check_opens_is_derived() {
    let (holders, cube) = (Holders::new(2), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 5, 55);
    let all = submissions(&members);
    let batch = Batch::new(&cube, &all).unwrap();
    let relation = |round, repetition, from, to| Origin::Relation {
        round,
        repetition,
        from,
        to,
    };
    let subset = |subset, from, to| Origin::Subset {
        round: 0,
        subset,
        from,
        to,
    };
    for (origin, derived) in [
        (relation(0, 0, 0, 5), true),
        (relation(0, 1, 3, 4), true),
        (relation(0, 2, 0, 5), false),
        (relation(3, 0, 0, 5), false),
        (relation(0, 0, 1, 3), false),
        (relation(0, 0, 0, 6), false),
        (relation(0, 0, 2, 2), false),
        (relation(0, 0, 5, 0), false),
        (subset(40, 0, 5), false),
        (subset(0, 0, u32::MAX), false),
        (Origin::Single { at: 4 }, true),
        (Origin::Single { at: 5 }, false),
        (Origin::Link, false),
    ] {
        assert_eq!(
            batch.derive(&origin, &[], &SEED).is_some(),
            derived,
            "{origin:?}"
        );
    }
}

#[test]
fn replayed_and_mismatched_submissions_are_refused_before_any_opening() {
    let (holders, cube) = (Holders::new(2), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 2, 56);
    let [first, second] = &members[..] else {
        unreachable!()
    };
    let refused = |submissions: &[Submission<'_>]| Batch::new(&cube, submissions).unwrap_err();
    let honest = submissions(&members);

    let thief = identity(77);
    // Under the thief's own identity the attestation is somebody else's.
    let replayed = Submission {
        identity: thief,
        ..honest[0]
    };
    assert_eq!(
        refused(&[replayed]),
        BatchError::OtherIdentity { identity: thief.0 }
    );
    // With an attestation of the thief's own the bytes still appear twice.
    let class = cube.modulus();
    let own = Attestation::new(
        class,
        &thief,
        first.upload.hash(),
        *first.attestation.values(),
    );
    let own = own.unwrap();
    let replayed = Submission {
        identity: thief,
        upload: &first.upload,
        attestation: &own,
    };
    assert!(matches!(
        refused(&[honest[0], replayed]),
        BatchError::RepeatedUpload { .. }
    ));
    // And alone, the challenges are those of another identity.
    let report = alone(&holders, &cube, thief, &first.upload, &own);
    assert_eq!(report.cheaters[0].failed, Failed::Relation);

    let swapped = Submission {
        upload: &second.upload,
        ..honest[0]
    };
    assert!(matches!(
        refused(&[swapped]),
        BatchError::OtherUpload { .. }
    ));
    assert!(matches!(
        refused(&[honest[0], honest[0]]),
        BatchError::RepeatedUpload { .. }
    ));
    let again = holders.encrypt(&cube, 0, 0, &mut rng(1));
    let twice = Submission {
        identity: again.0,
        upload: &again.1,
        attestation: &again.2,
    };
    assert!(matches!(
        refused(&[honest[0], twice]),
        BatchError::RepeatedIdentity { .. }
    ));
    assert_eq!(refused(&[]), BatchError::Size { found: 0 });
    let other = crate::holders::cube(ModulusClass::Sums);
    let refused = Batch::new(&other, &honest).unwrap_err();
    assert!(matches!(refused, BatchError::OtherCube { .. }));
}

/// Why attestations are for holders only: with one, a copy of the upload tests a guess of the cell.
#[test]
fn a_copied_upload_tests_a_guess_only_with_the_victims_attestation() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let (owner, upload, attestation) = holders.encrypt(&cube, 123, 1, &mut rng(81));
    let mut rng = rng(82);
    let thief = identity(666);
    let accepted = |known: Option<&Attestation>, guess: usize, rng: &mut _| {
        let copy = rerandomise(&holders.public, &cube, &upload, rng);
        let forged = attest_copy(&cube, (&owner, &upload, known), &thief, &copy, guess, rng);
        // New bytes, the thief's own identity: nothing but the relations can tell.
        alone(&holders, &cube, thief, &copy, &forged)
            .cheaters
            .is_empty()
    };
    // Leaked: the acceptance bit answers "is the victim in this cell?".
    assert!(accepted(Some(&attestation), 123, &mut rng));
    assert!(!accepted(Some(&attestation), 122, &mut rng));
    // Withheld: the residues of the pairs are unknown, and the right guess fails like any other.
    for _ in 0..4 {
        assert!(!accepted(None, 123, &mut rng));
    }
    // The issuer's signature is over (identity, upload hash): for the copy the thief needs one in its own name, once.
    let copy = rerandomise(&holders.public, &cube, &upload, &mut rng);
    assert_ne!(copy.hash(), upload.hash());
}

#[test]
fn too_many_cheaters_end_the_check() {
    let (holders, cube) = (Holders::new(2), cube(ModulusClass::Counts));
    let cheaters: Vec<_> = (0..3)
        .map(|i| {
            let who = identity(i);
            let (upload, attestation) =
                Cheat::TwoOnes.upload(&holders.public, &cube, who, &mut rng(i));
            (who, upload, attestation)
        })
        .collect();
    let all: Vec<_> = cheaters
        .iter()
        .map(|(identity, upload, attestation)| Submission {
            identity: *identity,
            upload,
            attestation,
        })
        .collect();
    let batch = Batch::new(&cube, &all).unwrap();
    let mut opener = &holders;
    let ended = check(&batch, &SEED, &mut opener, 2);
    assert_eq!(ended, Err(CheckError::TooManyCheaters { most: 2 }));
}

/// Answers what it is told to.
struct Liar {
    forms: bool,
    polys: bool,
}

impl Opener for Liar {
    type Error = Infallible;
    fn open_zero(&mut self, form: &ZeroForm) -> Result<bool, Infallible> {
        // Only whole batches fail.
        let whole = matches!(form.origin(), Origin::Relation { from: 0, to: 4, .. });
        Ok(self.forms || !whole)
    }
    fn open_zero_poly(&mut self, poly: &ZeroPoly) -> Result<bool, Infallible> {
        let whole = matches!(poly.origin(), Origin::Subset { from: 0, to: 4, .. });
        Ok(self.polys || !whole)
    }
}

#[test]
fn a_failure_that_nobody_causes_accepts_nobody() {
    let (holders, cube) = (Holders::new(1), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 4, 57);
    let all = submissions(&members);
    let batch = Batch::new(&cube, &all).unwrap();
    for (forms, polys) in [(false, true), (true, false)] {
        let ended = check(&batch, &SEED, &mut Liar { forms, polys }, 4);
        assert_eq!(ended, Err(CheckError::Undetermined));
    }
}

#[test]
fn checking_a_million_members_fits_the_flooding_budget() {
    let holders = Holders::new(1);
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let cube = cube(class);
        let members = holders.members(&cube, 16, 58);
        let all = submissions(&members);
        let batch = Batch::new(&cube, &all).unwrap();
        let subsets = 10;
        let relations = batch.relations(0, 0, 16, &SEED);
        let relations: f64 = relations.iter().map(|f| f.flooding_cost(subsets)).sum();
        let polys = batch.subsets(0, &[], &SEED);
        let polys: f64 = polys.iter().map(|p| p.flooding_cost(subsets)).sum();
        let million = (relations + polys) / 16.0 * 1e6;
        println!(
            "{class:?}: a million members cost {:.3e} of the budget",
            million / FloodingBudget::LIMIT
        );
        assert!(million < FloodingBudget::LIMIT);
    }
}

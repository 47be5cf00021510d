use rand_core::RngCore;
use salus_cubes::check::Opener;
use salus_cubes::link::{LinkError, combine, encrypt_mask};
use salus_cubes::parameters::{FloodingBudget, Modulus};
use salus_cubes::upload::Upload;
use salus_schema::cube::{Cube, ModulusClass};

use crate::holders::{Holders, Member, cube, rng};

/// One combination: a fresh mask, public factors, and the custodian's value from `codes`.
struct Combination {
    rhos: Vec<u8>,
    weights: Vec<i64>,
    mask: Upload,
    v: u64,
}

impl Combination {
    fn new(holders: &Holders, cube: &Cube, codes: &[Vec<u8>], seed: u64) -> Self {
        let modulus = Modulus::of(cube.modulus());
        let mut rng = rng(seed);
        let u = rng.next_u64() % modulus.p();
        let mask = encrypt_mask(&holders.public, cube.id(), cube.modulus(), u, &mut rng).unwrap();
        let beta: Vec<u64> = cube
            .columns()
            .iter()
            .map(|_| rng.next_u64() % modulus.p())
            .collect();
        let weigh = |codes: &[u8]| -> u64 {
            let terms = codes.iter().zip(&beta);
            terms.map(|(code, beta)| u64::from(*code) * beta).sum()
        };
        let rhos: Vec<u8> = codes.iter().map(|_| rng.next_u32() as u8).collect();
        let sum: u64 = codes
            .iter()
            .zip(&rhos)
            .map(|(codes, rho)| u64::from(*rho) * (weigh(codes) % modulus.p()))
            .sum();
        Self {
            weights: (0..cube.cells())
                .map(|cell| modulus.centre(weigh(&cube.codes_of(cell)) % modulus.p()))
                .collect(),
            mask,
            rhos,
            v: (sum + u) % modulus.p(),
        }
    }

    fn holds(&self, holders: &Holders, members: &[Member]) -> bool {
        let uploads = members.iter().map(|m| &m.upload);
        let form = combine(uploads, &self.rhos, &self.weights, &self.mask, self.v).unwrap();
        let mut opener = holders;
        opener.open_zero(&form).unwrap()
    }
}

fn codes(cube: &Cube, members: &[Member]) -> Vec<Vec<u8>> {
    members.iter().map(|m| cube.codes_of(m.cell)).collect()
}

#[test]
fn the_link_holds_for_the_encrypted_codes_and_for_no_others() {
    let holders = Holders::new(4);
    for class in [ModulusClass::Counts, ModulusClass::Sums] {
        let cube = cube(class);
        let members = holders.members(&cube, 20, 91);
        let truth = codes(&cube, &members);
        let holds = |codes: &[Vec<u8>], seed| {
            Combination::new(&holders, &cube, codes, seed).holds(&holders, &members)
        };
        assert!((0..4).all(|seed| holds(&truth, seed)));

        let mut flipped = truth.clone();
        flipped[7][2] ^= 1;
        assert!((0..8).filter(|seed| holds(&flipped, *seed)).count() <= 1);

        let mut swapped = truth.clone();
        let other = (1..20).find(|i| truth[*i] != truth[0]).unwrap();
        swapped.swap(0, other);
        assert!((0..8).filter(|seed| holds(&swapped, *seed)).count() <= 1);
    }
}

#[test]
fn a_shifted_value_and_swapped_uploads_are_found() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let mut members = holders.members(&cube, 6, 92);
    let mut combination = Combination::new(&holders, &cube, &codes(&cube, &members), 1);
    assert!(combination.holds(&holders, &members));
    combination.v = (combination.v + 12_345) % cube.modulus().modulus();
    assert!(!combination.holds(&holders, &members));
    let combination = Combination::new(&holders, &cube, &codes(&cube, &members), 2);
    members[0] = holders.members(&cube, 1, 93).remove(0);
    assert!(!combination.holds(&holders, &members));
}

#[test]
fn combinations_that_do_not_fit_are_refused() {
    let (holders, cube) = (Holders::new(1), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 2, 94);
    let good = Combination::new(&holders, &cube, &codes(&cube, &members), 1);
    let p = cube.modulus().modulus();
    let run = |rhos: &[u8], weights: &[i64], v| {
        let uploads = members.iter().map(|m| &m.upload);
        combine(uploads, rhos, weights, &good.mask, v).map(|_| ())
    };
    assert_eq!(run(&good.rhos, &good.weights, good.v), Ok(()));
    let wrong = |rhos: &[u8], weights: &[i64], v| run(rhos, weights, v).unwrap_err();
    assert_eq!(
        wrong(&[1], &good.weights, 0),
        LinkError::Factors {
            uploads: 2,
            factors: 1
        }
    );
    assert_eq!(
        wrong(&[1; 3], &good.weights, 0),
        LinkError::Factors {
            uploads: 2,
            factors: 3
        }
    );
    assert_eq!(wrong(&good.rhos, &[], 0), LinkError::Cells { found: 0 });
    assert_eq!(
        wrong(&good.rhos, &[0; 4081], 0),
        LinkError::Cells { found: 4081 }
    );
    assert_eq!(
        wrong(&good.rhos, &[0, p as i64], 0),
        LinkError::Weight { cell: 1 }
    );
    assert_eq!(
        wrong(&good.rhos, &[i64::MIN], 0),
        LinkError::Weight { cell: 0 }
    );
    assert_eq!(
        wrong(&good.rhos, &good.weights, p),
        LinkError::Value { found: p }
    );
    let other = crate::holders::cube(ModulusClass::Sums);
    let other = holders.members(&other, 1, 95);
    let refused = combine([&other[0].upload], &[1], &good.weights, &good.mask, 0);
    assert_eq!(refused.unwrap_err(), LinkError::OtherCube { index: 0 });
}

#[test]
fn linking_a_million_members_five_times_fits_the_flooding_budget() {
    let (holders, cube) = (Holders::new(1), cube(ModulusClass::Sums));
    let members = holders.members(&cube, 16, 96);
    let good = Combination::new(&holders, &cube, &codes(&cube, &members), 1);
    let uploads = members.iter().map(|m| &m.upload);
    let form = combine(uploads, &good.rhos, &good.weights, &good.mask, good.v).unwrap();
    let million = 5.0 * form.flooding_cost(10) / 16.0 * 1e6;
    // This cube has 300 cells; one of 4080 costs 14 times as much.
    assert!(14.0 * million < FloodingBudget::LIMIT, "{million:e}");
}

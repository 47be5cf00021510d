use proptest::prelude::*;
use salus_cubes::sum::{CubeSum, EpochSums, RunningSum, SUM_BYTES, SumError, TABLE_BYTES};
use salus_cubes::upload::Upload;
use salus_schema::cube::ModulusClass;

use crate::holders::{Holders, Member, cube};

fn members(count: u64) -> Vec<Member> {
    Holders::new(4).members(&cube(ModulusClass::Counts), count, 21)
}

fn sum_of<'a>(uploads: impl IntoIterator<Item = &'a Upload>) -> RunningSum {
    let mut sum = RunningSum::new(&cube(ModulusClass::Counts));
    for upload in uploads {
        sum.add(upload).unwrap();
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn subtracting_leaves_the_sum_of_the_rest_in_any_order(order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle(), left in 0..24usize) {
        thread_local!(static MEMBERS: Vec<Member> = members(24));
        MEMBERS.with(|members| {
            let upload = |i: &usize| &members[*i].upload;
            let mut sum = sum_of(members.iter().map(|m| &m.upload));
            for i in &order[left..] {
                sum.subtract(upload(i)).unwrap();
            }
            let rest = sum_of(order[..left].iter().rev().map(upload));
            assert_eq!(sum, rest);
            assert_eq!(sum.finish().unwrap().hash(), rest.finish().unwrap().hash());
            let mut merged = sum_of(order[left..].iter().map(upload));
            merged.merge(&rest).unwrap();
            let all = sum_of(order.iter().map(upload));
            assert_eq!(merged, all);
            merged.remove(&rest).unwrap();
            assert_eq!(merged, sum_of(order[left..].iter().map(upload)));
        });
    }
}

proptest! {
    #[test]
    fn a_damaged_table_is_refused_or_is_another_table(at in 0..TABLE_BYTES, header in 0..50usize, in_header in any::<bool>(), to in any::<u8>()) {
        let table = RunningSum::new(&cube(ModulusClass::Sums)).finish().unwrap();
        let mut bytes = table.to_bytes();
        bytes[if in_header { header } else { at }] = to;
        if let Ok(read) = CubeSum::from_bytes(&bytes) {
            prop_assert!(read.to_bytes() == bytes);
            prop_assert_eq!(read.hash() == table.hash(), read == table);
        }
    }

    #[test]
    fn any_bytes_are_a_sum_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), long in any::<bool>()) {
        let mut bytes = bytes;
        bytes.resize(if long { SUM_BYTES } else { bytes.len() }, 0);
        prop_assert!(RunningSum::from_bytes(&bytes).is_err());
        bytes.truncate(TABLE_BYTES);
        prop_assert!(CubeSum::from_bytes(&bytes).is_err());
    }
}

#[test]
fn the_sum_holds_every_members_cell() {
    let (holders, cube) = (Holders::new(4), cube(ModulusClass::Counts));
    let members = holders.members(&cube, 60, 22);
    let table = sum_of(members.iter().map(|m| &m.upload)).finish().unwrap();
    let modulus = salus_cubes::parameters::Modulus::of(table.class());
    let phase = holders.phase(table.a(), table.b());
    for cell in 0..cube.cells() {
        let expected = members.iter().filter(|m| m.cell == cell).count();
        let found = modulus.decode(phase.coefficients()[cell]).value;
        assert_eq!(found, expected as i64, "cell {cell}");
    }
    assert_eq!(table.members(), 60);
}

#[test]
fn refuses_other_cubes_and_what_was_never_added() {
    let members = members(2);
    let mut sum = sum_of([&members[0].upload]);
    let before = sum.clone();
    let other = Holders::new(4).members(&cube(ModulusClass::Sums), 1, 23);
    assert_eq!(sum.add(&other[0].upload), Err(SumError::OtherCube));
    assert_eq!(sum.subtract(&other[0].upload), Err(SumError::OtherCube));
    let two = sum_of(members.iter().map(|m| &m.upload));
    assert_eq!(
        sum.remove(&two),
        Err(SumError::TooFew {
            members: 1,
            lost: 2
        })
    );
    assert_eq!(sum, before);
    sum.subtract(&members[1].upload).unwrap();
    assert!(matches!(
        sum.finish(),
        Err(SumError::NeverAdded { members: 0, .. })
    ));
    assert!(matches!(
        RunningSum::from_bytes(&sum.to_bytes()),
        Err(SumError::NeverAdded { .. })
    ));
    assert_eq!(
        sum.subtract(&members[1].upload),
        Err(SumError::TooFew {
            members: 0,
            lost: 1
        })
    );
}

#[test]
fn stored_sums_are_read_back_and_damage_is_found() {
    let members = members(3);
    let sum = sum_of(members.iter().map(|m| &m.upload));
    let bytes = sum.to_bytes();
    assert_eq!(bytes.len(), SUM_BYTES);
    assert_eq!(RunningSum::from_bytes(&bytes).unwrap(), sum);
    for at in [0, 4, 5, 20, 40, 1000, SUM_BYTES - 40, SUM_BYTES - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(RunningSum::from_bytes(&damaged).is_err(), "byte {at}");
    }
    for len in [0, 4, 45, SUM_BYTES - 1] {
        assert!(matches!(
            RunningSum::from_bytes(&bytes[..len]),
            Err(SumError::Length { .. })
        ));
    }
    let table = sum.finish().unwrap();
    let bytes = table.to_bytes();
    assert_eq!(bytes.len(), TABLE_BYTES);
    assert_eq!(CubeSum::from_bytes(&bytes).unwrap(), table);
    assert!(CubeSum::from_bytes(&bytes[1..]).is_err());
    let mut other = bytes.clone();
    other[5] = 7;
    assert_eq!(
        CubeSum::from_bytes(&other).unwrap_err(),
        SumError::Class { found: 7 }
    );
    assert_eq!(
        CubeSum::from_bytes(&sum.to_bytes()[..TABLE_BYTES]).unwrap_err(),
        SumError::Magic
    );
}

#[test]
fn an_epoch_ends_with_its_members_and_no_others() {
    let members = members(9);
    let mut sums = EpochSums::new(&cube(ModulusClass::Counts));
    for (i, member) in members.iter().enumerate() {
        sums.add(i as u32 / 3, &member.upload).unwrap();
    }
    assert_eq!(
        sums.total().unwrap(),
        sum_of(members.iter().map(|m| &m.upload))
    );
    assert_eq!(
        sums.subtract(7, &members[0].upload),
        Err(SumError::NoEpoch { epoch: 7 })
    );
    sums.subtract(1, &members[4].upload).unwrap();
    let mut stored = EpochSums::new(&cube(ModulusClass::Counts));
    for (epoch, sum) in sums.epochs() {
        let sum = RunningSum::from_bytes(&sum.to_bytes()).unwrap();
        stored.restore(*epoch, sum).unwrap();
    }
    assert_eq!(stored, sums);
    assert_eq!(sums.expire(0), 3);
    let rest = [3, 5, 6, 7, 8].map(|i: usize| &members[i].upload);
    assert_eq!(sums.total().unwrap(), sum_of(rest));
    assert_eq!(sums.expire(u32::MAX), 5);
    assert_eq!(sums.total().unwrap().count(), 0);
    assert!(sums.epochs().is_empty());
}

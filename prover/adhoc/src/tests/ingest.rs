use std::sync::OnceLock;

use super::{fixture, phase, rng};
use crate::keys::{ClientMaterial, KeyError};
use crate::one_hot::{REPETITIONS, vanishing};
use crate::upload::{Binding, Record, Upload, UploadError};

fn client() -> &'static ClientMaterial {
    static CLIENT: OnceLock<ClientMaterial> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let fixture = fixture();
        fixture
            .secrets
            .client(&fixture.layout, &mut rng(3))
            .unwrap()
    })
}

fn binding() -> Binding {
    Binding {
        chain: 31337,
        contract: [1; 20],
        dataset: 4,
        member: [2; 20],
        epoch: 9,
        layout: fixture().layout.hash(),
    }
}

#[test]
fn an_upload_is_accepted_for_its_member_only_and_slots_must_be_bits() {
    let fixture = fixture();
    let mut rng = rng(4);
    let codes = &fixture.people[0];
    let upload = Upload::prove(client(), &fixture.layout, codes, &binding(), &mut rng).unwrap();
    let bytes = upload.to_bytes();
    let read = || Upload::from_bytes(&bytes).unwrap();
    assert_eq!(read().to_bytes(), bytes);
    let record = read()
        .verify(client(), &fixture.layout, &binding())
        .unwrap();
    assert_eq!(record.slots(), fixture.layout.slots());
    for other in [
        Binding {
            chain: 1,
            ..binding()
        },
        Binding {
            contract: [3; 20],
            ..binding()
        },
        Binding {
            dataset: 5,
            ..binding()
        },
        Binding {
            member: [3; 20],
            ..binding()
        },
        Binding {
            epoch: 10,
            ..binding()
        },
    ] {
        let found = read().verify(client(), &fixture.layout, &other);
        assert!(matches!(found, Err(UploadError::NotProven)));
    }
    // Bytes: any change is refused by the decoder or by the proof.
    for at in [9, 16, 20_000, bytes.len() - 1] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let outcome = Upload::from_bytes(&bad)
            .and_then(|upload| upload.verify(client(), &fixture.layout, &binding()));
        assert!(outcome.is_err(), "byte {at}");
    }
    assert!(Upload::from_bytes(&bytes[..bytes.len() - 1]).is_err());

    let mut slots = fixture.layout.one_hot(codes).unwrap();
    *slots.iter_mut().find(|slot| **slot == 1).unwrap() = 2;
    match Upload::prove_slots(client(), &slots, &binding(), &mut rng) {
        Ok(cheat) => assert!(cheat.verify(client(), &fixture.layout, &binding()).is_err()),
        Err(error) => assert!(matches!(error, UploadError::Proving { .. })),
    }
}

#[test]
fn client_material_survives_its_bytes() {
    let bytes = client().to_bytes().unwrap();
    let read = ClientMaterial::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert!(matches!(
        ClientMaterial::from_bytes(&bytes[1..]),
        Err(KeyError::Kind)
    ));
    assert!(ClientMaterial::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn a_batch_passes_when_every_column_has_one_bit_and_only_then() {
    let fixture = fixture();
    let mut rng = rng(6);
    let public_key = fixture.secrets.public_key(&mut rng);
    let verdict = |records: &[Record], seed: u8| {
        let sum = vanishing(&fixture.compute, &fixture.layout, records, [seed; 32]).unwrap();
        (phase(&sum).wrapping_add(1 << 58) >> 59) as usize
    };
    let honest = &fixture.records[..20];
    assert_eq!(verdict(honest, 1), REPETITIONS);
    let one_hot = fixture.layout.one_hot(&fixture.people[0]).unwrap();
    let first = one_hot.iter().position(|&bit| bit == 1).unwrap();
    let mut two = one_hot.clone();
    two[first ^ 1] = 1;
    let mut none = one_hot.clone();
    none[first] = 0;
    // Two ones in a column and none in another: the total is right.
    let mut moved = none.clone();
    let free = (6..22).find(|&slot| one_hot[slot] == 0).unwrap();
    moved[free] = 1;
    for (name, slots) in [
        ("two", two),
        ("none", none),
        ("moved", moved),
        ("all", vec![1; one_hot.len()]),
    ] {
        let mut batch = honest.to_vec();
        batch.push(Record::of_slots(&public_key, &slots, &mut rng));
        assert_ne!(verdict(&batch, 2), REPETITIONS, "{name}");
    }
}

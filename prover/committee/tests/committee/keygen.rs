//! Key generation, honest and attacked.

use std::collections::BTreeMap;

use salus_committee::Key32;
use salus_committee::keygen::{
    Abort, Body, Fault, Keygen, Message, Outgoing, Progress, Session, Step, mask_seed,
};
use salus_committee::shape::{CommitteeShape, HolderIndex, SubsetIndex};
use salus_cubes::encrypt::encrypt_slots;
use salus_cubes::key::{PublicKey, SubsetKey};
use salus_cubes::parameters::Modulus;
use salus_cubes::ring::Poly;
use salus_schema::cube::ModulusClass;

use crate::world::{deliver, make_keys, rng, session};

fn shape(holders: u8, threshold: u8) -> CommitteeShape {
    CommitteeShape::new(holders, threshold).unwrap()
}

/// Changes what holders send on the way; the state of the changed holder is left as it is.
type Tamper<'a> = &'a mut dyn FnMut(HolderIndex, Step, &mut Vec<Outgoing>);

/// Runs all holders; what each of them ended with.
fn run(session: &Session, tamper: Tamper<'_>) -> BTreeMap<HolderIndex, Result<PublicKey, Abort>> {
    let mut machines = BTreeMap::new();
    let mut outgoing = Vec::new();
    for holder in session.shape().indices() {
        let (machine, mut messages) =
            Keygen::start(session.clone(), holder, &mut rng(seed(session, holder)));
        tamper(holder, machine.step(), &mut messages);
        machines.insert(holder, Box::new(machine));
        outgoing.push((holder, messages));
    }
    let mut ends = BTreeMap::new();
    while !machines.is_empty() {
        let round = deliver(std::mem::take(&mut outgoing));
        for (holder, machine) in std::mem::take(&mut machines) {
            let nothing = BTreeMap::new();
            match machine.advance(round.get(&holder).unwrap_or(&nothing)) {
                Ok(Progress::Next(next, mut messages)) => {
                    tamper(holder, next.step(), &mut messages);
                    machines.insert(holder, next);
                    outgoing.push((holder, messages));
                }
                Ok(Progress::Done(generated)) => {
                    ends.insert(holder, Ok(generated.public));
                }
                Err(abort) => {
                    ends.insert(holder, Err(abort));
                }
            }
        }
    }
    ends
}

fn seed(session: &Session, holder: HolderIndex) -> u64 {
    256 * u64::from(session.id()[0]) + u64::from(holder.0)
}

/// Every holder but the cheater stops; returns what the first of them says.
fn blame(session: &Session, cheater: HolderIndex, tamper: Tamper<'_>) -> Abort {
    let ends = run(session, tamper);
    let mut honest = ends.into_iter().filter(|(holder, _)| *holder != cheater);
    let (_, first) = honest.next().unwrap();
    let abort = first.unwrap_err();
    for (holder, end) in honest {
        assert!(end.is_err(), "{holder} made a key although {abort}");
    }
    abort
}

const ME: HolderIndex = HolderIndex(1);

#[test]
fn all_holders_make_the_same_key_and_share_subset_keys() {
    for (holders, threshold) in [(4, 2), (5, 3), (7, 3)] {
        let shape = shape(holders, threshold);
        let made = make_keys(shape, 1);
        let hash = made[0].public.hash();
        assert!(made.iter().all(|generated| generated.public.hash() == hash));
        let mut by_subset: BTreeMap<SubsetIndex, [u8; 32]> = BTreeMap::new();
        for generated in &made {
            assert_eq!(
                generated.subsets.len(),
                shape.subsets_of(generated.holder).len()
            );
            for held in &generated.subsets {
                let key = *held.key().expose();
                assert_eq!(*by_subset.entry(held.subset().index()).or_insert(key), key);
            }
        }
        assert_eq!(by_subset.len(), shape.subset_count());
        let distinct: std::collections::BTreeSet<_> = by_subset.values().collect();
        assert_eq!(distinct.len(), by_subset.len());
        // The public key is the sum of the public parts of exactly these secrets.
        let seed = mask_seed(made[0].session.id());
        let parts: Vec<Poly> = by_subset
            .values()
            .map(|key| SubsetKey::new(*key).public_share(&seed))
            .collect();
        assert_eq!(PublicKey::from_shares(seed, &parts).hash(), hash);
    }
}

#[test]
fn another_session_gives_another_key() {
    let shape = shape(4, 2);
    assert_ne!(
        make_keys(shape, 1)[0].public.hash(),
        make_keys(shape, 2)[0].public.hash()
    );
    assert_ne!(session(shape, b"a").id(), session(shape, b"b").id());
}

#[test]
fn a_silent_holder_is_named() {
    let session = session(shape(4, 2), b"silent");
    for step in [
        Step::Commit,
        Step::Contribute,
        Step::RevealPublic,
        Step::Confirm,
    ] {
        let abort = blame(&session, ME, &mut |from, at, messages| {
            if from == ME && at == step {
                messages.clear();
            }
        });
        assert_eq!(
            (abort.holder, abort.step, abort.fault),
            (ME, step, Fault::Missing)
        );
    }
}

#[test]
fn a_contribution_chosen_after_the_others_is_named() {
    let session = session(shape(4, 2), b"biased");
    let abort = blame(&session, ME, &mut |from, _, messages| {
        for outgoing in messages.iter_mut().filter(|_| from == ME) {
            if let Body::Contribute(shown) = &mut outgoing.message.body {
                // What a holder that grinds the key's first bits would do.
                *shown.last_mut().unwrap() = Key32::new([7; 32]);
            }
        }
    });
    assert_eq!((abort.holder, abort.step), (ME, Step::Contribute));
    assert_eq!(abort.fault, Fault::ChangedContribution);
    assert!(abort.subset.is_some());
}

#[test]
fn a_copied_commitment_cannot_be_opened() {
    // The copier repeats the commitments of holder 0 to the subsets that both are in, hoping to cancel its share.
    let session = session(shape(4, 2), b"copied");
    let mut copied = None;
    let abort = blame(&session, ME, &mut |from, _, messages| {
        for outgoing in messages.iter_mut() {
            match &mut outgoing.message.body {
                Body::Commit(hashes) if from == HolderIndex(0) => copied = Some(hashes[0]),
                Body::Commit(hashes) if from == ME => hashes[0] = copied.unwrap(),
                _ => {}
            }
        }
    });
    // Either the lie about what it said itself shows first, or that it cannot open what it copied.
    assert_eq!(abort.holder, ME);
    assert!(matches!(
        abort.fault,
        Fault::ChangedContribution | Fault::Equivocation { .. }
    ));
}

#[test]
fn a_public_part_that_members_do_not_compute_is_named() {
    let session = session(shape(5, 3), b"different");
    let abort = blame(&session, ME, &mut |from, _, messages| {
        for outgoing in messages.iter_mut().filter(|_| from == ME) {
            if let Body::CommitPublic(hashes) = &mut outgoing.message.body {
                hashes[2][0] ^= 1;
            }
        }
    });
    assert_eq!((abort.holder, abort.step), (ME, Step::CommitPublic));
    assert_eq!(abort.fault, Fault::WrongPublicPart);
}

#[test]
fn a_public_part_changed_after_its_commitment_is_named() {
    let session = session(shape(4, 2), b"changed");
    let abort = blame(&session, ME, &mut |from, _, messages| {
        for outgoing in messages.iter_mut().filter(|_| from == ME) {
            if let Body::RevealPublic(parts) = &mut outgoing.message.body {
                parts[1][77] ^= 4;
            }
        }
    });
    assert_eq!((abort.holder, abort.fault), (ME, Fault::ChangedPublicPart));
    assert!(abort.subset.is_some());
}

#[test]
fn telling_two_holders_two_things_is_seen() {
    let session = session(shape(4, 2), b"equivocation");
    let ends = run(&session, &mut |from, _, messages| {
        for outgoing in messages.iter_mut().filter(|_| from == ME) {
            let to = outgoing.to;
            if let Body::Commit(hashes) = &mut outgoing.message.body
                && to == HolderIndex(3)
            {
                hashes[0][0] ^= 1;
            }
        }
    });
    for (holder, end) in ends.into_iter().filter(|(holder, _)| *holder != ME) {
        let abort = end.unwrap_err();
        let named = match abort.fault {
            Fault::Equivocation { witness } => [abort.holder, witness],
            Fault::ChangedContribution => [abort.holder, abort.holder],
            // Those who stopped first are missed by the others.
            Fault::Missing => continue,
            other => panic!("{holder}: {other}"),
        };
        assert!(named.contains(&ME), "{holder} blames {named:?}");
    }
}

#[test]
fn messages_of_another_session_are_named() {
    let shape = shape(4, 2);
    let (old, new) = (session(shape, b"old"), session(shape, b"new"));
    let mut recorded: BTreeMap<(Step, HolderIndex), Message> = BTreeMap::new();
    run(&old, &mut |from, step, messages| {
        for outgoing in messages.iter().filter(|_| from == ME) {
            recorded.insert((step, outgoing.to), outgoing.message.clone());
        }
    });
    for step in [Step::Commit, Step::Contribute, Step::RevealPublic] {
        let abort = blame(&new, ME, &mut |from, at, messages| {
            for outgoing in messages.iter_mut().filter(|_| from == ME && at == step) {
                outgoing.message = recorded[&(step, outgoing.to)].clone();
            }
        });
        assert_eq!((abort.holder, abort.fault), (ME, Fault::OtherSession));
    }
    // With the session's name forged, the old commitments stand but nothing else fits.
    let abort = blame(&new, ME, &mut |from, at, messages| {
        for outgoing in messages
            .iter_mut()
            .filter(|_| from == ME && at == Step::Contribute)
        {
            let old = recorded[&(at, outgoing.to)].body.clone();
            outgoing.message.body = old;
        }
    });
    assert_eq!(
        (abort.holder, abort.fault),
        (ME, Fault::ChangedContribution)
    );
}

#[test]
fn messages_of_the_wrong_shape_are_named() {
    let session = session(shape(4, 2), b"shape");
    let abort = blame(&session, ME, &mut |from, _, messages| {
        for outgoing in messages.iter_mut().filter(|_| from == ME) {
            if let Body::Commit(hashes) = &mut outgoing.message.body {
                hashes.pop();
            }
        }
    });
    assert_eq!(
        abort.fault,
        Fault::Length {
            expected: 3,
            found: 2
        }
    );
    let abort = blame(&session, ME, &mut |from, at, messages| {
        for outgoing in messages
            .iter_mut()
            .filter(|_| from == ME && at == Step::Commit)
        {
            outgoing.message.from = HolderIndex(2);
        }
    });
    assert_eq!(
        abort.fault,
        Fault::OtherSender {
            claimed: HolderIndex(2)
        }
    );
}

#[test]
fn aborts_say_who_where_and_what() {
    let abort = Abort {
        holder: ME,
        subset: Some(SubsetIndex(2)),
        step: Step::Contribute,
        fault: Fault::ChangedContribution,
    };
    let text = "key generation stopped at contribute: holder 1 (subset 2) revealed a contribution that is not the \
                committed one";
    assert_eq!(abort.to_string(), text);
}

/// Key generation without commitments: each part is published by one holder, one after the other.
mod naive {
    use super::*;

    pub fn parts(seed: &[u8; 32], count: usize) -> Vec<Poly> {
        (0..count)
            .map(|i| SubsetKey::new([i as u8; 32]).public_share(seed))
            .collect()
    }

    /// What the last publisher says instead of its part: its own key less everybody else's.
    pub fn rogue(seed: &[u8; 32], others: &[Poly], own: &SubsetKey) -> Poly {
        let mut part = own.public_share(seed);
        for other in others {
            part.sub_assign(other);
        }
        part
    }
}

/// Decrypts slot 0 with one secret alone.
fn decrypts_alone(public: &PublicKey, key: &SubsetKey) -> bool {
    let modulus = Modulus::of(ModulusClass::Counts);
    let mut slots = Poly::zero();
    slots.coefficients_mut()[0] = modulus.encode(1234);
    let upload = encrypt_slots(public, [0; 32], ModulusClass::Counts, &slots, &mut rng(9)).unwrap();
    let (a, mut b) = upload.unpack();
    b.sub_assign(&key.secret().multiply(&a));
    let decoded = modulus.decode(b.coefficients()[0]);
    decoded.value == 1234 && decoded.residual.unsigned_abs() < 1 << 60
}

#[test]
fn the_last_publisher_decrypts_alone_when_nothing_is_committed() {
    let seed = [3; 32];
    let own = SubsetKey::new([0xee; 32]);
    let mut parts = naive::parts(&seed, 3);
    let rogue = naive::rogue(&seed, &parts, &own);
    parts.push(rogue);
    let public = PublicKey::from_shares(seed, &parts);
    assert!(decrypts_alone(&public, &own));
}

#[test]
fn the_rogue_key_is_rejected_by_the_protocol_and_no_secret_alone_decrypts() {
    let session = session(shape(4, 2), b"rogue");
    let seed = mask_seed(session.id());
    let own = SubsetKey::new([0xee; 32]);
    // The rogue holder waits for everybody's parts, then shows its own less the sum of the others.
    let mut seen: BTreeMap<usize, Poly> = BTreeMap::new();
    let abort = blame(&session, HolderIndex(3), &mut |from, _, messages| {
        let indices: Vec<_> = session
            .shape()
            .subsets_of(from)
            .iter()
            .map(|s| usize::from(s.index().0))
            .collect();
        for outgoing in messages.iter_mut() {
            if let Body::RevealPublic(parts) = &mut outgoing.message.body {
                if from == HolderIndex(3) {
                    let last = *indices.last().unwrap();
                    let others: Vec<Poly> = seen
                        .iter()
                        .filter(|(i, _)| **i != last)
                        .map(|(_, p)| p.clone())
                        .collect();
                    let rogue = naive::rogue(&seed, &others, &own);
                    *parts.last_mut().unwrap() = rogue.to_bytes();
                } else {
                    for (index, part) in indices.iter().zip(parts.iter()) {
                        seen.insert(*index, Poly::from_bytes(part).unwrap());
                    }
                }
            }
        }
    });
    assert_eq!(
        (abort.holder, abort.fault),
        (HolderIndex(3), Fault::ChangedPublicPart)
    );

    let made = make_keys(shape(4, 2), 3);
    for generated in &made {
        for held in &generated.subsets {
            assert!(!decrypts_alone(&generated.public, held.key()));
        }
    }
}

#[test]
fn contributions_do_not_print() {
    let made = make_keys(shape(4, 2), 4);
    let text = format!("{:?}", made[0].subsets);
    assert!(
        text.contains("[redacted]")
            && !text.contains(&format!("{:?}", made[0].subsets[0].key().expose()))
    );
    let body = Body::Contribute(vec![Key32::new([0xab; 32])]);
    assert!(!format!("{body:?}").contains("171"));
}

//! Leaders that keep others out: who vouches for what they show.

use std::collections::BTreeMap;
use std::sync::Arc;

use salus_committee::ledger::QueryState;
use salus_committee::message::{Opening, Phase, Reply, Request, Values};
use salus_committee::opening::{Holder, KeyHolder, agree, partials_hash};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::{Client, ClientError};
use salus_committee::shape::HolderIndex;

use crate::adversary::{Dead, Equivocator, Mute};
use crate::opening::{COUNT, GROUPS};
use crate::service::{Running, Wrap, check, wrap};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_lies_about_others_gets_neither_sums_nor_signatures() {
    let world = World::new(4, 2);
    let mut running = Running::start(&world, &[0], BTreeMap::new()).await;
    let (request, _) = world.fund(1, GROUPS);
    let opening = world.opening(&request);
    // Holder 0 leads by hand, with its real certificate.
    let leader = world.holder(0);
    let peers: Vec<Client> = (0..4)
        .map(|i| running.client(&world.keys[0].identity, i))
        .collect();
    let mut answers = BTreeMap::from([(leader.index(), leader.counts(&opening).unwrap())]);
    for (index, peer) in peers.iter().enumerate().skip(1) {
        let reply = peer.ask(&Request::Counts(opening.clone())).await.unwrap();
        let Reply::Partials(lists) = reply else {
            panic!("{reply:?}")
        };
        answers.insert(HolderIndex(index as u8), lists);
    }
    let counts = agree(world.shape, &answers).unwrap().values;
    // It adds ten people to the suppressed group, in the subset that holder 1 is not in, so that its sums come out.
    let foreign = world
        .shape
        .subsets()
        .iter()
        .position(|s| !s.contains(HolderIndex(1)))
        .unwrap();
    let mut forged = counts.clone();
    for value in &mut forged[foreign].0 {
        *value = value.wrapping_sub(10 * crate::adversary::ONE);
    }
    let ask = Request::Sums(opening.clone(), forged.clone());
    let Err(ClientError::Refused(refusal)) = peers[1].ask(&ask).await else {
        panic!("suppressed sums came out");
    };
    assert_eq!(refusal.code, RefusalCode::Contradicted);
    let ask = Request::Sums(opening.clone(), counts.clone());
    assert!(matches!(peers[1].ask(&ask).await, Ok(Reply::Partials(_))));
    let nothing = vec![Values::default(); counts.len()];
    let ask = Request::Sign(opening.clone(), forged, nothing);
    let Err(ClientError::Refused(refusal)) = peers[1].ask(&ask).await else {
        panic!("a forged answer was signed");
    };
    assert_eq!(refusal.code, RefusalCode::Contradicted);

    // A holder that denies what it gave is outvoted.
    running.stop(3).await;
    let denies: Wrap = Box::new(|honest| Arc::new(Equivocator { honest }));
    running.start_one(&world, 3, Some(denies)).await;
    let ask = Request::Sums(opening, counts);
    assert!(matches!(peers[1].ask(&ask).await, Ok(Reply::Partials(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_vouch_for_what_they_have_and_compute_what_they_lack() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let (request, _) = world.fund(1, COUNT);
    let opening = world.opening(&request);
    let peer = running.client(&world.keys[0].identity, 1);
    let ask = |hash| Request::Vouch(opening.clone(), Phase::Counts, vec![], vec![hash]);
    let operator = running.client(&running.operator, 1);
    let spent = async || operator.status().await.unwrap().cube.unwrap().budget_spent;
    let subset = world.shape.subsets_of(HolderIndex(1))[1];
    let before = peer.ask(&ask((subset.index(), [0; 32]))).await.unwrap();
    // As if it had been asked for the partials, and so with all they cost.
    assert_eq!(before, Reply::Vouched(Some(vec![subset.index()])));
    let after = spent().await;
    assert!(after > 0.0);
    let Reply::Partials(lists) = peer.ask(&Request::Counts(opening.clone())).await.unwrap() else {
        panic!("no partials");
    };
    let right = (subset.index(), partials_hash(subset, &lists[1]));
    assert_eq!(
        peer.ask(&ask(right)).await.unwrap(),
        Reply::Vouched(Some(vec![]))
    );
    let wrong = (subset.index(), [0; 32]);
    assert_eq!(
        peer.ask(&ask(wrong)).await.unwrap(),
        Reply::Vouched(Some(vec![subset.index()]))
    );
    assert_eq!(spent().await, after);

    let (unfunded, _) = world.fund(2, COUNT);
    let change = |facts: &mut salus_committee::ledger::QueryFacts| {
        facts.state = QueryState::NotFunded;
    };
    world.ledger.change(unfunded.query, change);
    let ask = Request::Vouch(world.opening(&unfunded), Phase::Counts, vec![], vec![wrong]);
    let Err(ClientError::Refused(refusal)) = peer.ask(&ask).await else {
        panic!("vouched for a query that is not funded");
    };
    assert_eq!(refusal.code, RefusalCode::NotFunded);
    assert_eq!(spent().await, after);
}

/// A leader by hand: holder 0 of four, which asks holder 1 and nobody else.
struct Lonely {
    running: Running,
    leader: Arc<KeyHolder>,
    victim: Client,
    opening: Opening,
    counts: Vec<Values>,
    /// The subset that holder 1 is not in.
    foreign: usize,
}

impl Lonely {
    async fn start(world: &World, dead: &[u8], wraps: BTreeMap<u8, Wrap>) -> Self {
        let running = Running::start(world, dead, wraps).await;
        let (request, _) = world.fund(1, GROUPS);
        let opening = world.opening(&request);
        let leader = world.holder(0);
        let victim = running.client(&world.keys[0].identity, 1);
        let own = leader.counts(&opening).unwrap();
        let ask = Request::Counts(opening.clone());
        let Reply::Partials(lists) = victim.ask(&ask).await.unwrap() else {
            panic!("no partials");
        };
        let answers = BTreeMap::from([(HolderIndex(0), own), (HolderIndex(1), lists)]);
        let foreign = world
            .shape
            .subsets()
            .iter()
            .position(|s| !s.contains(HolderIndex(1)));
        Self {
            running,
            leader,
            victim,
            opening,
            counts: agree(world.shape, &answers).unwrap().values,
            foreign: foreign.unwrap(),
        }
    }

    fn forge(&self, shown: &[Values]) -> Vec<Values> {
        let mut forged = shown.to_vec();
        for value in &mut forged[self.foreign].0 {
            *value = value.wrapping_sub(10 * crate::adversary::ONE);
        }
        forged
    }

    async fn refused(&self, request: Request) -> RefusalCode {
        match self.victim.ask(&request).await {
            Err(ClientError::Refused(refusal)) => refusal.code,
            other => panic!("{other:?}"),
        }
    }

    async fn sums(&self, world: &World) -> Vec<Values> {
        let ask = Request::Sums(self.opening.clone(), self.counts.clone());
        let Reply::Partials(lists) = self.victim.ask(&ask).await.unwrap() else {
            panic!("no sums");
        };
        let own = self.leader.sums(&self.opening, &self.counts).unwrap();
        let answers = BTreeMap::from([(HolderIndex(0), own), (HolderIndex(1), lists)]);
        agree(world.shape, &answers).unwrap().values
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_asks_one_holder_only_gets_neither_sums_nor_signatures_for_a_lie() {
    let world = World::new(4, 2);
    // One witness of the foreign subset is enough.
    for dead in [&[0][..], &[0, 3][..]] {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            ledger: Arc::default(),
            keys: world.keys.clone(),
            public: world.public.clone(),
            ciphertexts: world.ciphertexts.clone(),
            shape: world.shape,
        };
        let lonely = Lonely::start(&world, dead, BTreeMap::new()).await;
        let opening = || lonely.opening.clone();
        let forged = lonely.forge(&lonely.counts);
        let contradicted = RefusalCode::Contradicted;
        let ask = Request::Sums(opening(), forged.clone());
        assert_eq!(lonely.refused(ask).await, contradicted);
        let nothing = vec![Values::default(); forged.len()];
        let ask = Request::Sign(opening(), forged.clone(), nothing);
        assert_eq!(lonely.refused(ask).await, contradicted);

        // The witnesses never opened sums when they are asked about them.
        let sums = lonely.sums(&world).await;
        let ask = Request::Sign(opening(), lonely.counts.clone(), lonely.forge(&sums));
        assert_eq!(lonely.refused(ask).await, contradicted);
        // Nor are they led to open sums of forged counts.
        let witness = lonely.running.client(&world.keys[0].identity, 2);
        let other = world
            .shape
            .subsets()
            .iter()
            .position(|s| !s.contains(HolderIndex(2)));
        let mut counts = lonely.counts.clone();
        counts[other.unwrap()].0[0] ^= 1 << 90;
        let ask = Request::Vouch(opening(), Phase::Counts, vec![], vec![]);
        witness.ask(&ask).await.unwrap();
        let (fresh, _) = world.fund(2, GROUPS);
        let ask = Request::Vouch(world.opening(&fresh), Phase::Sums, counts, vec![]);
        let Err(ClientError::Refused(refusal)) = witness.ask(&ask).await else {
            panic!("a witness believed forged counts");
        };
        assert_eq!(refusal.code, contradicted);

        let ask = Request::Sign(opening(), lonely.counts.clone(), sums);
        let reply = lonely.victim.ask(&ask).await.unwrap();
        assert!(matches!(reply, Reply::Signature(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_abstains_is_not_dead() {
    let world = World::new(4, 2);
    let refuses = wrap(2, |honest| Arc::new(Dead { honest }));
    let mut lonely = Lonely::start(&world, &[0, 3], refuses).await;
    let ask = Request::Sums(lonely.opening.clone(), lonely.counts.clone());
    assert_eq!(lonely.refused(ask.clone()).await, RefusalCode::Unavailable);
    // Still computing.
    lonely.running.stop(2).await;
    let (sender, receiver) = std::sync::mpsc::channel();
    let mute: Wrap = Box::new(move |honest| {
        let (mute, patience) = Mute::new(honest);
        sender.send(patience).unwrap();
        Arc::new(mute)
    });
    lonely.running.start_one(&world, 2, Some(mute)).await;
    let patience = receiver.recv().unwrap();
    assert_eq!(lonely.refused(ask.clone()).await, RefusalCode::Unavailable);
    drop(patience);
    // With nobody else alive, the leader's word is all there is.
    lonely.running.stop(2).await;
    let reply = lonely.victim.ask(&ask).await.unwrap();
    assert!(matches!(reply, Reply::Partials(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_does_not_speak_does_not_stop_four() {
    let world = World::new(4, 2);
    let (sender, receiver) = std::sync::mpsc::channel();
    let wraps = wrap(3, move |honest| {
        let (mute, patience) = Mute::new(honest);
        sender.send(patience).unwrap();
        Arc::new(mute)
    });
    let running = Running::start(&world, &[], wraps).await;
    let patience = receiver.recv().unwrap();
    let signed = running.ask(&world, 0, 1, GROUPS).await.unwrap();
    check(&world, &signed, GROUPS);
    assert!(signed.report.is_clean(), "{:?}", signed.report);
    drop(patience);
}

//! Several holders as tasks, over TLS on the loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use salus_committee::answer::SignedAnswer;
use salus_committee::config::{
    ClientEntry, ClientRole, CommitteeFile, HolderConfig, HolderEntry, Limits,
};
use salus_committee::dealer::{DEALER_CEREMONY, LWE_DIMENSION, split};
use salus_committee::identity::Identity;
use salus_committee::keygen::{Fault, Step};
use salus_committee::keys::{CubeKeys, HolderKeys};
use salus_committee::ledger::QueryState;
use salus_committee::message::Request;
use salus_committee::noise::{NoisePolicy, ShareNoise};
use salus_committee::opening::{Failure, Holder};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::{
    Client, ClientError, KeygenConfig, KeygenError, Service, generate_keys,
};
use salus_committee::shape::{CommitteeShape, HolderIndex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::adversary::{BiasedFlooder, Dead, Liar, Slow};
use crate::opening::{COUNT, GROUPS};
use crate::world::{COMMITTEE, World, address, expected, released, rng};

pub type Wrap = Box<dyn FnOnce(Arc<dyn Holder>) -> Arc<dyn Holder>>;

/// Addresses that were free a moment ago.
pub fn addresses(count: usize) -> Vec<SocketAddr> {
    let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners: Vec<_> = (0..count).map(bind).collect();
    listeners.iter().map(|l| l.local_addr().unwrap()).collect()
}

pub fn committee_file(
    shape: CommitteeShape,
    identities: &[&Identity],
    addresses: &[SocketAddr],
    clients: &[(&Identity, ClientRole)],
) -> CommitteeFile {
    CommitteeFile {
        version: 1,
        epoch: 0,
        threshold: shape.threshold() as u8,
        holders: shape
            .indices()
            .zip(identities.iter().zip(addresses))
            .map(|(holder, (identity, at))| HolderEntry {
                name: format!("h{}", holder.0),
                address: at.to_string(),
                certificate: identity.fingerprint(),
                signer: address(holder),
            })
            .collect(),
        clients: clients
            .iter()
            .enumerate()
            .map(|(i, (identity, role))| ClientEntry {
                name: format!("c{i}"),
                certificate: identity.fingerprint(),
                role: *role,
            })
            .collect(),
    }
}

/// A committee whose holders listen, but those that are dead.
pub struct Running {
    pub file: CommitteeFile,
    pub limits: Limits,
    pub market: Identity,
    pub operator: Identity,
    stops: BTreeMap<u8, (oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Running {
    pub async fn start(world: &World, dead: &[u8], mut wraps: BTreeMap<u8, Wrap>) -> Self {
        let (market, operator) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let addresses = addresses(world.shape.holders());
        let identities: Vec<&Identity> = world.keys.iter().map(|keys| &keys.identity).collect();
        let clients = [
            (&market, ClientRole::Client),
            (&operator, ClientRole::Operator),
        ];
        let mut running = Self {
            file: committee_file(world.shape, &identities, &addresses, &clients),
            limits: Limits {
                peer: Duration::from_millis(2000),
                ..Limits::default()
            },
            market,
            operator,
            stops: BTreeMap::new(),
        };
        for holder in world.shape.indices().filter(|h| !dead.contains(&h.0)) {
            running
                .start_one(world, holder.0, wraps.remove(&holder.0))
                .await;
        }
        running
    }

    pub fn config(&self, world: &World, holder: u8) -> HolderConfig {
        HolderConfig {
            committee: self.file.clone(),
            committee_id: COMMITTEE,
            listen: self.file.holders[usize::from(holder)]
                .address
                .parse()
                .unwrap(),
            journal: world.journal(HolderIndex(holder)),
            limits: self.limits,
        }
    }

    pub async fn start_one(&mut self, world: &World, holder: u8, wrap: Option<Wrap>) {
        let config = self.config(world, holder);
        let keys = world.keys[usize::from(holder)].clone();
        let surroundings = world.surroundings(HolderIndex(holder));
        let wrap = wrap.unwrap_or_else(|| Box::new(|honest| honest));
        let service = Service::bind_as(config, keys, surroundings, wrap)
            .await
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(service.run(async {
            let _ = stopped.await;
        }));
        self.stops.insert(holder, (stop, task));
    }

    pub async fn stop(&mut self, holder: u8) {
        let (stop, task) = self.stops.remove(&holder).unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    pub fn client(&self, identity: &Identity, holder: u8) -> Client {
        Client::new(
            identity,
            &self.file.holders[usize::from(holder)],
            self.limits,
        )
        .unwrap()
    }

    pub async fn ask(
        &self,
        world: &World,
        leader: u8,
        id: u8,
        sql: &str,
    ) -> Result<SignedAnswer, ClientError> {
        let (request, _) = world.fund(id, sql);
        self.client(&self.market, leader).open(request).await
    }
}

pub fn wrap(
    holder: u8,
    wrap: impl FnOnce(Arc<dyn Holder>) -> Arc<dyn Holder> + 'static,
) -> BTreeMap<u8, Wrap> {
    BTreeMap::from([(holder, Box::new(wrap) as Wrap)])
}

pub fn check(world: &World, signed: &SignedAnswer, sql: &str) {
    let (_, plan) = crate::world::question(sql);
    assert_eq!(released(&signed.answer), expected(&plan, 5));
    assert!(signed.signatures.len() >= world.shape.threshold());
    for signature in &signed.signatures {
        assert_eq!(signature.address, address(signature.holder));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_holder_leads_and_all_sign() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let first = running.ask(&world, 0, 1, GROUPS).await.unwrap();
    check(&world, &first, GROUPS);
    assert!(first.report.is_clean(), "{:?}", first.report);
    assert_eq!(first.signatures.len(), 4);
    // The same query through another leader: the same answer, the same signatures.
    assert_eq!(running.ask(&world, 3, 1, GROUPS).await.unwrap(), first);
    let count = running.ask(&world, 2, 2, COUNT).await.unwrap();
    check(&world, &count, COUNT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_noised_answer_says_how_much_noise_it_has() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let (request, _) = world.fund(1, COUNT);
    let policy = NoisePolicy {
        micro_epsilon: 1_000_000,
        delta_exponent: 20,
    };
    world
        .ledger
        .change(request.query, |facts| facts.noise = Some(policy));
    let client = running.client(&running.market, 0);
    let signed = client.open(request).await.unwrap();
    // Four shares of equal variance: twice the deviation of the one that gives the guarantee.
    let share = ShareNoise::calibrate(policy, 1, 1).unwrap().share_sigma();
    assert!((signed.noise_micro_sigma as f64 / 1e6 - 2.0 * share).abs() < 1e-5);
    let exact = running.ask(&world, 0, 2, COUNT).await.unwrap();
    assert_eq!(exact.noise_micro_sigma, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_corrupt_and_slow_holders_do_not_stop_seven() {
    let world = World::new(7, 3);
    let mut patience = None;
    let mut wraps = wrap(2, |honest| Arc::new(Liar { honest }));
    let (sender, receiver) = std::sync::mpsc::channel();
    wraps.extend(wrap(4, move |honest| {
        let (slow, wait) = Slow::new(honest);
        sender.send(wait).unwrap();
        Arc::new(slow)
    }));
    let running = Running::start(&world, &[6], wraps).await;
    patience.replace(receiver.recv().unwrap());
    let signed = running.ask(&world, 0, 1, GROUPS).await.unwrap();
    check(&world, &signed, GROUPS);
    assert_eq!(signed.report.liars, [HolderIndex(2)]);
    assert_eq!(signed.report.slow, [HolderIndex(4)]);
    assert_eq!(signed.report.dead, [HolderIndex(6)]);
    drop(patience);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_one_corrupt_or_one_slow_holder_does_not_stop_four() {
    let world = World::new(4, 2);
    let mut running = Running::start(&world, &[3], BTreeMap::new()).await;
    let signed = running.ask(&world, 1, 1, GROUPS).await.unwrap();
    check(&world, &signed, GROUPS);
    assert_eq!(signed.report.dead, [HolderIndex(3)]);
    assert!(signed.report.unchecked.is_empty());

    let liar: Wrap = Box::new(|honest| Arc::new(Liar { honest }));
    running.start_one(&world, 3, Some(liar)).await;
    let signed = running.ask(&world, 1, 2, GROUPS).await.unwrap();
    check(&world, &signed, GROUPS);
    assert_eq!(signed.report.liars, [HolderIndex(3)]);

    running.stop(3).await;
    let biased: Wrap = Box::new(|honest| Arc::new(BiasedFlooder { honest }));
    running.start_one(&world, 3, Some(biased)).await;
    let signed = running.ask(&world, 1, 3, COUNT).await.unwrap();
    check(&world, &signed, COUNT);
    assert_eq!(signed.report.liars, [HolderIndex(3)]);

    running.stop(3).await;
    let gone: Wrap = Box::new(|honest| Arc::new(Dead { honest }));
    running.start_one(&world, 3, Some(gone)).await;
    let signed = running.ask(&world, 1, 4, COUNT).await.unwrap();
    assert_eq!(signed.report.refused[0].0, HolderIndex(3));
    assert_eq!(signed.report.refused[0].1.code, RefusalCode::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_threshold_alive_still_answers_and_says_what_was_not_checked() {
    let world = World::new(4, 2);
    let mut running = Running::start(&world, &[0, 3], BTreeMap::new()).await;
    let signed = running.ask(&world, 1, 1, GROUPS).await.unwrap();
    check(&world, &signed, GROUPS);
    assert_eq!(signed.report.dead, [HolderIndex(0), HolderIndex(3)]);
    assert_eq!(signed.report.unchecked.len(), 2);
    running.stop(2).await;
    let Err(ClientError::Failed(failure)) = running.ask(&world, 1, 2, GROUPS).await else {
        panic!("one of two opened");
    };
    assert!(matches!(
        *failure,
        Failure::Uncovered {
            answered: 1,
            needed: 2,
            ..
        }
    ));
    assert_eq!(failure.report().dead.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_colluding_liars_of_five_end_in_a_named_disagreement() {
    let world = World::new(5, 3);
    let mut wraps = wrap(1, |honest| Arc::new(Liar { honest }));
    wraps.extend(wrap(3, |honest| Arc::new(Liar { honest })));
    let running = Running::start(&world, &[], wraps).await;
    let Err(ClientError::Failed(failure)) = running.ask(&world, 0, 1, COUNT).await else {
        panic!("liars went through");
    };
    let Failure::Disagreement {
        subset, holders, ..
    } = *failure
    else {
        panic!("{failure}");
    };
    let subset = world.shape.subsets()[usize::from(subset.0)];
    assert_eq!(subset.members().collect::<Vec<_>>(), holders);
    assert!(holders.contains(&HolderIndex(1)) || holders.contains(&HolderIndex(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_holder_gives_the_same_answer() {
    let world = World::new(4, 2);
    let mut running = Running::start(&world, &[], BTreeMap::new()).await;
    let first = running.ask(&world, 0, 1, GROUPS).await.unwrap();
    running.stop(2).await;
    running.start_one(&world, 2, None).await;
    assert_eq!(running.ask(&world, 0, 1, GROUPS).await.unwrap(), first);
    // Another question under the same id.
    let Err(ClientError::Refused(refusal)) = running.ask(&world, 2, 1, COUNT).await else {
        panic!("two answers to one query");
    };
    assert_eq!(refusal.code, RefusalCode::AlreadyAnsweredDifferently);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_asks_what_it_may() {
    let mut world = World::new(4, 2);
    let shares = split(&[1; LWE_DIMENSION], world.shape, &mut rng(8)).unwrap();
    for (keys, shares) in world.keys.iter_mut().zip(shares) {
        keys.ceremony = Some(shares);
    }
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let operator = running.client(&running.operator, 1);
    let status = operator.status().await.unwrap();
    assert_eq!((status.holder, status.shape), (HolderIndex(1), world.shape));
    let cube = status.cube.unwrap();
    assert_eq!(
        (cube.key_hash, cube.epoch, cube.budget_spent),
        (world.public.hash(), 0, 0.0)
    );
    assert_eq!(status.adhoc.unwrap().origin, DEALER_CEREMONY);

    let (request, _) = world.fund(1, COUNT);
    let opening = world.opening(&request);
    let market = running.client(&running.market, 1);
    let peer = running.client(&world.keys[0].identity, 1);
    for (client, request) in [
        (&operator, Request::Open(request.clone())),
        (&operator, Request::Counts(opening.clone())),
        (&market, Request::Counts(opening.clone())),
        (&market, Request::Sign(opening, vec![], vec![])),
        (&peer, Request::Open(request)),
    ] {
        let Err(ClientError::Refused(refusal)) = client.ask(&request).await else {
            panic!("allowed {request:?}");
        };
        assert_eq!(refusal.code, RefusalCode::NotAllowed);
    }
}

async fn make(
    shape: CommitteeShape,
    missing: &[u8],
    round: Duration,
) -> Vec<Result<HolderKeys, KeygenError>> {
    let identities: Vec<Identity> = shape
        .indices()
        .map(|_| Identity::generate().unwrap())
        .collect();
    let addresses = addresses(shape.holders());
    let file = committee_file(
        shape,
        &identities.iter().collect::<Vec<_>>(),
        &addresses,
        &[],
    );
    let mut tasks = Vec::new();
    for holder in shape.indices().filter(|h| !missing.contains(&h.0)) {
        let at = usize::from(holder.0);
        let (identity, file, listen) = (identities[at].clone(), file.clone(), addresses[at]);
        tasks.push(tokio::spawn(async move {
            let config = KeygenConfig {
                committee: file,
                listen,
                nonce: b"first".to_vec(),
                round,
                limits: Limits::default(),
            };
            let mut rng = rng(u64::from(holder.0));
            let generated = generate_keys(config, &identity, &mut rng).await?;
            let mut keys = HolderKeys::generate(&mut rng).unwrap();
            keys.identity = identity;
            keys.cube = Some(CubeKeys::from(generated));
            Ok(keys)
        }));
    }
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.await.unwrap());
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_make_a_key_over_tls() {
    let shape = CommitteeShape::new(4, 2).unwrap();
    let keys: Vec<_> = make(shape, &[], Duration::from_secs(60))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let hashes: Vec<_> = keys
        .iter()
        .map(|keys| keys.cube.as_ref().unwrap().public().hash())
        .collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_does_not_come_is_named() {
    let shape = CommitteeShape::new(4, 2).unwrap();
    for end in make(shape, &[2], Duration::from_millis(1500)).await {
        let Err(KeygenError::Abort(abort)) = end else {
            panic!("a key without holder 2");
        };
        assert_eq!((abort.holder, abort.step), (HolderIndex(2), Step::Commit));
        assert_eq!(abort.fault, Fault::Missing);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_request_changes_nothing() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[], BTreeMap::new()).await;
    let (request, _) = world.fund(1, COUNT);
    let opening = world.opening(&request);
    let peer = running.client(&world.keys[0].identity, 1);
    let operator = running.client(&running.operator, 1);
    let spent = async || operator.status().await.unwrap().cube.unwrap().budget_spent;
    let ask = Request::Counts(opening);
    let first = peer.ask(&ask).await.unwrap();
    let after = spent().await;
    for _ in 0..3 {
        assert_eq!(peer.ask(&ask).await.unwrap(), first);
    }
    assert_eq!(spent().await, after);
    // Once the query is closed, what was recorded earlier is no longer answered.
    world
        .ledger
        .change(request.query, |facts| facts.state = QueryState::Closed);
    let Err(ClientError::Refused(refusal)) = peer.ask(&ask).await else {
        panic!("a closed query was opened");
    };
    assert_eq!(refusal.code, RefusalCode::NotOpen);
}

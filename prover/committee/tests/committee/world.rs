//! A small dataset, a chain and a storage made of tables, and committees on them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use salus_committee::adhoc::Evaluation;
use salus_committee::answer::{SealedAnswer, Signature};
use salus_committee::keygen::{Generated, Keygen, Message, Outgoing, Progress, Session};
use salus_committee::keys::{CubeKeys, HolderKeys};
use salus_committee::ledger::{
    Address, CiphertextError, Ciphertexts, Ledger, Market, QueryFacts, QueryState, Signer,
    SignerError, Unavailable,
};
use salus_committee::message::{OpenRequest, Opening, Target};
use salus_committee::opening::{KeyHolder, Surroundings};
use salus_committee::shape::{CommitteeShape, HolderIndex};
use salus_cubes::check::{Origin, Zero};
use salus_cubes::encrypt::{Identity as Person, encrypt_cell};
use salus_cubes::key::PublicKey;
use salus_cubes::sum::{CubeSum, RunningSum};
use salus_schema::codebook::Codebook;
use salus_schema::cube::Cube;
use salus_schema::plan::{Image, Plan, VALUES};
use salus_schema::planner;
use salus_schema::query::Query;

pub const DATASET: u64 = 3;
pub const SNAPSHOT: u64 = 8;
pub const COMMITTEE: [u8; 32] = [0xc0; 32];
/// People who quit: fewer than the smallest cell.
pub const QUITTERS: usize = 4;
pub const PEOPLE: usize = 60;

const CODEBOOK: &str = r#"
version = 1
name = "smokers"
[[columns]]
name = "quit"
kind = "exact"
min = 0
step = 1
max = 1
[[columns]]
name = "age"
kind = "exact"
min = 25
step = 1
max = 74
[[columns]]
name = "eyes"
kind = "exact"
min = 0
step = 1
max = 3
[[cubes]]
name = "main"
columns = ["quit", "age"]
"#;

pub fn codebook() -> Arc<Codebook> {
    static CODES: OnceLock<Arc<Codebook>> = OnceLock::new();
    CODES
        .get_or_init(|| Arc::new(Codebook::from_toml(CODEBOOK).unwrap()))
        .clone()
}

pub fn cube() -> Cube {
    codebook().cubes()[0].clone()
}

/// Codes of every person: quit, age, eyes.
pub fn records() -> Vec<[u8; 3]> {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    (0..PEOPLE)
        .map(|i| {
            let (quit, eyes) = (u8::from(i < QUITTERS), rng.next_u32() % 4);
            [2 + quit, 2 + (rng.next_u32() % 50) as u8, 2 + eyes as u8]
        })
        .collect()
}

pub fn question(sql: &str) -> (Query, Plan) {
    let query = Query::from_sql(sql, &codebook()).unwrap();
    let (plan, _) = planner::plan(&query, &codebook()).unwrap();
    (query, plan)
}

/// What a plan publishes of the records in the clear, with the values of groups below `min_cell` masked.
pub fn expected(plan: &Plan, min_cell: u64) -> Vec<(u64, Vec<u64>)> {
    plan.passes()
        .iter()
        .map(|pass| {
            let mut cells = vec![0u64; usize::from(pass.class().cells())];
            for record in records() {
                let codes: Vec<u8> = pass
                    .columns()
                    .iter()
                    .map(|c| record[usize::from(c.0)])
                    .collect();
                if let Some(cell) = pass.evaluate(&codes) {
                    cells[cell] += 1;
                }
            }
            let (mut mask, all) = (pass.base_mask(), pass.publish(&cells, 0).unwrap());
            let step = if pass.image() == Image::Cells { 1 } else { 3 };
            for at in (0..pass.values()).step_by(step) {
                if all[at] < min_cell {
                    mask |= ((1 << step) - 1) << at;
                }
            }
            let values: [u64; VALUES] = pass.publish(&cells, mask).unwrap();
            (mask, values[..pass.values()].to_vec())
        })
        .collect()
}

pub fn released(answer: &SealedAnswer) -> Vec<(u64, Vec<u64>)> {
    answer
        .results
        .iter()
        .map(|pass| (pass.mask, pass.values.clone()))
        .collect()
}

/// Queries by id.
#[derive(Default)]
pub struct TableLedger(pub Mutex<HashMap<[u8; 32], QueryFacts>>);

impl TableLedger {
    pub fn change(&self, query: [u8; 32], change: impl FnOnce(&mut QueryFacts)) {
        change(self.0.lock().unwrap().get_mut(&query).unwrap());
    }
}

impl Ledger for TableLedger {
    fn market(&self) -> Market {
        Market {
            chain: 31337,
            contract: Address([0x77; 20]),
        }
    }

    fn query(&self, query: &[u8; 32]) -> Result<QueryFacts, Unavailable> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .get(query)
            .cloned()
            .unwrap_or_else(|| QueryFacts {
                state: QueryState::NotFunded,
                ..facts([0; 32])
            }))
    }
}

pub fn facts(plan_hash: [u8; 32]) -> QueryFacts {
    QueryFacts {
        state: QueryState::Open,
        expired: false,
        plan_hash,
        dataset: DATASET,
        snapshot: SNAPSHOT,
        members: PEOPLE as u64,
        committee: COMMITTEE,
        min_cohort: 10,
        min_cell: 5,
        codebook: codebook(),
        noise: None,
    }
}

type Deriver = Box<dyn Fn(&[u8; 32], &Origin, &[usize]) -> Option<Zero> + Send + Sync>;

/// Sums by cube, evaluations by hash, checks by id.
#[derive(Default)]
pub struct TableCiphertexts {
    pub sums: Mutex<HashMap<[u8; 32], Arc<CubeSum>>>,
    pub evaluations: Mutex<HashMap<[u8; 32], Arc<Evaluation>>>,
    pub checks: Mutex<HashMap<[u8; 32], Deriver>>,
}

impl Ciphertexts for TableCiphertexts {
    fn cube_sum(
        &self,
        dataset: u64,
        snapshot: u64,
        cube: &[u8; 32],
    ) -> Result<Arc<CubeSum>, CiphertextError> {
        let unknown = CiphertextError::UnknownSnapshot { dataset, snapshot };
        self.sums.lock().unwrap().get(cube).cloned().ok_or(unknown)
    }

    fn evaluation_approved(&self, _query: &[u8; 32], evaluation: &[u8; 32]) -> bool {
        self.evaluations.lock().unwrap().contains_key(evaluation)
    }

    fn evaluation(&self, evaluation: &[u8; 32]) -> Result<Arc<Evaluation>, CiphertextError> {
        let evaluations = self.evaluations.lock().unwrap();
        evaluations
            .get(evaluation)
            .cloned()
            .ok_or(CiphertextError::UnknownEvaluation)
    }

    fn coin_subject(&self, check: &[u8; 32]) -> Result<[u8; 32], CiphertextError> {
        let checks = self.checks.lock().unwrap();
        let known = checks.contains_key(check).then_some(*check);
        known.ok_or(CiphertextError::UnknownCheck)
    }

    fn zero(
        &self,
        check: &[u8; 32],
        coin: &[u8; 32],
        origin: &Origin,
        excluded: &[usize],
    ) -> Result<Zero, CiphertextError> {
        let checks = self.checks.lock().unwrap();
        let derive = checks.get(check).ok_or(CiphertextError::UnknownCheck)?;
        derive(coin, origin, excluded).ok_or(CiphertextError::UnknownCheck)
    }
}

/// A signature scheme for tests only: an address and the answer's hash.
pub struct TestSigner(pub Address);

fn answer_hash(answer: &SealedAnswer) -> [u8; 32] {
    *blake3::hash(format!("{answer:?}").as_bytes()).as_bytes()
}

impl Signer for TestSigner {
    fn address(&self) -> Address {
        self.0
    }

    fn sign(&self, answer: &SealedAnswer) -> Result<Signature, SignerError> {
        let mut bytes = [0; 65];
        bytes[..20].copy_from_slice(&self.0.0);
        bytes[20..52].copy_from_slice(&answer_hash(answer));
        Ok(Signature(bytes))
    }

    fn signer_of(&self, answer: &SealedAnswer, signature: &Signature) -> Option<Address> {
        let address: [u8; 20] = signature.0[..20].try_into().unwrap();
        (signature.0[20..52] == answer_hash(answer)).then_some(Address(address))
    }
}

pub const fn address(holder: HolderIndex) -> Address {
    Address([holder.0 + 1; 20])
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn session(shape: CommitteeShape, nonce: &[u8]) -> Session {
    let holders: Vec<[u8; 32]> = shape.indices().map(|h| [h.0; 32]).collect();
    Session::new(shape, &holders, 0, nonce)
}

/// Messages of one round by receiver, then by sender.
pub type Round = BTreeMap<HolderIndex, BTreeMap<HolderIndex, Message>>;

pub fn deliver(outgoing: Vec<(HolderIndex, Vec<Outgoing>)>) -> Round {
    let mut round = Round::new();
    for (from, messages) in outgoing {
        for Outgoing { to, message } in messages {
            round.entry(to).or_default().insert(from, message);
        }
    }
    round
}

/// All holders make a key in one process.
pub fn make_keys(shape: CommitteeShape, seed: u64) -> Vec<Generated> {
    let session = session(shape, &seed.to_le_bytes());
    let mut machines = BTreeMap::new();
    let mut outgoing = Vec::new();
    for holder in shape.indices() {
        let mut rng = rng(1000 * seed + u64::from(holder.0));
        let (machine, messages) = Keygen::start(session.clone(), holder, &mut rng);
        machines.insert(holder, Box::new(machine));
        outgoing.push((holder, messages));
    }
    let mut done = Vec::new();
    while !machines.is_empty() {
        let round = deliver(std::mem::take(&mut outgoing));
        for (holder, machine) in std::mem::take(&mut machines) {
            match machine.advance(&round[&holder]).unwrap() {
                Progress::Next(next, messages) => {
                    machines.insert(holder, next);
                    outgoing.push((holder, messages));
                }
                Progress::Done(generated) => done.push(*generated),
            }
        }
    }
    done
}

/// The sum of everybody's uploads.
pub fn sum(key: &PublicKey, seed: u64) -> CubeSum {
    let (cube, mut rng) = (cube(), rng(seed));
    let mut running = RunningSum::new(&cube);
    for (i, record) in records().iter().enumerate() {
        let cell = cube.cell_of(&record[..2]).unwrap();
        let person = Person([i as u8; 32]);
        let (upload, _) = encrypt_cell(key, &cube, cell, &person, &mut rng).unwrap();
        running.add(&upload).unwrap();
    }
    running.finish().unwrap()
}

/// A dataset, its committee's keys, and the tables that all holders see.
pub struct World {
    pub shape: CommitteeShape,
    pub keys: Vec<HolderKeys>,
    pub public: PublicKey,
    pub ledger: Arc<TableLedger>,
    pub ciphertexts: Arc<TableCiphertexts>,
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new(holders: u8, threshold: u8) -> Self {
        let shape = CommitteeShape::new(holders, threshold).unwrap();
        let generated = make_keys(shape, u64::from(holders));
        let public = generated[0].public.clone();
        let keys = generated
            .into_iter()
            .map(|generated| {
                let mut keys =
                    HolderKeys::generate(&mut rng(u64::from(generated.holder.0))).unwrap();
                keys.cube = Some(CubeKeys::from(generated));
                keys
            })
            .collect();
        let ciphertexts = TableCiphertexts::default();
        ciphertexts
            .sums
            .lock()
            .unwrap()
            .insert(cube().id(), Arc::new(sum(&public, 5)));
        Self {
            shape,
            keys,
            public,
            ledger: Arc::default(),
            ciphertexts: Arc::new(ciphertexts),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn surroundings(&self, holder: HolderIndex) -> Surroundings {
        Surroundings {
            ledger: self.ledger.clone(),
            ciphertexts: self.ciphertexts.clone(),
            signer: Arc::new(TestSigner(address(holder))),
        }
    }

    pub fn journal(&self, holder: HolderIndex) -> std::path::PathBuf {
        self.folder.path().join(holder.0.to_string())
    }

    pub fn holder(&self, index: u8) -> Arc<KeyHolder> {
        let holder = HolderIndex(index);
        let keys = self.keys[usize::from(index)].clone();
        let (journal, surroundings) = (self.journal(holder), self.surroundings(holder));
        let holder = KeyHolder::new(
            holder,
            self.shape,
            COMMITTEE,
            2048,
            keys,
            surroundings,
            &journal,
        );
        Arc::new(holder.unwrap())
    }

    pub fn holders(&self) -> Vec<Arc<KeyHolder>> {
        self.shape.indices().map(|h| self.holder(h.0)).collect()
    }

    /// Funds a question on the main cube.
    pub fn fund(&self, id: u8, sql: &str) -> (OpenRequest, Plan) {
        let (query, plan) = question(sql);
        let request = OpenRequest {
            query: [id; 32],
            question: query.canonical_json(),
            dataset: DATASET,
            snapshot: SNAPSHOT,
            target: Target::Cube(cube().id()),
        };
        self.ledger
            .0
            .lock()
            .unwrap()
            .insert(request.query, facts(plan.hash()));
        (request, plan)
    }

    pub fn opening(&self, request: &OpenRequest) -> Opening {
        let sums = self.ciphertexts.sums.lock().unwrap();
        let sum = sums[&cube().id()].hash();
        Opening {
            request: request.clone(),
            ciphertext_hash: salus_committee::answer::cube_ciphertext_hash(&cube().id(), &sum),
        }
    }
}

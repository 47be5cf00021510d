//! One hundred people in two chunks, three snapshots, nine queries: four answered with real proofs, three by a committee.

pub mod sealed;

use crate::bundle::{self, BundleInput, BundleQuery, SealedInput};
use ark_bn254::{Fr, G1Affine};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, UniformRand};
use ark_std::rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use salus_circuits::commitment::{CommitmentKey, FixedBase, commit};
use salus_circuits::keys::DevelopmentKey;
use salus_circuits::layout::ChunkSize;
use salus_circuits::registration::{Seat, prove};
use salus_circuits::transcript::Context;
use salus_circuits::words::{field_word, g1_from_words, g1_words, integer_word};
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{
    Account, Answer, Chain, ChunkIndex, CircuitId, Client, ColumnIndex, CommitteeKind, DatasetId,
    KnowledgeProof, NewDataset, OptIn, PassValues, QueryId, QueryOrder, Registration, SlotIndex,
    SnapshotId,
};
use salus_contracts::consent::{ClaimRequest, Consent, MemberKey, OptOut, commitments_hash};
use salus_contracts::deploy::{PaymentToken, deploy};
use salus_contracts::devchain::{Config, DevChain, ManualClock};
use salus_contracts::primitives::{Address, B256, Bytes, U256};
use salus_prover::proven::{Chunk, DatasetProver, PartProver};
use salus_schema::answer::PassValues as Published;
use salus_schema::codebook::Codebook;
use salus_schema::plan::{CircuitClass, Plan, VALUES};
use salus_schema::planner;
use salus_schema::query::Query;
use sealed::Holders;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use zeroize::Zeroizing;

const PEOPLE: usize = 100;
const SLOTS: usize = 96;
const COLUMNS: usize = 2;
const PRICE: u128 = 1_000_003;
const START: u64 = 1_794_700_800;
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
missing = ["NA"]
[[cubes]]
name = "habits"
columns = ["quit", "age"]
"#;

/// The bundle, written once.
pub fn bundle() -> &'static Path {
    static BUNDLE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUNDLE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(live(&path));
        (dir, path)
    });
    path
}

/// A copy to do harm to.
pub fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(bundle()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
    }
    // Linked: whoever changes a blob must put another file in its place.
    let blobs = |path: &Path| bundle::blobs::folder(path);
    bundle::blobs::gather(&blobs(bundle()), &blobs(dir.path())).unwrap();
    dir
}

struct Person {
    key: MemberKey,
    chunk: usize,
    slot: usize,
    codes: [u8; COLUMNS],
    blindings: [Fr; COLUMNS],
    commitments: Vec<G1Affine>,
    expiry: u64,
    nonce: u16,
    /// False once the member left.
    present: bool,
}

struct World {
    client: Client,
    dataset: DatasetId,
    basis: CommitmentKey,
    blinding_base: FixedBase,
    codebook: Codebook,
    parts: Vec<PartProver>,
    people: Vec<Person>,
    rng: ChaCha20Rng,
    admin: Account,
    custodian: Account,
    researcher: Account,
    relayer: Account,
    queries: Vec<BundleQuery>,
}

pub fn signer(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
}

impl World {
    fn place(&self) -> (u64, Address) {
        (self.client.chain().id(), self.client.deployment().registry)
    }

    fn new_person(&mut self, index: usize) -> Person {
        let codes = [
            2 + (index % 2) as u8,
            if index.is_multiple_of(17) {
                1
            } else {
                2 + (index * 7 % 50) as u8
            },
        ];
        let mut secret = [7; 32];
        secret[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
        let key = MemberKey::from_secret(&Zeroizing::new(secret)).unwrap();
        let mut person = Person {
            key,
            chunk: index / SLOTS,
            slot: index % SLOTS,
            codes,
            blindings: [Fr::ZERO; COLUMNS],
            commitments: Vec::new(),
            // The last two lapse when epoch 1 begins.
            expiry: if index >= PEOPLE - 2 { 1 } else { 9 },
            nonce: 0,
            present: true,
        };
        self.commit(&mut person);
        person
    }

    fn commit(&mut self, person: &mut Person) {
        person.blindings = [Fr::rand(&mut self.rng), Fr::rand(&mut self.rng)];
        let basis = &self.basis.slots[person.slot];
        person.commitments = person
            .codes
            .iter()
            .zip(&person.blindings)
            .map(|(code, r)| commit(basis, &self.blinding_base, *code, r).into_affine())
            .collect();
        person.nonce += 1;
    }

    fn registration(&mut self, person: &Person) -> Registration {
        let (chain_id, registry) = self.place();
        let member = person.key.address();
        let seat = Seat {
            chain_id,
            registry: registry.into_array(),
            dataset: u64::from(self.dataset.0),
            chunk: person.chunk as u32,
            slot: person.slot as u32,
            member: member.into_array(),
        };
        let basis = self.basis.slots[person.slot];
        let (codes, blindings) = (&person.codes, &person.blindings);
        let proof = prove(
            &seat,
            &basis,
            &self.blinding_base,
            codes,
            blindings,
            &person.commitments,
            &mut self.rng,
        );
        let commitments: Vec<_> = person.commitments.iter().map(g1_words).collect();
        let consent = Consent {
            dataset: self.dataset,
            chunk: ChunkIndex(person.chunk as u32),
            slot: SlotIndex(person.slot as u32),
            purposes: B256::with_last_byte(1),
            expiry_epoch: person.expiry,
            commitments_hash: commitments_hash(&commitments),
            payout_id: B256::repeat_byte(9),
            nonce: person.nonce,
        };
        Registration {
            slot: consent.slot,
            member,
            expiry_epoch: consent.expiry_epoch,
            purposes: consent.purposes,
            payout_id: consent.payout_id,
            nonce: consent.nonce,
            commitments,
            basis: g1_words(&basis),
            path: self
                .basis
                .path(person.slot)
                .into_iter()
                .map(B256::from)
                .collect(),
            proof: KnowledgeProof {
                r: g1_words(&proof.r),
                s1: field_word(&proof.s1),
                s2: field_word(&proof.s2),
            },
            signature: person
                .key
                .sign_consent(chain_id, registry, &consent)
                .unwrap(),
        }
    }

    async fn join_all(&mut self) {
        let people: Vec<Person> = (0..PEOPLE).map(|index| self.new_person(index)).collect();
        for batch in people.chunks(16) {
            for chunk in 0..2 {
                let members: Vec<Registration> = batch
                    .iter()
                    .filter(|p| p.chunk == chunk)
                    .map(|p| self.registration(p))
                    .collect();
                if !members.is_empty() {
                    let opt_in = OptIn {
                        dataset: self.dataset,
                        chunk: ChunkIndex(chunk as u32),
                        members,
                    };
                    self.client
                        .opt_in_batch(&self.admin, &opt_in)
                        .await
                        .unwrap();
                }
            }
        }
        self.people = people;
    }

    fn chunks(&self) -> Vec<Chunk> {
        (0..2)
            .map(|chunk| {
                let mut codes = vec![vec![0; SLOTS]; COLUMNS];
                let mut blindings = vec![Fr::ZERO; COLUMNS];
                for person in self.people.iter().filter(|p| p.chunk == chunk && p.present) {
                    for column in 0..COLUMNS {
                        codes[column][person.slot] = person.codes[column];
                        blindings[column] += person.blindings[column];
                    }
                }
                Chunk::new(codes, blindings)
            })
            .collect()
    }

    async fn fund(
        &mut self,
        sql: &str,
        snapshot: SnapshotId,
        nonce: u64,
        window: u64,
    ) -> (QueryId, Query) {
        let query = Query::from_sql(sql, &self.codebook).unwrap();
        let (plan, _) = planner::plan(&query, &self.codebook).unwrap();
        let now = self.client.chain().timestamp().await.unwrap();
        let order = QueryOrder {
            dataset: self.dataset,
            snapshot,
            plan_hash: B256::from(plan.hash()),
            body_hash: B256::from(query.hash()),
            token: self.client.deployment().token,
            amount: PRICE,
            deadline: (now + window) as u32,
            nonce,
        };
        let id = self
            .client
            .fund(&self.researcher, &order)
            .await
            .unwrap()
            .value;
        self.queries.push(BundleQuery {
            sql: sql.to_owned(),
            body: query.canonical_json(),
            plan: plan.to_bytes(),
            query_id: id.0.0,
            answer: serde_json::Value::Null,
        });
        (id, query)
    }

    async fn commitments(&self, snapshot: SnapshotId) -> Vec<Vec<G1Affine>> {
        let columns: Vec<_> = (0..COLUMNS as u16).map(ColumnIndex).collect();
        self.client
            .column_commitments(self.dataset, snapshot, &columns)
            .await
            .unwrap()
            .iter()
            .map(|row| {
                row.iter()
                    .map(|words| g1_from_words(words).unwrap())
                    .collect()
            })
            .collect()
    }

    /// True values of a plan for those who are present.
    async fn exact(&self, snapshot: SnapshotId, plan: &Plan) -> Vec<[u64; VALUES]> {
        let (chunks, commitments) = (self.chunks(), self.commitments(snapshot).await);
        let prover = DatasetProver::new(&self.parts, &chunks, &commitments).unwrap();
        prover.exact_totals(plan).unwrap()
    }

    async fn ask(&mut self, sql: &str, snapshot: SnapshotId, nonce: u64) {
        let (id, query) = self.fund(sql, snapshot, nonce, 3600).await;
        let (plan, decoder) = planner::plan(&query, &self.codebook).unwrap();
        let commitments = self.commitments(snapshot).await;
        let chunks = self.chunks();
        let prover = DatasetProver::new(&self.parts, &chunks, &commitments).unwrap();
        let exact = prover.exact_totals(&plan).unwrap();
        let masks = decoder.suppression_masks(&exact, 3).unwrap().masks;
        let context = Context {
            chain_id: self.client.chain().id(),
            market: self.client.deployment().market.into_array(),
            dataset: u64::from(self.dataset.0),
            snapshot: u64::from(snapshot.0),
            query_id: id.0.0,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(nonce);
        let proven = prover
            .prove(
                &context,
                &plan,
                &masks,
                Vec::new(),
                &AtomicBool::new(false),
                |_, _| {},
                &mut rng,
            )
            .unwrap();
        let passes = plan
            .passes()
            .iter()
            .zip(&proven.totals)
            .map(|(pass, total)| PassValues {
                mask: total.mask,
                rho: total.blinding,
                values: total.values[..pass.values()]
                    .iter()
                    .map(|v| integer_word(u128::from(*v)))
                    .collect(),
            });
        let answer = Answer {
            query: id,
            plan: Bytes::from(plan.to_bytes()),
            passes: passes.collect(),
            proofs: proven
                .proofs
                .iter()
                .flat_map(|proof| proof.to_words())
                .collect(),
        };
        self.client
            .accept_answer(&self.custodian, &answer)
            .await
            .unwrap();
        let published: Vec<_> = proven
            .totals
            .iter()
            .map(|t| Published {
                values: t.values,
                mask: t.mask,
            })
            .collect();
        let rows = decoder.decode(&published).unwrap().rows;
        self.queries.last_mut().unwrap().answer = serde_json::to_value(rows).unwrap();
    }

    async fn claim(&self, people: std::ops::Range<usize>, snapshot: SnapshotId, many: bool) {
        let (token, pool) = (
            self.client.deployment().token,
            self.client.deployment().pool,
        );
        let chain_id = self.client.chain().id();
        let claims: Vec<_> = self.people[people]
            .iter()
            .map(|person| {
                let request = ClaimRequest {
                    dataset: self.dataset,
                    snapshot,
                    chunk: ChunkIndex(person.chunk as u32),
                    slot: SlotIndex(person.slot as u32),
                    token,
                    recipient: person.key.address(),
                    fee: U256::from(5),
                    paid_before: U256::ZERO,
                };
                person.key.sign_claim(chain_id, pool, &request).unwrap()
            })
            .collect();
        if many {
            for claims in claims.chunks(25) {
                self.client.claim_many(&self.relayer, claims).await.unwrap();
            }
        } else {
            for claim in &claims {
                self.client.claim(&self.relayer, claim).await.unwrap();
            }
        }
    }

    async fn change(&mut self) {
        let (chain_id, registry) = self.place();
        // One member leaves with a signature, one corrects an age.
        let leaver = &self.people[3];
        let id = OptOut {
            dataset: self.dataset,
            chunk: ChunkIndex(0),
            slot: SlotIndex(3),
        };
        let signature = leaver.key.sign_opt_out(chain_id, registry, id).unwrap();
        let held: Vec<_> = leaver.commitments.iter().map(g1_words).collect();
        self.client
            .opt_out(
                &self.relayer,
                id.dataset,
                id.chunk,
                id.slot,
                &held,
                Some(signature),
            )
            .await
            .unwrap();
        self.people[3].present = false;
        let mut person = self.people.remove(5);
        let previous: Vec<_> = person.commitments.iter().map(g1_words).collect();
        person.codes[1] = 44;
        self.commit(&mut person);
        let update = self.registration(&person);
        self.client
            .rectify(&self.admin, self.dataset, ChunkIndex(0), &update, &previous)
            .await
            .unwrap();
        self.people.insert(5, person);
    }
}

async fn create(key: &salus_circuits::keys::ProvingKey) -> World {
    let config = Config {
        clock: Arc::new(ManualClock::new(START)),
        ..Config::default()
    };
    let chain = Chain::embedded(DevChain::new(
        config.fund((1..=7).map(|byte| signer(byte).address())),
    ));
    let [admin, custodian, researcher, relayer] =
        std::array::from_fn(|i| Account::new(&chain, signer(i as u8 + 1)));
    let codebook = Codebook::from_toml(CODEBOOK).unwrap();
    let words = bundle::keys::key_words(&key.vk);
    let client = deploy(&admin, PaymentToken::Development, &[&words])
        .await
        .unwrap()
        .client;
    let dataset = client
        .create_dataset(
            &admin,
            &NewDataset {
                schema_hash: B256::from(codebook.hash()),
                purposes: B256::with_last_byte(1),
                columns: COLUMNS as u16,
                circuit_k4: Some(CircuitId(B256::from(key.vk.circuit_id()))),
                circuits_k8: None,
                min_cohort: 5,
                min_cell: 3,
                reward_bps: 7_000,
                epoch_length: 0,
                custodian: custodian.address(),
                price: Some((client.deployment().token, PRICE)),
            },
        )
        .await
        .unwrap()
        .value;
    client
        .set_issuer(&admin, dataset, admin.address(), true)
        .await
        .unwrap();
    client
        .mint(&admin, researcher.address(), U256::from(100 * PRICE))
        .await
        .unwrap();
    World {
        client,
        dataset,
        blinding_base: FixedBase::new(&key.commitment.blinding),
        basis: key.commitment.clone(),
        codebook,
        parts: Vec::new(),
        people: Vec::new(),
        rng: ChaCha20Rng::seed_from_u64(11),
        admin,
        custodian,
        researcher,
        relayer,
        queries: Vec::new(),
    }
}

async fn live(dir: &Path) {
    let id = DevelopmentKey {
        size: ChunkSize::Tiny,
        class: CircuitClass::K4,
        part: 0,
    };
    let key = Arc::new(id.generate(false).unwrap());
    assert_eq!(key.shape().slots, SLOTS);
    let mut world = create(&key).await;
    world.parts = vec![PartProver::new(key.clone())];
    let (admin, custodian, relayer) = (
        world.admin.clone(),
        world.custodian.clone(),
        world.relayer.clone(),
    );
    let (client, dataset) = (world.client.clone(), world.dataset);
    let token = client.deployment().token;

    let public = tempfile::tempdir().unwrap();
    let mut holders = Holders::register(&world, public.path()).await;
    holders.bind(&world, CommitteeKind::Cubes).await;
    world.join_all().await;
    holders.upload(&mut world).await;
    let first = client.snapshot(&admin, dataset).await.unwrap().value;
    world
        .ask(
            "SELECT quit, COUNT(*) FROM smokers WHERE age BETWEEN 30 AND 60 GROUP BY quit",
            first,
            1,
        )
        .await;
    world
        .ask("SELECT quit, AVG(age) FROM smokers GROUP BY quit", first, 2)
        .await;
    let (cubes, ad_hoc) = (CommitteeKind::Cubes, CommitteeKind::AdHoc);
    holders.add_up(&world, first).await;
    let sql = "SELECT quit, COUNT(*) FROM smokers WHERE age > 40 GROUP BY quit";
    holders.ask(&mut world, sql, first, 7, cubes, 2).await;
    holders.link(&mut world, first).await;
    let (refused, _) = world
        .fund(
            "SELECT COUNT(*) FROM smokers WHERE age = 30",
            first,
            3,
            3600,
        )
        .await;
    client.refuse(&custodian, refused, 1).await.unwrap();
    client
        .settle(&relayer, dataset, first, token)
        .await
        .unwrap();
    world.claim(0..PEOPLE, first, true).await;

    world.change().await;
    holders.upload(&mut world).await;
    holders.bind(&world, ad_hoc).await;
    let second = client.snapshot(&custodian, dataset).await.unwrap().value;
    world.ask("SELECT SUM(age) FROM smokers", second, 4).await;
    holders.add_up(&world, second).await;
    let sql = "SELECT quit, AVG(age) FROM smokers GROUP BY quit";
    holders.ask(&mut world, sql, second, 8, cubes, 3).await;
    let (late, _) = world
        .fund("SELECT COUNT(*) FROM smokers WHERE quit = 1", second, 5, 60)
        .await;
    client.advance_epoch(&admin, dataset).await.unwrap();
    client
        .expire_chunk(&relayer, dataset, ChunkIndex(1))
        .await
        .unwrap();
    for person in &mut world.people[PEOPLE - 2..] {
        person.present = false;
    }
    let third = client.snapshot(&admin, dataset).await.unwrap().value;
    world.ask("SELECT COUNT(*) FROM smokers", third, 6).await;
    holders.add_up(&world, third).await;
    let sql = "SELECT COUNT(*) FROM smokers WHERE quit = 1";
    let doubted = holders.ask(&mut world, sql, third, 9, ad_hoc, 2).await;
    client.chain().advance_time(3600).await.unwrap();
    client.refund(&relayer, late).await.unwrap();
    client
        .settle(&relayer, dataset, second, token)
        .await
        .unwrap();
    client
        .settle(&relayer, dataset, third, token)
        .await
        .unwrap();
    world.claim(0..2, third, false).await;
    client
        .withdraw(&relayer, token, world.researcher.address())
        .await
        .unwrap();
    client
        .withdraw(&relayer, token, custodian.address())
        .await
        .unwrap();

    holders.bonds(&world, &doubted).await;

    let input = BundleInput {
        client: &client,
        dataset,
        codebook: &world.codebook,
        keys: vec![key.vk.clone()],
        basis: &world.basis,
        queries: &world.queries,
        sealed: Some(SealedInput {
            uploads: public.path(),
            blobs: &public.path().join("blobs"),
            contents: &holders.contents,
        }),
    };
    let summary = bundle::write(dir, false, &input, |_, _| {}).await.unwrap();
    assert!(summary.transactions > 50);
    // Uploads of 100 people and of one of them anew, three sums, two keys, list and output of an
    // evaluation, five masks, statement and proof of a link.
    assert_eq!(summary.blobs, 115);
    assert!(summary.blob_bytes > 101 * 98_304 && summary.blob_bytes < summary.bytes);
}

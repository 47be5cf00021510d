//! A committee of three whose keys lie here: uploads are encrypted and added for real, what holders would open is counted
//! in the clear.

use super::{World, signer};
use crate::audit::sealed::cube_ciphertext_hash;
use crate::bundle::sealed::{CommitteeEntry, EvaluationEntry, LinkEntry, SealedBundle, SumEntry};
use crate::sealed::uploads::{UploadRecord, UploadWriter};
use salus_blobs::{BlobStore, ContentId};
use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::{Announcement, LinkContext, LinkStatement, Mask};
use salus_circuits::words::integer_word;
use salus_committee::opening::coin_of;
use salus_contracts::PrivateKeySigner;
use salus_contracts::client::{
    Account, ChunkIndex, CommitteeId, CommitteeKind, Equivocation, NewCommittee, PassValues,
    SealedSubmission, SlotIndex, SnapshotId,
};
use salus_contracts::primitives::{Address, B256, Bytes, U256};
use salus_contracts::sealed::{
    SealedAnswer, SealedUpload, by_signer, committee_acceptance_digest, committee_id, release_hash,
    results_hash, sealed_answer_digest, sealed_upload_digest, sign,
};
use salus_cubes::encrypt::{Identity, encrypt_cell};
use salus_cubes::key::{PublicKey, SubsetKey};
use salus_cubes::link::encrypt_mask;
use salus_cubes::sum::RunningSum;
use salus_cubes::upload::Upload;
use salus_prover::sealed::{LinkInput, Masks, prove_link};
use salus_schema::answer::PassValues as Published;
use salus_schema::planner;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Seconds of notice before a bond leaves, and one more.
const NOTICE: u64 = 30 * 24 * 3600 + 1;
pub const BOND: u128 = 1_007;

/// The holders' signing keys, ascending by address.
pub fn holders() -> Vec<PrivateKeySigner> {
    let mut keys: Vec<_> = (5..=7).map(signer).collect();
    keys.sort_by_key(PrivateKeySigner::address);
    keys
}

pub(super) struct Holders {
    keys: Vec<PrivateKeySigner>,
    public_key: PublicKey,
    ids: [CommitteeId; 2],
    blobs: BlobStore,
    list: UploadWriter,
    /// What each person has uploaded last, by place.
    uploads: BTreeMap<(u32, u32), (u16, Upload)>,
    sums: BTreeMap<u32, B256>,
    pub contents: SealedBundle,
}

impl Holders {
    /// Makes keys and registers a committee of each kind.
    pub(super) async fn register(world: &World, public: &Path) -> Self {
        let seed = [9; 32];
        let shares: Vec<_> = (1..=3)
            .map(|byte| SubsetKey::new([byte; 32]).public_share(&seed))
            .collect();
        let public_key = PublicKey::from_shares(seed, &shares);
        let blobs = BlobStore::local(&public.join("blobs")).unwrap();
        let keys = holders();
        let members: Vec<Address> = keys.iter().map(PrivateKeySigner::address).collect();
        let mut contents = SealedBundle::default();
        let mut ids = Vec::new();
        for (kind, bytes) in [
            (CommitteeKind::Cubes, public_key.to_bytes()),
            (CommitteeKind::AdHoc, b"keys of a dealer".to_vec()),
        ] {
            let key = blobs.put(Bytes::from(bytes).0).await.unwrap();
            let committee = NewCommittee {
                kind,
                threshold: 2,
                key_hash: B256::from(*key.digest()),
                members: members.clone(),
            };
            let chain_id = world.client.chain().id();
            let at = world.client.committee_contract().unwrap();
            let digest = committee_acceptance_digest(chain_id, at, &committee);
            let acceptances: Vec<_> = keys.iter().map(|key| sign(key, digest).unwrap()).collect();
            let id = world
                .client
                .register_committee(&world.relayer, &committee, &acceptances)
                .await
                .unwrap()
                .value;
            assert_eq!(id, committee_id(&committee));
            contents.committees.push(CommitteeEntry {
                id: id.0,
                kind,
                key,
            });
            ids.push(id);
        }
        Self {
            keys,
            public_key,
            ids: [ids[0], ids[1]],
            blobs,
            list: UploadWriter::open(public).unwrap(),
            uploads: BTreeMap::new(),
            sums: BTreeMap::new(),
            contents,
        }
    }

    pub(super) async fn bind(&self, world: &World, kind: CommitteeKind) {
        let id = self.ids[usize::from(kind == CommitteeKind::AdHoc)];
        world
            .client
            .bind_committee(&world.admin, world.dataset, id)
            .await
            .unwrap();
    }

    /// Encrypts the records of everyone whose registration is newer than their upload.
    pub(super) async fn upload(&mut self, world: &mut World) {
        let (chain_id, registry) = world.place();
        let cube = world.codebook.cubes()[0].clone();
        for person in &world.people {
            let place = (person.chunk as u32, person.slot as u32);
            let held = self.uploads.get(&place).map(|(version, _)| *version);
            if held == Some(person.nonce) {
                continue;
            }
            let cell = cube.cell_of_record(&person.codes).unwrap();
            let identity = Identity::of(&[person.key.address().as_slice()]);
            let (upload, _) =
                encrypt_cell(&self.public_key, &cube, cell, &identity, &mut world.rng).unwrap();
            let id = self.put(upload.as_bytes().to_vec()).await;
            let said = SealedUpload {
                dataset: world.dataset,
                member: person.key.address(),
                chunk: ChunkIndex(place.0),
                slot: SlotIndex(place.1),
                nonce: person.nonce,
                epoch: 0,
                cube: B256::from(cube.id()),
                ciphertext_hash: B256::from(*id.digest()),
            };
            let digest = sealed_upload_digest(chain_id, registry, &said);
            let record = UploadRecord {
                chunk: place.0,
                slot: place.1,
                member: said.member,
                version: said.nonce,
                epoch: said.epoch,
                cube: cube.id(),
                digest: *id.digest(),
                signature: sign(&signer(1), digest).unwrap(),
            };
            self.list.push(&record).unwrap();
            self.uploads.insert(place, (person.nonce, upload));
        }
        self.list.sync().unwrap();
    }

    /// Adds the uploads of those who are present and publishes the sum.
    pub(super) async fn add_up(&mut self, world: &World, snapshot: SnapshotId) {
        let cube = &world.codebook.cubes()[0];
        let mut running = RunningSum::new(cube);
        for person in world.people.iter().filter(|person| person.present) {
            let place = (person.chunk as u32, person.slot as u32);
            running.add(&self.uploads[&place].1).unwrap();
        }
        let sum = self.put(running.finish().unwrap().to_bytes()).await;
        let hash = cube_ciphertext_hash(&cube.id(), sum.digest());
        self.sums.insert(snapshot.0, hash);
        self.contents.sums.push(SumEntry {
            committee: self.ids[0].0,
            snapshot: snapshot.0,
            cube: B256::from(cube.id()),
            sum,
        });
    }

    /// Links the uploads of a snapshot to its column commitments, as a custodian does.
    pub(super) async fn link(&mut self, world: &mut World, snapshot: SnapshotId) {
        let cube = world.codebook.cubes()[0].clone();
        let (chain_id, registry) = world.place();
        let (class, modulus) = (cube.modulus(), cube.modulus().modulus());
        let masks = Masks::draw(modulus, &mut world.rng);
        let mut ciphertexts = Vec::new();
        for value in masks.values() {
            let key = &self.public_key;
            let mask = encrypt_mask(key, cube.id(), class, *value, &mut world.rng).unwrap();
            ciphertexts.push(self.put(mask.into_bytes()).await);
        }
        let points = masks.commitments();
        let people = world.people.iter().filter(|person| person.present);
        let places: BTreeSet<_> = people.map(|p| (p.chunk as u32, p.slot as u32)).collect();
        let uploads = places
            .iter()
            .map(|place| (place.0, place.1, self.uploads[place].1.hash()));
        let announcement = Announcement::new(
            LinkContext {
                chain_id,
                contract: registry.into_array(),
                dataset: u64::from(world.dataset.0),
                snapshot: u64::from(snapshot.0),
                cube: cube.id(),
                attempt: 0,
            },
            modulus,
            &world.basis,
            cube.columns().iter().map(|column| column.0).collect(),
            world.commitments(snapshot).await,
            uploads_hash(uploads).unwrap(),
            std::array::from_fn(|e| Mask {
                commitment: points[e],
                ciphertext: *ciphertexts[e].digest(),
            }),
        );
        let seed = B256::repeat_byte(0xc0);
        let announcement = announcement.unwrap();
        let coin = coin_of(&announcement.digest(), &[seed.0]);
        let statement = LinkStatement::new(announcement, coin);
        let columns: Vec<usize> = cube.columns().iter().map(|c| usize::from(c.0)).collect();
        let private: Vec<_> = world.chunks().iter().map(|c| c.private(&columns)).collect();
        let input = LinkInput {
            key: &world.basis,
            statement: &statement,
            chunks: &private,
        };
        let proof = prove_link(&input, masks, &mut world.rng).unwrap();
        let (statement, proof) = (
            self.put(statement.to_bytes()).await,
            self.put(proof.to_bytes()).await,
        );
        self.contents.links.push(LinkEntry {
            committee: self.ids[0].0,
            snapshot: snapshot.0,
            cube: B256::from(cube.id()),
            statement,
            proof,
            masks: ciphertexts,
            coin_seeds: vec![seed],
            signatures: Vec::new(),
        });
    }

    async fn put(&self, bytes: Vec<u8>) -> ContentId {
        self.blobs.put(Bytes::from(bytes).0).await.unwrap()
    }

    /// Funds a query and has it answered by `signers` of a committee.
    pub(super) async fn ask(
        &mut self,
        world: &mut World,
        sql: &str,
        snapshot: SnapshotId,
        nonce: u64,
        kind: CommitteeKind,
        signers: usize,
    ) -> SealedAnswer {
        let (id, query) = world.fund(sql, snapshot, nonce, 3600).await;
        let (plan, decoder) = planner::plan(&query, &world.codebook).unwrap();
        let exact = world.exact(snapshot, &plan).await;
        let masks = decoder.suppression_masks(&exact, 3).unwrap().masks;
        let mut published = Vec::new();
        for (values, mask) in exact.iter().zip(masks) {
            let mut values = *values;
            for (t, value) in values.iter_mut().enumerate() {
                *value *= u64::from(mask >> t & 1 == 0);
            }
            published.push(Published { values, mask });
        }
        let passes: Vec<PassValues> = plan
            .passes()
            .iter()
            .zip(&published)
            .map(|(pass, shown)| PassValues {
                mask: shown.mask,
                rho: [0; 32],
                values: shown.values[..pass.values()]
                    .iter()
                    .map(|v| integer_word(u128::from(*v)))
                    .collect(),
            })
            .collect();
        let ciphertext_hash = match kind {
            CommitteeKind::Cubes => self.sums[&snapshot.0],
            CommitteeKind::AdHoc => B256::from(*ContentId::of(b"output").digest()),
        };
        let committee = self.ids[usize::from(kind == CommitteeKind::AdHoc)];
        let answer = SealedAnswer {
            query: id,
            dataset: world.dataset,
            snapshot,
            committee,
            ciphertext_hash,
            plan_hash: B256::from(plan.hash()),
            results_hash: results_hash(&passes),
            release_hash: release_hash(5, 3),
        };
        if kind == CommitteeKind::AdHoc {
            let uploads = self.put(b"list".to_vec()).await;
            let output = self.put(b"output".to_vec()).await;
            self.contents.evaluations.push(EvaluationEntry {
                query: id.0,
                keys: B256::from(*ContentId::of(b"keys of a dealer").digest()),
                uploads,
                output,
                hash: ciphertext_hash,
            });
        }
        let submission = SealedSubmission {
            query: id,
            plan: Bytes::from(plan.to_bytes()),
            passes,
            committee,
            ciphertext_hash,
            signatures: self.signed(world, &answer, signers),
        };
        world
            .client
            .accept_sealed_answer(&world.relayer, &submission)
            .await
            .unwrap();
        let rows = decoder.decode(&published).unwrap().rows;
        world.queries.last_mut().unwrap().answer = serde_json::to_value(rows).unwrap();
        answer
    }

    fn signed(&self, world: &World, answer: &SealedAnswer, signers: usize) -> Vec<[u8; 65]> {
        let market = world.client.deployment().market;
        let digest = sealed_answer_digest(world.client.chain().id(), market, answer);
        let keys = &self.keys[..signers];
        let signatures = keys.iter().map(|key| sign(key, digest).unwrap());
        let ordered = by_signer(digest, signatures);
        ordered
            .into_iter()
            .map(|(_, signature)| signature)
            .collect()
    }

    /// Two members of the second committee bond; the first of them signs two answers to one query and is slashed, the
    /// second leaves in order.
    pub(super) async fn bonds(&self, world: &World, answer: &SealedAnswer) {
        let (client, dataset) = (&world.client, world.dataset);
        let token = client.deployment().token;
        let (payer, committee) = (&world.researcher, self.ids[1]);
        let both = U256::from(2 * BOND);
        client.approve_bond(payer, token, both).await.unwrap();
        let members: Vec<Address> = self.keys.iter().map(PrivateKeySigner::address).collect();
        for member in &members[..2] {
            client
                .deposit_bond(payer, committee, *member, dataset, token, BOND)
                .await
                .unwrap();
        }
        let other = SealedAnswer {
            results_hash: B256::repeat_byte(1),
            ..*answer
        };
        let one = self.signed(world, answer, 1)[0];
        let two = self.signed(world, &other, 1)[0];
        let proof = Equivocation {
            committee,
            first: (*answer, one),
            second: (other, two),
        };
        let member = client
            .report_equivocation(&world.relayer, &proof)
            .await
            .unwrap()
            .value;
        assert_eq!(member, members[0]);
        client
            .slash_bond(&world.relayer, committee, member, dataset, token)
            .await
            .unwrap();
        let leaver = Account::new(client.chain(), self.keys[1].clone());
        client
            .give_notice(&leaver, committee, dataset, token, BOND)
            .await
            .unwrap();
        client.chain().advance_time(NOTICE).await.unwrap();
        client
            .withdraw_bond(&leaver, committee, dataset, token)
            .await
            .unwrap();
        client
            .unbind_committee(&world.admin, dataset, CommitteeKind::AdHoc)
            .await
            .unwrap();
    }
}

//! Intake: ciphertexts from everybody, checked by the committee without seeing one, and linked to the commitments.

use super::super::ask::interrupted;
use super::super::cast::Cast;
use super::super::join::{Cohort, Dataset};
use super::{Sealed, failed};
use crate::error::{CliError, Kind};
use crate::progress::{Interrupt, Stage};
use crate::sealed::attestations::{self, AttestationWriter};
use crate::sealed::checks::{BATCH, Check, CheckFolder, Ready, one_hot_subject};
use crate::sealed::ciphertexts::{self, PublicUploads};
use crate::sealed::gather::{self, Registry};
use crate::sealed::link;
use crate::sealed::roster::Seated;
use crate::sealed::seal::{Outbox, SealError, identity, seal};
use crate::sealed::uploads::UploadWriter;
use bytes::Bytes;
use rand::rngs::OsRng;
use salus_blobs::ContentId;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::statement::uploads_hash as link_uploads;
use salus_circuits::link::{Announcement, LinkContext, LinkStatement, Mask, REPETITIONS};
use salus_committee::opening::{CheckRequest, CoinSeed, ZeroTarget, coin_of};
use salus_committee::service::{ClientError, CommitteeOpener};
use salus_contracts::primitives::hex;
use salus_cubes::check::{Batch, CheckError, Submission, Zero, check};
use salus_cubes::link::encrypt_mask;
use salus_prover::sealed::link::{LinkInput, Masks, prove_link};
use salus_schema::codebook::Codebook;
use salus_schema::cube::Cube;
use std::time::Instant;

/// Cheaters after which a check gives up.
const MOST_CHEATERS: usize = 8;

/// A link as an auditor needs it.
pub struct LinkBlobs {
    /// The cube.
    pub cube: [u8; 32],
    /// The statement.
    pub statement: ContentId,
    /// The proof.
    pub proof: ContentId,
    /// The encrypted masks.
    pub masks: Vec<ContentId>,
    /// What each subset of holders contributed to the coin.
    pub coins: Vec<[u8; 32]>,
}

/// What intake cost and left.
pub struct Intake {
    /// Seconds of encrypting and filing, per upload.
    pub seal_seconds: f64,
    /// Uploads.
    pub uploads: usize,
    /// Bytes of one upload.
    pub upload_bytes: usize,
    /// Relations that the committee opened.
    pub relations: usize,
    /// Elements that the committee opened.
    pub elements: usize,
    /// Seconds of the checks.
    pub check_seconds: f64,
    /// The links.
    pub links: Vec<LinkBlobs>,
    /// Seconds of the links.
    pub link_seconds: f64,
}

/// The committee's coin for what is fixed by now, and the seeds it is made of.
async fn coin(sealed: &Sealed, subject: [u8; 32]) -> Result<([u8; 32], Vec<CoinSeed>), CliError> {
    let seeds = sealed.clients[0].coin(subject).await;
    let seeds = seeds.map_err(|e| failed("the coin", e))?;
    Ok((coin_of(&subject, &seeds), seeds))
}

/// Takes everybody's uploads in.
#[allow(clippy::too_many_arguments)]
pub async fn take_in(
    sealed: &mut Sealed,
    cast: &Cast,
    joined: &Dataset,
    codebook: &Codebook,
    cohort: &Cohort,
    basis: &CommitmentKey,
    codes: &(dyn Fn((u32, u32)) -> Vec<u8> + Sync),
    interrupt: &Interrupt,
) -> Result<Intake, CliError> {
    let registry = Registry {
        chain: cast.chain.id(),
        contract: joined.client.deployment().registry,
        dataset: joined.dataset,
    };
    let roster = gather::roster(&joined.client, joined.dataset).await;
    let roster = roster.map_err(|e| super::chain_error(&e))?;
    let seated = roster
        .at(cohort.snapshot.0)
        .ok_or_else(|| failed("the roster", "the chain counted other members"))?;

    let start = Instant::now();
    let state = joined.client.dataset(joined.dataset).await;
    let epoch = state.map_err(|e| super::chain_error(&e))?.epoch.0;
    file_all(
        sealed, cast, &registry, epoch, codebook, &seated, codes, interrupt,
    )
    .await?;
    let uploads = seated.len() * codebook.cubes().len();
    let seal_seconds = start.elapsed().as_secs_f64() / uploads.max(1) as f64;
    sealed.start().await?;

    let view = sealed.view(joined, codebook)?;
    let mut intake = Intake {
        seal_seconds,
        uploads,
        upload_bytes: salus_cubes::upload::UPLOAD_BYTES,
        relations: 0,
        elements: 0,
        check_seconds: 0.0,
        links: Vec::new(),
        link_seconds: 0.0,
    };
    let snapshot = u64::from(cohort.snapshot.0);
    let start = Instant::now();
    check_all(
        sealed,
        &view,
        &registry,
        snapshot,
        &seated,
        &mut intake,
        interrupt,
    )
    .await?;
    intake.check_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let stage = Stage::begin("  link to the commitments", codebook.cubes().len() as u64);
    for (number, cube) in codebook.cubes().iter().enumerate() {
        if interrupt.stopped() {
            return Err(interrupted());
        }
        let made = link_cube(sealed, &view, cohort, basis, cube, snapshot).await?;
        intake.links.push(made);
        stage.at(number as u64 + 1);
    }
    intake.link_seconds = start.elapsed().as_secs_f64();
    stage.end(&format!("{REPETITIONS} random combinations each, all zero"));
    Ok(intake)
}

/// Encrypts and files every record once per cube.
#[allow(clippy::too_many_arguments)]
async fn file_all(
    sealed: &Sealed,
    cast: &Cast,
    registry: &Registry,
    epoch: u32,
    codebook: &Codebook,
    seated: &[Seated],
    codes: &(dyn Fn((u32, u32)) -> Vec<u8> + Sync),
    interrupt: &Interrupt,
) -> Result<(), CliError> {
    let total = seated.len() * codebook.cubes().len();
    let stage = Stage::begin("  encrypt and upload", total as u64);
    let list = |e| failed("a list", e);
    let blobs = sealed.blobs()?;
    let mut uploads = UploadWriter::open(&sealed.public()).map_err(list)?;
    let mut private = AttestationWriter::open(&sealed.inbox()).map_err(list)?;
    let mut out = Outbox {
        blobs: &blobs,
        list: &mut uploads,
        attestations: &mut private,
        issuer: &cast.issuer_signer,
        epoch,
    };
    for (number, cube) in codebook.cubes().iter().enumerate() {
        let before = number * seated.len();
        let filed = seal(
            registry,
            &sealed.key,
            cube,
            seated,
            codes,
            &mut out,
            |done| {
                stage.at((before + done) as u64);
                !interrupt.stopped()
            },
        );
        filed.await.map_err(|e| match e {
            SealError::Interrupted => interrupted(),
            other => failed("an upload", other),
        })?;
    }
    let bytes = total * salus_cubes::upload::UPLOAD_BYTES;
    stage.end(&format!(
        "{total} ciphertexts of {} cube{}, {} MB",
        codebook.cubes().len(),
        if codebook.cubes().len() == 1 { "" } else { "s" },
        bytes / 1_000_000
    ));
    Ok(())
}

/// The committee checks that every upload is a one-hot, and learns nothing else.
async fn check_all(
    sealed: &Sealed,
    view: &PublicUploads,
    registry: &Registry,
    snapshot: u64,
    seated: &[Seated],
    intake: &mut Intake,
    interrupt: &Interrupt,
) -> Result<(), CliError> {
    let cubes = view.codebook.cubes();
    let stage = Stage::begin("  committee: check uploads", intake.uploads as u64);
    let folder = CheckFolder(sealed.inbox());
    let attested = attestations::read(&sealed.inbox()).map_err(|e| failed("attestations", e))?;
    let leader = &sealed.clients[0];
    let mut done = 0;
    for cube in cubes {
        let id = cube.id();
        let dataset = u64::from(registry.dataset.0);
        let known = view
            .members(dataset, snapshot, &id)
            .await
            .map_err(|e| failed("the uploads", e))?;
        for from in (0..seated.len()).step_by(BATCH as usize) {
            if interrupt.stopped() {
                return Err(interrupted());
            }
            let people = &seated[from..seated.len().min(from + BATCH as usize)];
            let digests: Vec<[u8; 32]> = people.iter().map(|s| known.included[&s.place]).collect();
            let batch = digests.iter().filter_map(|d| Some((d, attested.get(d)?)));
            let subject = one_hot_subject(&known, snapshot, &id, from as u32, batch);
            let (drawn, seeds) = coin(sealed, subject).await?;
            let filed = folder.file(&Check::OneHot {
                dataset,
                snapshot,
                cube: hex::encode(id),
                from: from as u32,
                to: (from + people.len()) as u32,
                subject: hex::encode(subject),
            });
            let filed = filed.map_err(|e| failed("a check", e))?;
            let mut held = Vec::with_capacity(people.len());
            for digest in &digests {
                let upload = ciphertexts::upload(&view.blobs, *digest).await;
                held.push(upload.map_err(|e| failed("an upload", e))?);
            }
            let mut opener = CommitteeOpener::new(leader, view.runtime.clone(), filed, seeds);
            let report = tokio::task::block_in_place(|| {
                let mut submissions = Vec::with_capacity(people.len());
                for ((seated, digest), upload) in people.iter().zip(&digests).zip(&held) {
                    let attestation = attested
                        .get(digest)
                        .ok_or_else(|| failed("an attestation", "it is missing"))?;
                    submissions.push(Submission {
                        identity: identity(registry, seated, &id),
                        upload,
                        attestation,
                    });
                }
                let batch = Batch::new(cube, &submissions).map_err(|e| failed("a batch", e))?;
                check(&batch, &drawn, &mut opener, MOST_CHEATERS).map_err(|e| checking(&e))
            })?;
            if let Some(cheater) = report.cheaters.first() {
                return Err(CliError::new(
                    Kind::Invalid,
                    "upload_rejected",
                    format!(
                        "{} uploads are no one-hots; the first failed {:?}",
                        report.cheaters.len(),
                        cheater.failed
                    ),
                    "Report this: the demo's own uploads are honest.",
                ));
            }
            intake.relations += report.relations;
            intake.elements += report.elements;
            done += people.len();
            stage.at(done as u64);
        }
    }
    stage.end(&format!(
        "{} relations and {} subset sums opened, all zero",
        intake.relations, intake.elements
    ));
    Ok(())
}

fn checking(error: &CheckError<ClientError>) -> CliError {
    match error {
        CheckError::Opener(why) => failed("the check", why),
        other => failed("the check", other),
    }
}

/// One cube's link between ciphertexts and commitments, made by the custodian and opened by the committee.
async fn link_cube(
    sealed: &Sealed,
    view: &PublicUploads,
    cohort: &Cohort,
    basis: &CommitmentKey,
    cube: &Cube,
    snapshot: u64,
) -> Result<LinkBlobs, CliError> {
    let wrong = |e: &dyn std::fmt::Display| failed("the link", e);
    let id = cube.id();
    let dataset = u64::from(cohort.dataset.0);
    let known = view
        .members(dataset, snapshot, &id)
        .await
        .map_err(|e| wrong(&e))?;
    let registry = &known.registry;
    let columns: Vec<u16> = cube.columns().iter().map(|c| c.0).collect();
    let places = known.included.iter();
    let places = places.map(|((c, s), digest)| (*c, *s, *digest));
    let about = link_uploads(places).map_err(|e| wrong(&e))?;

    let masks = Masks::draw(cube.modulus().modulus(), &mut OsRng);
    let mut ciphers = Vec::with_capacity(REPETITIONS);
    for value in masks.values() {
        let mask = encrypt_mask(&sealed.key, id, cube.modulus(), *value, &mut OsRng);
        ciphers.push(mask.map_err(|e| wrong(&e))?);
    }
    let commitments = masks.commitments();
    let announced = std::array::from_fn(|e| Mask {
        commitment: commitments[e],
        ciphertext: ciphers[e].hash(),
    });
    let context = LinkContext {
        chain_id: registry.chain,
        contract: registry.contract.into_array(),
        dataset,
        snapshot,
        cube: id,
        attempt: 0,
    };
    let rows = cohort
        .commitments
        .iter()
        .map(|row| columns.iter().map(|c| row[usize::from(*c)]).collect())
        .collect();
    let announcement = Announcement::new(
        context,
        cube.modulus().modulus(),
        basis,
        columns.clone(),
        rows,
        about,
        announced,
    )
    .map_err(|e| wrong(&e))?;
    let (drawn, seeds) = coin(sealed, announcement.digest()).await?;
    let statement = LinkStatement::new(announcement, drawn);
    let indices: Vec<usize> = columns.iter().map(|c| usize::from(*c)).collect();
    let private: Vec<_> = cohort.chunks.iter().map(|c| c.private(&indices)).collect();
    let input = LinkInput {
        key: basis,
        statement: &statement,
        chunks: &private,
    };
    let proof = tokio::task::block_in_place(|| prove_link(&input, masks, &mut OsRng));
    let proof = proof.map_err(|e| wrong(&e))?;

    let put = async |bytes: Vec<u8>| {
        let stored = view.blobs.put(Bytes::from(bytes)).await;
        stored.map_err(|e| failed("a blob", e))
    };
    let mut made = LinkBlobs {
        cube: id,
        statement: put(statement.to_bytes()).await?,
        proof: put(proof.to_bytes()).await?,
        masks: Vec::new(),
        coins: seeds.clone(),
    };
    for cipher in ciphers {
        made.masks.push(put(cipher.into_bytes()).await?);
    }
    let folder = CheckFolder(sealed.inbox());
    for repetition in 0..REPETITIONS as u32 {
        let filed = folder.file(&Check::Link {
            statement: made.statement.to_string(),
            proof: made.proof.to_string(),
            masks: made.masks.iter().map(ContentId::to_string).collect(),
            repetition,
        });
        let filed = filed.map_err(|e| failed("a check", e))?;
        let ready = link::prepare(view, &made.statement, &made.proof, &made.masks, repetition);
        let ready = ready.await.map_err(|e| wrong(&e))?;
        let Ready::Link {
            zero: Zero::Form(form),
            ..
        } = ready
        else {
            return Err(wrong(&"it is no relation"));
        };
        let request = CheckRequest {
            check: filed,
            target: ZeroTarget::Link,
            excluded: Vec::new(),
            expected: form.hash(),
            coin: seeds.clone(),
        };
        let zero = sealed.clients[0]
            .check(request)
            .await
            .map_err(|e| wrong(&e))?;
        if !zero {
            return Err(CliError::new(
                Kind::Invalid,
                "link_rejected",
                "the ciphertexts hold other records than the commitments",
                "Report this: the demo's own records are one and the same.",
            ));
        }
    }
    Ok(made)
}

//! Custodians' links: the proof that uploads hold what the column commitments hold, against the commitments replayed here.

use super::Subject;
use super::ciphertexts::{Added, Outcome};
use crate::audit::report::{AuditReport, Topic};
use crate::bundle::sealed::{LinkEntry, SealedBundle};
use ark_bn254::G1Affine;
use salus_circuits::commitment::CommitmentKey;
use salus_circuits::link::statement::uploads_hash;
use salus_circuits::link::{LinkProof, LinkStatement, REPETITIONS, verify};
use salus_circuits::words::g1_from_words;
use salus_committee::opening::coin_of;
use salus_contracts::primitives::B256;
use salus_schema::cube::Cube;

/// A link after its check.
pub struct Linked {
    /// The committee that opened its forms.
    pub committee: B256,
    /// The snapshot.
    pub snapshot: u32,
    /// The cube's id.
    pub cube: B256,
    /// Whether its proof holds for this chain, these commitments and these uploads.
    pub holds: bool,
}

/// Why a link was not accepted.
enum Doubt {
    Wrong(String),
    Gap(String),
    /// Already in the report.
    Told,
}

impl From<&str> for Doubt {
    fn from(message: &str) -> Self {
        Self::Wrong(message.to_owned())
    }
}

/// Verifies every link of sealed.json.
pub fn check(
    subject: &Subject<'_>,
    contents: &SealedBundle,
    sums: &[Added],
    report: &mut AuditReport,
) -> Vec<Linked> {
    if contents.links.is_empty() {
        return Vec::new();
    }
    if contents.links.iter().any(|link| link.coin_seeds.is_empty()) {
        report.note("the bundle does not show who drew the coin of a link: a custodian that chose it can prove anything");
    }
    let key = commitment_key(subject);
    let mut linked = Vec::with_capacity(contents.links.len());
    for entry in &contents.links {
        report.checked(Topic::Links, 1);
        let name = format!(
            "the link of cube {} over snapshot {}",
            subject.cube_name(&entry.cube),
            entry.snapshot
        );
        let result = match &key {
            Some(key) => one(subject, entry, sums, key, report),
            None => Err("the slot bases are not points".into()),
        };
        linked.push(Linked {
            committee: entry.committee,
            snapshot: entry.snapshot,
            cube: entry.cube,
            holds: result.is_ok(),
        });
        match result {
            Ok(()) | Err(Doubt::Told) => {}
            Err(Doubt::Wrong(message)) => {
                report.wrong(Topic::Links, None, format!("{name}: {message}"));
            }
            Err(Doubt::Gap(gap)) => report.unchecked(Topic::Links, format!("{name}: {gap}")),
        }
    }
    linked
}

fn commitment_key(subject: &Subject<'_>) -> Option<CommitmentKey> {
    let dataset = subject.replay.registry.get(subject.dataset).ok()?;
    let points: Result<Vec<G1Affine>, _> = subject.bases.iter().map(g1_from_words).collect();
    Some(CommitmentKey::new(points.ok()?, dataset.blinding))
}

fn require(kept: bool, message: &str) -> Result<(), Doubt> {
    if kept { Ok(()) } else { Err(message.into()) }
}

fn one(
    subject: &Subject<'_>,
    entry: &LinkEntry,
    sums: &[Added],
    key: &CommitmentKey,
    report: &mut AuditReport,
) -> Result<(), Doubt> {
    let mut blob = |id| subject.blob(id, Topic::Links, report).ok_or(Doubt::Told);
    let statement = blob(&entry.statement)?;
    let proof = blob(&entry.proof)?;
    let seeds: Vec<[u8; 32]> = entry.coin_seeds.iter().map(|seed| seed.0).collect();
    require(
        entry.masks.len() == REPETITIONS,
        "it does not name one mask per repetition",
    )?;
    for mask in &entry.masks {
        blob(mask)?;
    }
    let wrong = |error: &dyn std::fmt::Display| Doubt::Wrong(error.to_string());
    let statement = LinkStatement::from_bytes(&statement).map_err(|e| wrong(&e))?;
    let proof = LinkProof::from_bytes(&proof).map_err(|e| wrong(&e))?;
    let cubes = subject.codebook.cubes();
    let cube = cubes.iter().find(|cube| cube.id() == entry.cube.0);
    let cube = cube.ok_or("the codebook has no such cube")?;
    about(subject, entry, cube, &statement)?;

    let sum = sums.iter().find(|sum| {
        sum.entry.cube == entry.cube
            && sum.entry.snapshot == entry.snapshot
            && sum.entry.committee == entry.committee
    });
    let sum =
        sum.ok_or_else(|| Doubt::Gap("its uploads are in no sum of the bundle".to_owned()))?;
    match sum.outcome {
        Outcome::Equal { .. } => {}
        Outcome::Wrong => return Err("its uploads do not hold".into()),
        Outcome::Unchecked => return Err(Doubt::Gap("uploads are missing".to_owned())),
    }
    let places = sum.uploads.iter().map(|((c, s), digest)| (*c, *s, *digest));
    let uploads = uploads_hash(places).map_err(|e| wrong(&e))?;
    let announcement = statement.announcement();
    require(
        *announcement.uploads() == uploads,
        "it is about other uploads",
    )?;
    require(
        seeds.is_empty() || *statement.coin() == coin_of(&announcement.digest(), &seeds),
        "its coin is not made of the holders' seeds",
    )?;
    verify(key, &statement, &proof).map_err(|e| wrong(&e))?;
    Ok(())
}

/// The statement is about this chain, snapshot, cube and these masks.
fn about(
    subject: &Subject<'_>,
    entry: &LinkEntry,
    cube: &Cube,
    statement: &LinkStatement,
) -> Result<(), Doubt> {
    let announcement = statement.announcement();
    let context = announcement.context();
    let here = context.chain_id == subject.at.chain_id
        && context.contract == subject.at.registry.into_array()
        && context.dataset == u64::from(subject.dataset.0)
        && context.snapshot == u64::from(entry.snapshot)
        && context.cube == entry.cube.0;
    require(here, "it is about another snapshot or cube")?;
    require(
        announcement.modulus() == cube.modulus().modulus(),
        "it is about another plaintext modulus",
    )?;
    let columns: Vec<u16> = cube.columns().iter().map(|column| column.0).collect();
    require(
        announcement.columns() == columns,
        "it is about other columns",
    )?;
    let mut masks = announcement.masks().iter().zip(&entry.masks);
    let same = masks.all(|(m, id)| m.ciphertext == *id.digest());
    require(same, "it is about other masks")?;

    let dataset = subject.replay.registry.get(subject.dataset);
    let dataset = dataset.map_err(|e| Doubt::Wrong(e.to_string()))?;
    let (chunks, _) = dataset
        .snapshot(entry.snapshot)
        .ok_or("its snapshot was not taken")?;
    let replayed: Option<Vec<Vec<G1Affine>>> = dataset
        .commitments(entry.snapshot, chunks)
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|c| row.get(usize::from(*c)).copied())
                .collect()
        })
        .collect();
    require(
        replayed.as_deref() == Some(announcement.commitments()),
        "it is about other column commitments than the chain's",
    )
}

//! Checks of uploads as files: what exactly the holders are asked to open to zero.
//!
//! A check is a small JSON file in the inbox; its id is the SHA-256 of the file. Holders derive everything else themselves:
//! who is in the snapshot from the chain, uploads from the public list, attestations from their inbox, and the coin
//! is the committee's, drawn for what the check fixes ([`Ready::subject`]).

use super::attestations;
use super::ciphertexts::{self, Members, PublicUploads};
use super::link;
use super::roster::Seated;
use super::seal::identity;
use salus_blobs::ContentId;
use salus_committee::ledger::{CiphertextError, Unavailable};
use salus_cubes::check::{Batch, Origin, Submission, Zero};
use salus_cubes::encrypt::{Attestation, Identity};
use salus_cubes::upload::Upload;
use salus_schema::cube::Cube;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// Bytes of a check's file, at most.
const MOST_BYTES: u64 = 64 << 10;
/// Uploads in one batch: what a holder keeps in memory at a time is this many times 98 KB.
pub const BATCH: u32 = 1024;
/// The folder of checks in an inbox.
const FOLDER: &str = "checks";

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// That uploads are one-hots: those at positions `from..to` of the snapshot's members in the order of their places.
    OneHot {
        /// The dataset.
        dataset: u64,
        /// The snapshot.
        snapshot: u64,
        /// The cube, hexadecimal.
        cube: String,
        /// First position.
        from: u32,
        /// Position after the last, at most [`BATCH`] further.
        to: u32,
        /// [`one_hot_subject`], hexadecimal: the coin is drawn for it.
        subject: String,
    },
    /// That the uploads of a snapshot hold what its column commitments hold: one repetition of a custodian's link.
    Link {
        /// Content id of the statement.
        statement: String,
        /// Content id of the proof.
        proof: String,
        /// Content ids of the encrypted masks, by repetition.
        masks: Vec<String>,
        /// Which repetition.
        repetition: u32,
    },
}

/// The inbox: attestations and checks, for holders only.
#[derive(Debug, Clone)]
pub struct CheckFolder(pub PathBuf);

fn unavailable(what: &'static str, reason: impl std::fmt::Display) -> CiphertextError {
    CiphertextError::Unavailable(Unavailable {
        what,
        reason: reason.to_string(),
    })
}

/// 32 bytes of hexadecimal.
pub fn word(text: &str) -> Option<[u8; 32]> {
    let bytes = salus_contracts::primitives::hex::decode(text).ok()?;
    bytes.try_into().ok()
}

/// What fixes a batch before its coin is drawn: where it belongs, and every upload with its attestation.
///
/// Without the attestations in it, somebody who knows the coin could choose an attestation that makes the batch's relations
/// zero for any upload.
pub fn one_hot_subject<'a>(
    members: &Members,
    snapshot: u64,
    cube: &[u8; 32],
    from: u32,
    batch: impl IntoIterator<Item = (&'a [u8; 32], &'a Attestation)>,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"salus/v1/check/one-hot");
    hash.update(members.registry.chain.to_be_bytes());
    hash.update(members.registry.contract);
    hash.update(members.registry.dataset.0.to_be_bytes());
    hash.update(snapshot.to_be_bytes());
    hash.update(cube);
    hash.update(from.to_be_bytes());
    for (digest, attestation) in batch {
        hash.update(digest);
        hash.update(Sha256::digest(attestation.to_bytes().as_slice()));
    }
    hash.finalize().into()
}

impl CheckFolder {
    fn path(&self, id: &[u8; 32]) -> PathBuf {
        let name = salus_contracts::primitives::hex::encode(id);
        self.0.join(FOLDER).join(name + ".json")
    }

    /// Files a check; returns its id.
    ///
    /// # Errors
    /// The disk fails.
    pub fn file(&self, check: &Check) -> std::io::Result<[u8; 32]> {
        let bytes = serde_json::to_vec(check)?;
        let id = Sha256::digest(&bytes).into();
        let path = self.path(&id);
        std::fs::create_dir_all(self.0.join(FOLDER))?;
        let beside = path.with_extension("new");
        std::fs::write(&beside, bytes)?;
        std::fs::rename(beside, path)?;
        Ok(id)
    }

    /// The check with this id.
    ///
    /// # Errors
    /// It is not there, or the file is not the one that the id names.
    pub fn read(&self, id: &[u8; 32]) -> Result<Check, CiphertextError> {
        let path = self.path(id);
        let length = std::fs::metadata(&path).map(|m| m.len());
        if length.is_ok_and(|l| l > MOST_BYTES) {
            return Err(CiphertextError::UnknownCheck);
        }
        let bytes = std::fs::read(&path).map_err(|_| CiphertextError::UnknownCheck)?;
        if Sha256::digest(&bytes)[..] != id[..] {
            return Err(CiphertextError::UnknownCheck);
        }
        let check: Check =
            serde_json::from_slice(&bytes).map_err(|_| CiphertextError::UnknownCheck)?;
        // One check has one file and so one id: limits are counted by id.
        match serde_json::to_vec(&check) {
            Ok(canonical) if canonical == bytes => Ok(check),
            _ => Err(CiphertextError::UnknownCheck),
        }
    }

    /// The folder itself.
    pub fn inbox(&self) -> &Path {
        &self.0
    }
}

/// Derives zeros of one check; lives on a thread that owns the uploads.
pub struct Deriver {
    requests: mpsc::Sender<Request>,
}

struct Request {
    coin: [u8; 32],
    origin: Origin,
    excluded: Vec<usize>,
    reply: mpsc::Sender<Option<Zero>>,
}

impl Deriver {
    /// What `origin` names, with the coin as seed.
    ///
    /// # Errors
    /// It names nothing of this check.
    pub fn derive(
        &self,
        coin: &[u8; 32],
        origin: &Origin,
        excluded: &[usize],
    ) -> Result<Zero, CiphertextError> {
        let (reply, answer) = mpsc::channel();
        let request = Request {
            coin: *coin,
            origin: origin.clone(),
            excluded: excluded.to_vec(),
            reply,
        };
        self.requests
            .send(request)
            .map_err(|_| unavailable("the check", "its thread ended"))?;
        let derived = answer
            .recv()
            .map_err(|_| unavailable("the check", "its thread ended"))?;
        derived.ok_or(CiphertextError::UnknownCheck)
    }

    fn one_hot(
        cube: Cube,
        members: Vec<(Identity, Upload, Attestation)>,
    ) -> Result<Self, CiphertextError> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let (ready, made) = mpsc::channel();
        thread::Builder::new()
            .name("salus-check".to_owned())
            .spawn(move || {
                let submissions: Vec<Submission<'_>> = members
                    .iter()
                    .map(|(identity, upload, attestation)| Submission {
                        identity: *identity,
                        upload,
                        attestation,
                    })
                    .collect();
                let batch = match Batch::new(&cube, &submissions) {
                    Ok(batch) => batch,
                    Err(error) => {
                        let _ = ready.send(Some(error.to_string()));
                        return;
                    }
                };
                let _ = ready.send(None);
                while let Ok(request) = inbox.recv() {
                    let derived = batch.derive(&request.origin, &request.excluded, &request.coin);
                    let _ = request.reply.send(derived);
                }
            })
            .map_err(|e| unavailable("a thread", e))?;
        match made.recv() {
            Ok(None) => Ok(Self { requests }),
            Ok(Some(reason)) => Err(unavailable("the batch", reason)),
            Err(_) => Err(unavailable("the check", "its thread ended")),
        }
    }
}

/// What a holder needs to answer for one check.
pub enum Ready {
    /// A batch of uploads.
    OneHot {
        /// What the coin is drawn for.
        subject: [u8; 32],
        /// Derives its zeros.
        deriver: Deriver,
    },
    /// One repetition of a link: a single relation.
    Link {
        /// What the coin is drawn for: the announcement.
        subject: [u8; 32],
        /// The coin of the proven statement.
        coin: [u8; 32],
        /// The relation.
        zero: Zero,
    },
}

impl Ready {
    /// What the coin is drawn for.
    pub const fn subject(&self) -> &[u8; 32] {
        match self {
            Self::OneHot { subject, .. } | Self::Link { subject, .. } => subject,
        }
    }

    /// What `origin` names under this coin.
    ///
    /// # Errors
    /// It names nothing of this check, or the proven statement has another coin.
    pub fn derive(
        &self,
        coin: &[u8; 32],
        origin: &Origin,
        excluded: &[usize],
    ) -> Result<Zero, CiphertextError> {
        match self {
            Self::OneHot { deriver, .. } => deriver.derive(coin, origin, excluded),
            Self::Link {
                coin: proven, zero, ..
            } if proven == coin && *origin == Origin::Link => Ok(zero.clone()),
            Self::Link { .. } => Err(CiphertextError::UnknownCheck),
        }
    }
}

/// Gathers what a check is about, from this holder's own sources.
///
/// # Errors
/// The check is not filed, or is about something else than what is there.
pub async fn prepare(
    own: &PublicUploads,
    folder: &CheckFolder,
    id: &[u8; 32],
) -> Result<Ready, CiphertextError> {
    match folder.read(id)? {
        Check::OneHot {
            dataset,
            snapshot,
            cube,
            from,
            to,
            subject,
        } => {
            let cube = word(&cube).ok_or(CiphertextError::UnknownCheck)?;
            let subject = word(&subject).ok_or(CiphertextError::UnknownCheck)?;
            let known = own.members(dataset, snapshot, &cube).await?;
            let declared = own.cube(&cube).ok_or(CiphertextError::UnknownCheck)?;
            let range = from as usize..to as usize;
            if to.saturating_sub(from) > BATCH {
                return Err(CiphertextError::UnknownCheck);
            }
            let people = known
                .seated
                .get(range)
                .ok_or(CiphertextError::UnknownCheck)?;
            let members = gather(own, folder, &known, people, &cube).await?;
            let digests: Vec<[u8; 32]> = people.iter().map(|s| known.included[&s.place]).collect();
            let batch = digests.iter().zip(members.iter().map(|(_, _, a)| a));
            if one_hot_subject(&known, snapshot, &cube, from, batch) != subject {
                return Err(CiphertextError::SumMismatch);
            }
            let deriver = Deriver::one_hot(declared.clone(), members)?;
            Ok(Ready::OneHot { subject, deriver })
        }
        Check::Link {
            statement,
            proof,
            masks,
            repetition,
        } => {
            let id = |text: &String| text.parse().map_err(|_| CiphertextError::UnknownCheck);
            let masks: Vec<ContentId> = masks.iter().map(id).collect::<Result<_, _>>()?;
            let (statement, proof) = (id(&statement)?, id(&proof)?);
            link::prepare(own, &statement, &proof, &masks, repetition).await
        }
    }
}

async fn gather(
    own: &PublicUploads,
    folder: &CheckFolder,
    members: &Members,
    people: &[Seated],
    cube: &[u8; 32],
) -> Result<Vec<(Identity, Upload, Attestation)>, CiphertextError> {
    let known =
        attestations::read(folder.inbox()).map_err(|e| unavailable("the attestations", e))?;
    let digests: Vec<[u8; 32]> = people.iter().map(|s| members.included[&s.place]).collect();
    let mut found = Vec::with_capacity(people.len());
    let mut of = people.iter().zip(&digests);
    ciphertexts::each_upload(&own.blobs, &digests, |upload| {
        let missing = || unavailable("an attestation", "it was not handed in");
        let (seated, digest) = of.next().ok_or_else(missing)?;
        let attestation = known.get(digest).ok_or_else(missing)?;
        let identity = identity(&members.registry, seated, cube);
        found.push((identity, upload, attestation.clone()));
        Ok(())
    })
    .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::gather::Registry;
    use super::*;
    use salus_contracts::client::DatasetId;
    use salus_contracts::primitives::Address;
    use salus_schema::cube::ModulusClass;

    fn members() -> Members {
        Members {
            registry: Registry {
                chain: 1,
                contract: Address::repeat_byte(2),
                dataset: DatasetId(3),
            },
            seated: Vec::new(),
            included: [].into(),
        }
    }

    fn attestation(value: u64) -> Attestation {
        let who = Identity::of(&[b"somebody"]);
        Attestation::new(ModulusClass::Counts, &who, [7; 32], [value; 4]).unwrap()
    }

    #[test]
    fn the_coin_cannot_be_known_before_the_attestation_is_fixed() {
        // An attestation chosen after the coin could make the relations of any upload zero.
        let known = members();
        let subject = |snapshot, cube, from, digest: [u8; 32], value| {
            let attestation = attestation(value);
            one_hot_subject(&known, snapshot, &cube, from, [(&digest, &attestation)])
        };
        let right = subject(1, [1; 32], 0, [7; 32], 5);
        assert_eq!(subject(1, [1; 32], 0, [7; 32], 5), right);
        for other in [
            subject(1, [1; 32], 0, [7; 32], 6),
            subject(1, [1; 32], 0, [8; 32], 5),
            subject(1, [1; 32], 1, [7; 32], 5),
            subject(1, [2; 32], 0, [7; 32], 5),
            subject(2, [1; 32], 0, [7; 32], 5),
        ] {
            assert_ne!(other, right);
        }
        let elsewhere = Members {
            registry: Registry {
                dataset: DatasetId(4),
                ..members().registry
            },
            ..members()
        };
        let attestation = attestation(5);
        let batch = [(&[7; 32], &attestation)];
        assert_ne!(one_hot_subject(&elsewhere, 1, &[1; 32], 0, batch), right);
    }

    #[test]
    fn a_check_has_one_id_however_it_is_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = CheckFolder(place.path().to_owned());
        let check = Check::OneHot {
            dataset: 1,
            snapshot: 1,
            cube: "00".repeat(32),
            from: 0,
            to: 2,
            subject: "11".repeat(32),
        };
        let id = folder.file(&check).unwrap();
        assert_eq!(folder.read(&id).unwrap(), check);
        // The same check with a blank would have limits of its own.
        let spaced = [serde_json::to_vec(&check).unwrap(), b" ".to_vec()].concat();
        let other: [u8; 32] = Sha256::digest(&spaced).into();
        std::fs::write(folder.path(&other), &spaced).unwrap();
        assert!(matches!(
            folder.read(&other),
            Err(CiphertextError::UnknownCheck)
        ));
        // A file under another name is no check at all.
        std::fs::write(folder.path(&[9; 32]), serde_json::to_vec(&check).unwrap()).unwrap();
        assert!(folder.read(&[9; 32]).is_err());
    }
}

//! One key holder, without any network: what it answers to whom, and what it remembers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use salus_cubes::key::SecretShare;
use salus_cubes::open::{self, Product};
use thiserror::Error;

use super::coin;
use super::partials_hash;
use super::question::{Opened, Place, Question};
use super::source::Source;
use super::zero::{CheckRequest, ZeroQuestion};
use crate::answer::{SealedAnswer, Signature};
use crate::dealer::DEALER_CEREMONY;
use crate::journal::{
    CountsRecord, Journal, JournalError, KeyId, QueryRecords, Record, SignedRecord, SumsRecord,
};
use crate::keys::{CubeKeys, HolderKeys};
use crate::ledger::{Address, Ciphertexts, Ledger, Signer};
use crate::message::{CeremonyStatus, CubeKeyStatus, OpenRequest, Opening, Phase, Status, Values};
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::{CommitteeShape, HolderIndex, Subset, SubsetIndex};
use crate::stream::digest;

/// Products of sums and secrets kept in memory: one sum's worth.
const CACHED_SUMS: usize = 4;

/// What other holders and clients can have a key holder do. Tests wrap the honest [`KeyHolder`] to misbehave.
pub trait Holder: Send + Sync {
    /// What it says of itself.
    fn status(&self) -> Status;

    /// Partials of the counts, one list per subset of the holder, ascending.
    ///
    /// # Errors
    /// Why it does not.
    fn counts(&self, opening: &Opening) -> Result<Vec<Values>, Refusal>;

    /// Partials of the sums that the counts let out.
    ///
    /// # Errors
    /// Why it does not.
    fn sums(&self, opening: &Opening, counts: &[Values]) -> Result<Vec<Values>, Refusal>;

    /// The signature of the answer that counts and sums give.
    ///
    /// # Errors
    /// Why it does not.
    fn sign(
        &self,
        opening: &Opening,
        counts: &[Values],
        sums: &[Values],
    ) -> Result<Signature, Refusal>;

    /// The subsets for which its partials are others than these; what it did not give yet, it computes, as if asked for it.
    /// `counts` are those that let the sums out, one list per subset; for [`Phase::Counts`] none.
    ///
    /// # Errors
    /// Why it does not say: why it would not give partials.
    fn vouch(
        &self,
        opening: &Opening,
        phase: Phase,
        counts: &[Values],
        hashes: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal>;

    /// The holder's seeds of the coin for a subject, one per subset of the holder, ascending, two words each.
    ///
    /// # Errors
    /// Why it does not.
    fn coin_seeds(&self, subject: &[u8; 32]) -> Result<Vec<Values>, Refusal>;

    /// Partial of what an upload check has open to zero.
    ///
    /// # Errors
    /// Why it does not.
    fn zero_partial(&self, request: &CheckRequest) -> Result<Vec<Values>, Refusal>;
}

/// Why a holder does not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("these keys have no part of a committee key yet; make or import one first")]
    NoKey,
    #[error(
        "the keys are those of {keys} of {shape}, the committee file says {expected} of {expected_shape}"
    )]
    OtherCommittee {
        keys: HolderIndex,
        shape: CommitteeShape,
        expected: HolderIndex,
        expected_shape: CommitteeShape,
    },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The honest key holder.
pub struct KeyHolder {
    holder: HolderIndex,
    shape: CommitteeShape,
    committee: [u8; 32],
    most_check_openings: usize,
    keys: HolderKeys,
    secrets: Vec<SecretShare>,
    ledger: Arc<dyn Ledger>,
    ciphertexts: Arc<dyn Ciphertexts>,
    signer: Arc<dyn Signer>,
    journal: Mutex<Journal>,
    /// By ciphertext hash.
    products: Mutex<BTreeMap<[u8; 32], Arc<Vec<Product>>>>,
}

impl std::fmt::Debug for KeyHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyHolder({}, [redacted])", self.holder)
    }
}

/// The other sides that a holder asks.
pub struct Surroundings {
    /// The chain.
    pub ledger: Arc<dyn Ledger>,
    /// The ciphertexts.
    pub ciphertexts: Arc<dyn Ciphertexts>,
    /// The signer.
    pub signer: Arc<dyn Signer>,
}

impl KeyHolder {
    /// The holder with these keys and this journal; `most_check_openings` are opened per upload check.
    ///
    /// # Errors
    /// If the keys are another holder's or the journal cannot be used.
    pub fn new(
        holder: HolderIndex,
        shape: CommitteeShape,
        committee: [u8; 32],
        most_check_openings: usize,
        keys: HolderKeys,
        surroundings: Surroundings,
        journal: &Path,
    ) -> Result<Self, StartError> {
        let cube = keys.cube.as_ref().map(|k| (k.holder(), k.shape()));
        let ceremony = keys.ceremony.as_ref().map(|k| (k.holder(), k.shape()));
        if cube.is_none() && ceremony.is_none() {
            return Err(StartError::NoKey);
        }
        for (found, found_shape) in [cube, ceremony].into_iter().flatten() {
            if (found, found_shape) != (holder, shape) {
                return Err(StartError::OtherCommittee {
                    keys: found,
                    shape: found_shape,
                    expected: holder,
                    expected_shape: shape,
                });
            }
        }
        let held = keys.cube.as_ref().map_or(&[][..], CubeKeys::subsets);
        Ok(Self {
            holder,
            shape,
            committee,
            most_check_openings,
            secrets: held.iter().map(|held| held.key().secret()).collect(),
            keys,
            ledger: surroundings.ledger,
            ciphertexts: surroundings.ciphertexts,
            signer: surroundings.signer,
            journal: Mutex::new(Journal::open(journal)?),
            products: Mutex::default(),
        })
    }

    /// Its index.
    pub const fn index(&self) -> HolderIndex {
        self.holder
    }

    /// The committee's shape.
    pub const fn shape(&self) -> CommitteeShape {
        self.shape
    }

    /// The question, after every check that this holder makes.
    ///
    /// # Errors
    /// Why it does not open it.
    pub fn question(&self, request: &OpenRequest) -> Result<Question, Refusal> {
        let (ledger, ciphertexts) = (&*self.ledger, &*self.ciphertexts);
        Question::new(request, self.shape, self.committee, ledger, ciphertexts)
    }

    /// Whether a signature is one of this holder on this answer.
    pub fn is_signed_by(&self, answer: &SealedAnswer, signature: &Signature, by: Address) -> bool {
        self.signer.signer_of(answer, signature) == Some(by)
    }

    /// Zero or not, from one list of partials per subset.
    ///
    /// # Errors
    /// If the check is not known here or the partials do not fit it.
    pub fn verdict(&self, request: &CheckRequest, partials: &[Values]) -> Result<bool, Refusal> {
        self.zero_question(request)?.verdict(partials)
    }

    fn zero_question(&self, request: &CheckRequest) -> Result<ZeroQuestion, Refusal> {
        let (market, subsets) = (self.ledger.market(), self.shape.subset_count());
        let subject = self
            .ciphertexts
            .coin_subject(&request.check)
            .map_err(super::source::unavailable)?;
        let cube = self.keys.cube.as_ref().ok_or_else(no_key)?;
        let right = request.coin.len() == subsets
            && cube.subsets().iter().all(|held| {
                let index = usize::from(held.subset().index().0);
                request.coin.get(index) == Some(&coin::seed(held.key(), market, &subject))
            });
        if !right {
            return Err(Refusal::new(
                RefusalCode::SumMismatch,
                "the coin is not the committee's for this check",
            ));
        }
        let drawn = coin::coin_of(&subject, &request.coin);
        ZeroQuestion::new(request, &drawn, subsets, market, &*self.ciphertexts)
    }

    /// The question of an opening, whose ciphertexts are those that the leader sees.
    fn checked(&self, opening: &Opening) -> Result<Question, Refusal> {
        let question = self.question(&opening.request)?;
        if question.ciphertext_hash() != opening.ciphertext_hash {
            return Err(Refusal::new(
                RefusalCode::SumMismatch,
                "this holder adds up another sum than the leader",
            ));
        }
        Ok(question)
    }

    /// The hashes of the partials that it gave for an opening, one per subset of the holder.
    pub(crate) fn given(
        &self,
        opening: &Opening,
        phase: Phase,
    ) -> Result<Option<Vec<[u8; 32]>>, Refusal> {
        let query = &opening.request.query;
        let records = self.journal().query(query).map_err(unavailable)?;
        let asked = asked(opening);
        let Some(counts) = records.counts.filter(|record| record.asked == asked) else {
            return Ok(None);
        };
        Ok(match phase {
            Phase::Counts => Some(counts.partials),
            Phase::Sums => records.sums.map(|record| record.partials),
        })
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // Every change is on disk or did not happen: a panic elsewhere leaves nothing half done.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subsets(&self) -> Vec<Subset> {
        self.shape.subsets_of(self.holder)
    }

    fn products(&self, question: &Question) -> Result<Arc<Vec<Product>>, Refusal> {
        let Source::Cube { sum, .. } = &question.source else {
            return Ok(Arc::default());
        };
        if self.secrets.is_empty() {
            return Err(no_key());
        }
        let mut cache = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = question.ciphertext_hash();
        if let Some(products) = cache.get(&hash) {
            return Ok(products.clone());
        }
        if cache.len() >= CACHED_SUMS {
            cache.pop_first();
        }
        let products = self.secrets.iter().map(|secret| Product::new(sum, secret));
        let products = Arc::new(products.collect::<Vec<_>>());
        cache.insert(hash, products.clone());
        Ok(products)
    }

    fn partials(&self, question: &Question, places: &[Place]) -> Result<Vec<Values>, Refusal> {
        let products = self.products(question)?;
        let wrong = |error: open::OpenError| Refusal::new(RefusalCode::Unavailable, error);
        match &question.source {
            Source::Cube { flooding, .. } => {
                let cube = self.keys.cube.as_ref().ok_or_else(no_key)?;
                let of_subset = |(held, product): (&crate::keygen::HeldSubset, &Product)| {
                    let of_place = |place: &Place| match question.opened(*place) {
                        Opened::Form(form) => open::partial(
                            product,
                            form,
                            held.key(),
                            flooding,
                            &question.binding,
                            question.noise(),
                        )
                        .map_err(wrong),
                        Opened::Number(..) => Err(no_key()),
                    };
                    places
                        .iter()
                        .map(of_place)
                        .collect::<Result<_, _>>()
                        .map(Values)
                };
                cube.subsets()
                    .iter()
                    .zip(&*products)
                    .map(of_subset)
                    .collect()
            }
            Source::Evaluation { flooding, .. } => {
                let keys = self.keys.ceremony.as_ref().ok_or_else(no_key)?;
                let of_subset = |(_, share): (Subset, &crate::dealer::DealerCeremonyShare)| {
                    let mut partials = Vec::new();
                    for place in places {
                        let Opened::Number(blocks, first) = question.opened(*place) else {
                            return Err(no_key());
                        };
                        partials.extend((first..).zip(blocks).map(|(position, block)| {
                            flooding.partial(share, block, &question.binding, position)
                        }));
                    }
                    Ok(Values(partials))
                };
                keys.shares().map(of_subset).collect()
            }
        }
    }

    fn key_id(&self, question: &Question) -> Result<KeyId, Refusal> {
        match question.source {
            Source::Cube { .. } => self.keys.cube.as_ref().map(|k| KeyId(*k.session())),
            Source::Evaluation { .. } => self.keys.ceremony.as_ref().map(|k| KeyId(*k.id())),
        }
        .ok_or_else(no_key)
    }

    fn hashes(&self, partials: &[Values]) -> Vec<[u8; 32]> {
        let subsets = self.subsets().into_iter().zip(partials);
        subsets
            .map(|(subset, values)| partials_hash(subset, values))
            .collect()
    }

    /// True when a list with one entry per subset shows what this holder computed for its own.
    fn shows(&self, all: &[Values], own: &[Values]) -> bool {
        let mut own = self.subsets().into_iter().zip(own);
        all.len() == self.shape.subset_count()
            && own.all(|(subset, values)| all[usize::from(subset.index().0)] == *values)
    }

    /// The partials of the counts, remembered before they are returned.
    fn open_counts(&self, question: &Question) -> Result<Vec<Values>, Refusal> {
        let places = question.count_places();
        let partials = self.partials(question, places)?;
        let record = CountsRecord {
            asked: asked(&question.opening()),
            opening: question.digest(),
            partials: self.hashes(&partials),
        };
        let query = question.query();
        let mut journal = self.journal();
        match journal.query(query).map_err(unavailable)?.counts {
            Some(before) if before == record => {}
            Some(_) => return Err(differently("the query was opened with other contents")),
            None => {
                spend(&mut journal, self.key_id(question)?, question.counts_cost())?;
                let record = Record::Counts(record);
                journal.append(query, &record).map_err(unavailable)?;
            }
        }
        Ok(partials)
    }

    /// The partials of the sums that these counts let out, remembered before they are returned.
    fn open_sums(&self, question: &Question, counts: &[Values]) -> Result<Vec<Values>, Refusal> {
        let own = self.open_counts(question)?;
        if !self.shows(counts, &own) {
            return Err(Refusal::new(
                RefusalCode::PartialsDiffer,
                "the counts do not include what this holder computed",
            ));
        }
        let release = question.release(counts)?;
        let places = release.places();
        let partials = self.partials(question, places)?;
        let record = SumsRecord {
            counts: counts_hash(counts),
            partials: self.hashes(&partials),
        };
        let query = question.query();
        let mut journal = self.journal();
        match journal.query(query).map_err(unavailable)?.sums {
            Some(before) if before == record => {}
            Some(_) => return Err(differently("the sums were opened for other counts")),
            None => {
                spend(
                    &mut journal,
                    self.key_id(question)?,
                    question.sums_cost(&release),
                )?;
                let record = Record::Sums(record);
                journal.append(query, &record).map_err(unavailable)?;
            }
        }
        Ok(partials)
    }
}

impl Holder for KeyHolder {
    fn status(&self) -> Status {
        let journal = self.journal();
        Status {
            holder: self.holder,
            shape: self.shape,
            cube: self.keys.cube.as_ref().map(|keys| CubeKeyStatus {
                origin: "made by the holders, no dealer".to_owned(),
                key_hash: keys.public().hash(),
                epoch: keys.epoch(),
                budget_spent: journal.spent_share(&KeyId(*keys.session())),
            }),
            adhoc: self.keys.ceremony.as_ref().map(|keys| CeremonyStatus {
                origin: DEALER_CEREMONY.to_owned(),
                ceremony: *keys.id(),
                budget_spent: journal.spent_share(&KeyId(*keys.id())),
            }),
            signer: self.signer.address().0,
        }
    }

    fn counts(&self, opening: &Opening) -> Result<Vec<Values>, Refusal> {
        self.open_counts(&self.checked(opening)?)
    }

    fn sums(&self, opening: &Opening, counts: &[Values]) -> Result<Vec<Values>, Refusal> {
        self.open_sums(&self.checked(opening)?, counts)
    }

    fn sign(
        &self,
        opening: &Opening,
        counts: &[Values],
        sums: &[Values],
    ) -> Result<Signature, Refusal> {
        let question = self.checked(opening)?;
        let own = self.open_sums(&question, counts)?;
        if !self.shows(sums, &own) {
            return Err(Refusal::new(
                RefusalCode::PartialsDiffer,
                "the sums do not include what this holder computed",
            ));
        }
        let release = question.release(counts)?;
        let answer = question.answer(&release, sums)?;
        let digest = answer.digest();
        let journal = self.journal();
        let QueryRecords { signed, .. } = journal.query(question.query()).map_err(unavailable)?;
        match signed {
            Some(before) if before.answer == digest => Ok(before.signature),
            Some(_) => Err(differently("another answer was signed for this query")),
            None => {
                let signature = self
                    .signer
                    .sign(&answer)
                    .map_err(|error| Refusal::new(RefusalCode::Unavailable, error))?;
                let record = Record::Signed(SignedRecord {
                    answer: digest,
                    signature,
                });
                journal
                    .append(question.query(), &record)
                    .map_err(unavailable)?;
                Ok(signature)
            }
        }
    }

    fn vouch(
        &self,
        opening: &Opening,
        phase: Phase,
        counts: &[Values],
        hashes: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        // Says of what it gave only whether it equals what the asker has: no check of the query is needed.
        let own = match self.given(opening, phase)? {
            Some(own) => own,
            // A leader that passed this holder over must not be rid of its voice.
            None => {
                let question = self.checked(opening)?;
                let partials = match phase {
                    Phase::Counts => self.open_counts(&question)?,
                    Phase::Sums => self.open_sums(&question, counts)?,
                };
                self.hashes(&partials)
            }
        };
        let own: BTreeMap<SubsetIndex, [u8; 32]> = self
            .subsets()
            .iter()
            .map(|subset| subset.index())
            .zip(own)
            .collect();
        let differs = |(subset, hash): &(SubsetIndex, [u8; 32])| {
            own.get(subset)
                .filter(|mine| *mine != hash)
                .map(|_| *subset)
        };
        Ok(Some(hashes.iter().filter_map(differs).collect()))
    }

    fn coin_seeds(&self, subject: &[u8; 32]) -> Result<Vec<Values>, Refusal> {
        let cube = self.keys.cube.as_ref().ok_or_else(no_key)?;
        let market = self.ledger.market();
        let seeds = cube.subsets().iter();
        Ok(seeds
            .map(|held| coin::to_values(&coin::seed(held.key(), market, subject)))
            .collect())
    }

    fn zero_partial(&self, request: &CheckRequest) -> Result<Vec<Values>, Refusal> {
        let cube = self.keys.cube.as_ref().ok_or_else(no_key)?;
        let question = self.zero_question(request)?;
        {
            let mut journal = self.journal();
            let opened = journal.check(&request.check).map_err(unavailable)?;
            if !opened.contains(&request.expected) {
                if opened.len() >= self.most_check_openings {
                    return Err(Refusal::new(
                        RefusalCode::CheckLimit,
                        "too many openings for one check; refuse the batch",
                    ));
                }
                spend(&mut journal, KeyId(*cube.session()), question.cost())?;
                journal
                    .append_check(&request.check, &request.expected)
                    .map_err(unavailable)?;
            }
        }
        let pairs = cube.subsets().iter().zip(&self.secrets);
        Ok(pairs
            .map(|(held, secret)| question.partial(secret, held.key()))
            .collect())
    }
}

fn counts_hash(counts: &[Values]) -> [u8; 32] {
    let lists: Vec<Vec<u8>> = counts.iter().map(Values::to_bytes).collect();
    let parts: Vec<&[u8]> = lists.iter().map(Vec::as_slice).collect();
    digest("salus/v1/committee/counts", &parts)
}

fn asked(opening: &Opening) -> [u8; 32] {
    let bytes = postcard::to_stdvec(opening).unwrap_or_default();
    digest("salus/v1/committee/asked", &[&bytes])
}

fn no_key() -> Refusal {
    Refusal::new(RefusalCode::NoKey, "this holder has no key of this kind")
}

fn differently(detail: &str) -> Refusal {
    Refusal::new(RefusalCode::AlreadyAnsweredDifferently, detail)
}

fn unavailable(error: JournalError) -> Refusal {
    tracing::error!(%error, "journal");
    Refusal::new(RefusalCode::Unavailable, "the journal cannot be used")
}

fn spend(journal: &mut Journal, key: KeyId, cost: f64) -> Result<(), Refusal> {
    journal.spend(key, cost).map_err(|error| match error {
        JournalError::Budget(_) => Refusal::new(
            RefusalCode::FloodingBudget,
            "the noise that hides the key is used up; a new key epoch is needed",
        ),
        other => unavailable(other),
    })
}

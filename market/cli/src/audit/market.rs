//! Queries, answers and their payments, replayed by the rules of QueryMarket.

use super::committees::{Committees, Place as CommitteePlace};
use super::fault::{Fault, require, rule};
use super::registry::Registry;
use super::{Effect, Moment, Topic};
use salus_circuits::aggregate::{PassTotal, Proof, verify_answer};
use salus_circuits::keys::VerifyingKey;
use salus_circuits::layout::RESULTS;
use salus_circuits::transcript::{Context, keccak};
use salus_circuits::words::Word;
use salus_contracts::bindings::IQueryMarket::{
    self, IQueryMarketEvents as Event, PassResult, QueryRequest,
};
use salus_contracts::client::{
    Answer, DatasetId, EventBody, PassValues, QueryId, SealedSubmission, SnapshotId,
};
use salus_contracts::history::TokenTransfer;
use salus_contracts::primitives::{Address, B256, Bytes, TxHash, U256};
use salus_contracts::sealed::{SealedAnswer, release_hash, results_hash};
use salus_schema::plan::{CircuitClass, Image, MOMENTS, Plan};
use std::collections::{BTreeMap, HashMap};

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Waiting for an answer.
    Funded,
    /// Answered, not yet paid out.
    Answered,
    /// Declined.
    Refused,
    /// Not answered in time.
    Expired,
    /// Answered and paid out.
    Settled,
}

/// A funded query.
pub struct Query {
    /// Transaction that funded it.
    pub funded: TxHash,
    /// What was asked and paid.
    pub request: QueryRequest,
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot it was asked of.
    pub snapshot: u32,
    beneficiary: Address,
    /// Where it stands.
    pub status: Status,
    /// What was published, and by which transaction.
    pub published: Option<(TxHash, Vec<PassTotal>)>,
    /// Who vouches for it, if it is a sealed answer.
    pub sealed: Option<Sealed>,
}

/// What a sealed answer's signatures are about.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The committee.
    pub committee: B256,
    /// Hash over the ciphertexts that were opened.
    pub ciphertext_hash: B256,
    /// Plan bytes.
    pub plan: Bytes,
    /// Members of the committee that signed, ascending.
    pub signers: Vec<Address>,
}

/// All queries and credits of a market.
#[derive(Default)]
pub struct Market {
    /// By id.
    pub queries: HashMap<B256, Query>,
    /// By token and account.
    pub credit: BTreeMap<(Address, Address), U256>,
    /// What the market must hold, by token, as the contract counts it.
    pub obligations: BTreeMap<Address, U256>,
    /// Everything that was ever paid in, by token.
    pub funded: BTreeMap<Address, U256>,
    /// Everything that left for accounts, by token.
    pub withdrawn: BTreeMap<Address, U256>,
    /// Everything that left for the pool, by token.
    pub settled: BTreeMap<Address, U256>,
}

/// Where a market is.
#[derive(Clone, Copy)]
pub struct Place {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The market.
    pub market: Address,
    /// Whether to change anything.
    pub commit: bool,
}

/// A deposit that a settlement makes.
pub struct Deposit {
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot.
    pub snapshot: u32,
    /// The token.
    pub token: Address,
    /// Base units.
    pub amount: U256,
}

/// `keccak256(abi.encode(chainid, market, dataset, snapshot, planHash, bodyHash, researcher, nonce))`.
fn query_id(place: &Place, researcher: Address, request: &QueryRequest) -> B256 {
    let words = [
        U256::from(place.chain_id).to_be_bytes::<32>(),
        place.market.into_word().0,
        request.datasetId.to_be_bytes(),
        request.snapshotId.to_be_bytes(),
        request.planHash.0,
        request.bodyHash.0,
        researcher.into_word().0,
        request.nonce.to_be_bytes(),
    ];
    B256::from(keccak(words.as_flattened()))
}

fn add(sums: &mut BTreeMap<Address, U256>, token: Address, amount: U256) {
    let sum = sums.entry(token).or_default();
    *sum = sum.saturating_add(amount);
}

fn subtract(sums: &mut BTreeMap<Address, U256>, token: Address, amount: U256) {
    let sum = sums.entry(token).or_default();
    *sum = sum.saturating_sub(amount);
}

fn event(event: Event) -> EventBody {
    EventBody::Market(event)
}

impl Market {
    fn open(&mut self, id: QueryId) -> Result<&mut Query, Fault> {
        let query = self
            .queries
            .get_mut(&id.0)
            .ok_or_else(|| rule("QueryNotOpen"))?;
        require(query.status == Status::Funded, "QueryNotOpen")?;
        Ok(query)
    }

    fn give(&mut self, token: Address, account: Address, amount: U256) {
        let credit = self.credit.entry((token, account)).or_default();
        *credit = credit.saturating_add(amount);
    }

    /// Puts a payment into escrow.
    pub fn fund(
        &mut self,
        request: &QueryRequest,
        registry: &Registry,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let id = u32::try_from(request.datasetId).map_err(|_| rule("SnapshotNotLatest"))?;
        let dataset = registry
            .get(DatasetId(id))
            .map_err(|_| rule("SnapshotNotLatest"))?;
        let latest = dataset.snapshots.len() as u32;
        require(
            latest > 0 && request.snapshotId == U256::from(latest),
            "SnapshotNotLatest",
        )?;
        let price = dataset
            .prices
            .get(&request.token)
            .copied()
            .unwrap_or_default();
        require(!price.is_zero(), "TokenNotAccepted")?;
        require(request.amount >= price, "AmountBelowPrice")?;
        require(request.amount.bit_len() <= 96, "AmountTooLarge")?;
        let deadline = u32::try_from(request.deadline).map_err(|_| rule("InvalidDeadline"))?;
        require(u64::from(deadline) > moment.timestamp, "InvalidDeadline")?;
        let id = query_id(place, moment.sender, request);
        require(!self.queries.contains_key(&id), "QueryExists")?;
        let mut effect = Effect::of(
            Topic::Queries,
            event(Event::QueryFunded(IQueryMarket::QueryFunded {
                queryId: id,
                datasetId: request.datasetId,
                researcher: moment.sender,
                request: request.clone(),
            })),
        );
        effect.transfers.push(TokenTransfer {
            token: request.token,
            from: moment.sender,
            to: place.market,
            amount: request.amount,
        });
        if place.commit {
            let query = Query {
                funded: moment.hash,
                request: request.clone(),
                dataset: DatasetId(u32::try_from(request.datasetId).unwrap_or_default()),
                snapshot: latest,
                beneficiary: moment.sender,
                status: Status::Funded,
                published: None,
                sealed: None,
            };
            self.queries.insert(id, query);
            add(&mut self.obligations, request.token, request.amount);
            add(&mut self.funded, request.token, request.amount);
        }
        Ok(effect)
    }

    /// Accepts a proven answer.
    pub fn accept(
        &mut self,
        answer: &Answer,
        registry: &Registry,
        circuits: &BTreeMap<Word, VerifyingKey>,
        moment: &Moment,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let query = self.open(answer.query)?;
        require(
            U256::from(moment.timestamp) <= query.request.deadline,
            "QueryPastDeadline",
        )?;
        require(
            keccak(&answer.plan) == query.request.planHash.0,
            "PlanHashMismatch",
        )?;
        let dataset = registry.get(query.dataset)?;
        require(moment.sender == dataset.custodian, "NotCustodian")?;
        let (chunks, _) = dataset
            .snapshot(query.snapshot)
            .ok_or_else(|| rule("UnknownSnapshot"))?;
        require(chunks > 0, "UnknownSnapshot")?;
        let plan = Plan::from_bytes(&answer.plan)?;
        let columns = usize::from(dataset.params.columns);
        let known = plan
            .passes()
            .iter()
            .flat_map(|p| p.columns())
            .all(|c| usize::from(c.0) < columns);
        require(known, "UnknownColumn")?;
        let totals = release(
            &plan,
            &answer.passes,
            u64::from(dataset.params.minCohort),
            u64::from(dataset.params.minCell),
        )?;
        let ids = match plan.class() {
            CircuitClass::K4 => vec![dataset.params.circuitK4],
            CircuitClass::K8 => vec![dataset.params.circuitK8Low, dataset.params.circuitK8High],
        };
        let keys = ids
            .iter()
            .map(|id| {
                circuits
                    .get(&id.0)
                    .cloned()
                    .ok_or_else(|| rule("UnsupportedCircuit"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let proofs = proofs(&answer.proofs)?;
        let commitments = dataset.commitments(query.snapshot, chunks);
        let context = Context {
            chain_id: place.chain_id,
            market: place.market.into_array(),
            dataset: u64::from(query.dataset.0),
            snapshot: u64::from(query.snapshot),
            query_id: answer.query.0.0,
        };
        verify_answer(
            &context,
            &plan,
            chunks,
            |chunk, column| commitments[chunk as usize][usize::from(column)],
            &keys,
            &totals,
            &proofs,
        )?;
        if place.commit {
            query.status = Status::Answered;
            query.beneficiary = moment.sender;
            query.published = Some((moment.hash, totals));
        }
        let accepted = IQueryMarket::AnswerAccepted {
            queryId: answer.query.0,
            datasetId: U256::from(query.dataset.0),
            snapshotId: U256::from(query.snapshot),
            results: results(&answer.passes),
        };
        Ok(Effect::of(
            Topic::Answers,
            event(Event::AnswerAccepted(accepted)),
        ))
    }

    /// Accepts an answer that a committee vouches for.
    pub fn accept_sealed(
        &mut self,
        answer: &SealedSubmission,
        registry: &Registry,
        committees: &Committees,
        moment: &Moment,
        place: &CommitteePlace,
    ) -> Result<Effect, Fault> {
        let query = self.open(answer.query)?;
        require(
            U256::from(moment.timestamp) <= query.request.deadline,
            "QueryPastDeadline",
        )?;
        require(
            keccak(&answer.plan) == query.request.planHash.0,
            "PlanHashMismatch",
        )?;
        let dataset = registry.get(query.dataset)?;
        let (min_cohort, min_cell) = (dataset.params.minCohort, dataset.params.minCell);
        plain(&answer.passes)?;
        let plan = Plan::from_bytes(&answer.plan)?;
        let totals = release(
            &plan,
            &answer.passes,
            u64::from(min_cohort),
            u64::from(min_cell),
        )?;
        let signed = SealedAnswer {
            query: answer.query,
            dataset: query.dataset,
            snapshot: SnapshotId(query.snapshot),
            committee: answer.committee,
            ciphertext_hash: answer.ciphertext_hash,
            plan_hash: query.request.planHash,
            results_hash: results_hash(&answer.passes),
            release_hash: release_hash(min_cohort, min_cell),
        };
        let signers = committees.quorum(&signed, &answer.signatures, place)?;
        let signatures = signers.len() as u64;
        if place.commit {
            query.status = Status::Answered;
            query.beneficiary = dataset.custodian;
            query.published = Some((moment.hash, totals));
            query.sealed = Some(Sealed {
                committee: answer.committee.0,
                ciphertext_hash: answer.ciphertext_hash,
                plan: answer.plan.clone(),
                signers,
            });
        }
        let accepted = IQueryMarket::SealedAnswerAccepted {
            queryId: answer.query.0,
            datasetId: U256::from(query.dataset.0),
            snapshotId: U256::from(query.snapshot),
            committeeId: answer.committee.0,
            ciphertextHash: answer.ciphertext_hash,
            custodian: dataset.custodian,
            results: results(&answer.passes),
        };
        let mut effect = Effect::of(
            Topic::SealedAnswers,
            event(Event::SealedAnswerAccepted(accepted)),
        );
        effect.count(Topic::Signatures, signatures);
        Ok(effect)
    }

    fn close(
        &mut self,
        id: QueryId,
        status: Status,
        body: Event,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let query = self.open(id)?;
        if commit {
            query.status = status;
            let (token, account, amount) =
                (query.request.token, query.beneficiary, query.request.amount);
            self.give(token, account, amount);
        }
        let mut effect = Effect::default();
        effect.events.push(event(body));
        Ok(effect)
    }

    /// Declines a query.
    pub fn refuse(
        &mut self,
        id: QueryId,
        reason: u16,
        registry: &Registry,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let dataset = self.open(id)?.dataset;
        require(
            registry.get(dataset)?.custodian == moment.sender,
            "NotCustodian",
        )?;
        let refused = IQueryMarket::QueryRefused {
            queryId: id.0,
            reason,
        };
        self.close(id, Status::Refused, Event::QueryRefused(refused), commit)
    }

    /// Ends a query whose deadline has passed.
    pub fn refund(&mut self, id: QueryId, moment: &Moment, commit: bool) -> Result<Effect, Fault> {
        let query = self.open(id)?;
        require(
            U256::from(moment.timestamp) > query.request.deadline,
            "QueryNotPastDeadline",
        )?;
        let expired = IQueryMarket::QueryExpired { queryId: id.0 };
        self.close(id, Status::Expired, Event::QueryExpired(expired), commit)
    }

    /// Splits the payments of answered queries. The deposits go to the pool, each after the events before it.
    pub fn settle(
        &mut self,
        ids: &[QueryId],
        registry: &Registry,
        commit: bool,
        mut deposit: impl FnMut(&mut Effect, Deposit) -> Result<(), Fault>,
    ) -> Result<Effect, Fault> {
        let mut effect = Effect::default();
        let mut gathered = U256::ZERO;
        for (index, id) in ids.iter().enumerate() {
            let query = self
                .queries
                .get(&id.0)
                .ok_or_else(|| rule("QueryNotAnswered"))?;
            let again = ids[..index].contains(id);
            require(
                query.status == Status::Answered && !again,
                "QueryNotAnswered",
            )?;
            let dataset = registry.get(query.dataset)?;
            let (token, amount) = (query.request.token, query.request.amount);
            let share = amount * U256::from(dataset.params.rewardBps) / U256::from(10_000);
            let fee = amount - share;
            let custodian = query.beneficiary;
            let key = (query.dataset, query.snapshot, token);
            effect.count(Topic::Payouts, 1);
            effect
                .events
                .push(event(Event::QuerySettled(IQueryMarket::QuerySettled {
                    queryId: id.0,
                    memberRewards: share,
                    custodian,
                    custodianFee: fee,
                })));
            gathered += share;
            let next = ids.get(index + 1).and_then(|id| self.queries.get(&id.0));
            let together =
                next.is_some_and(|next| (next.dataset, next.snapshot, next.request.token) == key);
            if !together && !gathered.is_zero() {
                let (dataset, snapshot, token) = key;
                deposit(
                    &mut effect,
                    Deposit {
                        dataset,
                        snapshot,
                        token,
                        amount: gathered,
                    },
                )?;
                if commit {
                    subtract(&mut self.obligations, token, gathered);
                    add(&mut self.settled, token, gathered);
                }
                gathered = U256::ZERO;
            }
            if commit {
                if let Some(query) = self.queries.get_mut(&id.0) {
                    query.status = Status::Settled;
                }
                if !fee.is_zero() {
                    self.give(token, custodian, fee);
                }
            }
        }
        Ok(effect)
    }

    /// Pays out a credit.
    pub fn withdraw(
        &mut self,
        token: Address,
        account: Address,
        place: &Place,
    ) -> Result<Effect, Fault> {
        let amount = self
            .credit
            .get(&(token, account))
            .copied()
            .unwrap_or_default();
        require(!amount.is_zero(), "NothingToWithdraw")?;
        if place.commit {
            self.credit.remove(&(token, account));
            subtract(&mut self.obligations, token, amount);
            add(&mut self.withdrawn, token, amount);
        }
        let withdrawn = IQueryMarket::Withdrawn {
            token,
            account,
            amount,
        };
        let mut effect = Effect::of(Topic::Withdrawals, event(Event::Withdrawn(withdrawn)));
        effect.transfers.push(TokenTransfer {
            token,
            from: place.market,
            to: account,
            amount,
        });
        Ok(effect)
    }

    /// Escrow of open and unsettled queries in a token.
    pub fn escrow(&self, token: Address) -> U256 {
        self.queries
            .values()
            .filter(|q| {
                q.request.token == token && matches!(q.status, Status::Funded | Status::Answered)
            })
            .fold(U256::ZERO, |sum, q| sum.saturating_add(q.request.amount))
    }

    /// Credits in a token.
    pub fn credits(&self, token: Address) -> U256 {
        self.credit
            .iter()
            .filter(|((t, _), _)| *t == token)
            .fold(U256::ZERO, |sum, (_, c)| sum.saturating_add(*c))
    }
}

fn results(passes: &[PassValues]) -> Vec<PassResult> {
    let word = |word: &Word| U256::from_be_bytes(*word);
    let results = passes.iter().map(|pass| PassResult {
        mask: pass.mask,
        rho: word(&pass.rho),
        values: pass.values.iter().map(word).collect(),
    });
    results.collect()
}

/// The form of results without a proof: no blinding, nothing where the mask hides, numbers that can be.
fn plain(passes: &[PassValues]) -> Result<(), Fault> {
    for pass in passes {
        require(pass.rho == [0; 32], "UnexpectedValue")?;
        for (t, value) in pass.values.iter().enumerate() {
            let hidden = pass.mask.checked_shr(t as u32).unwrap_or(0) & 1 == 1;
            require(!hidden || *value == [0; 32], "UnexpectedValue")?;
            if U256::from_be_bytes(*value).bit_len() > 64 {
                return Err(Fault::Impossible);
            }
        }
    }
    Ok(())
}

/// The release rule: masks, least counts, least cohort. Returns what is published.
fn release(
    plan: &Plan,
    results: &[PassValues],
    min_cohort: u64,
    min_cell: u64,
) -> Result<Vec<PassTotal>, Fault> {
    require(results.len() == plan.passes().len(), "WrongCount")?;
    let mut cohort = 0;
    let mut totals = Vec::with_capacity(results.len());
    for (pass, result) in plan.passes().iter().zip(results) {
        let (mask, base) = (result.mask, pass.base_mask());
        let beyond = pass.values() < RESULTS && mask >> pass.values() != 0;
        require(mask & base == base && !beyond, "InvalidMask")?;
        require(result.values.len() == pass.values(), "WrongCount")?;
        let mut values = [0; RESULTS];
        for (value, word) in values.iter_mut().zip(&result.values) {
            let number = U256::from_be_bytes(*word);
            // No sum over people needs more than 64 bits.
            *value = u64::try_from(number).map_err(|_| rule("ProofRejected"))?;
        }
        let step = if pass.image() == Image::Moments {
            MOMENTS
        } else {
            1
        };
        let mut people: u64 = 0;
        for t in (0..pass.values()).step_by(step) {
            let bits = mask >> t;
            if bits & 1 == 0 {
                require(values[t] >= min_cell, "CountBelowMinimum")?;
                people = people.saturating_add(values[t]);
            } else if step == MOMENTS {
                require(bits & 7 == 7, "InvalidMask")?;
            }
        }
        cohort = cohort.max(people);
        totals.push(PassTotal {
            values,
            mask,
            blinding: result.rho,
        });
    }
    require(cohort >= min_cohort, "CohortBelowMinimum")?;
    Ok(totals)
}

fn proofs(words: &[Word]) -> Result<Vec<Proof>, Fault> {
    let (items, rest) = words.as_chunks::<{ salus_circuits::aggregate::verify::PROOF_WORDS }>();
    require(rest.is_empty(), "WrongCount")?;
    items
        .iter()
        .map(|item| Ok(Proof::from_words(item)?))
        .collect()
}

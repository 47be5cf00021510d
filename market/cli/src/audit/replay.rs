//! Every transaction in order: what its bytes say, whether the rules let it pass, and whether the logs agree.

use super::committees::{Committees, Place as CommitteePlace};
use super::fault::{Fault, require};
use super::market::{Deposit, Market, Place as MarketPlace};
use super::pool::{Place as PoolPlace, Pool};
use super::registry::{Registry, Setting};
use super::report::AuditReport;
use super::{Depth, Effect, Moment, Topic};
use crate::bundle::keys::{KEY_WORDS, KeyWordsError, key_from_words};
use crate::sealed::roster::Roster;
use salus_circuits::keys::VerifyingKey;
use salus_circuits::transcript::keccak;
use salus_circuits::words::Word;
use salus_contracts::bindings::IAnswerVerifier::{self, IAnswerVerifierEvents};
use salus_contracts::client::{Contract, DatasetId, EventBody};
use salus_contracts::consent::OptOut;
use salus_contracts::deploy::Deployment;
use salus_contracts::history::{
    self, Action, CommitteeAction, Creation, Mined, RawLog, Transaction, circuit_code,
    creation_matches, log_of, token_transfer,
};
use salus_contracts::primitives::{Address, B256, TxHash, U256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Position of the dimensions among a key's words.
const DIMENSIONS: usize = 162;

/// The state of all contracts, as the transactions so far leave it.
pub struct Replay<'a> {
    at: &'a Deployment,
    depth: Depth,
    bases: (DatasetId, &'a [[Word; 2]]),
    /// Datasets and members.
    pub registry: Registry,
    /// Queries and credits.
    pub market: Market,
    /// Rewards.
    pub pool: Pool,
    /// Key holders.
    pub committees: Committees,
    /// Who is in the snapshots of the bundle's dataset, from the events that the rules give.
    pub roster: Roster,
    /// Verifying keys by id.
    pub circuits: BTreeMap<Word, VerifyingKey>,
    registered: BTreeSet<Word>,
    created: BTreeSet<Address>,
    nonces: HashMap<Address, u64>,
    block: u64,
    timestamp: u64,
}

impl<'a> Replay<'a> {
    /// Nothing has happened yet.
    pub fn new(
        at: &'a Deployment,
        depth: Depth,
        dataset: DatasetId,
        bases: &'a [[Word; 2]],
    ) -> Self {
        Self {
            at,
            depth,
            bases: (dataset, bases),
            registry: Registry::default(),
            market: Market::default(),
            pool: Pool::default(),
            committees: Committees::default(),
            roster: Roster::new(dataset),
            circuits: BTreeMap::new(),
            registered: BTreeSet::new(),
            created: BTreeSet::new(),
            nonces: HashMap::new(),
            block: at.block,
            timestamp: 0,
        }
    }

    /// Replays one transaction.
    pub fn step(&mut self, mined: &Mined, report: &mut AuditReport) {
        report.checked(Topic::Transactions, 1);
        let transaction = match history::read(&mined.raw, self.at) {
            Ok(transaction) => transaction,
            Err(error) => {
                let hash = TxHash::from(keccak(&mined.raw));
                report.wrong(Topic::Transactions, Some(hash), error.to_string());
                return;
            }
        };
        self.order(mined, &transaction, report);
        let moment = Moment {
            hash: transaction.hash,
            sender: transaction.sender,
            timestamp: mined.timestamp,
        };
        if !mined.success {
            self.failed(mined, &transaction, &moment, report);
            return;
        }
        match self.act(&transaction, &moment, true) {
            Ok(effect) => {
                for event in &effect.events {
                    if let EventBody::Registry(event) = event {
                        self.roster.see(event);
                    }
                }
                self.compare(mined, &transaction, effect, report);
            }
            Err(fault) => report.wrong(
                topic(&transaction.action),
                Some(transaction.hash),
                fault.to_string(),
            ),
        }
    }

    /// Contracts whose creation was seen and is this program's code.
    pub fn created(&self) -> &BTreeSet<Address> {
        &self.created
    }

    fn order(&mut self, mined: &Mined, transaction: &Transaction, report: &mut AuditReport) {
        let hash = Some(transaction.hash);
        let later = mined.block > self.block && mined.timestamp >= self.timestamp;
        let same =
            mined.block == self.block && (self.timestamp == 0 || mined.timestamp == self.timestamp);
        if !later && !same {
            report.wrong(Topic::Transactions, hash, "its block is out of order");
        }
        (self.block, self.timestamp) = (mined.block, mined.timestamp);
        if mined.gas_used > transaction.gas_limit {
            report.wrong(Topic::Transactions, hash, "it used more gas than it allows");
        }
        let before = self.nonces.insert(transaction.sender, transaction.nonce);
        match before.and_then(|before| transaction.nonce.checked_sub(before)) {
            None if before.is_some() => {
                report.wrong(Topic::Transactions, hash, "its sender's counter goes back: it is repeated or out of order");
            }
            Some(0) => report.wrong(Topic::Transactions, hash, "it stands twice, or another one has its place"),
            None | Some(1) => {}
            Some(_) => report.note(format!(
                "{} sent transactions in between that the bundle does not hold; only a node can say whether they matter (--rpc)",
                transaction.sender
            )),
        }
    }

    /// A transaction that is recorded as failed must change nothing, and must have had a reason to fail.
    fn failed(
        &mut self,
        mined: &Mined,
        transaction: &Transaction,
        moment: &Moment,
        report: &mut AuditReport,
    ) {
        let hash = Some(transaction.hash);
        if !mined.logs.is_empty() {
            report.wrong(
                Topic::Events,
                hash,
                "it failed, but it is said to have logged something",
            );
        }
        let by_rules_alone = matches!(
            transaction.action,
            Action::OptIn(_)
                | Action::Rectify(_)
                | Action::OptOut { .. }
                | Action::AdvanceEpoch(_)
                | Action::ExpireChunk { .. }
                | Action::Snapshot(_)
                | Action::CreateDataset(_)
                | Action::SetIssuer { .. }
                | Action::SetCustodian { .. }
                | Action::SetPrice { .. }
                | Action::TransferAdmin { .. }
                | Action::AcceptAnswer(_)
                | Action::AcceptSealedAnswer(_)
                | Action::Committee(
                    CommitteeAction::Register { .. }
                        | CommitteeAction::Bind { .. }
                        | CommitteeAction::Unbind { .. }
                        | CommitteeAction::Report(_)
                        | CommitteeAction::GiveNotice { .. }
                )
                | Action::Refuse { .. }
                | Action::Refund(_)
        );
        if by_rules_alone
            && self.depth == Depth::Full
            && self.act(transaction, moment, false).is_ok()
        {
            if mined.gas_used >= transaction.gas_limit {
                report.note("a failed transaction is said to have run out of gas; only a node can say whether it did (--rpc)");
            } else {
                report.wrong(
                    topic(&transaction.action),
                    hash,
                    "it is recorded as failed, but every rule of the contracts lets it pass",
                );
            }
        }
    }

    fn compare(
        &self,
        mined: &Mined,
        transaction: &Transaction,
        effect: Effect,
        report: &mut AuditReport,
    ) {
        let hash = Some(transaction.hash);
        for (topic, count) in &effect.counts {
            report.checked(*topic, *count);
        }
        let mut ours = vec![
            self.at.registry,
            self.at.market,
            self.at.verifier,
            self.at.pool,
        ];
        ours.extend(self.at.committee);
        let actual: Vec<&RawLog> = mined
            .logs
            .iter()
            .filter(|log| ours.contains(&log.address))
            .collect();
        report.checked(Topic::Events, effect.events.len().max(actual.len()) as u64);
        if effect.events.len() != actual.len() {
            let message = format!(
                "{} events by the rules, {} in the logs",
                effect.events.len(),
                actual.len()
            );
            report.wrong(Topic::Events, hash, message);
        }
        for (index, (mut expected, log)) in effect.events.into_iter().zip(actual).enumerate() {
            if let EventBody::Verifier(IAnswerVerifierEvents::CircuitRegistered(event)) =
                &mut expected
            {
                event.code = circuit_code(log).unwrap_or_default();
            }
            if log_of(&expected, self.at).as_ref() != Some(log) {
                report.wrong(
                    Topic::Events,
                    hash,
                    format!("event {index} in the logs is not what the rules give"),
                );
            }
        }
        if transaction.to == Some(self.at.token) {
            return;
        }
        let mut holders = vec![self.at.market, self.at.pool];
        holders.extend(self.at.committee);
        let moved: Vec<_> = mined
            .logs
            .iter()
            .filter_map(token_transfer)
            .filter(|t| [t.from, t.to].iter().any(|a| holders.contains(a)))
            .collect();
        report.checked(
            Topic::Tokens,
            effect.transfers.len().max(moved.len()) as u64,
        );
        if moved != effect.transfers {
            report.wrong(
                Topic::Tokens,
                hash,
                "the tokens that moved are not those of the rules",
            );
        }
    }

    fn act(
        &mut self,
        transaction: &Transaction,
        moment: &Moment,
        commit: bool,
    ) -> Result<Effect, Fault> {
        let (at, depth) = (self.at, self.depth);
        let setting = Setting {
            chain_id: at.chain_id,
            address: at.registry,
            depth,
            commit,
            bases: Some(self.bases),
        };
        let market = MarketPlace {
            chain_id: at.chain_id,
            market: at.market,
            commit,
        };
        let pool = PoolPlace {
            chain_id: at.chain_id,
            pool: at.pool,
            depth,
            commit,
        };
        // Without a committee contract no action is addressed to it.
        let committee = CommitteePlace {
            chain_id: at.chain_id,
            contract: at.committee.unwrap_or_default(),
            market: at.market,
            commit,
        };
        match &transaction.action {
            Action::Deploy(creation) => self.deploy(creation, transaction),
            Action::RegisterCircuit { words } => self.register_circuit(words, commit),
            Action::CreateDataset(params) => {
                self.registry.create(params, &self.circuits, moment, commit)
            }
            Action::TransferAdmin { dataset, admin } => self
                .registry
                .transfer_admin(*dataset, *admin, moment, commit),
            Action::SetIssuer {
                dataset,
                issuer,
                allowed,
            } => self
                .registry
                .set_issuer(*dataset, *issuer, *allowed, moment, commit),
            Action::SetCustodian { dataset, custodian } => self
                .registry
                .set_custodian(*dataset, *custodian, moment, commit),
            Action::SetPrice {
                dataset,
                token,
                price,
            } => self
                .registry
                .set_price(*dataset, *token, *price, moment, commit),
            Action::OptIn(batch) => self.registry.opt_in(batch, moment, &setting),
            Action::Rectify(change) => self.registry.rectify(change, moment, &setting),
            Action::OptOut {
                dataset,
                chunk,
                slot,
                commitments,
                signature,
            } => {
                let id = OptOut {
                    dataset: *dataset,
                    chunk: *chunk,
                    slot: *slot,
                };
                self.registry
                    .opt_out(id, commitments, signature.as_ref(), moment, &setting)
            }
            Action::AdvanceEpoch(dataset) => self.registry.advance_epoch(*dataset, moment, commit),
            Action::ExpireChunk { dataset, chunk } => {
                self.registry.expire(*dataset, *chunk, commit)
            }
            Action::Snapshot(dataset) => self.registry.snapshot(*dataset, moment, commit),
            Action::Fund { request, .. } => {
                self.market.fund(request, &self.registry, moment, &market)
            }
            Action::AcceptAnswer(answer) => {
                self.market
                    .accept(answer, &self.registry, &self.circuits, moment, &market)
            }
            Action::Refuse { query, reason } => {
                self.market
                    .refuse(*query, *reason, &self.registry, moment, commit)
            }
            Action::Refund(query) => self.market.refund(*query, moment, commit),
            Action::Settle { queries } => {
                let (registry, rewards) = (&self.registry, &mut self.pool);
                self.market
                    .settle(queries, registry, commit, |effect, deposit| {
                        let Deposit {
                            dataset,
                            snapshot,
                            token,
                            amount,
                        } = deposit;
                        let pot = (dataset.0, snapshot, token);
                        effect.merge(rewards.deposit(pot, amount, at.market, registry, &pool)?);
                        Ok(())
                    })
            }
            Action::Withdraw { token, account } => self.market.withdraw(*token, *account, &market),
            Action::Deposit {
                dataset,
                snapshot,
                token,
                amount,
            } => {
                let pot = (dataset.0, snapshot.0, *token);
                self.pool
                    .deposit(pot, *amount, moment.sender, &self.registry, &pool)
            }
            Action::Claim(claim) => self.pool.claim(
                std::slice::from_ref(claim),
                true,
                &self.registry,
                moment,
                &pool,
            ),
            Action::ClaimMany(claims) => {
                self.pool
                    .claim(claims, false, &self.registry, moment, &pool)
            }
            Action::Mint { .. } | Action::Transfer { .. } | Action::Approve { .. } => {
                Ok(Effect::default())
            }
            Action::AcceptSealedAnswer(answer) => self.market.accept_sealed(
                answer,
                &self.registry,
                &self.committees,
                moment,
                &committee,
            ),
            Action::Committee(
                action @ (CommitteeAction::DepositBond { .. }
                | CommitteeAction::GiveNotice { .. }
                | CommitteeAction::WithdrawBond(_)
                | CommitteeAction::SlashBond(_)),
            ) => {
                let (registry, rewards) = (&self.registry, &mut self.pool);
                self.committees
                    .bond(action, registry, moment, &committee, |slashed| {
                        let (dataset, token) = (slashed.bond.dataset, slashed.bond.token);
                        let latest = registry.get(dataset)?.snapshots.len() as u32;
                        let pot = (dataset.0, latest, token);
                        rewards.deposit(pot, slashed.rewards, committee.contract, registry, &pool)
                    })
            }
            Action::Committee(action) => {
                self.committees
                    .act(action, &self.registry, moment, &committee)
            }
            Action::Unknown => self.unknown(transaction),
        }
    }

    fn unknown(&self, transaction: &Transaction) -> Result<Effect, Fault> {
        let foreign = [self.at.token, self.at.claim_verifier];
        match (transaction.to, transaction.creates()) {
            (Some(to), _) if foreign.contains(&to) => Ok(Effect::default()),
            (None, Some(address)) if address == self.at.token => Ok(Effect::default()),
            (None, Some(_)) => Err(Fault::ForeignCode),
            _ => Err(Fault::UnknownCall),
        }
    }

    fn deploy(&mut self, creation: &Creation, transaction: &Transaction) -> Result<Effect, Fault> {
        let at = self.at;
        let expected = match creation.contract {
            Contract::CohortRegistry => at.registry,
            Contract::QueryMarket => at.market,
            Contract::AnswerVerifier => at.verifier,
            Contract::RewardPool => at.pool,
            Contract::ClaimVerifier => at.claim_verifier,
            Contract::Committee => at.committee.ok_or(Fault::ForeignWiring)?,
            Contract::Token => at.token,
        };
        if transaction.creates() != Some(expected) || !creation_matches(creation, at) {
            return Err(Fault::ForeignWiring);
        }
        self.created.insert(expected);
        let mut effect = Effect::default();
        effect.count(Topic::Contracts, 1);
        Ok(effect)
    }

    fn register_circuit(&mut self, words: &[u8], commit: bool) -> Result<Effect, Fault> {
        let id = keccak(words);
        require(!self.registered.contains(&id), "CircuitAlreadyRegistered")?;
        let key = match key_from_words(words) {
            Ok(key) => Some(key),
            // Registered by someone for dimensions that no answer uses.
            Err(KeyWordsError::Shape) => None,
            Err(error) => return Err(error.into()),
        };
        if commit {
            self.registered.insert(id);
            self.circuits.extend(key.map(|key| (id, key)));
        }
        let (numbers, _) = words.as_chunks::<32>();
        let number = |index: usize| {
            numbers
                .get(index)
                .map_or(U256::ZERO, |word| U256::from_be_bytes(*word))
        };
        debug_assert_eq!(numbers.len(), KEY_WORDS);
        let registered = IAnswerVerifier::CircuitRegistered {
            circuitId: B256::from(id),
            code: Address::ZERO,
            slots: number(DIMENSIONS),
            lo: number(DIMENSIONS + 1),
            hi: number(DIMENSIONS + 2),
            columns: number(DIMENSIONS + 3),
        };
        let event = EventBody::Verifier(IAnswerVerifierEvents::CircuitRegistered(registered));
        Ok(Effect::of(Topic::Circuits, event))
    }
}

/// What a transaction that does not hold is a problem of.
fn topic(action: &Action) -> Topic {
    match action {
        Action::Deploy(_) => Topic::Contracts,
        Action::RegisterCircuit { .. } => Topic::Circuits,
        Action::CreateDataset(_)
        | Action::TransferAdmin { .. }
        | Action::SetIssuer { .. }
        | Action::SetCustodian { .. }
        | Action::SetPrice { .. }
        | Action::AdvanceEpoch(_) => Topic::Datasets,
        Action::OptIn(_) => Topic::Registrations,
        Action::Rectify(_) | Action::OptOut { .. } | Action::ExpireChunk { .. } => Topic::Changes,
        Action::Snapshot(_) => Topic::Snapshots,
        Action::Fund { .. } | Action::Refuse { .. } | Action::Refund(_) => Topic::Queries,
        Action::AcceptAnswer(_) => Topic::Answers,
        Action::AcceptSealedAnswer(_) => Topic::SealedAnswers,
        Action::Committee(
            CommitteeAction::Register { .. }
            | CommitteeAction::Bind { .. }
            | CommitteeAction::Unbind { .. }
            | CommitteeAction::Report(_),
        ) => Topic::Committees,
        Action::Committee(_) => Topic::Bonds,
        Action::Settle { .. } | Action::Deposit { .. } => Topic::Payouts,
        Action::Claim(_) | Action::ClaimMany(_) => Topic::Claims,
        Action::Withdraw { .. } => Topic::Withdrawals,
        Action::Mint { .. } | Action::Transfer { .. } | Action::Approve { .. } => Topic::Tokens,
        Action::Unknown => Topic::Transactions,
    }
}

//! Sealed answers from the committee's registration to the slashed bond, and the messages behind them.

use crate::{
    member::{TestMember, register},
    node::{Node, embedded, nodes, signer},
    simulator::CountPlan,
    world::{PRICE, SLOTS, World},
};
use alloy::{
    primitives::{B256, Bytes, U256, keccak256},
    sol_types::SolValue,
};
use salus_contracts::{
    PrivateKeySigner,
    bindings::{ICommittee::ICommitteeEvents, IQueryMarket::IQueryMarketEvents},
    client::{
        Account, ChainError, ChunkIndex, Client, CommitteeId, CommitteeKind, Contract,
        Equivocation, EventBody, Family, MemberStatus, NewCommittee, PassValues, QueryId,
        QueryStatus, SealedSubmission, SlotIndex, SnapshotId,
    },
    deploy::Deployment,
    history::{self, Action, CommitteeAction, Mined},
    sealed::{
        SealedAnswer, by_signer, committee_acceptance_digest, committee_id, release_hash,
        results_hash, sealed_answer_digest, sign,
    },
};

/// Holders' keys, ascending by address.
pub fn holders(count: u8, seed: u8) -> Vec<PrivateKeySigner> {
    let mut keys: Vec<_> = (1..=count)
        .map(|i| PrivateKeySigner::from_bytes(&keccak256([seed, i])).unwrap())
        .collect();
    keys.sort_by_key(PrivateKeySigner::address);
    keys
}

pub fn committee_of(keys: &[PrivateKeySigner], threshold: u8) -> NewCommittee {
    NewCommittee {
        kind: CommitteeKind::Cubes,
        threshold,
        key_hash: keccak256("joint key"),
        members: keys.iter().map(PrivateKeySigner::address).collect(),
    }
}

fn number(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

pub fn values(counts: &[u64]) -> Vec<PassValues> {
    vec![PassValues {
        mask: 0,
        rho: [0; 32],
        values: counts.iter().copied().map(number).collect(),
    }]
}

/// A dataset of four people with a committee of four, of which two must sign, and one query.
struct Sealed {
    world: World,
    keys: Vec<PrivateKeySigner>,
    committee: CommitteeId,
    plan: Bytes,
    query: QueryId,
}

impl Sealed {
    async fn new(node: Node) -> Self {
        let world = World::new(node, SLOTS, 4).await;
        let admin = world.node.account(0);
        let client = &world.client;
        let keys = holders(4, 1);
        let committee = register_committee(client, &admin, &keys, 2).await;
        let from = client
            .bind_committee(&admin, world.dataset, committee)
            .await
            .unwrap();
        assert_eq!(from.value, SnapshotId(1));
        let people: Vec<TestMember> = (0..4)
            .map(|slot| register(&world.basis, world.place(0), slot, &[2, 3, 4, 5]))
            .collect();
        let batch = world.batch(0, &people);
        client.opt_in_batch(&admin, &batch).await.unwrap();
        client.snapshot(&admin, world.dataset).await.unwrap();
        let researcher = world.node.account(2);
        client
            .mint(&admin, researcher.address(), U256::from(10 * PRICE))
            .await
            .unwrap();
        let plan = CountPlan { cells: 1 };
        let deadline = client.chain().timestamp().await.unwrap() + 1_000;
        let order = world.order(&plan, deadline, 1);
        let query = client.fund(&researcher, &order).await.unwrap().value;
        let plan = Bytes::from(plan.bytes());
        Self {
            world,
            keys,
            committee,
            plan,
            query,
        }
    }

    fn client(&self) -> &Client {
        &self.world.client
    }

    fn answer(&self, passes: &[PassValues]) -> SealedAnswer {
        SealedAnswer {
            query: self.query,
            dataset: self.world.dataset,
            snapshot: SnapshotId(1),
            committee: self.committee,
            ciphertext_hash: keccak256("sum"),
            plan_hash: keccak256(&self.plan),
            results_hash: results_hash(passes),
            release_hash: release_hash(3, 1),
        }
    }

    fn digest(&self, answer: &SealedAnswer) -> B256 {
        let at = self.client().deployment();
        sealed_answer_digest(at.chain_id, at.market, answer)
    }

    /// What these holders sign, whatever is wrong with it.
    fn submission(&self, digest: B256, passes: &[PassValues], keys: &[usize]) -> SealedSubmission {
        SealedSubmission {
            query: self.query,
            plan: self.plan.clone(),
            passes: passes.to_vec(),
            committee: self.committee,
            ciphertext_hash: keccak256("sum"),
            signatures: keys
                .iter()
                .map(|key| sign(&self.keys[*key], digest).unwrap())
                .collect(),
        }
    }

    async fn refuses(&self, submission: &SealedSubmission, contract: Contract, name: &str) {
        let relayer = self.world.node.account(3);
        let result = self
            .client()
            .accept_sealed_answer(&relayer, submission)
            .await;
        let error = result.unwrap_err();
        let revert = error.revert().unwrap_or_else(|| panic!("{error}"));
        let found = (revert.contract, revert.error.as_str());
        assert_eq!(found, (contract, name), "{error}");
        assert_eq!(error.family(), Family::Invalid, "{error}");
    }
}

async fn register_committee(
    client: &Client,
    sender: &Account,
    keys: &[PrivateKeySigner],
    threshold: u8,
) -> CommitteeId {
    let committee = committee_of(keys, threshold);
    let at = client.committee_contract().unwrap();
    let digest = committee_acceptance_digest(client.chain().id(), at, &committee);
    let signatures: Vec<_> = keys.iter().map(|key| sign(key, digest).unwrap()).collect();
    let done = client
        .register_committee(sender, &committee, &signatures)
        .await
        .unwrap();
    assert_eq!(done.value, committee_id(&committee));
    assert_eq!(client.committee(done.value).await.unwrap(), committee);
    done.value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committee_answers_and_everyone_is_paid() {
    for node in nodes().await {
        let sealed = Sealed::new(node).await;
        let client = sealed.client();
        let (relayer, custodian) = (sealed.world.node.account(3), sealed.world.node.account(1));
        let (dataset, token) = (sealed.world.dataset, client.deployment().token);

        let facts = client.query_facts(sealed.query).await.unwrap().unwrap();
        assert!(facts.open);
        assert_eq!(
            (facts.status, facts.dataset, facts.snapshot, facts.members),
            (QueryStatus::Funded, dataset, SnapshotId(1), 4)
        );
        assert_eq!((facts.min_cohort, facts.min_cell), (3, 1));
        assert_eq!(facts.custodian, custodian.address());
        assert_eq!(facts.plan_hash, keccak256(&sealed.plan));
        assert_eq!(
            facts.committee(CommitteeKind::Cubes),
            Some(sealed.committee)
        );
        assert_eq!(facts.committee(CommitteeKind::AdHoc), None);
        let unknown = client.query_facts(QueryId(B256::repeat_byte(9))).await;
        assert_eq!(unknown.unwrap(), None);
        let bound = client
            .committee_of(dataset, SnapshotId(1), CommitteeKind::Cubes)
            .await;
        assert_eq!(bound.unwrap(), Some(sealed.committee));
        assert!(
            client
                .is_issuer(dataset, signer(0).address())
                .await
                .unwrap()
        );
        assert!(
            !client
                .is_issuer(dataset, signer(3).address())
                .await
                .unwrap()
        );
        let member = client
            .member_at(dataset, SnapshotId(1), ChunkIndex(0), SlotIndex(3))
            .await;
        assert!(member.unwrap().is_some());

        let passes = values(&[4]);
        let digest = sealed.digest(&sealed.answer(&passes));
        let mut submission = sealed.submission(digest, &passes, &[3, 1, 3]);
        submission.signatures = by_signer(digest, submission.signatures)
            .into_iter()
            .map(|(_, signature)| signature)
            .collect();
        assert_eq!(submission.signatures.len(), 2);
        let done = client
            .accept_sealed_answer(&relayer, &submission)
            .await
            .unwrap();
        println!("sealed answer, 2 of 4: {} gas", done.gas_used);
        let state = client.query(sealed.query).await.unwrap();
        assert_eq!(
            (state.status, state.beneficiary),
            (QueryStatus::Answered, custodian.address())
        );
        let waiting = client.unsettled(dataset, SnapshotId(1), token).await;
        assert_eq!(waiting.unwrap(), [sealed.query]);
        let rewards = client
            .settle(&relayer, dataset, SnapshotId(1), token)
            .await
            .unwrap();
        assert_eq!(rewards.value, U256::from(PRICE * 9 / 10));
        let fee = client
            .withdraw(&relayer, token, custodian.address())
            .await
            .unwrap();
        assert_eq!(fee.value, U256::from(PRICE / 10));
        assert_eq!(client.obligations(token).await.unwrap(), U256::ZERO);
        audit(&sealed, &submission).await;
    }
}

/// What was done can be read back from transactions and events alone.
async fn audit(sealed: &Sealed, submission: &SealedSubmission) {
    let (client, at) = (sealed.client(), sealed.client().deployment());
    let last = client.chain().block_number().await.unwrap();
    let mut all: Vec<Mined> = Vec::new();
    client
        .history::<ChainError>(
            at.block..=last,
            |mined| {
                all.push(mined);
                Ok(())
            },
            |_| (),
        )
        .await
        .unwrap();
    let actions: Vec<Action> = all
        .iter()
        .map(|mined| history::read(&mined.raw, at).unwrap().action)
        .collect();
    assert!(!actions.contains(&Action::Unknown));
    assert!(actions.contains(&Action::AcceptSealedAnswer(Box::new(submission.clone()))));
    assert!(actions.contains(&Action::Committee(CommitteeAction::Bind {
        dataset: sealed.world.dataset,
        committee: sealed.committee,
    })));
    let registered = actions.iter().find_map(|action| match action {
        Action::Committee(CommitteeAction::Register {
            committee,
            acceptances,
        }) => Some((committee_id(committee), acceptances.len())),
        _ => None,
    });
    assert_eq!(registered, Some((sealed.committee, 4)));

    let events = client.events(at.block..=last).await.unwrap();
    let known = |event: &EventBody| !matches!(event, EventBody::Unknown(..));
    assert!(events.iter().all(|event| known(&event.body)));
    let accepted = events.iter().find_map(|event| match &event.body {
        EventBody::Market(IQueryMarketEvents::SealedAnswerAccepted(accepted)) => Some(accepted),
        _ => None,
    });
    let accepted = accepted.unwrap();
    assert_eq!(accepted.committeeId, sealed.committee.0);
    assert_eq!(
        keccak256(accepted.results.abi_encode()),
        results_hash(&submission.passes)
    );
    let bound = events.iter().find_map(|event| match &event.body {
        EventBody::Committee(ICommitteeEvents::CommitteeBound(bound)) => Some(bound),
        _ => None,
    });
    assert_eq!(bound.unwrap().fromSnapshot, 1);
    // The logs that an auditor expects for the events are those that were written.
    let logs: Vec<_> = all.iter().flat_map(|mined| &mined.logs).collect();
    for event in &events {
        let expected = history::log_of(&event.body, at).unwrap();
        assert!(logs.contains(&&expected), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_that_do_not_stand_for_this_answer_are_refused() {
    let sealed = Sealed::new(Node::of(embedded())).await;
    let passes = values(&[4]);
    let answer = sealed.answer(&passes);
    let digest = sealed.digest(&answer);
    let committee = Contract::Committee;

    let few = sealed.submission(digest, &passes, &[1]);
    sealed.refuses(&few, committee, "TooFewSignatures").await;
    let twice = sealed.submission(digest, &passes, &[1, 1]);
    sealed.refuses(&twice, committee, "SignersOutOfOrder").await;
    let disordered = sealed.submission(digest, &passes, &[2, 1]);
    sealed
        .refuses(&disordered, committee, "SignersOutOfOrder")
        .await;
    let at = sealed.client().deployment();
    let elsewhere = sealed_answer_digest(at.chain_id + 1, at.market, &answer);
    let foreign = sealed.submission(elsewhere, &passes, &[0, 1]);
    sealed
        .refuses(&foreign, committee, "NotCommitteeMember")
        .await;
    let other_market = sealed_answer_digest(at.chain_id, at.registry, &answer);
    let foreign = sealed.submission(other_market, &passes, &[0, 1]);
    sealed
        .refuses(&foreign, committee, "NotCommitteeMember")
        .await;
    let tampered = sealed.submission(digest, &values(&[5]), &[0, 1]);
    sealed
        .refuses(&tampered, committee, "NotCommitteeMember")
        .await;
    let mut other_sum = sealed.submission(digest, &passes, &[0, 1]);
    other_sum.ciphertext_hash = keccak256("another sum");
    sealed
        .refuses(&other_sum, committee, "NotCommitteeMember")
        .await;
    let mut void = sealed.submission(digest, &passes, &[0, 1]);
    void.signatures[1] = [0; 65];
    sealed.refuses(&void, committee, "SignatureRejected").await;
    let mut blinded = passes.clone();
    blinded[0].rho = number(1);
    let digest = sealed.digest(&sealed.answer(&blinded));
    let blinded = sealed.submission(digest, &blinded, &[0, 1]);
    sealed
        .refuses(&blinded, Contract::QueryMarket, "UnexpectedValue")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_researcher_is_refunded_when_the_committee_never_answers() {
    let sealed = Sealed::new(Node::of(embedded())).await;
    let (client, relayer) = (sealed.client(), sealed.world.node.account(3));
    client.chain().advance_time(1_001).await.unwrap();
    let facts = client.query_facts(sealed.query).await.unwrap().unwrap();
    assert!(!facts.open);
    let passes = values(&[4]);
    let digest = sealed.digest(&sealed.answer(&passes));
    let late = sealed.submission(digest, &passes, &[0, 1]);
    let error = client
        .accept_sealed_answer(&relayer, &late)
        .await
        .unwrap_err();
    assert_eq!(error.revert_name(), Some("QueryPastDeadline"));
    assert_eq!(error.family(), Family::Refused);
    client.refund(&relayer, sealed.query).await.unwrap();
    let researcher = sealed.world.node.account(2).address();
    let token = client.deployment().token;
    let paid = client.withdraw(&relayer, token, researcher).await.unwrap();
    assert_eq!(paid.value, U256::from(PRICE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_signs_two_answers_loses_its_word_and_its_bond() {
    let sealed = Sealed::new(Node::of(embedded())).await;
    let client = sealed.client();
    let (payer, reporter) = (sealed.world.node.account(2), sealed.world.node.account(3));
    let (dataset, token) = (sealed.world.dataset, client.deployment().token);
    let (committee, liar) = (sealed.committee, sealed.keys[1].address());
    client
        .approve_bond(&payer, token, U256::from(1_000))
        .await
        .unwrap();
    client
        .deposit_bond(&payer, committee, liar, dataset, token, 1_000)
        .await
        .unwrap();
    let bond = client.bond(committee, liar, dataset, token).await.unwrap();
    assert_eq!((bond.amount, bond.leaving, bond.release_at), (1_000, 0, 0));

    let [first, second] = [4, 5].map(|count| {
        let answer = sealed.answer(&values(&[count]));
        let signature = sign(&sealed.keys[1], sealed.digest(&answer)).unwrap();
        (answer, signature)
    });
    let harmless = Equivocation {
        committee,
        first,
        second: first,
    };
    let error = client
        .report_equivocation(&reporter, &harmless)
        .await
        .unwrap_err();
    assert_eq!(error.revert_name(), Some("NotEquivocation"));
    assert_eq!(error.family(), Family::Invalid);
    let proof = Equivocation { second, ..harmless };
    let reported = client.report_equivocation(&reporter, &proof).await.unwrap();
    assert_eq!(reported.value, liar);
    let status = client.member_status(committee, liar).await.unwrap();
    assert_eq!(status, MemberStatus::Equivocated);
    let error = client
        .report_equivocation(&reporter, &proof)
        .await
        .unwrap_err();
    assert_eq!(error.revert_name(), Some("MemberEquivocated"));
    assert_eq!(error.family(), Family::Refused);

    let before = client
        .token_balance(token, reporter.address())
        .await
        .unwrap();
    let slashed = client
        .slash_bond(&payer, committee, liar, dataset, token)
        .await
        .unwrap();
    assert_eq!(slashed.value, U256::from(900));
    let after = client
        .token_balance(token, reporter.address())
        .await
        .unwrap();
    assert_eq!(after - before, U256::from(100));
    let pot = client
        .deposited(dataset, SnapshotId(1), token)
        .await
        .unwrap();
    assert_eq!(pot, U256::from(900));

    // Two honest members are still enough.
    let passes = values(&[4]);
    let digest = sealed.digest(&sealed.answer(&passes));
    let tainted = sealed.submission(digest, &passes, &[0, 1]);
    let error = client
        .accept_sealed_answer(&reporter, &tainted)
        .await
        .unwrap_err();
    assert_eq!(error.revert_name(), Some("MemberEquivocated"));
    let good = sealed.submission(digest, &passes, &[0, 2]);
    client.accept_sealed_answer(&reporter, &good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bond_is_returned_after_its_notice() {
    let sealed = Sealed::new(Node::of(embedded())).await;
    let client = sealed.client();
    let (dataset, token) = (sealed.world.dataset, client.deployment().token);
    // A committee whose first member sends transactions itself.
    let member = sealed.world.node.account(2);
    let mut keys = vec![signer(2), holders(1, 7).remove(0)];
    keys.sort_by_key(PrivateKeySigner::address);
    let committee = register_committee(client, &member, &keys, 2).await;
    let me = member.address();
    client
        .approve_bond(&member, token, U256::from(50))
        .await
        .unwrap();
    client
        .deposit_bond(&member, committee, me, dataset, token, 50)
        .await
        .unwrap();
    client
        .give_notice(&member, committee, dataset, token, 40)
        .await
        .unwrap();
    let early = client
        .withdraw_bond(&member, committee, dataset, token)
        .await
        .unwrap_err();
    assert_eq!(early.revert_name(), Some("NoticeNotOver"));
    client.chain().advance_time(30 * 86_400).await.unwrap();
    let paid = client
        .withdraw_bond(&member, committee, dataset, token)
        .await
        .unwrap();
    assert_eq!(paid.value, U256::from(40));
    let left = client.bond(committee, me, dataset, token).await.unwrap();
    assert_eq!((left.amount, left.leaving), (10, 0));
}

#[tokio::test]
async fn a_deployment_without_a_committee_says_so() {
    let world = World::new(Node::of(embedded()), SLOTS, 2).await;
    let old = Deployment {
        version: 1,
        committee: None,
        ..world.client.deployment().clone()
    };
    let client = Client::new(world.client.chain().clone(), old.clone()).unwrap();
    let error = client.query_facts(QueryId(B256::ZERO)).await.unwrap_err();
    assert!(matches!(error, ChainError::NoSealedPath));
    assert_eq!(error.family(), Family::Refused);
    let last = client.chain().block_number().await.unwrap();
    let events = client.events(old.block..=last).await.unwrap();
    assert!(!events.is_empty());
    let mut created = Vec::new();
    client
        .history::<ChainError>(
            old.block..=last,
            |mined| {
                if let Action::Deploy(creation) = history::read(&mined.raw, &old).unwrap().action {
                    created.push(creation.contract);
                }
                Ok(())
            },
            |_| (),
        )
        .await
        .unwrap();
    assert!(!created.contains(&Contract::Committee));
}

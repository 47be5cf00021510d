//! The contracts from registration to the last claim, through the typed client, on every chain at hand.

use crate::{
    member::{TestMember, register},
    node::{Node, nodes},
    simulator::{CountPlan, header},
    world::{PRICE, SLOTS, World},
};
use alloy::primitives::{Address, B256, U256, keccak256};
use ark_bn254::Fr;
use salus_contracts::{
    bindings::{ICohortRegistry::ICohortRegistryEvents, IQueryMarket::IQueryMarketEvents},
    client::{
        Account, Answer, ChainError, ChunkIndex, Client, ColumnIndex, Contract, EventBody, Family,
        PassValues, QueryOrder, QueryStatus, SlotIndex, SnapshotId,
    },
    consent::{ClaimRequest, OptOut, nullifier},
    deploy::Deployment,
};

fn members(world: &World, codes: &[[u8; 4]]) -> Vec<TestMember> {
    codes
        .iter()
        .zip(0..)
        .map(|(codes, slot)| register(&world.basis, world.place(0), slot, codes))
        .collect()
}

/// Checks the decoded name and family of a revert that happened before anything was sent.
fn expect_revert<T: std::fmt::Debug>(
    result: Result<T, ChainError>,
    contract: Contract,
    name: &str,
    family: Family,
) {
    let error = result.unwrap_err();
    let revert = error.revert().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(
        (revert.contract, revert.error.as_str()),
        (contract, name),
        "{error}"
    );
    assert_eq!(error.family(), family, "{error}");
    assert!(matches!(
        error,
        ChainError::Reverted {
            transaction: None,
            ..
        }
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_join_a_query_is_answered_and_everyone_is_paid() {
    let mut gas = Vec::new();
    for node in nodes().await {
        gas.push((node.name, whole_flow(node).await));
    }
    println!("gas: {gas:?}");
    for (name, other) in &gas[1..] {
        assert_eq!(&gas[0].1, other, "gas differs between embedded and {name}");
    }
}

async fn whole_flow(node: Node) -> Vec<u64> {
    let world = World::new(node, SLOTS, 4).await;
    let (client, node) = (&world.client, &world.node);
    let [admin, custodian, researcher, relayer]: [Account; 4] =
        std::array::from_fn(|i| node.account(i));
    let people = members(
        &world,
        &[
            [2, 9, 3, 4],
            [3, 1, 2, 2],
            [2, 2, 2, 1],
            [1, 5, 5, 5],
            [4, 2, 2, 2],
        ],
    );
    let mut gas = Vec::new();

    // Cheating registrations are named by slot and error, and nobody of their batch joins.
    let mut forged = world.batch(0, &people);
    forged.members[2].proof.s1[31] ^= 1;
    expect_revert(
        client.opt_in_batch(&admin, &forged).await,
        Contract::CohortRegistry,
        "KnowledgeProofRejected",
        Family::Invalid,
    );
    let mut unsigned = world.batch(0, &people);
    unsigned.members[1].signature[5] ^= 1;
    let error = client.opt_in_batch(&admin, &unsigned).await.unwrap_err();
    assert_eq!(error.revert_name(), Some("ConsentRejected"));
    assert_eq!(
        error.revert().unwrap().args,
        [("slot".to_owned(), "1".to_owned())]
    );
    expect_revert(
        client
            .opt_in_batch(&relayer, &world.batch(0, &people))
            .await,
        Contract::CohortRegistry,
        "NotIssuer",
        Family::Refused,
    );

    gas.push(
        client
            .opt_in_batch(&admin, &world.batch(0, &people))
            .await
            .unwrap()
            .gas_used,
    );
    let leaver = &people[4];
    let opt_out = OptOut {
        dataset: world.dataset,
        chunk: ChunkIndex(0),
        slot: SlotIndex(4),
    };
    let registry = client.deployment().registry;
    let signature = leaver
        .key
        .sign_opt_out(client.chain().id(), registry, opt_out)
        .unwrap();
    let commitments = &leaver.registration.commitments;
    let left = client
        .opt_out(
            &relayer,
            world.dataset,
            ChunkIndex(0),
            SlotIndex(4),
            commitments,
            Some(signature),
        )
        .await
        .unwrap();
    gas.push(left.gas_used);
    let snapshot = client.snapshot(&custodian, world.dataset).await.unwrap();
    assert_eq!(snapshot.value, SnapshotId(1));
    gas.push(snapshot.gas_used);
    let state = client.dataset(world.dataset).await.unwrap();
    assert_eq!((state.members, state.chunks, state.snapshots), (4, 1, 1));
    let slot = client
        .slot(world.dataset, ChunkIndex(0), SlotIndex(0))
        .await
        .unwrap();
    assert_eq!(
        (slot.member, slot.left),
        (people[0].registration.member, None)
    );
    assert_eq!(
        client
            .member_at(world.dataset, SnapshotId(1), ChunkIndex(0), SlotIndex(4))
            .await
            .unwrap(),
        None
    );

    // The column commitments are the sums of the members'.
    let columns: [Fr; 4] =
        std::array::from_fn(|column| people[..4].iter().map(|m| m.commitments[column]).sum());
    let on_chain = client
        .column_commitments(world.dataset, SnapshotId(1), &[0, 1, 2, 3].map(ColumnIndex))
        .await
        .unwrap();
    let expected: Vec<_> = columns
        .iter()
        .map(|log| {
            crate::member::point_words(
                <ark_bn254::G1Projective as ark_ec::PrimeGroup>::generator() * log,
            )
        })
        .collect();
    assert_eq!(on_chain, [expected]);

    gas.extend(
        query_and_pay(
            &world,
            &people[..4],
            columns,
            [&admin, &custodian, &researcher, &relayer],
        )
        .await,
    );
    audit(&world).await;
    gas
}

async fn query_and_pay(
    world: &World,
    people: &[TestMember],
    columns: [Fr; 4],
    actors: [&Account; 4],
) -> Vec<u64> {
    let [admin, custodian, researcher, relayer] = actors;
    let client = &world.client;
    let token = client.deployment().token;
    let mut gas = Vec::new();
    client
        .mint(admin, researcher.address(), U256::from(10 * PRICE))
        .await
        .unwrap();
    // Column 0 is a filter on itself; columns 1 to 3 of the plan repeat it with tables of zeros.
    let plan = CountPlan { cells: 3 };
    // Fixed, so that calldata and with it gas are the same on every chain.
    let deadline = 1_900_000_000;
    let order = world.order(&plan, deadline, 1);
    let cheap = QueryOrder {
        amount: PRICE - 1,
        ..order.clone()
    };
    expect_revert(
        client.fund(researcher, &cheap).await,
        Contract::QueryMarket,
        "AmountBelowPrice",
        Family::Refused,
    );
    let funded = client.fund(researcher, &order).await.unwrap();
    gas.push(funded.gas_used);
    assert_eq!(
        funded.value,
        client.query_id(researcher.address(), &order).await.unwrap()
    );
    let query = funded.value;

    let head = header(
        client.chain().id(),
        client.deployment().market,
        world.dataset.0,
        1,
        query.0,
    );
    let answer = |values: [u64; 3]| Answer {
        query,
        plan: plan.bytes().into(),
        passes: vec![PassValues {
            mask: 0,
            rho: [0; 32],
            values: values.map(crate::member::number).to_vec(),
        }],
        proofs: world.key.simulate(&plan, head, [columns[0]; 4], &[2, 1, 0]),
    };
    let mut right = answer([2, 1, 0]);
    // A published zero is below the minimum cell: it must be masked, so the honest plan asks for two cells.
    expect_revert(
        client.accept_answer(custodian, &right).await,
        Contract::QueryMarket,
        "CountBelowMinimum",
        Family::Refused,
    );
    let plan = CountPlan { cells: 2 };
    let order = world.order(&plan, deadline, 2);
    let query = client.fund(researcher, &order).await.unwrap().value;
    let head = header(
        client.chain().id(),
        client.deployment().market,
        world.dataset.0,
        1,
        query.0,
    );
    right.query = query;
    right.plan = plan.bytes().into();
    right.passes[0].values.truncate(2);
    right.proofs = world.key.simulate(&plan, head, [columns[0]; 4], &[2, 1]);
    let mut wrong = right.clone();
    wrong.passes[0].values[0] = crate::member::number(3);
    let error = client.accept_answer(custodian, &wrong).await.unwrap_err();
    assert_eq!(error.revert_name(), Some("ProofRejected"), "{error}");
    assert_eq!(error.family(), Family::Invalid);
    expect_revert(
        client.accept_answer(relayer, &right).await,
        Contract::QueryMarket,
        "NotCustodian",
        Family::Refused,
    );
    gas.push(
        client
            .accept_answer(custodian, &right)
            .await
            .unwrap()
            .gas_used,
    );
    assert_eq!(
        client.query(query).await.unwrap().status,
        QueryStatus::Answered
    );
    expect_revert(
        client.refund(relayer, query).await,
        Contract::QueryMarket,
        "QueryNotOpen",
        Family::Refused,
    );

    // The first query is declined, a third one expires: the researcher gets both payments back.
    client.refuse(custodian, funded.value, 7).await.unwrap();
    let late = client
        .fund(researcher, &world.order(&plan, deadline, 3))
        .await
        .unwrap()
        .value;
    expect_revert(
        client.refund(relayer, late).await,
        Contract::QueryMarket,
        "QueryNotPastDeadline",
        Family::Refused,
    );
    let now = client.chain().timestamp().await.unwrap();
    client
        .chain()
        .advance_time(deadline + 1 - now)
        .await
        .unwrap();
    gas.push(client.refund(relayer, late).await.unwrap().gas_used);
    assert_eq!(
        client.credit(token, researcher.address()).await.unwrap(),
        U256::from(2 * PRICE)
    );
    let back = client
        .withdraw(relayer, token, researcher.address())
        .await
        .unwrap();
    assert_eq!(back.value, U256::from(2 * PRICE));
    assert_eq!(
        client
            .token_balance(token, researcher.address())
            .await
            .unwrap(),
        U256::from(9 * PRICE)
    );

    let settled = client
        .settle(relayer, world.dataset, SnapshotId(1), token)
        .await
        .unwrap();
    assert_eq!(settled.value, U256::from(PRICE * 9 / 10));
    gas.push(settled.gas_used);
    let again = client
        .settle(relayer, world.dataset, SnapshotId(1), token)
        .await;
    assert!(matches!(
        again.unwrap_err(),
        ChainError::NothingToSettle { .. }
    ));
    expect_revert(
        client.settle_queries(relayer, &[query]).await,
        Contract::QueryMarket,
        "QueryNotAnswered",
        Family::Refused,
    );
    assert_eq!(
        client.query(query).await.unwrap().status,
        QueryStatus::Settled
    );
    gas.extend(claim_all(world, people, relayer, settled.value).await);
    client
        .withdraw(custodian, token, custodian.address())
        .await
        .unwrap();
    assert_eq!(client.obligations(token).await.unwrap(), U256::ZERO);
    gas
}

async fn claim_all(world: &World, people: &[TestMember], relayer: &Account, pot: U256) -> Vec<u64> {
    let client = &world.client;
    let (token, pool) = (client.deployment().token, client.deployment().pool);
    let recipient = |slot: usize| Address::with_last_byte(0xa0 + slot as u8);
    let claims: Vec<_> = people
        .iter()
        .enumerate()
        .map(|(slot, member)| {
            let request = ClaimRequest {
                dataset: world.dataset,
                snapshot: SnapshotId(1),
                chunk: ChunkIndex(0),
                slot: SlotIndex(slot as u32),
                token,
                recipient: recipient(slot),
                fee: U256::from(10),
                paid_before: U256::ZERO,
            };
            member
                .key
                .sign_claim(client.chain().id(), pool, &request)
                .unwrap()
        })
        .collect();
    let share = pot / U256::from(people.len());
    let name = nullifier(world.dataset, SnapshotId(1), ChunkIndex(0), SlotIndex(0));
    assert_eq!(
        client
            .due(world.dataset, SnapshotId(1), token, name)
            .await
            .unwrap(),
        share
    );
    let mut stolen = claims[0].clone();
    stolen.recipient = relayer.address();
    expect_revert(
        client.claim(relayer, &stolen).await,
        Contract::ClaimVerifier,
        "ClaimRejected",
        Family::Invalid,
    );
    let one = client.claim(relayer, &claims[0]).await.unwrap();
    assert_eq!(one.value, share);
    expect_revert(
        client.claim(relayer, &claims[0]).await,
        Contract::RewardPool,
        "AlreadyClaimed",
        Family::Refused,
    );
    let many = client.claim_many(relayer, &claims).await.unwrap();
    assert_eq!(many.value, share * U256::from(people.len() - 1));
    for slot in 0..people.len() {
        let balance = client.token_balance(token, recipient(slot)).await.unwrap();
        assert_eq!(balance, share - U256::from(10));
    }
    assert_eq!(
        client
            .paid_to(world.dataset, SnapshotId(1), token, name)
            .await
            .unwrap(),
        share
    );
    vec![one.gas_used, many.gas_used]
}

/// Events in order, and the transactions behind them, are all there for an audit.
async fn audit(world: &World) {
    let client = &world.client;
    let last = client.chain().block_number().await.unwrap();
    let events = client
        .events(client.deployment().block..=last)
        .await
        .unwrap();
    assert!(events.is_sorted_by_key(|event| (event.block, event.index)));
    let joined = events
        .iter()
        .filter(|e| {
            matches!(
                &e.body,
                EventBody::Registry(ICohortRegistryEvents::MemberJoined(_))
            )
        })
        .count();
    let accepted: Vec<_> = events
        .iter()
        .filter(|e| {
            matches!(
                &e.body,
                EventBody::Market(IQueryMarketEvents::AnswerAccepted(_))
            )
        })
        .collect();
    assert_eq!((joined, accepted.len()), (5, 1));
    assert!(
        !events
            .iter()
            .any(|e| matches!(e.body, EventBody::Unknown(..)))
    );
    let raw = client
        .chain()
        .raw_transaction(accepted[0].transaction)
        .await
        .unwrap();
    assert_eq!(keccak256(&raw), accepted[0].transaction);
    let unknown = client
        .chain()
        .raw_transaction(B256::repeat_byte(1))
        .await
        .unwrap_err();
    assert!(matches!(unknown, ChainError::UnknownTransaction { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_pipelined_across_chunks_and_a_bad_one_stops_the_rest() {
    for node in nodes().await {
        let world = World::new(node, SLOTS, 2).await;
        let issuer = world.node.account(0);
        let batch = |chunk: u32, slots: std::ops::Range<u32>| {
            let people: Vec<_> = slots
                .map(|slot| register(&world.basis, world.place(chunk), slot, &[2, 3]))
                .collect();
            world.batch(chunk, &people)
        };
        // Chunk 1 opens only once chunk 0 exists, though both are on their way together.
        let good = vec![
            batch(0, 0..2),
            batch(0, 2..4),
            batch(1, 0..2),
            batch(2, 0..1),
            batch(1, 2..3),
        ];
        let mut seen = Vec::new();
        let mined = world
            .client
            .opt_in_all(&issuer, good, 4, |index, mined| {
                seen.push((index, mined.gas_used))
            })
            .await
            .unwrap();
        assert_eq!((mined.len(), seen.len()), (5, 5));
        assert_eq!(
            world.client.dataset(world.dataset).await.unwrap().members,
            8
        );

        let mut bad = batch(0, 5..6);
        bad.members[0].proof.s2[3] ^= 1;
        let error = world
            .client
            .opt_in_all(
                &issuer,
                vec![batch(0, 4..5), bad, batch(0, 6..7)],
                4,
                |_, _| {},
            )
            .await
            .unwrap_err();
        assert_eq!((error.index, error.mined.len()), (1, 1));
        assert_eq!(error.source.revert_name(), Some("KnowledgeProofRejected"));
        // The account goes on with the right nonce.
        world
            .client
            .opt_in_batch(&issuer, &batch(0, 6..7))
            .await
            .unwrap();
        assert_eq!(
            world.client.dataset(world.dataset).await.unwrap().members,
            10
        );

        let other = Deployment {
            chain_id: 5,
            ..world.client.deployment().clone()
        };
        let refused = Client::new(world.client.chain().clone(), other).unwrap_err();
        assert!(matches!(
            refused,
            ChainError::WrongChain { expected: 5, .. }
        ));
    }
}

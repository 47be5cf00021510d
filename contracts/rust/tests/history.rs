//! Transactions read back: what was meant comes out, and no bytes do harm.

use crate::{
    member::register,
    node::{Node, embedded, signer},
    world::{SLOTS, World},
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
    signers::SignerSync,
    sol_types::{SolCall, SolValue},
};
use proptest::prelude::*;
use salus_contracts::{
    bindings::{ICohortRegistry, ICommittee, IQueryMarket, IRewardPool},
    client::{
        Account, ChainError, ChunkIndex, Contract, DatasetId, OptIn, RewardClaim, SnapshotId,
    },
    deploy::Deployment,
    history::{self, Action, HistoryError, Mined, claim_proof, creation_matches},
};

fn deployment() -> Deployment {
    Deployment {
        version: 1,
        chain_id: 31_337,
        block: 1,
        registry: Address::with_last_byte(1),
        market: Address::with_last_byte(2),
        verifier: Address::with_last_byte(3),
        pool: Address::with_last_byte(4),
        claim_verifier: Address::with_last_byte(5),
        token: Address::with_last_byte(6),
        committee: Some(Address::with_last_byte(7)),
    }
}

fn signed(chain_id: u64, to: TxKind, input: Vec<u8>) -> Vec<u8> {
    let transaction = TxEip1559 {
        chain_id,
        nonce: 7,
        gas_limit: 100_000,
        to,
        input: input.into(),
        ..Default::default()
    };
    let signature = signer(0)
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}

pub fn call(to: Address, input: Vec<u8>) -> Action {
    let raw = signed(31_337, to.into(), input);
    history::read(&raw, &deployment()).unwrap().action
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_tells_what_was_done_on_it() {
    let world = World::new(Node::of(embedded()), SLOTS, 2).await;
    let (client, at) = (&world.client, world.client.deployment());
    let admin = world.node.account(0);
    let people: Vec<_> = (0..3)
        .map(|slot| register(&world.basis, world.place(0), slot, &[2, 3]))
        .collect();
    let batch = world.batch(0, &people);
    client.opt_in_batch(&admin, &batch).await.unwrap();
    client.snapshot(&admin, world.dataset).await.unwrap();
    // Nothing of the deployment's: no part of its history.
    let other = Account::new(client.chain(), signer(2));
    let stranger = salus_contracts::client::Call {
        contract: Contract::Token,
        to: Some(Address::repeat_byte(9)),
        data: Bytes::new(),
    };
    other.send(stranger).await.unwrap();

    let last = client.chain().block_number().await.unwrap();
    let mut all: Vec<Mined> = Vec::new();
    let mut blocks = 0;
    client
        .history::<ChainError>(
            at.block..=last,
            |mined| {
                all.push(mined);
                Ok(())
            },
            |_| blocks += 1,
        )
        .await
        .unwrap();
    assert_eq!(blocks, last - at.block + 1);
    let actions: Vec<Action> = all
        .iter()
        .map(|mined| {
            let transaction = history::read(&mined.raw, at).unwrap();
            assert_eq!(transaction.hash, keccak256(&mined.raw));
            assert_eq!(transaction.sender, admin.address());
            assert!(mined.success && mined.gas_used <= transaction.gas_limit);
            if let Action::Deploy(creation) = &transaction.action {
                assert!(creation_matches(creation, at), "{:?}", creation.contract);
                assert!(transaction.creates().is_some());
            }
            transaction.action
        })
        .collect();
    let deployed: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Deploy(creation) => Some(creation.contract),
            _ => None,
        })
        .collect();
    assert_eq!(deployed.len(), 7);
    let registered = &actions[7..];
    assert!(
        matches!(&registered[0], Action::RegisterCircuit { words } if words[..] == world.key.words)
    );
    assert!(
        matches!(&registered[1], Action::CreateDataset(params) if params.columns == 2 && params.minCohort == 3)
    );
    let issuer = Action::SetIssuer {
        dataset: world.dataset,
        issuer: admin.address(),
        allowed: true,
    };
    assert_eq!(
        registered[2..],
        [
            issuer,
            Action::OptIn(batch),
            Action::Snapshot(world.dataset)
        ]
    );
    let found = client.chain().inclusion(keccak256(&all[0].raw)).await;
    assert_eq!(found.unwrap().unwrap().block, at.block);
    let none = client.chain().inclusion(B256::repeat_byte(1)).await;
    assert_eq!(none.unwrap(), None);
}

#[test]
fn only_whole_transactions_for_this_chain_are_read() {
    let at = deployment();
    let raw = signed(31_337, at.market.into(), vec![1, 2, 3, 4]);
    let read = history::read(&raw, &at).unwrap();
    assert_eq!(
        (read.sender, read.nonce, read.to, read.action),
        (signer(0).address(), 7, Some(at.market), Action::Unknown)
    );
    let longer = [raw.as_slice(), &[0]].concat();
    assert_eq!(history::read(&longer, &at), Err(HistoryError::Malformed));
    for end in 0..raw.len() {
        assert!(history::read(&raw[..end], &at).is_err());
    }
    let foreign = signed(1, at.market.into(), Vec::new());
    assert!(matches!(
        history::read(&foreign, &at),
        Err(HistoryError::Chain {
            expected: 31_337,
            found: Some(1)
        })
    ));
    let huge = vec![0; history::MAX_TRANSACTION + 1];
    assert!(matches!(
        history::read(&huge, &at),
        Err(HistoryError::TooLong { .. })
    ));
}

#[test]
fn arrays_that_lie_on_top_of_each_other_are_no_call() {
    // 2,000 members, all at the same place: a few kilobytes that would decode to many megabytes.
    let at = deployment();
    let word = |n: u64| U256::from(n).to_be_bytes::<32>();
    let count = 2_000;
    let mut input = ICohortRegistry::optInCall::SELECTOR.to_vec();
    for n in [1, 0, 96, count] {
        input.extend(word(n));
    }
    for _ in 0..count {
        input.extend(word(32 * count));
    }
    input.extend([0; 32 * 2_000]);
    assert_eq!(call(at.registry, input), Action::Unknown);
    // The honest form of the same function, and one byte more.
    let honest = ICohortRegistry::optInCall {
        datasetId: U256::ONE,
        chunk: 0,
        batch: Vec::new(),
    }
    .abi_encode();
    let none = OptIn {
        dataset: DatasetId(1),
        chunk: ChunkIndex(0),
        members: Vec::new(),
    };
    assert_eq!(call(at.registry, honest.clone()), Action::OptIn(none));
    let longer = [honest, vec![0]].concat();
    assert_eq!(call(at.registry, longer), Action::Unknown);
}

#[test]
fn numbers_that_no_contract_accepts_are_no_call() {
    let at = deployment();
    let big = ICohortRegistry::snapshotCall {
        datasetId: U256::from(1u64 << 32),
    };
    assert_eq!(call(at.registry, big.abi_encode()), Action::Unknown);
    let uneven = IRewardPool::claimManyCall {
        requests: Vec::new(),
        proofs: vec![Bytes::new()],
    };
    assert_eq!(call(at.pool, uneven.abi_encode()), Action::Unknown);
    // The right call at the wrong contract.
    let refund = IQueryMarket::refundExpiredCall {
        queryId: B256::repeat_byte(3),
    }
    .abi_encode();
    assert_eq!(call(at.pool, refund.clone()), Action::Unknown);
    assert!(matches!(call(at.market, refund), Action::Refund(_)));
}

#[test]
fn claims_by_signature_are_read_strictly() {
    let proof = (4u32, 5u32, vec![6u8; 65]).abi_encode_params();
    let shown = claim_proof(&proof).unwrap();
    assert_eq!((shown.chunk.0, shown.slot.0), (4, 5));
    assert_eq!(shown.signature, [6; 65]);
    assert_eq!(claim_proof(&[proof.as_slice(), &[0]].concat()), None);
    let short = (4u32, 5u32, vec![6u8; 64]).abi_encode_params();
    assert_eq!(claim_proof(&short), None);
    let request = IRewardPool::Claim {
        datasetId: U256::ONE,
        snapshotId: U256::from(2),
        ..empty_claim()
    };
    let input = IRewardPool::claimCall {
        request,
        proof: proof.clone().into(),
    };
    let Action::Claim(RewardClaim {
        dataset, snapshot, ..
    }) = call(deployment().pool, input.abi_encode())
    else {
        panic!("not read as a claim");
    };
    assert_eq!((dataset, snapshot), (DatasetId(1), SnapshotId(2)));
}

fn empty_claim() -> IRewardPool::Claim {
    IRewardPool::Claim {
        datasetId: U256::ZERO,
        snapshotId: U256::ZERO,
        token: Address::ZERO,
        nullifier: B256::ZERO,
        recipient: Address::ZERO,
        fee: U256::ZERO,
        paidBefore: U256::ZERO,
    }
}

#[test]
fn only_low_signatures_with_27_or_28_have_a_signer() {
    let digest = keccak256("digest");
    let signature = signer(1).sign_hash_sync(&digest).unwrap();
    let bytes = signature.as_bytes();
    assert_eq!(history::signer(digest, &bytes), Some(signer(1).address()));
    assert_ne!(
        history::signer(keccak256("other"), &bytes),
        Some(signer(1).address())
    );
    let mut parity = bytes;
    parity[64] -= 27;
    assert_eq!(history::signer(digest, &parity), None);
    // The twin with s on the other side of half the order.
    let order = U256::from_be_bytes(ORDER);
    let mut twin = bytes;
    let s = U256::from_be_slice(&bytes[32..64]);
    twin[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    twin[64] = 55 - bytes[64];
    assert_eq!(history::signer(digest, &twin), None);
    let mut nobody = [0; 65];
    nobody[64] = 27;
    assert_eq!(history::signer(digest, &nobody), None);
}

/// Order of secp256k1.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

fn selectors() -> impl Strategy<Value = [u8; 4]> {
    prop::sample::select(vec![
        ICohortRegistry::optInCall::SELECTOR,
        ICohortRegistry::rectifyCall::SELECTOR,
        ICohortRegistry::optOutCall::SELECTOR,
        ICohortRegistry::createDatasetCall::SELECTOR,
        IQueryMarket::acceptAnswerCall::SELECTOR,
        IQueryMarket::acceptSealedAnswerCall::SELECTOR,
        IQueryMarket::settleCall::SELECTOR,
        IQueryMarket::fundCall::SELECTOR,
        IRewardPool::claimCall::SELECTOR,
        IRewardPool::claimManyCall::SELECTOR,
        ICommittee::registerCall::SELECTOR,
        ICommittee::reportEquivocationCall::SELECTOR,
        ICommittee::depositBondCall::SELECTOR,
    ])
}

/// Small numbers make offsets and lengths that point somewhere.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        (0u64..512).prop_map(|n| U256::from(n).to_be_bytes::<32>()),
        any::<[u8; 32]>(),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = history::read(&bytes, &deployment());
        let _ = claim_proof(&bytes);
    }

    #[test]
    fn any_calldata_is_read(selector in selectors(), words in words(), to in 1u8..=7) {
        let input = [selector.as_slice(), &words].concat();
        let raw = signed(31_337, Address::with_last_byte(to).into(), input);
        prop_assert_eq!(history::read(&raw, &deployment()).unwrap().sender, signer(0).address());
    }

    #[test]
    fn a_changed_byte_is_another_sender_or_no_transaction(at in 0usize..200, bit in 0u8..8) {
        let raw = signed(31_337, deployment().market.into(), vec![5; 120]);
        let mut changed = raw.clone();
        changed[at % raw.len()] ^= 1 << bit;
        let sender = history::read(&changed, &deployment()).map(|t| t.sender);
        prop_assert_ne!(sender, Ok(signer(0).address()));
    }
}

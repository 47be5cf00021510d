//! The messages behind sealed answers, and calls of the committee contract read back.

use crate::{
    node::{Node, embedded, signer},
    sealed::{committee_of, holders, values},
    world::{SLOTS, World},
};
use alloy::{
    dyn_abi::TypedData,
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolCall,
};
use salus_contracts::{
    PrivateKeySigner,
    bindings::ICommittee,
    client::{
        ChunkIndex, CommitteeId, CommitteeKind, Contract, DatasetId, QueryId, SlotIndex, SnapshotId,
    },
    history::{Action, CommitteeAction},
    sealed::{
        SealedAnswer, SealedUpload, by_signer, committee_acceptance_digest, committee_id, recover,
        release_hash, results_hash, sealed_answer_digest, sealed_upload_digest, sign,
    },
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contracts_and_this_program_compute_the_same_digests() {
    let world = World::new(Node::of(embedded()), SLOTS, 2).await;
    let client = &world.client;
    let (chain, at) = (client.chain(), client.deployment());
    let contract = client.committee_contract().unwrap();
    let committee = committee_of(&holders(5, 3), 3);
    let params = ICommittee::CommitteeParams {
        kind: 1,
        threshold: 3,
        keyHash: committee.key_hash,
        members: committee.members.clone(),
    };
    let call = ICommittee::idOfCall {
        params: params.clone(),
    };
    let id = chain.read(Contract::Committee, contract, &call).await;
    assert_eq!(id.unwrap(), committee_id(&committee).0);
    let call = ICommittee::acceptanceDigestCall { params };
    let digest = chain.read(Contract::Committee, contract, &call).await;
    assert_eq!(
        digest.unwrap(),
        committee_acceptance_digest(at.chain_id, contract, &committee)
    );
    for seed in 0..4u8 {
        let word = |i: u8| keccak256([seed, i]);
        let answer = SealedAnswer {
            query: QueryId(word(1)),
            dataset: DatasetId(u32::from(seed) << 24 | 7),
            snapshot: SnapshotId(u32::from(seed) + 1),
            committee: CommitteeId(word(2)),
            ciphertext_hash: word(3),
            plan_hash: word(4),
            results_hash: results_hash(&values(&[seed.into(), 9])),
            release_hash: release_hash(10, seed.into()),
        };
        let call = ICommittee::digestOfCall {
            answer: (&answer).into(),
        };
        let digest = chain.read(Contract::Committee, contract, &call).await;
        assert_eq!(
            digest.unwrap(),
            sealed_answer_digest(at.chain_id, at.market, &answer)
        );
    }
}

/// As JSON, hashed by an implementation that is not ours.
#[test]
fn uploads_are_typed_data_in_the_registry_s_domain() {
    let registry = Address::repeat_byte(0x11);
    let upload = SealedUpload {
        dataset: DatasetId(3),
        member: Address::repeat_byte(0x22),
        chunk: ChunkIndex(4),
        slot: SlotIndex(5),
        nonce: 6,
        epoch: 7,
        cube: B256::repeat_byte(0x33),
        ciphertext_hash: B256::repeat_byte(0x44),
    };
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let typed = json!({
        "types": {
            "EIP712Domain": [
                field("name", "string"), field("version", "string"),
                field("chainId", "uint256"), field("verifyingContract", "address"),
            ],
            "SealedUpload": [
                field("datasetId", "uint256"), field("member", "address"),
                field("chunk", "uint32"), field("slot", "uint32"), field("nonce", "uint256"),
                field("epoch", "uint32"), field("cubeId", "bytes32"),
                field("ciphertextHash", "bytes32"),
            ],
        },
        "primaryType": "SealedUpload",
        "domain": {
            "name": "Salus", "version": "1", "chainId": 31_337, "verifyingContract": registry,
        },
        "message": {
            "datasetId": 3, "member": upload.member, "chunk": 4, "slot": 5, "nonce": 6, "epoch": 7,
            "cubeId": upload.cube, "ciphertextHash": upload.ciphertext_hash,
        },
    });
    let typed: TypedData = serde_json::from_value(typed).unwrap();
    let digest = sealed_upload_digest(31_337, registry, &upload);
    assert_eq!(typed.eip712_signing_hash().unwrap(), digest);
    let signature = sign(&signer(1), digest).unwrap();
    assert_eq!(recover(digest, &signature), Some(signer(1).address()));
    let other = SealedUpload { nonce: 7, ..upload };
    let digest = sealed_upload_digest(31_337, registry, &other);
    assert_ne!(recover(digest, &signature), Some(signer(1).address()));
}

#[test]
fn signatures_are_ordered_and_void_ones_dropped() {
    let digest = keccak256("digest");
    let keys = holders(3, 9);
    let mut signatures: Vec<_> = keys.iter().map(|key| sign(key, digest).unwrap()).collect();
    signatures.reverse();
    signatures.push([0; 65]);
    signatures.push(signatures[0]);
    let ordered = by_signer(digest, signatures);
    let signers: Vec<_> = ordered.iter().map(|(signer, _)| *signer).collect();
    let expected: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
    assert_eq!(signers, expected);
}

#[test]
fn calls_to_the_committee_are_read_strictly() {
    let at = Address::with_last_byte(7);
    let read = |input: Vec<u8>| crate::history::call(at, input);
    let uneven = ICommittee::registerCall {
        params: ICommittee::CommitteeParams {
            kind: 1,
            threshold: 2,
            keyHash: B256::repeat_byte(1),
            members: vec![at],
        },
        acceptances: vec![0; 64].into(),
    };
    assert_eq!(read(uneven.abi_encode()), Action::Unknown);
    let kindless = ICommittee::unbindCall {
        datasetId: U256::ONE,
        kind: 3,
    };
    assert_eq!(read(kindless.abi_encode()), Action::Unknown);
    let huge = ICommittee::bindCall {
        datasetId: U256::MAX,
        committeeId: B256::ZERO,
    };
    assert_eq!(read(huge.abi_encode()), Action::Unknown);
    let unbind = ICommittee::unbindCall {
        datasetId: U256::ONE,
        kind: 2,
    };
    let expected = CommitteeAction::Unbind {
        dataset: DatasetId(1),
        kind: CommitteeKind::AdHoc,
    };
    assert_eq!(read(unbind.abi_encode()), Action::Committee(expected));
    // A report may be about numbers that no dataset has: the contract takes it all the same.
    let answer = || ICommittee::SealedAnswer {
        queryId: B256::ZERO,
        datasetId: U256::MAX,
        snapshotId: U256::MAX,
        committeeId: B256::ZERO,
        ciphertextHash: B256::ZERO,
        planHash: B256::ZERO,
        resultsHash: B256::ZERO,
        releaseHash: B256::ZERO,
    };
    let report = ICommittee::reportEquivocationCall {
        committeeId: B256::ZERO,
        answerA: answer(),
        answerB: answer(),
        signatureA: vec![1; 65].into(),
        signatureB: vec![2; 65].into(),
    };
    let Action::Committee(CommitteeAction::Report(report)) = read(report.abi_encode()) else {
        panic!("not read as a report");
    };
    assert_eq!(report.signatures, [[1; 65], [2; 65]]);
    assert_eq!(report.answers[0].datasetId, U256::MAX);
}

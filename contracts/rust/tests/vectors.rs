//! Published vectors: BN254 precompiles through the whole EVM, EIP-712.

use crate::node::{ADDRESSES, embedded};
use alloy::{
    dyn_abi::TypedData,
    primitives::{Address, B256, Bytes, U256, hex, keccak256},
    rpc::types::TransactionRequest,
};
use salus_contracts::{
    client::{ChunkIndex, DatasetId, SlotIndex, SnapshotId},
    consent::{ClaimRequest, Consent, OptOut},
    devchain::{DevChain, DevChainError},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A shared data file, or `None` with a line that says so.
fn data(path: &str) -> Option<Value> {
    let root = std::env::var_os("SALUS_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    match std::fs::read(root.join(path)) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            println!("skipped: {path} not found");
            None
        }
    }
}

fn precompile(chain: &DevChain, index: u8, input: Vec<u8>) -> Result<Bytes, DevChainError> {
    chain.call(
        &TransactionRequest::default()
            .from(ADDRESSES[0])
            .to(Address::with_last_byte(index))
            .input(Bytes::from(input).into()),
    )
}

#[test]
fn precompiles_give_the_published_results_twice() {
    let chain = embedded();
    for (index, file) in [
        (1, "evm_precompiles/ecRecover.json"),
        (6, "evm_precompiles/bn256Add.json"),
        (7, "evm_precompiles/bn256ScalarMul.json"),
        (8, "evm_precompiles/bn256Pairing.json"),
    ] {
        let Some(cases) = data(file) else { continue };
        for case in cases.as_array().unwrap() {
            let input = hex::decode(case["Input"].as_str().unwrap()).unwrap();
            let expected = hex::decode(case["Expected"].as_str().unwrap()).unwrap();
            for _ in 0..2 {
                let output = precompile(&chain, index, input.clone()).unwrap();
                assert_eq!(output, expected, "{file}: {}", case["Name"]);
            }
        }
    }
}

#[test]
fn a_pairing_product_and_bad_input_behave_as_in_the_protocol() {
    let chain = embedded();
    // e(P, Q) e(-P, Q) = 1 with the generators; the vectors' pairing file is not always at hand.
    let g2 = "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa";
    let word = |n: &str| format!("{:0>64}", n);
    let minus_two = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45";
    let product = |second_y: &str| {
        let text = [
            word("1"),
            word("2"),
            g2.into(),
            word("1"),
            word(second_y),
            g2.into(),
        ]
        .concat();
        hex::decode(text).unwrap()
    };
    let holds = precompile(&chain, 8, product(minus_two)).unwrap();
    assert_eq!(U256::from_be_slice(&holds), U256::from(1));
    let fails = precompile(&chain, 8, product("2")).unwrap();
    assert_eq!(U256::from_be_slice(&fails), U256::ZERO);
    for (index, input) in [
        (6, vec![1; 128]),
        (7, vec![0xff; 96]),
        (8, vec![0; 191]),
        (8, vec![1; 192]),
    ] {
        assert!(matches!(
            precompile(&chain, index, input).unwrap_err(),
            DevChainError::Halted { .. } | DevChainError::GasAllowance { .. }
        ));
    }
}

/// The independent implementation that ours is compared with must itself agree with the published vectors.
#[test]
fn typed_data_hashing_agrees_with_published_vectors() {
    let Some(cases) = data("eip712/go-ethereum_typed-data.json") else {
        return;
    };
    let mut checked = 0;
    for case in cases.as_array().unwrap() {
        let typed = json!({
            "types": case["types"], "primaryType": case["primaryType"],
            "domain": case["domain"], "message": case["data"],
        });
        let Ok(typed) = serde_json::from_value::<TypedData>(typed) else {
            continue;
        };
        if let Ok(hash) = typed.eip712_signing_hash() {
            let expected: B256 = case["digest"].as_str().unwrap().parse().unwrap();
            assert_eq!(hash, expected, "{}", case["name"]);
            checked += 1;
        }
    }
    println!("{checked} of {} cases", cases.as_array().unwrap().len());
    assert!(checked > 100);
}

/// What a wallet would show and sign for the same message, as JSON.
fn wallet_hash(primary: &str, fields: &[(&str, &str)], contract: Address, message: Value) -> B256 {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, kind)| json!({"name": name, "type": kind}))
        .collect();
    let typed: TypedData = serde_json::from_value(json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
            ],
            primary: fields,
        },
        "primaryType": primary,
        "domain": {"name": "Salus", "version": "1", "chainId": 31337, "verifyingContract": contract},
        "message": message,
    }))
    .unwrap();
    typed.eip712_signing_hash().unwrap()
}

#[test]
fn our_messages_hash_as_wallets_hash_them() {
    let contract = ADDRESSES[3];
    let consent = Consent {
        dataset: DatasetId(7),
        chunk: ChunkIndex(3),
        slot: SlotIndex(1_761),
        purposes: B256::repeat_byte(0x11),
        expiry_epoch: 12,
        commitments_hash: keccak256("commitments"),
        payout_id: keccak256("payout"),
        nonce: 1,
    };
    let expected = wallet_hash(
        "Consent",
        &[
            ("dataset", "uint256"),
            ("chunk", "uint32"),
            ("slot", "uint32"),
            ("purposes", "bytes32"),
            ("expiryEpoch", "uint64"),
            ("commitmentsHash", "bytes32"),
            ("payoutId", "bytes32"),
            ("nonce", "uint256"),
        ],
        contract,
        json!({
            "dataset": 7, "chunk": 3, "slot": 1761, "purposes": B256::repeat_byte(0x11), "expiryEpoch": 12,
            "commitmentsHash": keccak256("commitments"), "payoutId": keccak256("payout"), "nonce": 1,
        }),
    );
    assert_eq!(consent.digest(31_337, contract), expected);
    assert_ne!(consent.digest(1, contract), expected);
    assert_ne!(consent.digest(31_337, ADDRESSES[2]), expected);

    let opt_out = OptOut {
        dataset: DatasetId(7),
        chunk: ChunkIndex(3),
        slot: SlotIndex(5),
    };
    let expected = wallet_hash(
        "OptOut",
        &[
            ("dataset", "uint256"),
            ("chunk", "uint32"),
            ("slot", "uint32"),
        ],
        contract,
        json!({"dataset": 7, "chunk": 3, "slot": 5}),
    );
    assert_eq!(opt_out.digest(31_337, contract), expected);

    let claim = ClaimRequest {
        dataset: DatasetId(7),
        snapshot: SnapshotId(2),
        chunk: ChunkIndex(3),
        slot: SlotIndex(5),
        token: ADDRESSES[0],
        recipient: ADDRESSES[1],
        fee: U256::from(9),
        paid_before: U256::from(4),
    };
    let expected = wallet_hash(
        "Claim",
        &[
            ("dataset", "uint256"),
            ("snapshot", "uint256"),
            ("chunk", "uint32"),
            ("slot", "uint32"),
            ("token", "address"),
            ("recipient", "address"),
            ("fee", "uint256"),
            ("paidBefore", "uint256"),
        ],
        contract,
        json!({
            "dataset": 7, "snapshot": 2, "chunk": 3, "slot": 5, "token": ADDRESSES[0],
            "recipient": ADDRESSES[1], "fee": 9, "paidBefore": 4,
        }),
    );
    assert_eq!(claim.digest(31_337, contract), expected);
}

//! What users of a development node expect, asked of the embedded chain and of anvil alike.

use crate::{
    node::{ADDRESSES, nodes, signer},
    probe::{COUNTER, creation, deploy_counter, number, rpc, send, sign},
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bloom, BloomInput, Bytes, U256, bytes, keccak256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::SignerSync,
};
use serde_json::{Value, json};

#[tokio::test]
async fn identifies_itself_and_has_no_accounts_of_its_own() {
    for node in nodes().await {
        assert_eq!(
            rpc(&node, "eth_chainId", json!([])).await.unwrap(),
            json!("0x7a69")
        );
        assert_eq!(
            rpc(&node, "net_version", json!([])).await.unwrap(),
            json!("31337")
        );
        assert!(
            rpc(&node, "web3_clientVersion", json!([]))
                .await
                .unwrap()
                .is_string()
        );
        assert_eq!(
            rpc(&node, "eth_syncing", json!([])).await.unwrap(),
            json!(false)
        );
        assert_eq!(
            number(&rpc(&node, "eth_blockNumber", json!([])).await.unwrap()),
            0
        );
        if node.name == "embedded" {
            assert_eq!(
                rpc(&node, "eth_accounts", json!([])).await.unwrap(),
                json!([])
            );
        }
        for method in ["eth_subscribe", "eth_nonsense", "debug_traceTransaction2"] {
            let error = rpc(&node, method, json!([])).await.unwrap_err();
            assert!(
                [-32601, -32602].contains(&error.0),
                "{}: {method}: {error:?}",
                node.name
            );
        }
    }
}

#[tokio::test]
async fn fees_can_be_estimated() {
    for node in nodes().await {
        deploy_counter(&node).await;
        let price = number(&rpc(&node, "eth_gasPrice", json!([])).await.unwrap());
        assert!(price >= 1_000_000_000 / 2, "{}", node.name);
        rpc(&node, "eth_maxPriorityFeePerGas", json!([]))
            .await
            .unwrap();
        let history = rpc(
            &node,
            "eth_feeHistory",
            json!(["0x2", "latest", [10.0, 50.0]]),
        )
        .await
        .unwrap();
        assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
        assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 2);
        assert_eq!(history["reward"][0].as_array().unwrap().len(), 2);
        node.chain.provider().estimate_eip1559_fees().await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_is_mined_at_once_and_everything_about_it_can_be_looked_up() {
    for node in nodes().await {
        let (counter, receipt) = deploy_counter(&node).await;
        assert_eq!(receipt["status"], json!("0x1"));
        assert_eq!(counter, ADDRESSES[0].create(0));
        let code = rpc(&node, "eth_getCode", json!([counter, "latest"]))
            .await
            .unwrap();
        assert_eq!(code, json!(COUNTER));

        let call = TxEip1559 {
            to: counter.into(),
            input: Bytes::new(),
            ..creation(&node, 1)
        };
        let tx = sign(call, 0);
        let hash = send(&node, &tx).await;
        let receipt = rpc(&node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        assert_eq!(receipt["status"], json!("0x1"));
        assert_eq!(receipt["type"], json!("0x2"));
        assert_eq!(receipt["contractAddress"], Value::Null);
        let log = &receipt["logs"][0];
        let topic = B256::from(U256::from(42));
        assert_eq!(log["topics"], json!([topic]));
        assert_eq!(log["data"], json!(B256::from(U256::from(1))));
        assert_eq!(log["transactionHash"], json!(hash));
        let bloom: Bloom = serde_json::from_value(receipt["logsBloom"].clone()).unwrap();
        assert!(bloom.contains_input(BloomInput::Raw(counter.as_slice())));
        assert!(bloom.contains_input(BloomInput::Raw(topic.as_slice())));
        assert!(!bloom.contains_input(BloomInput::Raw(ADDRESSES[3].as_slice())));

        let found = rpc(&node, "eth_getTransactionByHash", json!([hash]))
            .await
            .unwrap();
        assert_eq!(
            found["from"].as_str().unwrap().to_lowercase(),
            format!("{:#x}", ADDRESSES[0])
        );
        assert_eq!(found["blockNumber"], receipt["blockNumber"]);
        let raw = node.chain.raw_transaction(hash).await.unwrap();
        assert_eq!(raw, Bytes::from(tx.encoded_2718()));
        assert_eq!(keccak256(&raw), hash);

        for full in [false, true] {
            let by_number = rpc(&node, "eth_getBlockByNumber", json!(["latest", full]))
                .await
                .unwrap();
            let by_hash = rpc(
                &node,
                "eth_getBlockByHash",
                json!([by_number["hash"], full]),
            )
            .await
            .unwrap();
            assert_eq!(by_number, by_hash);
            assert_eq!(by_number["number"], json!("0x2"));
            assert_eq!(by_number["gasUsed"], receipt["gasUsed"]);
            assert_eq!(by_number["logsBloom"], receipt["logsBloom"]);
            let listed = &by_number["transactions"][0];
            assert_eq!(if full { &listed["hash"] } else { listed }, &json!(hash));
            let parent = rpc(&node, "eth_getBlockByNumber", json!(["0x1", full]))
                .await
                .unwrap();
            assert_eq!(parent["hash"], by_number["parentHash"]);
            assert!(
                number(&parent["timestamp"]) < number(&by_number["timestamp"])
                    || node.name != "embedded"
            );
        }
        let slot = rpc(&node, "eth_getStorageAt", json!([counter, "0x0", "latest"]))
            .await
            .unwrap();
        assert_eq!(slot, json!(B256::from(U256::from(1))));
        for tag in ["latest", "pending"] {
            let nonce = rpc(&node, "eth_getTransactionCount", json!([ADDRESSES[0], tag]))
                .await
                .unwrap();
            assert_eq!(number(&nonce), 2);
        }
        let spent = U256::from(10_000) * U256::from(10).pow(U256::from(18))
            - node.chain.balance(ADDRESSES[0]).await.unwrap();
        assert!(spent > U256::ZERO);
    }
}

#[tokio::test]
async fn unknown_things_are_null_not_errors() {
    for node in nodes().await {
        for method in ["eth_getTransactionReceipt", "eth_getTransactionByHash"] {
            assert_eq!(
                rpc(&node, method, json!([B256::repeat_byte(7)]))
                    .await
                    .unwrap(),
                Value::Null
            );
        }
        for (method, id) in [
            ("eth_getBlockByHash", json!(B256::repeat_byte(7))),
            ("eth_getBlockByNumber", json!("0x99")),
        ] {
            assert_eq!(
                rpc(&node, method, json!([id, false])).await.unwrap(),
                Value::Null
            );
        }
        let code = rpc(&node, "eth_getCode", json!([ADDRESSES[3], "latest"]))
            .await
            .unwrap();
        assert_eq!(code, json!("0x"));
        let balance = rpc(
            &node,
            "eth_getBalance",
            json!([Address::repeat_byte(9), "latest"]),
        )
        .await
        .unwrap();
        assert_eq!(balance, json!("0x0"));
    }
}

#[tokio::test]
async fn reverts_carry_code_3_and_their_data() {
    for node in nodes().await {
        let (counter, _) = deploy_counter(&node).await;
        let data = keccak256("anything");
        for method in ["eth_call", "eth_estimateGas"] {
            let request = json!([{"from": ADDRESSES[0], "to": counter, "data": data}]);
            let (code, message, returned) = rpc(&node, method, request).await.unwrap_err();
            assert_eq!(code, 3, "{}: {method}", node.name);
            assert!(message.starts_with("execution reverted"), "{message}");
            assert_eq!(returned, Some(json!(data)), "{}: {method}", node.name);
        }
        let output = rpc(&node, "eth_call", json!([{"to": counter}, "latest"]))
            .await
            .unwrap();
        assert_eq!(output, json!(B256::from(U256::from(1))));
        // A reverting transaction is mined when sent with a gas limit of its own, with status 0 and no logs.
        let call = TxEip1559 {
            to: counter.into(),
            input: bytes!("01"),
            ..creation(&node, 1)
        };
        let hash = send(&node, &sign(call, 0)).await;
        let receipt = rpc(&node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        assert_eq!(receipt["status"], json!("0x0"));
        assert_eq!(receipt["logs"], json!([]));
    }
}

#[tokio::test]
async fn an_estimate_suffices_and_is_not_far_above_what_is_used() {
    for node in nodes().await {
        let (counter, _) = deploy_counter(&node).await;
        let estimate = rpc(
            &node,
            "eth_estimateGas",
            json!([{"from": ADDRESSES[0], "to": counter}]),
        )
        .await
        .unwrap();
        let call = TxEip1559 {
            to: counter.into(),
            input: Bytes::new(),
            gas_limit: number(&estimate),
            ..creation(&node, 1)
        };
        let hash = send(&node, &sign(call, 0)).await;
        let receipt = rpc(&node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        assert_eq!(receipt["status"], json!("0x1"), "{}", node.name);
        let used = number(&receipt["gasUsed"]);
        assert!(
            number(&estimate) < used + used / 10 + 3_000,
            "{}",
            node.name
        );
    }
}

#[tokio::test]
async fn inadmissible_transactions_are_refused_and_nothing_is_mined() {
    for node in nodes().await {
        deploy_counter(&node).await;
        let good = creation(&node, 1);
        let poor = alloy::signers::local::PrivateKeySigner::from_slice(&[9; 32]).unwrap();
        let without_funds = {
            let tx = TxEip1559 {
                nonce: 0,
                ..good.clone()
            };
            let signature = poor.sign_hash_sync(&tx.signature_hash()).unwrap();
            TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
        };
        let raw = |tx: TxEip1559| sign(tx, 0).encoded_2718();
        let mut cut = raw(good.clone());
        cut.pop();
        let cases = [
            (
                "nonce too low",
                raw(TxEip1559 {
                    nonce: 0,
                    ..good.clone()
                }),
                "nonce too low",
            ),
            ("funds", without_funds, "insufficient funds"),
            (
                "chain",
                raw(TxEip1559 {
                    chain_id: 1,
                    ..good.clone()
                }),
                "chain id",
            ),
            (
                "gas limit",
                raw(TxEip1559 {
                    gas_limit: 200_000_001,
                    ..good.clone()
                }),
                "gas limit",
            ),
            (
                "intrinsic gas",
                raw(TxEip1559 {
                    gas_limit: 21_000,
                    ..good.clone()
                }),
                "intrinsic gas too low",
            ),
            (
                "fee",
                raw(TxEip1559 {
                    max_fee_per_gas: 1,
                    ..good.clone()
                }),
                "fee per gas less than block base fee",
            ),
            ("cut", cut, ""),
            ("empty", Vec::new(), ""),
        ];
        for (case, raw, message) in cases {
            // Anvil takes these into its pool, where they wait for ever.
            if matches!(case, "fee" | "gas limit" | "intrinsic gas") && node.name != "embedded" {
                continue;
            }
            let error = rpc(&node, "eth_sendRawTransaction", json!([Bytes::from(raw)]))
                .await
                .expect_err(case);
            if node.name == "embedded" || case == "nonce too low" {
                assert!(
                    error.1.contains(message),
                    "{}: {case}: {error:?}",
                    node.name
                );
            }
        }
        assert_eq!(node.chain.block_number().await.unwrap(), 1, "{}", node.name);
    }
}

#[tokio::test]
async fn legacy_and_access_list_transactions_run_too() {
    for node in nodes().await {
        let legacy = TxLegacy {
            chain_id: Some(node.chain.id()),
            nonce: 0,
            gas_price: 2_000_000_000,
            gas_limit: 21_000,
            to: ADDRESSES[1].into(),
            value: U256::from(5),
            input: Bytes::new(),
        };
        let signature = signer(0).sign_hash_sync(&legacy.signature_hash()).unwrap();
        let hash = send(&node, &TxEnvelope::from(legacy.into_signed(signature))).await;
        let receipt = rpc(&node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        assert_eq!(
            (&receipt["type"], &receipt["gasUsed"]),
            (&json!("0x0"), &json!("0x5208"))
        );
        let listed = TxEip2930 {
            chain_id: node.chain.id(),
            nonce: 1,
            gas_price: 2_000_000_000,
            gas_limit: 30_000,
            to: ADDRESSES[1].into(),
            ..TxEip2930::default()
        };
        let signature = signer(0).sign_hash_sync(&listed.signature_hash()).unwrap();
        let hash = send(&node, &TxEnvelope::from(listed.into_signed(signature))).await;
        let receipt = rpc(&node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        assert_eq!(receipt["type"], json!("0x1"));
    }
}

#[tokio::test]
async fn logs_are_found_by_range_address_topic_and_block_hash() {
    for node in nodes().await {
        let (first, _) = deploy_counter(&node).await;
        let (second, _) = deploy_counter(&node).await;
        for (nonce, counter) in [(2, first), (3, second), (4, first)] {
            let call = TxEip1559 {
                to: counter.into(),
                input: Bytes::new(),
                ..creation(&node, nonce)
            };
            send(&node, &sign(call, 0)).await;
        }
        let topic = B256::from(U256::from(42));
        let count = async |filter: Value| {
            rpc(&node, "eth_getLogs", json!([filter]))
                .await
                .unwrap()
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(count(json!({"fromBlock": "earliest"})).await, 3);
        assert_eq!(
            count(json!({"fromBlock": "0x0", "toBlock": "latest", "address": first})).await,
            2
        );
        assert_eq!(
            count(json!({"fromBlock": "0x4", "toBlock": "0x4"})).await,
            1
        );
        assert_eq!(
            count(json!({"fromBlock": "0x4", "toBlock": "0x5", "address": [first, second]})).await,
            2
        );
        assert_eq!(
            count(json!({"fromBlock": "0x0", "topics": [topic]})).await,
            3
        );
        assert_eq!(
            count(json!({"fromBlock": "0x0", "topics": [[topic, B256::ZERO]]})).await,
            3
        );
        assert_eq!(
            count(json!({"fromBlock": "0x0", "topics": [null, topic]})).await,
            0
        );
        assert_eq!(
            count(json!({"fromBlock": "0x0", "topics": [B256::ZERO]})).await,
            0
        );
        assert_eq!(
            count(json!({"fromBlock": "0x0", "address": ADDRESSES[0]})).await,
            0
        );
        let block = rpc(&node, "eth_getBlockByNumber", json!(["0x5", false]))
            .await
            .unwrap();
        assert_eq!(count(json!({"blockHash": block["hash"]})).await, 1);
        assert_eq!(
            count(json!({"blockHash": block["hash"], "address": second})).await,
            0
        );
        if node.name == "embedded" {
            let inverted = json!([{"fromBlock": "0x3", "toBlock": "0x2"}]);
            assert_eq!(
                rpc(&node, "eth_getLogs", inverted).await.unwrap_err().0,
                -32602
            );
        }
    }
}

#[tokio::test]
async fn time_moves_when_told_and_snapshots_undo() {
    for node in nodes().await {
        let (counter, _) = deploy_counter(&node).await;
        let before = node.chain.timestamp().await.unwrap();
        node.chain.advance_time(3_600).await.unwrap();
        let after = node.chain.timestamp().await.unwrap();
        assert!(
            (before + 3_600..before + 3_610).contains(&after),
            "{}",
            node.name
        );

        let chosen = after + 86_400;
        rpc(&node, "evm_setNextBlockTimestamp", json!([chosen]))
            .await
            .unwrap();
        rpc(&node, "evm_mine", json!([])).await.unwrap();
        assert_eq!(node.chain.timestamp().await.unwrap(), chosen);
        assert!(
            rpc(&node, "evm_setNextBlockTimestamp", json!([chosen - 5]))
                .await
                .is_err()
        );

        let snapshot = rpc(&node, "evm_snapshot", json!([])).await.unwrap();
        let height = node.chain.block_number().await.unwrap();
        let call = TxEip1559 {
            to: counter.into(),
            input: Bytes::new(),
            ..creation(&node, 1)
        };
        let hash = send(&node, &sign(call.clone(), 0)).await;
        assert_eq!(
            rpc(&node, "evm_revert", json!([snapshot])).await.unwrap(),
            json!(true)
        );
        assert_eq!(node.chain.block_number().await.unwrap(), height);
        assert_eq!(
            rpc(&node, "eth_getTransactionReceipt", json!([hash]))
                .await
                .unwrap(),
            Value::Null
        );
        let logs = rpc(
            &node,
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "address": counter}]),
        )
        .await
        .unwrap();
        assert_eq!(logs, json!([]));
        let slot = rpc(&node, "eth_getStorageAt", json!([counter, "0x0", "latest"]))
            .await
            .unwrap();
        assert_eq!(slot, json!(B256::ZERO));
        // The same transaction can be mined again on the restored chain.
        send(&node, &sign(call, 0)).await;
        let request = TransactionRequest::default().to(counter);
        let output = node.chain.provider().call(request).await.unwrap();
        assert_eq!(U256::from_be_slice(&output), U256::from(2));
    }
}

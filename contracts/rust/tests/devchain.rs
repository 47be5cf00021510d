//! What only the embedded chain promises: repeatability, saving, its own refusals.

use crate::{
    node::{ADDRESSES, Node, START, embedded, signer},
    probe::{counter_creation, creation, deploy_counter, number, rpc, send, sign},
};
use alloy::{
    consensus::{
        SignableTransaction, TxEip1559, TxEip4844, TxEip4844Variant, TxEnvelope, TxLegacy,
    },
    eips::eip2718::Encodable2718,
    primitives::{Bytes, U256},
    rpc::types::TransactionRequest,
    signers::SignerSync,
};
use salus_contracts::{
    client::Chain,
    devchain::{Config, DevChain, DevChainError, Hardfork, JournalError, ManualClock},
};
use serde_json::json;
use std::sync::Arc;

fn counter(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 1_000_000_000,
        input: counter_creation(),
        ..TxEip1559::default()
    }
}

fn raw(tx: TxEip1559) -> Vec<u8> {
    sign(tx, 0).encoded_2718()
}

fn tip(chain: &DevChain) -> String {
    let rt = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let block = rt.block_on(async {
        use alloy::providers::Provider;
        chain
            .provider()
            .get_block_by_number(alloy::eips::BlockNumberOrTag::Latest)
            .await
            .unwrap()
            .unwrap()
    });
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    block.header.hash.to_string()
}

#[test]
fn the_same_transactions_give_the_same_blocks() {
    let run = || {
        let chain = embedded();
        for nonce in 0..3 {
            chain.submit(&raw(counter(nonce))).unwrap();
        }
        chain.increase_time(1_000);
        chain.mine_empty();
        tip(&chain)
    };
    assert_eq!(run(), run());
}

#[test]
fn block_times_rise_strictly_under_a_clock_that_stands_still_or_runs_back() {
    let clock = Arc::new(ManualClock::new(START));
    let chain = DevChain::new(Config {
        clock: clock.clone(),
        ..Config::default()
    });
    assert_eq!(chain.timestamp(), START);
    chain.mine_empty();
    chain.mine_empty();
    assert_eq!(chain.timestamp(), START + 2);
    clock.set(START - 100);
    chain.mine_empty();
    assert_eq!(chain.timestamp(), START + 3);
    clock.set(START + 50);
    chain.mine_empty();
    assert_eq!(chain.timestamp(), START + 50);
    chain.set_next_timestamp(START + 500).unwrap();
    chain.mine_empty();
    clock.set(START + 60);
    chain.mine_empty();
    // Time goes on from the chosen moment: the clock moved by ten seconds.
    assert_eq!(chain.timestamp(), START + 510);
}

#[test]
fn refusals_say_what_was_wrong() {
    let chain = embedded();
    let mined = raw(counter(0));
    chain.submit(&mined).unwrap();
    let refused = |tx: TxEip1559| chain.submit(&raw(tx)).unwrap_err();
    assert!(matches!(
        chain.submit(&mined).unwrap_err(),
        DevChainError::NonceTooLow { .. }
    ));
    assert!(matches!(
        refused(counter(5)),
        DevChainError::NonceTooHigh {
            expected: 1,
            found: 5,
            ..
        }
    ));
    let other = TxEip1559 {
        gas_limit: 200_001,
        ..counter(0)
    };
    assert!(matches!(
        refused(other),
        DevChainError::NonceTooLow {
            expected: 1,
            found: 0,
            ..
        }
    ));
    assert!(matches!(
        refused(TxEip1559 {
            chain_id: 5,
            ..counter(1)
        }),
        DevChainError::WrongChainId {
            expected: 31_337,
            found: 5
        }
    ));
    assert!(matches!(
        refused(TxEip1559 {
            gas_limit: 200_000_001,
            ..counter(1)
        }),
        DevChainError::GasAboveBlockLimit { .. }
    ));
    assert!(matches!(
        refused(TxEip1559 {
            gas_limit: 30_000,
            ..counter(1)
        }),
        DevChainError::IntrinsicGas { .. }
    ));
    assert!(matches!(
        refused(TxEip1559 {
            max_fee_per_gas: 999_999_999,
            ..counter(1)
        }),
        DevChainError::FeeBelowBase { .. }
    ));
    assert!(matches!(
        refused(TxEip1559 {
            value: U256::MAX,
            ..counter(1)
        }),
        DevChainError::InsufficientFunds { .. } | DevChainError::Invalid { .. }
    ));
    let mut trailing = raw(counter(1));
    trailing.push(0);
    assert!(matches!(
        chain.submit(&trailing).unwrap_err(),
        DevChainError::Decode { .. }
    ));
    let unprotected = TxLegacy {
        gas_limit: 21_000,
        gas_price: 1_000_000_000,
        nonce: 1,
        to: ADDRESSES[1].into(),
        ..TxLegacy::default()
    };
    let signature = signer(0)
        .sign_hash_sync(&unprotected.signature_hash())
        .unwrap();
    let unprotected = TxEnvelope::from(unprotected.into_signed(signature)).encoded_2718();
    assert!(matches!(
        chain.submit(&unprotected).unwrap_err(),
        DevChainError::MissingChainId
    ));
    let blob: TxEip4844Variant = TxEip4844Variant::TxEip4844(TxEip4844 {
        chain_id: 31_337,
        nonce: 1,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        ..TxEip4844::default()
    });
    let signature = signer(0).sign_hash_sync(&blob.signature_hash()).unwrap();
    let blob = TxEnvelope::from(blob.into_signed(signature)).encoded_2718();
    assert!(matches!(
        chain.submit(&blob).unwrap_err(),
        DevChainError::UnsupportedType { tx_type: 3 }
    ));
    assert_eq!(chain.block_number(), 1);
    assert_eq!(chain.nonce(ADDRESSES[0]), 1);
}

#[test]
fn the_transaction_gas_cap_is_enforced_when_set() {
    let chain = DevChain::new(
        Config {
            tx_gas_cap: Some(1 << 24),
            ..Config::default()
        }
        .fund(ADDRESSES),
    );
    let tx = TxEip1559 {
        gas_limit: (1 << 24) + 1,
        ..counter(0)
    };
    assert!(matches!(
        chain.submit(&raw(tx)).unwrap_err(),
        DevChainError::GasAboveCap { .. }
    ));
    chain.submit(&raw(counter(0))).unwrap();
}

#[tokio::test]
async fn old_state_and_overrides_are_refused_rather_than_answered_wrongly() {
    let node = node();
    deploy_counter(&node).await;
    for (method, params) in [
        ("eth_getBalance", json!([ADDRESSES[0], "0x0"])),
        ("eth_call", json!([{"to": ADDRESSES[0]}, "earliest"])),
        ("eth_getCode", json!([ADDRESSES[0], "0x99"])),
        (
            "eth_call",
            json!([{"to": ADDRESSES[0]}, "latest", {"0x00": {}}]),
        ),
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!(["0x12"])),
        ("eth_getBalance", json!({"address": ADDRESSES[0]})),
        ("eth_feeHistory", json!(["many", "latest", []])),
        ("evm_increaseTime", json!([-5])),
    ] {
        let error = rpc(&node, method, params.clone()).await.unwrap_err();
        assert!(
            [-32000, -32602].contains(&error.0),
            "{method} {params}: {error:?}"
        );
    }
    rpc(&node, "eth_getBalance", json!([ADDRESSES[0], "0x1"]))
        .await
        .unwrap();
    let block = rpc(&node, "eth_getBlockByNumber", json!(["latest", false]))
        .await
        .unwrap();
    rpc(
        &node,
        "eth_getBalance",
        json!([ADDRESSES[0], {"blockHash": block["hash"]}]),
    )
    .await
    .unwrap();
    let receipts = rpc(&node, "eth_getBlockReceipts", json!(["latest"]))
        .await
        .unwrap();
    assert_eq!(number(&receipts[0]["blockNumber"]), 1);
}

fn node() -> Node {
    Node::of(embedded())
}

#[tokio::test]
async fn calls_see_the_newest_block_and_estimates_the_next_one() {
    let node = node();
    // Returns NUMBER and TIMESTAMP: number at 0, time at 32.
    let probe = Bytes::from_static(&[
        0x43, 0x5f, 0x52, 0x42, 0x60, 0x20, 0x52, 0x60, 0x40, 0x5f, 0xf3,
    ]);
    let read = async |tag: &str| {
        let output = rpc(&node, "eth_call", json!([{"data": probe}, tag]))
            .await
            .unwrap();
        let output: Bytes = serde_json::from_value(output).unwrap();
        (
            U256::from_be_slice(&output[..32]).to::<u64>(),
            U256::from_be_slice(&output[32..]).to::<u64>(),
        )
    };
    assert_eq!(read("latest").await, (0, START));
    assert_eq!(read("pending").await, (1, START + 1));
    rpc(&node, "evm_increaseTime", json!([500])).await.unwrap();
    assert_eq!(read("latest").await, (0, START));
    assert_eq!(read("pending").await, (1, START + 500));
}

#[test]
fn a_saved_chain_resumes_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.jsonl");
    let chain = embedded();
    chain.submit(&raw(counter(0))).unwrap();
    chain.increase_time(777);
    chain.mine_empty();
    chain.submit(&raw(counter(1))).unwrap();
    chain.save(&path).unwrap();
    let clock = || Arc::new(ManualClock::new(START));
    let resumed = DevChain::load(&path, clock()).unwrap();
    assert_eq!(tip(&resumed), tip(&chain));
    assert_eq!(resumed.nonce(ADDRESSES[0]), 2);
    assert_eq!(resumed.balance(ADDRESSES[0]), chain.balance(ADDRESSES[0]));
    resumed.submit(&raw(counter(2))).unwrap();
    resumed.save(&path).unwrap();
    assert_eq!(tip(&DevChain::load(&path, clock()).unwrap()), tip(&resumed));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file stays"
    );
}

#[test]
fn a_journal_that_was_cut_or_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.jsonl");
    let chain = embedded();
    for nonce in 0..3 {
        chain.submit(&raw(counter(nonce))).unwrap();
    }
    chain.save(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let load = |lines: &[&str]| {
        std::fs::write(&path, lines.join("\n")).unwrap();
        DevChain::load(&path, Arc::new(ManualClock::new(START))).unwrap_err()
    };
    assert!(matches!(load(&lines[..4]), JournalError::Incomplete { .. }));
    assert!(matches!(load(&[]), JournalError::Incomplete { .. }));
    assert!(matches!(
        load(&[lines[0], lines[2], lines[1], lines[3], lines[4]]),
        JournalError::Replay { line: 2, .. }
    ));
    assert!(matches!(
        load(&[lines[0], lines[1], lines[2], lines[4]]),
        JournalError::TipMismatch { .. }
    ));
    let later = lines[3].replace(&(START + 3).to_string(), &(START + 4).to_string());
    assert!(matches!(
        load(&[lines[0], lines[1], lines[2], &later, lines[4]]),
        JournalError::TipMismatch { .. }
    ));
    let half = &lines[2][..lines[2].len() / 2];
    assert!(matches!(
        load(&[lines[0], lines[1], half]),
        JournalError::Line { line: 3, .. }
    ));
    assert!(matches!(
        load(&lines[1..]),
        JournalError::Line { line: 1, .. }
    ));
    let newer = lines[0].replace("\"version\":1", "\"version\":9");
    assert!(matches!(
        load(&[&newer]),
        JournalError::Line { line: 1, .. }
    ));
    let missing = DevChain::load(&folder.path().join("none"), Arc::new(ManualClock::new(0)));
    assert!(matches!(missing.unwrap_err(), JournalError::File { .. }));
    assert!(matches!(
        chain
            .save(&folder.path().join("no/such/folder/x"))
            .unwrap_err(),
        JournalError::File { .. }
    ));
}

#[test]
fn journals_of_version_1_still_load() {
    let frozen = concat!(
        r#"{"kind":"genesis","version":1,"chain_id":31337,"block_gas_limit":200000000,"tx_gas_cap":null,"#,
        r#""base_fee":1000000000,"hardfork":"osaka","timestamp":1794700800,"#,
        r#""funded":[["0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266","0x21e19e0c9bab2400000"]]}"#,
        "\n",
        r#"{"kind":"block","timestamp":1794700900}"#,
        "\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.jsonl");
    let chain = DevChain::new(
        Config {
            genesis_timestamp: Some(START),
            clock: Arc::new(ManualClock::new(START)),
            hardfork: Hardfork::Osaka,
            ..Config::default()
        }
        .fund([ADDRESSES[0]]),
    );
    chain.set_next_timestamp(1_794_700_900).unwrap();
    let hash = chain.mine_empty();
    let tip = format!(r#"{{"kind":"tip","blocks":1,"hash":"{hash}"}}"#);
    std::fs::write(&path, format!("{frozen}{tip}\n")).unwrap();
    assert_eq!(
        DevChain::load(&path, Arc::new(ManualClock::new(START)))
            .unwrap()
            .block_number(),
        1
    );
}

#[tokio::test]
async fn parallel_calls_and_mining_agree() {
    let chain = embedded();
    let node = Node::of(chain.clone());
    let (counter, _) = deploy_counter(&node).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let chain = chain.clone();
            std::thread::spawn(move || {
                let request = TransactionRequest::default().to(counter);
                let mut last = U256::ZERO;
                for _ in 0..200 {
                    let value = U256::from_be_slice(&chain.call(&request).unwrap());
                    assert!(value >= last);
                    last = value;
                }
            })
        })
        .collect();
    for nonce in 1..50 {
        let call = TxEip1559 {
            to: counter.into(),
            input: Bytes::new(),
            ..creation(&node, nonce)
        };
        send(&node, &sign(call, 0)).await;
    }
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    assert_eq!(Chain::embedded(chain).block_number().await.unwrap(), 50);
}

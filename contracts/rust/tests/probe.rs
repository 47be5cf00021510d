//! Raw JSON-RPC to a node, and a tiny contract to ask it about.

use crate::node::{ADDRESSES, Node, signer};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U64, bytes},
    providers::Provider,
    signers::SignerSync,
    transports::RpcError,
};
use serde_json::{Value, json};

/// Runtime of a tiny contract: without calldata it adds 1 to slot 0, logs the new value under topic 42 and returns it;
/// with calldata it reverts with that calldata.
pub const COUNTER: Bytes =
    bytes!("366018575f54600101805f555f52602a60205fa160205ff35b365f5f37365ffd");

/// Creation code of [`COUNTER`].
pub fn counter_creation() -> Bytes {
    [&[0x7f][..], &COUNTER, &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]]
        .concat()
        .into()
}

pub async fn rpc(
    node: &Node,
    method: &'static str,
    params: Value,
) -> Result<Value, (i64, String, Option<Value>)> {
    match node
        .chain
        .provider()
        .raw_request(method.into(), params)
        .await
    {
        Ok(value) => Ok(value),
        Err(RpcError::ErrorResp(error)) => Err((
            error.code,
            error.message.to_string(),
            error
                .data
                .map(|data| serde_json::from_str(data.get()).unwrap()),
        )),
        Err(other) => panic!("{}: {method}: {other}", node.name),
    }
}

pub fn number(value: &Value) -> u64 {
    serde_json::from_value::<U64>(value.clone()).unwrap().to()
}

pub fn sign(tx: TxEip1559, key: usize) -> TxEnvelope {
    let signature = signer(key).sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

pub fn creation(node: &Node, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: node.chain.id(),
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 0,
        to: TxKind::Create,
        input: counter_creation(),
        ..TxEip1559::default()
    }
}

pub async fn send(node: &Node, tx: &TxEnvelope) -> B256 {
    let raw = Bytes::from(tx.encoded_2718());
    let hash = rpc(node, "eth_sendRawTransaction", json!([raw]))
        .await
        .unwrap();
    let hash: B256 = serde_json::from_value(hash).unwrap();
    assert_eq!(hash, *tx.tx_hash());
    // The embedded chain has mined it by now; anvil needs a moment.
    for _ in 0..500 {
        let receipt = rpc(node, "eth_getTransactionReceipt", json!([hash]))
            .await
            .unwrap();
        if !receipt.is_null() {
            return hash;
        }
        assert_ne!(node.name, "embedded");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{}: not mined: {hash}", node.name)
}

pub async fn deploy_counter(node: &Node) -> (Address, Value) {
    let nonce = rpc(
        node,
        "eth_getTransactionCount",
        json!([ADDRESSES[0], "pending"]),
    )
    .await
    .unwrap();
    let hash = send(node, &sign(creation(node, number(&nonce)), 0)).await;
    let receipt = rpc(node, "eth_getTransactionReceipt", json!([hash]))
        .await
        .unwrap();
    let address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
    (address, receipt)
}

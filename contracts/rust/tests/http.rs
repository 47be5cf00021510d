//! The embedded chain over HTTP, down to the bytes.

use crate::node::{ADDRESSES, embedded, signer};
use salus_contracts::{
    client::{Account, Chain, Endpoint},
    deploy::{PaymentToken, deploy},
    devchain::{AllowedOrigins, Server, ServerConfig},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn serve() -> Server {
    embedded()
        .serve(ServerConfig {
            max_body: 10_000,
            max_batch: 3,
            ..ServerConfig::default()
        })
        .await
        .unwrap()
}

/// Sends bytes as they are and returns all that comes back until the server closes.
async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

async fn post_with(server: &Server, headers: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    raw(server, &request).await
}

async fn post(server: &Server, body: &str) -> Value {
    let answer = post_with(server, "Content-Type: application/json\r\n", body).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn answers_single_requests_and_batches() {
    let server = serve().await;
    let id = post(
        &server,
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#,
    )
    .await;
    assert_eq!(id, json!({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}));
    let text_id = post(
        &server,
        r#"{"jsonrpc":"2.0","id":"a","method":"eth_chainId","params":[]}"#,
    )
    .await;
    assert_eq!(text_id["id"], json!("a"));
    let batch = post(
        &server,
        r#" [{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]},
            {"jsonrpc":"2.0","method":"eth_blockNumber"},
            {"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["newHeads"]}]"#,
    )
    .await;
    assert_eq!(
        batch.as_array().unwrap().len(),
        2,
        "notifications get no answer"
    );
    assert_eq!(batch[0]["result"], json!("0x0"));
    assert_eq!(batch[1]["error"]["code"], json!(-32601));
    let null = post(
        &server,
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionByHash","params":["0x0000000000000000000000000000000000000000000000000000000000000000"]}"#,
    )
    .await;
    assert_eq!(null, json!({"jsonrpc": "2.0", "id": 1, "result": null}));
}

#[tokio::test]
async fn malformed_bodies_get_json_rpc_errors() {
    let server = serve().await;
    let deep = "[".repeat(5_000);
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("not json", -32700),
        ("[1,", -32700),
        ("\u{0}\u{1}", -32700),
        (deep.as_str(), -32700),
        ("[]", -32600),
        ("{}", -32600),
        ("17", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
        (r#"[{},{},{},{}]"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":"x"}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0xzz"]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"topics":"x"}]}"#,
            -32602,
        ),
    ] {
        let answer = post(&server, body).await;
        assert_eq!(answer["error"]["code"], json!(code), "{body}: {answer}");
        assert!(answer.get("result").is_none());
    }
    let mixed = post(
        &server,
        r#"[1, {"jsonrpc":"2.0","id":9,"method":"eth_chainId"}]"#,
    )
    .await;
    assert_eq!(mixed[0]["error"]["code"], json!(-32600));
    assert_eq!(mixed[1]["result"], json!("0x7a69"));
}

#[tokio::test]
async fn limits_and_methods_are_enforced() {
    let server = serve().await;
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#,
        "x".repeat(20_000)
    );
    assert!(
        post_with(&server, "", &large)
            .await
            .starts_with("HTTP/1.1 413 ")
    );
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(raw(&server, get).await.starts_with("HTTP/1.1 405 "));
    assert!(
        raw(&server, "nonsense\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    let notification = post_with(&server, "", r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert!(notification.starts_with("HTTP/1.1 204 "), "{notification}");
}

#[tokio::test]
async fn only_pages_of_allowed_origins_are_served() {
    let server = serve().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1",
        "https://[::1]:8443",
    ] {
        let answer = post_with(&server, &format!("Origin: {origin}\r\n"), body).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            answer
                .to_lowercase()
                .contains(&format!("access-control-allow-origin: {origin}"))
        );
    }
    for origin in [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:80.evil.example",
        "http://127.0.0.1.evil.example",
        "null",
        "http://localhost:99999",
    ] {
        let answer = post_with(&server, &format!("Origin: {origin}\r\n"), body).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
        assert!(
            !answer
                .to_lowercase()
                .contains("access-control-allow-origin")
        );
    }
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://localhost:3000\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n";
    let answer = raw(&server, preflight).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 204 "), "{answer}");
    assert!(answer.contains("access-control-allow-headers: content-type"));

    let open = embedded()
        .serve(ServerConfig {
            origins: AllowedOrigins::Any,
            ..ServerConfig::default()
        })
        .await
        .unwrap();
    let answer = post_with(&open, "Origin: https://portal.example\r\n", body).await;
    assert!(answer.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_typed_client_works_over_http_and_shutdown_ends_the_server() {
    let chain = embedded();
    let server = chain.serve(ServerConfig::default()).await.unwrap();
    let remote = Chain::connect(server.url().parse::<Endpoint>().unwrap())
        .await
        .unwrap();
    let deployer = Account::new(&remote, signer(0));
    let deployed = deploy(&deployer, PaymentToken::Development, &[])
        .await
        .unwrap();
    assert_eq!(deployed.gas.len(), 7);
    assert_eq!(chain.nonce(ADDRESSES[0]), 7);
    drop(remote);
    let address = server.address();
    tokio::time::timeout(Duration::from_secs(10), server.shutdown())
        .await
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_reported() {
    let server = serve().await;
    let again = embedded()
        .serve(ServerConfig {
            address: server.address(),
            ..ServerConfig::default()
        })
        .await;
    assert!(again.unwrap_err().to_string().contains("cannot listen"));
    assert!("ftp://x".parse::<Endpoint>().is_err());
    assert!("no url".parse::<Endpoint>().is_err());
}

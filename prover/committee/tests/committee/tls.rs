//! Who gets through the door, and what is done with broken frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use salus_committee::identity::Identity;
use salus_committee::message::{Reply, Request, Wire};
use salus_committee::refusal::RefusalCode;
use salus_committee::service::{CallError, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::service::Running;
use crate::world::World;
use zeroize::Zeroizing;

/// Accepts any server: the tests' own side of raw connections.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}

/// A connection on which tests send any bytes.
async fn raw(
    running: &Running,
    identity: Option<&Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    let config = match identity {
        Some(identity) => {
            let key = PrivateKeyDer::try_from(identity.expose_key().to_vec()).unwrap();
            let chain = vec![CertificateDer::from(identity.certificate().to_vec())];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let socket = TcpStream::connect(&running.file.holders[0].address).await?;
    let name = ServerName::try_from("anything").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

/// What the server says to these bytes before it closes.
async fn said(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(reply)
}

fn refused(reply: &[u8]) -> RefusalCode {
    let Ok(Reply::Refused(refusal)) = Reply::decode(reply[1], &reply[6..]) else {
        panic!("{reply:?}");
    };
    refusal.code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_certificates_and_missing_ones_are_refused() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[1, 2, 3], BTreeMap::new()).await;
    let status = [1, 0, 1, 0, 0, 0, 0];
    let stranger = Identity::generate().unwrap();
    for identity in [Some(&stranger), None] {
        // In TLS 1.3 a client learns only with its first read that its certificate was refused.
        let reply = match raw(&running, identity).await {
            Ok(mut stream) => said(&mut stream, &status).await,
            Err(error) => Err(error),
        };
        assert!(reply.is_err(), "{reply:?}");
    }
    let error = running.client(&stranger, 0).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Call(_)), "{error}");
    assert!(running.client(&running.market, 0).status().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_certificate_without_its_key_is_refused() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[1, 2, 3], BTreeMap::new()).await;
    // The market's certificate is public; the thief has a key of its own.
    let other = Identity::generate().unwrap();
    let key = Zeroizing::new(other.expose_key().to_vec());
    let thief = Identity::from_parts(running.market.certificate().to_vec(), key);
    let client = salus_committee::Client::new(&thief, &running.file.holders[0], running.limits);
    // The own library notices that certificate and key do not fit, or the server does.
    if let Ok(client) = client {
        assert!(client.status().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_refuses_another_server() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[1, 2, 3], BTreeMap::new()).await;
    let mut entry = running.file.holders[0].clone();
    entry.certificate = running.file.holders[1].certificate;
    let client = salus_committee::Client::new(&running.market, &entry, running.limits).unwrap();
    let error = client.status().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Call(CallError::Unreachable { .. })),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_end_the_connection_and_nothing_else() {
    let world = World::new(4, 2);
    let running = Running::start(&world, &[1, 2, 3], BTreeMap::new()).await;
    let huge = u32::MAX.to_le_bytes();
    let frames: [&[u8]; 6] = [
        // Another version, an unknown kind, a length beyond the kind's and beyond a client's, garbage, trailing bytes.
        &[2, 0, 1, 0, 0, 0, 0],
        &[1, 99, 0, 0, 0, 0],
        &[1, 1, huge[0], huge[1], huge[2], huge[3]],
        &[1, 4, 0, 0, 16, 0],
        &[1, 1, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[1, 0, 2, 0, 0, 0, 0, 0],
    ];
    for frame in frames {
        let mut stream = raw(&running, Some(&running.market)).await.unwrap();
        let reply = said(&mut stream, frame).await.unwrap();
        assert_eq!(refused(&reply), RefusalCode::BadRequest, "{frame:?}");
    }
    // A frame that ends early.
    let mut stream = raw(&running, Some(&running.market)).await.unwrap();
    stream.write_all(&[1, 0, 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(refused(&reply), RefusalCode::BadRequest);
    assert!(running.client(&running.market, 0).status().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_cap_are_closed_and_shutdown_ends_idle_ones() {
    let world = World::new(4, 2);
    let mut running = Running::start(&world, &[0, 1, 2, 3], BTreeMap::new()).await;
    running.limits.connections = 2;
    running.start_one(&world, 0, None).await;
    let request = Request::Status.encode().unwrap();
    let status = [&[1, 0, 1, 0, 0, 0], &request[..]].concat();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = raw(&running, Some(&running.market)).await.unwrap();
        stream.write_all(&status).await.unwrap();
        let mut header = [0; 6];
        stream.read_exact(&mut header).await.unwrap();
        let mut rest = vec![0; u32::from_le_bytes(header[2..].try_into().unwrap()) as usize];
        stream.read_exact(&mut rest).await.unwrap();
        held.push(stream);
    }
    assert!(raw(&running, Some(&running.market)).await.is_err());
    // The two that are open wait for their next request; shutting down does not wait for it.
    running.stop(0).await;
    for mut stream in held {
        let mut rest = Vec::new();
        // Closed with or without a goodbye.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

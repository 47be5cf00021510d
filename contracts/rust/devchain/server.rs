//! The embedded chain over HTTP, for browsers and tools.
//!
//! # Security
//! Listens where it is told, by default on 127.0.0.1 only. A page of another site that the user happens to
//! visit can reach local ports, so requests that carry an `Origin` are served only for allowed origins
//! (by default pages from this machine), and others get 403 before anything runs.

use super::{DevChain, rpc};
use alloy::rpc::json_rpc::ErrorPayload;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderMap, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Wanted address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Which web pages may talk to the chain. Programs that send no `Origin` always may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Pages served from localhost, 127.0.0.1 or [::1], on any port.
    Local,
    /// Exactly these, for example `https://portal.example`.
    Listed(Vec<String>),
    /// Every page.
    Any,
}

impl AllowedOrigins {
    fn admits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|allowed| allowed == origin),
            Self::Local => {
                let host = origin
                    .strip_prefix("http://")
                    .or_else(|| origin.strip_prefix("https://"));
                host.is_some_and(|host| {
                    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
                        host.strip_prefix(local).is_some_and(|rest| {
                            rest.is_empty()
                                || rest
                                    .strip_prefix(':')
                                    .is_some_and(|port| port.parse::<u16>().is_ok())
                        })
                    })
                })
            }
        }
    }
}

/// Limits of the server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Web pages that may connect.
    pub origins: AllowedOrigins,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Most requests in one batch.
    pub max_batch: usize,
    /// Most open connections; more wait.
    pub max_connections: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            origins: AllowedOrigins::Local,
            max_body: 8 << 20,
            max_batch: 1_000,
            max_connections: 64,
        }
    }
}

/// Time a client has to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time a client has to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` address for RPC clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting, lets requests that are being answered finish, and returns when all are done.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the RPC server ended abnormally");
        }
    }
}

impl DevChain {
    /// Serves JSON-RPC over HTTP until the returned handle is dropped or shut down.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, config: ServerConfig) -> Result<Server, ServeError> {
        let bind = |source| ServeError::Bind {
            address: config.address,
            source,
        };
        let listener = TcpListener::bind(config.address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, self.clone(), Arc::new(config), stopped));
        Ok(Server {
            address,
            stop,
            task,
        })
    }
}

/// Resolves when the server is told to stop or its handle is gone.
async fn stopping(stopped: &mut watch::Receiver<bool>) {
    // An error means that the handle was dropped, which also means stop.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn accept(
    listener: TcpListener,
    chain: DevChain,
    config: Arc<ServerConfig>,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (stream, slot) = tokio::select! {
            () = stopping(&mut stopped) => break,
            Some(_) = connections.join_next() => continue,
            (accepted, slot) = accepted => match accepted {
                Ok((stream, _)) => (stream, slot),
                Err(error) => {
                    // Usually too many open files: wait for some to close rather than spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (chain, config, mut stopped) = (chain.clone(), config.clone(), stopped.clone());
        connections.spawn(async move {
            let _slot = slot;
            let service = service_fn(move |request| {
                let (chain, config) = (chain.clone(), config.clone());
                async move { Ok::<_, Infallible>(respond(chain, &config, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

type HttpResponse = Response<Full<Bytes>>;

async fn respond(
    chain: DevChain,
    config: &ServerConfig,
    request: Request<Incoming>,
) -> HttpResponse {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let admitted = origin.as_ref().is_none_or(|origin| {
        origin
            .to_str()
            .is_ok_and(|origin| config.origins.admits(origin))
    });
    let mut response = if !admitted {
        plain(StatusCode::FORBIDDEN, "this origin may not use this node")
    } else {
        match *request.method() {
            Method::OPTIONS => plain(StatusCode::NO_CONTENT, ""),
            Method::POST => post(chain, config, request).await,
            _ => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use POST");
                response
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
                response
            }
        }
    };
    if let Some(origin) = origin.filter(|_| admitted) {
        cross_origin(response.headers_mut(), origin);
    }
    response
}

fn cross_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::VARY, "Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

async fn post(chain: DevChain, config: &ServerConfig, request: Request<Incoming>) -> HttpResponse {
    let body = Limited::new(request.into_body(), config.max_body).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Err(_) => {
            return plain(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            );
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        }
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the body could not be read"),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let max_batch = config.max_batch;
    let answer = tokio::task::spawn_blocking(move || answer_text(&chain, &body, max_batch)).await;
    match answer {
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the request was aborted"),
        Ok(None) => plain(StatusCode::NO_CONTENT, ""),
        Ok(Some(json)) => {
            let mut response = Response::new(Full::from(json));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            response
        }
    }
}

/// The parts of a JSON-RPC 2.0 request.
#[derive(Deserialize)]
struct Call<'a> {
    jsonrpc: Option<String>,
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Reply<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorPayload>,
}

impl<'a> Reply<'a> {
    fn failed(id: Option<&'a RawValue>, error: ErrorPayload) -> Self {
        Self {
            jsonrpc: "2.0",
            id,
            result: None,
            error: Some(error),
        }
    }
}

/// Answers a body; `None` if it holds only notifications, which get no answer.
fn answer_text(chain: &DevChain, body: &[u8], max_batch: usize) -> Option<String> {
    let batched = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let text = if batched {
        match serde_json::from_slice::<Vec<&RawValue>>(body) {
            Err(_) => json(&Reply::failed(None, ErrorPayload::parse_error())),
            Ok(calls) if calls.is_empty() => {
                json(&Reply::failed(None, ErrorPayload::invalid_request()))
            }
            Ok(calls) if calls.len() > max_batch => {
                let mut error = ErrorPayload::invalid_request();
                error.message = format!("batch of {} exceeds {max_batch}", calls.len()).into();
                json(&Reply::failed(None, error))
            }
            Ok(calls) => {
                let replies: Vec<_> = calls
                    .into_iter()
                    .filter_map(|call| answer_call(chain, call))
                    .collect();
                if replies.is_empty() {
                    return None;
                }
                json(&replies)
            }
        }
    } else {
        match serde_json::from_slice::<&RawValue>(body) {
            Err(_) => json(&Reply::failed(None, ErrorPayload::parse_error())),
            Ok(call) => json(&answer_call(chain, call)?),
        }
    };
    Some(text)
}

fn answer_call<'a>(chain: &DevChain, raw: &'a RawValue) -> Option<Reply<'a>> {
    let Ok(call) = serde_json::from_str::<Call<'a>>(raw.get()) else {
        return Some(Reply::failed(None, ErrorPayload::invalid_request()));
    };
    if call
        .jsonrpc
        .as_deref()
        .is_some_and(|version| version != "2.0")
    {
        return Some(Reply::failed(call.id, ErrorPayload::invalid_request()));
    }
    let outcome = rpc::handle(chain, &call.method, call.params);
    // Without an id it is a notification: carried out, never answered.
    let id = call.id?;
    Some(match outcome {
        Ok(result) => Reply {
            jsonrpc: "2.0",
            id: Some(id),
            result: Some(result),
            error: None,
        },
        Err(error) => Reply::failed(Some(id), error),
    })
}

fn json<T: Serialize>(value: &T) -> String {
    // Replies hold only text that was already JSON, and strings; both serialise.
    serde_json::to_string(value).unwrap_or_else(|_| {
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"Internal error"}}"#.into()
    })
}

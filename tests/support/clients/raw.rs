//! A client that a test moves byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::image::sha256;
use crate::support::door::Door;

/// What is spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The longest that anything here waits.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `what` no longer than [`PATIENCE`].
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(done) => done,
        Err(_) => unreachable!("not within {PATIENCE:?}: {what}"),
    }
}

/// A body whose bytes come from a test, in its own time.
pub struct Piped {
    bytes: Option<mpsc::Receiver<Bytes>>,
    length: Option<u64>,
}

impl Piped {
    /// No body.
    pub fn empty() -> Self {
        Piped {
            bytes: None,
            length: Some(0),
        }
    }

    /// A body of `length` bytes; few of them wait in between.
    pub fn new(length: u64) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, bytes) = mpsc::channel(1);
        let body = Piped {
            bytes: Some(bytes),
            length: Some(length),
        };
        (sender, body)
    }
}

impl Body for Piped {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.get_mut().bytes {
            None => Poll::Ready(None),
            Some(bytes) => bytes
                .poll_recv(cx)
                .map(|next| next.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Where a door is, whichever process is behind it.
#[derive(Clone)]
pub struct Entrance {
    address: SocketAddr,
    ca: PathBuf,
}

impl Entrance {
    /// That of `door`.
    pub fn of(door: &Door) -> Self {
        Self::at(door.address, door)
    }

    /// Another one of it.
    pub fn at(address: SocketAddr, door: &Door) -> Self {
        Entrance {
            address,
            ca: door.ca(),
        }
    }
}

/// Connects by TLS and offers `protocols`; believes only the authority of the door.
pub async fn dial(door: &Door, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let entrance = Entrance::of(door);
    let dialled = dial_at(&entrance, protocols);
    soon("a handshake", dialled).await.expect("a handshake")
}

async fn dial_at(entrance: &Entrance, protocols: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(entrance.address).await?;
    stream.set_nodelay(true)?;
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&entrance.ca))
            .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

/// The certificate that the next handshake shows.
pub async fn shown(door: &Door) -> CertificateDer<'static> {
    let stream = dial(door, &[]).await;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain.first().unwrap().clone().into_owned()
}

enum Sender {
    One(http1::SendRequest<Piped>),
    Two(http2::SendRequest<Piped>),
}

/// One connection to the door, as `admin`.
pub struct Raw {
    sender: Sender,
    authority: String,
    /// Ends with the connection.
    pub ended: JoinHandle<hyper::Result<()>>,
}

impl Raw {
    /// Connects.
    pub async fn connect(door: &Door, protocol: Protocol) -> Self {
        let entrance = Entrance::of(door);
        let connected = soon("a connection", Self::at(&entrance, protocol));
        connected.await.expect("a connection")
    }

    /// The same for a client that outlives the process behind the door.
    pub async fn at(entrance: &Entrance, protocol: Protocol) -> io::Result<Self> {
        let name: &[u8] = match protocol {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        };
        let stream = dial_at(entrance, &[name]).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(name));
        let stream = TokioIo::new(stream);
        let (sender, ended) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) =
                    http1::handshake(stream).await.map_err(io::Error::other)?;
                (Sender::One(sender), tokio::spawn(connection))
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .handshake(stream)
                    .await
                    .map_err(io::Error::other)?;
                (Sender::Two(sender), tokio::spawn(connection))
            }
        };
        Ok(Raw {
            sender,
            authority: entrance.address.to_string(),
            ended,
        })
    }

    /// Sends a request; the head of the answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Piped,
    ) -> hyper::Result<Response<Incoming>> {
        let pair = STANDARD.encode("admin:Harbor12345");
        self.send_as(method, path, body, &format!("Basic {pair}"))
            .await
    }

    /// The same as somebody else.
    pub async fn send_as(
        &mut self,
        method: Method,
        path: &str,
        body: Piped,
        authorization: &str,
    ) -> hyper::Result<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                let request = request.uri(path).header(header::HOST, &self.authority);
                sender.send_request(request.body(body).unwrap()).await
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                let request = request.uri(format!("https://{}{path}", self.authority));
                sender.send_request(request.body(body).unwrap()).await
            }
        }
    }

    /// Begins an upload to a repository; path and query of the next request.
    pub async fn begin(&mut self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = soon(
            "the beginning of an upload",
            self.send(Method::POST, &path, Piped::empty()),
        )
        .await
        .unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{answer:?}");
        let next = next(&answer);
        answer.into_body().collect().await.unwrap();
        next
    }

    /// Pushes `bytes` whole as one blob; its digest.
    pub async fn push(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = format!("sha256:{}", sha256(&bytes));
        let path = finish(&self.begin(repository).await, &digest);
        let (pipe, body) = Piped::new(bytes.len() as u64);
        pipe.try_send(bytes).unwrap();
        drop(pipe);
        let answer = soon("the end of an upload", self.send(Method::PUT, &path, body)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        answer.into_body().collect().await.unwrap();
        digest
    }
}

/// Path and query of an answer's Location.
pub fn next<B>(answer: &Response<B>) -> String {
    path(answer.headers())
}

/// The same of its headers.
pub fn path(headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION).expect("a Location");
    let uri: http::Uri = location.to_str().unwrap().parse().unwrap();
    uri.path_and_query().unwrap().to_string()
}

/// The address that ends the upload at `path`.
pub fn finish(path: &str, digest: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}digest={digest}")
}

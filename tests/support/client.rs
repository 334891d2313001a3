//! A client that says exactly what a test wants said, and shows exactly what came back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::door::Door;

/// Nothing in these tests takes longer; what does is a failure.
const LIMIT: Duration = Duration::from_secs(30);

async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {LIMIT:?}"),
    }
}

/// Waits until `holds` comes true, or fails the test with `what` after `limit`. Returns how long it took.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// How to knock at a door.
#[derive(Clone)]
pub struct Knock {
    pub address: SocketAddr,
    pub ca: PathBuf,
    /// What is asked for by SNI.
    pub name: String,
    pub alpn: Vec<Vec<u8>>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Bytes before the handshake, and where the connection comes from.
    pub preface: Vec<u8>,
    pub from: Option<SocketAddr>,
    /// What is shown when the door asks for a certificate: the chain's file, and the key's.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Knock {
    /// As docker does: HTTP/1.1 at the door's own address.
    pub fn at(door: &Door) -> Self {
        Self::with(door.address, &door.ca())
    }

    pub fn with(address: SocketAddr, ca: &Path) -> Self {
        Knock {
            address,
            ca: ca.to_owned(),
            name: "localhost".to_owned(),
            alpn: vec![b"http/1.1".to_vec()],
            versions: rustls::ALL_VERSIONS.to_vec(),
            preface: Vec::new(),
            from: None,
            identity: None,
        }
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(from)?;
        }
        let mut stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.preface).await?;
        Ok(stream)
    }

    /// What the client believes and speaks.
    pub fn config(&self) -> Arc<ClientConfig> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca).expect("the authority") {
            roots.add(certificate.expect("a certificate")).unwrap();
        }
        let builder = ClientConfig::builder_with_protocol_versions(&self.versions)
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_file_iter(chain).expect("a chain");
                let chain = chain.map(|one| one.expect("a certificate")).collect();
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }

    /// Whom it expects.
    pub fn server(&self) -> ServerName<'static> {
        ServerName::try_from(self.name.clone()).expect("a server name")
    }

    /// The connection after its handshake.
    pub async fn tls(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.dial().await?;
        TlsConnector::from(self.config())
            .connect(self.server(), stream)
            .await
    }

    /// The raw connection, once TLS stands.
    pub async fn raw(&self) -> io::Result<Raw> {
        let stream = bounded("handshake", self.tls()).await?;
        Ok(Raw {
            stream: Box::new(stream),
            seen: Vec::new(),
        })
    }

    /// The same without TLS.
    pub async fn plain(&self) -> io::Result<Raw> {
        Ok(Raw {
            stream: Box::new(self.dial().await?),
            seen: Vec::new(),
        })
    }
}

/// Either kind of connection.
pub trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {
    /// The TLS state, where there is one.
    fn tls(&self) -> Option<&rustls::ClientConnection> {
        None
    }
    /// The socket below.
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tls(&self) -> Option<&rustls::ClientConnection> {
        Some(self.get_ref().1)
    }
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection on which literal bytes are said.
pub struct Raw {
    pub stream: Box<dyn Stream>,
    seen: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// The head as it came, with its line ends.
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// Without the framing.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing said it would.
    pub whole: bool,
}

impl Answer {
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, v)| v.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw {
    /// Knocks at a door as docker does.
    pub async fn to(door: &Door) -> Self {
        Knock::at(door).raw().await.expect("a TLS connection")
    }

    /// Says `bytes`; false when the other side no longer listens.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let work = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        bounded("saying it", work).await.is_ok()
    }

    /// Reads more; false at the end or when the connection broke.
    pub async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        match bounded("an answer", self.stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.seen.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }

    /// Everything until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.seen)
    }

    /// Whether it ends without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }

    /// The next answer; status 0 when there is none.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let mut answer = self.head().await;
        let bodiless = method == "HEAD" || matches!(answer.status, 0 | 101 | 204 | 304);
        if bodiless {
            answer.whole = answer.status != 0;
            return answer;
        }
        if answer
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            self.chunks(&mut answer).await;
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.seen.len() < length && self.more().await {}
            answer.whole = self.seen.len() >= length;
            let most = length.min(self.seen.len());
            answer.body = self.seen.drain(..most).collect();
        } else {
            answer.body = self.rest().await;
            answer.whole = true;
        }
        answer
    }

    /// The next head alone.
    pub async fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.seen, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return Answer::default();
            }
        };
        let head: Vec<u8> = self.seen.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: fields(&head),
            head,
            ..Answer::default()
        }
    }

    async fn chunks(&mut self, answer: &mut Answer) {
        loop {
            let Some(line) = self.line().await else {
                return;
            };
            let size = line.split(';').next().unwrap().trim();
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            while self.seen.len() < size + 2 {
                if !self.more().await {
                    return;
                }
            }
            answer.body.extend(self.seen.drain(..size));
            self.seen.drain(..2);
        }
        while let Some(line) = self.line().await {
            match line.split_once(':') {
                Some((name, value)) => answer
                    .trailers
                    .push((name.to_owned(), value.trim().to_owned())),
                None => {
                    answer.whole = true;
                    return;
                }
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.seen, b"\r\n") {
                let line: Vec<u8> = self.seen.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Says a request and reads its answer.
    pub async fn ask(&mut self, request: impl AsRef<str>) -> Answer {
        let request = request.as_ref();
        self.say(request).await;
        self.answer(request.split(' ').next().unwrap()).await
    }

    /// Breaks the connection off with a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.stream.socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The header lines of a head.
pub fn fields(head: &str) -> Vec<(String, String)> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// One request on a connection of its own; `more` are further header lines, each with its line end.
pub async fn request(door: &Door, method: &str, target: &str, more: &str) -> Answer {
    let mut raw = Raw::to(door).await;
    let host = door.address;
    raw.ask(format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"
    ))
    .await
}

/// `GET` of a target.
pub async fn get(door: &Door, target: &str) -> Answer {
    request(door, "GET", target, "").await
}

/// The line with the credentials of an account.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {text}\r\n")
}

/// A connection that speaks HTTP/2.
pub struct Two {
    send: h2::client::SendRequest<Bytes>,
    address: SocketAddr,
}

/// An answer over HTTP/2; the body is an error when the stream was reset.
#[derive(Debug)]
pub struct Streamed {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Vec<u8>, h2::Error>,
    pub trailers: Option<HeaderMap>,
}

impl Two {
    pub async fn to(door: &Door) -> Self {
        Self::with(Knock::at(door)).await
    }

    /// Knocks as `knock` says, whatever protocol it would ask for.
    pub async fn with(mut knock: Knock) -> Self {
        knock.alpn = vec![b"h2".to_vec()];
        let stream = bounded("handshake", knock.tls()).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Two {
            send,
            address: knock.address,
        }
    }

    /// A request for the door's own authority.
    pub fn request(&self, method: &str, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("https://{}{target}", self.address))
    }

    /// Sends a request without a body and reads the answer.
    pub async fn ask(&mut self, request: http::request::Builder) -> Result<Streamed, h2::Error> {
        let (answer, _) = self.open(request, true).await?;
        bounded("an answer", read(answer)).await
    }

    /// Begins a request; the body goes into what comes back.
    pub async fn open(
        &mut self,
        request: http::request::Builder,
        end: bool,
    ) -> Result<(h2::client::ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
        let mut send = self.send.clone().ready().await?;
        send.send_request(request.body(()).unwrap(), end)
    }

    pub async fn get(&mut self, target: &str) -> Streamed {
        let request = self.request("GET", target);
        self.ask(request).await.expect("an answer")
    }
}

/// Reads an answer over HTTP/2 to its end.
pub async fn read(answer: h2::client::ResponseFuture) -> Result<Streamed, h2::Error> {
    let response = bounded("a head", answer).await?;
    let (head, mut stream) = response.into_parts();
    let mut body = Ok(Vec::new());
    while let Some(data) = bounded("a body", stream.data()).await {
        match data {
            Ok(data) => {
                let _ = stream.flow_control().release_capacity(data.len());
                if let Ok(body) = &mut body {
                    body.extend_from_slice(&data);
                }
            }
            Err(error) => {
                body = Err(error);
                break;
            }
        }
    }
    let trailers = match &body {
        Ok(_) => stream.trailers().await.unwrap_or_default(),
        Err(_) => None,
    };
    Ok(Streamed {
        status: head.status,
        headers: head.headers,
        body,
        trailers,
    })
}

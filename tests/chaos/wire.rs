//! One client's connection to the address of the doors, as Go's programs use theirs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::client::Knock;

/// How soon a client asks the other end of a silent connection whether it is there: a fifth of what docker and
/// containerd do, as all times here are about a fifth of real ones.
const ALIVE: Duration = Duration::from_secs(6);
/// Docker gives a connection 30 s.
const CONNECT: Duration = Duration::from_secs(6);
/// Clients wait without a limit; this is one for the test.
const HANG: Duration = Duration::from_secs(90);

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// No connection, or it broke.
    Broke(String),
    /// Not the answer that was hoped for.
    Status(u16, String),
    /// Nothing came for longer than any trouble lasts.
    Hung,
    /// Lost, corrupt, or not what was acknowledged.
    Wrong(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Broke(why) => write!(to, "broke: {why}"),
            Fault::Status(code, body) => write!(to, "{code}: {body}"),
            Fault::Hung => write!(to, "hung for {HANG:?}"),
            Fault::Wrong(what) => write!(to, "wrong: {what}"),
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default()
    }
}

/// When bytes moved on a connection.
#[derive(Debug, Default)]
struct Pace {
    /// There while a request is under way.
    last: Option<Instant>,
    longest: Duration,
}

impl Pace {
    fn moved(&mut self) {
        if let Some(last) = &mut self.last {
            self.longest = self.longest.max(last.elapsed());
            *last = Instant::now();
        }
    }
}

/// A client at an address, with at most one connection.
pub struct Wire {
    address: SocketAddr,
    host: String,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    open: Option<SendRequest<Full<Bytes>>>,
    pace: Arc<Mutex<Pace>>,
}

impl Wire {
    pub fn new(address: SocketAddr, host: &str, ca: &Path) -> Wire {
        let mut knock = Knock::with(address, ca);
        knock.name = host.split(':').next().unwrap_or_default().to_owned();
        Wire {
            address,
            host: host.to_owned(),
            name: knock.server(),
            config: knock.config(),
            open: None,
            pace: Arc::default(),
        }
    }

    /// The longest time in which no byte of a request or its answer moved, since this was asked last.
    pub fn pause(&self) -> Duration {
        std::mem::take(&mut self.pace.lock().unwrap().longest)
    }

    /// One request and its whole answer.
    pub async fn ask(
        &mut self,
        method: &Method,
        target: &str,
        lines: &[(&str, &str)],
        body: &Bytes,
    ) -> Result<Answer, Fault> {
        self.pace.lock().unwrap().last = Some(Instant::now());
        let asked = self.again(method, target, lines, body);
        let answer = match tokio::time::timeout(HANG, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Fault::Broke(error.to_string())),
            Err(_) => Err(Fault::Hung),
        };
        let mut pace = self.pace.lock().unwrap();
        pace.moved();
        pace.last = None;
        drop(pace);
        let closes = |answer: &Answer| answer.header("connection") == "close";
        if answer.as_ref().map_or(true, closes) {
            self.open = None;
        }
        answer
    }

    /// As Go does: what only reads is sent once more if a connection that was used before ends without an answer.
    async fn again(
        &mut self,
        method: &Method,
        target: &str,
        lines: &[(&str, &str)],
        body: &Bytes,
    ) -> io::Result<Answer> {
        if let Some(sender) = &mut self.open {
            let request = request(method, target, &self.host, lines, body)?;
            if sender.ready().await.is_ok() {
                match sender.try_send_request(request).await {
                    Ok(answer) => return whole(answer).await,
                    Err(mut error) => {
                        let unsent = error.take_message().is_some();
                        if !unsent && !matches!(*method, Method::GET | Method::HEAD) {
                            return Err(io::Error::other(chain(error.error())));
                        }
                    }
                }
            }
        }
        let mut sender = self.connect().await?;
        let request = request(method, target, &self.host, lines, body)?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| io::Error::other(chain(&error)))?;
        let answer = whole(answer).await?;
        self.open = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let late = |_| io::Error::other("connect: not in time");
        let dialled = tokio::time::timeout(CONNECT, TcpStream::connect(self.address));
        let stream = dialled.await.map_err(late)??;
        stream.set_nodelay(true)?;
        let alive = TcpKeepalive::new()
            .with_time(ALIVE)
            .with_interval(Duration::from_secs(1))
            .with_retries(6);
        SockRef::from(&stream).set_tcp_keepalive(&alive)?;
        let paced = Paced {
            stream,
            pace: self.pace.clone(),
        };
        let connector = TlsConnector::from(self.config.clone());
        let shaken = tokio::time::timeout(CONNECT, connector.connect(self.name.clone(), paced));
        let stream = shaken.await.map_err(late)??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn request(
    method: &Method,
    target: &str,
    host: &str,
    lines: &[(&str, &str)],
    body: &Bytes,
) -> io::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host)
        .header(header::USER_AGENT, crate::support::harbor::DOCKER);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let body = Full::new(body.clone());
    request.body(body).map_err(io::Error::other)
}

async fn whole(answer: http::Response<hyper::body::Incoming>) -> io::Result<Answer> {
    let (head, mut frames) = answer.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = frames.frame().await {
        let frame = frame.map_err(|error| {
            io::Error::other(format!("after {} bytes: {}", body.len(), chain(&error)))
        })?;
        if let Ok(bytes) = frame.into_data() {
            body.extend_from_slice(&bytes);
        }
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.freeze(),
    })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// A connection that tells when bytes moved.
struct Paced {
    stream: TcpStream,
    pace: Arc<Mutex<Pace>>,
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.pace.lock().unwrap().moved();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.pace.lock().unwrap().moved();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

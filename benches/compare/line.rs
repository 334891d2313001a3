//! One connection of a client: HTTP/1.1 over TLS, with as little of its own cost as it can have.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::papers::NAME;
use crate::request;
use crate::wire::{self, Body, Framing};

const BUFFER: usize = 256 * 1024;
/// What Go copies at once, and so the size of a chunk that docker sends.
const CHUNK: usize = 32 * 1024;

/// How to reach a proxy.
#[derive(Clone)]
pub struct Way {
    pub address: SocketAddr,
    pub config: Arc<rustls::ClientConfig>,
    /// Of the socket, in bytes; absent: as the kernel sees fit.
    pub receive_buffer: Option<u32>,
}

impl Way {
    pub async fn open(&self) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(self.config.clone());
        let name = ServerName::try_from(NAME)?;
        connector
            .connect(name, stream)
            .await
            .context("TLS handshake")
    }
}

/// What a connection agreed on.
pub fn agreed(connection: &rustls::ClientConnection) -> String {
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| suite.suite());
    match (connection.protocol_version(), suite) {
        (Some(version), Some(suite)) => format!("{version:?} {suite:?}"),
        _ => "unknown".to_owned(),
    }
}

/// What an answer said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub bytes: u64,
    pub location: Option<String>,
}

impl Answer {
    /// It must have this status and, where that is known, this length.
    pub fn expect(self, status: u16, bytes: Option<u64>) -> Result<Answer> {
        ensure!(
            self.status == status,
            "status {} instead of {status}",
            self.status
        );
        let length = bytes.unwrap_or(self.bytes);
        ensure!(
            self.bytes == length,
            "{} bytes instead of {length}",
            self.bytes
        );
        Ok(self)
    }
}

/// A connection that is kept alive.
pub struct Line {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Line {
    pub async fn open(way: &Way) -> Result<Line> {
        Line::sized(way, BUFFER).await
    }

    /// For thousands of connections at once.
    pub async fn small(way: &Way) -> Result<Line> {
        Line::sized(way, 4096).await
    }

    async fn sized(way: &Way, bytes: usize) -> Result<Line> {
        let stream = way.open().await?;
        Ok(Line {
            stream,
            buffer: vec![0; bytes],
            filled: 0,
        })
    }

    pub fn tls(&self) -> String {
        agreed(self.stream.get_ref().1)
    }

    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Aborts instead of closing, so that no port waits for stray packets.
    pub fn abort(self) {
        let _ = SockRef::from(self.stream.get_ref().0).set_linger(Some(std::time::Duration::ZERO));
    }

    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request).await?;
        self.answer(request.starts_with(b"HEAD ")).await
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Sends a body behind a head of its own, and reads the answer.
    pub async fn push(
        &mut self,
        path: &str,
        bytes: u64,
        fixed: bool,
        piece: &[u8],
    ) -> Result<Answer> {
        let more = if fixed {
            format!("Content-Length: {bytes}\r\n")
        } else {
            "Transfer-Encoding: chunked\r\n".to_owned()
        };
        self.stream
            .write_all(&request::text("PATCH", path, &more))
            .await?;
        let mut left = bytes;
        let mut chunk = Vec::with_capacity(CHUNK + 16);
        while left > 0 {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            if fixed {
                self.stream.write_all(&piece[..here]).await?;
            } else {
                chunk.clear();
                chunk.extend_from_slice(format!("{here:x}\r\n").as_bytes());
                chunk.extend_from_slice(&piece[..here]);
                chunk.extend_from_slice(b"\r\n");
                self.stream.write_all(&chunk).await?;
            }
            left -= here as u64;
        }
        if !fixed {
            self.stream.write_all(b"0\r\n\r\n").await?;
        }
        self.stream.flush().await?;
        self.answer(false).await
    }

    async fn fill(&mut self) -> Result<()> {
        ensure!(
            self.filled < self.buffer.len(),
            "a head of more than {} bytes",
            self.buffer.len()
        );
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        ensure!(read > 0, "the connection ended before its answer did");
        self.filled += read;
        Ok(())
    }

    /// Reads a whole answer; without a body when the request was a HEAD.
    async fn answer(&mut self, bodiless: bool) -> Result<Answer> {
        let (mut answer, framing) = self.head().await?;
        let framing = if bodiless {
            Framing::Length(0)
        } else {
            framing
        };
        let mut body = Body::new(framing);
        let taken = body.take(&self.buffer[..self.filled])?;
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        while !body.is_done() {
            let read = self.stream.read(&mut self.buffer).await?;
            ensure!(read > 0, "the connection ended in the middle of a body");
            let taken = body.take(&self.buffer[..read])?;
            self.buffer.copy_within(taken..read, 0);
            self.filled = read - taken;
        }
        answer.bytes = body.seen;
        Ok(answer)
    }

    /// Reads the head of an answer, and leaves what came behind it.
    async fn head(&mut self) -> Result<(Answer, Framing)> {
        loop {
            let Some(head) = wire::head(&self.buffer[..self.filled])? else {
                self.fill().await?;
                continue;
            };
            let status = wire::status(head.first)?;
            let Some(framing) = head.framing else {
                bail!("an answer of unknown length");
            };
            let answer = Answer {
                status,
                bytes: 0,
                location: head.location.map(str::to_owned),
            };
            let length = head.length;
            self.buffer.copy_within(length..self.filled, 0);
            self.filled -= length;
            return Ok((answer, framing));
        }
    }

    /// Begins to read a body that nobody reads to its end.
    pub async fn begin(&mut self, request: &[u8]) -> Result<()> {
        self.send(request).await?;
        let (answer, _) = self.head().await?;
        answer.expect(200, None)?;
        self.filled = 0;
        Ok(())
    }

    /// Reads so many bytes of that body.
    pub async fn sip(&mut self, bytes: u64) -> Result<u64> {
        let mut seen = 0;
        while seen < bytes {
            let wanted = usize::try_from(bytes - seen)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..wanted]).await?;
            ensure!(read > 0, "the connection ended in the middle of a body");
            seen += read as u64;
        }
        Ok(seen)
    }
}

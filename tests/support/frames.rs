//! A client that writes the frames of HTTP/2 by hand (RFC 9113 §4), so that it can write the wrong ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::Knock;
use super::door::Door;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// The setting of the window that a stream begins with.
const INITIAL_WINDOW: u16 = 4;

/// One frame, whatever is in it.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `RST_STREAM` with CANCEL.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A larger window for a stream, or for all with 0.
pub fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A field by literals without Huffman's code, that no table remembers (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // A prefix of seven bits (RFC 7541 §5.1).
        match text.len() {
            short @ ..127 => field.push(short as u8),
            long => {
                field.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    field.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                field.push(rest as u8);
            }
        }
        field.extend(text.as_bytes());
    }
    field
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The last four bytes of a RST_STREAM, or the code of a GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// With the code of its last GOAWAY.
    Told(u32),
    /// Without a word.
    Cut,
}

/// A connection over TLS that has said its preface and its settings.
pub struct Frames {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    seen: Vec<u8>,
    authority: SocketAddr,
    next: u32,
}

impl Frames {
    /// With the windows that RFC 9113 begins with.
    pub async fn to(door: &Door) -> Self {
        Self::with(&Knock::at(door), 65_535).await
    }

    /// With `window` for each stream that the other side sends on.
    pub async fn with(knock: &Knock, window: u32) -> Self {
        let mut connection = Self::silent(knock).await;
        let mut settings = INITIAL_WINDOW.to_be_bytes().to_vec();
        settings.extend(window.to_be_bytes());
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &settings));
        assert!(connection.say(&hello).await);
        let theirs = |frame: &Frame| frame.kind == SETTINGS && frame.flags & ACK == 0;
        let theirs = connection.find(Duration::from_secs(30), theirs).await;
        theirs.expect("the settings of the door");
        assert!(connection.say(&frame(SETTINGS, ACK, 0, &[])).await);
        connection
    }

    /// Without a word yet.
    pub async fn silent(knock: &Knock) -> Self {
        let mut knock = knock.clone();
        knock.alpn = vec![b"h2".to_vec()];
        let (read, write) = tokio::io::split(knock.tls().await.expect("TLS"));
        Frames {
            read,
            write,
            seen: Vec::new(),
            authority: knock.address,
            next: 1,
        }
    }

    /// Says literal bytes; false when nobody listens any more, or nobody does for a while.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        let work = async {
            self.write.write_all(bytes).await?;
            self.write.flush().await
        };
        let said = tokio::time::timeout(Duration::from_secs(10), work).await;
        matches!(said, Ok(Ok(())))
    }

    /// The number of a new stream.
    pub fn open(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// The fields that every request begins with.
    pub fn head(&self, method: &str, path: &str) -> Vec<u8> {
        [
            field(":method", method),
            field(":scheme", "https"),
            field(":authority", &self.authority.to_string()),
            field(":path", path),
        ]
        .concat()
    }

    /// A whole `GET` on a new stream, and its number.
    pub fn get(&mut self, path: &str) -> (u32, Vec<u8>) {
        let stream = self.open();
        let head = self.head("GET", path);
        (
            stream,
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &head),
        )
    }

    /// The next frame; nothing at the end, or when none comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Option<Frame> {
        tokio::time::timeout(limit, self.take()).await.ok()?
    }

    async fn take(&mut self) -> Option<Frame> {
        loop {
            if let Some(&[high, middle, low, kind, flags, a, b, c, d]) = self.seen.first_chunk() {
                let end = 9 + u32::from_be_bytes([0, high, middle, low]) as usize;
                if self.seen.len() >= end {
                    let payload = self.seen.drain(..end).skip(9).collect();
                    let stream = u32::from_be_bytes([a, b, c, d]);
                    return Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    });
                }
            }
            let mut some = vec![0; 64 << 10];
            match self.read.read(&mut some).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.seen.extend(&some[..count]),
            }
        }
    }

    /// Whether the other side still answers; what comes before its answer is lost.
    pub async fn lives(&mut self) -> bool {
        let pong = |frame: &Frame| frame.kind == PING && frame.flags & ACK != 0;
        let asked = self.say(&frame(PING, 0, 0, b"alive?..")).await;
        asked && self.find(Duration::from_secs(30), pong).await.is_some()
    }

    /// The first frame that `is` wanted, within `limit`.
    pub async fn find(&mut self, limit: Duration, is: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let search = async {
            loop {
                let frame = self.take().await?;
                if is(&frame) {
                    return Some(frame);
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok()?
    }

    /// Reads on to the end; nothing if it does not come within `limit`.
    pub async fn gone(&mut self, limit: Duration) -> Option<Gone> {
        let end = async {
            let mut gone = Gone::Cut;
            while let Some(frame) = self.take().await {
                if frame.kind == GOAWAY {
                    gone = Gone::Told(frame.code());
                }
            }
            gone
        };
        tokio::time::timeout(limit, end).await.ok()
    }
}

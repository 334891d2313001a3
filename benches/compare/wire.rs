//! As much of HTTP/1.1 as the origin and the clients need.

use anyhow::{Context, Result, bail};

/// How a body says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// A head, as far as it matters here.
#[derive(Debug)]
pub struct Head<'a> {
    /// `GET /v2/ HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first: &'a str,
    pub framing: Option<Framing>,
    pub close: bool,
    pub location: Option<&'a str>,
    /// Bytes up to the body.
    pub length: usize,
}

/// The head at the beginning of `bytes`, when all of it is there.
pub fn head(bytes: &[u8]) -> Result<Option<Head<'_>>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("a head that is not text")?;
    let mut lines = text.split("\r\n");
    let mut head = Head {
        first: lines.next().unwrap_or_default(),
        framing: None,
        close: false,
        location: None,
        length: end + 4,
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            bail!("a header line without a colon: {line}");
        };
        let value = value.trim();
        match name.len() {
            8 if name.eq_ignore_ascii_case("location") => head.location = Some(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                head.close = value.eq_ignore_ascii_case("close");
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                head.framing = Some(Framing::Length(value.parse()?));
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                head.framing = Some(Framing::Chunked);
            }
            _ => {}
        }
    }
    Ok(Some(head))
}

/// The status in the first line of an answer.
pub fn status(first: &str) -> Result<u16> {
    let word = first.split(' ').nth(1).unwrap_or_default();
    word.parse()
        .with_context(|| format!("no status in {first:?}"))
}

/// Follows a body to its end.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// Bytes of the body so far, without framing.
    pub seen: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Rest(u64),
    /// The line with the size of a chunk, as far as it was read.
    Size(Option<u64>),
    Chunk(u64),
    /// The end of the line behind a chunk.
    Behind,
    /// Trailers: how many bytes of the current line there were.
    Trailer(usize),
    Done,
}

impl Body {
    pub fn new(framing: Framing) -> Body {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Rest(length),
            Framing::Chunked => State::Size(None),
        };
        Body { state, seen: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body from the front of `bytes`: how many that were.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Done => break,
                State::Rest(left) | State::Chunk(left) => {
                    let here = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len() - at);
                    *left -= here as u64;
                    self.seen += here as u64;
                    at += here;
                    if *left == 0 {
                        let chunk = matches!(self.state, State::Chunk(_));
                        self.state = if chunk { State::Behind } else { State::Done };
                    }
                    continue;
                }
                State::Size(size) => match bytes[at] {
                    b'\n' => {
                        self.state = match size.context("a chunk without a size")? {
                            0 => State::Trailer(0),
                            size => State::Chunk(size),
                        };
                    }
                    b'\r' => {}
                    digit => {
                        let value = char::from(digit)
                            .to_digit(16)
                            .context("a chunk of odd size")?;
                        *size = Some(size.unwrap_or(0) * 16 + u64::from(value));
                    }
                },
                State::Behind => {
                    if bytes[at] == b'\n' {
                        self.state = State::Size(None);
                    }
                }
                State::Trailer(length) => match bytes[at] {
                    b'\n' if *length == 0 => self.state = State::Done,
                    b'\n' => *length = 0,
                    b'\r' => {}
                    _ => *length += 1,
                },
            }
            at += 1;
        }
        Ok(at)
    }
}

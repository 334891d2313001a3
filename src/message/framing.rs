//! Where the requests of an HTTP/1 connection begin and end, by the strictest reading.
//!
//! hyper mends some flaws of a head before anybody can judge them: it takes a lone line feed for the end of a line, keeps
//! one of two equal lengths, lets a coding win over a length, and cuts a fragment off the target. Each of them is a request
//! that another reader takes for something else (RFC 9112 §2.2, §6.1, §6.3, §3.2). They are seen here, in the bytes
//! themselves, and made into what no reader accepts: hyper then answers 400 and closes.

use std::mem::take;

/// What stands in the place of the byte at which a request went wrong: it is allowed nowhere in a head.
const POISON: u8 = 0;
/// As much of a line as must be known: a name that frames a body, and its value.
const KNOWN: usize = 64;

/// Follows the bytes that a client sends.
#[derive(Debug, Default)]
pub struct Framing {
    at: At,
    line: Line,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before a request; empty lines may come (RFC 9112 §2.2).
    #[default]
    Start,
    Request,
    Field,
    /// So many bytes with a length are to come.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// Behind a request that wishes to leave HTTP: what comes, and whether anything did, belongs to nobody yet.
    Leaving {
        early: bool,
    },
    /// What comes is not read any more.
    Over,
}

/// A line that may come in pieces.
#[derive(Debug)]
struct Line {
    known: [u8; KNOWN],
    /// All bytes of it so far.
    length: usize,
    /// Its last byte so far is a carriage return.
    returned: bool,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            known: [0; KNOWN],
            length: 0,
            returned: false,
        }
    }
}

impl Line {
    fn add(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        let room = self.known.get_mut(self.length..).unwrap_or_default();
        for (known, byte) in room.iter_mut().zip(piece) {
            *known = *byte;
        }
        self.length = self.length.saturating_add(piece.len());
        self.returned = *last == b'\r';
    }

    /// What is known of it, without the carriage return at its end.
    fn text(&self) -> &[u8] {
        let end = self.length - usize::from(self.returned);
        self.known.get(..end.min(KNOWN)).unwrap_or_default()
    }

    fn is_known(&self) -> bool {
        self.length <= KNOWN
    }
}

/// What the fields of a head said of its body.
#[derive(Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
    leaves: bool,
}

/// The request can be read in two ways.
struct Flaw;

impl Framing {
    /// Follows further `bytes`, and poisons the first of them that makes a request ambiguous. `busy`: a request was under way
    /// when they came.
    pub fn read(&mut self, mut bytes: &mut [u8], busy: bool) {
        if let At::Leaving { early } = self.at
            && !busy
        {
            // The node stayed with HTTP, so this is the next request; unless its beginning was said too early.
            match early {
                true => return self.poison(bytes.first_mut()),
                false => self.at = At::Start,
            }
        }
        while !bytes.is_empty() {
            let taken = match self.at {
                At::Over => return,
                At::Leaving { .. } => {
                    self.at = At::Leaving { early: true };
                    return;
                }
                At::Body(left) => {
                    let (taken, left) = pass(bytes, left);
                    self.at = if left == 0 { At::Start } else { At::Body(left) };
                    taken
                }
                At::Chunk(left) => {
                    let (taken, left) = pass(bytes, left);
                    self.at = if left == 0 {
                        At::ChunkEnd
                    } else {
                        At::Chunk(left)
                    };
                    taken
                }
                At::Start
                | At::Request
                | At::Field
                | At::ChunkSize
                | At::ChunkEnd
                | At::Trailer => match self.line(bytes) {
                    Ok(taken) => taken,
                    Err(place) => return self.poison(bytes.get_mut(place)),
                },
            };
            bytes = bytes.get_mut(taken..).unwrap_or_default();
        }
    }

    /// Whether everything so far were whole requests.
    pub fn is_between(&self) -> bool {
        self.at == At::Start && self.line.length == 0
    }

    fn poison(&mut self, place: Option<&mut u8>) {
        if let Some(place) = place {
            *place = POISON;
            self.at = At::Over;
        }
    }

    /// Reads to the end of a line, or as far as it came. Says how many bytes that are, or which one is the flaw.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let end = memchr::memchr(b'\n', bytes);
        let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let first = piece.first().filter(|_| self.line.length == 0);
        if self.at == At::Start && first.is_some_and(|first| *first != b'\r') {
            self.at = At::Request;
        }
        if self.at == At::Request
            && let Some(fragment) = memchr::memchr(b'#', piece)
        {
            return Err(fragment);
        }
        self.line.add(piece);
        let Some(end) = end else {
            return Ok(bytes.len());
        };
        if !self.line.returned || self.ended().is_err() {
            return Err(end);
        }
        self.line.length = 0;
        self.line.returned = false;
        Ok(end + 1)
    }

    /// A line is whole.
    fn ended(&mut self) -> Result<(), Flaw> {
        let line = &self.line;
        let text = line.text();
        self.at = match self.at {
            At::Start if !text.is_empty() => return Err(Flaw),
            At::Request => At::Field,
            At::Field if text.is_empty() => take(&mut self.head).body(),
            At::Field => {
                self.head.field(text, line.is_known())?;
                At::Field
            }
            At::ChunkSize => match chunk_size(text).ok_or(Flaw)? {
                0 => At::Trailer,
                size => At::Chunk(size),
            },
            At::ChunkEnd if text.is_empty() => At::ChunkSize,
            At::ChunkEnd => return Err(Flaw),
            At::Trailer if text.is_empty() => At::Start,
            same => same,
        };
        Ok(())
    }
}

/// How many of `bytes` belong to the `left` that are to come, and what is left after them.
fn pass(bytes: &[u8], left: u64) -> (usize, u64) {
    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    (taken, left - taken as u64)
}

impl Head {
    fn field(&mut self, line: &[u8], known: bool) -> Result<(), Flaw> {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = Some(value).filter(|_| known).and_then(number);
            if self.length.is_some() || self.chunked {
                return Err(Flaw);
            }
            self.length = Some(length.ok_or(Flaw)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // What else it was coded with is judged later: the end of the body is plain.
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or(value);
            let framed = known && last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            if !framed || self.chunked || self.length.is_some() {
                return Err(Flaw);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.leaves = true;
        }
        Ok(())
    }

    /// What follows the head.
    fn body(self) -> At {
        match (self.chunked, self.length.unwrap_or(0)) {
            (true, _) => At::ChunkSize,
            (false, 0) if self.leaves => At::Leaving { early: false },
            (false, 0) => At::Start,
            (false, length) => At::Body(length),
        }
    }
}

/// Digits and nothing else (RFC 9110 §8.6).
fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The size in a chunk's first line; what follows it is an extension (RFC 9112 §7.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (size, rest) = line.split_at(digits.count());
    let ends = rest.is_empty() || matches!(rest.trim_ascii_start().first(), None | Some(b';'));
    let size = std::str::from_utf8(size).ok().filter(|_| ends)?;
    u64::from_str_radix(size, 16).ok()
}

#[cfg(test)]
mod tests;

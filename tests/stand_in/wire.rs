//! A client that writes what it is told, byte by byte, and shows what came back.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer as it came.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body ended before its announced length.
    pub short: bool,
    /// `100 Continue` came first.
    pub continued: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection to a node.
pub struct Wire {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The node may have answered and closed already; what it said is still to be read.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads one answer; `None` if the connection ended without one.
    pub fn receive(&mut self, head: bool) -> Option<Answer> {
        let mut answer = self.head()?;
        if answer.status == 100 {
            answer = self.head()?;
            answer.continued = true;
        }
        if head || answer.status == 204 || answer.status == 304 {
            return Some(answer);
        }
        let chunked = answer.header("transfer-encoding").is_some();
        if chunked {
            answer.short = !self.chunks(&mut answer.body);
        } else if let Some(length) = answer
            .header("content-length")
            .map(|l| l.parse::<u64>().unwrap())
        {
            let mut body = Vec::new();
            let _ = (&mut self.reader).take(length).read_to_end(&mut body);
            answer.short = (body.len() as u64) < length;
            answer.body = body;
        } else {
            let _ = self.reader.read_to_end(&mut answer.body);
        }
        Some(answer)
    }

    /// Whether the node closed the connection.
    pub fn is_closed(&mut self) -> bool {
        match self.reader.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn head(&mut self) -> Option<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer {
            status,
            ..Answer::default()
        };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(answer);
            }
            let (name, value) = line.split_once(':')?;
            answer
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(size) = self
                .line()
                .and_then(|line| usize::from_str_radix(&line, 16).ok())
            else {
                return false;
            };
            let mut chunk = vec![0; size];
            if self.reader.read_exact(&mut chunk).is_err() || self.line().is_none() {
                return false;
            }
            body.extend(chunk);
            if size == 0 {
                return true;
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(read) if read > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            _ => None,
        }
    }
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Option<Answer> {
    let mut wire = Wire::open(address);
    wire.send(head.as_bytes());
    wire.send(body);
    wire.receive(head.starts_with("HEAD "))
}

/// A GET with the given header lines.
pub fn get(address: SocketAddr, path: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: harbor.example\r\n{lines}\r\n");
    ask(address, &head, &[]).expect("an answer")
}

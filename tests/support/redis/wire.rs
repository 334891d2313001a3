//! What a test asks a Redis itself, by a client that is not the one under test.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

/// An answer in RESP2; numbers are text here.
pub enum Reply {
    Nothing,
    Text(String),
    Error(String),
    Many(Vec<Reply>),
}

impl fmt::Display for Reply {
    /// As `redis-cli --raw` prints it: a line for each element.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Text(text) | Self::Error(text) => f.write_str(text),
            Self::Many(all) => {
                for (at, one) in all.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    one.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

struct Line(BufReader<TcpStream>);

impl Line {
    fn open(address: SocketAddr, db: u8) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut line = Self(BufReader::new(stream));
        if db != 0 {
            line.ask(&["SELECT", &db.to_string()])?;
        }
        Ok(line)
    }

    fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let mut letters = line.trim_end().chars();
        let kind = letters.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let rest = letters.as_str();
        let count = || usize::try_from(rest.parse::<i64>().expect("a length")).ok();
        Ok(match (kind, rest) {
            ('+' | ':', _) => Reply::Text(rest.to_owned()),
            ('-', _) => Reply::Error(rest.to_owned()),
            ('$', _) => match count() {
                None => Reply::Nothing,
                Some(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.0.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
            },
            ('*', _) => match count() {
                None => Reply::Nothing,
                Some(length) => Reply::Many(
                    (0..length)
                        .map(|_| self.reply())
                        .collect::<io::Result<_>>()?,
                ),
            },
            _ => panic!("no RESP: {line:?}"),
        })
    }
}

/// One command on a connection of its own.
pub fn ask(address: SocketAddr, db: u8, words: &[&str]) -> Reply {
    Line::open(address, db)
        .and_then(|mut line| line.ask(words))
        .unwrap_or_else(|error| panic!("{address} does not answer {words:?}: {error}"))
}

/// One command to database 0; the answer, or the error, as `redis-cli --raw` prints it.
pub fn command(address: SocketAddr, words: &[&str]) -> String {
    ask(address, 0, words).to_string()
}

/// How often a command was called since the server started.
pub fn calls(address: SocketAddr, name: &str) -> u64 {
    let stats = command(address, &["INFO", "commandstats"]);
    let start = format!("cmdstat_{}:calls=", name.to_ascii_lowercase());
    let line = stats.lines().find_map(|line| line.strip_prefix(&start));
    let count = line.and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// The keys of a database that match a pattern, sorted.
pub fn keys(address: SocketAddr, db: u8, pattern: &str) -> Vec<String> {
    let Reply::Many(found) = ask(address, db, &["KEYS", pattern]) else {
        panic!("{address} lists no keys");
    };
    let mut names: Vec<String> = found.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

/// The string under a key.
pub fn value(address: SocketAddr, db: u8, key: &str) -> Option<String> {
    match ask(address, db, &["GET", key]) {
        Reply::Text(text) => Some(text),
        Reply::Nothing => None,
        odd => panic!("GET {key}: {odd}"),
    }
}

/// How long a key has left; `None` if it stays for ever or is not there.
pub fn ttl(address: SocketAddr, db: u8, key: &str) -> Option<Duration> {
    let left = ask(address, db, &["PTTL", key]).to_string();
    let left = left.parse::<i64>().expect("a number");
    u64::try_from(left).ok().map(Duration::from_millis)
}

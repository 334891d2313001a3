//! Listening in on a Redis.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::RedisServer;
use crate::support::door::eventually;

/// `redis-cli monitor` of one server: every command of every client, this room's own too.
pub struct Monitor {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Monitor {
    /// Starts to listen and returns when nothing is missed any more.
    pub fn of(server: &RedisServer) -> Self {
        let mut child = server
            .cli()
            .arg("monitor")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-cli is installed");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let keep = lines.clone();
        let out = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                keep.lock().unwrap().push(line);
            }
        });
        let monitor = Self { child, lines };
        eventually("redis-cli monitors", Duration::from_secs(10), || {
            monitor.lines().first().is_some_and(|line| line == "OK")
        });
        monitor.clear();
        monitor
    }

    /// Everything since the start or the last [`Monitor::clear`], as `redis-cli` prints it.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The same as commands with their arguments.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let lines = self.lines();
        lines.iter().filter_map(|line| words(line)).collect()
    }

    /// Forgets what was heard so far.
    pub fn clear(&self) {
        self.lines.lock().unwrap().clear();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of `1700000000.123456 [0 127.0.0.1:4711] "set" "key" "va\"lue"`.
fn words(line: &str) -> Option<Vec<String>> {
    let (_, said) = line.split_once("] ")?;
    let mut said = said.bytes();
    let mut words = Vec::new();
    while said.by_ref().any(|byte| byte == b'"') {
        let mut word = Vec::new();
        loop {
            word.push(match said.next()? {
                b'"' => break,
                b'\\' => unescaped(&mut said)?,
                byte => byte,
            });
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Some(words)
}

/// The byte that stands behind a backslash (`sdscatrepr` of Redis).
fn unescaped(said: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match said.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'x' => {
            let digits = [said.next()?, said.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        }
        byte => byte,
    })
}

//! The access log: one line per request, written at its last byte.

use super::clock;
use super::fields::Fields;
use super::lines::Lines;
use super::log::Format;
use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// What one request was and how it ended. Strings longer than 2048 bytes are cut.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Who asked, as far as the trusted hops before us say.
    pub client: IpAddr,
    /// From Basic or the token's subject, unverified; never a secret.
    pub user: Option<&'a str>,
    /// The method as it came.
    pub method: &'a str,
    /// Path and query as they came.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// The status the client was sent; 0 when it left before one existed.
    pub status: u16,
    /// The slug of the request's class.
    pub class: &'static str,
    /// The Harbor project.
    pub project: Option<&'a str>,
    /// The repository, project included.
    pub repository: Option<&'a str>,
    /// The node that answered last.
    pub node: Option<&'a str>,
    /// How many nodes were asked.
    pub attempts: u32,
    /// How often a download went on at another node.
    pub resumed: u32,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// From the request's head to the answer's head.
    pub first_byte: Option<Duration>,
    /// From the request's head to the last byte.
    pub duration: Duration,
    /// The `X-Request-ID` that the node saw too.
    pub request_id: &'a str,
    /// The trace of `traceparent`.
    pub trace_id: Option<&'a str>,
    /// How it ended: `done`, `client_gone`, `node_failed`, `refused` …
    pub ended: &'static str,
}

/// Where access lines go. Cloning is cheap; a disabled one does nothing.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(Option<Target>);

#[derive(Clone, Debug)]
struct Target {
    lines: Lines,
    format: Format,
}

impl AccessLog {
    /// A log that writes nothing.
    pub fn disabled() -> AccessLog {
        AccessLog(None)
    }

    pub(super) fn to(lines: Lines, format: Format) -> AccessLog {
        AccessLog(Some(Target { lines, format }))
    }

    /// Whether anything is written, for callers that would have to prepare a line.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Queues one line; never waits. A line that finds no room is dropped and counted by the log's guard.
    pub fn write(&self, line: &Line<'_>) {
        thread_local! {
            // One buffer per thread: the queue copies what it takes.
            static BUFFER: RefCell<String> = RefCell::new(String::with_capacity(1024));
        }
        let Some(target) = &self.0 else { return };
        BUFFER.with_borrow_mut(|out| {
            out.clear();
            render(out, target.format, line, SystemTime::now());
            target.lines.push(out.as_bytes());
        });
    }
}

fn render(out: &mut String, format: Format, line: &Line<'_>, now: SystemTime) {
    let mut fields = Fields::begin(out, format);
    fields.bare("time", |out| clock::write(out, now));
    fields.address("client", line.client);
    fields.maybe("user", line.user);
    fields.text("method", line.method);
    fields.text("path", line.path);
    fields.text("protocol", line.protocol);
    fields.count("status", line.status);
    fields.text("class", line.class);
    fields.maybe("project", line.project);
    fields.maybe("repository", line.repository);
    fields.maybe("node", line.node);
    fields.count("attempts", line.attempts);
    fields.count("resumed", line.resumed);
    fields.count("bytes_in", line.bytes_in);
    fields.count("bytes_out", line.bytes_out);
    fields.millis("first_byte_ms", line.first_byte);
    fields.millis("duration_ms", Some(line.duration));
    fields.text("request_id", line.request_id);
    fields.maybe("trace_id", line.trace_id);
    fields.text("ended", line.ended);
    fields.end();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::telemetry::log;

    fn pull(path: &str) -> Line<'_> {
        Line {
            client: IpAddr::from([192, 0, 2, 7]),
            user: Some("alice"),
            method: "GET",
            path,
            protocol: "HTTP/1.1",
            status: 200,
            class: "manifest_read",
            project: Some("library"),
            repository: Some("library/nginx"),
            node: None,
            attempts: 1,
            resumed: 0,
            bytes_in: 0,
            bytes_out: 1234,
            first_byte: None,
            duration: Duration::from_micros(4_005),
            request_id: "r-1",
            trace_id: None,
            ended: "done",
        }
    }

    #[test]
    fn a_line_has_exactly_the_agreed_names_in_their_order() {
        let paper = log::tests::Paper::default();
        let guard = log::open(Format::Json, paper.clone()).unwrap();
        guard
            .access()
            .write(&pull("/v2/library/nginx/manifests/\"1\""));
        drop(guard);
        let line = paper.read();
        let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        let names = [
            "time",
            "client",
            "user",
            "method",
            "path",
            "protocol",
            "status",
            "class",
            "project",
            "repository",
            "node",
            "attempts",
            "resumed",
            "bytes_in",
            "bytes_out",
            "first_byte_ms",
            "duration_ms",
            "request_id",
            "trace_id",
            "ended",
        ];
        assert_eq!(read.len(), names.len());
        let mut after = 0;
        for name in names {
            let place = line.find(&format!("\"{name}\":")).expect(name);
            assert!(place >= after, "{name} is out of order");
            after = place;
        }
        assert_eq!(read["path"], "/v2/library/nginx/manifests/\"1\"");
        assert_eq!(read["duration_ms"], 4.005);
        assert_eq!(read["first_byte_ms"], serde_json::Value::Null);
        assert_eq!(read["client"], "192.0.2.7");
    }

    #[test]
    fn a_path_is_cut_at_2048_bytes() {
        let path = format!("/{}", "a".repeat(9000));
        let mut out = String::new();
        render(&mut out, Format::Json, &pull(&path), SystemTime::now());
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["path"].as_str().unwrap().len(), 2048);
    }

    #[test]
    fn text_has_the_same_fields() {
        let mut out = String::new();
        render(&mut out, Format::Text, &pull("/v2/"), std::time::UNIX_EPOCH);
        assert!(out.starts_with(
            "1970-01-01T00:00:00.000Z client=192.0.2.7 user=alice method=GET path=/v2/ protocol=HTTP/1.1 status=200"
        ));
        assert!(out.ends_with("trace_id=- ended=done\n"));
    }
}

//! Why an operation failed, by kind, so that failures can be counted.

use std::fmt;

use http::StatusCode;
use serde_json::Value;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection came about, or its name leads nowhere.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Nothing moved for longer than `--timeout`.
    Timeout,
    /// The connection ended before the answer began.
    Lost,
    /// The body of an answer ended too early.
    CutBody,
    /// An answer with a status that the operation cannot go on with.
    Status(u16),
    /// Bytes that are not what their digest says.
    Digest,
    /// No token came out of the login.
    Login,
    /// An answer that lacks what the protocol asks for.
    Malformed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Connect => f.write_str("connect"),
            Kind::Tls => f.write_str("tls"),
            Kind::Timeout => f.write_str("timeout"),
            Kind::Lost => f.write_str("connection lost"),
            Kind::CutBody => f.write_str("cut body"),
            Kind::Status(code) => write!(f, "status {code}"),
            Kind::Digest => f.write_str("digest mismatch"),
            Kind::Login => f.write_str("login"),
            Kind::Malformed => f.write_str("malformed answer"),
        }
    }
}

/// One failure. Its words hold neither a password nor a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {what}")]
pub struct Failure {
    /// For the table.
    pub kind: Kind,
    /// What happened, for whoever has to find out why.
    pub what: String,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Failure {
            kind,
            what: what.into(),
        }
    }

    /// An answer with a status that was not hoped for; `body` may explain it in the registry's JSON.
    pub fn status(asked: &str, status: StatusCode, body: &[u8]) -> Self {
        let mut what = format!("{asked}: {status}");
        if let Some(reason) = reason(body) {
            what.push_str(&format!(" ({reason})"));
        }
        Self::new(Kind::Status(status.as_u16()), what)
    }
}

/// Code and message of the first error of an answer (OCI distribution specification, error codes), on one line.
fn reason(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let first = answer.get("errors")?.as_array()?.first()?;
    let text = |key: &str| first.get(key).and_then(Value::as_str).unwrap_or_default();
    let shown: String = format!("{} {}", text("code"), text("message"))
        .chars()
        .filter(|c| !c.is_control())
        .take(160)
        .collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_registry_is_shown_on_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"the project\nis full"}]}"#;
        let failure = Failure::status("PUT /v2/x", StatusCode::FORBIDDEN, body);
        assert_eq!(
            failure.to_string(),
            "status 403: PUT /v2/x: 403 Forbidden (DENIED the projectis full)"
        );
    }

    #[test]
    fn an_answer_that_is_no_json_is_named_by_its_status() {
        let failure = Failure::status("GET /v2/x", StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(failure.kind, Kind::Status(502));
        assert_eq!(failure.what, "GET /v2/x: 502 Bad Gateway");
    }
}

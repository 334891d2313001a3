//! What it takes to bring an image from one Harbor to another by their own API, in three dialects.
//!
//! Everything here is words: a [`Call`] to send, and what an answer means. Harbor 2 (`api/v2.0/swagger.yaml`) and 1.8 to
//! 1.10 (`src/core/router.go`) have registries, policies and executions; 1.5 (`src/ui/router.go`) has targets, policies and
//! jobs, and its filters know neither alternatives nor the name of the project.

pub mod content;
pub mod glob;
pub mod policy;
pub mod time;

use http::Method;
use serde_json::Value;

use super::dialect::Dialect;

/// A request to a Harbor's API.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The document to send.
    pub body: Option<Value>,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Call {
            method: Method::GET,
            path,
            body: None,
        }
    }

    pub(super) fn delete(path: String) -> Self {
        Call {
            method: Method::DELETE,
            path,
            body: None,
        }
    }

    pub(super) fn post(path: String, body: Value) -> Self {
        Call {
            method: Method::POST,
            path,
            body: Some(body),
        }
    }
}

/// The page size of every list.
pub const PAGE: usize = 100;

/// Where the API of a dialect is.
pub const fn root(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Harbor2 => "/api/v2.0",
        _ => "/api",
    }
}

/// Why a Harbor did not do what was asked, in its own words where it has any.
pub fn complaint(status: u16, body: &[u8]) -> String {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = document
        .pointer("/errors/0/message")
        .or_else(|| document.get("message"))
        .and_then(Value::as_str);
    match message {
        Some(message) if !message.is_empty() => {
            let message: String = message.chars().take(200).collect();
            format!("{status} {message}")
        }
        _ => status.to_string(),
    }
}

/// The number at the end of a `Location`.
pub fn made(location: &str) -> Option<u64> {
    location.rsplit('/').next()?.parse().ok()
}

pub(super) fn number(document: &Value, key: &str) -> Option<u64> {
    document.get(key)?.as_u64()
}

pub(super) fn text<'v>(document: &'v Value, key: &str) -> &'v str {
    document
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn list(body: &[u8]) -> Option<Vec<Value>> {
    match serde_json::from_slice(body).ok()? {
        Value::Array(list) => Some(list),
        // 1.x says `null` for nothing.
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

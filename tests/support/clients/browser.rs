//! A browser, as far as sessions go: it keeps cookies and the token against forgery.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use crate::support::client::{Answer, Raw};
use crate::support::door::Door;

/// A browser at one door; its cookies go with it to another.
#[derive(Clone, Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
    token: Option<String>,
}

impl Browser {
    /// The id of its session.
    pub fn session(&self) -> Option<&str> {
        let id = self
            .cookies
            .get("sid")
            .or_else(|| self.cookies.get("beegosessionID"));
        id.map(String::as_str)
    }

    /// Lets it have a session that it made up.
    pub fn pretend(&mut self, id: &str) {
        self.cookies.insert("sid".to_owned(), id.to_owned());
    }

    /// `GET` of a page.
    pub async fn get(&mut self, door: &Door, target: &str) -> Answer {
        self.send(door, "GET", target, "").await
    }

    /// Logs in as `admin` in a Harbor 2; panics if that fails.
    pub async fn log_in(&mut self, door: &Door) {
        self.get(door, "/api/v2.0/systeminfo").await;
        self.get(door, "/api/v2.0/users/current").await;
        let form = "principal=admin&password=Harbor12345";
        let answer = self.send(door, "POST", "/c/login", form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Whether the node takes it for logged in.
    pub async fn is_logged_in(&mut self, door: &Door) -> bool {
        self.get(door, "/api/v2.0/users/current").await.status == 200
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&mut self, door: &Door, method: &str, target: &str, form: &str) -> Answer {
        let mut lines = String::new();
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            lines += &format!("Cookie: {}\r\n", pairs.join("; "));
        }
        if let Some(token) = &self.token {
            lines += &format!("X-Harbor-CSRF-Token: {token}\r\n");
        }
        if !form.is_empty() {
            let length = form.len();
            lines += &format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            );
        }
        let host = door.address;
        let mut raw = Raw::to(door).await;
        let answer = raw
            .ask(format!(
                "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n{form}"
            ))
            .await;
        for line in answer.all("set-cookie") {
            let pair = line.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(token) = answer.header("x-harbor-csrf-token") {
            self.token = Some(token.to_owned());
        }
        answer
    }
}

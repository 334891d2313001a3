//! A person at the pages: logs in, and must stay logged in.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::client::{Client, Failure};

/// Looks at pages, so many.
const LOOKS: usize = 6;

/// A browser's cookies and its token against forgery.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
    token: String,
}

impl Browser {
    async fn ask(
        &mut self,
        client: &mut Client,
        what: (Method, &str),
        form: &'static str,
        good: &[u16],
    ) -> Result<u16, Failure> {
        let pairs: Vec<String> = (self.cookies.iter())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let (pairs, token) = (pairs.join("; "), self.token.clone());
        let mut lines = Vec::new();
        if !pairs.is_empty() {
            lines.push(("cookie", pairs.as_str()));
        }
        if !token.is_empty() {
            lines.push(("x-harbor-csrf-token", token.as_str()));
        }
        if !form.is_empty() {
            lines.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = client.ask(what, &lines, &Bytes::from(form), good).await?;
        for line in answer.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap_or_default().split(';').next();
            if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if !answer.header("x-harbor-csrf-token").is_empty() {
            self.token = answer.header("x-harbor-csrf-token").to_owned();
        }
        Ok(answer.status.as_u16())
    }

    /// A session from its beginning to its end, as far as it gets.
    pub async fn session(client: &mut Client) -> Result<(), Failure> {
        let mut browser = Browser::default();
        for (target, good) in [("systeminfo", 200), ("users/current", 401)] {
            let target = format!("/api/v2.0/{target}");
            let what = (Method::GET, target.as_str());
            browser.ask(client, what, "", &[good]).await?;
        }
        let what = (Method::POST, "/c/login");
        let form = "principal=admin&password=Harbor12345";
        browser.ask(client, what, form, &[200]).await?;
        for _ in 0..LOOKS {
            let what = (Method::GET, "/api/v2.0/users/current");
            browser.ask(client, what, "", &[200]).await?;
            // As long as a person reads.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let what = (Method::GET, "/c/log_out");
        browser.ask(client, what, "", &[200]).await.map(drop)
    }
}

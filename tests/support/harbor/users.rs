//! Accounts, and the lock after a wrong password.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// Who the tests log in as: name, password, whether an administrator.
pub const ACCOUNTS: [(&str, &str, bool); 3] = [
    ("admin", "Harbor12345", true),
    ("developer", "Developer12345", false),
    ("robot$seawall", "Robot12345", false),
];

/// Failed attempts of this node; other nodes do not know them.
#[derive(Default)]
pub struct Users {
    failed: Mutex<HashMap<String, Instant>>,
}

impl Users {
    /// Whether the password is right. A wrong one holds the request for the time of the lock, and during it even
    /// the right one is refused.
    pub async fn check(&self, name: &str, password: &str, lock: Duration) -> bool {
        let locked = self.lock().get(name).is_some_and(|at| at.elapsed() < lock);
        if !locked
            && ACCOUNTS
                .iter()
                .any(|(n, p, _)| *n == name && *p == password)
        {
            return true;
        }
        if !locked {
            self.lock().insert(name.to_owned(), Instant::now());
            tokio::time::sleep(lock).await;
        }
        false
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.failed.lock().expect("never poisoned")
    }
}

pub fn is_admin(name: &str) -> bool {
    ACCOUNTS.iter().any(|(n, _, admin)| *n == name && *admin)
}

/// Name and password of `Authorization: Basic`.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}

//! `[sessions]`: where balancers share what sticks to which node.

use std::path::PathBuf;
use std::time::Duration;

use super::scope::Scope;
use super::{At, Certificate, Secret, Shape, Store, Wrong, node};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The longest prefix and the longest name of a door.
const LONGEST: usize = 64;

/// Where balancers share what sticks to which node.
#[derive(Clone, Debug, PartialEq)]
pub struct Sessions {
    /// Where the address of the store stands; without one, where the table begins.
    pub at: At,
    /// The Redis; none: what sticks is kept in memory alone. Also none when it is in a file and only the text of
    /// the configuration was read.
    pub store: Option<Store>,
    /// The file that the address came from.
    pub store_file: Option<PathBuf>,
    /// What every key in the store begins with: 1 to 64 printable ASCII characters without any of `*?[]\`.
    pub prefix: String,
    /// The longest that a request waits for the store.
    pub budget: Duration,
    /// What this balancer calls itself in the store: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub door: String,
    /// The authorities that the store's certificate must come from, PEM; none: those of the machine.
    pub ca: Option<PathBuf>,
    /// What Seawall shows when the store asks for a certificate.
    pub client_certificate: Option<Certificate>,
    /// What sentinels want to hear, when it is a password of their own.
    pub sentinel_password: Option<Secret>,
    /// The file that the sentinels' password came from.
    pub sentinel_password_file: Option<PathBuf>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            at: At::default(),
            store: None,
            store_file: None,
            prefix: "seawall:".to_owned(),
            budget: 20 * MILLISECOND,
            door: host_name(),
            ca: None,
            client_certificate: None,
            sentinel_password: None,
            sentinel_password_file: None,
        }
    }
}

impl Sessions {
    /// The key that holds the address of the store.
    pub(super) const fn store_key(&self) -> &'static str {
        match self.store_file {
            Some(_) => "store_file",
            None => "store",
        }
    }

    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let address = scope.secret("store", "store_file");
        let given = scope.secret("sentinel_password", "sentinel_password_file");
        let mut sessions = Self {
            prefix: scope.word("prefix", read_prefix).unwrap_or(default.prefix),
            budget: scope
                .duration("budget", MILLISECOND..=1000 * MILLISECOND)
                .unwrap_or(default.budget),
            door: scope.word("door", read_door).unwrap_or(default.door),
            ca: scope.readable("ca"),
            client_certificate: Certificate::read(scope.table("client_certificate")),
            store_file: address.file,
            sentinel_password: given.secret,
            sentinel_password_file: given.file,
            ..default
        };
        sessions.at = scope.at_key(sessions.store_key());
        // A file that was left alone gives an empty secret.
        let address = address.secret.filter(|secret| !secret.expose().is_empty());
        sessions.store = address.and_then(|address| {
            let store = address.expose().parse::<Store>();
            store
                .map_err(|wrong| scope.wrong(sessions.store_key(), wrong))
                .ok()
        });
        let unread = scope.has("store") || scope.has("store_file");
        match &sessions.store {
            // Nothing is known of an address that could not be read.
            None if unread => {}
            store => refuse_useless(&scope, store.as_ref()),
        }
        scope.finish();
        sessions
    }
}

fn refuse_useless(scope: &Scope<'_>, store: Option<&Store>) {
    if !store.is_some_and(|store| store.tls) {
        for key in ["ca", "client_certificate"] {
            scope.useless(key, "means nothing for a store without TLS (rediss://)");
        }
    }
    if !store.is_some_and(|store| matches!(store.shape, Shape::Sentinel { .. })) {
        for key in ["sentinel_password", "sentinel_password_file"] {
            scope.useless(key, "means nothing for a store without sentinels");
        }
    }
}

fn read_prefix(prefix: &str) -> Result<String, Wrong> {
    // The last ones would be read as a pattern when the operator's listing looks for what begins with the prefix.
    let sound = prefix
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"*?[]\\".contains(&b));
    if !sound || !(1..=LONGEST).contains(&prefix.len()) {
        return Err(Wrong::new(
            format!("`{}` cannot be a prefix", prefix.escape_debug()),
            "write 1 to 64 printable ASCII characters without spaces and without any of *?[]\\",
        ));
    }
    if prefix.starts_with("cache:") {
        let what = "begins with `cache:`, as keys do that Harbor deletes";
        return Err(Wrong::new(what, "write another one, like \"seawall:\""));
    }
    Ok(prefix.to_owned())
}

fn read_door(name: &str) -> Result<String, Wrong> {
    if node::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(Wrong::new(
        format!("`{}` cannot be the name of a door", name.escape_debug()),
        "write 1 to 64 letters, digits, dots, underscores and hyphens",
    ))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    clean(&name.to_string_lossy())
}

/// Makes a name of a host the name of a door.
fn clean(host: &str) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = host
        .chars()
        .take(LONGEST)
        .map(|c| if sound(c) { c } else { '-' })
        .collect();
    if name.is_empty() {
        "seawall".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gives_its_name_to_the_door() {
        assert!(node::is_name(&Sessions::default().door));
        assert_eq!(clean("lb-1.example.com"), "lb-1.example.com");
        assert_eq!(clean("lb 1/ö"), "lb-1--");
        assert_eq!(clean(&"a".repeat(100)), "a".repeat(64));
        assert_eq!(clean(""), "seawall");
    }
}

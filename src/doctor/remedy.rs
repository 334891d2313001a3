//! What to copy from where, in the words of each Harbor's own files.

use super::finding::list;
use super::group::Split;
use crate::harbor::dialect::Dialect;

/// The name of a node by its place.
pub fn name(names: &[String], at: usize) -> &str {
    names.get(at).map(String::as_str).unwrap_or_default()
}

/// The names of nodes by their places.
pub fn names(all: &[String], at: &[usize]) -> Vec<String> {
    at.iter().map(|at| name(all, *at).to_owned()).collect()
}

/// `harbor-1 sends clients` or `harbor-1 and harbor-2 send clients`.
pub fn sends(all: &[String], at: &[usize]) -> String {
    let verb = if at.len() == 1 { "sends" } else { "send" };
    format!("{} {verb} clients", list(&names(all, at)))
}

/// What is to be done on some nodes.
pub fn on(all: &[String], at: &[usize], act: &str) -> String {
    format!("on {}: {act}", list(&names(all, at)))
}

/// A fault that is mended by making nodes equal: who, and `thing` copied from where.
pub fn copy(all: &[String], split: &Split, thing: &str, then: &str) -> String {
    match (split.model, split.odd.as_slice()) {
        (Some(model), odd) => format!(
            "copy {thing} from {} to {}, and there {then}",
            name(all, model),
            list(&names(all, odd))
        ),
        (None, [first, others @ ..]) => format!(
            "copy {thing} from {} to {} (or from whichever is right to the others), and there {then}",
            name(all, *first),
            list(&names(all, others))
        ),
        (None, []) => format!("make {thing} equal on all nodes, and {then}"),
    }
}

/// Both parts of the token key (harbor-facts: v1.5.2 `make/prepare`, v1.10 and 2.x `make/photon/prepare`).
pub const fn token_key(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Harbor15) => {
            "common/config/ui/private_key.pem and common/config/registry/root.crt (both, below the installation)"
        }
        _ => {
            "/data/secret/core/private_key.pem and /data/secret/registry/root.crt (both, below data_volume)"
        }
    }
}

/// The key of tokens against forgery.
pub const fn csrf_key(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Harbor1) => "XSRFKey in common/config/core/app.conf",
        _ => "CSRF_KEY (32 characters) in common/config/core/env",
    }
}

/// Where the registry keeps its secret.
pub const HTTP_SECRET: &str = "http.secret in common/config/registry/config.yml (Helm: registry.secret, REGISTRY_HTTP_SECRET)";

/// Where a node's Redis is named.
pub const fn redis(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Harbor15) => {
            "redis_url in harbor.cfg (after ./prepare it is _REDIS_URL in common/config/ui/env)"
        }
        Some(Dialect::Harbor1) => {
            "the external_redis section of harbor.yml (_REDIS_URL in common/config/core/env)"
        }
        _ => "the external_redis section of harbor.yml (_REDIS_URL_CORE in common/config/core/env)",
    }
}

/// Where a node's database is named.
pub const fn database(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Harbor15) => {
            "db_host, db_port, db_user and db_password in harbor.cfg, and secretkey"
        }
        _ => "the external_database section of harbor.yml, and /data/secret/keys/secretkey",
    }
}

/// Where a node's storage is named.
pub const fn storage(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Harbor15) => {
            "the storage section of common/config/registry/config.yml (or the mount of /data/registry)"
        }
        _ => "storage_service in harbor.yml (or the mount of data_volume/registry)",
    }
}

/// Where a node's public URL is set.
pub fn external_url(dialect: Option<Dialect>, right: &str) -> String {
    match dialect {
        Some(Dialect::Harbor15) => {
            format!(
                "set hostname = {right} and ui_url_protocol = https in harbor.cfg, run ./prepare, and restart Harbor"
            )
        }
        _ => format!(
            "set external_url: https://{right} in harbor.yml, run ./prepare, put back the keys and secrets that it makes \
             anew (the CSRF key among them), and restart Harbor"
        ),
    }
}

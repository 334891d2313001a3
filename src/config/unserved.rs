//! Keys of features that this version does not have.
//!
//! They are known, so that nobody takes them for misspelt, and refused, because a configuration that asks for a
//! trace or a limit and silently gets none is worse than an error at start.

/// The key with its tables, and what it would configure.
const UNSERVED: &[(&str, &str)] = &[
    ("acme", "certificates from an ACME authority"),
    ("limits.class", "limits per class of requests"),
    ("limits.client", "limits per client"),
    ("limits.connections_per_node", "limits per node"),
    ("limits.concurrency", "limits on concurrent requests"),
    ("limits.node", "limits per node"),
    ("limits.queue", "queues before busy nodes"),
    ("limits.rates", "limits on rates"),
    ("limits.requests", "limits on requests"),
    ("limits.user", "limits per user"),
    ("trace", "tracing"),
];

/// What the key at `path` would configure, if this version could.
pub(super) fn feature(path: &str) -> Option<&'static str> {
    UNSERVED
        .iter()
        .find(|(key, _)| *key == path)
        .map(|(_, feature)| *feature)
}

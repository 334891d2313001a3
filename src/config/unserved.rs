//! Keys of features that this version does not have.
//!
//! They are known, so that nobody takes them for misspelt, and refused, because a configuration that asks for a
//! trace or a limit and silently gets none is worse than an error at start.

/// The key with its tables, and what it would configure.
const UNSERVED: &[(&str, &str)] = &[
    ("acme", "certificates from an ACME authority"),
    ("limits.class", "limits per class of requests"),
    ("trace", "tracing"),
];

/// What the key at `path` would configure, if this version could.
pub(super) fn feature(path: &str) -> Option<&'static str> {
    UNSERVED
        .iter()
        .find(|(key, _)| *key == path)
        .map(|(_, feature)| *feature)
}

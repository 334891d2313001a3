//! The conversation with the kernel about links and addresses, and its errors in words.

use rtnetlink::{Error, Handle};
use std::fmt::Display;
use std::io;

/// An open conversation. It is about the network namespace of the thread that opened it; clones share it.
#[derive(Clone, Debug)]
pub struct Netlink(pub(super) Handle);

impl Netlink {
    /// Opens it. Within a tokio runtime only, which then carries it until the last clone is dropped.
    pub fn open() -> io::Result<Netlink> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|error| Capability::NetAdmin.explain("cannot talk netlink", error))?;
        tokio::spawn(connection);
        Ok(Netlink(handle))
    }
}

/// What Linux asks of a process that changes networks, capabilities(7).
#[derive(Clone, Copy, Debug)]
pub(super) enum Capability {
    /// Changes interfaces and addresses.
    NetAdmin,
    /// Opens raw and packet sockets.
    NetRaw,
}

impl Capability {
    /// The error with what was tried and, when it was forbidden, what is missing.
    pub(super) fn explain(self, what: impl Display, error: io::Error) -> io::Error {
        let name = match self {
            Capability::NetAdmin => "CAP_NET_ADMIN",
            Capability::NetRaw => "CAP_NET_RAW",
        };
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => format!("; the process needs {name}"),
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("{what}: {error}{remedy}"))
    }
}

/// The kernel's own error number where it gave one.
pub(super) fn system(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_forbidden_names_the_capability_that_is_missing() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Capability::NetRaw.explain("cannot listen for adverts on eth0", denied);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().starts_with("cannot listen for adverts"));
        assert!(error.to_string().ends_with("the process needs CAP_NET_RAW"));
    }

    #[test]
    fn other_errors_blame_no_capability() {
        let error = Capability::NetAdmin.explain("x", io::ErrorKind::NotFound.into());
        assert!(!error.to_string().contains("CAP_"));
    }
}

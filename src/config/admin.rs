//! `[admin]`: where operators and their tools ask.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::scope::Scope;
use super::{At, Secret, Wrong, host};

/// The admin API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admin {
    /// Where its address stands.
    pub at: At,
    /// Where it listens.
    pub address: AdminAddress,
    /// What a caller must know. Empty when it is in a file and only the text of the configuration was read.
    pub token: Option<Secret>,
    /// The file that the token came from.
    pub token_file: Option<PathBuf>,
}

/// Where the admin API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Default for AdminAddress {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9180)))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Admin {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let notes = scope.notes();
        let address = scope
            .word("address", |text| match text.strip_prefix("unix:") {
                Some("") => Err(Wrong::new(
                    "has no path",
                    "write it like \"unix:/run/seawall/admin.sock\"",
                )),
                Some(path) => Ok(AdminAddress::Unix(notes.locate(path))),
                None => host::socket(text).map(AdminAddress::Tcp),
            })
            .unwrap_or_default();
        let given = scope.secret("token", "token_file");
        let guarded = scope.has("token") || scope.has("token_file");
        let open = matches!(&address, AdminAddress::Tcp(tcp) if !tcp.ip().is_loopback());
        if open && !guarded {
            let what = "is reachable from other machines, but asks for no token";
            let fix = "add token_file, or listen on 127.0.0.1 or a Unix socket";
            scope.wrong("address", Wrong::new(what, fix));
        }
        let at = scope.at_key("address");
        scope.finish();
        Self {
            at,
            address,
            token: given.secret,
            token_file: given.file,
        }
    }
}

//! All listeners together: whether there are any, and whether two want the same port.

use std::net::SocketAddr;

use super::scope::Scope;
use super::{AdminAddress, At, Config, Listen, Wrong};

/// Reads `[[listen]]`.
pub(super) fn read(scope: &mut Scope<'_>) -> Vec<Listen> {
    let tables = scope.tables("listen");
    if tables.is_empty() && !scope.has("listen") {
        let fix = "add a [[listen]] with an address, like \"0.0.0.0:443\"";
        scope.wrong("listen", Wrong::new("is missing", fix));
    }
    let mut listen: Vec<Listen> = Vec::with_capacity(tables.len());
    for table in tables {
        let at = table.at_key("address");
        let Some(one) = Listen::read(table) else {
            continue;
        };
        report_overlap(scope, at, "listen.address", one.address, &listen);
        listen.push(one);
    }
    listen
}

/// Checks the admin address against the listeners.
pub(super) fn check_admin(scope: &Scope<'_>, config: &Config) {
    if let AdminAddress::Tcp(address) = config.admin.address {
        let at = config.admin.at;
        report_overlap(scope, at, "admin.address", address, &config.listen);
    }
}

fn report_overlap(scope: &Scope<'_>, at: At, key: &str, address: SocketAddr, others: &[Listen]) {
    if let Some(other) = others.iter().find(|l| overlap(l.address, address)) {
        let what = format!(
            "{address} collides with the listener {} in line {}",
            other.address, other.at.line
        );
        let wrong = Wrong::new(what, "give each a port or an address of its own");
        scope.wrong_at(at, key, wrong);
    }
}

/// Whether the system would refuse to bind both. Port 0 means any free port, so it never collides.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && a.is_ipv4() == b.is_ipv4() && same_address
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_for_all_addresses_overlaps_the_same_port_of_one() {
        let overlaps = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        assert!(overlaps("0.0.0.0:443", "10.0.0.1:443"));
        assert!(overlaps("10.0.0.1:443", "10.0.0.1:443"));
        assert!(!overlaps("10.0.0.2:443", "10.0.0.1:443"));
        assert!(!overlaps("0.0.0.0:443", "10.0.0.1:80"));
        assert!(!overlaps("0.0.0.0:443", "[::]:443"));
        assert!(!overlaps("127.0.0.1:0", "127.0.0.1:0"));
    }
}

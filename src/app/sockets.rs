//! Where the process listens: at sockets that another one or systemd gave it, or at its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use crate::admin::serve::{self, Socket};
use crate::config::{AdminAddress, Config, Problem};
use crate::net::listen;

/// Sockets that were given to this process, by the addresses that the configuration has for them.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(String, OwnedFd)>);

impl Given {
    /// What systemd opened for it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn by_systemd() -> io::Result<Self> {
        listen::activated().map(Given)
    }

    pub(super) fn add(&mut self, name: String, socket: OwnedFd) {
        self.0.push((name, socket));
    }

    pub(super) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Says what nobody needed; it is closed.
    pub(super) fn leave(self) {
        for (address, _) in self.0 {
            tracing::warn!(
                address,
                "a socket was given to this process that the configuration does not name: closed"
            );
        }
    }
}

/// Takes or binds every listener that is not `open` already; all of them, or none and all problems.
pub(super) fn bind_all(
    config: &Config,
    open: &[SocketAddr],
    given: &mut Given,
) -> Result<Vec<(SocketAddr, TcpListener)>, Vec<Problem>> {
    let mut sockets = Vec::new();
    let mut problems = Vec::new();
    for door in config
        .listen
        .iter()
        .filter(|door| !open.contains(&door.address))
    {
        let bound = match given.take(&door.address.to_string()) {
            Some(socket) => listen::adopt(socket),
            None => bind(config, door.address),
        };
        match bound {
            Ok(socket) => sockets.push((door.address, socket)),
            Err(error) => {
                let fix = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "run with CAP_NET_BIND_SERVICE, or choose a port above 1023"
                    }
                    _ => "stop what listens there, or choose another address",
                };
                problems.push(config.problem(door.at, "listen.address", error.to_string(), fix));
            }
        }
    }
    if problems.is_empty() {
        Ok(sockets)
    } else {
        Err(problems)
    }
}

fn bind(config: &Config, address: SocketAddr) -> io::Result<TcpListener> {
    let virtual_address = config.vip.as_ref().is_some_and(|vip| {
        let mut addresses = vip.instance.iter().flat_map(|one| &one.addresses);
        addresses.any(|net| net.addr() == address.ip())
    });
    match virtual_address {
        true => listen::bind_ahead(address),
        false => listen::bind(address),
    }
}

/// Takes or binds the admin listener.
pub(super) fn bind_admin(config: &Config, given: &mut Given) -> Result<Socket, Vec<Problem>> {
    let address = &config.admin.address;
    let bound = match given.take(&admin_name(address)) {
        Some(socket) => Socket::adopt(address, socket),
        None => serve::bind(address),
    };
    bound.map_err(|error| {
        let fix = "free the address, or set [admin] address";
        vec![config.problem(config.admin.at, "admin.address", error.to_string(), fix)]
    })
}

/// What the socket of the admin listener is called among those that are given.
pub(super) fn admin_name(address: &AdminAddress) -> String {
    address.to_string()
}

//! Listening sockets.

use super::handover;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{OwnedFd, RawFd};

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket that does not block, ready for `tokio::net::TcpListener::from_std`. `[::]` takes IPv4 too.
/// The error names the address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    named(address, open(address, false))
}

/// The same for an address that this machine may get later: a virtual one.
pub fn bind_ahead(address: SocketAddr) -> io::Result<TcpListener> {
    named(address, open(address, true))
}

fn named(address: SocketAddr, opened: io::Result<TcpListener>) -> io::Result<TcpListener> {
    opened.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

fn open(address: SocketAddr, ahead: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without it a restart waits for the last connections of the previous run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    if ahead {
        match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listening socket that somebody else made, ready as those of [`bind`] are.
pub fn adopt(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The sockets that systemd opened for this process, with the addresses that they listen at: as TOML has them, `unix:` and
/// the path for one of the file system. Empty the second time.
pub fn activated() -> io::Result<Vec<(String, OwnedFd)>> {
    let numbers: Vec<RawFd> = sd_notify::listen_fds()?.collect();
    let mut sockets = Vec::new();
    for socket in handover::own(&numbers)? {
        let address = SockRef::from(&socket).local_addr()?;
        let text = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => continue,
        };
        sockets.push((text, socket));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn an_address_in_use_is_an_error_that_names_it() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn only_an_address_that_may_come_can_be_listened_on_before_it_is_there() {
        // RFC 5737: nobody has it.
        let address = "192.0.2.1:0".parse().unwrap();
        assert_eq!(
            bind(address).unwrap_err().kind(),
            io::ErrorKind::AddrNotAvailable
        );
        bind_ahead(address).unwrap();
    }

    #[test]
    fn the_unspecified_address_of_ipv6_takes_ipv4_as_well() {
        // A machine may have no IPv6 at all.
        let Ok(listener) = bind("[::]:0".parse().unwrap()) else {
            return;
        };
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}

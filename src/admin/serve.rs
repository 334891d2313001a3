//! The admin listener: loopback or a Unix socket, HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::{Desk, api};
use crate::config::AdminAddress;
use crate::net::accept;

/// A bound admin socket.
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket that only its owner may use.
    Unix(std::os::unix::net::UnixListener),
}

impl Socket {
    /// One of the kind of `address` that somebody else made.
    ///
    /// # Errors
    /// What the system says.
    pub fn adopt(address: &AdminAddress, socket: OwnedFd) -> io::Result<Self> {
        match address {
            AdminAddress::Tcp(_) => crate::net::listen::adopt(socket).map(Socket::Tcp),
            AdminAddress::Unix(_) => {
                let socket = std::os::unix::net::UnixListener::from(socket);
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

/// The admin listener at work; it accepts until this is dropped.
pub struct Serving {
    socket: OwnedFd,
    task: JoinHandle<()>,
}

impl Serving {
    /// The socket, for another process.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds the admin address; a Unix socket that a dead process left is replaced.
///
/// # Errors
/// The address in use or not permitted, with the address in the text.
pub fn bind(address: &AdminAddress) -> io::Result<Socket> {
    match address {
        AdminAddress::Tcp(address) => crate::net::listen::bind(*address).map(Socket::Tcp),
        AdminAddress::Unix(path) => {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("unix:{}: {error}", path.display()))
            };
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(named(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another process answers there",
                )));
            }
            let _ = std::fs::remove_file(path);
            let socket = std::os::unix::net::UnixListener::bind(path).map_err(named)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
                .map_err(named)?;
            socket.set_nonblocking(true).map_err(named)?;
            Ok(Socket::Unix(socket))
        }
    }
}

/// Serves on the current runtime.
///
/// # Errors
/// A socket that the runtime does not take.
pub fn start(socket: Socket, desk: Arc<Desk>) -> io::Result<Serving> {
    let (socket, task) = match socket {
        Socket::Tcp(socket) => {
            let accepting = TcpListener::from_std(socket.try_clone()?)?;
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = accept::accept(&accepting).await {
                    tokio::spawn(connection(stream, desk.clone()));
                }
            });
            (socket.into(), task)
        }
        Socket::Unix(socket) => {
            let accepting = UnixListener::from_std(socket.try_clone()?)?;
            let task = tokio::spawn(async move {
                while let Ok(stream) = accept::accept_unix(&accepting).await {
                    tokio::spawn(connection(stream, desk.clone()));
                }
            });
            (socket.into(), task)
        }
    };
    Ok(Serving { socket, task })
}

async fn connection<S>(stream: S, desk: Arc<Desk>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let desk = &desk;
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(api::answer(desk, request).await) },
        );
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

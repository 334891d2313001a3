//! The admin listener: loopback or a Unix socket, HTTP/1.1.

use std::convert::Infallible;
use std::io;
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

/// Serves on the current runtime until aborted.
///
/// # Errors
/// A socket that the runtime does not take.
pub fn start(socket: Socket, desk: Arc<Desk>) -> io::Result<JoinHandle<()>> {
    Ok(match socket {
        Socket::Tcp(socket) => {
            let socket = TcpListener::from_std(socket)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = accept::accept(&socket).await {
                    tokio::spawn(connection(stream, desk.clone()));
                }
            })
        }
        Socket::Unix(socket) => {
            let socket = UnixListener::from_std(socket)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = socket.accept().await {
                    tokio::spawn(connection(stream, desk.clone()));
                }
            })
        }
    })
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

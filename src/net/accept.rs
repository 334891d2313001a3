//! Accepting connections, whatever the moment's trouble.

use nix::errno::Errno;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// `::ffff:192.0.2.1` as `192.0.2.1`, so that networks and logs see one form only.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The next connection, with `TCP_NODELAY`. Survives connections that died while waiting and the lack of files or
/// memory (pausing a little, and saying so once a second at most); an error means that the socket is unusable.
/// May be dropped and called again without losing a connection.
pub async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if STARVED_SINCE.load(Relaxed) != 0 {
                    STARVED_SINCE.store(0, Relaxed);
                }
                // Fails only for a connection that is gone, and the first read will tell that.
                let _ = stream.set_nodelay(true);
                return Ok((stream, canonical(peer)));
            }
            Err(error) => survive(error).await?,
        }
    }
}

/// The same for a Unix socket.
pub async fn accept_unix(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => survive(error).await?,
        }
    }
}

/// Returns when it is worth while to accept again; fails if it never will be.
async fn survive(error: io::Error) -> io::Result<()> {
    static COMPLAINTS: Seldom = Seldom::new();
    match judge(&error) {
        Trouble::Connection => {}
        Trouble::Resources => {
            let now = millis(Instant::now()).max(1);
            let _ = STARVED_SINCE.compare_exchange(0, now, Relaxed, Relaxed);
            if COMPLAINTS.due(Instant::now()) {
                tracing::warn!(%error, "cannot accept connections for now");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Trouble::Socket => return Err(error),
    }
    Ok(())
}

/// When files or memory ran out, in milliseconds after [`BEGAN`]; 0: they did not.
static STARVED_SINCE: AtomicU64 = AtomicU64::new(0);
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn millis(now: Instant) -> u64 {
    let since = now.saturating_duration_since(*BEGAN).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}

/// For how long no connection could be accepted although some came, for lack of files or memory.
pub fn starved_for() -> Duration {
    match STARVED_SINCE.load(Relaxed) {
        0 => Duration::ZERO,
        since => Duration::from_millis(millis(Instant::now()).saturating_sub(since)),
    }
}

/// Long enough not to spin, short enough that clients do not notice.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// One connection died before it was accepted.
    Connection,
    /// This process or machine has no room for another one now.
    Resources,
    /// The listening socket itself.
    Socket,
}

/// accept(2): on Linux it also reports errors that a new connection has met already, to be treated as if it had
/// not been there.
fn judge(error: &io::Error) -> Trouble {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => Trouble::Resources,
        Some(
            Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::EINTR
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::ETIMEDOUT,
        ) => Trouble::Connection,
        _ => Trouble::Socket,
    }
}

/// Says yes once a second at most.
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    const fn new() -> Seldom {
        Seldom(Mutex::new(None))
    }

    fn due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due =
            last.is_none_or(|last| now.saturating_duration_since(last) >= Duration::from_secs(1));
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::net::listen;

    async fn met(listen_on: &str) -> (TcpStream, SocketAddr) {
        let listener = listen::bind(listen_on.parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = TcpListener::from_std(listener).unwrap();
        let _client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        accept(&listener).await.unwrap()
    }

    #[tokio::test]
    async fn an_accepted_connection_sends_without_delay() {
        let (stream, _) = met("127.0.0.1:0").await;
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
        let (_, peer) = met("[::]:0").await;
        assert!(peer.is_ipv4());
    }

    #[test]
    fn only_a_broken_socket_ends_accepting() {
        let judged = |errno: Errno| judge(&io::Error::from(errno));
        assert_eq!(judged(Errno::EMFILE), Trouble::Resources);
        assert_eq!(judged(Errno::ECONNABORTED), Trouble::Connection);
        assert_eq!(judged(Errno::EBADF), Trouble::Socket);
    }

    #[test]
    fn complaints_come_once_a_second() {
        let seldom = Seldom::new();
        let now = Instant::now();
        assert!(seldom.due(now));
        assert!(!seldom.due(now + Duration::from_millis(999)));
        assert!(seldom.due(now + Duration::from_millis(1000)));
    }
}

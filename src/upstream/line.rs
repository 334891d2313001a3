//! The socket of a connection to a node, and how it is cut from outside.
//!
//! Who holds a connection changes all the time: the request that waits on it, the pool, a tunnel, a task that sends the
//! rest of a body. The socket stays the same, so that is where a connection is ended: `shutdown(2)` wakes whoever waits
//! for it, as a node that breaks off does. The registry shares the half that writes, because tokio lets that one be used
//! by reference; the half that reads keeps tokio's own reading, which spares a system call for every answer. So a request
//! pays one look at a flag for each read, and a connection two visits to a map. A second descriptor for every connection
//! would cost the process half of what it may open, and a waker for each a lock whenever a read has to wait.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What the line and the registry share.
struct Cord {
    write: OwnedWriteHalf,
    severed: AtomicBool,
}

impl Cord {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self.write.as_ref()).shutdown(how)
    }

    /// Says whether it was whole until now.
    fn sever(&self) -> bool {
        // The flag before the end that it explains: whoever reads that end finds the flag set.
        let whole = !self.severed.swap(true, Ordering::AcqRel);
        let _ = self.shutdown(Shutdown::Both);
        whole
    }
}

/// An open TCP connection to a node that its [`Lines`] can end.
pub(super) struct Line {
    read: OwnedReadHalf,
    cord: Arc<Cord>,
    lines: Arc<Lines>,
    number: u64,
}

/// The open lines to one endpoint.
#[derive(Default)]
pub(super) struct Lines {
    open: Mutex<Open>,
    /// How often all were severed; changes only under the lock.
    cuts: AtomicU64,
}

#[derive(Default)]
struct Open {
    cords: HashMap<u64, Weak<Cord>>,
    next: u64,
}

impl Lines {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often all were severed so far: whoever begins something remembers it.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }

    /// Takes in a connection that was begun after so many `cuts`.
    ///
    /// # Errors
    /// All were severed while it came about, and so is this one.
    pub(super) fn add(self: &Arc<Self>, stream: TcpStream, cuts: u64) -> io::Result<Line> {
        let mut open = self.open();
        if self.cuts() != cuts {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "all connections to the node were ended meanwhile",
            ));
        }
        let (read, write) = stream.into_split();
        let severed = AtomicBool::new(false);
        let cord = Arc::new(Cord { write, severed });
        let number = open.next;
        open.next += 1;
        open.cords.insert(number, Arc::downgrade(&cord));
        drop(open);
        Ok(Line {
            read,
            cord,
            lines: self.clone(),
            number,
        })
    }

    /// Ends every line; says how many were whole until now.
    pub(super) fn sever(&self) -> usize {
        let open = self.open();
        self.cuts.fetch_add(1, Ordering::AcqRel);
        let cords = open.cords.values().filter_map(Weak::upgrade);
        cords.filter(|cord| cord.sever()).count()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open().cords.len()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.open().cords.remove(&self.number);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.read).poll_read(cx, buf);
        // Not the clean end that the kernel reports: an answer without a length would pass for whole. Looked for after the
        // read, which may have met that end just now.
        if this.cord.severed.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        polled
    }
}

impl Line {
    /// What tokio does for a stream of its own, by reference.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&OwnedWriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let half = &self.cord.write;
        loop {
            ready!(half.as_ref().poll_write_ready(cx))?;
            match write(half) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |half| half.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |half| half.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.cord.shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn who_writes_to_a_node_that_does_not_read_hears_of_the_cut() {
        let lines = Arc::new(Lines::default());
        let (ours, _theirs) = pair().await;
        let mut line = lines.add(ours, 0).unwrap();
        let writer = tokio::spawn(async move {
            loop {
                if let Err(error) = line.write_all(&[0; 64 << 10]).await {
                    return error.kind();
                }
            }
        });
        while lines.open().cords.values().any(|cord| {
            let half = cord.upgrade().unwrap();
            half.write.try_write(&[0]).is_ok()
        }) {
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.sever(), 1);
        assert_eq!(writer.await.unwrap(), io::ErrorKind::BrokenPipe);
        assert_eq!(lines.sever(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_comes_about_during_the_cut_is_cut_too() {
        let lines = Arc::new(Lines::default());
        let cuts = lines.cuts();
        let (ours, _theirs) = pair().await;
        lines.sever();
        assert!(lines.add(ours, cuts).is_err());
        assert_eq!(lines.len(), 0);
    }
}

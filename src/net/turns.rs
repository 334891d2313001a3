//! Whose turn it is on a client's connection: the client's, to send the head of a request, or ours, to answer.
//!
//! hyper counts the silence between two requests as part of the next head. Those are two different things to be patient
//! with: an idle connection saves its owner a handshake, a head that trickles in is an attack (slowloris).

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::message::frames::Excess;
use crate::message::framing::Framing;

/// The requests under way on one connection.
#[derive(Debug)]
pub struct Turns {
    opened: Instant,
    busy: AtomicU32,
    /// Milliseconds after `opened` at which the last request ended.
    ended: AtomicU64,
    /// How often the connection's task was polled; wraps around.
    rounds: AtomicU32,
    /// Whether the client is to make no further request here.
    leaving: AtomicBool,
    /// Of what the client said too much.
    excess: OnceLock<Excess>,
}

impl Turns {
    /// A connection that has just been opened.
    pub fn new() -> Arc<Self> {
        Arc::new(Turns {
            opened: Instant::now(),
            busy: AtomicU32::new(0),
            ended: AtomicU64::new(0),
            rounds: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            excess: OnceLock::new(),
        })
    }

    /// A request began; it ends when the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// The connection's task is polled once more.
    pub fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets an HTTP/2 client know that it is to make its further requests elsewhere, with the next round. Those that it has
    /// begun by the time it hears that are still answered.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Why an HTTP/2 connection was ended, if its client said too much.
    pub fn excess(&self) -> Option<Excess> {
        self.excess.get().copied()
    }

    pub(super) fn exceed(&self, excess: Excess) {
        let _ = self.excess.set(excess);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub(super) fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Returns when no request was under way for `limit`. Wakes once per `limit`, not once per request.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let since = self.opened + Duration::from_millis(self.ended.load(Ordering::Relaxed));
            let until = if self.is_busy() {
                Instant::now() + limit
            } else {
                since + limit
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct Busy(Arc<Turns>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.store(
            self.0.opened.elapsed().as_millis() as u64,
            Ordering::Relaxed,
        );
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream on which the head of a request must be whole within a limit from its first byte, and can be read in one way only.
#[derive(Debug)]
pub struct Heads<S> {
    inner: S,
    turns: Arc<Turns>,
    limit: Duration,
    /// When the head that is being read has to be whole.
    due: Option<Instant>,
    /// Made when a head comes in pieces for the first time, kept from then on.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether something was read while a request was under way: hyper may hold bytes that nobody else knows of.
    mixed: bool,
    /// Whether something was written since the last flush: hyper flushes when it has nothing left to write.
    unflushed: bool,
    /// Whether it is being closed: there will be no other request.
    closing: bool,
    /// Read by [`Heads::poll_first`] and not handed on yet.
    first: Option<u8>,
    framing: Framing,
}

impl<S> Heads<S> {
    /// Wraps an HTTP/1 stream whose requests are counted by `turns`.
    pub fn new(inner: S, turns: Arc<Turns>, limit: Duration) -> Self {
        Heads {
            inner,
            turns,
            limit,
            due: None,
            timer: None,
            mixed: false,
            unflushed: false,
            closing: false,
            first: None,
            framing: Framing::default(),
        }
    }

    /// Whether nothing but the stream itself knows anything of the client: every byte that was read belonged to requests
    /// that have ended, and every byte of their answers is on its way. False where that is not certain.
    pub fn is_at_rest(&self) -> bool {
        let waits = !self.turns.is_busy() && self.due.is_none() && !self.closing;
        waits && !self.mixed && !self.unflushed
    }
}

/// Waits until a head is `due`.
pub(super) fn poll_due(
    timer: &mut Option<Pin<Box<Sleep>>>,
    due: Instant,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    ready!(timer.as_mut().poll(cx));
    Poll::Ready(io::Error::new(
        io::ErrorKind::TimedOut,
        "the head of a request was not whole in time",
    ))
}

impl<S: AsyncRead + Unpin> Heads<S> {
    /// Waits for the first byte of a head, which stays in the stream. False at the end of the stream.
    pub fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
        self.first = buf.filled().first().copied();
        Poll::Ready(Ok(self.first.is_some()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            buf.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        let busy = this.turns.is_busy();
        let new = buf.filled_mut().get_mut(before..);
        this.framing.read(new.unwrap_or_default(), busy);
        if busy {
            this.due = None;
            this.mixed |= buf.filled().len() > before;
        } else if read.is_ready() {
            if this.due.is_none() && buf.filled().len() > before {
                this.due = Some(Instant::now() + this.limit);
            }
        } else if let Some(due) = this.due {
            return Poll::Ready(Err(ready!(poll_due(&mut this.timer, due, cx))));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closing = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_cut_off() {
        let (ours, mut theirs) = duplex(100);
        let mut ours = Heads::new(ours, Turns::new(), LIMIT);
        let begun = Instant::now();
        tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = ours.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_before_a_head_is_not_counted_as_part_of_it() {
        let (ours, mut theirs) = duplex(100);
        let mut ours = Heads::new(ours, Turns::new(), LIMIT);
        tokio::spawn(async move {
            tokio::time::sleep(LIMIT * 2).await;
            theirs.write_all(b"GET").await.unwrap();
        });
        assert_eq!(ours.read(&mut [0; 10]).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_longer_than_a_head() {
        let (ours, mut theirs) = duplex(100);
        let turns = Turns::new();
        let mut ours = Heads::new(ours, turns.clone(), LIMIT);
        tokio::spawn(async move {
            theirs.write_all(b"head").await.unwrap();
            tokio::time::sleep(LIMIT * 3).await;
            theirs.write_all(b"body").await.unwrap();
        });
        assert_eq!(ours.read(&mut [0; 10]).await.unwrap(), 4);
        let _busy = turns.begin();
        assert_eq!(ours.read(&mut [0; 10]).await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_after_its_last_request() {
        let turns = Turns::new();
        let begun = Instant::now();
        let busy = turns.begin();
        let idle = tokio::spawn({
            let turns = turns.clone();
            async move { turns.idle(LIMIT).await }
        });
        tokio::time::sleep(LIMIT * 3).await;
        assert!(!idle.is_finished());
        drop(busy);
        idle.await.unwrap();
        assert!(begun.elapsed() >= LIMIT * 4 - Duration::from_secs(1));
    }

    #[tokio::test]
    async fn the_first_byte_of_a_head_stays_in_the_stream() {
        let (ours, mut theirs) = duplex(100);
        let mut ours = Heads::new(ours, Turns::new(), LIMIT);
        theirs.write_all(b"GET").await.unwrap();
        assert!(poll_fn(|cx| ours.poll_first(cx)).await.unwrap());
        assert!(!ours.is_at_rest(), "a head has begun");
        drop(theirs);
        let mut read = Vec::new();
        ours.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GET");
        assert!(!poll_fn(|cx| ours.poll_first(cx)).await.unwrap());
    }

    #[tokio::test]
    async fn a_stream_that_is_being_closed_has_no_rest() {
        let (ours, _theirs) = duplex(100);
        let mut ours = Heads::new(ours, Turns::new(), LIMIT);
        ours.shutdown().await.unwrap();
        assert!(!ours.is_at_rest());
    }

    #[tokio::test]
    async fn what_comes_during_a_request_keeps_a_stream_from_its_rest() {
        let (ours, mut theirs) = duplex(100);
        let turns = Turns::new();
        let mut ours = Heads::new(ours, turns.clone(), LIMIT);
        assert!(ours.is_at_rest());
        let busy = turns.begin();
        assert!(!ours.is_at_rest());
        theirs.write_all(b"GE").await.unwrap();
        ours.read_exact(&mut [0; 2]).await.unwrap();
        drop(busy);
        assert!(!ours.is_at_rest(), "hyper may hold the beginning of a head");
    }

    #[tokio::test]
    async fn a_client_that_has_not_taken_its_answer_keeps_a_stream_from_its_rest() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = Heads::new(ours, Turns::new(), LIMIT);
        let write = poll_fn(|cx| Pin::new(&mut ours).poll_write(cx, &[7; 15])).await;
        assert_eq!(write.unwrap(), 10);
        assert!(!ours.is_at_rest(), "five bytes are left");
        theirs.read_exact(&mut [0; 10]).await.unwrap();
        ours.write_all(&[7; 5]).await.unwrap();
        ours.flush().await.unwrap();
        assert!(ours.is_at_rest());
    }
}

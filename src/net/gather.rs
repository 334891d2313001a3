//! Small writes gathered into few large ones.
//!
//! hyper's HTTP/2 writes and flushes every frame by itself. Behind TLS that is a record, a system call and a packet for
//! each of many small answers that are ready in the same moment, and a crumb of a record behind every 16 KiB of a
//! large one. So frames are kept until everything else that is ready to run had its turn, and go out together.
//!
//! What the client says is followed on its way in: a client that floods is told so and heard no further, and the head
//! of a request must be whole in time, as in HTTP/1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::turns::{Turns, poll_due};
use crate::message::frames::Frames;

/// Bytes that go out at once, however much more may come: four full TLS records.
const PLENTY: usize = 64 << 10;

/// A GOAWAY that refuses nothing (RFC 9113 §6.8): length, type, no flags, stream 0; the highest stream there can be,
/// NO_ERROR. h2 sends one too, but with a PING right behind it, whose answer can overtake requests that the client has
/// ready to be sent; they are refused then. This one leaves them time.
const GOAWAY: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0,
];

/// The same with ENHANCE_YOUR_CALM.
const CALM: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb,
];

/// A stream whose flush, while requests are under way, waits for the next time its task is polled. Whoever polls that
/// task counts the rounds with [`Turns::round`], and flushes in every round as hyper does.
#[derive(Debug)]
pub struct Gather<S> {
    inner: S,
    turns: Arc<Turns>,
    kept: Vec<u8>,
    /// What of `kept` is written already.
    written: usize,
    /// The round in which a flush was put off.
    put_off: Option<u32>,
    /// Whether the client was told to leave.
    told: bool,
    /// Whether h2 has written whole frames so far.
    whole: bool,
    frames: Frames,
    /// How long the client may take for a head, and when it has to be whole that is being read.
    limit: Duration,
    due: Option<(Instant, u32)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Gather<S> {
    /// Wraps a stream whose requests and rounds are counted by `turns`, and whose heads must be whole within `head`.
    pub fn new(inner: S, turns: Arc<Turns>, head: Duration) -> Self {
        Gather {
            inner,
            turns,
            kept: Vec::new(),
            written: 0,
            put_off: None,
            told: false,
            whole: true,
            frames: Frames::new(Instant::now().into_std()),
            limit: head,
            due: None,
            timer: None,
        }
    }

    /// Fails when what the client has begun to say is not whole in time.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.frames.is_midway() {
            (self.due, self.timer) = (None, None);
            return Poll::Pending;
        }
        let ended = self.frames.ended();
        let due = match self.due {
            Some((due, of)) if of == ended => due,
            _ => Instant::now() + self.limit,
        };
        self.due = Some((due, ended));
        poll_due(&mut self.timer, due, cx)
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.kept.get(self.written..) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.written += written;
                    self.frames.took(written);
                }
            }
        }
        // An idle connection holds no buffer.
        self.kept = Vec::new();
        self.written = 0;
        self.put_off = None;
        Poll::Ready(Ok(()))
    }

    /// Ends the connection from our side, then for hyper. In the middle of a frame hyper would not do the first.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    /// Makes room for `more` bytes; false when so many should not be copied at all.
    fn poll_room(&mut self, more: usize, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.kept.len() + more > PLENTY {
            ready!(self.poll_drain(cx))?;
        }
        Poll::Ready(Ok(more <= PLENTY))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.turns.excess().is_some() {
            return this.poll_farewell(cx);
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        let new = buf.filled().get(before..).unwrap_or_default();
        if let Err(excess) = this.frames.read(new, || Instant::now().into_std()) {
            buf.set_filled(before);
            this.turns.exceed(excess);
            if this.whole {
                this.kept.extend_from_slice(&CALM);
            }
            return this.poll_farewell(cx);
        }
        if read.is_pending() {
            return Poll::Ready(Err(ready!(this.poll_head(cx))));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let more = bufs.iter().map(|buf| buf.len()).sum();
        self.whole = false;
        if !ready!(self.poll_room(more, cx))? {
            let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
            self.frames.took(written);
            return Poll::Ready(Ok(written));
        }
        for buf in bufs {
            self.kept.extend_from_slice(buf);
        }
        Poll::Ready(Ok(more))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // h2 flushes whole frames, the first of them its settings.
        self.whole = true;
        if !self.told && self.turns.is_leaving() {
            self.told = true;
            self.kept.extend_from_slice(&GOAWAY);
        }
        if !self.kept.is_empty() && self.turns.is_busy() {
            let round = self.turns.rounds();
            match self.put_off {
                // Called by itself, the task comes after all others that are ready.
                None => {
                    cx.waker().wake_by_ref();
                    self.put_off = Some(round);
                }
                Some(since) if since == round => {}
                Some(_) => ready!(self.poll_drain(cx))?,
            }
            if self.put_off.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Keeps every write apart.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(buf.to_vec());
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Task {
        stream: Gather<Writes>,
        turns: Arc<Turns>,
        calls: Arc<Calls>,
    }

    impl Task {
        fn new() -> Self {
            let turns = Turns::new();
            Task {
                stream: Gather::new(Writes::default(), turns.clone(), Duration::from_secs(30)),
                turns,
                calls: Arc::default(),
            }
        }

        fn write(&mut self, bytes: &[u8]) {
            let waker = Waker::from(self.calls.clone());
            let cx = &mut Context::from_waker(&waker);
            let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
            assert!(matches!(written, Poll::Ready(Ok(n)) if n == bytes.len()));
        }

        fn flush(&mut self) {
            let waker = Waker::from(self.calls.clone());
            let cx = &mut Context::from_waker(&waker);
            let flushed = Pin::new(&mut self.stream).poll_flush(cx);
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
        }

        fn calls(&self) -> usize {
            self.calls.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn frames_of_one_round_go_out_together_in_the_next() {
        let mut task = Task::new();
        let _busy = task.turns.begin();
        task.write(b"one");
        task.flush();
        task.write(b"two");
        task.flush();
        assert!(task.stream.inner.0.is_empty());
        assert_eq!(task.calls(), 1, "it must ask for the next round");
        task.turns.round();
        task.write(b"three");
        task.flush();
        assert_eq!(task.stream.inner.0, [b"onetwothree".to_vec()]);
    }

    #[test]
    fn the_last_answer_of_a_connection_waits_for_nobody() {
        let mut task = Task::new();
        task.write(b"one");
        task.flush();
        assert_eq!(task.stream.inner.0, [b"one".to_vec()]);
        assert_eq!(task.calls(), 0);
    }

    #[test]
    fn a_client_that_is_to_leave_is_told_once_after_whole_frames() {
        let mut task = Task::new();
        task.write(b"frame");
        task.turns.leave();
        task.flush();
        task.flush();
        assert_eq!(task.stream.inner.0, [[&b"frame"[..], &GOAWAY].concat()]);
    }

    #[test]
    fn plenty_goes_out_at_once() {
        let mut task = Task::new();
        let _busy = task.turns.begin();
        let large = vec![b'x'; PLENTY];
        task.write(b"small");
        task.write(&large);
        assert_eq!(task.stream.inner.0, [b"small".to_vec()]);
        task.write(b"more");
        assert_eq!(task.stream.inner.0.get(1), Some(&large));
    }

    #[test]
    fn nothing_is_lost_at_the_end() {
        let mut task = Task::new();
        let _busy = task.turns.begin();
        task.write(b"last");
        task.flush();
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut task.stream).poll_shutdown(cx).is_ready());
        assert_eq!(task.stream.inner.0, [b"last".to_vec()]);
    }
}

//! A client's connection, with patience that ends.
//!
//! A push or a pull may take hours, so there is no limit for the whole; what ends is the patience with a client
//! that takes nothing, or next to nothing, of what we have for it (slow read attacks), and with one that keeps
//! sending after it was answered.

mod pace;

pub use pace::Pace;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How much patience a connection deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a write may wait for the client to take a single byte.
    pub write_idle: Duration,
    /// Bytes per second that a client has to take over a minute in which it kept us waiting most of the time;
    /// 0 asks for nothing.
    pub min_rate: u64,
}

/// After our last byte, what the client still sends is read and thrown away for so long or so many bytes. Closing
/// with unread bytes would make the kernel reset the connection, and the reset can destroy the answer before the
/// client reads it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] when patience ends, and whose shutdown lingers.
/// Costs an addition per write as long as the client keeps up.
#[derive(Debug)]
pub struct Patient<S> {
    inner: S,
    pace: Pace,
    /// Made when something waits for the first time, kept from then on.
    timer: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    Open,
    Lingering { until: Instant, bytes_left: usize },
    Closed,
}

impl<S> Patient<S> {
    /// Wraps a stream.
    pub fn new(inner: S, patience: Patience) -> Patient<S> {
        Patient {
            inner,
            pace: Pace::new(patience),
            timer: None,
            closing: Closing::Open,
        }
    }

    /// The wrapped stream.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped stream, without patience from here on.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// What may keep us waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Bytes that the client does not take.
    Write,
    /// Bytes that are on their way.
    Flush,
    /// The end of what we say.
    Shutdown,
}

impl<S> Patient<S> {
    /// Passes on what became of `act`, unless it waits longer than patience lasts.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        act: Act,
        outcome: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Ready(done) => {
                let bytes = done.as_ref().map_or(0, bytes);
                // The clock is read only when somebody has waited.
                self.pace.done(act, bytes, Instant::now);
                Poll::Ready(done)
            }
            Poll::Pending => loop {
                let deadline = self.pace.waits(act, Instant::now()).map_err(timed_out)?;
                ready!(poll_timer(&mut self.timer, deadline, cx));
            },
        }
    }
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// Ready when the timer has fired, which may be earlier than `deadline`: a timer that is armed for an earlier
/// moment is left alone, since moving it for every write costs more than a look at the clock now and then.
pub fn poll_timer(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let sleep = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if sleep.is_elapsed() || sleep.deadline() > deadline {
        sleep.as_mut().reset(deadline);
    }
    sleep.as_mut().poll(cx)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, Act::Write, outcome, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, Act::Write, outcome, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, Act::Flush, outcome, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Open => {
                    let outcome = Pin::new(&mut this.inner).poll_shutdown(cx);
                    ready!(this.judge(cx, Act::Shutdown, outcome, |()| 0))?;
                    this.closing = Closing::Lingering {
                        until: Instant::now() + LINGER,
                        bytes_left: LINGER_BYTES,
                    };
                }
                Closing::Lingering { until, bytes_left } => {
                    match discard(Pin::new(&mut this.inner), cx) {
                        Poll::Ready(bytes) if bytes > 0 && bytes < *bytes_left => {
                            *bytes_left -= bytes;
                        }
                        Poll::Ready(_) => this.closing = Closing::Closed,
                        Poll::Pending if Instant::now() >= *until => {
                            this.closing = Closing::Closed;
                        }
                        Poll::Pending => ready!(poll_timer(&mut this.timer, *until, cx)),
                    }
                }
                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Reads some bytes into nowhere; 0 is the end, be it a clean one or an error.
fn discard<S: AsyncRead>(stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<usize> {
    let mut nowhere = [MaybeUninit::uninit(); 8192];
    let mut buf = ReadBuf::uninit(&mut nowhere);
    let read = ready!(stream.poll_read(cx, &mut buf));
    Poll::Ready(read.map_or(0, |()| buf.filled().len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PATIENCE: Patience = Patience {
        write_idle: Duration::from_secs(30),
        min_rate: 100,
    };

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_ends_the_write() {
        let (ours, _theirs) = duplex(1000);
        let mut ours = Patient::new(ours, PATIENCE);
        let begun = Instant::now();
        let error = ours.write_all(&[0; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PATIENCE.write_idle);
        assert!(begun.elapsed() < PATIENCE.write_idle + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_pauses_below_the_limit_gets_everything() {
        let (ours, mut theirs) = duplex(1000);
        let mut ours = Patient::new(ours, PATIENCE);
        let reading = tokio::spawn(async move {
            let mut got = 0;
            let mut buf = [0; 20_000];
            loop {
                tokio::time::sleep(Duration::from_secs(9)).await;
                match theirs.read(&mut buf).await.unwrap() {
                    0 => return got,
                    bytes => got += bytes,
                }
            }
        });
        ours.write_all(&[0; 50_000]).await.unwrap();
        drop(ours);
        assert_eq!(reading.await.unwrap(), 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_is_cut_off_after_a_minute() {
        let (ours, mut theirs) = duplex(1000);
        let mut ours = Patient::new(ours, PATIENCE);
        tokio::spawn(async move {
            let mut byte = [0];
            while theirs.read(&mut byte).await.is_ok_and(|bytes| bytes > 0) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        let error = ours.write_all(&[0; 50_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        // The first minute may still profit from the buffers that were filled at once.
        assert!((0.9..2.2).contains(&minutes), "{minutes}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_for_the_client_to_stop_sending() {
        let (ours, mut theirs) = duplex(100);
        let mut ours = Patient::new(ours, PATIENCE);
        let client = tokio::spawn(async move {
            theirs.write_all(&[0; 10_000]).await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            answer
        });
        ours.write_all(b"413").await.unwrap();
        ours.shutdown().await.unwrap();
        drop(ours);
        assert_eq!(client.await.unwrap(), b"413");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stays_silent_is_lingered_for_two_seconds() {
        let (ours, _theirs) = duplex(100);
        let mut ours = Patient::new(ours, PATIENCE);
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        assert!(begun.elapsed() >= LINGER);
        assert!(begun.elapsed() < LINGER + Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_sending_is_heard_for_one_mebibyte() {
        let (ours, mut theirs) = duplex(8192);
        let mut ours = Patient::new(ours, PATIENCE);
        let client = tokio::spawn(async move {
            let mut sent = 0;
            while theirs.write_all(&[0; 8192]).await.is_ok() {
                sent += 8192;
            }
            sent
        });
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        drop(ours);
        assert!(begun.elapsed() < LINGER);
        let sent = client.await.unwrap();
        assert!((LINGER_BYTES..2 * LINGER_BYTES).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_left_is_not_waited_for() {
        let (ours, theirs) = duplex(100);
        let mut ours = Patient::new(ours, PATIENCE);
        drop(theirs);
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

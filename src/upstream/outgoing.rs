//! What is sent to a node: nothing, a few buffered bytes, or the client's own body as it comes.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::clock;

/// Why the client's body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The client's connection broke or its stream was reset.
    #[error("the client went away in the middle of its request")]
    ClientGone,
    /// The client said nothing for too long, or too little for too long.
    #[error("the client's body arrived too slowly")]
    TooSlow,
    /// The node had answered already, and the rest of the body was more than we read for politeness.
    #[error("the node answered early and the rest of the body was left unread")]
    Unwanted,
}

/// How far a client's body has come; shared between the body, the attempt and the access log.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    begun: AtomicBool,
    /// Milliseconds of [`clock`] at which the last byte was taken; 0 before.
    ended: AtomicU64,
    answered: AtomicBool,
    broken: AtomicU8,
}

impl Progress {
    /// Payload bytes taken from the client so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether any byte was taken from the client: then the body cannot be sent a second time.
    pub fn begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether the whole body was taken from the client.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) != 0
    }

    /// How long ago the last byte was taken from the client; `None` while it is still sending.
    pub fn ended_since(&self) -> Option<Duration> {
        let at = self.ended.load(Ordering::Acquire);
        (at != 0).then(|| Duration::from_millis(clock::millis().saturating_sub(at)))
    }

    fn end(&self) {
        let now = clock::millis();
        let _ = self
            .ended
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Tells the body that the node has answered: from here on only a bounded rest is read.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Why the body broke, if it did.
    pub fn broken(&self) -> Option<Broken> {
        match self.broken.load(Ordering::Acquire) {
            1 => Some(Broken::ClientGone),
            2 => Some(Broken::TooSlow),
            3 => Some(Broken::Unwanted),
            _ => None,
        }
    }

    fn broke(&self, why: Broken) -> Broken {
        let code = match why {
            Broken::ClientGone => 1,
            Broken::TooSlow => 2,
            Broken::Unwanted => 3,
        };
        self.broken.store(code, Ordering::Release);
        why
    }
}

/// How long a client may take over its body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The longest silence in the middle of a body.
    pub idle: Duration,
    /// Bytes a second, averaged over [`Pace::WINDOW`]; 0 asks for nothing.
    pub min_rate: u64,
}

impl Pace {
    /// The window over which the minimum rate is judged: long enough for a client that compresses as it goes.
    pub const WINDOW: Duration = Duration::from_secs(60);
    /// What is read of a body after the node has answered already.
    const POLITE_BYTES: u64 = 64 << 20;
    const POLITE_TIME: Duration = Duration::from_secs(30);
}

/// What becomes of a body whose rest nobody wants. A client of HTTP/1.1 often writes to the end before it reads, and a
/// connection that is closed under its hands takes the answer with it (RFC 9112 §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// The stream is reset alone, as HTTP/2 can.
    Never,
    /// Only if reading had begun: the client waits for a `100 Continue`.
    OnceBegun,
    /// Always.
    Always,
}

/// The client's body on its way to a node.
pub struct ClientBody {
    /// There until the drop.
    incoming: Option<Incoming>,
    /// Whether what nobody wants any more is read to let the client come to its answer.
    linger: Linger,
    progress: Arc<Progress>,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    window: Option<(Instant, u64)>,
    polite: Option<(Instant, u64)>,
}

impl ClientBody {
    fn new(incoming: Incoming, pace: Pace, linger: Linger) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let body = ClientBody {
            incoming: Some(incoming),
            linger,
            progress: progress.clone(),
            pace,
            timer: None,
            waiting: false,
            window: None,
            polite: None,
        };
        (body, progress)
    }

    fn judge_rate(&mut self, now: Instant) -> Result<(), Broken> {
        if self.pace.min_rate == 0 {
            return Ok(());
        }
        let bytes = self.progress.bytes();
        let (from, then) = *self.window.get_or_insert((now, bytes));
        let passed = now - from;
        if passed < Pace::WINDOW {
            return Ok(());
        }
        self.window = Some((now, bytes));
        if ((bytes - then) as f64) < self.pace.min_rate as f64 * passed.as_secs_f64() {
            return Err(self.progress.broke(Broken::TooSlow));
        }
        Ok(())
    }

    fn judge_politeness(&mut self, now: Instant) -> Result<(), Broken> {
        if !self.progress.answered.load(Ordering::Acquire) {
            return Ok(());
        }
        let bytes = self.progress.bytes();
        let (from, then) = *self.polite.get_or_insert((now, bytes));
        if now - from > Pace::POLITE_TIME || bytes - then > Pace::POLITE_BYTES {
            return Err(self.progress.broke(Broken::Unwanted));
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.progress
                        .bytes
                        .fetch_add(data.len() as u64, Ordering::Relaxed);
                }
                self.progress.begun.store(true, Ordering::Release);
                if incoming.is_end_stream() {
                    self.progress.end();
                }
                if self.waiting
                    || self.polite.is_some()
                    || self.progress.answered.load(Ordering::Relaxed)
                {
                    self.waiting = false;
                    let now = Instant::now();
                    self.judge_politeness(now)?;
                    self.judge_rate(now)?;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(self.progress.broke(Broken::ClientGone))))
            }
            Poll::Ready(None) => {
                self.progress.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let limit = if self.progress.answered.load(Ordering::Relaxed) {
                    self.pace.idle.min(Pace::POLITE_TIME)
                } else {
                    self.pace.idle
                };
                if !self.waiting {
                    self.waiting = true;
                    let now = Instant::now();
                    self.judge_rate(now)?;
                    match &mut self.timer {
                        Some(timer) => timer.as_mut().reset(now + limit),
                        None => self.timer = Some(Box::pin(tokio::time::sleep_until(now + limit))),
                    }
                }
                match &mut self.timer {
                    Some(timer) => {
                        ready!(timer.as_mut().poll(cx));
                        Poll::Ready(Some(Err(self.progress.broke(Broken::TooSlow))))
                    }
                    None => Poll::Pending,
                }
            }
        }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let polled = self.waiting || self.progress.begun();
        let lingers = match self.linger {
            Linger::Never => false,
            Linger::OnceBegun => polled,
            Linger::Always => true,
        };
        if !lingers || self.progress.ended() || self.progress.broken().is_some() {
            return;
        }
        if let (Some(incoming), Ok(runtime)) =
            (self.incoming.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(pour_away(incoming));
        }
    }
}

/// Reads what nobody wants, within the bounds of politeness.
async fn pour_away(incoming: Incoming) {
    let most = usize::try_from(Pace::POLITE_BYTES).unwrap_or(usize::MAX);
    let rest = Limited::new(incoming, most);
    let mut rest = std::pin::pin!(rest);
    let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
    let _ = tokio::time::timeout(Pace::POLITE_TIME, reading).await;
}

/// A body for a node.
pub enum Outgoing {
    /// No body.
    Empty,
    /// A small body that was read whole first, so that it can be sent again.
    Full(Option<Bytes>),
    /// The client's body, streamed.
    Client(Box<ClientBody>),
}

impl Outgoing {
    /// Wraps a client's body; the progress says how far it came. A request without a body costs nothing.
    pub fn client(incoming: Incoming, pace: Pace, linger: Linger) -> (Self, Option<Arc<Progress>>) {
        if incoming.is_end_stream() {
            return (Outgoing::Empty, None);
        }
        let (body, progress) = ClientBody::new(incoming, pace, linger);
        (Outgoing::Client(Box::new(body)), Some(progress))
    }

    /// A body of bytes that are at hand.
    pub fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Outgoing::Empty
        } else {
            Outgoing::Full(Some(bytes))
        }
    }

    /// Whether there is a body at all.
    pub fn is_empty(&self) -> bool {
        matches!(self, Outgoing::Empty)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Outgoing::Empty => Poll::Ready(None),
            Outgoing::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Client(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Empty => true,
            Outgoing::Full(bytes) => bytes.is_none(),
            Outgoing::Client(body) => body.incoming.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Empty => SizeHint::with_exact(0),
            Outgoing::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Outgoing::Client(body) => body
                .incoming
                .as_ref()
                .map_or_else(SizeHint::default, Body::size_hint),
        }
    }
}

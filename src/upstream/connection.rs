//! An open connection to a node, moved by whoever uses it.
//!
//! There is no task behind it: the request that holds the connection moves its bytes, in the same breath in which it
//! looks for the answer. So a small pull costs no hand-over between two tasks, dropping the connection closes it at
//! once, and an idle one costs no task. What a node says to an idle connection (that it closes it) is looked for when
//! the connection is taken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Duration, Instant, Sleep};

use super::outgoing::Outgoing;

/// What moves the bytes; gone when the connection has ended.
struct Wire {
    running: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    bell: Arc<Bell>,
    /// The bell as the wire knows it.
    waker: Waker,
}

/// Wakes whoever holds the connection, unless it is just looking at it: whoever takes a piece of an answer comes back for
/// the next one anyway, and need not be called for that.
struct Bell {
    state: AtomicU8,
    holder: Mutex<Waker>,
}

const LOUD: u8 = 0;
const MUTED: u8 = 1;
const RANG_MUTED: u8 = 2;

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let rung =
            self.state
                .compare_exchange(MUTED, RANG_MUTED, Ordering::AcqRel, Ordering::Acquire);
        if rung == Err(LOUD) {
            self.holder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .wake_by_ref();
        }
    }
}

impl Wire {
    fn new(running: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        let bell = Arc::new(Bell {
            state: AtomicU8::new(LOUD),
            holder: Mutex::new(Waker::noop().clone()),
        });
        Wire {
            running: Some(Box::pin(running)),
            waker: bell.clone().into(),
            bell,
        }
    }

    /// Moves what can be moved; `holder` is woken when there is more.
    fn drive(&mut self, holder: &Waker) {
        let mut known = self
            .bell
            .holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.clone_from(holder);
        drop(known);
        let cx = &mut Context::from_waker(&self.waker);
        if let Some(running) = &mut self.running
            && running.as_mut().poll(cx).is_ready()
        {
            self.running = None;
        }
    }

    /// Looks for something without being woken for having looked.
    fn muted<T>(&self, holder: &Waker, look: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.bell.state.store(MUTED, Ordering::Release);
        let seen = look();
        let rang = self.bell.state.swap(LOUD, Ordering::AcqRel) == RANG_MUTED;
        if rang && seen.is_pending() {
            holder.wake_by_ref();
        }
        seen
    }
}

/// An open connection to a node, busy or about to be.
pub struct Connection {
    sender: SendRequest<Outgoing>,
    wire: Wire,
    /// Made when something waits for the first time, kept from then on: moving a timer ahead costs next to nothing.
    timer: Option<Pin<Box<Sleep>>>,
    /// Requests sent on it so far.
    pub served: u32,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Outgoing>,
        wire: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> Self {
        Connection {
            sender,
            wire: Wire::new(wire),
            timer: None,
            served: 0,
        }
    }

    /// Whether a request can be sent now: the node has not closed it, and nothing is under way on it.
    pub fn is_idle(&mut self) -> bool {
        self.wire.drive(Waker::noop());
        self.is_ready()
    }

    /// The same as far as it is known, without a look at what the node said meanwhile.
    pub fn is_ready(&self) -> bool {
        self.wire.running.is_some() && self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of its answer. `more` is asked when `limit` is over; it may grant more
    /// time.
    ///
    /// # Errors
    /// `None` when time is over, else what broke; the request comes back with it when nothing of it was sent.
    pub async fn answer(
        &mut self,
        request: Request<Outgoing>,
        limit: Duration,
        mut more: impl FnMut() -> Option<Duration>,
    ) -> Result<Response<Incoming>, Option<TrySendError<Request<Outgoing>>>> {
        self.served += 1;
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let (wire, timer) = (&mut self.wire, &mut self.timer);
        let mut until = Instant::now() + limit;
        let mut set = false;
        std::future::poll_fn(|cx| {
            // Nothing but the wire makes an answer, so that looking for one needs no waker of its own.
            let mut quiet = Context::from_waker(Waker::noop());
            wire.drive(cx.waker());
            if let Poll::Ready(outcome) = answer.as_mut().poll(&mut quiet) {
                return Poll::Ready(outcome.map_err(Some));
            }
            loop {
                if !std::mem::replace(&mut set, true) {
                    arm(timer, until);
                }
                if !elapsed(timer, cx) {
                    return Poll::Pending;
                }
                match more() {
                    Some(left) => (until, set) = (Instant::now() + left, false),
                    None => return Poll::Ready(Err(None)),
                }
            }
        })
        .await
    }

    /// The next frame of an answer that came on this connection.
    pub fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        let mut look = || Pin::new(&mut *incoming).poll_frame(&mut quiet);
        match self.wire.muted(cx.waker(), &mut look) {
            Poll::Pending => {
                self.wire.drive(cx.waker());
                self.wire.muted(cx.waker(), look)
            }
            ready => ready,
        }
    }

    /// Counts `limit` from now on.
    pub fn set_timer(&mut self, limit: Duration) {
        arm(&mut self.timer, Instant::now() + limit);
    }

    /// Whether the time that was set last is over.
    pub fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        elapsed(&mut self.timer, cx)
    }

    /// Lets the connection move by itself from here on, for what is no exchange of requests and answers.
    pub fn set_free(self) -> SendRequest<Outgoing> {
        if let Some(wire) = self.wire.running {
            // Its end is seen by whoever holds the sender, the body or the tunnel.
            tokio::spawn(wire);
        }
        self.sender
    }
}

fn arm(timer: &mut Option<Pin<Box<Sleep>>>, until: Instant) {
    match timer {
        Some(timer) => timer.as_mut().reset(until),
        None => *timer = Some(Box::pin(tokio::time::sleep_until(until))),
    }
}

fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    timer
        .as_mut()
        .is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
}

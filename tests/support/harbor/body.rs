//! Bodies on their way through a node.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::sync::{mpsc, watch};

use super::log::{RequestEnd, ResponseEnd, Ticket};

pub type Fail = Box<dyn std::error::Error + Send + Sync>;
pub type Body = UnsyncBoxBody<Bytes, Fail>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body whose length is not told in advance.
pub fn unsized_full(bytes: impl Into<Bytes>) -> Body {
    struct Unsized(Option<Bytes>);
    impl http_body::Body for Unsized {
        type Data = Bytes;
        type Error = Fail;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fail>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }
    Unsized(Some(bytes.into())).boxed_unsync()
}

/// When the last byte moved, for timeouts between two of them.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub fn tick(&self) {
        *self.0.lock().expect("never poisoned") = Instant::now();
    }

    /// Returns once nothing moved for so long.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let last = *self.0.lock().expect("never poisoned");
            let end = last + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

/// The request's body, as the parts behind nginx read it.
pub struct Pumped {
    frames: Option<mpsc::Receiver<Result<Bytes, Fail>>>,
    length: Option<u64>,
}

impl Pumped {
    pub fn empty() -> Self {
        Self {
            frames: None,
            length: Some(0),
        }
    }

    /// Reads what is left, up to a limit.
    pub async fn collect(&mut self, limit: usize) -> Vec<u8> {
        let mut all = Vec::new();
        if let Some(frames) = &mut self.frames {
            while let Some(Ok(bytes)) = frames.recv().await {
                if all.len() + bytes.len() <= limit {
                    all.extend_from_slice(&bytes);
                }
            }
        }
        all
    }
}

impl http_body::Body for Pumped {
    type Data = Bytes;
    type Error = Fail;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fail>>> {
        match &mut self.frames {
            None => Poll::Ready(None),
            Some(frames) => frames
                .poll_recv(cx)
                .map(|next| next.map(|r| r.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Starts to read a request's body at once, which is when nginx sends `100 Continue`, and goes on to the end
/// even if nobody wants it any more, as nginx does after an early answer.
///
/// The watch turns true if the sender stalls for longer than `stall`.
pub fn pump(
    body: Incoming,
    ticket: Ticket,
    clock: Clock,
    stall: Duration,
) -> (Pumped, watch::Receiver<bool>) {
    let (stalled, fate) = watch::channel(false);
    let length = body.size_hint().exact();
    if body.is_end_stream() {
        ticket.note(|entry| entry.request_end = RequestEnd::Complete);
        return (Pumped::empty(), fate);
    }
    let (send, frames) = mpsc::channel(1);
    tokio::spawn(read(body, ticket, clock, stall, send, stalled));
    (
        Pumped {
            frames: Some(frames),
            length,
        },
        fate,
    )
}

async fn read(
    mut body: Incoming,
    ticket: Ticket,
    clock: Clock,
    stall: Duration,
    send: mpsc::Sender<Result<Bytes, Fail>>,
    stalled: watch::Sender<bool>,
) {
    let end = loop {
        match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => {
                ticket.note(|entry| entry.request_end = RequestEnd::Stalled);
                stalled.send_replace(true);
                let _ = send.send(Err("the client stalled".into())).await;
                break RequestEnd::Stalled;
            }
            Ok(None) => break RequestEnd::Complete,
            Ok(Some(Err(broken))) => {
                let _ = send.send(Err(broken.into())).await;
                break RequestEnd::Broken;
            }
            Ok(Some(Ok(frame))) => {
                clock.tick();
                if let Ok(bytes) = frame.into_data() {
                    ticket.arrived(&bytes);
                    let _ = send.send(Ok(bytes)).await;
                }
                clock.tick();
            }
        }
    };
    ticket.note(|entry| entry.request_end = end);
}

/// An answer's body that tells the log how it ended.
pub struct Watched {
    inner: Body,
    ticket: Option<Ticket>,
    death: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Watched {
    /// `death` is when the part of the node dies that sends the body.
    pub fn new(
        inner: Body,
        ticket: Ticket,
        death: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let mut watched = Self {
            inner,
            ticket: Some(ticket),
            death: Box::pin(death),
        };
        if watched.inner.is_end_stream() {
            watched.end(ResponseEnd::Complete);
        }
        watched
    }

    fn end(&mut self, how: ResponseEnd) {
        if let Some(ticket) = self.ticket.take() {
            ticket.note(|entry| entry.response_end = how);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Fail;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fail>>> {
        if self.ticket.is_some() && self.death.as_mut().poll(cx).is_ready() {
            self.end(ResponseEnd::Failed);
            return Poll::Ready(Some(Err("the part behind nginx died".into())));
        }
        let next = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &next {
            None => self.end(ResponseEnd::Complete),
            Some(Err(_)) => self.end(ResponseEnd::Failed),
            Some(Ok(_)) if self.inner.is_end_stream() => self.end(ResponseEnd::Complete),
            Some(Ok(_)) => {}
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let how = if self.inner.is_end_stream() || self.inner.size_hint().exact() == Some(0) {
            ResponseEnd::Complete
        } else {
            ResponseEnd::Cut
        };
        self.end(how);
    }
}

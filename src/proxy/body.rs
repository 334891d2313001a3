//! What the client reads: the node's bytes as they come, or a few of our own.
//!
//! The body carries the lease, the connection and the record. At its last byte the connection goes back to its pool;
//! dropped before that, everything is dropped with it and the connection is closed, never pooled dirty.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::finish::{Ended, Record};
use crate::upstream::connection::Connection;
use crate::upstream::lease::{Failing, Lease};

/// Why an answer was cut off. The client's connection or stream is reset, so that it never takes the part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The node's connection broke.
    #[error("the node broke off in the middle of its answer")]
    Broke,
    /// The node fell silent.
    #[error("the node fell silent in the middle of its answer")]
    Silent,
}

/// An answer that streams from a node.
pub struct FromNode {
    incoming: Incoming,
    lease: Lease,
    connection: Option<Connection>,
    to_core: bool,
    /// The node may end this answer short of its own Content-Length (Harbor does on 416).
    forgiving: bool,
    stall: Duration,
    waiting: bool,
    broken: bool,
}

impl FromNode {
    /// The rest of an answer whose head is known.
    pub fn new(
        incoming: Incoming,
        lease: Lease,
        connection: Connection,
        to_core: bool,
        forgiving: bool,
        stall: Duration,
    ) -> Self {
        FromNode {
            incoming,
            lease,
            connection: Some(connection),
            to_core,
            forgiving,
            stall,
            waiting: false,
            broken: false,
        }
    }

    fn complete(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lease
                .backend()
                .endpoint(self.to_core)
                .pool
                .give(connection);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.broken {
            return Poll::Ready(Some(Err(Cut::Broke)));
        }
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        match connection.poll_frame(&mut self.incoming, cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                if self.incoming.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                self.connection = None;
                if self.forgiving {
                    return Poll::Ready(None);
                }
                self.lease.failed(Failing::Broke);
                // hyper throws away what it has not written yet when it hears of this: it shall write that first.
                self.broken = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            // Only time that our own read was outstanding counts against the node: while the client is slow, nobody
            // polls, and what arrived meanwhile is found above before the clock is looked at.
            Poll::Pending => {
                if !std::mem::replace(&mut self.waiting, true) {
                    connection.set_timer(self.stall);
                }
                if !connection.is_overdue(cx) {
                    return Poll::Pending;
                }
                self.connection = None;
                self.lease.failed(Failing::Silent);
                Poll::Ready(Some(Err(Cut::Silent)))
            }
        }
    }
}

enum Source {
    Node(FromNode),
    Local(Option<Bytes>),
}

/// The body of every answer.
pub struct Reply {
    source: Source,
    record: Option<Box<Record>>,
}

impl Reply {
    /// An answer of our own.
    pub fn local(bytes: Bytes) -> Self {
        Reply {
            source: Source::Local(Some(bytes).filter(|bytes| !bytes.is_empty())),
            record: None,
        }
    }

    /// An answer that streams from a node.
    pub fn from_node(mut source: FromNode) -> Self {
        if source.incoming.is_end_stream() {
            source.complete();
        }
        Reply {
            source: Source::Node(source),
            record: None,
        }
    }

    /// Hands the record over: it ends with this body.
    pub fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
        self.settle();
    }

    /// Once nothing is left to send, the request is done even if nobody polls again.
    fn settle(&mut self) {
        if self.is_end_stream()
            && let Some(record) = &mut self.record
            && record.ended == Ended::ClientGone
        {
            record.ended = Ended::Done;
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Local(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Node(node) => node.poll(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(record), Some(data)) = (&mut this.record, frame.data_ref()) {
                    record.bytes_out += data.len() as u64;
                }
                this.settle();
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some(record) = &mut this.record {
                    record.ended = Ended::NodeFailed;
                }
            }
            Poll::Ready(None) => {
                if let Some(record) = &mut this.record
                    && record.ended == Ended::ClientGone
                {
                    record.ended = Ended::Done;
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Local(bytes) => bytes.is_none(),
            Source::Node(node) => node.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Local(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Node(node) if node.forgiving => SizeHint::default(),
            Source::Node(node) => node.incoming.size_hint(),
        }
    }
}

//! What the client reads: the node's bytes as they come, or a few of our own.
//!
//! The body carries the lease, the connection and the record. At its last byte the connection goes back to its pool;
//! dropped before that, everything is dropped with it and the connection is closed, never pooled dirty. A node that fails
//! in the middle is followed by another one, where one can serve the rest.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::finish::{Ended, Record};
use super::resume;
use crate::upstream::connection::Connection;
use crate::upstream::lease::{Failing, Lease};

/// Why an answer was cut off. The client's connection or stream is reset, so that it never takes the part for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// The node's connection broke.
    #[error("the node broke off in the middle of its answer")]
    Broke,
    /// The node fell silent.
    #[error("the node fell silent in the middle of its answer")]
    Silent,
    /// What came is not what was asked for.
    #[error("the node's answer is not what its digest says")]
    Wrong,
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
    /// Bytes that the client has already.
    skip: u64,
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
            skip: 0,
        }
    }

    /// The same without its first `skip` bytes.
    pub fn skipping(self, skip: u64) -> Self {
        FromNode { skip, ..self }
    }

    /// What is left of a frame after what the client has already.
    fn skip(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut bytes) => {
                let known = usize::try_from(self.skip).unwrap_or(usize::MAX);
                let known = bytes.split_to(known.min(bytes.len()));
                self.skip -= known.len() as u64;
                Frame::data(bytes)
            }
            Err(frame) => frame,
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
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        match connection.poll_frame(&mut self.incoming, cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                if self.incoming.is_end_stream() {
                    self.complete();
                }
                let frame = match self.skip {
                    0 => frame,
                    _ => self.skip(frame),
                };
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
                Poll::Ready(Some(Err(Cut::Broke)))
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

/// Looks for a node that goes on. It holds the record meanwhile.
type Search = Pin<Box<dyn Future<Output = (Box<Record>, Option<FromNode>)> + Send>>;

enum Source {
    Node(FromNode),
    /// The node failed, and another one is looked for.
    Between(Cut, Search),
    /// The rest does not come.
    Broken(Cut),
    Local(Option<Bytes>),
}

/// The body of every answer.
pub struct Reply {
    source: Source,
    record: Option<Box<Record>>,
    /// Whether hyper had the time to write what came before a break.
    told: bool,
}

impl Reply {
    /// An answer of our own.
    pub fn local(bytes: Bytes) -> Self {
        Reply {
            source: Source::Local(Some(bytes).filter(|bytes| !bytes.is_empty())),
            record: None,
            told: false,
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
            told: false,
        }
    }

    /// Hands the record over: it ends with this body.
    pub fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
        self.settle();
    }

    /// Once nothing is left to send, the request is done even if nobody polls again.
    fn settle(&mut self) {
        if self.is_end_stream() {
            self.done();
        }
    }

    fn done(&mut self) {
        if let Some(record) = &mut self.record
            && record.ended == Ended::ClientGone
        {
            record.ended = Ended::Done;
        }
    }

    /// The node failed: another one goes on, if it can.
    fn fails(&mut self, cut: Cut) {
        self.source = match self.record.take_if(|record| record.onward.is_some()) {
            Some(record) => Source::Between(cut, Box::pin(resume::go_on(record, cut))),
            None => Source::Broken(cut),
        };
    }

    /// Takes account of what the node gave, and says what the client gets.
    fn pass(
        &mut self,
        next: Option<Result<Frame<Bytes>, Cut>>,
    ) -> Option<Result<Frame<Bytes>, Cut>> {
        let last = match &next {
            Some(_) => self.is_end_stream(),
            None => true,
        };
        if let Some(record) = &mut self.record {
            let data = next
                .as_ref()
                .and_then(|next| next.as_ref().ok()?.data_ref());
            if let Some(proof) = &mut record.proof {
                proof.take(data.map_or(&[], |data| data));
                if last && !proof.holds() {
                    record.ended = Ended::NodeFailed;
                    tell_wrong(record);
                    return Some(Err(Cut::Wrong));
                }
            }
            record.bytes_out += data.map_or(0, |data| data.len() as u64);
        }
        if last {
            self.done();
        }
        next
    }
}

#[cold]
fn tell_wrong(record: &Record) {
    let node = record.node.as_ref().map_or("", |node| &*node.name);
    let path = record.target().map_or("/", |target| target.path());
    tracing::error!(
        node,
        path,
        resumed = record.resumed,
        "what came is not what its digest says: the client was cut off before the last byte; look at the node's storage"
    );
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        loop {
            match &mut this.source {
                Source::Local(bytes) => {
                    let next = bytes.take().map(|bytes| Ok(Frame::data(bytes)));
                    return Poll::Ready(this.pass(next));
                }
                Source::Node(node) => match ready!(node.poll(cx)) {
                    Some(Err(cut)) => this.fails(cut),
                    next => return Poll::Ready(this.pass(next)),
                },
                Source::Between(cut, search) => {
                    let (record, found) = ready!(search.as_mut().poll(cx));
                    this.source = found.map_or(Source::Broken(*cut), Source::Node);
                    this.record = Some(record);
                }
                Source::Broken(cut) => {
                    let cut = *cut;
                    // hyper throws away what it has not written yet when it hears of this: it shall write that first.
                    if !std::mem::replace(&mut this.told, true) {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if let Some(record) = &mut this.record {
                        record.ended = Ended::NodeFailed;
                    }
                    return Poll::Ready(Some(Err(cut)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Local(bytes) => bytes.is_none(),
            Source::Node(node) => node.incoming.is_end_stream(),
            Source::Between(..) | Source::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Local(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Node(node) if !node.forgiving && node.skip == 0 => node.incoming.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

//! What the answers of one HTTP/2 connection may hold of our memory, and how long they may wait for their client.
//!
//! By its windows, and by what it reads, the client alone decides how long an answer waits inside h2. So all answers of a
//! connection together hold a bounded number of bytes there, and the patience with a slow reader, which HTTP/1 has with
//! its connection, is had with every stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use crate::net::stream::{Act, Pace, Patience, poll_timer};
use crate::net::turns::Turns;
use crate::proxy::body::{Cut, Reply};

/// Bytes of answers that a connection keeps for a client that does not take them. Beyond, a stream gets its next piece
/// when it has none left, so that some that wait for their windows hold up no others.
const MOST: usize = 1 << 20;
/// Beyond so many, no stream gets any: nearly all of them wait for the client.
const CEILING: usize = 4 << 20;

tokio::task_local! {
    /// The share of the stream whose task this is.
    static SHARE: Arc<Share>;
}

/// The answers of one connection. Runs them, as hyper asks for.
#[derive(Clone, Debug)]
pub struct Streams {
    held: Arc<Held>,
    patience: Patience,
}

impl Streams {
    /// A connection whose client deserves so much patience.
    pub fn new(patience: Patience) -> Self {
        let held = Arc::default();
        Streams { held, patience }
    }

    /// Returns when, for as long as patience lasts, the client took nothing of the ends of answers that are held for it,
    /// and asked for nothing.
    pub async fn stuck(&self, turns: &Turns) {
        let waits = || !turns.is_busy() && self.held.bytes.load(Ordering::Relaxed) > 0;
        let taken = || self.held.taken.load(Ordering::Relaxed);
        loop {
            let (waited, before) = (waits(), taken());
            tokio::time::sleep(self.patience.write_idle).await;
            if waited && waits() && taken() == before {
                return;
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let share = Arc::new(Share::of(self.held.clone()));
        let (mut pace, mut timer) = (Pace::new(self.patience), None);
        tokio::spawn(SHARE.scope(share.clone(), async move {
            let mut stream = pin!(stream);
            // Dropped when patience ends, it resets its stream.
            poll_fn(|cx| match stream.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => share.poll_patience(&mut pace, &mut timer, cx),
            })
            .await;
        }));
    }
}

/// What all answers of a connection hold.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    taken: AtomicU64,
    crowded: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Held {
    fn poll_room(&self, most: usize, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes.load(Ordering::SeqCst) < most {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.crowded.store(true, Ordering::SeqCst);
        // What was given back before that woke nobody.
        if self.bytes.load(Ordering::SeqCst) < most {
            return Poll::Ready(());
        }
        waiting.push(cx.waker().clone());
        Poll::Pending
    }

    fn give_back(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        let fell_below = |most| before >= most && before - bytes < most;
        if (fell_below(MOST) || fell_below(CEILING)) && self.crowded.load(Ordering::SeqCst) {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            self.crowded.store(false, Ordering::SeqCst);
            let woken = std::mem::take(&mut *waiting);
            drop(waiting);
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

/// What one answer holds.
#[derive(Debug)]
struct Share {
    connection: Arc<Held>,
    held: AtomicUsize,
    /// What the client took since somebody looked.
    taken: AtomicUsize,
    /// Whether it is the client who keeps the answer waiting.
    client: AtomicBool,
}

impl Share {
    fn of(connection: Arc<Held>) -> Self {
        Share {
            connection,
            held: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            client: AtomicBool::new(false),
        }
    }

    fn poll_patience(
        &self,
        pace: &mut Pace,
        timer: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let taken = self.taken.swap(0, Ordering::Relaxed);
            let client = self.client.load(Ordering::Relaxed);
            if taken > 0 || !client {
                pace.done(Act::Write, taken, Instant::now);
            }
            if !client {
                return Poll::Pending;
            }
            match pace.waits(Act::Write, Instant::now()) {
                Ok(deadline) => ready!(poll_timer(timer, deadline, cx)),
                Err(why) => {
                    tracing::debug!(why, "a stream was reset");
                    return Poll::Ready(());
                }
            }
        }
    }

    fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.connection.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.connection.give_back(bytes);
    }
}

/// An answer whose pieces are counted until the client has them.
pub struct Answer {
    reply: Reply,
    share: Arc<Share>,
}

impl Answer {
    /// Counts `reply` as the answer of the stream whose task this is.
    pub fn of(reply: Reply) -> Self {
        let share = SHARE
            .try_with(Arc::clone)
            .unwrap_or_else(|_| Arc::new(Share::of(Arc::default())));
        share.client.store(true, Ordering::Relaxed);
        Answer { reply, share }
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Cut>>> {
        let this = &mut *self;
        let most = match this.share.held.load(Ordering::Relaxed) {
            0 => CEILING,
            _ => MOST,
        };
        this.share.client.store(true, Ordering::Relaxed);
        ready!(this.share.connection.poll_room(most, cx));
        let polled = Pin::new(&mut this.reply).poll_frame(cx);
        this.share
            .client
            .store(polled.is_ready(), Ordering::Relaxed);
        polled.map_ok(|frame| frame.map_data(|bytes| Piece::new(bytes, this.share.clone())))
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

/// Bytes on their way to a client.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    share: Arc<Share>,
}

impl Piece {
    fn new(bytes: Bytes, share: Arc<Share>) -> Self {
        share.hold(bytes.len());
        Piece { bytes, share }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.share.taken.fetch_add(count, Ordering::Relaxed);
        let taken = &self.share.connection.taken;
        taken.fetch_add(count as u64, Ordering::Relaxed);
        self.share.give_back(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.share.give_back(self.bytes.len());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn piece(of: &Arc<Share>, bytes: usize) -> Piece {
        Piece::new(Bytes::from(vec![0; bytes]), of.clone())
    }

    #[test]
    fn who_waits_for_room_is_woken_once_there_is_some() {
        let connection: Arc<Held> = Arc::default();
        let share = Arc::new(Share::of(connection.clone()));
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(calls.clone());
        let cx = &mut Context::from_waker(&waker);
        let mut first = piece(&share, MOST);
        let second = piece(&share, 10);
        assert!(connection.poll_room(MOST, cx).is_pending());
        assert!(connection.poll_room(CEILING, cx).is_ready());
        first.advance(5);
        assert_eq!(calls.0.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(calls.0.load(Ordering::Relaxed), 1);
        assert!(connection.poll_room(MOST, cx).is_ready());
        drop(first);
        assert_eq!(connection.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(connection.taken.load(Ordering::Relaxed), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_keeps_an_answer_waiting_loses_it() {
        let patience = Patience {
            write_idle: std::time::Duration::from_secs(120),
            min_rate: 0,
        };
        for (client, ends) in [(true, true), (false, false)] {
            let share = Share::of(Arc::default());
            share.client.store(client, Ordering::Relaxed);
            let (mut pace, mut timer) = (Pace::new(patience), None);
            let wait = poll_fn(|cx| share.poll_patience(&mut pace, &mut timer, cx));
            let hour = std::time::Duration::from_secs(3600);
            assert_eq!(tokio::time::timeout(hour, wait).await.is_ok(), ends);
        }
    }
}

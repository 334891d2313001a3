//! Bodies of requests: described once, streamed as often as needed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::content::{Layer, Pieces};

/// A body before its bytes.
#[derive(Clone, Debug)]
pub enum Payload {
    /// These bytes, with their length; none at all included.
    Bytes(Bytes),
    /// A layer, made as it is sent and without a length, as docker sends it.
    Layer(Layer),
}

/// When something last moved, so that only silence is a timeout.
#[derive(Clone, Debug)]
pub struct Pulse {
    begun: Instant,
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// Beats now.
    pub fn new() -> Self {
        Pulse {
            begun: Instant::now(),
            last: Arc::default(),
        }
    }

    fn beat(&self) {
        let millis = self.begun.elapsed().as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// Waits for `work` as long as the pulse beats at least every `patience`.
    pub async fn watch<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let until = self.begun + last + patience;
            if let Ok(done) = tokio::time::timeout_at(until, &mut work).await {
                return Some(done);
            }
            if Duration::from_millis(self.last.load(Ordering::Relaxed)) == last {
                return None;
            }
        }
    }
}

/// A body on its way.
pub struct Flow {
    bytes: Option<Bytes>,
    pieces: Option<Pieces>,
    pulse: Pulse,
}

impl Flow {
    /// Begins to send.
    pub fn new(payload: &Payload, pulse: Pulse) -> Self {
        let (bytes, pieces) = match payload {
            Payload::Bytes(bytes) => (Some(bytes.clone()).filter(|b| !b.is_empty()), None),
            Payload::Layer(layer) => (None, Some(layer.pieces())),
        };
        Flow {
            bytes,
            pieces,
            pulse,
        }
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pulse.beat();
        let next = self.bytes.take();
        let next = next.or_else(|| self.pieces.as_mut().and_then(Iterator::next));
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pieces {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_layer_is_sent_whole_and_without_a_length() {
        let layer = Layer::new(1, 200_000);
        let flow = Flow::new(&Payload::Layer(layer), Pulse::new());
        assert_eq!(flow.size_hint().exact(), None);
        let sent = flow.collect().await.unwrap().to_bytes();
        assert_eq!(sent.len() as u64, layer.size());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_runs_out_and_movement_does_not() {
        let patience = Duration::from_secs(10);
        let pulse = Pulse::new();
        let beating = pulse.clone();
        let work = async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                beating.beat();
            }
        };
        assert_eq!(pulse.watch(patience, work).await, Some(()));
        let never = std::future::pending::<()>();
        assert_eq!(pulse.watch(patience, never).await, None);
    }
}

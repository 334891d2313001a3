//! Clients at work on one target for a slice of time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::Client;
use super::schedule::Schedule;
use super::side::Side;
use super::stop::Stop;
use super::trace::Trace;

/// How long running operations may go on after the operator stopped: a manifest on its way is then there or not, and
/// the clean-up that follows misses none.
const GRACE: Duration = Duration::from_secs(2);

/// Loads a target for `length`. Operations that have begun by then run to their end and count; when the operator
/// stops, they have a moment for it.
pub async fn slice(side: &Arc<Side>, rate: Option<f64>, length: Duration, stop: &Stop) {
    let schedule = Arc::new(Schedule::new(rate, length));
    let ready = Arc::new(Barrier::new(side.clients.len()));
    side.record().begin_slice();
    let mut workers = JoinSet::new();
    for (number, client) in side.clients.iter().enumerate() {
        workers.spawn(work(
            side.clone(),
            (number, client.clone()),
            schedule.clone(),
            ready.clone(),
        ));
    }
    let cut = tokio::select! {
        () = join(&mut workers) => false,
        () = stop.asked(1) => true,
    };
    if cut {
        schedule.close();
        // What is left then is cut off and does not count.
        let _ = tokio::time::timeout(GRACE, join(&mut workers)).await;
    }
    workers.shutdown().await;
    let missed = if cut { 0 } else { schedule.missed() };
    side.record().end_slice(schedule.begin().elapsed(), missed);
}

async fn join(workers: &mut JoinSet<()>) {
    while workers.join_next().await.is_some() {}
}

async fn work(
    side: Arc<Side>,
    (number, client): (usize, Arc<Client>),
    schedule: Arc<Schedule>,
    ready: Arc<Barrier>,
) {
    let mut next = side.prepare(number);
    let mut first = true;
    loop {
        let Ok(work) = next.await else { return };
        if std::mem::take(&mut first) {
            ready.wait().await;
        }
        let begin = schedule.begin();
        let Some(start) = schedule.take(begin.elapsed()) else {
            return;
        };
        next = side.prepare(number);
        let intended = begin + start;
        tokio::time::sleep_until(intended.into()).await;
        let trace = Trace::default();
        let ended = side.run(&client, &work, &trace).await;
        let (at, latency) = (begin.elapsed(), Instant::now() - intended);
        let notes = trace.take();
        match ended {
            Ok(()) => side.record().succeed(work.name(), at, latency, &notes),
            Err(failure) => side.record().fail(&failure, at, &notes),
        }
    }
}

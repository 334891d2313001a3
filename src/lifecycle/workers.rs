//! The threads that serve clients. Each has a runtime of its own and keeps the connections it is given.
//!
//! A runtime that shares its tasks among threads hands a request over from one thread to another again and again, for a
//! twentieth to a tenth of the whole cost of a small one. Connections are many and short beside that, so it is enough to
//! give each to the thread that has the fewest.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::privilege;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker whose thread this is; 0 on any other thread.
pub fn here() -> usize {
    HERE.get()
}

/// Gives work to the workers; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Crew(Arc<[Worker]>);

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Pieces of work that are given to it and not ended.
    open: AtomicUsize,
}

impl Crew {
    /// The runtimes, for what must run on a certain one or on each.
    pub fn handles(&self) -> impl ExactSizeIterator<Item = &Handle> {
        self.0.iter().map(|worker| &worker.handle)
    }

    /// Runs `work` on the worker that has the least; it is begun there.
    pub fn give<F>(&self, work: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let open = |place: &usize| self.open(*place).map_or(usize::MAX, load);
        let Some(place) = (0..self.0.len()).min_by_key(open) else {
            return;
        };
        let guard = Open::on(self.clone(), place);
        if let Some(worker) = self.0.get(place) {
            worker.handle.spawn(async move {
                work().await;
                drop(guard);
            });
        }
    }

    fn open(&self, place: usize) -> Option<&AtomicUsize> {
        self.0.get(place).map(|worker| &worker.open)
    }
}

fn load(open: &AtomicUsize) -> usize {
    open.load(Ordering::Relaxed)
}

/// A piece of work that a worker has.
struct Open {
    crew: Crew,
    place: usize,
}

impl Open {
    fn on(crew: Crew, place: usize) -> Self {
        if let Some(open) = crew.open(place) {
            open.fetch_add(1, Ordering::Relaxed);
        }
        Open { crew, place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(open) = self.crew.open(self.place) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The running threads. Dropping it ends them without waiting for their work.
#[derive(Debug)]
pub struct Workers {
    crew: Crew,
    _end: watch::Sender<()>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// What the system has no room for.
    pub fn start(count: usize) -> io::Result<Self> {
        let (end, ended) = watch::channel(());
        let workers = (0..count.max(1)).map(|place| start(place, ended.clone()));
        Ok(Workers {
            crew: Crew(workers.collect::<io::Result<_>>()?),
            _end: end,
        })
    }

    /// Where work is given.
    pub fn crew(&self) -> &Crew {
        &self.crew
    }
}

fn start(place: usize, mut ended: watch::Receiver<()>) -> io::Result<Worker> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("seawall-data-{place}"))
        .spawn(move || {
            HERE.set(place);
            if let Err(error) = privilege::lay_down() {
                tracing::warn!(%error, "a worker keeps rights that it does not need");
            }
            // The channel has no messages: what comes is its end.
            let _ = runtime.block_on(ended.changed());
            runtime.shutdown_background();
        })?;
    Ok(Worker {
        handle,
        open: AtomicUsize::new(0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn work_goes_to_the_worker_that_has_the_least() {
        let workers = Workers::start(3).unwrap();
        let (tell, told) = channel();
        for _ in 0..3 {
            let tell = tell.clone();
            workers.crew().give(move || async move {
                tell.send(here()).unwrap();
                std::future::pending().await
            });
        }
        let mut seen: Vec<usize> = told.iter().take(3).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn ended_work_makes_room() {
        let workers = Workers::start(2).unwrap();
        let (tell, told) = channel();
        for _ in 0..20 {
            let tell = tell.clone();
            workers
                .crew()
                .give(move || async move { tell.send(()).unwrap() });
            told.recv().unwrap();
        }
        let open: usize = (0..2)
            .filter_map(|place| workers.crew().open(place))
            .map(load)
            .sum();
        assert!(open <= 1, "at most the last one is still ending");
    }

    #[test]
    fn the_threads_end_with_their_owner() {
        let workers = Workers::start(1).unwrap();
        let (tell, told) = channel::<()>();
        workers.crew().give(move || async move {
            let _kept = tell;
            std::future::pending().await
        });
        drop(workers);
        assert!(told.recv().is_err(), "the work was dropped");
    }
}

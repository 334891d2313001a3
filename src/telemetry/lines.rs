//! The way of a line to stderr.
//!
//! Whoever has a line appends it to a buffer in memory and goes on. One thread of its own writes the buffer out: at most
//! [`GATHER`] after the first line came, so that a busy second costs tens of system calls and wake-ups instead of
//! tens of thousands. When nobody reads what is written, lines are dropped and counted; the data plane never waits.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a line may wait for others to be written with it.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes that are written out at once, without waiting for more.
const PLENTY: usize = 256 << 10;
/// Bytes of lines that may wait for a slow reader.
const MOST_WAITING: usize = 8 << 20;
/// How long the last lines may take at the end of the process.
const PATIENCE_AT_END: Duration = Duration::from_secs(1);

/// Takes lines; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when the first line comes, when there are plenty, and at the end.
    came: Condvar,
    /// Told when everything was written after the end.
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    closed: bool,
    finished: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Takes one line with its end; without room it is dropped and counted.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        let before = waiting.bytes.len();
        if before + line.len() > MOST_WAITING {
            drop(waiting);
            self.0.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        let after = waiting.bytes.len();
        drop(waiting);
        if before == 0 || (before < PLENTY && after >= PLENTY) {
            self.0.came.notify_one();
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }
}

/// Keeps the writing thread; dropping it writes out what still waits, for a second at most.
#[derive(Debug)]
pub struct Writing(Lines);

/// Starts the thread that writes to `target`.
///
/// # Errors
/// The system has no thread for it.
pub fn start(target: impl Write + Send + 'static) -> std::io::Result<Writing> {
    let lines = Lines(Arc::default());
    let shared = lines.0.clone();
    thread::Builder::new()
        .name("seawall-log".to_owned())
        .spawn(move || write_all(&shared, target))?;
    Ok(Writing(lines))
}

impl Writing {
    /// Where lines go in.
    pub fn lines(&self) -> &Lines {
        &self.0
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut waiting = shared.lock();
        waiting.closed = true;
        shared.came.notify_one();
        // A reader that does not read does not hold up the end either.
        drop(
            shared
                .written
                .wait_timeout_while(waiting, PATIENCE_AT_END, |waiting| !waiting.finished),
        );
    }
}

fn write_all(shared: &Shared, mut target: impl Write) {
    let mut out = Vec::new();
    loop {
        let mut waiting = shared.lock();
        while waiting.bytes.is_empty() && !waiting.closed {
            waiting = shared
                .came
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.closed {
            let until = Instant::now() + GATHER;
            waiting = shared
                .came
                .wait_timeout_while(waiting, until - Instant::now(), |waiting| {
                    waiting.bytes.len() < PLENTY && !waiting.closed
                })
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if waiting.bytes.is_empty() {
            waiting.finished = true;
            shared.written.notify_all();
            return;
        }
        std::mem::swap(&mut waiting.bytes, &mut out);
        drop(waiting);
        // Nowhere is left to complain to when stderr is gone.
        let _ = target.write_all(&out).and_then(|()| target.flush());
        out.clear();
        out.shrink_to(PLENTY * 2);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Tells of every write, and waits for leave before the next.
    struct Slow(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            let _ = self.1.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Writing, Receiver<Vec<u8>>, Sender<()>) {
        let (told, tells) = channel();
        let (leave, waits) = channel();
        (start(Slow(told, waits)).unwrap(), tells, leave)
    }

    #[test]
    fn what_comes_during_a_write_goes_out_with_the_next_one() {
        let (writing, tells, leave) = slow();
        writing.lines().push(b"one\n");
        assert_eq!(tells.recv().unwrap(), b"one\n");
        writing.lines().push(b"two\n");
        writing.lines().push(b"three\n");
        leave.send(()).unwrap();
        assert_eq!(tells.recv().unwrap(), b"two\nthree\n");
        drop(leave);
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let (writing, tells, leave) = slow();
        drop(leave);
        writing.lines().push(b"last\n");
        drop(writing);
        assert_eq!(tells.try_recv().unwrap(), b"last\n");
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        let (writing, _tells, leave) = slow();
        let line = vec![b'x'; 64 << 10];
        for _ in 0..3 * MOST_WAITING / line.len() {
            writing.lines().push(&line);
        }
        assert!(writing.lines().dropped() > 0);
        drop(leave);
    }
}

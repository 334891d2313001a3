//! Events: what the program did and what went wrong, one line each on stderr.

use super::access::AccessLog;
use super::{clock, fields::Fields};
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that may wait for a slow reader of stderr; about 8 MiB of them at the usual length.
const WAITING_LINES: usize = 16_384;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For eyes: time, level, message, then `name=value`.
    Text,
}

/// Keeps the writer alive; dropping it writes out what still waits (for a second at most).
pub struct LogGuard {
    format: Format,
    writer: NonBlocking,
    drops: Drops,
    _flush: WorkerGuard,
}

impl LogGuard {
    /// How many lines (events and access lines) were thrown away because nobody read them in time.
    pub fn dropped(&self) -> u64 {
        self.drops.count()
    }

    /// The same count as a value of its own, for the metrics.
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// The access log that shares this writer and its format.
    pub fn access(&self) -> AccessLog {
        AccessLog::to(self.writer.clone(), self.format)
    }
}

/// Reads how many lines were dropped so far.
#[derive(Clone, Debug)]
pub struct Drops(ErrorCounter);

impl Drops {
    /// Lines dropped since the start.
    pub fn count(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
}

/// Sends events at `level` and above to stderr from now on. Only the first call of a process takes the events;
/// a later one still has an access log of its own.
pub fn start(format: Format, level: Level) -> LogGuard {
    let guard = open(format, io::stderr());
    let lines = Lines {
        format,
        writer: guard.writer.clone(),
    };
    // Refused only when the events of this process go somewhere already, which is then what the caller wanted.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(LevelFilter::from_level(level)))
        .try_init();
    guard
}

/// A guard whose lines end up in `target`.
pub(super) fn open(format: Format, target: impl Write + Send + 'static) -> LogGuard {
    // The writing thread flushes whenever its queue is empty: one system call for many lines under load.
    let (writer, flush) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("seawall-log")
        .finish(BufWriter::with_capacity(64 * 1024, target));
    LogGuard {
        format,
        drops: Drops(writer.error_counter()),
        writer,
        _flush: flush,
    }
}

struct Lines {
    format: Format,
    writer: NonBlocking,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = String::with_capacity(256);
        let mut message = Message(None);
        event.record(&mut message);
        let mut fields = Fields::begin(&mut line, self.format);
        fields.bare("time", |out| clock::write(out, SystemTime::now()));
        fields.bare("level", |out| out.push_str(word(event.metadata().level())));
        fields.message(message.0.as_deref().unwrap_or_default());
        event.record(&mut Others(&mut fields));
        fields.end();
        // Never an error: a full queue is counted, not reported.
        let _ = self.writer.clone().write_all(line.as_bytes());
    }
}

fn word(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

const MESSAGE: &str = "message";

struct Message(Option<String>);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

struct Others<'a, 'b>(&'a mut Fields<'b>);

impl Visit for Others<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.0.number(field.name(), value);
        } else {
            self.0.text(field.name(), &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.number(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.number(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE {
            self.0.text(field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.0.text(field.name(), &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != MESSAGE {
            self.0.text(field.name(), &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A place to write to and to read from afterwards.
    #[derive(Clone, Default)]
    pub struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub fn read(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, act: impl FnOnce()) -> String {
        let paper = Paper::default();
        let guard = open(format, paper.clone());
        let lines = Lines {
            format,
            writer: guard.writer.clone(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), act);
        drop(guard);
        paper.read()
    }

    #[test]
    fn an_event_is_one_json_object_with_its_fields_beside_the_message() {
        let line = written(
            Format::Json,
            || tracing::info!(address = %"[::]:443", count = 3u64, ok = true, "listening"),
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["level"], "info");
        assert_eq!(read["message"], "listening");
        assert_eq!(read["address"], "[::]:443");
        assert_eq!(read["count"], 3);
        assert_eq!(read["ok"], true);
        assert!(line.starts_with("{\"time\":\"20"), "{line}");
    }

    #[test]
    fn an_event_in_text_reads_as_a_sentence_with_fields_behind() {
        let line = written(Format::Text, || {
            tracing::warn!(node = "a b", "probe\nfailed")
        });
        assert!(
            line.ends_with("Z warn probefailed node=\"a b\"\n"),
            "{line:?}"
        );
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        let error = io::Error::other(io::Error::other("the root"));
        let line = written(Format::Json, || {
            tracing::error!(error = &error as &dyn std::error::Error, "failed")
        });
        assert!(line.contains("\"error\":\"the root"), "{line}");
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        struct Stuck(std::sync::mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = std::sync::mpsc::channel();
        let guard = open(Format::Json, Stuck(stuck));
        let mut writer = guard.writer.clone();
        for _ in 0..3 * WAITING_LINES {
            writer.write_all(&[b'x'; 64]).unwrap();
        }
        assert!(guard.dropped() > 0);
        assert_eq!(guard.dropped(), guard.drops().count());
        drop(release);
    }
}

//! Events: what the program did and what went wrong, one line each on stderr.

use super::access::AccessLog;
use super::lines::{self, Lines, Writing};
use super::{clock, fields::Fields};
use std::fmt;
use std::io::{self, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
    writing: Writing,
}

impl LogGuard {
    /// How many lines (events and access lines) were thrown away because nobody read them in time, as a value that
    /// goes on counting.
    pub fn drops(&self) -> Drops {
        Drops(self.writing.lines().clone())
    }

    /// The access log that shares this writer and its format.
    pub fn access(&self) -> AccessLog {
        AccessLog::to(self.writing.lines().clone(), self.format)
    }
}

/// Reads how many lines were dropped so far.
#[derive(Clone, Debug)]
pub struct Drops(Lines);

impl Drops {
    /// Lines dropped since the start.
    pub fn count(&self) -> u64 {
        self.0.dropped()
    }
}

/// Sends events at `level` and above to stderr from now on. Only the first call of a process takes the events;
/// a later one still has an access log of its own.
///
/// # Errors
/// The system has no thread for the writer.
pub fn start(format: Format, level: Level) -> io::Result<LogGuard> {
    let guard = open(format, io::stderr())?;
    let events = Events {
        format,
        lines: guard.writing.lines().clone(),
    };
    // Refused only when the events of this process go somewhere already, which is then what the caller wanted.
    let _ = tracing_subscriber::registry()
        .with(events.with_filter(LevelFilter::from_level(level)))
        .try_init();
    Ok(guard)
}

/// A guard whose lines end up in `target`, for an access log without events.
///
/// # Errors
/// The system has no thread for the writer.
pub fn open(format: Format, target: impl Write + Send + 'static) -> io::Result<LogGuard> {
    Ok(LogGuard {
        format,
        writing: lines::start(target)?,
    })
}

struct Events {
    format: Format,
    lines: Lines,
}

impl<S: Subscriber> Layer<S> for Events {
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
        self.lines.push(line.as_bytes());
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
        let guard = open(format, paper.clone()).unwrap();
        let events = Events {
            format,
            lines: guard.writing.lines().clone(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(events), act);
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
}

//! Signals of the operating system as a stream of what they ask for.

use std::io;
use tokio::signal::unix::{self, SignalKind};

/// What an operator or the service manager asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: drain and end. A second one means: end at once; the caller sees it as such.
    Terminate,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: start the program that is installed now, which takes over from this process.
    Renew,
}

/// The signals of this process from here on.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    user: unix::Signal,
}

impl Signals {
    /// Takes the signals over from their default actions. Needs a tokio runtime with IO.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            user: unix::signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one. May be dropped and called again without losing a signal.
    pub async fn next(&mut self) -> Signal {
        // The streams of tokio end only with their runtime, and then nobody is left to ask.
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Terminate,
            Some(()) = self.hangup.recv() => Signal::Reload,
            Some(()) = self.user.recv() => Signal::Renew,
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::sys::signal::{Signal as Raw, raise};

    #[tokio::test]
    async fn signals_become_what_they_ask_for() {
        let mut signals = Signals::listen().unwrap();
        for (raw, meaning) in [
            (Raw::SIGHUP, Signal::Reload),
            (Raw::SIGUSR2, Signal::Renew),
            (Raw::SIGTERM, Signal::Terminate),
            (Raw::SIGINT, Signal::Terminate),
        ] {
            raise(raw).unwrap();
            assert_eq!(signals.next().await, meaning);
        }
    }
}

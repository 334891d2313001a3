//! The operator's wish to end: once for an early report and a clean-up, twice for at once.

use std::io;

use tokio::sync::watch;

use super::progress::say;
use crate::lifecycle::signals::{Signal, Signals};

/// How often SIGINT or SIGTERM came.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Takes the signals over. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn listen() -> io::Result<Self> {
        let mut signals = Signals::listen()?;
        let (asked, stop) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                if signals.next().await == Signal::Terminate {
                    asked.send_modify(|times: &mut u32| *times = times.saturating_add(1));
                    if *asked.borrow() == 1 {
                        say("ending: report and clean-up; once more ends it at once");
                    }
                }
            }
        });
        Ok(Stop(stop))
    }

    /// Whether it came at all.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Resolves once it came so often.
    pub async fn asked(&self, often: u32) {
        let mut times = self.0.clone();
        // Its sender lives as long as the runtime.
        if times.wait_for(|times| *times >= often).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

//! The end of the process: nothing new, what runs may finish.

use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Failure, Process};
use crate::lifecycle::drain;
use crate::lifecycle::signals::{Signal, Signals};

/// How often a drain says what it still waits for.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// What a client gets at the end to take the last bytes of an answer and the goodbye of its connection.
const GOODBYE: Duration = Duration::from_secs(5);

impl Process {
    /// Takes nothing new, lets running work finish, and says what it waits for. Where another process has taken over, what
    /// moves has all the time that it needs, and `elder`, from which this one took over, is waited for as well: whoever
    /// comes later hears of one end only.
    pub(super) async fn drain(
        &mut self,
        trigger: drain::Trigger,
        mut signals: Signals,
        elder: Option<oneshot::Receiver<()>>,
    ) -> Result<(), Failure> {
        let limit = self.world.config.timeouts.drain;
        self.listeners.clear();
        tracing::info!(limit = ?limit, "draining: no new connections; running requests may finish");
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let mut hurry = !trigger.is_gentle();
        let mut late = false;
        let elder = elder.filter(|_| !hurry);
        let mut say = tokio::time::interval(SAY_EVERY);
        let ended = async {
            trigger.finished().await;
            // The last answers may still be on their way, and idle clients have yet to hear of the end.
            tokio::select! {
                () = trigger.parted() => {}
                () = goodbye(&trigger) => {}
            }
            if let Some(elder) = elder {
                let _ = elder.await;
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                _ = &mut ended => {
                    tracing::info!("drained");
                    return Ok(());
                }
                _ = say.tick() => {
                    for (kind, count) in trigger.waiting() {
                        tracing::info!(kind, count, "still waiting");
                    }
                }
                () = &mut deadline, if !late => if hurry {
                    for (kind, count) in trigger.waiting() {
                        tracing::warn!(kind, count, "cut off: the drain took too long");
                    }
                    return Ok(());
                } else {
                    // Idle clients have had their time.
                    late = true;
                    trigger.start();
                },
                signal = signals.next() => if signal == Signal::Terminate {
                    if hurry {
                        tracing::warn!("second signal: ending at once");
                        return Err(Failure::CutShort);
                    }
                    (hurry, late) = (true, false);
                    deadline.as_mut().reset(tokio::time::Instant::now() + limit);
                    trigger.start();
                },
            }
        }
    }
}

/// The end of patience with clients that do not leave. Those of a gentle drain have all the time of the drain.
async fn goodbye(trigger: &drain::Trigger) {
    if trigger.is_gentle() {
        return pending().await;
    }
    tokio::time::sleep(GOODBYE).await;
}

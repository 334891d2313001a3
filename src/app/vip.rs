//! The virtual addresses of a running process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Failure, Process};
use crate::front::Door;
use crate::harbor::class::Class;
use crate::lifecycle::ready::Ready;
use crate::lifecycle::signals::{Signal, Signals};
use crate::lifecycle::watchdog::Pulse;
use crate::net::accept;
use crate::vip::run::{Begin, Fitness, Vip};

/// A worker that gave no sign of life for so long is dead, or as good as that for its clients.
pub(super) const DEAD: Duration = Duration::from_secs(3);
/// How long interfaces may take to be known. Whatever is not there by then comes in later, as at any start.
const PREPARED: Duration = Duration::from_secs(3);
/// Between two looks at that.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Process {
    /// Starts the virtual routers of the current world, or starts them anew where they changed.
    pub(super) async fn keep_addresses(&self, ready: &Ready, pulse: &Pulse) {
        if let Some(before) = self.holder.replace(self.routers(ready, pulse, Begin::Now)) {
            before.stop().await;
        }
    }

    /// Starts them so far that they can go on with what another process leaves.
    pub(super) async fn prepare_addresses(&self, ready: &Ready, pulse: &Pulse) {
        let vip = self.routers(ready, pulse, Begin::AtWord);
        let until = Instant::now() + PREPARED;
        while vip.as_ref().is_some_and(|vip| !vip.is_prepared()) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.holder.replace(vip);
    }

    fn routers(&self, ready: &Ready, pulse: &Pulse, begin: Begin) -> Option<Vip> {
        let config = self.world.config.vip.clone()?;
        let metrics = self.metrics.clone();
        let physician = physician(self.door.clone(), ready.clone(), pulse.clone());
        self.keeper
            .start_with(move || Vip::start(&config, physician, &metrics, begin))
            .map_err(|error| tracing::error!(%error, "vip: no virtual address"))
            .ok()
    }

    /// Gives the virtual addresses to the next door before anything here ends; a second signal ends that.
    pub(super) async fn give_addresses_away(&self, signals: &mut Signals) -> Result<(), Failure> {
        let within = self.world.snapshot.patience.release;
        let given = self.holder.stop(within);
        tokio::pin!(given);
        loop {
            tokio::select! {
                () = &mut given => return Ok(()),
                signal = signals.next() => if signal == Signal::Terminate {
                    tracing::warn!("second signal: ending at once");
                    return Err(Failure::CutShort);
                },
            }
        }
    }
}

/// Asks how fit the door is, without waiting for anybody.
fn physician(door: Arc<Door>, ready: Ready, pulse: Pulse) -> crate::vip::run::Physician {
    Box::new(move |now| {
        let trouble = if pulse.silence(now) > DEAD {
            Some("the data plane does not answer".to_owned())
        } else if accept::starved_for() > DEAD {
            Some("no connection can be accepted: files or memory ran out".to_owned())
        } else {
            ready.reasons().into_iter().next()
        };
        Fitness {
            trouble,
            nodes: door.state.read().cluster.serves_well(Class::ManifestRead),
        }
    })
}

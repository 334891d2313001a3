//! What the rest of the house knows of the virtual addresses: who has them, and how they are given away in good order.
//!
//! Moving an address resets every connection that came by it. So an idle door gives it away at once, and a busy one first
//! asks its clients to end after what runs, and waits for that a while.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::legacy::{Identity, Legacy};
use super::router::Standing;
use super::run::Vip;
use crate::lifecycle::drain::Watch;

/// Between two looks at what still runs. Clients that came meanwhile are asked to leave, too.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The virtual addresses of this process, if it has any.
pub struct Holder {
    vip: ArcSwapOption<Vip>,
    drain: Watch,
}

impl Holder {
    /// None yet; `drain` knows what runs.
    pub fn new(drain: Watch) -> Self {
        Holder {
            vip: ArcSwapOption::empty(),
            drain,
        }
    }

    /// Keeps `vip` from now on; returns the one before, whose addresses are still there.
    pub fn replace(&self, vip: Option<Vip>) -> Option<Arc<Vip>> {
        self.vip.swap(vip.map(Arc::new))
    }

    /// Whether there are virtual addresses at all.
    pub fn is_there(&self) -> bool {
        self.vip.load().is_some()
    }

    /// Every virtual router.
    pub fn standings(&self) -> Vec<Standing> {
        let vip = self.vip.load();
        vip.as_ref().map(|vip| vip.standings()).unwrap_or_default()
    }

    /// Gives the addresses away: at once when nothing runs, else when what runs has ended, `within` that time at most.
    pub async fn release(&self, within: Duration) {
        if let Some(vip) = self.vip.load_full() {
            self.part(&vip, within).await;
            vip.release().await;
        }
    }

    /// Takes part in the election again.
    pub async fn claim(&self) {
        if let Some(vip) = self.vip.load_full() {
            vip.claim().await;
        }
    }

    /// The same as [`Holder::release`], for good.
    pub async fn stop(&self, within: Duration) {
        if let Some(vip) = self.vip.load_full() {
            self.part(&vip, within).await;
            vip.stop().await;
        }
    }

    /// Leaves the routers that have these identities to another process; see [`Vip::yield_to`].
    pub async fn yield_to(&self, identities: Vec<Identity>) -> Vec<Legacy> {
        match self.vip.swap(None) {
            Some(vip) => vip.yield_to(identities).await,
            None => Vec::new(),
        }
    }

    /// Goes on with what another process left; see [`Vip::inherit`].
    pub async fn inherit(&self, legacies: Vec<Legacy>) {
        if let Some(vip) = self.vip.load_full() {
            vip.inherit(legacies).await;
        }
    }

    async fn part(&self, vip: &Vip, within: Duration) {
        if !vip.is_master() {
            return;
        }
        let running = self.drain.running();
        if running > 0 {
            tracing::info!(
                running,
                ?within,
                "vip: the addresses go when this has ended, or after that time"
            );
        }
        let deadline = Instant::now() + within;
        loop {
            self.drain.ask_to_leave();
            if self.drain.running() == 0 {
                return;
            }
            if Instant::now() >= deadline {
                tracing::warn!(
                    running = self.drain.running(),
                    "vip: what still runs is cut off with the addresses"
                );
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

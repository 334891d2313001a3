//! What operators and scripts ask of a running Seawall: is it alive, is it ready, what does it count, how are the
//! nodes, take the new configuration. Served on the control runtime, so that it answers whatever the data plane does;
//! only `/readyz` asks the workers, since they are what it is about.

pub mod api;
pub mod auth;
pub mod journal;
pub mod nodes;
pub mod serve;
pub mod sessions;
pub mod vip;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::front::Door;
use crate::lifecycle::ready::Ready;
use crate::lifecycle::workers::Crew;
use crate::vip::holder::Holder;

/// What a reload came to, in lines for a person; `Err` when nothing changed and why.
pub type Reloaded = Result<Vec<String>, Vec<String>>;

/// What the admin listener needs to know of the rest.
pub struct Desk {
    /// The data plane.
    pub door: Arc<Door>,
    /// The workers, to ask whether they answer.
    pub data: Crew,
    /// What stands against serving at all.
    pub ready: Ready,
    /// Asks for a reload and for what came of it.
    pub reload: mpsc::Sender<oneshot::Sender<Reloaded>>,
    /// The virtual addresses.
    pub vip: Arc<Holder>,
    /// The bearer token that is asked for, if any.
    pub token: Option<String>,
}

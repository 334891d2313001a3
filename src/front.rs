//! What happens to every request before and after it is proxied.
//!
//! [`listener`] accepts, [`serve`] speaks HTTP on a connection, [`stack`] is the order in which a request meets
//! [`judge`] (may it be read in only one way?), [`admit`] (may it come, and now?), `proxy` (a node's answer), and [`rescue`] (our
//! own answer instead). [`streams`] bounds what the answers of an HTTP/2 connection hold.

pub mod admit;
pub mod judge;
pub mod listener;
pub mod policy;
pub mod redirect;
pub mod rescue;
pub mod serve;
pub mod stack;
pub mod streams;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::lifecycle::drain;
use crate::lifecycle::ready::Ready;
use crate::proxy::finish::Sinks;
use crate::state::State;

/// What all listeners share.
pub struct Door {
    /// The configuration that requests read.
    pub state: State,
    /// Where counts and lines go.
    pub sinks: Arc<Sinks>,
    /// What stands against serving at all.
    pub ready: Ready,
    /// Who must be done before the process may end.
    pub drain: drain::Watch,
    /// One permit per client connection.
    pub permits: Arc<Semaphore>,
    /// What is known of clients and users that ask for much.
    pub gate: Arc<admit::Gate>,
}

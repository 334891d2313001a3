//! TLS at both ends: certificates that are picked by name and swapped live, and the settings of servers and clients.
//!
//! TLS 1.2 and 1.3 only, no early data (a replayed push is a push), no renegotiation (rustls has none).
//!
//! Public face: [`provider::install`] first of all; [`server::LiveServer`] for clients that come to us, and
//! [`identity::read`] for who they are; [`client::LiveClient`] for nodes that we go to; [`self_signed::keep`] when
//! nobody gave us a name.

pub mod certs;
pub mod client;
mod error;
pub mod identity;
mod pem;
pub mod provider;
pub mod self_signed;
pub mod server;
mod watch;

pub use error::{CertError, Fault};
pub use pem::Pair;

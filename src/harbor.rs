//! What Seawall knows about Harbor, as pure functions: no sockets, no clock, no state.
//!
//! [`path`] reads what a request is ([`Class`]) and whom it concerns; [`class`] says what each class needs and
//! whether it may be sent twice; [`health`] reads what the answers to small requests prove about the parts of a
//! node; [`auth`] and [`session`] look at credentials and cookies without ever keeping one; [`upload`] knows uploads by the
//! answers that name them, [`removal`] what a request of the API deletes; [`replication`] has images copied from one Harbor
//! to another; [`error`] speaks to a client the way Harbor would.
//!
//! Versions covered: 1.5, 1.8 to 1.10 and 2.x, and a plain distribution registry ([`Dialect`]).

pub mod auth;
pub mod circuit;
pub mod class;
pub mod component;
pub mod dialect;
pub mod error;
pub mod health;
pub mod path;
pub mod removal;
pub mod replication;
pub mod session;
pub mod share;
pub mod upload;

pub use class::{Class, Lane, Repeat};
pub use component::{Component, Components};
pub use dialect::{Check, Dialect};
pub use error::Family;
pub use path::{Confused, Target, classify};

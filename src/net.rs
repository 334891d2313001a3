//! Sockets: listening, accepting, who is at the other end, and patience with them.
//!
//! A connection comes in through [`listen::bind`] and [`accept::accept`], may tell its true source by the PROXY
//! protocol ([`proxy_protocol::read`]), and lives inside a [`stream::Patient`]. [`seats`] counts what each client
//! has. [`handover`] gives the listening sockets to
//! the next process.

pub mod accept;
pub mod gather;
pub mod handover;
pub mod listen;
pub mod loan;
pub mod proxy_protocol;
pub mod seats;
pub mod stream;
pub mod turns;

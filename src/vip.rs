//! The address that two doors share: whoever is master holds it.
//!
//! [`packet`] is VRRP as bytes and [`machine`] what one virtual router does, both without a socket or a clock.
//! [`router`] joins a machine to the system, and [`run`] is the thread on which all of them live. The
//! rest of the house speaks to the [`holder`]. [`legacy`] is what a process leaves to the one that takes over from it.
//!
//! What touches the system: [`link::Link`] tells what an interface is and [`link::Watch`] when it changes,
//! [`socket::Wire`] sends and receives adverts, [`address::Address`] holds an address that disappears by itself
//! when nobody refreshes it, [`virtual_mac::VirtualMac`] gives it a hardware address of its own, and
//! [`announce::Announcer`] tells the neighbours where it is now.

pub mod address;
pub mod announce;
pub mod holder;
pub mod legacy;
pub mod link;
pub mod machine;
pub mod netlink;
pub mod packet;
pub mod router;
pub mod run;
pub mod socket;
mod steady;
pub mod virtual_mac;

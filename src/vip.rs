//! The address that two doors share: whoever is master holds it.
//!
//! What touches the system: [`link::Link`] tells what an interface is and [`link::Watch`] when it changes,
//! [`socket::Wire`] sends and receives adverts, [`address::Address`] holds an address that disappears by itself
//! when nobody refreshes it, [`virtual_mac::VirtualMac`] gives it a hardware address of its own, and
//! [`announce::Announcer`] tells the neighbours where it is now.

pub mod address;
pub mod announce;
pub mod link;
pub mod machine;
pub mod netlink;
pub mod packet;
pub mod socket;
pub mod virtual_mac;

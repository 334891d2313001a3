//! A hardware address of its own for a shared address (RFC 9568, section 7.3).
//!
//! It lives on a macvlan interface above the real one, made when a door becomes master and removed when it resigns:
//! were it there on a backup, its own multicast chatter would teach the switches a wrong port. Adverts stay on the
//! real interface; gratuitous ARP tells the switches where the hardware address is.

use super::link::Link;
use super::netlink::{Capability, Netlink, system};
use nix::errno::Errno;
use rtnetlink::packet_route::link::MacVlanMode;
use rtnetlink::{LinkMacVlan, LinkUnspec};
use std::io;
use std::path::Path;

/// Which protocol the shared addresses are of: each has hardware addresses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `00:00:5e:00:01:` and the router id.
    V4,
    /// `00:00:5e:00:02:` and the router id.
    V6,
}

/// A macvlan interface with the virtual hardware address. Dropping it leaves the interface; the next
/// [`VirtualMac::create`] replaces it.
#[derive(Debug)]
pub struct VirtualMac {
    netlink: Netlink,
    link: Link,
}

impl VirtualMac {
    /// Makes and switches on the interface above `parent`, named such as `vip4-2.51`: family, index of the parent,
    /// router id. Put the addresses on [`VirtualMac::link`] with the full prefix length (32 or 128), or their route
    /// competes with the parent's.
    ///
    /// Sets `arp_ignore = 1` and `arp_announce = 2` on the parent and leaves them: without, it would answer for the
    /// shared address with its own hardware address. Needs `CAP_NET_ADMIN` and a writable `/proc/sys/net`.
    pub async fn create(
        netlink: &Netlink,
        parent: &Link,
        family: Family,
        router_id: u8,
    ) -> io::Result<VirtualMac> {
        let name = name(parent.index, family, router_id);
        let parent_name = &parent.name;
        let failed = |error| {
            Capability::NetAdmin.explain(
                format!("cannot make the virtual interface {name} above {parent_name}"),
                error,
            )
        };
        if let Some(left) = Link::find(netlink, &name).await? {
            delete(netlink, left.index).await.map_err(failed)?;
        }
        let mac = mac(family, router_id);
        // Private: frames between the virtual interfaces of one door never need to pass here.
        let message = LinkMacVlan::new(&name, parent.index, MacVlanMode::Private)
            .address(mac.to_vec())
            .build();
        let added = netlink.0.link().add(message).execute().await;
        added.map_err(|error| failed(system(error)))?;
        // From here on it is there, and goes with what follows if that fails.
        let made = async {
            quieten(parent_name, &name)?;
            let up = LinkUnspec::new_with_name(&name).up().build();
            netlink.0.link().set(up).execute().await.map_err(system)?;
            let link = Link::find(netlink, &name).await?;
            link.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        match made.await {
            Ok(link) => Ok(VirtualMac {
                netlink: netlink.clone(),
                link,
            }),
            Err(error) => {
                if let Ok(Some(link)) = Link::find(netlink, &name).await {
                    // The first error is the one to tell.
                    let _ = delete(netlink, link.index).await;
                }
                Err(failed(error))
            }
        }
    }

    /// The interface that another process made, if it is there.
    pub async fn find(
        netlink: &Netlink,
        parent: &Link,
        family: Family,
        router_id: u8,
    ) -> io::Result<Option<VirtualMac>> {
        let found = Link::find(netlink, &name(parent.index, family, router_id)).await?;
        Ok(found.map(|link| VirtualMac {
            netlink: netlink.clone(),
            link,
        }))
    }

    /// The interface that holds the shared addresses and announces them.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Removes the interface and the addresses on it. Gone already is fine.
    pub async fn remove(&self) -> io::Result<()> {
        delete(&self.netlink, self.link.index)
            .await
            .map_err(|error| {
                let what = format!("cannot remove the virtual interface {}", self.link.name);
                Capability::NetAdmin.explain(what, error)
            })
    }
}

async fn delete(netlink: &Netlink, index: u32) -> io::Result<()> {
    match netlink.0.link().del(index).execute().await.map_err(system) {
        Err(error) if error.raw_os_error() != Some(Errno::ENODEV as i32) => Err(error),
        _ => Ok(()),
    }
}

fn mac(family: Family, router_id: u8) -> [u8; 6] {
    let protocol = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    [0, 0, 0x5e, 0, protocol, router_id]
}

/// Linux allows 15 characters; the index of the parent keeps equal router ids on two interfaces apart.
fn name(parent: u32, family: Family, router_id: u8) -> String {
    match family {
        Family::V4 => format!("vip4-{parent}.{router_id}"),
        Family::V6 => format!("vip6-{parent}.{router_id}"),
    }
}

/// Only the virtual interface answers for what is on it, and says nothing of its own accord.
fn quieten(parent: &str, child: &str) -> io::Result<()> {
    // Each answers for its own addresses only.
    set("ipv4", parent, "arp_ignore", "1")?;
    set("ipv4", child, "arp_ignore", "1")?;
    // The parent asks for neighbours in its own name, or they would learn its hardware address for ours.
    set("ipv4", parent, "arp_announce", "2")?;
    // Clients are reached through the parent, so strict return path filtering drops what comes in here.
    // 2 (loose) wins over a 1 for all interfaces; 0 would not.
    set("ipv4", child, "rp_filter", "2")?;
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(());
    }
    // Both doors would make the same link-local address of the same hardware address.
    set("ipv6", child, "addr_gen_mode", "1")?;
    set("ipv6", child, "accept_ra", "0")
}

/// Writes only what differs: in a container `/proc/sys` is often readable only.
fn set(protocol: &str, interface: &str, key: &str, value: &str) -> io::Result<()> {
    let path = format!("/proc/sys/net/{protocol}/conf/{interface}/{key}");
    if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{path} must be {value} and cannot be set: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_address_is_the_one_of_the_rfc() {
        assert_eq!(mac(Family::V4, 51), [0, 0, 0x5e, 0, 1, 51]);
        assert_eq!(mac(Family::V6, 51), [0, 0, 0x5e, 0, 2, 51]);
    }

    #[test]
    fn the_longest_name_is_one_that_linux_takes() {
        assert!(name(999_999, Family::V6, 255).len() <= 15);
    }
}

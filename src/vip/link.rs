//! What an interface is, and when it changes.

use super::netlink::{Capability, Netlink, system};
use futures_util::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An interface as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name, such as `eth0`.
    pub name: String,
    /// The kernel's number for it; another one after the interface was made anew.
    pub index: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The operator has switched it on.
    pub up: bool,
    /// It is up and there is a carrier: adverts can leave.
    pub running: bool,
    /// Addresses that can be used now, in the kernel's order.
    pub addresses: Vec<IpNet>,
}

impl Link {
    /// The interface of that name, or none.
    pub async fn find(netlink: &Netlink, name: &str) -> io::Result<Option<Link>> {
        let unreadable =
            |error| Capability::NetAdmin.explain(format!("cannot read interface {name}"), error);
        let mut links = netlink.0.link().get().match_name(name).execute();
        let message = match links.try_next().await.map_err(system) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let addresses = netlink
            .0
            .address()
            .get()
            .set_link_index_filter(message.header.index)
            .execute()
            .try_filter_map(async |message| Ok(usable(&message)))
            .try_collect()
            .await
            .map_err(|error| unreadable(system(error)))?;
        let flags = message.header.flags;
        Ok(Some(Link {
            name: name.to_owned(),
            index: message.header.index,
            mac: mac(&message).ok_or_else(|| {
                unreadable(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "it has no Ethernet address",
                ))
            })?,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
            addresses,
        }))
    }

    /// The first IPv4 address that is none of `shared`: adverts come from it. A shared address is no sender: it
    /// moves.
    pub fn ipv4(&self, shared: &[IpAddr]) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(ip) if !shared.contains(&IpAddr::V4(ip)) => Some(ip),
            _ => None,
        })
    }

    /// The first IPv6 address that is valid beyond the link and none of `shared`: the source of adverts to peers that
    /// are named by such addresses.
    pub fn ipv6(&self, shared: &[IpAddr]) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(ip) if !ip.is_unicast_link_local() && !shared.contains(&IpAddr::V6(ip)) => {
                Some(ip)
            }
            _ => None,
        })
    }

    /// The first link-local IPv6 address that is none of `shared`: the source of adverts to the multicast group
    /// (RFC 9568, section 5.1.2.1).
    pub fn link_local(&self, shared: &[IpAddr]) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(ip) if ip.is_unicast_link_local() && !shared.contains(&IpAddr::V6(ip)) => {
                Some(ip)
            }
            _ => None,
        })
    }
}

fn mac(message: &LinkMessage) -> Option<[u8; 6]> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
            _ => None,
        })
}

/// The address of a message, unless duplicate detection holds it back: no socket can be bound to it then.
fn usable(message: &AddressMessage) -> Option<IpNet> {
    let mut held_back = AddressFlags::Tentative | AddressFlags::Dadfailed;
    if message.header.family == AddressFamily::Inet6 {
        // Those that move are there as deprecated ones, those of another router on this interface, too. Temporary ones
        // are no name to be known by; the same bit means something else for IPv4.
        held_back |= AddressFlags::Deprecated | AddressFlags::Secondary;
    }
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Flags(flags) if flags.intersects(held_back) => return None,
            AddressAttribute::Local(ip) => local = Some(*ip),
            // On a point-to-point link this is the other end, and IPv6 has nothing else.
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}

/// Tells at once when an interface goes, comes, loses its carrier or changes its addresses.
pub struct Watch {
    name: String,
    netlink: Netlink,
    events: Events,
    known: Option<Link>,
    /// Something happened since `known` was read.
    stale: bool,
}

type Events = futures_util::stream::BoxStream<'static, NetlinkPayload<RouteNetlinkMessage>>;

impl Watch {
    /// Watches the interface of that name, there or not, in the network namespace of this thread. Within a tokio
    /// runtime only.
    pub async fn open(name: &str) -> io::Result<Watch> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(|error| {
                Capability::NetAdmin.explain(format!("cannot watch interface {name}"), error)
            })?;
        tokio::spawn(connection);
        let netlink = Netlink(handle);
        // Subscribed first and read then, so that no change falls in between.
        let known = Link::find(&netlink, name).await?;
        Ok(Watch {
            name: name.to_owned(),
            netlink,
            events: messages.map(|(message, _)| message.payload).boxed(),
            known,
            stale: false,
        })
    }

    /// The interface as it was last seen; none while it does not exist.
    pub fn link(&self) -> Option<&Link> {
        self.known.as_ref()
    }

    /// Waits until it is another than [`Watch::link`] told, and tells how it is now. May be dropped and called
    /// again without missing a change. After an error, open it anew.
    pub async fn changed(&mut self) -> io::Result<Option<&Link>> {
        loop {
            if self.stale {
                let found = Link::find(&self.netlink, &self.name).await?;
                self.stale = false;
                if found != self.known {
                    self.known = found;
                    return Ok(self.known.as_ref());
                }
            }
            match self.events.next().await {
                Some(event) => self.stale = self.concerns(&event),
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::BrokenPipe,
                        format!("watching interface {} ended", self.name),
                    ));
                }
            }
        }
    }

    /// What cannot be told apart concerns us: reading once too often is cheap.
    fn concerns(&self, event: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
        let index = self.known.as_ref().map(|link| link.index);
        match event {
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewAddress(message) | RouteNetlinkMessage::DelAddress(message),
            ) => Some(message.header.index) == index,
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message),
            ) => {
                Some(message.header.index) == index
                    || message
                        .attributes
                        .contains(&LinkAttribute::IfName(self.name.clone()))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn link(addresses: &[&str]) -> Link {
        Link {
            name: "eth0".to_owned(),
            index: 2,
            mac: [0; 6],
            up: true,
            running: true,
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn adverts_come_from_an_address_that_stays() {
        let link = link(&["192.0.2.9/32", "fe80::9/128", "192.0.2.1/24", "fe80::1/64"]);
        let shared = ["192.0.2.9".parse().unwrap(), "fe80::9".parse().unwrap()];
        assert_eq!(link.ipv4(&shared), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(link.link_local(&shared).unwrap().to_string(), "fe80::1");
    }

    #[test]
    fn a_global_address_is_no_link_local_one() {
        assert_eq!(link(&["2001:db8::1/64"]).link_local(&[]), None);
    }

    fn message(family: AddressFamily, ip: &str, flags: AddressFlags) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.prefix_len = 64;
        message.attributes = vec![
            AddressAttribute::Address(ip.parse().unwrap()),
            AddressAttribute::Flags(flags),
        ];
        message
    }

    #[test]
    fn no_advert_comes_from_an_address_that_is_about_to_go() {
        let six = |flags| usable(&message(AddressFamily::Inet6, "2001:db8::1", flags));
        assert!(six(AddressFlags::Permanent).is_some());
        for flags in [
            AddressFlags::Deprecated,
            AddressFlags::Secondary,
            AddressFlags::Tentative,
        ] {
            assert_eq!(six(flags), None, "{flags:?}");
        }
    }

    #[test]
    fn a_second_address_of_ipv4_is_as_good_as_the_first() {
        let flags = AddressFlags::Permanent | AddressFlags::Secondary;
        let mut message = message(AddressFamily::Inet, "192.0.2.1", flags);
        message.header.prefix_len = 24;
        assert_eq!(usable(&message), Some("192.0.2.1/24".parse().unwrap()));
    }

    #[tokio::test]
    async fn an_interface_that_is_not_there_is_none() {
        let netlink = Netlink::open().unwrap();
        assert_eq!(Link::find(&netlink, "nosuchlink").await.unwrap(), None);
    }
}

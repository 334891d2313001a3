//! An address on an interface that disappears by itself.
//!
//! The kernel removes an address whose `valid_lft` ran out (RFC 4862, section 5.5.4; Linux does the same for IPv4).
//! So a door that was killed or frozen stops answering for the address while its peer takes over, without help.

use super::netlink::{Capability, Netlink, system};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// An address on an interface. Dropping it leaves the address to its lifetime; [`Address::remove`] ends it now.
#[derive(Debug)]
pub struct Address {
    netlink: Netlink,
    index: u32,
    net: IpNet,
    /// Seconds.
    lifetime: u32,
    foreign: bool,
    /// When the kernel last began to count the lifetime, or a little before.
    begun: Instant,
}

impl Address {
    /// Puts `net` on the interface with that index, gone `lifetime` (whole seconds, one at least) after the last
    /// [`Address::refresh`]; the kernel looks about once a second. An address that is there already and will stay
    /// longer than that is somebody else's: it stays as it is, and [`Address::is_foreign`]. One with less to live
    /// is from an earlier run of ours and goes on.
    ///
    /// IPv6 addresses are used at once, without duplicate detection (the peer may still hold it), and are never the
    /// source of new connections, which would break when the address moves. Needs `CAP_NET_ADMIN`.
    pub async fn add(
        netlink: &Netlink,
        index: u32,
        net: IpNet,
        lifetime: Duration,
    ) -> io::Result<Address> {
        let seconds = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
        let mut address = Address {
            netlink: netlink.clone(),
            index,
            net,
            lifetime: u32::try_from(seconds).unwrap_or(u32::MAX - 1).max(1),
            foreign: false,
            begun: Instant::now(),
        };
        address.put().await.map_err(|error| {
            Capability::NetAdmin.explain(format!("cannot add the address {net}"), error)
        })?;
        Ok(address)
    }

    /// Whether it was there before us and is not ours to remove.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whether its lifetime has passed without a refresh.
    pub fn is_over(&self) -> bool {
        !self.foreign && self.begun.elapsed() >= Duration::from_secs(self.lifetime.into())
    }

    /// The address and its prefix length.
    pub fn net(&self) -> IpNet {
        self.net
    }

    /// Starts its lifetime anew, and adds it again if somebody removed it. Due a few times in each lifetime.
    ///
    /// False, and nothing done, once the lifetime has passed: this process slept too long, a peer may hold the
    /// address by now, and whether to take it is to be decided anew.
    pub async fn refresh(&mut self) -> io::Result<bool> {
        let refreshed = if self.foreign {
            self.put().await
        } else if self.is_over() {
            return Ok(false);
        } else {
            self.replace().await
        };
        refreshed.map(|()| true).map_err(|error| {
            Capability::NetAdmin.explain(format!("cannot refresh the address {}", self.net), error)
        })
    }

    /// Takes it off the interface now, unless it is foreign. Gone already is fine, and so is an interface that is.
    pub async fn remove(&self) -> io::Result<()> {
        if self.foreign {
            return Ok(());
        }
        let request = self.netlink.0.address().del(message(self.index, self.net));
        match request.execute().await.map_err(system) {
            Err(error) if !is_gone(&error) => Err(Capability::NetAdmin
                .explain(format!("cannot remove the address {}", self.net), error)),
            _ => Ok(()),
        }
    }

    async fn put(&mut self) -> io::Result<()> {
        let stays = self.stays().await?;
        self.foreign = stays.is_some_and(|seconds| seconds > self.lifetime);
        if self.foreign {
            return Ok(());
        }
        self.replace().await
    }

    async fn replace(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        let mut life = CacheInfo::default();
        life.ifa_valid = self.lifetime;
        let (ip, prefix) = (self.net.addr(), self.net.prefix_len());
        let addresses = self.netlink.0.address();
        let mut request = addresses.add(self.index, ip, prefix).replace();
        let attributes = &mut request.message_mut().attributes;
        match ip {
            IpAddr::V4(_) => life.ifa_preferred = self.lifetime,
            IpAddr::V6(_) => attributes.push(AddressAttribute::Flags(AddressFlags::Nodad)),
        }
        attributes.push(AddressAttribute::CacheInfo(life));
        request.execute().await.map_err(system)?;
        self.begun = begun;
        Ok(())
    }

    /// How long the kernel would keep the address, in seconds, if it has it.
    async fn stays(&self) -> io::Result<Option<u32>> {
        let found: Vec<AddressMessage> = self
            .netlink
            .0
            .address()
            .get()
            .set_link_index_filter(self.index)
            .set_address_filter(self.net.addr())
            .execute()
            .try_collect()
            .await
            .map_err(system)?;
        Ok(found.iter().map(valid).max())
    }
}

fn message(index: u32, net: IpNet) -> AddressMessage {
    match net.addr() {
        IpAddr::V4(ip) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(ip, net.prefix_len())
            .build(),
        IpAddr::V6(ip) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(index)
            .address(ip, net.prefix_len())
            .build(),
    }
}

/// The `valid_lft` of an address in seconds; without one it stays for ever.
fn valid(message: &AddressMessage) -> u32 {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(life) => Some(life.ifa_valid),
            _ => None,
        })
        .unwrap_or(u32::MAX)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EADDRNOTAVAIL | Errno::ENODEV)
    )
}

//! What a door does to the system for a shared address, in network namespaces, against the kernel and keepalived.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use seawall::vip::address::Address;
use seawall::vip::announce::Announcer;
use seawall::vip::link::{Link, Watch};
use seawall::vip::netlink::Netlink;
use seawall::vip::socket::{Reach, Wire};
use seawall::vip::virtual_mac::{Family, VirtualMac};

use super::support::client::until;
use super::support::door::eventually;
use super::support::keepalived::{Instance, Keepalived};
use super::support::netns::{Host, INTERFACE, Lab};

const LIMIT: Duration = Duration::from_secs(15);
const LIFETIME: Duration = Duration::from_secs(2);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Within a runtime inside a host.
async fn link() -> (Netlink, Link) {
    let netlink = Netlink::open().unwrap();
    let link = Link::find(&netlink, INTERFACE).await.unwrap().unwrap();
    (netlink, link)
}

fn announce(host: &Host, interface: &str, address: &str) {
    host.inside(async || {
        Announcer::open(interface)
            .unwrap()
            .announce(ip(address))
            .unwrap();
    });
}

#[test]
fn of_two_keepalived_the_one_with_the_higher_priority_has_the_address_until_it_crashes() {
    let Some(lab) = Lab::new(2) else { return };
    let vip = ip("10.77.0.100");
    let instance = |priority| Instance {
        priority,
        ..Instance::default()
    };
    let mut first = Keepalived::start(lab.host(1), &instance(150));
    let _second = Keepalived::start(lab.host(2), &instance(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip) == [1]);
    first.crash();
    eventually("host 2 has it as well", LIMIT, || lab.host(2).has(vip));
}

#[test]
fn an_isolated_keepalived_and_its_peer_both_take_the_address_until_they_meet_again() {
    let Some(lab) = Lab::new(2) else { return };
    let vip = ip("10.77.0.100");
    let instance = |priority| Instance {
        priority,
        ..Instance::default()
    };
    let _first = Keepalived::start(lab.host(1), &instance(150));
    let _second = Keepalived::start(lab.host(2), &instance(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip) == [1]);
    lab.host(1).isolate();
    eventually("both have it", LIMIT, || lab.holders(vip) == [1, 2]);
    lab.host(1).rejoin();
    eventually("host 1 alone has it again", LIMIT, || {
        lab.holders(vip) == [1]
    });
}

#[test]
fn keepalived_speaks_version_2_with_a_password_to_its_peers_and_resigns_when_stopped() {
    let Some(lab) = Lab::new(2) else { return };
    let vip = ip("10.77.0.100");
    let capture = lab.host(2).capture();
    let instance = |priority, peer: usize| Instance {
        version: 2,
        advert_interval: "1",
        priority,
        password: Some("d0cker".to_owned()),
        peers: vec![lab.host(peer).ipv4.to_string()],
        nopreempt: true,
        ..Instance::default()
    };
    let mut first = Keepalived::start(lab.host(1), &instance(150, 2));
    eventually("host 1 has it", LIMIT, || lab.holders(vip) == [1]);
    let second = Keepalived::start(lab.host(2), &instance(100, 1));
    second.says("Entering BACKUP STATE");
    first.stop();
    eventually("host 2 has it", LIMIT, || lab.holders(vip) == [2]);
    capture.says("10.77.0.1 > 10.77.0.2: ");
    capture.says("VRRPv2, Advertisement, vrid 51, prio 150, authtype simple");
    capture.says("prio 0");
    for log in [first.log(), second.log()] {
        assert!(
            !log.contains("nknown keyword") && !log.contains("WARNING"),
            "{log}"
        );
    }
}

#[test]
fn a_frozen_keepalived_loses_the_address_to_its_peer_and_thawed_takes_it_back() {
    let Some(lab) = Lab::new(2) else { return };
    let vip = ip("10.77.0.100");
    let instance = |priority| Instance {
        priority,
        ..Instance::default()
    };
    let first = Keepalived::start(lab.host(1), &instance(150));
    let _second = Keepalived::start(lab.host(2), &instance(100));
    eventually("host 1 has it", LIMIT, || lab.holders(vip) == [1]);
    first.freeze();
    eventually("both have it", LIMIT, || lab.holders(vip) == [1, 2]);
    first.thaw();
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip) == [1]);
}

#[test]
fn a_host_that_loses_every_advert_takes_the_address_too() {
    let Some(lab) = Lab::new(2) else { return };
    let vip = ip("10.77.0.100");
    let instance = |priority| Instance {
        priority,
        ..Instance::default()
    };
    let _first = Keepalived::start(lab.host(1), &instance(150));
    eventually("host 1 has it", LIMIT, || lab.holders(vip) == [1]);
    lab.host(2).lose_adverts(1.0);
    let _second = Keepalived::start(lab.host(2), &instance(100));
    eventually("both have it", LIMIT, || lab.holders(vip) == [1, 2]);
}

#[test]
fn an_address_stays_while_it_is_refreshed_and_goes_when_it_is_not() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    let addresses = ["10.77.0.100/32", "fd77::100/128"];
    let gone_after = host.inside(async || {
        let (netlink, link) = link().await;
        let mut held = Vec::new();
        for net in addresses {
            let net = net.parse().unwrap();
            held.push(
                Address::add(&netlink, link.index, net, LIFETIME)
                    .await
                    .unwrap(),
            );
        }
        let begin = Instant::now();
        let mut due = tokio::time::interval(LIFETIME / 4);
        // Longer than the kernel would need to remove them: see the measure below.
        while begin.elapsed() < LIFETIME * 3 {
            due.tick().await;
            for address in &mut held {
                assert!(address.refresh().await.unwrap());
                assert!(!address.is_foreign());
                assert!(host.has(address.net().addr()), "{}", address.net());
            }
        }
        until(
            "nobody refreshes them",
            LIFETIME + Duration::from_secs(2),
            async || {
                addresses
                    .iter()
                    .all(|net| !host.has(ip(net.split('/').next().unwrap())))
            },
        )
        .await
    });
    eprintln!("with a lifetime of {LIFETIME:?} both were gone after {gone_after:?}");
}

#[test]
fn an_address_whose_lifetime_has_passed_is_not_taken_back_by_a_refresh() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let (netlink, link) = link().await;
        let net: ipnet::IpNet = "10.77.0.100/32".parse().unwrap();
        let second = Duration::from_secs(1);
        let added = Address::add(&netlink, link.index, net, second).await;
        let mut address = added.unwrap();
        until("it is gone", LIMIT, async || !host.has(net.addr())).await;
        assert!(!address.refresh().await.unwrap());
        assert!(!host.has(net.addr()));
    });
}

#[test]
fn an_address_that_was_removed_by_hand_is_back_after_a_refresh() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let (netlink, link) = link().await;
        let net = "10.77.0.100/32".parse().unwrap();
        let mut address = Address::add(&netlink, link.index, net, LIFETIME)
            .await
            .unwrap();
        host.ip("address del 10.77.0.100/32 dev eth0");
        assert!(address.refresh().await.unwrap());
        assert!(host.has(net.addr()));
    });
}

#[test]
fn a_removed_address_is_gone_at_once_and_may_be_gone_before() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let (netlink, link) = link().await;
        for net in ["10.77.0.100/32", "fd77::100/128"] {
            let net: ipnet::IpNet = net.parse().unwrap();
            let address = Address::add(&netlink, link.index, net, LIFETIME)
                .await
                .unwrap();
            address.remove().await.unwrap();
            assert!(!host.has(net.addr()));
            address.remove().await.unwrap();
        }
    });
}

#[test]
fn an_address_that_was_there_before_is_respected() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    for net in ["10.77.0.100/24", "fd77::100/64"] {
        host.ip(&format!("address add {net} dev eth0"));
    }
    host.inside(async || {
        let (netlink, link) = link().await;
        for net in ["10.77.0.100/32", "fd77::100/128"] {
            let net: ipnet::IpNet = net.parse().unwrap();
            let mut address = Address::add(&netlink, link.index, net, LIFETIME)
                .await
                .unwrap();
            assert!(address.is_foreign());
            assert!(address.refresh().await.unwrap());
            address.remove().await.unwrap();
            assert!(host.has(net.addr()));
            let shown = host.ip(&format!("address show to {net}"));
            assert!(shown.contains("valid_lft forever"), "{shown}");
        }
    });
}

#[test]
fn an_address_of_an_earlier_run_goes_on_as_ours() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let (netlink, link) = link().await;
        let net = "10.77.0.100/32".parse().unwrap();
        drop(
            Address::add(&netlink, link.index, net, LIFETIME)
                .await
                .unwrap(),
        );
        let again = Address::add(&netlink, link.index, net, LIFETIME)
            .await
            .unwrap();
        assert!(!again.is_foreign());
        again.remove().await.unwrap();
        assert!(!host.has(net.addr()));
    });
}

#[test]
fn a_shared_ipv6_address_is_never_the_source_of_a_new_connection() {
    let Some(lab) = Lab::new(2) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let (netlink, link) = link().await;
        let net = "fd77::100/64".parse().unwrap();
        let _address = Address::add(&netlink, link.index, net, LIFETIME)
            .await
            .unwrap();
        let route = host.ip(&format!("-6 route get {}", lab.host(2).ipv6));
        assert!(route.contains(&format!("src {} ", host.ipv6)), "{route}");
    });
}

#[test]
fn a_link_tells_its_addresses_and_its_carrier_is_missed_at_once() {
    let Some(lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    host.inside(async || {
        let mut watch = Watch::open(INTERFACE).await.unwrap();
        until("it is up", LIMIT, async || {
            if watch
                .link()
                .is_some_and(|link| link.running && link.link_local(&[]).is_some())
            {
                return true;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
            false
        })
        .await;
        assert_eq!(watch.link().unwrap().ipv4(&[]), Some(host.ipv4));

        let cut = Instant::now();
        host.cut();
        while watch.changed().await.unwrap().unwrap().running {}
        eprintln!("the loss of the carrier was seen after {:?}", cut.elapsed());
        assert!(watch.link().unwrap().up);
        host.heal();
        while !watch.changed().await.unwrap().unwrap().running {}

        host.ip("address add 10.77.0.50/32 dev eth0");
        let seen = watch.changed().await.unwrap().unwrap();
        assert!(seen.addresses.contains(&"10.77.0.50/32".parse().unwrap()));

        host.ip("link del eth0");
        while watch.changed().await.unwrap().is_some() {}
        host.ip("link add eth0 type bridge");
        assert!(!watch.changed().await.unwrap().unwrap().up);
    });
}

#[test]
fn refreshing_an_address_is_no_change_of_its_link() {
    let Some(lab) = Lab::new(1) else { return };
    lab.host(1).inside(async || {
        let (netlink, link) = link().await;
        let net = "10.77.0.100/32".parse().unwrap();
        let mut address = Address::add(&netlink, link.index, net, LIFETIME)
            .await
            .unwrap();
        let mut watch = Watch::open(INTERFACE).await.unwrap();
        for _ in 0..3 {
            assert!(address.refresh().await.unwrap());
        }
        address.remove().await.unwrap();
        // The first change it tells is the removal.
        let seen = watch.changed().await.unwrap().unwrap();
        assert!(!seen.addresses.contains(&net));
    });
}

/// Adverts of version 3 for the address 100 of the lab, their checksums right for host 1 and the group.
const ADVERT: [u8; 12] = [0x31, 51, 100, 1, 0, 10, 0x75, 0x33, 10, 77, 0, 100];
const ADVERT_V6: [u8; 24] = [
    0x31, 51, 100, 1, 0, 10, 0x6f, 0x33, 0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
];

#[test]
fn an_advert_goes_to_the_group_with_a_ttl_that_no_router_leaves() {
    let Some(lab) = Lab::new(2) else { return };
    let capture = lab.host(2).capture();
    let host = lab.host(1);
    host.inside(async || {
        let (_, link) = link().await;
        for (source, advert) in [
            (IpAddr::V4(host.ipv4), &ADVERT[..]),
            (IpAddr::V6(host.ipv6), &ADVERT_V6[..]),
        ] {
            let wire = Wire::open(&link, source, &Reach::Multicast).unwrap();
            wire.send(|_| advert.to_vec()).unwrap();
        }
    });
    let advert = "VRRPv3, Advertisement, vrid 51, prio 100, intvl 10cs, length";
    capture.says(&format!(
        "10.77.0.1 > 224.0.0.18: {advert} 12, addrs: 10.77.0.100"
    ));
    capture.says(&format!(
        "fd77::1 > ff02::12: {advert} 24, addrs: fd77::100"
    ));
    let text = capture.text();
    assert!(text.contains("(tos 0xc0, ttl 255,"), "{text}");
    assert!(
        text.contains("(class 0xc0,") && text.contains("hlim 255,"),
        "{text}"
    );
}

#[test]
fn a_named_peer_gets_adverts_and_nobody_else_does() {
    let Some(lab) = Lab::new(3) else { return };
    let others = lab.host(3).capture();
    for (source, peer) in [
        (IpAddr::V4(lab.host(1).ipv4), IpAddr::V4(lab.host(2).ipv4)),
        (IpAddr::V6(lab.host(1).ipv6), IpAddr::V6(lab.host(2).ipv6)),
    ] {
        lab.host(2).inside(async || {
            let (_, link) = link().await;
            let wire = Wire::open(&link, peer, &Reach::Peers(vec![source])).unwrap();
            lab.host(1).inside(async || {
                let (_, link) = self::link().await;
                let wire = Wire::open(&link, source, &Reach::Peers(vec![peer])).unwrap();
                wire.send(|_| ADVERT.to_vec()).unwrap();
            });
            let arrival = wire.receive().await.unwrap();
            assert_eq!(arrival.payload, ADVERT);
            assert_eq!((arrival.source, arrival.destination), (source, peer));
            assert_eq!(arrival.ttl, 255);
        });
    }
    assert!(!others.text().contains("vrrp"), "{}", others.text());
}

#[test]
fn a_door_does_not_hear_itself() {
    let Some(lab) = Lab::new(2) else { return };
    lab.host(1).inside(async || {
        let (_, link) = link().await;
        let source = IpAddr::V4(link.ipv4(&[]).unwrap());
        let wire = Wire::open(&link, source, &Reach::Multicast).unwrap();
        wire.send(|_| ADVERT.to_vec()).unwrap();
        lab.host(2).inside(async || {
            let (_, link) = self::link().await;
            let source = IpAddr::V4(link.ipv4(&[]).unwrap());
            Wire::open(&link, source, &Reach::Multicast)
                .unwrap()
                .send(|_| ADVERT.to_vec())
                .unwrap();
        });
        // The first that it hears is the other's.
        assert_eq!(
            wire.receive().await.unwrap().source,
            IpAddr::V4(lab.host(2).ipv4)
        );
    });
}

#[test]
fn the_adverts_of_keepalived_arrive_with_their_source_and_ttl() {
    let Some(lab) = Lab::new(2) else { return };
    for (address, group) in [
        ("10.77.0.100/32", "224.0.0.18"),
        ("fd77::100/128", "ff02::12"),
    ] {
        let instance = Instance {
            addresses: vec![address.to_owned()],
            ..Instance::default()
        };
        let _keepalived = Keepalived::start(lab.host(1), &instance);
        let arrival = lab.host(2).inside(async || {
            let (_, link) = link().await;
            let source = if ip(group).is_ipv4() {
                link.ipv4(&[]).map(IpAddr::V4)
            } else {
                link.link_local(&[]).map(IpAddr::V6)
            };
            let wire = Wire::open(&link, source.unwrap(), &Reach::Multicast).unwrap();
            tokio::time::timeout(LIMIT, wire.receive())
                .await
                .unwrap()
                .unwrap()
        });
        assert_eq!(arrival.destination, ip(group));
        assert_eq!(arrival.ttl, 255);
        assert_eq!(arrival.payload[..3], [0x31, 51, 100]);
        assert!(lab.host(1).has(arrival.source), "{}", arrival.source);
        assert_ne!(arrival.source, ip(address.split('/').next().unwrap()));
    }
}

#[test]
fn neighbours_learn_where_the_address_is_now() {
    let Some(lab) = Lab::new(3) else { return };
    for (address, prefix) in [("10.77.0.100", 32), ("fd77::100", 128)] {
        let hold = |host: &Host| {
            host.ip(&format!("address add {address}/{prefix} dev eth0 nodad"));
        };
        hold(lab.host(1));
        assert!(lab.host(3).reaches(ip(address)));
        let old = lab.host(3).neighbour(ip(address));
        assert_eq!(old, Some(lab.host(1).mac(INTERFACE)));
        // It moves, and the neighbour is not told yet.
        lab.host(1)
            .ip(&format!("address del {address}/{prefix} dev eth0"));
        hold(lab.host(2));
        assert_eq!(lab.host(3).neighbour(ip(address)), old);
        announce(lab.host(2), INTERFACE, address);
        eventually("the neighbour has learnt it", LIMIT, || {
            lab.host(3).neighbour(ip(address)) == Some(lab.host(2).mac(INTERFACE))
        });
        assert!(lab.host(3).reaches(ip(address)));
    }
}

#[test]
fn an_address_with_a_virtual_mac_keeps_it_when_it_moves() {
    let Some(lab) = Lab::new(3) else { return };
    for number in [1, 2] {
        // As many distributions do for all interfaces.
        let strict = "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter";
        lab.host(number).run(&["sh", "-c", strict]);
    }
    for (family, address, mac) in [
        (Family::V4, "10.77.0.100/32", "00:00:5e:00:01:33"),
        (Family::V6, "fd77::100/128", "00:00:5e:00:02:33"),
    ] {
        let net: ipnet::IpNet = address.parse().unwrap();
        for number in [1, 2] {
            lab.host(number).inside(async || {
                let (netlink, parent) = link().await;
                let made = VirtualMac::create(&netlink, &parent, family, 51)
                    .await
                    .unwrap();
                let long = Duration::from_secs(60);
                let on = made.link();
                // Of its hardware address the other host would make the same link-local one.
                assert_eq!(on.addresses, []);
                Address::add(&netlink, on.index, net, long).await.unwrap();
                Announcer::open(&on.name)
                    .unwrap()
                    .announce(net.addr())
                    .unwrap();
                assert!(lab.host(3).reaches(net.addr()), "host {number} answers");
                assert_eq!(lab.host(3).neighbour(net.addr()).as_deref(), Some(mac));
                // Its own address keeps the hardware address of its own.
                let own = if net.addr().is_ipv4() {
                    IpAddr::V4(lab.host(number).ipv4)
                } else {
                    IpAddr::V6(lab.host(number).ipv6)
                };
                assert!(lab.host(3).reaches(own));
                assert_eq!(
                    lab.host(3).neighbour(own),
                    Some(lab.host(number).mac(INTERFACE))
                );
                made.remove().await.unwrap();
                assert!(!lab.host(number).has(net.addr()));
            });
        }
    }
}

#[test]
fn a_virtual_interface_that_an_earlier_run_left_is_made_anew() {
    let Some(lab) = Lab::new(1) else { return };
    lab.host(1).inside(async || {
        let (netlink, parent) = link().await;
        let first = VirtualMac::create(&netlink, &parent, Family::V4, 51)
            .await
            .unwrap();
        let second = VirtualMac::create(&netlink, &parent, Family::V4, 51)
            .await
            .unwrap();
        assert_ne!(first.link().index, second.link().index);
        assert_eq!(first.link().mac, second.link().mac);
    });
}

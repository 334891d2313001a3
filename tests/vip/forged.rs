//! Adverts that nobody of the doors has sent: they change nothing, and are counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use seawall::vip::packet::{Advert, Auth, Dialect};
use socket2::{Domain, Protocol, Socket, Type};

use super::{fast, ip, pair, vip, with_each_version};
use crate::support::door::eventually;
use crate::support::keepalived::Instance;
use crate::support::netns::{Host, Lab};
use crate::support::vip::{Door, LIMIT, Plan};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Sends bytes behind an IP header with that TTL.
fn send(from: &Host, to: Ipv4Addr, ttl: u32, bytes: &[u8]) {
    from.inside(async || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket
            .bind(&SocketAddr::from((from.ipv4, 0)).into())
            .unwrap();
        socket.set_multicast_if_v4(&from.ipv4).unwrap();
        socket.set_multicast_ttl_v4(ttl).unwrap();
        socket.set_ttl_v4(ttl).unwrap();
        socket
            .send_to(bytes, &SocketAddr::from((to, 0)).into())
            .unwrap();
    });
}

/// What a sender with the right to speak would say.
fn dialect(instance: &Instance) -> Dialect {
    Dialect {
        version: instance.version,
        router_id: instance.router_id,
        addresses: vec![vip()],
        auth: instance
            .password
            .as_deref()
            .map_or(Auth::None, Auth::password),
        unicast: false,
    }
}

/// It claims the address with the highest priority.
fn claim(instance: &Instance) -> Advert {
    let interval = match instance.version {
        3 => Duration::from_millis(100),
        _ => Duration::from_secs(1),
    };
    Advert {
        priority: 255,
        interval,
        counter: 0,
    }
}

/// `(reason, ttl, bytes)` of adverts from `source` that must not be believed.
fn forgeries(instance: &Instance, source: IpAddr) -> Vec<(&'static str, u32, Vec<u8>)> {
    let good = dialect(instance);
    let claim = claim(instance);
    let encode = |dialect: &Dialect| dialect.encode(claim, source, GROUP.into());
    let right = encode(&good);
    let mut torn = right.clone();
    torn[6] ^= 0x55;
    let mut long = right.clone();
    long.extend([0; 4]);
    let mut typed = right.clone();
    typed[0] = typed[0] & 0xf0 | 2;
    let other = Dialect {
        version: 5 - good.version,
        ..good.clone()
    };
    let mut all = vec![
        ("ttl", 254, right.clone()),
        ("checksum", 255, torn),
        ("length", 255, long),
        ("length", 255, right[..6].to_vec()),
        ("length", 255, Vec::new()),
        ("type", 255, typed),
        ("version", 255, encode(&other)),
        (
            "addresses",
            255,
            encode(&Dialect {
                addresses: vec![ip("10.77.0.99")],
                ..good.clone()
            }),
        ),
        (
            "addresses",
            255,
            encode(&Dialect {
                addresses: vec![vip(), ip("10.77.0.99")],
                ..good.clone()
            }),
        ),
    ];
    if instance.version == 2 {
        all.push((
            "auth",
            255,
            encode(&Dialect {
                auth: Auth::password("d0cker2"),
                ..good.clone()
            }),
        ));
        all.push((
            "auth",
            255,
            encode(&Dialect {
                auth: Auth::None,
                ..good.clone()
            }),
        ));
        let slow = Advert {
            interval: Duration::from_secs(9),
            ..claim
        };
        all.push(("interval", 255, good.encode(slow, source, GROUP.into())));
    }
    all
}

fn refused(door: &Door<'_>, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    let labels = ["instance=\"door\"", &label];
    door.metric("seawall_vip_adverts_refused_total", &labels)
        .unwrap_or_default()
}

#[test]
fn forged_adverts_change_nothing_and_are_counted_by_their_reason() {
    with_each_version(|instance| {
        let Some(lab) = Lab::new(3) else { return };
        let forger = lab.host(3);
        let [master, backup] = pair(&lab, |priority| Plan::new(&instance(priority)));
        for (reason, ttl, bytes) in forgeries(&instance(100), forger.ipv4.into()) {
            let before = [&master, &backup].map(|door| refused(door, reason));
            send(forger, GROUP, ttl, &bytes);
            for (door, before) in [&master, &backup].into_iter().zip(before) {
                eventually(&format!("{reason} is counted"), LIMIT, || {
                    refused(door, reason) == before + 1.0
                });
            }
        }
        // Another virtual router is none of our business.
        let another = Dialect {
            router_id: 99,
            ..dialect(&instance(100))
        };
        let bytes = another.encode(claim(&instance(100)), forger.ipv4.into(), GROUP.into());
        send(forger, GROUP, 255, &bytes);
        assert_eq!(lab.holders(vip()), [1]);
        assert_eq!(master.state(), "master");
        assert_eq!(master.transitions("master"), 1.0);
        assert_eq!(backup.transitions("master"), 0.0);
        // What they would have done: the same from somebody who may say it.
        let bytes =
            dialect(&instance(100)).encode(claim(&instance(100)), forger.ipv4.into(), GROUP.into());
        send(forger, GROUP, 255, &bytes);
        eventually("the master believes it", LIMIT, || !lab.host(1).has(vip()));
    });
}

#[test]
fn with_named_peers_nobody_else_is_listened_to() {
    let Some(lab) = Lab::new(3) else { return };
    let (stranger, host) = (lab.host(3), lab.host(1));
    let instance = Instance {
        peers: vec![lab.host(2).ipv4.to_string()],
        ..fast(100)
    };
    let door = Door::start(host, &Plan::new(&instance));
    door.becomes("master");
    let bytes = dialect(&instance).encode(claim(&instance), stranger.ipv4.into(), host.ipv4.into());
    send(stranger, host.ipv4, 255, &bytes);
    eventually("it is counted", LIMIT, || refused(&door, "stranger") == 1.0);
    assert_eq!(lab.holders(vip()), [1]);
    assert_eq!(door.state(), "master");
}

#[test]
fn with_a_key_an_advert_is_believed_once_and_only_with_the_right_code() {
    let Some(lab) = Lab::new(2) else { return };
    let (peer, host) = (lab.host(2), lab.host(1));
    let key = "0123456789abcdef0123456789abcdef";
    let instance = Instance {
        peers: vec![peer.ipv4.to_string()],
        ..fast(100)
    };
    let more = format!("seawall_peers = true\nkey = \"{key}\"");
    let door = Door::start(host, &Plan::default().with("door", &instance, &more));
    door.becomes("master");
    let with = |auth| Dialect {
        auth,
        unicast: true,
        ..dialect(&instance)
    };
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis();
    // It gives the address away for a moment, so that it is seen whether it was believed.
    let advert = Advert {
        counter: u64::try_from(now).unwrap(),
        ..claim(&instance)
    };
    let encode = |auth| with(auth).encode(advert, peer.ipv4.into(), host.ipv4.into());
    let right = encode(Auth::Key(key.into()));
    let mut torn = right.clone();
    *torn.last_mut().unwrap() ^= 1;
    for forged in [
        encode(Auth::None),
        encode(Auth::Key("another-key-of-16-bytes".into())),
        torn,
    ] {
        let before = refused(&door, "auth");
        send(peer, host.ipv4, 255, &forged);
        eventually("it is counted", LIMIT, || {
            refused(&door, "auth") == before + 1.0
        });
    }
    assert_eq!(door.transitions("master"), 1.0);
    send(peer, host.ipv4, 255, &right);
    eventually("the right one is believed", LIMIT, || {
        door.transitions("backup") == 2.0
    });
    eventually("its sender is silent", LIMIT, || {
        door.transitions("master") == 2.0
    });
    send(peer, host.ipv4, 255, &right);
    eventually("a second time it is not", LIMIT, || {
        refused(&door, "replay") == 1.0
    });
    assert_eq!(door.state(), "master");
}

//! Who is master is the one that the RFC says, with Seawall and keepalived on either side.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{fast, interval, ip, old, skew};
use crate::support::door::eventually;
use crate::support::keepalived::Instance;
use crate::support::netns::Lab;
use crate::support::vip::Kind::{Keepalived, Seawall};
use crate::support::vip::{Kind, LIMIT, Peer};

/// For the machine, which is busy.
const NOISE: Duration = Duration::from_millis(150);

/// How two doors are to speak with each other.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The better one first.
    kinds: [Kind; 2],
    version: u8,
    ipv6: bool,
    unicast: bool,
}

impl Way {
    const fn new(better: Kind, worse: Kind, version: u8) -> Way {
        Way {
            kinds: [better, worse],
            version,
            ipv6: false,
            unicast: false,
        }
    }

    const fn ipv6(self) -> Way {
        Way { ipv6: true, ..self }
    }

    const fn unicast(self) -> Way {
        Way {
            unicast: true,
            ..self
        }
    }

    fn vip(self) -> IpAddr {
        ip(if self.ipv6 {
            "fd77::100"
        } else {
            "10.77.0.100"
        })
    }

    fn own(self, lab: &Lab, number: usize) -> IpAddr {
        let host = lab.host(number);
        match self.ipv6 {
            true => host.ipv6.into(),
            false => host.ipv4.into(),
        }
    }

    /// The one that host `number` of two is given.
    fn instance(self, lab: &Lab, number: usize, priority: u8) -> Instance {
        let mut instance = match self.version {
            2 => old(priority),
            _ => fast(priority),
        };
        if self.ipv6 {
            instance.addresses = vec!["fd77::100/128".to_owned()];
        }
        if self.unicast {
            instance.peers = vec![self.own(lab, 3 - number).to_string()];
        }
        instance
    }

    fn start<'a>(self, lab: &'a Lab, number: usize, instance: &Instance) -> Peer<'a> {
        let source = self.unicast.then(|| self.own(lab, number));
        let kind = self.kinds[number - 1];
        Peer::start(kind, lab.host(number), instance, source)
    }
}

/// Tries every way at the same time, each in a lab of its own: they wait more than they work.
fn each(ways: &[Way], check: fn(Way, &Lab)) {
    std::thread::scope(|scope| {
        for way in ways {
            scope.spawn(move || {
                let Some(lab) = Lab::new(3) else { return };
                eprintln!("{way:?}");
                check(*way, &lab);
            });
        }
    });
}

const WAYS: [Way; 9] = [
    Way::new(Seawall, Seawall, 2),
    Way::new(Seawall, Keepalived, 2),
    Way::new(Keepalived, Seawall, 2).unicast(),
    Way::new(Seawall, Seawall, 3).ipv6(),
    Way::new(Seawall, Keepalived, 3),
    Way::new(Keepalived, Seawall, 3),
    Way::new(Seawall, Keepalived, 3).ipv6(),
    Way::new(Keepalived, Seawall, 3).ipv6().unicast(),
    Way::new(Seawall, Seawall, 3).unicast(),
];

#[test]
fn the_higher_priority_has_the_address_until_it_crashes_and_again_when_it_is_back() {
    each(&WAYS, |way, lab| {
        let vip = way.vip();
        let capture = lab.host(2).capture();
        let (better, worse) = (way.instance(lab, 1, 200), way.instance(lab, 2, 100));
        let mut first = way.start(lab, 1, &better);
        let _second = way.start(lab, 2, &worse);
        eventually("the better one alone has it", LIMIT, || {
            lab.holders(vip) == [1]
        });
        first.crash();
        eventually("the other one has it", LIMIT, || lab.host(2).has(vip));
        // keepalived leaves the address behind and takes it over when it starts; Seawall's goes by itself.
        if way.kinds[0] == Keepalived {
            let prefix = if way.ipv6 { 128 } else { 32 };
            lab.host(1)
                .ip(&format!("address del {vip}/{prefix} dev eth0"));
        }
        eventually("it alone", LIMIT, || lab.holders(vip) == [2]);
        let _first = way.start(lab, 1, &better);
        eventually("the better one is back", LIMIT, || lab.holders(vip) == [1]);
        let text = capture.text();
        assert!(
            text.contains("prio 200") && text.contains("prio 100"),
            "{text}"
        );
        for complaint in ["bad", "invalid", "[|", "truncated", "unknown"] {
            assert!(!text.contains(complaint), "{complaint}: {text}");
        }
    });
}

#[test]
fn a_master_that_is_stopped_resigns_and_its_peer_needs_its_skew_time_alone() {
    each(&WAYS, |way, lab| {
        let vip = way.vip();
        let worse = way.instance(lab, 2, 100);
        let mut first = way.start(lab, 1, &way.instance(lab, 1, 200));
        let _second = way.start(lab, 2, &worse);
        eventually("the better one alone has it", LIMIT, || {
            lab.holders(vip) == [1]
        });
        std::thread::scope(|scope| {
            let gone = scope.spawn(|| {
                eventually("it is gone", LIMIT, || !lab.host(1).has(vip));
                Instant::now()
            });
            let stopped = scope.spawn(|| first.stop());
            eventually("the other one has it", LIMIT, || lab.host(2).has(vip));
            let took = gone.join().unwrap().elapsed();
            stopped.join().unwrap();
            eprintln!("{way:?}: {took:?}, skew time {:?}", skew(&worse));
            // keepalived does not always get to say goodbye.
            let silent = match way.kinds {
                [Keepalived, _] => 3 * interval(&worse),
                [Seawall, _] => Duration::ZERO,
            };
            assert!(took <= silent + skew(&worse) + NOISE, "{way:?}: {took:?}");
            assert_eq!(lab.holders(vip), [2]);
        });
    });
}

#[test]
fn with_nopreempt_a_better_one_leaves_the_address_where_it_is() {
    let ways = [
        Way::new(Seawall, Seawall, 3),
        Way::new(Seawall, Keepalived, 2),
        Way::new(Seawall, Keepalived, 3).ipv6(),
        Way::new(Keepalived, Seawall, 3),
    ];
    each(&ways, |way, lab| {
        let vip = way.vip();
        let patient = |number, priority| Instance {
            nopreempt: true,
            ..way.instance(lab, number, priority)
        };
        let mut worse = way.start(lab, 2, &patient(2, 100));
        eventually("it has it", LIMIT, || lab.holders(vip) == [2]);
        let better = patient(1, 200);
        let _better = way.start(lab, 1, &better);
        let interval = Duration::from_secs_f64(better.advert_interval.parse().unwrap());
        let until = Instant::now() + interval * 5;
        while Instant::now() < until {
            assert_eq!(lab.holders(vip), [2], "{way:?}");
        }
        worse.crash();
        eventually("it takes over from nobody", LIMIT, || lab.host(1).has(vip));
    });
}

#[test]
fn of_two_masters_with_equal_priority_the_higher_address_stays() {
    let ways = [
        Way::new(Seawall, Seawall, 2),
        Way::new(Seawall, Keepalived, 3),
        Way::new(Keepalived, Seawall, 2),
        Way::new(Keepalived, Seawall, 3),
    ];
    each(&ways, |way, lab| {
        let vip = way.vip();
        let instance = |number| way.instance(lab, number, 100);
        lab.host(2).isolate();
        let _first = way.start(lab, 1, &instance(1));
        let _second = way.start(lab, 2, &instance(2));
        eventually("both have it", LIMIT, || lab.holders(vip) == [1, 2]);
        lab.host(2).rejoin();
        eventually("the higher one stays", LIMIT, || lab.holders(vip) == [2]);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert_eq!(lab.holders(vip), [2], "{way:?}");
        }
    });
}

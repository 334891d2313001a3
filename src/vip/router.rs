//! One virtual router on the system: its machine, its wire, and the addresses while it has them.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::address::Address;
use super::announce::Announcer;
use super::legacy::{Identity, Legacy, Stood};
use super::link::Link;
use super::machine::{Action, Machine, News, State, Terms};
use super::netlink::Netlink;
use super::packet::{Advert, Auth, Dialect, Refused};
use super::socket::{Arrival, Reach, Wire};
use super::virtual_mac::{Family, VirtualMac};
use crate::config::VipInstance;
use crate::telemetry::metrics::VipMetrics;

/// The shortest life of an address that nobody refreshes.
const SHORTEST_LIFE: Duration = Duration::from_secs(3);
/// Clocks of doors may differ by so much before keyed adverts are taken for old ones, in milliseconds.
const CLOCKS: u64 = 5 * 60 * 1000;
/// How long a door that could not have the addresses leaves them to others before it tries again.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// What is left of the priority of a door that has no node to serve: an eighth keeps the order of doors that all lack them.
const WITHOUT_NODES: u8 = 8;

/// A virtual router as operators see it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its router id.
    pub router_id: u8,
    /// 2 or 3.
    pub version: u8,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// What it advertises, or would.
    pub priority: u8,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The current master.
    pub master: Option<IpAddr>,
    /// Why it is unfit, if it is.
    pub reason: Option<String>,
}

/// One virtual router.
pub struct Router {
    /// As the operator wants it.
    pub config: VipInstance,
    dialect: Dialect,
    /// What it would do.
    pub machine: Machine,
    virtual_mac: bool,
    netlink: Netlink,
    link: Option<Link>,
    /// Whether the system has told of the interface at all.
    seen: bool,
    /// Other interfaces that it needs, and whether they run.
    tracked: HashMap<String, bool>,
    wire: Option<Arc<Wire>>,
    source: Option<IpAddr>,
    held: Vec<Address>,
    hardware: Option<VirtualMac>,
    /// Whether another process left its virtual interface to this one.
    inherits: bool,
    since: SystemTime,
    counters: HashMap<IpAddr, u64>,
    /// That of the last advert of ours.
    counter: u64,
    /// Why it could not have its addresses, and until when it does not try again.
    unable: Option<(String, Instant)>,
    /// Why it is unfit, as it was said last.
    reason: Option<String>,
    /// When the other master was last said to be there.
    two_masters: Option<Instant>,
    metrics: Arc<VipMetrics>,
}

impl Router {
    /// A router that was not started.
    pub fn new(
        config: VipInstance,
        virtual_mac: bool,
        netlink: Netlink,
        metrics: Arc<VipMetrics>,
    ) -> Self {
        let version = config.version.number();
        let auth = match (&config.key, &config.password) {
            (Some(key), _) => Auth::Key(key.expose().as_bytes().to_vec()),
            (None, Some(password)) => Auth::password(password.expose()),
            (None, None) => Auth::None,
        };
        let terms = Terms {
            version,
            interval: config.advert_interval,
            preempt: config.preempt,
            preempt_delay: config.preempt_delay,
        };
        let nobody = IpAddr::from([0, 0, 0, 0]);
        metrics.became(State::Init.slug());
        Router {
            dialect: Dialect {
                version,
                router_id: config.router_id,
                addresses: config.addresses.iter().map(|net| net.addr()).collect(),
                auth,
                unicast: !config.peers.is_empty(),
            },
            machine: Machine::new(terms, nobody, config.priority, Instant::now()),
            tracked: config
                .track_interfaces
                .iter()
                .map(|name| (name.clone(), false))
                .collect(),
            config,
            virtual_mac,
            netlink,
            link: None,
            seen: false,
            wire: None,
            source: None,
            held: Vec::new(),
            hardware: None,
            inherits: false,
            since: SystemTime::now(),
            counters: HashMap::new(),
            counter: 0,
            unable: None,
            reason: None,
            two_masters: None,
            metrics,
        }
    }

    /// For operators.
    pub fn standing(&self) -> Standing {
        Standing {
            name: self.config.name.clone(),
            router_id: self.config.router_id,
            version: self.dialect.version,
            state: self.machine.state(),
            since: self.since,
            priority: self.machine.priority(),
            addresses: self
                .config
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect(),
            master: self.machine.master(),
            reason: self.reason.clone(),
        }
    }

    /// How long its addresses live without a refresh.
    pub fn lifetime(&self) -> Duration {
        SHORTEST_LIFE.max(self.config.advert_interval * 3)
    }

    /// An interface that it needs is now `link`. Returns a new wire to listen to, if it has one.
    pub fn interface(&mut self, name: &str, link: Option<&Link>) -> Option<Arc<Wire>> {
        if let Some(runs) = self.tracked.get_mut(name) {
            *runs = link.is_some_and(|link| link.running);
        }
        if name != self.config.interface {
            return None;
        }
        self.seen = true;
        let source = link.and_then(|link| self.source_on(link));
        if self.link.as_ref() != link {
            self.unable = None;
        }
        let same_link = self.link.as_ref().map(|link| link.index) == link.map(|link| link.index);
        let same = same_link && source == self.source && self.wire.is_some();
        self.link = link.cloned();
        if same {
            return None;
        }
        self.wire = None;
        self.source = source;
        self.open()
    }

    /// Tries again to open the wire that could not be opened.
    pub fn open(&mut self) -> Option<Arc<Wire>> {
        let (Some(link), Some(source), None) = (&self.link, self.source, &self.wire) else {
            return None;
        };
        let reach = match self.config.peers.as_slice() {
            [] => Reach::Multicast,
            peers => Reach::Peers(peers.to_vec()),
        };
        match Wire::open(link, source, &reach) {
            Ok(wire) => {
                let wire = Arc::new(wire);
                self.machine.set_source(source);
                self.wire = Some(wire.clone());
                Some(wire)
            }
            Err(error) => {
                self.say_unfit(&error.to_string());
                None
            }
        }
    }

    fn source_on(&self, link: &Link) -> Option<IpAddr> {
        let shared = &self.dialect.addresses;
        if let Some(source) = self.config.source {
            return link
                .addresses
                .iter()
                .map(|net| net.addr())
                .find(|ip| *ip == source);
        }
        match shared.first()? {
            IpAddr::V4(_) => link.ipv4(shared).map(IpAddr::V4),
            IpAddr::V6(_) => {
                // Peers know this door by an address of the kind that it knows them by.
                let is_local =
                    |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
                let ip = match self.config.peers.iter().any(|peer| !is_local(peer)) {
                    true => link.ipv6(shared),
                    false => link.link_local(shared),
                };
                ip.map(IpAddr::V6)
            }
        }
    }

    /// What keeps it from being master, as far as this router itself is concerned.
    pub fn obstacle(&self) -> Option<String> {
        let name = &self.config.interface;
        let Some(link) = &self.link else {
            return Some(format!("there is no interface {name}"));
        };
        if !link.running {
            return Some(format!("interface {name} is down"));
        }
        if self.source.is_none() {
            return Some(format!(
                "interface {name} has no address to send adverts from"
            ));
        }
        if let Some((name, _)) = self.tracked.iter().find(|(_, runs)| !**runs) {
            return Some(format!("interface {name} is down"));
        }
        if self.wire.is_none() {
            return Some(
                self.reason
                    .clone()
                    .unwrap_or_else(|| "no socket for adverts".to_owned()),
            );
        }
        let (why, until) = self.unable.as_ref()?;
        (Instant::now() < *until).then(|| why.clone())
    }

    /// Whether the system has told of its interface, and it has a wire or will have none soon: it could start.
    pub fn is_prepared(&self) -> bool {
        self.seen && (self.wire.is_some() || self.source.is_none())
    }

    /// Goes on as the router that another process left, if it left this one. To be called before it is started.
    pub fn inherit(&mut self, legacies: &[Legacy], now: Instant) {
        let identity = Identity::of(&self.config, self.virtual_mac);
        let Some(legacy) = legacies.iter().find(|legacy| legacy.identity == identity) else {
            return;
        };
        self.counter = self.counter.max(legacy.counter);
        self.counters.clone_from(&legacy.heard);
        match legacy.stood {
            Stood::Master => {
                self.inherits = true;
                self.machine.inherit(now);
            }
            Stood::Released => self.machine.release(now),
            Stood::Otherwise => {}
        }
    }

    /// What the next process needs to go on with it. The addresses have their whole lifetimes from here.
    pub async fn bequeath(&mut self, now: Instant) -> Legacy {
        self.refresh(now).await;
        self.machine.pause(now);
        self.act().await;
        Legacy {
            identity: Identity::of(&self.config, self.virtual_mac),
            stood: self.machine.state().into(),
            counter: self.counter,
            heard: self.counters.clone(),
        }
    }

    /// Says whether the door as a whole is fit, and why not; `nodes`: whether there is a node to serve.
    pub fn judge(&mut self, trouble: Option<&str>, nodes: bool, now: Instant) {
        if !self.seen {
            return;
        }
        let obstacle = trouble.map(str::to_owned).or_else(|| self.obstacle());
        match &obstacle {
            Some(why) => self.say_unfit(why),
            None => self.reason = None,
        }
        let priority = match nodes {
            true => self.config.priority,
            false => (self.config.priority / WITHOUT_NODES).max(1),
        };
        if self.machine.priority() != priority {
            tracing::info!(
                instance = self.config.name,
                priority,
                nodes,
                "vip priority follows the nodes"
            );
        }
        self.machine.set_priority(priority, now);
        if self.machine.state() == State::Init && obstacle.is_none() {
            self.machine.start(now);
        }
        self.machine.set_fit(obstacle.is_none(), now);
    }

    fn say_unfit(&mut self, why: &str) {
        if self.reason.as_deref() != Some(why) {
            tracing::warn!(
                instance = self.config.name,
                reason = why,
                "vip: this door cannot have the addresses"
            );
            self.reason = Some(why.to_owned());
        }
    }

    /// A packet came in.
    pub fn arrived(&mut self, arrival: &Arrival, now: Instant) {
        match self.read(arrival) {
            Ok(advert) => {
                self.machine
                    .heard(arrival.source, advert.priority, advert.interval, now);
            }
            // Another virtual router on the same wire is nobody's fault.
            Err(Refused::RouterId) => {}
            Err(refused) => self.metrics.refused(refused.slug()),
        }
    }

    fn read(&mut self, arrival: &Arrival) -> Result<Advert, Refused> {
        let Arrival {
            payload,
            source,
            destination,
            ttl,
        } = arrival;
        if !self.config.peers.is_empty() && !self.config.peers.contains(source) {
            return Err(Refused::Stranger);
        }
        let advert = self.dialect.decode(payload, *source, *destination, *ttl)?;
        if self.dialect.version == 2 && advert.interval != self.config.advert_interval {
            return Err(Refused::Interval);
        }
        if matches!(self.dialect.auth, Auth::Key(_)) {
            let last = self.counters.entry(*source).or_default();
            if advert.counter <= *last || advert.counter.abs_diff(millis()) > CLOCKS {
                return Err(Refused::Replay);
            }
            *last = advert.counter;
        }
        Ok(advert)
    }

    /// Does what the machine wants done.
    pub async fn act(&mut self) {
        loop {
            let actions = self.machine.actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::Send(priority) => self.send(priority),
                    Action::Hold => self.hold().await,
                    Action::Drop => self.drop_addresses().await,
                    Action::Announce => self.announce(),
                    Action::Tell(news) => self.tell(news),
                }
            }
        }
    }

    fn send(&mut self, priority: u8) {
        // Above all before, though the clock was set back or two adverts leave within one of its steps.
        self.counter = millis().max(self.counter + 1);
        let (Some(wire), Some(source)) = (&self.wire, self.source) else {
            return;
        };
        let advert = Advert {
            priority,
            interval: self.config.advert_interval,
            counter: self.counter,
        };
        if let Err(error) = wire.send(|to| self.dialect.encode(advert, source, to)) {
            tracing::debug!(instance = self.config.name, %error, "an advert was not sent");
        }
    }

    async fn hold(&mut self) {
        let Some(link) = &self.link else { return };
        let mut index = link.index;
        if self.virtual_mac {
            let family = match self.dialect.addresses.first() {
                Some(IpAddr::V6(_)) => Family::V6,
                _ => Family::V4,
            };
            let (netlink, id) = (&self.netlink, self.config.router_id);
            let left = match std::mem::take(&mut self.inherits) {
                true => VirtualMac::find(netlink, link, family, id).await,
                false => Ok(None),
            };
            let made = match left {
                Ok(Some(left)) => Ok(left),
                Ok(None) | Err(_) => VirtualMac::create(netlink, link, family, id).await,
            };
            match made {
                Ok(hardware) => {
                    index = hardware.link().index;
                    self.hardware = Some(hardware);
                }
                Err(error) => self.complain("cannot have a virtual MAC", &error),
            }
        }
        for net in &self.config.addresses {
            match Address::add(&self.netlink, index, *net, self.lifetime()).await {
                Ok(address) => {
                    if address.is_foreign() {
                        tracing::warn!(instance = self.config.name, address = %net, "the address is there already, and not by Seawall: it stays as it is");
                    }
                    self.held.push(address);
                }
                Err(error) => {
                    self.complain("cannot add an address", &error);
                    let now = Instant::now();
                    self.unable = Some((error.to_string(), now + TRY_AGAIN));
                    // A master without its addresses would keep others from having them.
                    self.machine.set_fit(false, now);
                    return;
                }
            }
        }
    }

    async fn drop_addresses(&mut self) {
        for address in std::mem::take(&mut self.held) {
            if let Err(error) = address.remove().await {
                self.complain("cannot remove an address", &error);
            }
        }
        if let Some(hardware) = self.hardware.take()
            && let Err(error) = hardware.remove().await
        {
            self.complain("cannot remove the virtual MAC", &error);
        }
    }

    fn complain(&self, what: &str, error: &io::Error) {
        tracing::error!(instance = self.config.name, %error, "vip: {what}");
    }

    fn announce(&self) {
        let interface = self
            .hardware
            .as_ref()
            .map_or(&*self.config.interface, |hardware| &hardware.link().name);
        let announced = Announcer::open(interface).and_then(|announcer| {
            let mut addresses = self.held.iter();
            addresses.try_for_each(|address| announcer.announce(address.net().addr()))
        });
        if let Err(error) = announced {
            self.complain("cannot announce the addresses", &error);
        }
    }

    /// Time has passed. An address that has gone meanwhile is noticed before anything is sent: an advert of a master without
    /// one would keep the next door waiting.
    pub fn tick(&mut self, now: Instant) {
        if self.held.iter().any(Address::is_over) {
            self.machine.lapsed(now);
        }
        self.machine.tick(now);
    }

    /// Its wire broke: it has none until [`Router::open`] succeeds.
    pub fn fell_silent(&mut self, broken: &Weak<Wire>) {
        if let Some(wire) = &self.wire
            && std::ptr::eq(Arc::as_ptr(wire), broken.as_ptr())
        {
            self.wire = None;
        }
    }

    /// Refreshes the addresses; one that has gone by itself means that this door was asleep too long.
    pub async fn refresh(&mut self, now: Instant) {
        let mut gone = false;
        for address in &mut self.held {
            match address.refresh().await {
                Ok(there) => gone |= !there,
                Err(error) => {
                    tracing::error!(instance = self.config.name, %error, "vip: cannot refresh an address");
                }
            }
        }
        if gone {
            self.machine.lapsed(now);
        }
    }

    fn tell(&mut self, news: News) {
        let instance = self.config.name.as_str();
        match news {
            News::Became(state) => {
                self.since = SystemTime::now();
                self.metrics.became(state.slug());
                let master = self.machine.master().map(|ip| ip.to_string());
                tracing::info!(instance, state = state.slug(), master, "vip");
            }
            News::TwoMasters { other, yielding } => {
                let now = Instant::now();
                let said = self.two_masters.replace(now);
                if said.is_some_and(|when| now.saturating_duration_since(when) <= SHORTEST_LIFE) {
                    return;
                }
                if yielding {
                    tracing::warn!(instance, %other, "vip: another master is there, too, and has to go; was the network parted?");
                } else {
                    // Every preemption looks like this to the one who goes.
                    tracing::info!(instance, %other, "vip: another master is there, with more right; this door leaves it the addresses");
                }
            }
            News::Froze => {
                tracing::warn!(
                    instance,
                    "vip: this process did not run for so long that another door has the addresses by now"
                );
            }
        }
    }
}

fn millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

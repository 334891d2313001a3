//! The thread that keeps the virtual routers: its deadlines hold whatever the data plane does.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::legacy::{Identity, Legacy};
use super::link::{Link, Watch};
use super::machine::State;
use super::netlink::Netlink;
use super::router::{Router, Standing};
use super::socket::{Arrival, Wire};
use super::steady::Steady;
use crate::config;
use crate::lifecycle::privilege;
use crate::telemetry::metrics::Metrics;

/// How often the door's fitness is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long things must be well before they count as well again: a door that comes and goes is worse than one that is away.
const CALM: Duration = Duration::from_secs(5);
/// How long there must be no node before that counts.
const WITHOUT_NODES: Duration = Duration::from_secs(1);
/// A backup that gets to run so long after its deadline has perhaps been asleep, and not its master.
const LATE: Duration = Duration::from_millis(5);
/// Enough for what waits in sockets to be read.
const MOMENT: Duration = Duration::from_millis(1);
/// Between two tries at what the system refused.
const AGAIN: Duration = Duration::from_secs(1);

/// How fit the door is, at the moment of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// What this door itself lacks: it must not have the addresses then.
    pub trouble: Option<String>,
    /// Whether there is a node to serve. Other doors may lack them as well, so somebody has the addresses all the same.
    pub nodes: bool,
}

/// Asked ten times a second; must not wait.
pub type Physician = Box<dyn Fn(Instant) -> Fitness + Send>;

/// What an operator or the end of the process wants.
enum Order {
    Release,
    Claim,
    Stop,
    /// Begin, with what another process left.
    Inherit(Vec<Legacy>),
    /// Leave these to another process and give the others away.
    Yield(Vec<Identity>, oneshot::Sender<Vec<Legacy>>),
}

/// When the routers take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// From the start.
    Now,
    /// After [`Vip::inherit`]: another process still speaks for them.
    AtWord,
}

/// What comes in from outside.
enum Event {
    Interface(String, Option<Link>),
    Advert(usize, Arrival),
    /// That wire of a router broke.
    Silence(usize, Weak<Wire>),
}

/// The running virtual routers. Dropping it leaves the addresses to their lifetimes; [`Vip::stop`] gives them away.
pub struct Vip {
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    standings: Arc<Mutex<Vec<Standing>>>,
    prepared: Arc<AtomicBool>,
}

impl Vip {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread for it, or no way to ask about interfaces.
    pub fn start(
        config: &config::Vip,
        physician: Physician,
        metrics: &Metrics,
        begin: Begin,
    ) -> io::Result<Self> {
        let prepared = Arc::<AtomicBool>::default();
        let (orders, ordered) = mpsc::channel(16);
        let standings = Arc::<Mutex<Vec<Standing>>>::default();
        let (config, metrics) = (config.clone(), metrics.clone());
        let shown = Shown {
            standings: standings.clone(),
            prepared: prepared.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("seawall-vip".to_owned())
            .spawn(move || {
                if let Err(error) = privilege::keep_addresses() {
                    tracing::warn!(%error, "vip: rights");
                }
                runtime.block_on(async move {
                    match Keeper::new(&config, physician, &metrics, shown, begin) {
                        Ok(keeper) => keeper.run(ordered).await,
                        Err(error) => tracing::error!(%error, "vip: no virtual address"),
                    }
                });
            })?;
        Ok(Vip {
            orders,
            standings,
            prepared,
        })
    }

    /// Every virtual router, in the order of the configuration.
    pub fn standings(&self) -> Vec<Standing> {
        let standings = self.standings.lock();
        standings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this door has any address.
    pub fn is_master(&self) -> bool {
        self.standings()
            .iter()
            .any(|standing| standing.state == State::Master)
    }

    /// Gives every address away until [`Vip::claim`]; returns when that is done.
    pub async fn release(&self) {
        self.order(Order::Release).await;
    }

    /// Takes part again, and takes over from doors of lower priority.
    pub async fn claim(&self) {
        self.order(Order::Claim).await;
    }

    /// Gives every address away and ends the thread.
    pub async fn stop(&self) {
        self.order(Order::Stop).await;
    }

    /// Whether every router knows its interface and could go on with what another process leaves.
    pub fn is_prepared(&self) -> bool {
        self.prepared.load(Ordering::Acquire)
    }

    /// Begins, with what another process left; whatever it did not leave begins as at a start.
    pub async fn inherit(&self, legacies: Vec<Legacy>) {
        self.order(Order::Inherit(legacies)).await;
    }

    /// Falls silent and ends the thread: another process goes on with the routers that have these identities, whose
    /// addresses stay for the rest of their lifetimes. Those of all others are given away.
    pub async fn yield_to(&self, identities: Vec<Identity>) -> Vec<Legacy> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Yield(identities, tell)).await;
        told.await.unwrap_or_default()
    }

    async fn order(&self, order: Order) {
        let (done, wait) = oneshot::channel();
        if self.orders.send((order, done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

/// What others see of the thread.
struct Shown {
    standings: Arc<Mutex<Vec<Standing>>>,
    prepared: Arc<AtomicBool>,
}

/// What the thread keeps.
struct Keeper {
    routers: Vec<Router>,
    virtual_mac: bool,
    /// Whether another process still speaks for the routers.
    waits: bool,
    physician: Physician,
    /// Since when something is wrong with the door, or was last.
    trouble: Steady,
    nodes: Steady,
    shown: Shown,
    events: mpsc::Receiver<Event>,
    tell: mpsc::Sender<Event>,
    /// Who listens on wires and interfaces.
    ears: JoinSet<()>,
}

impl Keeper {
    fn new(
        config: &config::Vip,
        physician: Physician,
        metrics: &Metrics,
        shown: Shown,
        begin: Begin,
    ) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let router = |instance: &config::VipInstance| {
            let numbers = metrics.vip(&instance.name);
            Router::new(
                instance.clone(),
                config.virtual_mac,
                netlink.clone(),
                numbers,
            )
        };
        let routers: Vec<Router> = config.instance.iter().map(router).collect();
        let (tell, events) = mpsc::channel(64);
        let mut ears = JoinSet::new();
        let interfaces: BTreeSet<String> = config
            .instance
            .iter()
            .flat_map(|one| one.track_interfaces.iter().chain([&one.interface]))
            .cloned()
            .collect();
        for name in interfaces {
            ears.spawn(watch(name, tell.clone()));
        }
        Ok(Keeper {
            routers,
            virtual_mac: config.virtual_mac,
            waits: begin == Begin::AtWord,
            physician,
            trouble: Steady::new(Duration::ZERO, CALM),
            nodes: Steady::new(WITHOUT_NODES, CALM),
            shown,
            events,
            tell,
            ears,
        })
    }

    async fn run(mut self, mut ordered: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let life = self
            .routers
            .iter()
            .map(Router::lifetime)
            .min()
            .unwrap_or(AGAIN);
        let mut refresh = tokio::time::interval(life / 3);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self
                .routers
                .iter()
                .filter_map(|router| router.machine.next_deadline())
                .min();
            let deadline = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            let mut done = None;
            tokio::select! {
                biased;
                () = deadline => {
                    self.wake_up().await;
                    self.tick().await;
                }
                Some((order, tell)) = ordered.recv() => {
                    self.tick().await;
                    let over = matches!(order, Order::Stop | Order::Yield(..));
                    self.obey(order).await;
                    done = Some(tell);
                    if over {
                        self.show();
                        let _ = done.take().map(|done| done.send(()));
                        return;
                    }
                }
                Some(event) = self.events.recv() => {
                    // A process that was frozen looks at its clock before it looks at what came meanwhile.
                    self.tick().await;
                    self.happened(event).await;
                }
                _ = refresh.tick() => self.refresh().await,
                _ = look.tick() => self.look().await,
                _ = again.tick() => self.try_again(),
            }
            self.show();
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
    }

    /// After a sleep, masters look at their clocks before they hear who took over meanwhile; backups first hear who
    /// lived on.
    async fn wake_up(&mut self) {
        let now = Instant::now();
        let mut late = false;
        for at in 0..self.routers.len() {
            let Some(router) = self.routers.get(at) else {
                return;
            };
            if router.machine.state() == State::Backup {
                let due = router.machine.next_deadline();
                late |= due.is_some_and(|due| now.saturating_duration_since(due) > LATE);
            } else {
                self.change(at, |router| router.tick(now)).await;
            }
        }
        if late {
            tokio::time::sleep(MOMENT).await;
            while let Ok(event) = self.events.try_recv() {
                self.happened(event).await;
            }
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        for at in 0..self.routers.len() {
            self.change(at, |router| router.tick(now)).await;
        }
    }

    /// Lets one router change, and the others of its group with it.
    async fn change(&mut self, at: usize, change: impl FnOnce(&mut Router)) {
        let Some(router) = self.routers.get_mut(at) else {
            return;
        };
        let before = router.machine.state();
        change(router);
        router.act().await;
        let after = router.machine.state();
        let Some(group) = router.config.sync_group.clone().filter(|_| before != after) else {
            return;
        };
        let now = Instant::now();
        for (other, router) in self.routers.iter_mut().enumerate() {
            if other == at || router.config.sync_group.as_ref() != Some(&group) {
                continue;
            }
            match after {
                State::Fault => router.machine.set_fit(false, now),
                state => router.machine.follow(state, now),
            }
            router.act().await;
        }
    }

    async fn obey(&mut self, order: Order) {
        let now = Instant::now();
        let mut legacies = Vec::new();
        for router in &mut self.routers {
            match &order {
                Order::Release | Order::Stop => router.machine.release(now),
                Order::Claim => router.machine.claim(now),
                Order::Inherit(legacies) => router.inherit(legacies, now),
                Order::Yield(wanted, _) => {
                    if wanted.contains(&Identity::of(&router.config, self.virtual_mac)) {
                        legacies.push(router.bequeath(now).await);
                        continue;
                    }
                    router.machine.release(now);
                }
            }
            router.act().await;
        }
        match order {
            Order::Inherit(_) => self.waits = false,
            // Whoever does not wait any more takes nothing over.
            Order::Yield(_, tell) => drop(tell.send(legacies)),
            Order::Release | Order::Claim | Order::Stop => {}
        }
    }

    async fn happened(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Advert(at, arrival) => {
                self.change(at, |router| router.arrived(&arrival, now))
                    .await;
            }
            Event::Silence(at, wire) => {
                if let Some(router) = self.routers.get_mut(at) {
                    router.fell_silent(&wire);
                }
            }
            Event::Interface(name, link) => {
                for at in 0..self.routers.len() {
                    let Some(router) = self.routers.get_mut(at) else {
                        continue;
                    };
                    if let Some(wire) = router.interface(&name, link.as_ref()) {
                        self.listen(at, wire);
                    }
                }
                self.look().await;
            }
        }
    }

    fn listen(&mut self, at: usize, wire: Arc<Wire>) {
        let tell = self.tell.clone();
        // Ends when the router has another wire, and nobody holds this one but its ear.
        let wire = Arc::downgrade(&wire);
        self.ears.spawn(async move {
            while let Some(open) = wire.upgrade() {
                let heard = tokio::time::timeout(AGAIN, open.receive()).await;
                drop(open);
                let event = match heard {
                    Ok(Ok(arrival)) => Event::Advert(at, arrival),
                    Ok(Err(_)) => Event::Silence(at, wire.clone()),
                    Err(_) => continue,
                };
                let over = matches!(event, Event::Silence(..));
                if tell.send(event).await.is_err() || over {
                    return;
                }
            }
        });
    }

    async fn refresh(&mut self) {
        let now = Instant::now();
        for at in 0..self.routers.len() {
            if let Some(router) = self.routers.get_mut(at) {
                router.refresh(now).await;
            }
            self.change(at, |_| {}).await;
        }
    }

    /// Looks at how fit the door is.
    async fn look(&mut self) {
        self.tick().await;
        let now = Instant::now();
        let Fitness { trouble, nodes } = (self.physician)(now);
        let well = self.trouble.see(trouble.is_none(), now);
        let nodes = self.nodes.see(nodes, now);
        if self.waits {
            return;
        }
        let trouble = (!well)
            .then(|| trouble.unwrap_or_else(|| "this door was not well a moment ago".to_owned()));
        for at in 0..self.routers.len() {
            // All routers of a group are as fit as the least fit of them.
            let group = self
                .routers
                .get(at)
                .and_then(|router| router.config.sync_group.clone());
            let of_group = group.and_then(|group| {
                let mut others = self
                    .routers
                    .iter()
                    .filter(|r| r.config.sync_group.as_ref() == Some(&group));
                others.find_map(Router::obstacle)
            });
            let trouble = trouble.clone().or(of_group);
            self.change(at, |router| router.judge(trouble.as_deref(), nodes, now))
                .await;
        }
    }

    fn try_again(&mut self) {
        for at in 0..self.routers.len() {
            if let Some(wire) = self.routers.get_mut(at).and_then(Router::open) {
                self.listen(at, wire);
            }
        }
    }

    fn show(&self) {
        let standings = self.routers.iter().map(Router::standing).collect();
        let shown = &self.shown.standings;
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = standings;
        let prepared = self.routers.iter().all(Router::is_prepared);
        self.shown.prepared.store(prepared, Ordering::Release);
    }
}

/// Tells what an interface is, now and whenever it changes.
async fn watch(name: String, tell: mpsc::Sender<Event>) {
    loop {
        if let Ok(mut watch) = Watch::open(&name).await {
            let mut link = watch.link().cloned();
            loop {
                if tell
                    .send(Event::Interface(name.clone(), link))
                    .await
                    .is_err()
                {
                    return;
                }
                match watch.changed().await {
                    Ok(changed) => link = changed.cloned(),
                    Err(_) => break,
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

//! What is broken on a node, and how.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// A part of a node that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// `core` of 1.10 and 2.x, `ui` of 1.5.
    Core,
    Registry,
    Database,
    Redis,
    Portal,
    Jobservice,
    Registryctl,
    /// 1.5 only.
    Adminserver,
}

impl Component {
    pub const ALL: [Self; 8] = [
        Self::Core,
        Self::Registry,
        Self::Database,
        Self::Redis,
        Self::Portal,
        Self::Jobservice,
        Self::Registryctl,
        Self::Adminserver,
    ];

    /// The name Harbor's health document gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Registry => "registry",
            Self::Database => "database",
            Self::Redis => "redis",
            Self::Portal => "portal",
            Self::Jobservice => "jobservice",
            Self::Registryctl => "registryctl",
            Self::Adminserver => "adminserver",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }
}

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Ok,
    /// Connections to it are refused.
    Down,
    /// Connections to it are accepted and nothing answers (a stopped process, a black hole).
    Hung,
}

impl Mode {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ok" => Some(Self::Ok),
            "down" => Some(Self::Down),
            "hung" => Some(Self::Hung),
            _ => None,
        }
    }
}

/// A property of the whole node that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Switch {
    /// Tokens are signed and verified with a key pair of this node's own.
    WrongTokenKey,
    /// CSRF tokens are made with a key of this node's own.
    WrongCsrfKey,
    /// The administrator made the system read-only.
    ReadOnly,
    /// Every project is full.
    QuotaExceeded,
    /// The node's nginx replaces X-Forwarded-Proto by its own scheme (stock 1.x templates).
    OverwriteProto,
    /// Pushes and deletions run no policy; their events are lost.
    NoEvents,
}

impl Switch {
    pub const ALL: [Self; 6] = [
        Self::WrongTokenKey,
        Self::WrongCsrfKey,
        Self::ReadOnly,
        Self::QuotaExceeded,
        Self::OverwriteProto,
        Self::NoEvents,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::WrongTokenKey => "wrong-token-key",
            Self::WrongCsrfKey => "wrong-csrf-key",
            Self::ReadOnly => "read-only",
            Self::QuotaExceeded => "quota-exceeded",
            Self::OverwriteProto => "overwrite-proto",
            Self::NoEvents => "no-events",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// A core that works, but not well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BrownOut {
    /// How much longer it takes for every answer.
    pub slower: Duration,
    /// How many of its requests, from 0 to 1, find that it has just crashed: nginx answers 502 for it at once.
    pub failing: f64,
}

/// The state of all switches of one node.
pub struct Faults {
    brown_out: Mutex<BrownOut>,
    modes: Vec<watch::Sender<Mode>>,
    switches: Vec<AtomicBool>,
}

impl Faults {
    pub fn none() -> Self {
        Self {
            brown_out: Mutex::default(),
            modes: Component::ALL
                .iter()
                .map(|_| watch::Sender::new(Mode::Ok))
                .collect(),
            switches: Switch::ALL.iter().map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub fn of(&self, component: Component) -> Mode {
        *self.modes[component as usize].borrow()
    }

    pub fn set(&self, component: Component, mode: Mode) {
        self.modes[component as usize].send_replace(mode);
    }

    pub fn on(&self, switch: Switch) -> bool {
        self.switches[switch as usize].load(Ordering::SeqCst)
    }

    pub fn switch(&self, switch: Switch, on: bool) {
        self.switches[switch as usize].store(on, Ordering::SeqCst);
    }

    pub fn brown_out(&self) -> BrownOut {
        *self.brown_out.lock().unwrap()
    }

    pub fn set_brown_out(&self, brown_out: BrownOut) {
        *self.brown_out.lock().unwrap() = brown_out;
    }

    /// Returns once the component is as told.
    pub async fn becomes(&self, component: Component, mode: Mode) {
        let mut watch = self.modes[component as usize].subscribe();
        let _ = watch.wait_for(|now| *now == mode).await;
    }

    /// Returns once the component is no longer hung; at once if it is not.
    pub async fn unhung(&self, component: Component) -> Mode {
        let mut watch = self.modes[component as usize].subscribe();
        let seen = watch
            .wait_for(|now| *now != Mode::Hung)
            .await
            .map(|mode| *mode);
        match seen {
            Ok(mode) => mode,
            Err(_) => std::future::pending().await,
        }
    }
}

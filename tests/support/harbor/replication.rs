//! Harbor's own replication: registries, policies, and executions that copy through the other side's registry API.
//!
//! It fails as Harbor's does. An event whose execution finds the other side down is lost: the execution ends `Failed`
//! with no task and is never repeated. What is copied fires events there; the echo ends because the digest is equal.

pub mod api;
pub mod api15;
mod copy;
mod pattern;
mod peer;
mod policy;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::AbortHandle;

use super::faults::Switch;
use super::{Dialect, Harbor};
use peer::Peer;
pub use policy::{Artifact, Deleted, Policy};

/// How replication of a node behaves.
#[derive(Clone, Debug)]
pub struct Replicating {
    /// From an event to its execution's first request.
    pub delay: Duration,
    /// From one try of a job to the next; there are three.
    pub retry: Duration,
    /// Whether tokens are asked for where the challenge says, at the public URL (1.x, 2.9), or at the other side's own
    /// address (as late 2.x says in its challenge to whoever calls it by that address).
    pub follows_realm: bool,
}

impl Default for Replicating {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(50),
            retry: Duration::from_millis(100),
            follows_realm: false,
        }
    }
}

/// A registry that is replicated to; a target of 1.5.
#[derive(Clone, Debug)]
pub struct Remote {
    pub id: u64,
    pub name: String,
    pub url: String,
    pub insecure: bool,
    pub user: String,
    pub secret: String,
    pub created: String,
}

/// One copy or deletion; a job of 1.5.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: u64,
    pub artifact: Artifact,
    pub status: &'static str,
    pub start: String,
    pub end: Option<String>,
    /// Why it failed.
    pub log: String,
}

/// One run of a policy.
#[derive(Clone, Debug)]
pub struct Execution {
    pub id: u64,
    pub policy: u64,
    pub trigger: &'static str,
    pub status: &'static str,
    pub status_text: String,
    pub start: String,
    pub end: Option<String>,
    pub tasks: Vec<Task>,
}

impl Execution {
    /// How many tasks are so.
    pub fn count(&self, status: &str) -> usize {
        self.tasks
            .iter()
            .filter(|task| task.status == status)
            .count()
    }

    fn finish(&mut self, status: &'static str, why: &str) {
        if self.end.is_none() {
            self.status = status;
            why.clone_into(&mut self.status_text);
            self.end = Some(now());
        }
    }
}

/// What is kept in the database about replication.
#[derive(Default)]
pub struct State {
    pub remotes: BTreeMap<u64, Remote>,
    pub policies: BTreeMap<u64, Policy>,
    pub executions: BTreeMap<u64, Execution>,
    last: u64,
}

impl State {
    /// An id that nothing has.
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The replication of one node.
pub struct Replication {
    node: Weak<Harbor>,
    state: Mutex<State>,
    running: Mutex<HashMap<u64, AbortHandle>>,
}

impl Replication {
    pub fn of(node: Weak<Harbor>) -> Self {
        Self {
            node,
            state: Mutex::default(),
            running: Mutex::default(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never poisoned")
    }

    /// An artifact was pushed or deleted: policies of events are run.
    pub fn event(&self, artifact: &Artifact) {
        let Some(harbor) = self.node.upgrade() else {
            return;
        };
        if harbor.faults.on(Switch::NoEvents) {
            return;
        }
        let policies: Vec<Policy> = self.state().policies.values().cloned().collect();
        for policy in policies {
            let wanted = artifact.deleted == Deleted::No || policy.replicates_deletion;
            if !policy.enabled || !policy.event_based || !wanted {
                continue;
            }
            if let Some(chosen) = policy.choose(artifact.clone(), harbor.options.dialect) {
                let delay = harbor.options.replication.delay;
                self.run(&harbor, policy, "event_based", vec![chosen], delay);
            }
        }
    }

    /// Runs a policy on everything it chooses. Returns the execution's id.
    pub fn run_whole(&self, policy: Policy) -> Option<u64> {
        let harbor = self.node.upgrade()?;
        let chosen = policy.chosen(&harbor.store, harbor.options.dialect);
        Some(self.run(&harbor, policy, "manual", chosen, Duration::ZERO))
    }

    fn run(
        &self,
        harbor: &Arc<Harbor>,
        policy: Policy,
        trigger: &'static str,
        artifacts: Vec<Artifact>,
        delay: Duration,
    ) -> u64 {
        let id = {
            let mut state = self.state();
            let id = state.next();
            let execution = Execution {
                id,
                policy: policy.id,
                trigger,
                status: "InProgress",
                status_text: String::new(),
                start: now(),
                end: None,
                tasks: Vec::new(),
            };
            state.executions.insert(id, execution);
            id
        };
        let harbor = harbor.clone();
        let work = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            execute(&harbor, id, &policy, artifacts).await;
            harbor.replication.running().remove(&id);
        });
        self.running().insert(id, work.abort_handle());
        id
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.running.lock().expect("never poisoned")
    }

    /// Ends an execution where it is.
    pub fn stop(&self, id: u64) {
        if let Some(work) = self.running().remove(&id) {
            work.abort();
        }
        self.change(id, |execution| {
            for task in &mut execution.tasks {
                if task.end.is_none() {
                    task.status = "Stopped";
                    task.end = Some(now());
                }
            }
            execution.finish("Stopped", "");
        });
    }

    /// The node dies: what runs is lost, and nobody takes it up again.
    pub fn die(&self) {
        for (id, work) in self.running().drain() {
            work.abort();
            self.change(id, |execution| {
                for task in &mut execution.tasks {
                    if task.end.is_none() {
                        task.status = "Failed";
                        task.end = Some(now());
                    }
                }
                execution.finish("Failed", "the node went down");
            });
        }
    }

    fn change(&self, id: u64, how: impl FnOnce(&mut Execution)) {
        if let Some(execution) = self.state().executions.get_mut(&id) {
            how(execution);
        }
    }
}

async fn execute(harbor: &Harbor, id: u64, policy: &Policy, artifacts: Vec<Artifact>) {
    let replication = &harbor.replication;
    let fail = |why: &str| replication.change(id, |execution| execution.finish("Failed", why));
    let remote = replication.state().remotes.get(&policy.to).cloned();
    let Some(remote) = remote else {
        return fail("the registry is not there any more");
    };
    let peer = Peer::new(harbor, &remote);
    // 1.5 makes its jobs without looking.
    if harbor.options.dialect != Dialect::Harbor15 {
        if let Err(why) = peer.reach().await {
            return fail(&why);
        }
        if let Err(why) = prepare(harbor, &peer, &artifacts).await {
            return fail(&why);
        }
    }
    let tasks: Vec<Task> = {
        let mut state = replication.state();
        let task = |artifact| Task {
            id: state.next(),
            artifact,
            status: "Pending",
            start: now(),
            end: None,
            log: String::new(),
        };
        artifacts.into_iter().map(task).collect()
    };
    replication.change(id, |execution| execution.tasks.clone_from(&tasks));
    for (at, task) in tasks.iter().enumerate() {
        let note = |status: &'static str, log: &str| {
            replication.change(id, |execution| {
                if let Some(task) = execution.tasks.get_mut(at) {
                    task.status = status;
                    log.clone_into(&mut task.log);
                    let ended = matches!(status, "Succeed" | "Failed");
                    task.end = ended.then(now);
                }
            });
        };
        note("InProgress", "");
        let mut tries = 1;
        loop {
            match perform(harbor, &peer, policy, &task.artifact).await {
                Ok(()) => break note("Succeed", ""),
                Err(why) if tries == 3 => break note("Failed", &why),
                Err(why) => note("Retrying", &why),
            }
            tries += 1;
            tokio::time::sleep(harbor.options.replication.retry).await;
        }
    }
    replication.change(id, |execution| {
        if execution.count("Failed") == 0 {
            execution.finish("Succeed", "");
        } else {
            execution.finish("Failed", "some tasks failed");
        }
    });
}

/// Makes the projects at the other side that copies go to.
async fn prepare(harbor: &Harbor, peer: &Peer, artifacts: &[Artifact]) -> Result<(), String> {
    let copied = artifacts.iter().filter(|one| one.deleted == Deleted::No);
    let mut projects: Vec<&str> = copied
        .filter_map(|one| one.repository.split('/').next())
        .collect();
    projects.sort_unstable();
    projects.dedup();
    for project in projects {
        let public = harbor.store.project(project).is_some_and(|p| p.public);
        peer.prepare(project, public).await?;
    }
    Ok(())
}

async fn perform(
    harbor: &Harbor,
    peer: &Peer,
    policy: &Policy,
    artifact: &Artifact,
) -> Result<(), String> {
    if artifact.deleted != Deleted::No {
        return peer.delete(artifact).await;
    }
    if harbor.options.dialect == Dialect::Harbor15 {
        prepare(harbor, peer, std::slice::from_ref(artifact)).await?;
    }
    copy::copy(harbor, peer, artifact, policy.overrides).await
}

fn now() -> String {
    super::time::json(SystemTime::now())
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

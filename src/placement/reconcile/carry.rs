//! Harbor's own replication, run for exactly what a peer lacks: a policy that is made, run and deleted.

use std::time::{Duration, Instant};

use super::speak::{Speaker, Trouble};
use crate::config::Url;
use crate::harbor::dialect::Dialect;
use crate::harbor::replication::policy::{self, Course, Policy, Remote, Wanted};
use crate::placement::journal::entry;

/// What our policies and registries begin with.
const PREFIX: &str = "seawall-reconcile-";
/// How long an execution may take: a large image over a slow line.
const LONGEST: Duration = Duration::from_secs(3600);
/// From one look at an execution to the next, at first.
const SOON: Duration = Duration::from_millis(200);
/// The same at last.
const LATE: Duration = Duration::from_secs(5);

/// The peer that is copied to.
pub struct Peer<'p> {
    /// Its storage.
    pub store: &'p str,
    /// The addresses of its nodes, the one first that is to be used.
    pub urls: Vec<Url>,
    /// The account there.
    pub user: &'p str,
    /// Its password.
    pub password: &'p str,
}

impl Peer<'_> {
    /// What our policies and registries for it begin with: only who reconciles this storage makes any.
    fn prefix(&self) -> String {
        format!("{PREFIX}{}-", entry::id(self.store, ""))
    }

    /// Whether a registry of a Harbor is this peer.
    pub fn is(&self, remote: &Remote) -> bool {
        let Ok(url) = remote.url.trim_end_matches('/').parse::<Url>() else {
            return false;
        };
        let same = |own: &Url| (own.https, &own.host, own.port) == (url.https, &url.host, url.port);
        self.urls.iter().any(same)
    }
}

/// Deletes what a door left behind that crashed while it copied to `peer`.
///
/// # Errors
/// See [`Trouble`].
pub async fn tidy(source: &Speaker, peer: &Peer<'_>) -> Result<Vec<Policy>, Trouble> {
    let prefix = peer.prefix();
    let mut policies = list_policies(source).await?;
    for left in policies.extract_if(.., |one| one.name.starts_with(&prefix)) {
        tracing::info!(node = %source.node.name, policy = left.name, "the journal deletes a policy that was left behind");
        drop_policy(source, left.id, 0).await;
    }
    let remotes = list_remotes(source).await?;
    for left in remotes.iter().filter(|one| one.name.starts_with(&prefix)) {
        // One that is in use says so, and is tried again the next time.
        let _ = source
            .ask(&policy::remove_remote(source.dialect, left.id))
            .await;
    }
    Ok(policies)
}

/// The policies of a node.
///
/// # Errors
/// See [`Trouble`].
pub async fn list_policies(source: &Speaker) -> Result<Vec<Policy>, Trouble> {
    let call = |page| policy::policies(source.dialect, page);
    source.pages(call, policy::policies_listed).await
}

/// The other Harbors that a node knows.
///
/// # Errors
/// See [`Trouble`].
pub async fn list_remotes(source: &Speaker) -> Result<Vec<Remote>, Trouble> {
    let call = |page| policy::remotes(source.dialect, page);
    source.pages(call, policy::remotes_listed).await
}

/// A way from a node to a peer; `made`: by us, and to be deleted.
pub struct Way {
    to: u64,
    made: bool,
}

/// Finds the registry of `source` that is the peer, or makes one.
///
/// # Errors
/// See [`Trouble`].
pub async fn open(source: &Speaker, peer: &Peer<'_>) -> Result<Way, Trouble> {
    let remotes = list_remotes(source).await?;
    if let Some(known) = remotes.iter().find(|remote| peer.is(remote)) {
        return Ok(Way {
            to: known.id,
            made: false,
        });
    }
    let name = format!("{}peer", peer.prefix());
    let url = peer
        .urls
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let call = policy::add_remote(source.dialect, &name, &url, peer.user, peer.password);
    let made = match source.need(&call).await?.made {
        Some(id) => Some(id),
        // Some proxies eat the Location.
        None => {
            let all = list_remotes(source).await?;
            all.iter().find(|one| one.name == name).map(|one| one.id)
        }
    };
    let to = made.ok_or_else(|| source.odd("no registry was made", &call))?;
    tracing::info!(node = %source.node.name, registry = name, url, "the journal made a registry for its peer");
    Ok(Way { to, made: true })
}

/// Deletes what [`open`] made.
pub async fn close(source: &Speaker, way: Way) {
    if way.made {
        let call = policy::remove_remote(source.dialect, way.to);
        if let Err(trouble) = source.ask(&call).await {
            tracing::warn!(%trouble, "the journal could not delete its registry; it tries again");
        }
    }
}

/// Copies these tags of a repository, and returns when Harbor says that it is done or why it is not.
///
/// # Errors
/// Why they may not be there, in words.
pub async fn copy(
    source: &Speaker,
    peer: &Peer<'_>,
    way: &Way,
    repository: &str,
    tags: &[&str],
) -> Result<(), Trouble> {
    let project = match source.dialect {
        Dialect::Harbor15 => project(source, repository).await?,
        _ => 0,
    };
    // Patterns of 1.5 have no alternatives.
    let at_once = match source.dialect {
        Dialect::Harbor15 => 1,
        _ => tags.len().max(1),
    };
    for tags in tags.chunks(at_once) {
        let number = fastrand::u64(..) >> 16;
        let name = format!("{}{number:012x}", peer.prefix());
        let wanted = Wanted {
            name: &name,
            repository,
            project,
            tags,
            to: way.to,
        };
        run(source, &wanted).await?;
    }
    Ok(())
}

async fn project(source: &Speaker, repository: &str) -> Result<u64, Trouble> {
    let name = repository.split('/').next().unwrap_or_default();
    let all = source.projects().await?;
    let found = all.iter().find(|project| project.name == name);
    found.map(|project| project.id).ok_or_else(|| {
        let what = format!("no project {name}");
        Trouble::Said(source.node.name.to_string(), what, "projects".to_owned())
    })
}

async fn run(source: &Speaker, wanted: &Wanted<'_>) -> Result<(), Trouble> {
    let dialect = source.dialect;
    let call = policy::add_policy(dialect, wanted);
    let id = match source.need(&call).await?.made {
        Some(id) => id,
        None => {
            let all = list_policies(source).await?;
            let own = all.iter().find(|one| one.name == wanted.name);
            own.map(|one| one.id)
                .ok_or_else(|| source.odd("no policy was made", &call))?
        }
    };
    let (repository, tags) = (wanted.repository, wanted.tags.join(","));
    tracing::info!(node = %source.node.name, policy = wanted.name, repository, tags, "the journal runs a replication");
    let mut execution = 0;
    let ended = follow(source, id, &mut execution).await;
    drop_policy(source, id, if ended.is_ok() { 0 } else { execution }).await;
    ended
}

/// Runs a policy and waits for the end of it.
async fn follow(source: &Speaker, policy: u64, execution: &mut u64) -> Result<(), Trouble> {
    let dialect = source.dialect;
    let call = policy::run(dialect, policy);
    let started = source.need(&call).await?;
    if dialect != Dialect::Harbor15 {
        *execution = started
            .made
            .ok_or_else(|| source.odd("no execution was made", &call))?;
    }
    let began = Instant::now();
    let mut pause = SOON;
    while began.elapsed() < LONGEST {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LATE);
        let call = policy::poll(dialect, policy, *execution);
        let heard = match source.need(&call).await {
            Ok(heard) => heard,
            // It runs on without us; only a node that stays away ends this.
            Err(Trouble::Away(..)) if began.elapsed() < LONGEST / 60 => continue,
            Err(trouble) => return Err(trouble),
        };
        match policy::course(dialect, &heard.body) {
            Some(Course::Runs) => {}
            Some(Course::Done) => return Ok(()),
            Some(Course::Failed(why)) => return Err(source.odd(&why, &call)),
            None => return Err(source.odd("nothing of Harbor", &call)),
        }
    }
    Err(source.odd("nothing new for an hour; it was stopped", &call))
}

/// Deletes a policy of ours. One that runs is stopped first, where its execution is known.
async fn drop_policy(source: &Speaker, policy: u64, execution: u64) {
    let dialect = source.dialect;
    for attempt in 1..=3 {
        if execution > 0 || attempt > 1 {
            let _ = source.ask(&policy::stop(dialect, policy, execution)).await;
        }
        match source.ask(&policy::remove_policy(dialect, policy)).await {
            Ok(_) => return,
            Err(trouble) if attempt == 3 => {
                tracing::warn!(%trouble, "the journal could not delete its policy; it tries again");
            }
            Err(_) => tokio::time::sleep(LATE / 5).await,
        }
    }
}

//! Brings to a peer what it missed: what the journal has, by Harbor's own replication, and nothing else.
//!
//! One task for each storage ([`feed`]) waits until the storage is well and asks both sides about every entry ([`look`];
//! [`judge`] decides what is to become of it), has what is missing copied and deleted ([`deliver`], by means of [`carry`]), and
//! checks before an entry is over. After an outage, and at start, it compares the storages for what no journal saw
//! ([`compare`]). Of several doors one does it at a time ([`lease`]). [`share`] keeps the doors' journals alike.

mod carry;
mod compare;
mod deliver;
mod feed;
mod judge;
mod lease;
mod look;
mod patience;
mod share;
mod speak;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinSet;

use self::speak::Speaker;
use super::Placement;
use super::journal::Journal;
use super::journal::entry::Entry;
use super::layout::Layout;
use crate::config;
use crate::harbor::class::Class;
use crate::harbor::dialect::Dialect;
use crate::session::Sessions;
use crate::telemetry::metrics::JournalMetrics;
use crate::upstream::backend::Backend;
use crate::upstream::cluster::Cluster;
use crate::upstream::probe;

/// What it takes to reconcile.
pub struct Means {
    /// Where the nodes' data are, and what is to be brought.
    pub placement: Arc<Placement>,
    /// The nodes.
    pub cluster: Arc<Cluster>,
    /// What sticks, and the store behind it.
    pub sessions: Arc<Sessions>,
    /// How the operator wants it.
    pub config: config::Journal,
    /// The account for it.
    pub account: Option<config::Account>,
    /// The same as probes know it: whether nodes take it.
    pub standing: Option<Arc<probe::Account>>,
    /// `host[:port]` that clients use, and whether by https.
    pub public: Option<(HeaderValue, bool)>,
    /// How long the nodes' own replication may take, where nobody can look.
    pub settled_after: Duration,
    /// The counters.
    pub metrics: Arc<JournalMetrics>,
}

impl Means {
    fn journal(&self) -> &Journal {
        &self.placement.journal
    }

    fn layout(&self) -> Arc<Layout> {
        self.placement.layout().clone()
    }

    /// Whether Seawall may do it itself.
    fn account(&self) -> Option<&config::Account> {
        let refused = |known: &Arc<probe::Account>| known.credentials().is_none();
        let usable = self.config.reconcile && !self.standing.as_ref().is_some_and(refused);
        self.account.as_ref().filter(|_| usable)
    }

    /// The nodes of a storage that are well, by their place.
    fn well(&self, store: usize) -> impl Iterator<Item = &Arc<Backend>> {
        let nodes = self.layout().nodes_of(store);
        nodes
            .places()
            .filter_map(|place| self.cluster.members().get(place))
            .filter(|node| {
                let standing = &node.standing;
                standing.probed() && standing.reachable() && standing.serves(Class::ManifestWrite)
            })
    }

    /// A node of a storage to speak to.
    fn speaker(&self, store: usize) -> Option<Speaker> {
        let _usable = self.account()?;
        let standing = self.standing.as_ref()?;
        self.well(store).find_map(|node| {
            // Only in Harbor 2 do probes find out whether it is good; a wrong password is tried by them alone there.
            let credentials = match node.standing.dialect()? {
                Dialect::Harbor2 => standing.proven()?,
                _ => standing.credentials()?,
            };
            Speaker::new(node.clone(), credentials.clone(), self.public.clone())
        })
    }

    /// The place of a storage.
    fn place(&self, store: &str) -> Option<usize> {
        let layout = self.layout();
        layout.stores.iter().position(|one| one.name == store)
    }

    /// What a person must run who has to do it without us.
    fn advice(&self, entry: &Entry, store: &str) -> String {
        let address = |store: &str| {
            let nodes = self.place(store).map(|place| self.layout().nodes_of(place));
            let first = nodes.and_then(|nodes| nodes.places().next());
            let node = first.and_then(|first| self.cluster.members().get(first));
            node.map_or_else(String::new, |node| {
                format!("{} ({})", node.name, node.url())
            })
        };
        let (from, to) = (address(&entry.store), address(store));
        let old = self
            .cluster
            .members()
            .iter()
            .any(|node| node.standing.dialect() == Some(Dialect::Harbor15));
        let Entry {
            repository,
            reference,
            id,
            ..
        } = entry;
        let what = match (entry.digest(), entry.is_by_digest()) {
            (None, _) if reference.is_empty() => format!(
                "delete repository {repository} at {to} unless it was pushed to there since"
            ),
            (None, _) => format!(
                "delete {reference} of {repository} at {to} unless it was pushed to there since"
            ),
            (Some(digest), true) => {
                format!("give {digest} of {repository} a tag at {from} and replicate that to {to}")
            }
            (Some(_), false) => {
                let short = repository.split_once('/').map_or("", |(_, short)| short);
                let name = if old { short } else { repository };
                format!(
                    "run at {from} a manual replication policy to {to} that overrides, with the filters name `{name}` and tag `{reference}`"
                )
            }
        };
        format!("{what}; then `seawall journal forget {id}`")
    }
}

/// Starts everything; dropping the set ends it. Needs a tokio runtime.
pub fn start(means: Means) -> JoinSet<()> {
    let means = Arc::new(means);
    let mut tasks = JoinSet::new();
    if !means.journal().read(super::journal::table::Table::serves) {
        return tasks;
    }
    tasks.spawn(share::run(means.clone()));
    for place in 0..means.layout().stores.len() {
        tasks.spawn(feed::run(means.clone(), place));
    }
    tasks
}

//! Who writes a project where the nodes have data of their own.
//!
//! All doors choose alike before they talk: by the hash of the project. A choice that was made is remembered, here and in
//! the session store, so that it stays when nodes are added; it moves when its node cannot take pushes any more, and then
//! it stays where it went, since that node has what came last.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::layout::Layout;
use crate::session::key::{Key, Kind};
use crate::session::{Recalled, Sessions};

/// How long a door goes by what it last heard before it asks the store again: long enough for the requests of one push
/// that come at once, too short for a node to die at another door and to come back.
const FRESH: Duration = Duration::from_millis(100);
/// Projects that are kept at hand; beyond them all are looked up anew.
const MOST: usize = 20_000;

/// Who writes which project, as far as this door knows.
#[derive(Default)]
pub struct Writers {
    known: Mutex<HashMap<Box<str>, Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    /// The hash of the name of a node of the storage.
    seed: u64,
    heard: Instant,
}

impl Writers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, project: &str, known: Known) {
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(project) {
            all.clear();
        }
        all.insert(project.into(), known);
    }

    /// The place of the storage that writes `project`, by what this door knows, for a request that only reads.
    pub fn remembered(&self, layout: &Layout, sessions: &Sessions, project: &str) -> Option<usize> {
        let heard = self.lock().get(project).map(|known| known.seed);
        let seed = heard.or_else(|| {
            let entry = sessions.remembered(&key(project))?;
            Some(entry.seed)
        });
        seed.and_then(|seed| writer(layout, seed))
            .or_else(|| layout.writers(project).first().copied())
    }

    /// The place of the storage that writes `project`, for a request that writes: another door may have moved it a moment
    /// ago.
    pub async fn of(&self, layout: &Layout, sessions: &Sessions, project: &str) -> Option<usize> {
        let now = Instant::now();
        let known = self.lock().get(project).copied();
        let fresh = |known: &Known| now.saturating_duration_since(known.heard) < FRESH;
        if let Some(place) = known
            .filter(fresh)
            .and_then(|known| writer(layout, known.seed))
        {
            return Some(place);
        }
        if let Recalled::Known(entry) = sessions.ask(key(project)).await {
            self.keep(
                project,
                Known {
                    seed: entry.seed,
                    heard: now,
                },
            );
            if let Some(place) = writer(layout, entry.seed) {
                return Some(place);
            }
        }
        self.remembered(layout, sessions, project)
    }

    /// Remembers that the storage at `place` took a push of `project`.
    pub async fn wrote(&self, layout: &Layout, sessions: &Sessions, project: &str, place: usize) {
        let known = self.lock().get(project).copied();
        if known.is_some_and(|known| writer(layout, known.seed) == Some(place)) {
            return;
        }
        self.settle(layout, sessions, project, place).await;
    }

    /// Lets the storage at `place` write `project` from now on, and says so to the other doors.
    pub async fn settle(&self, layout: &Layout, sessions: &Sessions, project: &str, place: usize) {
        let Some(node) = layout.head(place) else {
            return;
        };
        let known = Known {
            seed: crate::balance::hash(node.as_bytes()),
            heard: Instant::now(),
        };
        self.keep(project, known);
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        sessions.bind(key(project), node, nowhere, true).await;
    }
}

fn key(project: &str) -> Key {
    Key::new(Kind::Writer, project)
}

/// The storage of a node, if it may write.
fn writer(layout: &Layout, seed: u64) -> Option<usize> {
    let place = layout.store_of(layout.node(seed)?)?;
    layout.stores.get(place)?.writes.then_some(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;
    use crate::config::{Affinity, Sessions as Wanted};
    use std::sync::Arc;

    fn sessions() -> Sessions {
        Sessions::new(
            &Wanted::default(),
            &Affinity::default(),
            None,
            Arc::default(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_project_stays_with_the_one_that_took_its_push_when_nodes_are_added() {
        let (before, after) = (
            layout("replicated", &["", ""]),
            layout("replicated", &["", "", "", ""]),
        );
        let (writers, sessions) = (Writers::default(), sessions());
        let moving = (0..100)
            .map(|number| format!("team-{number}"))
            .find(|project| before.writers(project)[0] != after.writers(project)[0])
            .unwrap();
        let first = writers.of(&before, &sessions, &moving).await.unwrap();
        writers.wrote(&before, &sessions, &moving, first).await;
        assert_eq!(writers.of(&after, &sessions, &moving).await, Some(first));
        assert_eq!(
            Writers::default().remembered(&after, &sessions, &moving),
            Some(first)
        );
    }

    #[tokio::test]
    async fn a_project_that_moved_stays_where_it_went() {
        let layout = layout("replicated", &["", ""]);
        let (writers, sessions) = (Writers::default(), sessions());
        let first = writers.of(&layout, &sessions, "team").await.unwrap();
        let other = 1 - first;
        writers.settle(&layout, &sessions, "team", other).await;
        assert_eq!(writers.of(&layout, &sessions, "team").await, Some(other));
        assert_eq!(writers.remembered(&layout, &sessions, "team"), Some(other));
    }

    #[tokio::test]
    async fn a_writer_that_may_not_write_any_more_is_none() {
        let before = layout("primary-replica", &["role = \"primary\"", ""]);
        let after = layout("primary-replica", &["", "role = \"primary\""]);
        let (writers, sessions) = (Writers::default(), sessions());
        writers.settle(&before, &sessions, "team", 0).await;
        assert_eq!(writers.of(&after, &sessions, "team").await, Some(1));
    }
}

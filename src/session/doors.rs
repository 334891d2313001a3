//! What doors tell each other through the store: one small document that each of them reads and writes every second.
//!
//! Two doors that write at the same moment lose a word of each other, and find it again a second later.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::word::Word;

/// A door that has not been heard of for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// The largest document that is read.
const LONGEST: usize = 512 * 1024;

/// What a door says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its nodes, with their addresses.
    pub nodes: BTreeMap<String, String>,
    /// Requests that it has running on each, where there are any.
    pub busy: BTreeMap<String, u32>,
}

/// The same in the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    /// When, in milliseconds since 1970, by its own clock.
    at: u64,
    /// Tells two runs, or two doors of one name, apart.
    run: u64,
    #[serde(flatten)]
    report: Report,
}

/// The document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    doors: BTreeMap<String, Said>,
    /// The operator's words.
    #[serde(default)]
    pub(super) words: BTreeMap<String, Word>,
}

impl Document {
    /// What the store has. `None`: nobody of us wrote that.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LONGEST {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }

    /// The value to write.
    pub(super) fn to_value(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// Another door as this one sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// What it calls itself.
    pub door: String,
    /// How its cluster differs from ours, in words; nothing when they agree.
    pub differs: Option<String>,
    /// Requests that it has running on each node.
    pub busy: BTreeMap<String, u32>,
}

struct Heard {
    said: Said,
    /// When it last said something new, by our clock.
    when: Instant,
}

/// The other doors.
pub struct Doors {
    run: u64,
    heard: Mutex<BTreeMap<String, Heard>>,
    peers: Mutex<Vec<Peer>>,
    namesake: Mutex<bool>,
}

impl Default for Doors {
    fn default() -> Self {
        Doors {
            // Fits into what every reader of JSON takes for a number.
            run: fastrand::u64(1..1 << 52),
            heard: Mutex::default(),
            peers: Mutex::default(),
            namesake: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Doors {
    /// The other doors that have been heard of lately.
    pub fn peers(&self) -> Vec<Peer> {
        lock(&self.peers).clone()
    }

    /// Requests that other doors have running on `node`.
    pub fn busy(&self, node: &str) -> u32 {
        let peers = lock(&self.peers);
        peers.iter().filter_map(|peer| peer.busy.get(node)).sum()
    }

    /// Nobody can be heard any more.
    pub(super) fn deaf(&self) {
        lock(&self.peers).clear();
    }

    /// Takes in what others said and writes what `door` has to say, at `at` of its clock.
    pub(super) fn exchange(
        &self,
        document: &mut Document,
        door: &str,
        report: &Report,
        at: u64,
        now: Instant,
    ) {
        let mut heard = lock(&self.heard);
        for (name, said) in &document.doors {
            let known = heard.get(name).is_some_and(|heard| heard.said == *said);
            if !known {
                let said = said.clone();
                heard.insert(name.clone(), Heard { said, when: now });
            }
        }
        heard.retain(|_, heard| now.saturating_duration_since(heard.when) < SILENCE);
        document.doors.retain(|name, _| heard.contains_key(name));
        self.look_for_namesake(heard.get(door), door);
        let peers = heard
            .iter()
            .filter(|(name, _)| *name != door)
            .map(|(name, heard)| Peer {
                door: name.clone(),
                differs: difference(&report.nodes, &heard.said.report.nodes),
                busy: heard.said.report.busy.clone(),
            })
            .collect();
        drop(heard);
        self.tell(peers);
        let said = Said {
            at,
            run: self.run,
            report: report.clone(),
        };
        document.doors.insert(door.to_owned(), said);
    }

    /// Says once what changed about the others.
    fn tell(&self, peers: Vec<Peer>) {
        let mut known = lock(&self.peers);
        for peer in &peers {
            let before = known.iter().find(|old| old.door == peer.door);
            if before.is_none() {
                tracing::info!(door = peer.door, "another door shares the session store");
            }
            if before.and_then(|old| old.differs.as_ref()) == peer.differs.as_ref() {
                continue;
            }
            match &peer.differs {
                Some(differs) => {
                    tracing::warn!(
                        door = peer.door,
                        differs,
                        "another door has other nodes: give both the same [[cluster.node]] tables"
                    );
                }
                None => tracing::info!(door = peer.door, "the other door has the same nodes now"),
            }
        }
        for gone in known
            .iter()
            .filter(|old| peers.iter().all(|peer| peer.door != old.door))
        {
            tracing::warn!(door = gone.door, "another door is no longer heard of");
        }
        *known = peers;
    }

    /// A door that writes under our name without being us.
    fn look_for_namesake(&self, mine: Option<&Heard>, door: &str) {
        let other = mine.is_some_and(|mine| mine.said.run != self.run);
        // A run before this one said its last word once; a namesake goes on talking, and is seen twice.
        let mut seen = lock(&self.namesake);
        if other && *seen {
            tracing::warn!(
                door,
                "another door calls itself the same: set sessions.door to a name of its own"
            );
        }
        *seen = other && !*seen;
    }
}

/// How `theirs` differs from `ours`, by name and address.
fn difference(
    ours: &BTreeMap<String, String>,
    theirs: &BTreeMap<String, String>,
) -> Option<String> {
    let mut words = Vec::new();
    for (name, url) in theirs {
        match ours.get(name) {
            None => words.push(format!("it also has {name} at {url}")),
            Some(known) if known != url => {
                words.push(format!("it has {name} at {url}, not {known}"))
            }
            Some(_) => {}
        }
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        words.push(format!("it lacks {name}"));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(nodes: &[(&str, &str)], busy: u32) -> Report {
        let text = |(name, url): &(&str, &str)| ((*name).to_owned(), (*url).to_owned());
        Report {
            nodes: nodes.iter().map(text).collect(),
            busy: BTreeMap::from([("harbor-1".to_owned(), busy)]),
        }
    }

    #[test]
    fn doors_hear_of_each_other_until_one_is_silent() {
        let (a, b) = (Doors::default(), Doors::default());
        let (mut document, begin) = (Document::default(), Instant::now());
        let nodes = [("harbor-1", "http://10.0.0.1")];
        a.exchange(&mut document, "a", &report(&nodes, 2), 1, begin);
        b.exchange(&mut document, "b", &report(&nodes, 3), 2, begin);
        let mut document = Document::read(document.to_value().as_bytes()).unwrap();
        a.exchange(&mut document, "a", &report(&nodes, 2), 3, begin);
        assert_eq!((a.busy("harbor-1"), b.busy("harbor-1")), (3, 2));
        assert_eq!(a.peers()[0].differs, None);
        a.exchange(&mut document, "a", &report(&nodes, 2), 4, begin + SILENCE);
        assert!(a.peers().is_empty());
        assert_eq!(document.doors.len(), 1);
    }

    #[test]
    fn another_cluster_is_told_in_words() {
        let (a, b) = (Doors::default(), Doors::default());
        let (mut document, now) = (Document::default(), Instant::now());
        let ours = [
            ("harbor-1", "http://10.0.0.1"),
            ("harbor-2", "http://10.0.0.2"),
        ];
        let theirs = [
            ("harbor-1", "http://10.0.0.9"),
            ("harbor-3", "http://10.0.0.3"),
        ];
        b.exchange(&mut document, "b", &report(&theirs, 0), 1, now);
        a.exchange(&mut document, "a", &report(&ours, 0), 1, now);
        assert_eq!(
            a.peers()[0].differs.as_deref(),
            Some(
                "it has harbor-1 at http://10.0.0.9, not http://10.0.0.1; it also has harbor-3 at http://10.0.0.3; it lacks harbor-2"
            )
        );
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(bytes: Vec<u8>) {
            let _ = Document::read(&bytes);
        }
    }
}

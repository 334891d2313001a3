//! Doors with a common store tell each other every second what was used of the rates, so that a client that goes from door
//! to door gets no more of them. No request waits for it: without the store, every door counts for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use crate::front::Door;
use crate::session::Sessions;

const EVERY: Duration = Duration::from_secs(1);
/// Reports that stay readable: a door that is late for some misses nothing.
const KEPT: usize = 5;
/// Keys in one report; what is beyond is in the next.
const MOST: usize = 2000;
/// Seconds after which the reports of a door that is gone are gone, too.
const TTL: u64 = 10;

/// What a door tells.
#[derive(Default, Serialize, Deserialize)]
struct Document {
    /// Tells two runs of a door apart.
    run: u64,
    reports: VecDeque<Report>,
}

#[derive(Serialize, Deserialize)]
struct Report {
    number: u64,
    /// Keys, and microseconds of their rates.
    used: Vec<(u64, i64)>,
}

/// What this door says, and what it heard.
struct Talk {
    own: Document,
    number: u64,
    /// The last report of each door, and of which of its runs.
    heard: BTreeMap<String, (u64, u64)>,
}

impl Talk {
    fn new() -> Self {
        Talk {
            own: Document {
                run: fastrand::u64(1..),
                reports: VecDeque::new(),
            },
            number: 0,
            heard: BTreeMap::new(),
        }
    }

    /// What is to be written, if there is anything new.
    fn say(&mut self, cells: &Cells) -> Option<String> {
        let used = cells.spent(MOST);
        if used.is_empty() {
            return None;
        }
        self.number += 1;
        let number = self.number;
        self.own.reports.push_back(Report { number, used });
        if self.own.reports.len() > KEPT {
            self.own.reports.pop_front();
        }
        serde_json::to_string(&self.own).ok()
    }

    /// Counts what `door` used and was not heard before.
    fn hear(&mut self, door: &str, bytes: &[u8], cells: &Cells) {
        let Ok(document) = serde_json::from_slice::<Document>(bytes) else {
            return;
        };
        let known = self.heard.entry(door.to_owned()).or_default();
        let last = if known.0 == document.run { known.1 } else { 0 };
        *known = (document.run, last);
        for report in document
            .reports
            .iter()
            .filter(|report| report.number > last)
        {
            known.1 = known.1.max(report.number);
            for (key, used) in report.used.iter().take(MOST) {
                cells.add(*key, *used, cells.now());
            }
        }
    }
}

/// Tells and hears until it is dropped; returns where there is no store.
pub async fn keep(door: Arc<Door>, sessions: Arc<Sessions>) {
    let Some(store) = sessions.store().cloned() else {
        return;
    };
    let cells = &door.gate.cells;
    // What was used before is not news for a store that is new.
    cells.spent(usize::MAX);
    let mut talk = Talk::new();
    loop {
        // Doors that began together must not all come together.
        tokio::time::sleep(EVERY.mul_f32(0.75 + fastrand::f32() / 2.0)).await;
        if !store.is_up() {
            continue;
        }
        if let Some(words) = talk.say(cells) {
            let name = format!("limits:{}", sessions.door());
            let _ = store.write_document(&name, &words, TTL).await;
        }
        let peers = sessions.doors().peers();
        talk.heard
            .retain(|door, _| peers.iter().any(|peer| peer.door == *door));
        for peer in peers {
            if let Ok(Some(bytes)) = store.document(&format!("limits:{}", peer.door)).await {
                talk.hear(&peer.door, &bytes, cells);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Rate;
    use proptest::prelude::*;

    const RATE: Rate = Rate {
        count: 10,
        period: Duration::from_secs(3600),
    };

    fn take(cells: &Cells, times: usize) -> usize {
        (0..times)
            .filter(|_| cells.take(7, RATE, cells.now()).is_ok())
            .count()
    }

    #[test]
    fn what_a_door_says_is_counted_once_however_often_it_is_heard() {
        let (here, there) = (Cells::default(), Cells::default());
        let (mut a, mut b) = (Talk::new(), Talk::new());
        assert_eq!(take(&here, 3), 3);
        a.say(&here).unwrap();
        assert_eq!(take(&here, 2), 2);
        // The first report is heard with the second.
        let words = a.say(&here).unwrap();
        for _ in 0..3 {
            b.hear("a", words.as_bytes(), &there);
        }
        assert_eq!(take(&there, 100), 5);
        assert!(a.say(&here).is_none());
    }

    #[test]
    fn a_door_that_began_anew_is_heard_from_its_first_word() {
        let (here, there) = (Cells::default(), Cells::default());
        let mut b = Talk::new();
        for _ in 0..2 {
            take(&here, 4);
            let words = Talk::new().say(&here).unwrap();
            b.hear("a", words.as_bytes(), &there);
        }
        assert_eq!(take(&there, 100), 2);
    }

    proptest! {
        #[test]
        fn nothing_in_the_store_makes_it_panic(bytes: Vec<u8>, key: u64, used: i64, number: u64) {
            let cells = Cells::default();
            let mut talk = Talk::new();
            talk.hear("a", &bytes, &cells);
            let words = format!(r#"{{"run":1,"reports":[{{"number":{number},"used":[[{key},{used}]]}}]}}"#);
            talk.hear("a", words.as_bytes(), &cells);
        }
    }
}

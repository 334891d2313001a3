//! The numbers of one node.

use super::tally::Tally;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is published about one node. Everything that requests touch is free of locks.
#[derive(Debug)]
pub struct NodeMetrics {
    /// `node_up`: 1 when it takes requests.
    pub up: Gauge,
    /// `node_in_flight`: requests it is working on.
    pub in_flight: Gauge,
    /// `node_limit`: the most requests that it gets at once, at the moment.
    pub limit: Gauge,
    pub(super) answers: Answers,
    pub(super) ejections: Tally,
    pub(super) shares: Mutex<BTreeMap<&'static str, (i64, i64)>>,
    pub(super) components: Mutex<BTreeMap<String, bool>>,
}

impl NodeMetrics {
    pub(super) fn new(classes: usize) -> NodeMetrics {
        NodeMetrics {
            up: Gauge::default(),
            in_flight: Gauge::default(),
            limit: Gauge::default(),
            answers: Answers::new(classes),
            ejections: Tally::default(),
            shares: Mutex::default(),
            components: Mutex::default(),
        }
    }

    /// Counts a request that this node answered with `code`, in `requests_total`.
    pub fn request(&self, class: usize, code: u16) {
        self.answers.count(class, code);
    }

    /// Tells `node_component_up` of one component.
    pub fn component(&self, component: &str, up: bool) {
        let mut components = self
            .components
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match components.get_mut(component) {
            Some(known) => *known = up,
            None => {
                components.insert(component.to_owned(), up);
            }
        }
    }

    /// Tells `node_share_in_flight` and `node_queued` of one share.
    pub fn share(&self, share: &'static str, taken: i64, waiting: i64) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.insert(share, (taken, waiting));
    }

    /// Counts an ejection in `node_ejections_total`.
    pub fn ejected(&self, reason: &'static str) {
        self.ejections.count(reason);
    }
}

/// Status codes that HTTP knows classes for (RFC 9110 §15); whatever else is counted as code 0.
const CODES: std::ops::Range<u16> = 100..600;
const COLUMNS: usize = 1 + (CODES.end - CODES.start) as usize;

/// Answers by class and status. The row of a class (4 KiB) is made when its first answer comes.
#[derive(Debug)]
pub(super) struct Answers(Vec<OnceLock<Box<[AtomicU64; COLUMNS]>>>);

impl Answers {
    pub(super) fn new(classes: usize) -> Answers {
        Answers((0..classes).map(|_| OnceLock::new()).collect())
    }

    pub(super) fn count(&self, class: usize, code: u16) {
        let column = if CODES.contains(&code) {
            usize::from(code - CODES.start) + 1
        } else {
            0
        };
        if let Some(cell) = self.0.get(class).and_then(|row| {
            row.get_or_init(|| Box::new([const { AtomicU64::new(0) }; COLUMNS]))
                .get(column)
        }) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Class index, code and count of everything that occurred.
    pub(super) fn read(&self) -> impl Iterator<Item = (usize, u16, u64)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(class, row)| Some((class, row.get()?)))
            .flat_map(|(class, row)| {
                let codes = std::iter::once(0).chain(CODES);
                codes
                    .zip(row.iter())
                    .map(move |(code, count)| (class, code, count.load(Relaxed)))
            })
            .filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_http_does_not_know_is_counted_as_none() {
        let answers = Answers::new(1);
        for code in [0, 99, 100, 599, 600, 999] {
            answers.count(0, code);
        }
        assert!(answers.read().eq([(0, 0, 4), (0, 100, 1), (0, 599, 1)]));
    }
}

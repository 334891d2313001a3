//! Every number that the door publishes, in one place.
//!
//! A request touches only atomics: its labels are array positions (class, status) or a handful of static words,
//! and become text when somebody scrapes. Names carry the prefix `seawall_`; durations are in seconds, sizes in
//! bytes.

mod histogram;
mod journal;
mod node;
mod scrape;
mod session;
mod tally;
mod vip;

pub use journal::JournalMetrics;
pub use node::NodeMetrics;
pub use session::SessionMetrics;
pub use vip::VipMetrics;

use super::log::Drops;
use histogram::Histogram;
use node::Answers;
use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tally::Tally;

/// All metrics of the process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    counts: Arc<Counts>,
    registry: Arc<Registry>,
}

#[derive(Debug)]
struct Counts {
    slugs: &'static [&'static str],
    classes: Vec<ClassCounts>,
    answers: Answers,
    nodes: RwLock<BTreeMap<String, Arc<NodeMetrics>>>,
    listeners: Mutex<BTreeMap<String, Gauge>>,
    certificates: Mutex<Vec<(String, SystemTime)>>,
    sessions: Arc<SessionMetrics>,
    journal: Arc<JournalMetrics>,
    vip: Mutex<BTreeMap<String, Arc<VipMetrics>>>,
    attempts: Tally,
    resumes: Tally,
    queue: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    reloads: Tally,
    handshakes: Tally,
    limited: Tally,
    budget_exhausted: AtomicU64,
    drops: OnceLock<Drops>,
}

#[derive(Debug, Default)]
struct ClassCounts {
    duration: Histogram,
    first_byte: Histogram,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Metrics {
    /// Metrics whose classes are named by `slugs`; a class is its index in them from here on. An index outside of
    /// them is not counted.
    pub fn new(slugs: &'static [&'static str]) -> Metrics {
        let counts = Arc::new(Counts {
            slugs,
            classes: slugs.iter().map(|_| ClassCounts::default()).collect(),
            answers: Answers::new(slugs.len()),
            nodes: RwLock::default(),
            listeners: Mutex::default(),
            certificates: Mutex::default(),
            sessions: Arc::default(),
            journal: Arc::default(),
            vip: Mutex::default(),
            attempts: Tally::default(),
            resumes: Tally::default(),
            queue: Mutex::default(),
            reloads: Tally::default(),
            handshakes: Tally::default(),
            limited: Tally::default(),
            budget_exhausted: AtomicU64::new(0),
            drops: OnceLock::new(),
        });
        let mut registry = Registry::with_prefix("seawall");
        registry.register_collector(Box::new(scrape::Scrape(counts.clone())));
        Metrics {
            counts,
            registry: Arc::new(registry),
        }
    }

    /// The numbers of one node, made at the first call and the same ones ever after. Keep what it returns: this
    /// takes a lock.
    pub fn node(&self, name: &str) -> Arc<NodeMetrics> {
        let nodes = &self.counts.nodes;
        if let Some(node) = nodes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return node.clone();
        }
        let classes = self.counts.slugs.len();
        nodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(NodeMetrics::new(classes)))
            .clone()
    }

    /// Stops publishing a node that left the cluster.
    pub fn forget(&self, node: &str) {
        self.counts
            .nodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(node);
    }

    /// Counts an answer that no node gave: `requests_total` with an empty `node`.
    pub fn request(&self, class: usize, code: u16) {
        self.counts.answers.count(class, code);
    }

    /// Records `request_duration_seconds`: from the request's head to its last byte.
    pub fn duration(&self, class: usize, took: Duration) {
        if let Some(counts) = self.counts.classes.get(class) {
            counts.duration.record(took);
        }
    }

    /// Records `first_byte_seconds`: from the request's head to the head of its answer.
    pub fn first_byte(&self, class: usize, took: Duration) {
        if let Some(counts) = self.counts.classes.get(class) {
            counts.first_byte.record(took);
        }
    }

    /// Adds to `bytes_total`: body bytes from the client (`in`) and to it (`out`).
    pub fn bytes(&self, class: usize, received: u64, sent: u64) {
        if let Some(counts) = self.counts.classes.get(class) {
            counts.bytes_in.fetch_add(received, Relaxed);
            counts.bytes_out.fetch_add(sent, Relaxed);
        }
    }

    /// The numbers of what sticks to nodes.
    pub fn sessions(&self) -> Arc<SessionMetrics> {
        self.counts.sessions.clone()
    }

    /// The numbers of the journal.
    pub fn journal(&self) -> Arc<JournalMetrics> {
        self.counts.journal.clone()
    }

    /// The numbers of a virtual router, made at the first call and the same ones ever after.
    pub fn vip(&self, instance: &str) -> Arc<VipMetrics> {
        self.counts
            .vip
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(instance.to_owned())
            .or_default()
            .clone()
    }

    /// Counts one attempt at a node in `attempts_total`.
    pub fn attempt(&self, outcome: &'static str) {
        self.counts.attempts.count(outcome);
    }

    /// Counts in `resumes_total` a download whose node failed it in the middle, by what became of it.
    pub fn resume(&self, outcome: &'static str) {
        self.counts.resumes.count(outcome);
    }

    /// Counts in `queue_total` a request that found no place at a node, by its share and what became of it. Takes a lock:
    /// whoever waited does not mind.
    pub fn queued(&self, share: &'static str, outcome: &'static str) {
        let mut counts = self
            .counts
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *counts.entry((share, outcome)).or_default() += 1;
    }

    /// Counts a reload of the configuration in `config_reloads_total`.
    pub fn reload(&self, result: &'static str) {
        self.counts.reloads.count(result);
    }

    /// Counts a handshake with a client in `tls_handshakes_total`.
    pub fn handshake(&self, result: &'static str) {
        self.counts.handshakes.count(result);
    }

    /// Counts in `limited_total` what a limit per client or user, or a list, refused.
    pub fn limited(&self, limit: &'static str) {
        self.counts.limited.count(limit);
    }

    /// Counts a retry that the budget forbade in `retry_budget_exhausted_total`.
    pub fn retry_budget_exhausted(&self) {
        self.counts.budget_exhausted.fetch_add(1, Relaxed);
    }

    /// The gauge `connections` of a listener: open connections. Keep what it returns: this takes a lock.
    pub fn listener(&self, address: &str) -> Gauge {
        self.counts
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(address.to_owned())
            .or_default()
            .clone()
    }

    /// Replaces the certificates of `certificate_expiry_seconds`, which tells at each scrape how long each still
    /// has (negative once it is over).
    pub fn certificates(&self, expiry: Vec<(String, SystemTime)>) {
        *self
            .counts
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = expiry;
    }

    /// Where `log_lines_dropped_total` is read from; only the first call counts.
    pub fn log_drops(&self, drops: Drops) {
        let _ = self.counts.drops.set(drops);
    }

    /// Everything as OpenMetrics text, `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(32 * 1024);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLUGS: &[&str] = &["ping", "blob_read"];

    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.encode();
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }

    #[test]
    fn requests_are_counted_by_class_code_and_node() {
        let metrics = Metrics::new(SLUGS);
        let node = metrics.node("harbor-1");
        node.request(1, 206);
        node.request(1, 206);
        metrics.request(0, 421);
        metrics.request(7, 200);
        has(
            &metrics,
            "seawall_requests_total{class=\"blob_read\",code=\"206\",node=\"harbor-1\"} 2",
        );
        has(
            &metrics,
            "seawall_requests_total{class=\"ping\",code=\"421\",node=\"\"} 1",
        );
    }

    #[test]
    fn a_node_is_the_same_one_each_time_it_is_asked_for() {
        let metrics = Metrics::new(SLUGS);
        assert!(Arc::ptr_eq(&metrics.node("a"), &metrics.node("a")));
    }

    #[test]
    fn a_forgotten_node_is_published_no_more() {
        let metrics = Metrics::new(SLUGS);
        metrics.node("leaving").up.set(1);
        has(&metrics, "seawall_node_up{node=\"leaving\"} 1");
        metrics.forget("leaving");
        assert!(!metrics.encode().contains("leaving"));
    }

    #[test]
    fn a_duration_falls_into_its_bucket_and_all_above() {
        let metrics = Metrics::new(SLUGS);
        metrics.duration(1, Duration::from_millis(30));
        metrics.duration(1, Duration::from_secs(2000));
        let bucket = |le| {
            format!("seawall_request_duration_seconds_bucket{{le=\"{le}\",class=\"blob_read\"}}")
        };
        has(&metrics, &format!("{} 0", bucket("0.025")));
        has(&metrics, &format!("{} 1", bucket("0.05")));
        has(&metrics, &format!("{} 1", bucket("900.0")));
        has(&metrics, &format!("{} 2", bucket("+Inf")));
        has(
            &metrics,
            "seawall_request_duration_seconds_count{class=\"blob_read\"} 2",
        );
        has(
            &metrics,
            "seawall_request_duration_seconds_sum{class=\"blob_read\"} 2000.03",
        );
    }

    #[test]
    fn nodes_tell_their_components_and_ejections() {
        let metrics = Metrics::new(SLUGS);
        let node = metrics.node("a");
        node.component("registry", false);
        node.ejected("consecutive_failures");
        node.in_flight.inc();
        has(
            &metrics,
            "seawall_node_component_up{node=\"a\",component=\"registry\"} 0",
        );
        has(
            &metrics,
            "seawall_node_ejections_total{node=\"a\",reason=\"consecutive_failures\"} 1",
        );
        has(&metrics, "seawall_node_in_flight{node=\"a\"} 1");
    }

    #[test]
    fn every_promised_name_is_there_from_the_start() {
        let metrics = Metrics::new(SLUGS);
        let text = metrics.encode();
        for name in [
            "requests",
            "request_duration_seconds",
            "first_byte_seconds",
            "bytes",
            "connections",
            "node_up",
            "node_component_up",
            "node_in_flight",
            "node_limit",
            "node_share_in_flight",
            "node_queued",
            "queue",
            "node_ejections",
            "attempts",
            "resumes",
            "affinity",
            "session_entries",
            "session_store_up",
            "session_store_seconds",
            "journal_entries",
            "journal_oldest_seconds",
            "journal_reconciled",
            "vip_master",
            "vip_transitions",
            "vip_adverts_refused",
            "session_values_damaged",
            "session_writes_dropped",
            "config_reloads",
            "tls_handshakes",
            "certificate_expiry_seconds",
            "log_lines_dropped",
            "retry_budget_exhausted",
            "build",
        ] {
            assert!(text.contains(&format!("# TYPE seawall_{name} ")), "{name}");
        }
        assert!(text.contains("seawall_build_info{version=\""));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_certificate_tells_how_long_it_still_has() {
        let metrics = Metrics::new(SLUGS);
        let ended = SystemTime::now() - Duration::from_secs(90);
        metrics.certificates(vec![("old.example".into(), ended)]);
        has(
            &metrics,
            "seawall_certificate_expiry_seconds{name=\"old.example\"} -90",
        );
    }

    #[test]
    fn bytes_words_and_listeners_are_counted() {
        let metrics = Metrics::new(SLUGS);
        metrics.bytes(0, 5, 7);
        metrics.attempt("refused");
        metrics.listener("0.0.0.0:443").set(4);
        has(
            &metrics,
            "seawall_bytes_total{class=\"ping\",direction=\"in\"} 5",
        );
        has(
            &metrics,
            "seawall_bytes_total{class=\"ping\",direction=\"out\"} 7",
        );
        has(&metrics, "seawall_attempts_total{outcome=\"refused\"} 1");
        has(&metrics, "seawall_connections{listener=\"0.0.0.0:443\"} 4");
    }
}

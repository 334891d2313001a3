//! The counts as OpenMetrics families, each name and its help once.

use super::{Counts, NodeMetrics, histogram::Histogram, tally::Tally};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

#[derive(Debug)]
pub(super) struct Scrape(pub(super) Arc<Counts>);

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> Result<(), Error> {
        let counts = &self.0;
        requests(counts, &mut out)?;
        traffic(counts, &mut out)?;
        nodes(counts, &mut out)?;
        sessions(counts, &mut out)?;
        vip(counts, &mut out)?;
        journal(counts, &mut out)?;
        door(counts, &mut out)
    }
}

fn requests(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let mut family = counter(out, "requests", "Answers by class, status and node")?;
    for (class, code, count) in counts.answers.read() {
        add(
            &mut family,
            &[
                ("class", counts.slug(class)),
                ("code", &code.to_string()),
                ("node", ""),
            ],
            count,
        )?;
    }
    for (name, node) in counts.named_nodes() {
        for (class, code, count) in node.answers.read() {
            add(
                &mut family,
                &[
                    ("class", counts.slug(class)),
                    ("code", &code.to_string()),
                    ("node", &name),
                ],
                count,
            )?;
        }
    }
    Ok(())
}

fn traffic(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let by_class = || counts.slugs.iter().copied().zip(&counts.classes);
    let durations = by_class().map(|(slug, class)| (slug, &class.duration));
    histogram(
        out,
        "request_duration_seconds",
        "From the head of a request to its last byte",
        durations,
    )?;
    let first_bytes = by_class().map(|(slug, class)| (slug, &class.first_byte));
    histogram(
        out,
        "first_byte_seconds",
        "From the head of a request to the head of its answer",
        first_bytes,
    )?;
    let mut family = counter(
        out,
        "bytes",
        "Body bytes from clients (in) and to clients (out)",
    )?;
    for (slug, class) in by_class() {
        for (direction, count) in [("in", &class.bytes_in), ("out", &class.bytes_out)] {
            let count = count.load(Relaxed);
            if count > 0 {
                add(
                    &mut family,
                    &[("class", slug), ("direction", direction)],
                    count,
                )?;
            }
        }
    }
    Ok(())
}

fn nodes(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let nodes = counts.named_nodes();
    let mut family = gauge(out, "node_up", "Whether a node takes requests")?;
    for (name, node) in &nodes {
        set(&mut family, &[("node", name)], node.up.get())?;
    }
    let mut family = gauge(out, "node_in_flight", "Requests that a node works on")?;
    for (name, node) in &nodes {
        set(&mut family, &[("node", name)], node.in_flight.get())?;
    }
    let mut family = gauge(out, "node_limit", "Requests that a node gets at most")?;
    for (name, node) in &nodes {
        set(&mut family, &[("node", name)], node.limit.get())?;
    }
    shares(
        out,
        "node_share_in_flight",
        "Requests that a node works on, by share",
        &nodes,
        |(taken, _)| taken,
    )?;
    shares(
        out,
        "node_queued",
        "Requests that wait for a place at a node",
        &nodes,
        |(_, waiting)| waiting,
    )?;
    let mut family = gauge(
        out,
        "node_component_up",
        "Whether a component of a node works",
    )?;
    for (name, node) in &nodes {
        let components = node
            .components
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (component, up) in components.iter() {
            set(
                &mut family,
                &[("node", name), ("component", component)],
                i64::from(*up),
            )?;
        }
    }
    let mut family = counter(
        out,
        "node_ejections",
        "Ejections of a node that failed requests",
    )?;
    for (name, node) in &nodes {
        for (reason, count) in node.ejections.read() {
            add(&mut family, &[("node", name), ("reason", reason)], count)?;
        }
    }
    Ok(())
}

fn shares(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    nodes: &[(String, Arc<NodeMetrics>)],
    which: impl Fn((i64, i64)) -> i64,
) -> Result<(), Error> {
    let mut family = gauge(out, name, help)?;
    for (name, node) in nodes {
        let shares = node.shares.lock().unwrap_or_else(PoisonError::into_inner);
        for (share, numbers) in &*shares {
            let labels = [("node", &**name), ("share", *share)];
            set(&mut family, &labels, which(*numbers))?;
        }
    }
    Ok(())
}

fn sessions(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let sessions = &counts.sessions;
    let mut family = counter(
        out,
        "affinity",
        "Requests that may stick, by what came of it",
    )?;
    for (kind, tally, _) in sessions.by_kind() {
        for (outcome, count) in tally.read() {
            add(&mut family, &[("kind", kind), ("outcome", outcome)], count)?;
        }
    }
    let mut family = gauge(out, "session_entries", "Sessions in this door's memory")?;
    for (kind, _, entries) in sessions.by_kind() {
        set(&mut family, &[("kind", kind)], entries.get())?;
    }
    gauge(
        out,
        "session_store_up",
        "Whether requests ask the session store",
    )?
    .encode_gauge(&sessions.up.get())?;
    let mut family = out.encode_descriptor(
        "session_store_seconds",
        "How long requests waited for the session store",
        None,
        MetricType::Histogram,
    )?;
    if let Some(read) = sessions.seconds.read() {
        family.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)?;
    }
    plain(
        out,
        "session_values_damaged",
        "Values in the session store that no door wrote",
        &sessions.damaged,
    )?;
    plain(
        out,
        "session_writes_dropped",
        "Writes to the session store that found no room",
        &sessions.dropped,
    )
}

fn journal(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let journal = &counts.journal;
    let mut family = gauge(out, "journal_entries", "Changes that some storage lacks")?;
    for (state, count) in journal.by_state() {
        set(&mut family, &[("state", state)], count.get())?;
    }
    gauge(
        out,
        "journal_oldest_seconds",
        "Age of the oldest change that some storage lacks",
    )?
    .encode_gauge(&journal.oldest.get())?;
    tally(
        out,
        "journal_reconciled",
        "What came of bringing changes to storages",
        "outcome",
        &journal.reconciled,
    )
}

fn vip(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let routers = counts.vip.lock().unwrap_or_else(PoisonError::into_inner);
    let mut family = gauge(out, "vip_master", "Whether this door has the addresses")?;
    for (name, router) in &*routers {
        set(&mut family, &[("instance", name)], router.master.get())?;
    }
    let mut family = counter(out, "vip_transitions", "Changes of a virtual router")?;
    for (name, router) in &*routers {
        for (to, count) in router.transitions.read() {
            add(&mut family, &[("instance", name), ("to", to)], count)?;
        }
    }
    let mut family = counter(out, "vip_adverts_refused", "Adverts that were ignored")?;
    for (name, router) in &*routers {
        for (reason, count) in router.refused.read() {
            add(
                &mut family,
                &[("instance", name), ("reason", reason)],
                count,
            )?;
        }
    }
    Ok(())
}

/// A counter without labels.
fn plain(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    count: &AtomicU64,
) -> Result<(), Error> {
    counter(out, name, help)?.encode_counter::<NoLabelSet, u64, f64>(&count.load(Relaxed), None)
}

fn door(counts: &Counts, out: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    tally(
        out,
        "attempts",
        "Attempts at nodes",
        "outcome",
        &counts.attempts,
    )?;
    tally(
        out,
        "resumes",
        "Downloads whose node failed them in the middle",
        "outcome",
        &counts.resumes,
    )?;
    let mut family = counter(
        out,
        "queue",
        "Requests that found no place at a node, by what came of it",
    )?;
    let shares = counts.queue.lock().unwrap_or_else(PoisonError::into_inner);
    for ((share, outcome), count) in &*shares {
        add(
            &mut family,
            &[("share", share), ("outcome", outcome)],
            *count,
        )?;
    }
    drop(shares);
    tally(
        out,
        "config_reloads",
        "Reloads of the configuration",
        "result",
        &counts.reloads,
    )?;
    tally(
        out,
        "tls_handshakes",
        "TLS handshakes with clients",
        "result",
        &counts.handshakes,
    )?;
    tally(
        out,
        "limited",
        "Requests and connections that a limit of a client or user, or a list, refused",
        "limit",
        &counts.limited,
    )?;
    let mut family = gauge(out, "connections", "Open connections of a listener")?;
    for (listener, open) in &*counts
        .listeners
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
    {
        set(&mut family, &[("listener", listener)], open.get())?;
    }
    let mut family = gauge(
        out,
        "certificate_expiry_seconds",
        "How long a certificate is still valid",
    )?;
    let now = SystemTime::now();
    for (name, end) in &*counts
        .certificates
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
    {
        let left = match end.duration_since(now) {
            Ok(left) => left.as_secs() as i64,
            Err(over) => -(over.duration().as_secs() as i64),
        };
        set(&mut family, &[("name", name)], left)?;
    }
    let dropped = counts.drops.get().map_or(0, |drops| drops.count());
    counter(
        out,
        "log_lines_dropped",
        "Log lines that nobody read in time",
    )?
    .encode_counter::<NoLabelSet, u64, f64>(&dropped, None)?;
    plain(
        out,
        "retry_budget_exhausted",
        "Retries that the budget forbade",
        &counts.budget_exhausted,
    )?;
    out.encode_descriptor("build", "The running version", None, MetricType::Info)?
        .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

impl Counts {
    fn slug(&self, class: usize) -> &'static str {
        self.slugs.get(class).copied().unwrap_or_default()
    }

    fn named_nodes(&self) -> Vec<(String, Arc<NodeMetrics>)> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes
            .iter()
            .map(|(name, node)| (name.clone(), node.clone()))
            .collect()
    }
}

fn counter<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, Error> {
    out.encode_descriptor(name, help, None, MetricType::Counter)
}

fn gauge<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, Error> {
    out.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn add(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], count: u64) -> Result<(), Error> {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

fn set(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: i64) -> Result<(), Error> {
    family.encode_family(&labels)?.encode_gauge(&value)
}

fn tally(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    tally: &Tally,
) -> Result<(), Error> {
    let mut family = counter(out, name, help)?;
    for (word, count) in tally.read() {
        add(&mut family, &[(label, word)], count)?;
    }
    Ok(())
}

fn histogram<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'static str, &'a Histogram)>,
) -> Result<(), Error> {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (slug, row) in rows {
        if let Some(read) = row.read() {
            family
                .encode_family(&[("class", slug)])?
                .encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)?;
        }
    }
    Ok(())
}

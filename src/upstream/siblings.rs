//! The nodes of a cluster held against each other, and who is left out for a while.
//!
//! Three ways lead out: failures in a row, which a request finds out; failures or slowness beyond what siblings show, which
//! [`watch`] finds out twice a second (what that means is `health::compare`'s to say); and a trial that went wrong. Never more
//! at a time than the operator allows, and never the last one.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::cluster::Cluster;
use super::ejection::Test;
use super::lease::Failing;
use crate::harbor::circuit::Circuit;
use crate::harbor::class::Class;
use crate::health::compare::{Case, Finding};
use crate::health::history::History;
use crate::health::outlier;
use crate::session::word::Wish;

/// From one look at the nodes to the next.
const LOOK: Duration = Duration::from_millis(500);
/// A request of a trial that has waited so long fails it, where nobody knows what siblings take.
const LONGEST: Duration = Duration::from_secs(5);

/// The word in metrics and logs for a node whose answers are late.
pub(super) const SLOW: &str = "slow";
/// The same for one that fails more of its requests than others.
const FAILURE_RATE: &str = "failure_rate";

/// Compares the nodes until their cluster is gone.
pub(super) async fn watch(cluster: Weak<Cluster>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        look(&cluster, Instant::now());
    }
}

/// Judges every node by what its requests and those of its siblings were like.
fn look(cluster: &Cluster, now: Instant) {
    let members = cluster.members();
    let lent = |node: &Arc<Backend>| std::mem::take(&mut *history(node));
    let mut histories: Vec<History> = members.iter().map(lent).collect();
    for (history, node) in histories.iter_mut().zip(members) {
        history.note(&node.standing.gauge, now);
    }
    for circuit in Circuit::ALL {
        let kinds = kinds(circuit);
        let mut found = Vec::new();
        for (index, node) in members.iter().enumerate() {
            let Some(own) = histories.get(index) else {
                continue;
            };
            let siblings = siblings(cluster, index, circuit);
            let siblings: Vec<&History> = siblings.filter_map(|at| histories.get(at)).collect();
            let case = Case {
                own,
                siblings: &siblings,
                kinds: &kinds,
                group: circuit.index(),
            };
            if node.standing.ejection.is_out(circuit) {
                on_trial(cluster, node, circuit, case, now);
            } else if node.standing.wish() == Wish::Ready
                && let Some(finding) = cluster.manner().measure.find(case, now)
            {
                found.push((node, finding));
            }
        }
        // A slow node costs its clients more than one whose failures others make good.
        found.sort_by_key(|(_, finding)| matches!(finding, Finding::Failing { .. }));
        for (node, finding) in found {
            eject(cluster, node, circuit, &finding, now);
        }
        // What it was left out for shall not count against it when it comes back.
        for (history, node) in histories.iter_mut().zip(members) {
            if node.standing.ejection.is_out(circuit) {
                history.forget(&kinds, circuit.index());
            }
        }
    }
    for (seen, node) in histories.into_iter().zip(members) {
        *history(node) = seen;
    }
}

fn history(node: &Backend) -> MutexGuard<'_, History> {
    let history = &node.standing.history;
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kinds(circuit: Circuit) -> Vec<usize> {
    let classes = Class::ALL.into_iter();
    let own = classes.filter(|class| class.circuit() == circuit && class.is_comparable());
    own.map(Class::index).collect()
}

/// The places of those that do the same work as the one at `index`.
fn siblings(cluster: &Cluster, index: usize, circuit: Circuit) -> impl Iterator<Item = usize> {
    let kin = &cluster.manner().kin;
    let members = cluster.members().iter().enumerate();
    members
        .filter(move |(at, node)| {
            *at != index
                && kin.get(*at) == kin.get(index)
                && node.standing.wish() != Wish::Maintenance
                && !node.standing.ejection.is_out(circuit)
        })
        .map(|(at, _)| at)
}

/// Says what late means for a node that is left out, and looks at how its trial goes.
fn on_trial(cluster: &Cluster, node: &Backend, circuit: Circuit, case: Case<'_>, now: Instant) {
    let bounds = cluster.manner().measure.bounds(case, now);
    let mut longest = None;
    for (kind, bound) in bounds.into_iter().enumerate() {
        if let Some(bound) = bound {
            node.standing.gauge.set_late_after(kind, bound);
            longest = longest.max(Some(bound));
        }
    }
    let ejection = &node.standing.ejection;
    if let Some(test) = ejection.overdue(circuit, longest.unwrap_or(LONGEST), now) {
        fell(node, circuit, test, SLOW, now);
    }
    if ejection.lapse(circuit, now) {
        tracing::info!(
            node = %node.name,
            circuit = circuit.slug(),
            "node gets requests again: nobody asked for any while it was on trial"
        );
    }
}

fn may_eject(cluster: &Cluster, circuit: Circuit) -> bool {
    let out = |node: &&Arc<Backend>| node.standing.ejection.is_out(circuit);
    let members = cluster.members();
    let ejected = members.iter().filter(out).count();
    outlier::may_eject(ejected, members.len(), cluster.manner().max_percent)
}

fn eject(cluster: &Cluster, node: &Backend, circuit: Circuit, finding: &Finding, now: Instant) {
    if !may_eject(cluster, circuit) {
        return;
    }
    let Some(term) = node.standing.ejection.eject(circuit, now) else {
        return;
    };
    let (node_name, circuit, seconds) = (&node.name, circuit.slug(), term.as_secs_f32());
    match finding {
        Finding::Slow {
            kind,
            took,
            siblings,
        } => {
            node.metrics.ejected(SLOW);
            tracing::warn!(
                node = %node_name,
                circuit,
                reason = SLOW,
                class = Class::ALL.get(*kind).map_or("", |class| class.slug()),
                took_ms = took.as_millis() as u64,
                siblings_ms = siblings.as_millis() as u64,
                seconds,
                "node ejected for a while: its answers begin far later than those of its siblings"
            );
        }
        Finding::Failing { percent, siblings } => {
            node.metrics.ejected(FAILURE_RATE);
            tracing::warn!(
                node = %node_name,
                circuit,
                reason = FAILURE_RATE,
                percent = percent.round(),
                siblings_percent = siblings.round(),
                seconds,
                "node ejected for a while: it fails far more of its requests than its siblings do"
            );
        }
    }
}

/// A node failed a request of a circuit.
pub(super) fn blame(cluster: &Cluster, node: &Backend, circuit: Circuit, how: Failing) {
    // What we cut off ourselves is no evidence, and a node that rests shall not use up the ejections of the others.
    if node.standing.wish() == Wish::Maintenance {
        return;
    }
    // Who does not accept connections does so for nobody.
    let circuits: &[Circuit] = match how {
        Failing::Connect => &Circuit::ALL,
        _ => std::slice::from_ref(&circuit),
    };
    for each in circuits {
        let (standing, group) = (&node.standing, each.index());
        if *each != circuit {
            standing.gauge.came_to_an_end(group);
        }
        standing.gauge.failed(group);
        let term = standing
            .ejection
            .failed(*each, || may_eject(cluster, *each));
        if let Some(term) = term {
            node.metrics.ejected(how.slug());
            tracing::warn!(
                node = %node.name,
                circuit = each.slug(),
                reason = how.slug(),
                seconds = term.as_secs_f32(),
                "node ejected for a while: its answers keep failing"
            );
        }
    }
}

/// A request of a node's trial failed, or was answered late.
pub(super) fn fell(
    node: &Backend,
    circuit: Circuit,
    test: Test,
    reason: &'static str,
    now: Instant,
) {
    if let Some(term) = node.standing.ejection.fell(circuit, test, now) {
        node.metrics.ejected(reason);
        tracing::warn!(
            node = %node.name,
            circuit = circuit.slug(),
            reason,
            seconds = term.as_secs_f32(),
            "node ejected again: it did not stand its trial"
        );
    }
}

/// A request of a node's trial was answered well.
pub(super) fn stood(node: &Backend, circuit: Circuit, test: Test) {
    if node.standing.ejection.stood(circuit, test) {
        tracing::info!(
            node = %node.name,
            circuit = circuit.slug(),
            "node gets requests again, little by little: it stood its trial"
        );
    }
}

#[cfg(test)]
mod tests;

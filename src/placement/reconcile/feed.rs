//! What one storage misses, brought to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;

use super::deliver::Carries;
use super::judge::Act;
use super::lease::Lease;
use super::look::look;
use super::speak::{Speaker, Trouble};
use super::{Means, compare, patience};
use crate::placement::journal::entry::{Entry, Progress, State};
use crate::placement::journal::table::Span;
use crate::session::entry::now;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is noted on disk that a storage is well.
const NOTE_EVERY: u64 = 30_000;
/// A storage that was not looked at for so long may have been away meanwhile, in milliseconds.
const BLIND: u64 = 60_000;
/// Entries of one turn; the rest has the next one.
const MOST_AT_ONCE: usize = 500;
/// Entries that are asked about at the same time.
const ABREAST: usize = 4;
/// From one look to the next at what a person must do, in milliseconds.
pub(super) const PERSON: u64 = 600_000;
/// The same for a node that is away.
pub(super) const AWAY: u64 = 5_000;

/// Feeds the storage at `place`, for ever.
pub async fn run(means: Arc<Means>, place: usize) {
    let Some(store) = means
        .layout()
        .stores
        .get(place)
        .map(|store| store.name.clone())
    else {
        return;
    };
    let mut feeder = Feeder {
        span: means
            .journal()
            .read(|table| table.well.get(&store).copied()),
        compare_since: None,
        was_well: false,
        noted: 0,
        told: false,
        refused: AtomicU64::new(0),
        means,
        place,
        store,
    };
    let every = EVERY.min(feeder.means.config.grace);
    loop {
        feeder.turn().await;
        let jitter = 0.75 + fastrand::f32() / 2.0;
        tokio::select! {
            () = tokio::time::sleep(every.mul_f32(jitter)) => {}
            () = feeder.means.journal().hurried() => {}
        }
    }
}

/// Feeds one storage.
pub(super) struct Feeder {
    pub(super) means: Arc<Means>,
    pub(super) place: usize,
    pub(super) store: String,
    /// When it was well, without a gap.
    span: Option<Span>,
    was_well: bool,
    noted: u64,
    /// Everything that changed since then is to be compared.
    compare_since: Option<u64>,
    /// The log has heard what a person must do.
    told: bool,
    /// A node refused the account: nothing is asked before this time, since a wrong password locks its user.
    refused: AtomicU64,
}

impl Feeder {
    async fn turn(&mut self) {
        let well = self.means.well(self.place).next().is_some();
        self.watch(well);
        if !well {
            return;
        }
        if self.means.account().is_none() {
            self.unaided();
            return;
        }
        let due = self.due();
        let hurried = due.iter().any(|entry| entry.progress.hurried);
        if self.is_refused() && !hurried {
            return;
        }
        self.refused.store(0, Relaxed);
        if due.is_empty() && self.compare_since.is_none() {
            return;
        }
        let Some(lease) = Lease::take(self.means.clone(), &self.store).await else {
            return;
        };
        let work = async {
            self.compare().await;
            self.feed(due).await;
        };
        tokio::select! {
            () = work => {}
            () = lease.keep() => tracing::warn!("another door reconciles now: this one stops"),
        }
        lease.give_back().await;
    }

    /// Notes since when the storage is well, and finds out when it returned.
    fn watch(&mut self, well: bool) {
        let now = now();
        if !well {
            if self.was_well {
                tracing::info!(
                    storage = self.store,
                    "the journal waits for a storage that is away"
                );
            }
            self.was_well = false;
            return;
        }
        let before = self.span;
        let same = before.is_some_and(|span| now.saturating_sub(span.until) < BLIND)
            && (self.was_well || self.noted == 0);
        let span = match before {
            Some(span) if same => Span { until: now, ..span },
            _ => Span {
                since: now,
                until: now,
                before: before.map_or(0, |span| span.until),
            },
        };
        if !self.was_well {
            // At the first look, everything since the last one of the run before.
            let long_ago = now.saturating_sub(compare::AT_START);
            let since = before.map_or(long_ago, |span| span.until.saturating_sub(BLIND));
            self.compare_since = Some(since.max(long_ago));
            self.told = false;
        }
        self.span = Some(span);
        let due = now.saturating_sub(self.noted) >= NOTE_EVERY;
        if due || !self.was_well {
            self.noted = now;
            self.means.journal().note_well(&self.store, span);
        }
        self.was_well = true;
    }

    /// The entries that this storage misses and whose time has come.
    fn due(&self) -> Vec<Entry> {
        let now = now();
        let grace = u64::try_from(self.means.config.grace.as_millis()).unwrap_or(u64::MAX);
        let due: Vec<Entry> = self.means.journal().read(|table| {
            let due = table.entries().filter(|entry| {
                entry.missing.contains(&self.store)
                    && entry.conflict.is_none()
                    && (entry.progress.hurried
                        || (entry.progress.due <= now && entry.at.saturating_add(grace) <= now))
            });
            due.take(MOST_AT_ONCE).cloned().collect()
        });
        for entry in due.iter().filter(|entry| entry.progress.hurried) {
            let calm = |progress: &mut Progress| progress.hurried = false;
            self.means.journal().progress(&entry.id, calm);
        }
        due
    }

    /// Without an account: what the nodes' own replication has brought by now, nobody can see; it is believed where nothing
    /// stood in its way.
    fn unaided(&mut self) {
        let Some(span) = self.span else { return };
        let now = now();
        let settled = u64::try_from(self.means.settled_after.as_millis()).unwrap_or(u64::MAX);
        for entry in self.due() {
            if span.since <= entry.at {
                if entry.at.saturating_add(settled) <= now {
                    self.over(&entry, "assumed", "the peer was well all the time");
                }
                continue;
            }
            let advice = self.means.advice(&entry, &self.store);
            if !self.told {
                self.told = true;
                tracing::warn!(
                    storage = self.store,
                    advice,
                    "a storage lacks what was written while it was away, and there is no account to bring it: see `seawall journal`"
                );
            }
            self.means.journal().progress(&entry.id, |progress| {
                progress.state = State::Stuck;
                progress.due = now + PERSON;
                progress.why = advice;
            });
        }
        self.compare_since = None;
    }

    async fn compare(&mut self) {
        let Some(since) = self.compare_since else {
            return;
        };
        match compare::compare(&self.means, self.place, since).await {
            Ok(done) => self.compare_since = self.compare_since.filter(|_| !done),
            Err(trouble) => {
                tracing::warn!(storage = self.store, %trouble, "the storages could not be compared; it is tried again");
                // Only what is missing was put off.
                if matches!(trouble, Trouble::Refused(..)) {
                    self.compare_since = None;
                }
            }
        }
    }

    async fn feed(&self, due: Vec<Entry>) {
        let Some(peer) = self.means.speaker(self.place) else {
            return;
        };
        let mut sources: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for entry in due {
            match self.source(&entry) {
                Some(source) => sources.entry(source).or_default().push(entry),
                None => self.believe(&peer, &entry).await,
            }
        }
        for (place, entries) in sources {
            if let Some(source) = self.means.speaker(place) {
                self.bring(&source, &peer, entries).await;
            }
        }
    }

    /// While nobody is there who has it for certain, the peer may still show that it has it, too: it came in time.
    async fn believe(&self, peer: &Speaker, entry: &Entry) {
        let (repository, reference) = (&entry.repository, &entry.reference);
        if reference.is_empty() {
            return;
        }
        let found = match peer.look_up(repository, reference).await {
            Ok(found) => found,
            Err(trouble) => return self.failed(entry, &trouble),
        };
        if found.as_ref().map(|found| found.digest.as_str()) == entry.digest() {
            return self.over(entry, "found", "the peer has it, or lacks it, too");
        }
        self.means.journal().progress(&entry.id, |progress| {
            progress.due = now() + AWAY;
            progress.why = format!("it waits for {}, which has it", entry.store);
        });
    }

    /// The storage that did it; while that one is away, another one that has it.
    fn source(&self, entry: &Entry) -> Option<usize> {
        let well = |place: &usize| self.means.well(*place).next().is_some();
        let own = self.means.place(&entry.store).filter(well);
        own.or_else(|| {
            let layout = self.means.layout();
            let stores = layout.stores.iter().enumerate();
            let others = stores.filter(|(_, store)| !entry.missing.contains(&store.name));
            let mut others = others.map(|(place, _)| place);
            others.find(well)
        })
    }

    async fn bring(&self, source: &Speaker, peer: &Speaker, entries: Vec<Entry>) {
        let away_since = |entry: &Entry| {
            let span = self.span.filter(|span| entry.at < span.since)?;
            (span.before > 0).then_some(span.before)
        };
        let mut carries = Carries::new();
        for some in entries.chunks(ABREAST) {
            if self.is_refused() {
                return;
            }
            let mut asked = JoinSet::new();
            for entry in some.iter().cloned() {
                let (source, peer, away) = (source.clone(), peer.clone(), away_since(&entry));
                asked.spawn(async move {
                    let act = look(&source, &peer, &entry, away).await;
                    (entry, act)
                });
            }
            while let Some(Ok((entry, act))) = asked.join_next().await {
                match act {
                    Ok(Act::Carry(digest)) => {
                        let carries = carries.entry(entry.repository.clone());
                        carries.or_default().push((entry, digest));
                    }
                    Ok(act) => self.act(peer, &entry, act).await,
                    Err(trouble) => self.failed(&entry, &trouble),
                }
            }
        }
        if !carries.is_empty() {
            self.carry(source, peer, carries).await;
        }
    }

    fn is_refused(&self) -> bool {
        now() < self.refused.load(Relaxed)
    }

    /// It is tried again, after a while.
    pub(super) fn failed(&self, entry: &Entry, trouble: &Trouble) {
        let away = matches!(trouble, Trouble::Away(..));
        if matches!(trouble, Trouble::Refused(..)) {
            self.refused.store(now() + PERSON / 2, Relaxed);
        }
        let failures = entry.progress.attempts + u32::from(!away);
        let seed = fastrand::u64(..);
        let pause = match trouble {
            Trouble::Away(..) => Duration::from_millis(AWAY),
            Trouble::Refused(..) => Duration::from_millis(PERSON / 2),
            Trouble::Said(..) => patience::pause(failures, seed),
        };
        if !away {
            self.means.metrics.reconciled("failed");
            tracing::warn!(repository = entry.repository, reference = entry.reference, storage = self.store, %trouble, ?pause, "the journal could not bring something; it is tried again");
        }
        self.means.journal().progress(&entry.id, |progress| {
            progress.state = State::Pending;
            progress.attempts = failures;
            progress.due = now() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            progress.why = trouble.to_string();
        });
    }

    /// This storage has it, or needs it no more.
    pub(super) fn over(&self, entry: &Entry, outcome: &'static str, why: &str) {
        let store = self.store.as_str();
        let changed = self.means.journal().amend(entry, |entry| {
            entry.missing.remove(store);
            entry.progress = Progress::default();
        });
        if changed {
            self.means.metrics.reconciled(outcome);
            let Entry {
                repository,
                reference,
                ..
            } = entry;
            tracing::debug!(
                repository,
                reference,
                storage = store,
                why,
                "an entry of the journal is over for a storage"
            );
        }
    }
}

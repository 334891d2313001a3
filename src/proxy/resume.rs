//! Going on with a download at another node, after the one that served it died, fell silent or closed early.
//!
//! The other node is asked for the rest with everything that the client said, and decides afresh whether this client may
//! have it. What it gives must be what was promised; anything else, and nobody at all, ends in a reset.

use std::ops::Range;
use std::time::Instant;

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Method, Response, Uri};

use super::attempt::Shipment;
use super::body::{Cut, FromNode};
use super::finish::Record;
use super::promise::{self, Promise, Unkept};
use super::trial::{Answer, Trial};
use crate::harbor::class::Class;
use crate::message::range;
use crate::placement::course::Course;
use crate::placement::demand::{Asks, Demand};
use crate::placement::plot::Chart;
use crate::state::State;
use crate::state::snapshot::Snapshot;
use crate::upstream::cluster::Want;
use crate::upstream::lease::Failing;
use crate::upstream::nodes::Nodes;
use crate::upstream::outgoing::Outgoing;

/// What is kept of a download's request while it runs. It lives in the record, whose place on the heap is there anyway.
pub struct Onward {
    state: State,
    class: Class,
    to_core: bool,
    want: Want,
    asks: Option<Box<Asks>>,
    headers: HeaderMap,
    promise: Promise,
    /// Nodes that failed it since it last went on, by their seeds.
    failed: Vec<u64>,
    /// Those of them that only fell silent, and are asked once more when nobody else is left.
    silent: Vec<u64>,
    /// Nodes that were asked for the rest so far.
    asked: u32,
    /// Bytes that the client had when it last went on.
    went_on_at: u64,
}

/// What was asked, as far as an answer may have to be asked for again.
pub(super) struct Asked<'a> {
    pub state: &'a State,
    pub trial: &'a Trial,
    pub asks: &'a mut Option<Box<Asks>>,
    pub shipment: &'a mut Shipment,
}

impl Onward {
    /// For a download that could go on elsewhere: by digest, with a length, and as the URL says.
    pub(super) fn of<B>(asked: Asked<'_>, record: &Record, answer: &Response<B>) -> Option<Self> {
        let Asked {
            state,
            trial,
            asks,
            shipment,
        } = asked;
        let class = trial.class;
        let reads = matches!(class, Class::BlobRead | Class::ManifestRead);
        if !reads || shipment.method != Method::GET || !shipment.repeatable {
            return None;
        }
        let promise = Promise::of(class, record.digest()?, answer.status(), answer.headers())?;
        Some(Onward {
            state: state.clone(),
            class,
            to_core: trial.to_core,
            want: trial.want,
            asks: asks.take(),
            headers: std::mem::take(&mut shipment.headers),
            promise,
            failed: Vec::new(),
            silent: Vec::new(),
            asked: 0,
            went_on_at: 0,
        })
    }

    /// How many bytes the client was promised.
    pub fn length(&self) -> u64 {
        self.promise.bytes.end - self.promise.bytes.start
    }

    /// Whether the client was promised the whole, and not a part of it.
    pub fn is_whole(&self) -> bool {
        self.length() == self.promise.total
    }

    fn fails(&mut self, seed: u64, silent: bool) {
        if silent && !self.failed.contains(&seed) {
            self.silent.push(seed);
        }
        self.failed.push(seed);
    }

    /// The request for the rest.
    fn shipment(&mut self, record: &Record, rest: &Range<u64>) -> Option<Shipment> {
        let mut headers = std::mem::take(&mut self.headers);
        // Conditions were for the first answer.
        for name in [
            RANGE,
            IF_RANGE,
            IF_MATCH,
            IF_NONE_MATCH,
            IF_MODIFIED_SINCE,
            IF_UNMODIFIED_SINCE,
        ] {
            headers.remove(name);
        }
        if self.promise.in_parts {
            headers.insert(RANGE, range::asking(rest)?);
        }
        Some(Shipment {
            method: Method::GET,
            uri: Uri::from(record.target()?.clone()),
            prefix: "",
            headers,
            body: Outgoing::Empty,
            progress: None,
            repeatable: true,
            careful: false,
        })
    }

    /// The way to the other nodes, as they are now.
    async fn trial(&self, snapshot: &Snapshot) -> Trial {
        let course = match &self.asks {
            None => Course::ANYWHERE,
            Some(asks) => {
                let mut asks = asks.clone();
                // A manifest by its digest is content: nobody's push can have changed it.
                if let Demand::Name(repository) = asks.demand {
                    asks.demand = Demand::Content(repository);
                }
                let chart = Chart {
                    placement: &snapshot.placement,
                    sessions: &snapshot.sessions,
                    cluster: &snapshot.cluster,
                    class: self.class,
                };
                chart.plot(&asks, None).await
            }
        };
        let trial = Trial::new(self.class, self.to_core, self.want, course);
        let mut trial = trial.promised();
        trial.tried = tried(snapshot, &self.failed);
        trial
    }
}

fn tried(snapshot: &Snapshot, seeds: &[u64]) -> Nodes {
    let members = snapshot.cluster.members().iter().enumerate();
    let failed = members.filter(|(_, backend)| seeds.contains(&backend.seed));
    failed.map(|(index, _)| index).collect()
}

/// Goes on with the download of `record` after its node failed it. `None`: nobody can serve the rest.
pub(super) async fn go_on(mut record: Box<Record>, cut: Cut) -> (Box<Record>, Option<FromNode>) {
    let from = record.node.clone();
    let (Some(mut onward), Some(from)) = (record.onward.take(), from) else {
        return (record, None);
    };
    let snapshot = onward.state.read();
    let rest = onward.promise.rest(record.bytes_out);
    // Who failed it before may be well again, if another has served it meanwhile.
    if record.bytes_out > onward.went_on_at {
        onward.failed.clear();
        onward.silent.clear();
    }
    onward.fails(from.seed, cut == Cut::Silent);
    let found = onward.rest(&snapshot, &rest, &mut record).await;
    let outcome = match &found {
        Ok(_) => "resumed",
        Err(outcome) => outcome,
    };
    record.metrics().resume(outcome);
    let path = record.target().map_or("/", |target| target.path());
    let to = record.node.as_ref().map_or("", |node| &*node.name);
    match &found {
        Ok(_) => tracing::info!(
            from = %from.name, to, path, byte = rest.start, of = onward.promise.total,
            "{cut}; another node goes on with it"
        ),
        Err(why) => tracing::warn!(
            node = %from.name, last = to, path, byte = rest.start, of = onward.promise.total, why,
            "{cut}, and no other node goes on with it: the client was cut off, too"
        ),
    }
    let body = found.ok().map(|(answer, skip)| {
        record.resumed += 1;
        onward.went_on_at = record.bytes_out;
        let (_, incoming) = answer.response.into_parts();
        let stall = snapshot.patience.stall;
        let (lease, connection) = (answer.lease, answer.connection);
        FromNode::new(incoming, lease, connection, onward.to_core, false, stall).skipping(skip)
    });
    record.onward = Some(onward);
    (record, body)
}

impl Onward {
    /// The answer that has the `rest`, and how many bytes of it come before that; or the word for what became of it.
    async fn rest(
        &mut self,
        snapshot: &Snapshot,
        rest: &Range<u64>,
        record: &mut Record,
    ) -> Result<(Answer, u64), &'static str> {
        if !snapshot.resume.enabled {
            return Err("switched_off");
        }
        let mut shipment = self.shipment(record, rest).ok_or("no_node")?;
        let mut trial = self.trial(snapshot).await;
        let limit = snapshot.patience.stall;
        let mut now = Instant::now();
        let mut outcome = "no_node";
        let found = loop {
            // The first takes the place of the node that failed; more would be more than the client asked for.
            let again = self.failed.len() > 1 && !snapshot.budget.try_withdraw(now);
            if self.asked >= snapshot.resume.attempts || again {
                break Err("gave_up");
            }
            let Some(answered) = trial
                .next(snapshot, &mut shipment, limit, &mut now, record)
                .await
            else {
                if self.silent.is_empty() {
                    break Err(outcome);
                }
                let silent = tried(snapshot, &std::mem::take(&mut self.silent));
                trial.tried = trial.tried.without(silent);
                continue;
            };
            self.asked += 1;
            if let Some(backend) = snapshot.cluster.members().get(trial.at) {
                let silent =
                    matches!(&answered, Err(missed) if missed.failing == Some(Failing::Silent));
                self.fails(backend.seed, silent);
            }
            let Ok(answer) = answered else {
                continue;
            };
            if answer.fails(self.class) {
                record.metrics().attempt("failing_answer");
                answer.lease.failed(Failing::Answer);
                continue;
            }
            record.metrics().attempt("answered");
            answer.lease.went_well();
            let head = &answer.response;
            let digest = record.digest().unwrap_or_default();
            match (self.promise).kept(rest, digest, head.status(), head.headers()) {
                Ok(skip) => break Ok((answer, skip)),
                Err(Unkept::NotThere) if trial.course.climbs(trial.at) => {
                    let sharing = snapshot.placement.sharing(answer.lease.index());
                    trial.tried = trial.tried.with(sharing);
                    outcome = "not_there";
                    if !trial.course.goes_on() {
                        break Err(outcome);
                    }
                }
                Err(Unkept::NotThere) => break Err("not_there"),
                Err(Unkept::Refused) => break Err("refused"),
                Err(Unkept::Different) => break Err("different"),
            }
        };
        self.headers = shipment.headers;
        found
    }
}

/// The digest that a path ends with, as in `/v2/NAME/blobs/DIGEST`.
pub(super) fn digest(path: &str) -> Option<&str> {
    path.rsplit('/')
        .next()
        .filter(|last| promise::is_digest(last))
}

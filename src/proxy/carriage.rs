//! A request on its way from node to node: what was made of it, what came back so far, and what follows from that.

use std::time::Instant;

use http::{HeaderMap, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::attempt::{Missed, Shipment};
use super::body::Reply;
use super::ending::Lost;
use super::error::Fault;
use super::finish::Record;
use super::proof::Proof;
use super::request::Errand;
use super::response::Dress;
use super::resume::{Asked, Onward};
use super::trial::{Answer, Trial};
use super::{Carried, further, replay, upgrade, whole};
use crate::harbor::class::{Class, Repeat};
use crate::placement::affinity::{self, Bond, Lesson, Tie};
use crate::placement::course::Course;
use crate::placement::demand::Asks;
use crate::placement::plot::Chart;
use crate::placement::written::{self, News};
use crate::state::State;
use crate::state::snapshot::Snapshot;
use crate::upstream::lease::Failing;
use crate::upstream::outgoing::Outgoing;

/// A request on its way.
pub(super) struct Carriage<'a> {
    state: &'a State,
    snapshot: &'a Snapshot,
    record: &'a mut Record,
    class: Class,
    to_core: bool,
    tie: Tie,
    bond: Bond,
    asks: Option<Box<Asks>>,
    trial: Trial,
    shipment: Shipment,
    dress: Dress,
    upgrade: Option<OnUpgrade>,
    /// What the client said with the only request that cannot be sent again, but asked about.
    said: Option<Box<HeaderMap>>,
    kept: Kept,
    /// No node has seen a byte of it.
    unsent: bool,
    last: Fault,
    pub now: Instant,
}

/// Answers for the client if nothing better comes.
#[derive(Default)]
struct Kept {
    /// A node said that there is no such thing.
    unknown: Option<Answer>,
    /// A node said that it only reads.
    refused: Option<Carried>,
    /// A node failed in so many words.
    failing: Option<Answer>,
}

/// What follows.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it arrives"
)]
pub(super) enum Next {
    /// This is the answer.
    Arrived(Carried),
    /// Another node is to be asked.
    Again,
    /// No other node may be, or is left.
    Over,
}

impl<'a> Carriage<'a> {
    /// Finds out what ties the request to nodes and who may have what it asks for, and reads what must be sent whole.
    ///
    /// # Errors
    /// What is wrong with the client's body.
    pub async fn load(
        state: &'a State,
        snapshot: &'a Snapshot,
        errand: Errand,
        record: &'a mut Record,
    ) -> Result<Self, Fault> {
        let Errand {
            class,
            key,
            by_key,
            tie,
            asks,
            to_core,
            mut shipment,
            dress,
            upgrade,
        } = errand;
        // Most requests are tied to nothing: only the others have room for what may have to be asked of the store.
        let mut bond = match tie {
            Tie::None => Bond::loose(key),
            tie => {
                Box::pin(affinity::recall(
                    &snapshot.sessions,
                    tie,
                    key,
                    asks.is_some(),
                ))
                .await
            }
        };
        bond.want.by_key |= by_key;
        let course = match &asks {
            None => Course::ANYWHERE,
            Some(asks) => {
                let chart = chart(snapshot, class);
                Box::pin(chart.plot(asks, bond.want.tied)).await
            }
        };
        if class.repeat() == Repeat::Buffered {
            let body = std::mem::replace(&mut shipment.body, Outgoing::Empty);
            shipment.body = Outgoing::full(replay::whole(body).await?);
        }
        shipment.repeatable = repeatable(class, &shipment.body);
        shipment.careful = !shipment.repeatable;
        let said = (class == Class::UploadFinish).then(|| Box::new(shipment.headers.clone()));
        Ok(Carriage {
            state,
            snapshot,
            record,
            class,
            to_core,
            tie,
            trial: Trial::new(class, to_core, bond.want, course),
            bond,
            asks,
            shipment,
            dress,
            upgrade,
            said,
            kept: Kept::default(),
            unsent: true,
            last: Fault::NoNode,
            now: Instant::now(),
        })
    }

    /// Asks the next node. `None` when none is left.
    pub async fn next(&mut self) -> Option<Result<Answer, Missed>> {
        let first_byte = self.snapshot.patience.first_byte(self.class.lane());
        let (shipment, now) = (&mut self.shipment, &mut self.now);
        (self.trial)
            .next(self.snapshot, shipment, first_byte, now, self.record)
            .await
    }

    /// Another way, when the nodes of this one are used up and none of them has seen anything.
    pub async fn turn(&mut self) -> Next {
        let Some(asks) = self.asks.as_deref().filter(|_| self.unsent) else {
            return Next::Over;
        };
        let chart = chart(self.snapshot, self.class);
        match Box::pin(chart.elsewhere(asks, self.trial.tried)).await {
            Some(other) => self.trial.course = other,
            None => return Next::Over,
        }
        Next::Again
    }

    /// A node gave no answer.
    ///
    /// # Errors
    /// It was not the node's fault.
    pub fn missed(&mut self, missed: Missed) -> Result<Next, Fault> {
        let Missed {
            fault,
            failing,
            again,
        } = missed;
        self.last = fault;
        if fault == Fault::Busy {
            return Ok(Next::Over);
        }
        let failing = failing.ok_or(fault)?;
        self.unsent &= failing == Failing::Connect;
        // A refused connection cost nobody anything: every node may be asked.
        let again = again && (failing == Failing::Connect || self.may_repeat());
        Ok(if again { Next::Again } else { Next::Over })
    }

    /// A node answered.
    pub async fn weigh(&mut self, mut answer: Answer) -> Next {
        if upgrade::agreed(&answer.response) && self.upgrade.is_none() {
            // Nobody asked to leave HTTP: what follows is no answer to this request.
            self.record.metrics().attempt(Failing::Broke.slug());
            answer.lease.failed(Failing::Broke);
            self.last = Fault::NodeBroke;
            return Next::Over;
        }
        let taken = self.may_come_late(&answer) && Box::pin(self.was_taken(&mut answer)).await;
        self.unsent = false;
        if self.shipment.repeatable && self.trial.course.climbs(answer.lease.index()) {
            match Box::pin(self.further(answer)).await {
                Ok(theirs) => answer = theirs,
                Err(next) => return next,
            }
        }
        let writes = self
            .asks
            .as_deref()
            .is_some_and(|asks| asks.writes().is_some());
        if writes && further::may_be_read_only(self.class, &answer) {
            return Box::pin(self.refused(answer)).await;
        }
        if answer.fails(self.class) {
            self.record.metrics().attempt("failing_answer");
            answer.lease.failed(Failing::Answer);
            answer.lease.rest();
            let again = self.shipment.repeatable && self.may_repeat();
            self.kept.failing.get_or_insert(answer);
            return if again { Next::Again } else { Next::Over };
        }
        self.record.metrics().attempt("answered");
        answer.lease.went_well();
        self.learn(&mut answer).await;
        let mut carried = self.deliver(answer);
        if taken {
            // The words of the refusal.
            *carried.response.body_mut() = Reply::local(Default::default());
        }
        self.keep(&carried);
        let alone = self.shipment.repeatable && self.record.onward.is_none();
        if !alone || !whole::is_small(self.class, &carried.response) {
            return Next::Arrived(carried);
        }
        match whole::read(carried).await {
            Some(carried) => Next::Arrived(carried),
            None => {
                self.last = Fault::NodeBroke;
                match self.may_repeat() {
                    true => Next::Again,
                    false => Next::Over,
                }
            }
        }
    }

    /// Whether a manifest may have been refused because it was taken the first time.
    fn may_come_late(&self, answer: &Answer) -> bool {
        self.class == Class::ManifestWrite
            && !self.unsent
            && answer.response.status() == StatusCode::PRECONDITION_FAILED
    }

    /// Whether it was; then the answer is what it would have been.
    async fn was_taken(&mut self, answer: &mut Answer) -> bool {
        let Outgoing::Full(Some(sent)) = &self.shipment.body else {
            return false;
        };
        let sent = sent.clone();
        answer.lease.rest();
        let headers = self.shipment.headers.clone();
        let Some(head) = self.lost(headers).manifest(&sent).await else {
            return false;
        };
        *answer.response.status_mut() = StatusCode::CREATED;
        *answer.response.headers_mut() = head;
        true
    }

    fn lost(&mut self, headers: HeaderMap) -> Lost<'_> {
        Lost {
            snapshot: self.snapshot,
            record: self.record,
            dress: &self.dress,
            to_core: self.to_core,
            headers,
            at: self.trial.at,
        }
    }

    /// The answer, unless nodes with other data are to be asked first.
    async fn further(&mut self, answer: Answer) -> Result<Answer, Next> {
        let Some(asks) = self.asks.as_deref() else {
            return Ok(answer);
        };
        let sharing = self.snapshot.placement.sharing(answer.lease.index());
        let (sessions, unknown) = (&self.snapshot.sessions, &mut self.kept.unknown);
        if let Some(theirs) = further::weigh(sessions, self.class, asks, answer, unknown).await {
            return Ok(theirs);
        }
        self.record.metrics().attempt("not_there");
        self.trial.tried = self.trial.tried.with(sharing);
        Err(match self.trial.course.goes_on() {
            true => Next::Again,
            false => Next::Over,
        })
    }

    /// A write was refused: perhaps because this node only reads, and another one writes.
    async fn refused(&mut self, answer: Answer) -> Next {
        let node = answer.lease.backend().clone();
        let (carried, only_reads) = further::read(self.deliver(answer)).await;
        if only_reads {
            node.standing.said_it_only_reads();
            if self.shipment.repeatable
                && let Some(asks) = self.asks.as_deref()
                && let Some(other) = chart(self.snapshot, self.class)
                    .elsewhere(asks, self.trial.tried)
                    .await
            {
                self.trial.course = other;
                self.kept.refused = Some(carried);
                return Next::Again;
            }
        }
        Next::Arrived(carried)
    }

    /// Lets everybody know what has to be known of an answer before the client has it.
    async fn learn(&mut self, answer: &mut Answer) {
        let snapshot = self.snapshot;
        if let Some(news) = self.news(answer) {
            let (placement, sessions) = (snapshot.placement.clone(), snapshot.sessions.clone());
            let _ = tokio::spawn(written::tell(placement, sessions, news)).await;
        }
        let told = self.asks.is_some() && matches!(self.tie, Tie::Pushes(_));
        if self.tie != Tie::None && !told {
            let lesson = Lesson {
                class: self.class,
                from_core: self.to_core,
                status: answer.response.status(),
                headers: answer.response.headers(),
                node: answer.lease.backend(),
                client: self.record.client,
            };
            Box::pin(affinity::learn(&snapshot.sessions, &self.bond, lesson)).await;
        }
    }

    fn news(&self, answer: &Answer) -> Option<News> {
        let asks = self.asks.as_deref()?;
        let image = asks.image.as_ref().filter(|_| !asks.replicates)?;
        let head = &answer.response;
        Some(News {
            deed: written::deed(self.class, head.status(), head.headers())?,
            image: image.clone(),
            node: (answer.lease.backend().name.clone(), answer.lease.index()),
            client: self.record.client,
        })
    }

    fn deliver(&mut self, answer: Answer) -> Carried {
        super::deliver(
            answer,
            &self.dress,
            self.to_core,
            self.snapshot,
            &mut self.upgrade,
        )
    }

    /// Keeps what the answer's body will need beyond its own bytes.
    fn keep(&mut self, carried: &Carried) {
        let resume = &self.snapshot.resume;
        if resume.verify {
            let method = &self.shipment.method;
            self.record.proof = Proof::of(self.class, method, self.record, &carried.response);
        }
        if resume.enabled {
            let asked = Asked {
                state: self.state,
                trial: &self.trial,
                asks: &mut self.asks,
                shipment: &mut self.shipment,
            };
            self.record.onward = Onward::of(asked, self.record, &carried.response);
        }
    }

    fn may_repeat(&self) -> bool {
        if self.record.attempts >= self.snapshot.attempts {
            return false;
        }
        let granted = self.snapshot.budget.try_withdraw(Instant::now());
        if !granted {
            self.record.metrics().retry_budget_exhausted();
        }
        granted
    }

    /// No node gave an answer that is good enough: the best there is.
    ///
    /// # Errors
    /// What went wrong last, when there was none.
    pub async fn give_up(mut self) -> Result<Carried, Fault> {
        let lost = matches!(self.last, Fault::NodeBroke | Fault::NodeSilent);
        let said = self.said.take();
        if let Some(headers) = said.filter(|_| lost || self.kept.failing.is_some()) {
            let failed = self.record.node.clone();
            let found = Box::pin(self.lost(*headers).blob()).await;
            if let Some(response) = found {
                affinity::lose(&self.snapshot.sessions, &self.bond);
                return Ok(Carried {
                    response,
                    tunnel: None,
                });
            }
            self.record.node = failed;
        }
        if lost && self.class.is_upload() {
            affinity::lose(&self.snapshot.sessions, &self.bond);
            self.last = Fault::UploadCut;
        }
        // What another node would have said is not known.
        if self.last == Fault::Busy && self.kept.failing.is_none() {
            return Err(self.last);
        }
        if let Some(refused) = self.kept.refused.take() {
            return Ok(refused);
        }
        match self.kept.unknown.take().or(self.kept.failing.take()) {
            Some(answer) => {
                self.record.node = Some(answer.lease.backend().clone());
                Ok(self.deliver(answer))
            }
            None => Err(self.last),
        }
    }
}

fn chart(snapshot: &Snapshot, class: Class) -> Chart<'_> {
    Chart {
        placement: &snapshot.placement,
        sessions: &snapshot.sessions,
        cluster: &snapshot.cluster,
        class,
    }
}

/// What may be repeated is a table by class; a body that streams cannot be, whatever the class.
fn repeatable(class: Class, body: &Outgoing) -> bool {
    match class.repeat() {
        Repeat::Never => false,
        Repeat::WithoutBody | Repeat::BeforeFirstByte => body.is_empty(),
        Repeat::Buffered => true,
    }
}

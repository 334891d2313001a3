//! One request to one node and back. This is the function to read first.
//!
//! snapshot → class → affinity → course → loop { lease → attempt → (again, or further) } → answer. Everything before it
//! (judging the request, admission, the access log) is `front`'s; everything after it happens as the answer's body is
//! read, going on at another node included ([`resume`]).

pub mod attempt;
pub mod body;
mod ending;
pub mod error;
pub mod finish;
mod further;
mod promise;
mod proof;
pub mod replay;
pub mod request;
pub mod response;
pub mod resume;
mod trial;
pub mod upgrade;
mod whole;

use std::time::Instant;

use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::harbor::class::{Class, Repeat};
use crate::placement::affinity::{self, Bond, Lesson, Tie};
use crate::placement::course::Course;
use crate::placement::demand::Asks;
use crate::placement::plot::Chart;
use crate::placement::written::{self, News};
use crate::state::State;
use crate::state::snapshot::Snapshot;
use crate::upstream::lease::{Failing, Lease};
use crate::upstream::outgoing::Outgoing;

use attempt::Missed;
use body::{FromNode, Reply};
use ending::Lost;
use error::Fault;
use finish::Record;
use proof::Proof;
use request::Errand;
use response::Dress;
use resume::{Asked, Onward};
use trial::{Answer, Trial};

/// An answer for the client; where the node left HTTP, with the two ends of the tunnel.
pub struct Carried {
    /// The answer.
    pub response: Response<Reply>,
    /// Both ends and the lease, when the answer is 101.
    pub tunnel: Option<(OnUpgrade, OnUpgrade, Lease)>,
}

/// Carries a request to a node that can serve it, and the beginning of its answer back.
///
/// # Errors
/// [`Fault`] when no node answered.
pub async fn carry(
    state: &State,
    snapshot: &Snapshot,
    errand: Errand,
    record: &mut Record,
) -> Result<Carried, Fault> {
    let Errand {
        class,
        key,
        by_key,
        tie,
        mut asks,
        to_core,
        mut shipment,
        dress,
        mut upgrade,
    } = errand;
    // Most requests are tied to nothing: only the others have room for what may have to be asked of the store.
    let apart = asks.is_some();
    let mut bond = match tie {
        Tie::None => Bond::loose(key),
        tie => Box::pin(affinity::recall(&snapshot.sessions, tie, key, apart)).await,
    };
    bond.want.by_key |= by_key;
    let chart = Chart {
        placement: &snapshot.placement,
        sessions: &snapshot.sessions,
        cluster: &snapshot.cluster,
        class,
    };
    let course = match &asks {
        None => Course::ANYWHERE,
        Some(asks) => Box::pin(chart.plot(asks, bond.want.tied)).await,
    };
    let mut trial = Trial::new(class, to_core, bond.want, course);
    if class.repeat() == Repeat::Buffered {
        shipment.body = Outgoing::full(
            replay::whole(std::mem::replace(&mut shipment.body, Outgoing::Empty)).await?,
        );
    }
    shipment.repeatable = repeatable(class, &shipment.body);
    shipment.careful = !shipment.repeatable;
    // The only request that cannot be sent again, but asked about.
    let said = (class == Class::UploadFinish).then(|| Box::new(shipment.headers.clone()));
    let mut second_best: Option<Answer> = None;
    let mut unknown: Option<Answer> = None;
    let mut refused: Option<Carried> = None;
    let mut unsent = true;
    let mut last = Fault::NoNode;
    let mut now = Instant::now();
    snapshot.budget.deposit(now);
    loop {
        let first_byte = snapshot.patience.first_byte(class.lane());
        let tried = trial.next(snapshot, &mut shipment, first_byte, &mut now, record);
        let Some(tried) = tried.await else {
            let Some(asks) = asks.as_deref().filter(|_| unsent) else {
                break;
            };
            match Box::pin(chart.elsewhere(asks, trial.tried)).await {
                Some(other) => trial.course = other,
                None => break,
            }
            continue;
        };
        match tried {
            Ok(mut answer) => {
                if upgrade::agreed(&answer.response) && upgrade.is_none() {
                    // Nobody asked to leave HTTP: what follows is no answer to this request.
                    record.metrics().attempt(Failing::Broke.slug());
                    answer.lease.failed(Failing::Broke);
                    last = Fault::NodeBroke;
                    break;
                }
                // Refused because the first time it was taken, perhaps.
                let late = class == Class::ManifestWrite
                    && !unsent
                    && answer.response.status() == StatusCode::PRECONDITION_FAILED;
                let mut taken = false;
                if late && let Outgoing::Full(Some(sent)) = &shipment.body {
                    let lost = Lost {
                        snapshot,
                        record,
                        dress: &dress,
                        to_core,
                        headers: shipment.headers.clone(),
                        at: trial.at,
                    };
                    if let Some(head) = Box::pin(lost.manifest(sent)).await {
                        *answer.response.status_mut() = StatusCode::CREATED;
                        *answer.response.headers_mut() = head;
                        taken = true;
                    }
                }
                unsent = false;
                let climbs = shipment.repeatable && trial.course.climbs(answer.lease.index());
                if let Some(asks) = asks.as_deref().filter(|_| climbs) {
                    let sharing = snapshot.placement.sharing(answer.lease.index());
                    let weighed =
                        further::weigh(&snapshot.sessions, class, asks, answer, &mut unknown);
                    match Box::pin(weighed).await {
                        Some(theirs) => answer = theirs,
                        None => {
                            record.metrics().attempt("not_there");
                            trial.tried = trial.tried.with(sharing);
                            if trial.course.goes_on() {
                                continue;
                            }
                            break;
                        }
                    }
                }
                if let Some(asks) = asks.as_deref().filter(|asks| asks.writes().is_some())
                    && further::may_be_read_only(class, &answer)
                {
                    let node = answer.lease.backend().clone();
                    let carried = deliver(answer, &dress, to_core, snapshot, &mut upgrade);
                    let (carried, only_reads) = Box::pin(further::read(carried)).await;
                    if only_reads {
                        node.standing.said_it_only_reads();
                        if shipment.repeatable
                            && let Some(other) = Box::pin(chart.elsewhere(asks, trial.tried)).await
                        {
                            trial.course = other;
                            refused = Some(carried);
                            continue;
                        }
                    }
                    return Ok(carried);
                }
                if !answer.fails(class) {
                    record.metrics().attempt("answered");
                    answer.lease.went_well();
                    let news = asks
                        .as_deref()
                        .and_then(|asks| news(asks, class, &answer, record));
                    if let Some(news) = news {
                        let (placement, sessions) =
                            (snapshot.placement.clone(), snapshot.sessions.clone());
                        let _ = tokio::spawn(written::tell(placement, sessions, news)).await;
                    }
                    if tie != Tie::None && !(apart && matches!(tie, Tie::Pushes(_))) {
                        let lesson = Lesson {
                            class,
                            from_core: to_core,
                            status: answer.response.status(),
                            headers: answer.response.headers(),
                            node: answer.lease.backend(),
                            client: record.client,
                        };
                        Box::pin(affinity::learn(&snapshot.sessions, &bond, lesson)).await;
                    }
                    let mut carried = deliver(answer, &dress, to_core, snapshot, &mut upgrade);
                    if taken {
                        // The words of the refusal.
                        *carried.response.body_mut() = Reply::local(Default::default());
                    }
                    let asked = Asked {
                        state,
                        trial: &trial,
                        asks: &mut asks,
                        shipment: &mut shipment,
                    };
                    keep(asked, snapshot, record, &carried.response);
                    let alone = shipment.repeatable && record.onward.is_none();
                    if !alone || !whole::is_small(class, &carried.response) {
                        return Ok(carried);
                    }
                    if let Some(carried) = whole::read(carried).await {
                        return Ok(carried);
                    }
                    last = Fault::NodeBroke;
                    if may_repeat(snapshot, record) {
                        continue;
                    }
                    break;
                }
                record.metrics().attempt("failing_answer");
                answer.lease.failed(Failing::Answer);
                let again = shipment.repeatable && may_repeat(snapshot, record);
                second_best.get_or_insert(answer);
                if !again {
                    break;
                }
            }
            Err(Missed {
                fault,
                failing,
                again,
            }) => {
                last = fault;
                let Some(failing) = failing else {
                    return Err(fault);
                };
                unsent &= failing == Failing::Connect;
                // A refused connection cost nobody anything: every node may be asked.
                if !again || (failing != Failing::Connect && !may_repeat(snapshot, record)) {
                    break;
                }
            }
        }
    }
    let lost = matches!(last, Fault::NodeBroke | Fault::NodeSilent);
    if let Some(headers) = said.filter(|_| lost || second_best.is_some()) {
        let failed = record.node.clone();
        let lost = Lost {
            snapshot,
            record,
            dress: &dress,
            to_core,
            headers: *headers,
            at: trial.at,
        };
        if let Some(response) = Box::pin(lost.blob()).await {
            affinity::lose(&snapshot.sessions, &bond);
            return Ok(Carried {
                response,
                tunnel: None,
            });
        }
        record.node = failed;
    }
    if lost && class.is_upload() {
        affinity::lose(&snapshot.sessions, &bond);
        last = Fault::UploadCut;
    }
    if let Some(refused) = refused {
        return Ok(refused);
    }
    match unknown.or(second_best) {
        Some(answer) => {
            record.node = Some(answer.lease.backend().clone());
            Ok(deliver(answer, &dress, to_core, snapshot, &mut upgrade))
        }
        None => Err(last),
    }
}

/// What everybody has to know of an answer before the client does.
fn news(asks: &Asks, class: Class, answer: &Answer, record: &Record) -> Option<News> {
    let image = asks.image.as_ref().filter(|_| !asks.replicates)?;
    let head = &answer.response;
    Some(News {
        deed: written::deed(class, head.status(), head.headers())?,
        image: image.clone(),
        node: (answer.lease.backend().name.clone(), answer.lease.index()),
        client: record.client,
    })
}

/// What may be repeated is a table by class; a body that streams cannot be, whatever the class.
fn repeatable(class: Class, body: &Outgoing) -> bool {
    match class.repeat() {
        Repeat::Never => false,
        Repeat::WithoutBody | Repeat::BeforeFirstByte => body.is_empty(),
        Repeat::Buffered => true,
    }
}

fn may_repeat(snapshot: &Snapshot, record: &Record) -> bool {
    if record.attempts >= snapshot.attempts {
        return false;
    }
    let granted = snapshot.budget.try_withdraw(Instant::now());
    if !granted {
        record.metrics().retry_budget_exhausted();
    }
    granted
}

/// Keeps what the answer's body will need beyond its own bytes.
fn keep(asked: Asked<'_>, snapshot: &Snapshot, record: &mut Record, answer: &Response<Reply>) {
    if snapshot.resume.verify {
        record.proof = Proof::of(asked.trial.class, &asked.shipment.method, record, answer);
    }
    if snapshot.resume.enabled {
        record.onward = Onward::of(asked, record, answer);
    }
}

fn deliver(
    answer: Answer,
    dress: &Dress,
    to_core: bool,
    snapshot: &Snapshot,
    upgrade: &mut Option<OnUpgrade>,
) -> Carried {
    let Answer {
        mut response,
        connection,
        lease,
    } = answer;
    if upgrade::agreed(&response)
        && let Some(client) = upgrade.take()
    {
        let node = hyper::upgrade::on(&mut response);
        connection.set_free();
        let (head, _) = response.into_parts();
        let mut response = Response::from_parts(head, Reply::local(Default::default()));
        dress.switching(response.headers_mut());
        return Carried {
            response,
            tunnel: Some((client, node, lease)),
        };
    }
    let (mut head, incoming) = response.into_parts();
    let forgiving = dress.answer(&mut head, lease.backend(), snapshot.public.as_ref());
    let stall = snapshot.patience.stall;
    let body = Reply::from_node(FromNode::new(
        incoming, lease, connection, to_core, forgiving, stall,
    ));
    Carried {
        response: Response::from_parts(head, body),
        tunnel: None,
    }
}

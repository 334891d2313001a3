//! The order in which a request meets everything, outermost first.

use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;

use super::Door;
use super::admit::Knock;
use super::judge::{self, Habit};
use super::policy::Policy;
use super::redirect;
use super::rescue::{self, Refusal};
use crate::harbor::class::Class;
use crate::harbor::path::{self, Target};
use crate::message::forwarded::{self, Origin};
use crate::message::id;
use crate::message::survey::Survey;
use crate::net::seats::Seat;
use crate::net::turns::Turns;
use crate::proxy::body::Reply;
use crate::proxy::finish::{Ended, Record};
use crate::proxy::request::Caller;
use crate::proxy::{self, upgrade};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One client connection, as its requests see it.
pub struct Session {
    /// What all listeners share.
    pub door: Arc<Door>,
    /// The listener's policy when the connection came.
    pub policy: Arc<Policy>,
    /// The client's seat for it, where seats are counted.
    pub seat: Option<Seat>,
    /// Whether it is one too many.
    pub is_extra: bool,
    /// The client, or the forwarder in front of it.
    pub origin: Origin,
    /// Whom its requests are for.
    pub habit: Habit,
    /// The requests under way on it.
    pub turns: Arc<Turns>,
    /// How often everybody had been asked to leave when it came.
    pub farewells: usize,
}

impl Session {
    /// Returns when the connection shall end after what runs on it.
    pub async fn goodbye(&self) {
        self.door.drain.goodbye(self.farewells).await;
    }

    /// The same for HTTP/1, where a goodbye between two requests may cross the next one on its way. A gentle drain waits
    /// for that and says it in the answer.
    pub async fn dismissal(&self) {
        self.door.drain.dismissal(self.farewells).await;
    }
}

/// Answers one request. Never fails: whatever happens, the client gets an answer and the log a line.
pub async fn answer(session: &Session, mut request: Request<Incoming>) -> Response<Reply> {
    let target = request.uri().path_and_query().cloned();
    let text = target.as_ref().map_or("/", |target| target.as_str());
    let method = request.method().clone();
    let version = request.version();
    let id = id::take(request.headers_mut());
    let found = Survey::of(request.headers());
    // First of all, so that the record knows what it is about even if the request is refused.
    let classified = path::classify(&method, text);
    let class = classified
        .as_ref()
        .map_or(Class::Other, |target| target.class);
    // The record is outside everything else: every request is counted and logged, whatever its end.
    let lasts = (session.door.drain.hold(kind(class)), session.turns.begin());
    let mut record = Record::begin(
        &request,
        session.origin.peer(),
        session.door.sinks.clone(),
        lasts,
    );
    if let Ok(target) = &classified {
        record.concerns(target);
    }
    record.id = Some(id.clone());
    let classified =
        classified.map_err(|_| Refusal::Malformed("the path could be read in two ways"));
    let mut response = match handle(session, request, &found, classified, &mut record).await {
        Ok(carried) => {
            record.status = carried.response.status();
            record.first_byte = Some(record.elapsed());
            if let Some((client, node, lease)) = carried.tunnel {
                upgrade::join(client, node, lease, record);
                return carried.response;
            }
            carried.response
        }
        // Rescue sits just inside the record, the one place where a failure becomes an answer.
        Err(refusal) => {
            rescue::tell(refusal, text, session.origin.peer());
            record.ended = refusal.ended();
            rescue::answer(refusal, text)
        }
    };
    record.status = response.status();
    if (session.is_extra || session.door.drain.draining()) && version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response.body_mut().record(record);
    response
}

async fn handle(
    session: &Session,
    request: Request<Incoming>,
    found: &Survey,
    target: Result<Target<'_>, Refusal>,
    record: &mut Record,
) -> Result<proxy::Carried, Refusal> {
    if session.is_extra {
        return Err(Refusal::Full);
    }
    // Judged before anything is decided by it: what can be read in two ways is never forwarded.
    let judged = judge::judge(&request, found, &session.policy, &session.habit)?;
    let target = target?;
    if let Some(port) = session.policy.redirect {
        let response = redirect::answer(&judged.host, port, request.uri())
            .ok_or(Refusal::Malformed("no such target"))?;
        record.ended = Ended::Refused;
        return Ok(proxy::Carried {
            response,
            tunnel: None,
        });
    }
    // What Harbor's own nginx keeps from the outside stays inside.
    if target.class == Class::Internal {
        return Err(Refusal::NotServed);
    }
    let snapshot = session.door.state.read();
    record.client = forwarded::client(request.headers(), found, &session.origin);
    let knock = Knock {
        client: record.client,
        class: target.class,
        method: request.method(),
        path: request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str()),
    };
    let toll = session
        .door
        .gate
        .admit(&snapshot.admission, &knock, record)?;
    let caller = Caller {
        origin: &session.origin,
        authority: &judged.authority,
        found,
    };
    let (errand, _) = proxy::request::prepare(request, &target, &caller, &snapshot);
    record.progress = errand.shipment.progress.clone();
    let carried = proxy::carry(&session.door.state, &snapshot, errand, record)
        .await
        .map_err(Refusal::Fault)?;
    toll.settle(carried.response.status());
    Ok(carried)
}

/// What a drain says it still waits for.
const fn kind(class: Class) -> &'static str {
    match class {
        Class::UploadStart | Class::UploadChunk | Class::UploadFinish | Class::ManifestWrite => {
            "push"
        }
        Class::BlobRead | Class::ManifestRead => "pull",
        _ => "request",
    }
}

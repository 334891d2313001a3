//! The admin API: what may be asked, and the answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Desk, auth, journal, nodes, sessions, vip};
use crate::harbor::class::Class;
use crate::harbor::share::Share;
use crate::session::key::Kind;
use crate::session::word::Wish;

/// How long the data runtime may take to say that it is well.
const HEARTBEAT: Duration = Duration::from_secs(1);

pub(super) type Answer = Response<Full<Bytes>>;

/// What may be asked.
enum Question<'a> {
    Healthz,
    Readyz,
    Metrics,
    Status,
    Nodes,
    Reload,
    /// What the operator wants of a node.
    Wish(&'a str, Wish),
    Promote(&'a str),
    Weight(&'a str),
    Vip,
    Release,
    Claim,
    /// What sticks, to this node or to any.
    Sessions(Option<&'a str>),
    /// Forget what sticks to this node.
    Forget(Option<&'a str>),
    /// What some storage lacks.
    Journal,
    /// Have it brought there now.
    RunJournal,
    /// Take an entry, or all, out of the journal.
    ForgetJournal(Option<&'a str>),
}

impl<'a> Question<'a> {
    fn read(method: &Method, path: &'a str, query: Option<&'a str>) -> Option<Self> {
        Some(match path {
            "/healthz" => Question::Healthz,
            "/readyz" => Question::Readyz,
            "/metrics" => Question::Metrics,
            "/api/v1/status" => Question::Status,
            "/api/v1/nodes" => Question::Nodes,
            "/api/v1/reload" => Question::Reload,
            "/api/v1/vip" => Question::Vip,
            "/api/v1/vip/release" => Question::Release,
            "/api/v1/vip/claim" => Question::Claim,
            "/api/v1/sessions" if *method == Method::DELETE => Question::Forget(of_node(query)),
            "/api/v1/sessions" => Question::Sessions(of_node(query)),
            "/api/v1/journal" => match *method {
                Method::POST => Question::RunJournal,
                Method::DELETE => Question::ForgetJournal(of("id=", query)),
                _ => Question::Journal,
            },
            _ => {
                let (name, act) = path.strip_prefix("/api/v1/nodes/")?.split_once('/')?;
                match act {
                    "drain" => Question::Wish(name, Wish::Drain),
                    "ready" => Question::Wish(name, Wish::Ready),
                    "maintenance" => Question::Wish(name, Wish::Maintenance),
                    "promote" => Question::Promote(name),
                    "weight" => Question::Weight(name),
                    _ => return None,
                }
            }
        })
    }

    const fn method(&self) -> Method {
        match self {
            Question::Reload
            | Question::Release
            | Question::Claim
            | Question::RunJournal
            | Question::Wish(..)
            | Question::Promote(_) => Method::POST,
            Question::Weight(_) => Method::PUT,
            Question::Forget(_) | Question::ForgetJournal(_) => Method::DELETE,
            _ => Method::GET,
        }
    }

    /// Whether anybody may ask: orchestrators know no token.
    const fn is_open(&self) -> bool {
        matches!(self, Question::Healthz | Question::Readyz)
    }
}

/// Answers one request.
pub async fn answer(desk: &Arc<Desk>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let question = Question::read(&head.method, head.uri.path(), head.uri.query());
    let open = question.as_ref().is_some_and(Question::is_open);
    if !open && !auth::may(&head.headers, &head.method, desk.token.as_deref()) {
        return error(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "not allowed from here, or the token is missing or wrong",
        );
    }
    let Some(question) = question else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", "no such page");
    };
    let allowed = question.method();
    let asked = if head.method == Method::HEAD {
        Method::GET
    } else {
        head.method
    };
    if asked != allowed {
        let mut answer = error(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "wrong method",
        );
        if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
            answer.headers_mut().insert(ALLOW, allowed);
        }
        return answer;
    }
    match question {
        Question::Healthz => json_answer(StatusCode::OK, &json!({"status": "alive"})),
        Question::Readyz => readyz(desk).await,
        Question::Metrics => metrics(desk),
        Question::Status => json_answer(StatusCode::OK, &status(desk).await),
        Question::Nodes => json_answer(StatusCode::OK, &nodes::all(desk).await),
        Question::Reload => reload(desk).await,
        Question::Wish(name, wish) => nodes::operate(desk, name, |word| word.wish = wish).await,
        Question::Promote(name) => nodes::promote(desk, name).await,
        Question::Weight(name) => match weight(body).await {
            Some(weight) => nodes::operate(desk, name, |word| word.weight = Some(weight)).await,
            None => error(
                StatusCode::BAD_REQUEST,
                "BAD_REQUEST",
                "send {\"weight\": N} with N from 0 to 1000",
            ),
        },
        Question::Vip => vip::status(desk),
        Question::Release => vip::release(desk).await,
        Question::Claim => vip::claim(desk).await,
        Question::Sessions(node) => sessions::list(desk, node).await,
        Question::Forget(Some(node)) => sessions::forget(desk, node).await,
        Question::Forget(None) => error(
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "name the node: /api/v1/sessions?node=NAME",
        ),
        Question::Journal => journal::list(desk),
        Question::RunJournal => match id(body).await {
            Ok(id) => journal::run(desk, id.as_deref()),
            Err(()) => error(
                StatusCode::BAD_REQUEST,
                "BAD_REQUEST",
                "send nothing, or {\"id\": \"…\"} with the id of an entry",
            ),
        },
        Question::ForgetJournal(Some(id)) => journal::forget(desk, id),
        Question::ForgetJournal(None) => error(
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "name the entry: /api/v1/journal?id=ID, or all",
        ),
    }
}

fn of_node(query: Option<&str>) -> Option<&str> {
    of("node=", query)
}

/// A value in a query. Names of nodes and ids of entries need no escapes.
fn of<'q>(key: &str, query: Option<&'q str>) -> Option<&'q str> {
    let mut pairs = query?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(key))
}

/// The id in a body, if there is one.
async fn id(body: Incoming) -> Result<Option<String>, ()> {
    let bytes = Limited::new(body, 1024).collect().await.map_err(drop)?;
    let bytes = bytes.to_bytes();
    if bytes.is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(drop)?;
    let id = value.get("id").and_then(Value::as_str);
    id.map(|id| Some(id.to_owned())).ok_or(())
}

async fn weight(body: Incoming) -> Option<u32> {
    let bytes = Limited::new(body, 1024).collect().await.ok()?.to_bytes();
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let weight = value
        .get("weight")?
        .as_u64()
        .filter(|weight| *weight <= 1000)?;
    u32::try_from(weight).ok()
}

/// Whether a registry request would be served now, and what is amiss.
struct Fitness {
    ready: bool,
    degraded: bool,
    reasons: Vec<String>,
}

/// Every worker is asked for a sign of life, with a deadline: clients of one that does not answer wait for nothing.
async fn fitness(desk: &Desk) -> Fitness {
    let signs: Vec<_> = desk
        .data
        .handles()
        .map(|worker| worker.spawn(async {}))
        .collect();
    let all = async {
        let mut alive = true;
        for sign in signs {
            alive &= sign.await.is_ok();
        }
        alive
    };
    let mut reasons = desk.ready.reasons();
    if !tokio::time::timeout(HEARTBEAT, all).await.unwrap_or(false) {
        reasons.push("the data plane does not answer".to_owned());
    }
    if desk.door.drain.draining() {
        reasons.push("draining".to_owned());
    }
    let cluster = desk.door.state.read().cluster.clone();
    if !cluster.could_serve(Class::ManifestRead) {
        reasons.push("no node accepts registry requests".to_owned());
    }
    let degraded =
        cluster.could_serve(Class::ManifestRead) && !cluster.serves_well(Class::ManifestRead);
    let ready = reasons.is_empty();
    if degraded {
        reasons.push("no node is healthy for registry requests; sending all the same".to_owned());
    }
    Fitness {
        ready,
        degraded: ready && degraded,
        reasons,
    }
}

async fn readyz(desk: &Desk) -> Answer {
    let fitness = fitness(desk).await;
    let (status, word) = match (fitness.ready, fitness.degraded) {
        (true, false) => (StatusCode::OK, "ready"),
        (true, true) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    json_answer(status, &json!({"status": word, "reasons": fitness.reasons}))
}

fn metrics(desk: &Desk) -> Answer {
    journal::measure(desk);
    for backend in desk.door.state.read().cluster.members() {
        let (numbers, capacity) = (&backend.metrics, &backend.capacity);
        numbers.in_flight.set(i64::from(capacity.in_flight()));
        numbers.limit.set(i64::from(capacity.limit()));
        for share in Share::ALL {
            let (taken, waiting) = (capacity.taken(share), capacity.waiting(share));
            numbers.share(share.slug(), i64::from(taken), i64::from(waiting));
        }
    }
    let sessions = desk.door.state.read().sessions.clone();
    for kind in Kind::ALL {
        if let Some(gauge) = sessions.metrics().entries.get(kind.index()) {
            gauge.set(i64::try_from(sessions.count(kind)).unwrap_or(i64::MAX));
        }
    }
    let mut answer = Response::new(Full::from(desk.door.sinks.metrics.encode()));
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

async fn status(desk: &Desk) -> Value {
    let fitness = fitness(desk).await;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": fitness.ready,
        "degraded": fitness.degraded,
        "reasons": fitness.reasons,
        "draining": desk.door.drain.draining(),
        "nodes": nodes::all(desk).await,
        "sessions": sessions::summary(desk),
        "vip": vip::instances(desk),
    })
}

async fn reload(desk: &Desk) -> Answer {
    let (tell, told) = oneshot::channel();
    if desk.reload.send(tell).await.is_err() {
        return error(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "shutting down",
        );
    }
    match told.await {
        Ok(Ok(changes)) => json_answer(StatusCode::OK, &json!({"changes": changes})),
        Ok(Err(problems)) => {
            let errors: Vec<Value> = problems
                .iter()
                .map(|problem| json!({"code": "BAD_CONFIGURATION", "message": problem}))
                .collect();
            json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"errors": errors}))
        }
        Err(_) => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "shutting down",
        ),
    }
}

pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json_answer(
        status,
        &json!({"errors": [{"code": code, "message": message}]}),
    )
}

pub(super) fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

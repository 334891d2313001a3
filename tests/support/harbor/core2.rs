//! Core of Harbor 2.x: the chain every request passes, and what stands at its end.

use http::{HeaderMap, Method, header};

use super::csrf::{self, Gorilla};
use super::faults::Switch;
use super::nginx::Ask;
use super::reply::{self, Reply};
use super::session::{Session, Trouble, cookie, pairs, parameter};
use super::{Harbor, api2, service, users, v2};

/// What the chain found out about a request.
pub struct Visit {
    pub session: Session,
}

/// Answers a request that nginx gave to core.
pub async fn answer(harbor: &Harbor, mut ask: Ask) -> Reply {
    let faults = &harbor.faults;
    let session = match harbor.sessions.begin(&ask.headers, faults).await {
        Ok(session) => session,
        Err(Trouble::Malformed | Trouble::Foreign | Trouble::Away) => return reply::beego_503(),
    };
    let mut visit = Visit { session };
    let id = request_id(&ask.headers);
    let guarded = ask.path.starts_with("/c/") || cookie(&ask.headers, "sid").is_some();
    let gorilla = guarded.then(|| {
        let secure = !harbor.options.external_url.starts_with("http://");
        csrf::gorilla(&harbor.csrf_key(), &ask.headers, secure)
    });
    let refused = gorilla.as_ref().is_some_and(|g| !g.valid && !ask.is_safe());
    let mut reply = if refused {
        reply::errors(403, "FORBIDDEN", "CSRF token invalid")
    } else {
        if !is_ping(&ask.path) {
            harbor.sessions.read_cache(faults).await;
        }
        inside(harbor, &mut ask, &mut visit).await
    };
    let _ = harbor.sessions.save(&visit.session, faults).await;
    if reply.extensions().get::<reply::Own>().is_some() {
        return reply;
    }
    finish(&mut reply, &visit.session, gorilla.as_ref(), refused);
    reply::with(reply, "x-request-id", &id)
}

fn is_ping(path: &str) -> bool {
    path == "/api/v2.0/ping"
}

/// The rest of the chain: transaction, read-only, routes.
async fn inside(harbor: &Harbor, ask: &mut Ask, visit: &mut Visit) -> Reply {
    let upload = ask.path.starts_with("/v2/")
        && ask.path.contains("/blobs/uploads/")
        && matches!(ask.method, Method::PATCH | Method::PUT);
    let token = ask.path == "/service/token";
    if !ask.is_safe() && !upload && !token && harbor.database().await.is_err() {
        let mut reply = internal();
        reply.extensions_mut().insert(NoSession);
        return reply;
    }
    let exempt = token || matches!(ask.path.as_str(), "/c/login" | "/api/v2.0/configurations");
    if harbor.faults.on(Switch::ReadOnly) && !ask.is_safe() && !exempt {
        return reply::errors(
            403,
            "DENIED",
            "The system is in read only mode. Any modification is prohibited.",
        );
    }
    match ask.path.as_str() {
        "/service/token" => service::token2(harbor, ask).await,
        "/c/login" => login(harbor, ask, visit).await,
        "/c/log_out" => logout(ask, visit),
        path if path.starts_with("/v2/") => v2::answer(harbor, ask, visit).await,
        path if path.starts_with("/api/") => api2::answer(harbor, ask, visit).await,
        _ => reply::beego_404(),
    }
}

/// Marks an answer that goes out before the session is written.
#[derive(Clone)]
pub struct NoSession;

/// What 2.x says when something inside breaks.
pub fn internal() -> Reply {
    reply::errors(500, "UNKNOWN", "internal server error")
}

async fn login(harbor: &Harbor, ask: &mut Ask, visit: &mut Visit) -> Reply {
    if ask.method != Method::POST {
        return reply::beego_404();
    }
    if harbor.database().await.is_err() {
        return internal();
    }
    let form = String::from_utf8_lossy(&ask.body.collect(1 << 16).await).into_owned();
    let form = pairs(&form);
    let name = parameter(&form, "principal");
    let lock = harbor.options.timing.lock;
    if !harbor
        .users
        .check(name, parameter(&form, "password"), lock)
        .await
    {
        return reply::nothing(401);
    }
    visit.session.regenerate();
    visit.session.user = Some(name.to_owned());
    reply::nothing(200)
}

fn logout(ask: &Ask, visit: &mut Visit) -> Reply {
    if ask.method != Method::GET {
        return reply::beego_404();
    }
    visit.session.destroyed = true;
    reply::nothing(200)
}

fn finish(reply: &mut Reply, session: &Session, gorilla: Option<&Gorilla>, refused: bool) {
    let early = reply.extensions_mut().remove::<NoSession>().is_some();
    let headers = reply.headers_mut();
    if let Some(gorilla) = gorilla {
        if let Some(line) = &gorilla.set_cookie {
            reply::add(headers, "set-cookie", line);
        }
        if !refused {
            reply::add(headers, "vary", "Cookie");
        }
        reply::add(headers, csrf::HEADER, &gorilla.token);
    }
    if session.fresh && !early {
        reply::add(
            headers,
            "set-cookie",
            &format!("sid={}; Path=/; HttpOnly", session.id),
        );
    }
    if session.destroyed {
        let now = httpdate::fmt_http_date(std::time::SystemTime::now());
        let line = format!("sid=; Path=/; Expires={now}; Max-Age=0; HttpOnly");
        reply::add(headers, "set-cookie", &line);
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get("x-request-id").and_then(|v| v.to_str().ok());
    sent.filter(|id| !id.is_empty())
        .map_or_else(uuid, str::to_owned)
}

/// A random UUID of version 4.
pub fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) | 0x4 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Who asks.
pub enum Who {
    /// Nobody, or somebody whose credentials are worth nothing.
    Anonymous,
    User(String),
    /// A bearer token, with its claims.
    Token(serde_json::Value),
}

/// Reads credentials: Basic, Bearer, else the session.
pub async fn who(harbor: &Harbor, headers: &HeaderMap, session: &Session) -> Who {
    if let Some((name, password)) = users::basic(headers) {
        if harbor.database().await.is_err() {
            return Who::Anonymous;
        }
        let good = harbor
            .users
            .check(&name, &password, harbor.options.timing.lock)
            .await;
        return if good {
            Who::User(name)
        } else {
            Who::Anonymous
        };
    }
    if let Some(token) = users::bearer(headers) {
        return harbor
            .key()
            .verify(token)
            .map_or(Who::Anonymous, Who::Token);
    }
    match &session.user {
        Some(name) => Who::User(name.clone()),
        None => Who::Anonymous,
    }
}

/// Whether the caller sent any credentials.
pub fn has_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

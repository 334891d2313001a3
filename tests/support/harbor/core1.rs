//! Core of Harbor 1.10 and `ui` of Harbor 1.5: the framework's session first, then XSRF (1.10), then the routes.
//! The registry verifies tokens itself.

use http::Method;

use super::csrf::{self, Xsrf};
use super::faults::{Component, Mode, Switch};
use super::nginx::Ask;
use super::reply::{self, Reply};
use super::session::{Session, cookie, pairs, parameter};
use super::v2::{self, Thing, thing};
use super::{Dialect, Harbor, api1, registry, service};

/// Answers a request that nginx gave to core.
pub async fn answer(harbor: &Harbor, mut ask: Ask) -> Reply {
    let faults = &harbor.faults;
    let Ok(mut session) = harbor.sessions.begin(&ask.headers, faults).await else {
        return reply::beego_503();
    };
    let key = harbor.csrf_key();
    let guarded = harbor.options.dialect == Dialect::Harbor1;
    let known = csrf::xsrf_cookie(&key, &ask.headers);
    let refused = if guarded {
        xsrf(&ask, known.as_deref())
    } else {
        None
    };
    let mut reply = match refused {
        Some(refused) => refused,
        None => inside(harbor, &mut ask, &mut session).await,
    };
    let _ = harbor.sessions.save(&session, faults).await;
    let headers = reply.headers_mut();
    let name = harbor.sessions.cookie_name();
    if session.fresh {
        reply::add(
            headers,
            "set-cookie",
            &format!("{name}={}; Path=/; HttpOnly", session.id),
        );
    }
    if session.destroyed {
        let now = httpdate::fmt_http_date(std::time::SystemTime::now());
        let line = format!("{name}=; Path=/; Expires={now}; Max-Age=0; HttpOnly");
        reply::add(headers, "set-cookie", &line);
    }
    // The framework's own 404 comes before the cookie; the registry's does not.
    let routed = reply.status() != 404 || ask.path.starts_with("/v2/");
    let early = reply.extensions_mut().remove::<api1::NoXsrf>().is_some();
    if guarded && known.is_none() && routed && !early {
        let line = csrf::new_xsrf(&key);
        reply::add(reply.headers_mut(), "set-cookie", &line);
    }
    reply
}

fn xsrf(ask: &Ask, known: Option<&str>) -> Option<Reply> {
    let exempt = ask.path.starts_with("/v2/") || ask.path.starts_with("/service/");
    if ask.is_safe() || exempt || cookie(&ask.headers, "sid").is_none() {
        return None;
    }
    match csrf::xsrf(known, &ask.headers) {
        Xsrf::Good => None,
        Xsrf::Missing => Some(page(422, "Unprocessable Entity")),
        Xsrf::Mismatch => Some(page(417, "Expectation Failed")),
    }
}

fn page(status: u16, title: &str) -> Reply {
    let text = format!(
        "\n<!DOCTYPE html>\n<html lang=\"en\">\n\t<head>\n\t\t<title>{title}</title>\n\t</head>\n</html>"
    );
    reply::text(status, "text/html; charset=utf-8", text)
}

async fn inside(harbor: &Harbor, ask: &mut Ask, session: &mut Session) -> Reply {
    let new = harbor.options.dialect == Dialect::Harbor1;
    match ask.path.as_str() {
        "/service/token" => service::token1(harbor, ask).await,
        "/c/login" if new => login(harbor, ask, session).await,
        "/login" if !new => login(harbor, ask, session).await,
        "/c/log_out" if new => logout(session),
        "/log_out" if !new => logout(session),
        path if path.starts_with("/v2/") => content(harbor, ask).await,
        path if path.starts_with("/api/") => api1::answer(harbor, ask, session).await,
        path if !new && is_page(path) => index(harbor),
        _ => api1::not_found(harbor),
    }
}

/// What 1.5 answers with its index page.
fn is_page(path: &str) -> bool {
    path == "/" || path == "/harbor" || path.starts_with("/harbor/") || path == "/reset_password"
}

fn index(harbor: &Harbor) -> Reply {
    let version = &harbor.options.version;
    let page = format!(
        "<!doctype html>\n<html><head><title>Harbor</title><!-- {version} --></head><body><harbor-app></harbor-app></body></html>\n"
    );
    reply::compressible(200, "text/html; charset=utf-8", page)
}

async fn login(harbor: &Harbor, ask: &mut Ask, session: &mut Session) -> Reply {
    if ask.method != Method::POST {
        return api1::not_found(harbor);
    }
    if harbor.database().await.is_err() {
        return reply::nothing(500);
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
    if harbor.options.dialect == Dialect::Harbor1 {
        session.regenerate();
    }
    session.user = Some(name.to_owned());
    reply::nothing(200)
}

fn logout(session: &mut Session) -> Reply {
    session.destroyed = true;
    reply::nothing(200)
}

async fn content(harbor: &Harbor, ask: &mut Ask) -> Reply {
    let thing = thing(&ask.path);
    let writes = !ask.is_safe();
    if writes && harbor.faults.on(Switch::ReadOnly) {
        let message = "The system is in read only mode. Any modification is prohibited.";
        return denied(message);
    }
    let grows = ask.method == Method::PUT;
    if grows
        && harbor.faults.on(Switch::QuotaExceeded)
        && harbor.options.dialect == Dialect::Harbor1
    {
        return denied(
            "Quota exceeded when processing the request of adding 1 MiB of storage resource",
        );
    }
    let policy = matches!(thing, Thing::Manifest(..)) && ask.method == Method::GET;
    let old = harbor.options.dialect == Dialect::Harbor15;
    if policy && old && harbor.faults.unhung(Component::Adminserver).await != Mode::Ok {
        return violation("Get \"http://adminserver:8080/api/configurations\"");
    }
    let before = v2::tags_before(harbor, ask, &thing);
    match harbor.registry.forward(ask, false).await {
        Ok(response) => {
            let reply = registry::pass(response);
            v2::note(harbor, ask, &thing, before, &reply);
            reply
        }
        Err(_) if policy => violation(&format!("Head \"http://registry:5000{}\"", ask.path)),
        Err(_) => reply::nothing(502),
    }
}

fn denied(message: &str) -> Reply {
    let content =
        serde_json::json!({"errors": [{"code": "DENIED", "message": message, "detail": message}]});
    plain(403, &format!("{content}\n"))
}

/// What the policy interceptors say when they cannot ask.
fn violation(request: &str) -> Reply {
    let message =
        format!("Failed due to internal Error: {request}: dial tcp: connect: connection refused");
    let content = serde_json::json!({
        "errors": [{"code": "PROJECT_POLICY_VIOLATION", "message": message, "detail": message}]
    });
    plain(500, &format!("{content}\n"))
}

/// An error as Go's own server writes it.
pub fn plain(status: u16, content: &str) -> Reply {
    let reply = reply::text(status, "text/plain; charset=utf-8", content.to_owned());
    reply::with(reply, "x-content-type-options", "nosniff")
}

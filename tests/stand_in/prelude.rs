//! Logins that happened before a recording began.

use std::net::SocketAddr;

use super::labels::{Labels, names};
use super::trace::Scenario;
use super::wire::{Answer, ask, get};

/// Logs in if the recording uses a session that none of its own answers gave out.
pub fn log_in(scenario: &Scenario, address: SocketAddr, labels: &mut Labels) {
    let given: Vec<String> = scenario
        .records
        .iter()
        .flat_map(|record| record.response.iter())
        .flat_map(|(_, value)| names(value))
        .collect();
    let brought = scenario
        .records
        .iter()
        .flat_map(|record| record.headers.iter())
        .filter(|(name, _)| name == "cookie" || name == "x-harbor-csrf-token")
        .flat_map(|(_, value)| names(value))
        .filter(|name| !given.contains(name))
        .collect::<Vec<_>>();
    if !brought.iter().any(|name| name.starts_with("sid")) {
        return;
    }
    let login = match scenario.version.as_str() {
        "v2.9.5" => harbor2(address),
        "v1.10.19" => harbor1(address),
        _ => harbor15(address),
    };
    for name in brought {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let value = match kind {
            "sid" => &login.sid,
            "token" => &login.token,
            _ => &login.guard,
        };
        labels.set(&name, value);
    }
}

struct Login {
    sid: String,
    /// The CSRF cookie.
    guard: String,
    token: String,
}

fn harbor2(address: SocketAddr) -> Login {
    let first = get(address, "/c/log_out", &[]);
    let guard = cookie(&first, "_gorilla_csrf");
    let token = first
        .header("x-harbor-csrf-token")
        .unwrap_or_default()
        .to_owned();
    let lines = format!("Cookie: _gorilla_csrf={guard}\r\nX-Harbor-Csrf-Token: {token}\r\n");
    let answer = post(address, "/c/login", &lines);
    Login {
        sid: cookie(&answer, "sid"),
        guard,
        token,
    }
}

fn harbor1(address: SocketAddr) -> Login {
    let first = get(address, "/api/ping", &[]);
    let (sid, guard) = (cookie(&first, "sid"), cookie(&first, "_xsrf"));
    let cookies = format!("sid={sid}; _xsrf={guard}");
    let token = Labels::default().xsrf_token(&cookies);
    let answer = post(
        address,
        "/c/login",
        &format!("Cookie: {cookies}\r\nX-Xsrftoken: {token}\r\n"),
    );
    Login {
        sid: cookie(&answer, "sid"),
        guard,
        token,
    }
}

fn harbor15(address: SocketAddr) -> Login {
    let answer = post(address, "/login", "");
    Login {
        sid: cookie(&answer, "beegosessionID"),
        guard: String::new(),
        token: String::new(),
    }
}

fn post(address: SocketAddr, path: &str, lines: &str) -> Answer {
    let form = "principal=admin&password=Harbor12345";
    let length = form.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {length}\r\n\r\n");
    let answer = ask(address, &head, form.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "the prelude logs in");
    answer
}

fn cookie(answer: &Answer, name: &str) -> String {
    let start = format!("{name}=");
    let line = answer
        .values("set-cookie")
        .find(|line| line.starts_with(&start));
    line.and_then(|line| line[start.len()..].split(';').next())
        .unwrap_or_default()
        .to_owned()
}

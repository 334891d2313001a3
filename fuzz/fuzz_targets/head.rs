//! Heads of requests: what is judged to be sound names one host and one length, and what is sent on says who the client is
//! once, and nothing of this hop.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use http::Request;
use libfuzzer_sys::fuzz_target;
use seawall::config::parse;
use seawall::front::judge::{Habit, judge};
use seawall::front::policy::Policy;
use seawall::message::forwarded::{self, Origin};
use seawall::message::survey::Survey;
use seawall::message::{hop, names};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let text = "listen = [{ address = \"127.0.0.1:1\" }]\n\
                cluster.node = [{ name = \"a\", url = \"http://10.0.0.1\" }]";
    let config = parse(text, Path::new("seawall.toml")).expect("a configuration");
    Policy::new(&config, &config.listen[0], None)
});

/// The head as hyper hands it out.
fn read(bytes: &[u8]) -> Option<Request<()>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    head.parse(bytes).ok()?.is_complete().then_some(())?;
    let mut request = Request::builder().method(head.method?).uri(head.path?);
    for field in head.headers.iter() {
        request = request.header(field.name, field.value);
    }
    request.body(()).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&trusted, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(mut request) = read(bytes) else {
        return;
    };
    let found = Survey::of(request.headers());
    if let Ok(judged) = judge(&request, &found, &POLICY, &Habit::default()) {
        let count = |name: &str| request.headers().get_all(name).iter().count();
        assert!(count("host") <= 1 && count("authorization") <= 1 && count("range") <= 1);
        assert!(count("content-length") + count("transfer-encoding") <= 1);
        assert!(request.uri().path().is_ascii());
        assert!(!judged.host.is_empty() && !judged.host.contains(['@', '/', ' ']));
        assert!(
            judged
                .authority
                .as_bytes()
                .starts_with(judged.host.as_bytes())
        );
    }
    let headers = request.headers_mut();
    let before = headers.clone();
    let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    hop::strip_request(headers, &found);
    names::drop_aliases(headers);
    let client = forwarded::write(headers, &found, &Origin::new(peer, true, trusted & 1 == 1));
    for name in [
        "connection",
        "transfer-encoding",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "forwarded",
    ] {
        assert!(!headers.contains_key(name), "{name} went on");
    }
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
        assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
    }
    for name in ["authorization", "cookie", "content-length", "host"] {
        assert!(
            before.get_all(name).iter().eq(headers.get_all(name)),
            "{name} was lost"
        );
    }
    assert_eq!(headers["x-real-ip"], client.to_string());
    if trusted & 1 == 0 {
        assert_eq!(headers["x-forwarded-for"], peer.to_string());
        assert!(!headers.contains_key("x-forwarded-host"));
    }
    assert!(
        headers
            .keys()
            .all(|name| !name.as_str().contains(['_', '.']))
    );
});

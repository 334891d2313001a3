//! The static pages of 1.10 and 2.x. Any unknown path is the index page.

use http::{Method, request::Parts};

use super::Harbor;
use super::reply::{self, Chunked, Reply};

const FRESH: &str = "no-store, no-cache, must-revalidate";

pub fn answer(harbor: &Harbor, parts: &Parts) -> Reply {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return reply::nginx_page(405, "nginx/1.22.1");
    }
    let hash = asset_hash(&harbor.options.version);
    let path = parts.uri.path();
    if path.ends_with(&format!(".{hash}.js")) {
        let script = format!("/* Harbor {} */\n", harbor.options.version).repeat(200);
        return asset("application/javascript", script);
    }
    if path.ends_with(&format!(".{hash}.css")) {
        return asset("text/css", "body { margin: 0 }\n".repeat(200));
    }
    match path {
        "/dark-theme.css" => asset("text/css", "body { margin: 0 }\n".repeat(200)),
        "/i18n/lang/en-us-lang.json" => {
            asset("application/json", format!("{{{:9000}}}", "\"a\": \"b\""))
        }
        "/setting.json" => file(
            "application/json",
            "{\"product\": {\"name\": \"Harbor\"}}".into(),
        ),
        "/favicon.ico" => file("image/x-icon", "icon".repeat(64)),
        "/images/harbor-logo.svg" => file(
            "image/svg+xml",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".into(),
        ),
        _ => index(&harbor.options.version, &hash),
    }
}

/// The part of an asset's name that changes with the version.
pub fn asset_hash(version: &str) -> String {
    let hash = version.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn index(version: &str, hash: &str) -> Reply {
    let page = format!(
        "<!doctype html><html><head><title>Harbor</title><meta name=\"version\" content=\"{version}\"></head><body><harbor-app></harbor-app><script src=\"main.{hash}.js\" type=\"module\"></script></body></html>\n"
    );
    let page = reply::text(200, "text/html", page);
    let page = reply::with(
        reply::with(page, "cache-control", FRESH),
        "etag",
        "\"6b02fb67-311\"",
    );
    reply::with(page, "accept-ranges", "bytes")
}

fn file(kind: &str, content: String) -> Reply {
    let file = reply::with(reply::text(200, kind, content), "etag", "\"6b02fb67-b8\"");
    reply::with(file, "accept-ranges", "bytes")
}

/// A file that nginx compresses on the fly, in chunks.
fn asset(kind: &str, content: String) -> Reply {
    let mut reply = reply::compressible(200, kind, content);
    reply.extensions_mut().insert(Chunked);
    reply::with(reply, "etag", "W/\"6b02fb55-ea001\"")
}

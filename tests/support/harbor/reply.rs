//! Answers, as the parts of Harbor write them.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::body::{self, Body};

pub type Reply = Response<Body>;

/// Marks an answer whose body nginx or beego would compress for a client that accepts it.
#[derive(Clone)]
pub struct Compressible(pub Bytes);

/// Marks a page of nginx itself.
#[derive(Clone)]
pub struct Own;

/// Marks a compressible body that is sent in chunks, as nginx does with files.
#[derive(Clone)]
pub struct Chunked;

/// An answer without a body.
pub fn bare(status: u16) -> Reply {
    let mut reply = Response::new(body::empty());
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    reply
}

/// The same with `Content-Length: 0`.
pub fn nothing(status: u16) -> Reply {
    with(bare(status), "content-length", "0")
}

/// An answer with a body and its length.
pub fn text(status: u16, kind: &str, content: impl Into<Bytes>) -> Reply {
    let content = content.into();
    let mut reply = bare(status);
    let length = content.len().to_string();
    *reply.body_mut() = body::full(content);
    with(with(reply, "content-type", kind), "content-length", &length)
}

/// The same, compressed for whoever accepts it.
pub fn compressible(status: u16, kind: &str, content: impl Into<Bytes>) -> Reply {
    let content = content.into();
    let mut reply = text(status, kind, content.clone());
    reply.extensions_mut().insert(Compressible(content));
    reply
}

pub fn with(mut reply: Reply, name: &str, value: &str) -> Reply {
    add(reply.headers_mut(), name, value);
    reply
}

pub fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    headers.append(
        HeaderName::try_from(name).expect("a header name"),
        HeaderValue::try_from(value).expect("a header value"),
    );
}

/// Harbor's error envelope, `{"errors":[{"code":…,"message":…}]}` and a newline.
pub fn errors(status: u16, code: &str, message: &str) -> Reply {
    let content = serde_json::json!({"errors": [{"code": code, "message": message}]});
    text(
        status,
        "application/json; charset=utf-8",
        format!("{content}\n"),
    )
}

/// A JSON document as 2.x's API writes it.
pub fn json(status: u16, content: &Value) -> Reply {
    text(status, "application/json", format!("{content}\n"))
}

/// Compresses if the answer may be and the client accepts it.
pub fn compress(mut reply: Reply, accept: Option<&HeaderValue>) -> Reply {
    let wanted = accept
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("gzip"));
    let Some(Compressible(content)) = reply.extensions_mut().remove::<Compressible>() else {
        return reply;
    };
    if !wanted || content.len() <= 20 {
        return reply;
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&content).expect("memory takes everything");
    let small = gzip.finish().expect("memory takes everything");
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::CONTENT_LENGTH);
    if reply.extensions().get::<Chunked>().is_some() {
        *reply.body_mut() = body::unsized_full(small);
    } else {
        reply
            .headers_mut()
            .insert(header::CONTENT_LENGTH, small.len().into());
        *reply.body_mut() = body::full(small);
    }
    reply
}

/// A page of nginx itself; `server` is what its footer says.
pub fn nginx_page(status: u16, server: &str) -> Reply {
    let title = match status {
        301 => "301 Moved Permanently",
        400 => "400 Bad Request",
        404 => "404 Not Found",
        405 => "405 Not Allowed",
        502 => "502 Bad Gateway",
        _ => "504 Gateway Time-out",
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
    );
    let mut reply = text(status, "text/html", page);
    reply.extensions_mut().insert(Own);
    reply
}

/// The framework's 404 page; only its title and length matter to anybody.
pub fn beego_404() -> Reply {
    let mut page = String::from(
        "<!DOCTYPE HTML>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>404 - Page Not Found</title>\n</head>\n<body>\n<h2>404</h2>\n<p>Page Not Found</p>\n",
    );
    let end = "</body>\n</html>\n";
    while page.len() + end.len() < 1093 {
        page.push(' ');
    }
    page.push_str(end);
    compressible(404, "text/html; charset=utf-8", page)
}

/// The framework's 503 page, for sessions that cannot be read.
pub fn beego_503() -> Reply {
    let mut page = String::from(
        "\n<!DOCTYPE html>\n<html lang=\"en\">\n\t<head>\n\t\t<meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\n\t\t<title>Service Unavailable</title>\n\t</head>\n\t<body>\n\t\t<p>The page you have requested is unavailable.</p>\n",
    );
    let end = "\t</body>\n</html>";
    while page.len() + end.len() < 1953 {
        page.push(' ');
    }
    page.push_str(end);
    text(503, "text/html; charset=utf-8", page)
}

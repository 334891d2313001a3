//! Errors of our own, in the words of whoever the client thinks it is talking to.

use bytes::Bytes;
use http::StatusCode;

/// Who is expected to answer a path, and so the shape that an error must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `/v2/`: the error envelope of the OCI distribution specification; docker prints its message.
    Registry,
    /// `/api/` and `/service/`: the same envelope, as Harbor uses it.
    Api,
    /// A browser: a small page.
    Page,
}

impl Family {
    /// The family of a path; a query may follow.
    pub fn of(path: &str) -> Family {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let first = path.strip_prefix('/').and_then(|p| p.split('/').next());
        match first {
            Some("v2") => Family::Registry,
            Some("api" | "service") => Family::Api,
            _ => Family::Page,
        }
    }
}

/// Content type and body of an error. `code` is a word of the OCI specification or of Harbor's (`UNAVAILABLE`,
/// `NOT_FOUND` …); `message` is for people.
pub fn body(
    family: Family,
    status: StatusCode,
    code: &str,
    message: &str,
) -> (&'static str, Bytes) {
    match family {
        Family::Registry | Family::Api => {
            let envelope = serde_json::json!({"errors": [{"code": code, "message": message}]});
            let kind = "application/json; charset=utf-8";
            (kind, Bytes::from(format!("{envelope}\n")))
        }
        Family::Page => {
            let number = status.as_u16();
            let title = status.canonical_reason().unwrap_or("Error");
            let message = escape(message);
            let page = format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{number} {title}</title></head>\n\
                 <body><h1>{title}</h1><p>{message}</p></body></html>\n"
            );
            ("text/html; charset=utf-8", Bytes::from(page))
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_who_would_have_answered() {
        for (path, family) in [
            ("/v2/", Family::Registry),
            ("/v2", Family::Registry),
            ("/v2?x=/api/", Family::Registry),
            ("/v2x", Family::Page),
            ("/api/v2.0/ping", Family::Api),
            ("/service/token?scope=a", Family::Api),
            ("/c/login", Family::Page),
            ("/", Family::Page),
            ("", Family::Page),
            ("*", Family::Page),
        ] {
            assert_eq!(Family::of(path), family, "{path}");
        }
    }

    #[test]
    fn a_registry_client_gets_the_envelope_it_can_read() {
        let (kind, bytes) = body(
            Family::Registry,
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "no \"node\"",
        );
        assert!(kind.starts_with("application/json"));
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let error = read.pointer("/errors/0").unwrap();
        assert_eq!(error.pointer("/code").unwrap(), "UNAVAILABLE");
        assert_eq!(error.pointer("/message").unwrap(), "no \"node\"");
    }

    #[test]
    fn a_page_does_not_run_what_it_quotes() {
        let (kind, bytes) = body(
            Family::Page,
            StatusCode::BAD_GATEWAY,
            "X",
            "<script>'&'</script>",
        );
        assert_eq!(kind, "text/html; charset=utf-8");
        let page = std::str::from_utf8(&bytes).unwrap();
        assert!(page.contains("&lt;script&gt;&#39;&amp;&#39;&lt;/script&gt;"));
    }
}

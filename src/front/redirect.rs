//! The answer on port 80: 308, since 301 would turn a docker client's PATCH into a GET.

use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::proxy::body::Reply;

/// A permanent redirect of `uri` to https on `host`. The target is repeated as it came, never decoded, so nothing
/// encoded in it can end the header.
pub fn answer(host: &str, port: Option<u16>, uri: &Uri) -> Option<Response<Reply>> {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let location = match port {
        Some(port) if port != 443 => format!("https://{host}:{port}{target}"),
        _ => format!("https://{host}{target}"),
    };
    let mut response = Response::new(Reply::local(Default::default()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::try_from(location).ok()?);
    Some(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn location(host: &str, port: Option<u16>, uri: &str) -> String {
        let response = answer(host, port, &uri.parse().unwrap()).unwrap();
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_target_is_kept_as_it_came() {
        let target = "/api/v2.0/projects/a%252Fb?x=%0d%0aset-cookie:y";
        assert_eq!(
            location("registry.example.com", None, target),
            format!("https://registry.example.com{target}")
        );
    }

    #[test]
    fn a_port_is_named_only_when_it_must_be() {
        assert_eq!(location("r", Some(443), "/"), "https://r/");
        assert_eq!(location("[::1]", Some(8443), "/"), "https://[::1]:8443/");
    }
}

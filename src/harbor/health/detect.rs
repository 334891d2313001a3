//! Which dialect a node speaks, from the answers to four requests.

use super::{Answer, Reply, is_pong, read_document};
use crate::harbor::dialect::Dialect;

/// What to `GET`, without credentials, to tell the dialects apart.
pub const DETECTION: [&str; 4] = ["/api/v2.0/ping", "/api/health", "/api/ping", "/v2/"];

/// The dialect that the replies to [`DETECTION`] (in any order, by path) prove. `None` while nothing is conclusive:
/// a node that is partly down may look like another kind, so silence and server errors prove nothing. A status alone
/// is never enough either, as the portal answers 200 for any unknown path.
pub fn detect(replies: &[(&str, Reply)]) -> Option<Dialect> {
    let answer = |path: &str| {
        let found = replies.iter().find(|(asked, _)| *asked == path)?;
        found.1.answer()
    };
    let pongs = |path| answer(path).is_some_and(|a| a.status == 200 && is_pong(&a.body));
    let absent = |path| answer(path).is_some_and(|a| a.status == 404);

    if pongs("/api/v2.0/ping") {
        return Some(Dialect::Harbor2);
    }
    if pongs("/api/ping") {
        let health = answer("/api/health")?;
        return match health.status {
            200 if read_document(&health.body).is_some() => Some(Dialect::Harbor1),
            404 => Some(Dialect::Harbor15),
            _ => None,
        };
    }
    let no_api = ["/api/v2.0/ping", "/api/health", "/api/ping"]
        .into_iter()
        .all(absent);
    (no_api && answer("/v2/").is_some_and(is_registry)).then_some(Dialect::Registry)
}

fn is_registry(answer: &Answer) -> bool {
    match answer.status {
        200 => true,
        401 => answer.challenge.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const DOCUMENT: &str =
        r#"{"status":"healthy","components":[{"name":"core","status":"healthy"}]}"#;

    fn said(status: u16, body: &'static str) -> Reply {
        Reply::Answered(Answer {
            status,
            body: Bytes::from_static(body.as_bytes()),
            challenge: (status == 401).then(|| "Bearer realm=\"https://r/service/token\"".into()),
        })
    }

    fn kind(two: Reply, health: Reply, ping: Reply, v2: Reply) -> Option<Dialect> {
        detect(&[
            ("/v2/", v2),
            ("/api/ping", ping),
            ("/api/health", health),
            ("/api/v2.0/ping", two),
        ])
    }

    #[test]
    fn each_dialect_gives_itself_away() {
        let none = || said(404, "<html>");
        let v2 = || said(401, "{}");
        let two = kind(said(200, "Pong"), none(), none(), v2());
        assert_eq!(two, Some(Dialect::Harbor2));
        let one = kind(none(), said(200, DOCUMENT), said(200, "\"Pong\""), v2());
        assert_eq!(one, Some(Dialect::Harbor1));
        let old = kind(none(), none(), said(200, "\"Pong\""), v2());
        assert_eq!(old, Some(Dialect::Harbor15));
        let plain = kind(none(), none(), none(), said(200, "{}"));
        assert_eq!(plain, Some(Dialect::Registry));
    }

    #[test]
    fn a_node_in_trouble_is_not_mistaken_for_another_kind() {
        let none = || said(404, "<html>");
        let v2 = || said(401, "{}");
        let down = || said(502, "<html>");
        assert_eq!(kind(down(), down(), down(), down()), None);
        assert_eq!(kind(down(), none(), none(), v2()), None);
        assert_eq!(kind(Reply::TimedOut, none(), none(), v2()), None);
        let sick = kind(none(), said(503, ""), said(200, "\"Pong\""), v2());
        assert_eq!(sick, None);
        assert_eq!(detect(&[]), None);
    }

    #[test]
    fn a_page_for_everything_is_no_harbor() {
        let page = || said(200, "<!doctype html>");
        assert_eq!(kind(page(), page(), page(), page()), None);
    }
}

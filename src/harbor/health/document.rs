//! Harbor's health document (1.8 and later): `{"status":…,"components":[{"name":…,"status":…,"error":…}]}`.

use super::Answer;
use crate::harbor::component::{Component, Components};
use serde::Deserialize;

/// What a node says of its parts. Up to ten seconds old, and older while a part hangs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Parts that call themselves healthy.
    pub good: Components,
    /// Parts that do not.
    pub bad: Components,
    /// What Harbor says about each of `bad`, cut and cleaned for a log line.
    pub reasons: Vec<(Component, String)>,
}

#[derive(Deserialize)]
struct Wire {
    components: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    status: String,
    #[serde(default)]
    error: Option<String>,
}

/// Characters of Harbor's explanation that are worth keeping.
const REASON: usize = 200;
/// What core says of a part before its first check of it ended.
const NOT_YET: &str = "unknown status";

/// Reads a health document. `None` when it is not one; parts of unknown names are skipped, as are those that Harbor
/// itself has not looked at yet.
pub fn read_document(body: &[u8]) -> Option<Document> {
    let wire: Wire = serde_json::from_slice(body).ok()?;
    let mut document = Document::default();
    for part in wire.components {
        let Some(component) = Component::from_name(&part.name) else {
            continue;
        };
        if part.status == "healthy" {
            document.good = document.good.with(component);
            continue;
        }
        let error = part.error.unwrap_or_default();
        if error.contains(NOT_YET) {
            continue;
        }
        document.bad = document.bad.with(component);
        document.reasons.push((component, tidy(&error)));
    }
    // Named twice with different words: believe the worse.
    document.good = document.good.minus(document.bad);
    Some(document)
}

pub(super) fn of(answer: &Answer) -> Option<Document> {
    if answer.status != 200 {
        return None;
    }
    read_document(&answer.body)
}

fn tidy(error: &str) -> String {
    if error.is_empty() {
        return "reported unhealthy".to_owned();
    }
    error
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_sorted_into_good_and_bad() {
        let body = br#"{"status":"unhealthy","components":[{"name":"core","status":"healthy"},
            {"name":"redis","status":"unhealthy","error":"dial tcp:\nrefused"},{"name":"novel","status":"unhealthy"}]}"#;
        let document = read_document(body).unwrap();
        assert_eq!(document.good, Components::of(&[Component::Core]));
        assert_eq!(document.bad, Components::of(&[Component::Redis]));
        assert_eq!(
            document.reasons,
            [(Component::Redis, "dial tcp: refused".to_owned())]
        );
    }

    #[test]
    fn a_part_that_was_not_looked_at_yet_is_no_evidence() {
        let body = br#"{"status":"unhealthy","components":[{"name":"registry","status":"unhealthy","error":"unknown status"}]}"#;
        let document = read_document(body).unwrap();
        assert!(document.good.is_empty() && document.bad.is_empty());
    }

    #[test]
    fn a_page_is_not_a_document() {
        assert_eq!(read_document(b"<html></html>"), None);
        assert_eq!(read_document(b"{}"), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = read_document(&body);
        }
    }
}

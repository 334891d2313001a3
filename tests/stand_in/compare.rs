//! Whether an answer is the recorded one.

use super::labels::Labels;
use super::trace::Record;
use super::wire::Answer;

/// Headers whose value is different each time and of no meaning here: only their presence is compared.
const VOLATILE: [&str; 8] = [
    "content-length",
    "content-range",
    "etag",
    "range",
    "transfer-encoding",
    "x-request-id",
    "x-total-count",
    "link",
];

/// Every difference, as `aspect: what`.
pub fn differences(record: &Record, answer: &Answer, labels: &mut Labels) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if record.status != answer.status {
        found.push((
            "status".into(),
            format!("{} instead of {}", answer.status, record.status),
        ));
    }
    headers(record, answer, labels, &mut found);
    if record.end.as_deref() == Some("short") && !answer.short {
        found.push(("end".into(), "complete instead of short".into()));
    }
    if let Some(content) = &record.content {
        contents(content, answer, &mut found);
    }
    found
}

fn headers(
    record: &Record,
    answer: &Answer,
    labels: &mut Labels,
    found: &mut Vec<(String, String)>,
) {
    let mut names: Vec<String> = record
        .response
        .iter()
        .map(|(n, _)| n.to_ascii_lowercase())
        .collect();
    names.extend(answer.headers.iter().map(|(n, _)| n.to_ascii_lowercase()));
    names.sort();
    names.dedup();
    for name in names
        .into_iter()
        .filter(|name| name != "date" && name != "last-modified")
    {
        let expected: Vec<&str> = record
            .response
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(&name))
            .map(|(_, v)| v.as_str())
            .collect();
        let actual: Vec<&str> = answer.values(&name).collect();
        if expected.len() != actual.len() {
            found.push((name.clone(), format!("{actual:?} instead of {expected:?}")));
            continue;
        }
        // nginx keeps the order of the lines that core wrote, but it is a set to everybody.
        let mut open = actual;
        for template in expected {
            let same = open
                .iter()
                .position(|value| equal(&name, template, value, labels));
            match same {
                Some(place) => drop(open.remove(place)),
                None => found.push((name.clone(), format!("{open:?} instead of {template:?}"))),
            }
        }
    }
}

fn equal(name: &str, template: &str, value: &str, labels: &mut Labels) -> bool {
    if VOLATILE.contains(&name) {
        return true;
    }
    if template.starts_with("multipart/byteranges") {
        return value.starts_with("multipart/byteranges");
    }
    let template = template.replace("Expires=DATE ", "Expires={DATE} ");
    labels.learn(&template, value)
}

/// Compares error codes and messages, except what names machines.
fn contents(recorded: &str, answer: &Answer, found: &mut Vec<(String, String)>) {
    let Some(expected) = field(recorded, "code") else {
        return;
    };
    let text = answer.text();
    let actual = field(&text, "code");
    if actual.as_deref() != Some(expected.as_str()) {
        found.push(("code".into(), format!("{actual:?} instead of {expected:?}")));
    }
    let (expected, actual) = (field(recorded, "message"), field(&text, "message"));
    let machine = |m: &Option<String>| {
        m.as_ref()
            .is_some_and(|m| m.contains("dial") || m.contains("sha256"))
    };
    if expected.is_some() && expected != actual && !machine(&expected) {
        found.push((
            "message".into(),
            format!("{actual:?} instead of {expected:?}"),
        ));
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let after = text.split_once(&format!("\"{name}\":\""))?.1;
    after.split_once('"').map(|(value, _)| value.to_owned())
}

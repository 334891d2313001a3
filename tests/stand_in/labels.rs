//! What the names in the recordings stand for this time.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Default)]
pub struct Labels(HashMap<String, String>);

enum Piece<'a> {
    Text(&'a str),
    Label(&'a str),
}

impl Labels {
    pub fn set(&mut self, label: &str, value: &str) {
        self.0.insert(label.to_owned(), value.to_owned());
    }

    /// Puts values in the place of names. A name that nothing taught stands for something nobody has seen.
    pub fn fill(&mut self, template: &str) -> String {
        pieces(template)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Label(label) => self
                    .0
                    .entry(label.to_owned())
                    .or_insert_with(|| invent(label))
                    .clone(),
            })
            .collect()
    }

    /// Compares a text with its template and learns what the names in it stand for.
    pub fn learn(&mut self, template: &str, actual: &str) -> bool {
        let mut rest = actual;
        let pieces = pieces(template);
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => match rest.strip_prefix(text) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Piece::Label(label) => {
                    let end = match pieces.get(index + 1) {
                        Some(Piece::Text(text)) => rest.find(text),
                        _ => Some(rest.len()),
                    };
                    let Some(end) = end else { return false };
                    let (value, after) = rest.split_at(end);
                    let known = self.0.get(*label).filter(|_| label.starts_with("digest"));
                    if value.is_empty() || known.is_some_and(|known| known != value) {
                        return false;
                    }
                    if !label.starts_with("DATE") {
                        self.set(label, value);
                    }
                    rest = after;
                }
            }
        }
        rest.is_empty()
    }

    /// The token inside the `_xsrf` cookie of a Cookie header.
    pub fn xsrf_token(&mut self, cookies: &str) -> String {
        let cookies = self.fill(cookies);
        let value = cookies.split("_xsrf=").nth(1).unwrap_or_default();
        let inner = value.split(['|', ';']).next().unwrap_or_default();
        String::from_utf8(STANDARD.decode(inner).unwrap_or_default()).unwrap_or_default()
    }
}

/// The names in a template.
pub fn names(template: &str) -> Vec<String> {
    pieces(template)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Label(label) => Some(label.to_owned()),
            Piece::Text(_) => None,
        })
        .collect()
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let name = after.split('}').next().unwrap_or_default();
        let is_name = !name.is_empty()
            && after.len() > name.len()
            && name.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_name {
            let end = before.len() + 1;
            all.push(Piece::Text(&rest[..end]));
            rest = after;
            continue;
        }
        all.push(Piece::Text(before));
        all.push(Piece::Label(name));
        rest = &after[name.len() + 1..];
    }
    all.push(Piece::Text(rest));
    all.retain(|piece| !matches!(piece, Piece::Text("")));
    all
}

fn invent(label: &str) -> String {
    let hex = |count: usize| -> String { (0..count).map(|_| fastrand::digit(16)).collect() };
    if label.starts_with("digest") {
        hex(64)
    } else if label.starts_with("upload") {
        format!("{}-{}-4{}-8{}-{}", hex(8), hex(4), hex(3), hex(3), hex(12))
    } else {
        hex(32)
    }
}

//! Lists in pages.

use serde_json::Value;

use super::nginx::Ask;
use super::reply::{self, Reply};
use super::session::{pairs, parameter};

/// Ten to a page unless asked for more, a hundred at most.
const USUAL: usize = 10;
const MOST: usize = 100;

/// The page of `all` that was asked for, as an answer that `write` makes of it.
pub fn paged(ask: &Ask, all: Vec<Value>, write: impl FnOnce(&Value) -> Reply) -> Reply {
    let asked = pairs(&ask.query);
    let number = |name: &str| {
        parameter(&asked, name)
            .parse::<usize>()
            .ok()
            .filter(|n| *n > 0)
    };
    let size = number("page_size").unwrap_or(USUAL).min(MOST);
    let page = number("page").unwrap_or(1);
    let total = all.len();
    let one: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let mut links = Vec::new();
    for (at, relation, there) in [
        (page - 1, "prev", page > 1),
        (page + 1, "next", page * size < total),
    ] {
        if there {
            let kept = asked
                .iter()
                .filter(|(name, _)| name != "page" && name != "page_size");
            let kept: String = kept
                .map(|(name, value)| format!("{name}={value}&"))
                .collect();
            let path = &ask.path;
            links.push(format!(
                "<{path}?{kept}page={at}&page_size={size}>; rel=\"{relation}\""
            ));
        }
    }
    let reply = reply::with(
        write(&Value::from(one)),
        "x-total-count",
        &total.to_string(),
    );
    if links.is_empty() {
        reply
    } else {
        reply::with(reply, "link", &links.join(" , "))
    }
}

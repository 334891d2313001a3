//! Evidence as it comes in: what is said later, and closer to the thing, replaces what was said before.

use super::document::Document;
use crate::harbor::component::{Component, Components};

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) good: Components,
    pub(super) bad: Components,
    pub(super) reasons: Vec<(Component, String)>,
}

impl Findings {
    /// Takes over what the node says of itself.
    pub(super) fn report(&mut self, document: &Document) {
        self.good = document.good;
        self.bad = document.bad;
        self.reasons.clone_from(&document.reasons);
    }

    pub(super) fn good(&mut self, component: Component) {
        self.good = self.good.with(component);
        self.bad = self.bad.without(component);
        self.reasons.retain(|(of, _)| *of != component);
    }

    pub(super) fn bad(&mut self, component: Component, why: &str) {
        self.good = self.good.without(component);
        self.bad = self.bad.with(component);
        // The first reason is kept: the node's own words are the most telling.
        if !self.reasons.iter().any(|(of, _)| *of == component) {
            self.reasons.push((component, why.to_owned()));
        }
    }
}

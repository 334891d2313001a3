//! Finding the keywords of a block, misspelt ones included.

use super::report::{Report, Verdict};
use super::tree::Directive;
use crate::config::notes::nearest;

/// A directive whose keyword is known.
pub(super) struct Item<'a> {
    pub(super) directive: &'a Directive,
    /// The keyword that was meant.
    pub(super) key: &'static str,
    pub(super) misspelt: bool,
}

impl<'a> Item<'a> {
    pub(super) fn args(&self) -> &'a [String] {
        self.directive.args()
    }

    /// The first word behind the keyword.
    pub(super) fn arg(&self) -> Option<&'a str> {
        self.args().first().map(String::as_str)
    }

    pub(super) fn inside(&self) -> &'a [Directive] {
        self.directive.inside()
    }

    pub(super) fn line(&self) -> usize {
        self.directive.place.line
    }

    /// Whether one word is all that keepalived reads behind it.
    pub(super) fn takes_one(&self) -> bool {
        const ONE: [&str; 13] = [
            "state",
            "interface",
            "virtual_router_id",
            "priority",
            "advert_int",
            "version",
            "vrrp_version",
            "auth_type",
            "auth_pass",
            "unicast_src_ip",
            "preempt_delay",
            "delay_loop",
            "lb_algo",
        ];
        ONE.contains(&self.key)
    }
}

/// The keywords of a kind of block.
pub(super) struct Known {
    /// Those that need a look at their values.
    pub(super) read: &'static [&'static str],
    /// Those of which the same is true always.
    pub(super) fixed: &'static [(&'static str, Verdict, &'static str)],
}

impl Known {
    fn find(&self, word: &str) -> Option<(&'static str, bool)> {
        let all = || {
            let fixed = self.fixed.iter().map(|(key, _, _)| *key);
            self.read.iter().copied().chain(fixed)
        };
        if let Some(key) = all().find(|key| *key == word) {
            return Some((key, false));
        }
        // What differs more in length is not near, and comparing takes its time.
        let similar = |key: &&str| key.len().abs_diff(word.len()) <= key.len().div_ceil(3);
        let near = nearest(word, all().filter(similar))?;
        all().find(|key| *key == near).map(|key| (key, true))
    }

    /// Says what is true always and what is unknown; returns what needs a look.
    pub(super) fn walk<'a>(&self, block: &'a [Directive], report: &mut Report) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        for directive in block {
            let Some((key, misspelt)) = self.find(directive.word()) else {
                let why = "is not a keyword here, so keepalived ignored it; left out";
                report.directive(directive, Verdict::Mended, why);
                report.drop_inside(directive);
                continue;
            };
            let item = Item {
                directive,
                key,
                misspelt,
            };
            match self.fixed.iter().find(|(fixed, _, _)| *fixed == key) {
                Some((_, verdict, why)) => {
                    report.say(&item, *verdict, *why);
                    report.drop_inside(directive);
                }
                None => items.push(item),
            }
        }
        items
    }
}

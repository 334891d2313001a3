//! `vrrp_sync_group`: instances that move together, and `vrrp_script`: what they watch.

use std::path::Path;

use super::block::{Item, Known};
use super::instance::sound_name;
use super::reasons::{ALSO, MAIL, SCRIPTS};
use super::report::Verdict::{Dropped, Mended, Translated};
use super::report::shown;
use super::top::Translation;
use super::tree::Directive;

const GROUP: Known = Known {
    read: &["group", "track_script", "track_interface"],
    fixed: &[
        ("track_file", Dropped, ALSO),
        ("track_process", Dropped, ALSO),
        ("track_bfd", Dropped, ALSO),
        ("notify_master", Dropped, SCRIPTS),
        ("notify_backup", Dropped, SCRIPTS),
        ("notify_fault", Dropped, SCRIPTS),
        ("notify_stop", Dropped, SCRIPTS),
        ("notify_deleted", Dropped, SCRIPTS),
        ("notify_priority_changes", Dropped, SCRIPTS),
        ("notify", Dropped, SCRIPTS),
        ("smtp_alert", Dropped, MAIL),
        (
            "global_tracking",
            Dropped,
            "not needed: instances of a group share what they watch",
        ),
        (
            "sync_group_tracking_weight",
            Dropped,
            "not needed: weights are not read",
        ),
    ],
};

const SCRIPT: Known = Known {
    read: &["script"],
    fixed: &[
        ("interval", Dropped, "goes with the script"),
        ("timeout", Dropped, "goes with the script"),
        ("weight", Dropped, "goes with the script"),
        ("rise", Dropped, "goes with the script"),
        ("fall", Dropped, "goes with the script"),
        ("user", Dropped, "goes with the script"),
        ("init_fail", Dropped, "goes with the script"),
    ],
};

impl Translation {
    /// `group { … }` that stands alone belongs to the group that was named before it.
    pub(super) fn sync_groups(&mut self, items: &[Item<'_>]) {
        let mut name = String::new();
        for item in items {
            match item.key {
                "vrrp_sync_group" => {
                    name = item.arg().unwrap_or("group").to_owned();
                    self.sync_group(item, &name);
                }
                "group" if !name.is_empty() => {
                    self.say(
                        item,
                        Mended,
                        "stands outside of a block; read with the sync group before it",
                    );
                    self.members(item, &name);
                }
                "group" => {
                    self.say(item, Mended, "belongs into a vrrp_sync_group; left out");
                    self.report.drop_inside(item.directive);
                }
                _ => {}
            }
        }
        self.lone_members();
    }

    fn sync_group(&mut self, block: &Item<'_>, name: &str) {
        let quoted = shown(name);
        if block.inside().is_empty() {
            let why = format!("names the group `{quoted}`, but no block with members follows");
            self.say(block, Mended, why);
            return;
        }
        for item in GROUP.walk(block.inside(), &mut self.report) {
            match item.key {
                "group" => {
                    self.say(&item, Translated, format!("the members of `{quoted}`"));
                    self.members(&item, name);
                }
                "track_script" => self.watch(&item),
                _ => {
                    let why = "`track_interfaces` of the instances in the group";
                    self.say(&item, Translated, why);
                    let of_group = |group: Option<&str>| group == Some(name);
                    let members: Vec<_> = (0..self.draft.instances.len())
                        .filter(|at| {
                            let one = self.draft.instances.get(*at);
                            of_group(one.and_then(|one| one.sync_group.as_deref()))
                        })
                        .collect();
                    self.interfaces(&item, &members);
                }
            }
        }
        let why = format!("`sync_group = \"{quoted}\"` in its instances");
        if self.make_alike(name) {
            let why = format!(
                "{why}; they differed in priority or preemption, so that no host might have had all of them: all get those of the first"
            );
            self.say(block, Mended, why);
        } else {
            self.say(block, Translated, why);
        }
    }

    /// Gives the members of a group one priority; whether they differed.
    fn make_alike(&mut self, name: &str) -> bool {
        let mut members = self
            .draft
            .instances
            .iter_mut()
            .filter(|one| one.sync_group.as_deref() == Some(name));
        let Some(first) = members.next() else {
            return false;
        };
        let terms = (first.priority, first.preempt, first.preempt_delay);
        let mut differed = false;
        for one in members {
            differed |= (one.priority, one.preempt) != (terms.0, terms.1);
            (one.priority, one.preempt, one.preempt_delay) = terms;
        }
        differed
    }

    fn members(&mut self, block: &Item<'_>, name: &str) {
        let known = |name: &&String| {
            let name = sound_name(name);
            self.draft.instances.iter().any(|one| one.name == name)
        };
        let words = block.inside().iter().flat_map(Directive::words);
        let alone = words.filter(known).count() < 2;
        for directive in block.inside() {
            let mut missing = Vec::new();
            for member in directive.words() {
                let mut instances = self.draft.instances.iter_mut();
                match instances.find(|one| one.name == sound_name(member)) {
                    Some(one) => one.sync_group = Some(name.to_owned()),
                    None => missing.push(shown(member)),
                }
            }
            let (verdict, why) = if !missing.is_empty() {
                let missing = missing.join("`, `");
                (
                    Mended,
                    format!("no vrrp_instance is named `{missing}`; left out"),
                )
            } else if alone {
                let why = "not needed: a group of one has nothing to keep together; left out";
                (Dropped, why.to_owned())
            } else {
                (Translated, format!("`sync_group = \"{}\"`", shown(name)))
            };
            self.report.directive(directive, verdict, why);
            self.report.drop_inside(directive);
        }
    }

    /// Groups of one are left out.
    fn lone_members(&mut self) {
        let names: Vec<_> = self
            .draft
            .instances
            .iter()
            .map(|one| one.sync_group.clone())
            .collect();
        for one in &mut self.draft.instances {
            let same = names.iter().filter(|name| **name == one.sync_group).count();
            if same < 2 {
                one.sync_group = None;
            }
        }
    }

    /// `track_script` of an instance or a group.
    pub(super) fn watch(&mut self, block: &Item<'_>) {
        self.say(block, Dropped, SELF_WATCHING);
        for directive in block.inside() {
            self.watched.insert(directive.word().to_owned());
            self.report
                .directive(directive, Dropped, "goes with the script");
            self.report.drop_inside(directive);
        }
    }

    pub(super) fn script(&mut self, block: &Item<'_>) {
        let name = block.arg().unwrap_or_default();
        if self.watched.contains(name) {
            self.say(block, Dropped, SELF_WATCHING);
        } else {
            let why = "was never used: no instance has a track_script that names it, so the address moved only when a host or its interface died; Seawall watches itself and needs no script";
            self.say(block, Mended, why);
        }
        for item in SCRIPT.walk(block.inside(), &mut self.report) {
            let path = item.arg().unwrap_or_default();
            let path = path.split_whitespace().next().unwrap_or_default();
            if Path::new(path)
                .file_name()
                .is_some_and(|name| name == "check_harbor.sh")
            {
                let why = "Harbor's check_harbor.sh always fails, as it sets its variable with spaces around the sign (`http_code = …`), so the shell looks for a command of that name; had it been used, no host would have had the address. Left out: Seawall watches itself";
                self.say(&item, Mended, why);
            } else {
                self.say(&item, Dropped, SELF_WATCHING);
            }
        }
    }
}

const SELF_WATCHING: &str = "Seawall runs no scripts: a door that cannot serve gives the address up by itself, and one without nodes lowers its priority; for anything else, let the script call `seawall vip release`";

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod addresses;
mod grammar;
mod servers;

use super::*;

/// What came of a text.
fn import_of(text: &str) -> Import {
    import_text(text, Path::new("k.conf"), None).unwrap()
}

/// The problem of a text that cannot be read.
fn problem_of(text: &str) -> String {
    let problem = import_text(text, Path::new("k.conf"), None).unwrap_err();
    problem.to_string()
}

impl Import {
    /// The only remark on a directive.
    fn on(&self, directive: &str) -> &Remark {
        let mut remarks = self.report.iter();
        let mut of_directive = remarks.by_ref().filter(|r| r.directive == directive);
        let remark = of_directive.next();
        assert!(of_directive.next().is_none(), "several on {directive}");
        remark.unwrap_or_else(|| panic!("nothing on {directive}: {:#?}", self.report))
    }

    /// Whether the configuration has a line.
    fn has(&self, line: &str) -> bool {
        self.text.lines().any(|one| one == line)
    }
}

/// A text of one instance with these settings beside the needed ones.
fn instance(settings: &str) -> Import {
    import_of(&format!(
        "vrrp_instance VI {{\ninterface eth0\nvirtual_router_id 51\n{settings}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}"
    ))
}

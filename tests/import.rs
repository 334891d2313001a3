//! `seawall import`: what comes of the configurations of other front ends.

mod command;
mod damaged;
mod includes;
mod samples;

use std::path::{Path, PathBuf};

use seawall::config::keepalived::{self, Import, Remark};
use seawall::config::{self, Problem};

/// The folder of samples.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/keepalived")
}

/// What came of a sample on the host `lb1`.
fn sample(name: &str) -> Import {
    keepalived::import(&folder().join(name), Some("lb1")).unwrap()
}

/// The only remark on a line that begins with a word.
fn remark<'a>(import: &'a Import, line: usize, directive: &str) -> &'a Remark {
    let mut remarks = import.report.iter();
    let found = remarks.find(|remark| remark.line == line && remark.directive == directive);
    found.unwrap_or_else(|| panic!("nothing on {directive} in line {line}"))
}

/// Whether Seawall takes the configuration.
fn taken(import: &Import) -> Result<config::Config, Vec<Problem>> {
    let text = &import.text;
    config::parse(text, Path::new("seawall.toml"))
}

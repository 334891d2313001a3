//! The floor is this very program in another role.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Site, quiet};

pub fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    let node = site.nodes.first().context("no node")?;
    let papers = site.papers.chain.parent().context("no papers")?;
    let mut command = quiet(program, site)?;
    command
        .args([
            "--role",
            "floor",
            "--listen",
            &site.listen.to_string(),
            "--to",
            &node.to_string(),
            "--papers",
        ])
        .arg(papers)
        .stdin(Stdio::piped());
    Ok(command)
}

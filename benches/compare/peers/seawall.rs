//! Seawall, with everything at its default.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Site, quiet};

pub fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    let mut text = format!(
        "state_dir = \"{folder}\"\n\
         [[listen]]\naddress = \"{listen}\"\n\
         [[listen.certificate]]\nchain = \"{chain}\"\nkey = \"{key}\"\n\
         [admin]\naddress = \"{admin}\"\n\
         [log]\naccess = {log}\n\
         [cluster]\npublic_url = \"https://{name}\"\n",
        folder = site.folder.display(),
        listen = site.listen,
        chain = site.papers.chain.display(),
        key = site.papers.key.display(),
        admin = site.spare,
        log = site.log,
        name = crate::papers::NAME,
    );
    for (place, node) in site.nodes.iter().enumerate() {
        let scheme = if site.tls { "https" } else { "http" };
        let _ = write!(
            text,
            "[[cluster.node]]\nname = \"node-{place}\"\nurl = \"{scheme}://{node}\"\n"
        );
        if site.tls {
            let _ = writeln!(text, "ca = \"{}\"", site.papers.authority.display());
        }
    }
    let config = site.folder.join("seawall.toml");
    std::fs::write(&config, text)?;
    let mut command = quiet(program, site)?;
    command
        .args(["run", "--config"])
        .arg(config)
        .stderr(File::create(site.access_log())?);
    Ok(command)
}

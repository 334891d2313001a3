//! HAProxy, as its configuration manual and its Debian package have it for TLS in front of HTTP servers.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Site, quiet};

pub fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    // A connection may need two files, and HAProxy counts on that. An idle one has one, so more of those fit.
    let connections = 20_000.min(site.files - 600);
    let log = if site.log {
        "log stdout format raw local0"
    } else {
        ""
    };
    let httplog = if site.log {
        "log global\n option httplog"
    } else {
        ""
    };
    let mut text = format!(
        "global\n {log}\n maxconn {connections}\n no strict-limits\n nbthread {cores}\n\
         \x20ssl-default-bind-options ssl-min-ver TLSv1.2 prefer-client-ciphers\n\
         defaults\n mode http\n {httplog}\n http-reuse safe\n option forwardfor\n\
         \x20timeout connect 3s\n timeout client 5m\n timeout server 15m\n timeout http-request 30s\n\
         \x20timeout http-keep-alive 5m\n\
         frontend door\n bind {listen} ssl crt {pem} alpn h2,http/1.1\n\
         \x20unique-id-format %[uuid()]\n unique-id-header X-Request-ID\n\
         \x20http-request set-header X-Forwarded-Proto https\n\
         \x20http-request set-header X-Forwarded-Host %[req.hdr(Host)]\n\
         \x20default_backend harbor\n\
         backend harbor\n balance leastconn\n option httpchk\n\
         \x20http-check send meth GET uri /api/v2.0/health ver HTTP/1.1 hdr Host {name}\n\
         \x20http-check expect status 200\n",
        cores = site.cores,
        listen = site.listen,
        pem = site.papers.joined.display(),
        name = crate::papers::NAME,
    );
    for (place, node) in site.nodes.iter().enumerate() {
        let _ = write!(text, " server node-{place} {node} check inter 2s");
        if site.tls {
            let ca = site.papers.authority.display();
            let _ = write!(
                text,
                " ssl verify required verifyhost localhost sni str(localhost) ca-file {ca}"
            );
        }
        text.push('\n');
    }
    let config = site.folder.join("haproxy.cfg");
    std::fs::write(&config, text)?;
    let mut command = quiet(program, site)?;
    command.arg("-db").arg("-f").arg(config);
    if site.log {
        command.stdout(File::create(site.access_log())?);
    }
    Ok(command)
}

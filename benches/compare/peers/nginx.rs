//! nginx, as its own documentation has it for TLS and kept connections, and Harbor's template for registries.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Site, quiet};

pub fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    let folder = site.folder.display();
    let log = if site.log {
        "access_log access.log lines;"
    } else {
        "access_log off;"
    };
    let mut servers = String::new();
    for node in &site.nodes {
        let _ = writeln!(servers, "  server {node};");
    }
    let (scheme, verify) = if site.tls {
        let ca = site.papers.authority.display();
        let verify = format!(
            "proxy_ssl_trusted_certificate {ca}; proxy_ssl_verify on; proxy_ssl_server_name on; \
             proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.2 TLSv1.3;"
        );
        ("https", verify)
    } else {
        ("http", String::new())
    };
    let text = format!(
        r#"daemon off;
worker_processes {cores};
worker_rlimit_nofile {files};
pid nginx.pid;
error_log errors.log;
events {{ worker_connections 16000; }}
http {{
 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
 log_format lines '$remote_addr - $remote_user [$time_iso8601] "$request" $status $body_bytes_sent "$http_user_agent" '
  'upstream=$upstream_addr in=$request_length first=$upstream_header_time time=$request_time id=$request_id';
 {log}
 tcp_nodelay on;
 upstream harbor {{
  zone harbor 256k;
  least_conn;
{servers}
  keepalive 64;
  keepalive_requests 10000000;
  keepalive_timeout 60s;
 }}
 server {{
  listen {listen} ssl http2;
  server_name {name};
  ssl_certificate {chain};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:TLS:10m;
  ssl_session_timeout 1d;
  keepalive_timeout 300s;
  keepalive_requests 10000000;
  client_max_body_size 0;
  location / {{
   proxy_pass {scheme}://harbor;
   {verify}
   proxy_http_version 1.1;
   proxy_set_header Connection "";
   proxy_set_header Host $http_host;
   proxy_set_header X-Request-ID $request_id;
   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
   proxy_set_header X-Forwarded-Proto https;
   proxy_set_header X-Forwarded-Host $http_host;
   proxy_buffering off;
   proxy_request_buffering off;
   proxy_read_timeout 900s;
   proxy_send_timeout 900s;
   send_timeout 900s;
  }}
 }}
}}
"#,
        cores = site.cores,
        files = site.files,
        listen = site.listen,
        name = crate::papers::NAME,
        chain = site.papers.chain.display(),
        key = site.papers.key.display(),
    );
    let config = site.folder.join("nginx.conf");
    std::fs::write(&config, text)?;
    let mut command = quiet(program, site)?;
    command
        .arg("-p")
        .arg(format!("{folder}/"))
        .arg("-c")
        .arg(config);
    Ok(command)
}

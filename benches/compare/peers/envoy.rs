//! Envoy, as its documentation's page on edge proxies has it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Site, quiet};

/// What the page recommends for connections of either side, in bytes.
const BUFFER: u32 = 32_768;

fn typed(name: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("type.googleapis.com/envoy.{name}"));
    fields
}

fn at(address: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn listener(site: &Site<'_>) -> Value {
    let log = typed(
        "extensions.access_loggers.file.v3.FileAccessLog",
        json!({"path": site.access_log()}),
    );
    let logs = if site.log {
        json!([{"name": "file", "typed_config": log}])
    } else {
        json!([])
    };
    let router = typed("extensions.filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "door",
            "use_remote_address": true,
            "normalize_path": true,
            "merge_slashes": true,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "common_http_protocol_options": {"idle_timeout": "3600s", "headers_with_underscores_action": "REJECT_REQUEST"},
            "http2_protocol_options": {
                "max_concurrent_streams": 100,
                "initial_stream_window_size": 65_536,
                "initial_connection_window_size": 1_048_576
            },
            "stream_idle_timeout": "900s",
            "request_timeout": "0s",
            "access_log": logs,
            "route_config": {"virtual_hosts": [{
                "name": "harbor",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "harbor", "timeout": "0s"}}]
            }]},
            "http_filters": [{"name": "router", "typed_config": router}]
        }),
    );
    let tls = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        json!({"common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{
                "certificate_chain": {"filename": site.papers.chain},
                "private_key": {"filename": site.papers.key}
            }]
        }}),
    );
    json!({
        "name": "door",
        "address": at(site.listen),
        "per_connection_buffer_limit_bytes": BUFFER,
        "filter_chains": [{
            "filters": [{"name": "http", "typed_config": manager}],
            "transport_socket": {"name": "tls", "typed_config": tls}
        }]
    })
}

fn cluster(site: &Site<'_>) -> Value {
    let endpoints: Vec<Value> = site
        .nodes
        .iter()
        .map(|node| json!({"endpoint": {"address": at(*node)}}))
        .collect();
    let many =
        json!({"max_connections": 20_000, "max_pending_requests": 20_000, "max_requests": 20_000});
    let mut cluster = json!({
        "name": "harbor",
        "type": "STATIC",
        "connect_timeout": "3s",
        "per_connection_buffer_limit_bytes": BUFFER,
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [many]},
        "health_checks": [{
            "timeout": "5s", "interval": "2s", "unhealthy_threshold": 3, "healthy_threshold": 2,
            "http_health_check": {"path": "/api/v2.0/health", "host": crate::papers::NAME}
        }],
        "load_assignment": {"cluster_name": "harbor", "endpoints": [{"lb_endpoints": endpoints}]}
    });
    if site.tls {
        let context = typed(
            "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            json!({"sni": "localhost", "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": site.papers.authority},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}]
            }}}),
        );
        cluster["transport_socket"] = json!({"name": "tls", "typed_config": context});
    }
    cluster
}

pub fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    let config = json!({
        "static_resources": {"listeners": [listener(site)], "clusters": [cluster(site)]}
    });
    let file = site.folder.join("envoy.json");
    std::fs::write(&file, config.to_string())?;
    let mut command = quiet(program, site)?;
    command
        .arg("--config-path")
        .arg(file)
        .args(["--concurrency", &site.cores.to_string()])
        .args(["--disable-hot-restart", "--log-level", "warning"])
        // Every second instead of every ten, so that all of a row's lines are written in its time.
        .args(["--file-flush-interval-msec", "1000"]);
    Ok(command)
}

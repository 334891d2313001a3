//! The stand-in Harbor node as a program, for the demo.
//!
//! Two of them with the same storage, Redis and key are a cluster. With `--control` it takes orders:
//! `POST /fault/registry/down`, `/fault/core/hung`, `/fault/read-only/on`, `/node/stop`, `/node/start`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod harbor;
mod ports;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use harbor::{Component, Dialect, HarborNode, Mode, Options, Switch, Timing, TokenKey};

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "2")]
    Two,
    #[value(name = "1.10")]
    OneTen,
    #[value(name = "1.5")]
    OneFive,
}

/// A stand-in for one Harbor node, for tests and demos.
#[derive(Parser)]
struct Arguments {
    /// What the node calls itself in logs.
    #[arg(long)]
    name: String,
    /// Where its nginx listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Which Harbor it is.
    #[arg(long, value_enum, default_value = "2")]
    dialect: Version,
    /// What it calls its version, if not the recorded one.
    #[arg(long)]
    version: Option<String>,
    /// The registry's files; nodes of a cluster share them.
    #[arg(long)]
    storage: PathBuf,
    /// Where sessions are kept, `redis://host:port/0`.
    #[arg(long)]
    redis: Option<String>,
    /// The public URL, which tokens are asked for at.
    #[arg(long)]
    external_url: String,
    /// The token key's PEM file; made if it is not there.
    #[arg(long)]
    key: PathBuf,
    /// The key of CSRF tokens.
    #[arg(long)]
    csrf_key: Option<String>,
    /// Where orders are taken.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Poll and time out as fast as in tests.
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.storage)?;
    make_key(&arguments.key)?;
    let dialect = match arguments.dialect {
        Version::Two => Dialect::Harbor2,
        Version::OneTen => Dialect::Harbor1,
        Version::OneFive => Dialect::Harbor15,
    };
    let mut options = Options::new(&arguments.name, dialect, &arguments.storage);
    options.address = arguments.listen;
    options.redis = arguments.redis;
    options.external_url = arguments.external_url;
    options.key = Some(arguments.key);
    options.timing = if arguments.quick {
        Timing::quick()
    } else {
        Timing::real()
    };
    options.version = arguments.version.unwrap_or(options.version);
    options.csrf_key = arguments.csrf_key.unwrap_or(options.csrf_key);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = Arc::new(Mutex::new(HarborNode::start(options).await));
    println!("{}: ready on http://{}", arguments.name, arguments.listen);
    if let Some(address) = arguments.control {
        tokio::spawn(control(TcpListener::bind(address).await?, node.clone()));
        println!("{}: takes orders on http://{address}", arguments.name);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    node.lock().await.stop().await;
    println!("{}: stopped", arguments.name);
    Ok(())
}

/// Makes the key unless it is there. Nodes that start together may race: the first whole file wins.
fn make_key(path: &std::path::Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let directory = path.parent().unwrap_or_else(|| std::path::Path::new("."));
    std::fs::create_dir_all(directory)?;
    let own = tempfile::tempdir_in(directory)?;
    let made = TokenKey::generate(own.path())?;
    match std::fs::hard_link(made, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn control(listener: TcpListener, node: Arc<Mutex<HarborNode>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let node = node.clone();
        let service = service_fn(move |request| obey(node.clone(), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn obey(
    node: Arc<Mutex<HarborNode>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let done = request.method() == Method::POST && order(&node, &parts).await;
    let mut response = Response::new(Full::from(if done { "done\n" } else { "unknown order\n" }));
    if !done {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn order(node: &Mutex<HarborNode>, parts: &[&str]) -> bool {
    let mut node = node.lock().await;
    match parts {
        ["node", "stop"] => node.stop().await,
        ["node", "start"] => node.revive().await,
        ["fault", name, mode] => {
            let switch = match *mode {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            };
            if let (Some(component), Some(mode)) =
                (Component::from_name(name), Mode::from_name(mode))
            {
                node.set(component, mode).await;
            } else if let (Some(which), Some(on)) = (Switch::from_name(name), switch) {
                node.switch(which, on).await;
            } else {
                return false;
            }
        }
        _ => return false,
    }
    true
}

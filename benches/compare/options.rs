//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Seawall beside HAProxy, nginx and Envoy: the same origin, clients and certificate, in one run on one machine.
#[derive(Parser)]
#[command(name = "compare")]
pub struct Options {
    /// The core rows only, in under four minutes: Seawall and HAProxy
    #[arg(long)]
    pub quick: bool,
    /// Only rows whose key or title has this in it; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Measurements of each row
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Seconds of one measurement
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Another build of Seawall to measure as well; may be repeated
    #[arg(long, value_name = "[NAME=]PATH")]
    pub seawall: Vec<String>,
    /// Where Envoy is, if it is not on the PATH
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// Only these peers, such as seawall,haproxy
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Only with the access log on, or only with it off
    #[arg(long, value_enum)]
    pub log: Option<Switch>,
    /// Where the results go
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/compare"))]
    pub out: PathBuf,
    /// Put the results into benches/README.md and benches/compare.svg, too
    #[arg(long)]
    pub publish: bool,
    /// Show the rows and end
    #[arg(long)]
    pub list: bool,
    /// cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true, value_enum)]
    pub role: Option<Role>,
    #[arg(long, hide = true)]
    pub listen: Option<SocketAddr>,
    #[arg(long, hide = true)]
    pub to: Option<SocketAddr>,
    #[arg(long, hide = true)]
    pub papers: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 1)]
    pub ports: usize,
}

/// What this program is when the harness starts it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Origin,
    Clients,
    Floor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

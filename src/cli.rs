//! The command line: one file per subcommand.

mod ask;
mod bench;
mod check;
mod doctor;
mod import;
mod journal;
mod node;
mod reload;
mod run;
mod sessions;
mod status;
mod table;
mod user;
mod vip;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Done.
const OK: u8 = 0;
/// Failed while running.
const FAILED: u8 = 1;
/// Wrong usage; clap ends with it, too.
const WRONG_USAGE: u8 = 2;
/// `--wait` ran out (`EX_TEMPFAIL`).
const RAN_OUT: u8 = 75;
/// Bad configuration (`EX_CONFIG`).
const BAD_CONFIGURATION: u8 = 78;

/// The front door of a Harbor cluster.
#[derive(Parser)]
#[command(name = "seawall", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve in the foreground until SIGTERM or SIGINT, then drain
    Run(run::Run),
    /// Validate a configuration without serving it; prints every problem
    Check(check::Check),
    /// Prove by experiment that the nodes form one cluster, and say what to copy from where if not
    Doctor(doctor::Doctor),
    /// Make a running Seawall read its configuration again, as SIGHUP does
    Reload(reload::Reload),
    /// Show the nodes of a running Seawall and their components
    Status(status::Status),
    /// Show what sticks to which node, or forget it
    Sessions(sessions::Sessions),
    /// Show what some storage lacks, have it brought there now, or forget it
    Journal(journal::Journal),
    /// Operate one node of a running Seawall
    Node(node::Node),
    /// Show, release or claim the virtual addresses
    Vip(vip::Vip),
    /// Make a configuration from that of another front end
    Import(import::Import),
    /// Load a registry with whole pulls or pushes and say how it did
    Bench(Box<bench::Bench>),
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    ExitCode::from(match Arguments::parse().command {
        Command::Run(run) => run.execute(),
        Command::Check(check) => check.execute(),
        Command::Doctor(doctor) => doctor.execute(),
        Command::Reload(reload) => reload.execute(),
        Command::Status(status) => status.execute(),
        Command::Sessions(sessions) => sessions.execute(),
        Command::Journal(journal) => journal.execute(),
        Command::Node(node) => node.execute(),
        Command::Vip(vip) => vip.execute(),
        Command::Import(import) => import.execute(),
        Command::Bench(bench) => bench.execute(),
    })
}

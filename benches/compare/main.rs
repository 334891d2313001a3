//! Seawall beside HAProxy, nginx and Envoy: `make bench`. What it does and how to read it is in `benches/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

mod account;
mod clients;
mod figures;
mod floor;
mod holding;
mod image;
mod job;
mod line;
mod load;
mod machine;
mod multiplexed;
mod options;
mod origin;
mod pace;
mod papers;
mod peers;
mod report;
mod request;
mod results;
mod schedule;
mod wire;
mod workloads;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use clients::{Clients, Origin};
use options::{Options, Role, Switch};
use papers::Papers;
use peers::{Kind, Program, World};
use results::{Report, Told};
use schedule::{Plan, Schedule};
use workloads::Workload;

/// As in Seawall, so that the floor is not above it for the sake of its allocator.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The most nodes that a row has.
const NODES: usize = 100;

fn main() -> ExitCode {
    let options = Options::parse();
    let did = match options.role {
        Some(role) => play(role, &options),
        None => compare(&options),
    };
    match did {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a child process does.
fn play(role: Role, options: &Options) -> Result<()> {
    let papers = Papers::within(options.papers.as_deref().context("no papers")?);
    let runtime = runtime()?;
    match role {
        Role::Clients => return load::serve(&runtime, &papers),
        Role::Origin => runtime.block_on(origin::serve(options.ports, &papers))?,
        Role::Floor => {
            let listen = options.listen.context("no --listen")?;
            runtime.block_on(floor::relay(
                listen,
                options.to.context("no --to")?,
                &papers,
            ))?;
        }
    }
    // Nothing is ever written to it: it ends when the parent does.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

fn compare(options: &Options) -> Result<()> {
    let workloads: Vec<Workload> = workloads::all()
        .into_iter()
        .filter(|workload| workload.core || !options.quick)
        .filter(|workload| {
            let wanted = |text: &String| {
                workload.key.contains(text.as_str()) || workload.title.contains(text.as_str())
            };
            options.only.is_empty() || options.only.iter().any(wanted)
        })
        .collect();
    if options.list {
        for workload in &workloads {
            println!("{:<18}{}", workload.key, workload.title);
        }
        return Ok(());
    }
    if workloads.is_empty() {
        bail!("no row is called that: --list shows them all");
    }
    let folder = tempfile::Builder::new()
        .prefix("seawall-compare")
        .tempdir_in(memory_folder())?;
    // Programs that give up their rights want to read their files still.
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    end_with_us(folder.path().to_owned());
    let papers = Papers::make(folder.path())?;
    let origin = Origin::start(NODES, folder.path())?;
    let mut clients = Clients::start(folder.path())?;
    let (programs, absent) = programs(options)?;
    let world = World {
        folder: folder.path().to_owned(),
        papers,
        ports: origin.ports.clone(),
        cores: std::thread::available_parallelism()?.get(),
        files: raise_files()?,
    };
    let plan = Plan {
        rounds: options.rounds.unwrap_or(if options.quick { 3 } else { 5 }),
        seconds: options
            .seconds
            .unwrap_or(if options.quick { 0.8 } else { 1.2 }),
    };
    let told = |program: &Program| Told {
        name: program.name.clone(),
        version: program.version.clone(),
        path: program.path.display().to_string(),
    };
    let now = SystemTime::now();
    let mut report = Report {
        at: machine::seconds(now),
        date: machine::date(now),
        processor: machine::processor(),
        cores: world.cores,
        kernel: machine::kernel(),
        rounds: plan.rounds,
        peers: programs.iter().map(told).collect(),
        absent,
        rows: Vec::new(),
    };
    for peer in &report.peers {
        println!("{:<12}{}", peer.name, peer.version);
    }
    for name in &report.absent {
        println!("{name:<12}ABSENT: not on this machine, so not measured");
    }
    let mut schedule = Schedule::new(plan, &programs, &world, &mut clients);
    if options.log != Some(Switch::Off) {
        report.rows = schedule.run(&workloads, true)?;
    }
    let unlogged: Vec<Workload> = workloads
        .iter()
        .filter(|one| one.unlogged)
        .cloned()
        .collect();
    if options.log == Some(Switch::Off) || (options.log.is_none() && !options.quick) {
        report.rows.extend(schedule.run(&unlogged, false)?);
    }
    report::write(&report, &options.out)?;
    println!(
        "\n{}\nwritten to {}",
        report::summary(&report),
        options.out.display()
    );
    if options.publish {
        report::publish(
            &report,
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("benches"),
        )?;
    }
    Ok(())
}

/// Who is here, and who is not.
fn programs(options: &Options) -> Result<(Vec<Program>, Vec<String>)> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    let wanted =
        |name: &str| options.peers.is_empty() || options.peers.iter().any(|peer| peer == name);
    let own = (
        Kind::Seawall,
        "seawall",
        Some(PathBuf::from(env!("CARGO_BIN_EXE_seawall"))),
    );
    let mut others = vec![own];
    for (place, given) in options.seawall.iter().enumerate() {
        let (name, path) = match given.split_once('=') {
            Some((name, path)) => (name.to_owned(), path),
            None => (format!("seawall-{}", place + 2), given.as_str()),
        };
        found.push(Program::find(Kind::Seawall, &name, PathBuf::from(path))?);
    }
    others.push((Kind::Haproxy, "haproxy", on_path("haproxy")));
    if !options.quick {
        others.push((Kind::Nginx, "nginx", on_path("nginx")));
    }
    if !options.quick || options.envoy.is_some() {
        others.push((
            Kind::Envoy,
            "envoy",
            options
                .envoy
                .clone()
                .or_else(|| on_path("envoy"))
                .or_else(cached_envoy),
        ));
    }
    others.push((Kind::Floor, "floor", Some(std::env::current_exe()?)));
    for (place, (kind, name, path)) in others
        .into_iter()
        .filter(|(_, name, _)| wanted(name))
        .enumerate()
    {
        match path {
            // Our own first, then other builds of it, then everybody else.
            Some(path) if place == 0 => found.insert(0, Program::find(kind, name, path)?),
            Some(path) => found.push(Program::find(kind, name, path)?),
            None => absent.push(name.to_owned()),
        }
    }
    Ok((found, absent))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(system);
    folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
}

/// Where `make bench` puts it.
fn cached_envoy() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?).join(".cache/seawall-bench");
    let files = std::fs::read_dir(home)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let named = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("envoy"))
    };
    files.filter(|file| file.is_file() && named(file)).max()
}

/// A folder in memory, so that nobody's log waits for a disk.
fn memory_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// As many open files as we may have, for us and for everybody we start.
fn raise_files() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard.min(1 << 20))
}

/// Ends what was started when somebody ends this process.
fn end_with_us(folder: PathBuf) {
    std::thread::spawn(move || {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let told = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                told = tokio::signal::ctrl_c() => told,
                _ = terminate.recv() => Ok(()),
            }
        });
        if told.is_ok() {
            peers::end_all();
            let _ = std::fs::remove_dir_all(&folder);
            std::process::exit(130);
        }
    });
}

//! The registry load generator: whole pulls and pushes as docker does them, every byte proved.
//!
//! Nothing is repeated behind the operator's back: what fails once is an error in the table. Nothing is left behind:
//! a run puts everything under a name of its own, `PROJECT/seawall-bench-ID`, writes down what it pushes before it
//! does, and takes it out again in the end, also after Ctrl-C.
//!
//! From the ground up: [`content`], [`image`] and [`payload`] make bytes; [`target`], [`exchange`], [`login`] and
//! [`client`] carry requests, [`place`] reads the addresses that a registry hands out, [`trace`] takes the times;
//! [`repository`] knows the verbs of a registry, [`pull`] and [`push`] make operations of them, [`side_by_side`] runs
//! several; [`schedule`] says when, [`side`] what, [`load`] does it until [`stop`]; [`record`], [`compare`],
//! [`progress`] and [`report`] say what came of it; [`sweep`] takes out what the [`ledger`] has.

mod client;
mod compare;
mod content;
mod exchange;
mod failure;
mod image;
mod ledger;
mod load;
mod login;
mod payload;
mod place;
mod progress;
mod pull;
mod push;
mod record;
pub mod report;
mod repository;
mod schedule;
pub mod settings;
mod side;
mod side_by_side;
mod stop;
mod sweep;
mod target;
mod trace;

pub use image::Shape;
pub use login::Account;
pub use schedule::Pace;
pub use target::Manner;

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use failure::Kind;
use progress::{Progress, say};
use report::Report;
use settings::Settings;
use side::Side;
use stop::Stop;
use target::Target;

/// Runs a load test: pushes what is needed, measures, hands the report to `publish`, cleans up. Returns whether every
/// target did at least one operation.
///
/// # Errors
///
/// Nothing could begin: the authority's file cannot be used, or this machine refuses what every program gets.
pub fn run(settings: &Settings, publish: impl FnOnce(&Report)) -> anyhow::Result<bool> {
    let mut targets = Vec::new();
    for url in &settings.urls {
        let target = Target::new(url.clone(), settings.patience, &settings.manner)?;
        targets.push(Arc::new(target));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let succeeded = runtime.block_on(whole(settings, targets, publish))?;
    // Hashing that nobody waits for any more.
    runtime.shutdown_background();
    Ok(succeeded)
}

async fn whole(
    settings: &Settings,
    targets: Vec<Arc<Target>>,
    publish: impl FnOnce(&Report),
) -> anyhow::Result<bool> {
    let id = format!("{:08x}", fastrand::u32(..));
    if settings.manner.insecure {
        say(
            "WARNING: --insecure: certificates are not verified, and whoever is in between can read the password",
        );
    }
    let sides: Vec<Arc<Side>> = targets
        .into_iter()
        .zip(["", "-b"])
        .zip(0..)
        .map(|((target, mark), number)| {
            let prefix = format!("{}/seawall-bench-{id}{mark}", settings.project);
            Arc::new(side(settings, &target, prefix, number))
        })
        .collect();
    let stop = Stop::listen()?;
    tokio::select! {
        succeeded = everything(settings, &sides, &stop, publish) => Ok(succeeded),
        () = stop.asked(2) => {
            for side in &sides {
                say(&format!("ended at once; left behind: {} at {}", side.prefix, side.url()));
            }
            Ok(false)
        }
    }
}

async fn everything(
    settings: &Settings,
    sides: &[Arc<Side>],
    stop: &Stop,
    publish: impl FnOnce(&Report),
) -> bool {
    let ready = tokio::select! {
        ready = set_up(settings, sides) => ready,
        () = stop.asked(1) => false,
    };
    if ready {
        measure(settings, sides, stop).await;
    }
    let report = report(settings, sides, stop.is_asked());
    publish(&report);
    for side in sides {
        for left in side.sweep().await.left {
            let (url, prefix) = (side.url(), &side.prefix);
            say(&format!("left behind at {url} under {prefix}: {left}"));
        }
    }
    report.succeeded()
}

fn side(settings: &Settings, target: &Arc<Target>, prefix: String, number: u64) -> Side {
    let client = |_| Client::new(target.clone(), settings.account.clone());
    // Two targets may be two doors of one registry, which must not find the blobs of the other.
    let seed = settings.shape.seed.wrapping_add(number);
    let side = Side::new(
        (0..settings.pace.clients.max(1)).map(client).collect(),
        prefix,
        Shape {
            seed,
            ..settings.shape
        },
        settings.images,
        settings.scenario.push_share(),
    );
    side.record().keeps = settings.urls.len() > 1;
    side
}

/// Whether all targets are ready. What is not is an error in its record.
async fn set_up(settings: &Settings, sides: &[Arc<Side>]) -> bool {
    let mut ready = true;
    for side in sides {
        if !settings.quiet {
            say(&format!("pushing to {} under {}", side.url(), side.prefix));
        }
        if let Err(failure) = side.set_up().await {
            let hint = hint(failure.kind);
            say(&format!("cannot prepare {}: {failure}{hint}", side.url()));
            side.record()
                .fail(&failure, Duration::ZERO, &trace::Notes::default());
            ready = false;
        }
    }
    ready
}

/// What may help against a failure before the clock runs.
fn hint(kind: Kind) -> &'static str {
    match kind {
        Kind::Status(401 | 403) => {
            "; is the password right, does the project exist, and may the account push to it?"
        }
        Kind::Status(404) => "; does the project exist, and is this a registry?",
        Kind::Tls => "; --ca FILE trusts an authority of your own",
        Kind::Connect => "; is the URL right, and does this machine reach it?",
        _ => "",
    }
}

async fn measure(settings: &Settings, sides: &[Arc<Side>], stop: &Stop) {
    let (count, length) = settings.slices();
    let turns = u32::try_from(sides.len()).unwrap_or(1);
    let _progress = Progress::show(sides, length * count * turns, settings.quiet);
    for _ in 0..count {
        for side in sides {
            if stop.is_asked() {
                return;
            }
            load::slice(side, settings.pace.rate, length, stop).await;
        }
    }
}

fn report(settings: &Settings, sides: &[Arc<Side>], interrupted: bool) -> Report {
    let targets: Vec<_> = sides
        .iter()
        .map(|side| (side.url(), side.record().clone()))
        .collect();
    let ratios = match targets.as_slice() {
        [(_, first), (_, second)] => {
            compare::ratios(&first.slices, &second.slices, settings.shape.seed)
        }
        _ => Vec::new(),
    };
    Report {
        scenario: settings.scenario.name(),
        load: settings.load(),
        seed: settings.shape.seed,
        interrupted,
        targets,
        ratios,
    }
}

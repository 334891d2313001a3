//! `seawall bench`: load a registry and say how it did.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{FAILED, OK, WRONG_USAGE};
use crate::bench::report::{Report, html, json, text};
use crate::bench::settings::{self, Scenario, Settings};
use crate::bench::{self, Account, Manner, Pace, Shape};
use crate::config::{Secret, Url, duration, size};

/// Clients at work for `--rate` without `--clients`: enough that a slow registry is seen, few enough for one machine.
const CLIENTS_OF_A_RATE: u32 = 64;
const CLIENTS: u32 = 4;
const MOST_CLIENTS: i64 = 10_000;

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Pull images that are pushed before
    Pull,
    /// Push images that are new
    Push,
    /// Both, see --push-share
    Mixed,
}

/// Load a registry with whole pulls or pushes, prove every byte, and say how it did.
#[derive(Args)]
#[command(
    after_help = "An operation is one whole image. Everything goes to PROJECT/seawall-bench-ID, is removed in the end, \
                  and nothing else is touched. Ctrl-C ends early, with report and clean-up."
)]
pub struct Bench {
    /// What is done
    scenario: What,
    /// The registry, as https://registry.example.com
    #[arg(value_name = "URL", required_unless_present = "compare")]
    url: Option<Url>,
    /// Two registries that take turns, and by what factor they differ
    #[arg(long, num_args = 2, value_names = ["URL", "URL"], conflicts_with = "url")]
    compare: Vec<Url>,
    /// The project to push to; Harbor must have it, elsewhere it begins the repositories' names
    #[arg(long, value_parser = settings::parse_project)]
    project: String,
    /// Who logs in
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// A file with the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Trust the certificate authority in this PEM file, and no other
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// Do not offer HTTP/2
    #[arg(long)]
    http1: bool,
    /// Clients at work at a time [default: 4; 64 with --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_CLIENTS))]
    clients: Option<u32>,
    /// Operations meant to begin, as 50/s; latency counts from when each was meant to
    #[arg(long, value_name = "RATE", value_parser = settings::parse_rate)]
    rate: Option<f64>,
    /// How long each registry is measured
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    duration: Duration,
    /// With --compare: how long a turn is
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse, requires = "compare")]
    slice: Duration,
    /// How long nothing may move before an operation has failed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
    /// Layers of an image
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=125))]
    layers: u32,
    /// Bytes of a layer
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = size::parse)]
    layer_size: u64,
    /// How many layers all images share
    #[arg(long, value_name = "N", default_value_t = 2)]
    shared_base: u32,
    /// Distinct images to pull
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    /// With mixed: how many operations are pushes [default: 20%]
    #[arg(long, value_name = "SHARE", value_parser = settings::parse_share)]
    push_share: Option<f64>,
    /// What decides every byte of the images [default: random, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write the report as a page for browsers, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Say nothing while it runs
    #[arg(long)]
    quiet: bool,
}

impl Bench {
    pub(super) fn execute(self) -> u8 {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("seawall: {error:#}");
                return WRONG_USAGE;
            }
        };
        let mut told = Ok(());
        let run = bench::run(&settings, |report| told = self.publish(report));
        match run.and_then(|succeeded| told.map(|()| succeeded)) {
            Ok(true) => OK,
            Ok(false) => FAILED,
            Err(error) => {
                eprintln!("seawall: {error:#}");
                FAILED
            }
        }
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let scenario = match self.scenario {
            What::Pull => Scenario::Pull,
            What::Push => Scenario::Push,
            What::Mixed => Scenario::Mixed(self.push_share.unwrap_or(0.2)),
        };
        if self.push_share.is_some() && !matches!(self.scenario, What::Mixed) {
            anyhow::bail!(
                "--push-share is of `mixed`; leave it out, or write `seawall bench mixed`"
            );
        }
        if self.shared_base > self.layers {
            anyhow::bail!(
                "--shared-base {} is more than --layers {}; an image cannot share more than it has",
                self.shared_base,
                self.layers
            );
        }
        for (name, time) in [
            ("duration", self.duration),
            ("timeout", self.timeout),
            ("slice", self.slice),
        ] {
            if time.is_zero() {
                anyhow::bail!("--{name} 0s leaves no time; write it like 30s");
            }
        }
        if let Some(ca) = &self.ca {
            std::fs::metadata(ca).with_context(|| format!("--ca: cannot read {}", ca.display()))?;
        }
        let usual = if self.rate.is_some() {
            CLIENTS_OF_A_RATE
        } else {
            CLIENTS
        };
        Ok(Settings {
            scenario,
            urls: self.url.iter().chain(&self.compare).cloned().collect(),
            project: self.project.clone(),
            account: self.account()?,
            manner: Manner {
                ca: self.ca.clone(),
                insecure: self.insecure,
                http1: self.http1,
            },
            pace: Pace {
                clients: self.clients.unwrap_or(usual),
                rate: self.rate,
            },
            shape: Shape {
                layers: self.layers,
                layer_size: self.layer_size,
                shared: self.shared_base,
                seed: self.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
            },
            images: self.images,
            duration: self.duration,
            slice: self.slice,
            patience: self.timeout,
            quiet: self.quiet,
        })
    }

    fn account(&self) -> anyhow::Result<Option<Account>> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else {
            return Ok(None);
        };
        let password = std::fs::read_to_string(file)
            .with_context(|| format!("--password-file: cannot read {}", file.display()))?;
        Ok(Some(Account {
            user: user.clone(),
            password: Secret::new(password.trim_end_matches(['\r', '\n'])),
        }))
    }

    fn publish(&self, report: &Report) -> anyhow::Result<()> {
        let told = if self.json {
            format!("{:#}\n", json::render(report))
        } else {
            text::render(report)
        };
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(told.as_bytes())
            .and_then(|()| stdout.flush())
            .context("cannot write the report")?;
        if let Some(file) = &self.html {
            std::fs::write(file, html::render(report))
                .with_context(|| format!("--html: cannot write {}", file.display()))?;
        }
        Ok(())
    }
}

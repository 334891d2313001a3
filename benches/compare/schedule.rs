//! Who runs when: every row in interleaved rounds, so that what disturbs the machine disturbs everybody.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::account;
use crate::clients::Clients;
use crate::job::{Act, Job, Protocol, Tally};
use crate::peers::{Kind, Peer, Program, Setup, World};
use crate::results::{Entry, Row, Sample};
use crate::workloads::{Unit, Way, Workload};

/// Until the last lines of a log are written and the last thread sleeps.
const SETTLE: Duration = Duration::from_millis(20);
/// Until health checks of every node are in.
const CHECKED: Duration = Duration::from_secs(4);
/// Envoy writes its log once a second.
const FLUSHED: Duration = Duration::from_millis(1200);

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: usize,
    /// Of one slice.
    pub seconds: f64,
}

/// Runs workloads against programs.
pub struct Schedule<'a> {
    pub plan: Plan,
    pub programs: &'a [Program],
    pub world: &'a World,
    pub clients: &'a mut Clients,
    bar: ProgressBar,
}

impl<'a> Schedule<'a> {
    pub fn new(
        plan: Plan,
        programs: &'a [Program],
        world: &'a World,
        clients: &'a mut Clients,
    ) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {wide_msg}")
        {
            bar.set_style(style);
        }
        Schedule {
            plan,
            programs,
            world,
            clients,
            bar,
        }
    }

    /// Measures every workload with the access log on, or all that are worth it with it off.
    pub fn run(&mut self, workloads: &[Workload], log: bool) -> Result<Vec<Row>> {
        self.bar
            .inc_length((workloads.len() * self.programs.len()) as u64);
        let mut rows = Vec::new();
        let mut running: Option<(Setup, Vec<Option<Peer>>)> = None;
        for workload in workloads {
            let mut row = Row::new(workload, log);
            let setup = workload.setup(log);
            if matches!(workload.way, Way::Held | Way::Slow) {
                running = None;
                row.entries = self.alone(workload, setup)?;
            } else {
                let peers = match running.take() {
                    Some((of, peers)) if of == setup => peers,
                    other => {
                        drop(other);
                        let mut same = workloads.iter().filter(|other| other.setup(log) == setup);
                        let floor = same.any(|other| other.floor);
                        self.start(setup, floor)
                    }
                };
                row.entries = self.together(workload, &peers)?;
                running = Some((setup, peers));
            }
            row.relate();
            let text = crate::report::block(&row);
            self.bar.suspend(|| println!("{text}"));
            rows.push(row);
        }
        self.bar.set_message("");
        Ok(rows)
    }

    fn start(&mut self, setup: Setup, floor: bool) -> Vec<Option<Peer>> {
        let mut peers = Vec::new();
        for program in self
            .programs
            .iter()
            .filter(|one| floor || one.kind != Kind::Floor)
        {
            self.bar.set_message(format!("starting {}", program.name));
            let peer = program.start(setup, self.world, self.clients);
            let peer = peer.inspect_err(|error| self.bar.suspend(|| eprintln!("{error:#}")));
            peers.push(peer.ok());
        }
        std::thread::sleep(CHECKED);
        peers
    }

    fn job(&self, workload: &Workload, peer: &Peer) -> Job {
        let floor = peer.program.kind == Kind::Floor && workload.protocol == Protocol::Http2;
        Job {
            address: peer.address,
            // The floor speaks for HTTP/2 as well: what it leaves out is what HTTP/2 costs.
            protocol: if floor {
                Protocol::Http1
            } else {
                workload.protocol
            },
            act: workload.act,
            connections: if floor {
                workload.connections * workload.streams
            } else {
                workload.connections
            },
            streams: if floor { 1 } else { workload.streams },
            seconds: self.plan.seconds,
            rate: None,
        }
    }

    fn together(&mut self, workload: &Workload, peers: &[Option<Peer>]) -> Result<Vec<Entry>> {
        let peers: Vec<&Peer> = peers
            .iter()
            .flatten()
            .filter(|peer| peer.program.kind != Kind::Floor || workload.floor)
            .collect();
        let mut entries = Vec::new();
        let mut rates = Vec::new();
        for peer in &peers {
            self.bar.set_message(format!(
                "{}: {} warms up",
                workload.title, peer.program.name
            ));
            let mut entry = Entry {
                peer: peer.program.name.clone(),
                ..Entry::default()
            };
            let half = workload.way == Way::Half;
            let seconds = if half { 1.5 } else { 0.3 };
            let job = Job {
                seconds,
                ..self.job(workload, peer)
            };
            let warm = self.slice(workload, peer, job, &mut entry);
            rates.push(warm.filter(|_| half).map(|warm| (warm.pace / 2.0).max(1.0)));
            entry.samples.clear();
            entry.requests = 0;
            entries.push(entry);
        }
        let logged = peers.first().is_some_and(|peer| peer.logs) && workload.unit != Unit::Gibibyte;
        let before = if logged { lines(&peers) } else { Vec::new() };
        let rounds = self.plan.rounds.min(workload.rounds);
        for round in 1..=rounds {
            for (place, peer) in peers.iter().enumerate() {
                let (title, name) = (workload.title, &peer.program.name);
                self.bar
                    .set_message(format!("{title}: {name}, round {round} of {rounds}"));
                let job = Job {
                    rate: rates[place],
                    ..self.job(workload, peer)
                };
                if entries[place].complaint.is_some() {
                    continue;
                }
                self.slice(workload, peer, job, &mut entries[place]);
            }
        }
        self.bar.inc(self.programs.len() as u64);
        if logged {
            for ((entry, before), after) in entries.iter_mut().zip(before).zip(lines(&peers)) {
                entry.logged = Some((after - before) as f64 / entry.requests.max(1) as f64);
            }
        }
        Ok(entries)
    }

    /// One measured slice; what goes wrong is written into the entry.
    fn slice(
        &mut self,
        workload: &Workload,
        peer: &Peer,
        job: Job,
        entry: &mut Entry,
    ) -> Option<Sample> {
        let mut measure = || -> Result<(Sample, Tally)> {
            self.clients.prepare(job)?;
            let pids = peer.pids();
            let mut ours = account::family(i32::try_from(std::process::id())?);
            ours.extend(&pids);
            ours.sort_unstable();
            ours.dedup();
            std::thread::sleep(SETTLE);
            let begun = (
                Instant::now(),
                account::machine()?,
                account::processor(&ours)?,
            );
            let before = account::processor(&pids)?;
            let tally = self.clients.go()?;
            std::thread::sleep(SETTLE);
            let used = account::processor(&pids)?.saturating_sub(before);
            let memory = account::memory(&pids)?;
            let busy = account::machine()?.saturating_sub(begun.1);
            let own = account::processor(&ours)?.saturating_sub(begun.2);
            let all = begun.0.elapsed() * u32::try_from(self.world.cores)?;
            let mut sample = sample(workload.unit, used, &tally, memory);
            sample.others = busy.saturating_sub(own).as_secs_f64() / all.as_secs_f64();
            Ok((sample, tally))
        };
        match measure() {
            Ok((sample, tally)) => {
                entry.wrong += tally.wrong;
                entry.requests += tally.requests;
                entry.complaint = entry.complaint.take().or(tally.complaint);
                entry.tls = tally.tls;
                entry.samples.push(sample.clone());
                Some(sample)
            }
            Err(error) => {
                entry.complaint.get_or_insert(format!("{error:#}"));
                None
            }
        }
    }

    /// Each program in a process that has done nothing else, one after the other.
    fn alone(&mut self, workload: &Workload, setup: Setup) -> Result<Vec<Entry>> {
        let programs: Vec<&Program> = self
            .programs
            .iter()
            .filter(|program| program.kind != Kind::Floor)
            .collect();
        let named = |program: &&Program| Entry {
            peer: program.name.clone(),
            ..Entry::default()
        };
        let mut entries: Vec<Entry> = programs.iter().map(named).collect();
        for round in 1..=self.plan.rounds.min(workload.rounds) {
            for (program, entry) in programs.iter().zip(&mut entries) {
                if entry.complaint.is_some() {
                    continue;
                }
                let message = format!("{}: {}, round {round}", workload.title, program.name);
                self.bar.set_message(message);
                match self.crowd(workload, program, setup) {
                    Ok((sample, tally)) => {
                        entry.wrong += tally.wrong;
                        entry.complaint = tally.complaint;
                        entry.samples.push(sample);
                    }
                    Err(error) => entry.complaint = Some(format!("{error:#}")),
                }
                let _ = self.clients.drop_all();
            }
        }
        self.bar.inc(self.programs.len() as u64);
        Ok(entries)
    }

    fn crowd(
        &mut self,
        workload: &Workload,
        program: &Program,
        setup: Setup,
    ) -> Result<(Sample, Tally)> {
        let peer = program.start(setup, self.world, self.clients)?;
        let act = Act::Get { bytes: 1024 };
        let warm = Job {
            act,
            connections: 8,
            seconds: 0.5,
            ..self.job(workload, &peer)
        };
        self.clients.prepare(warm)?;
        self.clients.go()?;
        self.clients.drop_all()?;
        std::thread::sleep(Duration::from_millis(500));
        let pids = peer.pids();
        let empty = account::memory(&pids)?;
        let held =
            |full: u64| full.saturating_sub(empty) as f64 / 1024.0 / workload.connections as f64;
        if workload.way == Way::Held {
            self.clients.hold(peer.address, workload.connections)?;
            std::thread::sleep(Duration::from_secs(3));
            let full = account::memory(&pids)?;
            let tally = self.clients.check()?;
            let memory_mib = full as f64 / 1_048_576.0;
            let cost = held(full);
            return Ok((
                Sample {
                    cost,
                    held_kib: Some(cost),
                    memory_mib,
                    ..Sample::default()
                },
                tally,
            ));
        }
        let seconds = self.plan.seconds.max(5.0);
        self.clients.prepare(Job {
            seconds,
            ..self.job(workload, &peer)
        })?;
        let before = account::processor(&pids)?;
        let tally = self.clients.go()?;
        let used = account::processor(&pids)?.saturating_sub(before);
        let full = account::memory(&pids)?;
        let mut sample = sample(workload.unit, used, &tally, full);
        sample.held_kib = Some(held(full));
        // How long a reader takes who takes its time says nothing.
        (sample.p50, sample.p99, sample.p999) = (0.0, 0.0, 0.0);
        Ok((sample, tally))
    }
}

fn sample(unit: Unit, used: Duration, tally: &Tally, memory: u64) -> Sample {
    let millis = used.as_secs_f64() * 1000.0;
    let mebibytes = tally.bytes as f64 / 1_048_576.0;
    let work = match unit {
        Unit::Requests | Unit::Connections => tally.acts as f64 / 1000.0,
        Unit::Images | Unit::Held => tally.acts as f64,
        Unit::Gibibyte => mebibytes / 1024.0,
    };
    let moved = if unit == Unit::Gibibyte {
        mebibytes
    } else {
        tally.acts as f64
    };
    Sample {
        cost: millis / work,
        pace: moved / tally.seconds,
        p50: tally.p50,
        p99: tally.p99,
        p999: tally.p999,
        held_kib: None,
        others: 0.0,
        memory_mib: memory as f64 / 1_048_576.0,
    }
}

/// How many lines each access log has, once they are written.
fn lines(peers: &[&Peer]) -> Vec<u64> {
    std::thread::sleep(FLUSHED);
    let count = |file: &Path| -> u64 {
        let Ok(file) = File::open(file) else {
            return 0;
        };
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut lines = 0;
        while let Ok(bytes) = file.fill_buf() {
            if bytes.is_empty() {
                break;
            }
            lines += bytes.iter().filter(|byte| **byte == b'\n').count();
            let length = bytes.len();
            file.consume(length);
        }
        lines as u64
    };
    peers.iter().map(|peer| count(&peer.access_log)).collect()
}

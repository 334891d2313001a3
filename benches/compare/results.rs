//! What was measured, as it goes into `compare.json`.

use serde::Serialize;

use crate::figures;
use crate::workloads::Workload;

/// Whom the others are compared with.
pub const BASE: &str = "haproxy";
/// The relay that only copies.
pub const FLOOR: &str = "floor";

/// One slice.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// In the unit of the row.
    pub cost: f64,
    /// Acts, or MiB for bulk rows, per second of the clock.
    pub pace: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// What each connection added, in KiB, where that was measured.
    pub held_kib: Option<f64>,
    /// How much of this machine's processors was busy with something else meanwhile, from 0 to 1.
    pub others: f64,
    /// All processes at the end, in MiB.
    pub memory_mib: f64,
}

/// One peer in one row.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    pub peer: String,
    pub samples: Vec<Sample>,
    /// Answers that were not what they should be; any makes the figure worthless.
    pub wrong: u64,
    pub complaint: Option<String>,
    /// Requests in all slices.
    pub requests: u64,
    /// Lines of the access log for each request.
    pub logged: Option<f64>,
    /// Version and cipher suite that were agreed on.
    pub tls: Option<String>,
    pub ratio: Option<f64>,
    pub of_floor: Option<f64>,
}

impl Entry {
    pub fn costs(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.cost).collect()
    }

    pub fn median(&self, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        figures::median(&self.samples.iter().map(value).collect::<Vec<_>>())
    }

    /// Nothing went wrong, and there is something to show.
    pub fn is_valid(&self) -> bool {
        self.wrong == 0 && self.complaint.is_none() && !self.samples.is_empty()
    }
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub pace: &'static str,
    pub log: bool,
    pub entries: Vec<Entry>,
}

impl Row {
    pub fn new(workload: &Workload, log: bool) -> Row {
        Row {
            key: workload.key,
            title: workload.title,
            unit: workload.unit.label(),
            pace: workload.unit.pace(),
            log,
            entries: Vec::new(),
        }
    }

    /// What an entry agreed on for TLS, when HAProxy agreed on something else: the comparison is not of proxies then.
    pub fn odd_tls(&self, entry: &Entry) -> Option<String> {
        let base = self.entries.iter().find(|entry| entry.peer == BASE)?;
        let (base, own) = (base.tls.as_deref()?, entry.tls.as_deref()?);
        (base != own).then(|| format!("{own} instead of {base}"))
    }

    /// Fills in how everybody stands to HAProxy and to the floor.
    pub fn relate(&mut self) {
        let of = |name: &str| {
            let entry = self
                .entries
                .iter()
                .find(|entry| entry.peer == name && entry.is_valid());
            entry.map(Entry::costs).unwrap_or_default()
        };
        let (base, floor) = (of(BASE), of(FLOOR));
        for entry in self.entries.iter_mut().filter(|entry| entry.is_valid()) {
            let costs = entry.costs();
            entry.ratio = figures::ratio(&base, &costs);
            entry.of_floor = figures::ratio(&costs, &floor);
        }
    }
}

/// Everything about a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Seconds since 1970.
    pub at: u64,
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub rounds: usize,
    pub peers: Vec<Told>,
    /// Who was not there.
    pub absent: Vec<String>,
    pub rows: Vec<Row>,
}

/// A peer and what it says it is.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    pub name: String,
    pub version: String,
    pub path: String,
}

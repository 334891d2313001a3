//! What a proxy used: processor time and memory of all its processes.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Processor time of processes since they began, ended threads included.
pub fn processor(pids: &[i32]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in pids {
        let clock = clock_getcpuclockid(Pid::from_raw(*pid))
            .with_context(|| format!("process {pid} is gone"))?;
        sum += Duration::from(clock_gettime(clock)?);
    }
    Ok(sum)
}

/// Memory of processes in bytes, pages that several share counted once between them; where that cannot be read, their
/// resident sizes added up.
pub fn memory(pids: &[i32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let shared = field(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
        sum += match shared {
            Ok(bytes) => bytes,
            Err(_) => field(&format!("/proc/{pid}/status"), "VmRSS:")?,
        };
    }
    Ok(sum)
}

fn field(file: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = word
        .with_context(|| format!("no {name} in {file}"))?
        .parse()?;
    Ok(kibibytes * 1024)
}

/// A process and the processes it started.
pub fn family(pid: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program, which stands in brackets, may hold anything.
        let behind = text.rsplit_once(')')?.1;
        behind.split_whitespace().nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = numbers.filter(|other| parent(*other) == Some(pid));
    std::iter::once(pid).chain(children).collect()
}

/// Processor time of everything on this machine since it began, to a hundredth of a second.
pub fn machine() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // User, nice and system, then what interrupts took; not idle, not waiting.
    let busy: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|place| fields.get(*place))
        .sum();
    Ok(Duration::from_millis(busy * 10))
}

//! Where this was measured.

use std::time::{Duration, SystemTime};

/// The model of the processor.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = line
        .and_then(|line| line.split_once(':'))
        .map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The release of the kernel.
pub fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// Today, as `Sun, 22 Nov 2026`.
pub fn date(now: SystemTime) -> String {
    let full = httpdate::fmt_http_date(now);
    full.get(..16).unwrap_or(&full).to_owned()
}

/// Seconds since 1970.
pub fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

//! Dates, as Harbor writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a clock shows that is `ahead` seconds ahead.
pub fn shifted(ahead: i64) -> SystemTime {
    let now = SystemTime::now();
    let by = Duration::from_secs(ahead.unsigned_abs());
    if ahead < 0 { now - by } else { now + by }
}

/// `2026-11-22T14:20:27.716Z`.
pub fn json(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (day, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, date) = civil(day);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The same to the second.
pub fn seconds(at: SystemTime) -> String {
    let mut text = json(at);
    text.truncate(19);
    text.push('Z');
    text
}

/// Year, month and day of a day since 1970 (the days-from-civil algorithm turned round).
fn civil(day: u64) -> (u64, u64, u64) {
    let z = day + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

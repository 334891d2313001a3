//! What the run says in the end: on the terminal, and in three files.

mod chart;

use std::path::Path;

use anyhow::{Context, Result};

use crate::figures::{self, short};
use crate::results::{BASE, Entry, FLOOR, Report, Row, Sample};

/// Where the published table stands in `benches/README.md`.
const MARKS: [&str; 2] = ["<!-- table -->", "<!-- end of table -->"];

/// From this share of the machine on, what others do to a figure is worth a word.
const DISTURBED: f64 = 0.05;

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}×"))
}

fn remark(row: &Row, entry: &Entry) -> String {
    let odd = row.odd_tls(entry);
    match (&entry.complaint, odd, entry.logged) {
        (Some(why), _, _) => format!("INVALID ({} wrong): {why}", entry.wrong),
        (None, Some(odd), _) => odd,
        (None, None, Some(share)) if share < 0.99 => {
            format!("logged only {:.1} % of its requests", share * 100.0)
        }
        _ => match entry.median(|sample| sample.others) {
            Some(others) if others > DISTURBED => {
                format!("something else used {:.0} % of the machine", others * 100.0)
            }
            _ => String::new(),
        },
    }
}

/// One row with everything that is known about it, for the terminal.
pub fn block(row: &Row) -> String {
    let log = if row.log {
        "access log on"
    } else {
        "access log off"
    };
    let mut rows = vec![
        [
            row.unit,
            "median",
            "low",
            "high",
            "vs HAProxy",
            "of floor",
            row.pace,
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for entry in &row.entries {
        let mut cells = vec![format!("  {}", entry.peer)];
        let of = |value| median(entry, value);
        if let Some(cost) = figures::spread(&entry.costs()) {
            cells.extend([short(cost.median), short(cost.low), short(cost.high)]);
        } else {
            cells.extend(["–"; 3].map(str::to_owned));
        }
        cells.extend([times(entry.ratio), times(entry.of_floor)]);
        cells.extend([of(|s| s.pace), of(|s| s.p50), of(|s| s.p99), of(|s| s.p999)]);
        rows.push(cells);
    }
    let mut text = format!("\n{}, {log}\n{}", row.title, figures::columns(&rows));
    for entry in &row.entries {
        let held = entry
            .median(|sample| sample.held_kib.unwrap_or_default())
            .filter(|held| *held > 0.0);
        if let (Some(held), false) = (held, row.unit.starts_with("KiB")) {
            text.push_str(&format!(
                "  {} holds {} KiB for each connection\n",
                entry.peer,
                short(held)
            ));
        }
        let remark = remark(row, entry);
        if !remark.is_empty() {
            text.push_str(&format!("  {}: {remark}\n", entry.peer));
        }
    }
    text
}

/// How busy the machine was with something else, in the worst row.
fn disturbed(report: &Report) -> Option<String> {
    let entries = report.rows.iter().flat_map(|row| &row.entries);
    let most = entries
        .filter_map(|entry| entry.median(|sample| sample.others))
        .fold(0.0, f64::max);
    (most > DISTURBED).then(|| {
        format!("In the worst row something else used {:.0} % of this machine: measure again when it is quiet.", most * 100.0)
    })
}

/// A table of medians and ratios: a column for each peer.
fn table(report: &Report, log: bool) -> String {
    let names: Vec<&str> = report.peers.iter().map(|peer| peer.name.as_str()).collect();
    let mut rows = vec![vec!["what".to_owned(), "unit".to_owned()]];
    rows[0].extend(names.iter().map(|name| (*name).to_owned()));
    for row in report.rows.iter().filter(|row| row.log == log) {
        let mut cells = vec![row.title.to_owned(), row.unit.to_owned()];
        for name in &names {
            let entry = row.entries.iter().find(|entry| entry.peer == *name);
            cells.push(entry.map(cell).unwrap_or_default());
        }
        rows.push(cells);
    }
    figures::markdown(&rows)
}

fn cell(entry: &Entry) -> String {
    if !entry.is_valid() {
        return "invalid".to_owned();
    }
    let cost = entry
        .median(|sample| sample.cost)
        .map(short)
        .unwrap_or_default();
    match entry.ratio {
        Some(ratio) if entry.peer != BASE && entry.peer != FLOOR => {
            format!("{cost} (**{ratio:.2}×**)")
        }
        _ => cost,
    }
}

/// The finer figures: a line for each peer in each row.
fn details(report: &Report, log: bool) -> String {
    let head = [
        "what",
        "who",
        "low – high",
        "of floor",
        "pace",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "MiB",
        "KiB / connection",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in report.rows.iter().filter(|row| row.log == log) {
        for entry in &row.entries {
            let of = |value| median(entry, value);
            let spread = figures::spread(&entry.costs());
            let spread = spread.map(|s| format!("{} – {}", short(s.low), short(s.high)));
            let pace = format!("{} {}", of(|s| s.pace), row.pace);
            let mut who = entry.peer.clone();
            let remark = remark(row, entry);
            if !remark.is_empty() {
                who = format!("{who} ({})", remark.replace('|', "/"));
            }
            rows.push(vec![
                row.title.to_owned(),
                who,
                spread.unwrap_or_default(),
                times(entry.of_floor),
                pace.trim().to_owned(),
                of(|s| s.p50),
                of(|s| s.p99),
                of(|s| s.p999),
                of(|s| s.memory_mib),
                of(|s| s.held_kib.unwrap_or_default()),
            ]);
        }
    }
    figures::markdown(&rows)
}

/// Everything in Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!(
        "Measured on {} · {} · {} cores · Linux {} · {} rounds.\n\n",
        report.date, report.processor, report.cores, report.kernel, report.rounds
    );
    for peer in &report.peers {
        text.push_str(&format!("- {}: {}\n", peer.name, peer.version));
    }
    for name in &report.absent {
        text.push_str(&format!(
            "- {name}: **not on this machine, so not measured**\n"
        ));
    }
    if let Some(disturbed) = disturbed(report) {
        text.push_str(&format!("\n**{disturbed}**\n"));
    }
    text.push_str("\nLess is better; in brackets how many times less than HAProxy, so more is better there.\n");
    for (log, title) in [(true, "Access log on"), (false, "Access log off")] {
        if report.rows.iter().any(|row| row.log == log) {
            text.push_str(&format!("\n### {title}\n\n{}", table(report, log)));
            let details = details(report, log);
            text.push_str(&format!(
                "\n<details><summary>Spread, pace and latency</summary>\n\n{details}\n</details>\n"
            ));
        }
    }
    text
}

/// The ratios at a glance, for the terminal.
pub fn summary(report: &Report) -> String {
    let mut rows = vec![vec!["times less than HAProxy".to_owned()]];
    let names = || {
        report
            .peers
            .iter()
            .map(|peer| peer.name.as_str())
            .filter(|name| *name != BASE)
    };
    rows[0].extend(names().map(str::to_owned));
    for row in &report.rows {
        let log = if row.log { "" } else { " (no log)" };
        let mut cells = vec![format!("{}{log}", row.title)];
        for name in names() {
            let entry = row.entries.iter().find(|entry| entry.peer == name);
            cells.push(entry.map_or_else(String::new, |entry| {
                if entry.is_valid() {
                    times(entry.ratio)
                } else {
                    "invalid".to_owned()
                }
            }));
        }
        rows.push(cells);
    }
    let mut text = figures::columns(&rows);
    if let Some(disturbed) = disturbed(report) {
        text.push_str(&format!("\n{disturbed}\n"));
    }
    text
}

/// Writes `compare.json`, `compare.md` and `compare.svg`.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(
        folder.join("compare.json"),
        serde_json::to_string_pretty(report)?,
    )?;
    std::fs::write(folder.join("compare.md"), markdown(report))?;
    std::fs::write(folder.join("compare.svg"), chart::draw(report))?;
    Ok(())
}

/// Puts the table and the chart where readers of the repository find them.
pub fn publish(report: &Report, benches: &Path) -> Result<()> {
    let readme = benches.join("README.md");
    let text = std::fs::read_to_string(&readme)?;
    let [begin, end] = MARKS;
    let (before, rest) = text
        .split_once(begin)
        .with_context(|| format!("no {begin} in {}", readme.display()))?;
    let (_, after) = rest
        .split_once(end)
        .with_context(|| format!("no {end} in {}", readme.display()))?;
    let new = format!(
        "{before}{begin}\n![Cost compared with HAProxy](compare.svg)\n\n{}\n{end}{after}",
        markdown(report)
    );
    std::fs::write(&readme, new)?;
    std::fs::write(benches.join("compare.svg"), chart::draw(report))?;
    Ok(())
}

/// The median of a figure over the rounds; nothing where there is none.
fn median(entry: &Entry, value: fn(&Sample) -> f64) -> String {
    entry
        .median(value)
        .filter(|value| *value > 0.0)
        .map(short)
        .unwrap_or_default()
}

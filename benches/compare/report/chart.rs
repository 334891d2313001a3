//! A picture of the table: how many times less than HAProxy each peer costs. Colours that can be told apart on light
//! and dark pages.

use std::fmt::Write as _;

use crate::results::{BASE, FLOOR, Report};

const COLOURS: [&str; 5] = ["#2f81f7", "#d29922", "#a371f7", "#3fb950", "#db6d28"];
const LEFT: f64 = 290.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 11.0;
const STYLE: &str = "text{font:12px sans-serif;fill:#57606a}.l{stroke:#57606a}\
    @media(prefers-color-scheme:dark){text{fill:#9da7b3}.l{stroke:#9da7b3}}";

/// The chart as SVG.
pub fn draw(report: &Report) -> String {
    let names: Vec<&str> = report
        .peers
        .iter()
        .map(|peer| peer.name.as_str())
        .filter(|name| *name != BASE && *name != FLOOR)
        .collect();
    let rows: Vec<_> = report.rows.iter().filter(|row| row.log).collect();
    let ratios = || {
        rows.iter()
            .flat_map(|row| row.entries.iter().filter_map(|entry| entry.ratio))
    };
    let most = ratios().fold(1.5, f64::max).min(6.0);
    let scale = WIDTH / most;
    let step = names.len() as f64 * BAR + 10.0;
    let height = 70.0 + rows.len() as f64 * step;
    let total = LEFT + WIDTH + 60.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {height}\" role=\"img\" \
         aria-label=\"Cost compared with HAProxy\"><style>{STYLE}</style>\n\
         <text x=\"8\" y=\"18\">HAProxy's cost ÷ theirs: right of the line is better than HAProxy</text>\n"
    );
    let mut x = 8.0;
    for (name, colour) in names.iter().zip(COLOURS.iter().cycle()) {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"37\">{name}</text>",
            x + 14.0
        );
        x += 40.0 + 7.0 * name.len() as f64;
    }
    for (place, row) in rows.iter().enumerate() {
        let top = 52.0 + place as f64 * step;
        let middle = top + step / 2.0 - 1.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            row.title
        );
        for (bar, (name, colour)) in names.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let entry = row.entries.iter().find(|entry| entry.peer == *name);
            let Some(ratio) = entry.and_then(|entry| entry.ratio) else {
                continue;
            };
            let (y, wide) = (top + bar as f64 * BAR, ratio.min(most) * scale);
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" style=\"font-size:10px\">{ratio:.2}</text>",
                BAR - 1.0,
                LEFT + wide + 4.0,
                y + BAR - 2.0
            );
        }
    }
    let line = LEFT + scale;
    let _ = write!(
        svg,
        "<line class=\"l\" x1=\"{line}\" x2=\"{line}\" y1=\"46\" y2=\"{}\" stroke-dasharray=\"3 3\"/>\n</svg>\n",
        height - 12.0
    );
    svg
}

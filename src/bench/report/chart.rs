//! Line charts as inline SVG: no scripts, colours from the style sheet of the page.

use std::fmt::Write as _;

use super::words;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Lines across, the lowest included.
const RULES: u32 = 4;
/// Points of a line: more than a screen can show.
const MOST_POINTS: usize = 1500;

/// One line: points from left to right.
pub struct Line {
    /// Its name in the page, for readers of the picture's text.
    pub name: String,
    /// `(x, y)`.
    pub points: Vec<(f64, f64)>,
}

/// What the axes say.
pub struct Axes<'a> {
    /// What is shown, for people who cannot see it.
    pub title: &'a str,
    /// Where words stand below, as `(x, word)`.
    pub marks: &'a [(f64, String)],
    /// How a height is written.
    pub height: fn(f64) -> String,
}

/// Draws lines from x = 0 and y = 0 on.
pub fn draw(axes: &Axes<'_>, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let marks = axes.marks.iter().map(|(x, _)| *x);
    let widest = points().map(|(x, _)| *x).chain(marks).fold(0.0, f64::max);
    let highest = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let (widest, highest) = (above_zero(widest), round(above_zero(highest)));
    let x = |value: f64| LEFT + value / widest * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape(axes.title)
    );
    for rule in 0..=RULES {
        let value = highest * f64::from(rule) / f64::from(RULES);
        let at = y(value);
        let _ = writeln!(
            svg,
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"height\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            escape(&(axes.height)(value))
        );
    }
    for (at, word) in axes.marks {
        let _ = writeln!(
            svg,
            "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(*at),
            HEIGHT - BOTTOM + 20.0,
            escape(word)
        );
    }
    for (number, line) in lines.iter().enumerate() {
        let step = line.points.len().div_ceil(MOST_POINTS).max(1);
        let points: Vec<String> = line
            .points
            .iter()
            .step_by(step)
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line target-{number}\" points=\"{}\"><title>{}</title></polyline>",
            points.join(" "),
            escape(&line.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Five marks of seconds along a time of so many seconds.
pub fn seconds(longest: f64) -> Vec<(f64, String)> {
    let mark = |part: u32| {
        let at = longest * f64::from(part) / 4.0;
        (at, format!("{} s", words::number(at)))
    };
    (0..=4).map(mark).collect()
}

/// The least height at or above `highest` whose rules stand at round numbers.
fn round(highest: f64) -> f64 {
    let rules = f64::from(RULES);
    let ten = 10_f64.powf((highest / rules).log10().floor());
    let step = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5].map(|part| part * ten);
    let fits = step.into_iter().find(|step| step * rules >= highest);
    fits.unwrap_or(10.0 * ten) * rules
}

fn above_zero(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 {
        value
    } else {
        1.0
    }
}

/// Text that HTML and SVG take for nothing but text, inside and outside of attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            escape("<a b=\"c\" d='&'>"),
            "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;"
        );
    }

    #[test]
    fn lines_stay_inside_the_picture() {
        let line = Line {
            name: "<x>".to_owned(),
            points: vec![(0.0, 0.0), (1.0, 5.0), (2.0, 10.0)],
        };
        let axes = Axes {
            title: "\"t\"",
            marks: &seconds(2.0),
            height: words::number,
        };
        let svg = draw(&axes, &[line]);
        assert!(
            svg.contains("points=\"76.0,226.0 410.0,119.0 744.0,12.0\""),
            "{svg}"
        );
        assert!(svg.contains("<title>&lt;x&gt;</title>"), "{svg}");
        assert!(svg.contains("aria-label=\"&quot;t&quot;\""), "{svg}");
    }

    #[test]
    fn rules_stand_at_round_numbers() {
        for (highest, expected) in [
            (1.0, 1.0),
            (1.1, 1.2),
            (9.0, 10.0),
            (441.0, 500.0),
            (21.0, 30.0),
        ] {
            assert!(
                (round(highest) - expected).abs() < 1e-9,
                "{highest}: {}",
                round(highest)
            );
        }
    }

    #[test]
    fn nothing_to_draw_is_an_empty_picture() {
        let axes = Axes {
            title: "t",
            marks: &[],
            height: words::number,
        };
        assert!(!draw(&axes, &[]).contains("NaN"));
    }
}

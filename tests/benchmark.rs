//! The figures of the side-by-side benchmark: `cargo bench` runs no tests, so that they are tried here.

#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../benches/compare/figures.rs"]
mod figures;

use figures::{columns, markdown, median, ratio, short, spread};

#[test]
fn the_median_of_an_even_number_is_between_the_middle_two() {
    assert_eq!(median(&[4.0, 1.0, 3.0]), Some(3.0));
    assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[f64::NAN, 2.0]), Some(2.0));
}

#[test]
fn a_spread_has_both_ends() {
    let spread = spread(&[2.0, 9.0, 4.0]).unwrap();
    assert_eq!((spread.low, spread.median, spread.high), (2.0, 4.0, 9.0));
}

#[test]
fn a_ratio_compares_what_ran_in_the_same_round() {
    // The machine was slow for everybody in the second round.
    assert_eq!(ratio(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0]), Some(2.0));
    assert_eq!(ratio(&[], &[1.0]), None);
    assert_eq!(ratio(&[1.0], &[0.0]), None);
}

#[test]
fn a_figure_has_three_digits_that_matter() {
    for (value, text) in [
        (0.0421, "0.042"),
        (4.567, "4.57"),
        (45.67, "45.7"),
        (456.7, "457"),
        (1_234_567.0, "1,234,567"),
    ] {
        assert_eq!(short(value), text);
    }
}

#[test]
fn a_table_lines_up() {
    let rows = [vec!["who", "ms"], vec!["seawall", "1.5"], vec!["x"]]
        .map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(columns(&rows), "who       ms\nseawall  1.5\nx\n");
    assert_eq!(
        markdown(&rows[..2]),
        "| who | ms |\n|---|---:|\n| seawall | 1.5 |\n"
    );
}

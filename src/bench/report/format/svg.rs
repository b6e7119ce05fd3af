//! SVG charts; the page's style sheet sets the colours.
//!
//! A chart is as wide as its place: along the x axis, positions are shares of the width, and letters keep their size.
//! Labels that do not overlap at the smallest width overlap at no other.

mod forest;
mod labels;
mod scatter;

pub(super) use forest::{Line, forest};
pub(super) use scatter::{Point, scatter};

use super::escape::escaped;

/// Smallest width of a chart in pixels: a page of 320 pixels without its margins.
const NARROWEST: f64 = 254.0;

/// Letters that fit on a line of [`NARROWEST`].
const LETTERS: usize = 32;

/// Places where the marks of a chart begin and end, as shares of its width.
const START: f64 = 0.14;
const END: f64 = 0.91;

/// Position in per cent of the width for a share of the way along the x axis.
fn percent(share: f64) -> f64 {
    100.0 * along(share)
}

/// Position as a share of the width for a share of the way along the x axis.
fn along(share: f64) -> f64 {
    START + share * (END - START)
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg width=\"100%\" height=\"{height:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escaped(title)
    )
}

/// Lines of text, one below the other; `at` are the attributes of each.
fn text(lines: &[String], first_y: f64, at: &str) -> String {
    let line = |(i, line): (usize, &String)| {
        format!("<text {at} y=\"{:.1}\">{}</text>", first_y + 16.0 * i as f64, escaped(line))
    };
    lines.iter().enumerate().map(line).collect()
}

/// Splits a text into at most three lines that fit the narrowest chart, at spaces, dashes and underscores where there
/// are some. Of a longer text the middle is left out: a label begins with the model and ends with the settings.
fn wrapped(label: &str) -> Vec<String> {
    let mut rest: Vec<char> = shortened(label, 3 * LETTERS - 24).chars().collect();
    let mut lines = Vec::new();
    while rest.len() > LETTERS && lines.len() < 2 {
        let is_break = |i: &usize| matches!(rest[*i - 1], ' ' | '-' | '_' | '/');
        let end = (LETTERS - 12..=LETTERS).rev().find(is_break).unwrap_or(LETTERS);
        let after = rest.split_off(end);
        lines.push(rest.iter().collect::<String>().trim_end().to_owned());
        rest = after;
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// Shortens a label to at most `fit` characters by cutting its middle.
fn shortened(label: &str, fit: usize) -> String {
    let count = label.chars().count();
    if count <= fit {
        return label.to_owned();
    }
    let (head, tail) = (fit / 2 - 1, fit - fit / 2);
    let start: String = label.chars().take(head).collect();
    let end: String = label.chars().skip(count - tail).collect();
    format!("{}…{}", start.trim_end(), end.trim_start())
}

/// Round numbers at even steps, from at most `low` to at least `high`, with at most `steps` steps between the two.
fn ticks(low: f64, high: f64, steps: f64) -> Vec<f64> {
    let span = (high - low).max(1e-6);
    let power = 10f64.powf((span / steps).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|n| n * power)
        .into_iter()
        .find(|step| span / step <= steps)
        .unwrap_or(10.0 * power);
    let (from, to) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    (from..=to.max(from + 1)).map(|n| n as f64 * step).collect()
}

fn last(ticks: &[f64]) -> f64 {
    ticks.last().copied().unwrap_or(1.0)
}

/// Formats a number without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value).replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_label_is_wrapped_and_keeps_both_of_its_ends() {
        assert_eq!(wrapped("pocket-Q4_0, any"), ["pocket-Q4_0, any"]);
        let served = wrapped("pocket-Q4_0-served, over HTTP, the server's prompt");
        assert_eq!(served, ["pocket-Q4_0-served, over HTTP,", "the server's prompt"]);
        let long = wrapped(&format!("acme/{}-Q4_0, any", "x".repeat(200)));
        assert!(
            long[0].starts_with("acme/") && long.len() == 3 && long.concat().ends_with("-Q4_0, any"),
            "{long:?}"
        );
        assert!(long.iter().all(|line| line.chars().count() <= LETTERS), "{long:?}");
    }

    #[test]
    fn ticks_are_round_few_and_hold_the_data() {
        for (low, high) in [(0.0, 1.0), (-3.0, 3.0), (61.2, 88.9), (0.0, 4060.0), (-0.004, 0.1), (5.0, 5.0)] {
            for steps in [4.0, 6.0] {
                let ticks = ticks(low, high, steps);
                assert!((2..=steps as usize + 3).contains(&ticks.len()), "{ticks:?}");
                assert!(ticks[0] <= low + 1e-6 && last(&ticks) >= high - 1e-6, "{low} {high}: {ticks:?}");
            }
        }
        assert_eq!(ticks(-3.0, 3.0, 6.0), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            (number(0.5), number(100.0), signed(-2.0), signed(0.0)),
            ("0.5".into(), "100".into(), "−2".into(), "0".into())
        );
    }
}

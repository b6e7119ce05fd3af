//! SVG charts; the page's style sheet sets the colours.

use super::escape::escaped;
use crate::bench::score::stats::Interval;

/// A point of a scatter plot, with its interval.
pub(super) struct Point {
    pub(super) label: String,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) interval: Option<Interval>,
    /// CSS class that sets the colour.
    pub(super) class: String,
}

/// A line of a forest plot.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) delta: f64,
    pub(super) interval: Option<Interval>,
    pub(super) class: String,
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;

/// Draws a scatter plot; `y` is a fraction, shown in per cent.
pub(super) fn scatter(points: &[Point], x_title: &str, y_title: &str) -> String {
    let lows = points.iter().map(|point| point.interval.map_or(point.y, |i| i.low));
    let highs = points.iter().map(|point| point.interval.map_or(point.y, |i| i.high));
    let y_ticks = ticks(lows.fold(1.0, f64::min) * 100.0, highs.fold(0.0, f64::max) * 100.0);
    let x_ticks = ticks(0.0, points.iter().map(|point| point.x).fold(0.0, f64::max));
    let (x_end, y_start, y_end) = (last(&x_ticks), y_ticks[0], last(&y_ticks));
    let x = |value: f64| LEFT + value / x_end * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| {
        HEIGHT - BOTTOM - (share * 100.0 - y_start) / (y_end - y_start) * (HEIGHT - TOP - BOTTOM)
    };
    let mut out = open(HEIGHT, &format!("{y_title} against {x_title}"));
    for tick in &y_ticks {
        let at = y(tick / 100.0);
        out += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            number(*tick)
        );
    }
    for tick in &x_ticks {
        let at = x(*tick);
        out += &format!(
            "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 20.0,
            number(*tick)
        );
    }
    out += &format!(
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"axis\" x=\"0\" y=\"14\">{}</text>",
        WIDTH - RIGHT,
        HEIGHT - 6.0,
        escaped(x_title),
        escaped(y_title)
    );
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let (mut px, py, class) = (x(point.x), y(point.y), escaped(&point.class));
        // Modes of one file are moved apart. Points of other files stay, since their order on the axis matters.
        let same_file =
            |at: f64| (0..i).any(|j| points[j].label == point.label && (placed[j].0 - at).abs() < 5.0);
        while same_file(px) {
            px += 6.0;
        }
        placed.push((px, py));
        if let Some(interval) = point.interval {
            out += &format!(
                "<line class=\"interval {class}\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                y(interval.low),
                y(interval.high)
            );
        }
        out += &format!("<circle class=\"point {class}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"5\"/>");
    }
    let mut labelled: Vec<&str> = Vec::new();
    let mut boxes: Vec<Label> = Vec::new();
    for (point, place) in points.iter().zip(&placed) {
        // The colour shows the mode, so the name is written once.
        if labelled.contains(&&*point.label) {
            continue;
        }
        labelled.push(&point.label);
        let text = shortened(&point.label, 30);
        let label = Label::beside(*place, text.chars().count(), &boxes, &placed);
        out += &format!(
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text>",
            if label.ends_at_point { label.right } else { label.left },
            label.middle + 4.0,
            if label.ends_at_point { "end" } else { "start" },
            escaped(&text)
        );
        boxes.push(label);
    }
    out + "</svg>"
}

/// Position of a label, which is 14 units high around its middle.
struct Label {
    left: f64,
    right: f64,
    middle: f64,
    /// True if the label is to the left of its point; its end is then fixed.
    ends_at_point: bool,
}

impl Label {
    /// Finds the nearest position beside a point that is inside the chart and covers no label or point.
    fn beside((x, y): (f64, f64), letters: usize, labels: &[Label], points: &[(f64, f64)]) -> Label {
        let width = letters as f64 * 7.3;
        let right_of =
            |middle: f64| Label { left: x + 10.0, right: x + 10.0 + width, middle, ends_at_point: false };
        let left_of =
            |middle: f64| Label { left: x - 10.0 - width, right: x - 10.0, middle, ends_at_point: true };
        let places = [0.0, -14.0, 14.0, -28.0, 28.0, -42.0, 42.0, -56.0, 56.0, -70.0, 70.0]
            .into_iter()
            .flat_map(|dy| [right_of(y + dy), left_of(y + dy)]);
        let free = |label: &Label| {
            let inside = label.left > LEFT
                && label.right < WIDTH
                && label.middle > TOP - 8.0
                && label.middle < HEIGHT - BOTTOM;
            let apart = |other: &Label| {
                label.right < other.left
                    || other.right < label.left
                    || (label.middle - other.middle).abs() >= 14.0
            };
            let covers = |(px, py): &(f64, f64)| {
                label.left < px + 6.0 && px - 6.0 < label.right && (label.middle - py).abs() < 11.0
            };
            inside && labels.iter().all(apart) && !points.iter().any(covers)
        };
        places.into_iter().find(free).unwrap_or_else(|| right_of(y))
    }
}

/// Draws a forest plot: differences in points with their intervals, one a line, and the margin as a dashed line.
pub(super) fn forest(lines: &[Line], margin: f64, title: &str) -> String {
    const LABELS: f64 = 190.0;
    const STEP: f64 = 30.0;
    let ends = lines.iter().flat_map(|line| {
        let interval = line.interval.unwrap_or(Interval { low: line.delta, high: line.delta });
        [interval.low, interval.high]
    });
    let (low, high) = ends.fold((-margin, margin), |(low, high), end| (low.min(end), high.max(end)));
    let ticks = ticks(low * 100.0, high * 100.0);
    let (start, end) = (ticks[0], last(&ticks));
    let x = |share: f64| LABELS + (share * 100.0 - start) / (end - start) * (WIDTH - LABELS - RIGHT);
    let bottom = TOP + STEP * lines.len() as f64;
    let mut out = open(bottom + BOTTOM, title);
    for tick in &ticks {
        let at = x(tick / 100.0);
        let class = if *tick == 0.0 { "zero" } else { "grid" };
        out += &format!(
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            signed(*tick)
        );
    }
    out += &format!(
        "<line class=\"margin\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
         <text class=\"axis\" x=\"{1:.1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
        x(-margin),
        WIDTH - RIGHT,
        bottom + 40.0,
        escaped(title)
    );
    for (i, line) in lines.iter().enumerate() {
        let (at, class) = (TOP + STEP * (i as f64 + 0.5), escaped(&line.class));
        if let Some(interval) = line.interval {
            out += &format!(
                "<line class=\"interval {class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                x(interval.low),
                x(interval.high)
            );
        }
        out += &format!(
            "<rect class=\"point {class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\"/>\
             <text class=\"label\" x=\"0\" y=\"{:.1}\">{}</text>",
            x(line.delta) - 4.5,
            at - 4.5,
            at + 4.0,
            escaped(&shortened(&line.label, 25))
        );
    }
    out + "</svg>"
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escaped(title)
    )
}

/// Shortens a label to at most `fit` characters by cutting its middle: it begins with the model and ends with the
/// settings.
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

/// Round numbers at even steps, from at most `low` to at least `high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(1e-6);
    let power = 10f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|n| n * power)
        .into_iter()
        .find(|step| span / step <= 6.0)
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
    fn a_smaller_file_never_stands_to_the_right_of_a_larger_one() {
        let point = |label: &str, x: f64, class: &str| Point {
            label: label.into(),
            x,
            y: 0.5,
            interval: None,
            class: class.into(),
        };
        let chart = scatter(
            &[
                point("f16", 11.7, "free"),
                point("q4_k_m", 3.79, "free"),
                point("q4_0", 3.67, "free"),
                point("q4_0", 3.67, "any"),
            ],
            "MB",
            "%",
        );
        let at: Vec<f64> = chart
            .split("cx=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(at[0] > at[1] && at[1] > at[2], "{at:?}");
        assert!(at[3] > at[2], "the modes of a file do not cover each other: {at:?}");
    }

    #[test]
    fn a_long_label_keeps_both_of_its_ends() {
        assert_eq!(shortened("pocket-Q4_0, any", 25), "pocket-Q4_0, any");
        let long = shortened("pocket-Q4_0-served, over HTTP, the server's prompt", 30);
        assert_eq!(long, "pocket-Q4_0-se…server's prompt");
        assert!(long.chars().count() <= 30);
    }

    #[test]
    fn ticks_are_round_few_and_hold_the_data() {
        for (low, high) in [(0.0, 1.0), (-3.0, 3.0), (61.2, 88.9), (0.0, 4060.0), (-0.004, 0.1), (5.0, 5.0)] {
            let ticks = ticks(low, high);
            assert!((2..=9).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks[0] <= low + 1e-6 && last(&ticks) >= high - 1e-6, "{low} {high}: {ticks:?}");
        }
        assert_eq!(ticks(-3.0, 3.0), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            (number(0.5), number(100.0), signed(-2.0), signed(0.0)),
            ("0.5".into(), "100".into(), "−2".into(), "0".into())
        );
    }
}

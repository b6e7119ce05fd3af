//! Forest plots: differences with their intervals, one below the other.

use super::{last, open, percent, signed, text, ticks, wrapped};
use crate::bench::{report::format::escape::escaped, score::stats::Interval};

/// A line of a forest plot.
pub(in super::super) struct Line {
    pub(in super::super) label: String,
    pub(in super::super) delta: f64,
    pub(in super::super) interval: Option<Interval>,
    /// CSS class that sets the colour.
    pub(in super::super) class: String,
}

/// Draws a forest plot: differences in points with their intervals, and the margin as a dashed line. A label stands
/// above its interval, and the lines of the axis leave out the labels.
pub(in super::super) fn forest(lines: &[Line], margin: f64, title: &str) -> String {
    let ends = lines.iter().flat_map(|line| {
        let interval = line.interval.unwrap_or(Interval { low: line.delta, high: line.delta });
        [interval.low, interval.high]
    });
    let (low, high) = ends.fold((-margin, margin), |(low, high), end| (low.min(end), high.max(end)));
    let ticks = ticks(low * 100.0, high * 100.0, 4.0);
    let (start, end) = (ticks[0], last(&ticks));
    let x = |share: f64| percent((share * 100.0 - start) / (end - start));
    let (mut marks, mut y) = (String::new(), 0.0);
    for line in lines {
        let label = wrapped(&line.label);
        marks += &text(&label, y + 13.0, "class=\"label\" x=\"0\"");
        let (at, class) = (y + 16.0 * label.len() as f64 + 14.0, escaped(&line.class));
        let across = |class: &str, x: f64| {
            let (top, bottom) = (at - 9.0, at + 9.0);
            format!(
                "<line class=\"{class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
            )
        };
        for tick in &ticks {
            marks += &across(if *tick == 0.0 { "zero" } else { "grid" }, x(tick / 100.0));
        }
        marks += &across("margin", x(-margin));
        if let Some(interval) = line.interval {
            marks += &format!(
                "<line class=\"interval {class}\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                x(interval.low),
                x(interval.high)
            );
        }
        marks += &format!(
            "<svg x=\"{:.2}%\" y=\"{at:.1}\" overflow=\"visible\"><rect class=\"point {class}\" x=\"-4.5\" y=\"-4.5\" \
             width=\"9\" height=\"9\"/></svg>",
            x(line.delta)
        );
        y = at + 16.0;
    }
    for tick in &ticks {
        marks += &format!(
            "<text class=\"tick\" x=\"{:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(tick / 100.0),
            y + 12.0,
            signed(*tick)
        );
    }
    let title_lines = wrapped(title);
    marks += &text(&title_lines, y + 34.0, "class=\"axis\" x=\"0\"");
    open(y + 26.0 + 16.0 * title_lines.len() as f64, title) + &marks + "</svg>"
}

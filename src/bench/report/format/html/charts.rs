//! Charts of the page.

use super::section;
use crate::bench::{
    report::{
        Report, VariantReport,
        format::{
            escape::escaped,
            svg::{self, Line, Point},
        },
    },
    row::Mode,
};

/// Section with the charts; empty if there is nothing to draw.
pub(super) fn charts(report: &Report) -> String {
    let (heading, quality, y_title) = match report.labelled {
        true => ("Accuracy and cost", "Accuracy", format!("{} (%)", report.primary)),
        false => {
            ("Divergence and cost", "Rows with the reference's call", "same call as the reference (%)".into())
        }
    };
    let shown = || report.compared();
    let mut names: Vec<&str> = Vec::new();
    for name in shown().map(|variant| &*variant.name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let height = |variant: &VariantReport| {
        if report.labelled {
            let mean = variant.mean(&report.primary)?;
            return Some((mean.mean?, mean.interval));
        }
        let distance = report.distances.iter().find(|distance| distance.candidate == variant.label)?;
        Some((distance.same_call_share()?, distance.same_calls_interval))
    };
    let point = |variant: &VariantReport, x: f64| {
        let (y, interval) = height(variant)?;
        let model = names.iter().position(|name| *name == variant.name)? + 1;
        Some(Point { model, x, y, interval, class: variant.mode.name().into() })
    };
    let by_size: Vec<Point> = shown()
        .filter(|variant| variant.file_bytes > 0)
        .filter_map(|variant| point(variant, variant.file_bytes as f64 / 1e6))
        .collect();
    let timed = shown().flat_map(|variant| variant.costs.iter().map(move |cost| (variant, cost)));
    let by_time: Vec<Point> = timed.filter_map(|(variant, cost)| point(variant, cost.wall_s_p50)).collect();
    let lines: Vec<Line> = report
        .comparisons
        .iter()
        .filter(|row| row.metric == report.primary)
        .map(|row| Line {
            label: row.candidate.clone(),
            delta: row.comparison.delta,
            interval: row.comparison.interval,
            class: row.mode.name().into(),
        })
        .collect();
    let names: String = names.iter().map(|name| format!("<li>{}</li>\n", escaped(name))).collect();
    let names = match by_size.is_empty() && by_time.is_empty() {
        true => String::new(),
        false => format!("<ol class=\"names\">\n{names}</ol>\n"),
    };
    let mut figures = Vec::new();
    if !by_size.is_empty() {
        let caption = format!("{quality} against file size.");
        figures.push(figure(&svg::scatter(&by_size, "file size (MB)", &y_title), &caption));
    }
    if !by_time.is_empty() {
        figures.push(figure(
            &svg::scatter(&by_time, "seconds per call (median)", &y_title),
            &format!("{quality} against the time of a call."),
        ));
    }
    if !lines.is_empty() {
        let title = format!("difference from the reference, {} (points)", report.primary);
        figures.push(figure(
            &svg::forest(&lines, report.rules.margin, &title),
            "Paired differences with 95 % intervals; the dashed line is the margin. These decide, not the intervals \
             of single means.",
        ));
    }
    if figures.is_empty() {
        return String::new();
    }
    let modes = Mode::ALL.iter().filter(|mode| report.variants.iter().any(|variant| variant.mode == **mode));
    let keys: String = modes
        .map(|mode| format!("<span class=\"mode\"><span class=\"key {mode}\"></span>{mode}</span> "))
        .collect();
    section(
        heading,
        &format!(
            "<p class=\"soft\">Colours are modes: {keys}</p>\n{names}<div class=\"grid-2\">\n{}</div>\n",
            figures.concat()
        ),
    )
}

fn figure(svg: &str, caption: &str) -> String {
    format!("<figure class=\"card\">{svg}<figcaption>{}</figcaption></figure>\n", escaped(caption))
}

//! The report as one HTML page without scripts or network access, for light and dark themes, print and phones.

use super::{
    Exporter,
    difference::{Piece, difference},
    svg::{self, Line, Point},
    text,
};
use crate::bench::{
    report::{Flip, Report, VariantReport, p_value, percent, points},
    row::Mode,
    score::confusion::{Confusion, NO_CALL},
};

/// Exporter of a self-contained HTML page.
pub struct Html;

/// Maximum number of flips on the page for each candidate; the JSON has them all.
const SHOWN_FLIPS: usize = 100;

impl Exporter for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn export(&self, report: &Report) -> String {
        let title = report.verdicts.first().map(|verdict| verdict.sentence.as_str());
        let title = title.or(report.nothing_to_compare()).unwrap_or("Benchmark");
        let divergence = tabulated("Divergence from the reference", text::distances(report));
        // In unlabelled data the divergence is the main result, so it comes first.
        let (first, later) = match report.labelled {
            true => (tabulated("Differences by the primary metric", text::differences(report)), divergence),
            false => (divergence, String::new()),
        };
        let sections = [
            verdicts(report),
            tabulated("Models", text::variants(report)),
            charts(report),
            first,
            all_metrics(report),
            tabulated("Noise floor", text::noise_floor(report)),
            tabulated("What the constraint changes", text::constraints(report)),
            tabulated("Cost, host by host", text::costs(report)),
            later,
            functions(report),
            confusions(report),
            flips(report),
            notes(report),
            environment(report),
        ];
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            escaped(title),
            include_str!("page.css"),
            sections.concat()
        )
    }
}

/// Escapes `text` for the inside of an element or an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML forbids control characters, and models may write some.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escaped(title))
}

/// Escapes a sentence, with the text between backticks as `<code>`.
fn with_code(text: &str) -> String {
    let piece = |(i, piece): (usize, &str)| match i % 2 {
        0 => escaped(piece),
        _ => format!("<code>{}</code>", escaped(piece)),
    };
    if text.matches('`').count() % 2 == 1 {
        return escaped(text);
    }
    text.split('`').enumerate().map(piece).collect()
}

/// A section with a table; empty if the table has no rows besides its header.
fn tabulated(title: &str, rows: Vec<Vec<String>>) -> String {
    if rows.len() > 1 { section(title, &table(&rows)) } else { String::new() }
}

fn table(rows: &[Vec<String>]) -> String {
    let cells = |row: &[String], tag: &str| -> String {
        let unit_kept = |cell: &String| {
            escaped(cell).replace(" %", "&nbsp;%").replace(" (", "&nbsp;(").replace("top-1", "top&#8209;1")
        };
        let text = |cell| if tag == "th" { unit_kept(cell) } else { escaped(cell) };
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", text(cell))).collect()
    };
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let body: String = body.iter().map(|row| format!("<tr>{}</tr>\n", cells(row, "td"))).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n",
        cells(head, "th")
    )
}

fn verdicts(report: &Report) -> String {
    let nothing = report.nothing_to_compare();
    let mut out =
        nothing.map_or(String::new(), |words| format!("<div class=\"verdict\">\n<h1>{words}</h1>\n</div>\n"));
    for (i, verdict) in report.verdicts.iter().enumerate() {
        let tag = if i == 0 { "h1" } else { "h2" };
        out += &format!("<div class=\"verdict\">\n<{tag}>{}</{tag}>\n", escaped(&verdict.sentence));
        out += &format!(
            "<p class=\"soft\">Mode <b>{}</b>, reference {}, {} calls of {} conversations.</p>\n<ul>\n",
            verdict.mode,
            escaped(&verdict.reference),
            report.cases,
            report.conversations
        );
        for found in report.findings(verdict) {
            let class = found.good.map_or("", |good| if good { "good" } else { "bad" });
            out += &format!(
                "<li><b>{}</b>: <span class=\"{class}\">{}</span></li>\n",
                escaped(found.name),
                escaped(&found.words)
            );
        }
        out += "</ul>\n</div>\n";
    }
    out
}

fn charts(report: &Report) -> String {
    let (heading, quality, y_title) = match report.labelled {
        true => ("Accuracy and cost", "Accuracy", format!("{} (%)", report.primary)),
        false => {
            ("Divergence and cost", "Rows with the reference's call", "same call as the reference (%)".into())
        }
    };
    let shown = || report.compared();
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
        Some(Point { label: variant.name.clone(), x, y, interval, class: variant.mode.name().into() })
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
    let keys: String = modes.map(|mode| format!("<span class=\"key {mode}\"></span>{mode}")).collect();
    section(
        heading,
        &format!(
            "<p class=\"soft\">Colours are modes: {keys}</p>\n<div class=\"grid-2\">\n{}</div>\n",
            figures.concat()
        ),
    )
}

fn figure(svg: &str, caption: &str) -> String {
    format!("<figure class=\"card\">{svg}<figcaption>{}</figcaption></figure>\n", escaped(caption))
}

fn all_metrics(report: &Report) -> String {
    let mut rows = vec![
        ["candidate", "metric", "mean", "reference", "delta", "95 % from", "to", "broken", "fixed", "p"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in &report.comparisons {
        let c = &row.comparison;
        rows.push(vec![
            row.candidate.clone(),
            row.metric.clone(),
            percent(Some(c.candidate_mean)),
            percent(Some(c.reference_mean)),
            points(Some(c.delta)),
            points(c.interval.map(|interval| interval.low)),
            points(c.interval.map(|interval| interval.high)),
            c.broken.to_string(),
            c.fixed.to_string(),
            p_value(c.p),
        ]);
    }
    if rows.len() == 1 {
        return String::new();
    }
    section(
        "All metrics",
        &format!(
            "<details><summary>{} comparisons in points, p not adjusted</summary>{}</details>\n",
            rows.len() - 1,
            table(&rows)
        ),
    )
}

fn functions(report: &Report) -> String {
    let mut names: Vec<&str> = report
        .compared()
        .flat_map(|variant| &variant.functions)
        .map(|function| &*function.function)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return String::new();
    }
    let mut rows = vec![vec![format!("{} (%)", report.primary)]];
    rows[0].extend(names.iter().map(|name| (*name).to_owned()));
    for variant in report.compared() {
        let mut row = vec![variant.label.clone()];
        for name in &names {
            let function = variant.functions.iter().find(|function| function.function == *name);
            row.push(function.map_or("—".into(), |f| format!("{} (n = {})", percent(Some(f.mean)), f.rows)));
        }
        rows.push(row);
    }
    section("By function", &table(&rows))
}

fn confusions(report: &Report) -> String {
    let (cards, rows): (String, &str) = match report.labelled {
        true => {
            let cards = report.compared().map(|variant| confusion(&variant.label, &variant.confusion));
            (cards.collect(), "the right function")
        }
        false => {
            let cards =
                report.distances.iter().map(|distance| confusion(&distance.candidate, &distance.called));
            (cards.collect(), "the function that the reference called")
        }
    };
    if cards.is_empty() {
        return cards;
    }
    section(
        "Which function was called",
        &format!(
            "<p class=\"soft\">Rows: {rows}. Columns: the one that was called.</p>\n<div class=\"grid-2\">\n{cards}</div>\n"
        ),
    )
}

fn confusion(label: &str, confusion: &Confusion) -> String {
    let called = confusion.called();
    let shown = |name: &str| if name == NO_CALL { "(no call)".to_owned() } else { escaped(name) };
    let head: String = called.iter().map(|name| format!("<th>{}</th>", shown(name))).collect();
    let mut body = String::new();
    for (gold, row) in &confusion.rows {
        let total: usize = row.values().sum();
        let cells = called.iter().map(|name| {
            let count = confusion.count(gold, name);
            let share = count as f64 / total.max(1) as f64;
            let class = if name == gold { " class=\"right\"" } else { "" };
            format!("<td{class} style=\"background: rgba(var(--shade), {:.2})\">{count}</td>", share * 0.45)
        });
        body += &format!("<tr><td>{}</td>{}</tr>\n", shown(gold), cells.collect::<String>());
    }
    format!(
        "<div class=\"card\"><h3>{}</h3><div class=\"scroll\"><table class=\"confusion\">\
         <thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div></div>\n",
        escaped(label)
    )
}

fn flips(report: &Report) -> String {
    let mut out = String::new();
    for distance in &report.distances {
        let all: Vec<&Flip> =
            report.flips.iter().filter(|flip| flip.candidate == distance.candidate).collect();
        let other = distance.rows - distance.same_outputs;
        let (what, order) = match report.labelled {
            true => ("Another function or score", ""),
            false => ("Another call", ", those with another function first"),
        };
        let cut = match all.len() > SHOWN_FLIPS {
            true => format!(" The first {SHOWN_FLIPS} are shown."),
            false => String::new(),
        };
        out += &format!(
            "<h3>{}</h3>\n<p class=\"soft\">{what} in {} of {} answers{order}; other words in {other}.{cut}</p>\n",
            escaped(&distance.candidate),
            all.len(),
            distance.rows
        );
        out.extend(all.into_iter().take(SHOWN_FLIPS).map(flip));
    }
    if out.is_empty() { out } else { section("Flips", &out) }
}

fn flip(flip: &Flip) -> String {
    let (reference, candidate) = difference(&flip.reference_output, &flip.candidate_output);
    let outcome = match flip.reference_score.zip(flip.candidate_score) {
        Some((before, after)) => {
            let class = if after < before { "bad" } else { "good" };
            format!("<span class=\"{class}\">{before:.2} → {after:.2}</span>")
        }
        None if flip.other_function => "another function".into(),
        None => "other arguments".into(),
    };
    let right = flip.gold.as_ref().map_or(String::new(), |gold| {
        format!("<div><p class=\"soft\">right</p><pre>{}</pre></div>\n", escaped(gold))
    });
    format!(
        "<details><summary>conversation {}, call {}: {outcome}</summary>\n\
         <div class=\"flip\">\n<div><p class=\"soft\">asked last</p><pre>{}</pre></div>\n\
         {right}<div><p class=\"soft\">reference</p><pre>{}</pre></div>\n\
         <div><p class=\"soft\">candidate</p><pre>{}</pre></div>\n</div></details>\n",
        flip.conversation + 1,
        flip.turn + 1,
        escaped(&flip.prompt_tail),
        marked(&reference),
        marked(&candidate)
    )
}

fn marked(pieces: &[Piece<'_>]) -> String {
    let piece = |(same, text): &Piece<'_>| match same {
        true => escaped(text),
        false => format!("<mark>{}</mark>", escaped(text)),
    };
    pieces.iter().map(piece).collect()
}

fn notes(report: &Report) -> String {
    let items: String = report.notes.iter().map(|note| format!("<li>{}</li>\n", with_code(note))).collect();
    section("How to read this", &format!("<ul>\n{items}</ul>\n"))
}

fn environment(report: &Report) -> String {
    let mut out = format!(
        "<p>Test set <code>{}</code>, job <code>{}</code>.</p>\n",
        escaped(&report.data.test_md5),
        escaped(&report.data.job_sha256)
    );
    for start in &report.environment {
        out += &format!("<pre>{}</pre>\n<ul>\n", escaped(&start.command.join(" ")));
        for (name, value) in &start.environment {
            out += &format!("<li>{}: {}</li>\n", escaped(name), escaped(value));
        }
        out += "</ul>\n";
    }
    let files = report.variants.iter().map(|variant| match &variant.endpoint {
        Some(served) => format!("<li>{}: {}</li>\n", escaped(&variant.label), escaped(&served.server)),
        None => format!(
            "<li>{}: <code>{}</code>, {}</li>\n",
            escaped(&variant.label),
            escaped(&variant.file_sha256),
            escaped(&variant.kernels.join(", "))
        ),
    });
    out += &format!("<ul>\n{}</ul>\n", files.collect::<String>());
    section("Environment", &out)
}

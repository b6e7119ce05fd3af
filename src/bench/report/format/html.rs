//! The report as one HTML page without scripts or network access, for light and dark themes, print and phones.

mod charts;
mod confusions;
mod flips;

use super::{
    Exporter,
    escape::{escaped, with_code},
    table::Table,
    tables,
};
use crate::bench::report::{ModeVerdict, Report, words::count};

/// Exporter of a self-contained HTML page.
pub struct Html;

impl Exporter for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn export(&self, report: &Report) -> String {
        let title = report.verdicts.first().map(|verdict| verdict.sentence.as_str());
        let title = title.or(report.nothing_to_compare()).unwrap_or("Benchmark");
        let divergence = tabulated("Divergence from the reference", &tables::distances(report));
        // In unlabelled data the divergence is the main result, so it comes first.
        let (first, later) = match report.labelled {
            true => {
                (tabulated("Differences by the primary metric", &tables::differences(report)), divergence)
            }
            false => (divergence, String::new()),
        };
        let sections = [
            first_verdict(report),
            models(report),
            findings(report),
            charts::charts(report),
            first,
            all_metrics(report),
            tabulated("Noise floor", &tables::noise_floor(report)),
            tabulated("What the constraint changes", &tables::constraints(report)),
            tabulated("Cost, host by host", &tables::costs(report)),
            later,
            tabulated("By function", &tables::functions(report)),
            confusions::confusions(report),
            flips::flips(report),
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

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escaped(title))
}

/// A section with a table; empty if the table has no rows.
fn tabulated(title: &str, rows: &Table) -> String {
    if rows.is_empty() { String::new() } else { section(title, &table(rows)) }
}

/// The models with their scores, and the definitions of the columns.
fn models(report: &Report) -> String {
    let rows = tables::variants(report);
    if rows.is_empty() {
        return String::new();
    }
    let scores = tables::scores(report);
    let table = table_with(&rows, |head| scores.iter().any(|score| score == head));
    section("Models", &(table + &sentences(&report.definitions())))
}

/// Sentences below a table.
fn sentences(sentences: &[String]) -> String {
    let items: String =
        sentences.iter().map(|sentence| format!("<li>{}</li>\n", escaped(sentence))).collect();
    if items.is_empty() { items } else { format!("<ul class=\"soft\">\n{items}</ul>\n") }
}

fn table(rows: &Table) -> String {
    table_with(rows, |_| false)
}

/// A table without its empty columns. On a narrow page each row becomes a block, where each cell stands with its header
/// and the cells of columns that `come_first` precede the others.
fn table_with(rows: &Table, come_first: impl Fn(&str) -> bool) -> String {
    let rows = rows.telling(&[]);
    // A unit stays on the line of its number, and long names break after underscores.
    let header = |cell: &String| {
        let text = escaped(cell).replace(" %", "&nbsp;%").replace(" (", "&nbsp;(");
        format!("<th>{}</th>", text.replace("top-1", "top&#8209;1").replace('_', "_<wbr>"))
    };
    let cell = |(head, cell): (&String, &String)| {
        let class = match (cell.is_empty() || cell == "—", come_first(head)) {
            (true, _) => " class=\"none\"",
            (false, true) => " class=\"first\"",
            (false, false) => "",
        };
        format!("<td{class} data-head=\"{}\">{}</td>", escaped(head), escaped(cell))
    };
    let row =
        |row: &Vec<String>| format!("<tr>{}</tr>\n", rows.head.iter().zip(row).map(cell).collect::<String>());
    format!(
        "<div class=\"scroll\"><table class=\"blocks\">\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
        rows.head.iter().map(header).collect::<String>(),
        rows.rows.iter().map(row).collect::<String>()
    )
}

/// The first verdict, so that the models' scores follow at once.
fn first_verdict(report: &Report) -> String {
    if let Some(words) = report.nothing_to_compare() {
        return format!("<div class=\"verdict\">\n<h1>{words}</h1>\n</div>\n");
    }
    let first = report.verdicts.first().map(|verdict| {
        format!(
            "<div class=\"verdict\">\n<h1>{}</h1>\n{}</div>\n",
            escaped(&verdict.sentence),
            setting(report, verdict)
        )
    });
    first.unwrap_or_default()
}

/// Mode, reference and size of a verdict.
fn setting(report: &Report, verdict: &ModeVerdict) -> String {
    format!(
        "<p class=\"soft\">Mode <b>{}</b>, reference {}, {} of {}.</p>\n",
        verdict.mode,
        escaped(&verdict.reference),
        count(report.cases, "call"),
        count(report.conversations, "conversation")
    )
}

/// Findings of each mode, with the verdicts of the later modes.
fn findings(report: &Report) -> String {
    let mut out = String::new();
    for (i, verdict) in report.verdicts.iter().enumerate() {
        let found = report.findings(verdict).into_iter().map(|found| {
            let class = found.good.map_or("", |good| if good { "good" } else { "bad" });
            let (name, words) = (escaped(found.name), escaped(&found.words));
            format!("<li><b>{name}</b>: <span class=\"{class}\">{words}</span></li>\n")
        });
        let found: String = found.collect();
        match i {
            0 if found.is_empty() => {}
            0 => out += &format!("<ul>\n{found}</ul>\n"),
            _ => {
                out += &format!(
                    "<div class=\"verdict\">\n<h3>{}</h3>\n{}<ul>\n{found}</ul>\n</div>\n",
                    escaped(&verdict.sentence),
                    setting(report, verdict)
                );
            }
        }
    }
    if out.is_empty() { out } else { section("Findings", &out) }
}

/// All metrics, folded.
fn all_metrics(report: &Report) -> String {
    let metrics = tables::metrics_in_full(report);
    if metrics.is_empty() {
        return String::new();
    }
    section(
        "All metrics",
        &format!(
            "<details><summary>{} comparisons in points, p not adjusted</summary>{}{}</details>\n",
            metrics.rows.len(),
            table(&metrics),
            sentences(&report.further_definitions())
        ),
    )
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

//! Confusion matrices of the page.

use super::section;
use crate::bench::{
    report::{Report, format::escape::escaped},
    score::confusion::{Confusion, NO_CALL},
};

/// Section with one matrix for each variant.
pub(super) fn confusions(report: &Report) -> String {
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
    let head = called.iter().map(|name| format!("<th>{}</th>", shown(name).replace('_', "_<wbr>")));
    let head: String = head.collect();
    let mut body = String::new();
    for (gold, row) in &confusion.rows {
        let total: usize = row.values().sum();
        let cells = called.iter().map(|name| {
            let count = confusion.count(gold, name);
            let share = count as f64 / total.max(1) as f64;
            let class = match (name == gold, count) {
                (true, _) => " class=\"right\"",
                (false, 0) => " class=\"none\"",
                (false, _) => "",
            };
            let shade = share * 0.45;
            format!(
                "<td{class} data-head=\"{}\" style=\"background: rgba(var(--shade), {shade:.2})\">{count}</td>",
                shown(name)
            )
        });
        body += &format!("<tr><td>{}</td>{}</tr>\n", shown(gold), cells.collect::<String>());
    }
    format!(
        "<div class=\"card\"><h3>{}</h3><div class=\"scroll\"><table class=\"confusion blocks\">\
         <thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div></div>\n",
        escaped(label)
    )
}

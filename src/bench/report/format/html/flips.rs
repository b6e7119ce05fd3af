//! Answers that differ from the reference's, side by side.

use super::section;
use crate::bench::report::{
    Flip, Report,
    format::{
        difference::{Piece, difference},
        escape::escaped,
    },
};

/// Maximum number of flips on the page for each candidate; the JSON has them all.
const SHOWN_FLIPS: usize = 100;

/// Section with the flips of each candidate.
pub(super) fn flips(report: &Report) -> String {
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
         {right}</div>\n<div class=\"flip pair\">\n<div><p class=\"soft\">reference</p><pre>{}</pre></div>\n\
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

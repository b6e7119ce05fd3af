//! Patterns of JSON Schema as regular expressions over the *encoded* string, quotes included; the encoding is mostly JSON.
//!
//! A grammar sees `"a\"b"` where a pattern means `a"b`. So every character and class of the pattern is
//! rewritten to its JSON encoding: raw if JSON allows that, otherwise as an escape. A rewritten pattern only
//! accepts canonical strings ([`Spelling::canonical_char`]). This makes complements (`not`, keys that match no pattern)
//! mean the same as for the decoded text.

use regex_syntax::hir::{Hir, HirKind, Look};

use super::encode::{PatternError, Spelling, print};

/// Most alternatives that anchors inside a pattern are expanded into.
const MAX_SEQUENCES: usize = 64;

/// The regular expression, without slashes, for the canonical strings of a spelling (quotes included) that contain a
/// match of `pattern`. The pattern is in ECMA 262 syntax and matches anywhere, as in the standard.
pub(crate) fn written(pattern: &str, spelling: Spelling) -> Result<String, PatternError> {
    let rust = jsonschema_regex::to_rust_regex(pattern).map_err(|()| PatternError::Syntax)?;
    let hir = regex_syntax::ParserBuilder::new().build().parse(&rust).map_err(|_| PatternError::Syntax)?;
    let mut branches = Vec::new();
    for sequence in sequences(&hir)? {
        let Some((body, start, end)) = strip_anchors(&sequence)? else { continue };
        let mut text = String::new();
        if !start {
            text.push_str(spelling.canonical_char());
            text.push('*');
        }
        for part in body {
            print(part, spelling, &mut text)?;
        }
        if !end {
            text.push_str(spelling.canonical_char());
            text.push('*');
        }
        branches.push(text);
    }
    if branches.is_empty() {
        // A character before the start of the text is impossible.
        branches.push(r"\x00".to_string());
    }
    let quote = spelling.quote();
    Ok(format!("{quote}(?:{}){quote}", branches.join("|")))
}

/// Regular expressions for the canonical JSON strings that contain a match of `pattern`, each with a flag: a string must
/// match those with `false` and none of those with `true`. Lookaheads right after `^` become separate conditions on the whole
/// text.
pub(crate) fn conditions(pattern: &str, spelling: Spelling) -> Result<Vec<(bool, String)>, PatternError> {
    let Some((lookaheads, rest)) = leading_lookaheads(pattern) else {
        return Ok(vec![(false, written(pattern, spelling)?)]);
    };
    let rest = (false, written(&format!("^{rest}"), spelling)?);
    let lookaheads =
        lookaheads.into_iter().map(|(not, inner)| Ok((not, written(&format!("^(?:{inner})"), spelling)?)));
    std::iter::once(Ok(rest)).chain(lookaheads).collect()
}

/// The lookaheads after the `^` at the start of `pattern` (`true` for `(?!`), and the rest of it. `None` if
/// there are none, or if they do not apply to the whole pattern.
fn leading_lookaheads(pattern: &str) -> Option<(Vec<(bool, &str)>, &str)> {
    let mut rest = pattern.strip_prefix('^')?;
    let mut lookaheads = Vec::new();
    while let Some(after) = rest.strip_prefix("(?=").or(rest.strip_prefix("(?!")) {
        let end = group_end(after)?;
        lookaheads.push((rest.starts_with("(?!"), &after[..end]));
        rest = &after[end + 1..];
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    // A top-level alternative would not be preceded by the lookaheads.
    (!lookaheads.is_empty() && group_end(&format!("{rest})")) == Some(rest.len()) && !has_bar(rest))
        .then_some((lookaheads, rest))
}

/// Offset of the parenthesis that ends the group whose inside starts `text`.
fn group_end(text: &str) -> Option<usize> {
    outline(text).find(|(_, depth, c)| *depth == 0 && *c == ')').map(|(at, ..)| at)
}

/// True if there is an alternative outside of all groups.
fn has_bar(text: &str) -> bool {
    outline(text).any(|(_, depth, c)| depth == 0 && c == '|')
}

/// Characters of `text`, a regular expression, that stand outside of classes and escapes, each with its offset and the
/// number of open groups around it.
fn outline(text: &str) -> impl Iterator<Item = (usize, usize, char)> {
    let (mut escaped, mut in_class, mut depth) = (false, false, 0_usize);
    text.char_indices().filter_map(move |(at, c)| {
        match c {
            _ if escaped => {
                escaped = false;
                return None;
            }
            '\\' => {
                escaped = true;
                return None;
            }
            ']' if in_class => {
                in_class = false;
                return None;
            }
            _ if in_class => return None,
            '[' => {
                in_class = true;
                return None;
            }
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                return None;
            }
            _ => {}
        }
        Some((at, depth, c))
    })
}

/// The expression as alternatives of sequences in which anchors are separate parts: every alternation with an
/// anchor is expanded.
fn sequences(hir: &Hir) -> Result<Vec<Vec<&Hir>>, PatternError> {
    if hir.properties().look_set().is_empty() {
        return Ok(vec![vec![hir]]);
    }
    match hir.kind() {
        HirKind::Look(_) => Ok(vec![vec![hir]]),
        HirKind::Capture(group) => sequences(&group.sub),
        HirKind::Alternation(branches) => {
            let mut out = Vec::new();
            for branch in branches {
                out.extend(sequences(branch)?);
            }
            if out.len() > MAX_SEQUENCES { Err(PatternError::Anchor) } else { Ok(out) }
        }
        HirKind::Concat(parts) => {
            let mut out: Vec<Vec<&Hir>> = vec![Vec::new()];
            for part in parts {
                let next = sequences(part)?;
                if out.len() * next.len() > MAX_SEQUENCES {
                    return Err(PatternError::Anchor);
                }
                out = out
                    .iter()
                    .flat_map(|before| next.iter().map(move |after| [before.as_slice(), after].concat()))
                    .collect();
            }
            Ok(out)
        }
        HirKind::Repetition(repetition) if repetition.max == Some(1) => {
            let mut out = sequences(&repetition.sub)?;
            if repetition.min == 0 {
                out.push(Vec::new());
            }
            Ok(out)
        }
        _ => Err(PatternError::Anchor),
    }
}

/// The parts of a sequence; true if it is anchored at the start of the text; true if at the end.
type Anchored<'h> = (Vec<&'h Hir>, bool, bool);

/// A sequence without its anchors, and its anchoring at the start and the end of the text. `None` if an anchor
/// can never hold.
fn strip_anchors<'h>(sequence: &[&'h Hir]) -> Result<Option<Anchored<'h>>, PatternError> {
    let is = |part: &Hir, look: Look| matches!(part.kind(), HirKind::Look(l) if *l == look);
    let (mut parts, mut start, mut end) = (sequence.to_vec(), false, false);
    // Parts beyond an anchor can only match the empty text.
    let empty = |part: &&Hir| part.properties().minimum_len() == Some(0);
    if let Some(at) = parts.iter().rposition(|p| is(p, Look::Start)) {
        if !parts[..at].iter().all(empty) {
            return Ok(None);
        }
        if parts[..at].iter().any(|p| is(p, Look::End)) {
            return Err(PatternError::Anchor);
        }
        parts.drain(..=at);
        start = true;
    }
    if let Some(at) = parts.iter().position(|p| is(p, Look::End)) {
        if !parts[at..].iter().all(empty) {
            return Ok(None);
        }
        parts.truncate(at);
        end = true;
    }
    if parts.iter().any(|p| matches!(p.kind(), HirKind::Look(_))) {
        return Err(PatternError::Anchor);
    }
    Ok(Some((parts, start, end)))
}

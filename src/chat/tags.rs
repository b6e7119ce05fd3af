//! Tags of a template that the engine does not know, or reads otherwise than Jinja2.

/// `source` with tags that the engine reads as Jinja2 reads those of `source`.
pub(super) fn prepared(source: &str) -> String {
    without_generation_tags(&with_lines_in_raw(source))
}

/// Doubles a line end behind `{% raw %}`: the engine takes the first one for the tag's, Jinja2 for text.
fn with_lines_in_raw(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    // Tags in comments and expressions are none.
    while let Some(at) = rest.find('{').filter(|at| at + 1 < rest.len()) {
        let end = match rest.as_bytes()[at + 1] {
            b'#' => "#}",
            b'{' => "}}",
            b'%' => "%}",
            _ => "",
        };
        let inside = at + 1 + usize::from(!end.is_empty());
        let length = rest[inside..].find(end).map_or(rest.len(), |length| inside + length + end.len());
        let (tag, behind) = rest.split_at(length);
        out.push_str(tag);
        rest = behind;
        let word = tag[inside..].trim_end_matches("%}").trim_start_matches('-').trim();
        if end == "%}" && word == "raw" {
            if rest.starts_with('\n') {
                out.push('\n');
            }
            let text = end_of_raw(rest);
            out.push_str(&rest[..text]);
            rest = &rest[text..];
        }
    }
    out + rest
}

/// The offset of `{% endraw %}` in `text`.
fn end_of_raw(text: &str) -> usize {
    let ends = |at: usize| is_tag(text[at + 2..].trim_start_matches(['-', '+']).trim_start(), "endraw");
    text.match_indices("{%").map(|(at, _)| at).find(|at| ends(*at)).unwrap_or(text.len())
}

/// True if `text` begins with `name` and the end of a tag.
fn is_tag(text: &str, name: &str) -> bool {
    text.strip_prefix(name)
        .is_some_and(|end| end.trim_start().trim_start_matches(['-', '+']).starts_with("%}"))
}

/// Replaces `{% generation %}`, which marks the model's text for training, by `{% with %}`: for rendering it is
/// only a scope. Line breaks and white space do not change.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let word = tag.trim_start_matches(['-', '+']).trim_start();
        let lead = tag.len() - word.len();
        let replaced = [("endgeneration", "endwith"), ("generation", "with")]
            .into_iter()
            .find(|(name, _)| is_tag(word, name));
        out.push_str(&tag[..lead]);
        rest = word;
        if let Some((name, with)) = replaced {
            out.push_str(with);
            rest = &word[name.len()..];
        }
    }
    out + rest
}

//! The known format in which a chat template writes a call.

use super::{Dialect, entries};
use std::sync::Arc;

/// Renderings of a user turn and a call, by a chat template.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The prompt of the user turn, up to where the model continues.
    pub prompt: String,
    /// The same turn followed by the call.
    pub history: String,
}

/// The format in which a chat template that rendered `shown` writes the call `name`.
pub fn shown_in(shown: &Shown, name: &str) -> Option<Arc<Dialect>> {
    // Whatever a template renders is its own format, and then the generic one is not needed.
    let known = entries::all().iter().filter(|dialect| dialect.name != "generic");
    known.into_iter().find(|dialect| is_shown(dialect, shown, name)).cloned()
}

/// True if a chat template that rendered `shown` writes the call `name` in this format.
///
/// White space is ignored, and so is the text after the arguments' first brace, where some templates add an
/// id.
fn is_shown(dialect: &Dialect, shown: &Shown, name: &str) -> bool {
    let Ok(heads) = dialect.heads() else { return false };
    let head = &heads.first[0];
    let [before, after] = head.around(name, 0);
    let begin = format!("{before}{}{after}{{", head.written_name(name));
    let (begin, history) = (squeezed(&begin), squeezed(&shown.history));
    let Some(at) = history.find(&begin) else { return false };
    // Without a special token of its own, the text may be inside another format's tokens.
    let has_mark = dialect.opening().is_some_and(|lead| lead.ends_with(['>', ']']));
    has_mark || unthought(&squeezed(&shown.prompt)).starts_with(&unthought(&history[..at]))
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Prompts and histories of a template may differ in empty reasoning blocks.
fn unthought(text: &str) -> String {
    text.replace("<think>", "").replace("</think>", "")
}

//! Names of tools and words of their schemas as they appear in a call, as candidates for drafts.

use super::Dialect;
use crate::tools::{
    Error, ToolSet,
    words::{self, MAX_WORDS, Word},
};

/// The words for calls of `tools` in `dialect`: their names, then the words of their schemas, in order.
///
/// # Errors
/// [`Error::Dialect`] for a dialect without names.
pub fn tool_words(tools: &ToolSet, dialect: &Dialect) -> Result<Vec<Word>, Error> {
    let heads = dialect.heads()?;
    let head = &heads.first[0];
    let [before, after] = head.around("", dialect.count.map_or(0, |count| count.start));
    let name = |name: &str| match (before.strip_suffix('"'), after.starts_with('"')) {
        // The quotes belong to the name: without them it is a word like others.
        (Some(before), true) => {
            Word { before: before.to_owned(), word: format!("\"{}\"", head.written_name(name)), behind: "" }
        }
        _ => Word { before: before.clone(), word: head.written_name(name), behind: "" },
    };
    let mut all: Vec<Word> = tools.iter().take(MAX_WORDS).map(|tool| name(tool.name())).collect();
    for tool in tools.iter() {
        words::add(&mut all, tool.parameters());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::entries;
    use serde_json::json;

    #[test]
    fn a_tool_is_named_as_the_dialect_writes_it() {
        let tools = ToolSet::from_value(json!([{"name": "look", "parameters": {
            "type": "object", "properties": {"what": {"type": "string"}}}}]))
        .unwrap();
        let hermes = entries::named("hermes").unwrap();
        let words: Vec<String> = tool_words(&tools, &hermes).unwrap().iter().map(Word::text).collect();
        assert_eq!(words[0], "<tool_call>\n{\"name\": \"look");
        assert!(words.contains(&"\": {\"what\":".to_owned()), "{words:?}");
    }
}

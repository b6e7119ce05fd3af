//! Names in a schema as they appear in an answer: keys, enum values, names of tools.
//!
//! They occur in an answer more often than by chance, so they serve as drafts. Each comes with the text before
//! it, by which the drafter finds it. The list need not be complete.

use crate::json;
use serde_json::{Map, Value};

/// Most words per schema; no answer contains more.
pub(crate) const MAX_WORDS: usize = 2_000;
/// Most bytes of a word with the text before it; longer values are skipped.
const MAX_BYTES: usize = 256;
/// Nesting limit for schemas and references.
const MAX_DEPTH: usize = 16;
/// Texts before a key: the start of an object in a member, in a list and after another object; and the end of
/// the previous value: a string, a number or literal, an object, a list.
const BEFORE_KEY: [&str; 7] = ["\": {", "[{", "}, {", "\", ", ", ", "}, ", "], "];

/// A name or value in a schema, with the text around it in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Text before it in an answer.
    pub before: String,
    /// Its text: a key or a value in JSON, a tool's name in the dialect's syntax.
    pub word: String,
    /// Text after it.
    pub behind: &'static str,
}

impl Word {
    /// The word with the text around it, as far as its tokens do not depend on what follows: the quote that
    /// ends a string is one token with the following comma or brace.
    pub fn text(&self) -> String {
        let text = format!("{}{}{}", self.before, self.word, self.behind);
        text.strip_suffix('"').unwrap_or(&text).to_owned()
    }
}

/// Those of `words` that `prompt` does not contain. The others are matched with their context in the prompt,
/// which is better.
pub fn not_in<'w>(prompt: &str, words: &'w [Word]) -> impl Iterator<Item = &'w Word> {
    let same_word = |a: &Word, b: &Word| a.word == b.word;
    // A key comes several times, after different texts.
    let unseen = move |words: &&[Word]| !prompt.contains(&words[0].word);
    words.chunk_by(same_word).filter(unseen).flatten()
}

/// The words for an answer of `schema`, in the order of the schema.
pub fn of_schema(schema: &Value) -> Vec<Word> {
    let mut words = Vec::new();
    if let Value::Object(schema) = schema {
        add(&mut words, schema);
    }
    words
}

/// Adds the words of the schema `root` to `words`, as far as a list may grow.
pub(crate) fn add(words: &mut Vec<Word>, root: &Map<String, Value>) {
    Walk { words, root }.schema(root, None, 0);
}

struct Walk<'w> {
    words: &'w mut Vec<Word>,
    root: &'w Map<String, Value>,
}

impl Walk<'_> {
    fn push(&mut self, before: &str, word: String, behind: &'static str) {
        if self.words.len() < MAX_WORDS && before.len() + word.len() <= MAX_BYTES {
            self.words.push(Word { before: before.to_owned(), word, behind });
        }
    }

    /// Adds the words of `schema`; its values follow `before`, if that is known.
    fn schema(&mut self, schema: &Map<String, Value>, before: Option<&str>, depth: usize) {
        if depth > MAX_DEPTH || self.words.len() >= MAX_WORDS {
            return;
        }
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|place| self.at(place));
        if let Some(referred) = referred {
            self.schema(&referred, before, depth + 1);
        }
        if let Some(before) = before {
            let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            for value in schema.get("const").into_iter().chain(schema.get("default")).chain(listed) {
                self.push(before, json::spaced(value), "");
            }
        }
        for (key, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let key = json::spaced(key);
            BEFORE_KEY.iter().for_each(|before| self.push(before, key.clone(), ":"));
            self.value(member, Some(&format!("{key}: ")), depth);
        }
        for branches in ["anyOf", "oneOf", "allOf"] {
            for branch in schema.get(branches).and_then(Value::as_array).into_iter().flatten() {
                self.value(branch, before, depth);
            }
        }
        if let Some(items) = schema.get("items") {
            let first = before.map(|before| format!("{before}["));
            self.value(items, first.as_deref(), depth);
            self.value(items, Some("\", "), depth);
        }
        if let Some(member) = schema.get("additionalProperties") {
            self.value(member, None, depth);
        }
    }

    fn value(&mut self, schema: &Value, before: Option<&str>, depth: usize) {
        if let Value::Object(schema) = schema {
            self.schema(schema, before, depth + 1);
        }
    }

    /// The schema at a pointer in the same document.
    fn at(&self, place: &str) -> Option<Map<String, Value>> {
        let mut steps = place.strip_prefix("#/")?.split('/');
        let unescaped = |step: &str| step.replace("~1", "/").replace("~0", "~");
        let first = self.root.get(&unescaped(steps.next()?))?;
        steps.try_fold(first, |value, step| value.get(unescaped(step)))?.as_object().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_values_stand_behind_what_comes_before_them_in_an_answer() {
        let schema = json!({"type": "object", "properties": {
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"type": "integer", "default": 3},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}}},
            "$defs": {"tag": {"const": "a b"}}});
        let all = of_schema(&schema);
        let words: Vec<String> = all.iter().map(Word::text).collect();
        for expected in [
            "\": {\"unit\":",
            "\", \"days\":",
            "}, \"tags\":",
            "\"unit\": \"celsius",
            "\"unit\": \"kelvin",
            "\"days\": 3",
            "\"tags\": [\"a b",
        ] {
            assert!(words.iter().any(|word| word == expected), "{expected}: {words:?}");
        }
        let place = |word: &str| words.iter().position(|found| found == word);
        assert!(place("\"unit\": \"celsius") < place("\"unit\": \"kelvin"));
        let unseen: Vec<&str> = not_in("The \"unit\" is \"kelvin\".", &all).map(|word| &*word.word).collect();
        assert!(unseen.contains(&"\"celsius\"") && unseen.contains(&"\"days\""), "{unseen:?}");
        assert!(!unseen.contains(&"\"unit\"") && !unseen.contains(&"\"kelvin\""), "{unseen:?}");
    }

    #[test]
    fn schemas_without_an_end_have_a_bounded_number_of_words() {
        let endless = json!({"properties": {"child": {"$ref": "#"}, "next": {"$ref": "#/properties/next"}},
            "items": {"$ref": "#/items"}});
        assert!(of_schema(&endless).len() < MAX_WORDS);
        let many: Vec<String> = (0..10_000).map(|n| format!("value {n}")).collect();
        assert_eq!(of_schema(&json!({"properties": {"k": {"enum": many}}})).len(), MAX_WORDS);
        assert!(
            of_schema(&json!({"properties": {"k": {"const": "x".repeat(5_000)}}})).len() == BEFORE_KEY.len()
        );
        assert!(of_schema(&json!(true)).is_empty());
    }
}

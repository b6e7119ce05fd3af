//! Bounds on the work that a schema asks for: equal branches are merged, and what multiplies past any use is refused.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::document::{Document, Id};
use super::keyword::{HOLD_NAMED_SCHEMAS, HOLD_SCHEMAS};
use super::registry::{ReadError, escaped};
use super::validators::Validators;

/// Most ways from a schema to those that hold one value with it; the validator may take each of them for each value.
const MAX_WAYS: u64 = 100_000;
/// Most schemas inside of each other, by nesting or by reference; every stage recurses over them.
const MAX_DEPTH: usize = 400;
/// Most values in a schema document.
const MAX_VALUES: usize = 1_000_000;
/// Most bytes of all patterns together; compiling them takes some thousand times as many.
const MAX_PATTERN_BYTES: usize = 1 << 18;

/// The keywords whose schemas hold the same value as the schema that has them.
const SAME_VALUE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// The limit that a schema exceeds, and the place.
#[derive(Debug, PartialEq)]
pub(crate) struct Excess {
    pub(crate) pointer: String,
    pub(crate) keyword: String,
    pub(crate) message: String,
}

/// Makes equal references in one `allOf`, `anyOf` or `oneOf` count once, so that chains of them do not double at each
/// step. Later copies become the schema that changes nothing.
pub(crate) fn merge_equal_branches(schema: &mut Value) {
    // A reference into a list of branches would lead to what a copy became.
    let text_refers_to_branches =
        |text: &str| ["/allOf/", "/anyOf/", "/oneOf/"].iter().any(|p| text.contains(p));
    if !any_reference(schema, &text_refers_to_branches) {
        merge_in(schema);
    }
}

fn any_reference(value: &Value, found: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_reference(item, found)),
        Value::Object(map) => map.iter().any(|(word, value)| match value {
            Value::String(text) => word.ends_with("Ref") && found(text) || word == "$ref" && found(text),
            _ => any_reference(value, found),
        }),
        _ => false,
    }
}

fn merge_in(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for (word, neutral) in [("allOf", true), ("anyOf", false)] {
        let Some(Value::Array(branches)) = map.get_mut(word) else { continue };
        for i in 1..branches.len() {
            if is_reference(&branches[i]) && branches[..i].contains(&branches[i]) {
                branches[i] = Value::Bool(neutral);
            }
        }
    }
    // Two equal branches are both right or both wrong, so none of only equal ones is the one that is right.
    if let Some(Value::Array(branches)) = map.get_mut("oneOf")
        && branches.len() > 1
        && is_reference(&branches[0])
        && branches.iter().all(|branch| *branch == branches[0])
    {
        branches.fill(Value::Bool(false));
    }
    for word in HOLD_NAMED_SCHEMAS {
        if let Some(Value::Object(each)) = map.get_mut(word) {
            each.values_mut().for_each(merge_in);
        }
    }
    for word in HOLD_SCHEMAS {
        match map.get_mut(word) {
            Some(Value::Array(each)) => each.iter_mut().for_each(merge_in),
            Some(child) => merge_in(child),
            None => {}
        }
    }
}

/// True for a schema that is a reference and nothing else.
fn is_reference(schema: &Value) -> bool {
    matches!(schema, Value::Object(map) if map.len() == 1 && map.get("$ref").is_some_and(Value::is_string))
}

/// The first limit that the schema of `validators` exceeds.
pub(crate) fn unbounded(validators: &Validators) -> Result<Option<Excess>, ReadError> {
    let (mut values, mut bytes) = (0, 0);
    if let Some(excess) = measure(validators.schema(), &mut String::from("#"), &mut values, &mut bytes) {
        return Ok(Some(excess));
    }
    let mut document = Document::new(validators.registry(), validators.draft())?;
    let mut ways = Ways { document: &mut document, known: HashMap::new(), excess: None };
    ways.of_schema(Document::ROOT, 0);
    Ok(ways.excess)
}

/// Counts values and bytes of patterns.
fn measure(value: &Value, at: &mut String, values: &mut usize, bytes: &mut usize) -> Option<Excess> {
    *values += 1;
    let excess = |at: &str, keyword: &str, message: String| {
        Some(Excess { pointer: at.to_owned(), keyword: keyword.to_owned(), message })
    };
    if *values > MAX_VALUES {
        return excess(at, "", format!("the schema has more than {MAX_VALUES} values"));
    }
    let length = at.len();
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                at.push_str(&format!("/{i}"));
                if let Some(found) = measure(item, at, values, bytes) {
                    return Some(found);
                }
                at.truncate(length);
            }
        }
        Value::Object(map) => {
            for (word, member) in map {
                *bytes += match (word.as_str(), member) {
                    ("pattern", Value::String(pattern)) => pattern.len(),
                    ("patternProperties", Value::Object(each)) => each.keys().map(String::len).sum(),
                    _ => 0,
                };
                if *bytes > MAX_PATTERN_BYTES {
                    let message = format!("the patterns up to here have more than {MAX_PATTERN_BYTES} bytes");
                    return excess(at, word, message);
                }
                at.push('/');
                at.push_str(&escaped(word));
                if let Some(found) = measure(member, at, values, bytes) {
                    return Some(found);
                }
                at.truncate(length);
            }
        }
        _ => {}
    }
    None
}

/// Facts about one schema.
#[derive(Clone, Copy)]
enum Known {
    /// Being counted: a reference to it comes from within.
    Open,
    /// Ways to the schemas for the same value, and schemas below it in a row.
    Counted { ways: u64, depth: usize },
}

struct Ways<'d, 'a> {
    document: &'d mut Document<'a>,
    known: HashMap<Id, Known>,
    excess: Option<Excess>,
}

impl<'a> Ways<'_, 'a> {
    /// Ways from the schema `id` to those that hold the same value, and the number of schemas below it in a row.
    fn of_schema(&mut self, id: Id, depth: usize) -> (u64, usize) {
        match self.known.get(&id) {
            Some(Known::Open) => return (0, 0),
            Some(Known::Counted { ways, depth }) => return (*ways, *depth),
            None => {}
        }
        let Value::Object(map) = self.document.value(id) else { return (1, 1) };
        if depth > MAX_DEPTH || self.excess.is_some() {
            let message = format!("more than {MAX_DEPTH} schemas are nested in each other up to here");
            self.refuse(id, "", message);
            return (1, 1);
        }
        self.known.insert(id, Known::Open);
        let (mut ways, mut below, mut most) = (1_u64, 0, ("", 0));
        for (word, child) in self.children(id, map) {
            let (more, deeper) = self.of_schema(child, depth + 1);
            below = below.max(deeper);
            if word == "$ref" || SAME_VALUE.contains(&word) {
                ways = ways.saturating_add(more);
                if more > most.1 {
                    most = (word, more);
                }
            }
        }
        if ways > MAX_WAYS {
            let message = format!("its branches multiply to more than {MAX_WAYS} ways to hold one value");
            self.refuse(id, most.0, message);
        }
        if below >= MAX_DEPTH {
            self.refuse(id, "", format!("more than {MAX_DEPTH} schemas are nested in each other from here"));
        }
        self.known.insert(id, Known::Counted { ways, depth: below + 1 });
        (ways, below + 1)
    }

    /// The schemas directly below, with the keyword.
    fn children(&mut self, id: Id, map: &'a Map<String, Value>) -> Vec<(&'static str, Id)> {
        let mut children = Vec::new();
        for word in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let target = match map.get(word) {
                Some(Value::String(reference)) => self.document.resolve_inside(id, reference),
                _ => None,
            };
            children.extend(target.map(|target| ("$ref", target)));
        }
        for word in HOLD_NAMED_SCHEMAS.into_iter().filter(|word| !matches!(*word, "$defs" | "definitions")) {
            if let Some(Value::Object(each)) = map.get(word) {
                children.extend(each.values().map(|child| (word, self.document.child(id, child))));
            }
        }
        for word in HOLD_SCHEMAS {
            match map.get(word) {
                Some(Value::Array(each)) => {
                    children.extend(each.iter().map(|child| (word, self.document.child(id, child))));
                }
                Some(child) => children.push((word, self.document.child(id, child))),
                None => {}
            }
        }
        children
    }

    fn refuse(&mut self, id: Id, keyword: &str, message: String) {
        let pointer = self.document.pointer(id).to_string();
        self.excess.get_or_insert(Excess { pointer, keyword: keyword.to_owned(), message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use referencing::Draft;
    use serde_json::json;

    fn excess(schema: Value) -> Option<Excess> {
        unbounded(&Validators::new(schema, Draft::Draft202012).unwrap()).unwrap()
    }

    /// Definitions that refer to the next one by `branches`.
    fn chain(length: usize, branches: impl Fn(Value) -> Value, last: Value) -> Value {
        let mut defs = Map::new();
        for i in 0..length {
            defs.insert(format!("n{i}"), branches(json!({"$ref": format!("#/$defs/n{}", i + 1)})));
        }
        defs.insert(format!("n{length}"), last);
        json!({"$ref": "#/$defs/n0", "$defs": defs})
    }

    #[test]
    fn equal_references_count_once_and_others_that_double_are_refused_with_their_place() {
        for word in ["allOf", "anyOf", "oneOf"] {
            let mut equal = chain(40, |next| json!({ word: [next, next] }), json!({"type": "null"}));
            assert!(excess(equal.clone()).is_some());
            merge_equal_branches(&mut equal);
            assert_eq!(excess(equal), None);
            let mut unlike =
                chain(40, |next| json!({ word: [next, {"allOf": [next]}] }), json!({"type": "null"}));
            merge_equal_branches(&mut unlike);
            let found = excess(unlike).unwrap();
            assert!(found.pointer.starts_with("#/$defs/n") && found.keyword == word, "{found:?}");
            assert!(found.message.contains("100000"), "{found:?}");
        }
    }

    #[test]
    fn a_reference_to_a_branch_keeps_the_branches() {
        let schema = json!({"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}],
            "properties": {"b": {"$ref": "#/anyOf/1"}}, "$defs": {"a": {}}});
        let mut merged = schema.clone();
        merge_equal_branches(&mut merged);
        assert_eq!(merged, schema);
    }

    #[test]
    fn long_chains_large_documents_and_long_patterns_are_refused() {
        let long = chain(2_000, |next| next, json!({}));
        assert!(excess(long).unwrap().message.contains("nested"));
        let long = chain(2_000, |next| json!({"properties": {"a": next}}), json!({}));
        assert!(excess(long).unwrap().message.contains("nested"));
        let found = excess(json!({"properties": {"a/b": {"pattern": "a".repeat(300_000)}}})).unwrap();
        assert_eq!((found.pointer.as_str(), found.keyword.as_str()), ("#/properties/a~1b", "pattern"));
        assert!(excess(json!({"enum": vec![0; 1_000_001]})).unwrap().message.contains("values"));
        assert_eq!(excess(chain(100, |next| next, json!({}))), None);
        assert_eq!(excess(json!({"items": {"$ref": "#"}, "anyOf": [{}, {"$ref": "#"}]})), None);
    }
}

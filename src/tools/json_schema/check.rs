//! The full validator, value by value: which schemas apply to a value for certain, and whether the
//! value satisfies them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{PatternOptions, Validator};
use referencing::{Draft, Registry};
use serde_json::Value;

use super::Error;
use super::document::{self, BASE};

/// How far a pattern may backtrack before its value counts as refused.
const BACKTRACK_LIMIT: usize = 100_000;

/// A place of the schema in the graph of those that apply for certain.
pub(super) type Node = usize;

/// What applies to the children of a value, and whether the value itself is looked at.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) pointer: String,
    /// Schemas for the same value: `$ref` and `allOf`.
    pub(super) same: Vec<Node>,
    pub(super) properties: HashMap<String, Node>,
    pub(super) patterns: Vec<(regex::Regex, Node)>,
    pub(super) additional: Option<Node>,
    pub(super) prefix: Vec<Node>,
    pub(super) items: Option<Node>,
    /// Schemas that may apply to the same value: the alternatives of `anyOf` and the like.
    pub(super) perhaps: Vec<Node>,
    /// The keys that the place requires.
    pub(super) required: Vec<String>,
    /// Something in this place is checked afterwards.
    pub(super) check: bool,
    /// No two items are equal.
    pub(super) unique: bool,
}

/// A value that its schema refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The place of the schema, as a URI fragment.
    pub pointer: String,
    /// The keyword that refuses.
    pub keyword: String,
    /// What the validator says.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.pointer, self.keyword, self.message)
    }
}

/// A schema's validators, and where they apply.
pub struct Checks {
    schema: Value,
    draft: Draft,
    registry: Registry<'static>,
    root: OnceLock<Result<Validator, String>>,
    parts: Mutex<HashMap<String, Option<Arc<Validator>>>>,
    pub(super) places: OnceLock<Vec<Place>>,
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("draft", &self.draft).finish_non_exhaustive()
    }
}

impl Checks {
    pub(super) fn new(schema: Value, draft: Draft) -> Result<Checks, Error> {
        let registry = document::registry(&schema, draft)?;
        Ok(Checks {
            schema,
            draft,
            registry,
            root: OnceLock::new(),
            parts: Mutex::new(HashMap::new()),
            places: OnceLock::new(),
        })
    }

    pub(super) fn registry(&self) -> &Registry<'static> {
        &self.registry
    }

    fn options(&self) -> jsonschema::ValidationOptions<'_> {
        jsonschema::options()
            .with_draft(self.draft)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
    }

    /// The validator of the whole schema, or why there is none.
    pub(super) fn root(&self) -> Result<&Validator, &str> {
        self.root
            .get_or_init(|| self.options().build(&self.schema).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(String::as_str)
    }

    /// Whether the schema at `pointer` accepts `value`; `true` where the place has no validator.
    pub(super) fn accepts_at(&self, pointer: &str, value: &Value) -> bool {
        if pointer == "#" {
            return self.root().is_ok_and(|v| v.is_valid(value));
        }
        let Ok(mut parts) = self.parts.lock() else { return true };
        let validator = parts.entry(pointer.to_string()).or_insert_with(|| {
            let reference = serde_json::json!({ "$ref": format!("{BASE}{}", fragment(pointer)) });
            self.options().with_registry(&self.registry).build(&reference).ok().map(Arc::new)
        });
        let Some(validator) = validator.clone() else { return true };
        drop(parts);
        validator.is_valid(value)
    }

    /// Whether one keyword of `schema`, which speaks of no other, accepts `value`.
    pub(super) fn keyword_accepts(&self, schema: &Value, word: &str, value: &Value) -> bool {
        let mut alone = serde_json::Map::new();
        let flag = match word {
            "minimum" => "exclusiveMinimum",
            "maximum" => "exclusiveMaximum",
            _ => "",
        };
        for word in [word, flag] {
            if let Some(v) = schema.get(word).filter(|v| word != flag || v.is_boolean()) {
                alone.insert(word.to_string(), v.clone());
            }
        }
        self.options().build(&Value::Object(alone)).is_ok_and(|v| v.is_valid(value))
    }

    /// Why the schema refuses `value`, if it does.
    pub fn failure(&self, value: &Value) -> Option<Failure> {
        let validator = match self.root() {
            Ok(validator) => validator,
            Err(message) => {
                return Some(Failure {
                    pointer: "#".into(),
                    keyword: "$schema".into(),
                    message: message.into(),
                });
            }
        };
        let error = validator.iter_errors(value).next()?;
        let path = error.schema_path().to_string();
        let (place, keyword) = path.rsplit_once('/').unwrap_or(("", &path));
        Some(Failure {
            pointer: format!("#{place}"),
            keyword: keyword.to_string(),
            message: error.to_string(),
        })
    }
}

/// A pointer's characters that a URI cannot hold, percent-encoded.
fn fragment(pointer: &str) -> String {
    let mut out = String::new();
    for (i, byte) in pointer.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) || i == 0 {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The graph of places.
impl Checks {
    fn place(&self, node: Node) -> Option<&Place> {
        self.places.get()?.get(node)
    }

    pub(super) fn pointer(&self, node: Node) -> &str {
        self.place(node).map_or("#", |p| p.pointer.as_str())
    }

    pub(super) fn is_checked(&self, node: Node) -> bool {
        self.place(node).is_none_or(|p| p.check)
    }

    pub(super) fn is_unique(&self, nodes: &[Node]) -> bool {
        nodes.iter().any(|n| self.place(*n).is_some_and(|p| p.unique))
    }

    /// The keys that `nodes` require.
    pub(super) fn required<'s>(&'s self, nodes: &'s [Node]) -> impl Iterator<Item = &'s str> {
        nodes.iter().filter_map(|n| self.place(*n)).flat_map(|p| p.required.iter().map(String::as_str))
    }

    /// The keys that `nodes` declare.
    pub(super) fn declared<'s>(&'s self, nodes: &'s [Node]) -> impl Iterator<Item = &'s str> {
        nodes.iter().filter_map(|n| self.place(*n)).flat_map(|p| p.properties.keys().map(String::as_str))
    }

    /// All that may apply where `nodes` do.
    pub(super) fn with_alternatives(&self, nodes: &[Node]) -> std::rc::Rc<[Node]> {
        let mut out: Vec<Node> = Vec::new();
        let mut left: Vec<Node> = nodes.iter().rev().copied().collect();
        while let Some(node) = left.pop() {
            // Steering needs no more than a few hundred.
            if out.contains(&node) || out.len() > 400 {
                continue;
            }
            out.push(node);
            if let Some(place) = self.place(node) {
                left.extend(place.same.iter().chain(&place.perhaps));
            }
        }
        out.into()
    }

    /// `node` and all that applies in its place.
    pub(super) fn close_over(&self, node: Node, out: &mut Vec<Node>) {
        if out.contains(&node) {
            return;
        }
        out.push(node);
        if let Some(place) = self.place(node) {
            place.same.iter().for_each(|n| self.close_over(*n, out));
        }
    }

    /// What applies to the value under `key` of an object to which `nodes` apply.
    pub(super) fn key_nodes(&self, nodes: &[Node], key: &str) -> std::rc::Rc<[Node]> {
        let mut out = Vec::new();
        for place in nodes.iter().filter_map(|n| self.place(*n)) {
            let mut found = false;
            if let Some(node) = place.properties.get(key) {
                self.close_over(*node, &mut out);
                found = true;
            }
            for (regex, node) in &place.patterns {
                if regex.is_match(key) {
                    self.close_over(*node, &mut out);
                    found = true;
                }
            }
            if !found && let Some(node) = place.additional {
                self.close_over(node, &mut out);
            }
        }
        out.into()
    }

    /// What applies to the item at `index` of an array to which `nodes` apply.
    pub(super) fn item_nodes(&self, nodes: &[Node], index: usize) -> std::rc::Rc<[Node]> {
        let mut out = Vec::new();
        for place in nodes.iter().filter_map(|n| self.place(*n)) {
            if let Some(node) = place.prefix.get(index).copied().or(place.items) {
                self.close_over(node, &mut out);
            }
        }
        out.into()
    }

    /// Why the schema at `pointer` refuses `value`.
    pub(super) fn explain(&self, pointer: &str, value: &Value) -> Failure {
        let fallback = Failure {
            pointer: pointer.to_string(),
            keyword: String::new(),
            message: "the value is refused".to_string(),
        };
        if pointer == "#" {
            return self.failure(value).unwrap_or(fallback);
        }
        let validator = match self.parts.lock() {
            Ok(parts) => parts.get(pointer).cloned().flatten(),
            Err(_) => None,
        };
        let Some(validator) = validator else { return fallback };
        let Some(error) = validator.iter_errors(value).next() else { return fallback };
        let path = error.schema_path().to_string();
        let keyword = path.rsplit('/').next().unwrap_or_default().to_string();
        Failure { pointer: pointer.to_string(), keyword, message: error.to_string() }
    }
}

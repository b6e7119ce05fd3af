//! The full validator, applied value by value: the schemas that certainly apply to a value, and their verdicts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{PatternOptions, Validator};
use referencing::{Draft, Registry};
use serde_json::Value;

use crate::schema::Error;
use crate::schema::read::document::{self, BASE};

/// Backtracking limit of a pattern; a value that exceeds it counts as refused.
const BACKTRACK_LIMIT: usize = 100_000;

/// Index of a schema in the graph of places.
pub(crate) type Node = usize;

/// A schema in the graph of places: the schemas for the value's children, and what is checked in the value
/// itself.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) pointer: String,
    /// Schemas for the same value: `$ref` and `allOf`.
    pub(crate) same: Vec<Node>,
    pub(crate) properties: HashMap<String, Node>,
    pub(crate) patterns: Vec<(regex::Regex, Node)>,
    pub(crate) additional: Option<Node>,
    pub(crate) prefix: Vec<Node>,
    pub(crate) items: Option<Node>,
    /// Schemas that may apply to the same value, such as the alternatives of `anyOf`.
    pub(crate) perhaps: Vec<Node>,
    /// Required keys.
    pub(crate) required: Vec<String>,
    /// True if something in this schema is checked when the value is complete.
    pub(crate) check: bool,
    /// True for `uniqueItems`.
    pub(crate) unique: bool,
}

/// A violation of a schema by a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// JSON pointer of the schema, as a URI fragment.
    pub pointer: String,
    /// The violated keyword.
    pub keyword: String,
    /// The validator's message.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.pointer, self.keyword, self.message)
    }
}

/// A schema's validators, and the graph of the places where they apply.
pub struct Checks {
    schema: Value,
    draft: Draft,
    registry: Registry<'static>,
    root: OnceLock<Result<Validator, String>>,
    parts: Mutex<HashMap<String, Option<Arc<Validator>>>>,
    pub(crate) places: OnceLock<Vec<Place>>,
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("draft", &self.draft).finish_non_exhaustive()
    }
}

impl Checks {
    pub(crate) fn new(schema: Value, draft: Draft) -> Result<Checks, Error> {
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

    pub(crate) fn registry(&self) -> &Registry<'static> {
        &self.registry
    }

    fn options(&self) -> jsonschema::ValidationOptions<'_> {
        jsonschema::options()
            .with_draft(self.draft)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
    }

    /// The validator of the whole schema, or the reason why there is none.
    pub(crate) fn root(&self) -> Result<&Validator, &str> {
        self.root
            .get_or_init(|| self.options().build(&self.schema).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(String::as_str)
    }

    /// True if the schema at `pointer` accepts `value`, or if it has no validator.
    pub(crate) fn accepts_at(&self, pointer: &str, value: &Value) -> bool {
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

    /// True if a single keyword of `schema`, which depends on no other, accepts `value`.
    pub(crate) fn keyword_accepts(&self, schema: &Value, word: &str, value: &Value) -> bool {
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

    /// The first violation of the schema by `value`; `None` if it is valid.
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

/// A JSON pointer as a URI fragment, percent-encoded.
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

    pub(crate) fn pointer(&self, node: Node) -> &str {
        self.place(node).map_or("#", |p| p.pointer.as_str())
    }

    pub(crate) fn is_checked(&self, node: Node) -> bool {
        self.place(node).is_none_or(|p| p.check)
    }

    pub(crate) fn is_unique(&self, nodes: &[Node]) -> bool {
        nodes.iter().any(|n| self.place(*n).is_some_and(|p| p.unique))
    }

    /// The keys required by `nodes`.
    pub(crate) fn required<'s>(&'s self, nodes: &'s [Node]) -> impl Iterator<Item = &'s str> {
        nodes.iter().filter_map(|n| self.place(*n)).flat_map(|p| p.required.iter().map(String::as_str))
    }

    /// The keys declared by `nodes`.
    pub(crate) fn declared<'s>(&'s self, nodes: &'s [Node]) -> impl Iterator<Item = &'s str> {
        nodes.iter().filter_map(|n| self.place(*n)).flat_map(|p| p.properties.keys().map(String::as_str))
    }

    /// All schemas that may apply where `nodes` apply.
    pub(crate) fn with_alternatives(&self, nodes: &[Node]) -> std::rc::Rc<[Node]> {
        let mut out: Vec<Node> = Vec::new();
        let mut left: Vec<Node> = nodes.iter().rev().copied().collect();
        while let Some(node) = left.pop() {
            // A few hundred are enough, since they only steer.
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

    /// Adds `node` and all schemas that apply to the same value to `out`.
    pub(crate) fn close_over(&self, node: Node, out: &mut Vec<Node>) {
        if out.contains(&node) {
            return;
        }
        out.push(node);
        if let Some(place) = self.place(node) {
            place.same.iter().for_each(|n| self.close_over(*n, out));
        }
    }

    /// The schemas for the value under `key`, in an object to which `nodes` apply.
    pub(crate) fn key_nodes(&self, nodes: &[Node], key: &str) -> std::rc::Rc<[Node]> {
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

    /// The schemas for the item at `index`, in an array to which `nodes` apply.
    pub(crate) fn item_nodes(&self, nodes: &[Node], index: usize) -> std::rc::Rc<[Node]> {
        let mut out = Vec::new();
        for place in nodes.iter().filter_map(|n| self.place(*n)) {
            if let Some(node) = place.prefix.get(index).copied().or(place.items) {
                self.close_over(node, &mut out);
            }
        }
        out.into()
    }

    /// The violation of the schema at `pointer` by `value`.
    pub(crate) fn explain(&self, pointer: &str, value: &Value) -> Failure {
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

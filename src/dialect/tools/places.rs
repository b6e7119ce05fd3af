//! The parts of schemas, each with a word by which it is found in a rendering.

use super::Lost;
use crate::json;
use serde_json::{Map, Value};

/// Most parts that are looked for.
const MAX_PLACES: usize = 2000;
/// Deepest part that is looked for.
const MAX_DEPTH: usize = 12;
/// Keywords whose value is looked for.
const KEYWORDS: [&str; 16] = [
    "enum",
    "const",
    "default",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];
/// Keywords with several schemas.
const LISTS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Names of parameters in marked tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// As they are given.
    Own,
    /// Words.
    Other,
}

/// A part of a schema.
struct Place {
    lost: Lost,
    /// Texts of which one shows that the part is there.
    words: Vec<String>,
    /// The parameter that this is a part of, as an index of its place.
    parent: Option<usize>,
}

/// Tools whose parts are words.
pub(super) struct Marked {
    pub tools: Vec<Value>,
    places: Vec<Place>,
    prefix: String,
    names: Names,
}

impl Marked {
    /// `tools` with words that `template` does not hold; `None` if it holds all that are tried.
    pub fn new(template: &str, tools: &[Value], names: Names) -> Option<Marked> {
        let texts = Value::Array(tools.to_vec()).to_string().to_lowercase() + &template.to_lowercase();
        let prefix =
            ('a'..='z').map(|c| format!("zx{c}q")).find(|prefix| !texts.contains(prefix.as_str()))?;
        let mut marked = Marked { tools: Vec::new(), places: Vec::new(), prefix, names };
        for tool in tools {
            let mut tool = tool.clone();
            let function = tool.get_mut("function").and_then(Value::as_object_mut);
            if let Some(function) = function {
                let name = function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                if let Some(parameters) = function.get_mut("parameters") {
                    *parameters = marked.schema(&name, "", parameters, None);
                }
            }
            marked.tools.push(tool);
        }
        Some(marked)
    }

    fn word(&self) -> String {
        format!("{}{:04}", self.prefix, self.places.len())
    }

    fn place(&mut self, lost: Lost, words: Vec<String>, parent: Option<usize>) {
        self.places.push(Place { lost, words, parent });
    }

    fn schema(&mut self, tool: &str, path: &str, schema: &Value, parent: Option<usize>) -> Value {
        let depth = path.matches(['.', '[', '|']).count();
        let Value::Object(given) = schema else { return schema.clone() };
        if depth > MAX_DEPTH || self.places.len() > MAX_PLACES {
            return schema.clone();
        }
        let mut out = Map::new();
        for (key, value) in given {
            let value = match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    let mut marked = Map::new();
                    let mut renamed = Vec::new();
                    for (name, inner) in properties {
                        let shown = self.property(tool, path, name, inner, &mut marked);
                        renamed.push((name.clone(), shown));
                    }
                    self.rename_required(given, &renamed, &mut out);
                    Value::Object(marked)
                }
                ("required", _) if out.contains_key("required") => continue,
                ("items" | "additionalProperties", inner @ Value::Object(_)) => {
                    self.schema(tool, &format!("{path}[]"), inner, parent)
                }
                (word, Value::Array(inner)) if LISTS.contains(&word) => {
                    inner.iter().map(|inner| self.schema(tool, &format!("{path}|"), inner, parent)).collect()
                }
                (word, value) if KEYWORDS.contains(&word) && !path.is_empty() => {
                    self.keyword(tool, path, word, value, parent)
                }
                (_, value) => value.clone(),
            };
            out.insert(key.clone(), value);
        }
        Value::Object(out)
    }

    /// Adds the parameter `name` to `marked`; returns the name that it has there.
    fn property(
        &mut self,
        tool: &str,
        path: &str,
        name: &str,
        schema: &Value,
        marked: &mut Map<String, Value>,
    ) -> String {
        let parameter = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let (index, word) = (self.places.len(), self.word());
        let description = format!("{word}says");
        let (shown, word) = match self.names {
            Names::Own => (name.to_owned(), description.clone()),
            Names::Other => (word.clone(), word),
        };
        let lost = Lost {
            tool: tool.to_owned(),
            parameter: parameter.clone(),
            keyword: None,
            value: json::spaced(schema),
        };
        self.place(lost, vec![word, description.clone()], None);
        let mut inner = self.schema(tool, &parameter, schema, Some(index));
        if let Value::Object(inner) = &mut inner {
            inner.insert("description".into(), description.into());
        }
        marked.insert(shown.clone(), inner);
        shown
    }

    fn rename_required(
        &self,
        given: &Map<String, Value>,
        renamed: &[(String, String)],
        out: &mut Map<String, Value>,
    ) {
        if let Some(Value::Array(required)) = given.get("required") {
            let other = |name: &Value| {
                let found = renamed.iter().find(|(given, _)| name == given);
                found.map_or_else(|| name.clone(), |(_, other)| other.as_str().into())
            };
            out.insert("required".into(), required.iter().map(other).collect());
        }
    }

    /// The value of a keyword with words or numbers in place of its own.
    fn keyword(&mut self, tool: &str, path: &str, word: &str, value: &Value, parent: Option<usize>) -> Value {
        let mut words = Vec::new();
        let number = 7_305_000_000_u64 + self.places.len() as u64 * 100;
        let mut mark = |nth: usize, value: &Value| match value {
            Value::String(_) => {
                let mark = format!("{}{:04}x{nth}", self.prefix, self.places.len());
                words.push(mark.clone());
                Value::String(mark)
            }
            Value::Number(_) => {
                let mark = number + nth as u64;
                words.push(mark.to_string());
                mark.into()
            }
            other => other.clone(),
        };
        let marked = match value {
            Value::Array(items) => {
                items.iter().take(99).enumerate().map(|(nth, item)| mark(nth, item)).collect()
            }
            other => mark(0, other),
        };
        if !words.is_empty() {
            let lost = Lost {
                tool: tool.to_owned(),
                parameter: path.to_owned(),
                keyword: Some(word.to_owned()),
                value: json::spaced(value),
            };
            self.place(lost, words, parent);
        }
        marked
    }

    /// True if `text` shows any part.
    pub fn shows_any(&self, text: &str) -> bool {
        self.places.is_empty() || text.contains(&self.prefix)
    }

    /// The parts that are missing in `text`, the rendering of these tools, and by its own name in `own_text`, that of `own`.
    pub fn lost(&self, text: &str, own: &Marked, own_text: &str) -> Vec<Lost> {
        let mut missing = vec![false; self.places.len()];
        let mut lost = Vec::new();
        for (nth, place) in self.places.iter().enumerate() {
            let here = |words: &[String], text: &str| words.iter().any(|word| text.contains(word.as_str()));
            let is_parameter = place.lost.keyword.is_none();
            // Descriptions are shown or not; only where they are can they tell of a dropped name.
            let says = place.words.last().is_some_and(|word| text.contains(word.as_str()));
            let dropped =
                is_parameter && says && own.places.get(nth).is_some_and(|own| !here(&own.words, own_text));
            let inside = place.parent.is_some_and(|parent| missing[parent]);
            let gone = !here(&place.words, text) || dropped;
            missing[nth] = gone || inside;
            if gone && !inside {
                lost.push(place.lost.clone());
            }
        }
        // A parameter inside one that is lost is part of its schema.
        let outer: Vec<(String, String)> = lost
            .iter()
            .filter(|lost| lost.keyword.is_none())
            .map(|lost| (lost.tool.clone(), lost.parameter.clone()))
            .collect();
        lost.retain(|lost| {
            !outer.iter().any(|(tool, parameter)| {
                let inner = lost.parameter.strip_prefix(parameter.as_str());
                *tool == lost.tool && inner.is_some_and(|inner| inner.starts_with(['.', '[', '|']))
            })
        });
        lost
    }
}

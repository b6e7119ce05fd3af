//! A schema document: normalized, with resolved references, and with a pointer for each location.

use std::collections::HashMap;
use std::rc::Rc;

use referencing::{Draft, Registry, Resolver};
use serde_json::{Map, Value};

use crate::schema::Error;
use crate::schema::report::{self, Status};

/// Base URI of a document without an `$id`. It differs from the validator's default, which is the base for
/// references to parts of the document.
pub(crate) const BASE: &str = "json-schema://document/schema";

/// The keywords whose values are maps of schemas.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// The keywords whose values are a schema or a list of schemas.
const NESTED: [&str; 16] = [
    "items",
    "additionalItems",
    "prefixItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "contentSchema",
];

/// Index of a location in the document that has a schema.
pub(crate) type Id = usize;

struct Entry<'a> {
    value: &'a Value,
    resolver: Resolver<'a>,
    pointer: Rc<str>,
}

/// Target of a reference.
pub(crate) enum Target {
    /// A schema in this document.
    Inside(Id),
    /// A meta-schema bundled with the validator.
    Bundled,
    /// Anything else, which is not available.
    Outside,
}

/// The document during compilation.
pub(crate) struct Document<'a> {
    entries: Vec<Entry<'a>>,
    by_address: HashMap<usize, Id>,
    pointers: HashMap<usize, String>,
    /// Number of definitions of each `$dynamicAnchor`; `""` counts the `$recursiveAnchor`s.
    anchors: HashMap<&'a str, usize>,
    /// True if the document embeds another one with its own `$id`.
    embeds: bool,
    pub(crate) draft: Draft,
}

/// The draft that `$schema` names, if it is a known one.
pub(crate) fn declared_draft(schema: &Value) -> Option<Draft> {
    let uri = schema.get("$schema")?.as_str()?;
    match Draft::from_schema_uri(uri) {
        Draft::Unknown => None,
        draft => Some(draft),
    }
}

/// A registry of this document alone: nothing else can be reached.
pub(crate) fn registry(schema: &Value, draft: Draft) -> Result<Registry<'static>, Error> {
    Registry::new()
        .draft(draft)
        .retrieve_known_draft_meta_schemas(false)
        .add(BASE, draft.create_resource(schema.clone()))
        .and_then(|builder| builder.prepare())
        .map_err(|error| match &error {
            referencing::Error::Unretrievable { uri, .. } => {
                outside(schema, uri).unwrap_or_else(|| malformed(&error))
            }
            _ => malformed(&error),
        })
}

fn malformed(error: &referencing::Error) -> Error {
    Error::Schema { pointer: "#".into(), message: error.to_string() }
}

/// The message for a reference with an unavailable target.
pub(crate) fn not_here(reference: &str) -> String {
    format!("`{reference}` is not in this document, and nothing is fetched; copy the schema into $defs")
}

/// The error for the reference in `schema` that leads to `uri`.
fn outside(schema: &Value, uri: &str) -> Option<Error> {
    let document = uri.split('#').next().unwrap_or("");
    let (pointer, keyword, reference) = referrer(schema, document, &mut String::from("#"))?;
    let message = not_here(&reference);
    let mut report = report::Draft::default();
    report.note(&pointer, keyword, Status::Refused, &message);
    Some(Error::Refused { pointer, keyword: keyword.into(), message, report: Box::new(report.finish()) })
}

/// Pointer, keyword and text of a reference to `uri`, either literally or relative to the document.
fn referrer(value: &Value, uri: &str, at: &mut String) -> Option<(String, &'static str, String)> {
    let (object, length) = (value.as_object(), at.len());
    for keyword in ["$ref", "$dynamicRef", "$recursiveRef", "$schema"] {
        let Some(reference) = object.and_then(|object| object.get(keyword)?.as_str()) else { continue };
        let document = reference.split('#').next().unwrap_or("");
        // It may be relative to the document's base.
        if !document.is_empty() && uri.ends_with(document.trim_start_matches("./")) {
            return Some((at.clone(), keyword, reference.to_owned()));
        }
    }
    let keyed = object.into_iter().flatten().map(|(key, child)| (escaped(key), child));
    let numbered = value.as_array().into_iter().flatten().enumerate();
    for (token, child) in keyed.chain(numbered.map(|(i, child)| (i.to_string(), child))) {
        at.push('/');
        at.push_str(&token);
        if let Some(found) = referrer(child, uri, at) {
            return Some(found);
        }
        at.truncate(length);
    }
    None
}

/// A key, escaped for a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl<'a> Document<'a> {
    pub(crate) fn new(registry: &'a Registry<'a>, draft: Draft) -> Result<Document<'a>, Error> {
        let wrong = |e: referencing::Error| Error::Schema { pointer: "#".into(), message: e.to_string() };
        let base = referencing::uri::from_str(BASE).map_err(wrong)?;
        let found = registry.resolver(base).lookup("").map_err(wrong)?;
        let (root, resolver, _) = found.into_inner();
        let mut pointers = HashMap::new();
        record(root, &mut String::from("#"), &mut pointers);
        let (mut anchors, mut embeds) = (HashMap::new(), false);
        count_anchors(root, true, &mut anchors, &mut embeds);
        let (entries, by_address) = (Vec::new(), HashMap::new());
        let mut document = Document { entries, by_address, pointers, anchors, embeds, draft };
        document.intern(root, resolver);
        Ok(document)
    }

    /// The document's root.
    pub(crate) const ROOT: Id = 0;

    pub(crate) fn value(&self, id: Id) -> &'a Value {
        self.entries[id].value
    }

    pub(crate) fn pointer(&self, id: Id) -> Rc<str> {
        self.entries[id].pointer.clone()
    }

    fn intern(&mut self, value: &'a Value, resolver: Resolver<'a>) -> Id {
        let address = std::ptr::from_ref(value) as usize;
        if let Some(id) = self.by_address.get(&address) {
            return *id;
        }
        let pointer: Rc<str> = self.pointers.get(&address).map_or("?", |p| p.as_str()).into();
        self.entries.push(Entry { value, resolver, pointer });
        self.by_address.insert(address, self.entries.len() - 1);
        self.entries.len() - 1
    }

    /// The id of the schema `value`, directly below the schema `parent`.
    pub(crate) fn child(&mut self, parent: Id, value: &'a Value) -> Id {
        let resource = self.draft.create_resource_ref(value);
        let base = &self.entries[parent].resolver;
        let resolver = base.in_subresource(resource).unwrap_or_else(|_| base.clone());
        self.intern(value, resolver)
    }

    /// The reference in a `$dynamicRef` or `$recursiveRef`, if it has the same target in every dynamic scope:
    /// there is one anchor of its name, and one resource.
    pub(crate) fn static_reference(&self, map: &'a Map<String, Value>, keyword: &str) -> Option<&'a str> {
        let reference = map.get(keyword)?.as_str()?;
        let name = reference.strip_prefix('#')?;
        let is_static = match keyword {
            "$dynamicRef" => !name.contains('/') && self.anchors.get(name) == Some(&1),
            _ => name.is_empty() && !self.anchors.contains_key(""),
        };
        (is_static && !self.embeds).then_some(reference)
    }

    /// Resolves a reference in the schema `from`.
    pub(crate) fn resolve(&mut self, from: Id, reference: &str) -> Target {
        let Ok(found) = self.entries[from].resolver.lookup(reference) else {
            return Target::Outside;
        };
        let (value, resolver, _) = found.into_inner();
        if self.pointers.contains_key(&(std::ptr::from_ref(value) as usize)) {
            Target::Inside(self.intern(value, resolver))
        } else {
            Target::Bundled
        }
    }
}

/// Counts the possible targets of dynamic references in the whole document.
fn count_anchors<'a>(value: &'a Value, root: bool, anchors: &mut HashMap<&'a str, usize>, embeds: &mut bool) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get("$dynamicAnchor") {
                *anchors.entry(name).or_default() += 1;
            }
            if map.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                *anchors.entry("").or_default() += 1;
            }
            *embeds |= !root && map.get("$id").is_some_and(Value::is_string);
            map.values().for_each(|child| count_anchors(child, false, anchors, embeds));
        }
        Value::Array(items) => items.iter().for_each(|item| count_anchors(item, false, anchors, embeds)),
        _ => {}
    }
}

/// Records the pointer of every value.
fn record(value: &Value, at: &mut String, out: &mut HashMap<usize, String>) {
    out.insert(std::ptr::from_ref(value) as usize, at.clone());
    let length = at.len();
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                at.push('/');
                at.push_str(&escaped(key));
                record(child, at, out);
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            for (i, child) in items.iter().enumerate() {
                at.push('/');
                at.push_str(&i.to_string());
                record(child, at, out);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

/// Rewrites older forms in a schema of a newer draft (arrays of `items`, `dependencies`, boolean
/// `exclusiveMinimum`) to those of `draft`.
pub(crate) fn normalize(schema: &mut Value, draft: Draft) {
    let Value::Object(map) = schema else { return };
    if !matches!(draft, Draft::Draft4) {
        bound(map, "exclusiveMinimum", "minimum");
        bound(map, "exclusiveMaximum", "maximum");
    }
    if matches!(draft, Draft::Draft202012) && map.get("items").is_some_and(Value::is_array) {
        if let Some(items) = map.remove("items") {
            map.insert("prefixItems".into(), items);
        }
        if let Some(rest) = map.remove("additionalItems") {
            map.insert("items".into(), rest);
        }
    }
    for key in NAMED {
        if let Some(Value::Object(children)) = map.get_mut(key) {
            children.values_mut().for_each(|child| normalize(child, draft));
        }
    }
    for key in NESTED {
        match map.get_mut(key) {
            Some(Value::Array(children)) => {
                children.iter_mut().for_each(|child| normalize(child, draft));
            }
            Some(child) => normalize(child, draft),
            None => {}
        }
    }
}

/// Rewrites `exclusiveMinimum: true` beside `minimum: n` to `exclusiveMinimum: n`.
fn bound(map: &mut Map<String, Value>, exclusive: &str, inclusive: &str) {
    match map.get(exclusive) {
        Some(Value::Bool(true)) => {
            map.remove(exclusive);
            if let Some(limit) = map.remove(inclusive) {
                map.insert(exclusive.into(), limit);
            }
        }
        Some(Value::Bool(false)) => {
            map.remove(exclusive);
        }
        _ => {}
    }
}

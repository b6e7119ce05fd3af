//! A schema document with resolved references, and with a pointer for each location.

use std::collections::HashMap;
use std::rc::Rc;

use referencing::{Draft, Registry, Resolver};
use serde_json::{Map, Value};

use super::draft;
use super::registry::{BASE, ReadError, escaped};

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

impl<'a> Document<'a> {
    pub(crate) fn new(registry: &'a Registry<'a>, draft: Draft) -> Result<Document<'a>, ReadError> {
        let base = referencing::uri::from_str(BASE)?;
        let found = registry.resolver(base).lookup("")?;
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

    /// True if `keyword` means something in the document's draft.
    pub(crate) fn knows(&self, keyword: &str) -> bool {
        draft::knows(self.draft, keyword)
    }

    /// True for the drafts in which `$ref` hides the keywords beside it.
    pub(crate) fn before_2019(&self) -> bool {
        draft::before_2019(self.draft)
    }

    /// The document's root.
    pub(crate) const ROOT: Id = 0;

    /// The schema at `id`.
    pub(crate) fn value(&self, id: Id) -> &'a Value {
        self.entries[id].value
    }

    /// JSON pointer of the schema at `id`, as a URI fragment.
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

    /// The schema of this document to which a reference in the schema `from` leads.
    pub(crate) fn resolve_inside(&mut self, from: Id, reference: &str) -> Option<Id> {
        match self.resolve(from, reference) {
            Target::Inside(target) => Some(target),
            _ => None,
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

//! Drafts: the one that a schema declares, the keywords that each knows, and older forms in newer schemas.

use referencing::Draft;
use serde_json::{Map, Value};

use super::keyword::{HOLD_NAMED_SCHEMAS, HOLD_SCHEMAS};

/// The draft that `$schema` names, if it is a known one.
pub(crate) fn declared_draft(schema: &Value) -> Option<Draft> {
    let uri = schema.get("$schema")?.as_str()?;
    match Draft::from_schema_uri(uri) {
        Draft::Unknown => None,
        draft => Some(draft),
    }
}

/// True if `keyword` means something in `draft`.
pub(super) fn knows(draft: Draft, keyword: &str) -> bool {
    draft.is_known_keyword(keyword)
        || (matches!(keyword, "dependentRequired" | "dependentSchemas") && draft >= Draft::Draft201909)
        || (keyword == "dependencies" || keyword == "$defs")
        || matches!(keyword, "then" | "else" if draft >= Draft::Draft7)
}

/// True for the drafts in which `$ref` hides the keywords beside it.
pub(super) fn before_2019(draft: Draft) -> bool {
    matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
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
    for key in HOLD_NAMED_SCHEMAS {
        if let Some(Value::Object(children)) = map.get_mut(key) {
            children.values_mut().for_each(|child| normalize(child, draft));
        }
    }
    for key in HOLD_SCHEMAS {
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

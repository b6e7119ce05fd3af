//! Choices that are only conditions on keys: `required` below `anyOf`, `oneOf`, `not`, `if` and dependencies.

use serde_json::Value;

use super::Normalizer;
use super::conjunction::Choice;
use super::formula::Formula;
use crate::schema::read::{Id, keyword};

impl Normalizer<'_> {
    /// A choice as a condition on keys; `None` if it is more than that.
    pub(crate) fn formula(&mut self, id: Id, choice: &Choice) -> Option<Formula> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let each = |compiler: &mut Self, keyword: &str| -> Option<Vec<Formula>> {
            let Some(Value::Array(children)) = map.get(keyword) else { return None };
            children
                .iter()
                .map(|child| {
                    let child = compiler.document.child(id, child);
                    compiler.schema_formula(child, 0)
                })
                .collect()
        };
        match choice {
            Choice::AnyOf => Some(Formula::Any(each(self, "anyOf")?)),
            Choice::OneOf => Some(Formula::One(each(self, "oneOf")?)),
            Choice::Not => {
                let child = self.document.child(id, map.get("not")?);
                Some(Formula::not(self.schema_formula(child, 0)?))
            }
            Choice::If => self.if_formula(id, 0),
            Choice::Dependent(keyword, key) => {
                let Some(Value::Object(each)) = map.get(*keyword) else { return None };
                let then = match each.get(&**key)? {
                    Value::Array(keys) => {
                        Formula::All(keys.iter().filter_map(Value::as_str).map(Formula::required).collect())
                    }
                    child => {
                        let child = self.document.child(id, child);
                        self.schema_formula(child, 0)?
                    }
                };
                Some(Formula::Any(vec![Formula::forbidden(key), then]))
            }
        }
    }

    fn if_formula(&mut self, id: Id, depth: usize) -> Option<Formula> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let mut part = |keyword: &str| match map.get(keyword) {
            Some(child) => {
                let child = self.document.child(id, child);
                self.schema_formula(child, depth + 1)
            }
            None => Some(Formula::True),
        };
        let (condition, then, otherwise) = (part("if")?, part("then")?, part("else")?);
        Some(Formula::Any(vec![
            Formula::All(vec![condition.clone(), then]),
            Formula::All(vec![Formula::not(condition), otherwise]),
        ]))
    }

    fn schema_formula(&mut self, id: Id, depth: usize) -> Option<Formula> {
        if depth > 8 || !self.step(id) {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(Formula::True),
            Value::Bool(false) => return Some(Formula::False),
            Value::Object(map) => map,
            _ => return None,
        };
        let mut all = Vec::new();
        let only_ref = map.contains_key("$ref") && self.document.before_2019();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            match keyword.as_str() {
                "required" => {
                    let keys = value.as_array()?;
                    all.extend(keys.iter().filter_map(Value::as_str).map(Formula::required));
                }
                "type" if value == "object" => all.push(Formula::Object),
                "properties" => {
                    for (key, child) in value.as_object()? {
                        let child = self.document.child(id, child);
                        match self.schema_formula(child, depth + 1)? {
                            Formula::True => {}
                            Formula::False => all.push(Formula::forbidden(key)),
                            Formula::All(parts) if parts.is_empty() => {}
                            // `{"not": {}}` is how older drafts say that a key is forbidden.
                            Formula::All(parts) if parts == [Formula::not(Formula::All(Vec::new()))] => {
                                all.push(Formula::forbidden(key));
                            }
                            _ => return None,
                        }
                    }
                }
                "not" => {
                    let child = self.document.child(id, value);
                    all.push(Formula::not(self.schema_formula(child, depth + 1)?));
                }
                "allOf" | "anyOf" | "oneOf" => {
                    let mut parts = Vec::new();
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        parts.push(self.schema_formula(child, depth + 1)?);
                    }
                    all.push(match keyword.as_str() {
                        "allOf" => Formula::All(parts),
                        "anyOf" => Formula::Any(parts),
                        _ => Formula::One(parts),
                    });
                }
                "if" => all.push(self.if_formula(id, depth)?),
                "then" | "else" if map.contains_key("if") => {}
                "$ref" => {
                    let target = self.document.resolve_inside(id, value.as_str()?)?;
                    all.push(self.schema_formula(target, depth + 1)?);
                }
                word if keyword::is_annotation(word) => {}
                _ => return None,
            }
        }
        Some(Formula::All(all))
    }
}

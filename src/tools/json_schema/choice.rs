//! The keywords that choose between schemas in place, as alternatives; the negation of a schema.

use serde_json::Value;

use super::conjunction::{Choice, Item, types};
use super::document::{Id, Target};
use super::grammar::Compiler;

/// Alternatives, each a conjunction, and whether together they are exactly the keyword.
pub(super) struct Options {
    pub(super) options: Vec<Vec<Item>>,
    pub(super) exact: bool,
}

impl Compiler<'_, '_> {
    /// The alternatives of a choice.
    pub(super) fn options(&mut self, id: Id, choice: &Choice) -> Options {
        let Value::Object(map) = self.document.value(id) else {
            return Options { options: vec![vec![]], exact: true };
        };
        match choice {
            Choice::AnyOf | Choice::OneOf => {
                let mut options = Vec::new();
                if let Some(Value::Array(each)) = map.get(choice.keyword()) {
                    for child in each {
                        options.push(vec![Item::Schema(self.document.child(id, child))]);
                    }
                }
                // Whether the branches of oneOf exclude each other depends on what surrounds them.
                Options { options, exact: *choice == Choice::AnyOf }
            }
            Choice::Not => {
                let child = self.document.child(id, &map["not"]);
                match self.negate(child, 0) {
                    Some(options) => Options { options, exact: true },
                    None => Options { options: vec![vec![]], exact: false },
                }
            }
            Choice::If => {
                let condition = self.document.child(id, &map["if"]);
                let mut part =
                    |keyword: &str| map.get(keyword).map(|c| Item::Schema(self.document.child(id, c)));
                let (then, otherwise) = (part("then"), part("else"));
                let mut first = vec![Item::Schema(condition)];
                first.extend(then);
                let mut options = vec![first];
                let negation = self.negate(condition, 0).filter(|n| n.len() <= 8);
                let exact = negation.is_some();
                for mut rest in negation.unwrap_or_else(|| vec![vec![]]) {
                    rest.extend(otherwise.clone());
                    options.push(rest);
                }
                Options { options, exact }
            }
            Choice::Dependent(keyword, key) => {
                let mut with = vec![Item::Present(key.clone())];
                if let Some(child) = map.get(*keyword).and_then(|m| m.get(&**key)) {
                    with.push(Item::Schema(self.document.child(id, child)));
                }
                Options { options: vec![vec![Item::Absent(key.clone())], with], exact: true }
            }
        }
    }

    /// What a value satisfies exactly when it does not satisfy the schema: alternatives, or `None`
    /// where the grammar has no words for them.
    pub(super) fn negate(&mut self, id: Id, depth: usize) -> Option<Vec<Vec<Item>>> {
        if depth > 6 {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(vec![]),
            Value::Bool(false) => return Some(vec![vec![]]),
            Value::Object(map) => map,
            _ => return None,
        };
        let only_ref = map.contains_key("$ref") && self.before_2019();
        let mut out: Vec<Vec<Item>> = Vec::new();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            match keyword.as_str() {
                "type" => {
                    let set = match value {
                        Value::String(word) => types::named(word)?,
                        Value::Array(words) => words
                            .iter()
                            .filter_map(|w| w.as_str().and_then(types::named))
                            .fold(0, |a, b| a | b),
                        _ => return None,
                    };
                    out.push(vec![Item::Types(types::ALL & !set)]);
                }
                "enum" | "const" if self.knows(keyword) => {
                    let simple = |v: &Value| !v.is_array() && !v.is_object();
                    let fine = match value {
                        Value::Array(each) if keyword == "enum" => each.iter().all(simple),
                        other => simple(other),
                    };
                    if !fine || (map.contains_key("enum") && map.contains_key("const")) {
                        return None;
                    }
                    out.push(vec![Item::Exclude(id)]);
                }
                "required" => {
                    for key in value.as_array()?.iter().filter_map(Value::as_str) {
                        out.push(vec![Item::Types(types::OBJECT), Item::Absent(key.into())]);
                    }
                }
                "properties" => {
                    for (key, child) in value.as_object()? {
                        let child = self.document.child(id, child);
                        for option in self.negate(child, depth + 1)? {
                            let mut items = vec![Item::Present(key.as_str().into())];
                            items.extend(
                                option.into_iter().map(|i| Item::Property(key.as_str().into(), Box::new(i))),
                            );
                            out.push(items);
                        }
                    }
                }
                "allOf" => {
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        out.extend(self.negate(child, depth + 1)?);
                    }
                }
                "anyOf" => {
                    let mut product: Vec<Vec<Item>> = vec![vec![]];
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        let options = self.negate(child, depth + 1)?;
                        product = product
                            .iter()
                            .flat_map(|base| options.iter().map(move |o| [base.as_slice(), o].concat()))
                            .collect();
                        if product.len() > 16 {
                            return None;
                        }
                    }
                    out.extend(product);
                }
                "not" => out.push(vec![Item::Schema(self.document.child(id, value))]),
                "$ref" => match self.document.resolve(id, value.as_str()?) {
                    Target::Inside(target) => out.extend(self.negate(target, depth + 1)?),
                    _ => return None,
                },
                word if super::keyword::is_annotation(word) => {}
                _ => return None,
            }
        }
        if out.len() > 16 { None } else { Some(out) }
    }
}

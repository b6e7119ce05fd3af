//! Conditions on the set of an object's keys: `required` below `anyOf`, `oneOf`, `not`, `if` and dependencies.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use crate::schema::emit::grammar::Compiler;
use crate::schema::normal::conjunction::Choice;
use crate::schema::read::document::{Id, Target};

/// A condition on the keys of an object; values of other types have no keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    True,
    False,
    /// The value is an object.
    Object,
    /// The object has this key.
    Key(Rc<str>),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    One(Vec<Formula>),
}

impl Formula {
    pub(crate) fn not(inner: Formula) -> Formula {
        Formula::Not(Box::new(inner))
    }

    /// Requires `key`, if the value is an object.
    pub(crate) fn required(key: &str) -> Formula {
        Formula::Any(vec![Formula::not(Formula::Object), Formula::Key(key.into())])
    }

    /// Forbids `key`.
    pub(crate) fn forbidden(key: &str) -> Formula {
        Formula::not(Formula::Key(key.into()))
    }

    /// The result for a value that is not an object.
    pub(crate) fn elsewhere(&self) -> bool {
        self.evaluate(false, &|_| false)
    }

    pub(crate) fn evaluate(&self, object: bool, has: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Formula::True => true,
            Formula::False => false,
            Formula::Object => object,
            Formula::Key(key) => object && has(key),
            Formula::Not(f) => !f.evaluate(object, has),
            Formula::All(fs) => fs.iter().all(|f| f.evaluate(object, has)),
            Formula::Any(fs) => fs.iter().any(|f| f.evaluate(object, has)),
            Formula::One(fs) => fs.iter().filter(|f| f.evaluate(object, has)).count() == 1,
        }
    }

    pub(crate) fn keys(&self, out: &mut BTreeSet<Rc<str>>) {
        match self {
            Formula::Key(key) => {
                out.insert(key.clone());
            }
            Formula::Not(f) => f.keys(out),
            Formula::All(fs) | Formula::Any(fs) | Formula::One(fs) => {
                fs.iter().for_each(|f| f.keys(out));
            }
            _ => {}
        }
    }

    /// The condition in the grammar language; `bit` returns the bit of a key that can be written.
    pub(crate) fn condition(&self, bit: &dyn Fn(&str) -> Option<usize>) -> Condition {
        match self {
            Formula::True | Formula::Object => Condition::True,
            Formula::False => Condition::False,
            Formula::Key(key) => match bit(key) {
                Some(i) => Condition::If(format!("bit_set({i})")),
                None => Condition::False,
            },
            Formula::Not(f) => f.condition(bit).negated(),
            Formula::All(fs) => Condition::all(fs.iter().map(|f| f.condition(bit))),
            Formula::Any(fs) => Condition::any(fs.iter().map(|f| f.condition(bit))),
            Formula::One(fs) => {
                let each: Vec<Condition> = fs.iter().map(|f| f.condition(bit)).collect();
                Condition::any((0..each.len()).map(|chosen| {
                    Condition::all(
                        each.iter()
                            .enumerate()
                            .map(|(i, c)| if i == chosen { c.clone() } else { c.clone().negated() }),
                    )
                }))
            }
        }
    }
}

/// A condition on a rule's parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    True,
    False,
    If(String),
}

impl Condition {
    pub(crate) fn negated(self) -> Condition {
        match self {
            Condition::True => Condition::False,
            Condition::False => Condition::True,
            Condition::If(text) => Condition::If(format!("not({text})")),
        }
    }

    pub(crate) fn all(each: impl Iterator<Item = Condition>) -> Condition {
        Condition::joined(each, "and", Condition::True, &Condition::False)
    }

    pub(crate) fn any(each: impl Iterator<Item = Condition>) -> Condition {
        Condition::joined(each, "or", Condition::False, &Condition::True)
    }

    fn joined(
        each: impl Iterator<Item = Condition>,
        word: &str,
        neutral: Condition,
        absorbing: &Condition,
    ) -> Condition {
        let mut texts: Vec<String> = Vec::new();
        for condition in each {
            if condition == *absorbing {
                return condition;
            }
            if let Condition::If(text) = condition
                && !texts.contains(&text)
            {
                texts.push(text);
            }
        }
        // Balanced, since conditions take two arguments and llguidance's parser recurses.
        while texts.len() > 1 {
            texts = texts
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => format!("{word}({a}, {b})"),
                    _ => pair[0].clone(),
                })
                .collect();
        }
        texts.pop().map_or(neutral, Condition::If)
    }

    /// ` %if ...`, or an empty string; `None` if the condition never holds.
    pub(crate) fn suffix(&self) -> Option<String> {
        match self {
            Condition::True => Some(String::new()),
            Condition::False => None,
            Condition::If(text) => Some(format!(" %if {text}")),
        }
    }
}

impl Compiler<'_, '_> {
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
        if depth > 8 {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(Formula::True),
            Value::Bool(false) => return Some(Formula::False),
            Value::Object(map) => map,
            _ => return None,
        };
        let mut all = Vec::new();
        let only_ref = map.contains_key("$ref") && self.before_2019();
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
                "$ref" => match self.document.resolve(id, value.as_str()?) {
                    Target::Inside(target) => all.push(self.schema_formula(target, depth + 1)?),
                    _ => return None,
                },
                word if crate::schema::read::keyword::is_annotation(word) => {}
                _ => return None,
            }
        }
        Some(Formula::All(all))
    }
}

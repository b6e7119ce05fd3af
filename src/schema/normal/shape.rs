//! The keywords of a conjunction, merged by the type of value that they constrain.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::schema::emit::grammar::Compiler;
use crate::schema::normal::conjunction::{Flat, Item, types};
use crate::schema::read::document::Id;
use crate::schema::read::keyword;
use crate::schema::report::Status;
use crate::schema::value::decimal::{Bound, Decimal};

/// One schema's keywords on the members of an object.
pub(crate) struct ObjectPart<'a> {
    pub(crate) id: Id,
    pub(crate) properties: Option<&'a Map<String, Value>>,
    pub(crate) patterns: Vec<(&'a str, &'a Value)>,
    pub(crate) additional: Option<&'a Value>,
}

/// One schema's keywords on the items of an array.
pub(crate) struct ArrayPart<'a> {
    pub(crate) id: Id,
    pub(crate) prefix: &'a [Value],
    pub(crate) rest: Option<&'a Value>,
}

/// The merged keywords of a conjunction without choices.
pub(crate) struct Shape<'a> {
    pub(crate) flat: Flat,
    pub(crate) types: u8,
    /// The allowed values, if they are enumerated.
    pub(crate) values: Option<Vec<&'a Value>>,
    pub(crate) excluded: Vec<&'a Value>,
    /// True if there is a keyword other than `type`, `enum` and `const`.
    pub(crate) constrained: bool,

    pub(crate) low: Option<Bound>,
    pub(crate) high: Option<Bound>,
    pub(crate) multiples: Vec<(Id, String)>,
    /// Numbers must not be a multiple of any of these.
    pub(crate) not_multiples: Vec<&'a Value>,

    pub(crate) min_length: u64,
    pub(crate) max_length: Option<u64>,
    pub(crate) patterns: Vec<(Id, &'a str)>,
    pub(crate) formats: Vec<(Id, &'a str)>,
    /// Strings must not match any of these.
    pub(crate) not_patterns: Vec<&'a str>,
    pub(crate) not_formats: Vec<&'a str>,

    pub(crate) arrays: Vec<ArrayPart<'a>>,
    pub(crate) min_items: u64,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique: Vec<Id>,
    pub(crate) contains: Vec<(Id, &'a Value)>,

    pub(crate) objects: Vec<ObjectPart<'a>>,
    pub(crate) required: BTreeSet<Rc<str>>,
    pub(crate) min_properties: u64,
    pub(crate) max_properties: Option<u64>,
    pub(crate) names: Vec<(Id, &'a Value)>,
}

impl<'a> Compiler<'a, '_> {
    /// Merges the keywords of `flat`, which has no choices left.
    pub(crate) fn shape(&mut self, flat: Flat) -> Shape<'a> {
        let mut shape = Shape {
            types: flat.types,
            values: None,
            excluded: Vec::new(),
            constrained: false,
            low: None,
            high: None,
            multiples: Vec::new(),
            not_multiples: Vec::new(),
            min_length: 0,
            max_length: None,
            patterns: Vec::new(),
            formats: Vec::new(),
            not_patterns: Vec::new(),
            not_formats: Vec::new(),
            arrays: Vec::new(),
            min_items: 0,
            max_items: None,
            unique: Vec::new(),
            contains: Vec::new(),
            objects: Vec::new(),
            required: flat.present.clone(),
            min_properties: 0,
            max_properties: None,
            names: Vec::new(),
            flat,
        };
        for id in shape.flat.locals.clone() {
            self.fold(id, &mut shape);
        }
        for id in shape.flat.exclude.clone() {
            if let Value::Object(map) = self.document.value(id) {
                if let Some(Value::Array(each)) = map.get("enum") {
                    shape.excluded.extend(each);
                    self.mark(id, "enum", Status::Enforced, "");
                } else if let Some(value) = map.get("const") {
                    shape.excluded.push(value);
                    self.mark(id, "const", Status::Enforced, "");
                }
            }
        }
        for (id, word) in shape.flat.against.clone() {
            self.turn_around(id, word, &mut shape);
        }
        for (id, choice) in shape.flat.presence.clone() {
            if let Some(formula) = self.formula(id, &choice)
                && !formula.elsewhere()
            {
                shape.types &= types::OBJECT;
            }
        }
        if let Some(values) = &mut shape.values {
            let (set, excluded) = (shape.types, &shape.excluded);
            values.retain(|v| types::of(v) & set != 0 && !excluded.iter().any(|e| equal(e, v)));
            if shape.constrained {
                let pointers: Vec<_> =
                    shape.flat.locals.iter().map(|id| self.document.pointer(*id)).collect();
                values.retain(|v| pointers.iter().all(|p| self.checks.accepts_at(p, v)));
            }
            for (id, word) in &shape.flat.against {
                values.retain(|v| !self.checks.keyword_accepts(self.document.value(*id), word, v));
            }
            values.retain(|v| match v {
                Value::Object(map) => {
                    shape.required.iter().all(|k| map.contains_key(&**k))
                        && shape.flat.absent.iter().all(|k| !map.contains_key(&**k))
                }
                _ => true,
            });
        }
        shape
    }

    /// Merges the negation of one keyword of `id`.
    fn turn_around(&mut self, id: Id, word: &'static str, shape: &mut Shape<'a>) {
        let Value::Object(map) = self.document.value(id) else { return };
        let Some(value) = map.get(word) else { return };
        self.mark(id, word, Status::Enforced, "");
        shape.constrained = true;
        let flag = |word: &str| map.get(word) == Some(&Value::Bool(true));
        let more = |n: &mut u64| *n = (*n).max(count(value).unwrap_or(0).saturating_add(1));
        let mut never = false;
        let mut less = |n: &mut Option<u64>| match count(value) {
            Some(0) | None => never = true,
            Some(c) => *n = Some(n.map_or(c - 1, |old| old.min(c - 1))),
        };
        match word {
            "minimum" | "exclusiveMinimum" => {
                let exclusive = word == "minimum" && !flag("exclusiveMinimum");
                if let Some(value) = number(value) {
                    shape.below(value, exclusive);
                }
            }
            "maximum" | "exclusiveMaximum" => {
                let exclusive = word == "maximum" && !flag("exclusiveMaximum");
                if let Some(value) = number(value) {
                    shape.above(value, exclusive);
                }
            }
            "minLength" => less(&mut shape.max_length),
            "maxLength" => more(&mut shape.min_length),
            "minItems" => less(&mut shape.max_items),
            "maxItems" => more(&mut shape.min_items),
            "minProperties" => less(&mut shape.max_properties),
            "maxProperties" => more(&mut shape.min_properties),
            "multipleOf" => shape.not_multiples.push(value),
            "pattern" => shape.not_patterns.extend(value.as_str()),
            "format" => shape.not_formats.extend(value.as_str()),
            _ => {}
        }
        if never {
            shape.types = 0;
            shape.values = Some(Vec::new());
        }
    }

    fn fold(&mut self, id: Id, shape: &mut Shape<'a>) {
        let Value::Object(map) = self.document.value(id) else { return };
        let mut object = ObjectPart { id, properties: None, patterns: Vec::new(), additional: None };
        let mut array = ArrayPart { id, prefix: &[], rest: None };
        let older_items = matches!(map.get("items"), Some(Value::Array(_)));
        for (word, value) in map {
            if keyword::is_annotation(word) {
                self.mark(id, word, Status::Annotation, "");
                continue;
            }
            if !self.knows(word) {
                self.mark(id, word, Status::Annotation, "not a keyword of this draft");
                continue;
            }
            let mut understood = true;
            if !matches!(word.as_str(), "type" | "enum" | "const" | "$ref" | "allOf") {
                shape.constrained = true;
            }
            match word.as_str() {
                // Handled during flattening and expansion of choices.
                "type"
                | "$ref"
                | "allOf"
                | "anyOf"
                | "oneOf"
                | "not"
                | "if"
                | "dependencies"
                | "dependentRequired"
                | "dependentSchemas"
                | "$dynamicRef"
                | "$recursiveRef"
                | "unevaluatedProperties"
                | "unevaluatedItems" => continue,
                "then" | "else" => {
                    if !map.contains_key("if") {
                        self.mark(id, word, Status::Annotation, "there is no if");
                    }
                    continue;
                }
                "enum" => match value {
                    Value::Array(each) => narrow(shape, each.iter().collect()),
                    _ => understood = false,
                },
                "const" => narrow(shape, vec![value]),
                "minimum" | "exclusiveMinimum" => match number(value) {
                    Some(value) => {
                        let exclusive = word == "exclusiveMinimum"
                            || map.get("exclusiveMinimum") == Some(&Value::Bool(true));
                        shape.above(value, exclusive);
                    }
                    None => understood = value.is_boolean(),
                },
                "maximum" | "exclusiveMaximum" => match number(value) {
                    Some(value) => {
                        let exclusive = word == "exclusiveMaximum"
                            || map.get("exclusiveMaximum") == Some(&Value::Bool(true));
                        shape.below(value, exclusive);
                    }
                    None => understood = value.is_boolean(),
                },
                "multipleOf" => shape.multiples.push((id, value.to_string())),
                "minLength" => match count(value) {
                    Some(n) => shape.min_length = shape.min_length.max(n),
                    None => understood = false,
                },
                "maxLength" => understood = lower(&mut shape.max_length, count(value)),
                "pattern" => match value {
                    Value::String(text) => shape.patterns.push((id, text)),
                    _ => understood = false,
                },
                "format" => match value {
                    Value::String(text) => {
                        // The string's rules set the final status.
                        shape.formats.push((id, text));
                        self.mark(id, word, Status::Annotation, "");
                        continue;
                    }
                    _ => understood = false,
                },
                "contentMediaType" | "contentEncoding" | "contentSchema" => {
                    if self.before_2019() {
                        self.relax(id, word, "the text inside the string is not followed");
                    } else {
                        self.mark(id, word, Status::Annotation, "");
                    }
                    continue;
                }
                "items" if !older_items => array.rest = Some(value),
                "items" | "prefixItems" => match value {
                    Value::Array(each) => array.prefix = each,
                    _ => understood = false,
                },
                "additionalItems" => {
                    if older_items {
                        array.rest = Some(value);
                    } else {
                        self.mark(id, word, Status::Annotation, "only beside an array of items");
                        continue;
                    }
                }
                "minItems" => match count(value) {
                    Some(n) => shape.min_items = shape.min_items.max(n),
                    None => understood = false,
                },
                "maxItems" => understood = lower(&mut shape.max_items, count(value)),
                "uniqueItems" => {
                    if value == &Value::Bool(true) {
                        shape.unique.push(id);
                    }
                    continue;
                }
                "contains" => {
                    shape.contains.push((id, value));
                    continue;
                }
                "minContains" | "maxContains" => continue,
                "properties" => match value {
                    Value::Object(each) => object.properties = Some(each),
                    _ => understood = false,
                },
                "patternProperties" => match value {
                    Value::Object(each) => {
                        object.patterns = each.iter().map(|(k, v)| (k.as_str(), v)).collect();
                    }
                    _ => understood = false,
                },
                "additionalProperties" => object.additional = Some(value),
                "required" => match value {
                    Value::Array(keys) => {
                        shape.required.extend(keys.iter().filter_map(Value::as_str).map(Rc::from));
                    }
                    _ => understood = false,
                },
                "minProperties" => match count(value) {
                    Some(n) => shape.min_properties = shape.min_properties.max(n),
                    None => understood = false,
                },
                "maxProperties" => understood = lower(&mut shape.max_properties, count(value)),
                "propertyNames" => shape.names.push((id, value)),
                _ => {
                    self.mark(id, word, Status::Annotation, "not a keyword that is known");
                    continue;
                }
            }
            if understood {
                self.mark(id, word, Status::Enforced, "");
            } else {
                self.refuse(id, word, &format!("has a value of the wrong kind: {value}"));
            }
        }
        if object.properties.is_some() || !object.patterns.is_empty() || object.additional.is_some() {
            shape.objects.push(object);
        }
        if !array.prefix.is_empty() || array.rest.is_some() {
            shape.arrays.push(array);
        }
    }

    /// True if the shapes show that no value satisfies both conjunctions.
    fn disjoint(&mut self, a: &[Item], b: &[Item], depth: usize) -> bool {
        let (a, b) = (self.flatten(a), self.flatten(b));
        if a.never || b.never {
            return true;
        }
        let (a, b) = (self.shape(a), self.shape(b));
        self.apart(&a, &b, depth)
    }

    /// True if the two shapes visibly have no value in common.
    pub(crate) fn apart(&mut self, a: &Shape<'a>, b: &Shape<'a>, depth: usize) -> bool {
        let both = a.types & b.types;
        if both == 0 {
            return true;
        }
        if let (Some(x), Some(y)) = (&a.values, &b.values) {
            return !x.iter().any(|v| y.iter().any(|w| equal(v, w)));
        }
        for (values, other) in [(&a.values, b), (&b.values, a)] {
            if let Some(values) = values {
                let pointers: Vec<_> =
                    other.flat.locals.iter().map(|id| self.document.pointer(*id)).collect();
                return values.iter().all(|v| {
                    types::of(v) & other.types == 0 || pointers.iter().any(|p| !self.checks.accepts_at(p, v))
                });
            }
        }
        let above = |x: &Shape<'_>, y: &Shape<'_>| match (&x.low, &y.high) {
            (Some(low), Some(high)) => {
                low.value > high.value || (low.value == high.value && (low.exclusive || high.exclusive))
            }
            _ => false,
        };
        let longer = |least: u64, most: Option<u64>| most.is_some_and(|m| least > m);
        let mut left = both;
        if above(a, b) || above(b, a) {
            left &= !(types::INTEGER | types::FRACTION);
        }
        if longer(a.min_length, b.max_length) || longer(b.min_length, a.max_length) {
            left &= !types::STRING;
        }
        if longer(a.min_items, b.max_items) || longer(b.min_items, a.max_items) {
            left &= !types::ARRAY;
        }
        if left & types::OBJECT != 0 && depth < 3 {
            let keys: Vec<Rc<str>> = a.required.union(&b.required).cloned().collect();
            for key in keys {
                let (x, y) = (self.key_items(a, &key), self.key_items(b, &key));
                if self.disjoint(&x, &y, depth + 1) {
                    left &= !types::OBJECT;
                    break;
                }
            }
        }
        left == 0
    }
}

impl Shape<'_> {
    /// Limits numbers to those from `value` up.
    fn above(&mut self, value: Decimal, exclusive: bool) {
        let tighter = self.low.as_ref().is_none_or(|b| value > b.value || (value == b.value && exclusive));
        if tighter {
            self.low = Some(Bound { value, exclusive });
        }
    }

    /// Limits numbers to those up to `value`.
    fn below(&mut self, value: Decimal, exclusive: bool) {
        let tighter = self.high.as_ref().is_none_or(|b| value < b.value || (value == b.value && exclusive));
        if tighter {
            self.high = Some(Bound { value, exclusive });
        }
    }
}

fn number(value: &Value) -> Option<Decimal> {
    value.as_number().and_then(|n| Decimal::parse(&n.to_string()))
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|f| f.max(0.0) as u64))
}

fn narrow<'a>(shape: &mut Shape<'a>, values: Vec<&'a Value>) {
    match &mut shape.values {
        None => shape.values = Some(values),
        Some(old) => old.retain(|v| values.iter().any(|w| equal(v, w))),
    }
}

fn lower(limit: &mut Option<u64>, value: Option<u64>) -> bool {
    if let Some(n) = value {
        *limit = Some(limit.map_or(n, |old| old.min(n)));
    }
    value.is_some()
}

/// Equality as in JSON Schema: 1 and 1.0 are equal.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            match (Decimal::parse(&x.to_string()), Decimal::parse(&y.to_string())) {
                (Some(x), Some(y)) => x == y,
                _ => x == y,
            }
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}

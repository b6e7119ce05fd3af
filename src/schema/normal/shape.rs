//! The keywords of a conjunction, merged by the type of value that they constrain.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Normalizer;
use super::conjunction::Conjunction;
use crate::schema::read::Id;
use crate::schema::report::Status;
use crate::schema::value::decimal::{Bound, Decimal};
use crate::schema::value::{retain_equal, types};

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

/// One schema's `contains`, and the limits beside it.
pub(crate) struct Contains<'a> {
    pub(crate) id: Id,
    pub(crate) schema: &'a Value,
    pub(crate) min: Option<&'a Value>,
    pub(crate) max: Option<&'a Value>,
}

/// The merged keywords of a conjunction without choices.
pub(crate) struct Shape<'a> {
    pub(crate) conjunction: Conjunction,
    pub(crate) types: u8,
    /// The allowed values, if they are enumerated.
    pub(crate) values: Option<Vec<&'a Value>>,
    pub(crate) excluded: Vec<&'a Value>,
    /// True if there is a keyword other than `type`, `enum` and `const`.
    pub(crate) constrained: bool,

    pub(crate) low: Option<Bound>,
    pub(crate) high: Option<Bound>,
    pub(crate) multiples: Vec<(Id, Decimal)>,
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
    pub(crate) contains: Vec<Contains<'a>>,

    pub(crate) objects: Vec<ObjectPart<'a>>,
    pub(crate) required: BTreeSet<Rc<str>>,
    pub(crate) min_properties: u64,
    pub(crate) max_properties: Option<u64>,
    /// Schemas of `propertyNames`.
    pub(crate) names: Vec<(Id, &'a Value)>,
}

impl<'a> Shape<'a> {
    /// The shape of a conjunction, without the keywords of its schemas.
    fn new(conjunction: Conjunction) -> Shape<'a> {
        Shape {
            types: conjunction.types,
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
            required: conjunction.present.clone(),
            min_properties: 0,
            max_properties: None,
            names: Vec::new(),
            conjunction,
        }
    }

    /// Limits numbers to those from `value` up.
    pub(super) fn above(&mut self, value: Decimal, exclusive: bool) {
        let tighter = self.low.as_ref().is_none_or(|b| value > b.value || (value == b.value && exclusive));
        if tighter {
            self.low = Some(Bound { value, exclusive });
        }
    }

    /// Limits numbers to those up to `value`.
    pub(super) fn below(&mut self, value: Decimal, exclusive: bool) {
        let tighter = self.high.as_ref().is_none_or(|b| value < b.value || (value == b.value && exclusive));
        if tighter {
            self.high = Some(Bound { value, exclusive });
        }
    }

    /// Limits the values to those equal to one of `values`.
    pub(super) fn narrow(&mut self, values: Vec<&'a Value>) {
        match &mut self.values {
            None => self.values = Some(values),
            Some(old) => retain_equal(old, &values, true),
        }
    }
}

impl<'a> Normalizer<'a> {
    /// Merges the keywords of `conjunction`, which has no choices left.
    pub(crate) fn shape(&mut self, conjunction: Conjunction) -> Shape<'a> {
        let mut shape = Shape::new(conjunction);
        for id in shape.conjunction.locals.clone() {
            self.merge(id, &mut shape);
        }
        for id in shape.conjunction.exclude.clone() {
            self.exclude(id, &mut shape);
        }
        for (id, word) in shape.conjunction.violated.clone() {
            self.merge_violation(id, word, &mut shape);
        }
        for (id, choice) in shape.conjunction.presence.clone() {
            if let Some(formula) = self.formula(id, &choice)
                && !formula.holds_elsewhere()
            {
                shape.types &= types::OBJECT;
            }
        }
        self.filter_values(&mut shape);
        shape
    }

    /// Excludes the values of the schema's `enum` or `const`.
    fn exclude(&mut self, id: Id, shape: &mut Shape<'a>) {
        let Value::Object(map) = self.document.value(id) else { return };
        if let Some(Value::Array(each)) = map.get("enum") {
            shape.excluded.extend(each);
            self.mark(id, "enum", Status::Enforced, "");
        } else if let Some(value) = map.get("const") {
            shape.excluded.push(value);
            self.mark(id, "const", Status::Enforced, "");
        }
    }

    /// Removes enumerated values that another keyword refuses.
    fn filter_values(&self, shape: &mut Shape<'a>) {
        let Some(values) = &mut shape.values else { return };
        let (set, excluded) = (shape.types, &shape.excluded);
        values.retain(|v| types::type_of(v) & set != 0);
        retain_equal(values, excluded, false);
        if shape.constrained {
            let locals = &shape.conjunction.locals;
            let pointers: Vec<_> = locals.iter().map(|id| self.document.pointer(*id)).collect();
            values.retain(|v| pointers.iter().all(|p| self.validators.accepts_at(p, v)));
        }
        for (id, word) in &shape.conjunction.violated {
            values.retain(|v| !self.validators.keyword_accepts(self.document.value(*id), word, v));
        }
        values.retain(|v| match v {
            Value::Object(map) => {
                shape.required.iter().all(|k| map.contains_key(&**k))
                    && shape.conjunction.absent.iter().all(|k| !map.contains_key(&**k))
            }
            _ => true,
        });
    }
}

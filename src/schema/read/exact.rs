//! Values with exact numbers, in the form that the full validator takes.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::{Map, Number, Value};

use crate::json;
use crate::schema::value::decimal::Decimal;
use crate::schema::value::{are_distinct, equal};

/// Values with wide numbers, for the validator.
pub(crate) struct Exact;

/// A value in which [`json::wide_number`]s are numbers.
#[derive(Clone, Copy)]
pub(crate) struct ExactNode<'a>(pub(crate) &'a Value);

/// A number as a machine number, or as it is written.
pub(crate) enum ExactNumber<'a> {
    Machine(&'a Number),
    Wide(&'a str),
}

pub(crate) struct ExactObject<'a>(&'a Map<String, Value>);

pub(crate) struct ExactArray<'a>(&'a [Value]);

impl Json for Exact {
    type Node<'a> = ExactNode<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(ExactNode<'_>) -> T) -> T {
        *buffer = Value::from(string);
        f(ExactNode(buffer))
    }
}

impl JsonNumber for ExactNumber<'_> {
    fn as_u64(&self) -> Option<u64> {
        match self {
            ExactNumber::Machine(number) => number.as_u64(),
            ExactNumber::Wide(_) => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            ExactNumber::Machine(number) => number.as_i64(),
            ExactNumber::Wide(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        self.to_number().as_f64()
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            ExactNumber::Machine(number) => Cow::Owned(number.to_string()),
            ExactNumber::Wide(literal) => Cow::Borrowed(literal),
        }
    }

    fn to_number(&self) -> Cow<'_, Number> {
        match self {
            ExactNumber::Machine(number) => Cow::Borrowed(number),
            ExactNumber::Wide(literal) => {
                let double = literal.parse().unwrap_or(f64::MAX).clamp(f64::MIN, f64::MAX);
                Cow::Owned(Number::from_f64(double).unwrap_or_else(|| Number::from(0)))
            }
        }
    }

    fn is_integer(&self) -> bool {
        match self {
            ExactNumber::Machine(number) => number.is_integer(),
            ExactNumber::Wide(literal) => Decimal::parse(literal).is_some_and(|n| n.is_integer()),
        }
    }

    fn is_written_as_integer(&self) -> bool {
        match self {
            ExactNumber::Machine(number) => number.is_written_as_integer(),
            ExactNumber::Wide(literal) => !literal.contains(['.', 'e', 'E']),
        }
    }
}

impl<'a> Node<'a, Exact> for ExactNode<'a> {
    type Object = ExactObject<'a>;
    type Array = ExactArray<'a>;
    type Number = ExactNumber<'a>;

    fn as_object(&self) -> Option<ExactObject<'a>> {
        self.0.as_object().map(ExactObject)
    }

    fn as_array(&self) -> Option<ExactArray<'a>> {
        self.0.as_array().map(|items| ExactArray(items))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        json::string_text(self.0).map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<ExactNumber<'a>> {
        match self.0 {
            Value::Number(number) => Some(ExactNumber::Machine(number)),
            value => json::wide_number(value).map(ExactNumber::Wide),
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        self.0.is_null()
    }

    fn json_type(&self) -> JsonType {
        match self.0 {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) if json::wide_number(self.0).is_some() => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equal(self.0, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        match json::has_wide_numbers(self.0) {
            true => Cow::Owned(json::rounded(self.0.clone())),
            false => Cow::Borrowed(self.0),
        }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref(self.0) as usize))
    }
}

impl<'a> Object<'a, Exact> for ExactObject<'a> {
    type Node = ExactNode<'a>;
    type MemberName = &'a str;
    type MembersIter = Box<dyn Iterator<Item = (&'a str, ExactNode<'a>)> + 'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<ExactNode<'a>> {
        self.0.get(key).map(ExactNode)
    }

    fn members(&self) -> Self::MembersIter {
        Box::new(self.0.iter().map(|(key, value)| (key.as_str(), ExactNode(value))))
    }
}

impl<'a> Array<'a, Exact> for ExactArray<'a> {
    type Node = ExactNode<'a>;
    type ElementsIter = std::iter::Map<std::slice::Iter<'a, Value>, fn(&'a Value) -> ExactNode<'a>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        self.0.iter().map(ExactNode)
    }

    fn is_unique(&self) -> bool {
        are_distinct(self.0)
    }
}

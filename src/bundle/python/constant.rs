//! Expressions that are constants, as JSON values.

use super::{
    Problem,
    node::{field, parts, shown, text},
    scope::{Names, ScopeId},
    string,
};
use crate::json;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use tree_sitter::Node;

/// Most expressions within each other; names count.
const MAX_DEPTH: usize = 100;
/// Most bytes of text, and values, that are made: names may multiply what they stand for.
const MAX_SIZE: usize = 16 << 20;

/// Reader of constants.
pub(super) struct Constants<'t, 's> {
    pub(super) names: &'s Names<'t>,
    pub(super) source: &'s str,
    size: Cell<usize>,
    /// Lines of f-strings whose `{}` was read as text.
    empty_fields: RefCell<Vec<usize>>,
}

impl<'t, 's> Constants<'t, 's> {
    pub(super) fn new(names: &'s Names<'t>, source: &'s str) -> Constants<'t, 's> {
        Constants { names, source, size: Cell::new(0), empty_fields: RefCell::default() }
    }

    /// Lines of f-strings with a field `{}`, in order.
    pub(super) fn empty_fields(&self) -> Vec<usize> {
        let mut lines = self.empty_fields.borrow().clone();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// The value of `node` in `scope`.
    ///
    /// # Errors
    /// The part that is no constant.
    pub(super) fn value(&self, node: Node<'t>, scope: ScopeId) -> Result<Value, Problem> {
        self.at_depth(node, scope, 0)
    }

    /// The text of `node`, if it is a string that is written out right there.
    pub(super) fn literal(&self, node: Node<'t>) -> Option<String> {
        if node.kind() != "string" {
            return None;
        }
        string::value(node, self.source, &mut Vec::new()).ok()
    }

    fn at_depth(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        if depth > MAX_DEPTH {
            return Err(Problem::at(node, "is nested too deeply, or made of itself"));
        }
        self.count(node, 1)?;
        let next = depth + 1;
        match node.kind() {
            "string" => self.string(node).map(Value::String),
            "concatenated_string" => {
                let strings = parts(node).into_iter().map(|part| self.string(part));
                strings.collect::<Result<String, _>>().map(Value::String)
            }
            "integer" | "float" => self.number(node, false),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "none" => Ok(Value::Null),
            "list" | "tuple" => self.list(node, scope, next),
            "dictionary" => self.dict(node, scope, next),
            "parenthesized_expression" => match parts(node).as_slice() {
                [inner] => self.at_depth(*inner, scope, next),
                _ => Err(no_constant(node, "an expression in parentheses")),
            },
            "unary_operator" => self.unary(node),
            "binary_operator" => self.sum(node, scope, next),
            "identifier" => {
                let (value, scope) = self.names.value(text(node, self.source), scope, node)?;
                self.at_depth(value, scope, next)
            }
            "attribute" => {
                let (value, scope) = self.names.attribute(node, scope, self.source)?;
                self.at_depth(value, scope, next)
            }
            "subscript" => self.item(node, scope, next),
            "call" => self.call(node, scope, next),
            _ => Err(no_constant(node, described(node.kind()))),
        }
    }

    fn count(&self, node: Node<'t>, size: usize) -> Result<(), Problem> {
        let size = self.size.get().saturating_add(size);
        self.size.set(size);
        match size > MAX_SIZE {
            true => Err(Problem::at(node, "stands for more text than any prompt or tool has")),
            false => Ok(()),
        }
    }

    fn string(&self, node: Node<'t>) -> Result<String, Problem> {
        if node.kind() != "string" {
            return Err(no_constant(node, described(node.kind())));
        }
        let text = string::value(node, self.source, &mut self.empty_fields.borrow_mut())?;
        self.count(node, text.len())?;
        Ok(text)
    }

    fn number(&self, node: Node<'t>, negative: bool) -> Result<Value, Problem> {
        let written = text(node, self.source).replace('_', "").to_ascii_lowercase();
        let radix =
            [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| written.starts_with(prefix));
        let digits = match radix {
            Some((prefix, radix)) => {
                u128::from_str_radix(&written[prefix.len()..], radix).ok().map(|number| number.to_string())
            }
            None => Some(as_json(&written)),
        };
        let sign = if negative { "-" } else { "" };
        let value = digits.and_then(|digits| json::parse_exact(&format!("{sign}{digits}")).ok());
        value.ok_or_else(|| {
            Problem::at(node, format!("is the number {}, which JSON cannot write", shown(node, self.source)))
        })
    }

    fn unary(&self, node: Node<'t>) -> Result<Value, Problem> {
        let argument =
            field(node, "argument").filter(|argument| ["integer", "float"].contains(&argument.kind()));
        let sign = field(node, "operator").map(|operator| text(operator, self.source));
        match (argument, sign) {
            (Some(argument), Some("-")) => self.number(argument, true),
            (Some(argument), Some("+")) => self.number(argument, false),
            _ => Err(no_constant(node, "a computation")),
        }
    }

    fn list(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        for part in parts(node) {
            match (part.kind(), parts(part).first()) {
                ("list_splat", Some(inner)) => match self.at_depth(*inner, scope, depth)? {
                    Value::Array(inner) => items.extend(inner),
                    _ => return Err(no_constant(part, "`*` before something else than a list")),
                },
                _ => items.push(self.at_depth(part, scope, depth)?),
            }
        }
        Ok(Value::Array(items))
    }

    fn dict(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        let mut members = Map::new();
        for part in parts(node) {
            match (part.kind(), field(part, "key"), field(part, "value")) {
                ("pair", Some(key), Some(value)) => {
                    let Value::String(name) = self.at_depth(key, scope, depth)? else {
                        return Err(no_constant(key, "a key that is no string"));
                    };
                    // Of two equal keys the last one counts, as in Python.
                    members.insert(name, self.at_depth(value, scope, depth)?);
                }
                ("dictionary_splat", ..) => {
                    match parts(part).first().map(|inner| self.at_depth(*inner, scope, depth)) {
                        Some(Ok(Value::Object(inner))) => members.extend(inner),
                        Some(Err(problem)) => return Err(problem),
                        _ => return Err(no_constant(part, "`**` before something else than a dict")),
                    }
                }
                _ => return Err(no_constant(part, described(part.kind()))),
            }
        }
        Ok(Value::Object(members))
    }

    /// A sum of strings or lists. The left side nests once for each `+`, so it is followed by a loop.
    fn sum(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        let mut terms = Vec::new();
        let mut left = node;
        while left.kind() == "binary_operator" {
            let is_sum = field(left, "operator").is_some_and(|operator| text(operator, self.source) == "+");
            let (true, Some(first), Some(second)) = (is_sum, field(left, "left"), field(left, "right"))
            else {
                return Err(no_constant(left, "a computation"));
            };
            terms.push(second);
            left = first;
        }
        let mut sum = self.at_depth(left, scope, depth)?;
        for term in terms.into_iter().rev() {
            match (&mut sum, self.at_depth(term, scope, depth)?) {
                (Value::String(sum), Value::String(more)) => sum.push_str(&more),
                (Value::Array(sum), Value::Array(more)) => sum.extend(more),
                _ => return Err(no_constant(term, "a sum of other things than two strings or two lists")),
            }
        }
        Ok(sum)
    }

    fn item(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        let mut cursor = node.walk();
        let subscripts: Vec<Node<'t>> = node.children_by_field_name("subscript", &mut cursor).collect();
        let (Some(object), [subscript]) = (field(node, "value"), subscripts.as_slice()) else {
            return Err(no_constant(node, described(node.kind())));
        };
        let object = self.at_depth(object, scope, depth)?;
        let found = match self.at_depth(*subscript, scope, depth)? {
            Value::String(key) => object.get(&key).cloned(),
            Value::Number(index) => {
                index.as_u64().and_then(|index| object.get(usize::try_from(index).ok()?)).cloned()
            }
            _ => None,
        };
        found.ok_or_else(|| no_constant(node, "an item that is not there"))
    }

    /// The calls that only rewrite constants.
    fn call(&self, node: Node<'t>, scope: ScopeId, depth: usize) -> Result<Value, Problem> {
        let refused = || {
            let name = field(node, "function").map_or_else(String::new, |name| shown(name, self.source));
            Problem::at(node, format!("calls `{}`, and nothing of the file is run", name))
        };
        let (Some(function), Some(arguments)) = (field(node, "function"), field(node, "arguments")) else {
            return Err(refused());
        };
        let arguments = parts(arguments);
        let text_of = |node: Node<'t>| match self.at_depth(node, scope, depth)? {
            Value::String(text) => Ok(text),
            _ => Err(refused()),
        };
        let own = |name: &str| self.names.is_bound(name, scope);
        match (text(function, self.source), arguments.as_slice()) {
            ("textwrap.dedent" | "dedent" | "json.loads" | "loads", _)
                if ["textwrap", "dedent", "json", "loads"].into_iter().any(own) =>
            {
                Err(refused())
            }
            ("textwrap.dedent" | "dedent", [argument]) => Ok(Value::String(dedent(&text_of(*argument)?))),
            ("json.loads" | "loads", [argument]) => {
                let text = text_of(*argument)?;
                self.count(node, text.len())?;
                json::input::parse_exact(&text)
                    .map_err(|error| Problem::at(node, format!("is not valid JSON: {error}")))
            }
            _ => {
                let object = field(function, "object").filter(|_| function.kind() == "attribute");
                let method = field(function, "attribute").map(|name| text(name, self.source));
                match (object, method, arguments.is_empty()) {
                    (Some(object), Some("strip"), true) => Ok(text_of(object)?.trim_matches(is_space).into()),
                    (Some(object), Some("lstrip"), true) => {
                        Ok(text_of(object)?.trim_start_matches(is_space).into())
                    }
                    (Some(object), Some("rstrip"), true) => {
                        Ok(text_of(object)?.trim_end_matches(is_space).into())
                    }
                    _ => Err(refused()),
                }
            }
        }
    }
}

/// White space by Python's `str.isspace`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `text` without the blanks and tabs that all lines begin with, as Python's `textwrap.dedent` takes them away. Lines of
/// only blanks become empty, and do not count.
fn dedent(text: &str) -> String {
    let blank = |c: char| c == ' ' || c == '\t';
    let lines: Vec<&str> =
        text.split('\n').map(|line| if line.chars().all(blank) { "" } else { line }).collect();
    let margins = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| &line[..line.len() - line.trim_start_matches(blank).len()]);
    let margin = margins.reduce(|a, b| {
        let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        &a[..common]
    });
    let margin = margin.unwrap_or_default();
    lines.iter().map(|line| line.strip_prefix(margin).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// A decimal number of Python in JSON's form.
fn as_json(written: &str) -> String {
    let (mantissa, exponent) = match written.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (written, String::new()),
    };
    let mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            let zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
            format!("{}.{}", without_zeros(&zero(whole)), zero(fraction))
        }
        None => without_zeros(mantissa).to_owned(),
    };
    mantissa + &exponent
}

fn without_zeros(digits: &str) -> &str {
    let rest = digits.trim_start_matches('0');
    if rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        &digits[digits.len() - rest.len().max(1)..]
    } else {
        rest
    }
}

fn no_constant(node: Node<'_>, found: &str) -> Problem {
    Problem::at(node, format!("is {found}, not a constant, and nothing of the file is run"))
}

/// An expression in words.
fn described(kind: &str) -> &'static str {
    match kind {
        "conditional_expression" => "a condition",
        "list_comprehension" | "dictionary_comprehension" | "set_comprehension" | "generator_expression" => {
            "a comprehension"
        }
        "set" => "a set",
        "lambda" => "a function",
        "await" => "an `await`",
        "boolean_operator" | "not_operator" | "comparison_operator" => "a computation",
        "subscript" => "a part of something",
        "ellipsis" => "`...`",
        _ => "an expression",
    }
}

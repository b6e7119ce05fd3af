//! Jinja2's filters on one value: text, numbers, and the order of items.

use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::fault::fault;
use super::lookup::path;
use super::methods::{self, capitalize, int, replaced, split_lines, trim};
use super::number::{parse_float, parse_int, round};
use super::operators::{equal, int_value, sort_by_key};
use super::text::{self, soft_str};
use super::value::{Py, SequenceKind, generator, iterate, list, tuple, type_name, view};
use super::{format, lookup};

type Outcome = Result<Value, Error>;

/// `value|string`.
pub(super) fn string(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("object")?;
    args.finish()?;
    text::str(state, &value).map(Value::from)
}

/// `value|safe`: nothing is escaped here, so nothing is marked.
pub(super) fn safe(state: &mut State, args: Arguments) -> Outcome {
    string(state, args)
}

/// `value|escape`.
pub(super) fn escape(state: &mut State, mut args: Arguments) -> Outcome {
    let text = soft_str(state, &args.required("s")?)?;
    args.finish()?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    state.consume_fuel(out.len() as u64)?;
    Ok(Value::from(out))
}

/// `value|upper`, `|lower`, `|capitalize`, `|title`, by name.
pub(super) fn cased(state: &mut State, mut args: Arguments, name: &str) -> Outcome {
    let text = soft_str(state, &args.required("s")?)?;
    args.finish()?;
    Ok(Value::from(match name {
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        "capitalize" => capitalize(&text),
        _ => title(&text),
    }))
}

/// Jinja's own title: a capital after blanks, `-` and opening brackets only.
fn title(text: &str) -> String {
    let is_gap = |c: char| methods::is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        starts = is_gap(c);
    }
    out
}

/// `value|trim(chars)`.
pub(super) fn trimmed(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let chars = args.optional("chars");
    args.finish()?;
    trim(state, &value, chars.as_ref())
}

/// `s|replace(old, new, count)`.
pub(super) fn replace(state: &mut State, mut args: Arguments) -> Outcome {
    let (s, old, new) = (args.required("s")?, args.required("old")?, args.required("new")?);
    let count = int(args.optional("count"), -1)?;
    args.finish()?;
    let (s, old, new) = (soft_str(state, &s)?, soft_str(state, &old)?, soft_str(state, &new)?);
    replaced(state, &s, &old, &new, count).map(Value::from)
}

/// `s|indent(width, first, blank)`.
pub(super) fn indent(state: &mut State, mut args: Arguments) -> Outcome {
    let s = args.required("s")?;
    let width = args.optional("width");
    let first = args.optional("first").is_some_and(|v| v.is_true());
    let blank = args.optional("blank").is_some_and(|v| v.is_true());
    args.finish()?;
    let margin = match width.as_ref().map(view) {
        Some(Py::Str(text)) => text.to_owned(),
        _ => " ".repeat(usize::try_from(int(width, 4)?).unwrap_or(0).min(1000)),
    };
    let text = text::expect_str(&s, "the text to indent")?.to_owned() + "\n";
    let lines = split_lines(&text, false);
    state.consume_fuel((text.len() + lines.len() * margin.len()) as u64)?;
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// `value|center(width)`.
pub(super) fn center(state: &mut State, mut args: Arguments) -> Outcome {
    let text = Value::from(soft_str(state, &args.required("value")?)?);
    let width = args.optional("width").unwrap_or_else(|| Value::from(80));
    args.finish()?;
    methods::call(state, &text, "center", &[width])
}

/// `s|truncate(length, killwords, end, leeway)`.
pub(super) fn truncate(state: &mut State, mut args: Arguments) -> Outcome {
    let s = soft_str(state, &args.required("s")?)?;
    let length = usize::try_from(int(args.optional("length"), 255)?).unwrap_or(0);
    let kill_words = args.optional("killwords").is_some_and(|v| v.is_true());
    let end = args.optional("end").map_or(Ok("...".to_owned()), |end| soft_str(state, &end))?;
    let leeway = usize::try_from(int(args.optional("leeway"), 5)?).unwrap_or(0);
    args.finish()?;
    let chars: Vec<char> = s.chars().collect();
    if chars.len() <= length + leeway {
        return Ok(Value::from(s));
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(fault("truncate: the length is shorter than the end"));
    };
    let cut: String = chars[..kept].iter().collect();
    let cut =
        if kill_words { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head) };
    Ok(Value::from(format!("{cut}{end}")))
}

/// `s|wordcount`.
pub(super) fn wordcount(state: &mut State, mut args: Arguments) -> Outcome {
    let text = soft_str(state, &args.required("s")?)?;
    args.finish()?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Ok(Value::from(words.count()))
}

/// `template|format(*args, **kwargs)`: `template % args`.
pub(super) fn formatted(state: &mut State, mut args: Arguments) -> Outcome {
    let template = soft_str(state, &args.required("value")?)?;
    let (positional, named) = args.into_rest();
    if named.is_empty() {
        return format::percent(state, &template, positional);
    }
    if !positional.is_empty() {
        return Err(fault("can't handle positional and keyword arguments at the same time"));
    }
    let named = super::value::dict(named.into_iter().map(|(key, value)| (Value::from(key), value)))?;
    format::percent(state, &template, vec![named])
}

/// `value|urlencode` of a text.
pub(super) fn urlencode(state: &mut State, mut args: Arguments) -> Outcome {
    let text = soft_str(state, &args.required("value")?)?;
    args.finish()?;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    state.consume_fuel(out.len() as u64)?;
    Ok(Value::from(out))
}

/// `value|int(default, base)`.
pub(super) fn to_int(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default").unwrap_or_else(|| Value::from(0));
    let base = u32::try_from(int(args.optional("base"), 10)?).ok().filter(|base| (2..=36).contains(base));
    args.finish()?;
    let whole = |float: f64| (float.is_finite() && float.abs() < 1e38).then_some(float.trunc() as i128);
    let found = match view(&value) {
        Py::Str(text) => {
            base.and_then(|base| parse_int(text, base)).or_else(|| parse_float(text).and_then(whole))
        }
        Py::Bool(bool) => Some(i128::from(bool)),
        Py::Int(int) => Some(int),
        Py::Float(float) => whole(float),
        _ => None,
    };
    Ok(found.map_or(default, int_value))
}

/// `value|float(default)`.
pub(super) fn to_float(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default").unwrap_or_else(|| Value::from(0.0));
    args.finish()?;
    let found = match view(&value) {
        Py::Str(text) => parse_float(text),
        Py::Bool(bool) => Some(f64::from(u8::from(bool))),
        Py::Int(int) => Some(int as f64),
        Py::Float(float) => Some(float),
        _ => None,
    };
    Ok(found.map_or(default, Value::from))
}

/// `value|abs`.
pub(super) fn abs(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("x")?;
    args.finish()?;
    match view(&value) {
        Py::Bool(bool) => Ok(Value::from(i64::from(bool))),
        Py::Int(int) => Ok(int_value(int.saturating_abs())),
        Py::Float(float) => Ok(Value::from(float.abs())),
        _ => Err(fault(format!("bad operand type for abs(): '{}'", type_name(&value)))),
    }
}

/// `value|round(precision, method)`.
pub(super) fn rounded(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let precision = int(args.optional("precision"), 0)?.clamp(-400, 400) as i32;
    let method = args.optional("method").unwrap_or_else(|| Value::from("common"));
    args.finish()?;
    let float = match view(&value) {
        Py::Int(int) => int as f64,
        Py::Bool(bool) => f64::from(u8::from(bool)),
        Py::Float(float) => float,
        _ => return Err(fault(format!("type {} has no rounding", type_name(&value)))),
    };
    let scale = 10f64.powi(precision);
    match method.as_str() {
        // A whole number stays one.
        Some("common") if !matches!(view(&value), Py::Float(_)) => {
            if precision >= 0 {
                return Ok(Value::from(float as i64));
            }
            Ok(Value::from(round(float, precision) as i64))
        }
        Some("common") => Ok(Value::from(round(float, precision))),
        Some("ceil") => Ok(Value::from((float * scale).ceil() / scale)),
        Some("floor") => Ok(Value::from((float * scale).floor() / scale)),
        _ => Err(fault("method must be common, ceil or floor")),
    }
}

/// `value|default(default_value, boolean)`.
pub(super) fn default(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default_value").unwrap_or_else(|| Value::from(""));
    let falsy = args.optional("boolean").is_some_and(|v| v.is_true());
    args.finish()?;
    Ok(if value.is_undefined() || (falsy && !value.is_true()) { default } else { value })
}

/// `value|length`.
pub(super) fn length(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("obj")?;
    args.finish()?;
    match view(&value) {
        Py::Undefined => Ok(Value::from(0)),
        Py::Str(text) => {
            state.consume_fuel(text.len() as u64 / 64)?;
            Ok(Value::from(text.chars().count()))
        }
        Py::Seq(items) if items.kind != SequenceKind::Generator => Ok(Value::from(items.items().len())),
        Py::Dict(dict) => Ok(Value::from(dict.len())),
        _ => Err(fault(format!("object of type '{}' has no len()", type_name(&value)))),
    }
}

/// `value|list`.
pub(super) fn to_list(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    list(iterate(state, &value)?)
}

/// `value|items`.
pub(super) fn items(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    match view(&value) {
        Py::Undefined => generator(Vec::new()),
        Py::Dict(dict) => {
            let pairs = dict.iter().map(|(key, value)| tuple(vec![key.clone(), value.clone()]));
            generator(pairs.collect::<Result<_, _>>()?)
        }
        _ => Err(fault("Can only get item pairs from a mapping.")),
    }
}

/// `value|first`.
pub(super) fn first(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("seq")?;
    args.finish()?;
    match view(&value) {
        Py::Seq(items) => Ok(items.first().cloned().unwrap_or_default()),
        Py::Str(text) => Ok(text.chars().next().map(Value::from).unwrap_or_default()),
        _ => Ok(iterate(state, &value)?.into_iter().next().unwrap_or_default()),
    }
}

/// `value|last`.
pub(super) fn last(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("seq")?;
    args.finish()?;
    match view(&value) {
        Py::Seq(items) if items.kind == SequenceKind::Generator => {
            Err(fault("'generator' object is not reversible"))
        }
        Py::Seq(items) => Ok(items.items().last().cloned().unwrap_or_default()),
        Py::Str(text) => Ok(text.chars().next_back().map(Value::from).unwrap_or_default()),
        _ => Ok(iterate(state, &value)?.pop().unwrap_or_default()),
    }
}

/// `value|reverse`.
pub(super) fn reverse(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    if let Py::Str(text) = view(&value) {
        state.consume_fuel(text.len() as u64 / 8)?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = iterate(state, &value)?;
    items.reverse();
    generator(items)
}

/// `value|join(d, attribute)`.
pub(super) fn join(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let separator = args.optional("d").map_or(Ok(String::new()), |d| soft_str(state, &d))?;
    let attribute = args.optional("attribute").filter(|v| !v.is_none());
    args.finish()?;
    let mut out = String::new();
    for (i, item) in iterate(state, &value)?.iter().enumerate() {
        let item = match &attribute {
            Some(attribute) => path(state, item, attribute)?,
            None => item.clone(),
        };
        if i > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text::str(state, &item)?);
        state.consume_fuel(separator.len() as u64)?;
    }
    state.consume_fuel(out.len() as u64)?;
    Ok(Value::from(out))
}

/// `value|attr(name)`: attributes only, never items.
pub(super) fn attr(_: &mut State, mut args: Arguments) -> Outcome {
    let (value, name) = (args.required("obj")?, args.required("name")?);
    args.finish()?;
    let word = text::expect_str(&name, "the attribute's name")?;
    Ok(match view(&value) {
        Py::Namespace(namespace) => namespace.get(word).unwrap_or_default(),
        Py::Other if value.as_object().is_some() => value.get_attr(word)?,
        _ => Value::UNDEFINED,
    })
}

/// A key that sorts texts without regard to case.
fn folded(value: Value, case_sensitive: bool) -> Value {
    match view(&value) {
        Py::Str(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => value,
    }
}

/// The keys of `items`: an attribute or several parted by commas, without regard to case.
fn keys(
    state: &State,
    items: &[Value],
    attribute: Option<&Value>,
    case_sensitive: bool,
) -> Result<Vec<Value>, Error> {
    items
        .iter()
        .map(|item| match attribute.map(view) {
            None => Ok(folded(item.clone(), case_sensitive)),
            Some(Py::Str(names)) if names.contains(',') => list(
                names
                    .split(',')
                    .map(|name| Ok(folded(path(state, item, &Value::from(name))?, case_sensitive)))
                    .collect::<Result<_, Error>>()?,
            ),
            Some(_) => Ok(folded(path(state, item, attribute.unwrap_or(&Value::UNDEFINED))?, case_sensitive)),
        })
        .collect()
}

fn sorted(state: &State, items: Vec<Value>, keys: Vec<Value>, reverse: bool) -> Result<Vec<Value>, Error> {
    let mut pairs: Vec<(Value, Value)> = keys.into_iter().zip(items).collect();
    // Python reverses before and after, so that equal items keep their order.
    if reverse {
        pairs.reverse();
    }
    sort_by_key(state, &mut pairs, |(key, _)| key.clone())?;
    if reverse {
        pairs.reverse();
    }
    Ok(pairs.into_iter().map(|(_, item)| item).collect())
}

/// `value|sort(reverse, case_sensitive, attribute)`.
pub(super) fn sort(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let reverse = args.optional("reverse").is_some_and(|v| v.is_true());
    let case_sensitive = args.optional("case_sensitive").is_some_and(|v| v.is_true());
    let attribute = args.optional("attribute").filter(|v| !v.is_none());
    args.finish()?;
    let keys = keys(state, &items, attribute.as_ref(), case_sensitive)?;
    list(sorted(state, items, keys, reverse)?)
}

/// `value|dictsort(case_sensitive, by, reverse)`.
pub(super) fn dictsort(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let case_sensitive = args.optional("case_sensitive").is_some_and(|v| v.is_true());
    let by = args.optional("by").unwrap_or_else(|| Value::from("key"));
    let reverse = args.optional("reverse").is_some_and(|v| v.is_true());
    args.finish()?;
    let Py::Dict(dict) = view(&value) else {
        return Err(fault(format!("'{}' object has no attribute 'items'", type_name(&value))));
    };
    let by_value = match by.as_str() {
        Some("key") => false,
        Some("value") => true,
        _ => return Err(fault("You can only sort by either \"key\" or \"value\"")),
    };
    let keys = dict.iter().map(|(key, value)| if by_value { value } else { key });
    let keys = keys.map(|key| folded(key.clone(), case_sensitive)).collect();
    let pairs = dict.iter().map(|(key, value)| tuple(vec![key.clone(), value.clone()]));
    list(sorted(state, pairs.collect::<Result<_, _>>()?, keys, reverse)?)
}

/// `value|min(case_sensitive, attribute)` and `|max`.
pub(super) fn extreme(state: &mut State, mut args: Arguments, name: &str) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let case_sensitive = args.optional("case_sensitive").is_some_and(|v| v.is_true());
    let attribute = args.optional("attribute").filter(|v| !v.is_none());
    args.finish()?;
    let keys = keys(state, &items, attribute.as_ref(), case_sensitive)?;
    // Reversed order keeps the first of equal items in front, as `max` does.
    Ok(sorted(state, items, keys, name == "max")?.into_iter().next().unwrap_or_default())
}

/// `value|unique(case_sensitive, attribute)`.
pub(super) fn unique(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let case_sensitive = args.optional("case_sensitive").is_some_and(|v| v.is_true());
    let attribute = args.optional("attribute").filter(|v| !v.is_none());
    args.finish()?;
    let mut seen: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    for (key, item) in keys(state, &items, attribute.as_ref(), case_sensitive)?.into_iter().zip(items) {
        let mut known = false;
        for other in &seen {
            known = known || equal(state, other, &key)?;
        }
        if !known {
            seen.push(key);
            kept.push(item);
        }
    }
    generator(kept)
}

/// `value|sum(attribute, start)`.
pub(super) fn sum(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("iterable")?)?;
    let attribute = args.optional("attribute").filter(|v| !v.is_none());
    let mut total = args.optional("start").unwrap_or_else(|| Value::from(0));
    args.finish()?;
    for item in items {
        let item = match &attribute {
            Some(attribute) => path(state, &item, attribute)?,
            None => item,
        };
        total = super::operators::add(state, Arguments::new(&[total, item]))?;
    }
    Ok(total)
}

/// `value|groupby(attribute, default, case_sensitive)`.
pub(super) fn groupby(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let attribute = args.required("attribute")?;
    let default = args.optional("default").filter(|v| !v.is_none());
    let case_sensitive = args.optional("case_sensitive").is_some_and(|v| v.is_true());
    args.finish()?;
    let mut keyed = Vec::new();
    for item in items {
        let key = lookup::path(state, &item, &attribute)?;
        let key = if key.is_undefined() { default.clone().unwrap_or(key) } else { key };
        keyed.push((folded(key.clone(), case_sensitive), key, item));
    }
    sort_by_key(state, &mut keyed, |(folded, _, _)| folded.clone())?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (folded, key, item) in keyed {
        match groups.last_mut() {
            Some((last, _, members)) if equal(state, last, &folded)? => members.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    list(
        groups
            .into_iter()
            .map(|(_, key, members)| tuple(vec![key, list(members)?]))
            .collect::<Result<_, _>>()?,
    )
}

/// `value|batch(linecount, fill_with)`.
pub(super) fn batch(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let size = usize::try_from(int(Some(args.required("linecount")?), 0)?).unwrap_or(0).max(1);
    let fill = args.optional("fill_with").filter(|v| !v.is_none());
    args.finish()?;
    let mut rows: Vec<Vec<Value>> = items.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(row), Some(fill)) = (rows.last_mut(), fill) {
        state.consume_fuel(size as u64)?;
        row.resize(size, fill);
    }
    generator(rows.into_iter().map(list).collect::<Result<_, _>>()?)
}

/// `value|slice(slices, fill_with)`.
pub(super) fn slice(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let slices = usize::try_from(int(Some(args.required("slices")?), 0)?).unwrap_or(0);
    let fill = args.optional("fill_with").filter(|v| !v.is_none());
    args.finish()?;
    if slices == 0 {
        return Err(fault("integer division or modulo by zero"));
    }
    state.consume_fuel(slices as u64)?;
    let (each, more) = (items.len() / slices, items.len() % slices);
    let mut at = 0;
    let mut rows = Vec::new();
    for i in 0..slices {
        let end = at + each + usize::from(i < more);
        let mut row = items[at..end].to_vec();
        if i >= more {
            row.extend(fill.clone());
        }
        rows.push(list(row)?);
        at = end;
    }
    generator(rows)
}

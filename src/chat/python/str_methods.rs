//! Methods of `str`.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, int};
use super::error::python_error;
use super::strings::{
    capitalize, is_decimal, is_digit, is_lower, is_space, is_upper, line_count, split_blanks, split_lines,
    strip, title,
};
use super::text::{expect_str, is_printable};
use super::value::{Py, SequenceKind, iterate, list, tuple, type_name, view};
use super::{format, fuel, text};

/// Every method.
pub(super) const NAMES: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// Pays for reading and copying `s` in the method `name`.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn pay(state: &State, s: &str, name: &str) -> Result<(), Error> {
    match name {
        // They look at the ends.
        "startswith" | "endswith" => Ok(()),
        "swapcase" => fuel::bytes(state, s.len().saturating_mul(16)),
        "capitalize" | "casefold" | "istitle" | "lower" | "title" | "upper" => {
            fuel::bytes(state, s.len().saturating_mul(4))
        }
        _ => fuel::bytes(state, s.len()),
    }
}

/// `s.name(*args)` for a name of [`NAMES`], as a text without markup.
pub(super) fn call(
    state: &State,
    s: &str,
    name: &str,
    mut args: Arguments,
    is_markup: bool,
) -> Result<Value, Error> {
    match name {
        "format" => {
            let (positional, named) = args.into_rest();
            return format::braces(state, s, positional, named, is_markup);
        }
        "join" => {
            let items = iterate(state, &args.required("iterable")?)?;
            args.finish()?;
            return join(state, s, &items, is_markup);
        }
        "split" | "rsplit" => return split(state, s, name == "rsplit", args),
        "splitlines" => {
            let keep = args.flag("keepends");
            args.finish()?;
            fuel::items(state, line_count(s).saturating_mul(2))?;
            return list(split_lines(s, keep).into_iter().map(Value::from).collect());
        }
        "startswith" | "endswith" => return starts_or_ends(state, s, name, args),
        "find" | "rfind" | "index" | "rindex" | "count" => return search(state, s, name, args),
        "replace" => return replace(state, s, args, is_markup),
        "center" | "ljust" | "rjust" | "zfill" => return pad(state, s, name, args),
        "expandtabs" => {
            let width = args.int("tabsize", 8)?;
            args.finish()?;
            return expand_tabs(state, s, width);
        }
        _ => {}
    }
    let argument = args.next().filter(|v| !v.is_none());
    args.finish()?;
    match (name, argument) {
        ("strip" | "lstrip" | "rstrip", chars) => {
            let chars =
                chars.as_ref().map(|chars| expect_str(chars, "the characters to strip")).transpose()?;
            fuel::bytes(state, chars.map_or(0, str::len).saturating_mul(4))?;
            Ok(Value::from(strip(s, chars, name != "rstrip", name != "lstrip")))
        }
        ("removeprefix", Some(part)) => {
            Ok(Value::from(s.strip_prefix(expect_str(&part, "the prefix")?).unwrap_or(s)))
        }
        ("removesuffix", Some(part)) => {
            Ok(Value::from(s.strip_suffix(expect_str(&part, "the suffix")?).unwrap_or(s)))
        }
        ("partition" | "rpartition", Some(part)) => {
            let part = expect_str(&part, "the separator")?;
            fuel::bytes(state, part.len())?;
            let (head, middle, tail) =
                match if name == "partition" { s.split_once(part) } else { s.rsplit_once(part) } {
                    Some((head, tail)) => (head, part, tail),
                    None if name == "partition" => (s, "", ""),
                    None => ("", "", s),
                };
            tuple([head, middle, tail].into_iter().map(Value::from).collect())
        }
        (_, Some(_)) => Err(python_error(format!("str.{name}() takes no arguments"))),
        ("removeprefix" | "removesuffix" | "partition" | "rpartition", None) => {
            Err(python_error(format!("str.{name}() takes exactly one argument")))
        }
        (_, None) => Ok(plain_method(s, name)),
    }
}

/// The methods without arguments.
fn plain_method(s: &str, name: &str) -> Value {
    let every = |test: fn(char) -> bool| Value::from(!s.is_empty() && s.chars().all(test));
    match name {
        "lower" => Value::from(s.to_lowercase()),
        "casefold" => Value::from(s.to_lowercase().replace('ß', "ss")),
        "upper" => Value::from(s.to_uppercase()),
        "capitalize" => Value::from(capitalize(s)),
        "title" => Value::from(title(s)),
        "swapcase" => Value::from(
            s.chars()
                .map(|c| {
                    if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() }
                })
                .collect::<String>(),
        ),
        "islower" => Value::from(is_lower(s)),
        "isupper" => Value::from(is_upper(s)),
        "istitle" => Value::from(s.chars().any(char::is_alphabetic) && title(s) == s),
        "isspace" => every(is_space),
        "isalpha" => every(char::is_alphabetic),
        "isalnum" => every(char::is_alphanumeric),
        "isdigit" => every(is_digit),
        "isdecimal" => every(is_decimal),
        "isnumeric" => every(char::is_numeric),
        "isascii" => Value::from(s.is_ascii()),
        "isprintable" => Value::from(s.chars().all(is_printable)),
        _ => {
            let mut chars = s.chars();
            let starts = chars.next().is_some_and(|c| c == '_' || c.is_alphabetic());
            Value::from(starts && chars.all(|c| c == '_' || c.is_alphanumeric()))
        }
    }
}

fn split(state: &State, s: &str, from_right: bool, mut args: Arguments) -> Result<Value, Error> {
    let separator = args.given("sep");
    let limit = args.int("maxsplit", -1)?;
    args.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
    let parts: Vec<&str> = match &separator {
        Some(separator) => {
            let separator = expect_str(separator, "the separator")?;
            if separator.is_empty() {
                return Err(python_error("empty separator"));
            }
            fuel::bytes(state, separator.len())?;
            fuel::items(state, s.matches(separator).count().min(limit).saturating_mul(2))?;
            if from_right {
                let mut parts: Vec<&str> = s.rsplitn(limit + 1, separator).collect();
                parts.reverse();
                parts
            } else {
                s.splitn(limit + 1, separator).collect()
            }
        }
        None => {
            let blanks = s.chars().filter(|&c| is_space(c)).count();
            fuel::items(state, blanks.min(limit).saturating_mul(2))?;
            split_blanks(s, limit, from_right)
        }
    };
    list(parts.into_iter().map(Value::from).collect())
}

fn join(state: &State, separator: &str, items: &[Value], is_markup: bool) -> Result<Value, Error> {
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        let part = match view(item) {
            _ if is_markup => text::escaped_str(state, item)?,
            Py::Str(part) => part.to_owned(),
            _ => {
                return Err(python_error(format!(
                    "sequence item {i}: expected str instance, {} found",
                    type_name(item)
                )));
            }
        };
        // Twice, since a text doubles as it grows.
        fuel::bytes(state, (separator.len() + part.len()).saturating_mul(2))?;
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&part);
    }
    Ok(Value::from(out))
}

fn starts_or_ends(state: &State, s: &str, name: &str, mut args: Arguments) -> Result<Value, Error> {
    let wanted = args.required("prefix")?;
    let (from, to) = (args.next(), args.next());
    args.finish()?;
    let s = window(state, s, from, to)?.1;
    let holds = |part: &Value| -> Result<bool, Error> {
        let part = expect_str(part, &format!("the argument of {name}"))?;
        fuel::bytes(state, part.len().min(s.len()))?;
        Ok(if name == "startswith" { s.starts_with(part) } else { s.ends_with(part) })
    };
    if let Py::Seq(tuple) = view(&wanted)
        && tuple.kind == SequenceKind::Tuple
    {
        fuel::items(state, tuple.items().len())?;
        for part in tuple.items() {
            if holds(part)? {
                return Ok(Value::from(true));
            }
        }
        return Ok(Value::from(false));
    }
    holds(&wanted).map(Value::from)
}

fn search(state: &State, s: &str, name: &str, mut args: Arguments) -> Result<Value, Error> {
    let wanted = args.required("sub")?;
    let (from, to) = (args.next(), args.next());
    args.finish()?;
    let wanted = expect_str(&wanted, &format!("the argument of {name}"))?;
    fuel::bytes(state, wanted.len())?;
    let (start, s) = window(state, s, from, to)?;
    if name == "count" {
        return Ok(Value::from(if wanted.is_empty() {
            s.chars().count() + 1
        } else {
            s.matches(wanted).count()
        }));
    }
    match if name.starts_with('r') { s.rfind(wanted) } else { s.find(wanted) } {
        Some(at) => Ok(Value::from(start + s[..at].chars().count())),
        None if name.ends_with("index") => Err(python_error("substring not found")),
        None => Ok(Value::from(-1)),
    }
}

/// The part of `s` between two character positions, and the number of characters before it.
fn window<'s>(
    state: &State,
    s: &'s str,
    from: Option<Value>,
    to: Option<Value>,
) -> Result<(usize, &'s str), Error> {
    if from.is_none() && to.is_none() {
        return Ok((0, s));
    }
    fuel::bytes(state, s.len())?;
    let len = s.chars().count() as i64;
    let clamp =
        |bound: i64| usize::try_from(if bound < 0 { bound + len } else { bound.min(len) }).unwrap_or(0);
    let (from, to) = (clamp(int(from, 0)?), clamp(int(to, len)?));
    let byte = |at: usize| s.char_indices().nth(at).map_or(s.len(), |(byte, _)| byte);
    Ok((from, if from < to { &s[byte(from)..byte(to)] } else { "" }))
}

fn replace(state: &State, s: &str, mut args: Arguments, is_markup: bool) -> Result<Value, Error> {
    let (old, new) = (args.required("old")?, args.required("new")?);
    let count = args.int("count", -1)?;
    args.finish()?;
    let (old, new_text) = (expect_str(&old, "the text to replace")?, expect_str(&new, "the replacement")?);
    let new = if is_markup { text::escaped_str(state, &new)? } else { new_text.to_owned() };
    Ok(Value::from(replaced(state, s, old, &new, count)?))
}

/// `s.replace(old, new, count)`; the fuel is consumed first.
pub(super) fn replaced(state: &State, s: &str, old: &str, new: &str, count: i64) -> Result<String, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    fuel::bytes(state, s.len() + old.len())?;
    let hits = s.matches(old).count().min(count);
    fuel::bytes(state, s.len() + hits.saturating_mul(new.len().saturating_mul(2).max(8)))?;
    Ok(s.replacen(old, new, count))
}

fn pad(state: &State, s: &str, name: &str, mut args: Arguments) -> Result<Value, Error> {
    let width = int(Some(args.required("width")?), 0)?;
    let fill = args.next();
    args.finish()?;
    let fill = match &fill {
        Some(fill) => expect_str(fill, "the fill character")?.to_owned(),
        None => " ".to_owned(),
    };
    if fill.chars().count() != 1 {
        return Err(python_error("the fill character must be exactly one character long"));
    }
    let len = s.chars().count();
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(len);
    fuel::bytes(state, missing.saturating_mul(fill.len()).saturating_mul(2))?;
    let filling = |n: usize| fill.repeat(n);
    Ok(Value::from(match name {
        "ljust" => format!("{s}{}", filling(missing)),
        "rjust" => format!("{}{s}", filling(missing)),
        "zfill" => {
            let sign = usize::from(s.starts_with(['+', '-']));
            format!("{}{}{}", &s[..sign], "0".repeat(missing), &s[sign..])
        }
        _ => {
            // CPython puts the odd blank on the left if the width is odd, too.
            let left = missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1);
            format!("{}{s}{}", filling(left), filling(missing - left))
        }
    }))
}

fn expand_tabs(state: &State, s: &str, width: i64) -> Result<Value, Error> {
    let width = usize::try_from(width).unwrap_or(0);
    let mut out = String::new();
    let mut column = 0;
    for c in s.chars() {
        match c {
            '\t' => {
                let blanks = if width == 0 { 0 } else { width - column % width };
                fuel::bytes(state, blanks.saturating_mul(4))?;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            c => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(Value::from(out))
}

//! Filters, tests and globals of a chat template, as in Jinja2 and `transformers`.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};

use super::arguments::Arguments;
use super::error::{RaisedError, python_error};
use super::value::{Namespace, Py, iterate, view};
use super::{
    cycle, filters, fuel, items, json, lookup, methods, operators, predicates, select, slices, text, value,
};

/// A function of the template language.
type Native = fn(&mut State, Arguments) -> Result<Value, Error>;

/// Filters with one name each.
const FILTERS: &[(&str, Native)] = &[
    ("abs", filters::abs),
    ("attr", filters::attr),
    ("batch", items::batch),
    ("center", filters::center),
    ("count", items::length),
    ("d", filters::default),
    ("default", filters::default),
    ("dictsort", items::dictsort),
    ("e", filters::escape),
    ("escape", filters::escape),
    ("first", items::first),
    ("float", filters::to_float),
    ("forceescape", filters::force_escape),
    ("format", filters::formatted),
    ("groupby", items::groupby),
    ("indent", filters::indent),
    ("int", filters::to_int),
    ("items", items::items),
    ("join", items::join),
    ("last", items::last),
    ("length", items::length),
    ("list", items::to_list),
    ("map", select::map),
    ("replace", filters::replace),
    ("reverse", items::reverse),
    ("round", filters::rounded),
    ("safe", filters::safe),
    ("slice", items::slice),
    ("sort", items::sort),
    ("string", filters::string),
    ("sum", items::sum),
    ("tojson", json::tojson),
    ("trim", filters::trimmed),
    ("truncate", filters::truncate),
    ("unique", items::unique),
    ("urlencode", filters::urlencode),
    ("wordcount", filters::wordcount),
];

/// A function under several names, which gets the name as an argument.
type Named = (fn(&mut State, Arguments, &str) -> Result<Value, Error>, &'static [&'static str]);
const NAMED_FILTERS: &[Named] = &[
    (filters::cased, &["capitalize", "lower", "title", "upper"]),
    (items::extreme, &["max", "min"]),
    (select::select, &["reject", "rejectattr", "select", "selectattr"]),
];

/// Filters of other engines (OpenVINO's, llama.cpp's), which transformers refuses. `is filter` is false for them, as it is there.
const ELSEWHERE: &[(&str, Native)] = &[("from_json", json::from_json), ("fromjson", json::from_json)];

/// Functions that `rewrite` puts in place of operators and literals. Templates cannot write these names.
const HOOKS: &[(&str, Native)] = &[
    (super::rewrite::ADD, operators::add),
    (super::rewrite::ATTRIBUTE, lookup::attribute),
    (super::rewrite::CHAIN, operators::chain),
    (super::rewrite::CONCAT, operators::concat),
    (super::rewrite::ITEM, lookup::item),
    (super::rewrite::LIST, lookup::list),
    (super::rewrite::LOOP_ARGUMENTS, cycle::loop_arguments),
    (super::rewrite::LOOP, lookup::loop_over),
    (super::rewrite::MAP, lookup::map),
    (super::rewrite::MUL, operators::mul),
    (super::rewrite::NO_TEMPLATES, lookup::no_templates),
    (super::rewrite::REM, operators::rem),
    (super::rewrite::SET_ATTRIBUTE, lookup::set_attribute),
    (super::rewrite::SLICE, slices::slice),
    (super::rewrite::TUPLE, lookup::tuple),
];

const GLOBALS: &[(&str, Native)] = &[
    ("cycler", cycle::cycler),
    ("dict", dict),
    ("joiner", cycle::joiner),
    ("namespace", namespace),
    ("raise_exception", raise_exception),
    ("range", range),
];

/// Longest range that Jinja2's sandbox allows.
const MAX_RANGE: i128 = 100_000;

/// Creates an environment for chat templates, with `fuel` for one rendering.
pub(crate) fn environment(fuel: u64, recursion_limit: usize) -> Environment<'static> {
    // Built from an empty one: the engine's own filters are not all Jinja2's, and a template that tests for a
    // filter must get Jinja2's answer.
    let mut env = Environment::empty();
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(recursion_limit);
    env.set_debug(false);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_formatter(print);
    env.set_unknown_method_callback(methods::call);
    for &(name, function) in FILTERS.iter().chain(ELSEWHERE) {
        env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            state.consume_fuel(fuel::CALL)?;
            function(state, args.into())
        });
    }
    for &(function, names) in NAMED_FILTERS {
        for &name in names {
            env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
                state.consume_fuel(fuel::CALL)?;
                function(state, args.into(), name)
            });
        }
    }
    for &(name, function) in HOOKS.iter().chain(GLOBALS) {
        env.add_function(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            state.consume_fuel(fuel::CALL)?;
            function(state, args.into())
        });
    }
    for &name in predicates::PLAIN {
        env.add_test(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            state.consume_fuel(fuel::CALL)?;
            predicates::plain(state, name, args.into())
        });
    }
    for &(name, operator) in predicates::COMPARISONS {
        env.add_test(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            state.consume_fuel(fuel::CALL)?;
            predicates::comparison(state, operator, args.into())
        });
    }
    env.add_test("sameas", |state: &mut State, args: Rest<ValueOrKwargs>| {
        state.consume_fuel(fuel::CALL)?;
        predicates::same(state, args.into())
    });
    env.add_test("divisibleby", |state: &mut State, args: Rest<ValueOrKwargs>| {
        state.consume_fuel(fuel::CALL)?;
        predicates::divisible(state, args.into())
    });
    env.add_test("filter", |state: &State, name: Value| {
        let is_known = |name: &str| {
            minijinja::tests::is_filter(state, name) && !ELSEWHERE.iter().any(|(other, _)| *other == name)
        };
        name.as_str().is_some_and(is_known)
    });
    env.add_test("test", |state: &State, name: Value| {
        name.as_str().is_some_and(|name| minijinja::tests::is_test(state, name))
    });
    env
}

/// Prints `{{ value }}`. Each byte costs fuel, which bounds the output.
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let write =
        |out: &mut Output, text: &str| out.write_str(text).map_err(|_| Error::from(ErrorKind::WriteFailure));
    match value.as_str() {
        Some(text) => {
            // Twice, since the output doubles as it grows.
            fuel::bytes(state, text.len().saturating_mul(2))?;
            write(out, text)
        }
        None => {
            let text = text::str(state, value)?;
            fuel::bytes(state, text.len())?;
            write(out, &text)
        }
    }
}

fn raise_exception(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let message = text::str(state, &args.required("message")?)?;
    args.finish()?;
    Err(python_error(message.clone()).with_source(RaisedError(message)))
}

fn range(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (values, _) = args.into_rest();
    let ints: Vec<i128> = values
        .iter()
        .map(|value| match view(value) {
            // Bounds of 64 bits keep the arithmetic below from overflowing.
            Py::Int(int) if i64::try_from(int).is_ok() => Ok(int),
            Py::Bool(bool) => Ok(i128::from(bool)),
            _ => Err(python_error("range() takes integers of 64 bits")),
        })
        .collect::<Result<_, _>>()?;
    let (start, stop, step) = match *ints.as_slice() {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return Err(python_error("range() takes one to three integers")),
    };
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let count = match step.checked_abs() {
        None | Some(0) => return Err(python_error("range() arg 3 must not be zero")),
        Some(step) => (span.max(0) + step - 1) / step,
    };
    if count > MAX_RANGE {
        return Err(python_error(format!(
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_RANGE})."
        )));
    }
    fuel::items(state, usize::try_from(count).unwrap_or(0))?;
    value::list((0..count).map(|i| operators::int_value(start + i * step)).collect())
}

/// `dict(mapping_or_pairs, **named)`.
fn dict(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let pairs = pairs(state, args.next())?;
    let (rest, named) = args.into_rest();
    if !rest.is_empty() {
        return Err(python_error("dict expected at most 1 argument"));
    }
    fuel::containers(state, pairs.len() + named.len())?;
    value::dict(pairs.into_iter().chain(named.into_iter().map(|(name, value)| (Value::from(name), value))))
}

/// `namespace(mapping_or_pairs, **named)`.
fn namespace(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let pairs = pairs(state, args.next())?;
    let (_, named) = args.into_rest();
    let namespace = Namespace::default();
    for (name, value) in pairs {
        namespace.set(text::expect_str(&name, "a name in a namespace")?, value)?;
    }
    for (name, value) in named {
        namespace.set(&name, value)?;
    }
    Ok(Value::from_object(namespace))
}

/// The pairs for `dict`'s positional argument.
fn pairs(state: &State, source: Option<Value>) -> Result<Vec<(Value, Value)>, Error> {
    let Some(source) = source else { return Ok(Vec::new()) };
    if let Py::Dict(dict) = view(&source) {
        fuel::containers(state, dict.len())?;
        return Ok(dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    }
    iterate(state, &source)?
        .iter()
        .map(|pair| match iterate(state, pair)?.as_slice() {
            [key, value] => {
                fuel::bytes(state, key.as_str().map_or(0, str::len))?;
                Ok((key.clone(), value.clone()))
            }
            _ => Err(python_error("dict needs pairs")),
        })
        .collect()
}

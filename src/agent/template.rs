//! Command templates: argv with placeholders, filled with the arguments of a call.
//!
//! A placeholder `{name}` stands for one argument, as an element of argv or as a part of one. No shell reads the result, so
//! an argument can neither end its element nor start another. `{name...}` makes an element of each item of an array. A
//! list inside of the list is a group. An element or a group with an argument that is absent or null is left out.

use crate::tools::ToolCall;
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// A command with placeholders.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    program: String,
    elements: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq)]
enum Element {
    /// Text and arguments, joined to one element.
    Parts(Vec<Part>),
    /// One element for each item of an argument.
    Each(String),
    /// Elements that are left out together.
    Group(Vec<Element>),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Argument(String),
}

/// A filled template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filled {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Elements that begin with a dash which the model wrote, without `--` before them.
    pub dashes: Vec<String>,
}

/// The words of an argument: one, or several for an array.
type Words = Vec<String>;

impl Template {
    /// Reads a template from a list of strings and lists of strings.
    ///
    /// # Errors
    /// The defect.
    pub fn from_value(command: &Value) -> Result<Template, String> {
        let form = || "`command` is a list of strings: the program, then its arguments".to_owned();
        let list = command.as_array().ok_or_else(form)?;
        let program = list.first().and_then(Value::as_str).ok_or_else(form)?;
        let program = match parts(program)?.as_slice() {
            [Part::Text(program)] => program.clone(),
            [] => return Err("the program's name is empty".into()),
            _ => {
                return Err(
                    "the model cannot choose the program: write its name without a placeholder".into()
                );
            }
        };
        let elements =
            list[1..].iter().map(|element| self::element(element, true)).collect::<Result<_, _>>()?;
        Ok(Template { program, elements })
    }

    /// The program's name or path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Names of the arguments.
    pub fn arguments(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.elements.iter().for_each(|element| element.names(&mut names));
        names
    }

    /// The command for `call`, with `program` in the place of the template's.
    ///
    /// # Errors
    /// An argument with a NUL byte, which no program can be given.
    pub fn fill(&self, program: &str, call: &ToolCall) -> Result<Filled, String> {
        let words = words(call)?;
        let mut filled = Filled { argv: vec![program.to_owned()], dashes: Vec::new() };
        let mut after_separator = false;
        fill(&self.elements, &words, &mut filled, &mut after_separator);
        match filled.argv.iter().find(|word| word.contains('\0')) {
            Some(_) => Err("an argument holds a NUL character, which no program can be given".into()),
            None => Ok(filled),
        }
    }
}

impl Element {
    fn names<'e>(&'e self, names: &mut Vec<&'e str>) {
        match self {
            Element::Parts(parts) => names.extend(parts.iter().filter_map(Part::argument)),
            Element::Each(name) => names.push(name),
            Element::Group(elements) => elements.iter().for_each(|element| element.names(names)),
        }
    }
}

impl Part {
    fn argument(&self) -> Option<&str> {
        match self {
            Part::Argument(name) => Some(name),
            Part::Text(_) => None,
        }
    }
}

fn element(value: &Value, may_be_group: bool) -> Result<Element, String> {
    match value {
        Value::String(text) => match parts(text)?.as_slice() {
            [Part::Argument(name)] => Ok(match name.strip_suffix("...") {
                Some(each) => Element::Each(each.to_owned()),
                None => Element::Parts(vec![Part::Argument(name.clone())]),
            }),
            parts => match parts.iter().filter_map(Part::argument).find(|name| name.ends_with("...")) {
                Some(name) => {
                    Err(format!("`{{{name}}}` stands for elements of its own, so nothing may be beside it"))
                }
                None => Ok(Element::Parts(parts.to_vec())),
            },
        },
        Value::Array(group) if may_be_group => {
            Ok(Element::Group(group.iter().map(|value| element(value, false)).collect::<Result<_, _>>()?))
        }
        _ => Err("elements of `command` are strings, or lists of strings that are left out together".into()),
    }
}

/// `text` taken apart at its placeholders; `{{` and `}}` are braces.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
            continue;
        }
        let problem = || {
            format!(
                "a brace in `{text}` belongs to no placeholder `{{name}}`; write {{{{ and }}}} for braces"
            )
        };
        let (name, after) = rest.split_once('}').filter(|_| brace == "{").ok_or_else(problem)?;
        if name.is_empty() || name.contains('{') {
            return Err(problem());
        }
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Argument(name.to_owned()));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// The arguments of `call` as words: texts as they are, everything else as the model's JSON. Null is absent.
fn words(call: &ToolCall) -> Result<BTreeMap<String, Words>, String> {
    let read =
        |text: &str| -> serde_json::Result<BTreeMap<String, Box<RawValue>>> { serde_json::from_str(text) };
    let raw = read(call.arguments_text()).map_err(|error| format!("the arguments are not JSON ({error})"))?;
    let mut words = BTreeMap::new();
    for (name, value) in raw {
        let list = match value.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).unwrap_or_default(),
            _ => vec![value.clone()],
        };
        words.insert(format!("{name}..."), list.iter().filter_map(|value| word(value)).collect());
        words.insert(name, word(&value).into_iter().collect());
    }
    Ok(words)
}

/// A value as one word; `None` for null.
fn word(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}

fn fill(
    elements: &[Element],
    words: &BTreeMap<String, Words>,
    filled: &mut Filled,
    after_separator: &mut bool,
) {
    let is_there = |name: &str| words.get(name).is_some_and(|words| !words.is_empty());
    for element in elements {
        let mut names = Vec::new();
        if !matches!(element, Element::Each(_)) {
            element.names(&mut names);
        }
        if !names.iter().all(|name| is_there(name)) {
            continue;
        }
        let begins_with_argument = match element {
            Element::Group(group) => {
                fill(group, words, filled, after_separator);
                continue;
            }
            Element::Each(_) => true,
            Element::Parts(parts) => matches!(parts.first(), Some(Part::Argument(_))),
        };
        let new = match element {
            Element::Each(name) => words.get(&format!("{name}...")).cloned().unwrap_or_default(),
            Element::Parts(parts) => vec![joined(parts, words)],
            Element::Group(_) => Vec::new(),
        };
        if begins_with_argument && !*after_separator {
            filled.dashes.extend(new.iter().filter(|word| word.starts_with('-')).cloned());
        }
        *after_separator |= !begins_with_argument && new.iter().any(|word| word == "--");
        filled.argv.extend(new);
    }
}

fn joined(parts: &[Part], words: &BTreeMap<String, Words>) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Argument(name) => words.get(name).and_then(|words| words.first()).cloned().unwrap_or_default(),
    };
    parts.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(command: Value, arguments: &str) -> Result<Filled, String> {
        let template = Template::from_value(&command)?;
        template.fill(template.program(), &ToolCall::from_text("f", arguments).unwrap())
    }

    fn argv(command: Value, arguments: &str) -> Vec<String> {
        filled(command, arguments).unwrap().argv
    }

    #[test]
    fn an_argument_is_one_element_or_a_part_of_one_whatever_it_holds() {
        let hostile = r#"{"city": "a; rm -rf / $(x) `y` 'q' \"\n--flag"}"#;
        assert_eq!(
            argv(json!(["curl", "https://x/{city}?format=3", "{city}"]), hostile),
            [
                "curl",
                "https://x/a; rm -rf / $(x) `y` 'q' \"\n--flag?format=3",
                "a; rm -rf / $(x) `y` 'q' \"\n--flag"
            ]
        );
        // What an argument spells is no placeholder.
        assert_eq!(argv(json!(["p", "{a}", "{b}"]), r#"{"a": "{b}", "b": "{a}"}"#), ["p", "{b}", "{a}"]);
        assert_eq!(argv(json!(["p", "{{a}}", "}}{{"]), "{}"), ["p", "{a}", "}{"]);
    }

    #[test]
    fn values_that_are_no_text_are_given_as_the_model_wrote_them() {
        let arguments =
            r#"{"n": 1.0, "big": 12345678901234567890123, "yes": true, "list": ["a", {"b": 1e3}, null]}"#;
        assert_eq!(
            argv(json!(["p", "{n}", "{big}", "{yes}", "{list}"]), arguments),
            ["p", "1.0", "12345678901234567890123", "true", r#"["a", {"b": 1e3}, null]"#]
        );
        assert_eq!(
            argv(json!(["p", "--", "{list...}", "{n...}"]), arguments),
            ["p", "--", "a", r#"{"b": 1e3}"#, "1.0"]
        );
    }

    #[test]
    fn an_element_or_group_without_its_argument_is_left_out() {
        let command = json!(["p", "--unit={unit}", ["--at", "{time}"], "{rest...}", "{city}"]);
        assert_eq!(argv(command.clone(), r#"{"city": "Oslo", "unit": null}"#), ["p", "Oslo"]);
        assert_eq!(
            argv(command, r#"{"city": "", "unit": "C", "time": 7, "rest": []}"#),
            ["p", "--unit=C", "--at", "7", ""]
        );
    }

    #[test]
    fn an_argument_that_reads_as_an_option_is_noted_unless_a_separator_stands_before_it() {
        let dashes = |command, arguments| filled(command, arguments).unwrap().dashes;
        let arguments = r#"{"file": "-rf", "list": ["a", "--x"]}"#;
        assert_eq!(dashes(json!(["ls", "{file}", "{list...}"]), arguments), ["-rf", "--x"]);
        assert_eq!(dashes(json!(["ls", "--", "{file}"]), arguments), Vec::<String>::new());
        assert_eq!(dashes(json!(["ls", "--name={file}"]), arguments), Vec::<String>::new());
        // The separator must be the template's own.
        let own = r#"{"file": "--", "list": ["-x"]}"#;
        assert_eq!(dashes(json!(["ls", "{file}", "{list...}"]), own), ["--", "-x"]);
    }

    #[test]
    fn a_nul_is_refused() {
        assert!(filled(json!(["p", "{a}"]), r#"{"a": "x\u0000y"}"#).unwrap_err().contains("NUL"));
    }

    #[test]
    fn a_template_that_cannot_be_meant_is_refused_with_what_to_write() {
        for (command, expected) in [
            (json!("ls"), "a list of strings"),
            (json!([]), "a list of strings"),
            (json!([""]), "is empty"),
            (json!(["{program}"]), "cannot choose the program"),
            (json!(["p", 7]), "elements of `command` are strings"),
            (json!(["p", [["{a}"]]]), "elements of `command` are strings"),
            (json!(["p", "{a"]), "write {{ and }} for braces"),
            (json!(["p", "a}"]), "write {{ and }} for braces"),
            (json!(["p", "{}"]), "write {{ and }} for braces"),
            (json!(["p", "x{a...}"]), "nothing may be beside it"),
        ] {
            let problem = Template::from_value(&command).unwrap_err();
            assert!(problem.contains(expected), "{command}: {problem}");
        }
        let template = Template::from_value(&json!(["p", "{a}", ["{b}", "{c...}"]])).unwrap();
        assert_eq!(template.arguments(), ["a", "b", "c"]);
    }
}

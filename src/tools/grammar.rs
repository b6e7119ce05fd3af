//! Tools -> the grammar of one call, in llguidance's dialect of Lark.
//!
//! Argument keys come in any order, each once, and the brace closes once the required ones are
//! there. Where the tools have few keys that is one grammar: a rule for each set of keys already
//! written (2^n for n keys), which never changes. Where they have many it is rebuilt as the call
//! grows: a first stage ends with the tool's name, then each key that is written ends one. A stage's
//! grammar is the text up to there as a literal, the current value, and the keys that are left; what
//! comes after the next key is left open, since the next stage's grammar is held against it all.
//!
//! Parameters that are more than a list of keys are one `%json` with the keys in the schema's order.

use super::{
    Error, ToolSet,
    dialect::{Dialect, Frame, Part},
    json,
    schema::{self, Arguments, Key},
};
use serde_json::Value;

/// The most keys for which there is a rule for each set of them.
const MAX_SUBSET_KEYS: usize = 5;
/// The most such rules in a grammar that holds all tools.
const MAX_RULES: usize = 128;

/// The grammar of a call of one of some tools, written in one dialect.
pub struct CallGrammar {
    frame: Frame,
    tools: Vec<(String, Arguments)>,
    in_stages: bool,
}

/// Finds the token that a mark is in a vocabulary, if it is one.
pub type Marks<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// A grammar that may be rewritten while its text grows.
pub trait Staged {
    /// Which stage the text is in; it changes where [`lark`](Self::lark) gives another grammar.
    fn stage(&self, written: &[u8]) -> usize;

    /// The grammar in force once `written` is there, for the whole text.
    fn lark(&self, written: &[u8], marks: Marks<'_>) -> String;
}

impl CallGrammar {
    /// The grammar of one call of one of `tools`.
    ///
    /// # Errors
    /// [`Error::Schema`] for the first keyword that cannot be enforced.
    pub fn new(tools: &ToolSet, dialect: &dyn Dialect) -> Result<CallGrammar, Error> {
        let tools: Vec<(String, Arguments)> = tools
            .iter()
            .map(|tool| Ok((tool.name().to_owned(), schema::arguments(tool)?)))
            .collect::<Result<_, Error>>()?;
        let rules = tools.iter().try_fold(0usize, |sum, (_, arguments)| match arguments {
            Arguments::Keys(keys) if keys.len() > MAX_SUBSET_KEYS => None,
            Arguments::Keys(keys) => Some(sum + (1 << keys.len())),
            Arguments::Whole(_) => Some(sum + 1),
        });
        let in_stages = rules.is_none_or(|rules| rules > MAX_RULES);
        Ok(CallGrammar { frame: dialect.frame(), tools, in_stages })
    }

    /// Whether the grammar is rebuilt while the call grows.
    pub fn is_in_stages(&self) -> bool {
        self.in_stages
    }

    /// What a call is that begins with `written`: the body of a rule between `open` and `close`,
    /// and the rules that it uses.
    pub(super) fn body(&self, written: &[u8], open: &str, close: &str, marks: Marks<'_>) -> (String, String) {
        let mut rules = Rules { text: String::new() };
        let middle = parts(self.frame.middle, marks);
        if !self.in_stages {
            let calls: Vec<String> = self
                .tools
                .iter()
                .enumerate()
                .map(|(i, (name, arguments))| {
                    format!("{}{middle}{}", literal(&json::spaced(name)), rules.arguments(i, arguments))
                })
                .collect();
            return (format!("{open}({}) {close}", calls.join(" | ")), rules.text);
        }
        let Some((tool, arguments_text)) = self.called(written) else {
            let names: Vec<String> =
                self.tools.iter().map(|(name, _)| literal(&json::spaced(name))).collect();
            return (format!("{open}({}) {ANYTHING}", names.join(" | ")), rules.text);
        };
        let (name, arguments) = &self.tools[tool];
        let body = match arguments {
            Arguments::Keys(keys) if keys.len() > MAX_SUBSET_KEYS => rules.keys_left(keys, arguments_text),
            _ => rules.arguments(tool, arguments),
        };
        (format!("{open}{}{middle}{body} {close}", literal(&json::spaced(name))), rules.text)
    }

    /// What stands around a call.
    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    /// What is written of the arguments of the call that `written` begins with; `None` before the
    /// name of a tool is complete.
    pub(super) fn arguments_written<'w>(&self, written: &'w [u8]) -> Option<&'w [u8]> {
        self.called(written).map(|(_, arguments)| arguments)
    }

    /// The tool whose name is written, and what is written of its arguments.
    fn called<'w>(&self, written: &'w [u8]) -> Option<(usize, &'w [u8])> {
        let rest = written.strip_prefix(Frame::text(self.frame.open).as_bytes())?;
        let (name, rest) = rest.split_at(json::string_length(rest)?);
        let name: String = serde_json::from_slice(name).ok()?;
        let tool = self.tools.iter().position(|(tool, _)| *tool == name)?;
        Some((tool, rest.strip_prefix(Frame::text(self.frame.middle).as_bytes()).unwrap_or(b"")))
    }
}

impl Staged for CallGrammar {
    fn stage(&self, written: &[u8]) -> usize {
        if !self.in_stages {
            return 0;
        }
        let Some((tool, arguments)) = self.called(written) else { return 0 };
        match &self.tools[tool].1 {
            Arguments::Keys(keys) if keys.len() > MAX_SUBSET_KEYS => {
                1 + json::keys_written(arguments).map_or(0, |(keys, _)| keys.len())
            }
            _ => 1,
        }
    }

    fn lark(&self, written: &[u8], marks: Marks<'_>) -> String {
        let (body, rules) =
            self.body(written, &parts(self.frame.open, marks), &parts(self.frame.close, marks), marks);
        format!("start: {body}\n{rules}")
    }
}

/// What may follow where the next stage will say what may.
pub(super) const ANYTHING: &str = "/(?s:.*)/";

/// A grammar as it grows rule by rule.
struct Rules {
    text: String,
}

impl Rules {
    fn add(&mut self, name: &str, body: &str) {
        self.text += &format!("{name}: {body}\n");
    }

    /// Adds the rules of tool number `tool`'s arguments; gives the name of the first.
    fn arguments(&mut self, tool: usize, arguments: &Arguments) -> String {
        let start = format!("t{tool}");
        match arguments {
            Arguments::Whole(schema) => self.add(&start, &value(schema)),
            Arguments::Keys(keys) => {
                self.add(&start, &format!("\"{{\" t{tool}s0"));
                for (i, key) in keys.iter().enumerate() {
                    self.add(
                        &format!("t{tool}k{i}"),
                        &format!("{} {}", key_literal("", key), value(&key.value)),
                    );
                }
                for written in 0..1usize << keys.len() {
                    self.add(&format!("t{tool}s{written}"), &subset(tool, keys, written));
                }
            }
        }
        start
    }

    /// What follows `written`, the beginning of an object of `keys`.
    fn keys_left(&mut self, keys: &[Key], written: &[u8]) -> String {
        let (names, end) = json::keys_written(written).unwrap_or((Vec::new(), 0));
        let is_written = |key: &Key| names.contains(&key.name);
        let mut next: Vec<String> = Vec::new();
        if keys.iter().all(|key| !key.required || is_written(key)) {
            next.push("\"}\"".into());
        }
        let comma = if names.is_empty() { "" } else { ", " };
        for key in keys.iter().filter(|key| !is_written(key)) {
            next.push(format!("{} {ANYTHING}", key_literal(comma, key)));
        }
        self.add("next", &next.join("\n    | "));
        let Some(current) = names.last().and_then(|name| keys.iter().find(|key| key.name == *name)) else {
            return "\"{\" next".into();
        };
        self.add("current", &value(&current.value));
        // The text ends with the `": "` of a key, so it is whole characters.
        let so_far = String::from_utf8_lossy(&written[..end]);
        format!("{} current next", literal(&so_far))
    }
}

/// What may follow when the keys of the set `written` (a bit each) are there.
fn subset(tool: usize, keys: &[Key], written: usize) -> String {
    let is_written = |i: usize| written & (1 << i) != 0;
    let mut next: Vec<String> = Vec::new();
    if keys.iter().enumerate().all(|(i, key)| !key.required || is_written(i)) {
        next.push("\"}\"".into());
    }
    let comma = if written == 0 { "" } else { "\", \" " };
    for i in (0..keys.len()).filter(|&i| !is_written(i)) {
        next.push(format!("{comma}t{tool}k{i} t{tool}s{}", written | 1 << i));
    }
    next.join(" | ")
}

fn key_literal(comma: &str, key: &Key) -> String {
    literal(&format!("{comma}{}: ", json::spaced(&key.name)))
}

/// An inline JSON grammar with the separators that models are trained on.
fn value(schema: &Value) -> String {
    let mut schema = match schema {
        Value::Object(keywords) => keywords.clone(),
        // `true`: any value. `false` is no one's value and never comes here.
        _ => serde_json::Map::new(),
    };
    schema.insert(
        "x-guidance".into(),
        serde_json::json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}),
    );
    format!("%json {}", Value::Object(schema))
}

/// The grammar of a value by itself.
pub fn of_value(schema: &Value) -> String {
    format!("start: {}\n", value(schema))
}

/// The grammar of a text after `lead`: anything but nothing, and without the mark `without`.
pub fn of_text(lead: &str, without: Option<&str>) -> String {
    let lead = literal_if_any(lead);
    let without = without.map(|mark| format!(" & ~(/(?s:.*)/ {}/(?s:.*)/)", literal(mark)));
    format!("start: {lead}TEXT\nTEXT: /(?s:.+)/{}\n", without.unwrap_or_default())
}

/// The grammar of an answer after `lead` that is one JSON value of `schema`.
pub fn of_answer(lead: &str, schema: &Value) -> String {
    format!("start: {}answer\nanswer: {}\n", literal_if_any(lead), value(schema))
}

pub(super) fn parts(parts: &[Part], marks: Marks<'_>) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Mark(text) => marks(text).map_or_else(|| literal(text), |id| format!("<[{id}]> ")),
            Part::Text(text) => literal(text),
        })
        .collect()
}

pub(super) fn literal_if_any(text: &str) -> String {
    if text.is_empty() { String::new() } else { literal(text) }
}

/// A Lark string, which is a JSON string, and a space.
pub(super) fn literal(text: &str) -> String {
    format!("{} ", Value::from(text))
}

//! The fields of a request body beside its messages and tools: held, ignored, or refused by name.

mod values;

pub use values::top_logprobs;

use super::{Choice, Result, StopStrings, Think};
use crate::json::{near::nearest, type_name};
use serde_json::{Map, Value, json};
use std::num::NonZeroUsize;
use values::{count, flag, number, wrong};

/// Most calls of a turn for which `parallel_tool_calls` is true.
const MOST_CALLS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// Fields that are held.
const HELD: [&str; 23] = [
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "system",
    "functions",
    "function_call",
    "chat_template_kwargs",
    "enable_thinking",
    "reasoning_effort",
    "json_schema",
    "guided_json",
    "stop",
    "stop_sequences",
    "logprobs",
    "top_logprobs",
    "n",
];
/// Fields that could change the answer, with the value that does not; none but that is accepted.
const NEUTRAL: [(&str, &[&str]); 30] = [
    ("frequency_penalty", &["0", "0.0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("repetition_penalty", &["1", "1.0"]),
    ("repeat_penalty", &["1", "1.0"]),
    ("length_penalty", &["1", "1.0"]),
    ("typical_p", &["1", "1.0"]),
    ("best_of", &["1"]),
    ("num_beams", &["1"]),
    ("min_tokens", &["0"]),
    ("logit_bias", &["{}"]),
    ("stop_token_ids", &["[]"]),
    ("ignore_eos", &["false"]),
    ("echo", &["false"]),
    ("suffix", &["\"\""]),
    ("modalities", &["[\"text\"]"]),
    ("add_generation_prompt", &["true"]),
    ("continue_final_message", &["false"]),
    ("thinking", &["{\"type\":\"disabled\"}"]),
    ("verbosity", &["\"medium\""]),
    ("audio", &[]),
    ("reasoning", &["{}"]),
    ("web_search_options", &[]),
    ("instructions", &["\"\""]),
    ("documents", &["[]"]),
    ("chat_template", &[]),
    ("grammar", &["\"\""]),
    ("guided_regex", &[]),
    ("guided_choice", &[]),
    ("guided_grammar", &[]),
    ("structured_outputs", &[]),
];
/// Fields that cannot change the answer.
const IGNORED: [&str; 21] = [
    "messages",
    "tools",
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
    "id",
    "timeout",
    "cache_prompt",
    "keep_alive",
    "priority",
    "request_id",
    "extra_headers",
    "cache_salt",
];

/// Settings of a request body beside its messages and tools; `None` for fields that it lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestFields {
    /// `tool_choice`, or the older `function_call`.
    pub choice: Option<Choice>,
    /// Names of the tools that a `tool_choice` of the type `allowed_tools` allows.
    pub allowed: Option<Vec<String>>,
    /// Most calls in one turn: one, or several, by `parallel_tool_calls`.
    pub parallel: Option<NonZeroUsize>,
    /// The schema that `response_format` asks for.
    pub schema: Option<Value>,
    /// `max_completion_tokens`, or `max_tokens`.
    pub max_tokens: Option<NonZeroUsize>,
    /// `temperature`, from 0.
    pub temperature: Option<f32>,
    /// `top_p`, from 0 to 1.
    pub top_p: Option<f32>,
    /// `top_k`; 0 for no limit, which requests also write as -1.
    pub top_k: Option<usize>,
    /// `min_p`, from 0 to 1.
    pub min_p: Option<f32>,
    /// `seed`.
    pub seed: Option<u64>,
    /// `stop`, or Anthropic's `stop_sequences`.
    pub stop: Option<StopStrings>,
    /// `logprobs`: log probabilities of the answer's tokens, and of this many of the likeliest in the place of each
    /// (`top_logprobs`).
    pub logprobs: Option<usize>,
    /// Reasoning, by `enable_thinking` or `reasoning_effort`.
    pub think: Option<Think>,
    /// Arguments of the chat template: `chat_template_kwargs`.
    pub template_arguments: Map<String, Value>,
    /// Anthropic's `system`.
    pub system: Option<String>,
    /// Tools under their older name `functions`.
    pub functions: Option<Value>,
    /// Doubts that keep nothing from being used, one sentence each.
    pub warnings: Vec<String>,
}

impl RequestFields {
    /// Names of the fields whose values matter.
    pub fn names() -> Vec<&'static str> {
        HELD.into_iter().chain(NEUTRAL.iter().map(|(name, _)| *name)).collect()
    }

    /// Reads `fields`, none of which is null; `unknown` are names of others.
    ///
    /// # Errors
    /// [`Error::Field`](super::Error::Field) for a field that has an invalid value or cannot be held, and for a misspelt one.
    pub fn read(fields: &Map<String, Value>, unknown: &[String]) -> Result<RequestFields> {
        let mut read = RequestFields::default();
        for (name, value) in fields {
            match NEUTRAL.iter().find(|(neutral, _)| neutral == name) {
                Some((_, values)) if values.contains(&value.to_string().as_str()) => {}
                Some(_) => return Err(wrong(name, "cannot be held here; leave it out")),
                None => read.hold(name, value)?,
            }
        }
        // The newer names win.
        if let Some(value) = fields.get("max_completion_tokens") {
            read.max_tokens = Some(count("max_completion_tokens", value)?);
        }
        if let Some(value) = fields.get("tool_choice") {
            (read.choice, read.allowed) = choice("tool_choice", value)?;
        }
        if let Some(value) = fields.get("top_logprobs") {
            let most = top_logprobs("top_logprobs", value)?;
            read.logprobs = read.logprobs.map(|_| most);
            if read.logprobs.is_none() && most > 0 {
                return Err(wrong("top_logprobs", "stands without `logprobs`; set that to true"));
            }
        }
        let others: Vec<&String> = unknown.iter().filter(|name| !IGNORED.contains(&name.as_str())).collect();
        for name in &others {
            let known: Vec<&str> = RequestFields::names().into_iter().chain(IGNORED).collect();
            if let Some(meant) = nearest(name, &known) {
                return Err(wrong(name, format!("is not a field of a request; did you mean `{meant}`?")));
            }
        }
        if !others.is_empty() {
            let names: Vec<String> = others.iter().take(8).map(|name| format!("`{name}`")).collect();
            let more = if others.len() > names.len() { ", ..." } else { "" };
            read.warnings
                .push(format!("the request's {}{more} has no effect: not known here", names.join(", ")));
        }
        Ok(read)
    }

    fn hold(&mut self, name: &str, value: &Value) -> Result<()> {
        match name {
            "tool_choice" | "function_call" => {
                (self.choice, self.allowed) = choice(name, value)?;
                if value.get("disable_parallel_tool_use") == Some(&Value::Bool(true)) {
                    self.parallel = Some(NonZeroUsize::MIN);
                }
            }
            "parallel_tool_calls" => {
                self.parallel = Some(if flag(name, value)? { MOST_CALLS } else { NonZeroUsize::MIN });
            }
            "response_format" => self.schema = response_format(value)?,
            "json_schema" | "guided_json" if value.is_object() => self.schema = Some(value.clone()),
            "max_tokens" | "max_completion_tokens" => self.max_tokens = Some(count(name, value)?),
            "temperature" => self.temperature = Some(number(name, value, 100.0)?),
            "top_p" => self.top_p = Some(number(name, value, 1.0)?),
            "min_p" => self.min_p = Some(number(name, value, 1.0)?),
            "top_k" if *value == json!(0) || *value == json!(-1) => self.top_k = Some(0),
            "top_k" => self.top_k = Some(count(name, value)?.get()),
            "seed" => match value.as_u64() {
                Some(seed) => self.seed = Some(seed),
                None => return Err(wrong(name, format!("is {value}; a whole number from 0 is expected"))),
            },
            "system" => self.system = Some(system(value)?),
            "functions" if value.is_array() => self.functions = Some(value.clone()),
            "chat_template_kwargs" => match value {
                Value::Object(arguments) => self.template_arguments(arguments)?,
                other => return Err(wrong(name, format!("is {}, not an object", type_name(other)))),
            },
            "enable_thinking" => self.think = Some(thinking(flag(name, value)?)),
            "reasoning_effort" => match value.as_str() {
                Some(effort @ ("none" | "minimal" | "low" | "medium" | "high" | "xhigh")) => {
                    self.think = Some(thinking(!matches!(effort, "none" | "minimal")));
                }
                _ => return Err(wrong(name, format!("is {value}, which is not known here"))),
            },
            "logprobs" => self.logprobs = flag(name, value)?.then_some(0),
            // With `logprobs`, which may come behind it.
            "top_logprobs" => {}
            "n" if *value == json!(1) => {}
            "n" => return Err(wrong(name, format!("is {value}; one answer is made, so leave it out"))),
            "stop" | "stop_sequences" => self.stop = Some(stop(name, value)?),
            _ => return Err(wrong(name, format!("is {}, which cannot be held here", type_name(value)))),
        }
        Ok(())
    }

    fn template_arguments(&mut self, arguments: &Map<String, Value>) -> Result<()> {
        let mut arguments = arguments.clone();
        if let Some(value) = arguments.shift_remove("enable_thinking").filter(|value| !value.is_null()) {
            self.think = Some(thinking(flag("chat_template_kwargs.enable_thinking", &value)?));
        }
        self.template_arguments = arguments;
        Ok(())
    }
}

fn thinking(on: bool) -> Think {
    if on { Think::On } else { Think::Off }
}

/// The stop strings of `value`: a string, or a list of them.
fn stop(field: &str, value: &Value) -> Result<StopStrings> {
    let strings = match value {
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(strings) => {
            strings.iter().map(|string| string.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let strings = strings.ok_or_else(|| {
        wrong(field, format!("is {}; a string or a list of strings is expected", type_name(value)))
    })?;
    StopStrings::new(field, strings)
}

/// A tool choice in the forms of OpenAI's interfaces, Mistral's and Anthropic's, and the names of the tools that it
/// allows.
fn choice(field: &str, value: &Value) -> Result<(Option<Choice>, Option<Vec<String>>)> {
    let word = match value {
        Value::String(word) => word.as_str(),
        Value::Object(object) => {
            let inner = object.get("function").unwrap_or(value);
            match (object.get("type").and_then(Value::as_str), inner.get("name").and_then(Value::as_str)) {
                (Some("function" | "tool") | None, Some(name)) => {
                    return Ok((Some(Choice::Named(name.to_owned())), None));
                }
                (Some("function" | "tool") | None, None) => return Err(wrong(field, "names no function")),
                (Some("allowed_tools"), _) => {
                    let (choice, names) = allowed_tools(field, value)?;
                    return Ok((Some(choice), Some(names)));
                }
                (Some(kind), _) => kind,
            }
        }
        other => return Err(wrong(field, format!("is {}, not text or an object", type_name(other)))),
    };
    let choice = match word {
        "none" => Choice::None,
        "auto" => Choice::Auto,
        "required" | "any" => Choice::Required,
        other => {
            return Err(wrong(
                field,
                format!(
                    "is `{other}`; none, auto, required, and an object that names a function or allowed tools can be \
                     held"
                ),
            ));
        }
    };
    Ok((Some(choice), None))
}

/// A choice among some of the tools: OpenAI's type `allowed_tools`, as Chat Completions nest it or as Responses do not.
fn allowed_tools(field: &str, value: &Value) -> Result<(Choice, Vec<String>)> {
    let inner = value.get("allowed_tools").unwrap_or(value);
    let choice = match inner.get("mode").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("required") => Choice::Required,
        _ => {
            return Err(wrong(
                field,
                "allows tools in no mode that is known here; `auto` and `required` are",
            ));
        }
    };
    let name = |tool: &Value| {
        let kind = tool.get("type").is_none_or(|kind| kind == "function");
        let name = tool.get("function").unwrap_or(tool).get("name").and_then(Value::as_str);
        name.filter(|_| kind).map(str::to_owned)
    };
    let tools = inner.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let Some(tools) = tools else {
        return Err(wrong(field, "allows no tools; give at least one in `tools`, or `none` as the choice"));
    };
    match tools.iter().map(name).collect() {
        Some(names) => Ok((choice, names)),
        None => Err(wrong(field, "allows something that is not the name of a function")),
    }
}

/// The schema of a response format; `None` for text.
fn response_format(value: &Value) -> Result<Option<Value>> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object" | "json_schema") => {
            // Together AI and llama.cpp put the schema beside `json_object`.
            let beside = value.get("schema").filter(|schema| schema.is_object());
            Ok(Some(if value["type"] == "json_object" { beside.unwrap_or(value) } else { value }.clone()))
        }
        Some(kind) => Err(wrong(
            "response_format",
            format!("has the type `{kind}`; text, json_object and json_schema can be held"),
        )),
        None => Err(wrong("response_format", "has no `type`; text, json_object and json_schema can be held")),
    }
}

/// The text of Anthropic's `system`: text, or a list of text blocks.
fn system(value: &Value) -> Result<String> {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
        }
        _ => None,
    };
    text.ok_or_else(|| wrong("system", format!("is {}, not text or a list of text blocks", type_name(value))))
}

#[cfg(test)]
mod tests;

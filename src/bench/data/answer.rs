//! A model's answer, parsed as one tool call or rejected with a cause.

use super::json::{self, Json, Object};
use serde::{Deserialize, Serialize};
use std::fmt;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// A tool call: the tool's name, and its arguments in the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tool's name.
    pub name: String,
    /// The arguments.
    pub arguments: Object,
}

/// Text format of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Format of a fine-tuned model's output: `<tool_call>` tags around an object with `name` and `arguments`.
    Student,
    /// Format of the data set's answers: a bare object with `name` and `parameters`.
    Teacher,
}

/// Cause for which a text is not accepted as a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallError {
    /// The text is empty.
    Empty,
    /// The text has no JSON at the position of a call.
    NoJson,
    /// The text ends before the JSON does.
    Truncated,
    /// The JSON is malformed, or other text follows it.
    BrokenJson,
    /// The JSON value is not an object.
    NotAnObject,
    /// The object has no `name`, or `name` is not a string.
    NoName,
    /// The arguments are neither an object nor a string that contains one.
    ArgumentsNotAnObject,
    /// The text has more than one call.
    SeveralCalls,
}

impl CallError {
    /// Every cause, in the order of the checks.
    pub const ALL: [CallError; 8] = [
        CallError::Empty,
        CallError::NoJson,
        CallError::Truncated,
        CallError::BrokenJson,
        CallError::NotAnObject,
        CallError::NoName,
        CallError::ArgumentsNotAnObject,
        CallError::SeveralCalls,
    ];

    /// Short description of the cause.
    pub fn as_str(self) -> &'static str {
        match self {
            CallError::Empty => "empty",
            CallError::NoJson => "no JSON",
            CallError::Truncated => "truncated JSON",
            CallError::BrokenJson => "broken JSON",
            CallError::NotAnObject => "JSON but no object",
            CallError::NoName => "no name",
            CallError::ArgumentsNotAnObject => "arguments are no object",
            CallError::SeveralCalls => "several calls",
        }
    }

    /// True if the text held complete JSON, although it is not a call.
    pub fn is_json(self) -> bool {
        !matches!(self, CallError::Empty | CallError::NoJson | CallError::Truncated | CallError::BrokenJson)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Call {
    /// Reads the one call in `text`: a `<tool_call>` block, with any text around it, or a bare JSON object.
    ///
    /// The arguments are the value of `arguments` or, where that is missing, of `parameters`: an object, or a string
    /// that contains one. A call without either has empty arguments. The closing tag may be missing.
    ///
    /// # Errors
    /// The cause for which the text is not a call. Two calls are [`CallError::SeveralCalls`].
    pub fn parse(text: &str) -> Result<Call, CallError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CallError::Empty);
        }
        match text.split_once(OPEN) {
            // A bare object may contain the tag inside one of its strings.
            Some((_, block)) if !(text.starts_with('{') && Json::parse(text).is_ok()) => {
                let (value, rest) = first_value(block)?;
                let rest = rest.trim_start();
                let after = match rest.strip_prefix(CLOSE) {
                    Some(after) => after,
                    None if rest.is_empty() => rest,
                    None if rest.starts_with('{') || rest.starts_with(OPEN) => {
                        return Err(CallError::SeveralCalls);
                    }
                    None => return Err(CallError::BrokenJson),
                };
                if after.contains(OPEN) {
                    return Err(CallError::SeveralCalls);
                }
                Call::from_json(&value)
            }
            _ => {
                let (value, rest) = first_value(text)?;
                match rest.trim_start() {
                    "" => Call::from_json(&value),
                    more if more.starts_with('{') => Err(CallError::SeveralCalls),
                    // A sentence that begins with a number is prose, not JSON followed by text.
                    _ if !matches!(value, Json::Object(_)) => Err(CallError::NoJson),
                    _ => Err(CallError::BrokenJson),
                }
            }
        }
    }

    /// Reads a call from its JSON object.
    ///
    /// # Errors
    /// The part that is missing or has the wrong type.
    pub fn from_json(value: &Json) -> Result<Call, CallError> {
        let object = value.as_object().ok_or(CallError::NotAnObject)?;
        let name = object.get("name").and_then(Json::as_text).ok_or(CallError::NoName)?;
        let arguments = match object.get("arguments").or_else(|| object.get("parameters")) {
            None => Object::new(),
            Some(Json::Object(arguments)) => arguments.clone(),
            Some(Json::Text(text)) => match Json::parse(text) {
                Ok(Json::Object(arguments)) => arguments,
                _ => return Err(CallError::ArgumentsNotAnObject),
            },
            Some(_) => return Err(CallError::ArgumentsNotAnObject),
        };
        Ok(Call { name: name.to_owned(), arguments })
    }

    /// Writes the call in the format of the published files; keys keep their order.
    pub fn render(&self, style: Style) -> String {
        let (name, arguments) = (json::quoted(&self.name), json::dumps(&self.arguments));
        match style {
            Style::Student => {
                format!("{OPEN}\n{{\"name\": {name}, \"arguments\": {arguments}}}\n{CLOSE}")
            }
            Style::Teacher => format!("{{\"name\": {name}, \"parameters\": {arguments}}}"),
        }
    }
}

/// Text of a `prediction` column: the call in `raw`, written canonically, or an empty string if `raw` has none.
pub fn prediction(raw: &str, style: Style) -> String {
    Call::parse(raw).map_or_else(|_| String::new(), |call| call.render(style))
}

fn first_value(text: &str) -> Result<(Json, &str), CallError> {
    let text = text.trim_start();
    match Json::parse_prefix(text) {
        Ok((value, end)) => Ok((value, &text[end..])),
        Err(_) if !text.starts_with(['{', '[', '"']) => Err(CallError::NoJson),
        Err(error) if error.at_end => Err(CallError::Truncated),
        Err(_) => Err(CallError::BrokenJson),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THAI: &str = r#"{"name": "find", "arguments": {"city": "Leeds", "n": 2.0}}"#;

    #[test]
    fn one_call_is_read_in_every_form_that_it_may_have() {
        let expected = Call::parse(THAI).unwrap();
        assert_eq!(expected.name, "find");
        for text in [
            format!("<tool_call>\n{THAI}\n</tool_call>"),
            format!("<tool_call>{THAI}"),
            format!("Sure, here it is: <tool_call>\n{THAI}\n</tool_call> That was it."),
            format!("  {THAI}\u{a0}\n"),
            THAI.replace("arguments", "parameters"),
            r#"{"name": "find", "arguments": "{\"city\": \"Leeds\", \"n\": 2}"}"#.into(),
            r#"{"name": "find", "arguments": {"n": 0, "city": "York", "city": "Leeds", "n": 2}}"#.into(),
            r#"{"id": 7, "parameters": {}, "arguments": {"n": 2, "city": "Leeds"}, "name": "find"}"#.into(),
        ] {
            assert_eq!(Call::parse(&text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn marks_inside_a_string_are_text() {
        let call = r#"{"name": "say", "arguments": {"message": "<tool_call> {</tool_call>"}}"#;
        let bare = Call::parse(call).unwrap();
        assert_eq!(Call::parse(&format!("<tool_call>\n{call}\n</tool_call>")).unwrap(), bare);
        assert_eq!(bare.arguments["message"].as_text(), Some("<tool_call> {</tool_call>"));
    }

    #[test]
    fn a_call_without_arguments_has_none() {
        assert!(Call::parse(r#"{"name": "f"}"#).unwrap().arguments.is_empty());
    }

    #[test]
    fn every_cause_of_rejection_has_its_text() {
        let block = format!("<tool_call>\n{THAI}\n</tool_call>");
        for (text, cause) in [
            (" \n".into(), CallError::Empty),
            ("Enjoy your meal!".into(), CallError::NoJson),
            ("3 tables are free.".into(), CallError::NoJson),
            ("```json\n{}\n```".into(), CallError::NoJson),
            (format!("Here: {THAI}"), CallError::NoJson),
            ("<tool_call>\n</tool_call>".into(), CallError::NoJson),
            (block[..40].to_owned(), CallError::Truncated),
            (THAI[..THAI.len() - 1].to_owned(), CallError::Truncated),
            (format!("<tool_call>\n{}\n</tool_call>", &THAI[..THAI.len() - 1]), CallError::BrokenJson),
            (format!("<tool_call>\n{THAI} and more\n</tool_call>"), CallError::BrokenJson),
            (format!("{THAI} and more"), CallError::BrokenJson),
            ("{'name': 'f'}".into(), CallError::BrokenJson),
            (format!("[{THAI}]"), CallError::NotAnObject),
            ("\"f\"".into(), CallError::NotAnObject),
            ("null".into(), CallError::NotAnObject),
            ("{}".into(), CallError::NoName),
            (r#"{"name": 3, "arguments": {}}"#.into(), CallError::NoName),
            (r#"{"name": null}"#.into(), CallError::NoName),
            (r#"{"name": "f", "arguments": null}"#.into(), CallError::ArgumentsNotAnObject),
            (r#"{"name": "f", "arguments": []}"#.into(), CallError::ArgumentsNotAnObject),
            (r#"{"name": "f", "arguments": ""}"#.into(), CallError::ArgumentsNotAnObject),
            (r#"{"name": "f", "arguments": "[1]"}"#.into(), CallError::ArgumentsNotAnObject),
            (format!("{block}\n{block}"), CallError::SeveralCalls),
            (format!("<tool_call>{THAI}<tool_call>{THAI}"), CallError::SeveralCalls),
            (format!("<tool_call>{THAI}\n{THAI}</tool_call>"), CallError::SeveralCalls),
            (format!("{THAI}\n{THAI}"), CallError::SeveralCalls),
        ] {
            let text: String = text;
            assert_eq!(Call::parse(&text), Err(cause), "{text}");
        }
    }

    #[test]
    fn a_call_is_written_with_its_keys_in_their_order_and_its_text_unescaped() {
        let call = Call::parse(r#"{"name":"f","arguments":{"z":"ü\/","a":[1,2.0]}}"#).unwrap();
        assert_eq!(
            call.render(Style::Student),
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"z\": \"ü/\", \"a\": [1, 2.0]}}\n</tool_call>"
        );
        assert_eq!(call.render(Style::Teacher), r#"{"name": "f", "parameters": {"z": "ü/", "a": [1, 2.0]}}"#);
        assert_eq!(prediction("Hello", Style::Student), "");
    }
}

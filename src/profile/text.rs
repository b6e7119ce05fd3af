//! A profile as text for people, who decide by it whether they trust the file.

use super::{Profile, SystemText, VERSION, json_form::key_order_word};
use crate::{
    display::visible,
    json::{self, Exact},
};
use serde_json::Value;
use std::fmt::{self, Display};

/// Width of the labels, as in the reports of `inspect`.
const LABEL_WIDTH: usize = 16;

/// All of the profile: settings as a list, then the system message and the tools whole.
impl Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile, version {VERSION}: used by calls unless they say otherwise")?;
        let sampling = &self.sampling;
        fact(f, "tool choice", self.tool_choice.as_ref().map(|choice| one_line(&choice.to_value())))?;
        fact(f, "calls at once", self.parallel)?;
        fact(f, "thinking", self.thinking.map(super::Thinking::word))?;
        fact(f, "temperature", sampling.temperature)?;
        fact(f, "top k", sampling.top_k)?;
        fact(f, "top p", sampling.top_p)?;
        fact(f, "min p", sampling.min_p)?;
        fact(f, "seed", sampling.seed)?;
        fact(f, "most tokens", self.max_tokens)?;
        fact(f, "dialect", self.dialect.as_deref().map(visible))?;
        fact(f, "key order", self.key_order.map(key_order_word))?;
        for (key, value) in &self.template_arguments {
            let value = visible(&json::spaced(value));
            fact(f, "template", Some(format!("{} = {value}", visible(key))))?;
        }
        match &self.system {
            Some(SystemText::Text(text)) => block(f, "system message", text)?,
            Some(SystemText::Task(text)) => block(f, "task description", text)?,
            None => {}
        }
        match &self.tools {
            Some(tools) => {
                let count = self.tool_set().ok().flatten().map_or(0, |tools| tools.iter().count());
                let title = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
                let text = serde_json::to_string_pretty(&Exact(tools)).expect("it is written to memory");
                block(f, &title, &text)
            }
            None => Ok(()),
        }
    }
}

/// A word, or JSON.
fn one_line(value: &Value) -> String {
    visible(&value.as_str().map_or_else(|| json::spaced(value), str::to_owned))
}

fn fact(f: &mut fmt::Formatter<'_>, label: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "\n{label:LABEL_WIDTH$}  {value}"))
}

/// Writes a text of several lines. Each has a mark in front, so that no text can pass for a line of the report.
fn block(f: &mut fmt::Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    write!(f, "\n\n{title}:")?;
    text.split('\n').try_for_each(|line| write!(f, "\n  | {}", visible(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_text_and_tools_are_shown_whole_and_cannot_pass_for_the_report() {
        let profile = Profile::from_json(
            r#"{"system": "One.\n\nprofile, version 9\u001b]0;x", "temperature": 0.7, "tool_choice": "auto",
                "tools": [{"name": "f", "description": "a\u202eb"}], "template_arguments": {"a\nb": "c\nd"}}"#
                .as_bytes(),
        )
        .unwrap();
        let expected = "profile, version 1: used by calls unless they say otherwise\n\
                        tool choice       auto\n\
                        temperature       0.7\n\
                        template          a\\nb = \"c\\nd\"\n\
                        \n\
                        system message:\n  | One.\n  | \n  | profile, version 9\\u{1b}]0;x\n\
                        \n\
                        1 tool:\n  | [\n  |   {\n  |     \"name\": \"f\",\n  |     \"description\": \
                        \"a\\u{202e}b\"\n  |   }\n  | ]";
        assert_eq!(profile.to_string(), expected);
    }
}

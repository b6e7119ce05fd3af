//! Detection of a chat template's tool-call format.
//!
//! The template's text is no evidence: Qwen3-Coder's contains `<tool_call>` and uses XML. So the template
//! renders a small conversation with a tool call, and the dialect is the one in which the call comes out.

use super::{Error, Result};
use crate::{
    chat::{self, Conversation, LocalTime, RenderOptions, Template},
    dialect::{
        Dialect,
        detect::{self, Shown},
        entries, foreign,
    },
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Name of the tool in the probe: no template contains it.
const NAME: &str = "probe_tool";

/// Tool-call format: the dialect, and who shows the tools to the model.
#[derive(Clone, Debug)]
pub struct ToolFormat {
    /// Syntax of calls.
    pub dialect: Arc<Dialect>,
    /// True if the chat template renders the tools and the calls of the history. Otherwise they are put into
    /// the messages as text.
    pub by_template: bool,
}

impl ToolFormat {
    /// Detects the tool-call format of a chat template; `chosen` overrides the dialect.
    ///
    /// # Errors
    /// [`Error::NoDialect`] if the template's format is not supported and none was chosen; the template's own error
    /// if it cannot be rendered at all.
    pub fn detect(template: &str, chosen: Option<&Arc<Dialect>>) -> Result<ToolFormat> {
        let probe = Probe::render(template)?;
        let detected = probe.dialect();
        let Some(dialect) = chosen.or(detected.as_ref()) else {
            if probe.knows_no_tools() {
                return Ok(ToolFormat { dialect: entries::for_description(), by_template: false });
            }
            let format = match (foreign::named_in(template), probe.failure) {
                (Some(format), _) => format,
                // If the template fails on everything, its error is more useful than an unknown format.
                (None, Some(failure)) => return Err(failure.into()),
                (None, None) => "one that is not known here",
            };
            let supported = entries::all().iter().map(|dialect| dialect.name.clone()).collect();
            return Err(Error::NoDialect { format, supported });
        };
        let by_template =
            probe.shows_tools && detected.as_ref().is_some_and(|detected| detected.name == dialect.name);
        Ok(ToolFormat { dialect: dialect.clone(), by_template })
    }
}

/// Renderings of the probe by a template.
struct Probe {
    shown: Shown,
    shows_tools: bool,
    /// The template's error for the prompt with tools.
    failure: Option<chat::Error>,
}

impl Probe {
    fn render(template: &str) -> Result<Probe> {
        let template = Template::new(template)?;
        let tools = tools();
        let turn = json!([{"role": "user", "content": "probe question"}]);
        let mut called = turn.clone();
        let messages = called.as_array_mut().expect("an array was written above");
        // Mistral's templates insist on an id of nine letters and digits.
        let id = "probe0000";
        messages.push(json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": id, "type": "function", "function": {"name": NAME, "arguments": {"probe_key": "value"}}}]}));
        let unanswered = called.clone();
        let messages = called.as_array_mut().expect("an array was written above");
        messages.push(json!({"role": "tool", "name": NAME, "tool_call_id": id, "content": "{}"}));
        let render = |messages: &Value, tools: Option<&Value>, add_generation_prompt: bool| {
            let conversation = Conversation::from_value(messages.clone()).expect("the probe is well formed");
            let options = RenderOptions {
                add_generation_prompt,
                enable_thinking: Some(false),
                bos_token: Some(""),
                eos_token: Some(""),
                now: LocalTime::from_epoch(0),
                ..RenderOptions::default()
            };
            template.render(&conversation, tools, &options)
        };
        let (prompt, failure) = match render(&turn, Some(&tools), true) {
            Ok(prompt) => (prompt, None),
            Err(failure) => (String::new(), Some(failure)),
        };
        // Some templates refuse a tool's result, others a call that has none.
        let history =
            render(&called, Some(&tools), false).or_else(|_| render(&unanswered, Some(&tools), false));
        let shows_tools = prompt.contains(NAME);
        Ok(Probe { shown: Shown { prompt, history: history.unwrap_or_default() }, shows_tools, failure })
    }

    fn dialect(&self) -> Option<Arc<Dialect>> {
        detect::shown_in(&self.shown, NAME)
    }

    fn knows_no_tools(&self) -> bool {
        self.failure.is_none() && !self.shows_tools && !self.shown.history.contains(NAME)
    }
}

/// One tool with every field that templates rely on.
fn tools() -> Value {
    json!([{"type": "function", "function": {"name": NAME, "description": "A probe.", "parameters": {
        "type": "object",
        "properties": {"probe_key": {"type": "string", "description": "A key."}},
        "required": ["probe_key"],
    }}}])
}

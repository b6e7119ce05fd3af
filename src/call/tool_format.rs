//! The tool-call format of a chat template, and how tools and calls are handed to it.

use super::{Result, study::study};
use crate::{
    chat::{Conversation, Message, Role},
    dialect::{
        Dialect, JsonStyle, Source, Study, ToolsPlace, Wanted, WrittenCall, derive::Handover, json_text,
    },
    json,
    tools::{ToolCall, ToolSet},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Tool-call format: the dialect, and who shows the tools to the model.
#[derive(Clone, Debug)]
pub struct ToolFormat {
    /// Syntax of calls.
    pub dialect: Arc<Dialect>,
    /// True if the chat template renders the tools. Otherwise they are put into the messages as text.
    pub by_template: bool,
    /// The reason why tools and calls are told in text although nobody asked for it; `None` if they are not.
    pub note: Option<String>,
    /// True if the template renders the calls of the history in this dialect. Otherwise they are put into their messages as
    /// text.
    shows_calls: bool,
    /// The syntax of the calls that the template renders, if it renders them.
    shown: Option<Arc<Dialect>>,
    /// True if the template wants the tools in the system message.
    in_system: bool,
    /// The system message that the model needs in order to call tools.
    system_message: Option<&'static str>,
    handover: Handover,
}

impl ToolFormat {
    /// Finds the tool-call format of a chat template, or the one that is `wanted`; `is_token` tells whether a text is one
    /// token of the model's vocabulary.
    ///
    /// # Errors
    /// [`Error::Dialect`](super::Error::Dialect) if the template's own format is wanted and not known.
    pub fn detect(template: &str, wanted: &Wanted, is_token: &dyn Fn(&str) -> bool) -> Result<ToolFormat> {
        ToolFormat::chosen(&*study(template, None)?, template, wanted, is_token)
    }

    /// The same with the `study` of the template.
    pub(super) fn chosen(
        study: &Study,
        template: &str,
        wanted: &Wanted,
        is_token: &dyn Fn(&str) -> bool,
    ) -> Result<ToolFormat> {
        let mut choice = study.choose(template, is_token, wanted)?;
        let note = choice.notes.pop().filter(|_| choice.source == Source::Generic);
        Ok(ToolFormat {
            by_template: choice.tools != ToolsPlace::Text,
            in_system: choice.tools == ToolsPlace::SystemMessage,
            shows_calls: choice.shows_calls,
            shown: choice.shown,
            system_message: choice.system_message,
            handover: choice.handover,
            dialect: choice.dialect,
            note,
        })
    }

    /// The text of `calls`, names and arguments of one message after `earlier` calls, in a rendered history, without the blanks
    /// before it; `None` if that is not known, or holds ids, by which results are told.
    pub(super) fn shown_calls(
        &self,
        calls: &[(String, Map<String, Value>)],
        earlier: usize,
    ) -> Option<String> {
        if !self.shows_calls {
            let write = |(name, arguments): &(String, Map<String, Value>)| {
                self.dialect.write(&ToolCall::new(name, arguments.clone()))
            };
            let text = calls.iter().map(write).collect::<Vec<_>>().join("\n");
            return Some(text.trim_start().to_owned());
        }
        let shown = self.shown.as_ref().filter(|shown| !shown.has_ids())?;
        let write = |(name, arguments): &'_ (String, Map<String, Value>)| WrittenCall {
            name: Cow::Owned(name.clone()),
            arguments: Cow::Owned(arguments.clone()),
            id: None,
        };
        let text = shown.write_calls(&calls.iter().map(write).collect::<Vec<_>>(), earlier);
        Some(text.trim_start().to_owned())
    }

    /// The conversation as the template wants it.
    pub(super) fn handed_over(&self, conversation: &Conversation, tools: Option<&ToolSet>) -> Conversation {
        let mut messages = conversation.messages.clone();
        let mut hand = Hand { format: self, ids: HashMap::new(), names: HashMap::new() };
        messages.iter_mut().for_each(|message| *message = hand.over(message));
        let has_system =
            messages.first().is_some_and(|first| matches!(first.role(), Role::System | Role::Developer));
        if let (false, Some(text), Some(_)) = (has_system, self.system_message, tools) {
            messages.insert(0, Message::text(Role::System, text));
        }
        if let (true, Some(tools)) = (self.in_system, tools) {
            let tools: Vec<Value> = tools.sources().iter().map(|tool| tool["function"].clone()).collect();
            if !messages.first().is_some_and(|message| message.role() == Role::System) {
                messages.insert(0, Message::text(Role::System, ""));
            }
            let mut fields = messages[0].fields().clone();
            fields.insert("tools".into(), json::spaced(&tools).into());
            messages[0] = messages[0].with_fields(fields);
        }
        Conversation { messages, tools: conversation.tools.clone() }
    }
}

/// Hands messages over to a template.
struct Hand<'f> {
    format: &'f ToolFormat,
    /// Ids of calls that the template wants to be others.
    ids: HashMap<String, String>,
    /// The tools of calls by their ids.
    names: HashMap<String, String>,
}

impl Hand<'_> {
    fn over(&mut self, message: &Message) -> Message {
        let handover = self.format.handover;
        if message.role() == Role::Tool && (handover.id_holds_name || handover.results_need_names) {
            return self.result(message);
        }
        if message.tool_calls().is_empty() {
            return message.clone();
        }
        if !self.format.shows_calls {
            return super::text_tools::as_text(&self.format.dialect, message);
        }
        let mut fields = message.fields().clone();
        if handover.null_content && message.content().is_none_or(str::is_empty) {
            fields.insert("content".into(), Value::Null);
        }
        if let Some(Value::Array(calls)) = fields.get_mut("tool_calls") {
            calls.iter_mut().for_each(|call| self.call(call));
        }
        message.with_fields(fields)
    }

    fn call(&mut self, call: &mut Value) {
        let name = call["function"]["name"].as_str().unwrap_or_default().to_owned();
        if let Some(id) = call["id"].as_str() {
            self.names.insert(id.to_owned(), name.clone());
        }
        if self.format.handover.id_holds_name {
            let id = format!("functions.{name}:{}", self.ids.len());
            let given = call["id"].as_str().unwrap_or(&id).to_owned();
            call["id"] = id.clone().into();
            self.ids.insert(given, id);
        }
        if self.format.handover.text_arguments
            && let Some(arguments @ Value::Object(_)) = call.pointer("/function/arguments").cloned()
        {
            call["function"]["arguments"] = json_text(&arguments, JsonStyle::Spaced).into();
        }
    }

    fn result(&self, message: &Message) -> Message {
        let mut fields: Map<String, Value> = message.fields().clone();
        let given = message.fields().get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
        if let Some(id) = self.ids.get(given) {
            fields.insert("tool_call_id".into(), id.clone().into());
        }
        let is_named = fields.get("name").is_some_and(|name| !name.is_null());
        if let Some(name) =
            self.names.get(given).filter(|_| !is_named && self.format.handover.results_need_names)
        {
            fields.insert("name".into(), name.clone().into());
        }
        message.with_fields(fields)
    }
}

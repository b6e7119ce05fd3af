//! Tools, calls and results as plain text in the messages, for templates without tool support.

use super::Choice;
use crate::{
    chat::{self, Conversation, Message, RenderOptions, Role, Template},
    dialect::Dialect,
    json,
    tools::{ToolCall, ToolSet},
};
use serde_json::Value;

/// Tools that are told in text.
pub(super) struct Told<'t> {
    /// The tools.
    pub tools: &'t ToolSet,
    /// The tool choice.
    pub choice: &'t Choice,
    /// Last change of the tools' JSON.
    pub describe: &'t dyn Fn(&str) -> String,
}

/// Renders the prompt with a description of the tools as text.
///
/// The description goes into the system message, or before the first user message if the template refuses or
/// drops a system message.
///
/// # Errors
/// Errors of the template.
pub(super) fn render(
    template: &Template,
    dialect: &Dialect,
    told: &Told<'_>,
    conversation: &Conversation,
    options: &RenderOptions<'_>,
) -> Result<String, chat::Error> {
    let text = description(dialect, told);
    let written = in_text(dialect, conversation);
    match template.render(&with_text_before(&written, Role::System, &text), None, options) {
        Ok(prompt) if prompt.contains(&text) => Ok(prompt),
        Err(error) if !matches!(error, chat::Error::Refused { .. }) => Err(error),
        _ => template.render(&with_text_before(&written, Role::User, &text), None, options),
    }
}

/// The description: the tools as JSON, the instruction to call, and an example of a call.
fn description(dialect: &Dialect, told: &Told<'_>) -> String {
    let Told { tools, choice, describe } = *told;
    let functions: Vec<String> = tools.iter().map(|tool| json::spaced(&tool.source()["function"])).collect();
    let example = ToolCall::from_text("FUNCTION", r#"{"PARAMETER": "VALUE"}"#)
        .expect("the example's arguments are an object");
    let call = dialect.write(&example);
    let wanted = match choice {
        Choice::Required => format!(
            "Answer the user by calling one of them. Write the call and nothing else, in this form:\n{call}"
        ),
        Choice::Named(name) => {
            format!(
                "Answer the user by calling {name}. Write the call and nothing else, in this form:\n{call}"
            )
        }
        Choice::Auto => format!(
            "Answer the user by calling one of them, or in plain text. Write a call by itself, in this form:\n{call}"
        ),
        Choice::None => "Call none of them now: answer the user in plain text.".to_owned(),
    };
    format!(
        "You can call these functions, given as JSON with a JSON schema of their parameters:\n{}\n\n{wanted}",
        describe(&functions.join("\n"))
    )
}

/// The conversation with `text` added to its first message of `role`, or in a new first message.
fn with_text_before(conversation: &Conversation, role: Role, text: &str) -> Conversation {
    let mut messages = conversation.messages.clone();
    let is_first = |message: &Message| match role {
        Role::System => matches!(message.role(), Role::System | Role::Developer),
        _ => message.role() == role,
    };
    // Only the first message can be a system message.
    let place = match role {
        Role::System => messages.first().is_some_and(is_first).then_some(0),
        _ => messages.iter().position(is_first),
    };
    match place {
        Some(at) => {
            let own = messages[at].content().unwrap_or_default();
            // The application's instructions come first, and the user's question last.
            let both = if role == Role::System { [own, text] } else { [text, own] };
            let both = both.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("\n\n");
            messages[at] = messages[at].clone().with_content(both);
        }
        None => messages.insert(0, Message::text(role, text)),
    }
    Conversation { messages, tools: None }
}

/// The conversation with its calls and results as text: a call as the model would write it, consecutive results
/// in one user message.
fn in_text(dialect: &Dialect, conversation: &Conversation) -> Conversation {
    let mut messages: Vec<Message> = Vec::new();
    // Ids and names of the calls so far, to name the results.
    let mut calls: Vec<(Option<String>, String)> = Vec::new();
    let mut after_result = false;
    for message in &conversation.messages {
        let is_result = message.role() == Role::Tool;
        let written = match message.role() {
            Role::Tool => Message::text(Role::User, result(message, &calls)),
            Role::Assistant if !message.tool_calls().is_empty() => {
                calls.extend(message.tool_calls().iter().map(|call| (id(call), name(call).to_owned())));
                message.clone().with_content(with_calls(dialect, message))
            }
            _ => message.clone(),
        };
        // Templates without tool support want user and assistant to alternate.
        let follows = after_result && written.role() == Role::User;
        after_result = is_result;
        match messages.pop() {
            Some(last) if follows => {
                let text =
                    [&last, &written].map(|message| message.content().unwrap_or_default()).join("\n\n");
                messages.push(last.with_content(text));
            }
            last => {
                messages.extend(last);
                messages.push(written);
            }
        }
    }
    Conversation { messages, tools: None }
}

fn with_calls(dialect: &Dialect, message: &Message) -> String {
    let said = message.content().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let calls = message.tool_calls().iter().map(|call| {
        let arguments = call["function"]["arguments"].as_object().cloned().unwrap_or_default();
        dialect.write(&ToolCall::new(name(call), arguments))
    });
    said.into_iter().chain(calls).collect::<Vec<_>>().join("\n")
}

fn result(message: &Message, calls: &[(Option<String>, String)]) -> String {
    let field = |key: &str| message.fields().get(key).and_then(Value::as_str);
    let content = message.content().unwrap_or_default();
    let called = field("tool_call_id")
        .and_then(|id| calls.iter().rev().find(|(call, _)| call.as_deref() == Some(id)))
        .map(|(_, name)| name.as_str());
    match field("name").or(called) {
        Some(name) => format!("Result of {name}:\n{content}"),
        None => format!("Result:\n{content}"),
    }
}

fn id(call: &Value) -> Option<String> {
    call.get("id").and_then(Value::as_str).map(str::to_owned)
}

fn name(call: &Value) -> &str {
    call["function"]["name"].as_str().unwrap_or_default()
}

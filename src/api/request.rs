//! A chat request with all that a call needs, checked.

use super::{ApiError, ChatBody, Defaults, MAX_SCHEMA_BYTES, MAX_TOOLS, Result};
use crate::{
    call::{self, Choice, PromptTemplate, Request, RequestFields, Settings, StopStrings},
    chat::{Conversation, Role},
    runtime::TokenDetail,
    schema::KeyOrder,
    tools::{
        ToolSet, answer_schema,
        arguments::AnswerSchema,
        explain::{self, Explanation},
    },
};
use serde_json::Value;
use std::{num::NonZeroUsize, sync::Arc};

/// A chat request, ready to be answered.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    conversation: Conversation,
    tools: Option<Arc<ToolSet>>,
    choice: Choice,
    allowed: Option<Vec<String>>,
    parallel: NonZeroUsize,
    schema: Option<AnswerSchema>,
    key_order: KeyOrder,
    stop: StopStrings,
    /// True if the answer is to have [details](ChatBody::details).
    pub details: bool,
    /// Sampling, token budget, context.
    pub settings: Settings,
    /// Template and template arguments.
    pub template: PromptTemplate,
}

/// The tools of a request with what is to be done with them.
struct Calling {
    tools: Option<Arc<ToolSet>>,
    choice: Choice,
    parallel: NonZeroUsize,
}

impl ChatRequest {
    /// The request of `body`; `defaults` fill in what it leaves open. Tools that it brings take the place of those of the
    /// defaults, and so does a schema of the answer without a tool choice.
    ///
    /// # Errors
    /// Tools, schemas and choices that cannot be used.
    pub fn new(body: ChatBody, defaults: &Defaults) -> Result<ChatRequest> {
        let ChatBody { mut conversation, fields, details, .. } = body;
        let calling = calling(conversation.tools.take(), &fields, defaults)?;
        let schema = schema(&fields, &calling)?;
        let schema = schema.map(|schema| AnswerSchema::new(&schema, defaults.key_order)).transpose()?;
        let Calling { tools, choice, parallel } = calling;
        let allowed = fields.allowed.clone().filter(|_| tools.is_some());
        if let Some(tools) = &tools {
            check_tools(tools, &choice, allowed.as_deref(), defaults.key_order)?;
        }
        // Cut before one of them, a call or JSON would not be whole.
        let is_text = matches!(choice, Choice::None | Choice::Auto) && schema.is_none();
        let stop = fields.stop.clone().filter(|_| is_text).unwrap_or_default();
        let mut settings = settings(&fields, defaults.settings.clone());
        if details && settings.detail == TokenDetail::None {
            settings.detail = TokenDetail::Source;
        }
        Ok(ChatRequest {
            details,
            conversation: with_system(conversation, &fields, defaults)?,
            tools,
            choice,
            allowed,
            parallel,
            schema,
            key_order: defaults.key_order,
            stop,
            settings,
            template: template(&fields, &defaults.template),
        })
    }

    /// The request as the call pipeline takes it.
    pub fn request(&self) -> Request<'_> {
        Request {
            choice: self.choice.clone(),
            parallel: self.parallel,
            schema: self.schema.as_ref(),
            key_order: self.key_order,
            allowed: self.allowed.clone(),
            stop: self.stop.clone(),
            ..Request::new(&self.conversation, self.tools.as_deref())
        }
    }

    /// The treatment of each keyword of the tools, or of the answer's schema.
    pub fn explanation(&self) -> Option<Explanation> {
        match (&self.tools, &self.schema) {
            (Some(tools), _) if self.choice != Choice::None => Some(explain::explain(tools, self.key_order)),
            (_, schema) => schema.as_ref().map(explain::explain_compiled),
        }
    }

    /// Tool choice of the request.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }
}

/// Tools, tool choice and number of calls: those of the request, or of the defaults.
fn calling(own: Option<Value>, fields: &RequestFields, defaults: &Defaults) -> Result<Calling> {
    let own = own.or_else(|| fields.functions.clone());
    let wants_json = fields.schema.is_some() && fields.choice.is_none();
    let gives_way = defaults.tools.is_some() && (own.is_some() || wants_json);
    let (choice, parallel) =
        if gives_way { (None, None) } else { (defaults.choice.clone(), defaults.parallel) };
    let are_own = own.is_some();
    let tools = match own {
        // A request without tools may have an empty list.
        Some(Value::Array(tools)) if tools.is_empty() => None,
        Some(tools) => Some(Arc::new(tool_set(tools)?)),
        None if gives_way => None,
        None => defaults.tools.clone(),
    };
    let choice = match (&fields.choice, &tools) {
        (Some(choice), Some(_)) => choice.clone(),
        // As OpenAI documents it. Tools that the model was given by its profile are there to be called.
        (None, Some(_)) => choice.unwrap_or(if are_own { Choice::Auto } else { Choice::Required }),
        (Some(Choice::Required | Choice::Named(_)), None) => {
            return Err(ApiError::field("tool_choice", "asks for a call, and there are no `tools`"));
        }
        (_, None) => Choice::None,
    };
    let parallel = fields.parallel.or(parallel).unwrap_or(NonZeroUsize::MIN);
    Ok(Calling { tools, choice, parallel })
}

fn tool_set(tools: Value) -> Result<ToolSet> {
    let tools = ToolSet::from_value(tools)?;
    let count = tools.iter().count();
    if count > MAX_TOOLS {
        return Err(ApiError::field("tools", format!("has {count} entries; up to {MAX_TOOLS} are accepted")));
    }
    for tool in tools.iter() {
        let bytes = Value::Object(tool.parameters().clone()).to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            let name = tool.name().escape_debug();
            return Err(ApiError::field(
                "tools",
                format!("has `{name}` with a schema of {bytes} bytes; up to {MAX_SCHEMA_BYTES} are accepted"),
            ));
        }
    }
    Ok(tools)
}

/// The schema of the answer that the request asks for, if no call is wanted.
fn schema(fields: &RequestFields, calling: &Calling) -> Result<Option<Value>> {
    let Some(document) = &fields.schema else { return Ok(None) };
    let bytes = document.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        let problem = format!("has a schema of {bytes} bytes; up to {MAX_SCHEMA_BYTES} are accepted");
        return Err(ApiError::field("response_format", problem));
    }
    let is_call = matches!(calling.choice, Choice::Required | Choice::Named(_));
    if calling.tools.is_some() && calling.choice != Choice::None && (!is_call || fields.choice.is_none()) {
        return Err(ApiError::field(
            "response_format",
            "stands beside `tools`; say by `tool_choice` whether a call (`required`) or JSON (`none`) is wanted",
        ));
    }
    if calling.choice != Choice::None {
        return Ok(None);
    }
    let (schema, warnings) = answer_schema(document.clone())
        .map_err(|error| ApiError { param: Some("response_format".into()), ..ApiError::from(error) })?;
    for warning in warnings {
        tracing::debug!(warning);
    }
    Ok(Some(schema))
}

/// Checks that the named tools exist and that every schema can be enforced.
fn check_tools(
    tools: &ToolSet,
    choice: &Choice,
    allowed: Option<&[String]>,
    key_order: KeyOrder,
) -> Result<()> {
    let named = match choice {
        Choice::Named(name) => std::slice::from_ref(name),
        _ => allowed.unwrap_or_default(),
    };
    tools
        .only_these(named)
        .map_err(|error| ApiError { param: Some("tool_choice".into()), ..ApiError::from(error) })?;
    if *choice != Choice::None {
        call::check_tools(tools, key_order)?;
    }
    Ok(())
}

/// The conversation with the system message of the request, or else its own, or else that of the defaults.
fn with_system(
    conversation: Conversation,
    fields: &RequestFields,
    defaults: &Defaults,
) -> Result<Conversation> {
    let is_system = |role| matches!(role, Role::System | Role::Developer);
    let has_own = conversation.messages.iter().any(|message| is_system(message.role()));
    match (&fields.system, &defaults.system) {
        (Some(_), _) if has_own => {
            Err(ApiError::field("system", "stands beside a system message in `messages`; keep one of them"))
        }
        (Some(system), _) => Ok(conversation.with_system(system.clone())),
        (None, Some(system)) if !has_own => Ok(conversation.with_system(system.clone())),
        _ => Ok(conversation),
    }
}

/// `defaults` with what a request says.
pub(super) fn settings(fields: &RequestFields, defaults: Settings) -> Settings {
    let mut settings = defaults;
    let sampling = &mut settings.sampling;
    sampling.temperature = fields.temperature.unwrap_or(sampling.temperature);
    sampling.top_p = fields.top_p.unwrap_or(sampling.top_p);
    sampling.top_k = fields.top_k.unwrap_or(sampling.top_k);
    sampling.min_p = fields.min_p.unwrap_or(sampling.min_p);
    sampling.seed = fields.seed.unwrap_or(sampling.seed);
    settings.max_tokens = fields.max_tokens.map_or(settings.max_tokens, NonZeroUsize::get);
    settings.think = fields.think.unwrap_or(settings.think);
    settings.detail = fields.logprobs.map_or(settings.detail, TokenDetail::Logprobs);
    settings
}

fn template(fields: &RequestFields, defaults: &PromptTemplate) -> PromptTemplate {
    let mut template = defaults.clone();
    for (key, value) in &fields.template_arguments {
        template.arguments.insert(key.clone(), value.clone());
    }
    template
}

#[cfg(test)]
mod tests;

//! Type of answer to generate: tools with a tool choice, text, or JSON of a schema.

use super::{
    super::exit::CliError,
    Args,
    answer::OutputArg,
    input::{source, warn},
    profile::choice,
};
use anyhow::Context;
use edgecall::{
    Kind,
    call::{self, Choice, RequestFields, StopStrings},
    json,
    profile::Profile,
    tools::{ToolSet, answer_schema, arguments::AnswerSchema},
};
use serde_json::Value;

/// The request's tools and schema, read and validated.
pub struct Ask {
    /// Tools that the model may call.
    pub tools: Option<ToolSet>,
    /// Tool choice.
    pub choice: Choice,
    /// Names of the tools that may be called, if not all.
    pub allowed: Option<Vec<String>>,
    /// Strings that end a text.
    pub stop: StopStrings,
    /// Schema of a JSON answer.
    pub schema: Option<AnswerSchema>,
}

impl Ask {
    /// Reads tools and schema; `with_messages` holds tools from the conversation's file, and `fields` what else stands
    /// in it. Options override both, and all of them the profile.
    ///
    /// # Errors
    /// Contradictory arguments; tools or schemas that cannot be used.
    pub fn read(
        args: &Args,
        with_messages: Option<Value>,
        fields: &RequestFields,
        profile: &Profile,
    ) -> anyhow::Result<Ask> {
        let tools = tools(args, with_messages, fields, profile)?;
        let option = args.tool_choice.as_deref().map(Choice::from_word);
        // An option overrides the whole field.
        let allowed = fields.allowed.clone().filter(|_| option.is_none() && tools.is_some());
        let choice = match (option.clone(), fields.choice.clone(), &tools) {
            (Some(choice), _, Some(_)) | (None, Some(choice), Some(_)) => choice,
            (None, None, Some(_)) => profile.tool_choice.as_ref().map_or(Choice::Required, choice),
            (None, Some(Choice::Required | Choice::Named(_)), None) => {
                return Err(CliError::with_kind(
                    Kind::Data,
                    "the request's `tool_choice` asks for a call, and there are no tools; give --tools TOOLS.json",
                ));
            }
            (None | Some(Choice::None), _, None) => Choice::None,
            (Some(_), _, None) => {
                return Err(CliError::usage("there is nothing to call; give --tools TOOLS.json"));
            }
        };
        let schema = schema_value(args, fields)?;
        if schema.is_some() && tools.is_some() && choice != Choice::None {
            if args.json_schema.is_some() {
                return Err(CliError::usage(
                    "the messages come with `tools`, and --json-schema asks for no call; take one of them away",
                ));
            }
            let is_call = matches!(choice, Choice::Required | Choice::Named(_));
            if !is_call || (option.is_none() && fields.choice.is_none()) {
                return Err(CliError::with_kind(
                    Kind::Data,
                    "the request has `tools` and a `response_format`; say by `tool_choice` or --tool-choice whether a \
                     call (`required`) or JSON (`none`) is wanted",
                ));
            }
        }
        let schema = match schema.filter(|_| choice == Choice::None) {
            Some(schema) => Some(AnswerSchema::new(&schema, args.key_order())?),
            None => None,
        };
        let stop = stop(args, fields, &choice, schema.is_some())?;
        let ask = Ask { tools, choice, allowed, stop, schema };
        ask.check(args)?;
        Ok(ask)
    }

    fn check(&self, args: &Args) -> anyhow::Result<()> {
        let calls = self.choice != Choice::None;
        if args.stream && (calls || self.schema.is_some()) {
            return Err(CliError::usage(
                "only text can be streamed: a call or JSON is worth nothing before it is whole; \
                 --tool-choice none asks for text",
            ));
        }
        // A server's model may have tools of its own.
        if !calls && args.server.is_none() && matches!(args.output, OutputArg::Arguments | OutputArg::Name) {
            return Err(CliError::usage("there will be no call to print a part of; give --tools TOOLS.json"));
        }
        if !calls && (args.close_at_budget || args.parallel.is_some_and(|calls| calls.get() > 1)) {
            return Err(CliError::usage("--parallel and --close-at-budget are for calls; give --tools"));
        }
        if let Some(tools) = &self.tools {
            let named = match &self.choice {
                Choice::Named(name) => std::slice::from_ref(name),
                _ => self.allowed.as_deref().unwrap_or_default(),
            };
            tools.only_these(named).map_err(|error| match args.tool_choice {
                Some(_) => anyhow::Error::from(error),
                // It is the request that names the tool, or the profile.
                None => CliError::with_kind(Kind::Data, error.to_string()),
            })?;
            if calls {
                call::check_tools(tools, args.key_order())?;
            }
        }
        Ok(())
    }
}

/// The strings of `--stop`, or else of the request's `stop`. They end text, and only text: cut before one of them, a call
/// or JSON would not be whole.
pub fn stop(
    args: &Args,
    fields: &RequestFields,
    choice: &Choice,
    is_json: bool,
) -> anyhow::Result<StopStrings> {
    let is_text = matches!(choice, Choice::None | Choice::Auto) && !is_json;
    if !args.stop.is_empty() {
        if !is_text {
            return Err(CliError::usage(
                "--stop ends answers in text, and a call or JSON ends where it is whole; take --stop away, or give \
                 --tool-choice none or auto",
            ));
        }
        return StopStrings::new("stop", args.stop.clone()).map_err(|error| match error {
            call::Error::Field { problem, .. } => CliError::usage(format!("--stop {problem}")),
            other => other.into(),
        });
    }
    let stop = fields.stop.clone().unwrap_or_default();
    if !is_text && !stop.is_empty() {
        warn(&["the request's `stop` has no effect: a call or JSON ends where it is whole".to_owned()]);
        return Ok(StopStrings::default());
    }
    Ok(stop)
}

/// Tools from `--tools`, or else from the conversation's file, or else from the profile.
pub fn tools(
    args: &Args,
    with_messages: Option<Value>,
    fields: &RequestFields,
    profile: &Profile,
) -> anyhow::Result<Option<ToolSet>> {
    let tools = match (&args.tools, with_messages.or_else(|| fields.functions.clone())) {
        (Some(path), _) => {
            let (name, text) = source(path)?;
            ToolSet::parse(&text).context(name)?
        }
        // A request without tools may have an empty list.
        (None, Some(Value::Array(tools))) if tools.is_empty() => return Ok(None),
        (None, Some(tools)) => ToolSet::from_value(tools)?,
        // Whoever wrote the profile was warned.
        (None, None) => return Ok(profile.tool_set()?),
    };
    warn(tools.warnings());
    Ok(Some(tools))
}

/// The schema of `--json-schema`, or else of the request's `response_format`, not yet compiled.
pub fn schema_value(args: &Args, fields: &RequestFields) -> anyhow::Result<Option<Value>> {
    let (name, document) = match (&args.json_schema, &fields.schema) {
        (Some(path), _) => {
            let (name, bytes) = source(path)?;
            let wrong = |problem: String| CliError::with_kind(Kind::Data, format!("{name}: {problem}"));
            let text = json::text(&bytes).map_err(|error| wrong(format!("the schema is {error}")))?;
            match json::input::parse_exact(text) {
                Ok(schema @ (Value::Object(_) | Value::Bool(_))) => (name, schema),
                Ok(_) => return Err(wrong("a JSON Schema is an object or a boolean".into())),
                Err(error) => return Err(wrong(format!("the schema is not valid JSON: {error}"))),
            }
        }
        (None, Some(schema)) => ("the request's `response_format`".to_owned(), schema.clone()),
        (None, None) => return Ok(None),
    };
    let (schema, warnings) = answer_schema(document).with_context(|| name.clone())?;
    let named: Vec<String> = warnings.into_iter().map(|warning| format!("{name}: {warning}")).collect();
    warn(&named);
    Ok(Some(schema))
}

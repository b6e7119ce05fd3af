//! Type of answer to generate: tools with a tool choice, text, or JSON of a schema.

use super::{super::exit::CliError, Args, answer::OutputArg, input::read};
use anyhow::Context;
use edgecall::{
    Kind,
    call::{self, Choice},
    json,
    tools::{ToolSet, arguments::AnswerSchema},
};
use serde_json::Value;

/// The request's tools and schema, read and validated.
pub struct Ask {
    /// Tools that the model may call.
    pub tools: Option<ToolSet>,
    /// Tool choice.
    pub choice: Choice,
    /// Schema of a JSON answer.
    pub schema: Option<AnswerSchema>,
}

impl Ask {
    /// Reads tools and schema; `with_messages` holds tools from the conversation's file.
    ///
    /// # Errors
    /// Contradictory arguments; tools or schemas that cannot be used.
    pub fn read(args: &Args, with_messages: Option<Value>) -> anyhow::Result<Ask> {
        let tools = tools(args, with_messages)?;
        let choice = args.tool_choice.as_deref().map(Choice::from_word);
        let choice = match (choice, &tools) {
            (Some(choice), Some(_)) => choice,
            (None, Some(_)) => Choice::Required,
            (None | Some(Choice::None), None) => Choice::None,
            (Some(_), None) => {
                return Err(CliError::usage("there is nothing to call; give --tools TOOLS.json"));
            }
        };
        let schema = schema(args)?;
        if schema.is_some() && tools.is_some() {
            return Err(CliError::usage(
                "the messages come with `tools`, and --json-schema asks for no call; take one of them away",
            ));
        }
        let ask = Ask { tools, choice, schema };
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
        if !calls && matches!(args.output, OutputArg::Arguments | OutputArg::Name) {
            return Err(CliError::usage("there will be no call to print a part of; give --tools TOOLS.json"));
        }
        if !calls && (args.close_at_budget || args.parallel.get() > 1) {
            return Err(CliError::usage("--parallel and --close-at-budget are for calls; give --tools"));
        }
        if let Some(tools) = &self.tools {
            if let Choice::Named(name) = &self.choice {
                tools.only(name)?;
            }
            if calls {
                call::check_tools(tools, args.key_order())?;
            }
        }
        Ok(())
    }
}

/// Tools from `--tools` or from the conversation's file.
pub fn tools(args: &Args, with_messages: Option<Value>) -> anyhow::Result<Option<ToolSet>> {
    match (&args.tools, with_messages) {
        (Some(path), None) => {
            let text = read(path)?;
            let tools = ToolSet::parse(&text);
            tools.map(Some).with_context(|| path.display().to_string())
        }
        (None, Some(tools)) => Ok(Some(ToolSet::from_value(tools)?)),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(CliError::usage(
            "the messages come with `tools`, and --tools gives others; take one of them away",
        )),
    }
}

fn schema(args: &Args) -> anyhow::Result<Option<AnswerSchema>> {
    let Some(schema) = schema_text(args)? else { return Ok(None) };
    Ok(Some(AnswerSchema::new(&schema, args.key_order())?))
}

/// Parsed text of `--json-schema`, not yet validated as a schema.
pub fn schema_text(args: &Args) -> anyhow::Result<Option<Value>> {
    let Some(path) = &args.json_schema else { return Ok(None) };
    let bytes = read(path)?;
    let wrong = |problem: String| CliError::with_kind(Kind::Data, format!("{}: {problem}", path.display()));
    let text = json::text(&bytes).map_err(|error| wrong(format!("the schema is {error}")))?;
    match json::parse_exact(text) {
        Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Some(schema)),
        Ok(_) => Err(wrong("a JSON Schema is an object or a boolean".into())),
        Err(error) => Err(wrong(format!("the schema is not valid JSON: {error}"))),
    }
}

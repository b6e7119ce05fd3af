//! A call that a running server answers: no model is loaded here.

use super::{
    super::{error::advice, exit::CliError, output},
    Args,
    answer::{self, OutputArg},
    ask::Ask,
    input::conversation,
    settings::ThinkArg,
};
use edgecall::{
    Kind,
    call::{Answer, Choice, End, RequestFields, Timings},
    chat::Conversation,
    http::Key,
    json::{self, Exact},
    profile::Profile,
    remedy::Remedy,
    serve::{
        client::{Address, post},
        first_key,
    },
    tools::ToolCall,
};
use serde_json::{Map, Value, json};
use std::{
    env,
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// Variable with the address of the server.
const SERVER: &str = "EDGECALL_SERVER";
/// Time for an answer, with the time that it waits for others.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The server to ask: that of the option, or of the environment unless a model was named by an option.
pub fn server(args: &Args) -> Option<String> {
    let in_environment = |name| env::var_os(name).filter(|value| !value.is_empty());
    let names_model = args
        .model
        .as_ref()
        .is_some_and(|model| in_environment("EDGECALL_MODEL").as_deref() != Some(model.as_os_str()));
    args.server.clone().or_else(|| {
        let server = in_environment(SERVER).filter(|_| !names_model)?;
        Some(server.to_string_lossy().into_owned())
    })
}

/// Lets the server at `server` answer.
///
/// # Errors
/// Inputs that cannot be used, a server that does not answer, and the errors that it answers with.
pub fn run(mut args: Args, server: &str) -> anyhow::Result<()> {
    let address: Address = server.parse()?;
    check(&args)?;
    // What is left open, the server decides by the profile of its model.
    let (mut conversation, fields) = conversation(&args, &Profile::default())?;
    let tools = conversation.tools.take();
    let ask = Ask::read(&args, tools, &fields, &Profile::default())?;
    let is_open = ask.tools.is_none() && ask.schema.is_none();
    args.adopt(&fields);
    let body = body(&args, &conversation, &fields, &ask)?;
    let key = match &args.api_key_file {
        Some(path) => Some(first_key(path)?),
        None => Key::from_env(&["EDGECALL_API_KEY"])?,
    };
    let key = key.filter(|key| address.may_have(key));
    let (status, bytes) = post(&address, "/v1/chat/completions", key.as_ref(), body, PATIENCE)?;
    let reply: Value = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::with_kind(
            Kind::Unavailable,
            format!("{address} answered with something else than JSON: {error}"),
        )
    })?;
    if status != 200 {
        return Err(refused(status, &reply));
    }
    let answer = read(&reply)?;
    // Only the server knows which choice its profile makes.
    let choice = if is_open && !answer.calls.is_empty() { Choice::Required } else { ask.choice };
    let model = reply["model"].as_str().unwrap_or_default();
    match args.output {
        OutputArg::Openai => output::line(&json::spaced(&reply))?,
        part => answer::print(&answer, &choice, part, Path::new(model))?,
    }
    answer::comment(&answer, args.output);
    Ok(())
}

/// Refuses options that are settings of the server.
fn check(args: &Args) -> anyhow::Result<()> {
    let is_typed = |id: &str| args.typed.iter().any(|typed| typed == id);
    let given = [
        ("--print-prompt", args.print_prompt),
        ("--timings", args.timings),
        ("--stream", args.stream),
        ("--dialect", args.dialect.is_some()),
        ("--chat-template", args.chat_template.is_some()),
        ("--key-order", args.key_order.is_some()),
        ("--allow-repetition", args.allow_repetition),
        ("--close-at-budget", args.close_at_budget),
        ("--trust-model", args.trust_model),
        ("--trust-content", args.trust_content),
        ("--no-profile", args.no_profile),
        ("--exact", args.exact),
        ("--ctx", args.ctx.is_some()),
        ("--force", args.force),
        // Defaults and the environment are no request.
        ("--threads", is_typed("threads")),
        ("--kv-type", is_typed("kv_type")),
        ("--flash-attn", is_typed("flash_attn")),
        ("--repack", is_typed("repack")),
        ("--draft", is_typed("draft")),
        ("--cache-dir", is_typed("cache_dir")),
        ("--cache-read-rate", is_typed("cache_read_rate")),
        ("--no-cache", is_typed("no_cache")),
        ("--no-history", is_typed("no_history")),
        ("--kernels", is_typed("kernels")),
    ];
    if let Some((name, _)) = given.iter().find(|(_, is_given)| *is_given) {
        return Err(CliError::usage(format!(
            "{name} has no effect on a server's model; leave it out, or call without the server"
        )));
    }
    match args.parallel.map(std::num::NonZeroUsize::get) {
        None | Some(1 | 8) => Ok(()),
        Some(_) => {
            Err(CliError::usage("a server makes 1 or up to 8 calls in one turn; give --parallel 1 or 8"))
        }
    }
}

/// The body of the request.
fn body(
    args: &Args,
    conversation: &Conversation,
    fields: &RequestFields,
    ask: &Ask,
) -> anyhow::Result<String> {
    let mut body = Map::new();
    let messages = conversation.messages.iter().map(|message| Value::Object(message.fields().clone()));
    body.insert("messages".into(), messages.collect());
    if let Some(tools) = &ask.tools {
        body.insert("tools".into(), tools.sources().into());
        let choice = match (&ask.choice, &ask.allowed) {
            (Choice::Named(name), _) => json!({"type": "function", "function": {"name": name}}),
            (choice, Some(names)) if *choice != Choice::None => {
                let mode = if *choice == Choice::Auto { "auto" } else { "required" };
                let tools: Vec<Value> = names
                    .iter()
                    .map(|name| json!({"type": "function", "function": {"name": name}}))
                    .collect();
                json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
            }
            (Choice::Required, _) => json!("required"),
            (Choice::Auto, _) => json!("auto"),
            (Choice::None, _) => json!("none"),
        };
        body.insert("tool_choice".into(), choice);
    }
    if let Some(schema) = super::ask::schema_value(args, fields)?.filter(|_| ask.schema.is_some()) {
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        body.insert("response_format".into(), format);
    }
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    };
    set("parallel_tool_calls", args.parallel.map(|most| (most.get() > 1).into()));
    set("max_completion_tokens", args.max_tokens.map(|most| most.get().into()));
    set("temperature", args.temperature.map(Into::into));
    set("top_p", args.top_p.map(Into::into));
    set("top_k", args.top_k.map(|most| most.get().into()).or(fields.top_k.map(Into::into)));
    set("min_p", args.min_p.map(Into::into));
    set("seed", args.seed.map(Into::into));
    let stop = Some(ask.stop.strings()).filter(|strings| !strings.is_empty());
    set("stop", stop.map(|strings| json!(strings)));
    let mut arguments: Map<String, Value> = args.template_arg.iter().cloned().collect();
    match args.think {
        Some(ThinkArg::On) => drop(arguments.insert("enable_thinking".into(), true.into())),
        Some(ThinkArg::Off) => drop(arguments.insert("enable_thinking".into(), false.into())),
        Some(ThinkArg::Auto) | None => {}
    }
    set("chat_template_kwargs", Some(Value::Object(arguments)).filter(|value| *value != json!({})));
    // Numbers of schemas are written as they stand there.
    Ok(serde_json::to_string(&Exact(&Value::Object(body)))?)
}

/// The error that the server answered with.
fn refused(status: u16, reply: &Value) -> anyhow::Error {
    let error = &reply["error"];
    say(error["partial"].as_str());
    let message = error["message"].as_str().unwrap_or("the server gives no reason");
    match status {
        400..=499 if matches!(status, 400 | 404 | 405 | 413) => CliError::with_kind(Kind::Data, message),
        422 => CliError::with_kind(Kind::Negative, message),
        401 => CliError::with_kind(
            Kind::Unavailable,
            format!("{message}; put the key into EDGECALL_API_KEY, or its file into --api-key-file"),
        ),
        _ => CliError::with_kind(Kind::Unavailable, message),
    }
}

/// The answer in the server's object.
fn read(reply: &Value) -> anyhow::Result<Answer> {
    let choice = &reply["choices"][0];
    let message = &choice["message"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let call = |call: &Value| {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        ToolCall::from_text(name, function["arguments"].as_str().unwrap_or_default())
    };
    let calls =
        message["tool_calls"].as_array().into_iter().flatten().map(call).collect::<Result<Vec<_>, _>>()?;
    let content = text(&message["content"]);
    let cut_off = &reply["edgecall"];
    if let Some(problem) = cut_off["error"].as_str() {
        say(cut_off["partial"].as_str());
        let advice = match cut_off["remedy"].as_str() {
            Some("more_tokens") => advice(&[Remedy::MoreTokens]),
            _ => String::new(),
        };
        return Err(CliError::with_kind(Kind::Negative, format!("{problem}{advice}")));
    }
    Ok(Answer {
        id: String::new(),
        content,
        calls,
        reasoning: text(&message["reasoning_content"]),
        tokens: Vec::new(),
        end: if choice["finish_reason"] == "length" { End::CutOff } else { End::Complete },
        timings: Timings::default(),
    })
}

fn say(text: Option<&str>) {
    if let Some(text) = text {
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

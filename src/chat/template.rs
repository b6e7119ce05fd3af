//! The model's Jinja chat template, rendered as `transformers` renders it.

use std::collections::BTreeMap;

use minijinja::machinery::{CodeGenerator, Instructions, Token, eval, make_string_output, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Engine;
use minijinja::{AutoEscape, Environment, ErrorKind};
use serde_json::{Map, Value};

use crate::chat::python::{RaisedError, environment, from_json, python_error, rewrite};
use crate::chat::{Conversation, Error, Role, tags};
use crate::stack;

/// Limit on the work of one rendering, in steps of the template; bytes and items count by their size. It ends a
/// template within about two seconds and 200 MB. Long conversations of ten thousand messages need a fraction of it.
const FUEL: u64 = 20_000_000;

/// Most nested loops and macros; CPython allows about as many nested macros.
const RECURSION_LIMIT: usize = 500;

/// Most bytes of a template; the longest published ones have about 20 KB.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// Most lines of a template, since the engine counts them in 16 bits.
const MAX_TEMPLATE_LINES: usize = 60_000;

/// Most tokens in one tag, and most `elif` branches in a template: parser and code generator recurse over both
/// without limits of their own.
const MAX_TAG_TOKENS: usize = 4_000;

/// Stack size that is enough for the deepest template within the limits above.
const STACK_BYTES: usize = 64 << 20;

/// Inputs of a template beside the messages and the tools.
#[derive(Clone, Debug, Default)]
pub struct RenderOptions<'a> {
    /// Appends the text that starts the assistant's answer.
    pub add_generation_prompt: bool,
    /// The switch of reasoning models; `None` does not define it.
    pub enable_thinking: Option<bool>,
    /// Text of the BOS token; `None` does not define it.
    pub bos_token: Option<&'a str>,
    /// Text of the EOS token; `None` does not define it.
    pub eos_token: Option<&'a str>,
    /// Further variables; they override all of the above.
    pub arguments: Map<String, Value>,
    /// The time for `strftime_now`; `None` is [`LocalTime::now`] at the time of the call.
    pub now: Option<LocalTime>,
}

/// Value of the environment variable `SOURCE_DATE_EPOCH`, in seconds since 1970, for reproducible output
/// (<https://reproducible-builds.org/specs/source-date-epoch>); `None` if it is not set.
///
/// # Errors
/// [`Error::SourceDateEpoch`] if it is not an integer.
pub fn source_date_epoch() -> Result<Option<i64>, Error> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let value = value.to_string_lossy().into_owned();
    value.trim().parse().map(Some).map_err(|_| Error::SourceDateEpoch { value })
}

/// A date and time of day without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime(jiff::civil::DateTime);

impl LocalTime {
    /// The local time; in UTC from `SOURCE_DATE_EPOCH` if that variable is set.
    ///
    /// # Errors
    /// If the variable is not a number of seconds.
    pub fn now() -> Result<LocalTime, Error> {
        let wrong = |seconds: i64| Error::SourceDateEpoch { value: seconds.to_string() };
        match source_date_epoch()? {
            Some(seconds) => LocalTime::from_epoch(seconds).ok_or_else(|| wrong(seconds)),
            None => Ok(LocalTime(jiff::Zoned::now().datetime())),
        }
    }

    /// The time `seconds` after the start of 1970, in UTC; `None` outside the years -9999 to 9999.
    pub fn from_epoch(seconds: i64) -> Option<LocalTime> {
        let time = jiff::Timestamp::from_second(seconds).ok()?;
        Some(LocalTime(time.to_zoned(jiff::tz::TimeZone::UTC).datetime()))
    }

    /// Formats the time like `datetime.now().strftime(format)`.
    fn strftime(self, format: &str) -> Result<String, minijinja::Error> {
        // Python's naive datetime has no zone and prints nothing for one.
        let format = format.replace("%Z", "").replace("%z", "");
        jiff::fmt::strtime::format(&format, self.0).map_err(|e| python_error(format!("strftime_now: {e}")))
    }
}

/// A chat template that compiles.
#[derive(Debug)]
pub struct Template {
    source: String,
    environment: Environment<'static>,
    /// True if the template mentions the role `developer`.
    knows_developer: bool,
}

impl Template {
    /// Parses `source`, the text of `chat_template`.
    ///
    /// # Errors
    /// A template that is too large, or a syntax error with its line.
    pub fn new(source: &str) -> Result<Template, Error> {
        let (bytes, lines) = (source.len(), source.lines().count());
        if bytes > MAX_TEMPLATE_BYTES || lines > MAX_TEMPLATE_LINES {
            return Err(Error::TemplateSize {
                bytes,
                lines,
                max_bytes: MAX_TEMPLATE_BYTES,
                max_lines: MAX_TEMPLATE_LINES,
            });
        }
        let template = Template {
            // Jinja2 converts every line end to a line feed.
            source: tags::prepared(&source.replace("\r\n", "\n").replace('\r', "\n")),
            environment: environment(FUEL, RECURSION_LIMIT),
            knows_developer: source.contains("developer"),
        };
        on_own_stack(|| compile(&template.source).map(|_| ()))?;
        Ok(template)
    }

    /// Renders the prompt of `conversation`. Developer messages get the role `system` if the template does not
    /// mention `developer`, since it would silently drop them.
    ///
    /// # Errors
    /// If the template refuses the conversation, fails, or exceeds the limits; with its line.
    pub fn render(
        &self,
        conversation: &Conversation,
        tools: Option<&Value>,
        options: &RenderOptions<'_>,
    ) -> Result<String, Error> {
        let messages: Vec<Value> = conversation
            .messages
            .iter()
            .map(|message| {
                let mut fields = message.fields().clone();
                if message.role() == Role::Developer && !self.knows_developer {
                    fields.insert("role".into(), Role::System.as_str().into());
                }
                Value::Object(fields)
            })
            .collect();
        self.render_values(&messages, tools, options)
    }

    /// Renders the prompt of messages that were not validated, and that the template gets unchanged.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_values(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
        options: &RenderOptions<'_>,
    ) -> Result<String, Error> {
        on_own_stack(|| {
            Renderer { environment: &self.environment, compiled: compile(&self.source)? }
                .render(messages, tools, options)
        })
    }

    /// Runs `work` with the compiled template, for many renderings of at most `fuel` steps each.
    ///
    /// # Errors
    /// If the system starts no thread with a stack for deep templates.
    pub fn with_renderer<T: Send>(
        &self,
        fuel: u64,
        work: impl FnOnce(&Renderer<'_>) -> T + Send,
    ) -> Result<T, Error> {
        on_own_stack(|| {
            let mut environment = self.environment.clone();
            environment.set_fuel(Some(fuel.min(FUEL)));
            Ok(work(&Renderer { environment: &environment, compiled: compile(&self.source)? }))
        })
    }

    /// The template's text, with line feeds as its only line ends.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// A template that was compiled for several renderings.
#[derive(Debug)]
pub struct Renderer<'t> {
    environment: &'t Environment<'static>,
    compiled: Compiled<'t>,
}

impl Renderer<'_> {
    /// Renders the prompt of messages that were not validated, and that the template gets unchanged.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
        options: &RenderOptions<'_>,
    ) -> Result<String, Error> {
        let context = context(messages, tools, options).map_err(|e| failure(&e))?;
        let (instructions, blocks) = &self.compiled;
        let mut prompt = String::new();
        let mut output = make_string_output(&mut prompt);
        let result = eval(self.environment, instructions, context, blocks, &mut output, AutoEscape::None);
        result.map(|_| ()).map_err(|e| failure(&e))?;
        Ok(prompt)
    }
}

/// Selects the template for a call, as `transformers` does: of several, `tool_use` if there are tools, else
/// `default`. `templates` are pairs of name and text; a single one is always taken.
///
/// # Errors
/// If there are several and none fits.
pub fn select_template<'a>(templates: &[(&str, &'a str)], has_tools: bool) -> Result<&'a str, Error> {
    let named = |wanted: &str| templates.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    let chosen = if has_tools { named("tool_use").or_else(|| named("default")) } else { named("default") };
    match (chosen, templates) {
        (Some(text), _) => Ok(text),
        (None, [(_, text)]) => Ok(text),
        _ => Err(Error::NoDefaultTemplate {
            names: templates.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }),
    }
}

type Compiled<'a> = (Instructions<'a>, BTreeMap<&'a str, Instructions<'a>>);

/// Runs `work` on a thread with a larger stack.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    stack::run_on(STACK_BYTES, work).map_err(|source| Error::Thread { source })?
}

fn compile(source: &str) -> Result<Compiled<'_>, Error> {
    let syntax_error = |e: minijinja::Error| Error::Syntax {
        line: e.line().unwrap_or(1),
        reason: e.detail().map_or_else(|| e.kind().to_string(), str::to_owned),
    };
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(syntax_error)?;
    refuse_deep_tags(source, syntax.clone())?;
    let tree = parse(source, "chat template", syntax).map_err(syntax_error)?;
    let tree = rewrite(&tree).map_err(|e| Error::Syntax { line: e.line, reason: e.reason })?;
    let mut generator = CodeGenerator::new("chat template", source);
    generator.compile_stmt(&tree);
    Ok(generator.finish())
}

/// Refuses tags and chains of `elif` so long that their syntax trees would exhaust the stack.
fn refuse_deep_tags(source: &str, syntax: SyntaxConfig) -> Result<(), Error> {
    let (mut in_tag, mut branches) = (0, 0);
    // The parser reports text that cannot be tokenized.
    for (token, span) in tokenize(source, false, syntax).map_while(Result::ok) {
        match token {
            Token::VariableStart | Token::BlockStart => in_tag = 0,
            Token::Ident("elif") => branches += 1,
            _ => in_tag += 1,
        }
        if in_tag > MAX_TAG_TOKENS || branches > MAX_TAG_TOKENS {
            let line = span.start_line.into();
            let what = if branches > MAX_TAG_TOKENS { "branches" } else { "words and signs in one tag" };
            return Err(Error::Syntax { line, reason: format!("more than {MAX_TAG_TOKENS} {what}") });
        }
    }
    Ok(())
}

/// The variables of the template.
fn context(
    messages: &[Value],
    tools: Option<&Value>,
    options: &RenderOptions<'_>,
) -> Result<Engine, minijinja::Error> {
    let messages: Vec<Value> = messages.iter().map(with_reasoning_aliases).collect();
    let mut names: Vec<(String, Engine)> = vec![
        ("messages".into(), from_json(&Value::Array(messages))?),
        // Absent tools and documents are none, not undefined.
        ("tools".into(), from_json(tools.unwrap_or(&Value::Null))?),
        ("documents".into(), Engine::from(())),
        ("add_generation_prompt".into(), Engine::from(options.add_generation_prompt)),
        ("strftime_now".into(), strftime_now(options.now)),
    ];
    let texts = [("bos_token", options.bos_token), ("eos_token", options.eos_token)];
    names.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Engine::from(text?)))));
    names.extend(options.enable_thinking.map(|on| ("enable_thinking".to_owned(), Engine::from(on))));
    for (name, value) in &options.arguments {
        names.push((name.clone(), from_json(value)?));
    }
    Ok(Engine::from_pairs(names))
}

fn strftime_now(now: Option<LocalTime>) -> Engine {
    Engine::from_function(move |format: String| {
        let now = now.map_or_else(LocalTime::now, Ok).map_err(|e| python_error(e.to_string()))?;
        now.strftime(&format)
    })
}

/// A message with its reasoning as `reasoning_content` and as `thinking`, the names that templates use.
fn with_reasoning_aliases(message: &Value) -> Value {
    let Value::Object(fields) = message else { return message.clone() };
    let names = ["reasoning_content", "thinking", "reasoning"];
    let Some(thought) = names.iter().find_map(|name| fields.get(*name).filter(|v| !v.is_null())) else {
        return message.clone();
    };
    let mut aliased = Map::new();
    aliased.insert("thinking".into(), thought.clone());
    aliased.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    aliased.insert("reasoning_content".into(), thought.clone());
    Value::Object(aliased)
}

fn failure(error: &minijinja::Error) -> Error {
    let line = error.line().unwrap_or(1);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        if let Some(RaisedError(message)) = e.downcast_ref::<RaisedError>() {
            return Error::Refused { message: message.clone(), line };
        }
        cause = e.source();
    }
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.kind() {
        ErrorKind::OutOfFuel => {
            Error::Runaway { line, limit: format!("it took more than the work of {FUEL} steps") }
        }
        _ if reason.contains("recursion limit") => Error::Runaway { line, limit: reason },
        _ => Error::Render { line, reason },
    }
}

//! The file of tools, in TOML or JSON: what a model may call, and the program behind each tool.

use super::{
    Effect, Error, Result, SourceTool, Trust,
    process::{DEFAULT_ENVIRONMENT, DEFAULT_MAX_OUTPUT, DEFAULT_TIMEOUT},
    template::Template,
};
use crate::{
    json::{self, near::nearest},
    tools::ToolSet,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Longest file that is read.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Keys of a tool that say how it runs.
const OURS: [&str; 10] = [
    "command",
    "stdin",
    "answer",
    "timeout",
    "max_output",
    "directory",
    "environment",
    "effect",
    "confirm",
    "untrusted",
];
/// Keys that the model is told of, or that other programs put there.
const THEIRS: [&str; 10] = [
    "name",
    "description",
    "parameters",
    "inputSchema",
    "input_schema",
    "type",
    "function",
    "strict",
    "title",
    "annotations",
];
/// Longest time that a tool may be given, in seconds: a day.
const MAX_TIMEOUT: f64 = 86_400.0;
/// Most bytes of output that a tool may be given.
const MAX_MAX_OUTPUT: usize = 4 << 20;

/// A tool that runs a program, or ends the run.
#[derive(Clone, Debug)]
pub(super) struct FileTool {
    /// Its definition.
    pub tool: SourceTool,
    /// The way it runs.
    pub setup: Setup,
}

/// The way a tool runs.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// The command; `None` for a tool that ends the run.
    pub template: Option<Template>,
    /// The program, with its path if the template names it with one.
    pub program: String,
    /// Gives the arguments to stdin, as JSON.
    pub json_on_stdin: bool,
    /// Time limit.
    pub timeout: Duration,
    /// Bytes of output that the model is shown.
    pub max_output: usize,
    /// Working folder.
    pub directory: Option<PathBuf>,
    /// Variables that it gets.
    pub environment: Vec<String>,
    /// Trust in the tool.
    pub trust: Trust,
}

/// Input on a program's stdin.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Stdin {
    None,
    Json,
}

/// Word for an effect.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum EffectWord {
    Reads,
    Acts,
}

/// Reads a file of tools: a list under `tools`, or in JSON the list alone. Paths in it are relative to `folder`.
///
/// # Errors
/// The place and the defect.
pub(super) fn parse(text: &str, is_json: bool, folder: &Path) -> Result<Vec<FileTool>> {
    let format = if is_json { "JSON" } else { "TOML" };
    let syntax = |problem: String| Error::Syntax { format, problem };
    let document: Value = match is_json {
        true => json::input::parse(text).map_err(|error| syntax(error.to_string()))?,
        false => toml::from_str(text).map_err(|error| syntax(error.to_string().trim_end().to_owned()))?,
    };
    let list = match document {
        Value::Array(list) => list,
        Value::Object(mut object) => match (object.shift_remove("tools"), object.keys().next()) {
            (Some(Value::Array(list)), None) => list,
            (Some(Value::Array(_)), Some(other)) => {
                return Err(syntax(format!("`{other}` beside `tools` is not known; take it out")));
            }
            _ => return Err(syntax("there is no list `tools`; begin each tool with [[tools]]".into())),
        },
        _ => return Err(syntax("there is no list of tools".into())),
    };
    if list.is_empty() {
        return Err(Error::NoTools { problem: "the list is empty".into() });
    }
    let tools = list.into_iter().enumerate().map(|(i, value)| tool(i + 1, value, folder));
    let tools: Vec<FileTool> = tools.collect::<Result<_>>()?;
    // Names that two tools have, and fields that cannot be.
    ToolSet::from_value(tools.iter().map(|tool| tool.tool.definition.clone()).collect())?;
    Ok(tools)
}

fn tool(nth: usize, value: Value, folder: &Path) -> Result<FileTool> {
    let Value::Object(mut fields) = value else {
        return Err(wrong(nth.to_string(), "it is no table; begin each tool with [[tools]]"));
    };
    let ours: Map<String, Value> =
        OURS.into_iter().filter_map(|key| fields.shift_remove_entry(key)).collect();
    let function = fields.get("function").unwrap_or(&Value::Null);
    let name = fields.get("name").or_else(|| function.get("name")).and_then(Value::as_str);
    let called = name.map_or_else(|| nth.to_string(), |name| format!("`{name}`"));
    if let Some(unknown) = fields.keys().find(|key| !THEIRS.contains(&key.as_str())) {
        let known = [OURS, THEIRS].concat();
        let meant =
            nearest(unknown, &known).map_or_else(String::new, |known| format!("; was `{known}` meant?"));
        return Err(wrong(called, format!("`{unknown}` is not known{meant}")));
    }
    let definition = Value::Object(fields);
    let set = ToolSet::from_value(Value::Array(vec![definition.clone()]))?;
    let parsed = set.iter().next().expect("one definition is one tool");
    let properties = parsed.parameters().get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let setup = setup(&ours, &names, folder).map_err(|problem| wrong(called, problem))?;
    let answer = field::<String>(&ours, "answer").ok().flatten();
    Ok(FileTool { tool: SourceTool { name: parsed.name().to_owned(), definition, answer }, setup })
}

fn wrong(tool: String, problem: impl Into<String>) -> Error {
    Error::Tool { tool, problem: problem.into() }
}

/// The field `name`, if it is there.
fn field<T: DeserializeOwned>(fields: &Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let read = |value: &Value| T::deserialize(value).map_err(|error| format!("`{name}`: {error}"));
    fields.get(name).map(read).transpose()
}

/// The way a tool with these fields runs; `names` are those of its arguments.
fn setup(fields: &Map<String, Value>, names: &[&str], folder: &Path) -> Result<Setup, String> {
    let template = fields.get("command").map(Template::from_value).transpose()?;
    let answer: Option<String> = field(fields, "answer")?;
    match (&template, &answer) {
        (None, None) => {
            return Err(
                "it has no `command`, so nothing can run; give one, or `answer` for a tool that ends the run"
                    .into(),
            );
        }
        (Some(_), Some(_)) => return Err("`command` and `answer` exclude each other".into()),
        _ => {}
    }
    let mut used = template.iter().flat_map(Template::arguments).chain(answer.as_deref());
    if let Some(name) = used.find(|name| !names.contains(name)) {
        let is_word = name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        let advice = match nearest(name, names) {
            Some(known) => format!("; was `{known}` meant?"),
            None if !is_word => "; write {{ and }} for braces that are text".to_owned(),
            None => String::new(),
        };
        return Err(format!("there is no argument `{name}` in the properties of its parameters{advice}"));
    }
    let timeout: f64 = field(fields, "timeout")?.unwrap_or(DEFAULT_TIMEOUT.as_secs_f64());
    if !(timeout > 0.0 && timeout <= MAX_TIMEOUT) {
        return Err(format!("`timeout` is a number of seconds up to {MAX_TIMEOUT}"));
    }
    let max_output: usize = field(fields, "max_output")?.unwrap_or(DEFAULT_MAX_OUTPUT);
    if !(1..=MAX_MAX_OUTPUT).contains(&max_output) {
        return Err(format!("`max_output` is a number of bytes from 1 to {MAX_MAX_OUTPUT}"));
    }
    let mut environment: Vec<String> = DEFAULT_ENVIRONMENT.map(str::to_owned).to_vec();
    let more: Vec<String> = field(fields, "environment")?.unwrap_or_default();
    if let Some(name) = more.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(format!(
            "`environment` lists names of variables, and `{name}` is none; values are those of this program"
        ));
    }
    environment.extend(more);
    let directory: Option<PathBuf> = field(fields, "directory")?;
    let program = template.as_ref().map_or("", Template::program);
    Ok(Setup {
        program: located(program, folder)?,
        template,
        json_on_stdin: field(fields, "stdin")?.unwrap_or(Stdin::None) == Stdin::Json,
        timeout: Duration::from_secs_f64(timeout),
        max_output,
        directory: directory.map(|directory| folder.join(directory)),
        environment,
        trust: trust(fields)?,
    })
}

fn trust(fields: &Map<String, Value>) -> Result<Trust, String> {
    let effect = match field(fields, "effect")? {
        Some(EffectWord::Reads) => Effect::Reads,
        Some(EffectWord::Acts) | None => Effect::Acts,
    };
    Ok(Trust {
        effect,
        confirm: field(fields, "confirm")?.unwrap_or(effect == Effect::Acts),
        untrusted_output: field(fields, "untrusted")?.unwrap_or(false),
    })
}

/// A program with a path from `folder`; a bare name is left to `PATH`.
fn located(program: &str, folder: &Path) -> Result<String, String> {
    if !program.contains('/') {
        return Ok(program.to_owned());
    }
    // The working folder of the program may be another one.
    let path = std::path::absolute(folder.join(program)).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|_| "the program's path is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match parse(text, text.starts_with(['[', '{']) && !text.starts_with("[["), Path::new("/tools")) {
            Ok(tools) => panic!("{text} was taken: {tools:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_tool_has_safe_defaults_and_its_own_settings() {
        let text = r#"
            [[tools]]
            name = "weather"
            description = "Weather of a city"
            command = ["bin/weather", "--", "{city}"]
            effect = "reads"
            untrusted = true
            timeout = 2.5
            max_output = 100
            directory = "data"
            environment = ["TOKEN"]
            [tools.parameters]
            type = "object"
            required = ["city"]
            [tools.parameters.properties.city]
            type = "string"
            [tools.parameters.properties.aa]
            type = "string"

            [[tools]]
            name = "restart"
            command = ["systemctl", "restart", "it"]
        "#;
        let tools = parse(text, false, Path::new("/tools")).unwrap();
        let setup = &tools[0].setup;
        assert_eq!(setup.program, "/tools/bin/weather");
        assert_eq!((setup.timeout, setup.max_output), (Duration::from_millis(2500), 100));
        assert_eq!(setup.directory.as_deref(), Some(Path::new("/tools/data")));
        assert!(
            setup.environment.contains(&"PATH".to_owned()) && setup.environment.contains(&"TOKEN".to_owned())
        );
        assert_eq!(setup.trust, Trust { effect: Effect::Reads, confirm: false, untrusted_output: true });
        // The model is shown the keys in the file's order, and nothing of how it runs.
        let definition = tools[0].tool.definition.to_string();
        assert!(definition.find("city").unwrap() < definition.find("aa").unwrap());
        assert!(!definition.contains("command") && !definition.contains("TOKEN"), "{definition}");
        let other = &tools[1].setup;
        assert_eq!(other.program, "systemctl");
        assert_eq!(other.trust, Trust { effect: Effect::Acts, confirm: true, untrusted_output: false });
        assert_eq!((other.timeout, other.max_output), (DEFAULT_TIMEOUT, DEFAULT_MAX_OUTPUT));
    }

    #[test]
    fn json_holds_tools_in_openais_form_with_their_commands_beside() {
        let text = r#"[{"type": "function", "function": {"name": "f", "parameters":
            {"type": "object", "properties": {"message": {"type": "string"}}}}, "answer": "message"}]"#;
        let tools = parse(text, true, Path::new(".")).unwrap();
        assert_eq!((tools[0].tool.name.as_str(), tools[0].tool.answer.as_deref()), ("f", Some("message")));
        assert!(tools[0].setup.template.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_tool() {
        for (text, expected) in [
            ("x", "not valid TOML"),
            ("[1", "not valid JSON"),
            ("", "no list `tools`"),
            ("a = 1", "no list `tools`"),
            ("tools = []\nb = 1", "`b` beside `tools`"),
            ("tools = []", "the list is empty"),
            ("tools = [1]", "tool 1: it is no table"),
            ("[[tools]]\nname = 'f'", "tool `f`: it has no `command`"),
            (
                "[[tools]]\nname = 'f'\ncomand = ['x']",
                "tool `f`: `comand` is not known; was `command` meant?",
            ),
            ("[[tools]]\nname = 'f'\ncommand = ['x', '{a}']", "there is no argument `a`"),
            (
                "[[tools]]\nname = 'f'\ncommand = ['x', '{\"a\": 1}']",
                "; write {{ and }} for braces that are text",
            ),
            ("[[tools]]\nname = 'f'\ncommand = 'x'", "`command` is a list"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\ntimeout = 0", "`timeout` is a number of seconds"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\ntimeout = nan", "`timeout`"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\nmax_output = 0", "`max_output` is a number of bytes"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\nmax_output = 1e9", "`max_output`"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\neffect = 'write'", "`effect`: unknown variant `write`"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\nenvironment = ['A=b']", "`A=b` is none"),
            ("[[tools]]\nname = 'f'\ncommand = ['x']\nanswer = 'a'", "exclude each other"),
            ("[[tools]]\ncommand = ['x']", "`name` is missing"),
            (
                "[[tools]]\nname = 'f'\ncommand = ['x']\n[[tools]]\nname = 'f'\ncommand = ['x']",
                "both called `f`",
            ),
        ] {
            let problem = problem(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        let near = r#"[[tools]]
            name = "f"
            command = ["x", "{citty}"]
            parameters = { properties = { city = { type = "string" } } }"#;
        assert!(
            problem(near)
                .contains("no argument `citty` in the properties of its parameters; was `city` meant?")
        );
    }
}

//! The profile of a bundle, joined from its files: a client's arguments count before Ollama's parameters, and both
//! before the job description.

use super::{
    Error, Wanted,
    layout::{CLIENT, JOB, MODELFILE},
    modelfile, python,
};
use crate::{
    bench::{self, data::Job},
    display::{chain, few},
    files, json,
    profile::{Profile, SystemText},
    tools::ToolSet,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Most bytes of a file with settings.
const MAX_BYTES: u64 = 4 << 20;
/// Arguments of a call that belong to the client, not to the model.
const OF_THE_CLIENT: &[&str] = &[
    "timeout",
    "user",
    "n",
    "stream_options",
    "extra_headers",
    "extra_query",
    "store",
    "metadata",
    "api_key",
    "base_url",
    "keep_alive",
    "logprobs",
    "top_logprobs",
    "num_ctx",
    "num_thread",
    "num_gpu",
    "num_batch",
];

/// A profile, and where it comes from.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The profile.
    pub(super) profile: Profile,
    /// Names of the files that were read.
    pub(super) sources: Vec<String>,
    /// Settings that were not taken over or are doubtful.
    pub(super) warnings: Vec<String>,
}

/// Reads the settings in `root`, or else in the model's folder. `shown` gives the path of a file for messages.
///
/// # Errors
/// A file that cannot be read, or has a prompt or tools that are no constants.
pub(super) fn read(
    root: &Path,
    model: &Path,
    wanted: Wanted,
    shown: impl Fn(&Path) -> PathBuf,
) -> Result<Read, Error> {
    let mut reader = Reader { read: Read::default(), left_out: BTreeSet::new(), wanted, shown: &shown };
    let found =
        |name: &str| [root, model].into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    // What is read later gives way to what is there.
    if let Some(path) = found(CLIENT) {
        reader.client(&path)?;
    }
    if let Some(path) = found(MODELFILE) {
        reader.modelfile(&path)?;
    }
    if let Some(path) = found(JOB).filter(|_| wanted.system || wanted.tools) {
        reader.job(&path)?;
    }
    let mut read = reader.read;
    read.profile.check().map_err(|source| Error::Profile { path: shown(root), source })?;
    read.warnings.iter_mut().for_each(|warning| *warning = warning.replace(char::is_control, " "));
    Ok(read)
}

struct Reader<'a> {
    read: Read,
    /// Names of settings that the file has and a profile has not.
    left_out: BTreeSet<String>,
    wanted: Wanted,
    shown: &'a dyn Fn(&Path) -> PathBuf,
}

impl Reader<'_> {
    fn text(&mut self, path: &Path) -> Result<String, Error> {
        let shown = (self.shown)(path);
        let bytes = files::read(path, MAX_BYTES)
            .map_err(|source| Error::Unreadable { path: shown.clone(), source })?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.read.sources.extend(name);
        match json::text(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(Error::File { path: shown, problem: format!("is {error}; save it as UTF-8") }),
        }
    }

    fn warn(&mut self, path: &Path, line: usize, text: &str) {
        let path = (self.shown)(path);
        self.read.warnings.push(format!("{}, line {line}: {text}", path.display()));
    }

    /// Takes over the value of a key of the profile, if the key is still open. A value that does not fit is left out
    /// with a warning.
    fn set(&mut self, path: &Path, line: usize, key: &str, value: Value) {
        if is_open(&self.read.profile, key) && !value.is_null() {
            let mut profile = self.read.profile.clone();
            match profile.set(key, value).and_then(|()| profile.check()) {
                Ok(()) => self.read.profile = profile,
                Err(error) => self.warn(path, line, &format!("{}; it was left out", chain(&error))),
            }
        }
    }

    fn client(&mut self, path: &Path) -> Result<(), Error> {
        let text = self.text(path)?;
        let refused = |problem: python::Problem| Error::Line {
            path: (self.shown)(path),
            line: problem.line,
            problem: problem.text,
        };
        let client = python::read(&text, self.wanted).map_err(refused)?;
        self.read.profile.system = client.system.filter(|text| !text.is_empty()).map(SystemText::Text);
        for (name, value, line) in client.arguments {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("tools", tools) => self.tools(path, line, tools)?,
                ("functions", Value::Array(functions)) => {
                    let tools = functions
                        .into_iter()
                        .map(|function| json!({"type": "function", "function": function}));
                    self.tools(path, line, Value::Array(tools.collect()))?;
                }
                ("extra_body" | "options", Value::Object(fields)) => {
                    fields.into_iter().for_each(|(name, value)| self.argument(path, line, &name, value));
                }
                (name, value) => self.argument(path, line, name, value),
            }
        }
        for problem in client.warnings {
            self.warn(path, problem.line, &problem.text);
        }
        self.warn_left_out(path);
        Ok(())
    }

    /// Takes over tools, which are refused if they cannot be used.
    fn tools(&mut self, path: &Path, line: usize, tools: Value) -> Result<(), Error> {
        if self.read.profile.tools.is_some() || tools.as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let mut profile = Profile { tools: Some(tools), ..Profile::default() };
        profile.check().map_err(|error| Error::Line {
            path: (self.shown)(path),
            line,
            problem: chain(&error),
        })?;
        self.read.profile.tools = profile.tools.take();
        Ok(())
    }

    /// Takes over an argument of a call, by OpenAI's name or by those of vLLM, llama-server and Ollama.
    fn argument(&mut self, path: &Path, line: usize, name: &str, value: Value) {
        match (name, value) {
            (_, Value::Null) => {}
            ("temperature" | "top_p" | "top_k" | "min_p" | "seed" | "tool_choice", value) => {
                // vLLM and Ollama write "all" as 0 or -1.
                let is_all = name == "top_k" && value.as_f64().is_some_and(|k| k <= 0.0);
                if !is_all {
                    self.set(path, line, name, value);
                }
            }
            ("max_tokens" | "max_completion_tokens" | "num_predict", value) => {
                if value.as_f64().is_none_or(|tokens| tokens > 0.0) {
                    self.set(path, line, "max_tokens", value);
                }
            }
            // More calls than one need a number, which the request does not give.
            ("parallel_tool_calls", Value::Bool(false)) => self.set(path, line, "parallel", json!(1)),
            ("parallel_tool_calls", Value::Bool(true)) => {}
            ("think" | "enable_thinking", Value::Bool(on)) => self.thinking(path, line, on),
            ("reasoning_effort", Value::String(effort)) if effort == "none" => {
                self.thinking(path, line, false)
            }
            ("chat_template_kwargs", Value::Object(arguments)) => {
                for (name, value) in arguments {
                    match (name.as_str(), value) {
                        ("enable_thinking", Value::Bool(on)) => self.thinking(path, line, on),
                        (name, value) => drop(
                            self.read
                                .profile
                                .template_arguments
                                .insert(name.to_owned(), json::rounded(value)),
                        ),
                    }
                }
            }
            (name, _) if OF_THE_CLIENT.contains(&name) => {}
            (name, _) => {
                self.left_out.insert(name.chars().take(60).collect());
            }
        }
    }

    fn thinking(&mut self, path: &Path, line: usize, on: bool) {
        self.set(path, line, "thinking", json!(if on { "on" } else { "off" }));
    }

    fn modelfile(&mut self, path: &Path) -> Result<(), Error> {
        let text = self.text(path)?;
        let refused = |(line, problem)| Error::Modelfile { path: (self.shown)(path), line, problem };
        let instructions = modelfile::read(&text).map_err(refused)?;
        // Of several system texts Ollama takes the last.
        let system = instructions.iter().rfind(|instruction| instruction.name == "SYSTEM");
        if let Some(system) = system.filter(|system| !system.value.is_empty()) {
            self.read.profile.system.get_or_insert_with(|| SystemText::Text(system.value.clone()));
        }
        for instruction in &instructions {
            let (line, value) = (instruction.line, instruction.value.as_str());
            match instruction.name.as_str() {
                "PARAMETER" => {
                    let (name, value) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                    let value = value.trim();
                    let value = json::parse_unique(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                    self.argument(path, line, name, value);
                }
                "TEMPLATE" => self.warn(path, line, "TEMPLATE is not used: the model's own chat template is"),
                "MESSAGE" => drop(self.left_out.insert("MESSAGE".into())),
                "ADAPTER" => self.warn(path, line, "ADAPTER is not used: the model is converted as it is"),
                _ => {}
            }
        }
        self.warn_left_out(path);
        Ok(())
    }

    fn job(&mut self, path: &Path) -> Result<(), Error> {
        let shown = (self.shown)(path);
        // A file that is no plain one, or very large, is not opened.
        let file = files::open(path).and_then(|file| Ok(file.metadata()?.len()));
        let bytes = file.map_err(|source| Error::Unreadable { path: shown.clone(), source })?;
        if bytes > MAX_BYTES {
            return Err(Error::File { path: shown, problem: format!("has more than {MAX_BYTES} bytes") });
        }
        let job = Job::open(path).map_err(|error| of_job(error, &shown))?;
        self.read.sources.push(JOB.to_owned());
        let known = self.read.profile.tool_set().ok().flatten();
        let profile = &mut self.read.profile;
        if profile.system.is_none() && !job.task_description.is_empty() {
            profile.system = Some(SystemText::Task(job.task_description));
        }
        let sources =
            |tools: &ToolSet| -> Vec<Value> { tools.iter().map(|tool| tool.source().clone()).collect() };
        match known {
            None => profile.tools = Some(Value::Array(sources(&job.tools))),
            Some(known) if sources(&known) != sources(&job.tools) => {
                let text =
                    format!("{} has other tools than the client, whose tools were taken", shown.display());
                self.read.warnings.push(text);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Warns of the settings of the file at `path` that a profile does not have.
    fn warn_left_out(&mut self, path: &Path) {
        let names = std::mem::take(&mut self.left_out);
        if !names.is_empty() {
            let path = (self.shown)(path);
            let names = names.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>();
            self.read.warnings.push(format!("{}: a profile does not keep {}", path.display(), few(&names)));
        }
    }
}

/// An error of the job description, with the path that the user knows.
fn of_job(error: bench::Error, path: &Path) -> Error {
    let path = path.to_path_buf();
    let with = |problem: String, source: Option<Box<dyn std::error::Error + Send + Sync>>| match source {
        Some(source) => format!("{problem}: {}", chain(&*source)),
        None => problem,
    };
    match error {
        bench::Error::Line { line, problem, source, .. } => {
            Error::Line { path, line, problem: with(problem, source) }
        }
        bench::Error::File { problem, source, .. } => Error::File { path, problem: with(problem, source) },
        other => Error::File { path, problem: chain(&other) },
    }
}

/// True if `profile` has no value for `key`.
fn is_open(profile: &Profile, key: &str) -> bool {
    match key {
        "tool_choice" => profile.tool_choice.is_none(),
        "parallel" => profile.parallel.is_none(),
        "thinking" => profile.thinking.is_none(),
        "temperature" => profile.sampling.temperature.is_none(),
        "top_k" => profile.sampling.top_k.is_none(),
        "top_p" => profile.sampling.top_p.is_none(),
        "min_p" => profile.sampling.min_p.is_none(),
        "seed" => profile.sampling.seed.is_none(),
        _ => profile.max_tokens.is_none(),
    }
}

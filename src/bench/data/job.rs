//! A job: the task and the tools of the model.

use super::input;
use crate::{
    bench::Error,
    json,
    profile::{Profile, SystemText},
    tools::ToolSet,
};
use serde_json::Value;
use std::path::Path;

/// The model's task and tools, read from a `job_description.json`.
#[derive(Clone, Debug)]
pub struct Job {
    /// Text of the task; part of the system message.
    pub task_description: String,
    /// The tools, in the order in which they appear in the prompt.
    pub tools: ToolSet,
    /// Criteria for an LLM judge, if the job has any.
    pub judge_instructions: Option<String>,
    /// The system message that the description is a part of.
    pub(super) system: SystemMessage,
}

/// The system message of conversations that have none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SystemMessage {
    /// The text that the TFT models were trained with, around the task description.
    AroundTask,
    /// The task description itself.
    Task,
    /// None.
    Nothing,
}

impl Job {
    /// The job that a model's profile describes; `None` if it has no tools.
    ///
    /// # Errors
    /// Tools that cannot be used, with `path` as the file that has them.
    pub fn from_profile(profile: &Profile, path: &Path) -> Result<Option<Job>, Error> {
        let tools = profile.tool_set().map_err(|source| Error::File {
            path: path.to_path_buf(),
            problem: "the profile cannot be used".into(),
            source: Some(Box::new(source)),
        })?;
        let (task_description, system) = match profile.system.clone() {
            Some(SystemText::Task(task)) => (task, SystemMessage::AroundTask),
            Some(SystemText::Text(text)) => (text, SystemMessage::Task),
            None => (String::new(), SystemMessage::Nothing),
        };
        Ok(tools.map(|tools| Job { task_description, tools, judge_instructions: None, system }))
    }

    /// Reads a `job_description.json`. If there is none, the job is `tools` without a task, or else the `other`.
    ///
    /// # Errors
    /// As for [`Job::open`].
    pub(super) fn open_or<'t>(
        path: &Path,
        tools: impl FnOnce() -> Option<&'t Value>,
        other: impl FnOnce() -> Result<Option<Job>, Error>,
    ) -> Result<Job, Error> {
        let missing = match Job::open(path) {
            Err(Error::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => source,
            other => return other,
        };
        let path = path.to_path_buf();
        let Some(list) = tools() else { return other()?.ok_or(Error::Read { path, source: missing }) };
        let tools = ToolSet::from_value(list.clone()).map_err(|source| Error::File {
            path,
            problem: "is missing, and the tools of the test set cannot be used".into(),
            source: Some(Box::new(source)),
        })?;
        Ok(Job {
            task_description: String::new(),
            tools,
            judge_instructions: None,
            system: SystemMessage::Nothing,
        })
    }

    /// Reads a `job_description.json`.
    ///
    /// # Errors
    /// [`Error::Read`], or the field that is wrong.
    pub fn open(path: &Path) -> Result<Job, Error> {
        let bytes = input::read(path)?;
        let text = &*json::input::whole_surrogates(input::text(path, &bytes)?);
        let wrong = |problem: String| Error::File { path: path.to_path_buf(), problem, source: None };
        let document = json::parse_last(text).map_err(|source| Error::File {
            path: path.to_path_buf(),
            problem: "not valid JSON".into(),
            source: Some(Box::new(json::input::explained(text, source))),
        })?;
        let Value::Object(mut fields) = document else {
            return Err(wrong(format!("is {}, not an object", json::type_name(&document))));
        };
        let mut string = |key: &str| match fields.shift_remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(format!("`{key}` is {}, not a string", json::type_name(&other)))),
        };
        let task_description = string("task_description")?.ok_or_else(|| {
            wrong("`task_description` is missing; it is the text of the model's system message".into())
        })?;
        let judge_instructions = string("llm_as_a_judge_instructions")?;
        let list = fields
            .shift_remove("tools")
            .ok_or_else(|| wrong("`tools` is missing; it is a list in OpenAI's form".into()))?;
        let tools = ToolSet::from_value(list).map_err(|source| Error::File {
            path: path.to_path_buf(),
            problem: "the tools cannot be used".into(),
            source: Some(Box::new(source)),
        })?;
        Ok(Job { task_description, tools, judge_instructions, system: SystemMessage::AroundTask })
    }
}

//! Options that make a profile.

use super::{error::ReadError, exit::CliError};
use anyhow::Context;
use edgecall::{
    Kind, files, json,
    profile::{MAX_JSON_BYTES, Profile, SystemText},
    schema::KeyOrder,
    tools::ToolSet,
};
use serde_json::Value;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Heading of these options.
const HEADING: &str = "Profile";

/// Options that make a profile: settings that calls with the file take unless told otherwise.
#[derive(Default, clap::Args)]
pub struct ProfileArgs {
    /// Store this task description, which TFT models read inside their system message
    #[arg(long, value_name = "TASK.txt", help_heading = HEADING)]
    task: Option<PathBuf>,

    /// Store these tools, as OpenAI or MCP list them
    #[arg(long, value_name = "TOOLS.json", help_heading = HEADING)]
    tools: Option<PathBuf>,

    /// Store this profile: system message, tools, sampling and more (docs/profile.md); --task and --tools override it
    #[arg(long, value_name = "PROFILE.json", help_heading = HEADING)]
    profile: Option<PathBuf>,
}

impl ProfileArgs {
    /// True if any option is given.
    pub fn is_given(&self) -> bool {
        self.task.is_some() || self.tools.is_some() || self.profile.is_some()
    }

    /// True if a task is given.
    pub fn gives_task(&self) -> bool {
        self.task.is_some()
    }

    /// True if tools are given.
    pub fn gives_tools(&self) -> bool {
        self.tools.is_some()
    }

    /// True if a whole profile is given.
    pub fn replaces_all(&self) -> bool {
        self.profile.is_some()
    }

    /// The profile that the options make; `None` without any.
    pub fn given(&self) -> anyhow::Result<Option<Profile>> {
        self.is_given().then(|| self.over(Profile::default())).transpose()
    }

    /// `profile` with what the options say.
    pub fn over(&self, mut profile: Profile) -> anyhow::Result<Profile> {
        if let Some(path) = &self.profile {
            profile = Profile::from_json(&read(path)?).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.task {
            profile.system = Some(SystemText::Task(text(path)?));
        }
        if let Some(path) = &self.tools {
            profile.tools = Some(json_value(path)?);
        }
        checked(profile)
    }
}

/// `profile` if calls could use it; prints doubts about its tools.
pub fn checked(profile: Profile) -> anyhow::Result<Profile> {
    profile.check()?;
    if let Some(tools) = profile.tool_set()? {
        check_tools(&tools, profile.key_order.unwrap_or_default())?;
    }
    Ok(profile)
}

/// Compiles every schema, so that a call does not refuse what was stored.
fn check_tools(tools: &ToolSet, key_order: KeyOrder) -> anyhow::Result<()> {
    for warning in tools.warnings() {
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    for tool in tools.iter() {
        tool.compiled(key_order).context("no call could use these tools")?;
    }
    Ok(())
}

/// The bytes of a file that a user names.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = |source| ReadError::new(path, source);
    let file = files::open_input(path).map_err(unreadable)?;
    let bytes = files::read_within(MAX_JSON_BYTES as u64, file).map_err(unreadable)?;
    bytes.ok_or_else(|| {
        let message =
            format!("{} has more than {MAX_JSON_BYTES} bytes, and no profile holds as many", path.display());
        CliError::with_kind(Kind::Data, message)
    })
}

/// The text of a file.
pub fn text(path: &Path) -> anyhow::Result<String> {
    let bytes = read(path)?;
    let text = json::text(&bytes);
    let wrong = |error| CliError::with_kind(Kind::Data, format!("{} is {error}", path.display()));
    Ok(text.map_err(wrong)?.to_owned())
}

/// The JSON in a file.
pub fn json_value(path: &Path) -> anyhow::Result<Value> {
    let text = text(path)?;
    let wrong =
        |error| CliError::with_kind(Kind::Data, format!("{} is not valid JSON: {error}", path.display()));
    json::input::parse_exact(&text).map_err(wrong)
}

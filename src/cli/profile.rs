//! `edgecall profile`.

use super::{
    convert::{Bar, interrupt},
    exit::CliError,
    output::{Format, emit},
    profile_args::{self, ProfileArgs},
};
use anyhow::Context;
use edgecall::{
    Kind,
    convert::{
        Progress,
        rewrite::{self, ManifestState, Rewritten},
    },
    files,
    gguf::Gguf,
    inspect, json,
    mmap::Map,
    profile::{KEYS, Profile, SystemText},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Examples at the end of the help.
const EXAMPLES: &str = "\
Examples:
  edgecall profile model.gguf                                        (show it)
  edgecall profile model.gguf --task task.txt --tools tools.json     (write it)
  edgecall profile model.gguf --set temperature=0 --set thinking=off
  edgecall profile model.gguf --set tools=@tools.json --set task=    (take the task away)";

/// The arguments of `edgecall profile`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// GGUF file; it is written anew beside itself and renamed, with the same weights
    #[arg(value_name = "MODEL.gguf")]
    file: PathBuf,

    /// Set one value (repeatable): text for system, task, tool_choice, thinking, dialect and key_order, else JSON; @FILE
    /// reads it from a file, nothing after the = takes it away
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true, value_parser = setting)]
    set: Vec<(&'static str, String)>,

    #[command(flatten)]
    given: ProfileArgs,

    /// Write the profile to this folder: profile.json, and its texts and tools as files for options of `call`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["set", "task", "tools", "profile", "remove"])]
    export: Option<PathBuf>,

    /// Take the profile out of the file
    #[arg(long, conflicts_with_all = ["set", "task", "tools", "profile"])]
    remove: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let format = Format::from_flag(args.json);
    if let Some(folder) = &args.export {
        return export(&args.file, &read(&args.file)?, folder, format);
    }
    if args.remove {
        return write(&args.file, &Profile::default(), format);
    }
    if args.set.is_empty() && !args.given.is_given() {
        return Ok(emit(&Shown { file: &args.file, profile: read(&args.file)? }, format)?);
    }
    // A profile that is replaced as a whole may be of any version.
    let before = if args.given.replaces_all() { None } else { read(&args.file)? };
    let mut profile = args.given.over(before.unwrap_or_default())?;
    for (key, value) in &args.set {
        set(&mut profile, key, value)?;
    }
    write(&args.file, &profile_args::checked(profile)?, format)
}

/// The profile in the file; `None` if it has none.
fn read(path: &Path) -> anyhow::Result<Option<Profile>> {
    let file = Map::open(path).map_err(|source| inspect::Error::Read { path: path.to_path_buf(), source })?;
    let gguf =
        Gguf::parse(&file).map_err(|source| inspect::Error::Gguf { path: path.to_path_buf(), source })?;
    let profile = Profile::from_gguf(&gguf);
    profile.with_context(|| {
        let path = path.display();
        format!("{path}: the profile cannot be used (`edgecall profile {path} --remove` takes it out)")
    })
}

fn write(path: &Path, profile: &Profile, format: Format) -> anyhow::Result<()> {
    let interrupt = interrupt()?;
    let mut bar = Bar::new(format);
    bar.begin("copying", 0);
    let rewritten = rewrite::set_profile(path, profile, &mut bar, &interrupt);
    bar.finish();
    let rewritten = rewritten?;
    if rewritten.other_names > 0 && rewritten.is_changed {
        note(&format!("{} has other names (hard links), which keep the old file", path.display()));
    }
    if rewritten.manifest == ManifestState::Other {
        note(&format!("the manifest beside {} is of another file, and stays as it is", path.display()));
    }
    Ok(emit(&Written::new(path, profile, &rewritten), format)?)
}

/// Takes over `KEY=VALUE`.
fn set(profile: &mut Profile, key: &'static str, value: &str) -> anyhow::Result<()> {
    let path = value.strip_prefix('@').map(Path::new);
    let is_text = matches!(key, "system" | "task" | "tool_choice" | "thinking" | "dialect" | "key_order");
    let value = match path {
        _ if value.is_empty() => Value::Null,
        Some(path) if is_text => Value::String(profile_args::text(path)?),
        Some(path) => profile_args::json_value(path)?,
        None if is_text => Value::String(value.to_owned()),
        None => json::input::parse_exact(value)
            .map_err(|error| CliError::usage(format!("--set {key}: the value is not valid JSON: {error}")))?,
    };
    if matches!(key, "system" | "task") && !value.is_null() {
        // One takes the place of the other.
        profile.system = None;
    }
    let value = match value.as_str() {
        // As --tool-choice: a word, or a tool's name.
        Some(name) if key == "tool_choice" && !matches!(name, "required" | "auto" | "none") => {
            serde_json::json!({"type": "function", "function": {"name": name}})
        }
        _ => value,
    };
    Ok(profile.set(key, value)?)
}

/// Parses `KEY=VALUE`.
fn setting(text: &str) -> Result<(&'static str, String), String> {
    let keys = || KEYS.iter().copied().filter(|key| *key != "version");
    let Some((key, value)) = text.split_once('=') else {
        return Err("expected KEY=VALUE, such as temperature=0 or task=@task.txt".into());
    };
    match keys().find(|known| *known == key) {
        Some(key) => Ok((key, value.to_owned())),
        None => Err(format!("no key `{key}`; the keys are {}", keys().collect::<Vec<_>>().join(", "))),
    }
}

/// Writes the profile to `folder`, as files that options of `call` read.
fn export(path: &Path, profile: &Option<Profile>, folder: &Path, format: Format) -> anyhow::Result<()> {
    let Some(profile) = profile else {
        return Err(CliError::with_kind(Kind::Data, format!("{} has no profile", path.display())));
    };
    let mut outputs = vec![("profile.json", profile.to_json())];
    match &profile.system {
        Some(SystemText::Text(text)) => outputs.push(("system.txt", text.clone())),
        Some(SystemText::Task(text)) => outputs.push(("task.txt", text.clone())),
        None => {}
    }
    if let Some(tools) = &profile.tools {
        let text =
            serde_json::to_string_pretty(&json::Exact(tools)).context("the tools cannot be written")?;
        outputs.push(("tools.json", text + "\n"));
    }
    let cannot = |at: &Path| {
        let message = format!("cannot write {}", at.display());
        move |error: io::Error| CliError::with_kind(Kind::CannotCreate, format!("{message}: {error}"))
    };
    if let Some((name, _)) = outputs.iter().find(|(name, _)| fs::symlink_metadata(folder.join(name)).is_ok())
    {
        let message = format!("{} exists already; name another folder", folder.join(name).display());
        return Err(CliError::with_kind(Kind::CannotCreate, message));
    }
    if !folder.is_dir() {
        fs::create_dir(folder).map_err(cannot(folder))?;
    }
    for (name, contents) in &outputs {
        let at = folder.join(name);
        let mut builder = tempfile::Builder::new();
        // Permissions of any new file; a temporary one is private to its owner.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(files::folder_of(&at)).map_err(cannot(&at))?;
        file.write_all(contents.as_bytes()).map_err(cannot(&at))?;
        file.persist_noclobber(&at).map_err(|error| cannot(&at)(error.error))?;
    }
    let names: Vec<&str> = outputs.iter().map(|(name, _)| *name).collect();
    Ok(emit(&Exported { folder, files: names }, format)?)
}

fn note(text: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "note: {text}");
}

/// A file's profile; JSON is that of the profile, or null.
struct Shown<'f> {
    file: &'f Path,
    profile: Option<Profile>,
}

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.profile.serialize(serializer)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.profile {
            Some(profile) => write!(f, "{profile}"),
            None => write!(f, "{}: no profile", self.file.display()),
        }
    }
}

/// The files of an exported profile.
#[derive(Serialize)]
struct Exported<'f> {
    folder: &'f Path,
    files: Vec<&'f str>,
}

impl fmt::Display for Exported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.files.join(", "))
    }
}

/// The result of writing a profile.
#[derive(Serialize)]
struct Written<'f> {
    file: &'f Path,
    /// `written`, `removed` or `unchanged`.
    profile: &'static str,
    manifest_renewed: bool,
}

impl<'f> Written<'f> {
    fn new(file: &'f Path, profile: &Profile, rewritten: &Rewritten) -> Written<'f> {
        let result = match (rewritten.is_changed, profile.is_empty()) {
            (false, _) => "unchanged",
            (true, true) => "removed",
            (true, false) => "written",
        };
        Written { file, profile: result, manifest_renewed: rewritten.manifest == ManifestState::Renewed }
    }
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: profile {}", self.file.display(), self.profile)?;
        if self.manifest_renewed { write!(f, ", and its manifest renewed") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_or_json_by_its_key_and_nothing_takes_it_away() {
        let mut profile = Profile::default();
        for setting in [
            "system=3",
            "temperature=0.5",
            "tool_choice=find",
            "max_tokens=9",
            "seed=4",
            "seed=",
            "tools=[{\"name\": \"find\"}]",
            "task=Book = book.",
            "template_arguments={\"a\": 1}",
        ] {
            let (key, value) = super::setting(setting).unwrap();
            set(&mut profile, key, &value).unwrap();
        }
        let expected = Profile::from_json(
            br#"{"task": "Book = book.", "temperature": 0.5, "max_tokens": 9, "tools": [{"name": "find"}],
                 "tool_choice": {"function": {"name": "find"}}, "template_arguments": {"a": 1}}"#,
        );
        assert_eq!(profile, expected.unwrap());
        assert!(
            setting("temprature=1")
                .unwrap_err()
                .starts_with("no key `temprature`; the keys are system, task")
        );
        assert!(setting("temperature").is_err());
        assert!(set(&mut profile, "temperature", "warm").is_err());
    }
}

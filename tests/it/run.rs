//! `edgecall run` runs what the model calls after a yes, tells the model, and repeats a run from its log.

use crate::{
    pocket::pocket,
    program::{edgecall, python},
};
use edgecall::{agent::Replay, convert::FileType};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const RESTAURANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/restaurants");
const PROMPT: &str = "I would like to eat Thai food in San Jose tonight";

/// A folder with a file of tools: those of the restaurants, each of which writes its arguments into `called`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut tools: Value =
            serde_json::from_str(&fs::read_to_string(Path::new(RESTAURANTS).join("tools.json")).unwrap())
                .unwrap();
        for tool in tools.as_array_mut().unwrap() {
            if tool["function"]["name"] == "respond_to_user" {
                tool["answer"] = "message".into();
            } else {
                let script = "cat >>called; echo '{\"restaurants\": [\"Bangkok Garden\"]}'";
                tool["command"] = json!(["sh", "-c", script.replace('{', "{{").replace('}', "}}")]);
                tool["stdin"] = "json".into();
                tool["directory"] = ".".into();
            }
        }
        fs::write(folder.path().join("tools.json"), tools.to_string()).unwrap();
        Place(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn was_called(&self) -> bool {
        self.path("called").exists()
    }

    /// The command line with the file of tools.
    fn run(&self, more: &[&str]) -> Output {
        let mut command = command();
        command
            .arg("--tools")
            .arg(self.path("tools.json"))
            .arg("--task")
            .arg(format!("{RESTAURANTS}/task.txt"));
        command.args(["--tool-choice", "required"]).args(more).arg(PROMPT).output().unwrap()
    }
}

fn command() -> Command {
    let mut command = edgecall();
    command.arg("run").arg("-m").arg(pocket(FileType::Q8_0)).args(["--threads", "1"]).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_dry_run_prints_the_call_and_its_command_and_runs_nothing() {
    let place = Place::new();
    let output = place.run(&["--dry-run", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let call: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(call["name"], "FindRestaurants", "{call}");
    assert!(text(&output.stderr).contains("  sh -c "), "{}", text(&output.stderr));
    assert!(!place.was_called());
}

#[test]
fn without_a_terminal_a_tool_that_acts_does_not_run_and_the_model_is_told() {
    let place = Place::new();
    let log = place.path("log.jsonl");
    let output = place.run(&["--max-steps", "2", "--log", log.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert!(said.contains("not run: there is no terminal to ask on; --yes-for FindRestaurants"), "{said}");
    assert!(!place.was_called());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(r#""status":"refused""#), "{log}");
}

#[test]
fn a_run_with_a_yes_runs_the_tool_and_its_log_repeats_it_without_running_anything() {
    let place = Place::new();
    let log = place.path("log.jsonl");
    let log_name = log.to_str().unwrap();
    let first = place.run(&["--yes-for", "FindRestaurants", "--max-steps", "3", "--log", log_name]);
    let called = fs::read_to_string(place.path("called")).unwrap();
    assert!(called.starts_with("{\"") && called.contains("San Jose"), "{called}");
    fs::remove_file(place.path("called")).unwrap();
    let mut again = command();
    again.args(["--tool-choice", "required", "--max-steps", "3", "--replay", log_name]);
    let again = again.output().unwrap();
    assert_eq!(again.status.code(), first.status.code(), "{}", text(&again.stderr));
    assert_eq!(text(&again.stdout), text(&first.stdout));
    assert!(!place.was_called());
    assert!(Replay::parse(&fs::read_to_string(&log).unwrap()).is_ok());
    // Another result in the log leads elsewhere, or to the same: never to a program.
    let other = fs::read_to_string(&log).unwrap().replacen("San Jose", "Oakland", 3);
    fs::write(&log, other).unwrap();
    let mut deviating = command();
    deviating.args(["--tool-choice", "required", "--replay", log_name]);
    let deviating = deviating.output().unwrap();
    assert!(!place.was_called());
    assert!(matches!(deviating.status.code(), Some(0 | 1)), "{}", text(&deviating.stderr));
    // A log is not written over.
    let output = place.run(&["--log", log_name]);
    assert_eq!(output.status.code(), Some(73), "{}", text(&output.stderr));
}

#[test]
fn a_transcript_is_a_conversation_to_go_on_with() {
    let place = Place::new();
    let output = place.run(&["--yes", "--transcript", "--max-steps", "8"]);
    if output.status.code() == Some(0) {
        let body: Value = serde_json::from_slice(&output.stdout).unwrap();
        let messages = body["messages"].as_array().unwrap();
        assert_eq!(messages[1]["content"], PROMPT);
        assert!(edgecall::chat::Conversation::parse(&output.stdout).is_ok());
    } else {
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("allow more with --max-steps"), "{}", text(&output.stderr));
    }
}

#[test]
fn tools_of_a_server_are_called_as_those_of_a_file() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mcp/server.py");
    let server = format!("'{}' '{script}'", python().get_program().to_str().unwrap());
    let mut run = command();
    run.args(["--mcp", &server, "--print-prompt", "Add 2 and 3"]);
    let output = run.output().unwrap();
    let (prompt, said) = (text(&output.stdout), text(&output.stderr));
    assert!(prompt.contains("Adds two numbers") && prompt.contains("maximum"), "{prompt}");
    assert!(said.contains("warning: the tool `broken` of the MCP server test_server is left out"), "{said}");
    for (server, code, expected) in [
        ("false", 69, "the MCP server false does not answer as one"),
        ("no-such-server here", 69, "the MCP server no-such-server cannot be started"),
        ("'open", 2, "is no command with its arguments"),
        ("ftp://host/", 69, "cannot be started"),
    ] {
        let output = command().args(["--mcp", server, "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{server}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(expected), "{server}: {}", text(&output.stderr));
    }
}

#[test]
fn what_a_run_cannot_do_is_refused_with_its_reason() {
    let place = Place::new();
    let tools = place.path("tools.json").to_str().unwrap().to_owned();
    let plain = place.path("plain.toml").to_str().unwrap().to_owned();
    fs::write(&plain, "[[tools]]\nname = 'f'\ncommand = ['true']").unwrap();
    let wrong = place.path("wrong.toml").to_str().unwrap().to_owned();
    fs::write(&wrong, "[[tools]]\nname = 'f'\ncommand = ['ls', '{x}']").unwrap();
    for (words, code, expected) in [
        (vec!["x"], 2, "there are no tools; give --tools TOOLS.toml or --mcp COMMAND"),
        (
            vec!["--tools", &tools, "--tool-choice", "none", "--stream", "x"],
            2,
            "--stream belongs to `edgecall call`",
        ),
        (vec!["--tools", &tools, "--output", "name", "x"], 2, "--output belongs to `edgecall call`"),
        (vec!["--tools", &tools, "--tool-choice", "none", "x"], 2, "takes --tool-choice auto or required"),
        (
            vec!["--tools", &plain, "--tool-choice", "required", "x"],
            2,
            "the run ends by a tool, and none has `answer`",
        ),
        (vec!["--tools", &tools, "--yes-for", "Fly", "x"], 2, "there is no tool `Fly`"),
        (vec!["--tools", &tools, "--max-steps", "0", "x"], 2, "expected a whole number from 1 to 999"),
        (vec!["--tools", &wrong, "x"], 65, "wrong.toml: tool `f`: there is no argument `x`"),
        (vec!["--tools", "no-such.toml", "x"], 66, "cannot read no-such.toml"),
        (vec!["--replay", &plain], 65, "line 1 of the log cannot be read"),
        (vec!["--replay", "no-such.jsonl"], 66, "cannot read no-such.jsonl"),
        (vec!["--replay", &plain, "x"], 2, "cannot be used with"),
        (vec!["--tools", &plain, ""], 2, "the prompt is empty, and so is stdin"),
    ] {
        let output = command().args(&words).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{words:?}: {said}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{words:?}: {said}");
    }
}

#[test]
fn the_example_file_of_tools_is_one() {
    let mut run = command();
    run.args([
        "--tools",
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/run/tools.toml"),
        "--print-prompt",
        "x",
    ]);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in ["list_files", "text_length", "remind", "respond_to_user"] {
        assert!(text(&output.stdout).contains(name), "{name}");
    }
    assert_eq!(text(&output.stderr), "");
}

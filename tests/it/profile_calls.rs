//! A file with a profile needs no options: calls and benchmark rows are those with all of them.

use crate::{benchmark_run::data, pocket::pocket, program::edgecall, shared::shared};
use edgecall::{convert::FileType, runtime::Model};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants").join(name)
}

/// A copy of the pocket model with a profile of these options of `edgecall profile`.
fn with_profile(options: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = folder.path().join("pocket.gguf");
    fs::copy(pocket(FileType::Q8_0), &model).unwrap();
    let mut command = edgecall();
    command.arg("profile").arg(&model).args(options);
    succeeded(command.output().unwrap());
    (folder, model)
}

/// The options of a profile with the example's task and tools.
fn example_options() -> Vec<String> {
    let name = |name| example(name).display().to_string();
    ["--task".into(), name("task.txt"), "--tools".into(), name("tools.json")].into()
}

fn example_profile() -> (TempDir, PathBuf) {
    let options = example_options();
    with_profile(&options.iter().map(String::as_str).collect::<Vec<_>>())
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The output of `edgecall call` on one thread.
fn call(model: &Path, args: &[&str]) -> Output {
    let mut command = edgecall();
    command.arg("call").arg("-m").arg(model).args(["--threads", "1"]).args(args);
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

/// A tool of the profile, as the prompt shows it; its bare name stands in the task, too.
const TOOL: &str = "\"name\": \"FindRestaurants\"";

const PROMPT: &str = "I would like to eat Thai food in San Jose tonight";

#[test]
fn a_prompt_alone_gives_the_call_and_the_prompt_of_all_options() {
    let (_folder, model) = example_profile();
    let options = example_options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for more in [&[][..], &["--print-prompt"]] {
        let flags = [&options[..], &[PROMPT, "--no-profile"], more].concat();
        let plain = succeeded(call(&pocket(FileType::Q8_0), &flags));
        assert_eq!(succeeded(call(&model, &[&[PROMPT][..], more].concat())), plain);
        assert_eq!(succeeded(call(&model, &flags)), plain);
    }
    let without = call(&model, &[PROMPT, "--no-profile", "--tool-choice", "required"]);
    assert_eq!(without.status.code(), Some(2), "there are no tools then");
    let explained = succeeded(call(&model, &["--explain-tools"]));
    assert!(explained.contains("ReserveRestaurant"), "{explained}");
}

#[test]
fn options_and_requests_stand_above_the_profile() {
    let (folder, model) = example_profile();
    let at = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let prompt = |args: &[&str]| {
        let output = call(&model, &[args, &["--print-prompt"]].concat());
        (String::from_utf8(output.stderr.clone()).unwrap(), succeeded(output))
    };
    let (_, profiles) = prompt(&["hello"]);
    assert!(profiles.contains("<task_description>") && profiles.contains(TOOL));

    let (_, other) = prompt(&["hello", "--system", "Be brief."]);
    assert!(other.contains("Be brief.") && !other.contains("<task_description>"));
    assert!(other.contains(TOOL), "the tools stay");
    let tools = at("tools.json", r#"[{"name": "ring", "parameters": {"type": "object"}}]"#);
    let (_, other) = prompt(&["hello", "--tools", &tools]);
    assert!(other.contains("ring") && !other.contains(TOOL));
    let body = at(
        "body.json",
        r#"{"messages": [{"role": "user", "content": "hello"}], "tools": [{"name": "hop"}], "system": "Hop!"}"#,
    );
    let (note, other) = prompt(&["--messages", &body]);
    assert!(other.contains("hop") && other.contains("Hop!") && !other.contains(TOOL));
    assert!(!other.contains("<task_description>") && note.is_empty(), "{note}");
    let none = at("none.json", r#"{"messages": [{"role": "user", "content": "hello"}], "tools": []}"#);
    let (_, other) = prompt(&["--messages", &none]);
    assert!(!other.contains(TOOL), "an empty list says that there are none");

    let own = r#"[{"role": "system", "content": "Mine."}, {"role": "user", "content": "hello"}]"#;
    let (note, other) = prompt(&["--messages", &at("own.json", own)]);
    assert!(other.contains("Mine.") && !other.contains("<task_description>"));
    assert!(other.contains(TOOL));
    assert!(note.contains("have a system message of their own"), "{note}");

    let schema = at(
        "schema.json",
        r#"{"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"], "additionalProperties": false}"#,
    );
    let json = succeeded(call(&model, &["hello", "--json-schema", &schema]));
    assert!(json.contains("\"a\": 7"), "{json}");
}

#[test]
fn every_setting_of_a_profile_reaches_the_call() {
    let options = example_options();
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    for setting in [
        "tool_choice=FindRestaurants",
        "temperature=3",
        "seed=11",
        "max_tokens=90",
        "thinking=on",
        "key_order=schema",
        "dialect=generic",
        "template_arguments={\"tools_in_user_message\": false}",
    ] {
        options.extend(["--set", setting]);
    }
    let (_folder, model) = with_profile(&options);
    let flags = example_options();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend([
        "--tool-choice",
        "FindRestaurants",
        "--temperature",
        "3",
        "--seed",
        "11",
        "--max-tokens",
        "90",
    ]);
    flags.extend(["--think", "on", "--key-order", "schema", "--dialect", "generic", "--no-profile"]);
    flags.extend(["--template-arg", "tools_in_user_message=false"]);
    for more in [&["--print-prompt"][..], &["--output", "openai"], &["--output", "call"]] {
        let mut pair = [vec![PROMPT], [&[PROMPT][..], &flags[..]].concat()].map(|args| {
            let mut command = edgecall();
            command.arg("call").arg("-m").arg(&model).args(["--threads", "1"]).args(args).args(more);
            let output = command.env("SOURCE_DATE_EPOCH", "1").stdin(std::process::Stdio::null()).output();
            let output = output.unwrap();
            (output.status.code(), output.stdout, output.stderr)
        });
        let [profile, flags] = &mut pair;
        assert_eq!(profile, flags, "{more:?}: {}", String::from_utf8_lossy(&profile.2));
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_named_before_the_model_is_loaded_and_can_be_ignored() {
    let (_folder, model) = example_profile();
    let bytes = fs::read(&model).unwrap();
    let key = b"edgecall.profile.task";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
    let mut bytes = bytes;
    bytes[at + key.len() - 4..at + key.len()].copy_from_slice(b"tusk");
    fs::write(&model, bytes).unwrap();
    let refused = call(&model, &[PROMPT]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(65), 0), "{message}");
    assert!(message.contains("--no-profile ignores it") && message.contains("no key `tusk`"), "{message}");
    let tools = example("tools.json").display().to_string();
    succeeded(call(&model, &[PROMPT, "--no-profile", "--tools", &tools]));
}

#[test]
fn cached_states_of_the_file_before_a_profile_was_written_are_not_those_of_the_file_after() {
    let (_folder, model) = example_profile();
    let fingerprint = || Model::load(&model).unwrap().fingerprint().unwrap();
    let before = fingerprint();
    assert_eq!(fingerprint(), before);
    let mut command = edgecall();
    succeeded(command.arg("profile").arg(&model).args(["--set", "seed=7"]).output().unwrap());
    assert_ne!(fingerprint(), before);
}

/// Rows of `edgecall bench tft`, without the start and with the costs left out.
fn rows(args: &[&str], out: &Path) -> Vec<serde_json::Value> {
    let mut command = edgecall();
    command.args(["bench", "tft", "--threads", "1", "--speed", "0", "--mode", "free,any"]).args(args);
    succeeded(command.arg("--out").arg(out).output().unwrap());
    let text = fs::read_to_string(out).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.filter(|row| row["kind"] == "row")
        .map(|mut row| {
            row["cost"] = serde_json::Value::Null;
            row
        })
        .collect()
}

/// A copy of the pocket model whose profile is the job of `folder`, and that folder's test set alone.
fn job_as_profile(folder: &Path) -> (TempDir, PathBuf, PathBuf) {
    let job: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("job_description.json")).unwrap()).unwrap();
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let profile = serde_json::json!({"task": job["task_description"], "tools": job["tools"]});
    let json = place.path().join("profile.json");
    fs::write(&json, profile.to_string()).unwrap();
    let (folder_of_model, model) = with_profile(&["--profile", json.to_str().unwrap()]);
    fs::create_dir(folder_of_model.path().join("data")).unwrap();
    let test = folder_of_model.path().join("data/test.jsonl");
    fs::copy(folder.join("test.jsonl"), &test).unwrap();
    (folder_of_model, model, test)
}

fn assert_same_rows(data: &Path, limit: &str) {
    let (folder, model, test) = job_as_profile(data);
    let at = |name: &str| folder.path().join(name);
    let common = ["--limit", limit, "--max-tokens", "96", "-m", model.to_str().unwrap()];
    let flags = rows(&[&["--data", data.to_str().unwrap()][..], &common[..]].concat(), &at("flags.jsonl"));
    let alone = rows(&[&["--test", test.to_str().unwrap()][..], &common[..]].concat(), &at("alone.jsonl"));
    assert_eq!(flags.len(), 2 * limit.parse::<usize>().unwrap());
    assert_eq!(alone, flags);
}

#[test]
fn benchmark_rows_of_a_file_and_messages_alone_are_those_with_a_job_description() {
    assert_same_rows(&data(), "8");
}

#[test]
fn conformance_published_turns_give_the_same_rows_from_the_file_alone() {
    let Some(shared) = shared() else { return };
    assert_same_rows(&shared.join("data/tft/s1-direct"), "6");
}

#[test]
fn a_benchmark_measures_with_a_profile_and_refuses_two_that_differ() {
    let (folder, model, test) = job_as_profile(&data());
    let (_other_folder, other) =
        with_profile(&["--set", "system=Be brief.", "--set", "tools=[{\"name\": \"f\"}]"]);
    let bench = |args: &[&str]| {
        let mut command = edgecall();
        command.args(["bench", "tft", "--limit", "2", "--threads", "1", "--max-tokens", "48", "--no-drift"]);
        command.arg("--test").arg(&test).arg("-m").arg(&model).args(args);
        command.current_dir(folder.path()).output().unwrap()
    };
    let output = bench(&["--speed", "1", "--out", "speed.jsonl"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    succeeded(output);
    assert!(stderr.contains("task and tools are those of the profile in"), "{stderr}");
    assert!(fs::read_to_string(folder.path().join("speed.jsonl")).unwrap().contains("\"kind\":\"speed\""));
    for (args, code, expected) in [
        (&["-m", other.to_str().unwrap()][..], 65, "other tools than that of"),
        (&["--no-profile"], 66, "job_description.json"),
    ] {
        let refused = bench(&[args, &["--out", "refused.jsonl"]].concat());
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    assert!(!folder.path().join("refused.jsonl").exists());
}

#[test]
fn a_limit_on_what_is_sampled_takes_the_temperature_of_the_profile() {
    let (_folder, model) = example_profile();
    for limit in [["--top-p", "0.5"], ["--top-k", "3"], ["--min-p", "0.1"]] {
        let refused = call(&model, &[&[PROMPT][..], &limit].concat());
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(limit[0]) && message.contains("give --temperature"), "{message}");
    }
    let mut command = edgecall();
    succeeded(command.arg("profile").arg(&model).args(["--set", "temperature=1.5"]).output().unwrap());
    let limited = succeeded(call(&model, &[PROMPT, "--top-k", "1"]));
    // The likeliest token alone is the greedy call.
    assert_eq!(limited, succeeded(call(&model, &[PROMPT, "--temperature", "0"])));
}

#[test]
fn the_second_call_with_the_task_and_tools_of_a_profile_reads_their_state_from_the_cache() {
    let (folder, model) = example_profile();
    let cache = folder.path().join("cache");
    let timed = |prompt: &str| {
        let cache = cache.display().to_string();
        let args = [prompt, "--timings", "--cache-dir", &cache, "--cache-read-rate", "100000"];
        let output = call(&model, &args);
        let timings = String::from_utf8(output.stderr.clone()).unwrap();
        (succeeded(output), timings)
    };
    let restored = |timings: &str| -> usize {
        let line = timings.lines().find(|line| line.starts_with("restore")).unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    let (first, timings) = timed(PROMPT);
    assert_eq!(restored(&timings), 0, "{timings}");
    let (again, timings) = timed(PROMPT);
    assert_eq!(again, first);
    assert!(restored(&timings) > 256, "{timings}");
    // Another question shares task and tools.
    let (_, timings) = timed("Is there a quiet place for two in Oakland?");
    assert!(restored(&timings) > 256, "{timings}");
    let kept = edgecall().args(["cache", "list", "--json", "--cache-dir"]).arg(&cache).output().unwrap();
    let kept: serde_json::Value = serde_json::from_str(&succeeded(kept)).unwrap();
    let formats = kept["files"].as_array().unwrap().iter().filter(|file| file["what"] == "format");
    assert_eq!(formats.count(), 1, "what was derived from the template: {kept}");
}

#[test]
fn measured_calls_take_task_and_tools_of_the_profile() {
    let (folder, model, _) = job_as_profile(&data());
    let speed = |args: &[&str]| {
        let mut command = edgecall();
        command.args(["bench", "speed", "--threads", "1", "-m"]).arg(&model).args(args).output().unwrap()
    };
    let alone = folder.path().join("data").display().to_string();
    let whole = data().display().to_string();
    let calls = |folder: &str| {
        let output = speed(&["--calls", "--limit", "2", "--json", "--data", folder]);
        let calls: serde_json::Value = serde_json::from_str(&succeeded(output)).unwrap();
        calls["each"].clone()
    };
    assert_eq!(calls(&alone).as_array().unwrap().len(), 2);
    assert_eq!(calls(&alone), calls(&whole));
    succeeded(speed(&["--replay", "--data", &alone]));
    let refused = speed(&["--replay", "--no-profile", "--data", &alone]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(66) && message.contains("job_description.json"), "{message}");
}

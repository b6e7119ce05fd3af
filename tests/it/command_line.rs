//! What people type is taken as it was meant or refused with what to type instead; no result is lost without a word.

use crate::{pocket, program};
use edgecall::convert::FileType;
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

const QUESTION: &str = "I would like to eat Thai food in San Jose tonight";
const CALL: &str = r#"{"name": "FindRestaurants", "arguments": {"city": "San Jose", "cuisine": "Thai"}}"#;

/// Runs a line of the shell in the root of the repository, with `edgecall` in its path and the pocket model.
fn shell(line: &str, variables: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_edgecall")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    // The environment of tests, for another program.
    let mut command = std::process::Command::new("bash");
    for (name, value) in program::edgecall().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(["-c", line])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .env("EDGECALL_MODEL", pocket::pocket(FileType::F16))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn call(rest: &str) -> String {
    format!(
        "edgecall call --threads 1 --tools examples/restaurants/tools.json --task examples/restaurants/task.txt {rest}"
    )
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The text between the fences of the first block of this kind in `docs/call.md`.
fn example(kind: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/call.md")).unwrap();
    let (_, behind) = page.split_once(&format!("```{kind}\n")).unwrap();
    behind.split_once("```").unwrap().0.to_owned()
}

#[test]
fn a_closed_or_full_stdout_is_an_error_that_names_it_and_a_closed_pipe_is_none() {
    let question = format!("'{QUESTION}'");
    for (redirection, reason) in [(">&-", "it is closed"), (">/dev/full", "No space left")] {
        for line in [
            call(&format!("{question} {redirection}")),
            format!("edgecall inspect models/pocket {redirection}"),
            format!("edgecall --version {redirection}"),
            format!("edgecall --help {redirection}"),
            format!("edgecall call -h {redirection}"),
        ] {
            let (code, stdout, stderr) = texts(&shell(&line, &[]));
            assert_eq!((code, &*stdout), (Some(74), ""), "{line}: {stderr}");
            assert!(
                stderr.starts_with("error: cannot write to stdout: ") && stderr.contains(reason),
                "{stderr}"
            );
        }
    }
    for line in [
        "edgecall completions bash | head -1",
        "edgecall inspect --tensors models/pocket | head -1",
        "edgecall call --help | head -1",
    ] {
        let (_, stdout, stderr) = texts(&shell(&format!("set -o pipefail; {line}"), &[]));
        assert!(!stdout.is_empty() && stderr.is_empty(), "{line}: {stderr}");
    }
    let (code, _, stderr) = texts(&shell(&call(&format!("{question} >/dev/null")), &[]));
    assert_eq!((code, &*stderr), (Some(0), ""));
}

#[test]
fn a_missing_model_is_told_of_both_ways_to_name_one_and_an_empty_variable_is_absent() {
    for value in ["", "nowhere.gguf"] {
        let (code, _, stderr) = texts(&shell("edgecall call hi", &[("EDGECALL_MODEL", value)]));
        match value {
            "" => assert!(code == Some(2) && stderr.contains("set EDGECALL_MODEL"), "{stderr}"),
            _ => assert!(code == Some(66) && stderr.contains("nowhere.gguf"), "{stderr}"),
        }
    }
    let empty = [("EDGECALL_CACHE_DIR", ""), ("EDGECALL_KERNELS", "")];
    let output = shell(&call(&format!("'{QUESTION}'")), &empty);
    assert_eq!(texts(&output), (Some(0), format!("{CALL}\n"), String::new()));
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_warned_of_if_it_was_named_and_else_explained_by_timings() {
    let question = call(&format!("'{QUESTION}'"));
    let (code, stdout, stderr) = texts(&shell(&question, &[("EDGECALL_CACHE_DIR", "/dev/null")]));
    assert_eq!((code, stdout), (Some(0), format!("{CALL}\n")));
    assert!(
        stderr.starts_with("warning: the cache folder /dev/null cannot be used")
            && stderr.lines().count() == 1
    );
    let (_, _, stderr) = texts(&shell(&format!("{question} --timings"), &[]));
    assert!(stderr.contains("\nno cache: /dev/null is no folder"), "{stderr}");
    let (_, _, stderr) =
        texts(&shell(&format!("{question} --no-cache"), &[("EDGECALL_CACHE_DIR", "/dev/null")]));
    assert_eq!(stderr, "");
}

#[test]
fn a_new_relative_cache_folder_is_made_and_a_limit_of_a_files_length_costs_only_the_cache() {
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let question = call(&format!("'{QUESTION}'"));
    let root = env!("CARGO_MANIFEST_DIR");
    let question = question.replace("examples/", &format!("{root}/examples/"));
    let within = |line: &str| shell(&format!("cd {}; {line}", parent.path().display()), &[]);
    let limited = within(&format!("ulimit -f 1; {question} --cache-read-rate 1000000 --cache-dir small"));
    assert_eq!(texts(&limited), (Some(0), format!("{CALL}\n"), String::new()));
    let output = within(&format!("{question} --cache-read-rate 1000000 --cache-dir new"));
    assert_eq!(texts(&output), (Some(0), format!("{CALL}\n"), String::new()));
    let kept =
        |folder: &str| fs::read_dir(parent.path().join(folder).join("saved")).map_or(0, Iterator::count);
    assert!(kept("new") > kept("small"), "{} {}", kept("new"), kept("small"));
}

#[test]
fn the_log_of_v_is_ours_without_colours_and_that_of_vv_is_llama_cpps_too() {
    let question = call(&format!("'{QUESTION}'"));
    let (_, _, ours) = texts(&shell(&format!("{question} -v"), &[]));
    assert!(ours.contains("loaded") && !ours.contains("llama"), "{ours}");
    assert!((1..20).contains(&ours.lines().count()) && !ours.contains('\x1b'), "{ours}");
    let (_, _, both) = texts(&shell(&format!("{question} -vv"), &[]));
    assert!(both.contains("llama") && !both.contains('\x1b'));
}

#[test]
fn the_examples_of_the_documents_run() {
    let (code, stdout, stderr) = texts(&{
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let script = folder.path().join("loop.py");
        fs::write(&script, example("python")).unwrap();
        let python = program::python().get_program().to_string_lossy().into_owned();
        shell(&format!("{python} {}", script.display()), &[])
    });
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("FindRestaurants {'city': 'San Jose', 'cuisine': 'Thai'}\n"), "{stdout}");

    // The loop of the first example, over lines that would be options.
    let block = example("sh");
    let function = block.lines().find(|line| line.starts_with("call()")).unwrap();
    let line = block.lines().find(|line| line.starts_with("while ")).unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(folder.path().join("requests.txt"), format!("-h\n{QUESTION}\n--messages=x\n\n")).unwrap();
    let line = line
        .replace("requests.txt", &folder.path().join("requests.txt").display().to_string())
        .replace("calls.jsonl", "/dev/stdout");
    let (_, stdout, _) = texts(&shell(&format!("{function}\n{line}"), &[]));
    let rows: Vec<serde_json::Value> = stdout.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows.len(), 4, "{stdout}");
    assert_eq!(stdout.lines().nth(1), Some(CALL));
    assert!(rows[0].is_object() && rows[2].is_object() && rows[3].is_null(), "{stdout}");
}
